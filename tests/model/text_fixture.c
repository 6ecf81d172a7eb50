/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/text_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static tn_text keep(text_fixture *f, const char *bytes, size_t n)
{
    assert(f->n_text + n <= sizeof(f->text));
    char *copy = f->text + f->n_text;
    memcpy(copy, bytes, n);
    f->n_text += n;
    return (tn_text){ copy, n };
}

static int32_t add(text_fixture *f, const char *bytes, size_t n, int32_t type, float score)
{
    assert(f->vocab.n_tokens < FIXTURE_MAX_TOKENS);
    int32_t id = f->vocab.n_tokens++;
    f->token[id] = keep(f, bytes, n);
    f->type[id] = type;
    f->score[id] = score;
    return id;
}

static void begin(text_fixture *f, int32_t kind)
{
    *f = (text_fixture){
        .vocab = { .kind = kind, .bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1 }
    };
    f->vocab.token = f->token;
    f->vocab.merge = f->merge;
    f->vocab.type = f->type;
    f->vocab.score = f->score;
}

void fixture_bpe(text_fixture *f, const char *pre)
{
    int next = 0x100;
    begin(f, TN_VOCAB_BPE);
    f->vocab.pre = pre;
    f->vocab.score = NULL;
    for (int byte = 0; byte < 256; byte++) {
        int printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        int c = printable ? byte : next++;
        char text[2] = { (char)(c < 128 ? c : 0xC0 | c >> 6), (char)(0x80 | (c & 0x3F)) };
        (void)add(f, text, c < 128 ? 1 : 2, TN_TOKEN_NORMAL, 0);
    }
}

void fixture_spm(text_fixture *f)
{
    begin(f, TN_VOCAB_SPM);
    f->vocab.unk = fixture_add(f, "<unk>", TN_TOKEN_UNKNOWN, 0);
    f->vocab.bos = fixture_add(f, "<s>", TN_TOKEN_CONTROL, 0);
    f->vocab.eos = fixture_add(f, "</s>", TN_TOKEN_CONTROL, 0);
    f->vocab.add_space_prefix = 1;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "<0x%02X>", byte);
        (void)fixture_add(f, text, TN_TOKEN_BYTE, 0);
    }
}

int32_t fixture_add(text_fixture *f, const char *text, int32_t type, float score)
{
    return add(f, text, strlen(text), type, score);
}

int32_t fixture_find(const text_fixture *f, const char *text, size_t n)
{
    for (int32_t id = 0; id < f->vocab.n_tokens; id++) {
        if (f->token[id].n == n && memcmp(f->token[id].data, text, n) == 0)
            return id;
    }
    return -1;
}

int32_t fixture_merge(text_fixture *f, const char *left, const char *right)
{
    char both[256], with_blank[256];
    int n = snprintf(both, sizeof(both), "%s%s", left, right);
    int n_blank = snprintf(with_blank, sizeof(with_blank), "%s %s", left, right);
    assert(n_blank < (int)sizeof(with_blank) && f->vocab.n_merges < FIXTURE_MAX_TOKENS);
    f->merge[f->vocab.n_merges++] = keep(f, with_blank, (size_t)n_blank);
    int32_t id = fixture_find(f, both, (size_t)n);
    return id >= 0 ? id : add(f, both, (size_t)n, TN_TOKEN_NORMAL, 0);
}

uint32_t fixture_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * 0x2545F4914F6CDD1Du >> 32);
}
