/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written whole or not at all: under another name, synced, renamed. Thread: any; one
 * writer is one thread's. */
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

/**
 * The same for what comes piece by piece: open, put as often as needed, commit; abort in any case,
 * which frees, and removes what was written unless it was committed.
 */
typedef struct tn_file_writer tn_file_writer;

/** TN_INVALID when there can be no file of that name. */
tn_status tn_file_writer_open(const char *path, unsigned mode, tn_file_writer **out,
                              tn_error *err) TN_MUST_USE;
/** TN_INTERNAL when the system refuses: a full disk, a limit. */
tn_status tn_file_writer_put(tn_file_writer *w, const void *data, size_t n,
                             tn_error *err) TN_MUST_USE;
/** TN_INTERNAL likewise: then path is what it was before. */
tn_status tn_file_writer_commit(tn_file_writer *w, tn_error *err) TN_MUST_USE;
/** As commit, but the bytes reach the disk when the system likes: for what is checked whenever it
 * is read, and can be made again. */
tn_status tn_file_writer_publish(tn_file_writer *w, tn_error *err) TN_MUST_USE;
void tn_file_writer_abort(tn_file_writer *w);

/** Make a rename to path last. A file system that cannot do it is none of our errors. */
void tn_sync_directory_of(const char *path);

#endif
