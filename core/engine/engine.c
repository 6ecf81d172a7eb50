/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/engine.h"

#include "core/base/alloc.h"
#include "core/engine/engine_internal.h"
#include "core/graph/rope.h"

#include <inttypes.h>
#include <string.h>

static tn_status check_args(const tn_engine_args *a, tn_error *err)
{
    const tn_binding *b = a->binding;
    if (a->max_sequences < 1 || a->max_sequences > b->max_seqs)
        return tn_fail(err, TN_INVALID, "max_sequences %d is not in 1 to %d", a->max_sequences,
                       b->max_seqs);
    if (a->max_tokens < a->max_sequences || a->max_tokens > b->max_tokens)
        return tn_fail(err, TN_INVALID, "max_tokens %d a step is not in %d (one a sequence) to %d",
                       a->max_tokens, a->max_sequences, b->max_tokens);
    if (a->max_context < 1 || a->max_context > b->max_ctx)
        return tn_fail(err, TN_INVALID, "a context of %d tokens is not in 1 to %d", a->max_context,
                       b->max_ctx);
    if (a->max_chunk < 0)
        return tn_fail(err, TN_INVALID, "a chunk of %d tokens is negative", a->max_chunk);
    return TN_OK;
}

tn_status tn_engine_kv_blocks(const tn_engine_args *a, int32_t *out_blocks, tn_error *err)
{
    const tn_binding *b = a->binding;
    int32_t n_layers = b->graph->n_layers;
    uint64_t all_layers = 0;
    for (int32_t l = 0; l < n_layers; l++)
        all_layers += b->kv[l].block_bytes;
    uint64_t paid = all_layers > 0 ? a->kv_bytes / all_layers : 1;
    if (paid < 1)
        return tn_fail(err, TN_INVALID,
                       "a KV cache of %" PRIu64 " bytes holds no sequence: a block of %d tokens "
                       "takes %" PRIu64 " bytes in %d layers; raise kv.memory",
                       a->kv_bytes, b->block_tokens, all_layers, n_layers);
    uint64_t per_sequence =
        ((uint64_t)a->max_context + (uint64_t)b->block_tokens - 1) / (uint64_t)b->block_tokens;
    uint64_t useful = per_sequence * (uint64_t)a->max_sequences + 1;
    uint64_t slots = (uint64_t)(INT32_MAX / b->block_tokens);
    uint64_t n = paid < useful ? paid : useful;
    *out_blocks = (int32_t)(n < slots ? n : slots);
    return TN_OK;
}

static tn_status open_model(tn_engine *e, const tn_sched_config *config, tn_error *err)
{
    const tn_engine_args *a = &e->args;
    const tn_weight_store_args weights = { .binding = a->binding,
                                           .source = a->source,
                                           .team = a->team,
                                           .cache = a->cache,
                                           .progress = a->progress,
                                           .progress_ctx = a->progress_ctx };
    TN_TRY(tn_weight_store_create(&weights, &e->weights, err));
    const tn_executor_args exec = {
        .binding = a->binding,
        .weights = e->weights,
        .n_blocks = config->n_blocks,
        .table_stride = tn_sched_table_stride(config),
        .max_tables = e->rope_per_sequence ? a->max_sequences : 1,
        .keep_all = a->keep_all,
    };
    return tn_executor_create(&exec, &e->exec, err);
}

static tn_status open_arrays(tn_engine *e, tn_error *err)
{
    size_t sequences = (size_t)e->args.max_sequences;
    size_t workers = (size_t)tn_team_workers(e->args.team);
    size_t tables = e->rope_per_sequence ? sequences : 1;
    e->scratch_bytes = (tn_sample_scratch_bytes(e->vocab) + 63) / 64 * 64;
    e->rope_table = tn_alloc_array(tables * (size_t)e->half_rotary, sizeof(float));
    e->argmax = tn_alloc_array((size_t)e->args.max_tokens, sizeof(int32_t));
    e->draw = tn_alloc_array(sequences, sizeof(*e->draw));
    e->commit = tn_alloc_array(sequences, sizeof(*e->commit));
    e->top = tn_alloc_array(TN_ENGINE_MAX_TOP, sizeof(*e->top));
    e->scratch = tn_alloc_array(workers, e->scratch_bytes);
    if (!e->rope_table || !e->argmax || !e->draw || !e->commit || !e->top || !e->scratch)
        return tn_fail_memory(err, "the engine");
    return TN_OK;
}

