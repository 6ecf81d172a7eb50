/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: transformers' tokenization_utils_base.py and configuration_utils.py. */
#include "model/formats/hf_vocab.h"

#include "model/formats/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ID = 1 << 24, MAX_STOPS = 256, MAX_ADDED = 1 << 16, MAX_ID_DIGITS = 8 };
enum { MAX_PLACE_BYTES = 96 }; /* a file's name and a key */
#define TOKENIZER_CONFIG "tokenizer_config.json"

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

/* "<s>", or {"content": "<s>", ...}; NULL when there is none. */
static const char *token_text(tn_json_reader *r, const char *key)
{
    char file[MAX_PLACE_BYTES];
    const char *text = NULL;
    if (!json_is_object(tn_json_get(r, key))) {
        tn_json_string(r, key, &text);
        return text;
    }
    (void)snprintf(file, sizeof file, "%s: %s", r->file, key);
    tn_json_reader token = tn_json_object(r, key, file);
    tn_json_need(&token, "content");
    tn_json_string(&token, "content", &text);
    tn_json_merge(r, &token);
    return text;
}

/* tokenizer_config.json first; special_tokens_map.json is what older ones have. */
static tn_status read_texts(tn_vocab *v, tn_json_reader *config, tn_json_reader *map,
                            tn_arena *arena, tn_error *err)
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
        const char *older = token_text(map, texts[i].key);
        if (!text && !json_object_get(config->object, texts[i].key))
            text = older;
        TN_TRY(copy(arena, text, texts[i].out, err));
    }
    return TN_OK;
}

