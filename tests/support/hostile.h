/* SPDX-License-Identifier: Apache-2.0 */
/* For inputs that try to take much memory. */
#ifndef TN_TESTS_SUPPORT_HOSTILE_H
#define TN_TESTS_SUPPORT_HOSTILE_H

#include <stddef.h>

/** From now on the process gets at most `bytes` more address space (RLIMIT_AS), whoever asks for it; 0: as much as before. Without
 * effect under sanitizers, whose own memory is not predictable. */
void tn_test_memory_limit(size_t bytes);

#endif
