/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "runtime/pack_cache.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/weights/weight_store.h"
#include "model/formats/file_map.h"
#include "runtime/cache_dir.h"
#include "runtime/model_digest.h"
#include "runtime/pack_file.h"
#include "runtime/reader_digest.h"

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEY_BYTES = 1 << 26, NAME_DIGITS = 32 };

struct tn_pack_cache {
    const tn_setup *setup;
    tn_blob_cache blobs;
    char *dir, *path;
    char identity[65]; /* of the model's files when they were digested */
    tn_strbuf key;
    tn_pack_spec spec;
    uint64_t *blob_bytes; /* [n_blobs] */
    int32_t *blob_of;     /* [n_nodes] or -1 */
    const void **packed;  /* [n_blobs] what was packed, as long as it is there */
    int32_t n_packed, n_written;
    uint64_t limit;
    tn_pack_file *file;     /* after a hit */
    tn_pack_writer *writer; /* after a miss, until writing fails */
    tn_error write_error;   /* why it failed */
    pthread_t thread;       /* that commits; all else is its own until it is joined */
    bool has_thread;
};

/* ---- the key ---- */

/* A plugin that was built anew packs anew, whatever it calls its layouts. */
static tn_status put_plugin(const tn_plugin_entry *plugin, tn_strbuf *key, tn_error *err)
{
    tn_file_map map;
    TN_TRY(tn_file_map_open(&map, plugin->path, err));
    tn_strbuf_printf(key, "plugin %s %s %016" PRIx64 "\n", plugin->name,
                     plugin->api.version ? plugin->api.version : "-",
                     tn_hash64(map.data, map.size, 0));
    tn_file_map_close(&map);
    return TN_OK;
}

/* Equal layouts, bytes and tensors are equal blobs: <tenon/plugin.h>, tn_plan.layout. */
static void put_blob(const tn_bound_node *node, tn_strbuf *key)
{
    tn_strbuf_printf(key, "blob %s %s %" PRIu64, node->plugin->name, node->plan.layout,
                     node->plan.weight_bytes);
    for (int32_t i = 0; i < node->n_weights; i++) {
        tn_strbuf_printf(key, " %s", node->weight[i].name ? node->weight[i].name : "-");
        if (node->weight[i].bias)
            tn_strbuf_printf(key, "+%s", node->weight[i].bias);
    }
    tn_strbuf_puts(key, "\n");
}

static tn_status put_key(tn_pack_cache *c, tn_error *err)
{
    const tn_binding *binding = c->setup->binding;
    char digest[65];
    TN_TRY(tn_model_identity(c->setup->file, c->identity, err));
    TN_TRY(tn_model_digest(c->setup->file, c->setup->team, c->dir, digest, err));
    tn_strbuf_printf(&c->key, "tenon %s %s\nmodel %s\n", tn_version(), tn_reader_digest, digest);
    for (int32_t i = 0; i < tn_plugin_set_size(c->setup->plugins); i++) {
        const tn_plugin_entry *plugin = tn_plugin_set_entry(c->setup->plugins, i);
        bool is_used = false;
        for (int32_t n = 0; n < binding->n_nodes && !is_used; n++)
            is_used = c->blob_of[n] >= 0 && binding->node[n].plugin == plugin;
        if (is_used)
            TN_TRY(put_plugin(plugin, &c->key, err));
    }
    for (int32_t n = 0; n < binding->n_nodes; n++)
        if (c->blob_of[n] >= 0)
            put_blob(&binding->node[n], &c->key);
    return tn_strbuf_status(&c->key, "the key of the packed weights", err);
}

