/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/hf_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *hf_json(const char *text)
{
    char copy[4096];
    json_error_t where;
    const size_t n = strlen(text);
    if (n >= sizeof copy)
        abort();
    for (size_t i = 0; i <= n; i++)
        copy[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    json_t *object = json_loads(copy, 0, &where);
    if (!object) {
        fprintf(stderr, "%s: %s\n", text, where.text);
        abort();
    }
    return object;
}

tn_status hf_tokenizer(const char *text, size_t n, tn_tokenizer **out, tn_error *err)
{
    const tn_vocab vocab = { .kind = TN_VOCAB_HF_JSON,
                             .bos = -1,
                             .eos = -1,
                             .eot = -1,
                             .unk = -1,
                             .pad = -1,
                             .add_bos = -1,
                             .add_eos = -1,
                             .add_space_prefix = -1,
                             .source = { text, n } };
    return tn_tokenizer_create(&vocab, out, err);
}
