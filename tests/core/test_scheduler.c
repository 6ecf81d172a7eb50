/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Its assertions need cmocka's macros. */
#include "tests/core/scheduler_fixture.h"

static void create_refuses_limits_that_contradict_each_other(void **unused)
{
    (void)unused;
    tn_sched_config bad[6];
    for (int32_t i = 0; i < 6; i++)
        bad[i] = roomy;
    bad[0].n_blocks = 0;
    bad[1].n_blocks = INT32_MAX;
    bad[2].max_sequences = 0;
    bad[3].max_batch_tokens = 3;
    bad[4].max_length = 0;
    bad[5].max_chunk = -1;
    for (int32_t i = 0; i < 6; i++) {
        tn_sched *sched = NULL;
        assert_int_equal(tn_sched_create(&bad[i], &sched, NULL), TN_INVALID);
        assert_null(sched);
    }
}

static void submit_refuses_what_can_never_run_and_names_the_numbers(void **unused)
{
    (void)unused;
    tn_error err;
    tn_sched *sched = start(&roomy);
    assert_int_equal(submit(sched, 1, 64, 1, 1, &err), TN_INVALID);
    assert_string_equal(err.text, "request: prompt of 64 tokens, at most 63 fit the context of 64");
    assert_int_equal(submit(sched, 1, 1, 1, 5, &err), TN_INVALID);
    assert_string_equal(err.text, "request: 5 samples, 1 to 4 (max_sequences) are allowed");
    assert_int_equal(submit(sched, 1, 0, 1, 1, &err), TN_INVALID);
    assert_int_equal(submit(sched, 1, 1, -1, 1, &err), TN_INVALID);
    assert_int_equal(submit(sched, 1, 1, 0, 2, &err), TN_INVALID);
    submit_ok(sched, 1, 63, 1);
    assert_int_equal(submit(sched, 1, 1, 1, 1, &err), TN_INVALID);
    assert_string_equal(err.text, "request: id 1 is in use");
    drain(sched);

    tn_sched_config small = roomy;
    small.n_blocks = 3;
    sched = start(&small);
    assert_int_equal(submit(sched, 1, 12, 1, 1, &err), TN_INVALID);
    assert_string_equal(
        err.text,
        "request: prompt of 12 tokens, at most 11 fit the KV pool (3 blocks of 4 tokens)");
    submit_ok(sched, 2, 12, 0);
    submit_ok(sched, 1, 11, 1);
    drain(sched);
}

static void decodes_come_first_and_prefill_fills_the_budget(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    submit_ok(sched, 1, 6, 8);
    submit_ok(sched, 2, 30, 8);
    submit_ok(sched, 3, 5, 8);

    const tn_step *step = plan(sched);
    assert_int_equal(step->n_seqs, 2);
    assert_int_equal(step->n_decode, 0);
    assert_int_equal(step->seqs[0].n, 6);
    assert_int_equal(step->seqs[0].n_draws, 1);
    assert_int_equal(step->seqs[1].n, 10);
    assert_int_equal(step->seqs[1].n_draws, 0);
    commit(sched, step);
    step = plan(sched);
    assert_int_equal(step->n_seqs, 2);
    assert_int_equal(step->n_decode, 1);
    assert_int_equal(step->seqs[0].id, 1);
    assert_int_equal(step->seqs[0].start, 6);
    assert_int_equal(step->seqs[0].tokens[0], 9000);
    assert_int_equal(step->seqs[1].start, 10);
    assert_int_equal(step->seqs[1].n, 15);
    assert_int_equal(step->n_tokens, 16);
    commit(sched, step);
    step = plan(sched);
    assert_int_equal(step->n_seqs, 3);
    assert_int_equal(step->seqs[1].n, 5);
    assert_int_equal(step->seqs[2].id, 3);

    commit(sched, step);
    drain(sched);
}

