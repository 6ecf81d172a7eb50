/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/sched/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const tn_sched_config config = {
    .n_blocks = 64, .block_tokens = 4, .max_sequences = 4, .max_batch_tokens = 16, .max_length = 64
};

static const tn_step *submit_and_plan(tn_sched *sched, uint64_t id, const int32_t *prompt,
                                      int32_t n_prompt)
{
    const tn_step *step = NULL;
    tn_sched_request request = {
        .id = id, .prompt = prompt, .n_prompt = n_prompt, .max_new = 4, .n_samples = 1
    };
    assert_int_equal(tn_sched_submit(sched, &request, NULL), TN_OK);
    assert_int_equal(tn_sched_plan(sched, &step, NULL), TN_OK);
    return step;
}

static void batch_lists_tokens_slots_tables_and_rows(void **unused)
{
    (void)unused;
    static const int32_t prompt[6] = { 200, 201, 202, 203, 204, 205 };
    tn_batch_arrays a;
    tn_sched *sched = NULL;
    assert_int_equal(tn_sched_create(&config, &sched, NULL), TN_OK);
    assert_int_equal(tn_batch_arrays_init(&a, &config, NULL), TN_OK);
    const tn_step *step = submit_and_plan(sched, 1, prompt, 3);
    assert_int_equal(tn_sched_commit(sched, &(tn_draw){ .token = 9000 }, 1, NULL), TN_OK);
    step = submit_and_plan(sched, 2, prompt, 6);

    assert_int_equal(tn_batch_build(step, &a, NULL), TN_OK);

    const int32_t *t0 = step->seqs[0].table, *t1 = step->seqs[1].table;
    const int32_t tokens[7] = { 9000, 200, 201, 202, 203, 204, 205 };
    const int32_t pos[7] = { 3, 0, 1, 2, 3, 4, 5 };
    const int32_t slot[7] = { t0[0] * 4 + 3, t1[0] * 4, t1[0] * 4 + 1, t1[0] * 4 + 2,
                              t1[0] * 4 + 3, t1[1] * 4, t1[1] * 4 + 1 };
    assert_memory_equal(a.tokens, tokens, sizeof(tokens));
    assert_memory_equal(a.pos, pos, sizeof(pos));
    assert_memory_equal(a.slot, slot, sizeof(slot));
    assert_memory_equal(a.q_start, ((const int32_t[3]){ 0, 1, 7 }), 12);
    assert_memory_equal(a.kv_len, ((const int32_t[2]){ 4, 6 }), 8);
    assert_memory_equal(a.rows, ((const int32_t[2]){ 0, 6 }), 8);
    assert_int_equal(a.rope_index[0], step->seqs[0].slot);
    assert_int_equal(a.rope_index[1], step->seqs[1].slot);
    assert_int_equal(a.table_stride, 16);
    assert_int_equal(a.table[0], t0[0]);
    assert_int_equal(a.table[16], t1[0]);
    assert_int_equal(a.table[17], t1[1]);
    assert_int_equal(a.table[18], 0);
    assert_int_equal(a.n_decode, 1);
    assert_int_equal(a.n_rows, 2);
    assert_int_equal(a.max_q, 6);
    assert_int_equal(a.max_kv, 6);
    tn_batch_arrays_deinit(&a);
    tn_sched_destroy(sched);
}

static void build_refuses_a_step_beyond_the_arrays(void **unused)
{
    (void)unused;
    static const int32_t prompt[6] = { 1, 2, 3, 4, 5, 6 };
    tn_batch_arrays a;
    tn_sched *sched = NULL;
    assert_int_equal(tn_sched_create(&config, &sched, NULL), TN_OK);
    assert_int_equal(tn_batch_arrays_init(&a, &config, NULL), TN_OK);
    const tn_step *step = submit_and_plan(sched, 1, prompt, 6);

    a.max_tokens = 5;
    assert_int_equal(tn_batch_build(step, &a, NULL), TN_INVALID);
    a.max_tokens = 16;
    a.table_stride = 1;
    assert_int_equal(tn_batch_build(step, &a, NULL), TN_INVALID);

    tn_batch_arrays_deinit(&a);
    tn_sched_destroy(sched);
}

static void init_reports_lack_of_memory(void **unused)
{
    (void)unused;
    tn_batch_arrays a;
    tn_alloc_fail_at(1);

    assert_int_equal(tn_batch_arrays_init(&a, &config, NULL), TN_NO_MEMORY);

    tn_alloc_fail_at(0);
    tn_batch_arrays_deinit(&a);
    tn_batch_arrays_deinit(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_lists_tokens_slots_tables_and_rows),
        cmocka_unit_test(build_refuses_a_step_beyond_the_arrays),
        cmocka_unit_test(init_reports_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
