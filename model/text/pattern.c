/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "model/text/pattern.h"

#include "core/base/alloc.h"

#include <pcre2.h>
#include <stdio.h>

/*
 * A greedy run that must be given back takes a step a byte (`\s*[\r\n]+` on blanks), and a text has
 * at most 16 MiB: four steps a byte are enough for every pattern of the table.
 */
#define DEFAULT_MATCH_LIMIT (4u * (16u << 20))
/* The interpreter's memory for backtracking, in KiB; groups that repeat need it, the usual patterns
 * hardly do. */
#define HEAP_LIMIT_KIB (64u << 10)

struct tn_pattern {
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_code *code;
    char name[64];
};

struct tn_pattern_scratch {
    pcre2_general_context *memory;
    pcre2_match_data *match;
};

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

static tn_status compile(tn_pattern *p, const char *text, size_t n,
                         const tn_pattern_options *options, tn_error *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR message[120];

    pcre2_compile_context *context = pcre2_compile_context_create(p->memory);
    if (!context)
        return tn_fail_memory(err, p->name);
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    uint32_t flags =
        PCRE2_UTF | (options->literal ? PCRE2_LITERAL
                                      : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C |
                                            (options->multiline ? PCRE2_MULTILINE : 0));
    p->code = pcre2_compile((PCRE2_SPTR)text, n, flags, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!p->code && code == PCRE2_ERROR_HEAP_FAILED)
        return tn_fail_memory(err, p->name);
    if (!p->code) {
        (void)pcre2_get_error_message(code, message, sizeof(message));
        return tn_fail(err, TN_INVALID, "%s, byte %zu: %s", p->name, (size_t)at,
                       (const char *)message);
    }
    /* Without compiled code (no executable memory here) PCRE2 interprets the pattern: slower, the
     * same matches. */
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    return TN_OK;
}

static tn_status create_contexts(tn_pattern *p, uint32_t match_limit, tn_error *err)
{
    p->memory = pcre2_general_context_create(pcre2_alloc, pcre2_release, NULL);
    p->limits = p->memory ? pcre2_match_context_create(p->memory) : NULL;
    if (!p->limits)
        return tn_fail_memory(err, p->name);
    (void)pcre2_set_match_limit(p->limits, match_limit > 0 ? match_limit : DEFAULT_MATCH_LIMIT);
    (void)pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    return TN_OK;
}

tn_status tn_pattern_create(const char *text, size_t n, const tn_pattern_options *options,
                            tn_pattern **out, tn_error *err)
{
    *out = NULL;
    tn_pattern *p = tn_alloc_array(1, sizeof(*p));
    if (!p)
        return tn_fail_memory(err, options->name);
    (void)snprintf(p->name, sizeof(p->name), "%s", options->name);
    tn_status st = create_contexts(p, options->match_limit, err);
    if (!st)
        st = compile(p, text, n, options, err);
    if (st)
        tn_pattern_destroy(p);
    else
        *out = p;
    return st;
}

void tn_pattern_destroy(tn_pattern *p)
{
    if (!p)
        return;
    pcre2_code_free(p->code);
    pcre2_match_context_free(p->limits);
    pcre2_general_context_free(p->memory);
    tn_free(p);
}

tn_pattern_scratch *tn_pattern_scratch_create(void)
{
    tn_pattern_scratch *s = tn_alloc_array(1, sizeof(*s));
    if (!s)
        return NULL;
    s->memory = pcre2_general_context_create(pcre2_alloc, pcre2_release, NULL);
    s->match = s->memory ? pcre2_match_data_create(1, s->memory) : NULL;
    if (s->match)
        return s;
    tn_pattern_scratch_destroy(s);
    return NULL;
}

void tn_pattern_scratch_destroy(tn_pattern_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->match);
    pcre2_general_context_free(scratch->memory);
    tn_free(scratch);
}

static tn_status fail_of_match(const tn_pattern *p, int rc, size_t at, size_t n, tn_error *err)
{
    if (rc == PCRE2_ERROR_NOMEMORY)
        return tn_fail_memory(err, "a pattern match");
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT)
        return tn_fail(err, TN_INVALID, "%s backtracks too much at byte %zu of a text of %zu bytes",
                       p->name, at, n);
    return tn_fail(err, TN_INTERNAL, "%s failed with PCRE2 error %d", p->name, rc);
}

tn_status tn_pattern_next(const tn_pattern *p, tn_pattern_scratch *scratch, const char *text,
                          size_t n, size_t from, tn_pattern_match *out, tn_error *err)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    pcre2_match_data *match = scratch->match;

    *out = (tn_pattern_match){ n, n, false };
    /* The text was checked once as a whole; a check each match would make it quadratic. */
    int rc = pcre2_match(p->code, subject, n, from, PCRE2_NO_UTF_CHECK, match, p->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(p->code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match,
                         p->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return TN_OK;
    if (rc < 0)
        return fail_of_match(p, rc, from, n, err);
    const PCRE2_SIZE *matched = pcre2_get_ovector_pointer(match);
    /* \K can put the beginning after the end: nothing to cut there. */
    if (matched[0] >= from && matched[0] <= matched[1])
        *out = (tn_pattern_match){ matched[0], matched[1], true };
    return TN_OK;
}
