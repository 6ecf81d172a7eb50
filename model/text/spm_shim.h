/* SPDX-License-Identifier: Apache-2.0 */
/* The C border of libsentencepiece. No C++ exception crosses it. Thread: immutable after create. */
#ifndef TN_MODEL_TEXT_SPM_SHIM_H
#define TN_MODEL_TEXT_SPM_SHIM_H

#include "core/base/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tn_spm_model tn_spm_model;
/* Receives the ids of one encode call, in order, before that call returns. */
typedef tn_status (*tn_spm_ids_fn)(void *ctx, const int *ids, size_t n, tn_error *err);

/** proto: a serialized ModelProto (sentencepiece_model.proto). TN_INVALID with the library's
 * message. */
tn_status tn_spm_model_create(const char *proto, size_t n, tn_spm_model **out,
                              tn_error *err) TN_MUST_USE;
void tn_spm_model_destroy(tn_spm_model *model);
tn_status tn_spm_model_encode(const tn_spm_model *model, const char *text, size_t n,
                              tn_spm_ids_fn fn, void *ctx, tn_error *err) TN_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
