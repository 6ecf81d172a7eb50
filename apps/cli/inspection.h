/* SPDX-License-Identifier: Apache-2.0 */
/* What `tenon inspect` knows of a model, gathered before any of it is printed. Metadata only. */
#ifndef TN_APPS_CLI_INSPECTION_H
#define TN_APPS_CLI_INSPECTION_H

#include "apps/cli/options.h"
#include "model/text/tokenizer.h"
#include "runtime/setup.h"

enum {
    TN_INSPECT_MAX_USES = 64,
    TN_INSPECT_KV_FORMATS = 4,
    TN_INSPECT_SPECIALS = 5,
    TN_INSPECT_MAX_STOPS = 256
};

/* Tensors of one class and format. */
typedef struct tn_tensor_use {
    const char *wfmt; /* canonical format, "u4b.g32" */
    int32_t cls, tensors;
    uint64_t weights, bytes;
} tn_tensor_use;

typedef struct tn_special_id {
    const char *name; /* "bos" ... */
    int32_t id;       /* -1: the model has none, or says its text alone */
    const char *text; /* with an id of -1; or NULL */
} tn_special_id;

typedef struct tn_inspection {
    tn_model_file *file;
    const tn_vocab
        *vocab; /* what the tokenizer made of it, or, when there is none, what the files say */
    int32_t vocab_kind; /* TN_VOCAB_* of the file */
    int32_t n_textless; /* ids of the vocabulary without a text */
    tn_model_desc desc;
    tn_error desc_error; /* why there is no desc: this version cannot run the model */
    tn_tokenizer *tokenizer;
    tn_error tokenizer_error; /* why there is none */
    tn_tensor_use use[TN_INSPECT_MAX_USES];
    tn_special_id special[TN_INSPECT_SPECIALS];
    tn_setup setup; /* of the profile */
    tn_memory_need need;
    uint64_t parameters;
    int32_t n_uses;
    bool has_desc, is_tied; /* tied: no tensor of the class "head" */
    bool has_need;          /* a profile was asked for: setup and need are there */
} tn_inspection;

/** The file of the options' word, --model or profile. On failure *in is empty. */
tn_status tn_inspection_open(tn_inspection *in, const tn_cli_options *o, tn_error *err) TN_MUST_USE;
void tn_inspection_close(tn_inspection *in);

/** "attention" "feed-forward" ... */
const char *tn_inspection_class(const tn_tensor_use *use);
/** Names and bytes a token, in all layers, of the KV formats of the catalogue. */
const char *tn_inspection_kv_format(int32_t index);
uint64_t tn_inspection_kv_bytes(const tn_inspection *in, int32_t index);
/** Frequency factors of rope: "none"; "for every length", such as a GGUF file has for Llama 3's
 * scaling; "by length". */
const char *tn_inspection_factors(const tn_rope_desc *rope);
/** The name in the file's own terms, "Q4_1" for "u4b.g32"; the canonical one where there is no
 * other. */
const char *tn_inspection_type(const tn_inspection *in, const char *wfmt);

#endif
