/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of cuda-fp16's launchers in device memory, with what plain loops in f64 give for them. */
#ifndef TN_TESTS_PLUGINS_CUDA_FP16_RIG_H
#define TN_TESTS_PLUGINS_CUDA_FP16_RIG_H

#include "plugins/common/half.h"
#include "plugins/cuda-fp16/launch.h"
#include "tests/plugins/simt/rig.h"

#include <tenon/plugin.h>

#include <cmath>

namespace fp16_test
{

using simt_test::device_array;
using simt_test::numbers;

static inline uint16_t narrow(float x, int dtype)
{
    return dtype == TN_BF16 ? tn_half_f32_to_bf16(x) : tn_half_f32_to_f16(x);
}
static inline float widen(uint16_t x, int dtype)
{
    return dtype == TN_BF16 ? tn_half_bf16_to_f32(x) : tn_half_f16_to_f32(x);
}

/* Small multiples of 1/64 (exact in both types) as 16-bit rows; columns from `used` on are NaN, so
 * that reading them shows. */
static inline std::vector<uint16_t> rows16(size_t rows, size_t used, size_t stride, int dtype,
                                           uint32_t seed, uint16_t behind = 0xffff)
{
    std::vector<float> x = numbers(rows * used, seed);
    std::vector<uint16_t> out(rows * stride, behind);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < used; c++)
            out[r * stride + c] = narrow(x[r * used + c], dtype);
    return out;
}

static inline void near(float got, double expected, double tolerance, const char *what, size_t at)
{
    if (!(std::fabs(static_cast<double>(got) - expected) <= tolerance))
        fail_msg("%s, element %zu: got %g, expected %g within %g", what, at,
                 static_cast<double>(got), expected, tolerance);
}

} // namespace fp16_test

#endif
