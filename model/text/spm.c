/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/spm.h"

#include "core/base/alloc.h"
#include "model/text/spm_shim.h"
#include "model/text/utf8.h"

#include <math.h>
#include <string.h>

/* U+2581, which stands for a blank in SentencePiece's pieces. */
#define SPACE   "\xE2\x96\x81"
#define N_SPACE (sizeof(SPACE) - 1)

/*
 * A long text goes to libsentencepiece as parts of about this size: its memory (some 250 bytes a
 * byte of text) stays in the cache, which makes it 3 times as fast as parts of 64 KiB and 5 times
 * as fast as a 5 MB text at once.
 */
#define PART_BYTES      (4u << 10)
#define MAX_PROTO_BYTES (512u << 20)

/*
 * Field numbers of sentencepiece_model.proto (google/sentencepiece, src/sentencepiece_model.proto)
 * and the wire types of the protobuf encoding (protobuf.dev/programming-guides/encoding).
 */
enum { MODEL_PIECES = 1, MODEL_TRAINER_SPEC = 2, MODEL_NORMALIZER_SPEC = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_MODEL_TYPE = 3,
    TRAINER_VOCAB_SIZE = 4,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNK_ID = 40,    /* and bos, eos, pad */
    TRAINER_UNK_PIECE = 45, /* likewise */
    MODEL_TYPE_BPE = 2
};
enum {
    NORMALIZER_NAME = 1,
    NORMALIZER_ADD_DUMMY_PREFIX = 3,
    NORMALIZER_REMOVE_EXTRA_WHITESPACES = 4,
    NORMALIZER_ESCAPE_WHITESPACES = 5
};
enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct tn_spm {
    const tn_vocab_index *index;
    tn_spm_model *model;
    int32_t byte_id[256]; /* -1: the vocabulary has no token for the byte */
    int32_t unk; /* n_tokens: a piece that only the library knows, because the vocabulary has no
                    unknown token */
    bool byte_fallback;   /* all of byte_id are tokens, as libsentencepiece demands */
    bool parts_at_spaces; /* no piece has a blank after something else, so no merge crosses the
                             beginning of a blank */
};

static void put_varint(tn_strbuf *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        char byte = (char)(0x80 | (value & 0x7F));
        tn_strbuf_append(b, &byte, 1);
    }
    char last = (char)value;
    tn_strbuf_append(b, &last, 1);
}

static void put_uint(tn_strbuf *b, unsigned field, uint64_t value)
{
    put_varint(b, field << 3 | WIRE_VARINT);
    put_varint(b, value);
}

static void put_bytes(tn_strbuf *b, unsigned field, const char *bytes, size_t n)
{
    put_varint(b, field << 3 | WIRE_BYTES);
    put_varint(b, n);
    tn_strbuf_append(b, bytes, n);
}

static void put_float(tn_strbuf *b, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    char little_endian[4] = { (char)(bits & 0xFF), (char)(bits >> 8 & 0xFF),
                              (char)(bits >> 16 & 0xFF), (char)(bits >> 24) };
    put_varint(b, field << 3 | WIRE_FIXED32);
    tn_strbuf_append(b, little_endian, sizeof(little_endian));
}

static void put_message(tn_strbuf *b, unsigned field, const tn_strbuf *message)
{
    put_bytes(b, field, tn_strbuf_text(message), message->len);
    b->failed = b->failed || message->failed;
}

/* Only this token of its text can be found: libsentencepiece allows no text twice, and none that is
 * empty. */
static bool is_first_of_its_text(const tn_spm *spm, int32_t id)
{
    tn_text text = spm->index->vocab->token[id];
    return text.n > 0 && tn_vocab_index_find(spm->index, text.data, text.n) == id;
}

/* Types as libsentencepiece takes them: one unknown piece; byte pieces only all together. Control
 * pieces never come out of text. */
static int32_t proto_type(const tn_spm *spm, int32_t id)
{
    int32_t type = spm->index->type[id];
    if (id == spm->unk)
        return TN_TOKEN_UNKNOWN;
    if (type == TN_TOKEN_UNKNOWN)
        return TN_TOKEN_CONTROL;
    if (type != TN_TOKEN_BYTE)
        return type;
    int32_t byte = tn_byte_token_value(spm->index->vocab->token[id]);
    return spm->byte_fallback && byte >= 0 && spm->byte_id[byte] == id ? TN_TOKEN_BYTE
                                                                       : TN_TOKEN_CONTROL;
}

