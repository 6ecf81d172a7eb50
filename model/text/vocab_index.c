/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/vocab_index.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"

#include <string.h>

/* The largest vocabularies in use have about 260,000 tokens; the limits keep table sizes in 32
 * bits. */
#define MAX_TOKENS     (1 << 24)
#define MAX_MERGES     (1 << 24)
#define MAX_TEXT_BYTES (1u << 16)

static int32_t hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int32_t tn_byte_token_value(tn_text text)
{
    if (text.n != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>')
        return -1;
    int32_t high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* The slot of a text: where it stands, or the free one where it belongs. Half of the slots are
 * free, so the loop ends. */
static size_t slot_of(const tn_vocab_index *index, const char *text, size_t n)
{
    size_t mask = index->n_slots - 1;
    size_t at = (size_t)tn_hash64(text, n, 0) & mask;
    for (; index->slot[at] >= 0; at = (at + 1) & mask) {
        const tn_text *token = &index->vocab->token[index->slot[at]];
        if (token->n == n && (n == 0 || memcmp(token->data, text, n) == 0))
            break;
    }
    return at;
}

int32_t tn_vocab_index_find(const tn_vocab_index *index, const char *text, size_t n)
{
    return index->slot[slot_of(index, text, n)];
}

static tn_status check_counts(const tn_vocab *v, tn_error *err)
{
    if (v->n_tokens < 1 || v->n_tokens > MAX_TOKENS || !v->token)
        return tn_fail(err, TN_INVALID, "vocabulary has %d tokens, 1 to %d are allowed",
                       v->n_tokens, MAX_TOKENS);
    if (v->n_merges < 0 || v->n_merges > MAX_MERGES || (v->n_merges > 0 && !v->merge))
        return tn_fail(err, TN_INVALID, "vocabulary has %d merges, 0 to %d are allowed",
                       v->n_merges, MAX_MERGES);
    for (int32_t id = 0; id < v->n_tokens; id++) {
        if (v->token[id].n > MAX_TEXT_BYTES)
            return tn_fail(err, TN_INVALID,
                           "text of token %d has %zu bytes, at most %u are allowed", id,
                           v->token[id].n, MAX_TEXT_BYTES);
    }
    const struct {
        const char *name;
        int32_t id;
    } special[] = { { "bos", v->bos },
                    { "eos", v->eos },
                    { "eot", v->eot },
                    { "unk", v->unk },
                    { "pad", v->pad } };
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (special[i].id < -1 || special[i].id >= v->n_tokens)
            return tn_fail(err, TN_INVALID,
                           "%s token id %d is outside the vocabulary, -1 to %d are allowed",
                           special[i].name, special[i].id, v->n_tokens - 1);
    }
    return TN_OK;
}

static void set_types(tn_vocab_index *index)
{
    const tn_vocab *v = index->vocab;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        int32_t type = v->type ? v->type[id] : TN_TOKEN_NORMAL;
        if (!v->type && v->kind == TN_VOCAB_SPM && tn_byte_token_value(v->token[id]) >= 0)
            type = TN_TOKEN_BYTE;
        /* 0 is "undefined" in GGUF; other values come from a broken file. Both are plain text. */
        index->type[id] =
            (uint8_t)(type >= TN_TOKEN_NORMAL && type <= TN_TOKEN_BYTE ? type : TN_TOKEN_NORMAL);
    }
    const int32_t control[] = { v->bos, v->eos, v->eot, v->pad };
    for (size_t i = 0; !v->type && i < sizeof(control) / sizeof(control[0]); i++) {
        if (control[i] >= 0)
            index->type[control[i]] = TN_TOKEN_CONTROL;
    }
    if (!v->type && v->unk >= 0)
        index->type[v->unk] = TN_TOKEN_UNKNOWN;
}

tn_status tn_vocab_index_init(tn_vocab_index *index, const tn_vocab *vocab, tn_error *err)
{
    *index = (tn_vocab_index){ .vocab = vocab, .n_slots = 2 };
    TN_TRY(check_counts(vocab, err));
    while (index->n_slots < 2 * (size_t)vocab->n_tokens)
        index->n_slots *= 2;
    index->slot = tn_alloc_array(index->n_slots, sizeof(*index->slot));
    index->type = tn_alloc_array((size_t)vocab->n_tokens, sizeof(*index->type));
    if (!index->slot || !index->type) {
        tn_vocab_index_deinit(index);
        return tn_fail_memory(err, "the vocabulary's table");
    }
    memset(index->slot, 0xFF, index->n_slots * sizeof(*index->slot));
    for (int32_t id = 0; id < vocab->n_tokens; id++) {
        size_t at = slot_of(index, vocab->token[id].data, vocab->token[id].n);
        if (index->slot[at] < 0)
            index->slot[at] = id;
    }
    set_types(index);
    return TN_OK;
}

void tn_vocab_index_deinit(tn_vocab_index *index)
{
    tn_free(index->slot);
    tn_free(index->type);
    *index = (tn_vocab_index){ 0 };
}
