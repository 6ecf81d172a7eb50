/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of sentencepiece_model.proto (google/sentencepiece, src/sentencepiece_model.proto) in
 * the encoding of protobuf.dev/programming-guides/encoding. Only what a vocabulary needs is read;
 * libsentencepiece reads the rest from the same bytes.
 */
#include "model/text/spm_file.h"

#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "model/text/spm_charsmap.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MAX_PIECES = 1 << 24 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { MODEL_PIECES = 1, MODEL_TRAINER_SPEC = 2, MODEL_NORMALIZER_SPEC = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { TRAINER_MODEL_TYPE = 3, MODEL_TYPE_UNIGRAM = 1, MODEL_TYPE_BPE = 2 };
enum { TRAINER_UNK_ID = 40, TRAINER_BOS_ID = 41, TRAINER_EOS_ID = 42, TRAINER_PAD_ID = 43 };
enum { TRAINER_TREAT_WHITESPACE_AS_SUFFIX = 24 };
enum {
    NORMALIZER_PRECOMPILED_CHARSMAP = 2,
    NORMALIZER_ADD_DUMMY_PREFIX = 3,
    NORMALIZER_REMOVE_EXTRA_WHITESPACES = 4,
    NORMALIZER_ESCAPE_WHITESPACES = 5
};

struct tn_spm_file {
    tn_arena arena;
    tn_vocab vocab;
    tn_text *token;
    float *score;
    int32_t *type;
    bool joins_blanks, keeps_blanks, has_suffixes;
};

/* ---- protobuf ---- */

typedef struct field {
    uint32_t number, wire;
    uint64_t value; /* varint, fixed32, fixed64 */
    tn_text bytes;
} field;

static bool read_varint(tn_text *from, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && from->n > 0; shift += 7) {
        const uint8_t byte = (uint8_t)*from->data++;
        from->n--;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take(tn_text *from, uint64_t n, tn_text *out)
{
    if (n > from->n)
        return false;
    *out = (tn_text){ from->data, (size_t)n };
    from->data += n;
    from->n -= (size_t)n;
    return true;
}

static uint64_t little_endian(tn_text bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.n; i++)
        value |= (uint64_t)(uint8_t)bytes.data[i] << 8 * i;
    return value;
}

/* The next field; TN_INVALID when the bytes are none. */
static tn_status next_field(tn_text *from, field *out, tn_error *err)
{
    uint64_t key = 0, n = 0;
    *out = (field){ 0 };
    bool is_whole = read_varint(from, &key) && key >> 3 > 0 && key >> 3 <= UINT32_MAX;
    out->number = (uint32_t)(key >> 3);
    out->wire = (uint32_t)(key & 7);
    if (is_whole && out->wire == WIRE_VARINT) {
        is_whole = read_varint(from, &out->value);
    } else if (is_whole && out->wire == WIRE_BYTES) {
        is_whole = read_varint(from, &n) && take(from, n, &out->bytes);
    } else if (is_whole && (out->wire == WIRE_FIXED32 || out->wire == WIRE_FIXED64)) {
        is_whole = take(from, out->wire == WIRE_FIXED32 ? 4 : 8, &out->bytes);
        out->value = little_endian(out->bytes);
    } else {
        is_whole = false;
    }
    return is_whole ? TN_OK
                    : tn_fail(err, TN_INVALID,
                              "tokenizer.model is no SentencePiece model, or is cut off");
}

/* ---- the model's parts ---- */

/* Without a text until one is read. */
static int32_t new_token(tn_spm_file *file, int32_t type)
{
    const int32_t id = file->vocab.n_tokens++;
    file->token[id] = (tn_text){ .data = "" };
    file->type[id] = type;
    return id;
}

static tn_status read_piece(tn_spm_file *file, tn_text from, tn_error *err)
{
    const int32_t id = new_token(file, TN_TOKEN_NORMAL);
    while (from.n > 0) {
        field f;
        TN_TRY(next_field(&from, &f, err));
        const uint32_t bits = (uint32_t)f.value;
        if (f.number == PIECE_TEXT && f.wire == WIRE_BYTES)
            file->token[id] = f.bytes;
        else if (f.number == PIECE_SCORE && f.wire == WIRE_FIXED32)
            memcpy(&file->score[id], &bits, sizeof bits);
        else if (f.number == PIECE_TYPE && f.wire == WIRE_VARINT && f.value >= TN_TOKEN_NORMAL &&
                 f.value <= TN_TOKEN_BYTE)
            file->type[id] = (int32_t)f.value;
    }
    if (!isfinite(file->score[id]))
        return tn_fail(err, TN_INVALID, "tokenizer.model: score of piece %d is not a finite number",
                       (int)id);
    return TN_OK;
}

/* An id, or -1: none. */
static int32_t id_of(uint64_t value)
{
    return value <= INT32_MAX ? (int32_t)value : -1;
}

