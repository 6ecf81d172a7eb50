/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a tokenizer.json for the tests of model/text/hf. */
#ifndef TN_TESTS_MODEL_HF_JSON_H
#define TN_TESTS_MODEL_HF_JSON_H

#include "model/text/tokenizer.h"

#include <jansson.h>

/** The object of a text in which ' stands for ". json_decref. */
json_t *hf_json(const char *text);
/** A tokenizer of tokenizer.json's text[0, n), taken as it is, without settings beside it. */
tn_status hf_tokenizer(const char *text, size_t n, tn_tokenizer **out, tn_error *err) TN_MUST_USE;

#endif
