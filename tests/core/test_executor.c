/* SPDX-License-Identifier: Apache-2.0 */
/* One step at a time, on the host and on the simulated device. */
#include "core/base/alloc.h"
#include "core/base/float16.h"
#include "core/exec/exec_internal.h"
#include "core/graph/rope.h"
#include "runtime/kv_values.h"
#include "tests/support/rig.h"
#include "tests/support/temp_dir.h"

#include <math.h>
#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

enum { N = 20, BLOCKS = 4, STRIDE = 4, MAX_HALF = 64 };

typedef struct fixture {
    tn_rig rig;
    tn_weight_store *weights;
    tn_executor *exec;
    int32_t vocab;
    /* One sequence of N tokens in blocks 2, 0: a step's arrays. */
    int32_t tokens[N], pos[N], slot[N], rows[N], q_start[2], kv_len[1], rope_index[1],
        table[STRIDE];
    float rope[MAX_HALF];
    float *logits; /* [N][vocab] */
    int32_t argmax[N];
} fixture;

static void succeed(tn_status st, const tn_error *err)
{
    if (st)
        fail_msg("%s: %s", tn_status_name(st), err->text);
}

static void open_fixture(fixture *f, const tn_rig_options *o, bool keep_all)
{
    tn_error err = { 0 };

    *f = (fixture){ 0 };
    tn_rig_open(&f->rig, o);
    f->vocab = f->rig.desc.vocab;
    const tn_weight_store_args weights = { .binding = f->rig.binding,
                                           .source = tn_rig_source(&f->rig),
                                           .team = f->rig.team };
    succeed(tn_weight_store_create(&weights, &f->weights, &err), &err);
    const tn_executor_args args = { .binding = f->rig.binding,
                                    .weights = f->weights,
                                    .n_blocks = BLOCKS,
                                    .table_stride = STRIDE,
                                    .max_tables = 1,
                                    .keep_all = keep_all };
    succeed(tn_executor_create(&args, &f->exec, &err), &err);
    f->logits = tn_alloc_array((size_t)N * (size_t)f->vocab, sizeof(float));
    assert_non_null(f->logits);
    for (int32_t i = 0; i < N; i++) {
        f->tokens[i] = (i * 37 + 5) % f->vocab;
        f->pos[i] = i;
        f->slot[i] = i < 16 ? 2 * 16 + i : i - 16;
        f->rows[i] = i;
    }
    f->q_start[1] = N;
    f->kv_len[0] = N;
    f->table[0] = 2;
    succeed(tn_rope_inv_freq(&f->rig.desc.rope, f->rig.desc.max_length, N, f->rope, &err), &err);
}

static void close_fixture(fixture *f)
{
    tn_free(f->logits);
    tn_executor_destroy(f->exec);
    tn_weight_store_destroy(f->weights);
    tn_rig_close(&f->rig);
}

/* The last n_rows of N tokens want logits. */
static tn_exec_step step_of(fixture *f, int32_t n_rows)
{
    return (tn_exec_step){ .n_tokens = N,
                           .n_seqs = 1,
                           .n_rows = n_rows,
                           .max_q = N,
                           .max_kv = N,
                           .n_tables = 1,
                           .tokens = f->tokens,
                           .pos = f->pos,
                           .slot = f->slot,
                           .q_start = f->q_start,
                           .kv_len = f->kv_len,
                           .rope_index = f->rope_index,
                           .table = f->table,
                           .rows = f->rows + (N - n_rows),
                           .rope_table = f->rope,
                           .logits = f->logits };
}

static void run(fixture *f, const tn_exec_step *step)
{
    tn_error err = { 0 };

    succeed(tn_executor_run(f->exec, step, &err), &err);
}

/* A block of a layer as f32. */
static tn_status read_kv(fixture *f, int32_t layer, int32_t block, float *k, float *v,
                         tn_error *err)
{
    const void *bytes;
    TN_TRY(tn_executor_read_kv(f->exec, layer, block, &bytes, err));
    const tn_bound_kv *kv = &f->rig.binding->kv[layer];
    return tn_kv_block_values(kv->format->name, &kv->attention, f->rig.binding->block_tokens, bytes,
                              k, v, err);
}

