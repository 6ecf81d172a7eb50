/* SPDX-License-Identifier: Apache-2.0 */
/* Warp collectives under their CUDA names: shuffles of 1 to 8 byte values and all widths, votes,
 * reductions. */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_WARP_H
#define TN_PLUGINS_CUDA_SIMT_EMU_WARP_H

#include "plugins/cuda/simt/emu/core.h"

#include <cstring>
#include <type_traits>

namespace simt
{

/* A value as one or two words, as the hardware shuffles it. */
template <class T>
static inline T shuffle_value(shuffle how, uint32_t mask, T value, int argument, int width,
                              const char *file, int line)
{
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8,
                  "shuffles move plain values of at most 8 bytes");
    uint32_t words[(sizeof(T) + 3) / 4] = {};
    std::memcpy(words, &value, sizeof value);
    for (uint32_t &word : words)
        word = tn_simt_shuffle(how, mask, word, argument, width, file, line);
    std::memcpy(static_cast<void *>(&value), words, sizeof value);
    return value;
}

} // namespace simt

template <class T>
static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, SIMT_AT)
{
    return simt::shuffle_value(simt::shuffle::index, mask, value, lane, width, file, line);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_AT)
{
    return simt::shuffle_value(simt::shuffle::up, mask, value, static_cast<int>(delta), width, file,
                               line);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_AT)
{
    return simt::shuffle_value(simt::shuffle::down, mask, value, static_cast<int>(delta), width,
                               file, line);
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, SIMT_AT)
{
    return simt::shuffle_value(simt::shuffle::exclusive_or, mask, value, lanes, width, file, line);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_AT)
{
    return tn_simt_vote(simt::vote::ballot, mask, predicate != 0, file, line);
}
static inline int __any_sync(unsigned mask, int predicate, SIMT_AT)
{
    return static_cast<int>(tn_simt_vote(simt::vote::any, mask, predicate != 0, file, line));
}
static inline int __all_sync(unsigned mask, int predicate, SIMT_AT)
{
    return static_cast<int>(tn_simt_vote(simt::vote::all, mask, predicate != 0, file, line));
}
static inline unsigned __match_any_sync(unsigned mask, unsigned value, SIMT_AT)
{
    return tn_simt_vote(simt::vote::match_any, mask, value, file, line);
}

static inline unsigned __reduce_add_sync(unsigned mask, unsigned value, SIMT_AT)
{
    return tn_simt_reduce(simt::reduce::add, mask, value, file, line);
}
static inline int __reduce_add_sync(unsigned mask, int value, SIMT_AT)
{
    return static_cast<int>(
        tn_simt_reduce(simt::reduce::add, mask, static_cast<unsigned>(value), file, line));
}
static inline unsigned __reduce_min_sync(unsigned mask, unsigned value, SIMT_AT)
{
    return tn_simt_reduce(simt::reduce::min_unsigned, mask, value, file, line);
}
static inline int __reduce_min_sync(unsigned mask, int value, SIMT_AT)
{
    return static_cast<int>(
        tn_simt_reduce(simt::reduce::min_signed, mask, static_cast<unsigned>(value), file, line));
}
static inline unsigned __reduce_max_sync(unsigned mask, unsigned value, SIMT_AT)
{
    return tn_simt_reduce(simt::reduce::max_unsigned, mask, value, file, line);
}
static inline int __reduce_max_sync(unsigned mask, int value, SIMT_AT)
{
    return static_cast<int>(
        tn_simt_reduce(simt::reduce::max_signed, mask, static_cast<unsigned>(value), file, line));
}
static inline unsigned __reduce_and_sync(unsigned mask, unsigned value, SIMT_AT)
{
    return tn_simt_reduce(simt::reduce::bit_and, mask, value, file, line);
}
static inline unsigned __reduce_or_sync(unsigned mask, unsigned value, SIMT_AT)
{
    return tn_simt_reduce(simt::reduce::bit_or, mask, value, file, line);
}
static inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, SIMT_AT)
{
    return tn_simt_reduce(simt::reduce::bit_xor, mask, value, file, line);
}

#endif
