/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/pretokenizer.h"

#include "core/base/alloc.h"
#include "core/base/strbuf.h"
#include "model/text/pattern.h"
#include "model/text/utf8.h"

#include <stdio.h>
#include <string.h>

#define MAX_PATTERNS 8

#define WS                  TN_PATTERN_WS
#define BLANKS_BEFORE_BLANK "[" WS "]+(?![^" WS "])"
#define CONTRACTIONS        "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

#define GPT2 TN_PATTERN_GPT2
/* Llama 3 and Qwen 2 (their tokenizer.json, pre_tokenizer.pretokenizers[0].pattern) differ in the
 * number of digits. */
#define LLAMA3_LIKE(digits)                                                                        \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" WS                               \
                 "\\p{L}\\p{N}]+[\\r\\n]*|[" WS "]*[\\r\\n]+|" BLANKS_BEFORE_BLANK "|[" WS "]+"

static const char *const gpt2_patterns[] = { GPT2, NULL };
static const char *const smollm_patterns[] = { "\\p{N}", GPT2, NULL };
static const char *const llama3_patterns[] = { LLAMA3_LIKE("\\p{N}{1,3}"), NULL };
static const char *const qwen2_patterns[] = { LLAMA3_LIKE("\\p{N}"), NULL };
static const char *const default_patterns[] = { "[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+",
                                                "[0-9][0-9][0-9]", NULL };

typedef struct named_spec {
    const char *name;
    tn_pretokenizer_spec spec;
} named_spec;

/*
 * Names as GGUF's tokenizer.ggml.pre has them, with the patterns that llama.cpp
 * (src/llama-vocab.cpp, llm_tokenizer_bpe and llama_vocab::impl::load, commit 00ad355) gives them;
 * "default" is for files from before that key.
 */
static const named_spec known[] = {
    { "smollm", { smollm_patterns, false } },    { "gpt-2", { gpt2_patterns, false } },
    { "llama-bpe", { llama3_patterns, true } },  { "qwen2", { qwen2_patterns, false } },
    { "default", { default_patterns, false } },  { "llama3", { llama3_patterns, true } },
    { "llama-v3", { llama3_patterns, true } },   { "deepseek-r1-qwen", { qwen2_patterns, false } },
    { "stablelm2", { qwen2_patterns, false } },  { "starcoder", { smollm_patterns, false } },
    { "refact", { smollm_patterns, false } },    { "command-r", { smollm_patterns, false } },
    { "codeshell", { smollm_patterns, false } }, { "olmo", { gpt2_patterns, false } },
    { "phi-2", { gpt2_patterns, false } },
};

struct tn_pretokenizer {
    size_t n;
    tn_pattern *pattern[MAX_PATTERNS];
};

/* One split: the pieces' receiver and the match memory, which all patterns share. */
typedef struct splitter {
    const tn_pretokenizer *p;
    tn_pattern_scratch *scratch;
    tn_piece_fn fn;
    void *ctx;
    tn_error *err;
} splitter;

tn_status tn_pretokenizer_lookup(const char *name, tn_pretokenizer_spec *out, tn_error *err)
{
    const size_t n_known = sizeof(known) / sizeof(known[0]);
    tn_strbuf names = TN_STRBUF(1024);

    *out = (tn_pretokenizer_spec){ 0 };
    if (!name || !*name)
        name = "default";
    for (size_t i = 0; i < n_known; i++) {
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].spec;
            return TN_OK;
        }
    }
    for (size_t i = 0; i < n_known; i++)
        tn_strbuf_printf(&names, "%s%s", i > 0 ? " " : "", known[i].name);
    tn_status st = tn_fail(err, TN_UNSUPPORTED, "pre-tokenizer '%.40s' is not known, known are: %s",
                           name, tn_strbuf_text(&names));
    tn_strbuf_deinit(&names);
    return st;
}

void tn_pretokenizer_put_regex(const char *pattern, tn_strbuf *out)
{
    static const struct {
        const char *ours, *theirs;
    } sets[] = { { "[^" WS "]", "\\S" }, { "[" WS "]", "\\s" }, { WS, "\\s" } };
    while (*pattern) {
        size_t i = 0;
        while (i < 3 && strncmp(pattern, sets[i].ours, strlen(sets[i].ours)) != 0)
            i++;
        if (i < 3)
            tn_strbuf_puts(out, sets[i].theirs);
        else
            tn_strbuf_append(out, pattern, 1);
        pattern += i < 3 ? strlen(sets[i].ours) : 1;
    }
}

