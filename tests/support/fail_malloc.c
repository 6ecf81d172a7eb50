/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: malloc, calloc and realloc that fail once, at the n-th call of what is not the C
 * library or the dynamic linker, which end the process when they have no memory.
 *
 *     TENON_FAIL_MALLOC=17 LD_PRELOAD=fail_malloc.so tenon run ...
 *
 * With TENON_FAIL_REPORT the number of the calls is written to that file at exit. Needs glibc,
 * whose own functions are reached by their other names.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANGES = 64 };

void *__libc_malloc(size_t n);               // NOLINT(bugprone-reserved-identifier)
void *__libc_calloc(size_t n, size_t size);  // NOLINT(bugprone-reserved-identifier)
void *__libc_realloc(void *block, size_t n); // NOLINT(bugprone-reserved-identifier)

typedef struct range {
    uintptr_t begin, end;
} range;

static range spared[MAX_RANGES];
static int n_spared;
static atomic_int is_ready;
static _Atomic uint64_t n_calls, fail_at;

static int add_ranges(struct dl_phdr_info *info, size_t size, void *unused)
{
    static const char *const names[] = { "/libc.so", "/ld-linux", "/libpthread" };
    (void)size;
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!strstr(info->dlpi_name, names[i]))
            continue;
        for (int h = 0; h < info->dlpi_phnum && n_spared < MAX_RANGES; h++) {
            const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[h].p_vaddr;
            if (info->dlpi_phdr[h].p_type == PT_LOAD)
                spared[n_spared++] = (range){ begin, begin + info->dlpi_phdr[h].p_memsz };
        }
    }
    return 0;
}

__attribute__((constructor)) static void start(void)
{
    const char *text = getenv("TENON_FAIL_MALLOC");
    dl_iterate_phdr(add_ranges, NULL);
    atomic_store(&fail_at, text ? strtoull(text, NULL, 10) : 0);
    atomic_store(&is_ready, 1);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("TENON_FAIL_REPORT");
    const uint64_t n = atomic_load(&n_calls);
    atomic_store(&is_ready, 0);
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    (void)fprintf(file, "%llu\n", (unsigned long long)n);
    (void)fclose(file);
}

static int must_fail(const void *caller)
{
    const uintptr_t at = (uintptr_t)caller;
    if (!atomic_load(&is_ready))
        return 0;
    for (int i = 0; i < n_spared; i++)
        if (at >= spared[i].begin && at < spared[i].end)
            return 0;
    return atomic_fetch_add(&n_calls, 1) + 1 == atomic_load(&fail_at);
}

__attribute__((visibility("default"))) void *malloc(size_t n)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *block, size_t n)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_realloc(block, n);
}
