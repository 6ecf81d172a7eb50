/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "model/formats/map_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A model of as many shards as are read, several times. */
enum { MAX_GUARDS = 4096 };
/* Values of `begin` that are no address. */
enum { UNUSED = 0, RESERVED = 1 };

/*
 * The handler may run in any thread at any time, so this is a table that it can read without a
 * lock. begin/size: add stores size, then begin (release); a reader loads begin (acquire), size,
 * and begin once more, which tells it that the two belong together.
 */
struct tn_map_guard {
    _Atomic uintptr_t begin;
    _Atomic size_t size;
    atomic_bool is_lost;
    uint64_t inode, device;
};

static tn_map_guard guards[MAX_GUARDS];
static uintptr_t page_bytes;
static struct sigaction previous;
static pthread_once_t is_installed = PTHREAD_ONCE_INIT;

/* ---- the handler: async-signal-safe calls only ---- */

static bool range_of(tn_map_guard *guard, uintptr_t *begin, size_t *size)
{
    *begin = atomic_load_explicit(&guard->begin, memory_order_acquire);
    *size = atomic_load_explicit(&guard->size, memory_order_acquire);
    return *begin > RESERVED && *begin == atomic_load_explicit(&guard->begin, memory_order_relaxed);
}

/* Zeros from the page of the fault to the end of its mapping: what follows is gone as well. */
static bool cover(uintptr_t address)
{
    for (int i = 0; i < MAX_GUARDS; i++) {
        uintptr_t begin = 0;
        size_t size = 0;
        if (!range_of(&guards[i], &begin, &size) || address < begin || address - begin >= size)
            continue;
        const uintptr_t page = address / page_bytes * page_bytes;
        /* Relaxed: the kernel orders it before the zeros, which any thread may read. */
        atomic_store_explicit(&guards[i].is_lost, true, memory_order_relaxed);
        // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of a fault
        return mmap((void *)page, begin + size - page, PROT_READ,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
    }
    return false;
}

/* As if this handler were not there. */
static void pass_on(int signal_number, siginfo_t *info, void *context)
{
    const bool is_fault = info->si_code > 0;
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signal_number, info, context);
    } else if (previous.sa_handler == SIG_DFL || (previous.sa_handler == SIG_IGN && is_fault)) {
        (void)sigaction(signal_number, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
        if (!is_fault) /* a fault is raised again by the instruction that goes on */
            (void)raise(signal_number);
    } else if (previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal_number);
    }
}

static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
    const int saved = errno;
    if (info->si_code <= 0 || !cover((uintptr_t)info->si_addr))
        pass_on(signal_number, info, context);
    errno = saved;
}

static void install(void)
{
    struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, NULL, &previous); /* known before the handler can run */
    (void)sigaction(SIGBUS, &action, NULL);
}

/* ---- guards ---- */

tn_status tn_map_guard_add(const tn_file_map *map, tn_map_guard **out, tn_error *err)
{
    *out = NULL;
    if (!map->data)
        return TN_OK; /* an empty file: nothing to read */
    (void)pthread_once(&is_installed, install);
    for (int i = 0; i < MAX_GUARDS; i++) {
        tn_map_guard *guard = &guards[i];
        uintptr_t unused = UNUSED;
        if (!atomic_compare_exchange_strong(&guard->begin, &unused, RESERVED))
            continue;
        guard->inode = map->inode;
        guard->device = map->device;
        atomic_store(&guard->is_lost, false);
        atomic_store_explicit(&guard->size, map->size, memory_order_release);
        atomic_store_explicit(&guard->begin, (uintptr_t)map->data, memory_order_release);
        *out = guard;
        return TN_OK;
    }
    return tn_fail(err, TN_INVALID, "%d files are mapped already, which is the limit", MAX_GUARDS);
}

/* In the last page that is left, what was cut off reads as zeros and raises nothing. A file that
 * was replaced by another of its name is still whole for who has it mapped. */
static bool is_shorter(const tn_map_guard *guard, const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (uint64_t)st.st_ino == guard->inode &&
           (uint64_t)st.st_dev == guard->device && (uintmax_t)st.st_size < guard->size;
}

tn_status tn_map_guard_check(const tn_map_guard *guard, const char *path, tn_error *err)
{
    if (!guard ||
        (!atomic_load_explicit(&guard->is_lost, memory_order_relaxed) && !is_shorter(guard, path)))
        return TN_OK;
    return tn_fail(err, TN_INTERNAL,
                   "%s was truncated while it was read, or its disk failed: let no other program "
                   "write to it, or copy it again",
                   path);
}

void tn_map_guard_remove(tn_map_guard *guard)
{
    if (guard)
        atomic_store_explicit(&guard->begin, UNUSED, memory_order_release);
}