static tn_status read_trainer(tn_spm_file *file, tn_text from, tn_error *err)
{
    tn_vocab *v = &file->vocab;
    while (from.n > 0) {
        field f;
        TN_TRY(next_field(&from, &f, err));
        if (f.wire != WIRE_VARINT)
            continue;
        if (f.number == TRAINER_UNK_ID)
            v->unk = id_of(f.value);
        else if (f.number == TRAINER_BOS_ID)
            v->bos = id_of(f.value);
        else if (f.number == TRAINER_EOS_ID)
            v->eos = id_of(f.value);
        else if (f.number == TRAINER_PAD_ID)
            v->pad = id_of(f.value);
        else if (f.number == TRAINER_TREAT_WHITESPACE_AS_SUFFIX)
            file->has_suffixes = f.value != 0;
    }
    return TN_OK;
}

static tn_status check_charsmap(tn_text bytes, tn_error *err)
{
    const tn_status st = tn_spm_charsmap_check(bytes, err);
    return st ? tn_error_wrap(err, st, "tokenizer.model") : TN_OK;
}

static tn_status read_normalizer(tn_spm_file *file, tn_text from, tn_error *err)
{
    while (from.n > 0) {
        field f;
        TN_TRY(next_field(&from, &f, err));
        const bool is_switch = f.wire == WIRE_VARINT;
        if (is_switch && f.number == NORMALIZER_ADD_DUMMY_PREFIX)
            file->vocab.add_space_prefix = f.value != 0;
        else if (is_switch && f.number == NORMALIZER_REMOVE_EXTRA_WHITESPACES)
            file->joins_blanks = f.value != 0;
        else if (is_switch && f.number == NORMALIZER_ESCAPE_WHITESPACES)
            file->keeps_blanks = f.value == 0;
        else if (f.wire == WIRE_BYTES && f.number == NORMALIZER_PRECOMPILED_CHARSMAP)
            TN_TRY(check_charsmap(f.bytes, err));
    }
    return TN_OK;
}

/* Switches of models that are no language models. */
static tn_status check_switches(const tn_spm_file *file, tn_error *err)
{
    const char *what = file->joins_blanks   ? "joins blanks (remove_extra_whitespaces)"
                       : file->keeps_blanks ? "has blanks in its pieces (escape_whitespaces false)"
                       : file->has_suffixes ? "has blanks at the end of words "
                                              "(treat_whitespace_as_suffix)"
                                            : NULL;
    return what
               ? tn_fail(err, TN_UNSUPPORTED,
                         "tokenizer.model %s; models that keep blanks, as U+2581 before words, are "
                         "supported",
                         what)
               : TN_OK;
}

static tn_status count_pieces(tn_text from, size_t *out, tn_error *err)
{
    *out = 0;
    while (from.n > 0) {
        field f;
        TN_TRY(next_field(&from, &f, err));
        if (f.number != MODEL_PIECES || f.wire != WIRE_BYTES)
            continue;
        if (f.bytes.n == 0) /* else two bytes of the file would take 24 of memory */
            return tn_fail(err, TN_INVALID, "tokenizer.model: piece %zu is empty", *out);
        ++*out;
    }
    if (*out == 0 || *out > MAX_PIECES)
        return tn_fail(err, TN_INVALID, "tokenizer.model has %zu pieces; 1 to %d are allowed", *out,
                       MAX_PIECES);
    return TN_OK;
}

static tn_status read_model(tn_spm_file *file, tn_text from, tn_error *err)
{
    while (from.n > 0) {
        field f;
        TN_TRY(next_field(&from, &f, err));
        if (f.wire != WIRE_BYTES)
            continue;
        if (f.number == MODEL_PIECES)
            TN_TRY(read_piece(file, f.bytes, err));
        else if (f.number == MODEL_TRAINER_SPEC)
            TN_TRY(read_trainer(file, f.bytes, err));
        else if (f.number == MODEL_NORMALIZER_SPEC)
            TN_TRY(read_normalizer(file, f.bytes, err));
    }
    return check_switches(file, err);
}

/* ---- what the directory says ---- */

/* How many tokens there are: pieces, added tokens, and rows of the head without a text. */
static tn_status count_tokens(const tn_vocab *from, size_t n_pieces, size_t *out, tn_error *err)
{
    size_t n = n_pieces;
    for (int32_t i = 0; i < from->n_added; i++)
        if (from->added[i].id >= 0 && (size_t)from->added[i].id >= n)
            n = (size_t)from->added[i].id + 1;
    if (from->n_tokens > 0 && (size_t)from->n_tokens > n)
        n = (size_t)from->n_tokens;
    *out = n;
    if (n > MAX_PIECES)
        return tn_fail(err, TN_INVALID, "the vocabulary has %zu tokens; at most %d are allowed", n,
                       MAX_PIECES);
    return TN_OK;
}

