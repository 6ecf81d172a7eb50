/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest Hugging Face directory, in memory: a Llama of one layer, hidden 8, two heads. Tests change its files. */
#ifndef TN_TESTS_SUPPORT_HF_FIXTURE_H
#define TN_TESTS_SUPPORT_HF_FIXTURE_H

#include "model/formats/hf_dir.h"

enum { TN_HF_TEST_MAX_FILES = 12 };

typedef struct tn_hf_test {
    tn_hf_bytes file[TN_HF_TEST_MAX_FILES];
    size_t n;
} tn_hf_test;

extern const char tn_hf_test_config[]; /* config.json */

/** config.json and model.safetensors. All bytes are exactly as long as what they are allocated for. */
void tn_hf_test_init(tn_hf_test *t);
/** The same model with one linear in AWQ's layout, a group a column. */
void tn_hf_test_use_awq(tn_hf_test *t);
/** Set a file, or add it. */
void tn_hf_test_put(tn_hf_test *t, const char *name, const void *data, size_t n);
void tn_hf_test_put_text(tn_hf_test *t, const char *name, const char *text);
/** Replace the first `from` of a file of text by `to`; it must be there, outside of tensors. The header's length of a safetensors
 * file follows. */
void tn_hf_test_change(tn_hf_test *t, const char *name, const char *from, const char *to);
void tn_hf_test_remove(tn_hf_test *t, const char *name);
void tn_hf_test_deinit(tn_hf_test *t);

#endif
