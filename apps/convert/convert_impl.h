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

/* Its tensors: hf_tensors.h. The functions here give objects to json_decref, NULL without memory.
 */
json_t *tn_convert_config(const tn_model_desc *desc, const tn_vocab *vocab,
                          const tn_hf_family *family, uint32_t biases, bool is_tied);
/** What is said of a model whose linears are in AWQ's layout. */
void tn_convert_config_awq(json_t *config, const tn_hf_family *family);
json_t *tn_convert_generation_config(const tn_vocab *vocab);
/** TN_UNSUPPORTED for a vocabulary that JSON cannot say. */
tn_status tn_convert_tokenizer_config(const tn_vocab *vocab, json_t **out,
                                      tn_error *err) TN_MUST_USE;
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
tn_status tn_convert_gguf_format(const tn_convert_args *args, const tn_weight_source *source,
                                 tn_convert_tensor *t, tn_error *err) TN_MUST_USE;
/** The same of a tensor that has codes of 4 bits, whose zero points are looked at. */
bool tn_convert_has_codes(const tn_weight_info *info);
tn_status tn_convert_codes_format(const tn_weight_source *source, tn_convert_tensor *t,
                                  tn_error *err) TN_MUST_USE;
/* No bias, or one that every model of the architecture has; one more; one of zeros, as quantisers
 * write them into linears without biases. */
typedef enum tn_convert_bias { TN_BIAS_NONE, TN_BIAS_EXTRA, TN_BIAS_EMPTY } tn_convert_bias;

tn_status tn_convert_gguf_bias(tn_model_file *file, const char *arch, const tn_weight_info *info,
                               tn_convert_bias *out, tn_error *err) TN_MUST_USE;
/** Every tensor of the file but empty biases, in the order of layers; in `arena`. */
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
