/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One description of a repro file, two directions: each call writes a value, or reads and checks
 * it. Errors are sticky. Thread: one.
 */
#ifndef TN_APPS_CHECK_REPRO_IO_H
#define TN_APPS_CHECK_REPRO_IO_H

#include "apps/check/repro.h"
#include "model/formats/safetensors.h"

#include <jansson.h>

enum { TN_REPRO_MAX_ARRAYS = 96, TN_REPRO_MAX_DEPTH = 4 };

typedef struct tn_repro_array {
    char name[32];
    const char *type; /* "F32" "I32" "U8" */
    const void *data;
    size_t n, bytes;
} tn_repro_array;

typedef struct tn_repro_io {
    bool reading;
    json_t *object[TN_REPRO_MAX_DEPTH]; /* the innermost last */
    int32_t depth;
    tn_arena *arena;            /* reading: of what is made */
    const tn_safetensors *file; /* reading */
    tn_repro_array array[TN_REPRO_MAX_ARRAYS];
    int32_t n_arrays;
    tn_status status;
    tn_error error;
} tn_repro_io;

void tn_repro_fail(tn_repro_io *io, tn_status status, const char *format, ...) TN_PRINTF(3, 4);
/** Values of the object "key" until the end. False when an error stands. */
bool tn_repro_begin(tn_repro_io *io, const char *key);
void tn_repro_end(tn_repro_io *io);
void tn_repro_int(tn_repro_io *io, const char *key, int32_t min, int32_t max, int32_t *value);
/** Any finite number. */
void tn_repro_real(tn_repro_io *io, const char *key, float *value);
/** NULL is null. At most 255 bytes. */
void tn_repro_text(tn_repro_io *io, const char *key, const char **value);
/** n elements; n 0 or *data NULL when writing: there is no such array. Reading: it must be there
 * when `needed`, and have n elements. */
void tn_repro_array_of(tn_repro_io *io, const char *name, const char *type, size_t n, bool needed,
                       const void **data);

/** The whole: everything of r, in both directions. */
void tn_repro_visit(tn_repro_io *io, tn_check_repro *r);

#endif
