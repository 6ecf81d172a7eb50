/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is right: a case computed by the reference's primitives, step by step where the op is fused,
 * so that the inner values are there for the error bounds. Thread: one.
 */
#ifndef TN_APPS_CHECK_REFERENCE_H
#define TN_APPS_CHECK_REFERENCE_H

#include "apps/check/kernel.h"

/* The stages a fused op may have, in this order. */
enum {
    TN_STAGE_WHOLE,
    TN_STAGE_NORM,
    TN_STAGE_LINEAR,
    TN_STAGE_GLU,
    TN_STAGE_ADD,
    TN_STAGE_QK_NORM,
    TN_STAGE_ROPE,
    TN_STAGE_KV_WRITE,
    TN_N_STAGES
};

typedef struct tn_check_expected {
    float *out[TN_MAX_OUT];
    uint8_t *pool;
    tn_check_output stage[TN_N_STAGES]; /* of the stages that ran; out and pool borrow from these */
} tn_check_expected;

typedef struct tn_check_reference {
    tn_check_kernel *kernel[TN_N_STAGES];
    const tn_op_info *op;
    /* parameters of the stages */
    tn_norm norm;
    tn_linear linear;
    tn_rows_op rows;
    tn_rope rope;
    const tn_attention *attention;
} tn_check_reference;

/** Kernels of the plugins in `set`, the first that supports each primitive, for a node and its
 * weights. */
tn_status tn_check_reference_open(const tn_plugin_set *set, const tn_op_info *op,
                                  const tn_node *node, const tn_check_part *part, int32_t n_parts,
                                  tn_team *team, tn_check_reference **out,
                                  tn_error *err) TN_MUST_USE;
void tn_check_reference_close(tn_check_reference *r);
/** As tn_check_kernel_trust. */
void tn_check_reference_trust(tn_check_reference *r);
tn_status tn_check_reference_run(tn_check_reference *r, const tn_check_case *c,
                                 tn_check_expected *out, tn_error *err) TN_MUST_USE;
/** Give outputs and pool to the caller (tn_free). */
void tn_check_expected_take(tn_check_expected *e, float *out[TN_MAX_OUT], uint8_t **pool);
void tn_check_expected_deinit(tn_check_expected *e);

#endif
