/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of what a start may take over from an earlier one: $XDG_CACHE_HOME/tenon, or
 * ~/.cache/tenon. It and its files belong to the user, and nobody else may write them; what does
 * not is refused. Everything in it can be made again, so files are removed at any time, the least
 * recently used first; the time of use is the file's mtime.
 * Thread: any; other processes may work in the directory at the same time.
 */
#ifndef TN_RUNTIME_CACHE_DIR_H
#define TN_RUNTIME_CACHE_DIR_H

#include "core/base/status.h"
#include "runtime/profile.h"

#include <stdbool.h>
#include <stdint.h>

/* Ends of names: packed weights; digests of models; files that are being written. */
#define TN_CACHE_PACK   ".pack"
#define TN_CACHE_DIGEST ".digest"
#define TN_CACHE_TEMP   ".tmp"

typedef struct tn_cache_file {
    char *path;
    uint64_t bytes;
    int64_t used_s; /* since 1970 */
} tn_cache_file;

/* Files of these ends, the least recently used first. */
typedef struct tn_cache_list {
    tn_cache_file *file;
    size_t n;
    uint64_t bytes;
} tn_cache_list;

/** Path of the directory, which need not exist (tn_free). TN_UNAVAILABLE when the environment names
 * none. */
tn_status tn_cache_dir_path(char **out, tn_error *err) TN_MUST_USE;
/** The same, made with mode 0700 when it is not there, and checked. TN_UNAVAILABLE: why not. */
tn_status tn_cache_dir_open(char **out, tn_error *err) TN_MUST_USE;
/** `dir/name end` (tn_free), or NULL. */
char *tn_cache_dir_file(const char *dir, const char *name, const char *end);

/** A file that belongs to the user and that nobody else may write; else TN_INVALID says why. */
tn_status tn_cache_check_owner(const char *path, tn_error *err) TN_MUST_USE;
/** It was used now. */
void tn_cache_touch(const char *path);

/** No directory: an empty list. */
tn_status tn_cache_list_read(const char *dir, tn_cache_list *out, tn_error *err) TN_MUST_USE;
void tn_cache_list_deinit(tn_cache_list *list);

/**
 * What the directory may hold by cache.limit of the profile (which may be NULL), or else by
 * $TENON_CACHE_LIMIT; *out_off: the cache is switched off by one of them.
 */
tn_status tn_cache_limit(const tn_profile *profile, tn_profile_size *out, bool *out_off,
                         tn_error *err) TN_MUST_USE;
/** The same in bytes; a share is of what is free there and what the cache itself has. */
tn_status tn_cache_limit_bytes(const tn_profile_size *limit, const char *dir, uint64_t *out,
                               tn_error *err) TN_MUST_USE;
/** Remove the least recently used files until `bytes` are left at most, and what writers that died
 * left behind. */
tn_status tn_cache_trim(const char *dir, uint64_t bytes, tn_error *err) TN_MUST_USE;
/** Remove all files; what was removed is in *out (tn_cache_list_deinit). TN_INTERNAL: one stays. */
tn_status tn_cache_clear(const char *dir, tn_cache_list *out, tn_error *err) TN_MUST_USE;

#endif
