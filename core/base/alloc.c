/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "core/base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT_BYTES = 256 };

/* Counters for tests. Relaxed: they order nothing else. */
static _Atomic uint64_t alloc_count;
static _Atomic uint64_t fail_countdown;
static _Atomic int64_t live_count;

bool tn_alloc_must_fail(void)
{
    atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed);
    uint64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);

    while (left > 0) {
        if (atomic_compare_exchange_weak_explicit(&fail_countdown, &left, left - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return left == 1;
    }
    return false;
}

void tn_alloc_fail_at(uint64_t n)
{
    atomic_store_explicit(&fail_countdown, n, memory_order_relaxed);
}

uint64_t tn_alloc_count(void)
{
    return atomic_load_explicit(&alloc_count, memory_order_relaxed);
}

int64_t tn_alloc_live(void)
{
    return atomic_load_explicit(&live_count, memory_order_relaxed);
}

/* Count `block`, unless it is NULL, as one more (or, with -1, one less) that is in use. */
static void *count_live(void *block, int n)
{
    if (block)
        atomic_fetch_add_explicit(&live_count, n, memory_order_relaxed);
    return block;
}

bool tn_size_mul(size_t a, size_t b, size_t *out)
{
    bool fits = b == 0 || a <= SIZE_MAX / b;

    *out = fits ? a * b : 0;
    return fits;
}

bool tn_size_add(size_t a, size_t b, size_t *out)
{
    bool fits = a <= SIZE_MAX - b;

    *out = fits ? a + b : 0;
    return fits;
}

void *tn_alloc(size_t n)
{
    return tn_alloc_must_fail() ? NULL : count_live(malloc(n > 0 ? n : 1), 1);
}

void *tn_alloc_array(size_t n, size_t size)
{
    size_t total;

    if (tn_alloc_must_fail() || !tn_size_mul(n, size, &total))
        return NULL;
    return count_live(calloc(total > 0 ? total : 1, 1), 1);
}

void *tn_realloc_array(void *block, size_t n, size_t size)
{
    size_t total;

    if (tn_alloc_must_fail() || !tn_size_mul(n, size, &total))
        return NULL;
    return count_live(realloc(block, total > 0 ? total : 1), block ? 0 : 1);
}

void tn_free(void *block)
{
    free(count_live(block, -1));
}

char *tn_strndup(const char *text, size_t n)
{
    size_t len = strnlen(text, n);
    size_t total;
    char *copy = tn_size_add(len, 1, &total) ? tn_alloc(total) : NULL;

    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *tn_strdup(const char *text)
{
    return tn_strndup(text, strlen(text));
}

void *tn_alloc_aligned(size_t n)
{
    void *block = NULL;

    if (tn_alloc_must_fail() || posix_memalign(&block, ALIGNMENT_BYTES, n > 0 ? n : 1) != 0)
        return NULL;
    return count_live(block, 1);
}

void *tn_pages_alloc(size_t n)
{
    if (tn_alloc_must_fail())
        return NULL;
    void *pages = mmap(NULL, n > 0 ? n : 1, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages == MAP_FAILED ? NULL : count_live(pages, 1);
}

void tn_pages_release(void *pages, size_t n)
{
    if (count_live(pages, -1))
        munmap(pages, n > 0 ? n : 1);
}

void tn_pages_prefer_huge(void *pages, size_t n)
{
    (void)madvise(pages, n, MADV_HUGEPAGE);
}
