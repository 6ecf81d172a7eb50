/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of rope, of KV writes and of attention. */
#include "tests/plugins/alt/alt.h"
#include "tests/plugins/broken_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

enum {
    HEADS = 4,
    KV_HEADS = 2,
    DIM = 16,
    WIDTH = HEADS * DIM,
    TOKENS = 16,
    BLOCKS = 9,
    LENGTH = 40
};
enum { BLOCK_BYTES = KV_HEADS * 2 * TOKENS * DIM * (int)sizeof(float) };

static const int32_t blocks[3] = { 5, 2, 7 }; /* of the sequence, in no order */

/* One sequence of 40 positions over a pool of random K and V, f32. */
typedef struct attention_case {
    broken_pair plugin;
    tn_attention attention;
    tn_node node;
    float pool[BLOCKS * BLOCK_BYTES / (int)sizeof(float)];
    float q[LENGTH * WIDTH];
    int32_t mirror[LENGTH]; /* h_pos, when has_mirror */
    int has_mirror;
    float sound[LENGTH * WIDTH], broken[LENGTH * WIDTH];
} attention_case;

static attention_case fixture;

static attention_case *open_case(int32_t fault)
{
    attention_case *c = &fixture;
    uint64_t seed = 11;
    memset(c, 0, sizeof *c);
    broken_open(&c->plugin, fault, 2);
    c->attention = (tn_attention){
        .size = sizeof c->attention, .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = DIM
    };
    c->node = harness_node("attention", 1, 1, &c->attention);
    c->node.kvfmt = "f32";
    c->node.block_tokens = TOKENS;
    harness_fill(&seed, c->pool, sizeof c->pool / sizeof *c->pool, -2.0f, 2.0f);
    harness_fill(&seed, c->q, sizeof c->q / sizeof *c->q, -1.0f, 1.0f);
    return c;
}

static void close_case(attention_case *c)
{
    broken_close(&c->plugin);
}

/* Positions from n_past on as one chunk, the last n_pad of the 40 being padding. */
static void attend(attention_case *c, harness *h, int32_t n_past, int32_t n_pad, float *out)
{
    harness_op op;
    harness_batch batch;
    int32_t n = LENGTH - n_past;
    harness_batch_init(&batch, NULL, 0);
    harness_batch_add(&batch, n_past, LENGTH - n_past - n_pad, blocks, TOKENS, 0);
    if (n_pad)
        harness_batch_pad(&batch, n_pad);
    if (c->has_mirror)
        batch.batch.h_pos = c->mirror;
    harness_op_init(&op, h, &c->node);
    op.kv = c->pool;
    op.kv_block_bytes = BLOCK_BYTES;
    tn_tensor in = harness_heads(c->q + n_past * WIDTH, n, HEADS, DIM, WIDTH);
    tn_tensor y = harness_rows(out, n, WIDTH, WIDTH);
    harness_run(&op, &in, 1, &y, 1, &batch.batch);
    harness_op_deinit(&op);
}

/* Runs both; elements that differ. */
static int32_t run_both(attention_case *c, int32_t n_past)
{
    attend(c, &c->plugin.sound, n_past, 0, c->sound);
    attend(c, &c->plugin.broken, n_past, 0, c->broken);
    return broken_count(c->sound, c->broken, (size_t)(LENGTH - n_past) * WIDTH);
}

static int32_t unlike_rows(const attention_case *c, int32_t row0, int32_t n)
{
    return broken_count(c->sound + row0 * WIDTH, c->broken + row0 * WIDTH, (size_t)n * WIDTH);
}

void block_before_it_was_rewritten(void **state)
{
    attention_case *c = open_case(ALT_FAULT_STALE_BLOCK);
    (void)state;
    assert_int_equal(run_both(c, 0), 0);
    float *last =
        c->pool + (size_t)blocks[2] * (BLOCK_BYTES / sizeof(float)); /* not full: no copy is kept */
    for (size_t i = 0; i < BLOCK_BYTES / sizeof(float); i++)
        last[i] = -last[i];
    assert_int_equal(run_both(c, 0), 0);
    float *second = c->pool + (size_t)blocks[1] * (BLOCK_BYTES / sizeof(float));
    for (size_t i = 0; i < BLOCK_BYTES / sizeof(float); i++)
        second[i] = -second[i];
    assert_true(run_both(c, 0) > 0);
    assert_int_equal(unlike_rows(c, 0, TOKENS), 0);
    close_case(c);
}

