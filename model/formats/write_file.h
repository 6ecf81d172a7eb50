/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written whole or not at all. Thread: any. */
#ifndef TN_MODEL_FORMATS_WRITE_FILE_H
#define TN_MODEL_FORMATS_WRITE_FILE_H

#include "core/base/status.h"

#include <stddef.h>

typedef struct tn_file_part {
    const void *data;
    size_t n;
} tn_file_part;

typedef struct tn_write_args {
    const tn_file_part *part; /* [n_parts], one after another */
    int n_parts;
    unsigned mode; /* of a new file, less the umask */
} tn_write_args;

/**
 * Write under another name, sync, rename: who reads path finds the old file or the new one, and
 * after a failure (a full disk) the old one. A symbolic link stays, and leads to the new file; a
 * character device (/dev/stdout, /dev/null) is written to. TN_INVALID names path and reason.
 */
tn_status tn_write_file(const char *path, const tn_write_args *args, tn_error *err) TN_MUST_USE;

#endif
