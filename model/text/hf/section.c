/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/section.h"

#include "core/base/strbuf.h"
#include "model/formats/printable.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SECTION_DEPTH = 4 };

typedef struct section {
    const char *name, *list_key;
    tn_hf_part_fn fn;
    void *ctx;
    int32_t n_parts;
} section;

static void read_part(section *s, tn_json_reader *part, int32_t depth);

/* The elements of a Sequence. */
// NOLINTNEXTLINE(misc-no-recursion): at most MAX_SECTION_DEPTH
static void read_list(section *s, tn_json_reader *part, int32_t depth)
{
    const json_t *list = tn_json_get(part, s->list_key);
    if (!json_is_array(list)) {
        tn_json_fail(part, TN_INVALID, "a Sequence needs the list '%s'", s->list_key);
        return;
    }
    if (depth == MAX_SECTION_DEPTH) {
        tn_json_fail(part, TN_INVALID, "Sequences are nested more than %d deep", MAX_SECTION_DEPTH);
        return;
    }
    for (size_t i = 0; i < json_array_size(list) && !part->status; i++) {
        tn_json_reader inner = { .object = json_array_get(list, i), .file = part->file };
        if (!json_is_object(inner.object))
            tn_json_fail(part, TN_INVALID, "%s[%zu] is no object", s->list_key, i);
        else
            read_part(s, &inner, depth + 1);
        tn_json_merge(part, &inner);
    }
}

// NOLINTNEXTLINE(misc-no-recursion): at most MAX_SECTION_DEPTH
static void read_part(section *s, tn_json_reader *part, int32_t depth)
{
    char file[64];
    const char *type = NULL;
    tn_json_need(part, "type");
    tn_json_string(part, "type", &type);
    if (part->status)
        return;
    if (strcmp(type, "Sequence") == 0) {
        read_list(s, part, depth);
        return;
    }
    if (s->n_parts++ == TN_HF_MAX_PARTS) {
        tn_json_fail(part, TN_INVALID, "more than %d parts", TN_HF_MAX_PARTS);
        return;
    }
    (void)snprintf(file, sizeof(file), "tokenizer.json: %s: %.24s", s->name, type);
    tn_json_reader named = { .object = part->object, .file = file };
    s->fn(s->ctx, &named, type);
    tn_json_merge(part, &named);
}

tn_status tn_hf_read_section(const json_t *root, const char *name, const char *list_key,
                             tn_hf_part_fn fn, void *ctx, tn_error *err)
{
    char file[64];
    section s = { .name = name, .list_key = list_key, .fn = fn, .ctx = ctx };
    tn_json_reader all = { .object = root, .file = "tokenizer.json" };
    if (!tn_json_get(&all, name))
        return TN_OK;
    (void)snprintf(file, sizeof(file), "tokenizer.json: %s", name);
    tn_json_reader part = tn_json_object(&all, name, file);
    if (!all.status)
        read_part(&s, &part, 0);
    tn_json_merge(&all, &part);
    if (all.status && err)
        *err = all.error;
    return all.status;
}

void tn_hf_fail_type(tn_json_reader *part, const char *type, const char *supported)
{
    tn_strbuf shown = TN_STRBUF(1 << 20);
    tn_put_printable(&shown, type, strlen(type));
    tn_json_fail(part, TN_UNSUPPORTED, "type '%.40s' does not run; supported: %s",
                 tn_strbuf_text(&shown), supported);
    tn_strbuf_deinit(&shown);
}

void tn_hf_fail_inner(tn_json_reader *part, tn_status status, const tn_error *err)
{
    if (status)
        tn_json_fail(part, status, "%s", err->text);
}

tn_text tn_hf_need_text(tn_json_reader *part, const char *key)
{
    const char *text = NULL;
    tn_json_need(part, key);
    tn_json_string(part, key, &text);
    if (part->status || !text)
        return (tn_text){ "", 0 };
    return (tn_text){ text, json_string_length(tn_json_get(part, key)) };
}

void tn_hf_choice(tn_json_reader *part, const char *key, const char *const *names, int32_t n,
                  int32_t *out)
{
    const char *value = NULL;
    tn_json_string(part, key, &value);
    if (!value)
        return;
    tn_strbuf list = TN_STRBUF(1024);
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = i;
            tn_strbuf_deinit(&list);
            return;
        }
        tn_strbuf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    tn_json_fail(part, TN_UNSUPPORTED, "%s is none of: %s", key, tn_strbuf_text(&list));
    tn_strbuf_deinit(&list);
}
