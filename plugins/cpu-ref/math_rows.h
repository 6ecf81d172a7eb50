/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formulas that primitives and fused ops share, so that a fused op equals its primitives to the
 * bit: each takes f32 edges, computes in f64 and rounds once. Sources: docs/numerics.md.
 */
#ifndef TN_PLUGINS_CPU_REF_MATH_ROWS_H
#define TN_PLUGINS_CPU_REF_MATH_ROWS_H

#include <stdint.h>

/** out = x / sqrt(mean x^2 + eps) * (w + offset); the sum ascends. out may be x. Zhang and Sennrich
 * 2019, eq. 4. */
void ref_rmsnorm_row(const float *x, const float *w, int32_t n, float eps, float offset,
                     float *out);
/** f32(out_scale * (sum + bias)). */
float ref_linear_value(double sum, float bias, double out_scale);
/** f32(x + y). */
float ref_add_value(float y, float x);
/** f32(act(gate) * up * scale); act is TN_ACT_*. */
float ref_glu_value(int32_t act, float gate, float up, double scale);

#endif