static void chunks_cover_the_prompt_once_whatever_their_size(void **unused)
{
    (void)unused;
    static const int32_t chunk[] = { 1, 7, 512 };
    for (size_t c = 0; c < 3; c++) {
        tn_sched_config config = roomy;
        config.max_chunk = chunk[c];
        config.max_batch_tokens = 512;
        tn_sched *sched = start(&config);
        submit_ok(sched, 1, 40, 1);
        int32_t next = 0, n_draws = 0;
        while (tn_sched_has_work(sched)) {
            const tn_step *step = plan(sched);
            assert_int_equal(step->seqs[0].start, next);
            assert_int_equal(step->seqs[0].n, chunk[c] < 40 - next ? chunk[c] : 40 - next);
            assert_int_equal(step->seqs[0].tokens[0], 100 + next);
            next += step->seqs[0].n;
            assert_int_equal(step->n_rows, next == 40);
            assert_int_equal(step->seqs[0].is_last, next == 40);
            n_draws += step->n_draws;
            commit(sched, step);
        }
        assert_int_equal(next, 40);
        assert_int_equal(n_draws, 1);
        tn_sched_destroy(sched);
    }
}

static void known_prefix_is_reused_but_for_the_last_token(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    submit_ok(sched, 1, 8, 1);
    run_step(sched);

    submit_ok(sched, 1, 8, 1);
    const tn_step *step = plan(sched);
    assert_int_equal(step->seqs[0].start, 4);
    assert_int_equal(step->seqs[0].n_cached, 4);
    commit(sched, step);
    submit_ok(sched, 1, 9, 1);
    step = plan(sched);
    assert_int_equal(step->seqs[0].start, 8);
    assert_int_equal(step->n_decode, 1);
    commit(sched, step);

    assert_int_equal(stats(sched).n_cached_tokens, 12);
    assert_int_equal(stats(sched).cached_blocks, 2);
    drain(sched);
}

