/* SPDX-License-Identifier: Apache-2.0 */
/* tenon inspect: what a model is, and with a profile what memory it needs. Reads metadata only, and
 * also tells what this program cannot run. */
#include "apps/cli/commands.h"
#include "apps/cli/inspection.h"
#include "apps/cli/memory_report.h"
#include "apps/cli/output.h"
#include "model/arch/arch.h"
#include "model/formats/printable.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_LINES = 3, SHOWN_COLUMNS = 80 };

static const char *vocab_name(int32_t kind)
{
    static const char *const names[] = { "none that is known", "byte-level BPE", "SentencePiece",
                                         "tokenizer.json", "tokenizer.model" };
    return kind >= 0 && kind <= TN_VOCAB_SPM_MODEL ? names[kind] : names[TN_VOCAB_NONE];
}

static const char *scaling_name(int32_t scaling)
{
    static const char *const names[] = {
        "none", "linear", "dynamic", "yarn", "llama3", "longrope"
    };
    return scaling >= 0 && scaling <= TN_ROPE_SCALING_LONGROPE ? names[scaling] : "unknown";
}

static const char *pairing_name(int32_t pairing)
{
    return pairing == TN_ROPE_INTERLEAVED ? "interleaved" : "halves";
}

/* ---- text ---- */

static void put_rope(const tn_model_desc *d, tn_strbuf *out)
{
    const tn_rope_desc *r = &d->rope;
    tn_strbuf_printf(out, "rope            base %g, %d of %d dimensions, %s", (double)r->base,
                     (int)r->rotary_dim, (int)d->head_dim, pairing_name(r->pairing));
    if (r->scaling)
        tn_strbuf_printf(out, ", %s scaling by %g", scaling_name(r->scaling), (double)r->factor);
    if (r->original_length)
        tn_strbuf_printf(out, " from %d tokens", (int)r->original_length);
    if (r->attention_factor > 0)
        tn_strbuf_printf(out, ", attention by %g", (double)r->attention_factor);
    if (r->freq_factors)
        tn_strbuf_printf(out, ", frequency factors %s", tn_inspection_factors(r));
    tn_strbuf_puts(out, "\n");
}

static void put_attention(const tn_model_desc *d, tn_strbuf *out)
{
    if (!d->window && !d->logn_length && !d->qk_norm)
        return;
    const char *separator = "attention       ";
    if (d->window) {
        tn_strbuf_printf(out, "%swindow of %d tokens", separator, (int)d->window);
        if (d->window_layer)
            tn_strbuf_printf(out, " from layer %d on", (int)d->window_layer);
        separator = ", ";
    }
    if (d->logn_length) {
        tn_strbuf_printf(out, "%slogn past %d tokens", separator, (int)d->logn_length);
        separator = ", ";
    }
    if (d->qk_norm)
        tn_strbuf_printf(out, "%snorms of q and k", separator);
    tn_strbuf_puts(out, "\n");
}

static void put_desc(const tn_inspection *in, tn_strbuf *out)
{
    const tn_model_desc *d = &in->desc;
    if (!in->has_desc) {
        tn_strbuf_printf(out, "cannot run      %s\n", in->desc_error.text);
        return;
    }
    tn_strbuf_printf(out, "architecture    %s%s\n", d->arch,
                     tn_arch_find(d->arch) ? "" : " (not supported)");
    tn_strbuf_printf(out,
                     "shape           %d layers, hidden %d, feed-forward %d, heads %d query / "
                     "%d kv of %d, vocabulary %d\n",
                     (int)d->n_layers, (int)d->dim, (int)d->ffn, (int)d->heads, (int)d->kv_heads,
                     (int)d->head_dim, (int)d->vocab);
    tn_strbuf_printf(out, "norm            rms, eps %g\n", (double)d->norm_eps);
    put_rope(d, out);
    put_attention(d, out);
    tn_strbuf_printf(out, "context         %d tokens\n", (int)d->max_length);
    tn_strbuf_puts(out, "kv per token   ");
    for (int32_t i = 0; i < TN_INSPECT_KV_FORMATS; i++)
        tn_strbuf_printf(out, "%s %s %" PRIu64 " B", i ? "," : "", tn_inspection_kv_format(i),
                         tn_inspection_kv_bytes(in, i));
    tn_strbuf_puts(out, "\n");
}

