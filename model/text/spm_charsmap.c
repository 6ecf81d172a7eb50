/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout (google/sentencepiece, src/normalizer.cc, DecodePrecompiledCharsMap): the bytes of a trie,
 * u32 little-endian; the trie; texts that end with NUL. The trie is a double array of Darts-clone
 * (s-yata/darts-clone, include/darts.h, DoubleArrayUnit), whose search looks at unit `i ^ offset(i)
 * ^ byte` for any byte of a text, and takes a leaf's value for the place of a text. Neither it nor
 * the library looks at bounds.
 */
#include "model/text/spm_charsmap.h"

#include "model/formats/little_endian.h"

#include <stdbool.h>

enum { LENGTH_BYTES = 4, UNIT_BYTES = 4, LEAF_SHIFT = 31 };

static uint32_t unit_at(tn_text trie, size_t i)
{
    return tn_load_u32((const uint8_t *)trie.data + i * UNIT_BYTES);
}

/* DoubleArrayUnit::offset. */
static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* Every unit, whether a search comes there or not; n_texts: bytes of the texts. */
static bool is_closed(tn_text trie, size_t n_texts)
{
    const size_t n = trie.n / UNIT_BYTES;
    for (size_t i = 0; i < n; i++) {
        const uint32_t unit = unit_at(trie, i);
        const bool is_leaf = unit >> LEAF_SHIFT;
        if (is_leaf && (unit & ~(1u << LEAF_SHIFT)) >= n_texts)
            return false;
        if (!is_leaf && ((i ^ offset_of(unit)) | 0xff) >= n)
            return false;
    }
    return n > 0;
}

tn_status tn_spm_charsmap_check(tn_text charsmap, tn_error *err)
{
    if (charsmap.n == 0)
        return TN_OK;
    const size_t n_rest = charsmap.n < LENGTH_BYTES ? 0 : charsmap.n - LENGTH_BYTES;
    const size_t n_trie = n_rest ? tn_load_u32((const uint8_t *)charsmap.data) : 0;
    if (n_trie >= n_rest || n_trie % UNIT_BYTES != 0 || charsmap.data[charsmap.n - 1] != '\0')
        return tn_fail(err, TN_INVALID,
                       "precompiled_charsmap of %zu bytes is no trie and texts that end with NUL",
                       charsmap.n);
    const tn_text trie = { charsmap.data + LENGTH_BYTES, n_trie };
    if (!is_closed(trie, n_rest - n_trie))
        return tn_fail(
            err, TN_INVALID,
            "precompiled_charsmap leads out of its trie of %zu units or its %zu bytes of "
            "texts",
            n_trie / UNIT_BYTES, n_rest - n_trie);
    return TN_OK;
}
