/* SPDX-License-Identifier: Apache-2.0 */
/* What the GEMV and the GEMM do with a finished sum. */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_LINEAR_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_LINEAR_CUH

#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

/* Writes y[row][column] from its sum; up: that of the second matrix, with act. Neighbouring lanes
 * have neighbouring columns. */
template <class T>
SIMT_DEVICE void finish(const fp16_linear_args &a, int64_t row, int column, float sum, float up)
{
    if (a.bias)
        sum += ldg(&a.bias[column]);
    if (a.act) {
        if (a.bias)
            up += ldg(&a.bias[a.out + column]);
        sum = activate(a.act, sum) * up;
    }
    sum *= a.out_scale;
    if (a.residual)
        sum += ldg(&a.residual[row * a.residual_stride + column]);
    const int64_t at = row * a.y_stride + column;
    if (a.y_dtype == TN_F32)
        stg(static_cast<float *>(a.y) + at, sum);
    else
        stg(static_cast<T *>(a.y) + at, value<T>::narrow(sum));
}

} // namespace fp16

#endif
