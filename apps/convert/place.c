/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/convert/convert_impl.h"
#include "core/base/alloc.h"
#include "core/base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_empty(const char *directory)
{
    DIR *dir = opendir(directory);
    bool empty = dir != NULL;
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry && empty; entry = readdir(dir))
        empty = is_dot(entry->d_name);
    if (dir)
        (void)closedir(dir);
    return empty;
}

tn_status tn_convert_place(const char *target, bool is_directory, char **out, tn_error *err)
{
    struct stat st;
    size_t n = strlen(target);
    while (is_directory && n > 1 && target[n - 1] == '/')
        n--;
    *out = NULL;
    if (n == 0)
        return tn_fail(err, TN_INVALID, "DST is empty; give the name of a new %s",
                       is_directory ? "directory" : "file");
    if (lstat(target, &st) == 0 && !(is_directory && S_ISDIR(st.st_mode) && is_empty(target)))
        return tn_fail(err, TN_INVALID, "%s is there already%s; remove it or give another name",
                       target, is_directory && S_ISDIR(st.st_mode) ? " and not empty" : "");
    *out = tn_strndup(target, n);
    return *out ? TN_OK : tn_fail_memory(err, target);
}

tn_status tn_convert_check_space(const char *path, uint64_t bytes, tn_error *err)
{
    struct statvfs fs;
    const char *slash = strrchr(path, '/');
    char *parent = slash ? tn_strndup(path, (size_t)(slash - path) + 1) : tn_strdup(".");
    if (!parent)
        return tn_fail_memory(err, path);
    const int failed = statvfs(parent, &fs) ? errno : 0;
    tn_free(parent);
    if (failed)
        return tn_fail(err, TN_INVALID, "cannot write %s: %s", path, strerror(failed));
    const uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (available >= bytes)
        return TN_OK;
    return tn_fail(err, TN_INTERNAL,
                   "%s needs %llu MB, and %llu MB are free there; make room or give another place",
                   path, (unsigned long long)(bytes / 1000000),
                   (unsigned long long)(available / 1000000));
}

void tn_convert_remove(const char *directory)
{
    DIR *dir = opendir(directory);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        if (!is_dot(entry->d_name))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        (void)closedir(dir);
    (void)rmdir(directory);
}
