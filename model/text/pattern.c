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
 * hardly do. It takes half as much again while it grows. */
#define HEAP_LIMIT_KIB (16u << 10)
/* Of foreign patterns. PCRE2's own limit counts anew from each place where a match may begin, and
 * counts no bytes: `[^x]*x` takes the square of the text's length within it. */
enum { STEPS_PER_BYTE = 64, SPARE_STEPS = 4 << 20 };

struct tn_pattern {
    pcre2_general_context *memory;
    pcre2_code *code;
    uint32_t match_limit;
    char name[64];
};

struct tn_pattern_scratch {
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_match_data *match;
    size_t steps_left;
    size_t at; /* where the last step was */
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
    uint32_t flags = PCRE2_UTF | (options->is_foreign ? PCRE2_AUTO_CALLOUT : 0) |
                     (options->literal ? PCRE2_LITERAL
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

tn_status tn_pattern_create(const char *text, size_t n, const tn_pattern_options *options,
                            tn_pattern **out, tn_error *err)
{
    *out = NULL;
    tn_pattern *p = tn_alloc_array(1, sizeof(*p));
    if (!p)
        return tn_fail_memory(err, options->name);
    (void)snprintf(p->name, sizeof(p->name), "%s", options->name);
    p->match_limit = options->match_limit > 0 ? options->match_limit : DEFAULT_MATCH_LIMIT;
    p->memory = pcre2_general_context_create(pcre2_alloc, pcre2_release, NULL);
    tn_status st =
        p->memory ? compile(p, text, n, options, err) : tn_fail_memory(err, options->name);
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
    pcre2_general_context_free(p->memory);
    tn_free(p);
}

/* PCRE2 calls this before each item of a foreign pattern. Between two calls it tries one item,
 * which reads what it passes, or a few bytes more: a repeat that a foreign pattern must make is
 * short (regex.c). */
static int take_steps(pcre2_callout_block *item, void *scratch)
{
    tn_pattern_scratch *s = scratch;
    const size_t at = item->current_position, passed = at > s->at ? at - s->at : 0;
    s->at = at;
    if (passed >= s->steps_left)
        return PCRE2_ERROR_CALLOUT;
    s->steps_left -= passed + 1;
    return 0;
}

tn_pattern_scratch *tn_pattern_scratch_create(size_t n)
{
    tn_pattern_scratch *s = tn_alloc_array(1, sizeof(*s));
    if (!s)
        return NULL;
    s->memory = pcre2_general_context_create(pcre2_alloc, pcre2_release, NULL);
    s->limits = s->memory ? pcre2_match_context_create(s->memory) : NULL;
    s->match = s->limits ? pcre2_match_data_create(1, s->memory) : NULL;
    if (!s->match) {
        tn_pattern_scratch_destroy(s);
        return NULL;
    }
    s->steps_left =
        n > (SIZE_MAX - SPARE_STEPS) / STEPS_PER_BYTE ? SIZE_MAX : n * STEPS_PER_BYTE + SPARE_STEPS;
    (void)pcre2_set_heap_limit(s->limits, HEAP_LIMIT_KIB);
    (void)pcre2_set_callout(s->limits, take_steps, s);
    return s;
}

void tn_pattern_scratch_destroy(tn_pattern_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->match);
    pcre2_match_context_free(scratch->limits);
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
    if (rc == PCRE2_ERROR_CALLOUT)
        return tn_fail(err, TN_INVALID,
                       "%s takes more steps than a text may take (%d a byte) at byte %zu of a text "
                       "of %zu bytes",
                       p->name, STEPS_PER_BYTE, at, n);
    return tn_fail(err, TN_INTERNAL, "%s failed with PCRE2 error %d", p->name, rc);
}

tn_status tn_pattern_next(const tn_pattern *p, tn_pattern_scratch *scratch, const char *text,
                          size_t n, size_t from, tn_pattern_match *out, tn_error *err)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    pcre2_match_data *match = scratch->match;

    *out = (tn_pattern_match){ n, n, false };
    scratch->at = from;
    (void)pcre2_set_match_limit(scratch->limits, p->match_limit);
    /* The text was checked once as a whole; a check each match would make it quadratic. */
    int rc = pcre2_match(p->code, subject, n, from, PCRE2_NO_UTF_CHECK, match, scratch->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(p->code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match,
                         scratch->limits);
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
