/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/added.h"

#include "core/base/alloc.h"
#include "model/text/utf8.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_ADDED_TOKENS = 1 << 16, MAX_ADDED_BYTES = 1024, MAX_ID = (1 << 24) - 1 };

/* ---- from JSON ---- */

static tn_status read_token(const json_t *value, size_t index, tn_hf_added_token *out,
                            tn_error *err)
{
    char file[64];
    (void)snprintf(file, sizeof(file), "tokenizer.json: added_tokens[%zu]", index);
    tn_json_reader r = { .object = value, .file = file };
    *out = (tn_hf_added_token){ .id = -1 };
    if (!json_is_object(value))
        return tn_fail(err, TN_INVALID, "%s is no object", file);
    tn_json_need(&r, "id");
    tn_json_int32(&r, "id", 0, MAX_ID, &out->id);
    out->text = tn_hf_need_text(&r, "content");
    if (!r.status && (out->text.n == 0 || out->text.n > MAX_ADDED_BYTES))
        tn_json_fail(&r, TN_INVALID, "content has %zu bytes, 1 to %d are allowed", out->text.n,
                     MAX_ADDED_BYTES);
    tn_json_bool(&r, "special", &out->special);
    out->normalized = !out->special;
    tn_json_bool(&r, "normalized", &out->normalized);
    tn_json_bool(&r, "single_word", &out->single_word);
    tn_json_bool(&r, "lstrip", &out->lstrip);
    tn_json_bool(&r, "rstrip", &out->rstrip);
    if (r.status && err)
        *err = r.error;
    return r.status;
}

tn_status tn_hf_read_added(const json_t *root, tn_hf_added_token **out, size_t *out_n,
                           tn_error *err)
{
    const json_t *list = json_object_get(root, "added_tokens");
    *out = NULL;
    *out_n = 0;
    if (list && !json_is_null(list) && !json_is_array(list))
        return tn_fail(err, TN_INVALID, "tokenizer.json: added_tokens is no list");
    size_t n = json_array_size(list);
    if (n > MAX_ADDED_TOKENS)
        return tn_fail(err, TN_INVALID, "tokenizer.json: %zu added_tokens, at most %d are allowed",
                       n, MAX_ADDED_TOKENS);
    tn_hf_added_token *tokens = tn_alloc_array(n, sizeof(*tokens));
    if (!tokens)
        return tn_fail_memory(err, "the added tokens");
    tn_status st = TN_OK;
    for (size_t i = 0; !st && i < n; i++)
        st = read_token(json_array_get(list, i), i, &tokens[i], err);
    if (st) {
        tn_free(tokens);
        return st;
    }
    *out = tokens;
    *out_n = n;
    return TN_OK;
}

/* ---- a set ---- */

/* The token's text goes to the end of `bytes`; tn_text points there once all are in. */
static tn_status add_text(tn_hf_added_set *set, const tn_hf_added_token *token,
                          const tn_hf_normalizer *normalizer, tn_pattern_scratch *scratch,
                          tn_error *err)
{
    bool first = true;
    size_t before = set->bytes.len;
    if (token->normalized && tn_utf8_valid_prefix(token->text.data, token->text.n) == token->text.n)
        TN_TRY(tn_hf_normalizer_run(normalizer, scratch, token->text.data, token->text.n, false,
                                    &first, &set->bytes, err));
    else
        tn_strbuf_append(&set->bytes, token->text.data, token->text.n);
    if (set->bytes.failed)
        return tn_fail_memory(err, "the added tokens");
    set->token[set->n] = *token;
    set->text[set->n].n = set->bytes.len - before;
    set->type[set->n++] = TN_TOKEN_CONTROL;
    return TN_OK;
}

static tn_status fill(tn_hf_added_set *set, const tn_hf_added_token *tokens, size_t n,
                      const tn_hf_normalizer *normalizer, bool normalized, tn_error *err)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < n; i++)
        n_bytes += tokens[i].text.n;
    tn_pattern_scratch *scratch = tn_pattern_scratch_create(n_bytes);
    tn_status st = scratch ? TN_OK : tn_fail_memory(err, "the added tokens");
    for (size_t i = 0; !st && i < n; i++) {
        if (tokens[i].normalized == normalized)
            st = add_text(set, &tokens[i], normalizer, scratch, err);
    }
    tn_pattern_scratch_destroy(scratch);
    size_t at = 0;
    for (size_t i = 0; i < set->n; i++) {
        set->text[i].data = tn_strbuf_text(&set->bytes) + at;
        at += set->text[i].n;
    }
    return st;
}

