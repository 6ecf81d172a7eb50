/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/post.h"

#include <string.h>

/* One section; each processor goes around what those before it made. */
typedef struct reading {
    tn_hf_post *post;
    int32_t n_tokens;
} reading;

/* What one processor adds. */
typedef struct around {
    tn_hf_post ids;
    bool after; /* the text has come */
} around;

static void add_id(const reading *r, tn_json_reader *part, around *a, const json_t *value)
{
    const int64_t id = json_integer_value(value);
    int32_t *list = a->after ? a->ids.after : a->ids.before;
    int32_t *n = a->after ? &a->ids.n_after : &a->ids.n_before;
    if (!json_is_integer(value) || id < 0 || id >= r->n_tokens)
        tn_json_fail(part, TN_INVALID, "an id is no token of the vocabulary, 0 to %d are allowed",
                     (int)r->n_tokens - 1);
    else if (*n == TN_HF_MAX_AROUND)
        tn_json_fail(part, TN_INVALID, "more than %d ids around a text", TN_HF_MAX_AROUND);
    else
        list[(*n)++] = (int32_t)id;
}

static void take(const reading *r, tn_json_reader *part, const around *a)
{
    tn_hf_post *post = r->post;
    const int32_t n_before = a->ids.n_before, n_after = a->ids.n_after;
    if (part->status)
        return;
    if (post->n_before + n_before > TN_HF_MAX_AROUND ||
        post->n_after + n_after > TN_HF_MAX_AROUND) {
        tn_json_fail(part, TN_INVALID, "more than %d ids around a text", TN_HF_MAX_AROUND);
        return;
    }
    memmove(post->before + n_before, post->before, (size_t)post->n_before * sizeof(int32_t));
    memcpy(post->before, a->ids.before, (size_t)n_before * sizeof(int32_t));
    memcpy(post->after + post->n_after, a->ids.after, (size_t)n_after * sizeof(int32_t));
    post->n_before += n_before;
    post->n_after += n_after;
}

/* {"SpecialToken": {"id": "<s>"}}: the ids are in special_tokens, by this name. */
static void add_special(const reading *r, tn_json_reader *part, around *a, const json_t *special)
{
    tn_json_reader piece = { .object = special, .file = part->file };
    tn_text name = tn_hf_need_text(&piece, "id");
    tn_json_merge(part, &piece);
    const json_t *known = json_object_getn(tn_json_get(part, "special_tokens"), name.data, name.n);
    const json_t *ids = json_object_get(known, "ids");
    if (!part->status && !json_is_array(ids))
        tn_json_fail(part, TN_INVALID, "a token of the template has no ids in special_tokens");
    for (size_t i = 0; i < json_array_size(ids) && !part->status; i++)
        add_id(r, part, a, json_array_get(ids, i));
}

static void read_template(const reading *r, tn_json_reader *part)
{
    around a = { 0 };
    const json_t *list = tn_json_get(part, "single");
    if (!json_is_array(list))
        tn_json_fail(part, TN_INVALID, "single is no list");
    for (size_t i = 0; i < json_array_size(list) && !part->status; i++) {
        const json_t *piece = json_array_get(list, i);
        const json_t *special = json_object_get(piece, "SpecialToken");
        const json_t *text = json_object_get(piece, "Sequence");
        if (json_is_object(special))
            add_special(r, part, &a, special);
        else if (!json_is_object(text) || a.after)
            tn_json_fail(
                part, TN_UNSUPPORTED,
                "single[%zu] does not run; supported: special tokens around the text, once", i);
        else
            a.after = true;
    }
    if (!part->status && !a.after)
        tn_json_fail(part, TN_INVALID, "single has no place for the text");
    take(r, part, &a);
}

/* Roberta's and Bert's: "cls": ["<s>", 0] before, "sep": ["</s>", 2] after. */
static void read_pair(const reading *r, tn_json_reader *part)
{
    around a = { 0 };
    tn_json_need(part, "cls");
    tn_json_need(part, "sep");
    if (!part->status)
        add_id(r, part, &a, json_array_get(tn_json_get(part, "cls"), 1));
    a.after = true;
    if (!part->status)
        add_id(r, part, &a, json_array_get(tn_json_get(part, "sep"), 1));
    take(r, part, &a);
}

static void read_part(void *ctx, tn_json_reader *part, const char *type)
{
    const reading *r = ctx;
    if (strcmp(type, "TemplateProcessing") == 0)
        read_template(r, part);
    else if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0)
        read_pair(r, part);
    else if (strcmp(type, "ByteLevel") != 0) /* which moves offsets only */
        tn_hf_fail_type(part, type,
                        "TemplateProcessing, ByteLevel, RobertaProcessing, BertProcessing, "
                        "Sequence");
}

tn_status tn_hf_post_init(tn_hf_post *post, const json_t *root, int32_t n_tokens, tn_error *err)
{
    reading r = { post, n_tokens };
    *post = (tn_hf_post){ 0 };
    return tn_hf_read_section(root, "post_processor", "processors", read_part, &r, err);
}
