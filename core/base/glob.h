/* SPDX-License-Identifier: Apache-2.0 */
/* Names: glob match for `bind:` and filters, and the nearest known name for "did you mean". */
#ifndef TN_CORE_BASE_GLOB_H
#define TN_CORE_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/** `*` matches any run of characters (also dots), `?` one; everything else itself. No recursion; at most |pattern| * |text| steps. */
bool tn_glob_match(const char *pattern, const char *text);

/** The name nearest to `word` by edit distance, or NULL when none is within max(1, len / 3). names is NULL-terminated. */
const char *tn_nearest_name(const char *word, const char *const *names);

#endif
