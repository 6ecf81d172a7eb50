/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the file of a plugin: they are read, and the rules judged, or refused with a
 * message. */
#include "apps/check/hygiene.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tn_shared_object so;
    tn_error err = { 0 };
    char text[512];
    if (tn_shared_object_parse(data, size, "fuzz", &so, &err)) {
        if (!*err.text)
            abort();
        return 0;
    }
    for (int32_t rule = 0; rule < TN_N_HYGIENE; rule++)
        if (tn_hygiene_check(&so, rule, (tn_hygiene_context){ 0 }, text, sizeof text) != !*text)
            abort();
    tn_shared_object_deinit(&so);
    return 0;
}
