/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary as a model file states it; model/text makes a tokenizer of it. All memory belongs to the model file. */
#ifndef TN_MODEL_FORMATS_VOCAB_H
#define TN_MODEL_FORMATS_VOCAB_H

#include <stddef.h>
#include <stdint.h>

/* Token types as in GGUF's tokenizer.ggml.token_type (SentencePiece's numbers). */
enum { TN_TOKEN_NORMAL = 1, TN_TOKEN_UNKNOWN = 2, TN_TOKEN_CONTROL = 3, TN_TOKEN_USER_DEFINED = 4, TN_TOKEN_UNUSED = 5, TN_TOKEN_BYTE = 6 };
enum {
    TN_VOCAB_NONE = 0,
    TN_VOCAB_BPE = 1,       /* byte-level */
    TN_VOCAB_SPM = 2,       /* SentencePiece BPE with scores */
    TN_VOCAB_HF_JSON = 3,   /* `source` is a tokenizer.json of Hugging Face tokenizers */
    TN_VOCAB_SPM_MODEL = 4, /* `source` is a tokenizer.model of SentencePiece */
};

typedef struct tn_text {
    const char *data; /* not NUL-terminated; may hold any bytes */
    size_t n;
} tn_text;

/* A token that tokenizer_config.json adds to a tokenizer.model (added_tokens_decoder), or an id's new text. */
typedef struct tn_added_token {
    int32_t id;
    tn_text text;
    int32_t special; /* 1: a control token, found with TN_ENCODE_SPECIAL only; 0: user-defined, found always */
} tn_added_token;

/*
 * Kinds BPE and SPM state their tokens here. Kinds HF_JSON and SPM_MODEL state them in `source`, which model/text reads:
 * token, score, type, merge, pre and n_merges are empty, and tn_tokenizer_vocab() gives the vocabulary that was read.
 */
typedef struct tn_vocab {
    int32_t kind;             /* TN_VOCAB_* */
    const char *pre;          /* BPE pre-tokenizer name: "smollm" "gpt-2" "llama-bpe" "qwen2", or what the file says;
                                 kind NONE: the name of the vocabulary that is not known, or NULL when the file has none */
    int32_t n_tokens;
    const tn_text *token;     /* [n_tokens] */
    const float *score;       /* [n_tokens] or NULL */
    const int32_t *type;      /* [n_tokens] TN_TOKEN_* or NULL (all normal) */
    int32_t n_merges;
    const tn_text *merge;     /* [n_merges] "left right", byte-level alphabet */
    int32_t bos, eos, eot, unk, pad; /* -1: none, or out of range in the file */
    int32_t add_bos, add_eos, add_space_prefix; /* 0/1; HF_JSON, SPM_MODEL: -1 = as the source has it (tokenizer.json: its
                                                   post-processor; tokenizer.model: BOS yes, EOS no) */
    const char *chat_template; /* NUL-terminated Jinja text, or NULL */

    /* HF_JSON and SPM_MODEL only. n_tokens is then the number of rows of the model's logits, or 0: ids beyond the file's
     * tokens are valid and have no text. */
    tn_text source;            /* the file's bytes */
    tn_text model;             /* HF_JSON: the tokenizer.model that lies beside it, or {0}; only a conversion looks at it */
    const char *bos_text, *eos_text, *unk_text, *pad_text; /* tokenizer_config.json: used where the id above is -1; or NULL */
    int32_t n_stops;
    const int32_t *stop;       /* [n_stops] more ids that end a generation (generation_config.json: eos_token_id) */
    int32_t n_added;
    const tn_added_token *added; /* of the tokenizer.model; a tokenizer.json has its own */
} tn_vocab;

#endif