static void put_tensors(const tn_inspection *in, tn_strbuf *out)
{
    char text[32];
    for (int32_t i = 0; i < in->n_uses; i++) {
        const tn_tensor_use *u = &in->use[i];
        tn_strbuf_printf(out, "%-15s %-13s %-7s %4d tensors %10.2f M weights %10s %5.2f bits\n",
                         i ? "" : "tensors", tn_inspection_class(u),
                         tn_inspection_type(in, u->wfmt), (int)u->tensors,
                         (double)u->weights * 1e-6, tn_cli_bytes(u->bytes, text),
                         u->weights ? 8.0 * (double)u->bytes / (double)u->weights : 0.0);
    }
    if (in->is_tied && in->n_uses)
        tn_strbuf_printf(out, "%-15s %-13s tied to the embedding\n", "", "head");
}

/* 1 "<|im_start|>" */
static void put_token(const tn_vocab *v, int32_t id, tn_strbuf *out)
{
    tn_strbuf_printf(out, " %d", (int)id);
    if (id >= v->n_tokens || !v->token)
        return;
    tn_strbuf_puts(out, " \"");
    tn_put_printable(out, v->token[id].data, v->token[id].n);
    tn_strbuf_puts(out, "\"");
}

/* Ids that end a generation: the tokenizer's, or, when there is none, what the files say. */
static tn_ids stops_of(const tn_inspection *in, int32_t *copy)
{
    const int32_t n =
        in->vocab->n_stops < TN_INSPECT_MAX_STOPS ? in->vocab->n_stops : TN_INSPECT_MAX_STOPS;
    if (in->tokenizer)
        return *tn_tokenizer_stop_ids(in->tokenizer);
    if (n)
        memcpy(copy, in->vocab->stop, (size_t)n * sizeof *copy);
    return (tn_ids){ .id = copy, .n = (size_t)n };
}

/* By its id, or by its text where the files say that alone. */
static void put_special(const tn_inspection *in, const tn_special_id *special, tn_strbuf *out)
{
    tn_strbuf_puts(out, special->name);
    if (special->id >= 0) {
        put_token(in->vocab, special->id, out);
        return;
    }
    tn_strbuf_puts(out, " \"");
    tn_put_printable(out, special->text, strlen(special->text));
    tn_strbuf_puts(out, in->tokenizer ? "\" (no token of the vocabulary)" : "\"");
}

static void put_ids(const tn_inspection *in, tn_strbuf *out)
{
    int32_t n = 0, copy[TN_INSPECT_MAX_STOPS];
    tn_strbuf_puts(out, "special ids    ");
    for (int32_t i = 0; i < TN_INSPECT_SPECIALS; i++) {
        if (in->special[i].id < 0 && !in->special[i].text)
            continue;
        tn_strbuf_puts(out, n++ ? ", " : " ");
        put_special(in, &in->special[i], out);
    }
    tn_strbuf_puts(out, n ? "\nstop ids       " : " none\nstop ids       ");
    const tn_ids stop = stops_of(in, copy);
    for (size_t i = 0; i < stop.n; i++) {
        tn_strbuf_puts(out, i ? "," : "");
        put_token(in->vocab, stop.id[i], out);
    }
    tn_strbuf_puts(out, stop.n ? "\n" : " none\n");
}

static void put_tokenizer(const tn_inspection *in, tn_strbuf *out)
{
    const tn_vocab *v = in->vocab;
    tn_strbuf_printf(out, "tokenizer       %s", vocab_name(in->vocab_kind));
    if (v->pre) {
        tn_strbuf_puts(out, ", pre-tokenizer ");
        tn_put_printable(out, v->pre, strlen(v->pre));
    }
    if (v->source.data && !in->tokenizer)
        tn_strbuf_printf(out, " of %zu bytes", v->source.n);
    else if (in->vocab_kind != TN_VOCAB_NONE)
        tn_strbuf_printf(out, ", %d tokens", (int)v->n_tokens);
    if (in->n_textless)
        tn_strbuf_printf(out, " (%d without a text)", (int)in->n_textless);
    if (v->n_merges)
        tn_strbuf_printf(out, ", %d merges", (int)v->n_merges);
    tn_strbuf_printf(out, "%s%s\n", v->add_bos > 0 ? ", BOS is added" : "",
                     v->add_eos > 0 ? ", EOS is added" : "");
    if (!in->tokenizer && v->n_tokens)
        tn_strbuf_printf(out, "text            cannot be used: %s\n", in->tokenizer_error.text);
    if (v->n_tokens)
        put_ids(in, out);
}

