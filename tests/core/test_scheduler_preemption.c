/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Its assertions need cmocka's macros. */
#include "tests/core/scheduler_fixture.h"

static void fork_shares_the_prompt_and_copies_the_partial_block(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    assert_int_equal(submit(sched, 1, 6, 3, 3, NULL), TN_OK);

    const tn_step *step = plan(sched);
    assert_int_equal(step->n_seqs, 1);
    assert_int_equal(step->n_rows, 1);
    assert_int_equal(step->seqs[0].n_draws, 3);
    commit(sched, step);
    assert_int_equal(stats(sched).running, 3);
    assert_int_equal(stats(sched).free_blocks, 62);
    step = plan(sched);
    assert_int_equal(step->n_seqs, 3);
    assert_int_equal(step->n_copies, 2); /* the last of three writes in place */
    for (int32_t k = 0; k < 3; k++) {
        assert_int_equal(step->seqs[k].sample, k);
        assert_int_equal(step->seqs[k].tokens[0], 9000 + k);
        assert_int_equal(step->seqs[k].output_position, 1);
        assert_int_equal(step->seqs[k].table[0], step->seqs[0].table[0]);
    }
    assert_int_equal(step->copy_src[0], step->seqs[2].table[1]);
    assert_int_equal(step->copy_dst[0], step->seqs[0].table[1]);
    assert_int_equal(step->copy_dst[1], step->seqs[1].table[1]);

    commit(sched, step);
    drain(sched);
}

static void group_waits_until_all_its_slots_are_free(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    submit_ok(sched, 1, 3, 2);
    assert_int_equal(submit(sched, 2, 3, 2, 4, NULL), TN_OK);
    submit_ok(sched, 3, 3, 2); /* not before its elder, though it would fit */

    const tn_step *step = plan(sched);
    assert_int_equal(step->n_seqs, 1);
    commit(sched, step);
    run_step(sched);
    step = plan(sched);
    assert_int_equal(step->n_seqs, 1);
    assert_int_equal(step->seqs[0].id, 2);
    assert_int_equal(step->seqs[0].n_draws, 4);

    commit(sched, step);
    drain(sched);
}

/* Two sequences of 8 tokens in 5 blocks of 4: at token 9 the younger must give way. */
static tn_sched *start_tight(void)
{
    tn_sched_config config = roomy;
    config.n_blocks = 5;
    config.prefix_cache = false;
    tn_sched *sched = start(&config);
    submit_ok(sched, 1, 7, 8);
    submit_ok(sched, 2, 7, 8);
    run_step(sched);
    run_step(sched);
    assert_int_equal(stats(sched).free_blocks, 1);
    return sched;
}

static void youngest_is_preempted_and_replays_its_tokens_without_drawing_again(void **unused)
{
    (void)unused;
    tn_sched *sched = start_tight();
    submit_ok(sched, 3, 2, 1);

    const tn_step *step = plan(sched); /* 1 takes the last block, 2 waits with what it has */
    assert_int_equal(step->n_seqs, 1);
    assert_int_equal(step->seqs[0].id, 1);
    commit(sched, step);
    for (int32_t i = 0; i < 3; i++)
        run_step(sched);
    assert_int_equal(stats(sched).n_preemptions, 0);
    step = plan(sched); /* token 13 of 1 */
    assert_int_equal(stats(sched).n_preemptions, 1);
    assert_int_equal(step->n_seqs, 1); /* nobody is admitted in the step of a preemption */
    commit(sched, step);
    while (step->seqs[0].id == 1) {
        step = plan(sched);
        if (step->seqs[0].id == 1)
            commit(sched, step);
    }
    assert_int_equal(step->seqs[0].id, 2); /* before 3, which came later */
    assert_int_equal(step->seqs[0].start, 0);
    assert_int_equal(step->seqs[0].n, 9);
    assert_int_equal(step->seqs[0].tokens[7], 9000);
    assert_int_equal(step->seqs[0].tokens[8], 9010);
    assert_int_equal(step->seqs[0].n_rows, 1);
    assert_int_equal(step->seqs[0].output_position, 2);

    commit(sched, step);
    drain(sched);
}

