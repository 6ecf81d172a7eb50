/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory, settings and assertions for the emulator's tests; cmocka for C++. */
#ifndef SIMT_TEST_RIG_H
#define SIMT_TEST_RIG_H

#include "plugins/cuda/simt/emu/control.h"
#include "plugins/cuda/simt/shim/cuda_runtime.h"

#include <setjmp.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

extern "C" {
#include <cmocka.h>
}

#ifdef __SANITIZE_THREAD__
#    define SIMT_RIG_TSAN 1
#else
#    define SIMT_RIG_TSAN 0
#endif

namespace simt_test
{

/* A copy of a vector in device memory, for as long as it lives. */
template <class T> struct device_array {
    T *p = nullptr;
    size_t n;
    explicit device_array(const std::vector<T> &from) : n(from.size())
    {
        assert_int_equal(cudaMalloc(reinterpret_cast<void **>(&p), n * sizeof(T)), cudaSuccess);
        assert_int_equal(cudaMemcpy(p, from.data(), n * sizeof(T), cudaMemcpyHostToDevice),
                         cudaSuccess);
    }
    explicit device_array(size_t count) : n(count)
    {
        assert_int_equal(cudaMalloc(reinterpret_cast<void **>(&p), n * sizeof(T)), cudaSuccess);
    }
    device_array(const device_array &) = delete;
    device_array &operator=(const device_array &) = delete;
    ~device_array()
    {
        cudaFree(p);
    }
    std::vector<T> read() const
    {
        std::vector<T> to(n);
        assert_int_equal(cudaMemcpy(to.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost),
                         cudaSuccess);
        return to;
    }
};

static inline simt::settings default_settings()
{
    simt::settings s = {};
    s.seed = 1;
    s.n_workers = 2;
    s.quiet = 1;
    s.max_memory_bytes = 256u << 20;
    return s;
}

/* Settings back to those of the tests, faults and errors forgotten. */
static inline int reset(void **)
{
    cudaDeviceSynchronize();
    simt::settings s = default_settings();
    tn_simt_set_settings(&s);
    tn_simt_clear_fault();
    tn_simt_reset_counters();
    cudaGetLastError();
    return 0;
}

/* Calls check under every schedule (random with several seeds), both times of cp.async, both orders
 * of blocks. */
template <class Check> static inline void under_every_setting(Check check)
{
    /* TSan finds a race under any schedule, and its fibers are slow. */
    const int n_schedules = SIMT_RIG_TSAN ? 1 : 5, n_orders = SIMT_RIG_TSAN ? 1 : 2;
    for (int schedule = 0; schedule < n_schedules; schedule++)
        for (int copies = 0; copies < 2; copies++)
            for (int reverse = 0; reverse < n_orders; reverse++) {
                simt::settings s = default_settings();
                s.schedule = static_cast<simt::schedule>(schedule < 2 ? schedule : 2);
                s.seed = static_cast<uint32_t>(schedule);
                s.copies = static_cast<simt::copies>(copies);
                s.reverse_blocks = reverse;
                tn_simt_set_settings(&s);
                check();
                assert_string_equal(tn_simt_fault(), "");
                assert_int_equal(cudaGetLastError(), cudaSuccess);
            }
}

/* Small numbers of a fixed sequence (Numerical Recipes, "ranqd1"), multiples of 1/64 in [-1, 1). */
static inline std::vector<float> numbers(size_t n, uint32_t seed)
{
    std::vector<float> x(n);
    for (float &value : x) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(static_cast<int>(seed >> 25) - 64) / 64.0f;
    }
    return x;
}

} // namespace simt_test

#endif
