/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: transformers' tokenization_utils_base.py and configuration_utils.py. */
#include "model/formats/hf_vocab.h"

#include "model/formats/json_read.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ID = 1 << 24, MAX_STOPS = 256, MAX_ADDED = 1 << 16, MAX_ID_DIGITS = 8 };

static tn_status copy(tn_arena *arena, const char *text, const char **out, tn_error *err)
{
    *out = text ? tn_arena_strdup(arena, text) : NULL;
    return text && !*out ? tn_fail_memory(err, "the vocabulary") : TN_OK;
}

/* ---- source ---- */

static tn_status read_source(tn_vocab *v, tn_hf_files *files, tn_error *err)
{
    static const struct {
        const char *name;
        int32_t kind;
    } sources[] = { { "tokenizer.json", TN_VOCAB_HF_JSON },
                    { "tokenizer.model", TN_VOCAB_SPM_MODEL } };
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        const tn_hf_file *f = NULL;
        TN_TRY(tn_hf_files_open(files, sources[i].name, &f, err));
        if (!f)
            continue;
        const tn_text bytes = { .data = (const char *)f->data, .n = f->size };
        if (v->source.data) {
            v->model = bytes;
            break;
        }
        v->kind = sources[i].kind;
        v->source = bytes;
    }
    return TN_OK;
}

/* ---- special tokens ---- */

/* "<s>", or {"content": "<s>", ...}. */
static const char *token_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    return json_string_value(value);
}

/* tokenizer_config.json first; special_tokens_map.json is what older ones have. */
static tn_status read_texts(tn_vocab *v, const json_t *config, const json_t *map, tn_arena *arena,
                            tn_error *err)
{
    const struct {
        const char *key;
        const char **out;
    } texts[] = { { "bos_token", &v->bos_text },
                  { "eos_token", &v->eos_text },
                  { "unk_token", &v->unk_text },
                  { "pad_token", &v->pad_text } };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *text = token_text(config, texts[i].key);
        if (!text && !json_object_get(config, texts[i].key))
            text = token_text(map, texts[i].key);
        TN_TRY(copy(arena, text, texts[i].out, err));
    }
    return TN_OK;
}

static int32_t switch_of(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return json_is_boolean(value) ? json_is_true(value) : -1;
}

/* A number, or the first of a list. */
static int32_t id_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_array(value))
        value = json_array_get(value, 0);
    const double id = json_number_value(value);
    return json_is_number(value) && id >= 0 && id < MAX_ID ? (int32_t)id : -1;
}

/* Ids where there is no text: config.json's are those of the model class, not of the tokenizer, so
 * a text wins. */
static void read_ids(tn_vocab *v, const json_t *config)
{
    v->bos = v->bos_text ? -1 : id_of(config, "bos_token_id");
    v->eos = v->eos_text ? -1 : id_of(config, "eos_token_id");
    v->pad = v->pad_text ? -1 : id_of(config, "pad_token_id");
    v->unk = -1;
    v->eot = -1;
}

/* generation_config.json's, else config.json's: a number or a list. */
static const json_t *stops_of(const json_t *generation, const json_t *config)
{
    const json_t *stops = json_object_get(generation, "eos_token_id");
    if (!stops || json_is_null(stops))
        stops = json_object_get(config, "eos_token_id");
    return json_is_null(stops) ? NULL : stops;
}

/* Ids that end a generation. */
static tn_status read_stops(tn_vocab *v, const json_t *stops, tn_arena *arena, tn_error *err)
{
    const bool is_list = json_is_array(stops);
    const size_t n = is_list ? json_array_size(stops) : stops != NULL;
    if (n > MAX_STOPS)
        return tn_fail(err, TN_INVALID, "eos_token_id lists %zu ids; at most %d are allowed", n,
                       MAX_STOPS);
    int32_t *ids = tn_arena_alloc(arena, n * sizeof(*ids));
    if (!ids)
        return tn_fail_memory(err, "the vocabulary");
    for (size_t i = 0; i < n; i++) {
        const json_t *value = is_list ? json_array_get(stops, i) : stops;
        const double id = json_number_value(value);
        if (!json_is_number(value) || !(id >= 0 && id < MAX_ID))
            return tn_fail(err, TN_INVALID, "eos_token_id: an id from 0 to %d is needed",
                           MAX_ID - 1);
        ids[i] = (int32_t)id;
    }
    v->stop = ids;
    v->n_stops = (int32_t)n;
    return TN_OK;
}

/* ---- added tokens ---- */

