/* SPDX-License-Identifier: Apache-2.0 */
/* Decode steps as recorded graphs: on the emulated GPU, with cuda-fp16 and each overlay on it,
 * through a domain that counts what is asked of it. */
#include "core/base/alloc.h"
#include "core/exec/executor.h"
#include "core/graph/rope.h"
#include "tests/support/rig.h"
#include "tests/support/temp_dir.h"

#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

enum { SEQS = 5, BLOCKS = 16, STRIDE = 3, MAX_HALF = 64, STEPS = 6 };

static struct {
    const tn_domain *real;
    tn_domain counting;
    bool cannot_record;
    int32_t n_allocs, n_waits, n_fetches, n_captures, n_replays;
} seen;

static tn_status count_alloc(void *self, int32_t dev, uint64_t bytes, uint64_t *out, tn_error *err)
{
    seen.n_allocs++;
    return seen.real->alloc(self, dev, bytes, out, err);
}

static tn_status count_copy(void *self, uint64_t dst, uint64_t src, uint64_t n, int32_t direction,
                            void *stream, tn_error *err)
{
    seen.n_fetches += direction == TN_TO_HOST;
    return seen.real->copy(self, dst, src, n, direction, stream, err);
}

static tn_status count_wait(void *self, void *stream, tn_error *err)
{
    seen.n_waits++;
    return seen.real->stream_wait(self, stream, err);
}

static tn_status count_capture(void *self, void *stream, tn_error *err)
{
    seen.n_captures++;
    if (seen.cannot_record)
        return tn_fail(err, TN_UNSUPPORTED, "nothing is recorded today");
    return seen.real->capture_begin(self, stream, err);
}

static tn_status count_replay(void *self, void *graph, void *stream, tn_error *err)
{
    seen.n_replays++;
    return seen.real->graph_run(self, graph, stream, err);
}

typedef struct fixture {
    tn_rig rig;
    tn_weight_store *weights;
    tn_executor *exec;
    int32_t vocab;
    float rope[MAX_HALF];
} fixture;

static void succeed(tn_status st, const tn_error *err)
{
    if (st)
        fail_msg("%s: %s", tn_status_name(st), err->text);
}

/* Plugins, and a model whose nodes they take. */
typedef struct stack {
    const char *overlay, *overlay_path; /* over cuda-fp16, or NULL */
    const char *kv_format, *type;
    int32_t ffn;
} stack;

static const stack fp16 = { NULL, NULL, "f16", "F32", 96 };
static const stack kvint8 = { "cuda-kvint8", KVINT8_PATH, "i8", "F32", 96 };
/* 512 values of k are split over two blocks, whose counter has to be 0 again in the next step. */
static const stack w4a16 = { "cuda-w4a16", W4A16_PATH, "f16", "Q4_1", 512 };

static void assert_overlay_is_used(const tn_binding *b, const char *overlay)
{
    int32_t n_nodes = 0;
    for (int32_t i = 0; i < b->n_nodes; i++)
        n_nodes += strncmp(b->node[i].kernel->name, overlay, strlen(overlay)) == 0;
    assert_true(n_nodes > 0);
}

static void open_stack(fixture *f, const stack *s, bool records)
{
    tn_error err = { 0 };
    tn_rig_options o = TN_RIG_DEFAULT;

    *f = (fixture){ 0 };
    o.device = "cuda-sim";
    o.plugin_path = FP16_PATH;
    o.kv_format = s->kv_format;
    o.overlay_path = s->overlay_path;
    o.model.type = s->type;
    o.model.ffn = s->ffn;
    o.max_seqs = 8;
    tn_rig_open(&f->rig, &o);
    if (s->overlay)
        assert_overlay_is_used(f->rig.binding, s->overlay);
    f->vocab = f->rig.desc.vocab;
    tn_device *device = &f->rig.binding->device[0];
    seen.real = device->domain;
    seen.counting = *seen.real;
    seen.counting.alloc = count_alloc;
    seen.counting.copy = count_copy;
    seen.counting.stream_wait = count_wait;
    seen.counting.capture_begin = records ? count_capture : NULL;
    seen.counting.graph_run = count_replay;
    device->domain = &seen.counting;
    const tn_weight_store_args weights = { .binding = f->rig.binding,
                                           .source = tn_rig_source(&f->rig),
                                           .team = f->rig.team };
    succeed(tn_weight_store_create(&weights, &f->weights, &err), &err);
    const tn_executor_args args = { .binding = f->rig.binding,
                                    .weights = f->weights,
                                    .n_blocks = BLOCKS,
                                    .table_stride = STRIDE,
                                    .max_tables = 1 };
    succeed(tn_executor_create(&args, &f->exec, &err), &err);
    succeed(tn_rope_inv_freq(&f->rig.desc.rope, f->rig.desc.max_length, 1, f->rope, &err), &err);
    seen.n_allocs = seen.n_waits = seen.n_fetches = seen.n_captures = seen.n_replays = 0;
}

static void open_fixture(fixture *f, bool records)
{
    open_stack(f, &fp16, records);
}

static void close_fixture(fixture *f)
{
    tn_executor_destroy(f->exec);
    tn_weight_store_destroy(f->weights);
    tn_rig_close(&f->rig);
}

