/* SPDX-License-Identifier: Apache-2.0 */
/* tenon pack: the packed weights of a profile, into the cache. */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "core/weights/weight_store.h"
#include "runtime/pack_cache.h"

#include <time.h>

typedef struct packing {
    tn_setup setup;
    tn_pack_cache *cache;
    tn_cli_progress progress;
    double seconds;
} packing;

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    tn_cli_progress_update(ctx, done, total);
}

/* Through a weight store, as an engine would. */
static tn_status fill(packing *p, tn_error *err)
{
    tn_weight_store *store = NULL;
    const tn_weight_store_args args = { .binding = p->setup.binding,
                                        .source = tn_model_file_weights(p->setup.file),
                                        .team = p->setup.team,
                                        .cache = tn_pack_cache_blobs(p->cache),
                                        .progress = on_progress,
                                        .progress_ctx = &p->progress };
    TN_TRY(tn_weight_store_create(&args, &store, err));
    const tn_status st = tn_pack_cache_commit(p->cache, err);
    tn_weight_store_destroy(store);
    if (st && err) /* what is no failure of a run is one here */
        err->code = TN_INTERNAL;
    return st ? TN_INTERNAL : TN_OK;
}

static tn_status pack(packing *p, const tn_cli_options *o, tn_error *err)
{
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    const tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    const double start = now_s();
    TN_TRY(tn_cli_need_model(o, err));
    TN_TRY(tn_setup_open(&p->setup, &args, err));
    TN_TRY(tn_pack_cache_open(&p->setup, &p->cache, err));
    if (!p->cache)
        return tn_fail(err, TN_INVALID,
                       "the cache is switched off, by cache.enabled or by TENON_CACHE_LIMIT");
    if (!tn_pack_cache_is_hit(p->cache))
        TN_TRY(fill(p, err));
    p->seconds = now_s() - start;
    return TN_OK;
}

static int report(const packing *p, const tn_cli_options *o)
{
    const bool was_there = tn_pack_cache_is_hit(p->cache);
    const uint64_t bytes = tn_pack_cache_bytes(p->cache);
    tn_strbuf out = TN_STRBUF(1 << 17);
    char size[32];
    if (o->json)
        return tn_cli_print_json(json_pack("{s:s, s:s, s:I, s:b, s:f}", "model",
                                           p->setup.profile->model, "path",
                                           tn_pack_cache_path(p->cache), "bytes", (json_int_t)bytes,
                                           "packed", !was_there, "seconds", p->seconds));
    if (o->quiet)
        return TN_EXIT_OK;
    tn_strbuf_printf(&out, "%s: %s, %s\n", tn_pack_cache_path(p->cache), tn_cli_bytes(bytes, size),
                     was_there ? "was there already" : "packed");
    const int status = tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    return status;
}

int tn_cmd_pack(const tn_cli_options *o)
{
    tn_error err = { 0 };
    packing p = { .setup = { .graph = { .logits = -1, .argmax = -1 } } };
    tn_cli_progress_init(&p.progress, "packing", TN_CLI_BYTES, o);
    const tn_status status = pack(&p, o, &err);
    tn_cli_progress_end(&p.progress);
    const int exit_status = status ? tn_cli_error(status, &err) : report(&p, o);
    tn_pack_cache_close(p.cache);
    tn_setup_close(&p.setup);
    return exit_status;
}
