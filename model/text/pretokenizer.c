/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "model/text/pretokenizer.h"

#include "core/base/alloc.h"
#include "core/base/strbuf.h"
#include "model/text/utf8.h"

#include <pcre2.h>
#include <string.h>

#define MAX_PATTERNS 8
/*
 * A greedy run that must be given back takes a step a byte (`\s*[\r\n]+` on blanks), and a text has
 * at most 16 MiB: four steps a byte are enough for every pattern of the table.
 */
#define DEFAULT_MATCH_LIMIT (4u * (16u << 20))
/* The interpreter's memory for backtracking, in KiB; groups that repeat need it, the table's
 * patterns hardly do. */
#define HEAP_LIMIT_KIB (64u << 10)

/*
 * Unicode White_Space. PCRE2's own \s has U+180E as well, which is a letter's joiner since
 * Unicode 6.3 and no white space to the regex engines that the models were trained with.
 */
#define WS                                                                                         \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define BLANKS_BEFORE_BLANK "[" WS "]+(?![^" WS "])"
#define CONTRACTIONS        "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

/* OpenAI's GPT-2, encoder.py: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
 * ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#define GPT2                                                                                       \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" BLANKS_BEFORE_BLANK    \
    "|[" WS "]+"
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
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    size_t n;
    pcre2_code *pattern[MAX_PATTERNS];
};

/* One split: the pieces' receiver and the match memory, which all patterns share. */
typedef struct splitter {
    const tn_pretokenizer *p;
    pcre2_match_data *match;
    tn_piece_fn fn;
    void *ctx;
    tn_error *err;
} splitter;

static void *pcre2_alloc(PCRE2_SIZE n, void *unused)
{
    (void)unused;
    return tn_alloc(n);
}

static void pcre2_release(void *block, void *unused)
{
    (void)unused;
    tn_free(block);
}

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

static tn_status compile(tn_pretokenizer *p, const char *pattern, tn_error *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR text[120];

    pcre2_compile_context *context = pcre2_compile_context_create(p->memory);
    if (!context)
        return tn_fail_memory(err, "a pre-tokenizer pattern");
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!compiled && code == PCRE2_ERROR_HEAP_FAILED)
        return tn_fail_memory(err, "a pre-tokenizer pattern");
    if (!compiled) {
        (void)pcre2_get_error_message(code, text, sizeof(text));
        return tn_fail(err, TN_INVALID, "pre-tokenizer pattern %zu, byte %zu: %s", p->n + 1,
                       (size_t)at, (const char *)text);
    }
    /* Without compiled code (no executable memory here) PCRE2 interprets the pattern: slower, the
     * same matches. */
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    p->pattern[p->n++] = compiled;
    return TN_OK;
}

static tn_status create_contexts(tn_pretokenizer *p, uint32_t match_limit, tn_error *err)
{
    p->memory = pcre2_general_context_create(pcre2_alloc, pcre2_release, NULL);
    p->limits = p->memory ? pcre2_match_context_create(p->memory) : NULL;
    if (!p->limits)
        return tn_fail_memory(err, "the pre-tokenizer");
    (void)pcre2_set_match_limit(p->limits, match_limit > 0 ? match_limit : DEFAULT_MATCH_LIMIT);
    (void)pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    return TN_OK;
}

tn_status tn_pretokenizer_create(const char *const *patterns, uint32_t match_limit,
                                 tn_pretokenizer **out, tn_error *err)
{
    *out = NULL;
    tn_pretokenizer *p = tn_alloc_array(1, sizeof(*p));
    if (!p)
        return tn_fail_memory(err, "the pre-tokenizer");
    tn_status st = create_contexts(p, match_limit, err);
    for (size_t i = 0; !st && patterns[i]; i++) {
        if (i == MAX_PATTERNS)
            st = tn_fail(err, TN_UNSUPPORTED, "pre-tokenizer has more than %d patterns",
                         MAX_PATTERNS);
        else
            st = compile(p, patterns[i], err);
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
        pcre2_code_free(p->pattern[i]);
    pcre2_match_context_free(p->limits);
    pcre2_general_context_free(p->memory);
    tn_free(p);
}

/* Bytes [from, to) of a piece. */
typedef struct range {
    size_t from, to;
} range;

static tn_status fail_of_match(const splitter *s, size_t level, int rc, size_t at, size_t n)
{
    if (rc == PCRE2_ERROR_NOMEMORY)
        return tn_fail_memory(s->err, "a pattern match");
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT)
        return tn_fail(
            s->err, TN_INVALID,
            "pre-tokenizer pattern %zu backtracks too much at byte %zu of a text of %zu bytes",
            level + 1, at, n);
    return tn_fail(s->err, TN_INTERNAL, "pre-tokenizer pattern %zu failed with PCRE2 error %d",
                   level + 1, rc);
}

/* The next match in text[0, n) at or after `from`; { n, n } when there is none. */
static tn_status next_match(const splitter *s, size_t level, const char *text, size_t n,
                            size_t from, range *out)
{
    const pcre2_code *code = s->p->pattern[level];
    PCRE2_SPTR subject = (PCRE2_SPTR)text;

    *out = (range){ n, n };
    /* The text was checked once for the whole split; a check each match would make it quadratic. */
    int rc = pcre2_match(code, subject, n, from, PCRE2_NO_UTF_CHECK, s->match, s->p->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->match,
                         s->p->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return TN_OK;
    if (rc < 0)
        return fail_of_match(s, level, rc, from, n);
    const PCRE2_SIZE *matched = pcre2_get_ovector_pointer(s->match);
    /* \K can put the beginning after the end: nothing to cut there. */
    if (matched[0] >= from && matched[0] <= matched[1])
        *out = (range){ matched[0], matched[1] };
    return TN_OK;
}

/* The next match that is not empty: an empty one cuts nothing. */
static tn_status next_cut(const splitter *s, size_t level, const char *text, size_t n, size_t from,
                          range *out)
{
    TN_TRY(next_match(s, level, text, n, from, out));
    while (out->from == out->to && out->from < n) {
        from = out->from + tn_utf8_next(text + out->from, n - out->from).n;
        TN_TRY(next_match(s, level, text, n, from, out));
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
        range cut;
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

    s.match = pcre2_match_data_create(1, p->memory);
    if (!s.match)
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
    pcre2_match_data_free(s.match);
    return st;
}
