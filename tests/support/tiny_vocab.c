/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tiny_vocab.h"

#include "core/base/alloc.h"
#include "core/base/arena.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TOKENS = 1 << 20 };

/* Merges of the byte-level vocabulary, in order of priority; U+0120 stands for a space. Both sides
 * are tokens by then. */
static const char *const merges[] = {
    "\xc4\xa0 t",
    "h e",
    "\xc4\xa0 a",
    "i n",
    "r e",
    "o n",
    "\xc4\xa0t he",
    "e r",
    "\xc4\xa0 s",
    "a t",
    "\xc4\xa0 w",
    "\xc4\xa0 o",
    "n d",
    "o u",
    "i s",
    "e n",
    "l l",
    "in g",
    "o r",
    "e s",
    "\xc4\xa0 b",
    "i t",
    "\xc4\xa0 f",
    "a n",
    "e d",
    "\xc4\xa0 c",
    "\xc4\xa0 m",
    "\xc4\xa0 in",
    "\xc4\xa0o f",
    "a r",
    "\xc4\240a nd",
    "\xc4\xa0t o",
    "h at",
    "s t",
    "l e",
    "ou r",
    "t h",
    "th at",
};
enum { N_MERGES = (int)(sizeof(merges) / sizeof(merges[0])) };

/* Pieces of the SentencePiece vocabulary after the letters, in order of score; U+2581 stands for a
 * space. */
static const char *const pieces[] = {
    "he",
    "in",
    "re",
    "on",
    "er",
    "at",
    "nd",
    "ou",
    "en",
    "ll",
    "or",
    "es",
    "it",
    "an",
    "ed",
    "ar",
    "st",
    "le",
    "th",
    "\xe2\x96\x81t",
    "\xe2\x96\x81"
    "a",
    "\xe2\x96\x81s",
    "\xe2\x96\x81w",
    "\xe2\x96\x81o",
    "\xe2\x96\x81the",
    "\xe2\x96\x81"
    "b",
    "\xe2\x96\x81of",
    "\xe2\x96\x81to",
    "\xe2\x96\x81"
    "and",
    "ing",
    "that",
};
enum { N_PIECES = (int)(sizeof(pieces) / sizeof(pieces[0])) };

typedef struct vocab {
    tn_arena arena;
    tn_text *token;
    float *score;
    int32_t *type;
    int32_t n, capacity;
    bool failed;
} vocab;

static void add(vocab *v, const char *text, int32_t type, float score)
{
    char *copy = tn_arena_strdup(&v->arena, text);
    if (!copy || v->n == v->capacity) {
        v->failed = true;
        return;
    }
    v->token[v->n] = (tn_text){ .data = copy, .n = strlen(copy) };
    v->type[v->n] = type;
    v->score[v->n] = score;
    v->n++;
}

/* Code point below 0x800 as UTF-8. */
static void utf8(uint32_t code, char out[3])
{
    if (code < 0x80) {
        out[0] = (char)code;
        out[1] = 0;
        return;
    }
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    out[2] = 0;
}

/* GPT-2's byte alphabet (bytes_to_unicode of its encoder.py): printable Latin-1 stands for itself,
 * the rest is U+0100 and on. */
static void add_byte_alphabet(vocab *v)
{
    uint32_t next = 0x100;
    for (uint32_t b = 0; b < 256; b++) {
        bool is_itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        char text[3];
        utf8(is_itself ? b : next++, text);
        add(v, text, TN_TOKEN_NORMAL, 0.0f);
    }
}

static void build_bpe(vocab *v)
{
    add(v, "<|endoftext|>", TN_TOKEN_CONTROL, 0.0f);
    add(v, "<|im_start|>", TN_TOKEN_CONTROL, 0.0f);
    add(v, "<|im_end|>", TN_TOKEN_CONTROL, 0.0f);
    add_byte_alphabet(v);
    for (int i = 0; i < N_MERGES; i++) {
        const char *space = strchr(merges[i], ' ');
        char text[32];
        (void)snprintf(text, sizeof(text), "%.*s%s", (int)(space - merges[i]), merges[i],
                       space + 1);
        add(v, text, TN_TOKEN_NORMAL, 0.0f);
    }
}

