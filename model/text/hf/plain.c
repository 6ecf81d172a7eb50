/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/plain.h"

#include "core/base/alloc.h"
#include "model/formats/printable.h"
#include "model/text/hf/added.h"
#include "model/text/hf/hf.h"
#include "model/text/hf/post.h"
#include "model/text/hf/vocabulary.h"
#include "model/text/pattern.h"
#include "model/text/plain_vocab.h"
#include "model/text/pretokenizer.h"

#include <string.h>

#define SPACE_SIGN "\xE2\x96\x81" /* U+2581 */
enum { MAX_REGEXES = 8, MAX_REGEX_BYTES = 1 << 16 };

/* What stands around the model. */
typedef struct pipeline {
    tn_strbuf regex[MAX_REGEXES]; /* what text is cut by, in turn */
    size_t n_regexes;
    bool spells_bytes, decodes_bytes; /* ByteLevel, as the last pre-tokenizer, as the decoder */
    bool has_nfc;
    bool prepends, replaces; /* U+2581 before a text, and for blanks */
} pipeline;

/* ---- the sections ---- */

static void fail_part(tn_json_reader *part, const char *what)
{
    tn_json_fail(part, TN_UNSUPPORTED, "%s, which a GGUF file cannot say", what);
}

static void add_regex(pipeline *p, tn_json_reader *part, const char *regex, bool is_ours)
{
    if (p->n_regexes == MAX_REGEXES || p->spells_bytes) {
        fail_part(part, "too many patterns, or one after ByteLevel");
        return;
    }
    tn_strbuf *text = &p->regex[p->n_regexes++];
    *text = TN_STRBUF(MAX_REGEX_BYTES);
    if (is_ours)
        tn_pretokenizer_put_regex(regex, text);
    else
        tn_strbuf_puts(text, regex);
    if (text->failed)
        tn_json_fail(part, TN_NO_MEMORY, "cannot allocate memory for a pattern");
}

static void read_split(pipeline *p, tn_json_reader *part)
{
    const char *behavior = "", *regex = NULL;
    bool invert = false;
    tn_json_string(part, "behavior", &behavior);
    tn_json_bool(part, "invert", &invert);
    tn_json_reader pattern = tn_json_object(part, "pattern", part->file);
    tn_json_string(&pattern, "Regex", &regex);
    tn_json_merge(part, &pattern);
    if (!regex || invert || strcmp(behavior, "Isolated") != 0)
        fail_part(part, "a split other than at the isolated matches of a Regex");
    else
        add_regex(p, part, regex, false);
}

static void read_byte_level(pipeline *p, tn_json_reader *part)
{
    bool prefix = true, use_regex = true;
    tn_json_bool(part, "add_prefix_space", &prefix);
    tn_json_bool(part, "use_regex", &use_regex);
    if (prefix)
        fail_part(part, "add_prefix_space is true");
    if (use_regex)
        add_regex(p, part, TN_PATTERN_GPT2, true);
    p->spells_bytes = true;
}

static bool is_space_sign(const char *text)
{
    return text && strcmp(text, SPACE_SIGN) == 0;
}

/* A prefix of Metaspace is left out before a blank, which GGUF's add_space_prefix is not. */
static void read_metaspace(pipeline *p, tn_json_reader *part)
{
    const char *sign = SPACE_SIGN, *scheme = "always";
    bool split = true, prefix = true;
    tn_json_string(part, "replacement", &sign);
    tn_json_bool(part, "add_prefix_space", &prefix);
    if (!prefix)
        scheme = "never";
    tn_json_string(part, "prepend_scheme", &scheme);
    tn_json_bool(part, "split", &split);
    if (split || !is_space_sign(sign) || strcmp(scheme, "never") != 0)
        fail_part(part, "a split at blanks, or a prefix where the text has no blank");
    p->replaces = true;
}

