/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabularies of tiny models. */
#ifndef TN_TESTS_SUPPORT_TINY_VOCAB_H
#define TN_TESTS_SUPPORT_TINY_VOCAB_H

#include "model/formats/gguf_writer.h"

/** Put tokenizer.* metadata of a vocabulary with *n_tokens tokens (0: as many as needed, written
 * back). */
tn_status tn_tiny_vocab_put(tn_gguf_writer *w, int32_t spm, int32_t *n_tokens,
                            tn_error *err) TN_MUST_USE;

#endif
