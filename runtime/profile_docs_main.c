/* SPDX-License-Identifier: Apache-2.0 */
/* Prints docs/profile.md: tenon_profile_docs > docs/profile.md. */
#include "runtime/profile.h"

#include <stdio.h>

int main(void)
{
    tn_strbuf out = TN_STRBUF(1 << 20);

    tn_profile_write_docs(&out);
    bool failed = out.failed || fputs(tn_strbuf_text(&out), stdout) < 0 || fflush(stdout) != 0;
    tn_strbuf_deinit(&out);
    return failed ? 1 : 0;
}
