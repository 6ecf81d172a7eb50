/* SPDX-License-Identifier: Apache-2.0 */
/* What each broken-w4a16-NAME gets wrong; all else is cuda-w4a16's own code.
 * tests/e2e/test_cuda_w4a16.py has what a check must say of each. */
#ifndef TN_TESTS_PLUGINS_CUDA_W4A16_BROKEN_FAULTS_H
#define TN_TESTS_PLUGINS_CUDA_W4A16_BROKEN_FAULTS_H

/* The kernels take the two codes of a byte in the other order; what is packed is right. */
#define NIBBLE_ORDER 1
/* The kernels take the zero points (offsets) of the column 8 further; what is packed is right. */
#define NEIGHBOUR_COLUMN 2
/* A group is packed with the zero point (offset) of the group after it. */
#define NEIGHBOUR_ZERO 3
/* Scales are packed as if they came group by group, not row by row. */
#define TRANSPOSED_SCALE 4

#endif
