/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host plugins that are not cpu-ref: every op in f32, with eight partial sums, row-major packed
 * weights and online softmax. They give `tenon check` something real to hold against the reference:
 * alt-f32, alt-f16 (activations rounded to f16, KV in f16), alt-a8 (activations of coded weights
 * rounded to 8 bits), and alt-f32 with one fault each (faults.def). The variant and the fault are
 * fields of the handle; a fault acts at the one place where ALT_FAULT_<ID> stands.
 */
#ifndef TN_TESTS_ALT_H
#define TN_TESTS_ALT_H

#include "plugins/common/host_op.h"

#include <tenon/plugin.h>

enum { ALT_F32 = 0, ALT_F16, ALT_A8 };

#define ALT_FAULT(id, name, ops, finding) ALT_FAULT_##id,
enum {
    ALT_SOUND = 0,
#include "tests/plugins/alt/faults.def"
    ALT_N_FAULTS
};
#undef ALT_FAULT

enum { ALT_MAX_HEAD_DIM = 1024, ALT_N_LAYOUTS = 7, ALT_VECTOR = 6, ALT_BLOCKS = 256 };

/* A copy of a KV block (ALT_FAULT_STALE_BLOCK). */
typedef struct alt_block {
    uint8_t *bytes;
    uint64_t n_bytes;
    int32_t layer, id;
} alt_block;

typedef struct alt_plugin {
    const tn_host *host;
    int32_t variant, fault;
    const char *nodes;        /* the fault acts in these alone: option "nodes", paths with commas
                                 between; NULL: in all */
    struct alt_plugin *sound; /* for the others */
    char layout[ALT_N_LAYOUTS]
               [64]; /* by kind of weights: layouts of unlike faults must not be shared */
    /* What only faults look at. */
    int64_t n_runs;
    float last_root;
    alt_block block[ALT_BLOCKS];
    int32_t n_blocks;
} alt_plugin;

typedef void (*alt_range_fn)(void *arg, int64_t i0, int64_t i1, int32_t worker);

static inline int alt_has(const void *self, int32_t fault)
{
    return ((const alt_plugin *)self)->fault == fault;
}

static inline void alt_for(void *self, int64_t n, alt_range_fn fn, void *arg)
{
    const tn_host *host = ((const alt_plugin *)self)->host;
    if (n > 0)
        host->parallel_for(host->ctx, n, fn, arg);
}

static inline int32_t alt_workers(void *self)
{
    const tn_host *host = ((const alt_plugin *)self)->host;
    return host->workers(host->ctx);
}

/** The handle for runs of this node: without the fault where that must not act. Faults of pack and
 * supports act everywhere. */
void *alt_at(void *self, const tn_node *node);

tn_status alt_open(const tn_host *host, const char *name, int32_t variant, int32_t fault,
                   void **self, tn_error *err);
void alt_close(void *self);

/** The checks of a node's edges; all nodes are refused by ALT_FAULT_NOTHING. */
tn_status alt_check(void *self, const tn_node *node, int32_t n_in, int32_t out_dtype,
                    tn_error *why);

/* ---- arithmetic that ops share ---- */

enum { ALT_EIGHT = 0, ALT_FOUR = 1 }; /* partial sums */

/** sum of x[k] * w[k], as eight sums over k mod 8 (ALT_FOUR: four), which are then added in pairs.
 */
float alt_dot(const float *x, const float *w, int32_t n, int32_t order);
/** An activation as this variant reads it: itself, or rounded to f16. */
float alt_act(const void *self, float x);
/** RMSNorm of rows [0, n) (Zhang and Sennrich 2019, eq. 4), of dim values each. */
typedef struct alt_norm {
    const float *w;
    int32_t dim;
    float eps, offset;
} alt_norm;
void alt_norm_row(void *self, const alt_norm *norm, int64_t row, const float *x, float *out);
float alt_glu(int32_t act, float gate, float up, float scale);
/** The bytes of a KV block: those in the pool. */
const uint8_t *alt_kv_block(const void *self, const tn_node *node, const tn_launch *launch,
                            int32_t id);
/** ALT_FAULT_STALE_BLOCK: copies the full blocks of the batch that it does not have yet. */
void alt_keep_blocks(void *self, const tn_node *node, const tn_launch *launch);

/* ---- the functions of kernels; plugin.c makes descriptors of them ---- */

#define ALT_OP(op)                                                                                 \
    tn_status alt_##op##_supports(void *self, const tn_node *node, tn_error *why);                 \
    tn_status alt_##op##_run(void *self, const tn_node *node, const tn_launch *launch,             \
                             tn_error *err)
#define ALT_WEIGHTED_OP(op)                                                                        \
    ALT_OP(op);                                                                                    \
    tn_status alt_##op##_plan(void *self, const tn_node *node, tn_plan *out, tn_error *err);       \
    tn_status alt_##op##_pack(void *self, const tn_node *node, const tn_weight_rows *rows,         \
                              void *blob, tn_error *err);                                          \
    tn_status alt_##op##_unpack(void *self, const tn_node *node, int32_t part, int64_t row,        \
                                const void *blob, float *values, tn_error *err)

ALT_WEIGHTED_OP(embed);
ALT_WEIGHTED_OP(rmsnorm);
ALT_WEIGHTED_OP(linear); /* and its fused forms */
ALT_WEIGHTED_OP(rope);   /* qk_norm, rope, kv_write, rope_kv_write */
ALT_WEIGHTED_OP(attention);
ALT_OP(add);
ALT_OP(glu);
ALT_OP(gather_rows);
ALT_OP(argmax);

extern const tn_kv_format alt_kv_f32, alt_kv_f16, alt_kv_i8, alt_kv_i8_static;

#endif
