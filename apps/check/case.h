/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thing to compute: a node with all that goes into it, in host memory and f32, so that any
 * kernel of any domain can be given the same. Nodes of a model, sweeps, adversarial cases and repro
 * files all become this. Thread: immutable once made.
 */
#ifndef TN_APPS_CHECK_CASE_H
#define TN_APPS_CHECK_CASE_H

#include "core/base/arena.h"
#include "core/base/team.h"
#include "core/graph/catalogue.h"
#include "core/graph/weight_source.h"

/* A weight part as canonical rows, whole. */
typedef struct tn_check_part {
    const char *wfmt;    /* NULL: absent */
    tn_weight_rows rows; /* [0, n) of the part */
    tn_row_buffer buffer;
    float *bias;
} tn_check_part;

/* dense f32 values of an input, or the shape of an output. */
typedef struct tn_check_tensor {
    const char *name;
    int32_t rows, width;
    int32_t heads;       /* 0: rank 2 */
    int32_t base_width;  /* a view: it is `width` columns of rows of base_width elements... */
    int32_t offset;      /* ...from this one on; else base_width == width */
    bool is_ids;         /* i32, rank 1 */
    const float *values; /* [rows][width]; NULL for outputs */
} tn_check_tensor;

/* A step. Arrays as in tn_batch; table entries past a sequence's blocks are -1. */
typedef struct tn_check_batch {
    int32_t n_tokens, n_seqs, n_decode, n_rows, max_q, max_kv, table_stride, n_tables, half_rotary;
    int32_t *seq; /* [n_seqs] number of the sequence in its schedule; NULL in made-up cases */
    int32_t *tokens, *pos, *slot, *q_start, *kv_len, *rope_index, *table, *rows;
    float *rope_table;
} tn_check_batch;

/* The layer's pool before the op, as the host sees it. */
typedef struct tn_check_pool {
    const char *format;
    const tn_attention *attention;
    int32_t n_blocks, block_tokens;
    uint64_t block_bytes; /* the stride */
    const uint8_t *bytes; /* [n_blocks * block_bytes] */
} tn_check_pool;

typedef struct tn_check_case {
    const char *name; /* "layer.3.qkv, step 1", "linear u4z.g32 3 x 301 x 37" */
    const tn_op_info *op;
    tn_node node; /* as the candidate sees it */
    const tn_check_part *part;
    int32_t n_parts;
    tn_check_tensor in[TN_MAX_IN], out[TN_MAX_OUT];
    const tn_check_batch *batch;
    tn_check_pool pool; /* format NULL: the op has none */
} tn_check_case;

/** All rows of a tensor of the source, on the team's threads. bias may be NULL. */
tn_status tn_check_part_load(const tn_weight_source *source, const char *tensor, const char *bias,
                             tn_team *team, tn_check_part *out, tn_error *err) TN_MUST_USE;
void tn_check_part_deinit(tn_check_part *part);
/** Canonical rows [row0, row0 + n) of it, as part `index` of a node. */
tn_weight_rows tn_check_part_rows(const tn_check_part *part, int32_t index, int32_t row0,
                                  int32_t n);

/** Round n values to what an edge of this type holds. */
void tn_check_round_values(float *values, size_t n, int32_t dtype);
/** Blocks of a sequence: ceil(tokens / block_tokens). */
int32_t tn_check_blocks(int32_t tokens, int32_t block_tokens);
/** The same of rows [r0, r0 + n) of every input and output; the batch stays. */
tn_check_case tn_check_case_rows(const tn_check_case *c, int32_t r0, int32_t n);
/** "3 tokens, 2 sequences, in 3 x 576, out 3 x 960" */
void tn_check_case_shape(const tn_check_case *c, char *text, size_t cap);

#endif
