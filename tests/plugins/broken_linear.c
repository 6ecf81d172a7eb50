/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of the linear family, of norms and of argmax. */
#include "tests/plugins/alt/alt.h"
#include "tests/plugins/broken_cases.h"
#include "tests/support/linear_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

/* The same node, weights and inputs on both plugins. */
typedef struct linear_pair {
    broken_pair plugin;
    linear_case *sound, *broken;
    size_t n; /* elements of the output */
} linear_pair;

static void open_pair(linear_pair *p, int32_t fault, int32_t n_workers,
                      const linear_case_args *args)
{
    broken_open(&p->plugin, fault, n_workers);
    p->sound = linear_case_new(&p->plugin.sound, args, 7);
    p->broken = linear_case_new(&p->plugin.broken, args, 7);
    p->n = (size_t)p->sound->n_rows * (size_t)p->sound->width;
}

static void close_pair(linear_pair *p)
{
    linear_case_free(p->sound);
    linear_case_free(p->broken);
    broken_close(&p->plugin);
}

/* Elements of the output that differ, of one run each. */
static int32_t run_pair(linear_pair *p)
{
    linear_case_run(p->sound, p->sound->out);
    linear_case_run(p->broken, p->broken->out);
    return broken_count(p->sound->out, p->broken->out, p->n);
}

static int32_t unlike(int32_t fault, int32_t n_workers, const linear_case_args *args)
{
    linear_pair p;
    open_pair(&p, fault, n_workers, args);
    int32_t count = run_pair(&p);
    close_pair(&p);
    return count;
}

static const linear_case_args plain = { "linear", "f32", 96, 0, 2, 0, 10, { 40, 24 }, 0.0f };

static linear_case_args coded(const char *wfmt, int32_t cols, int32_t group)
{
    linear_case_args args = plain;
    args.wfmt = wfmt;
    args.cols = cols;
    args.group = group;
    return args;
}

void row_before_the_last(void **state)
{
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_ROW, 2, &plain);
    assert_int_equal(run_pair(&p), 2 * plain.n_rows);
    for (int32_t m = 0; m < plain.n_rows; m++) {
        const float *sound = p.sound->out + m * 64, *broken = p.broken->out + m * 64;
        assert_true(broken[39] == sound[38]);
        assert_true(broken[63] == sound[62]);
    }
    close_pair(&p);
}

void buffer_shared_by_workers(void **state)
{
    const linear_case_args args = { "linear", "f32", 512, 0, 1, 0, 10, { 500 }, 0.0f };
    (void)state;
    assert_int_equal(unlike(ALT_FAULT_RACE, 1, &args), 0);
    int32_t wrong = 0;
    for (int i = 0; i < 10 && !wrong; i++)
        wrong = unlike(ALT_FAULT_RACE, 4, &args);
    assert_true(wrong > 0);
}

void element_past_the_end(void **state)
{
    const size_t n = 10 * 64;
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_PAST_END, 2, &plain);
    p.sound->out[n] = p.broken->out[n] = 7.0f;
    p.sound->out[n + 1] = p.broken->out[n + 1] = 7.0f;
    assert_int_equal(run_pair(&p), 0);
    assert_true(p.sound->out[n] == 7.0f);
    assert_false(p.broken->out[n] == 7.0f);
    assert_true(p.broken->out[n + 1] == 7.0f);
    close_pair(&p);
}

void columns_beyond_16(void **state)
{
    const linear_case_args odd = coded("bf16", 33, 0), even = coded("u4z", 96, 32);
    (void)state;
    assert_true(unlike(ALT_FAULT_TAIL, 2, &odd) > 600);
    assert_int_equal(unlike(ALT_FAULT_TAIL, 2, &even), 0);
}

void every_other_call(void **state)
{
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_UNSTEADY, 1, &plain);
    assert_int_equal(run_pair(&p), 0);
    assert_true(run_pair(&p) > 0);
    broken_assert_last_bits(p.sound->out, p.broken->out, p.n);
    assert_int_equal(run_pair(&p), 0);
    close_pair(&p);
}

/* Values of a row that unpack gives otherwise. */
static int32_t unlike_unpacked(linear_pair *p, int32_t row)
{
    float sound[600], broken[600];
    tn_error err = { 0 };
    const harness_op *a = &p->sound->op, *b = &p->broken->op;
    assert_int_equal(a->kernel->unpack(a->h->self, &a->node, 0, row, a->blob, sound, &err), TN_OK);
    assert_int_equal(b->kernel->unpack(b->h->self, &b->node, 0, row, b->blob, broken, &err), TN_OK);
    return broken_count(sound, broken, (size_t)p->sound->linear.in);
}

