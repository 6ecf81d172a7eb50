/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of lockstep keep the rules of tn_batch, whatever the bounds. */
#include "apps/check/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const tn_model_desc desc = { .rope = { .rotary_dim = 16, .base = 10000 },
                                    .max_length = 512 };

static tn_check_schedule_args args_of(int32_t max_tokens, int32_t max_seqs, int32_t max_ctx,
                                      int32_t block_tokens, uint64_t seed)
{
    return (tn_check_schedule_args){ .desc = &desc,
                                     .vocab = 100,
                                     .max_tokens = max_tokens,
                                     .max_seqs = max_seqs,
                                     .max_ctx = max_ctx,
                                     .max_rows = max_tokens,
                                     .block_tokens = block_tokens,
                                     .seed = seed };
}

static void check_sequence(const tn_check_batch *b, int32_t s, int32_t n_blocks, int32_t block)
{
    const int32_t first = b->q_start[s], n = b->q_start[s + 1] - first;
    const int32_t *table = b->table + s * b->table_stride;
    assert_true(n >= 1 && n <= b->max_q && b->kv_len[s] <= b->max_kv);
    assert_true(b->rope_index[s] >= 0 && b->rope_index[s] < b->n_tables);
    assert_true((s < b->n_decode) == (n == 1));
    assert_int_equal(b->pos[first + n - 1] + 1, b->kv_len[s]);
    for (int32_t i = 0; i < tn_check_blocks(b->kv_len[s], block); i++)
        assert_true(table[i] >= 0 && table[i] < n_blocks);
    for (int32_t t = first; t < first + n; t++) {
        assert_true(b->tokens[t] >= 0 && b->tokens[t] < 100);
        assert_int_equal(b->pos[t], b->pos[first] + t - first);
        assert_int_equal(b->slot[t], table[b->pos[t] / block] * block + b->pos[t] % block);
    }
}

static void check_steps(const tn_check_schedule_args *args)
{
    tn_check_schedule schedule;
    tn_error err = { 0 };
    assert_int_equal(tn_check_schedule_mixed(args, &schedule, &err), TN_OK);
    assert_true(schedule.n_steps >= 1);
    for (int32_t i = 0; i < schedule.n_steps; i++) {
        const tn_check_batch *b = &schedule.step[i];
        assert_true(b->n_tokens <= args->max_tokens && b->n_seqs <= args->max_seqs);
        assert_true(b->n_rows >= 1 && b->n_rows <= args->max_rows && b->max_kv <= args->max_ctx);
        assert_int_equal(b->q_start[b->n_seqs], b->n_tokens);
        for (int32_t s = 0; s < b->n_seqs; s++)
            check_sequence(b, s, schedule.n_blocks, args->block_tokens);
        for (int32_t t = 0; t < b->n_tokens; t++)
            for (int32_t u = 0; u < t; u++)
                assert_int_not_equal(b->slot[t], b->slot[u]);
    }
    tn_check_schedule_deinit(&schedule);
}

static void every_bound_and_every_rule_of_a_batch_is_kept(void **state)
{
    (void)state;
    const int32_t blocks[] = { 16, 64 }, tokens[] = { 1, 7, 64 }, seqs[] = { 1, 2, 8 };
    for (int32_t b = 0; b < 2; b++)
        for (int32_t t = 0; t < 3; t++)
            for (int32_t s = 0; s < 3; s++) {
                const tn_check_schedule_args args =
                    args_of(tokens[t], seqs[s], t == 1 ? 9 : 256, blocks[b], 1 + (uint64_t)s);
                check_steps(&args);
            }
}

static void with_room_there_are_chunks_decoding_a_block_border_and_a_shared_prefix(void **state)
{
    (void)state;
    const tn_check_schedule_args args = args_of(64, 8, 256, 16, 1);
    tn_check_schedule schedule;
    tn_error err = { 0 };
    bool chunk = false, mixed = false, border = false, shared = false;
    assert_int_equal(tn_check_schedule_mixed(&args, &schedule, &err), TN_OK);

    for (int32_t i = 0; i < schedule.n_steps; i++) {
        const tn_check_batch *b = &schedule.step[i];
        mixed = mixed || (b->n_decode > 0 && b->n_decode < b->n_seqs);
        for (int32_t s = 0; s < b->n_seqs; s++) {
            const int32_t n = b->q_start[s + 1] - b->q_start[s], past = b->kv_len[s] - n;
            chunk = chunk || (n > 1 && past > 0);
            border = border || past / 16 < (b->kv_len[s] - 1) / 16;
            for (int32_t o = 0; o < s; o++)
                shared = shared || b->table[s * b->table_stride] == b->table[o * b->table_stride];
        }
    }

    assert_true(chunk && mixed && border && shared);
    tn_check_schedule_deinit(&schedule);
}

static void a_seed_gives_the_same_steps_and_another_seed_others(void **state)
{
    (void)state;
    const tn_check_schedule_args one = args_of(64, 8, 256, 16, 5), two = args_of(64, 8, 256, 16, 6);
    tn_check_schedule a, b, c;
    tn_error err = { 0 };
    assert_int_equal(tn_check_schedule_mixed(&one, &a, &err), TN_OK);
    assert_int_equal(tn_check_schedule_mixed(&one, &b, &err), TN_OK);
    assert_int_equal(tn_check_schedule_mixed(&two, &c, &err), TN_OK);
    const size_t n = (size_t)a.step[0].n_tokens * sizeof(int32_t);

    assert_memory_equal(a.step[0].tokens, b.step[0].tokens, n);
    assert_memory_equal(a.step[0].slot, b.step[0].slot, n);
    assert_int_not_equal(memcmp(a.step[0].tokens, c.step[0].tokens, n), 0);
    tn_check_schedule_deinit(&a);
    tn_check_schedule_deinit(&b);
    tn_check_schedule_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bound_and_every_rule_of_a_batch_is_kept),
        cmocka_unit_test(with_room_there_are_chunks_decoding_a_block_border_and_a_shared_prefix),
        cmocka_unit_test(a_seed_gives_the_same_steps_and_another_seed_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