static tn_status start_thread(tn_engine *e, tn_error *err)
{
    if (pthread_mutex_init(&e->lock, NULL))
        return tn_fail(err, TN_NO_MEMORY, "cannot make the engine's lock");
    if (pthread_cond_init(&e->wake, NULL)) {
        pthread_mutex_destroy(&e->lock);
        return tn_fail(err, TN_NO_MEMORY, "cannot make the engine's condition");
    }
    e->has_lock = true;
    int failed = pthread_create(&e->thread, NULL, tn_engine_main, e);
    if (failed)
        return tn_fail(err, TN_NO_MEMORY, "cannot start the engine thread: %s", strerror(failed));
    e->has_thread = true;
    return TN_OK;
}

static tn_status open_engine(tn_engine *e, tn_error *err)
{
    const tn_engine_args *a = &e->args;
    const tn_rope_desc *rope = &e->graph->desc->rope;
    tn_sched_config config = { .block_tokens = a->binding->block_tokens,
                               .max_sequences = a->max_sequences,
                               .max_batch_tokens = a->max_tokens,
                               .max_length = a->max_context,
                               .max_chunk = a->max_chunk,
                               .prefix_cache = a->prefix_cache };
    e->half_rotary = rope->rotary_dim / 2;
    e->rope_per_sequence = e->half_rotary > 0 && tn_rope_depends_on_length(rope) != 0;
    e->vocab = e->graph->edge[e->graph->logits].width;
    e->mask_words = (e->vocab + 31) / 32;
    e->block_tokens = config.block_tokens;
    TN_TRY(tn_engine_kv_blocks(a, &config.n_blocks, err));
    e->capacity = config.n_blocks * config.block_tokens;
    e->capacity = e->capacity < a->max_context ? e->capacity : a->max_context;
    TN_TRY(tn_sched_create(&config, &e->sched, err));
    TN_TRY(tn_batch_arrays_init(&e->batch, &config, err));
    TN_TRY(open_arrays(e, err));
    TN_TRY(open_model(e, &config, err));
    e->counters.blocks = e->counters.blocks_free = config.n_blocks;
    e->counters.block_tokens = config.block_tokens;
    e->counters.memory = tn_executor_memory_use(e->exec);
    e->metrics = e->counters;
    return start_thread(e, err);
}

tn_status tn_engine_create(const tn_engine_args *args, tn_engine **out, tn_error *err)
{
    *out = NULL;
    TN_TRY(check_args(args, err));
    tn_engine *e = tn_alloc_array(1, sizeof(*e));
    if (!e)
        return tn_fail_memory(err, "the engine");
    e->args = *args;
    e->live_end = &e->live;
    e->graph = args->binding->graph;
    tn_status st = open_engine(e, err);
    if (st) {
        tn_engine_destroy(e);
        return st;
    }
    *out = e;
    return TN_OK;
}

void tn_engine_destroy(tn_engine *e)
{
    if (!e)
        return;
    if (e->has_thread) {
        pthread_mutex_lock(&e->lock);
        e->stop = true;
        pthread_cond_signal(&e->wake);
        pthread_mutex_unlock(&e->lock);
        pthread_join(e->thread, NULL);
    }
    if (e->has_lock) {
        pthread_cond_destroy(&e->wake);
        pthread_mutex_destroy(&e->lock);
    }
    tn_executor_destroy(e->exec);
    tn_weight_store_destroy(e->weights);
    tn_sched_destroy(e->sched);
    tn_batch_arrays_deinit(&e->batch);
    tn_free(e->scratch);
    tn_free(e->top);
    tn_free(e->commit);
    tn_free(e->draw);
    tn_free(e->argmax);
    tn_free(e->rope_table);
    tn_free(e);
}

tn_executor *tn_engine_executor(tn_engine *engine)
{
    return engine->exec;
}
