/* SPDX-License-Identifier: Apache-2.0 */
/* The post_processor of a tokenizer.json: the ids that go before and after a text. Internal to
 * model/text. */
#ifndef TN_MODEL_TEXT_HF_POST_H
#define TN_MODEL_TEXT_HF_POST_H

#include "model/text/hf/section.h"

enum { TN_HF_MAX_AROUND = 32 };

typedef struct tn_hf_post {
    int32_t before[TN_HF_MAX_AROUND], after[TN_HF_MAX_AROUND];
    int32_t n_before, n_after;
} tn_hf_post;

/** n_tokens: ids from 0 to n_tokens - 1 are allowed. */
tn_status tn_hf_post_init(tn_hf_post *post, const json_t *root, int32_t n_tokens,
                          tn_error *err) TN_MUST_USE;

#endif
