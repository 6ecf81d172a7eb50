/* SPDX-License-Identifier: Apache-2.0 */
/* For inputs that try to take much memory. */
#ifndef TN_TESTS_SUPPORT_HOSTILE_H
#define TN_TESTS_SUPPORT_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>

/** From now on the process gets at most `bytes` more address space (RLIMIT_AS), whoever asks for
 * it; 0: as much as before. Without effect under sanitizers, whose own memory is not predictable.
 */
void tn_test_memory_limit(size_t bytes);

/** What is between begin and end must be refused within 64 MiB and a second. The end says whether
 * it took less than a second of the processor (ten under sanitizers). */
void tn_test_refusal_begin(void);
bool tn_test_refusal_end(void);

#endif
