/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that claims what its options tell it to, for tests of the loader and the binder. It
 * computes nothing: its `run` says so. Built for the host (fake.so) and for the domain simdev
 * (fake-simdev.so). Options:
 *
 *   ops     comma list of the ops it claims; absent: all           wfmt   the only weight format it
 * takes refuse  it refuses nodes whose path contains this              kv     the only KV format it
 * claims plan    fail | huge | nolayout                                 kv_extra  bytes it adds to
 * KV blocks probe   services: open() tries every service of tn_host
 */
#include "plugins/common/plugin_util.h"
#include "plugins/common/sanitizer.h"

#include <tenon/plugin.h>

#include <stdlib.h>
#include <string.h>

#ifndef FAKE_DOMAIN
#    define FAKE_DOMAIN "host"
#endif

typedef struct fake {
    const tn_host *host;
} fake;

static const char *option(const fake *self, const char *key)
{
    return self->host->option(self->host->ctx, key);
}

/* Is word one of the comma list? */
static int is_listed(const char *list, const char *word)
{
    const size_t n = strlen(word);

    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return 1;
    return 0;
}

static const char *weight_format(const tn_node *node)
{
    if (strcmp(node->op, "embed") == 0)
        return ((const tn_embed *)node->param)->wfmt;
    if (strstr(node->op, "linear"))
        return ((const tn_linear *)node->param)->part[0]->wfmt;
    return NULL;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    const char *ops = option(self, "ops"), *refuse = option(self, "refuse");
    const char *wfmt = option(self, "wfmt"), *kv = option(self, "kv");
    const char *has = weight_format(node);

    if (ops && !is_listed(ops, node->op))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%s is not among its ops", node->op);
    if (refuse && strstr(node->path, refuse))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "it refuses %s", node->path);
    if (wfmt && has && strcmp(wfmt, has) != 0)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "weights are %s, only %s is taken", has, wfmt);
    if (kv && node->kvfmt && strcmp(kv, node->kvfmt) != 0)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "KV is %s, only %s is taken", node->kvfmt, kv);
    return TN_OK;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    const char *how = option(self, "plan");

    out->weight_bytes = weight_format(node) ? 4096 : 0;
    out->layout = "fake.1";
    out->workspace_bytes = 512;
    if (how && strcmp(how, "fail") == 0)
        return tn_plugin_fail(err, TN_INTERNAL, "the plan failed");
    if (how && strcmp(how, "huge") == 0)
        out->workspace_bytes = UINT64_MAX;
    if (how && strcmp(how, "nolayout") == 0)
        out->layout = NULL;
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    (void)self;
    (void)rows;
    (void)blob;
    return tn_plugin_fail(err, TN_INTERNAL, "%s: the fake plugin packs nothing", node->path);
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)self;
    (void)launch;
    return tn_plugin_fail(err, TN_INTERNAL, "%s: the fake plugin runs nothing", node->path);
}

#define KERNEL(op_name)                                                                            \
    static const tn_kernel k_##op_name = { .size = sizeof(tn_kernel),                              \
                                           .op = #op_name,                                         \
                                           .name = "fake." #op_name,                               \
                                           .tolerance = "exact",                                   \
                                           .supports = supports,                                   \
                                           .plan = plan,                                           \
                                           .pack = pack,                                           \
                                           .run = run }
KERNEL(embed);
KERNEL(rmsnorm);
KERNEL(linear);
KERNEL(add);
KERNEL(glu);
KERNEL(qk_norm);
KERNEL(rope);
KERNEL(kv_write);
KERNEL(attention);
KERNEL(gather_rows);
KERNEL(argmax);
KERNEL(linear_add);
KERNEL(linear_glu);
KERNEL(norm_linear);
KERNEL(norm_linear_glu);
KERNEL(rope_kv_write);

static const tn_kernel *const kernels[] = {
    &k_embed,      &k_rmsnorm,     &k_linear,          &k_add,           &k_glu,    &k_qk_norm,
    &k_rope,       &k_kv_write,    &k_attention,       &k_gather_rows,   &k_argmax, &k_linear_add,
    &k_linear_glu, &k_norm_linear, &k_norm_linear_glu, &k_rope_kv_write, NULL,
};

