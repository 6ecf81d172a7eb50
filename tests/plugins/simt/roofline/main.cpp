// SPDX-License-Identifier: Apache-2.0
// cuda_roofline [--small]: what the device of this build can do, as JSON: bytes read a second, f16
// products a second on tensor cores, and cuBLAS on three shapes. Exit 3 when there is no device.
#include "plugins/cuda/simt/cublas.h"
#include "tests/plugins/simt/roofline/roofline.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

static void must(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    std::fprintf(stderr, "cuda_roofline: %s: %s\n", what, cudaGetErrorString(error));
    std::exit(1);
}

static void *device_memory(size_t n_bytes)
{
    void *p = nullptr;
    must(cudaMalloc(&p, n_bytes), "memory");
    must(cudaMemset(p, 0, n_bytes), "memory");
    return p;
}

/* The shortest of n runs after one that warms up, in seconds. */
static double best_seconds(int n, const std::function<void()> &run)
{
    cudaEvent_t begin, end;
    must(cudaEventCreate(&begin), "event");
    must(cudaEventCreate(&end), "event");
    float best_ms = 1e30f;
    for (int i = 0; i <= n; i++) {
        must(cudaEventRecord(begin, nullptr), "event");
        run();
        must(cudaGetLastError(), "launch");
        must(cudaEventRecord(end, nullptr), "event");
        must(cudaEventSynchronize(end), "run");
        float ms = 0.0f;
        must(cudaEventElapsedTime(&ms, begin, end), "event");
        if (i > 0)
            best_ms = std::min(best_ms, ms);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return static_cast<double>(best_ms) / 1e3;
}

static double read_bytes_per_s(size_t n_bytes, int n_blocks, int n_runs)
{
    void *p = device_memory(n_bytes), *sink = device_memory(4);
    double seconds = best_seconds(n_runs, [&] {
        roofline::read_memory(p, n_bytes, static_cast<uint32_t *>(sink), n_blocks, nullptr);
    });
    must(cudaFree(p), "memory");
    must(cudaFree(sink), "memory");
    return static_cast<double>(n_bytes) / seconds;
}

static double mma_ops_per_s(int n_rounds, int n_blocks, int n_runs)
{
    void *sink = device_memory(static_cast<size_t>(n_blocks) * 4);
    double seconds = best_seconds(n_runs, [&] {
        roofline::multiply(static_cast<float *>(sink), n_rounds, n_blocks, nullptr);
    });
    float first = 0.0f;
    must(cudaMemcpy(&first, sink, 4, cudaMemcpyDeviceToHost), "result");
    const float expected = 4.0f * 16.0f * static_cast<float>(roofline::mma_per_warp(n_rounds));
    if (first != expected) {
        std::fprintf(stderr, "cuda_roofline: mma gives %g, not %g\n", static_cast<double>(first),
                     static_cast<double>(expected));
        std::exit(1);
    }
    must(cudaFree(sink), "memory");
    double n_mma = static_cast<double>(n_blocks) * roofline::warps_per_block *
                   static_cast<double>(roofline::mma_per_warp(n_rounds));
    return n_mma * 2 * 16 * 8 * 16 / seconds;
}

/* y[rows][n] = x[rows][k] w[n][k], as a linear layer does it. */
static void print_cublas(int n, int n_runs)
{
    tn_cublas cublas;
    tn_error err = {};
    cublasHandle_t handle = nullptr;
    if (tn_cublas_open(&cublas, &err) || cublas.cublasCreate_v2(&handle) != CUBLAS_STATUS_SUCCESS) {
        std::printf("  \"cublas\": {\"absent\": \"%s\"}\n",
                    err.text[0] ? err.text : "it does not start");
        return;
    }
    const float one = 1.0f, zero = 0.0f;
    const size_t n_weights = static_cast<size_t>(n) * static_cast<size_t>(n);
    void *w = device_memory(n_weights * 2);
    void *x = device_memory(n_weights * 2), *y = device_memory(n_weights * 2);
    std::printf("  \"cublas\": [\n");
    for (int rows : { 1, 16, 512 }) {
        rows = std::min(rows, n);
        bool ok = true;
        double seconds = best_seconds(n_runs, [&] {
            ok = cublas.cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, n, rows, n, &one, w,
                                     CUDA_R_16F, n, x, CUDA_R_16F, n, &zero, y, CUDA_R_16F, n,
                                     CUBLAS_COMPUTE_32F,
                                     CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS &&
                 ok;
        });
        if (!ok)
            std::exit(1);
        std::printf("    {\"rows\": %d, \"n\": %d, \"k\": %d, \"seconds\": %.3e, "
                    "\"weight_bytes_per_s\": %.4e, \"ops_per_s\": %.4e}%s\n",
                    rows, n, n, seconds, static_cast<double>(n_weights) * 2 / seconds,
                    2.0 * rows * static_cast<double>(n_weights) / seconds,
                    rows < 512 && rows < n ? "," : "");
    }
    std::printf("  ]\n");
    must(cudaFree(w), "memory");
    must(cudaFree(x), "memory");
    must(cudaFree(y), "memory");
    cublas.cublasDestroy_v2(handle);
}

int main(int argc, char **argv)
{
    const bool is_small = argc > 1 && std::strcmp(argv[1], "--small") == 0;
    int n_devices = 0;
    cudaError_t error = cudaGetDeviceCount(&n_devices);
    if (error != cudaSuccess) {
        std::fprintf(stderr, "cuda_roofline: no CUDA device: %s\n", cudaGetErrorString(error));
        return 3;
    }
    cudaDeviceProp device;
    must(cudaGetDeviceProperties(&device, 0), "device");
    const int n_runs = is_small ? 1 : 10, n_sm = is_small ? 1 : device.multiProcessorCount;
    const size_t n_bytes = is_small ? size_t(1) << 20 : size_t(1) << 30;
    std::printf(
        "{\n  \"device\": \"%s\",\n  \"capability\": \"%d.%d\",\n  \"multiprocessors\": %d,\n",
        device.name, device.major, device.minor, device.multiProcessorCount);
    std::printf("  \"read_bytes_per_s\": %.4e,\n", read_bytes_per_s(n_bytes, 8 * n_sm, n_runs));
    std::printf("  \"mma_f16_ops_per_s\": %.4e,\n",
                mma_ops_per_s(is_small ? 4 : 4096, 4 * n_sm, n_runs));
    print_cublas(is_small ? 64 : 4096, n_runs);
    std::printf("}\n");
    return 0;
}
