/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writer and reader of a layer's KV pool bind together, through the KV format: one plugin gives
 * both, unless a rule splits them and the format is one of the catalogue, whose bytes every plugin
 * agrees on. The catalogue's layouts: docs/plugin-abi.md.
 */
#include "core/base/alloc.h"
#include "core/bind/binder.h"
#include "core/plugin/normalise.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK_ALIGNMENT = 256 };

typedef struct kv_layout {
    const char *name;
    uint32_t element_bytes; /* of one K or V value */
    uint32_t
        params_bytes; /* of one token's K and V parameters: two pairs {scale, zero} of f16 for i8 */
} kv_layout;

static const kv_layout layouts[] = {
    { "f32", 4, 0 },
    { "f16", 2, 0 },
    { "i8", 1, 8 },
    { "i8-static", 1, 0 },
};

static const kv_layout *find_layout(const char *format)
{
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
        if (strcmp(layouts[i].name, format) == 0)
            return &layouts[i];
    return NULL;
}

bool tn_kv_format_is_catalogue(const char *format)
{
    return find_layout(format) != NULL;
}

uint64_t tn_kv_block_bytes(const char *format, int32_t kv_heads, int32_t head_dim,
                           int32_t block_tokens)
{
    const kv_layout *layout = find_layout(format);
    size_t token, rows, bytes;

    if (!layout || kv_heads <= 0 || head_dim <= 0 || block_tokens <= 0)
        return 0;
    if (!tn_size_mul((size_t)head_dim, (size_t)2 * layout->element_bytes, &token) ||
        !tn_size_add(token, layout->params_bytes, &token) ||
        !tn_size_mul((size_t)kv_heads, (size_t)block_tokens, &rows) ||
        !tn_size_mul(rows, token, &bytes))
        return 0;
    return bytes;
}

const tn_kv_format *tn_find_kv_format(const tn_plugin_entry *plugin, const char *name)
{
    for (int32_t i = 0; i < plugin->n_kv_formats; i++)
        if (strcmp(plugin->kv_format[i].name, name) == 0)
            return &plugin->kv_format[i];
    return NULL;
}

/* The plugin's own count of a block's bytes, held against the core's. */
static tn_status check_block_bytes(tn_binder *b, const tn_bound_node *node,
                                   const tn_attention *attention, uint64_t *out_stride,
                                   tn_error *err)
{
    const tn_bind_args *args = b->args;
    const tn_plugin_entry *plugin = node->plugin;
    const tn_kv_format *format = tn_find_kv_format(plugin, args->kv_format);
    uint64_t bytes = 0, core = tn_kv_block_bytes(args->kv_format, attention->kv_heads,
                                                 attention->head_dim, args->block_tokens);
    tn_error why = { 0 };

    if (!format)
        return tn_fail(err, TN_INTERNAL, "%s was given to a plugin without KV format %s",
                       node->node.path, args->kv_format);
    tn_status status = tn_plugin_status(
        format->block_bytes(plugin->self, attention, args->block_tokens, &bytes, &why), &why);
    if (status)
        return tn_fail(err, status, "%s: plugin %s cannot size KV blocks of format %s: %s",
                       node->node.path, plugin->name, args->kv_format, why.text);
    if (bytes == 0 || bytes > UINT32_MAX)
        return tn_fail(err, TN_INVALID,
                       "%s: plugin %s makes a KV block of format %s %" PRIu64
                       " bytes; 1 to 2^32 - 1 are allowed",
                       node->node.path, plugin->name, args->kv_format, bytes);
    const uint64_t stride = (bytes + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
    if (core && bytes != core &&
        !(bytes == stride && bytes - core < BLOCK_ALIGNMENT && bytes > core))
        return tn_fail(err, TN_INVALID,
                       "%s: plugin %s makes a KV block of format %s %" PRIu64
                       " bytes, the catalogue %" PRIu64 ": they do not mean the same layout",
                       node->node.path, plugin->name, args->kv_format, bytes, core);
    *out_stride = stride;
    return TN_OK;
}

static tn_status describe_pool(tn_binder *b, int32_t layer, const tn_bound_node *writer,
                               const tn_bound_node *reader, tn_error *err)
{
    tn_bound_kv *kv = &b->binding->kv[layer];
    uint64_t writer_stride = 0;

    kv->attention = *(const tn_attention *)reader->node.param;
    kv->plugin = reader->plugin;
    kv->format = tn_find_kv_format(reader->plugin, b->args->kv_format);
    kv->domain = reader->domain;
    if (writer->domain != reader->domain)
        return tn_fail(err, TN_INVALID,
                       "bind rules give %s and %s to plugins of different domains: they share a "
                       "KV pool and must be in one",
                       writer->node.path, reader->node.path);
    TN_TRY(check_block_bytes(b, writer, &kv->attention, &writer_stride, err));
    TN_TRY(check_block_bytes(b, reader, &kv->attention, &kv->block_bytes, err));
    return TN_OK;
}

tn_status tn_bind_layer_kv(tn_binder *b, int32_t layer, int32_t kv_write, int32_t attention,
                           tn_error *err)
{
    tn_form forms[TN_MAX_FORMS], reader;
    const tn_graph_node *node = b->args->graph->node;
    const tn_form *writer = NULL, *bound_reader = &reader;
    const int32_t n_forms = tn_forms_of_kv_write(b, kv_write, forms);

    if (n_forms == 0 || !tn_form_of_node(b, attention, &reader))
        return tn_fail_memory(err, "binding");
    if (tn_kv_format_is_catalogue(b->args->kv_format) &&
        (tn_rule_of(b, node[kv_write].path) || tn_rule_of(b, node[attention].path))) {
        /* A rule on one side moves that side only. */
        TN_TRY(tn_claim(b, forms, n_forms, NULL, &writer, err));
        TN_TRY(tn_claim(b, &reader, 1, NULL, &bound_reader, err));
    } else {
        TN_TRY(tn_claim(b, forms, n_forms, &reader, &writer, err));
    }
    TN_TRY(describe_pool(b, layer, &writer->bound, &bound_reader->bound, err));
    TN_TRY(tn_accept(b, writer, err));
    return tn_accept(b, bound_reader, err);
}