static void read_pre_tokenizer(void *ctx, tn_json_reader *part, const char *type)
{
    pipeline *p = ctx;
    bool individual = false;
    if (strcmp(type, "Split") == 0) {
        read_split(p, part);
    } else if (strcmp(type, "ByteLevel") == 0) {
        read_byte_level(p, part);
    } else if (strcmp(type, "Digits") == 0) {
        tn_json_bool(part, "individual_digits", &individual);
        add_regex(p, part, individual ? "\\p{N}" : "\\p{N}+", false);
    } else if (strcmp(type, "Metaspace") == 0) {
        read_metaspace(p, part);
    } else {
        fail_part(part, "this pre-tokenizer");
    }
}

static void read_normalizer(void *ctx, tn_json_reader *part, const char *type)
{
    pipeline *p = ctx;
    const char *text = NULL, *blank = NULL;
    if (strcmp(type, "NFC") == 0) {
        p->has_nfc = true;
    } else if (strcmp(type, "Prepend") == 0) {
        tn_json_string(part, "prepend", &text);
        if (!is_space_sign(text) || p->replaces)
            fail_part(part, "another prefix than U+2581");
        p->prepends = true;
    } else if (strcmp(type, "Replace") == 0) {
        tn_json_reader pattern = tn_json_object(part, "pattern", part->file);
        tn_json_string(&pattern, "String", &blank);
        tn_json_merge(part, &pattern);
        tn_json_string(part, "content", &text);
        if (!is_space_sign(text) || !blank || strcmp(blank, " ") != 0)
            fail_part(part, "another replacement than U+2581 for a blank");
        p->replaces = true;
    } else {
        fail_part(part, "this normalizer");
    }
}

static void read_decoder(void *ctx, tn_json_reader *part, const char *type)
{
    (void)part;
    ((pipeline *)ctx)->decodes_bytes = strcmp(type, "ByteLevel") == 0;
}

static tn_status read_pipeline(pipeline *p, const json_t *root, tn_error *err)
{
    TN_TRY(tn_hf_read_section(root, "normalizer", "normalizers", read_normalizer, p, err));
    TN_TRY(tn_hf_read_section(root, "pre_tokenizer", "pretokenizers", read_pre_tokenizer, p, err));
    return tn_hf_read_section(root, "decoder", "decoders", read_decoder, p, err);
}

/* ---- added tokens, and those around a text ---- */

static tn_status check_added(const json_t *root, tn_error *err)
{
    tn_hf_added_token *added = NULL;
    size_t n = 0;
    tn_strbuf shown = TN_STRBUF(1 << 16);
    TN_TRY(tn_hf_read_added(root, &added, &n, err));
    tn_status st = TN_OK;
    for (size_t i = 0; i < n && !st; i++) {
        if (!added[i].single_word && !added[i].lstrip && !added[i].rstrip)
            continue;
        tn_put_printable(&shown, added[i].text.data, added[i].text.n);
        st = tn_fail(err, TN_UNSUPPORTED,
                     "tokenizer.json: the added token '%.40s' is found with %s, which a GGUF file "
                     "cannot say",
                     tn_strbuf_text(&shown),
                     added[i].single_word ? "single_word" : "lstrip or rstrip");
    }
    tn_strbuf_deinit(&shown);
    tn_free(added);
    return st;
}

/* One id beside the text at most, and it is bos, or eos; a file that names none of that name gets
 * the one that is there. */
static bool take_around(const int32_t *ids, int32_t n, int32_t stated, int32_t *id, int32_t *adds)
{
    if (stated >= 0) { /* tokenizer_config.json's word counts more */
        *adds = stated && *id >= 0;
        return true;
    }
    if (n == 1 && *id < 0)
        *id = ids[0];
    *adds = n == 1;
    return n == 0 || (n == 1 && ids[0] == *id);
}

static tn_status read_around(const json_t *root, const tn_vocab *from, tn_vocab *out, tn_error *err)
{
    tn_hf_post post;
    TN_TRY(tn_hf_post_init(&post, root, out->n_tokens, err));
    const bool is_plain =
        take_around(post.before, post.n_before, from->add_bos, &out->bos, &out->add_bos) &&
        take_around(post.after, post.n_after, from->add_eos, &out->eos, &out->add_eos);
    return is_plain ? TN_OK
                    : tn_fail(err, TN_UNSUPPORTED,
                              "tokenizer.json: post_processor: other tokens around a text than BOS "
                              "and EOS, which a GGUF file cannot say");
}