static void host_logits(float **out, int32_t *vocab)
{
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;

    open_fixture(&f, &o, false);
    tn_exec_step step = step_of(&f, N);
    run(&f, &step);
    *vocab = f.vocab;
    *out = f.logits;
    f.logits = NULL;
    close_fixture(&f);
}

static void argmax_is_the_best_of_the_logits(void **state)
{
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;

    (void)state;
    open_fixture(&f, &o, false);
    tn_exec_step step = step_of(&f, N);
    run(&f, &step);
    step.logits = NULL;
    step.argmax = f.argmax;
    run(&f, &step);
    for (int32_t r = 0; r < N; r++)
        for (int32_t i = 0; i < f.vocab; i++)
            assert_true(f.logits[r * f.vocab + i] <= f.logits[r * f.vocab + f.argmax[r]]);
    close_fixture(&f);
}

static void a_step_without_rows_only_fills_the_cache(void **state)
{
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;
    enum { BLOCK = 2 * 16 * 16 }; /* kv_heads x tokens x head_dim */
    float k[BLOCK];
    float v[BLOCK];
    tn_error err = { 0 };
    float most = 0.0F;

    (void)state;
    open_fixture(&f, &o, false);
    tn_exec_step step = step_of(&f, 0);
    f.logits[0] = 123.0F;
    run(&f, &step);
    assert_true(f.logits[0] == 123.0F);
    succeed(read_kv(&f, 1, 2, k, v, &err), &err);
    for (int32_t i = 0; i < BLOCK; i++)
        most = fmaxf(most, fabsf(v[i]));
    assert_true(most > 0.0F);
    succeed(read_kv(&f, 1, 3, k, v, &err), &err); /* nobody's block */
    for (int32_t i = 0; i < BLOCK; i++)
        assert_true(k[i] == 0.0F && v[i] == 0.0F);
    assert_int_equal(read_kv(&f, 2, 0, k, v, &err), TN_INVALID);
    assert_int_equal(read_kv(&f, 0, BLOCKS, k, v, &err), TN_INVALID);
    close_fixture(&f);
}

static void every_kv_format_reads_back_close_to_f32(void **state)
{
    static const char *const format[] = { "f32", "f16", "i8" };
    static const float bound[] = { 0.0F, 0.01F, 0.1F };
    enum { BLOCK = 2 * 16 * 16 };
    float k[3][BLOCK];
    float v[3][BLOCK];

    (void)state;
    for (int32_t i = 0; i < 3; i++) {
        fixture f;
        tn_rig_options o = TN_RIG_DEFAULT;
        tn_error err = { 0 };

        o.kv_format = format[i];
        open_fixture(&f, &o, false);
        tn_exec_step step = step_of(&f, 0);
        run(&f, &step);
        succeed(read_kv(&f, 0, 2, k[i], v[i], &err), &err);
        /* The plugin reads its own pages alike. */
        const tn_bound_kv *kv = &f.rig.binding->kv[0];
        if (kv->format->to_f32) {
            float pk[BLOCK];
            float pv[BLOCK];
            const void *block = (const void *)(uintptr_t)(f.exec->kv[0].addr + 2 * kv->block_bytes);
            succeed(kv->format->to_f32(kv->plugin->self, &kv->attention, 16, block, pk, pv, &err),
                    &err);
            assert_memory_equal(pk, k[i], sizeof(pk));
            assert_memory_equal(pv, v[i], sizeof(pv));
        }
        for (int32_t e = 0; e < BLOCK; e++) {
            assert_true(fabsf(k[i][e] - k[0][e]) <= bound[i]);
            assert_true(fabsf(v[i][e] - v[0][e]) <= bound[i]);
        }
        close_fixture(&f);
    }
}

