/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a profile, and their first line as --set: an error or a profile, no crash, no leak.
 */
#include "core/base/alloc.h"
#include "runtime/profile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = size ? memchr(data, '\n', size) : NULL;
    size_t n_set = line_end ? (size_t)(line_end - data) : size;
    char *set = tn_strndup(size ? (const char *)data : "", n_set);
    tn_profile *p = NULL;
    tn_error err;

    if (!set)
        abort();
    const char *sets[] = { set };
    tn_profile_options as_file = {
        .path = "p.yaml", .text = (const char *)data, .n_text = size, .model = "m"
    };
    tn_profile_options as_set = { .model = "m", .sets = sets, .n_sets = 1 };
    if (!size)
        as_file.text = "";
    tn_status st = tn_profile_load(&as_file, &p, &err);
    /* A failure leaves a code and one line; a success what every reader of a profile relies on. */
    if (st ? err.code != st || strchr(err.text, '\n') || p : !p->model || !p->n_plugins)
        abort();
    tn_profile_destroy(p);
    st = tn_profile_load(&as_set, &p, &err);
    if (st ? err.code != st || strchr(err.text, '\n') || p : !p->model || !p->n_plugins)
        abort();
    tn_profile_destroy(p);
    tn_free(set);
    return 0;
}
