/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a repro file of tenon check: read or refused. The hash is put right first where the
 * bytes are a safetensors file with one, or nothing behind it would be reached.
 */
#include "apps/check/repro.h"
#include "core/base/hash.h"
#include "model/formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void sign(uint8_t *data, size_t n)
{
    tn_safetensors file;
    tn_sha256 h;
    char digest[65];
    const tn_st_tensor *hash = NULL;
    if (tn_safetensors_parse(&file, data, n, NULL))
        return;
    tn_sha256_init(&h);
    for (size_t i = 0; i < file.n_tensors; i++) {
        const tn_st_tensor *t = &file.tensor[i];
        if (strcmp(t->name, "repro.sha256") == 0) {
            hash = t;
            continue;
        }
        tn_sha256_update(&h, t->name, strlen(t->name) + 1);
        tn_sha256_update(&h, t->data, (size_t)t->bytes);
    }
    tn_sha256_hex(&h, digest);
    if (hash && hash->bytes == 64)
        memcpy(data + hash->offset, digest, 64);
    tn_safetensors_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    tn_error err = { 0 };
    tn_check_repro repro;
    char shape[256];
    uint8_t *data = malloc(n + 1);
    if (!data)
        return 0;
    memcpy(data, bytes, n);
    sign(data, n);
    if (tn_check_repro_parse(data, n, &repro, &err)) {
        if (!err.text[0] || repro.arena.head)
            abort();
    } else {
        if (!repro.c.op || !repro.plugin || !repro.kernel)
            abort();
        tn_check_case_shape(&repro.c, shape, sizeof shape);
    }
    tn_check_repro_deinit(&repro);
    free(data);
    return 0;
}
