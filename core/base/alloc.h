/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All memory of the host goes through here: checked arithmetic, one place to count and to make fail in tests.
 * Thread: every function may be called from any thread.
 */
#ifndef TN_CORE_BASE_ALLOC_H
#define TN_CORE_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** *out = a * b (a + b); false and *out = 0 on overflow. */
bool tn_size_mul(size_t a, size_t b, size_t *out);
bool tn_size_add(size_t a, size_t b, size_t *out);

/** Uninitialised memory of n bytes (n = 0 gives a valid pointer), or NULL. */
void *tn_alloc(size_t n);
/** Zeroed array of n elements of `size` bytes; NULL on overflow or lack of memory. */
void *tn_alloc_array(size_t n, size_t size);
/** Grow or shrink to n elements; the old block stays valid when NULL is returned. New bytes are not initialised. */
void *tn_realloc_array(void *block, size_t n, size_t size);
/** Free memory of this header's functions (not of tn_pages_*); NULL is allowed. */
void tn_free(void *block);
/** Copies; NULL on lack of memory. tn_strndup copies at most n bytes and ends with NUL. */
char *tn_strdup(const char *text);
char *tn_strndup(const char *text, size_t n);

/** Memory aligned to 256 bytes, not initialised; release with tn_free. */
void *tn_alloc_aligned(size_t n);

/** Zeroed pages from the system, touched lazily (for KV pools and big buffers); NULL on failure. */
void *tn_pages_alloc(size_t n);
void tn_pages_release(void *pages, size_t n);
/** These will all be read again and again: huge pages, where the system has some. */
void tn_pages_prefer_huge(void *pages, size_t n);

/** Tests: the n-th allocation from now fails (1 = the next), once; 0 switches it off. Counts every function above. */
void tn_alloc_fail_at(uint64_t n);
/** Count one allocation; true when a test asked for this one to fail. For allocators on top of this one. */
bool tn_alloc_must_fail(void);
/** Tests: allocations made so far in this process. */
uint64_t tn_alloc_count(void);
/** Tests: blocks that are in use now: a call that failed leaves it as it was. */
int64_t tn_alloc_live(void);

#ifdef __cplusplus
}
#endif
#endif
