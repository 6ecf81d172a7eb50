/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/matrix.h"

#include "core/base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FORMAT = 64 };

const char *tn_check_matrix_text(tn_check_matrix *m, const char *text)
{
    const char *copy = tn_arena_strdup(&m->arena, text);
    return copy ? copy : "";
}

/* "u4z.g301" is the group of a row of 301 columns. */
static void label_of(const char *format, char label[MAX_FORMAT])
{
    const char *group = strstr(format, ".g");
    const long n = group ? strtol(group + 2, NULL, 10) : 0;
    if (group && n != 32 && n != 64 && n != 128)
        (void)snprintf(label, MAX_FORMAT, "%.*s.row", (int)(group - format), format);
    else
        (void)snprintf(label, MAX_FORMAT, "%s", format);
}

tn_check_cell *tn_check_matrix_at(tn_check_matrix *m, const tn_op_info *op, const char *format)
{
    char label[MAX_FORMAT];
    label_of(format, label);
    for (int32_t i = 0; i < m->n; i++)
        if (m->cell[i].op == op && strcmp(m->cell[i].format, label) == 0)
            return &m->cell[i];
    if (m->n == m->capacity) {
        const int32_t capacity = m->capacity ? 2 * m->capacity : 128;
        tn_check_cell *cell = tn_realloc_array(m->cell, (size_t)capacity, sizeof *cell);
        if (!cell)
            return NULL;
        m->cell = cell;
        m->capacity = capacity;
    }
    m->cell[m->n] = (tn_check_cell){
        .op = op, .format = tn_check_matrix_text(m, label), .kernel = "", .reason = ""
    };
    return &m->cell[m->n++];
}

void tn_check_matrix_deinit(tn_check_matrix *m)
{
    tn_free(m->cell);
    tn_arena_deinit(&m->arena);
    *m = (tn_check_matrix){ 0 };
}

/* ---- tables ---- */

enum { OTHER, WEIGHTS, PAGES, N_TABLES };

static int32_t table_of(const tn_check_cell *c)
{
    return !*c->format ? OTHER : c->op->uses_kv ? PAGES : WEIGHTS;
}

static void print_cell(const tn_check_cell *c, tn_strbuf *out)
{
    char text[32] = "";
    if (c && c->failed)
        (void)snprintf(text, sizeof text, "FAILED");
    else if (c && c->supported == 0)
        (void)snprintf(text, sizeof text, "-");
    else if (c && c->supported < c->cases)
        (void)snprintf(text, sizeof text, "%d of %d", (int)c->supported, (int)c->cases);
    else if (c)
        (void)snprintf(text, sizeof text, "ok");
    tn_strbuf_printf(out, " %-15s", text);
}

static const tn_check_cell *find(const tn_check_matrix *m, const tn_op_info *op, const char *format)
{
    for (int32_t i = 0; i < m->n; i++)
        if (m->cell[i].op == op && strcmp(m->cell[i].format, format) == 0)
            return &m->cell[i];
    return NULL;
}

/* Has the table a column of this op? Of one that is refused throughout it has none. */
static bool has_op(const tn_check_matrix *m, int32_t table, const tn_op_info *op)
{
    for (int32_t i = 0; i < m->n; i++)
        if (m->cell[i].op == op && table_of(&m->cell[i]) == table && m->cell[i].supported)
            return true;
    return false;
}

/* Is it the first cell of the table with its format? Formats come in the order of the sweeps. */
static bool is_first(const tn_check_matrix *m, int32_t table, int32_t at)
{
    for (int32_t i = 0; i < at; i++)
        if (table_of(&m->cell[i]) == table && strcmp(m->cell[i].format, m->cell[at].format) == 0)
            return false;
    return table_of(&m->cell[at]) == table;
}

static void print_table(const tn_check_matrix *m, int32_t table, const char *title, tn_strbuf *out)
{
    bool any = false;
    for (const tn_op_info *op = tn_op_table(); op->name; op++) {
        if (!has_op(m, table, op))
            continue;
        if (!any)
            tn_strbuf_printf(out, "\n%-10s", title);
        tn_strbuf_printf(out, " %-15s", op->name);
        any = true;
    }
    for (int32_t i = 0; any && i < m->n; i++) {
        if (!is_first(m, table, i))
            continue;
        tn_strbuf_printf(out, "\n%-10s", m->cell[i].format);
        for (const tn_op_info *op = tn_op_table(); op->name; op++)
            if (has_op(m, table, op))
                print_cell(find(m, op, m->cell[i].format), out);
    }
    if (any)
        tn_strbuf_puts(out, "\n");
}

void tn_check_matrix_print(const tn_check_matrix *m, tn_strbuf *out)
{
    print_table(m, WEIGHTS, "weights", out);
    print_table(m, PAGES, "KV pages", out);
    print_table(m, OTHER, "", out);
}
