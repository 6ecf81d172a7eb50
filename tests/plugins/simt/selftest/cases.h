/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test of simt.h: a kernel for each wrapper, run by nvcc's build on a GPU and by the
 * host's on the emulator; scripts/gpu.sh compares their words. What a device may do its own way
 * (the order of sums, NaNs) does not occur, so every bit is fixed.
 */
#ifndef SIMT_SELFTEST_CASES_H
#define SIMT_SELFTEST_CASES_H

#include <stdint.h>

/* Words of a lane, and lanes of a case: one warp, but for block_is_last. */
enum { WORDS_IN = 16, WORDS_OUT = 32, LANES = 32 };

/* What the input words are: anything, pairs of f16 or bf16 in +-[1/64, 64), floats in +-[2^-27,
 * 2^17), or for mma two f16 or bf16 integers in [-8, 8] a word and float integers from word 8 on.
 */
enum inputs { any_words, f16_pairs, bf16_pairs, floats, f16_integers, bf16_integers };

typedef struct selftest_case {
    const char *name;
    enum inputs inputs;
    /* in[LANES][WORDS_IN], out[LANES][WORDS_OUT] with zeros; NULL or the error of the launch. */
    const char *(*launch)(const uint32_t *in, uint32_t *out);
} selftest_case;

extern const selftest_case selftest_cases[]; /* ends with a NULL name */

#endif
