/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json as the library `tokenizers` reads it (its src/models/bpe and src/pre_tokenizers),
 * byte-level BPE only. */
#include "apps/convert/convert_impl.h"
#include "model/text/pretokenizer.h"
#include "model/text/utf8.h"

#include <string.h>

static int32_t type_of(const tn_vocab *v, int32_t id)
{
    return v->type ? v->type[id] : TN_TOKEN_NORMAL;
}

static bool is_text(const tn_text *t)
{
    return tn_utf8_valid_prefix(t->data, t->n) == t->n && !memchr(t->data, 0, t->n);
}

static tn_status check_token(const tn_vocab *v, int32_t id, tn_error *err)
{
    if (is_text(&v->token[id]))
        return TN_OK;
    return tn_fail(err, TN_UNSUPPORTED, "token %d is no text in UTF-8; JSON cannot hold it",
                   (int)id);
}

static json_t *text_of(const tn_vocab *v, int32_t id)
{
    return json_stringn(v->token[id].data, v->token[id].n);
}

static json_t *added_tokens(const tn_vocab *v)
{
    json_t *list = json_array();
    for (int32_t id = 0; id < v->n_tokens; id++) {
        const int32_t type = type_of(v, id);
        const bool is_special = type == TN_TOKEN_CONTROL || type == TN_TOKEN_UNKNOWN;
        if (is_special || type == TN_TOKEN_USER_DEFINED)
            (void)json_array_append_new(list, json_pack("{sisosbsbsbsbsb}", "id", (int)id,
                                                        "content", text_of(v, id), "single_word", 0,
                                                        "lstrip", 0, "rstrip", 0, "normalized", 0,
                                                        "special", (int)is_special));
    }
    return list;
}

