/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/split.h"

#include "model/text/hf/regex.h"
#include "model/text/utf8.h"

const char *const tn_split_names[TN_N_SPLITS] = { "Removed", "Isolated", "MergedWithPrevious",
                                                  "MergedWithNext", "Contiguous" };

static void compile_regex(tn_json_reader *part, tn_text regex, tn_pattern_options options,
                          tn_pattern **out)
{
    tn_error err = { 0 };
    tn_strbuf translated = TN_STRBUF(16 << 20);
    options.multiline = true;
    tn_status st = tn_hf_regex_translate(regex.data, regex.n, &translated, &err);
    if (translated.failed)
        st = tn_fail_memory(&err, "a regular expression");
    if (!st)
        st = tn_pattern_create(tn_strbuf_text(&translated), translated.len, &options, out, &err);
    tn_hf_fail_inner(part, st == TN_INVALID ? TN_UNSUPPORTED : st, &err);
    tn_strbuf_deinit(&translated);
}

void tn_hf_read_pattern(tn_json_reader *part, const char *key, tn_pattern **out)
{
    tn_error err = { 0 };
    tn_pattern_options options = { .name = "the pattern", .is_foreign = true };
    *out = NULL;
    tn_json_need(part, key);
    tn_json_reader pattern = tn_json_object(part, key, part->file);
    if (part->status)
        return;
    if (tn_json_get(&pattern, "Regex")) {
        tn_text regex = tn_hf_need_text(&pattern, "Regex");
        if (!pattern.status)
            compile_regex(&pattern, regex, options, out);
    } else {
        tn_text text = tn_hf_need_text(&pattern, "String");
        options.literal = true;
        if (!pattern.status && text.n > 0)
            tn_hf_fail_inner(&pattern, tn_pattern_create(text.data, text.n, &options, out, &err),
                             &err);
    }
    tn_json_merge(part, &pattern);
}

/* The iterator of Rust's onig (src/find.rs): an empty match right after the last one is skipped, by
 * a step of one character. */
tn_status tn_pattern_segments(const tn_pattern *pattern, tn_pattern_scratch *scratch,
                              const char *text, size_t n, tn_segment_fn fn, void *ctx,
                              tn_error *err)
{
    size_t done = 0, from = 0;
    bool any = false;
    while (pattern && from <= n) {
        tn_pattern_match m;
        TN_TRY(tn_pattern_next(pattern, scratch, text, n, from, &m, err));
        if (!m.found)
            break;
        if (m.from == m.to && any && m.to == done) {
            from += from < n ? tn_utf8_next(text + from, n - from).n : 1;
            continue;
        }
        if (done < m.from)
            TN_TRY(fn(ctx, done, m.from, false, err));
        TN_TRY(fn(ctx, m.from, m.to, true, err));
        any = true;
        done = from = m.to;
    }
    return done < n ? fn(ctx, done, n, false, err) : TN_OK;
}

/* The fold over the segments: one piece is held until it is known whether the next one joins it. */
typedef struct fold {
    const tn_split *split;
    tn_split_fn fn;
    void *ctx;
    size_t from, to;
    bool held, held_is_match;
} fold;

static tn_status release(fold *f, tn_error *err)
{
    bool emit = f->held && f->from < f->to;
    f->held = false;
    return emit ? f->fn(f->ctx, f->from, f->to, err) : TN_OK;
}

static bool joins(const fold *f, bool is_match)
{
    switch (f->split->behavior) {
    case TN_SPLIT_PREVIOUS:
        return is_match && !f->held_is_match;
    case TN_SPLIT_NEXT:
        return !is_match && f->held_is_match;
    case TN_SPLIT_CONTIGUOUS:
        return is_match == f->held_is_match;
    default:
        return false;
    }
}

static tn_status take_segment(void *ctx, size_t from, size_t to, bool is_match, tn_error *err)
{
    fold *f = ctx;
    is_match ^= f->split->invert;
    if (f->held && joins(f, is_match)) {
        f->to = to;
        f->held_is_match = is_match;
        return TN_OK;
    }
    TN_TRY(release(f, err));
    if (is_match && f->split->behavior == TN_SPLIT_REMOVED)
        return TN_OK;
    f->from = from;
    f->to = to;
    f->held = true;
    f->held_is_match = is_match;
    return TN_OK;
}

tn_status tn_split_run(const tn_split *split, tn_pattern_scratch *scratch, const char *text,
                       size_t n, tn_split_fn fn, void *ctx, tn_error *err)
{
    fold f = { .split = split, .fn = fn, .ctx = ctx };
    TN_TRY(tn_pattern_segments(split->pattern, scratch, text, n, take_segment, &f, err));
    return release(&f, err);
}