static void blocks_are_copied_in_every_layer_before_the_step(void **state)
{
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;
    enum { BLOCK = 2 * 16 * 16 };
    float a[2][BLOCK];
    float b[2][BLOCK];
    const int32_t src = 2;
    const int32_t dst = 3;
    tn_error err = { 0 };

    (void)state;
    open_fixture(&f, &o, false);
    tn_exec_step step = step_of(&f, 0);
    run(&f, &step);
    for (int32_t i = 0; i < N; i++)
        f.tokens[i] = 1; /* the second step overwrites block 2, after the copy */
    step.n_copies = 1;
    step.copy_src = &src;
    step.copy_dst = &dst;
    for (int32_t layer = 0; layer < 2; layer++) {
        succeed(read_kv(&f, layer, 2, a[0], a[1], &err), &err);
        if (layer == 0)
            continue;
        run(&f, &step);
        succeed(read_kv(&f, layer, 3, b[0], b[1], &err), &err);
        assert_memory_equal(a, b, sizeof(a));
        succeed(read_kv(&f, layer, 2, b[0], b[1], &err), &err);
        assert_memory_not_equal(a, b, sizeof(a));
    }
    close_fixture(&f);
}

static void slices_of_rows_give_the_same_bits(void **state)
{
    float *base;
    int32_t vocab;
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;

    (void)state;
    host_logits(&base, &vocab);
    o.max_rows = 7; /* 20 rows: 7, 7, 6 */
    open_fixture(&f, &o, false);
    tn_exec_step step = step_of(&f, N);
    run(&f, &step);
    assert_memory_equal(base, f.logits, (size_t)N * (size_t)vocab * sizeof(float));
    step.logits = NULL;
    step.argmax = f.argmax;
    run(&f, &step);
    for (int32_t r = 0; r < N; r++)
        for (int32_t i = 0; i < vocab; i++)
            assert_true(base[r * vocab + i] <= base[r * vocab + f.argmax[r]]);
    close_fixture(&f);
    tn_free(base);
}

/* ---- other devices ---- */

static void a_device_gives_the_bits_of_the_host(void **state)
{
    static const char *const kv[] = { "f32", "i8" };

    (void)state;
    for (int32_t i = 0; i < 2; i++) {
        fixture host;
        fixture f;
        tn_rig_options o = TN_RIG_DEFAULT;

        o.kv_format = kv[i];
        o.max_rows = 7;
        open_fixture(&host, &o, false);
        tn_exec_step step = step_of(&host, N);
        run(&host, &step);
        o.device = "simdev";
        o.plugin_path = SIM_PLUGIN;
        open_fixture(&f, &o, false);
        assert_false(tn_device_is_host(&f.rig.binding->device[0]));
        step = step_of(&f, N);
        run(&f, &step);
        assert_memory_equal(host.logits, f.logits, (size_t)N * (size_t)f.vocab * sizeof(float));
        step.logits = NULL;
        step.argmax = f.argmax;
        run(&f, &step);
        assert_true(f.argmax[N - 1] >= 0 && f.argmax[N - 1] < f.vocab);
        close_fixture(&host);
        close_fixture(&f);
    }
}

static void edges_cross_between_a_device_and_the_host(void **state)
{
    float *base;
    int32_t vocab;
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;
    const tn_bind_rule rule[] = { { "layer.0.gate_up", "cpu-ref" },
                                  { "layer.1.qkv", "cpu-ref" },
                                  { "head", "cpu-ref" },
                                  { "argmax", "cpu-ref" } };

    (void)state;
    host_logits(&base, &vocab);
    o.device = "simdev";
    o.plugin_path = SIM_PLUGIN;
    o.fallback = "cpu-ref";
    o.rule = rule;
    o.n_rules = 4;
    o.max_rows = 7;
    open_fixture(&f, &o, false);
    assert_int_equal(f.rig.binding->n_domains, 2);
    tn_exec_step step = step_of(&f, N);
    run(&f, &step);
    assert_memory_equal(base, f.logits, (size_t)N * (size_t)vocab * sizeof(float));
    close_fixture(&f);
    tn_free(base);
}

