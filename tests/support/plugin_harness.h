/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs single kernels of a host plugin in tests: a tn_host with a small dynamic parallel_for,
 * tensors, random canonical weights in every format, ragged batches over a paged pool. Nothing here
 * calls a kernel's own code. Failures are cmocka assertions.
 *
 *     harness h;  harness_open(&h, 2);
 *     harness_op op;  harness_op_init(&op, &h, &node);       // supports, plan, zeroed blob and
 * workspace harness_pack(&op, &weight, part); harness_run(&op, in, 1, out, 1, NULL);
 *
 * Thread: one thread a harness.
 */
#ifndef TN_TESTS_SUPPORT_PLUGIN_HARNESS_H
#define TN_TESTS_SUPPORT_PLUGIN_HARNESS_H

#include <tenon/plugin.h>

#include <stddef.h>
#include <stdint.h>

typedef struct harness {
    tn_host host;
    void *self;
    int32_t n_workers;
    const tn_kernel *const *kernels;
    void (*close)(void *self);
    const char *const *options; /* key, value, key, value, NULL; or NULL */
} harness;

/** Opens cpu-ref with n_workers threads; closes. */
void harness_open(harness *h, int32_t n_workers);
/** The same for cpu-simd with options. TN_UNAVAILABLE: this machine lacks the instruction set. */
tn_status harness_open_simd(harness *h, int32_t n_workers, const char *const *options);
/** The same for a built plugin, by path. */
void harness_open_file(harness *h, int32_t n_workers, const char *path);
void harness_close(harness *h);
const tn_kernel *harness_kernel(const harness *h, const char *op);

/* ---- random numbers: a fixed sequence for each seed ---- */
uint32_t harness_random(uint64_t *state);
/** Uniform in [low, high). */
float harness_uniform(uint64_t *state, float low, float high);
void harness_fill(uint64_t *state, float *x, size_t n, float low, float high);

/* ---- tensors over the caller's memory ---- */
tn_tensor harness_rows(const void *data, int64_t rows, int64_t width, int64_t stride);
tn_tensor harness_heads(const void *data, int64_t rows, int64_t heads, int64_t dim, int64_t stride);

/** A node with f32 edges; bounds 64 tokens, 16 sequences, 512 positions, blocks of 16. */
tn_node harness_node(const char *op, int32_t n_in, int32_t n_out, const void *param);

/* ---- weights: canonical rows with random content ---- */
typedef struct harness_weight {
    char wfmt[16];
    int32_t rows, cols, group, as_values;
    float *values, *scale, *zero, *bias;
    uint8_t *codes;
} harness_weight;

/** wfmt: "f32" "f16" "bf16" "u4z" "u4b" "q8" (a group is appended), or any name with as_values.
 * bias: 1 makes one. */
void harness_weight_init(harness_weight *w, uint64_t *state, const char *wfmt, int32_t rows,
                         int32_t cols, int32_t group, int32_t bias);
void harness_weight_deinit(harness_weight *w);
/** The value of row r, column k by the format's formula, in f64. */
double harness_weight_at(const harness_weight *w, int32_t r, int32_t k);
tn_part harness_part(const harness_weight *w);
/** Canonical rows [row0, row0 + n). */
tn_weight_rows harness_weight_rows(const harness_weight *w, int32_t part, int32_t row0, int32_t n);

/* ---- one node ---- */
typedef struct harness_op {
    harness *h;
    const tn_kernel *kernel;
    tn_node node;
    tn_plan plan;
    void *blob, *workspace, *zeroed;
    void *kv; /* pool, or NULL; the caller's */
    uint64_t kv_block_bytes;
} harness_op;

/** Asserts that the kernel supports the node; node and its params must outlive op. */
void harness_op_init(harness_op *op, harness *h, const tn_node *node);
void harness_op_deinit(harness_op *op);
void harness_pack(harness_op *op, const harness_weight *w, int32_t part);
/** Packs a vector part of n values. */
void harness_pack_vector(harness_op *op, const float *values, int32_t n, int32_t part);
tn_status harness_try_run(harness_op *op, const tn_tensor *in, uint32_t n_in, const tn_tensor *out,
                          uint32_t n_out, const tn_batch *batch, tn_error *err);
void harness_run(harness_op *op, const tn_tensor *in, uint32_t n_in, const tn_tensor *out,
                 uint32_t n_out, const tn_batch *batch);
/** Asserts that the kernel refuses the node with a reason. */
void harness_refuses(harness *h, const tn_node *node);

/* ---- ragged batches ---- */
enum { HARNESS_TOKENS = 256, HARNESS_SEQS = 16, HARNESS_TABLE = 32 };
typedef struct harness_batch {
    tn_batch batch;
    int32_t tokens[HARNESS_TOKENS], pos[HARNESS_TOKENS], slot[HARNESS_TOKENS], rows[HARNESS_TOKENS];
    int32_t q_start[HARNESS_SEQS + 1], kv_len[HARNESS_SEQS], rope_index[HARNESS_SEQS];
    int32_t table[HARNESS_SEQS * HARNESS_TABLE];
} harness_batch;

/** An empty batch over rope_table [n_tables][half]; block ids of the tables start as -1. */
void harness_batch_init(harness_batch *b, const float *rope_table, int32_t n_tables);
/** Append a sequence: n_q tokens after n_past, in the given blocks. Mirrors (h_*) stay NULL:
 * kernels must not read them. */
void harness_batch_add(harness_batch *b, int32_t n_past, int32_t n_q, const int32_t *blocks,
                       int32_t block_tokens, int32_t rope_index);
/** Append a padding sequence: n_q tokens with slot -1, kv_len 0. */
void harness_batch_pad(harness_batch *b, int32_t n_q);

/* ---- comparison ---- */
void harness_assert_same_bits(const float *a, const float *b, size_t n);
/** |a - b| <= relative * |b| + absolute, elementwise; both NaN is equal. */
void harness_assert_close(const float *a, const double *b, size_t n, double relative,
                          double absolute);

#endif
