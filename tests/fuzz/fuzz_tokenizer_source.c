/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json (input begins with '{') or tokenizer.model: never a crash, whatever it holds;
 * and texts through what was accepted. */
#include "model/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const tn_tokenizer *t, const char *text, size_t n)
{
    tn_ids ids = { 0 };
    tn_strbuf out = TN_STRBUF(1 << 20);
    const tn_status st =
        tn_tokenizer_encode(t, text, n, TN_ENCODE_BOS | TN_ENCODE_SPECIAL, &ids, NULL);
    const int32_t n_tokens = tn_tokenizer_n_tokens(t);
    for (size_t i = 0; !st && i < ids.n; i++)
        if (ids.id[i] < 0 || ids.id[i] >= n_tokens)
            abort();
    if (!st && tn_tokenizer_decode(t, ids.id, ids.n, true, &out, NULL) == TN_INVALID)
        abort();
    tn_strbuf_deinit(&out);
    tn_ids_deinit(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "Hi, it's 3.14 caf\xC3\xA9!\n\n  x\xE2\x96\x81y <s></s><tool> "
                               "\xFF\xE4\xBD\xA0 cafe\xCC\x81 12345";
    const char *bytes = (const char *)data;
    const bool is_json = size > 0 && data[0] == '{';
    const tn_vocab vocab = { .kind = is_json ? TN_VOCAB_HF_JSON : TN_VOCAB_SPM_MODEL,
                             .bos = -1,
                             .eos = -1,
                             .eot = -1,
                             .unk = -1,
                             .pad = -1,
                             .add_bos = -1,
                             .add_eos = -1,
                             .add_space_prefix = -1,
                             .source = { bytes, size } };
    tn_tokenizer *t = NULL;
    if (size == 0 || tn_tokenizer_create(&vocab, &t, NULL))
        return 0;
    use(t, text, sizeof text - 1);
    use(t, bytes, size < 200 ? size : 200);
    tn_tokenizer_destroy(t);
    return 0;
}
