/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed weights in a file that is mapped as it is:
 *
 *     head | key | zeros to a page | blob 0 | zeros to 256 | blob 1 | ... | XXH64 of each blob
 *
 * The key is the text of all that decides the bytes, and gives the number of blobs and their sizes,
 * so a reader knows the place of everything before it opens the file: there is nothing to parse,
 * only to compare. Numbers have the machine's byte order, as the blobs have.
 * A file system without huge pages would make the kernels wait for address translation: from there
 * large files are copied to memory that has them.
 * Thread: immutable after open; a writer is one thread's.
 */
#ifndef TN_RUNTIME_PACK_FILE_H
#define TN_RUNTIME_PACK_FILE_H

#include "core/base/strbuf.h"
#include "core/base/team.h"

#include <stdbool.h>
#include <stdint.h>

/* Borrowed by what is made with it. */
typedef struct tn_pack_spec {
    const char *key;
    size_t n_key;
    const uint64_t *blob_bytes; /* [n_blobs] */
    int32_t n_blobs;
} tn_pack_spec;

/** Bytes of the file of a spec; 0: too many. */
uint64_t tn_pack_file_bytes(const tn_pack_spec *spec);

typedef struct tn_pack_file tn_pack_file;

/** Map the file and check every byte of it, on the team's threads. TN_UNAVAILABLE: there is none.
 * TN_INVALID: it is damaged, of something else, or of someone else. */
tn_status tn_pack_file_open(const char *path, const tn_pack_spec *spec, tn_team *team,
                            tn_pack_file **out, tn_error *err) TN_MUST_USE;
void tn_pack_file_close(tn_pack_file *file);
/** Borrowed until close, aligned to 256. */
const void *tn_pack_file_blob(const tn_pack_file *file, int32_t index);
/** TN_INTERNAL when the file was cut off since it was opened: what was read is zeros then. */
tn_status tn_pack_file_check(const tn_pack_file *file, tn_error *err) TN_MUST_USE;

typedef struct tn_pack_writer tn_pack_writer;

/** label: for people, cut when it is long. */
tn_status tn_pack_writer_open(const char *path, const tn_pack_spec *spec, const char *label,
                              tn_pack_writer **out, tn_error *err) TN_MUST_USE;
/** The next blob, in order. */
tn_status tn_pack_writer_put(tn_pack_writer *w, const void *blob, tn_error *err) TN_MUST_USE;
/** After the last one: the file is there, whole, in place of an older one. */
tn_status tn_pack_writer_commit(tn_pack_writer *w, tn_error *err) TN_MUST_USE;
void tn_pack_writer_abort(tn_pack_writer *w);

/** Label and key of any such file; false when it is none. Nothing but its first bytes is read. */
bool tn_pack_file_describe(const char *path, tn_strbuf *label, tn_strbuf *key);

#endif
