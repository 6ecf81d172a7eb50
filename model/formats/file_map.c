/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise: glibc's posix_madvise ignores POSIX_MADV_DONTNEED */
#include "model/formats/file_map.h"

#include "core/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static tn_status fail_errno(tn_error *err, const char *action, const char *path)
{
    return tn_fail(err, TN_INVALID, "cannot %s %s: %s", action, path, strerror(errno));
}

/* Open a regular file; *out_fd belongs to the caller on success. */
static tn_status open_regular(const char *path, int *out_fd, struct stat *st, tn_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer; on a regular file it does nothing. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return fail_errno(err, "open", path);
    tn_status status = TN_OK;
    if (fstat(fd, st) != 0)
        status = fail_errno(err, "examine", path);
    else if (S_ISDIR(st->st_mode))
        status = tn_fail(err, TN_INVALID, "cannot read %s (a directory): a file is needed", path);
    else if (!S_ISREG(st->st_mode))
        status = tn_fail(err, TN_INVALID, "cannot read %s (not a regular file)", path);
    if (status)
        close(fd);
    else
        *out_fd = fd;
    return status;
}

tn_status tn_file_map_open(tn_file_map *map, const char *path, tn_error *err)
{
    struct stat st;
    int fd = -1;

    *map = (tn_file_map){ 0 };
    TN_TRY(open_regular(path, &fd, &st, err));
    tn_status status = TN_OK;
    void *data = NULL;
    if ((uintmax_t)st.st_size > SIZE_MAX)
        status = tn_fail(err, TN_INVALID, "cannot map %s: larger than the address space", path);
    else if (st.st_size > 0)
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        status = fail_errno(err, "map", path);
    close(fd);
    if (status)
        return status;
    *map = (tn_file_map){
        .data = data,
        .size = (size_t)st.st_size,
        .inode = (uint64_t)st.st_ino,
        .device = (uint64_t)st.st_dev,
        .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
    };
    return TN_OK;
}

/* The mapping's bytes as madvise and munmap want them: neither writes through the pointer. */
static void *writable(const uint8_t *data)
{
    void *p;

    memcpy(&p, &data, sizeof(p));
    return p;
}

void tn_file_map_drop(const tn_file_map *map, size_t offset, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (offset > map->size || n > map->size - offset)
        return;
    /* Whole pages inside the range only: a neighbour may still be reading the border pages. */
    size_t first = (offset + page - 1) / page * page;
    size_t last = (offset + n) / page * page;
    if (offset + n == map->size)
        last = map->size;
    if (first < last)
        madvise(writable(map->data + first), last - first, MADV_DONTNEED);
}

void tn_file_map_close(tn_file_map *map)
{
    if (map->data)
        munmap(writable(map->data), map->size);
    *map = (tn_file_map){ 0 };
}

/* Fill buffer; returns the bytes read (less than n at end of file), or -1 with errno. */
static ssize_t read_all(int fd, char *buffer, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, buffer + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

tn_status tn_file_read(const char *path, size_t max_bytes, char **out_text, size_t *out_n,
                       tn_error *err)
{
    struct stat st;
    int fd = -1;
    char *text = NULL;
    tn_status status;

    *out_text = NULL;
    *out_n = 0;
    TN_TRY(open_regular(path, &fd, &st, err));
    if ((uintmax_t)st.st_size > max_bytes) {
        status = tn_fail(err, TN_INVALID, "cannot read %s: %jd bytes, at most %zu are allowed",
                         path, (intmax_t)st.st_size, max_bytes);
        goto out;
    }
    size_t n = (size_t)st.st_size;
    text = tn_alloc(n + 1);
    if (!text) {
        status = tn_fail_memory(err, path);
        goto out;
    }
    ssize_t got = read_all(fd, text, n);
    if (got < 0) {
        status = fail_errno(err, "read", path);
        goto out;
    }
    text[got] = '\0';
    *out_text = text;
    *out_n = (size_t)got;
    text = NULL;
    status = TN_OK;
out:
    tn_free(text);
    close(fd);
    return status;
}
