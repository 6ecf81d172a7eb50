/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "model/formats/write_file.h"

#include "core/base/alloc.h"
#include "core/base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct tn_file_writer {
    char *path;      /* as the caller gave it, for messages */
    char *target;    /* where links lead */
    char *temporary; /* NULL for a device, which is written to as it is */
    int fd;          /* -1: closed */
};

void tn_sync_directory_of(const char *path)
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

static tn_status fail(const tn_file_writer *w, tn_status status, int reason, tn_error *err)
{
    return tn_fail(err, status, "cannot write %s: %s", w->path, strerror(reason));
}

/* ---- open ---- */

static char *temporary_name(const char *target)
{
    static atomic_uint serial; /* two writers of one process never share a temporary name */
    struct timespec now;       /* nor do two of containers, where every process may be number 1 */
    tn_strbuf name = TN_STRBUF(1 << 16);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    tn_strbuf_printf(&name, "%s.%ld.%u.%lx%lx.tmp", target, (long)getpid(),
                     atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed),
                     (unsigned long)now.tv_sec, (unsigned long)now.tv_nsec);
    char *text = tn_strbuf_take(&name);
    tn_strbuf_deinit(&name);
    return text;
}

static tn_status open_target(tn_file_writer *w, unsigned mode, tn_error *err)
{
    char target[PATH_MAX];
    struct stat st;
    const bool exists = realpath(w->path, target) && stat(target, &st) == 0;
    if (exists && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
        return tn_fail(err, TN_INVALID, "cannot write %s: it is %s; give the name of a file",
                       w->path, S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
    w->target = tn_strdup(exists ? target : w->path);
    if (!w->target)
        return tn_fail_memory(err, w->path);
    if (exists && S_ISCHR(st.st_mode)) {
        w->fd = open(w->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return w->fd < 0 ? fail(w, TN_INVALID, errno, err) : TN_OK;
    }
    w->temporary = temporary_name(w->target);
    if (!w->temporary)
        return tn_fail_memory(err, w->path);
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    if (w->fd >= 0)
        return TN_OK;
    const int reason = errno;
    tn_free(w->temporary); /* what is there, if anything, is not ours */
    w->temporary = NULL;
    return fail(w, TN_INVALID, reason, err);
}

tn_status tn_file_writer_open(const char *path, unsigned mode, tn_file_writer **out, tn_error *err)
{
    tn_file_writer *w = tn_alloc_array(1, sizeof(*w));
    *out = NULL;
    if (!w)
        return tn_fail_memory(err, path);
    w->fd = -1;
    w->path = tn_strdup(path);
    tn_status st = w->path ? open_target(w, mode, err) : tn_fail_memory(err, path);
    if (st)
        tn_file_writer_abort(w);
    else
        *out = w;
    return st;
}

/* ---- write ---- */

tn_status tn_file_writer_put(tn_file_writer *w, const void *data, size_t n, tn_error *err)
{
    const char *at = data;
    while (n > 0) {
        const ssize_t done = write(w->fd, at, n);
        if (done < 0 && errno != EINTR)
            return fail(w, TN_INTERNAL, errno, err);
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return TN_OK;
}

static tn_status finish(tn_file_writer *w, bool sync, tn_error *err)
{
    int reason = sync && w->temporary && fsync(w->fd) != 0 ? errno : 0;
    if (close(w->fd) != 0 && !reason)
        reason = errno;
    w->fd = -1;
    if (!reason && w->temporary && rename(w->temporary, w->target) != 0)
        reason = errno;
    if (reason)
        return fail(w, TN_INTERNAL, reason, err);
    if (sync && w->temporary)
        tn_sync_directory_of(w->target);
    tn_free(w->temporary);
    w->temporary = NULL;
    return TN_OK;
}

tn_status tn_file_writer_commit(tn_file_writer *w, tn_error *err)
{
    return finish(w, true, err);
}

tn_status tn_file_writer_publish(tn_file_writer *w, tn_error *err)
{
    return finish(w, false, err);
}

void tn_file_writer_abort(tn_file_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    if (w->temporary)
        (void)unlink(w->temporary);
    tn_free(w->temporary);
    tn_free(w->target);
    tn_free(w->path);
    tn_free(w);
}

tn_status tn_write_file(const char *path, const tn_write_args *args, tn_error *err)
{
    tn_file_writer *w = NULL;
    TN_TRY(tn_file_writer_open(path, args->mode, &w, err));
    tn_status st = TN_OK;
    for (int i = 0; i < args->n_parts && !st; i++)
        st = tn_file_writer_put(w, args->part[i].data, args->part[i].n, err);
    if (!st)
        st = tn_file_writer_commit(w, err);
    tn_file_writer_abort(w);
    if (st == TN_INTERNAL) { /* whoever names a file is told so */
        st = TN_INVALID;
        if (err)
            err->code = st;
    }
    return st;
}
