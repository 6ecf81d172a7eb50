/* SPDX-License-Identifier: Apache-2.0 */
/* A section of tokenizer.json ("normalizer", "pre_tokenizer", "post_processor", "decoder") as the
 * flat list of its parts. Internal to model/text. */
#ifndef TN_MODEL_TEXT_HF_SECTION_H
#define TN_MODEL_TEXT_HF_SECTION_H

#include "model/formats/json_read.h"
#include "model/formats/vocab.h"

enum { TN_HF_MAX_PARTS = 32 }; /* of a section; real files have up to 6 */

/* One part, in order. What is wrong with it goes into the reader (tn_json_fail). */
typedef void (*tn_hf_part_fn)(void *ctx, tn_json_reader *part, const char *type);

/** A "Sequence" stands for the parts in its list `list_key`; an absent or null section has none. */
tn_status tn_hf_read_section(const json_t *root, const char *section, const char *list_key,
                             tn_hf_part_fn fn, void *ctx, tn_error *err) TN_MUST_USE;

/** TN_UNSUPPORTED for a part that does not run. supported: a list of those that do. */
void tn_hf_fail_type(tn_json_reader *part, const char *type, const char *supported);
/** A failure of a call that has an error of its own. */
void tn_hf_fail_inner(tn_json_reader *part, tn_status status, const tn_error *err);
/** A string that must be there; its length counts, not a NUL. {"", 0} after a failure. */
tn_text tn_hf_need_text(tn_json_reader *part, const char *key);
/** A key whose value is one of names[n]; *out is its index. Absent: *out stays. */
void tn_hf_choice(tn_json_reader *part, const char *key, const char *const *names, int32_t n,
                  int32_t *out);

#endif