/* The key of added_tokens_decoder as an id. */
static tn_status read_added_id(const char *key, int32_t *out, tn_error *err)
{
    const size_t n = strlen(key);
    if (n < 1 || n > MAX_ID_DIGITS || strspn(key, "0123456789") != n)
        return tn_fail(err, TN_INVALID, "added_tokens_decoder: \"%.32s\" is no id", key);
    *out = (int32_t)strtol(key, NULL, 10);
    if (*out >= MAX_ID)
        return tn_fail(err, TN_INVALID, "added_tokens_decoder: id %d is past %d", (int)*out,
                       MAX_ID - 1);
    return TN_OK;
}

static int by_id(const void *a, const void *b)
{
    const tn_added_token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static tn_status read_added(tn_vocab *v, const json_t *config, tn_arena *arena, tn_error *err)
{
    json_t *all = json_object_get(config, "added_tokens_decoder"), *value = NULL;
    const char *key = NULL;
    const size_t n = json_object_size(all);
    if ((v->kind != TN_VOCAB_SPM_MODEL && !v->model.data) || n == 0)
        return TN_OK;
    if (n > MAX_ADDED)
        return tn_fail(err, TN_INVALID,
                       "added_tokens_decoder has %zu tokens; at most %d are allowed", n, MAX_ADDED);
    tn_added_token *added = tn_arena_alloc(arena, n * sizeof(*added));
    if (!added)
        return tn_fail_memory(err, "the added tokens");
    json_object_foreach(all, key, value)
    {
        tn_added_token *t = &added[v->n_added];
        const char *text = NULL;
        TN_TRY(read_added_id(key, &t->id, err));
        TN_TRY(copy(arena, json_string_value(json_object_get(value, "content")), &text, err));
        if (!text)
            return tn_fail(err, TN_INVALID, "added_tokens_decoder: token %s has no content", key);
        t->text = (tn_text){ .data = text, .n = strlen(text) };
        t->special = json_is_true(json_object_get(value, "special"));
        v->n_added++;
    }
    qsort(added, n, sizeof(*added), by_id);
    v->added = added;
    return TN_OK;
}

/* ---- chat template ---- */

/* A string, or a list of {name, template}, of which "default" is taken. */
static const char *template_of(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *row = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(row, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(row, "template"));
    }
    return json_string_value(value);
}

static tn_status read_template(tn_vocab *v, tn_hf_files *files, const json_t *config,
                               tn_arena *arena, tn_error *err)
{
    const tn_hf_file *f = NULL;
    TN_TRY(tn_hf_files_open(files, "chat_template.jinja", &f, err));
    if (!f)
        return copy(arena, template_of(config), &v->chat_template, err);
    if (f->size > TN_JSON_MAX_FILE_BYTES || (f->size && memchr(f->data, 0, f->size)))
        return tn_fail(err, TN_INVALID, "%s: %zu bytes; text of at most %d is needed", f->path,
                       f->size, TN_JSON_MAX_FILE_BYTES);
    char *text = tn_arena_alloc(arena, f->size + 1);
    if (!text)
        return tn_fail_memory(err, "the chat template");
    if (f->size)
        memcpy(text, f->data, f->size);
    v->chat_template = text;
    return TN_OK;
}

/* ---- all of it ---- */

typedef struct settings {
    json_t *tokenizer, *special, *generation;
} settings;

static tn_status read_all(tn_vocab *v, tn_hf_files *files, settings *s, const json_t *config,
                          tn_arena *arena, tn_error *err)
{
    TN_TRY(tn_hf_files_json(files, "tokenizer_config.json", &s->tokenizer, err));
    TN_TRY(tn_hf_files_json(files, "special_tokens_map.json", &s->special, err));
    TN_TRY(tn_hf_files_json(files, "generation_config.json", &s->generation, err));
    TN_TRY(read_source(v, files, err));
    TN_TRY(read_texts(v, s->tokenizer, s->special, arena, err));
    read_ids(v, config);
    v->add_bos = switch_of(s->tokenizer, "add_bos_token");
    v->add_eos = switch_of(s->tokenizer, "add_eos_token");
    tn_status st = read_stops(v, stops_of(s->generation, config), arena, err);
    if (st)
        return tn_error_wrap(err, st, "%s/generation_config.json (or config.json)", files->dir);
    st = read_added(v, s->tokenizer, arena, err);
    if (st)
        return tn_error_wrap(err, st, "%s/tokenizer_config.json", files->dir);
    return read_template(v, files, s->tokenizer, arena, err);
}

tn_status tn_hf_vocab_read(tn_vocab *v, tn_hf_files *files, const json_t *config, int32_t n_rows,
                           tn_arena *arena, tn_error *err)
{
    settings s = { 0 };
    *v = (tn_vocab){ .n_tokens = n_rows, .add_space_prefix = -1 };
    tn_status st = read_all(v, files, &s, config, arena, err);
    json_decref(s.tokenizer);
    json_decref(s.special);
    json_decref(s.generation);
    return st;
}