static void add_tokens(tn_spm_file *file, const tn_vocab *from, size_t n_tokens)
{
    while ((size_t)file->vocab.n_tokens < n_tokens)
        (void)new_token(file, TN_TOKEN_UNUSED);
    for (int32_t i = 0; i < from->n_added; i++) {
        const tn_added_token *a = &from->added[i];
        if (a->id < 0 || file->type[a->id] == TN_TOKEN_UNKNOWN)
            continue;
        file->token[a->id] = a->text;
        file->type[a->id] = a->special ? TN_TOKEN_CONTROL : TN_TOKEN_USER_DEFINED;
    }
}

/* The directory's id, else its text, else the model's own id. */
static int32_t special_id(const tn_spm_file *file, int32_t id, const char *text, int32_t own)
{
    const tn_vocab *v = &file->vocab;
    const size_t n = text ? strlen(text) : 0;
    for (int32_t i = 0; id < 0 && n > 0 && i < v->n_tokens; i++)
        if (file->token[i].n == n && memcmp(file->token[i].data, text, n) == 0)
            id = i;
    id = id >= 0 ? id : own;
    return id < v->n_tokens ? id : -1;
}

static tn_status build(tn_spm_file *file, const tn_vocab *from, tn_error *err)
{
    size_t n_pieces, n_tokens;
    tn_vocab *v = &file->vocab;
    TN_TRY(count_pieces(from->source, &n_pieces, err));
    TN_TRY(count_tokens(from, n_pieces, &n_tokens, err));
    file->token = tn_arena_alloc(&file->arena, n_tokens * sizeof *file->token);
    file->score = tn_arena_alloc(&file->arena, n_tokens * sizeof *file->score);
    file->type = tn_arena_alloc(&file->arena, n_tokens * sizeof *file->type);
    if (!file->token || !file->score || !file->type)
        return tn_fail_memory(err, "the vocabulary");
    *v = *from;
    v->kind = TN_VOCAB_SPM;
    v->n_tokens = 0;
    v->unk = 0, v->bos = 1, v->eos = 2, v->pad = -1; /* the proto's defaults */
    v->add_space_prefix = 1;
    file->joins_blanks = true;
    TN_TRY(read_model(file, from->source, err));
    add_tokens(file, from, n_tokens);
    v->token = file->token;
    v->score = file->score;
    v->type = file->type;
    v->unk = special_id(file, from->unk, from->unk_text, v->unk);
    v->bos = special_id(file, from->bos, from->bos_text, v->bos);
    v->eos = special_id(file, from->eos, from->eos_text, v->eos);
    v->pad = special_id(file, from->pad, from->pad_text, v->pad);
    v->add_bos = from->add_bos < 0 ? 1 : from->add_bos;
    v->add_eos = from->add_eos < 0 ? 0 : from->add_eos;
    v->add_space_prefix = from->add_space_prefix < 0 ? v->add_space_prefix : from->add_space_prefix;
    return TN_OK;
}

/* ---- what it is beyond pieces ---- */

typedef struct nature {
    uint64_t model_type;
    bool rewrites;
} nature;

static tn_status read_nature(tn_text from, uint32_t part, nature *out, tn_error *err)
{
    while (from.n > 0) {
        field f;
        TN_TRY(next_field(&from, &f, err));
        if (part == MODEL_TRAINER_SPEC && f.number == TRAINER_MODEL_TYPE)
            out->model_type = f.value;
        if (part == MODEL_NORMALIZER_SPEC && f.number == NORMALIZER_PRECOMPILED_CHARSMAP)
            out->rewrites = f.bytes.n > 0;
    }
    return TN_OK;
}

tn_status tn_spm_file_check_plain(const tn_vocab *vocab, tn_error *err)
{
    nature n = { .model_type = MODEL_TYPE_UNIGRAM }; /* the proto's default */
    tn_text from = vocab->source;
    while (from.n > 0) {
        field f;
        TN_TRY(next_field(&from, &f, err));
        if (f.wire == WIRE_BYTES &&
            (f.number == MODEL_TRAINER_SPEC || f.number == MODEL_NORMALIZER_SPEC))
            TN_TRY(read_nature(f.bytes, f.number, &n, err));
    }
    const char *what = n.model_type != MODEL_TYPE_BPE
                           ? "is no BPE model (Unigram, words or characters)"
                       : n.rewrites ? "normalises text by a table of characters"
                                    : NULL;
    return what ? tn_fail(err, TN_UNSUPPORTED, "tokenizer.model %s, which a GGUF file cannot say",
                          what)
                : TN_OK;
}

tn_status tn_spm_file_create(const tn_vocab *from, tn_spm_file **out, tn_error *err)
{
    *out = NULL;
    tn_spm_file *file = tn_alloc_array(1, sizeof *file);
    if (!file)
        return tn_fail_memory(err, "the vocabulary");
    const tn_status status = build(file, from, err);
    if (status)
        tn_spm_file_destroy(file);
    else
        *out = file;
    return status;
}

const tn_vocab *tn_spm_file_vocab(const tn_spm_file *file)
{
    return &file->vocab;
}

void tn_spm_file_destroy(tn_spm_file *file)
{
    if (!file)
        return;
    tn_arena_deinit(&file->arena);
    tn_free(file);
}