static void put_piece_text(const tn_spm *spm, int32_t id, tn_strbuf *scratch)
{
    const tn_vocab *v = spm->index->vocab;
    if (id < v->n_tokens && is_first_of_its_text(spm, id)) {
        tn_strbuf_append(scratch, v->token[id].data, v->token[id].n);
        return;
    }
    tn_strbuf_printf(scratch, "<tenon:%d>", id);
    while (!scratch->failed && tn_vocab_index_find(spm->index, scratch->data, scratch->len) >= 0)
        tn_strbuf_append(scratch, "_", 1);
}

/* The stand-in of a text that is there twice must not match text that happens to look like it. */
static int32_t piece_type(const tn_spm *spm, int32_t id)
{
    int32_t type = id < spm->index->vocab->n_tokens ? proto_type(spm, id) : TN_TOKEN_UNKNOWN;
    bool can_match =
        type == TN_TOKEN_NORMAL || type == TN_TOKEN_USER_DEFINED || type == TN_TOKEN_UNUSED;
    return can_match && !is_first_of_its_text(spm, id) ? TN_TOKEN_CONTROL : type;
}

static tn_status put_pieces(const tn_spm *spm, tn_strbuf *proto, tn_error *err)
{
    const tn_vocab *v = spm->index->vocab;
    tn_strbuf text = TN_STRBUF(1u << 20), piece = TN_STRBUF(1u << 20);
    tn_status st = TN_OK;

    for (int32_t id = 0; !st && id < v->n_tokens + (spm->unk == v->n_tokens); id++) {
        /* Without scores the order of the tokens is the order of the merges, as in trained
         * SentencePiece BPE models. */
        float score = v->score && id < v->n_tokens ? v->score[id] : -(float)id;
        if (!isfinite(score))
            st = tn_fail(err, TN_INVALID, "score of token %d is not a finite number", id);
        tn_strbuf_clear(&text);
        tn_strbuf_clear(&piece);
        put_piece_text(spm, id, &text);
        put_message(&piece, PIECE_TEXT, &text);
        put_float(&piece, PIECE_SCORE, score);
        put_uint(&piece, PIECE_TYPE, (uint64_t)piece_type(spm, id));
        put_message(proto, MODEL_PIECES, &piece);
    }
    tn_strbuf_deinit(&piece);
    tn_strbuf_deinit(&text);
    return st;
}

/* Which pieces are the special ones. */
static void put_special(const tn_spm *spm, tn_strbuf *spec)
{
    const tn_vocab *v = spm->index->vocab;
    const int32_t ids[] = { spm->unk, v->bos, v->eos, v->pad };
    for (unsigned i = 0; i < 4; i++) {
        put_uint(spec, TRAINER_UNK_ID + i, (uint64_t)(int64_t)ids[i]); /* -1: none */
        if (ids[i] >= 0 && ids[i] < v->n_tokens)
            put_bytes(spec, TRAINER_UNK_PIECE + i, v->token[ids[i]].data, v->token[ids[i]].n);
    }
}

static void put_specs(const tn_spm *spm, bool dummy_prefix, tn_strbuf *proto)
{
    tn_strbuf spec = TN_STRBUF(1u << 20);

    put_uint(&spec, TRAINER_MODEL_TYPE, MODEL_TYPE_BPE);
    put_uint(&spec, TRAINER_VOCAB_SIZE, (uint64_t)spm->index->vocab->n_tokens);
    put_uint(&spec, TRAINER_BYTE_FALLBACK, spm->byte_fallback);
    put_special(spm, &spec);
    put_message(proto, MODEL_TRAINER_SPEC, &spec);
    tn_strbuf_clear(&spec);
    put_bytes(&spec, NORMALIZER_NAME, "identity", 8);
    put_uint(&spec, NORMALIZER_ADD_DUMMY_PREFIX, dummy_prefix);
    put_uint(&spec, NORMALIZER_REMOVE_EXTRA_WHITESPACES, 0);
    put_uint(&spec, NORMALIZER_ESCAPE_WHITESPACES, 1);
    put_message(proto, MODEL_NORMALIZER_SPEC, &spec);
    tn_strbuf_deinit(&spec);
}

