/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a Hugging Face directory by name, mapped when first asked for; or files in memory,
 * for tests and fuzzing. Names come from the directory's own index: one that leads elsewhere is
 * refused. Thread: one thread; what was opened is immutable.
 */
#ifndef TN_MODEL_FORMATS_HF_FILES_H
#define TN_MODEL_FORMATS_HF_FILES_H

#include "core/base/arena.h"
#include "model/formats/file_map.h"
#include "model/formats/hf_dir.h"
#include "model/formats/map_guard.h"

#include <jansson.h>

typedef struct tn_hf_file {
    const char *name, *path;
    tn_file_map map; /* empty for a file in memory */
    tn_map_guard *guard;
    const uint8_t *data;
    size_t size;
    struct tn_hf_file *next; /* in the order of opening, last first */
} tn_hf_file;

typedef struct tn_hf_files {
    const char *dir;
    const tn_hf_bytes *memory; /* NULL: on disk */
    size_t n_memory;
    tn_hf_file *opened;
    tn_arena arena;
} tn_hf_files;

/** *out NULL when there is no such file; else borrowed until deinit. */
tn_status tn_hf_files_open(tn_hf_files *files, const char *name, const tn_hf_file **out,
                           tn_error *err) TN_MUST_USE;
/** The file as a JSON object (json_decref), NULL when there is none. Messages begin with its path.
 */
tn_status tn_hf_files_json(tn_hf_files *files, const char *name, json_t **out,
                           tn_error *err) TN_MUST_USE;
/** That nothing was read which is not in the files. */
tn_status tn_hf_files_check(const tn_hf_files *files, tn_error *err) TN_MUST_USE;
void tn_hf_files_deinit(tn_hf_files *files);

#endif