static void preempt_in_flight_takes_every_sample_of_a_fork(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    assert_int_equal(submit(sched, 1, 6, 3, 3, NULL), TN_OK);
    const tn_step *step = plan(sched);

    tn_sched_preempt(sched, 1);
    commit(sched, step);

    assert_int_equal(stats(sched).running, 0);
    assert_int_equal(stats(sched).waiting, 3);
    step = plan(sched);
    assert_int_equal(step->n_seqs, 3);
    for (int32_t k = 0; k < 3; k++) {
        assert_int_equal(step->seqs[k].sample, k);
        assert_int_equal(step->seqs[k].output_position, 1);
        assert_int_equal(step->seqs[k].n_draws, 1);
    }
    commit(sched, step);
    drain(sched);
}

static void cancel_in_flight_frees_blocks_at_commit_and_drops_the_draw(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    submit_ok(sched, 1, 6, 8);
    submit_ok(sched, 2, 6, 8);
    run_step(sched);
    const tn_step *step = plan(sched);

    assert_true(tn_sched_cancel(sched, 1));

    assert_int_equal(stats(sched).free_blocks, 60);
    commit(sched, step);
    assert_int_equal(stats(sched).free_blocks, 62);
    assert_int_equal(stats(sched).n_cancelled, 1);
    step = plan(sched);
    assert_int_equal(step->n_seqs, 1);
    assert_int_equal(step->seqs[0].id, 2);
    commit(sched, step);
    assert_false(tn_sched_cancel(sched, 1));
    assert_true(tn_sched_cancel(sched, 2));
    assert_int_equal(stats(sched).free_blocks, 64);
    drain(sched);
}

static void cancel_ends_a_group_that_still_waits(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    assert_int_equal(submit(sched, 1, 6, 8, 4, NULL), TN_OK);

    assert_true(tn_sched_cancel(sched, 1));

    assert_false(tn_sched_has_work(sched));
    assert_int_equal(stats(sched).n_cancelled, 4);
    assert_int_equal(plan(sched)->n_seqs, 0);
    drain(sched);
}

static void abort_cancels_the_requests_of_the_step_only(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    submit_ok(sched, 1, 16, 8);
    submit_ok(sched, 2, 16, 8);
    assert_int_equal(plan(sched)->n_seqs, 1);

    tn_sched_abort(sched);

    const tn_step *step = plan(sched);
    assert_int_equal(step->n_seqs, 1);
    assert_int_equal(step->seqs[0].id, 2);
    commit(sched, step);
    drain(sched);
}

static void finish_ends_one_sample_and_leaves_the_others(void **unused)
{
    (void)unused;
    tn_sched *sched = start(&roomy);
    assert_int_equal(submit(sched, 1, 6, 8, 2, NULL), TN_OK);
    (void)plan(sched);
    const tn_draw draws[2] = { { .token = 5, .finish = true }, { .token = 6 } };

    assert_int_equal(tn_sched_commit(sched, draws, 2, NULL), TN_OK);

    const tn_step *step = plan(sched);
    assert_int_equal(step->n_seqs, 1);
    assert_int_equal(step->seqs[0].sample, 1);
    assert_int_equal(step->seqs[0].tokens[0], 6);
    assert_int_equal(step->n_copies, 0);
    commit(sched, step);
    drain(sched);
}

static void steps_take_no_memory(void **unused)
{
    (void)unused;
    tn_sched *sched = start_tight();
    assert_int_equal(submit(sched, 3, 6, 4, 3, NULL), TN_OK);
    tn_sched_preempt(sched, 2);
    uint64_t before = tn_alloc_count();

    for (int32_t i = 0; tn_sched_has_work(sched); i++) {
        const tn_step *step = NULL;
        tn_draw draws[4] = { { 0 } };
        assert_int_equal(tn_sched_plan(sched, &step, NULL), TN_OK);
        assert_int_equal(tn_sched_commit(sched, draws, step->n_draws, NULL), TN_OK);
    }

    assert_int_equal(tn_alloc_count(), before);
    assert_true(stats(sched).n_preemptions > 1);
    drain(sched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_shares_the_prompt_and_copies_the_partial_block),
        cmocka_unit_test(group_waits_until_all_its_slots_are_free),
        cmocka_unit_test(youngest_is_preempted_and_replays_its_tokens_without_drawing_again),
        cmocka_unit_test(preempt_in_flight_takes_every_sample_of_a_fork),
        cmocka_unit_test(cancel_in_flight_frees_blocks_at_commit_and_drops_the_draw),
        cmocka_unit_test(cancel_ends_a_group_that_still_waits),
        cmocka_unit_test(abort_cancels_the_requests_of_the_step_only),
        cmocka_unit_test(finish_ends_one_sample_and_leaves_the_others),
        cmocka_unit_test(steps_take_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
