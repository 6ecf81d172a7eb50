/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "model/formats/write_file.h"

#include "core/base/alloc.h"
#include "core/base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0, or -1 with errno. */
static int write_parts(int fd, const tn_write_args *args)
{
    for (int i = 0; i < args->n_parts; i++) {
        const char *data = args->part[i].data;
        size_t left = args->part[i].n;
        while (left > 0) {
            const ssize_t n = write(fd, data, left);
            if (n < 0 && errno != EINTR)
                return -1;
            data += n > 0 ? n : 0;
            left -= n > 0 ? (size_t)n : 0;
        }
    }
    return 0;
}

/* Make the rename last: fsync of the directory that holds path. A file system that cannot do it is
 * none of our errors. */
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? tn_strndup(path, (size_t)(slash - path) + 1) : tn_strdup(".");
    const int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    tn_free(directory);
    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)close(fd);
}

/* 0, or the errno of what failed; then there is no file of that name. */
static int write_new(const char *temporary, const char *path, const tn_write_args *args)
{
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)args->mode);
    if (fd < 0)
        return errno;
    int reason = write_parts(fd, args) != 0 || fsync(fd) != 0 ? errno : 0;
    if (close(fd) != 0 && !reason)
        reason = errno;
    if (!reason && rename(temporary, path) != 0)
        reason = errno;
    if (reason)
        (void)unlink(temporary);
    else
        sync_directory(path);
    return reason;
}

static int write_device(const char *path, const tn_write_args *args)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno;
    int reason = write_parts(fd, args) != 0 ? errno : 0;
    if (close(fd) != 0 && !reason)
        reason = errno;
    return reason;
}

tn_status tn_write_file(const char *path, const tn_write_args *args, tn_error *err)
{
    static atomic_uint serial; /* two writers of one process never share a temporary name */
    char target[PATH_MAX];
    struct stat st;
    const bool exists = realpath(path, target) && stat(target, &st) == 0;
    if (exists && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
        return tn_fail(err, TN_INVALID, "cannot write %s: it is %s; give the name of a file", path,
                       S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
    int reason = 0;
    if (exists && S_ISCHR(st.st_mode)) {
        reason = write_device(target, args);
    } else {
        tn_strbuf temporary = TN_STRBUF(1 << 16);
        tn_strbuf_printf(&temporary, "%s.%ld.%u.tmp", exists ? target : path, (long)getpid(),
                         atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed));
        reason =
            temporary.failed ? ENOMEM : write_new(temporary.data, exists ? target : path, args);
        tn_strbuf_deinit(&temporary);
    }
    if (reason == ENOMEM)
        return tn_fail_memory(err, path);
    return reason ? tn_fail(err, TN_INVALID, "cannot write %s: %s", path, strerror(reason)) : TN_OK;
}