tn_status tn_hf_added_set_init(tn_hf_added_set *set, const tn_hf_added_token *tokens, size_t n,
                               const tn_hf_normalizer *normalizer, bool normalized, tn_error *err)
{
    *set = (tn_hf_added_set){ .bytes = TN_STRBUF(MAX_ADDED_TOKENS * MAX_ADDED_BYTES) };
    set->token = tn_alloc_array(n, sizeof(*set->token));
    set->text = tn_alloc_array(n, sizeof(*set->text));
    set->type = tn_alloc_array(n, sizeof(*set->type));
    tn_status st = set->token && set->text && set->type
                       ? fill(set, tokens, n, normalizer, normalized, err)
                       : tn_fail_memory(err, "the added tokens");
    set->vocab = (tn_vocab){ .n_tokens = (int32_t)set->n, .token = set->text };
    const tn_vocab_index index = { .vocab = &set->vocab, .type = set->type };
    if (!st)
        st = tn_special_init(&set->find, &index, 1u << TN_TOKEN_CONTROL, err);
    if (st)
        tn_hf_added_set_deinit(set);
    return st;
}

void tn_hf_added_set_deinit(tn_hf_added_set *set)
{
    tn_special_deinit(&set->find);
    tn_free(set->token);
    tn_free(set->text);
    tn_free(set->type);
    tn_strbuf_deinit(&set->bytes);
    *set = (tn_hf_added_set){ 0 };
}

/* ---- in a text ---- */

/* \w of Rust's regex, by the tables of utf8proc. */
static bool is_word(uint32_t c)
{
    switch (utf8proc_category((int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* Join_Control, and Other_Alphabetic beyond marks (PropList.txt) */
        return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
               (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
               (c >= 0x1F170 && c <= 0x1F189);
    }
}

/* The character that ends right before text[at]; not a CHAR when there is none. */
static tn_utf8_unit character_before(const char *text, size_t at)
{
    for (size_t n = 1; n <= 4 && n <= at; n++) {
        tn_utf8_unit unit = tn_utf8_next(text + at - n, n);
        if (unit.kind == TN_UTF8_CHAR && unit.n == n)
            return unit;
    }
    return (tn_utf8_unit){ .kind = TN_UTF8_INVALID, .n = 1 };
}

static bool is_whole_word(const char *text, size_t n, size_t from, size_t to)
{
    tn_utf8_unit before = character_before(text, from);
    if (before.kind == TN_UTF8_CHAR && is_word(before.code_point))
        return false;
    tn_utf8_unit after = { .kind = TN_UTF8_INVALID };
    if (to < n)
        after = tn_utf8_next(text + to, n - to);
    return after.kind != TN_UTF8_CHAR || !is_word(after.code_point);
}

static size_t skip_spaces_back(const char *text, size_t at, size_t least)
{
    while (at > least) {
        tn_utf8_unit unit = character_before(text, at);
        if (unit.kind != TN_UTF8_CHAR || !tn_utf8_is_space(unit.code_point) || at - unit.n < least)
            break;
        at -= unit.n;
    }
    return at;
}

static size_t skip_spaces(const char *text, size_t n, size_t at)
{
    while (at < n) {
        tn_utf8_unit unit = tn_utf8_next(text + at, n - at);
        if (unit.kind != TN_UTF8_CHAR || !tn_utf8_is_space(unit.code_point))
            break;
        at += unit.n;
    }
    return at;
}

/* As AddedVocabulary::find_matches of Hugging Face tokenizers (src/tokenizer/added_vocabulary.rs):
 * a match that does not count still takes its bytes from the search. */
tn_status tn_hf_added_find(const tn_hf_added_set *set, const char *text, size_t n,
                           bool with_special, tn_hf_stretch_fn fn, void *ctx, tn_error *err)
{
    size_t done = 0;
    for (size_t at = 0; at < n;) {
        tn_special_match m = tn_special_find(&set->find, text, n, at);
        if (m.n == 0)
            break;
        const tn_hf_added_token *token = &set->token[m.id];
        size_t from = m.at, to = m.at + m.n;
        at = to;
        if ((token->special && !with_special) ||
            (token->single_word && !is_whole_word(text, n, from, to)))
            continue;
        if (token->lstrip && from > done)
            from = skip_spaces_back(text, from, done);
        if (token->rstrip)
            to = skip_spaces(text, n, to);
        if (done < from)
            TN_TRY(fn(ctx, -1, done, from, err));
        TN_TRY(fn(ctx, token->id, from, to, err));
        done = to;
    }
    return done < n ? fn(ctx, -1, done, n, err) : TN_OK;
}