/* The first lines, cut. */
static void put_template(const char *text, tn_strbuf *out)
{
    if (!text) {
        tn_strbuf_puts(out, "chat template   none\n");
        return;
    }
    tn_strbuf_printf(out, "chat template   yes, %zu bytes; --template prints it\n", strlen(text));
    for (int i = 0; i < SHOWN_LINES && *text; i++) {
        size_t n = strcspn(text, "\n");
        size_t shown = n < SHOWN_COLUMNS ? n : SHOWN_COLUMNS;
        while (shown < n && shown > 0 && (text[shown] & 0xc0) == 0x80)
            shown--; /* not inside a character */
        tn_strbuf_puts(out, "                | ");
        tn_put_printable(out, text, shown);
        tn_strbuf_puts(out, shown < n ? "...\n" : "\n");
        text += n + (text[n] == '\n');
    }
}

static int print_text(const tn_inspection *in, bool verbose)
{
    char text[32];
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    tn_strbuf_printf(&out, "file            %s, %s, %s", tn_model_file_path(in->file),
                     tn_model_file_format(in->file),
                     tn_cli_bytes(tn_model_file_bytes(in->file), text));
    if (tn_model_file_n_shards(in->file) > 1)
        tn_strbuf_printf(&out, " in %d files", (int)tn_model_file_n_shards(in->file));
    if (in->has_desc && in->desc.name && in->desc.name[0]) {
        tn_strbuf_puts(&out, "\nname            ");
        tn_put_printable(&out, in->desc.name, strlen(in->desc.name));
    }
    tn_strbuf_printf(&out, "\nparameters      %.1f M in %d tensors\n",
                     (double)in->parameters * 1e-6, (int)tn_model_file_n_tensors(in->file));
    put_desc(in, &out);
    put_tensors(in, &out);
    put_tokenizer(in, &out);
    put_template(in->vocab->chat_template, &out);
    if (in->has_need)
        tn_cli_put_memory(&in->setup, &in->need, &out);
    else
        tn_strbuf_puts(&out, "memory          --profile FILE tells what that profile needs\n");
    for (int32_t i = 0; verbose && i < tn_model_file_n_facts(in->file); i++) {
        const tn_model_fact fact = tn_model_file_fact(in->file, i);
        tn_strbuf_printf(&out, "%s = %s\n", fact.key, fact.value);
    }
    const int status = tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    return status;
}

/* ---- JSON ---- */

/* Strings of a file need not be UTF-8; jansson refuses those, and they are shown as text that is
 * safe to print. */
static json_t *json_text(const char *data, size_t n)
{
    json_t *text = json_stringn(data, n);
    tn_strbuf printable = TN_STRBUF((size_t)64 << 20);
    if (text)
        return text;
    tn_put_printable(&printable, data, n);
    text = json_string(tn_strbuf_text(&printable));
    tn_strbuf_deinit(&printable);
    return text;
}

static json_t *desc_json(const tn_inspection *in)
{
    const tn_model_desc *d = &in->desc;
    json_t *kv = json_object();
    for (int32_t i = 0; i < TN_INSPECT_KV_FORMATS; i++)
        json_object_set_new(kv, tn_inspection_kv_format(i),
                            json_integer((json_int_t)tn_inspection_kv_bytes(in, i)));
    json_t *rope = json_pack(
        "{s:f, s:i, s:s, s:s, s:f, s:i, s:s}", "base", (double)d->rope.base, "rotary_dim",
        (int)d->rope.rotary_dim, "pairing", pairing_name(d->rope.pairing), "scaling",
        scaling_name(d->rope.scaling), "factor", (double)d->rope.factor, "original_length",
        (int)d->rope.original_length, "frequency_factors", tn_inspection_factors(&d->rope));
    return json_pack(
        "{s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:o, s:i, s:i, s:b, s:o}",
        "architecture", d->arch, "supported", tn_arch_find(d->arch) != NULL, "layers",
        (int)d->n_layers, "hidden", (int)d->dim, "feed_forward", (int)d->ffn, "heads",
        (int)d->heads, "kv_heads", (int)d->kv_heads, "head_dim", (int)d->head_dim, "vocabulary",
        (int)d->vocab, "context", (int)d->max_length, "rope_base", (double)d->rope.base, "norm_eps",
        (double)d->norm_eps, "rope", rope, "window", (int)d->window, "logn_length",
        (int)d->logn_length, "qk_norm", d->qk_norm != 0, "kv_bytes_per_token", kv);
}

static json_t *token_json(const tn_vocab *v, int32_t id)
{
    json_t *token = json_pack("{s:i}", "id", (int)id);
    if (id < v->n_tokens && v->token)
        json_object_set_new(token, "text", json_text(v->token[id].data, v->token[id].n));
    return token;
}

