/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linears of 4 bits in Hugging Face checkpoints, AWQ ("gemm") and GPTQ. Both have, for a linear of
 * K inputs and N outputs in groups of g inputs, `qweight`, `qzeros` and `scales`, and mean w[n][k]
 * = (q - z) * s: canonical rows u4z.gN. They differ in how eight codes of 4 bits lie in an int32:
 *
 *     AWQ    qweight [K, N/8], eight outputs a word in the order 0 2 4 6 1 3 5 7; qzeros [K/g, N/8]
 * alike GPTQ   qweight [K/8, N], eight inputs a word in ascending order; qzeros [K/g, N/8], eight
 * outputs in ascending order, z - 1
 *
 * scales are [K/g, N]. Sources: AutoAWQ, awq/utils/packing_utils.py; AutoGPTQ, qlinear_cuda_old.py.
 * Thread: pure.
 */
#ifndef TN_MODEL_FORMATS_HF_QUANT_H
#define TN_MODEL_FORMATS_HF_QUANT_H

#include "core/base/arena.h"
#include "model/formats/hf_shards.h"
#include "model/formats/json_read.h"
#include "model/formats/weight_format.h"

enum { TN_HF_NOT_QUANTISED = 0, TN_HF_AWQ, TN_HF_GPTQ };
enum { TN_HF_MAX_GROUP = 1 << 22 };

/* quantization_config of config.json. */
typedef struct tn_hf_quant {
    int32_t method;     /* TN_HF_AWQ ... */
    int32_t group;      /* inputs; -1: all of them */
    int32_t zero_shift; /* what is added to stored zero points */
    const json_t *skip; /* modules_to_not_convert, borrowed, or NULL */
} tn_hf_quant;

/** A linear of one of the methods; all shapes agree. */
typedef struct tn_hf_packed {
    int32_t method, zero_shift, group;
    int64_t rows, cols; /* N, K */
    const tn_st_tensor *codes, *zeros, *scales;
    const tn_weight_format *scale_format;
} tn_hf_packed;

/** Errors go to `config`. TN_UNSUPPORTED for other methods, other widths and act-order. */
void tn_hf_quant_read(tn_hf_quant *q, tn_json_reader *config);
/** True for a module that stays unquantised: an entry of modules_to_not_convert is part of its
 * name. */
bool tn_hf_quant_skips(const tn_hf_quant *q, const char *module);
/** The linear of `module`, whose tensors are marked as used. */
tn_status tn_hf_packed_find(tn_hf_packed *p, const tn_hf_quant *q, const tn_hf_shards *shards,
                            const char *module, tn_error *err) TN_MUST_USE;
/** Canonical rows [row0, row0 + n) of p into row `at` of the buffer and those behind it. */
void tn_hf_packed_rows(const tn_hf_packed *p, int64_t row0, int32_t n, int32_t at,
                       const tn_row_buffer *buffer);

#endif
