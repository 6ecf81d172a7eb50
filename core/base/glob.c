/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/glob.h"

#include <stddef.h>

bool tn_glob_match(const char *pattern, const char *text)
{
    const char *after_star = NULL; /* where to go back to when a later character does not fit */
    const char *star_text = NULL;  /* the text that the last star has not swallowed yet */

    while (*text) {
        if (*pattern == '*') {
            after_star = ++pattern;
            star_text = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (after_star) {
            pattern = after_star;
            text = ++star_text;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
