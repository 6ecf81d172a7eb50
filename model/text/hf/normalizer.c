/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/normalizer.h"

#include "core/base/alloc.h"
#include "model/text/hf/normal_form.h"
#include "model/text/utf8.h"

#include <string.h>
#include <utf8proc.h>

#define MAX_NORMALISED_BYTES (64u << 20)
enum { MAX_CONTENT_BYTES = 4096 };
enum { N_FORM, N_PREPEND, N_REPLACE, N_STRIP, N_LOWERCASE, N_STRIP_ACCENTS };

/* ---- from JSON ---- */

static void keep_text(tn_json_reader *part, const char *key, tn_hf_normal *normal)
{
    tn_text text = tn_hf_need_text(part, key);
    if (text.n > MAX_CONTENT_BYTES)
        tn_json_fail(part, TN_INVALID, "%s has %zu bytes, at most %d are allowed", key, text.n,
                     MAX_CONTENT_BYTES);
    if (part->status)
        return;
    normal->text = tn_strndup(text.data, text.n);
    normal->n_text = text.n;
    if (!normal->text)
        tn_json_fail(part, TN_NO_MEMORY, "no memory for %s", key);
}

static void read_strip(tn_json_reader *part, tn_hf_normal *normal)
{
    normal->kind = N_STRIP;
    normal->left = normal->right = true;
    tn_json_bool(part, "strip_left", &normal->left);
    tn_json_bool(part, "strip_right", &normal->right);
}

static void read_part(void *ctx, tn_json_reader *part, const char *type)
{
    static const char *const forms[] = { "NFC", "NFD", "NFKC", "NFKD" };
    tn_hf_normalizer *normalizer = ctx;
    tn_hf_normal *normal = &normalizer->part[normalizer->n++];
    *normal = (tn_hf_normal){ 0 };
    for (int32_t form = 0; form < 4; form++) {
        if (strcmp(type, forms[form]) == 0) {
            *normal = (tn_hf_normal){ .kind = N_FORM, .form = form };
            return;
        }
    }
    if (strcmp(type, "Prepend") == 0) {
        normal->kind = N_PREPEND;
        keep_text(part, "prepend", normal);
    } else if (strcmp(type, "Replace") == 0) {
        normal->kind = N_REPLACE;
        keep_text(part, "content", normal);
        tn_hf_read_pattern(part, "pattern", &normal->pattern);
    } else if (strcmp(type, "Strip") == 0) {
        read_strip(part, normal);
    } else if (strcmp(type, "Lowercase") == 0) {
        normal->kind = N_LOWERCASE;
    } else if (strcmp(type, "StripAccents") == 0) {
        normal->kind = N_STRIP_ACCENTS;
    } else {
        tn_hf_fail_type(part, type,
                        "NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Lowercase, StripAccents, "
                        "Sequence");
    }
}

tn_status tn_hf_normalizer_init(tn_hf_normalizer *normalizer, const json_t *root, tn_error *err)
{
    *normalizer = (tn_hf_normalizer){ 0 };
    return tn_hf_read_section(root, "normalizer", "normalizers", read_part, normalizer, err);
}

void tn_hf_normalizer_deinit(tn_hf_normalizer *normalizer)
{
    for (int32_t i = 0; i < normalizer->n; i++) {
        tn_free(normalizer->part[i].text);
        tn_pattern_destroy(normalizer->part[i].pattern);
    }
    *normalizer = (tn_hf_normalizer){ 0 };
}

/* ---- run ---- */

typedef struct replacing {
    const tn_hf_normal *normal;
    const char *text;
    tn_strbuf *out;
    bool *first;
} replacing;

static tn_status take_segment(void *ctx, size_t from, size_t to, bool is_match, tn_error *err)
{
    const replacing *r = ctx;
    if (is_match)
        tn_strbuf_append(r->out, r->normal->text, r->normal->n_text);
    else
        tn_strbuf_append(r->out, r->text + from, to - from);
    if (is_match && from == 0 && to > 0 && r->normal->n_text == 0)
        *r->first = false;
    return r->out->failed ? tn_fail_memory(err, "the normalised text") : TN_OK;
}

