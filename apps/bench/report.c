/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/bench/report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N_COLUMNS = 13, MAX_CELL = 512, MAX_MACHINE = 256 };

static const char *const columns[N_COLUMNS] = { "model",    "size MB", "params M", "plugins",
                                                "kv",       "threads", "test",     "depth",
                                                "batch",    "t/s",     "spread %", "memory %",
                                                "compute %" };
enum { FIRST_NUMBER = 7 }; /* columns from here on stand at the right */

static void share(double value, char *cell)
{
    if (value > 0)
        (void)snprintf(cell, MAX_CELL, "%.1f", 100 * value);
    else
        cell[0] = 0;
}

static void cells_of(const tn_bench_row *r, char cell[N_COLUMNS][MAX_CELL])
{
    char test[32];
    tn_bench_test_name(&r->test, test);
    (void)snprintf(cell[0], MAX_CELL, "%s", r->target->model);
    (void)snprintf(cell[1], MAX_CELL, "%.1f", (double)r->target->weight_bytes * 1e-6);
    (void)snprintf(cell[2], MAX_CELL, "%.1f", (double)r->target->parameters * 1e-6);
    (void)snprintf(cell[3], MAX_CELL, "%s", r->target->plugins);
    (void)snprintf(cell[4], MAX_CELL, "%s", r->target->kv_format);
    (void)snprintf(cell[5], MAX_CELL, "%d", (int)r->target->threads);
    (void)snprintf(cell[6], MAX_CELL, "%s", test);
    (void)snprintf(cell[7], MAX_CELL, "%d", (int)r->test.depth);
    (void)snprintf(cell[8], MAX_CELL, "%d", (int)r->test.batch);
    (void)snprintf(cell[9], MAX_CELL, "%.2f", r->tokens_s);
    (void)snprintf(cell[10], MAX_CELL, "%.1f", 100 * r->spread);
    share(r->memory, cell[11]);
    share(r->compute, cell[12]);
}

static void pad(tn_strbuf *out, size_t n, char c)
{
    for (size_t i = 0; i < n; i++)
        tn_strbuf_append(out, &c, 1);
}

static void write_line(const size_t *width, char cell[N_COLUMNS][MAX_CELL], tn_strbuf *out)
{
    for (int c = 0; c < N_COLUMNS; c++) {
        const size_t n = strlen(cell[c]);
        tn_strbuf_puts(out, "| ");
        if (c >= FIRST_NUMBER)
            pad(out, width[c] - n, ' ');
        tn_strbuf_puts(out, cell[c]);
        if (c < FIRST_NUMBER)
            pad(out, width[c] - n, ' ');
        tn_strbuf_puts(out, " ");
    }
    tn_strbuf_puts(out, "|\n");
}

void tn_bench_markdown(const tn_bench_row *rows, int32_t n, tn_strbuf *out)
{
    char cell[N_COLUMNS][MAX_CELL];
    size_t width[N_COLUMNS];
    for (int c = 0; c < N_COLUMNS; c++)
        width[c] = strlen(columns[c]);
    for (int32_t i = 0; i < n; i++) {
        cells_of(&rows[i], cell);
        for (int c = 0; c < N_COLUMNS; c++)
            width[c] = strlen(cell[c]) > width[c] ? strlen(cell[c]) : width[c];
    }
    for (int c = 0; c < N_COLUMNS; c++)
        (void)snprintf(cell[c], MAX_CELL, "%s", columns[c]);
    write_line(width, cell, out);
    for (int c = 0; c < N_COLUMNS; c++) {
        tn_strbuf_puts(out, c >= FIRST_NUMBER ? "| " : "|:");
        pad(out, width[c], '-');
        tn_strbuf_puts(out, c >= FIRST_NUMBER ? ":" : " ");
    }
    tn_strbuf_puts(out, "|\n");
    for (int32_t i = 0; i < n; i++) {
        cells_of(&rows[i], cell);
        write_line(width, cell, out);
    }
}

/* RFC 4180. */
static void csv_text(const char *text, tn_strbuf *out)
{
    if (!strpbrk(text, ",\"\r\n")) {
        tn_strbuf_puts(out, text);
        return;
    }
    tn_strbuf_puts(out, "\"");
    for (; *text; text++) {
        tn_strbuf_append(out, text, 1);
        if (*text == '"')
            tn_strbuf_append(out, text, 1);
    }
    tn_strbuf_puts(out, "\"");
}