static int32_t cached_of_second(const tn_sched_config *config, uint64_t seed, bool all_rows)
{
    static const int32_t prompt[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    tn_sched_request request = {
        .id = 1, .prompt = prompt, .n_prompt = 9, .max_new = 1, .n_samples = 1, .prefix_seed = 5
    };
    tn_sched *sched = start(config);
    assert_int_equal(tn_sched_submit(sched, &request, NULL), TN_OK);
    run_step(sched);
    request.prefix_seed = seed;
    request.all_rows = all_rows;
    assert_int_equal(tn_sched_submit(sched, &request, NULL), TN_OK);
    const tn_step *step = plan(sched);
    int32_t n_cached = step->seqs[0].n_cached;
    assert_int_equal(step->n_rows, all_rows ? 9 : 1);
    commit(sched, step);
    drain(sched);
    return n_cached;
}

static void prefix_is_not_reused_across_seeds_nor_for_all_rows_nor_when_off(void **unused)
{
    (void)unused;
    tn_sched_config off = roomy;
    off.prefix_cache = false;

    assert_int_equal(cached_of_second(&roomy, 5, false), 8);
    assert_int_equal(cached_of_second(&roomy, 6, false), 0);
    assert_int_equal(cached_of_second(&roomy, 5, true), 0);
    assert_int_equal(cached_of_second(&off, 5, false), 0);
}

static void newcomer_does_not_take_blocks_that_a_running_prompt_needs(void **unused)
{
    (void)unused;
    tn_sched_config config = roomy;
    config.n_blocks = 6;
    config.max_chunk = 4;
    tn_sched *sched = start(&config);
    submit_ok(sched, 1, 16, 1); /* five blocks with the drawn token */
    submit_ok(sched, 2, 4, 4);  /* two */

    for (int32_t i = 0; i < 4; i++) {
        const tn_step *step = plan(sched);
        assert_int_equal(step->n_seqs, 1);
        assert_int_equal(step->seqs[0].id, 1);
        commit(sched, step);
    }

    drain(sched);
}

static void matched_blocks_that_are_idle_count_as_taken(void **unused)
{
    (void)unused;
    tn_sched_config config = roomy;
    config.n_blocks = 4;
    tn_sched *sched = start(&config);
    submit_ok(sched, 1, 8, 1);
    run_step(sched); /* leaves two idle nodes */
    submit_ok(sched, 2, 7, 4);
    run_step(sched); /* holds the other two blocks */

    submit_ok(sched, 1, 9, 1); /* matches both nodes, but there is no third block */

    const tn_step *step = plan(sched);
    assert_int_equal(step->n_seqs, 1);
    assert_int_equal(stats(sched).running, 1);
    assert_int_equal(stats(sched).waiting, 1);
    commit(sched, step);
    drain(sched);
}

static void sequence_ends_at_what_context_or_pool_can_hold(void **unused)
{
    (void)unused;
    tn_sched_config config = roomy;
    for (int32_t i = 0; i < 2; i++) {
        config.n_blocks = i == 0 ? 64 : 4;
        config.max_length = i == 0 ? 16 : 64;
        tn_sched *sched = start(&config);
        submit_ok(sched, 1, 10, INT32_MAX);
        int32_t n_drawn = 0;
        bool was_last = false;
        while (tn_sched_has_work(sched)) {
            const tn_step *step = plan(sched);
            assert_false(was_last);
            was_last = step->seqs[0].is_last;
            n_drawn += step->n_draws;
            commit(sched, step);
        }
        assert_true(was_last);
        assert_int_equal(n_drawn, 6);
        tn_sched_destroy(sched);
    }
}

static void plan_and_commit_alternate(void **unused)
{
    (void)unused;
    const tn_step *step = NULL;
    tn_sched *sched = start(&roomy);
    assert_int_equal(tn_sched_commit(sched, NULL, 0, NULL), TN_INVALID);
    submit_ok(sched, 1, 6, 8);
    step = plan(sched);
    const tn_step *again = NULL;
    assert_int_equal(tn_sched_plan(sched, &again, NULL), TN_INVALID);
    assert_null(again);
    assert_int_equal(tn_sched_commit(sched, NULL, 0, NULL), TN_INVALID);
    assert_int_equal(tn_sched_commit(sched, NULL, 1, NULL), TN_INVALID);
    commit(sched, step);
    drain(sched);
}

static void lack_of_memory_is_reported_at_each_allocation(void **unused)
{
    (void)unused;
    tn_sched *sched = NULL;
    uint64_t before = tn_alloc_count();
    tn_sched_destroy(start(&roomy));
    uint64_t n_allocations = tn_alloc_count() - before;
    for (uint64_t n = 1; n <= n_allocations; n++) {
        tn_alloc_fail_at(n);
        assert_int_equal(tn_sched_create(&roomy, &sched, NULL), TN_NO_MEMORY);
    }
    sched = start(&roomy);
    for (uint64_t n = 1; n <= 3; n++) {
        tn_alloc_fail_at(n);
        assert_int_equal(submit(sched, 1, 6, 8, 3, NULL), TN_NO_MEMORY);
        assert_false(tn_sched_has_work(sched));
    }
    tn_alloc_fail_at(0);
    drain(sched);
}

static void destroy_frees_what_runs_and_waits(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    assert_int_equal(submit(sched, 1, 6, 8, 3, NULL), TN_OK);
    assert_int_equal(submit(sched, 2, 6, 8, 3, NULL), TN_OK);
    (void)plan(sched);

    tn_sched_destroy(sched); /* a leak is for the sanitizer to see */
    tn_sched_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_refuses_limits_that_contradict_each_other),
        cmocka_unit_test(submit_refuses_what_can_never_run_and_names_the_numbers),
        cmocka_unit_test(decodes_come_first_and_prefill_fills_the_budget),
        cmocka_unit_test(chunks_cover_the_prompt_once_whatever_their_size),
        cmocka_unit_test(known_prefix_is_reused_but_for_the_last_token),
        cmocka_unit_test(prefix_is_not_reused_across_seeds_nor_for_all_rows_nor_when_off),
        cmocka_unit_test(newcomer_does_not_take_blocks_that_a_running_prompt_needs),
        cmocka_unit_test(matched_blocks_that_are_idle_count_as_taken),
        cmocka_unit_test(sequence_ends_at_what_context_or_pool_can_hold),
        cmocka_unit_test(plan_and_commit_alternate),
        cmocka_unit_test(lack_of_memory_is_reported_at_each_allocation),
        cmocka_unit_test(destroy_frees_what_runs_and_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