static json_t *byte_level(int use_regex)
{
    return json_pack("{sssbsbsb}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                     "use_regex", use_regex);
}

static tn_status pre_tokenizer(const tn_pretokenizer_spec *spec, json_t **out, tn_error *err)
{
    json_t *steps = json_array();
    bool failed = false;
    for (int i = 0; spec->pattern[i]; i++) {
        tn_strbuf regex = TN_STRBUF(1 << 16);
        tn_pretokenizer_put_regex(spec->pattern[i], &regex);
        (void)json_array_append_new(steps, json_pack("{sss{ss}sssb}", "type", "Split", "pattern",
                                                     "Regex", tn_strbuf_text(&regex), "behavior",
                                                     "Isolated", "invert", 0));
        failed = failed || regex.failed;
        tn_strbuf_deinit(&regex);
    }
    (void)json_array_append_new(steps, byte_level(0));
    *out = json_pack("{ssso}", "type", "Sequence", "pretokenizers", steps);
    return *out && !failed ? TN_OK : tn_fail_memory(err, "tokenizer.json");
}

static json_t *post_processor(const tn_vocab *v)
{
    if (!v->add_bos || v->bos < 0)
        return byte_level(1);
    json_t *bos = text_of(v, v->bos);
    const char *text = json_string_value(bos);
    json_t *first = json_pack("{s{sssi}}", "SpecialToken", "id", text, "type_id", 0);
    json_t *a = json_pack("{s{sssi}}", "Sequence", "id", "A", "type_id", 0);
    json_t *b = json_pack("{s{sssi}}", "Sequence", "id", "B", "type_id", 1);
    json_t *post = json_pack("{sss[OO]s[OOO]s{s{sss[i]s[s]}}}", "type", "TemplateProcessing",
                             "single", first, a, "pair", first, a, b, "special_tokens", text, "id",
                             text, "ids", (int)v->bos, "tokens", text);
    json_decref(first);
    json_decref(a);
    json_decref(b);
    json_decref(bos);
    return post;
}

static tn_status model(const tn_vocab *v, bool ignore_merges, json_t **out, tn_error *err)
{
    json_t *ids = json_object(), *merges = json_array();
    tn_status st = TN_OK;
    for (int32_t id = 0; id < v->n_tokens && !st; id++) {
        st = check_token(v, id, err);
        json_t *text = st ? NULL : text_of(v, id);
        /* A text's first id is the one that is found. */
        if (text && !json_object_get(ids, json_string_value(text)))
            (void)json_object_set_new(ids, json_string_value(text), json_integer(id));
        json_decref(text);
    }
    for (int32_t i = 0; i < v->n_merges && !st; i++) {
        if (!is_text(&v->merge[i]))
            st = tn_fail(err, TN_UNSUPPORTED, "merge %d is no text in UTF-8; JSON cannot hold it",
                         (int)i);
        (void)json_array_append_new(merges, json_stringn(v->merge[i].data, v->merge[i].n));
    }
    *out =
        json_pack("{sssnsnsnsnsbsbsbsoso}", "type", "BPE", "dropout", "unk_token",
                  "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback",
                  0, "ignore_merges", (int)ignore_merges, "vocab", ids, "merges", merges);
    return st ? st : *out ? TN_OK : tn_fail_memory(err, "tokenizer.json");
}

tn_status tn_convert_tokenizer(const tn_vocab *v, json_t **out, tn_error *err)
{
    tn_pretokenizer_spec spec;
    json_t *pre = NULL, *bpe = NULL;
    *out = NULL;
    if (v->kind != TN_VOCAB_BPE)
        return tn_fail(err, TN_UNSUPPORTED,
                       "byte-level BPE and SentencePiece vocabularies can be converted; this "
                       "file has another or none");
    if (v->add_eos)
        return tn_fail(err, TN_UNSUPPORTED,
                       "the vocabulary adds EOS to every text, which cannot be converted yet");
    TN_TRY(tn_pretokenizer_lookup(v->pre, &spec, err));
    tn_status st = pre_tokenizer(&spec, &pre, err);
    if (!st)
        st = model(v, spec.ignore_merges, &bpe, err);
    if (!st)
        *out = json_pack("{sssnsnsosnsosososo}", "version", "1.0", "truncation", "padding",
                         "added_tokens", added_tokens(v), "normalizer", "pre_tokenizer",
                         json_incref(pre), "post_processor", post_processor(v), "decoder",
                         byte_level(1), "model", json_incref(bpe));
    json_decref(pre);
    json_decref(bpe);
    return st ? st : *out ? TN_OK : tn_fail_memory(err, "tokenizer.json");
}

tn_status tn_convert_tokenizer_config(const tn_vocab *v, json_t **out, tn_error *err)
{
    const struct {
        const char *key;
        int32_t id;
    } specials[] = { { "bos_token", v->bos },
                     { "eos_token", v->eos },
                     { "unk_token", v->unk },
                     { "pad_token", v->pad } };
    const tn_text template = { v->chat_template, v->chat_template ? strlen(v->chat_template) : 0 };
    tn_status st = TN_OK;
    json_t *c = json_pack("{sssbsb}", "tokenizer_class",
                          v->kind == TN_VOCAB_SPM ? "LlamaTokenizer" : "PreTrainedTokenizerFast",
                          "clean_up_tokenization_spaces", 0, "add_bos_token", (int)v->add_bos);
    if (v->kind == TN_VOCAB_SPM)
        (void)json_object_set_new(c, "add_eos_token", json_boolean(v->add_eos));
    for (size_t i = 0; i < sizeof specials / sizeof specials[0] && !st; i++) {
        if (specials[i].id < 0)
            continue;
        st = check_token(v, specials[i].id, err);
        (void)json_object_set_new(c, specials[i].key, text_of(v, specials[i].id));
    }
    if (template.data && !is_text(&template) && !st)
        st = tn_fail(err, TN_UNSUPPORTED, "the chat template is no text in UTF-8");
    if (template.data)
        (void)json_object_set_new(c, "chat_template", json_string(template.data));
    *out = c;
    return st ? st : c ? TN_OK : tn_fail_memory(err, "tokenizer_config.json");
}