/* A message that stands there twice is merged, the last value of a field counts: so the model's own
 * bytes need only one more field. */
static void put_source(const tn_spm *spm, tn_strbuf *proto)
{
    tn_strbuf spec = TN_STRBUF(16);
    tn_strbuf_append(proto, spm->index->vocab->source.data, spm->index->vocab->source.n);
    put_uint(&spec, NORMALIZER_ADD_DUMMY_PREFIX, 0);
    put_message(proto, MODEL_NORMALIZER_SPEC, &spec);
    tn_strbuf_deinit(&spec);
}

static tn_status load_model(tn_spm *spm, tn_error *err)
{
    tn_strbuf proto = TN_STRBUF(MAX_PROTO_BYTES);
    tn_status st = TN_OK;
    /* tn_spm_encode writes the dummy prefix itself: only the first part of a text may have one. */
    if (spm->index->vocab->source.n > 0) {
        put_source(spm, &proto);
    } else {
        st = put_pieces(spm, &proto, err);
        put_specs(spm, false, &proto);
    }
    if (!st && proto.failed)
        st = tn_fail_memory(err, "the SentencePiece model");
    if (!st)
        st = tn_spm_model_create(proto.data, proto.len, &spm->model, err);
    if (st == TN_INVALID && spm->index->vocab->source.n > 0)
        st = tn_error_wrap(err, st, "tokenizer.model");
    tn_strbuf_deinit(&proto);
    return st;
}

static size_t space_at(const char *text, size_t n)
{
    if (n >= N_SPACE && memcmp(text, SPACE, N_SPACE) == 0)
        return N_SPACE;
    return n >= 1 && text[0] == ' ';
}

static bool has_inner_space(tn_text text)
{
    size_t at = 0, n;
    while ((n = space_at(text.data + at, text.n - at)) > 0)
        at += n;
    for (; at < text.n; at++) {
        if (space_at(text.data + at, text.n - at) > 0)
            return true;
    }
    return false;
}

/* What the vocabulary can do: bytes, unknown, and whether its pieces stay within words. */
static void survey(tn_spm *spm)
{
    const tn_vocab *v = spm->index->vocab;
    int32_t n_bytes = 0, first_unknown = v->n_tokens;

    memset(spm->byte_id, 0xFF, sizeof(spm->byte_id));
    spm->parts_at_spaces = true;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        int32_t type = spm->index->type[id], byte = tn_byte_token_value(v->token[id]);
        if (type == TN_TOKEN_UNKNOWN && first_unknown == v->n_tokens)
            first_unknown = id;
        if (type == TN_TOKEN_BYTE && byte >= 0 && spm->byte_id[byte] < 0 &&
            is_first_of_its_text(spm, id)) {
            spm->byte_id[byte] = id;
            n_bytes++;
        }
        if (type != TN_TOKEN_CONTROL && type != TN_TOKEN_UNKNOWN && has_inner_space(v->token[id]))
            spm->parts_at_spaces = false;
    }
    spm->byte_fallback = n_bytes == 256;
    spm->unk = v->unk >= 0 ? v->unk : first_unknown;
}

tn_status tn_spm_create(const tn_vocab_index *index, tn_spm **out, tn_error *err)
{
    *out = NULL;
    tn_spm *spm = tn_alloc_array(1, sizeof(*spm));
    if (!spm)
        return tn_fail_memory(err, "the tokenizer");
    spm->index = index;
    survey(spm);
    tn_status st = load_model(spm, err);
    if (st)
        tn_spm_destroy(spm);
    else
        *out = spm;
    return st;
}

tn_status tn_spm_put_model(const tn_vocab *vocab, tn_strbuf *out, tn_error *err)
{
    tn_vocab_index index;
    TN_TRY(tn_vocab_index_init(&index, vocab, err));
    tn_spm spm = { .index = &index };
    survey(&spm);
    tn_status st = put_pieces(&spm, out, err);
    put_specs(&spm, vocab->add_space_prefix != 0, out);
    tn_vocab_index_deinit(&index);
    return st ? st : out->failed ? tn_fail_memory(err, "the SentencePiece model") : TN_OK;
}

