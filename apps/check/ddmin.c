/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/ddmin.h"

#include "core/base/alloc.h"

#include <string.h>

typedef struct search {
    tn_ddmin *d;
    bool *member, *trial; /* [n] */
    int32_t *item;        /* [n_items] members, in order */
    int32_t n, n_items;
} search;

static void collect(search *s)
{
    s->n_items = 0;
    for (int32_t i = 0; i < s->n; i++)
        if (s->member[i])
            s->item[s->n_items++] = i;
}

/* Part `part` of `parts` alone, or all but it; what holds becomes the new set. */
static tn_status try_part(search *s, int32_t part, int32_t parts, bool complement, bool *out_holds,
                          tn_error *err)
{
    const int32_t begin = (int32_t)((int64_t)s->n_items * part / parts);
    const int32_t end = (int32_t)((int64_t)s->n_items * (part + 1) / parts);
    *out_holds = false;
    if (s->d->n_tests == s->d->max_tests)
        return TN_OK;
    s->d->n_tests++;
    memset(s->trial, 0, (size_t)s->n * sizeof(bool));
    for (int32_t i = 0; i < s->n_items; i++)
        s->trial[s->item[i]] = (i >= begin && i < end) != complement;
    TN_TRY(s->d->test(s->d->ctx, s->trial, out_holds, err));
    if (*out_holds) {
        memcpy(s->member, s->trial, (size_t)s->n * sizeof(bool));
        collect(s);
    }
    return TN_OK;
}

/* First each part alone, then the rest without each. With two parts these are the same. */
static tn_status try_all(search *s, int32_t parts, bool complement, bool *out_holds, tn_error *err)
{
    *out_holds = false;
    for (int32_t i = 0; i < parts && !*out_holds; i++)
        TN_TRY(try_part(s, i, parts, complement, out_holds, err));
    return TN_OK;
}

static tn_status reduce(search *s, tn_error *err)
{
    int32_t parts = 2;
    while (s->n_items >= 2 && s->d->n_tests < s->d->max_tests) {
        bool part_holds, rest_holds = false;
        TN_TRY(try_all(s, parts, false, &part_holds, err));
        if (!part_holds && parts > 2)
            TN_TRY(try_all(s, parts, true, &rest_holds, err));
        if (part_holds) {
            parts = 2;
        } else if (rest_holds) {
            parts = parts > 3 ? parts - 1 : 2;
        } else if (parts < s->n_items) {
            parts = 2 * parts < s->n_items ? 2 * parts : s->n_items;
        } else {
            s->d->smallest = s->d->n_tests < s->d->max_tests;
            return TN_OK;
        }
    }
    s->d->smallest = s->n_items < 2;
    return TN_OK;
}

tn_status tn_ddmin_run(tn_ddmin *d, bool *member, int32_t n, tn_error *err)
{
    search s = { .d = d, .member = member, .n = n };
    d->n_tests = 0;
    d->smallest = false;
    s.trial = tn_alloc_array((size_t)n + 1, sizeof(bool));
    s.item = tn_alloc_array((size_t)n + 1, sizeof(int32_t));
    tn_status status = TN_OK;
    if (!s.trial || !s.item) {
        status = tn_fail_memory(err, "the bisection");
    } else {
        collect(&s);
        status = reduce(&s, err);
    }
    tn_free(s.trial);
    tn_free(s.item);
    return status;
}
