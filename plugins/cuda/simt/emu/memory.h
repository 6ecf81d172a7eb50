/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory wrappers of simt.h on the host: checked, counted, then done here, in the kernel's own
 * code, so that sanitizers name the kernel's line. Also atomics (relaxed, as on a GPU), cp.async,
 * ldmatrix and mma.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_MEMORY_H
#define TN_PLUGINS_CUDA_SIMT_EMU_MEMORY_H

#include "plugins/cuda/simt/emu/core.h"
#include "plugins/cuda/simt/emu/half.h"

#include <cstring>
#include <type_traits>

#define SIMT_SHARED_KEY(name) static const char name##_key = 0

namespace simt
{

template <class T>
static inline T checked_load(access kind, const void *p, const char *file, int line)
{
    static_assert(std::is_trivially_copyable<T>::value, "memory holds plain values");
    tn_simt_access(kind, p, sizeof(T), alignof(T), file, line);
    T value;
    std::memcpy(static_cast<void *>(&value), p, sizeof value);
    return value;
}

template <class T>
static inline void checked_store(access kind, void *p, const T &value, const char *file, int line)
{
    static_assert(std::is_trivially_copyable<T>::value, "memory holds plain values");
    tn_simt_access(kind, p, sizeof(T), alignof(T), file, line);
    std::memcpy(p, static_cast<const void *>(&value), sizeof value);
}

/* One relaxed read-modify-write; op gives the new value. Returns the old one. */
template <class T, class Op> static inline T atomic_update(T *p, Op op, const char *file, int line)
{
    tn_simt_access(access::atomic, p, sizeof(T), sizeof(T), file, line);
    using word = std::conditional_t<sizeof(T) == 2, uint16_t,
                                    std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;
    static_assert(sizeof(T) == sizeof(word), "atomics work on 2, 4 or 8 bytes");
    word *at = reinterpret_cast<word *>(p), old = __atomic_load_n(at, __ATOMIC_RELAXED), fresh;
    T value, next;
    do {
        std::memcpy(static_cast<void *>(&value), &old, sizeof value);
        next = op(value);
        std::memcpy(&fresh, static_cast<const void *>(&next), sizeof fresh);
    } while (
        !__atomic_compare_exchange_n(at, &old, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return value;
}

template <class T> struct same {
    using type = T;
};
template <class T> using same_t = typename same<T>::type; /* not deduced from this argument */

} // namespace simt

/* ---- loads and stores ---- */

template <class T> static inline T ldg(const T *p, SIMT_AT)
{
    return simt::checked_load<T>(simt::access::global_read, p, file, line);
}
template <class T> static inline void stg(T *p, simt::same_t<T> value, SIMT_AT)
{
    simt::checked_store<T>(simt::access::global_write, p, value, file, line);
}
template <class T> static inline T lds(const T *p, SIMT_AT)
{
    return simt::checked_load<T>(simt::access::shared_read, p, file, line);
}
template <class T> static inline void sts(T *p, simt::same_t<T> value, SIMT_AT)
{
    simt::checked_store<T>(simt::access::shared_write, p, value, file, line);
}
static inline uint4 ldg128(const void *p, SIMT_AT)
{
    return simt::checked_load<uint4>(simt::access::global_read, p, file, line);
}
static inline uint4 ldg128_stream(const void *p, SIMT_AT)
{
    return simt::checked_load<uint4>(simt::access::global_read, p, file, line);
}
static inline void stg128(void *p, uint4 value, SIMT_AT)
{
    simt::checked_store<uint4>(simt::access::global_write, p, value, file, line);
}
static inline uint4 lds128(const void *p, SIMT_AT)
{
    return simt::checked_load<uint4>(simt::access::shared_read, p, file, line);
}
static inline void sts128(void *p, uint4 value, SIMT_AT)
{
    simt::checked_store<uint4>(simt::access::shared_write, p, value, file, line);
}

/* ---- asynchronous copies and matrices ---- */

static inline void cp_async16(void *dst, const void *src, int n_src = 16, SIMT_AT)
{
    tn_simt_cp_async(dst, src, 16, n_src, file, line);
}
static inline void cp_async8(void *dst, const void *src, int n_src = 8, SIMT_AT)
{
    tn_simt_cp_async(dst, src, 8, n_src, file, line);
}
static inline void cp_async4(void *dst, const void *src, int n_src = 4, SIMT_AT)
{
    tn_simt_cp_async(dst, src, 4, n_src, file, line);
}
static inline void cp_async_commit()
{
    tn_simt_cp_commit();
}
template <int Pending> static inline void cp_async_wait()
{
    static_assert(Pending >= 0, "a number of groups");
    tn_simt_cp_wait(Pending);
}
static inline void ldmatrix_x1(uint32_t *r, const void *row, SIMT_AT)
{
    tn_simt_ldmatrix(1, 0, r, row, file, line);
}
static inline void ldmatrix_x2(uint32_t *r, const void *row, SIMT_AT)
{
    tn_simt_ldmatrix(2, 0, r, row, file, line);
}
static inline void ldmatrix_x4(uint32_t *r, const void *row, SIMT_AT)
{
    tn_simt_ldmatrix(4, 0, r, row, file, line);
}
static inline void ldmatrix_x1_trans(uint32_t *r, const void *row, SIMT_AT)
{
    tn_simt_ldmatrix(1, 1, r, row, file, line);
}
static inline void ldmatrix_x2_trans(uint32_t *r, const void *row, SIMT_AT)
{
    tn_simt_ldmatrix(2, 1, r, row, file, line);
}
static inline void ldmatrix_x4_trans(uint32_t *r, const void *row, SIMT_AT)
{
    tn_simt_ldmatrix(4, 1, r, row, file, line);
}
static inline void mma_16816_f16(float *d, const uint32_t *a, const uint32_t *b, SIMT_AT)
{
    tn_simt_mma(simt::mma_type::f16, d, a, b, file, line);
}
static inline void mma_16816_bf16(float *d, const uint32_t *a, const uint32_t *b, SIMT_AT)
{
    tn_simt_mma(simt::mma_type::bf16, d, a, b, file, line);
}

#include "plugins/cuda/simt/emu/atomics.h"

#endif
