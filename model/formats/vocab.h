/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary as a model file states it; model/text makes a tokenizer of it. All memory belongs to the model file. */
#ifndef TN_MODEL_FORMATS_VOCAB_H
#define TN_MODEL_FORMATS_VOCAB_H

#include <stddef.h>
#include <stdint.h>

/* Token types as in GGUF's tokenizer.ggml.token_type (SentencePiece's numbers). */
enum { TN_TOKEN_NORMAL = 1, TN_TOKEN_UNKNOWN = 2, TN_TOKEN_CONTROL = 3, TN_TOKEN_USER_DEFINED = 4, TN_TOKEN_UNUSED = 5, TN_TOKEN_BYTE = 6 };
enum { TN_VOCAB_NONE = 0, TN_VOCAB_BPE = 1 /* byte-level */, TN_VOCAB_SPM = 2 /* SentencePiece BPE with scores */ };

typedef struct tn_text {
    const char *data; /* not NUL-terminated; may hold any bytes */
    size_t n;
} tn_text;

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
    int32_t add_bos, add_eos, add_space_prefix; /* 0/1 */
    const char *chat_template; /* NUL-terminated Jinja text, or NULL */
} tn_vocab;

#endif