static void conversion_rounds_to_nearest_and_keeps_strides(void **state)
{
    const float in[2][4] = { { 1.0F, -2.5F, 65519.0F, 7.0F },
                             { 1.0F + 0x1p-11F, 1.0F + 0x1.8p-10F, -0.0F, 7.0F } };
    uint16_t half[2][3] = { { 0 } };
    float back[2][2];

    (void)state;
    tn_convert_rows(in, TN_F32, 4, half, TN_F16, 3, 2, 3);
    assert_int_equal(half[0][0], 0x3c00);
    assert_int_equal(half[0][1], 0xc100);
    assert_int_equal(half[0][2], 0x7bff);
    assert_int_equal(half[1][0], 0x3c00); /* a tie to even */
    assert_int_equal(half[1][1], 0x3c02); /* and the other one */
    assert_int_equal(half[1][2], 0x8000);
    tn_convert_rows(half, TN_F16, 3, back, TN_F32, 2, 2, 2);
    assert_true(back[0][1] == -2.5F && back[1][0] == 1.0F);
    tn_convert_rows(in, TN_F32, 4, half, TN_BF16, 3, 1, 2);
    assert_int_equal(half[0][1], 0xc020);
}

/* ---- taps and single nodes ---- */

enum { MAX_SEEN = 64, MAX_VALUES = 16384 };
typedef struct seen {
    int32_t n_nodes;
    const tn_bound_node *node[MAX_SEEN];
    float *out[MAX_SEEN], *in[MAX_SEEN][TN_MAX_IN];
} seen;

static float *copy_values(const tn_tap_edge *e)
{
    size_t bytes = (size_t)e->rows * (size_t)e->width * sizeof(float);
    float *copy = tn_alloc(bytes);

    assert_non_null(copy);
    memcpy(copy, e->values, bytes);
    return copy;
}

static void on_node(void *ctx, const tn_bound_node *node, int32_t n_in, const tn_tap_edge *in,
                    int32_t n_out, const tn_tap_edge *out)
{
    seen *s = ctx;
    int32_t i = s->n_nodes++;

    assert_true(i < MAX_SEEN);
    s->node[i] = node;
    assert_int_equal(n_in, node->node.n_in);
    for (int32_t e = 0; e < n_in; e++)
        s->in[i][e] = copy_values(&in[e]);
    if (n_out > 0)
        s->out[i] = copy_values(&out[0]);
}

static void tap_and_single_nodes(const tn_rig_options *o)
{
    fixture f;
    seen s = { 0 };
    tn_error err = { 0 };

    open_fixture(&f, o, true);
    tn_executor_set_tap(f.exec, on_node, &s);
    tn_exec_step step = step_of(&f, N);
    run(&f, &step);
    tn_executor_set_tap(f.exec, NULL, NULL);
    assert_int_equal(s.n_nodes, f.rig.binding->n_nodes - 1); /* all but argmax, in order */
    for (int32_t i = 0; i < s.n_nodes; i++)
        assert_ptr_equal(s.node[i], &f.rig.binding->node[i]);
    for (int32_t i = 0; i < s.n_nodes; i++) {
        const tn_bound_node *node = s.node[i];
        const float *in[TN_MAX_IN] = { s.in[i][0], s.in[i][1], s.in[i][2], s.in[i][3] };
        float *out[TN_MAX_OUT] = { NULL };

        if (node->node.n_out > 0) {
            const tn_edge *e = &f.rig.graph.edge[node->out[0]];
            size_t n = (size_t)N * (size_t)e->width;
            out[0] = tn_alloc_array(n, sizeof(float));
            assert_non_null(out[0]);
            if (node->node.n_out == 1) {
                succeed(tn_executor_run_node(f.exec, i, &step, in, out, &err), &err);
                assert_memory_equal(out[0], s.out[i], n * sizeof(float));
            }
        }
        tn_free(out[0]);
        tn_free(s.out[i]);
        for (int32_t e = 0; e < TN_MAX_IN; e++)
            tn_free(s.in[i][e]);
    }
    assert_int_equal(tn_executor_run_node(f.exec, 1000, &step, NULL, NULL, &err), TN_INVALID);
    close_fixture(&f);
}

static void a_tap_sees_every_node_and_a_node_alone_repeats_it(void **state)
{
    tn_rig_options o = TN_RIG_DEFAULT;

    (void)state;
    tap_and_single_nodes(&o);
    o.device = "simdev";
    o.plugin_path = SIM_PLUGIN;
    tap_and_single_nodes(&o);
}

