/* SPDX-License-Identifier: Apache-2.0 */
/* Glob match of names, for `bind:` and filters. */
#ifndef TN_CORE_BASE_GLOB_H
#define TN_CORE_BASE_GLOB_H

#include <stdbool.h>

/** `*` matches any run of characters (also dots), `?` one; everything else itself. No recursion; at most |pattern| * |text| steps. */
bool tn_glob_match(const char *pattern, const char *text);

#endif
