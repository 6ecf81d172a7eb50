/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes one safetensors file: all tensors are declared, `begin` writes the header, and the bytes
 * stream through `put` in the order of declaration. Under a temporary name, renamed by `end`.
 * Thread: one thread.
 */
#ifndef TN_MODEL_FORMATS_SAFETENSORS_WRITER_H
#define TN_MODEL_FORMATS_SAFETENSORS_WRITER_H

#include "core/base/status.h"

#include <stddef.h>

typedef struct tn_safetensors_writer tn_safetensors_writer;

tn_status tn_safetensors_writer_create(tn_safetensors_writer **out, tn_error *err) TN_MUST_USE;
/**
 * A tensor of n_dims 1 or 2 (rows first) and of type "F32", "F16", "BF16", "I32" or "U8". Errors are
 * sticky and come out of begin. Declare those whose bytes are no multiple of 4 last: every other
 * then begins at a multiple of its element.
 */
void tn_safetensors_declare(tn_safetensors_writer *w, const char *name, const char *type,
                            int32_t n_dims, const int64_t *dim);
/** Of the file, as it is declared. */
uint64_t tn_safetensors_writer_bytes(const tn_safetensors_writer *w);
tn_status tn_safetensors_writer_begin(tn_safetensors_writer *w, const char *path,
                                      tn_error *err) TN_MUST_USE;
/** TN_INTERNAL when the disk is full. */
tn_status tn_safetensors_writer_put(tn_safetensors_writer *w, const void *bytes, size_t n,
                                    tn_error *err) TN_MUST_USE;
/** Every declared byte must be there. */
tn_status tn_safetensors_writer_end(tn_safetensors_writer *w, tn_error *err) TN_MUST_USE;
/** Removes what was begun and not ended. */
void tn_safetensors_writer_destroy(tn_safetensors_writer *w);

#endif
