/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/normal_form.h"

#include "core/base/alloc.h"
#include "model/text/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

/* Of one code point: 18 in NFKD (Unicode 15, UAX 15, table 8). */
enum { MAX_DECOMPOSITION = 32 };
/* 16 MiB of text and what a normaliser before put in. */
#define MAX_CODE_POINTS (64u << 20)

typedef struct code_points {
    int32_t *value;
    size_t n, capacity;
} code_points;

/* A mark to be sorted: combining class, then place. */
typedef struct mark {
    int32_t class, value;
    size_t at;
} mark;

void tn_put_code_point(tn_strbuf *out, int32_t code_point)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char(code_point, bytes);
    tn_strbuf_append(out, bytes, n > 0 ? (size_t)n : 0);
}

static tn_status reserve(code_points *list, size_t n, tn_error *err)
{
    if (list->n + n <= list->capacity)
        return TN_OK;
    size_t capacity = list->capacity < 256 ? 256 : 2 * list->capacity;
    if (capacity > MAX_CODE_POINTS)
        return tn_fail(err, TN_INVALID, "normalised text has more than %u characters",
                       MAX_CODE_POINTS);
    int32_t *grown = tn_realloc_array(list->value, capacity, sizeof(*grown));
    if (!grown)
        return tn_fail_memory(err, "the normalised text");
    list->value = grown;
    list->capacity = capacity;
    return TN_OK;
}

static tn_status decompose(int32_t form, const char *text, size_t n, code_points *out,
                           tn_error *err)
{
    const bool compat = form == TN_NFKC || form == TN_NFKD;
    const utf8proc_option_t options =
        compat ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
    for (size_t at = 0; at < n;) {
        int32_t last_class = 0;
        tn_utf8_unit unit = tn_utf8_next(text + at, n - at);
        TN_TRY(reserve(out, MAX_DECOMPOSITION, err));
        utf8proc_ssize_t got = utf8proc_decompose_char(
            (int32_t)unit.code_point, out->value + out->n, MAX_DECOMPOSITION, options, &last_class);
        if (got < 0 || got > MAX_DECOMPOSITION)
            return tn_fail(err, TN_INTERNAL, "U+%04X cannot be decomposed", unit.code_point);
        out->n += (size_t)got;
        at += unit.n;
    }
    return TN_OK;
}

static int compare_marks(const void *left, const void *right)
{
    const mark *a = left, *b = right;
    if (a->class != b->class)
        return a->class < b->class ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int32_t class_of(int32_t code_point)
{
    return utf8proc_get_property(code_point)->combining_class;
}

static tn_status sort_run(int32_t *value, size_t n, tn_error *err)
{
    mark *marks = tn_alloc_array(n, sizeof(*marks));
    if (!marks)
        return tn_fail_memory(err, "the normalised text");
    for (size_t i = 0; i < n; i++)
        marks[i] = (mark){ class_of(value[i]), value[i], i };
    qsort(marks, n, sizeof(*marks), compare_marks);
    for (size_t i = 0; i < n; i++)
        value[i] = marks[i].value;
    tn_free(marks);
    return TN_OK;
}

/* The canonical order (Unicode 15, D109). utf8proc's own is quadratic in the length of a run, which
 * a hostile text chooses. */
static tn_status order_marks(code_points *list, tn_error *err)
{
    for (size_t at = 0; at < list->n;) {
        size_t end = at;
        bool sorted = true;
        for (int32_t last = 0; end < list->n; end++) {
            int32_t class = class_of(list->value[end]);
            if (class == 0)
                break;
            sorted = sorted && class >= last;
            last = class;
        }
        if (!sorted)
            TN_TRY(sort_run(list->value + at, end - at, err));
        at = end + 1;
    }
    return TN_OK;
}

static bool is_ascii(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n && (unsigned char)text[at] < 0x80)
        at++;
    return at == n;
}

tn_status tn_normal_form(int32_t form, const char *text, size_t n, tn_strbuf *out, tn_error *err)
{
    code_points list = { 0 };
    if (is_ascii(text, n)) {
        tn_strbuf_append(out, text, n);
        return TN_OK;
    }
    tn_status st = decompose(form, text, n, &list, err);
    if (!st)
        st = order_marks(&list, err);
    if (!st && (form == TN_NFC || form == TN_NFKC)) {
        utf8proc_ssize_t got = utf8proc_normalize_utf32(list.value, (utf8proc_ssize_t)list.n,
                                                        UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        list.n = got < 0 ? 0 : (size_t)got;
    }
    for (size_t i = 0; !st && i < list.n; i++)
        tn_put_code_point(out, list.value[i]);
    tn_free(list.value);
    return st;
}
