// SPDX-License-Identifier: Apache-2.0
// add, glu, gather_rows: a thread a few columns of one row.
#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

constexpr int rows_threads = 128;

// All three: grid (rows, chunks of columns). They move bytes and compute next to nothing, so the
// roofline is memory: add reads 4 + (2 or 4) and writes 4 bytes an element, glu 4 and 2,
// gather_rows 4 and 4. Vectors of 4 columns, single ones at a row's end and where a view is not
// aligned.
SIMT_DEVICE void load4(const float *p, float *out)
{
    const float4 four = ldg(reinterpret_cast<const float4 *>(p));
    out[0] = four.x;
    out[1] = four.y;
    out[2] = four.z;
    out[3] = four.w;
}
template <class T> SIMT_DEVICE void load4(const T *p, float *out)
{
    const uint2 words = ldg(reinterpret_cast<const uint2 *>(p));
    const float2 low = value<T>::widen2(words.x), high = value<T>::widen2(words.y);
    out[0] = low.x;
    out[1] = low.y;
    out[2] = high.x;
    out[3] = high.y;
}
SIMT_DEVICE float load1(const float *p)
{
    return ldg(p);
}
template <class T> SIMT_DEVICE float load1(const T *p)
{
    return value<T>::widen(ldg(p));
}
SIMT_DEVICE void store4(float *p, const float *x)
{
    stg(reinterpret_cast<float4 *>(p), make_float4(x[0], x[1], x[2], x[3]));
}
template <class T> SIMT_DEVICE void store4(T *p, const float *x)
{
    stg(reinterpret_cast<uint2 *>(p),
        make_uint2(value<T>::narrow2(x[0], x[1]), value<T>::narrow2(x[2], x[3])));
}
SIMT_DEVICE void store1(float *p, float x)
{
    stg(p, x);
}
template <class T> SIMT_DEVICE void store1(T *p, float x)
{
    stg(p, value<T>::narrow(x));
}

// out = f(a, b) for the 4 columns of this thread.
template <class A, class B, class Out, class F>
SIMT_DEVICE void map_columns(const fp16_rows_args &args, const A *a, const B *b, Out *out,
                             bool aligned, F f)
{
    const int column = static_cast<int>(blockIdx.y * rows_threads + threadIdx.x) * 4;
    if (aligned && column + 4 <= args.dim) {
        float x[4], y[4];
        load4(a + column, x);
        load4(b + column, y);
        SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            x[i] = f(x[i], y[i]);
        store4(out + column, x);
        return;
    }
    for (int i = column; i < column + 4 && i < args.dim; i++)
        store1(out + i, f(load1(a + i), load1(b + i)));
}

// f32 out = a + f32 b; a is f32 or activations.
template <class A> __global__ void __launch_bounds__(rows_threads) add_kernel(fp16_rows_args args)
{
    const int64_t row = blockIdx.x;
    map_columns(args, static_cast<const A *>(args.a) + row * args.a_stride,
                static_cast<const float *>(args.b) + row * args.b_stride,
                static_cast<float *>(args.out) + row * args.out_stride, true,
                [](float x, float y) { return x + y; });
}

template <class T>
__global__ void __launch_bounds__(rows_threads) glu_kernel(fp16_rows_args args, bool aligned)
{
    const int64_t row = blockIdx.x;
    map_columns(args, static_cast<const T *>(args.a) + row * args.a_stride,
                static_cast<const T *>(args.b) + row * args.b_stride,
                static_cast<T *>(args.out) + row * args.out_stride, aligned,
                [&](float g, float u) { return activate(args.act, g) * u * args.scale; });
}

__global__ void __launch_bounds__(rows_threads) gather_rows_kernel(fp16_rows_args args)
{
    const int64_t row = blockIdx.x;
    const int column = static_cast<int>(blockIdx.y * rows_threads + threadIdx.x) * 4;
    const float *a = static_cast<const float *>(args.a) + ldg(&args.index[row]) * args.a_stride;
    float *out = static_cast<float *>(args.out) + row * args.out_stride;
    if (column + 4 <= args.dim)
        stg(reinterpret_cast<float4 *>(out + column),
            ldg(reinterpret_cast<const float4 *>(a + column)));
    else
        for (int i = column; i < args.dim; i++)
            stg(&out[i], ldg(&a[i]));
}

static dim3 rows_grid(const fp16_rows_args &args)
{
    const int columns = rows_threads * 4;
    return dim3(static_cast<unsigned>(args.rows),
                static_cast<unsigned>((args.dim + columns - 1) / columns));
}

} // namespace fp16

using namespace fp16;

extern "C" int fp16_add(const fp16_rows_args *args, void *stream)
{
    const dim3 grid = rows_grid(*args), block(rows_threads);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (args->dtype == TN_F32)
        LAUNCH((add_kernel<float>), grid, block, 0, s, *args);
    else if (args->dtype == TN_BF16)
        LAUNCH((add_kernel<__nv_bfloat16>), grid, block, 0, s, *args);
    else
        LAUNCH((add_kernel<half>), grid, block, 0, s, *args);
    return cudaGetLastError();
}

extern "C" int fp16_glu(const fp16_rows_args *args, void *stream)
{
    const dim3 grid = rows_grid(*args), block(rows_threads);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    /* A view of a wider row may begin anywhere. */
    const bool aligned =
        (reinterpret_cast<uintptr_t>(args->a) | reinterpret_cast<uintptr_t>(args->b) |
         reinterpret_cast<uintptr_t>(args->out)) %
                8 ==
            0 &&
        (args->a_stride | args->b_stride | args->out_stride) % 4 == 0;
    if (args->dtype == TN_BF16)
        LAUNCH((glu_kernel<__nv_bfloat16>), grid, block, 0, s, *args, aligned);
    else
        LAUNCH((glu_kernel<half>), grid, block, 0, s, *args, aligned);
    return cudaGetLastError();
}

extern "C" int fp16_gather_rows(const fp16_rows_args *args, void *stream)
{
    LAUNCH((gather_rows_kernel), rows_grid(*args), dim3(rows_threads), 0,
           static_cast<cudaStream_t>(stream), *args);
    return cudaGetLastError();
}
