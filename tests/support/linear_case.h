/* SPDX-License-Identifier: Apache-2.0 */
/* One node of the linear family with random weights and inputs, for tests of the formulas and of
 * packing. */
#ifndef TN_TESTS_SUPPORT_LINEAR_CASE_H
#define TN_TESTS_SUPPORT_LINEAR_CASE_H

#include "core/base/alloc.h"
#include "tests/support/plugin_harness.h"

enum { LINEAR_MAX_ROWS = 40, LINEAR_WIDE = 512, LINEAR_SHAPES = 13, LINEAR_OPS = 5 };

typedef struct linear_shape {
    const char *wfmt; /* as harness_weight_init takes it */
    int32_t cols, group;
} linear_shape;

/* Every weight format with odd sizes, and every op. */
extern const linear_shape linear_shapes[LINEAR_SHAPES];
extern const char *const linear_ops[LINEAR_OPS];

typedef struct linear_case {
    harness_weight w[3];
    tn_part part[3];
    const tn_part *parts[3];
    tn_linear linear;
    tn_node node;
    harness_op op;
    float norm[1024], x[LINEAR_MAX_ROWS * 600], add[LINEAR_MAX_ROWS * LINEAR_WIDE];
    float out[LINEAR_MAX_ROWS * LINEAR_WIDE];
    int32_t n_rows, width; /* width: of the output */
    int32_t is_norm, is_glu, is_add;
} linear_case;

typedef struct linear_case_args {
    const char *op, *wfmt;
    int32_t cols, group, n_parts, bias, n_rows, out[3];
    float out_scale;
} linear_case_args;

/** A supported, packed node with inputs; never NULL. Three parts with bias: only the first has one.
 */
linear_case *linear_case_new(harness *h, const linear_case_args *args, uint64_t seed);
void linear_case_free(linear_case *c);
/** Runs it into out [n_rows][width]. */
void linear_case_run(linear_case *c, float *out);

#endif
