/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cache_dir.h"

#include "core/base/alloc.h"
#include "runtime/profile_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_FILES = 1 << 16,
    MAX_PATH_BYTES = 1 << 16,
    /* A writer writes all the time, so a temporary file untouched for so long has none any more. */
    TEMP_LIFE_S = 600,
    AUTO_PERCENT = 25,
};

/* ---- the directory ---- */

tn_status tn_cache_dir_path(char **out, tn_error *err)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    tn_strbuf path = TN_STRBUF(MAX_PATH_BYTES);
    *out = NULL;
    /* XDG Base Directory Specification 0.8: a relative path is to be ignored. */
    if (base && base[0] == '/')
        tn_strbuf_printf(&path, "%s/tenon", base);
    else if (home && home[0] == '/')
        tn_strbuf_printf(&path, "%s/.cache/tenon", home);
    else
        return tn_fail(err, TN_UNAVAILABLE,
                       "no directory for the cache: neither XDG_CACHE_HOME nor HOME is an absolute "
                       "path");
    *out = tn_strbuf_take(&path);
    tn_strbuf_deinit(&path);
    return *out ? TN_OK : tn_fail_memory(err, "the path of the cache");
}

/* mkdir -p, every new directory with mode 0700. */
static tn_status make_directories(char *path, tn_error *err)
{
    for (char *slash = path + 1;; slash++) {
        slash = strchr(slash, '/');
        if (slash)
            *slash = 0;
        const bool is_there = mkdir(path, 0700) == 0 || errno == EEXIST;
        const int reason = errno;
        struct stat st;
        if (!is_there && stat(path, &st) != 0)
            return tn_fail(err, TN_UNAVAILABLE, "cannot make the cache directory %s: %s", path,
                           strerror(reason));
        if (!slash)
            return TN_OK;
        *slash = '/';
    }
}

static tn_status check_private(const struct stat *st, const char *path, tn_error *err)
{
    if (st->st_uid != geteuid())
        return tn_fail(err, TN_INVALID, "%s belongs to user %lu, not to you (%lu): not used", path,
                       (unsigned long)st->st_uid, (unsigned long)geteuid());
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return tn_fail(err, TN_INVALID, "%s may be written by others (mode %03o): not used", path,
                       (unsigned)(st->st_mode & 0777));
    return TN_OK;
}

