/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a conversion. */
#ifndef TN_APPS_CONVERT_CONVERT_IMPL_H
#define TN_APPS_CONVERT_CONVERT_IMPL_H

#include "apps/convert/convert.h"
#include "apps/convert/tensor_stream.h"
#include "core/base/arena.h"
#include "model/formats/gguf_writer.h"
#include "model/formats/hf_config.h"

/* ---- the two directions; target: as tn_convert_place gives it ---- */

tn_status tn_convert_to_hf(const tn_convert_args *args, tn_model_file *file, const char *target,
                           tn_convert_report *report, tn_error *err) TN_MUST_USE;
tn_status tn_convert_to_gguf(const tn_convert_args *args, tn_model_file *file, const char *target,
                             tn_convert_report *report, tn_error *err) TN_MUST_USE;
/** A line of the report for people, the first TN_CONVERT_MAX_NOTES. */
void tn_convert_note(tn_convert_report *report, const char *format, ...) TN_PRINTF(2, 3);

/* ---- a Hugging Face directory ---- */

/** Every tensor of the file under the family's names; in `arena`. */
tn_status tn_convert_list(const tn_convert_args *args, tn_model_file *file,
                          const tn_hf_family *family, uint32_t biases, tn_arena *arena,
                          tn_convert_tensors *out, tn_error *err) TN_MUST_USE;
/** The linears that have biases, TN_HF_BIAS_*. */
uint32_t tn_convert_biases(tn_model_file *file, const tn_hf_family *family);
/** model.safetensors at path. */
tn_status tn_convert_write_tensors(const tn_convert_args *args, tn_model_file *file,
                                   const tn_convert_tensors *all, const char *path,
                                   tn_convert_report *report, tn_error *err) TN_MUST_USE;
/** Bytes of model.safetensors. */
tn_status tn_convert_tensor_bytes(const tn_convert_tensors *all, uint64_t *out,
                                  tn_error *err) TN_MUST_USE;

/** Objects to json_decref; NULL without memory. */
json_t *tn_convert_config(const tn_model_desc *desc, const tn_vocab *vocab,
                          const tn_hf_family *family, uint32_t biases, bool is_tied);
json_t *tn_convert_generation_config(const tn_vocab *vocab);
json_t *tn_convert_tokenizer_config(const tn_vocab *vocab);
/** TN_UNSUPPORTED for a vocabulary that a tokenizer.json cannot say. */
tn_status tn_convert_tokenizer(const tn_vocab *vocab, json_t **out, tn_error *err) TN_MUST_USE;

/* ---- a GGUF file ---- */

typedef struct tn_convert_gguf_target {
    const char *arch; /* general.architecture */
    bool is_paired;   /* rotated dimensions are neighbours: rows of q and k are reordered */
} tn_convert_gguf_target;

/* Tensors of divisors of the inverse frequencies. */
typedef struct tn_convert_gguf_rope {
    struct {
        const char *name;
        const float *factor; /* [width] */
    } tensor[2];
    int32_t n, width;
} tn_convert_gguf_rope;

/** TN_UNSUPPORTED for what GGUF cannot say of the model. */
tn_status tn_convert_gguf_arch(const tn_model_desc *desc, tn_model_file *file,
                               tn_convert_gguf_target *out, tn_error *err) TN_MUST_USE;
/** The architecture's keys. */
void tn_convert_gguf_model(const tn_model_desc *desc, const char *arch, tn_gguf_writer *w);
/** The model's rope tensors, if any; in `arena`. */
tn_status tn_convert_gguf_factors(const tn_model_desc *desc, tn_arena *arena,
                                  tn_convert_gguf_rope *out, tn_error *err) TN_MUST_USE;
/** The tokenizer's keys, for a model of n_rows tokens; what they cannot say goes into the report's
 * notes. */
tn_status tn_convert_gguf_vocab(const tn_vocab *vocab, int32_t n_rows, tn_gguf_writer *w,
                                tn_convert_report *report, tn_error *err) TN_MUST_USE;
/**
 * The type that a tensor gets, t->format, and how, t->encode; t->info and t->is_vector are there.
 * TN_UNSUPPORTED for a tensor of a kind that cannot be converted.
 */
tn_status tn_convert_gguf_format(const tn_convert_args *args, tn_convert_tensor *t,
                                 tn_error *err) TN_MUST_USE;
/** Every tensor of the file, in the order of layers; in `arena`. */
tn_status tn_convert_gguf_list(const tn_convert_args *args, tn_model_file *file, tn_arena *arena,
                               tn_convert_tensors *out, tn_error *err) TN_MUST_USE;

/* ---- places ---- */

/** target, of a directory without slashes at its end, when it can be made: nothing is there, or an
 * empty directory. */
tn_status tn_convert_place(const char *target, bool is_directory, char **out,
                           tn_error *err) TN_MUST_USE;
/** TN_INTERNAL when less than `bytes` are free where path will be. */
tn_status tn_convert_check_space(const char *path, uint64_t bytes, tn_error *err) TN_MUST_USE;
/** A directory of files, not of directories, and what is in it. */
void tn_convert_remove(const char *directory);

#endif
