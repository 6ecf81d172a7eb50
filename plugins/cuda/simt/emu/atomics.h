/* SPDX-License-Identifier: Apache-2.0 */
/* Atomics under their CUDA names (CUDA C++ Programming Guide, "Atomic Functions"); memory.h
 * includes this. */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_ATOMICS_H
#define TN_PLUGINS_CUDA_SIMT_EMU_ATOMICS_H

#include "plugins/cuda/simt/emu/memory.h"

template <class T> static inline T atomicAdd(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T old) { return static_cast<T>(old + v); }, file, line);
}
/* Both halves in one, which is more than a GPU promises: each half is atomic there. */
template <class F> static inline simt::np<F> atomicAdd(simt::np<F> *p, simt::np<F> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](simt::np<F> old) { return __hadd2(old, v); }, file, line);
}
template <class F> static inline simt::nf<F> atomicAdd(simt::nf<F> *p, simt::nf<F> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](simt::nf<F> old) { return __hadd(old, v); }, file, line);
}
template <class T> static inline T atomicSub(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T old) { return static_cast<T>(old - v); }, file, line);
}
template <class T> static inline T atomicMax(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T old) { return old > v ? old : v; }, file, line);
}
template <class T> static inline T atomicMin(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T old) { return old < v ? old : v; }, file, line);
}
template <class T> static inline T atomicAnd(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T old) { return old & v; }, file, line);
}
template <class T> static inline T atomicOr(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T old) { return old | v; }, file, line);
}
template <class T> static inline T atomicXor(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T old) { return old ^ v; }, file, line);
}
template <class T> static inline T atomicExch(T *p, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [v](T) { return v; }, file, line);
}
template <class T>
static inline T atomicCAS(T *p, simt::same_t<T> expected, simt::same_t<T> v, SIMT_AT)
{
    return simt::atomic_update(
        p, [expected, v](T old) { return old == expected ? v : old; }, file, line);
}
/* Counts 0, 1, ... limit, 0: what the last-block pattern needs to leave its counter at zero. */
static inline unsigned atomicInc(unsigned *p, unsigned limit, SIMT_AT)
{
    return simt::atomic_update(
        p, [limit](unsigned old) { return old >= limit ? 0u : old + 1u; }, file, line);
}
static inline unsigned atomicDec(unsigned *p, unsigned limit, SIMT_AT)
{
    return simt::atomic_update(
        p, [limit](unsigned old) { return old == 0u || old > limit ? limit : old - 1u; }, file,
        line);
}

#endif