/* ---- the model ---- */

static bool model_switch(const json_t *root, const char *key)
{
    return json_is_true(json_object_get(json_object_get(root, "model"), key));
}

static tn_status name_words(const pipeline *p, const json_t *root, tn_vocab *out, tn_error *err)
{
    const bool ignores = model_switch(root, "ignore_merges");
    TN_TRY(tn_pretokenizer_find(p->regex, p->n_regexes, ignores, &out->pre, err));
    if (!out->pre)
        return tn_fail(err, TN_UNSUPPORTED,
                       "tokenizer.json: pre_tokenizer: no pre-tokenizer that GGUF has a name for "
                       "cuts text by these patterns with ignore_merges %s",
                       ignores ? "true" : "false");
    if (!p->decodes_bytes || p->prepends || p->replaces)
        return tn_fail(err, TN_UNSUPPORTED,
                       "tokenizer.json: byte-level words with another decoder or with U+2581, "
                       "which a GGUF file cannot say");
    return TN_OK;
}

static tn_status copy_merges(const json_t *root, tn_arena *arena, tn_vocab *out, tn_error *err)
{
    const json_t *list = json_object_get(json_object_get(root, "model"), "merges");
    const size_t n = json_array_size(list);
    tn_text *merge = tn_arena_alloc(arena, n * sizeof *merge);
    if (!merge)
        return tn_fail_memory(err, "the merges");
    for (size_t i = 0; i < n; i++) {
        tn_text left, right;
        if (!tn_hf_merge_texts(json_array_get(list, i), &left, &right) ||
            memchr(left.data, ' ', left.n) || memchr(right.data, ' ', right.n))
            return tn_fail(err, TN_UNSUPPORTED, "tokenizer.json: model: merges[%zu] has a blank",
                           i);
        char *text = tn_arena_alloc(arena, left.n + 1 + right.n);
        if (!text)
            return tn_fail_memory(err, "the merges");
        memcpy(text, left.data, left.n);
        text[left.n] = ' ';
        memcpy(text + left.n + 1, right.data, right.n);
        merge[i] = (tn_text){ text, left.n + 1 + right.n };
    }
    out->merge = merge;
    out->n_merges = (int32_t)n;
    return TN_OK;
}

static tn_status make_spm(const pipeline *p, const json_t *root, tn_arena *arena, tn_vocab *out,
                          tn_error *err)
{
    out->kind = TN_VOCAB_SPM;
    out->pre = "default";
    out->n_merges = 0;
    out->add_space_prefix = p->prepends;
    if (p->n_regexes || p->has_nfc || !p->replaces || !model_switch(root, "byte_fallback") ||
        model_switch(root, "ignore_merges"))
        return tn_fail(err, TN_UNSUPPORTED,
                       "tokenizer.json: neither byte-level BPE nor that of Llama 2 (U+2581 for "
                       "blanks, byte_fallback), which are all that a GGUF file can say");
    return tn_hf_plain_scores(root, arena, out, err);
}

static tn_status make_plain(const pipeline *p, const json_t *root, const tn_vocab *from,
                            tn_arena *arena, tn_vocab *out, tn_error *err)
{
    TN_TRY(check_added(root, err));
    TN_TRY(read_around(root, from, out, err));
    if (!p->spells_bytes)
        return make_spm(p, root, arena, out, err);
    out->kind = TN_VOCAB_BPE;
    TN_TRY(name_words(p, root, out, err));
    return copy_merges(root, arena, out, err);
}

tn_status tn_hf_plain(const tn_vocab *from, tn_arena *arena, tn_vocab *out, uint32_t *losses,
                      tn_error *err)
{
    json_t *root = NULL;
    pipeline p = { 0 };
    TN_TRY(tn_hf_parse(from, &root, err));
    tn_status st = read_pipeline(&p, root, err);
    if (!st)
        st = make_plain(&p, root, from, arena, out, err);
    if (p.has_nfc)
        *losses |= TN_PLAIN_LOST_NFC;
    for (size_t i = 0; i < p.n_regexes; i++)
        tn_strbuf_deinit(&p.regex[i]);
    json_decref(root);
    return st;
}