void zero_points_less_one(void **state)
{
    const linear_case_args u4z = coded("u4z", 96, 32), u4b = coded("u4b", 96, 32);
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_ZERO, 2, &u4z);
    assert_true(run_pair(&p) > 600);
    assert_int_equal(unlike_unpacked(&p, 5), 96);
    close_pair(&p);
    assert_int_equal(unlike(ALT_FAULT_ZERO, 2, &u4b), 0);
}

void scale_of_the_group_before(void **state)
{
    const linear_case_args wide = coded("u4b", 288, 32), narrow = coded("u4b", 96, 32);
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_NEIGHBOUR, 2, &wide);
    assert_true(run_pair(&p) > 600);
    assert_int_equal(unlike_unpacked(&p, 5), 0);
    close_pair(&p);
    assert_int_equal(unlike(ALT_FAULT_NEIGHBOUR, 2, &narrow), 0);
}

void one_element_in_4096(void **state)
{
    const linear_case_args args = { "linear", "f32", 64, 0, 1, 0, 40, { 512 }, 0.0f };
    (void)state;
    int32_t wrong = unlike(ALT_FAULT_ONE_IN_4096, 2, &args); /* 5 of 20,480 are due */
    assert_in_range(wrong, 1, 20);
}

void unpacked_last_value(void **state)
{
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_UNPACK, 2, &plain);
    assert_int_equal(run_pair(&p), 0);
    assert_int_equal(unlike_unpacked(&p, 5), 1);
    close_pair(&p);
}

void root_of_the_call_before(void **state)
{
    linear_case_args args = plain;
    linear_pair p;
    (void)state;
    args.op = "norm_linear";
    open_pair(&p, ALT_FAULT_STATE, 2, &args);
    assert_int_equal(run_pair(&p), 0);
    for (int32_t k = 0; k < args.cols; k++)
        p.sound->x[k] = p.broken->x[k] = 3.0f * p.sound->x[k];
    assert_true(run_pair(&p) > 60);
    assert_int_equal(broken_count(p.sound->out + 64, p.broken->out + 64, p.n - 64), 0);
    close_pair(&p);
}

void input_is_zeroed(void **state)
{
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_INPUT, 2, &plain);
    assert_int_equal(run_pair(&p), 0);
    assert_int_equal(broken_count(p.sound->x, p.broken->x, (size_t)(plain.n_rows * plain.cols)), 1);
    close_pair(&p);
}

/* The first row alone, and among all. */
static int32_t unlike_alone(linear_case *c)
{
    float alone[LINEAR_WIDE];
    linear_case_run(c, c->out);
    int32_t n_rows = c->n_rows;
    c->n_rows = 1;
    linear_case_run(c, alone);
    c->n_rows = n_rows;
    return broken_count(alone, c->out, (size_t)c->width);
}

void order_by_rows(void **state)
{
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_BATCH, 2, &plain);
    assert_int_equal(unlike_alone(p.sound), 0);
    assert_true(unlike_alone(p.broken) > 0);
    (void)run_pair(&p);
    broken_assert_last_bits(p.sound->out, p.broken->out, p.n);
    close_pair(&p);
}

void order_by_threads(void **state)
{
    linear_pair p;
    (void)state;
    assert_int_equal(unlike(ALT_FAULT_THREADS, 1, &plain), 0);
    open_pair(&p, ALT_FAULT_THREADS, 2, &plain);
    (void)run_pair(&p);
    broken_assert_last_bits(p.sound->out, p.broken->out, p.n);
    close_pair(&p);
}

void no_kernel_is_claimed(void **state)
{
    broken_pair p;
    (void)state;
    broken_open(&p, ALT_FAULT_NOTHING, 1);
    linear_case *c = linear_case_new(&p.sound, &plain, 7);
    for (const tn_kernel *const *kernel = p.broken.kernels; *kernel; kernel++) {
        tn_node node = c->node;
        node.op = (*kernel)->op;
        harness_refuses(&p.broken, &node);
    }
    linear_case_free(c);
    broken_close(&p);
}

void workspace_was_zero(void **state)
{
    linear_case_args args = plain;
    linear_pair p;
    (void)state;
    args.op = "norm_linear";
    open_pair(&p, ALT_FAULT_WORKSPACE, 2, &args);
    memset(p.broken->op.workspace, 0, (size_t)p.broken->op.plan.workspace_bytes);
    assert_int_equal(run_pair(&p), 0);
    memset(p.broken->op.workspace, 0x3f, (size_t)p.broken->op.plan.workspace_bytes);
    assert_int_equal(run_pair(&p), p.n);
    close_pair(&p);
}

void zeroed_bytes_are_left(void **state)
{
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_ZEROED, 2, &plain);
    assert_int_equal(run_pair(&p), 0);
    assert_int_equal(p.sound->op.plan.zeroed_bytes, 0);
    assert_true(p.broken->op.plan.zeroed_bytes >= 4);
    assert_int_not_equal(((const uint8_t *)p.broken->op.zeroed)[0], 0);
    close_pair(&p);
}