/* ---- faults ---- */

static void senseless_steps_are_refused(void **state)
{
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;
    tn_error err = { 0 };

    (void)state;
    o.max_tokens = N;
    o.max_ctx = 64;
    open_fixture(&f, &o, false);
    tn_exec_step step = step_of(&f, N);
    step.n_tokens = N + 1;
    assert_int_equal(tn_executor_run(f.exec, &step, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "21 tokens in 1 sequences: 1 to 20 tokens in 1 to 32"));
    step = step_of(&f, N);
    step.n_seqs = 0;
    assert_int_equal(tn_executor_run(f.exec, &step, &err), TN_INVALID);
    step = step_of(&f, N);
    step.n_tables = 2;
    assert_int_equal(tn_executor_run(f.exec, &step, &err), TN_INVALID);
    step = step_of(&f, N);
    step.max_kv = 65;
    assert_int_equal(tn_executor_run(f.exec, &step, &err), TN_INVALID);
    step = step_of(&f, N); /* and it still works */
    run(&f, &step);
    close_fixture(&f);
}

static tn_status broken_code;
static tn_status run_broken(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)self;
    (void)node;
    (void)launch;
    return tn_fail(err, broken_code, "the kernel fell over");
}

static void a_failing_kernel_is_named_and_a_lost_device_stays_lost(void **state)
{
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;
    tn_error err = { 0 };

    (void)state;
    open_fixture(&f, &o, false);
    tn_bound_node *node = &f.rig.binding->node[2];
    const tn_kernel *good = node->kernel;
    tn_kernel broken = *good;
    broken.run = run_broken;
    tn_exec_step step = step_of(&f, N);
    for (int32_t lost = 0; lost < 2; lost++) {
        broken_code = lost ? TN_DEVICE_LOST : TN_INTERNAL;
        node->kernel = &broken;
        assert_int_equal(tn_executor_run(f.exec, &step, &err), broken_code);
        assert_non_null(strstr(err.text, node->node.path));
        assert_non_null(strstr(err.text, "cpu-ref"));
        assert_non_null(strstr(err.text, "the kernel fell over"));
        node->kernel = good;
        assert_int_equal(tn_executor_run(f.exec, &step, &err), lost ? TN_DEVICE_LOST : TN_OK);
    }
    close_fixture(&f);
}

static void a_step_takes_no_memory(void **state)
{
    fixture f;
    tn_rig_options o = TN_RIG_DEFAULT;

    (void)state;
    open_fixture(&f, &o, false);
    tn_exec_step step = step_of(&f, N);
    uint64_t before = tn_alloc_count();
    run(&f, &step);
    assert_int_equal(tn_alloc_count(), before);
    tn_executor_memory m = tn_executor_memory_use(f.exec);
    assert_true(m.activations > 0 && m.batch > 0);
    assert_int_equal(m.weights, tn_weight_store_bytes(f.weights));
    assert_int_equal(m.kv, 2 * BLOCKS * f.rig.binding->kv[0].block_bytes);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(argmax_is_the_best_of_the_logits),
        cmocka_unit_test(a_step_without_rows_only_fills_the_cache),
        cmocka_unit_test(every_kv_format_reads_back_close_to_f32),
        cmocka_unit_test(blocks_are_copied_in_every_layer_before_the_step),
        cmocka_unit_test(slices_of_rows_give_the_same_bits),
        cmocka_unit_test(a_device_gives_the_bits_of_the_host),
        cmocka_unit_test(edges_cross_between_a_device_and_the_host),
        cmocka_unit_test(conversion_rounds_to_nearest_and_keeps_strides),
        cmocka_unit_test(a_tap_sees_every_node_and_a_node_alone_repeats_it),
        cmocka_unit_test(senseless_steps_are_refused),
        cmocka_unit_test(a_failing_kernel_is_named_and_a_lost_device_stays_lost),
        cmocka_unit_test(a_step_takes_no_memory),
    };

    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