static tn_status check_directory(const char *path, tn_error *err)
{
    struct stat st;
    tn_status status = TN_OK;
    if (lstat(path, &st) != 0)
        return tn_fail(err, TN_UNAVAILABLE, "cannot use the cache directory %s: %s", path,
                       strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return tn_fail(err, TN_UNAVAILABLE, "the cache directory %s is no directory", path);
    status = check_private(&st, path, err);
    if (status && err)
        err->code = TN_UNAVAILABLE;
    return status ? TN_UNAVAILABLE : TN_OK;
}

tn_status tn_cache_dir_open(char **out, tn_error *err)
{
    TN_TRY(tn_cache_dir_path(out, err));
    tn_status st = make_directories(*out, err);
    if (!st)
        st = check_directory(*out, err);
    if (st) {
        tn_free(*out);
        *out = NULL;
    }
    return st;
}

/* ---- files ---- */

char *tn_cache_dir_file(const char *dir, const char *name, const char *end)
{
    tn_strbuf path = TN_STRBUF(MAX_PATH_BYTES);
    tn_strbuf_printf(&path, "%s/%s%s", dir, name, end);
    char *text = tn_strbuf_take(&path);
    tn_strbuf_deinit(&path);
    return text;
}

tn_status tn_cache_check_owner(const char *path, tn_error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return tn_fail(err, TN_INVALID, "cannot examine %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return tn_fail(err, TN_INVALID, "%s is no regular file: not used", path);
    return check_private(&st, path, err);
}

void tn_cache_touch(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* ---- list ---- */

static bool has_end(const char *name, const char *end)
{
    const size_t n = strlen(name), n_end = strlen(end);
    return n > n_end && strcmp(name + n - n_end, end) == 0;
}

static bool is_ours(const char *name)
{
    return has_end(name, TN_CACHE_PACK) || has_end(name, TN_CACHE_DIGEST) ||
           has_end(name, TN_CACHE_TEMP);
}

static tn_status append(tn_cache_list *list, const char *dir, const char *name, tn_error *err)
{
    struct stat st;
    tn_cache_file *more = tn_realloc_array(list->file, list->n + 1, sizeof *more);
    if (!more)
        return tn_fail_memory(err, "the list of the cache");
    list->file = more;
    char *path = tn_cache_dir_file(dir, name, "");
    if (!path)
        return tn_fail_memory(err, "the list of the cache");
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) { /* gone meanwhile, or not ours */
        tn_free(path);
        return TN_OK;
    }
    list->file[list->n++] = (tn_cache_file){ path, (uint64_t)st.st_size, (int64_t)st.st_mtime };
    list->bytes += (uint64_t)st.st_size;
    return TN_OK;
}

static int by_use(const void *a, const void *b)
{
    const tn_cache_file *x = a, *y = b;
    if (x->used_s != y->used_s)
        return x->used_s < y->used_s ? -1 : 1;
    return strcmp(x->path, y->path);
}

tn_status tn_cache_list_read(const char *dir, tn_cache_list *out, tn_error *err)
{
    tn_status st = TN_OK;
    *out = (tn_cache_list){ 0 };
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return TN_OK;
    if (!d)
        return tn_fail(err, TN_INVALID, "cannot read the cache directory %s: %s", dir,
                       strerror(errno));
    for (struct dirent *e; !st && out->n < MAX_FILES && (e = readdir(d));)
        if (is_ours(e->d_name))
            st = append(out, dir, e->d_name, err);
    closedir(d);
    if (st)
        tn_cache_list_deinit(out);
    else if (out->n)
        qsort(out->file, out->n, sizeof *out->file, by_use);
    return st;
}

void tn_cache_list_deinit(tn_cache_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        tn_free(list->file[i].path);
    tn_free(list->file);
    *list = (tn_cache_list){ 0 };
}

/* ---- limit ---- */

tn_status tn_cache_limit(const tn_profile *profile, tn_profile_size *out, bool *out_off,
                         tn_error *err)
{
    const char *text = getenv("TENON_CACHE_LIMIT");
    *out = (tn_profile_size){ .kind = TN_PROFILE_MEMORY_AUTO };
    *out_off = profile && !profile->cache.enabled;
    if (profile && strcmp(tn_profile_where(profile, "cache.limit"), "default") != 0)
        *out = profile->cache.limit;
    else if (text && strcmp(text, "0") == 0)
        *out_off = true;
    else if (text && *text && !tn_profile_parse_size(text, out))
        return tn_fail(err, TN_INVALID,
                       "TENON_CACHE_LIMIT is \"%.40s\"; allowed: 0 (no cache), auto, a share of "
                       "what is free such as 20%%, or a size such as 2GiB",
                       text);
    return TN_OK;
}

tn_status tn_cache_limit_bytes(const tn_profile_size *limit, const char *dir, uint64_t *out,
                               tn_error *err)
{
    struct statvfs fs;
    tn_cache_list list;
    *out = limit->bytes;
    if (limit->kind == TN_PROFILE_MEMORY_BYTES)
        return TN_OK;
    TN_TRY(tn_cache_list_read(dir, &list, err));
    const uint64_t held = list.bytes;
    tn_cache_list_deinit(&list);
    if (statvfs(dir, &fs) != 0)
        return tn_fail(err, TN_UNAVAILABLE, "cannot tell what is free in %s: %s", dir,
                       strerror(errno));
    const int32_t percent =
        limit->kind == TN_PROFILE_MEMORY_PERCENT ? limit->percent : AUTO_PERCENT;
    const double whole = (double)fs.f_bavail * (double)fs.f_frsize + (double)held;
    *out = (uint64_t)(whole * percent / 100.0);
    return TN_OK;
}

tn_status tn_cache_trim(const char *dir, uint64_t bytes, tn_error *err)
{
    tn_cache_list list;
    const int64_t now = (int64_t)time(NULL);
    TN_TRY(tn_cache_list_read(dir, &list, err));
    for (size_t i = 0; i < list.n; i++) {
        const tn_cache_file *f = &list.file[i];
        const bool is_temp = has_end(f->path, TN_CACHE_TEMP);
        /* One that is being written counts, but stays. */
        const bool remove = is_temp ? f->used_s + TEMP_LIFE_S < now : list.bytes > bytes;
        if (remove && unlink(f->path) == 0)
            list.bytes -= f->bytes;
    }
    tn_cache_list_deinit(&list);
    return TN_OK;
}

tn_status tn_cache_clear(const char *dir, tn_cache_list *out, tn_error *err)
{
    TN_TRY(tn_cache_list_read(dir, out, err));
    for (size_t i = 0; i < out->n; i++)
        if (unlink(out->file[i].path) != 0 && errno != ENOENT) {
            const tn_status st = tn_fail(err, TN_INTERNAL, "cannot remove %s: %s",
                                         out->file[i].path, strerror(errno));
            tn_cache_list_deinit(out);
            return st;
        }
    return TN_OK;
}
