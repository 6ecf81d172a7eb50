/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/pretokenizer.h"

#include "model/text/byte_alphabet.h"
#include "model/text/utf8.h"

#include <string.h>

#define SPACE_SIGN "\xE2\x96\x81" /* U+2581 */
#define MAX_STAGE_BYTES                                                                            \
    (256u << 20) /* text of at most 16 MiB, in the byte alphabet and some more */

/* ---- from JSON ---- */

static tn_hf_stage *add_stage(tn_hf_pretokenizer *p, int32_t kind)
{
    tn_hf_stage *stage = &p->stage[p->n_stages++]; /* at most three a part */
    *stage = (tn_hf_stage){ .kind = kind };
    return stage;
}

/* A split of our own at a pattern in PCRE2's words. */
static void add_split(tn_hf_pretokenizer *p, tn_json_reader *part, const char *pattern,
                      bool literal, int32_t behavior, bool invert)
{
    tn_error err = { 0 };
    tn_hf_stage *stage = add_stage(p, TN_PRE_SPLIT);
    stage->split = (tn_split){ .behavior = behavior, .invert = invert };
    const tn_pattern_options options = { .name = "the pattern", .literal = literal };
    tn_hf_fail_inner(
        part, tn_pattern_create(pattern, strlen(pattern), &options, &stage->split.pattern, &err),
        &err);
}

static void read_split(tn_hf_pretokenizer *p, tn_json_reader *part)
{
    tn_hf_stage *stage = add_stage(p, TN_PRE_SPLIT);
    stage->split.behavior = TN_N_SPLITS;
    tn_hf_choice(part, "behavior", tn_split_names, TN_N_SPLITS, &stage->split.behavior);
    tn_json_need(part, "behavior");
    tn_json_bool(part, "invert", &stage->split.invert);
    tn_hf_read_pattern(part, "pattern", &stage->split.pattern);
}

static void read_byte_level(tn_hf_pretokenizer *p, tn_json_reader *part)
{
    bool prefix = true, use_regex = true;
    tn_json_bool(part, "add_prefix_space", &prefix);
    tn_json_bool(part, "use_regex", &use_regex);
    if (prefix)
        memcpy(add_stage(p, TN_PRE_PREFIX)->text, " ", 2);
    if (use_regex)
        add_split(p, part, TN_PATTERN_GPT2, false, TN_SPLIT_ISOLATED, false);
    (void)add_stage(p, TN_PRE_BYTES);
    p->spells_bytes = true;
}

void tn_hf_read_char(tn_json_reader *part, const char *key, char *out)
{
    memcpy(out, SPACE_SIGN, sizeof(SPACE_SIGN));
    if (!tn_json_get(part, key))
        return;
    tn_text text = tn_hf_need_text(part, key);
    if (part->status)
        return;
    if (text.n == 0 || tn_utf8_next(text.data, text.n).n != text.n) {
        tn_json_fail(part, TN_INVALID, "%s is not one character", key);
        return;
    }
    memcpy(out, text.data, text.n);
    out[text.n] = '\0';
}

int32_t tn_hf_read_prepend_scheme(tn_json_reader *part)
{
    static const char *const names[] = { "always", "first", "never" };
    int32_t scheme = TN_PREPEND_ALWAYS;
    bool prefix = true;
    tn_json_bool(part, "add_prefix_space", &prefix);
    if (!prefix)
        scheme = TN_PREPEND_NEVER;
    tn_hf_choice(part, "prepend_scheme", names, 3, &scheme);
    return scheme;
}

static void read_metaspace(tn_hf_pretokenizer *p, tn_json_reader *part)
{
    bool split = true;
    char sign[5];
    tn_hf_read_char(part, "replacement", sign);
    int32_t scheme = tn_hf_read_prepend_scheme(part);
    tn_json_bool(part, "split", &split);
    memcpy(add_stage(p, TN_PRE_REPLACE)->text, sign, sizeof(sign));
    if (scheme != TN_PREPEND_NEVER) {
        tn_hf_stage *prefix = add_stage(p, TN_PRE_PREFIX);
        memcpy(prefix->text, sign, sizeof(sign));
        prefix->prepend = scheme;
    }
    if (split)
        add_split(p, part, sign, true, TN_SPLIT_NEXT, false);
}

static void read_digits(tn_hf_pretokenizer *p, tn_json_reader *part)
{
    bool individual = false;
    tn_json_bool(part, "individual_digits", &individual);
    add_split(p, part, "\\p{N}", false, individual ? TN_SPLIT_ISOLATED : TN_SPLIT_CONTIGUOUS,
              false);
}

static void read_punctuation(tn_hf_pretokenizer *p, tn_json_reader *part)
{
    int32_t behavior = TN_SPLIT_ISOLATED;
    tn_hf_choice(part, "behavior", tn_split_names, TN_N_SPLITS, &behavior);
    add_split(p, part, "[\\p{P}$+<=>^`|~]", false, behavior, false);
}

static void read_delimiter(tn_hf_pretokenizer *p, tn_json_reader *part)
{
    char delimiter[5];
    tn_json_need(part, "delimiter");
    tn_hf_read_char(part, "delimiter", delimiter);
    add_split(p, part, delimiter, true, TN_SPLIT_REMOVED, false);
}

