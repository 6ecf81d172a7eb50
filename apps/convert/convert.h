/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GGUF file as a Hugging Face directory (config.json, generation_config.json, model.safetensors,
 * tokenizer.json or tokenizer.model, tokenizer_config.json), or such a directory as a GGUF file.
 * Written beside its place under another name and renamed. Thread: any.
 */
#ifndef TN_APPS_CONVERT_CONVERT_H
#define TN_APPS_CONVERT_CONVERT_H

#include "core/base/status.h"

#include <stdbool.h>

enum { TN_CONVERT_MAX_FORMATS = 4, TN_CONVERT_MAX_NOTES = 4 };

typedef struct tn_convert_args {
    const char *source, *target;
    const char *to;    /* "hf" or "gguf"; NULL: what the target's name says (.gguf), else what the
                          source is not */
    const char *dtype; /* "f32" "f16" "bf16"; NULL or "auto": plain tensors stay what they are,
                          others become f16. In GGUF vectors are f32 whatever it says */
    const char *type;  /* of linears: "plain"; "awq" in a directory; NULL: plain there, and in GGUF
                          codes stay codes */
    uint64_t max_shard_bytes; /* tensors of a file of a directory; 0: 5 GB */
    /** Between pieces of work; false ends the conversion with TN_INTERNAL. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
} tn_convert_args;

typedef struct tn_convert_report {
    struct {
        const char *name; /* "F16" */
        int32_t tensors;
        uint64_t bytes;
    } format[TN_CONVERT_MAX_FORMATS];
    int32_t n_formats;
    uint64_t bytes;                       /* of all files */
    double largest_error;                 /* by rounding a weight */
    double relative_error;                /* the same, of the largest weight of that row */
    char error_tensor[256];               /* where; "" when everything is exact */
    char note[TN_CONVERT_MAX_NOTES][256]; /* what the target cannot say */
    int32_t n_notes;
} tn_convert_report;

/** TN_INVALID and TN_UNSUPPORTED for what cannot be converted or written there, TN_INTERNAL for a
 * full disk. On failure nothing new is left. */
tn_status tn_convert(const tn_convert_args *args, tn_convert_report *report,
                     tn_error *err) TN_MUST_USE;

#endif