static json_t *vocab_json(const tn_inspection *in)
{
    const tn_vocab *v = in->vocab;
    json_t *specials = json_object(), *stops = json_array();
    for (int32_t i = 0; i < TN_INSPECT_SPECIALS; i++)
        if (in->special[i].id >= 0)
            json_object_set_new(specials, in->special[i].name, token_json(v, in->special[i].id));
        else if (in->special[i].text)
            json_object_set_new(
                specials, in->special[i].name,
                json_pack("{s:o}", "text",
                          json_text(in->special[i].text, strlen(in->special[i].text))));
    int32_t copy[TN_INSPECT_MAX_STOPS];
    const tn_ids stop = stops_of(in, copy);
    for (size_t i = 0; i < stop.n; i++)
        json_array_append_new(stops, token_json(v, stop.id[i]));
    json_t *tokenizer = json_pack(
        "{s:s, s:o, s:i, s:i, s:b, s:b, s:b, s:b, s:o, s:o, s:o}", "kind",
        vocab_name(in->vocab_kind), "pre",
        v->pre ? json_text(v->pre, strlen(v->pre)) : json_string(""), "tokens", (int)v->n_tokens,
        "merges", (int)v->n_merges, "usable", in->tokenizer != NULL, "adds_bos", v->add_bos > 0,
        "adds_eos", v->add_eos > 0, "chat_template", v->chat_template != NULL, "special", specials,
        "stop", stops, "template",
        v->chat_template ? json_text(v->chat_template, strlen(v->chat_template)) : json_null());
    for (int32_t i = 0; i < TN_INSPECT_SPECIALS; i++)
        json_object_set_new(tokenizer, in->special[i].name, json_integer(in->special[i].id));
    return tokenizer;
}

/* One object a class and format, or a format. */
static json_t *uses_json(const tn_inspection *in)
{
    json_t *uses = json_array();
    for (int32_t i = 0; i < in->n_uses; i++) {
        const tn_tensor_use *u = &in->use[i];
        json_array_append_new(
            uses, json_pack("{s:s, s:s, s:s, s:i, s:I, s:I}", "class", tn_inspection_class(u),
                            "type", tn_inspection_type(in, u->wfmt), "format", u->wfmt, "tensors",
                            (int)u->tensors, "weights", (json_int_t)u->weights, "bytes",
                            (json_int_t)u->bytes));
    }
    return uses;
}

static int print_json(const tn_inspection *in)
{
    json_t *metadata = json_object();
    for (int32_t i = 0; i < tn_model_file_n_facts(in->file); i++) {
        const tn_model_fact fact = tn_model_file_fact(in->file, i);
        json_object_set_new(metadata, fact.key, json_text(fact.value, strlen(fact.value)));
    }
    json_t *object = json_pack(
        "{s:s, s:s, s:i, s:I, s:I, s:o, s:b, s:o, s:o}", "path", tn_model_file_path(in->file),
        "format", tn_model_file_format(in->file), "files", (int)tn_model_file_n_shards(in->file),
        "bytes", (json_int_t)tn_model_file_bytes(in->file), "parameters",
        (json_int_t)in->parameters, "tensors", uses_json(in), "tied_head", in->is_tied, "tokenizer",
        vocab_json(in), "metadata", metadata);
    if (object && in->has_desc)
        json_object_set_new(object, "model", desc_json(in));
    else if (object)
        json_object_set_new(object, "cannot_run", json_string(in->desc_error.text));
    if (object && in->has_need)
        json_object_set_new(object, "memory", tn_cli_memory_json(&in->setup, &in->need));
    return tn_cli_print_json(object);
}

/* The template byte for byte, so that it can go into a file. */
static int print_template(const tn_inspection *in)
{
    tn_error err = { 0 };
    if (!in->vocab->chat_template)
        return tn_cli_error(tn_fail(&err, TN_INVALID, "%s: the model has no chat template",
                                    tn_model_file_path(in->file)),
                            &err);
    fputs(in->vocab->chat_template, stdout);
    return tn_cli_flush();
}

int tn_cmd_inspect(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_inspection in;
    tn_status status = tn_inspection_open(&in, o, &err);
    if (status)
        return tn_cli_error(status, &err);
    const int exit_status = o->show_template ? print_template(&in)
                            : o->json        ? print_json(&in)
                                             : print_text(&in, o->verbose);
    tn_inspection_close(&in);
    return exit_status;
}
