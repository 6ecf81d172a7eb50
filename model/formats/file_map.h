/* SPDX-License-Identifier: Apache-2.0 */
/* A regular file mapped read-only. Thread: immutable after open, but for tn_file_map_drop, which any thread may call. */
#ifndef TN_MODEL_FORMATS_FILE_MAP_H
#define TN_MODEL_FORMATS_FILE_MAP_H

#include "core/base/status.h"

#include <stddef.h>

typedef struct tn_file_map {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
    uint64_t inode, device, mtime_ns; /* identity, for caches */
} tn_file_map;

/** Map path. TN_INVALID with a message for: missing, a directory, not a regular file, not readable. An empty file maps to size 0. */
tn_status tn_file_map_open(tn_file_map *map, const char *path, tn_error *err) TN_MUST_USE;
/** Tell the kernel that [offset, offset + n) is not needed in memory any more (it is read again from the file when touched). */
void tn_file_map_drop(const tn_file_map *map, size_t offset, size_t n);
void tn_file_map_close(tn_file_map *map);

/** Read a whole small file into NUL-terminated memory (tn_free); an error when it is larger than max_bytes. */
tn_status tn_file_read(const char *path, size_t max_bytes, char **out_text, size_t *out_n, tn_error *err) TN_MUST_USE;

#endif
