/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a conversion. */
#ifndef TN_APPS_CONVERT_CONVERT_IMPL_H
#define TN_APPS_CONVERT_CONVERT_IMPL_H

#include "apps/convert/convert.h"
#include "core/base/arena.h"
#include "model/formats/hf_config.h"
#include "model/formats/model_file.h"
#include "model/formats/weight_format.h"

typedef struct tn_convert_tensor {
    const char *name; /* in the target */
    tn_weight_info info;
    const tn_weight_format *format; /* of the target */
    bool is_vector, is_paired; /* is_paired: q or k, whose rows GGUF may have in another order */
} tn_convert_tensor;

typedef struct tn_convert_tensors {
    tn_convert_tensor *tensor;
    int32_t n;
    uint64_t elements; /* of all */
} tn_convert_tensors;

/** Every tensor of the file under the family's names; in `arena`. */
tn_status tn_convert_list(const tn_convert_args *args, tn_model_file *file,
                          const tn_hf_family *family, uint32_t biases, tn_arena *arena,
                          tn_convert_tensors *out, tn_error *err) TN_MUST_USE;
/** The linears that have biases, TN_HF_BIAS_*. */
uint32_t tn_convert_biases(tn_model_file *file, const tn_hf_family *family);
/** model.safetensors at path. */
tn_status tn_convert_write_tensors(const tn_convert_args *args, tn_model_file *file,
                                   const tn_convert_tensors *tensors, const char *path,
                                   tn_convert_report *report, tn_error *err) TN_MUST_USE;
/** Bytes of model.safetensors. */
tn_status tn_convert_tensor_bytes(const tn_convert_tensors *tensors, uint64_t *out,
                                  tn_error *err) TN_MUST_USE;

/** Objects to json_decref; NULL without memory. */
json_t *tn_convert_config(const tn_model_desc *desc, const tn_vocab *vocab,
                          const tn_hf_family *family, uint32_t biases, bool is_tied);
json_t *tn_convert_generation_config(const tn_vocab *vocab);
json_t *tn_convert_tokenizer_config(const tn_vocab *vocab);
/** TN_UNSUPPORTED for a vocabulary that a tokenizer.json cannot say. */
tn_status tn_convert_tokenizer(const tn_vocab *vocab, json_t **out, tn_error *err) TN_MUST_USE;

/** target without slashes at its end, when a new directory can be made there: it is not there, or
 * empty. */
tn_status tn_convert_place(const char *target, char **out, tn_error *err) TN_MUST_USE;
/** TN_INTERNAL when less than `bytes` are free where path will be. */
tn_status tn_convert_check_space(const char *path, uint64_t bytes, tn_error *err) TN_MUST_USE;
/** A directory of files, not of directories, and what is in it. */
void tn_convert_remove(const char *directory);

#endif