/* The blobs that can be kept, and what names them. */
static tn_status describe(tn_pack_cache *c, tn_error *err)
{
    const tn_binding *binding = c->setup->binding;
    const size_t n_nodes = (size_t)binding->n_nodes;
    c->blob_of = tn_alloc_array(n_nodes, sizeof *c->blob_of);
    c->blob_bytes = tn_alloc_array(n_nodes, sizeof *c->blob_bytes);
    c->packed = tn_alloc_array(n_nodes, sizeof *c->packed);
    if (!c->blob_of || !c->blob_bytes || !c->packed)
        return tn_fail_memory(err, "the cache of packed weights");
    c->spec.blob_bytes = c->blob_bytes;
    for (int32_t n = 0; n < binding->n_nodes; n++) {
        c->blob_of[n] = -1;
        if (!tn_weight_store_keeps(binding, n))
            continue;
        c->blob_bytes[c->spec.n_blobs] = binding->node[n].plan.weight_bytes;
        c->blob_of[n] = c->spec.n_blobs++;
    }
    TN_TRY(put_key(c, err));
    c->spec.key = c->key.data;
    c->spec.n_key = c->key.len;
    return TN_OK;
}

static tn_status name_file(tn_pack_cache *c, tn_error *err)
{
    char name[65];
    tn_sha256 h;
    tn_sha256_init(&h);
    tn_sha256_update(&h, c->key.data, c->key.len);
    tn_sha256_hex(&h, name);
    name[NAME_DIGITS] = 0; /* the whole key is compared */
    c->path = tn_cache_dir_file(c->dir, name, TN_CACHE_PACK);
    return c->path ? TN_OK : tn_fail_memory(err, "the cache of packed weights");
}

/* ---- the store's side ---- */

static const void *find(void *self, int32_t node_index)
{
    const tn_pack_cache *c = self;
    return c->file ? tn_pack_file_blob(c->file, c->blob_of[node_index]) : NULL;
}

static void stop_writing(tn_pack_cache *c, const tn_error *why)
{
    c->write_error = *why;
    tn_pack_writer_abort(c->writer);
    c->writer = NULL;
}

static void write_packed(tn_pack_cache *c)
{
    tn_error err = { 0 };
    while (c->writer && c->n_written < c->n_packed)
        if (tn_pack_writer_put(c->writer, c->packed[c->n_written++], &err))
            stop_writing(c, &err);
}

/* Nodes come in order, as the blobs were counted. What is in host memory stays there, and is
 * written when the start does not wait for it. */
static void keep(void *self, int32_t node_index, const void *bytes)
{
    tn_pack_cache *c = self;
    const tn_binding *binding = c->setup->binding;
    c->packed[c->n_packed++] = bytes;
    if (!tn_device_is_host(&binding->device[binding->node[node_index].domain]))
        write_packed(c);
}

/* ---- open, commit ---- */

/* Room is made before, so that the limit holds while the file is written, too. */
static void begin_writing(tn_pack_cache *c)
{
    tn_error err = { 0 };
    char model[PATH_MAX];
    const uint64_t bytes = tn_pack_file_bytes(&c->spec);
    if (bytes == 0 || bytes > c->limit)
        (void)tn_fail(&err, TN_UNAVAILABLE,
                      "the packed weights of %" PRIu64 " MB are over the cache's limit of %" PRIu64
                      " MB (cache.limit)",
                      bytes / 1000000, c->limit / 1000000);
    else if (!tn_cache_trim(c->dir, c->limit - bytes, &err))
        (void)!tn_pack_writer_open(
            c->path, &c->spec,
            realpath(c->setup->profile->model, model) ? model : c->setup->profile->model,
            &c->writer, &err);
    if (!c->writer)
        c->write_error = err;
}

static tn_status look_up(tn_pack_cache *c, const tn_profile_size *limit, tn_error *err)
{
    tn_error why = { 0 };
    TN_TRY(tn_cache_dir_open(&c->dir, err));
    TN_TRY(tn_cache_limit_bytes(limit, c->dir, &c->limit, err));
    TN_TRY(describe(c, err));
    TN_TRY(name_file(c, err));
    const tn_status st = tn_pack_file_open(c->path, &c->spec, c->setup->team, &c->file, &why);
    if (st == TN_NO_MEMORY)
        return tn_fail(err, st, "%s", why.text);
    if (st == TN_OK) {
        tn_cache_touch(c->path);
        return tn_cache_trim(c->dir, c->limit, err);
    }
    tn_log(st == TN_UNAVAILABLE ? TN_LOG_DEBUG : TN_LOG_WARNING, "cache",
           "%s; weights are packed again", why.text);
    begin_writing(c);
    return TN_OK;
}