/* Step `at` of n sequences: sequence s has its tokens in blocks 3 s, 3 s + 1, 3 s + 2. */
static void decode(fixture *f, int32_t n, int32_t at, float *logits, int32_t *argmax)
{
    int32_t tokens[SEQS], pos[SEQS], slot[SEQS], rows[SEQS],
        q_start[SEQS + 1] = { 0 }, kv_len[SEQS], rope_index[SEQS] = { 0 }, table[SEQS * STRIDE];
    tn_error err = { 0 };
    tn_exec_step step = { .n_tokens = n,
                          .n_seqs = n,
                          .n_decode = n,
                          .n_rows = n,
                          .max_q = 1,
                          .max_kv = at + 1,
                          .n_tables = 1,
                          .tokens = tokens,
                          .pos = pos,
                          .slot = slot,
                          .q_start = q_start,
                          .kv_len = kv_len,
                          .rope_index = rope_index,
                          .table = table,
                          .rows = rows,
                          .rope_table = f->rope,
                          .logits = logits,
                          .argmax = argmax };
    for (int32_t s = 0; s < n; s++) {
        tokens[s] = (at * 37 + s * 11 + 5) % f->vocab;
        pos[s] = at;
        kv_len[s] = at + 1;
        rows[s] = s;
        q_start[s + 1] = s + 1;
        slot[s] = (STRIDE * s + at / 16) * 16 + at % 16;
        for (int32_t b = 0; b < STRIDE; b++)
            table[s * STRIDE + b] = STRIDE * s + b;
    }
    succeed(tn_executor_run(f->exec, &step, &err), &err);
}

/* Logits of STEPS steps of n sequences: [STEPS][n][vocab]. */
static float *decode_all(fixture *f, int32_t n)
{
    size_t width = (size_t)n * (size_t)f->vocab;
    float *logits = tn_alloc_array(STEPS * width, sizeof *logits);
    assert_non_null(logits);
    for (int32_t i = 0; i < STEPS; i++)
        decode(f, n, i, logits + (size_t)i * width, NULL);
    return logits;
}

static void check_replayed_bits(const stack *s)
{
    for (int32_t n = 1; n <= SEQS; n += 2) {
        fixture plain, recorded;
        open_stack(&plain, s, false);
        float *expected = decode_all(&plain, n);
        size_t bytes = (size_t)STEPS * (size_t)n * (size_t)plain.vocab * sizeof *expected;
        close_fixture(&plain);
        assert_int_equal(seen.n_replays, 0);

        open_stack(&recorded, s, true);
        float *got = decode_all(&recorded, n);

        assert_memory_equal(got, expected, bytes);
        assert_int_equal(seen.n_captures, 1);
        assert_int_equal(seen.n_replays, STEPS - 1);
        close_fixture(&recorded);
        tn_free(got);
        tn_free(expected);
    }
}

static void a_replayed_step_gives_the_bits_of_its_nodes(void **state)
{
    (void)state;
    check_replayed_bits(&fp16);
    check_replayed_bits(&kvint8);
    check_replayed_bits(&w4a16);
}

static void a_step_allocates_nothing_and_reads_back_what_sampling_needs(void **state)
{
    fixture f;
    int32_t best[SEQS];
    (void)state;
    open_fixture(&f, true);
    for (int32_t i = 0; i < 3; i++)
        decode(&f, 3, i, NULL, best);
    assert_int_equal(seen.n_allocs, 0);
    seen.n_waits = seen.n_fetches = 0;

    decode(&f, 3, 3, NULL, best);

    assert_int_equal(seen.n_allocs, 0);
    assert_int_equal(seen.n_fetches, 1);
    assert_in_range(seen.n_waits, 1, 2); /* for the ids, and at the end of the step */
    close_fixture(&f);
}

static void logits_and_ids_have_graphs_of_their_own(void **state)
{
    fixture f;
    int32_t best[1], expected = 0;
    (void)state;
    open_fixture(&f, true);
    float *logits = tn_alloc_array((size_t)f.vocab, sizeof *logits);
    assert_non_null(logits);
    for (int32_t i = 0; i < STEPS; i++) {
        decode(&f, 1, i, logits, NULL);
        decode(&f, 1, i, NULL, best);
    }
    for (int32_t i = 1; i < f.vocab; i++)
        expected = logits[i] > logits[expected] ? i : expected;

    assert_int_equal(best[0], expected);
    assert_int_equal(seen.n_captures, 2);
    close_fixture(&f);
    tn_free(logits);
}

static void what_cannot_be_recorded_runs_node_by_node(void **state)
{
    fixture plain, refused;
    (void)state;
    open_fixture(&plain, false);
    float *expected = decode_all(&plain, 2);
    size_t bytes = (size_t)STEPS * 2 * (size_t)plain.vocab * sizeof *expected;
    close_fixture(&plain);

    seen.cannot_record = true;
    open_fixture(&refused, true);
    float *got = decode_all(&refused, 2);
    seen.cannot_record = false;

    assert_memory_equal(got, expected, bytes);
    assert_int_equal(seen.n_captures, 1);
    assert_int_equal(seen.n_replays, 0);
    close_fixture(&refused);
    tn_free(got);
    tn_free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replayed_step_gives_the_bits_of_its_nodes),
        cmocka_unit_test(a_step_allocates_nothing_and_reads_back_what_sampling_needs),
        cmocka_unit_test(logits_and_ids_have_graphs_of_their_own),
        cmocka_unit_test(what_cannot_be_recorded_runs_node_by_node),
    };
    return cmocka_run_group_tests_name("replay", tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