void tn_spm_destroy(tn_spm *spm)
{
    if (!spm)
        return;
    tn_spm_model_destroy(spm->model);
    tn_free(spm);
}

/* One encode call. */
typedef struct job {
    const tn_spm *spm;
    tn_ids *ids;
    bool prefix_due; /* the dummy prefix is still to come */
} job;

static tn_status take_ids(void *ctx, const int *ids, size_t n, tn_error *err)
{
    const job *j = ctx;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= j->spm->index->vocab->n_tokens)
            return tn_fail(err, TN_INVALID,
                           "text has a character that the vocabulary has no token for, nor bytes "
                           "or an unknown token");
        TN_TRY(tn_ids_append(j->ids, ids[i], err));
    }
    return TN_OK;
}

static tn_status encode_part(job *j, const char *text, size_t n, tn_error *err)
{
    if (!j->prefix_due)
        return n == 0 ? TN_OK : tn_spm_model_encode(j->spm->model, text, n, take_ids, j, err);
    j->prefix_due = false;
    tn_strbuf prefixed = TN_STRBUF(SIZE_MAX / 2);
    tn_strbuf_append(&prefixed, SPACE, N_SPACE);
    tn_strbuf_append(&prefixed, text, n);
    tn_status st = prefixed.failed ? tn_fail_memory(err, "the text to encode")
                                   : tn_spm_model_encode(j->spm->model, prefixed.data, prefixed.len,
                                                         take_ids, j, err);
    tn_strbuf_deinit(&prefixed);
    return st;
}

/* Where the part that begins at text ends: at a blank after something else, at or after PART_BYTES.
 */
static size_t part_end(const tn_spm *spm, const char *text, size_t n)
{
    for (size_t at = PART_BYTES; spm->parts_at_spaces && at < n; at++) {
        bool after_space = text[at - 1] == ' ' || memcmp(text + at - N_SPACE, SPACE, N_SPACE) == 0;
        if (text[at] == ' ' && !after_space)
            return at;
    }
    return n;
}

static tn_status encode_invalid(job *j, const char *bytes, size_t n, tn_error *err)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = j->spm->byte_id[(uint8_t)bytes[i]];
        if (id < 0)
            id = j->spm->unk;
        TN_TRY(take_ids(j, &id, 1, err));
    }
    return TN_OK;
}

/* Valid UTF-8, part by part; the first time also an empty text, which has the prefix. */
static tn_status encode_valid(job *j, const char *text, size_t n, tn_error *err)
{
    tn_status st = TN_OK;
    for (size_t at = 0; !st && (at < n || j->prefix_due);) {
        size_t n_part = part_end(j->spm, text + at, n - at);
        st = encode_part(j, text + at, n_part, err);
        at += n_part;
    }
    return st;
}

tn_status tn_spm_encode(const tn_spm *spm, const char *text, size_t n, tn_ids *ids, tn_error *err)
{
    job j = { .spm = spm, .ids = ids, .prefix_due = n > 0 && spm->index->vocab->add_space_prefix };
    for (size_t at = 0; at < n;) {
        size_t n_valid = tn_utf8_valid_prefix(text + at, n - at);
        TN_TRY(encode_valid(&j, text + at, n_valid, err));
        at += n_valid;
        size_t n_invalid = tn_utf8_invalid_prefix(text + at, n - at);
        TN_TRY(encode_invalid(&j, text + at, n_invalid, err));
        at += n_invalid;
    }
    return TN_OK;
}

void tn_spm_piece(const tn_spm *spm, int32_t id, tn_strbuf *out)
{
    tn_text text = spm->index->vocab->token[id];
    int32_t type = spm->index->type[id], byte = tn_byte_token_value(text);
    if (type == TN_TOKEN_UNKNOWN) {
        tn_strbuf_puts(out, " \xE2\x81\x87 ");
        return;
    }
    if (type == TN_TOKEN_BYTE && byte >= 0) {
        char value = (char)byte;
        tn_strbuf_append(out, &value, 1);
        return;
    }
    for (size_t at = 0; at < text.n;) {
        bool space = text.n - at >= N_SPACE && memcmp(text.data + at, SPACE, N_SPACE) == 0;
        tn_strbuf_append(out, space ? " " : text.data + at, 1);
        at += space ? N_SPACE : 1;
    }
}
