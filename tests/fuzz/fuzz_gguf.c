/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a GGUF file, or as the shards of a split one; each begins with the magic, "GGUF" and
 * version 3: opens or is refused; what opened is read: description, facts,
 * vocabulary, a row of each tensor. */
#include "model/formats/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHARDS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_row(const tn_weight_source *source, const tn_weight_info *info)
{
    tn_error err;
    tn_row_buffer buffer;
    tn_weight_rows rows;
    if (tn_row_buffer_init(&buffer, info, 1, &err))
        return;
    if (source->rows(source->self, info, info->rows - 1, 1, &buffer, &rows, &err))
        abort(); /* a tensor that was let in must be readable */
    tn_row_buffer_deinit(&buffer);
}

/* Touch every byte that the vocabulary points at. */
static size_t read_vocab(const tn_vocab *v)
{
    size_t sum = 0;
    for (int32_t i = 0; i < v->n_tokens; i++) {
        sum += v->token[i].n && memchr(v->token[i].data, 0xff, v->token[i].n) ? 1 : 0;
        sum += v->score && v->score[i] > 0 ? 1 : 0;
        sum += v->type ? (size_t)v->type[i] : 0;
    }
    for (int32_t i = 0; i < v->n_merges; i++)
        sum += v->merge[i].n && memchr(v->merge[i].data, 0xff, v->merge[i].n) ? 1 : 0;
    return sum + (v->chat_template ? strlen(v->chat_template) : 0);
}

/* Cut before each magic but the first; at most MAX_SHARDS pieces. */
static int32_t cut(const uint8_t *bytes, size_t n, tn_gguf_bytes *shard)
{
    static const uint8_t magic[8] = { 'G', 'G', 'U', 'F', 3, 0, 0, 0 };
    int32_t n_shards = 0;
    size_t from = 0;
    for (size_t i = 1; i + sizeof(magic) <= n && n_shards < MAX_SHARDS - 1; i++) {
        if (memcmp(bytes + i, magic, sizeof(magic)) != 0)
            continue;
        shard[n_shards++] = (tn_gguf_bytes){ bytes + from, i - from };
        from = i;
    }
    shard[n_shards++] = (tn_gguf_bytes){ bytes + from, n - from };
    return n_shards;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    tn_error err;
    tn_model_file *file = NULL;
    tn_gguf_bytes shard[MAX_SHARDS];
    int32_t n_shards = cut(bytes, n, shard);
    if (tn_gguf_open_memory(shard, n_shards, &file, &err))
        return 0;
    const tn_weight_source *source = tn_model_file_weights(file);
    tn_model_desc desc;
    size_t sum = 0;
    if (!tn_model_file_desc(file, &desc, &err) && desc.rope.freq_factors)
        sum += desc.rope.freq_factors[desc.rope.rotary_dim / 2 - 1] > 1.0f;
    for (int32_t i = 0; i < tn_model_file_n_tensors(file); i++) {
        tn_weight_info info;
        if (!tn_model_file_tensor(file, i, &info, &err))
            read_row(source, &info);
    }
    for (int32_t i = 0; i < tn_model_file_n_facts(file); i++)
        sum += strlen(tn_model_file_fact(file, i).key) + strlen(tn_model_file_fact(file, i).value);
    sum += read_vocab(tn_model_file_vocab(file));
    if (sum == SIZE_MAX) /* never; keeps the reads from being optimised away */
        abort();
    tn_model_file_close(file);
    return 0;
}
