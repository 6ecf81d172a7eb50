// SPDX-License-Identifier: Apache-2.0
// cuda_w4_speed [--small]: seconds of a linear layer of 1 to 256 rows by cuda-fp16's own kernels
// and by cuda-w4a16's (u4z, groups of 128), as JSON. Exit 3 when there is no device.
#include "plugins/cuda-w4a16/launch.h"

#include <tenon/plugin.h>

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

static void must(cudaError_t error)
{
    if (error == cudaSuccess)
        return;
    std::fprintf(stderr, "cuda_w4_speed: %s\n", cudaGetErrorString(error));
    std::exit(1);
}

// Zeros: what the values are changes no time.
static void *device_memory(size_t n_bytes)
{
    void *p = nullptr;
    must(cudaMalloc(&p, n_bytes));
    must(cudaMemset(p, 0, n_bytes));
    return p;
}

// The shortest of n runs after one that warms up.
static double best_seconds(int n, const std::function<int()> &run)
{
    cudaEvent_t begin, end;
    must(cudaEventCreate(&begin));
    must(cudaEventCreate(&end));
    float best_ms = 1e30f;
    for (int i = 0; i <= n; i++) {
        float ms = 0.0f;
        must(cudaEventRecord(begin, nullptr));
        must(static_cast<cudaError_t>(run()));
        must(cudaEventRecord(end, nullptr));
        must(cudaEventSynchronize(end));
        must(cudaEventElapsedTime(&ms, begin, end));
        if (i > 0)
            best_ms = std::min(best_ms, ms);
    }
    must(cudaEventDestroy(begin));
    must(cudaEventDestroy(end));
    return static_cast<double>(best_ms) / 1e3;
}

int main(int argc, char **argv)
{
    const bool is_small = argc > 1 && std::strcmp(argv[1], "--small") == 0;
    const int n = is_small ? 128 : 4096, n_runs = is_small ? 1 : 20, most = is_small ? 32 : 256;
    int n_devices = 0, n_sms = 0;
    const cudaError_t error = cudaGetDeviceCount(&n_devices);
    if (error != cudaSuccess) {
        std::fprintf(stderr, "cuda_w4_speed: no CUDA device: %s\n", cudaGetErrorString(error));
        return 3;
    }
    must(cudaDeviceGetAttribute(&n_sms, cudaDevAttrMultiProcessorCount, 0));
    const size_t width = static_cast<size_t>(n),
                 tiles = static_cast<size_t>(w4_max_split_tiles(n_sms));
    const size_t code_bytes = width * width / 2, param_bytes = width * width / 128 * 4;
    w4_linear_args w4 = {};
    fp16_linear_args &plain = w4.linear;
    plain.x = device_memory(256 * width * 2);
    plain.weight = device_memory(width * width * 2);
    plain.y = device_memory(256 * width * 2);
    plain.x_stride = plain.y_stride = plain.in = plain.padded = plain.out = n;
    plain.dtype = plain.y_dtype = TN_F16;
    plain.out_scale = 1.0f;
    w4.w = {
        device_memory(code_bytes), device_memory(param_bytes), n / W4_CHUNK, n / W4_STRIP, 7, 0
    };
    w4.partial =
        static_cast<float *>(device_memory(tiles * W4_SPLIT_TILE * W4_SPLIT_TILE * sizeof(float)));
    w4.done = static_cast<uint32_t *>(device_memory(tiles * sizeof(uint32_t)));
    std::printf("[\n");
    for (int rows = 1; rows <= most; rows *= 2) {
        plain.rows = rows;
        const double fp16_seconds = best_seconds(n_runs, [&] {
            return rows <= FP16_GEMV_ROWS ? fp16_gemv(&plain, n_sms, nullptr)
                                          : fp16_gemm(&plain, n_sms, nullptr);
        });
        const double w4_seconds = best_seconds(n_runs, [&] {
            return rows <= W4_GEMV_ROWS ? w4_gemv(&w4, n_sms, nullptr)
                                        : w4_gemm(&w4, n_sms, nullptr);
        });
        std::printf("  {\"rows\": %d, \"n\": %d, \"k\": %d, \"fp16_seconds\": %.3e, "
                    "\"w4_seconds\": %.3e, \"speed_up\": %.3f, \"w4_bytes_per_s\": %.4e}%s\n",
                    rows, n, n, fp16_seconds, w4_seconds, fp16_seconds / w4_seconds,
                    static_cast<double>(code_bytes + param_bytes) / w4_seconds,
                    rows < most ? "," : "");
    }
    std::printf("]\n");
    return 0;
}
