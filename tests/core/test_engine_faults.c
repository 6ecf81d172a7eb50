/* SPDX-License-Identifier: Apache-2.0 */
/* Failing kernels, lost devices, and no memory. */
#include "core/base/alloc.h"
#include "tests/support/engine_rig.h"
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

static tn_status (*good_run)(void *, const tn_node *, const tn_launch *, tn_error *);
static _Atomic int32_t fault; /* a status, once the batch has more than one sequence */

static tn_status run_with_fault(void *self, const tn_node *node, const tn_launch *launch,
                                tn_error *err)
{
    if (fault && launch->batch->n_seqs > 1)
        return tn_fail(err, fault, "out of luck");
    return good_run(self, node, launch, err);
}

/* Three requests, one of two samples, meet in a step that fails; then one more is submitted. */
static void fail_a_step(tn_status code, tn_record *r, tn_status *later, tn_error *err)
{
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    uint64_t id = 0;
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    tn_engine_rig_open(&f, &s);
    tn_bound_node *node = &f.rig.binding->node[1];
    tn_kernel broken = *node->kernel;
    good_run = broken.run;
    broken.run = run_with_fault;
    fault = code;
    tn_engine_hold(f.engine);
    node->kernel = &broken;
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    for (int32_t i = 0; i < 3; i++) {
        tn_record_open(&r[i], &f);
        r[i].n_samples = i == 2 ? 2 : 1;
        tn_engine_request request = tn_record_request(&r[i], prompt, TN_PROMPT);
        tn_test_succeed(tn_engine_submit(f.engine, &request, &r[i].engine_id, err), err);
    }
    tn_engine_release(f.engine);
    for (int32_t i = 0; i < 3; i++)
        tn_record_wait(&r[i]);
    tn_engine_request again = tn_record_request(&r[0], prompt, TN_PROMPT);
    again.on_token = NULL;
    again.on_prefill = NULL;
    again.on_finish = NULL;
    fault = 0;
    *later = tn_engine_submit(f.engine, &again, &id, err);
    tn_engine_rig_close(&f);
}

static void a_failed_step_ends_its_requests_and_only_them(void **state)
{
    tn_record r[3];
    tn_status later;
    tn_error err = { 0 };

    (void)state;
    fail_a_step(TN_INTERNAL, r, &later, &err);
    assert_int_equal(later, TN_OK);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(r[i].reason[0], TN_FINISH_ERROR);
        assert_non_null(strstr(r[i].error, "out of luck"));
        tn_record_close(&r[i]);
    }
}

static void after_the_loss_of_a_device_requests_are_refused_with_the_reason(void **state)
{
    tn_record r[3];
    tn_status later;
    tn_error err = { 0 };

    (void)state;
    fail_a_step(TN_DEVICE_LOST, r, &later, &err);
    assert_int_equal(later, TN_DEVICE_LOST);
    assert_non_null(strstr(err.text, "the engine has stopped: node "));
    assert_non_null(strstr(err.text, "out of luck"));
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(r[i].reason[0], TN_FINISH_ERROR);
        tn_record_close(&r[i]);
    }
    assert_int_equal(r[2].reason[1], TN_FINISH_ERROR);
}

static void create_survives_the_failure_of_every_allocation(void **state)
{
    tn_rig rig;
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;
    uint64_t n = 1;
    tn_engine *engine = NULL;

    (void)state;
    s.keep_all = true;
    tn_rig_open(&rig, &s.rig);
    const tn_engine_args args = tn_engine_rig_args(&s, &rig);
    for (;; n++) {
        tn_error err = { 0 };

        tn_alloc_fail_at(n);
        tn_status st = tn_engine_create(&args, &engine, &err);
        tn_alloc_fail_at(0);
        if (!st)
            break;
        if (st != TN_NO_MEMORY)
            fail_msg("allocation %d: %s: %s", (int)n, tn_status_name(st), err.text);
        assert_null(engine);
    }
    assert_true(n > 20);
    tn_engine_destroy(engine);
    tn_rig_close(&rig);
}

static void submit_survives_the_failure_of_every_allocation(void **state)
{
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    uint64_t n = 1;
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_record_open(&r, &f);
    const tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
    tn_engine_hold(f.engine);
    for (;; n++) {
        tn_error err = { 0 };

        tn_alloc_fail_at(n);
        tn_status st = tn_engine_submit(f.engine, &request, &r.engine_id, &err);
        tn_alloc_fail_at(0);
        if (!st)
            break;
        assert_int_equal(st, TN_NO_MEMORY);
    }
    tn_engine_release(f.engine);
    tn_record_wait(&r);
    assert_true(n > 1);
    tn_engine_rig_close(&f);
    tn_record_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_step_ends_its_requests_and_only_them),
        cmocka_unit_test(after_the_loss_of_a_device_requests_are_refused_with_the_reason),
        cmocka_unit_test(create_survives_the_failure_of_every_allocation),
        cmocka_unit_test(submit_survives_the_failure_of_every_allocation),
    };

    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
