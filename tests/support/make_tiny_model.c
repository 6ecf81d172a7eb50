/* SPDX-License-Identifier: Apache-2.0 */
/* make_tiny_model OUT.gguf [--seed N --layers N --dim N --heads N ... --type T --embed-type T]:
 * tiny models for scripts. */
#include "tests/support/tiny_model.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum value_kind { INTEGER, SEED, REAL, TEXT } value_kind;
static const struct {
    const char *name;
    value_kind kind;
    size_t offset;
} options[] = {
    { "--seed", SEED, offsetof(tn_tiny_model, seed) },
    { "--layers", INTEGER, offsetof(tn_tiny_model, layers) },
    { "--dim", INTEGER, offsetof(tn_tiny_model, dim) },
    { "--heads", INTEGER, offsetof(tn_tiny_model, heads) },
    { "--kv-heads", INTEGER, offsetof(tn_tiny_model, kv_heads) },
    { "--head-dim", INTEGER, offsetof(tn_tiny_model, head_dim) },
    { "--ffn", INTEGER, offsetof(tn_tiny_model, ffn) },
    { "--vocab", INTEGER, offsetof(tn_tiny_model, vocab) },
    { "--context", INTEGER, offsetof(tn_tiny_model, context) },
    { "--tied", INTEGER, offsetof(tn_tiny_model, tied) },
    { "--spm", INTEGER, offsetof(tn_tiny_model, spm) },
    { "--rotary-dim", INTEGER, offsetof(tn_tiny_model, rotary_dim) },
    { "--freq-factors", INTEGER, offsetof(tn_tiny_model, freq_factors) },
    { "--shards", INTEGER, offsetof(tn_tiny_model, shards) },
    { "--dequantised", INTEGER, offsetof(tn_tiny_model, dequantised) },
    { "--type", TEXT, offsetof(tn_tiny_model, type) },
    { "--embed-type", TEXT, offsetof(tn_tiny_model, embed_type) },
    { "--v-type", TEXT, offsetof(tn_tiny_model, v_type) },
    { "--rope-scaling", TEXT, offsetof(tn_tiny_model, rope_scaling) },
    { "--rope-factor", REAL, offsetof(tn_tiny_model, rope_factor) },
    { "--rope-base", REAL, offsetof(tn_tiny_model, rope_base) },
    { "--eps", REAL, offsetof(tn_tiny_model, eps) },
    { "--gain", REAL, offsetof(tn_tiny_model, gain) },
};
enum { N_OPTIONS = (int)(sizeof(options) / sizeof(options[0])) };

/* 0, or -1 when the text is no number. */
static int set(tn_tiny_model *m, value_kind kind, size_t offset, const char *text)
{
    char *field = (char *)m + offset;
    char *end = NULL;
    errno = 0;
    if (kind == TEXT) {
        memcpy(field, &text, sizeof(text));
        return 0;
    }
    if (kind == REAL) {
        float value = strtof(text, &end);
        memcpy(field, &value, sizeof(value));
    } else if (kind == SEED) {
        uint64_t value = strtoull(text, &end, 10);
        memcpy(field, &value, sizeof(value));
    } else {
        long number = strtol(text, &end, 10);
        int32_t value = (int32_t)number;
        memcpy(field, &value, sizeof(value));
        if (number != value)
            return -1;
    }
    return errno || end == text || *end ? -1 : 0;
}

int main(int argc, char **argv)
{
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    tn_error err = { 0 };
    if (argc < 2 || argc % 2 || argv[1][0] == '-') {
        fputs("usage: make_tiny_model OUT.gguf [--option value]...; options:", stderr);
        for (int i = 0; i < N_OPTIONS; i++)
            fprintf(stderr, " %s", options[i].name);
        fputs("\n", stderr);
        return 2;
    }
    for (int i = 2; i < argc; i += 2) {
        int o = 0;
        while (o < N_OPTIONS && strcmp(options[o].name, argv[i]) != 0)
            o++;
        if (o == N_OPTIONS || set(&m, options[o].kind, options[o].offset, argv[i + 1]) != 0) {
            fprintf(stderr, "make_tiny_model: wrong option or value: %s %s\n", argv[i],
                    argv[i + 1]);
            return 2;
        }
    }
    if (tn_tiny_model_write(&m, argv[1], &err)) {
        fprintf(stderr, "make_tiny_model: %s\n", err.text);
        return 1;
    }
    return 0;
}
