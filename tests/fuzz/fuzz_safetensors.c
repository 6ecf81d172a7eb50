/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a safetensors file: parses or is refused; every byte of what parsed can be read. */
#include "model/formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    tn_error err = { 0 };
    tn_safetensors s;
    size_t sum = 0;
    if (tn_safetensors_parse(&s, bytes, n, &err)) {
        if (!err.text[0] || s.tensor)
            abort();
        return 0;
    }
    for (size_t i = 0; i < s.n_tensors; i++) {
        const tn_st_tensor *t = &s.tensor[i];
        sum += strlen(t->name) + strlen(t->type_name);
        for (size_t k = 0; k < t->bytes; k++)
            sum += t->data[k];
        if (t->offset + t->bytes > n || t->data != bytes + t->offset)
            abort();
    }
    if (sum == SIZE_MAX) /* never; keeps the reads from being optimised away */
        abort();
    tn_safetensors_deinit(&s);
    return 0;
}