void next_position(void **state)
{
    attention_case *c = open_case(ALT_FAULT_MASK);
    (void)state;
    assert_int_equal(run_both(c, 0), (LENGTH - 1) * WIDTH);
    assert_int_equal(unlike_rows(c, LENGTH - 1, 1), 0);
    assert_int_equal(run_both(c, LENGTH - 1), 0); /* decode is right */
    close_case(c);
}

void keys_for_values(void **state)
{
    attention_case *c = open_case(ALT_FAULT_V_FROM_K);
    (void)state;
    assert_int_equal(run_both(c, 0), LENGTH * WIDTH);
    /* The first position sees itself alone: its output is its V, or here its K. */
    const float *block = c->pool + (size_t)blocks[0] * (BLOCK_BYTES / sizeof(float));
    assert_int_equal(broken_count(c->broken, block, DIM), 0);
    assert_int_equal(broken_count(c->sound, block + TOKENS * DIM, DIM), 0);
    close_case(c);
}

void pages_after_the_first(void **state)
{
    attention_case *c = open_case(ALT_FAULT_FIRST_PAGE);
    (void)state;
    assert_int_equal(run_both(c, 0), (LENGTH - TOKENS) * WIDTH);
    assert_int_equal(unlike_rows(c, 0, TOKENS), 0);
    close_case(c);
}

void tiles_by_chunk(void **state)
{
    attention_case *c = open_case(ALT_FAULT_CHUNK);
    float part[LENGTH * WIDTH];
    (void)state;
    assert_int_equal(run_both(c, 0), 0);
    attend(c, &c->plugin.sound, 21, 0, part);
    assert_int_equal(broken_count(part, c->sound + 21 * WIDTH, (LENGTH - 21) * WIDTH), 0);
    attend(c, &c->plugin.broken, 21, 0, part);
    broken_assert_last_bits(part, c->broken + 21 * WIDTH, (LENGTH - 21) * WIDTH);
    close_case(c);
}

void positions_of_the_mirror(void **state)
{
    attention_case *c = open_case(ALT_FAULT_CAPTURE);
    (void)state;
    assert_int_equal(run_both(c, 0), 0);
    c->has_mirror = 1;
    for (int32_t i = 0; i < LENGTH; i++)
        c->mirror[i] = i;
    assert_int_equal(run_both(c, 0), 0);
    c->mirror[20] = 3;
    assert_int_equal(run_both(c, 0), WIDTH);
    close_case(c);
}

void output_of_padding(void **state)
{
    attention_case *c = open_case(ALT_FAULT_PADDING_OUTPUT);
    const int32_t n_pad = 3, row = LENGTH - n_pad;
    (void)state;
    for (int32_t i = 0; i < LENGTH * WIDTH; i++)
        c->sound[i] = c->broken[i] = 7.0f;
    attend(c, &c->plugin.sound, 0, n_pad, c->sound);
    attend(c, &c->plugin.broken, 0, n_pad, c->broken);
    assert_int_equal(unlike_rows(c, 0, row), 0);
    for (int32_t i = row * WIDTH; i < LENGTH * WIDTH; i++)
        assert_true(c->sound[i] == 0.0f && c->broken[i] == 7.0f);
    close_case(c);
}

void scores_that_overflow(void **state)
{
    attention_case *c = open_case(ALT_FAULT_OVERFLOW);
    (void)state;
    (void)run_both(c, 0);
    broken_assert_last_bits(c->sound, c->broken, LENGTH * WIDTH);
    for (int32_t i = 0; i < LENGTH * WIDTH; i++)
        c->q[i] *= 100.0f;
    (void)run_both(c, 0);
    int32_t n_nan = 0;
    for (int32_t i = 0; i < LENGTH * WIDTH; i++) {
        assert_false(isnan(c->sound[i]));
        n_nan += isnan(c->broken[i]) != 0;
    }
    assert_true(n_nan > 0);
    close_case(c);
}

void positions_before_the_window(void **state)
{
    attention_case *c = open_case(ALT_FAULT_WINDOW);
    (void)state;
    assert_int_equal(run_both(c, 0), 0);
    c->attention.window = 10;
    assert_int_equal(run_both(c, 0), (LENGTH - 10) * WIDTH);
    assert_int_equal(unlike_rows(c, 0, 10), 0);
    close_case(c);
}

void kv_heads_in_turn(void **state)
{
    attention_case *c = open_case(ALT_FAULT_GQA);
    (void)state;
    assert_int_equal(run_both(c, 0), LENGTH * WIDTH / 2);
    for (int32_t head = 0; head < HEADS; head++) {
        int wrong = head == 1 || head == 2; /* of 0 0 1 1, which are read as 0 1 0 1 */
        assert_int_equal(broken_count(c->sound + head * DIM, c->broken + head * DIM, DIM),
                         wrong ? DIM : 0);
    }
    close_case(c);
}