static void build_spm(vocab *v)
{
    add(v, "<unk>", TN_TOKEN_UNKNOWN, 0.0f);
    add(v, "<s>", TN_TOKEN_CONTROL, 0.0f);
    add(v, "</s>", TN_TOKEN_CONTROL, 0.0f);
    for (uint32_t b = 0; b < 256; b++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "<0x%02X>", b);
        add(v, text, TN_TOKEN_BYTE, 0.0f);
    }
    for (int i = 0; i < N_PIECES; i++)
        add(v, pieces[i], TN_TOKEN_NORMAL, (float)-i);
    add(v, "\xe2\x96\x81", TN_TOKEN_NORMAL, -(float)N_PIECES);
    for (int c = '!'; c <= '~'; c++)
        add(v, (char[]){ (char)c, 0 }, TN_TOKEN_NORMAL, -(float)(N_PIECES + c));
}

static void put_bpe(tn_gguf_writer *w)
{
    static const char chat_template[] =
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
        "message['content'] + '<|im_end|>' + '\\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    tn_text texts[N_MERGES];
    for (int i = 0; i < N_MERGES; i++)
        texts[i] = (tn_text){ .data = merges[i], .n = strlen(merges[i]) };
    tn_gguf_put_string(w, "tokenizer.ggml.pre", "smollm", 6);
    tn_gguf_put_strings(w, "tokenizer.ggml.merges", texts, N_MERGES);
    tn_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    tn_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2);
    tn_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    tn_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", 0);
    tn_gguf_put_string(w, "tokenizer.chat_template", chat_template, sizeof(chat_template) - 1);
}

static void put_spm(tn_gguf_writer *w, const vocab *v)
{
    tn_gguf_put_f32s(w, "tokenizer.ggml.scores", v->score, (size_t)v->n);
    tn_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    tn_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2);
    tn_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    tn_gguf_put_u32(w, "tokenizer.ggml.padding_token_id", UINT32_MAX); /* as real files have it */
}

static tn_status put(tn_gguf_writer *w, vocab *v, int32_t spm, int32_t *n_tokens, tn_error *err)
{
    if (spm)
        build_spm(v);
    else
        build_bpe(v);
    if (*n_tokens && *n_tokens < v->n)
        return tn_fail(err, TN_INVALID,
                       "a vocabulary of %d tokens is too small; at least %d are needed", *n_tokens,
                       v->n);
    for (int32_t i = 0; v->n < *n_tokens && !v->failed; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "<|unused_%d|>", i);
        add(v, text, spm ? TN_TOKEN_UNUSED : TN_TOKEN_CONTROL, -1000.0f);
    }
    if (v->failed)
        return tn_fail_memory(err, "a vocabulary");
    *n_tokens = v->n;
    const char *model = spm ? "llama" : "gpt2";
    tn_gguf_put_string(w, "tokenizer.ggml.model", model, strlen(model));
    tn_gguf_put_strings(w, "tokenizer.ggml.tokens", v->token, (size_t)v->n);
    tn_gguf_put_i32s(w, "tokenizer.ggml.token_type", v->type, (size_t)v->n);
    if (spm)
        put_spm(w, v);
    else
        put_bpe(w);
    return TN_OK;
}

tn_status tn_tiny_vocab_put(tn_gguf_writer *w, int32_t spm, int32_t *n_tokens, tn_error *err)
{
    if (*n_tokens < 0 || *n_tokens > MAX_TOKENS)
        return tn_fail(err, TN_INVALID, "a vocabulary of %d tokens; 0 to %d are allowed", *n_tokens,
                       MAX_TOKENS);
    vocab v = { .capacity = *n_tokens > 1024 ? *n_tokens : 1024 };
    v.token = tn_alloc_array((size_t)v.capacity, sizeof(*v.token));
    v.score = tn_alloc_array((size_t)v.capacity, sizeof(*v.score));
    v.type = tn_alloc_array((size_t)v.capacity, sizeof(*v.type));
    tn_status st = v.token && v.score && v.type ? put(w, &v, spm, n_tokens, err)
                                                : tn_fail_memory(err, "a vocabulary");
    tn_free(v.token);
    tn_free(v.score);
    tn_free(v.type);
    tn_arena_deinit(&v.arena);
    return st;
}
