/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/nearest_name.h"

#include <stddef.h>
#include <string.h>

/* Longer names are never "nearest": a bound for the rows of the distance table. */
enum { MAX_NAME_BYTES = 128 };

/* Edits between a and b, both at most MAX_NAME_BYTES long: insert, delete, replace, or swap two
 * neighbours (optimal string alignment). */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[3][MAX_NAME_BYTES + 1];
    size_t *before = row[0], *above = row[1], *here = row[2];
    size_t n_b = strlen(b);

    for (size_t j = 0; j <= n_b; j++)
        here[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *oldest = before;
        before = above;
        above = here;
        here = oldest;
        here[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (here[j - 1] + 1 < best)
                best = here[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            here[j] = best;
        }
    }
    return here[n_b];
}

const char *tn_nearest_name(const char *word, const char *const *names)
{
    size_t len = strnlen(word, MAX_NAME_BYTES + 1);
    size_t limit = len / 3 > 1 ? len / 3 : 1;
    size_t best = limit + 1;
    const char *nearest = NULL;

    if (len == 0 || len > MAX_NAME_BYTES)
        return NULL;
    for (; *names; names++) {
        if (strnlen(*names, MAX_NAME_BYTES + 1) > MAX_NAME_BYTES)
            continue;
        size_t distance = edit_distance(word, *names);
        if (distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}
