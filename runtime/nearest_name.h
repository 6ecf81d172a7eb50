/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest known name, for "did you mean". Pure; any thread. */
#ifndef TN_RUNTIME_NEAREST_NAME_H
#define TN_RUNTIME_NEAREST_NAME_H

/** The name nearest to `word` by edit distance, or NULL when none is within max(1, len / 3). names
 * is NULL-terminated. */
const char *tn_nearest_name(const char *word, const char *const *names);

#endif