static bool is_pattern(const char *pattern, const tn_strbuf *regex, bool *failed)
{
    tn_strbuf text = TN_STRBUF(1 << 16);
    tn_pretokenizer_put_regex(pattern, &text);
    const bool equal = strcmp(tn_strbuf_text(&text), tn_strbuf_text(regex)) == 0;
    *failed = *failed || text.failed;
    tn_strbuf_deinit(&text);
    return equal;
}

tn_status tn_pretokenizer_find(const tn_strbuf *regex, size_t n, bool ignore_merges,
                               const char **out, tn_error *err)
{
    bool failed = false;
    *out = NULL;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !*out; i++) {
        const tn_pretokenizer_spec *spec = &known[i].spec;
        size_t k = 0;
        while (k < n && spec->pattern[k] && is_pattern(spec->pattern[k], &regex[k], &failed))
            k++;
        if (k == n && !spec->pattern[k] && spec->ignore_merges == ignore_merges)
            *out = known[i].name;
    }
    return failed ? tn_fail_memory(err, "a pre-tokenizer's patterns") : TN_OK;
}

static tn_status compile(tn_pretokenizer *p, const char *pattern, uint32_t match_limit,
                         tn_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "pre-tokenizer pattern %zu", p->n + 1);
    const tn_pattern_options options = { .name = name, .match_limit = match_limit };
    TN_TRY(tn_pattern_create(pattern, strlen(pattern), &options, &p->pattern[p->n], err));
    p->n++;
    return TN_OK;
}

tn_status tn_pretokenizer_create(const char *const *patterns, uint32_t match_limit,
                                 tn_pretokenizer **out, tn_error *err)
{
    *out = NULL;
    tn_pretokenizer *p = tn_alloc_array(1, sizeof(*p));
    if (!p)
        return tn_fail_memory(err, "the pre-tokenizer");
    tn_status st = TN_OK;
    for (size_t i = 0; !st && patterns[i]; i++) {
        if (i == MAX_PATTERNS)
            st = tn_fail(err, TN_UNSUPPORTED, "pre-tokenizer has more than %d patterns",
                         MAX_PATTERNS);
        else
            st = compile(p, patterns[i], match_limit, err);
    }
    if (st)
        tn_pretokenizer_destroy(p);
    else
        *out = p;
    return st;
}

void tn_pretokenizer_destroy(tn_pretokenizer *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        tn_pattern_destroy(p->pattern[i]);
    tn_free(p);
}

/* The next match that is not empty: an empty one cuts nothing. */
static tn_status next_cut(const splitter *s, size_t level, const char *text, size_t n, size_t from,
                          tn_pattern_match *out)
{
    const tn_pattern *pattern = s->p->pattern[level];
    TN_TRY(tn_pattern_next(pattern, s->scratch, text, n, from, out, s->err));
    while (out->from == out->to && out->from < n) {
        from = out->from + tn_utf8_next(text + out->from, n - out->from).n;
        TN_TRY(tn_pattern_next(pattern, s->scratch, text, n, from, out, s->err));
    }
    return TN_OK;
}

/* Cuts a piece by the patterns from `level` on. */
// NOLINTNEXTLINE(misc-no-recursion): as deep as there are patterns, at most MAX_PATTERNS
static tn_status split_piece(const splitter *s, size_t level, const char *text, size_t n)
{
    if (n == 0)
        return TN_OK;
    if (level == s->p->n)
        return s->fn(s->ctx, text, n, s->err);
    for (size_t done = 0; done < n;) {
        tn_pattern_match cut;
        TN_TRY(next_cut(s, level, text, n, done, &cut));
        TN_TRY(split_piece(s, level + 1, text + done, cut.from - done));
        TN_TRY(split_piece(s, level + 1, text + cut.from, cut.to - cut.from));
        done = cut.to;
    }
    return TN_OK;
}

tn_status tn_pretokenizer_split(const tn_pretokenizer *p, const char *text, size_t n,
                                tn_piece_fn fn, void *ctx, tn_error *err)
{
    splitter s = { .p = p, .fn = fn, .ctx = ctx, .err = err };

    s.scratch = tn_pattern_scratch_create(n);
    if (!s.scratch)
        return tn_fail_memory(err, "a pattern match");
    tn_status st = TN_OK;
    for (size_t at = 0; !st && at < n;) {
        size_t valid = tn_utf8_valid_prefix(text + at, n - at);
        st = split_piece(&s, 0, text + at, valid);
        at += valid;
        size_t invalid = tn_utf8_invalid_prefix(text + at, n - at);
        if (!st && invalid > 0)
            st = fn(ctx, text + at, invalid, err);
        at += invalid;
    }
    tn_pattern_scratch_destroy(s.scratch);
    return st;
}