static tn_status block_bytes(const fake *self, const tn_attention *a, int32_t block_tokens,
                             uint64_t element_bytes, uint64_t *out)
{
    const char *extra = option(self, "kv_extra");

    *out =
        (uint64_t)a->kv_heads * (uint64_t)block_tokens * (uint64_t)a->head_dim * 2 * element_bytes;
    if (extra)
        *out += strtoull(extra, NULL, 10);
    return TN_OK;
}

static tn_status f16_bytes(void *self, const tn_attention *a, int32_t block_tokens, uint64_t *out,
                           tn_error *err)
{
    (void)err;
    return block_bytes(self, a, block_tokens, 2, out);
}

static tn_status i8_static_bytes(void *self, const tn_attention *a, int32_t block_tokens,
                                 uint64_t *out, tn_error *err)
{
    (void)err;
    return block_bytes(self, a, block_tokens, 1, out);
}

static tn_status to_f32(void *self, const tn_attention *a, int32_t block_tokens, const void *block,
                        float *k, float *v, tn_error *err)
{
    (void)self;
    (void)a;
    (void)block_tokens;
    (void)block;
    (void)k;
    (void)v;
    return tn_plugin_fail(err, TN_INTERNAL, "the fake plugin decodes nothing");
}

static const tn_kv_format kv_f16 = { .size = sizeof(tn_kv_format),
                                     .name = "f16",
                                     .block_bytes = f16_bytes };
static const tn_kv_format kv_static = { .size = sizeof(tn_kv_format),
                                        .name = "i8-static",
                                        .block_bytes = i8_static_bytes };
static const tn_kv_format kv_private = {
    .size = sizeof(tn_kv_format), .name = "fake/kv", .block_bytes = f16_bytes, .to_f32 = to_f32
};
static const tn_kv_format *const kv_formats[] = { &kv_f16, &kv_static, &kv_private, NULL };

static void count_tiles(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    int64_t *per_worker = arg;

    per_worker[worker] += i1 - i0;
}

static tn_status probe_services(const tn_host *host, tn_error *err)
{
    enum { MAX_WORKERS = 64, N = 1000 };
    int64_t per_worker[MAX_WORKERS] = { 0 }, total = 0;
    const int32_t workers = host->workers(host->ctx);

    if (host->size < sizeof(tn_host) || workers < 1 || workers > MAX_WORKERS)
        return tn_plugin_fail(err, TN_INTERNAL, "size %u, %d workers", host->size, (int)workers);
    void *block = host->alloc(host->ctx, 100);
    if (!block)
        return tn_plugin_fail(err, TN_NO_MEMORY, "alloc gave nothing");
    memset(block, 1, 100);
    host->release(host->ctx, block);
    host->parallel_for(host->ctx, N, count_tiles, per_worker);
    for (int32_t i = 0; i < workers; i++)
        total += per_worker[i];
    if (total != N)
        return tn_plugin_fail(err, TN_INTERNAL, "parallel_for did %d of %d", (int)total, N);
    if (host->option(host->ctx, "no such option") || host->ext(host->ctx, "acme.tracing"))
        return tn_plugin_fail(err, TN_INTERNAL, "an option or extension that nobody gave");
    if ((strcmp(FAKE_DOMAIN, "host") == 0) != (host->domain == NULL))
        return tn_plugin_fail(err, TN_INTERNAL, "the domain of %s is not as it should",
                              FAKE_DOMAIN);
    host->log(host->ctx, 1, "services work");
    return TN_OK;
}

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    fake *f = host->alloc(host->ctx, sizeof(*f));

    if (!f)
        return tn_plugin_fail(err, TN_NO_MEMORY, "no memory");
    f->host = host;
    if (option(f, "probe")) {
        tn_status status = probe_services(host, err);
        if (status) {
            host->release(host->ctx, f);
            return status;
        }
    }
    *self = f;
    return TN_OK;
}

static void close_plugin(void *self)
{
    const tn_host *host = ((fake *)self)->host;

    host->log(host->ctx, 2, "closed");
    host->release(host->ctx, self);
}

const tn_plugin tn_plugin_v1 = { .size = sizeof(tn_plugin),
                                 .minor = TN_ABI_MINOR,
                                 .sanitizer = TN_SANITIZER,
                                 .name = "fake",
                                 .version = "1",
                                 .domain = FAKE_DOMAIN,
                                 .build = "test",
                                 .open = open_plugin,
                                 .close = close_plugin,
                                 .kernels = kernels,
                                 .kv_formats = kv_formats };