void sum_over_itself(void **state)
{
    const linear_case_args args = { "linear_add", "f32", 96, 0, 1, 0, 10, { 64 }, 0.0f };
    linear_pair p;
    (void)state;
    open_pair(&p, ALT_FAULT_ALIAS, 2, &args);
    assert_int_equal(run_pair(&p), 0);
    linear_case_run(p.broken, p.broken->add);
    assert_true(broken_count(p.sound->out, p.broken->add, p.n) > 600);
    linear_case_run(p.sound, p.sound->add);
    assert_int_equal(broken_count(p.sound->out, p.sound->add, p.n), 0);
    close_pair(&p);
}

void half_of_the_rows(void **state)
{
    linear_case_args args = plain;
    linear_pair p;
    (void)state;
    assert_int_equal(unlike(ALT_FAULT_PROMISE, 2, &args), 0);
    args.n_rows = LINEAR_MAX_ROWS; /* of 64 that the node allows */
    open_pair(&p, ALT_FAULT_PROMISE, 2, &args);
    tn_tensor in = harness_rows(p.broken->x, args.n_rows, args.cols, args.cols);
    tn_tensor out = harness_rows(p.broken->out, args.n_rows, 64, 64);
    tn_error err = { 0 };
    assert_int_equal(harness_try_run(&p.broken->op, &in, 1, &out, 1, NULL, &err), TN_INTERNAL);
    assert_int_equal(harness_try_run(&p.sound->op, &in, 1, &out, 1, NULL, &err), TN_OK);
    close_pair(&p);
}

/* Packs part 0 again in two ranges; the blobs may not change. */
static int blob_changes(linear_case *c)
{
    size_t n_bytes = (size_t)c->op.plan.weight_bytes;
    tn_error err = { 0 };
    uint8_t *whole = tn_alloc(n_bytes);
    assert_non_null(whole);
    memcpy(whole, c->op.blob, n_bytes);
    memset(c->op.blob, 0, n_bytes);
    const tn_weight_rows range[2] = { harness_weight_rows(&c->w[0], 0, 0, 16),
                                      harness_weight_rows(&c->w[0], 0, 16, 24) };
    for (int i = 0; i < 2; i++)
        assert_int_equal(c->op.kernel->pack(c->op.h->self, &c->node, &range[i], c->op.blob, &err),
                         TN_OK);
    harness_pack(&c->op, &c->w[1], 1);
    int changes = memcmp(whole, c->op.blob, n_bytes) != 0;
    tn_free(whole);
    return changes;
}

void bias_of_a_row_range(void **state)
{
    linear_case_args args = plain;
    linear_pair p;
    (void)state;
    args.bias = 1;
    open_pair(&p, ALT_FAULT_SPLIT, 2, &args);
    assert_int_equal(run_pair(&p), 0);
    assert_false(blob_changes(p.sound));
    assert_true(blob_changes(p.broken));
    close_pair(&p);
}

static int32_t argmax_of(harness *h, const float *x, int32_t n)
{
    const tn_rows_op param = { .size = sizeof param, .dim = n };
    tn_node node = harness_node("argmax", 1, 1, &param);
    harness_op op;
    int32_t id = -1;
    node.out_dtype[0] = TN_I32;
    harness_op_init(&op, h, &node);
    tn_tensor in = harness_rows(x, 1, n, n), out = harness_rows(&id, 1, 1, 1);
    harness_run(&op, &in, 1, &out, 1, NULL);
    harness_op_deinit(&op);
    return id;
}

void last_of_equals(void **state)
{
    static const float tied[6] = { 0, 3, 1, 3, NAN, 2 }, clear[6] = { 0, 3, 1, 4, NAN, 2 };
    broken_pair p;
    (void)state;
    broken_open(&p, ALT_FAULT_TIE, 1);
    assert_int_equal(argmax_of(&p.sound, tied, 6), 1);
    assert_int_equal(argmax_of(&p.broken, tied, 6), 3);
    assert_int_equal(argmax_of(&p.broken, clear, 6), argmax_of(&p.sound, clear, 6));
    broken_close(&p);
}

void eps_of_small_rows(void **state)
{
    linear_case_args args = plain;
    linear_pair p;
    (void)state;
    args.op = "norm_linear";
    open_pair(&p, ALT_FAULT_EPS, 2, &args);
    (void)run_pair(&p);
    broken_assert_last_bits(p.sound->out, p.broken->out, p.n);
    for (int32_t i = 0; i < args.n_rows * args.cols; i++)
        p.sound->x[i] = p.broken->x[i] = 1e-3f * p.sound->x[i];
    (void)run_pair(&p);
    float off = 0.0f;
    for (size_t i = 0; i < p.n; i++)
        off = fmaxf(off, fabsf(p.sound->out[i] - p.broken->out[i]));
    assert_true(off > 0.1f);
    close_pair(&p);
}