static void read_part(void *ctx, tn_json_reader *part, const char *type)
{
    tn_hf_pretokenizer *p = ctx;
    if (strcmp(type, "Split") == 0)
        read_split(p, part);
    else if (strcmp(type, "ByteLevel") == 0)
        read_byte_level(p, part);
    else if (strcmp(type, "Metaspace") == 0)
        read_metaspace(p, part);
    else if (strcmp(type, "Digits") == 0)
        read_digits(p, part);
    else if (strcmp(type, "Punctuation") == 0)
        read_punctuation(p, part);
    else if (strcmp(type, "CharDelimiterSplit") == 0)
        read_delimiter(p, part);
    else if (strcmp(type, "WhitespaceSplit") == 0)
        add_split(p, part, "[" TN_PATTERN_WS "]", false, TN_SPLIT_REMOVED, false);
    else if (strcmp(type, "Whitespace") == 0) /* \w+|[^\w\s]+ of Rust's regex */
        add_split(p, part,
                  "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]+|"
                  "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}" TN_PATTERN_WS "]+",
                  false, TN_SPLIT_REMOVED, true);
    else
        tn_hf_fail_type(part, type,
                        "Split, ByteLevel, Metaspace, Digits, Punctuation, CharDelimiterSplit, "
                        "Whitespace, WhitespaceSplit, Sequence");
}

tn_status tn_hf_pretokenizer_init(tn_hf_pretokenizer *p, const json_t *root, tn_error *err)
{
    *p = (tn_hf_pretokenizer){ 0 };
    return tn_hf_read_section(root, "pre_tokenizer", "pretokenizers", read_part, p, err);
}

void tn_hf_pretokenizer_deinit(tn_hf_pretokenizer *p)
{
    for (int32_t i = 0; i < p->n_stages; i++)
        tn_pattern_destroy(p->stage[i].split.pattern);
    *p = (tn_hf_pretokenizer){ 0 };
}

void tn_hf_pretokenizer_work_deinit(tn_hf_pretokenizer_work *work)
{
    for (int32_t i = 0; i < TN_HF_MAX_STAGES; i++)
        tn_strbuf_deinit(&work->text[i]);
}

/* ---- run ---- */

typedef struct run {
    const tn_hf_pretokenizer *p;
    tn_hf_pretokenizer_work *work;
    tn_hf_word_fn fn;
    void *ctx;
} run;

/* A piece on its way through the stages from `at` on. */
typedef struct piece {
    const run *r;
    int32_t at;
    const char *text;
    int32_t place;
} piece;

static tn_status run_stage(const run *r, int32_t at, const char *text, size_t n, int32_t place,
                           tn_error *err);

// NOLINTNEXTLINE(misc-no-recursion): as deep as there are stages
static tn_status take_piece(void *ctx, size_t from, size_t to, tn_error *err)
{
    const piece *p = ctx;
    return run_stage(p->r, p->at + 1, p->text + from, to - from,
                     from == 0 ? p->place : TN_PLACE_INNER, err);
}

static void replace_blanks(const char *sign, const char *text, size_t n, tn_strbuf *out)
{
    const size_t n_sign = strlen(sign);
    for (size_t at = 0, end; at < n; at = end) {
        const char *blank = memchr(text + at, ' ', n - at);
        end = blank ? (size_t)(blank - text) : n;
        tn_strbuf_append(out, text + at, end - at);
        if (end < n)
            tn_strbuf_append(out, sign, n_sign);
        end += end < n;
    }
}

static bool begins_with(const char *text, size_t n, const char *prefix)
{
    const size_t n_prefix = strlen(prefix);
    return n >= n_prefix && memcmp(text, prefix, n_prefix) == 0;
}

/* The stages that write the piece anew. */
static void rewrite(const tn_hf_stage *stage, const char *text, size_t n, int32_t place,
                    tn_strbuf *out)
{
    if (stage->kind == TN_PRE_REPLACE) {
        replace_blanks(stage->text, text, n, out);
        return;
    }
    if (stage->kind == TN_PRE_BYTES) {
        tn_byte_alphabet_put(text, n, out);
        return;
    }
    const bool due = place == TN_PLACE_FIRST ||
                     (stage->prepend == TN_PREPEND_ALWAYS && place != TN_PLACE_CONTINUES);
    if (due && !begins_with(text, n, stage->text))
        tn_strbuf_puts(out, stage->text);
    tn_strbuf_append(out, text, n);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as there are stages
static tn_status run_stage(const run *r, int32_t at, const char *text, size_t n, int32_t place,
                           tn_error *err)
{
    if (n == 0)
        return TN_OK;
    if (at == r->p->n_stages)
        return r->fn(r->ctx, text, n, err);
    const tn_hf_stage *stage = &r->p->stage[at];
    if (stage->kind == TN_PRE_SPLIT) {
        piece p = { r, at, text, place };
        return tn_split_run(&stage->split, r->work->scratch, text, n, take_piece, &p, err);
    }
    tn_strbuf *out = &r->work->text[at];
    out->max = MAX_STAGE_BYTES;
    tn_strbuf_clear(out);
    rewrite(stage, text, n, place, out);
    if (out->failed)
        return tn_fail_memory(err, "the pieces of a text");
    return run_stage(r, at + 1, out->data, out->len, place, err);
}

tn_status tn_hf_pretokenizer_run(const tn_hf_pretokenizer *p, tn_hf_pretokenizer_work *work,
                                 const char *text, size_t n, int32_t place, tn_hf_word_fn fn,
                                 void *ctx, tn_error *err)
{
    run r = { p, work, fn, ctx };
    return run_stage(&r, 0, text, n, place, err);
}
