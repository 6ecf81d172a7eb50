/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary as tokenizer.ggml.* keys (ggml's docs/gguf.md), the reverse of
 * model/formats/gguf_vocab.c. */
#include "apps/convert/convert_impl.h"
#include "model/text/plain_vocab.h"

#include <string.h>

static void put_text(tn_gguf_writer *w, const char *key, const char *text)
{
    tn_gguf_put_string(w, key, text, strlen(text));
}

static void put_ids(tn_gguf_writer *w, const tn_vocab *v)
{
    const struct {
        const char *key;
        int32_t id;
    } ids[] = { { "tokenizer.ggml.bos_token_id", v->bos },
                { "tokenizer.ggml.eos_token_id", v->eos },
                { "tokenizer.ggml.eot_token_id", v->eot },
                { "tokenizer.ggml.unknown_token_id", v->unk },
                { "tokenizer.ggml.padding_token_id", v->pad } };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i].id >= 0)
            tn_gguf_put_u32(w, ids[i].key, (uint32_t)ids[i].id);
}

static void put_vocab(tn_gguf_writer *w, const tn_vocab *v)
{
    const size_t n = (size_t)v->n_tokens;
    put_text(w, "tokenizer.ggml.model", v->kind == TN_VOCAB_SPM ? "llama" : "gpt2");
    put_text(w, "tokenizer.ggml.pre", v->pre ? v->pre : "default");
    tn_gguf_put_strings(w, "tokenizer.ggml.tokens", v->token, n);
    if (v->kind == TN_VOCAB_SPM)
        tn_gguf_put_f32s(w, "tokenizer.ggml.scores", v->score, n);
    tn_gguf_put_i32s(w, "tokenizer.ggml.token_type", v->type, n);
    if (v->kind == TN_VOCAB_BPE)
        tn_gguf_put_strings(w, "tokenizer.ggml.merges", v->merge, (size_t)v->n_merges);
    put_ids(w, v);
    tn_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    tn_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    if (v->kind == TN_VOCAB_SPM)
        tn_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->add_space_prefix);
}

static void note_losses(uint32_t losses, tn_convert_report *report)
{
    if (losses & TN_PLAIN_LOST_NFC)
        tn_convert_note(report, "tokenizer.json puts text into Unicode's form NFC, which GGUF does "
                                "not: text that is not in it (decomposed accents) gets other ids");
    if (losses & TN_PLAIN_LOST_STOPS)
        tn_convert_note(report, "more ids end an answer than a GGUF file has room for: give them "
                                "with --stop-id");
    if (losses & TN_PLAIN_LOST_ADDED)
        tn_convert_note(report, "tokens that tokenizer_config.json adds and that are not special "
                                "may get other blanks around them: GGUF has them as pieces of the "
                                "SentencePiece model");
    if (losses & TN_PLAIN_OF_MODEL)
        tn_convert_note(report, "the vocabulary is that of tokenizer.model; tokenizer.json, which "
                                "GGUF cannot say, may cut text after special tokens otherwise");
}

tn_status tn_convert_gguf_vocab(const tn_vocab *vocab, int32_t n_rows, tn_gguf_writer *w,
                                tn_convert_report *report, tn_error *err)
{
    tn_arena arena = { 0 };
    tn_vocab plain = { 0 };
    uint32_t losses = 0;
    tn_status st = TN_OK;
    if (vocab->chat_template)
        put_text(w, "tokenizer.chat_template", vocab->chat_template);
    if (vocab->kind == TN_VOCAB_NONE) { /* ids only */
        put_text(w, "tokenizer.ggml.model", "none");
        return TN_OK;
    }
    st = tn_plain_vocab(vocab, &arena, &plain, &losses, err);
    if (!st && plain.n_tokens != n_rows)
        st = tn_fail(err, TN_UNSUPPORTED,
                     "the tokenizer has %d tokens and the model rows for %d, which a GGUF file "
                     "cannot say",
                     (int)plain.n_tokens, (int)n_rows);
    if (!st) {
        put_vocab(w, &plain);
        note_losses(losses, report);
    }
    tn_arena_deinit(&arena);
    return st;
}