void tn_bench_csv(const tn_bench_row *rows, int32_t n, tn_strbuf *out)
{
    tn_strbuf_puts(out,
                   "profile,model,architecture,size_bytes,parameters,plugins,kv_format,threads,"
                   "test,depth,batch,repeats,tokens_per_s,spread,memory_roofline,"
                   "compute_roofline\n");
    for (int32_t i = 0; i < n; i++) {
        const tn_bench_row *r = &rows[i];
        const tn_bench_target *t = r->target;
        char test[32];
        tn_bench_test_name(&r->test, test);
        csv_text(t->name, out);
        tn_strbuf_puts(out, ",");
        csv_text(t->model, out);
        tn_strbuf_puts(out, ",");
        csv_text(t->arch, out);
        tn_strbuf_printf(out, ",%llu,%llu,", (unsigned long long)t->weight_bytes,
                         (unsigned long long)t->parameters);
        csv_text(t->plugins, out);
        tn_strbuf_puts(out, ",");
        csv_text(t->kv_format, out);
        tn_strbuf_printf(out, ",%d,%s,%d,%d,%d,%.6g,%.4g,%.4g,%.4g\n", (int)t->threads, test,
                         (int)r->test.depth, (int)r->test.batch, (int)r->n_repeats, r->tokens_s,
                         r->spread, r->memory, r->compute);
    }
}

/* The first "model name" of /proc/cpuinfo; "unknown" where there is none. */
static void cpu_name(char *out, size_t size)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)snprintf(out, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value)
            continue;
        value += 1 + strspn(value + 1, " ");
        (void)snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    if (file)
        (void)fclose(file);
}

static json_t *machine_json(const tn_roofline *roofs, int32_t n)
{
    char name[MAX_MACHINE];
    json_t *list = json_array();
    cpu_name(name, sizeof name);
    for (int32_t i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:i, s:s, s:f, s:f, s:f, s:f}", "threads", (int)roofs[i].threads,
                            "isa", roofs[i].isa, "read_bytes_per_s", roofs[i].read_bytes_s,
                            "f32_ops_per_s", roofs[i].f32_ops_s, "bf16_ops_per_s",
                            roofs[i].bf16_ops_s, "int8_ops_per_s", roofs[i].int8_ops_s));
    return json_pack("{s:s, s:I, s:o}", "cpu", name, "online_cpus",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "roofline", list);
}

static json_t *row_json(const tn_bench_row *r)
{
    const tn_bench_target *t = r->target;
    char test[32];
    json_t *samples = json_array();
    tn_bench_test_name(&r->test, test);
    for (int32_t i = 0; i < r->n_repeats; i++)
        json_array_append_new(samples, json_real(r->sample[i]));
    return json_pack("{s:s, s:i, s:i, s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:i, s:f, s:f, "
                     "s:o}",
                     "test", test, "depth", (int)r->test.depth, "batch", (int)r->test.batch,
                     "threads", (int)t->threads, "profile", t->name, "model", t->model, "plugins",
                     t->plugins, "kv_format", t->kv_format, "size_bytes",
                     (json_int_t)t->weight_bytes, "parameters", (json_int_t)t->parameters,
                     "tokens_per_s", r->tokens_s, "spread", r->spread, "repeats", (int)r->n_repeats,
                     "memory_roofline", r->memory, "compute_roofline", r->compute, "samples",
                     samples);
}

json_t *tn_bench_json(const tn_bench_row *rows, int32_t n, const tn_roofline *roofs,
                      int32_t n_roofs)
{
    json_t *results = json_array();
    for (int32_t i = 0; i < n; i++) {
        if (json_array_append_new(results, row_json(&rows[i]))) {
            json_decref(results);
            return NULL;
        }
    }
    return json_pack("{s:o, s:o}", "machine", machine_json(roofs, n_roofs), "results", results);
}

void tn_bench_roofline_text(const tn_roofline *roofs, int32_t n, tn_strbuf *out)
{
    char name[MAX_MACHINE];
    cpu_name(name, sizeof name);
    tn_strbuf_printf(out, "%s, %s\n", name, n > 0 ? roofs[0].isa : "");
    tn_strbuf_puts(out, "| threads | read GB/s | f32 Gop/s | bf16 Gop/s | int8 Gop/s |\n"
                        "| ------: | --------: | --------: | ---------: | ---------: |\n");
    for (int32_t i = 0; i < n; i++)
        tn_strbuf_printf(out, "| %7d | %9.1f | %9.1f | %10.1f | %10.1f |\n", (int)roofs[i].threads,
                         roofs[i].read_bytes_s * 1e-9, roofs[i].f32_ops_s * 1e-9,
                         roofs[i].bf16_ops_s * 1e-9, roofs[i].int8_ops_s * 1e-9);
}
