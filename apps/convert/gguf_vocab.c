/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary as tokenizer.ggml.* keys, the reverse of model/formats/gguf_vocab.c. */
#include "apps/convert/convert_impl.h"

#include <string.h>

static void put_text(tn_gguf_writer *w, const char *key, const char *text)
{
    tn_gguf_put_string(w, key, text, strlen(text));
}

tn_status tn_convert_gguf_vocab(const tn_vocab *vocab, int32_t n_rows, tn_gguf_writer *w,
                                tn_convert_report *report, tn_error *err)
{
    (void)n_rows, (void)report;
    if (vocab->kind != TN_VOCAB_NONE)
        return tn_fail(err, TN_UNSUPPORTED, "the tokenizer cannot be converted yet");
    put_text(w, "tokenizer.ggml.model", "none");
    return TN_OK;
}