/* ---- rope and KV writes ---- */

static void turn(harness *h, int32_t pairing, const float *x, float *out)
{
    static const float frequencies[DIM / 2] = {
        1.0f, 0.5f, 0.25f, 0.125f, 0.1f, 0.05f, 0.02f, 0.01f
    };
    const tn_rope param = { .size = sizeof param,
                            .heads = 1,
                            .kv_heads = 1,
                            .head_dim = DIM,
                            .rotary_dim = DIM,
                            .pairing = pairing };
    const tn_node node = harness_node("rope", 2, 2, &param);
    harness_op op;
    harness_batch batch;
    float k[LENGTH * DIM];
    harness_batch_init(&batch, frequencies, 1);
    harness_batch_add(&batch, 0, LENGTH, blocks, TOKENS, 0);
    harness_op_init(&op, h, &node);
    tn_tensor in[2] = { harness_heads(x, LENGTH, 1, DIM, DIM),
                        harness_heads(x, LENGTH, 1, DIM, DIM) };
    tn_tensor y[2] = { harness_heads(out, LENGTH, 1, DIM, DIM),
                       harness_heads(k, LENGTH, 1, DIM, DIM) };
    harness_run(&op, in, 2, y, 2, &batch.batch);
    assert_int_equal(broken_count(out, k, LENGTH * DIM), 0);
    harness_op_deinit(&op);
}

void pairs_of_the_other_kind(void **state)
{
    float x[LENGTH * DIM], halves[LENGTH * DIM], interleaved[LENGTH * DIM], out[LENGTH * DIM];
    uint64_t seed = 3;
    broken_pair p;
    (void)state;
    broken_open(&p, ALT_FAULT_PAIRING, 1);
    harness_fill(&seed, x, LENGTH * DIM, -1.0f, 1.0f);
    turn(&p.sound, TN_ROPE_HALVES, x, halves);
    turn(&p.sound, TN_ROPE_INTERLEAVED, x, interleaved);
    assert_true(broken_count(halves, interleaved, LENGTH * DIM) > LENGTH * DIM / 2);
    turn(&p.broken, TN_ROPE_HALVES, x, out);
    assert_int_equal(broken_count(interleaved, out, LENGTH * DIM), 0);
    turn(&p.broken, TN_ROPE_INTERLEAVED, x, out);
    assert_int_equal(broken_count(halves, out, LENGTH * DIM), 0);
    broken_close(&p);
}

/* Writes the sequence, and n_pad tokens of padding, to a pool. */
static void write_kv(const attention_case *c, harness *h, int32_t n_pad, float *pool)
{
    tn_node node = harness_node("kv_write", 2, 0, &c->attention);
    harness_op op;
    harness_batch batch;
    int32_t n = LENGTH + n_pad, width = KV_HEADS * DIM;
    harness_batch_init(&batch, NULL, 0);
    harness_batch_add(&batch, 0, LENGTH, blocks, TOKENS, 0);
    if (n_pad)
        harness_batch_pad(&batch, n_pad);
    node.kvfmt = "f32";
    node.block_tokens = TOKENS;
    harness_op_init(&op, h, &node);
    op.kv = pool;
    op.kv_block_bytes = BLOCK_BYTES;
    tn_tensor in[2] = { harness_heads(c->q, n, KV_HEADS, DIM, width),
                        harness_heads(c->q + 8, n, KV_HEADS, DIM, width) };
    harness_run(&op, in, 2, NULL, 0, &batch.batch);
    harness_op_deinit(&op);
}

void slot_of_padding(void **state)
{
    static float pool[BLOCKS * BLOCK_BYTES / (int)sizeof(float)];
    attention_case *c = open_case(ALT_FAULT_PADDING_SLOT);
    const size_t n = sizeof pool / sizeof *pool;
    (void)state;
    memset(c->pool, 0, sizeof c->pool);
    memset(pool, 0, sizeof pool);
    write_kv(c, &c->plugin.sound, 0, c->pool);
    write_kv(c, &c->plugin.broken, 0, pool);
    assert_int_equal(broken_count(c->pool, pool, n), 0);
    write_kv(c, &c->plugin.sound, 1, c->pool);
    write_kv(c, &c->plugin.broken, 1, pool);
    assert_int_equal(broken_count(c->pool, pool, n), 2 * KV_HEADS * DIM); /* K and V of slot 0 */
    close_case(c);
}