tn_status tn_pack_cache_open(const tn_setup *setup, tn_pack_cache **out, tn_error *err)
{
    tn_profile_size limit;
    bool is_off;
    *out = NULL;
    TN_TRY(tn_cache_limit(setup->profile, &limit, &is_off, err));
    if (is_off)
        return TN_OK;
    tn_pack_cache *c = tn_alloc_array(1, sizeof *c);
    if (!c)
        return tn_fail_memory(err, "the cache of packed weights");
    *c = (tn_pack_cache){ .setup = setup,
                          .blobs = { .self = c, .find = find, .keep = keep },
                          .key = TN_STRBUF(MAX_KEY_BYTES) };
    const tn_status st = look_up(c, &limit, err);
    if (st == TN_OK) {
        *out = c;
        return TN_OK;
    }
    tn_pack_cache_close(c);
    if (st != TN_NO_MEMORY && err) /* whatever it is, a run can do without */
        err->code = TN_UNAVAILABLE;
    return st == TN_NO_MEMORY ? st : TN_UNAVAILABLE;
}

void tn_pack_cache_close(tn_pack_cache *c)
{
    if (!c)
        return;
    tn_pack_cache_wait(c);
    tn_pack_writer_abort(c->writer);
    tn_pack_file_close(c->file);
    tn_strbuf_deinit(&c->key);
    tn_free(c->blob_of);
    tn_free(c->blob_bytes);
    tn_free(c->packed);
    tn_free(c->path);
    tn_free(c->dir);
    tn_free(c);
}

const tn_blob_cache *tn_pack_cache_blobs(const tn_pack_cache *c)
{
    return c ? &c->blobs : NULL;
}

bool tn_pack_cache_is_hit(const tn_pack_cache *c)
{
    return c && c->file;
}

const char *tn_pack_cache_path(const tn_pack_cache *c)
{
    return c->path;
}

uint64_t tn_pack_cache_bytes(const tn_pack_cache *c)
{
    return tn_pack_file_bytes(&c->spec);
}

/* What was packed is of the model that the key names only if no one wrote to it meanwhile. */
static tn_status check_model(const tn_pack_cache *c, tn_error *err)
{
    char now[65];
    TN_TRY(tn_model_identity(c->setup->file, now, err));
    if (strcmp(now, c->identity) != 0)
        return tn_fail(err, TN_UNAVAILABLE, "%s was changed while its weights were packed",
                       c->setup->profile->model);
    return TN_OK;
}

tn_status tn_pack_cache_commit(tn_pack_cache *c, tn_error *err)
{
    tn_error why = { 0 };
    if (!c || c->file)
        return TN_OK;
    write_packed(c);
    if (c->writer && (check_model(c, &why) || tn_pack_writer_commit(c->writer, &why)))
        stop_writing(c, &why);
    if (!c->writer)
        return tn_fail(err, TN_UNAVAILABLE, "%s", c->write_error.text);
    tn_pack_writer_abort(c->writer);
    c->writer = NULL;
    return TN_OK;
}

static void *commit_or_warn(void *arg)
{
    tn_error why = { 0 };
    if (tn_pack_cache_commit(arg, &why))
        tn_log(TN_LOG_WARNING, "cache", "the packed weights are not kept: %s", why.text);
    return NULL;
}

/* Nothing to write, or no thread to be had: here and now. */
void tn_pack_cache_commit_behind(tn_pack_cache *c)
{
    if (!c)
        return;
    c->has_thread = c->writer && pthread_create(&c->thread, NULL, commit_or_warn, c) == 0;
    if (!c->has_thread)
        (void)commit_or_warn(c);
}

void tn_pack_cache_wait(tn_pack_cache *c)
{
    if (!c || !c->has_thread)
        return;
    (void)pthread_join(c->thread, NULL);
    c->has_thread = false;
}

tn_status tn_pack_cache_check(const tn_pack_cache *c, tn_error *err)
{
    return tn_pack_cache_is_hit(c) ? tn_pack_file_check(c->file, err) : TN_OK;
}
