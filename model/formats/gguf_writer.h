/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes GGUF v3 files: metadata first, then tensors in the order given. Either whole tensors are put and `finish` writes them, or
 * all tensors are declared, `begin` writes the metadata, and their bytes stream through `stream` in the order of declaration.
 * Written under a temporary name and renamed at the end, so a kill leaves the old file or the new one.
 */
#ifndef TN_MODEL_FORMATS_GGUF_WRITER_H
#define TN_MODEL_FORMATS_GGUF_WRITER_H

#include "core/base/status.h"
#include "model/formats/vocab.h"

#include <stddef.h>

typedef struct tn_gguf_writer tn_gguf_writer;

tn_status tn_gguf_writer_create(tn_gguf_writer **out, tn_error *err) TN_MUST_USE;
/* Errors are sticky and come out of finish. */
void tn_gguf_put_u16(tn_gguf_writer *w, const char *key, uint16_t value);
void tn_gguf_put_u32(tn_gguf_writer *w, const char *key, uint32_t value);
void tn_gguf_put_i32(tn_gguf_writer *w, const char *key, int32_t value);
void tn_gguf_put_f32(tn_gguf_writer *w, const char *key, float value);
void tn_gguf_put_bool(tn_gguf_writer *w, const char *key, int32_t value);
void tn_gguf_put_string(tn_gguf_writer *w, const char *key, const char *text, size_t n);
void tn_gguf_put_strings(tn_gguf_writer *w, const char *key, const tn_text *texts, size_t n);
void tn_gguf_put_f32s(tn_gguf_writer *w, const char *key, const float *values, size_t n);
void tn_gguf_put_i32s(tn_gguf_writer *w, const char *key, const int32_t *values, size_t n);
/** values [rows][cols] f32, encoded here; cols a multiple of the block; rows 0: a vector. Types: those of weight_format.h that have an encoder. */
void tn_gguf_put_tensor(tn_gguf_writer *w, const char *name, const char *type, int64_t rows, int64_t cols, const float *values);
/** The same of blocks that are encoded already, of any type that can be read. */
void tn_gguf_put_blocks(tn_gguf_writer *w, const char *name, const char *type, int64_t rows, int64_t cols, const uint8_t *blocks);
/** Write everything to path. */
tn_status tn_gguf_writer_finish(tn_gguf_writer *w, const char *path, tn_error *err) TN_MUST_USE;

/** Room for a tensor whose blocks will be streamed; of any type that can be read. */
void tn_gguf_declare(tn_gguf_writer *w, const char *name, const char *type, int64_t rows, int64_t cols);
/** What is declared and put so far, as bytes of a file. */
uint64_t tn_gguf_writer_bytes(const tn_gguf_writer *w);
tn_status tn_gguf_writer_begin(tn_gguf_writer *w, const char *path, tn_error *err) TN_MUST_USE;
/** The next n bytes of the declared tensors; padding is added between them. TN_INTERNAL when the disk is full. */
tn_status tn_gguf_writer_stream(tn_gguf_writer *w, const void *bytes, size_t n, tn_error *err) TN_MUST_USE;
/** Every declared byte must be there. */
tn_status tn_gguf_writer_end(tn_gguf_writer *w, tn_error *err) TN_MUST_USE;

/** Removes what was begun and not ended. */
void tn_gguf_writer_destroy(tn_gguf_writer *w);

#endif