/* 0, 1, or -1 when it is not there. */
static int32_t switch_of(tn_json_reader *config, const char *key)
{
    bool value = false;
    tn_json_bool(config, key, &value);
    return tn_json_get(config, key) ? value : -1;
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
static int32_t added_id(tn_json_reader *all, const char *key)
{
    const size_t n = strlen(key);
    const bool is_number = n >= 1 && n <= MAX_ID_DIGITS && strspn(key, "0123456789") == n;
    const int32_t id = is_number ? (int32_t)strtol(key, NULL, 10) : MAX_ID;
    if (id >= MAX_ID)
        tn_json_fail(all, TN_INVALID, "a key is no id; an integer from 0 to %d is needed",
                     MAX_ID - 1);
    return id;
}

static int by_id(const void *a, const void *b)
{
    const tn_added_token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* One of added_tokens_decoder: {"content": "<tool>", "special": false, ...}. */
static tn_status read_token(tn_json_reader *all, const char *key, tn_arena *arena,
                            tn_added_token *out, tn_error *err)
{
    char file[MAX_PLACE_BYTES];
    const char *text = NULL;
    bool special = false;
    out->id = added_id(all, key);
    (void)snprintf(file, sizeof file, "%s: %.8s", all->file, all->status ? "" : key);
    tn_json_reader token = tn_json_object(all, key, file);
    tn_json_need(&token, "content");
    tn_json_string(&token, "content", &text);
    tn_json_bool(&token, "special", &special);
    tn_json_merge(all, &token);
    TN_TRY(copy(arena, text ? text : "", &text, err));
    out->text = (tn_text){ .data = text, .n = strlen(text) };
    out->special = special;
    return TN_OK;
}

static void check_ids(tn_json_reader *all, const tn_added_token *added, int32_t n)
{
    for (int32_t i = 1; i < n; i++)
        if (added[i].id == added[i - 1].id)
            tn_json_fail(all, TN_INVALID, "two tokens have the id %d", (int)added[i].id);
}

static tn_status read_all_added(tn_vocab *v, tn_json_reader *all, tn_arena *arena, tn_error *err)
{
    const char *key = NULL;
    json_t *value = NULL, *object = (json_t *)(uintptr_t)all->object;
    const size_t n = json_object_size(object);
    tn_added_token *added = tn_arena_alloc(arena, n * sizeof(*added));
    tn_status st = added ? TN_OK : tn_fail_memory(err, "the added tokens");
    json_object_foreach(object, key, value)
    {
        if (!st && !all->status)
            st = read_token(all, key, arena, &added[v->n_added++], err);
    }
    if (st || all->status)
        return st;
    qsort(added, n, sizeof(*added), by_id);
    check_ids(all, added, v->n_added);
    v->added = added;
    return TN_OK;
}

/* A tokenizer.json has its added tokens itself; those of a tokenizer.model beside it are kept. */
static tn_status read_added(tn_vocab *v, tn_json_reader *config, tn_arena *arena, tn_error *err)
{
    tn_json_reader all =
        tn_json_object(config, "added_tokens_decoder", TOKENIZER_CONFIG ": added_tokens_decoder");
    tn_status st = TN_OK;
    if (json_object_size(all.object) > MAX_ADDED)
        tn_json_fail(&all, TN_INVALID, "%zu tokens; at most %d are allowed",
                     json_object_size(all.object), MAX_ADDED);
    else if ((v->kind == TN_VOCAB_SPM_MODEL || v->model.data) && json_object_size(all.object) > 0)
        st = read_all_added(v, &all, arena, err);
    tn_json_merge(config, &all);
    return st;
}

/* ---- chat template ---- */

/* A string, or a list of {name, template}, of which "default" is taken. */
static const char *template_of(tn_json_reader *config)
{
    const char *name = NULL, *text = NULL;
    const json_t *list = tn_json_get(config, "chat_template");
    if (!json_is_array(list)) {
        tn_json_string(config, "chat_template", &text);
        return text;
    }
    for (size_t i = 0; i < json_array_size(list) && !config->status; i++) {
        tn_json_reader row = { .object = json_array_get(list, i),
                               .file = TOKENIZER_CONFIG ": chat_template" };
        const char *template = NULL;
        tn_json_need(&row, "name");
        tn_json_need(&row, "template");
        tn_json_string(&row, "name", &name);
        tn_json_string(&row, "template", &template);
        tn_json_merge(config, &row);
        if (!row.status && strcmp(name, "default") == 0)
            text = template;
    }
    return text;
}

static tn_status read_template(tn_vocab *v, tn_hf_files *files, tn_json_reader *config,
                               tn_arena *arena, tn_error *err)
{
    const tn_hf_file *f = NULL;
    const char *older = template_of(config);
    TN_TRY(tn_hf_files_open(files, "chat_template.jinja", &f, err));
    if (!f)
        return copy(arena, older, &v->chat_template, err);
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

static tn_status read_settings(tn_vocab *v, tn_hf_files *files, const settings *s, tn_arena *arena,
                               tn_error *err)
{
    tn_json_reader config = { .object = s->tokenizer, .file = TOKENIZER_CONFIG };
    tn_json_reader map = { .object = s->special, .file = "special_tokens_map.json" };
    TN_TRY(read_texts(v, &config, &map, arena, err));
    v->add_bos = switch_of(&config, "add_bos_token");
    v->add_eos = switch_of(&config, "add_eos_token");
    TN_TRY(read_added(v, &config, arena, err));
    TN_TRY(read_template(v, files, &config, arena, err));
    tn_json_merge(&config, &map);
    if (config.status && err)
        *err = config.error;
    return config.status ? tn_error_wrap(err, config.status, "%s", files->dir) : TN_OK;
}

static tn_status read_all(tn_vocab *v, tn_hf_files *files, settings *s, const json_t *config,
                          tn_arena *arena, tn_error *err)
{
    TN_TRY(tn_hf_files_json(files, TOKENIZER_CONFIG, &s->tokenizer, err));
    TN_TRY(tn_hf_files_json(files, "special_tokens_map.json", &s->special, err));
    TN_TRY(tn_hf_files_json(files, "generation_config.json", &s->generation, err));
    TN_TRY(read_source(v, files, err));
    TN_TRY(read_settings(v, files, s, arena, err));
    read_ids(v, config);
    tn_status st = read_stops(v, stops_of(s->generation, config), arena, err);
    if (st)
        return tn_error_wrap(err, st, "%s/generation_config.json (or config.json)", files->dir);
    return TN_OK;
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