static void strip(const tn_hf_normal *normal, const char *text, size_t n, bool *first,
                  tn_strbuf *out)
{
    size_t from = 0, end = 0;
    for (size_t at = 0; at < n;) {
        tn_utf8_unit unit = tn_utf8_next(text + at, n - at);
        bool space = tn_utf8_is_space(unit.code_point);
        if (space && normal->left && from == at)
            from += unit.n;
        at += unit.n;
        if (!space || !normal->right)
            end = at;
    }
    *first = *first && from == 0;
    if (from < end)
        tn_strbuf_append(out, text + from, end - from);
}

/* Each character by itself, as Rust's char::to_lowercase; one of them becomes two. */
static void put_lowercase(uint32_t c, tn_strbuf *out)
{
    tn_put_code_point(out, c == 0x130 ? 'i' : utf8proc_tolower((int32_t)c));
    if (c == 0x130)
        tn_put_code_point(out, 0x307);
}

static bool is_mark(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((int32_t)c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

static void map_characters(const tn_hf_normal *normal, const char *text, size_t n, bool *first,
                           tn_strbuf *out)
{
    for (size_t at = 0; at < n;) {
        tn_utf8_unit unit = tn_utf8_next(text + at, n - at);
        if (normal->kind == N_LOWERCASE)
            put_lowercase(unit.code_point, out);
        else if (!is_mark(unit.code_point))
            tn_strbuf_append(out, text + at, unit.n);
        else if (at == 0)
            *first = false;
        at += unit.n;
    }
}

static tn_status run_part(const tn_hf_normal *normal, tn_pattern_scratch *scratch, const char *text,
                          size_t n, bool continues, bool *first, tn_strbuf *out, tn_error *err)
{
    replacing r = { normal, text, out, first };
    switch (normal->kind) {
    case N_FORM:
        return tn_normal_form(normal->form, text, n, out, err);
    case N_REPLACE:
        return tn_pattern_segments(normal->pattern, scratch, text, n, take_segment, &r, err);
    case N_STRIP:
        strip(normal, text, n, first, out);
        return TN_OK;
    case N_PREPEND:
        if (n > 0 && !continues)
            tn_strbuf_append(out, normal->text, normal->n_text);
        tn_strbuf_append(out, text, n);
        return TN_OK;
    default:
        map_characters(normal, text, n, first, out);
        return TN_OK;
    }
}

/* Of n bytes became what fitted into `out`; a part appends at most n or MAX_CONTENT_BYTES at a
 * time. */
static tn_status fail_of_output(const tn_strbuf *out, size_t n, tn_error *err)
{
    if (out->len + n + MAX_CONTENT_BYTES <= MAX_NORMALISED_BYTES)
        return tn_fail_memory(err, "the normalised text");
    return tn_fail(err, TN_INVALID, "normalised text has more than %u bytes, or no memory",
                   MAX_NORMALISED_BYTES);
}

static tn_status run_parts(const tn_hf_normalizer *normalizer, tn_pattern_scratch *scratch,
                           bool continues, bool *first, tn_strbuf *text, tn_error *err)
{
    tn_strbuf next = TN_STRBUF(MAX_NORMALISED_BYTES);
    tn_status st = TN_OK;
    for (int32_t i = 0; !st && i < normalizer->n; i++) {
        tn_strbuf_clear(&next);
        st = run_part(&normalizer->part[i], scratch, tn_strbuf_text(text), text->len, continues,
                      first, &next, err);
        if (next.len == 0)
            *first = false;
        tn_strbuf swap = *text;
        *text = next;
        next = swap;
        if (!st && text->failed)
            st = fail_of_output(text, next.len, err);
    }
    tn_strbuf_deinit(&next);
    return st;
}

tn_status tn_hf_normalizer_run(const tn_hf_normalizer *normalizer, tn_pattern_scratch *scratch,
                               const char *text, size_t n, bool continues, bool *first,
                               tn_strbuf *out, tn_error *err)
{
    tn_strbuf work = TN_STRBUF(MAX_NORMALISED_BYTES);
    if (normalizer->n == 0) {
        tn_strbuf_append(out, text, n);
        return out->failed ? tn_fail_memory(err, "the normalised text") : TN_OK;
    }
    tn_strbuf_append(&work, text, n);
    tn_status st = work.failed ? tn_fail_memory(err, "the normalised text")
                               : run_parts(normalizer, scratch, continues, first, &work, err);
    if (!st)
        tn_strbuf_append(out, tn_strbuf_text(&work), work.len);
    tn_strbuf_deinit(&work);
    return st || !out->failed ? st : tn_fail_memory(err, "the normalised text");
}
