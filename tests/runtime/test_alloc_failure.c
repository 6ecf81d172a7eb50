/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of opening a runtime, of a request and of the calls around it fails once. Each
 * failure is TN_NO_MEMORY, leaves nothing behind, and what is still open works as before.
 */
#include "core/base/alloc.h"
#include "runtime/runtime_internal.h"
#include "tests/support/runtime_rig.h"
#include "tests/support/temp_dir.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_FAILURES = 100000, MAX_YIELDS = 1000000 };
/* The JIT of the pre-tokenizer's patterns makes as many allocations at most, and does not need to
 * succeed: without it they are interpreted, with the same matches. */
enum { MAX_WITHOUT = 20 };

/* ---- failures ---- */

/* One run of an operation with a failure at its n-th allocation. */
typedef struct attempt {
    uint64_t n, made_before;
    int64_t live_before;
} attempt;

static void arm(attempt *a)
{
    a->n++;
    a->made_before = tn_alloc_count();
    a->live_before = tn_alloc_live();
    tn_alloc_fail_at(a->n);
}

/* Switch the failure off; false when the operation had fewer allocations, so that all is tried. */
static bool disarm(const attempt *a)
{
    tn_alloc_fail_at(0);
    assert_true(a->n < MAX_FAILURES);
    return tn_alloc_count() - a->made_before >= a->n;
}

/* A request's memory is freed on the engine thread, a moment after it is done. */
static int64_t live_when_settled(int64_t expected)
{
    for (int i = 0; i < MAX_YIELDS && tn_alloc_live() != expected; i++)
        sched_yield();
    return tn_alloc_live();
}

static void check_failure(const attempt *a, const char *what, tn_status status, const tn_error *err)
{
    if (status != TN_NO_MEMORY || !strstr(err->text, "cannot allocate"))
        fail_msg("%s, allocation %d: %s: %s", what, (int)a->n, tn_status_name(status), err->text);
    if (live_when_settled(a->live_before) != a->live_before)
        fail_msg("%s, allocation %d: %d blocks are left behind", what, (int)a->n,
                 (int)(tn_alloc_live() - a->live_before));
}

/* ---- open ---- */

static void opening_survives_the_failure_of_every_allocation(void **state)
{
    (void)state;
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        attempt a = { 0 };
        tn_answer want;
        int n_without = 0;
        bool failed;
        tn_runtime_rig_answer(v, &want);
        do {
            tn_runtime *rt = NULL;
            tn_error err = { 0 };
            arm(&a);
            const tn_status status = tn_runtime_rig_try_open(v, NULL, &rt, &err);
            failed = disarm(&a);
            if (!failed && status)
                fail_msg("%s: %s", tn_runtime_rig_name(v), err.text);
            if (failed && status) {
                check_failure(&a, tn_runtime_rig_name(v), status, &err);
                assert_null(rt);
            } else if (failed) {
                n_without++;
                tn_runtime_rig_check(rt, &want);
            }
            tn_runtime_close(rt);
            assert_int_equal(live_when_settled(a.live_before), a.live_before);
        } while (failed);
        assert_true(a.n > 100);
        assert_true(n_without <= MAX_WITHOUT);
    }
}

/* ---- requests ---- */

static void a_request_survives_the_failure_of_every_allocation(void **state)
{
    (void)state;
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        tn_runtime *rt = tn_runtime_rig_open(v);
        tn_answer want, got;
        attempt a = { 0 };
        bool failed;
        tn_runtime_rig_answer(v, &want);
        do {
            tn_error err = { 0 };
            arm(&a);
            const tn_status status = tn_runtime_rig_ask(rt, &got, &err);
            failed = disarm(&a);
            if (failed)
                check_failure(&a, tn_runtime_rig_name(v), status, &err);
            tn_runtime_rig_check(rt, &want);
            assert_int_equal(live_when_settled(a.live_before), a.live_before);
        } while (failed);
        assert_true(a.n > 20);
        tn_runtime_close(rt);
    }
}

/* ---- text and facts ---- */

static tn_status tokenize_and_back(int32_t v, tn_runtime *rt, tn_error *err)
{
    static const char text[] = "some text <|im_end|> \xe6\x97\xa5\xe6\x9c\xac \xff 12 and so on";
    int32_t *ids = NULL;
    char *back = NULL;
    size_t n = 0, n_back = 0;
    (void)v;
    tn_status status = tn_tokenize(rt, text, strlen(text), 1, &ids, &n, err);
    if (!status)
        status = tn_detokenize(rt, ids, n, 1, &back, &n_back, err);
    if (!status)
        assert_true(n > 4 && n_back > 20);
    tn_free_memory(ids);
    tn_free_memory(back);
    return status;
}

static tn_status render_messages(int32_t v, tn_runtime *rt, tn_error *err)
{
    static const tn_message messages[] = { { "system", "Be brief." }, { "user", "Why?" } };
    tn_request_args args;
    int32_t *ids = NULL;
    size_t n = 0;
    if (!tn_runtime_has_chat(rt))
        return tokenize_and_back(v, rt, err);
    tn_request_defaults(rt, &args, sizeof args);
    args.messages = messages;
    args.n_messages = 2;
    const tn_status status = tn_request_prompt_ids(rt, &args, &ids, &n, err);
    tn_free_memory(ids);
    return status;
}

static tn_status bind_again(int32_t v, tn_runtime *rt, tn_error *err)
{
    tn_binding *binding = NULL;
    (void)v;
    const tn_status status = tn_bind(&rt->setup.bind_args, &binding, err);
    assert_true((status == TN_OK) == (binding != NULL));
    tn_binding_destroy(binding);
    return status;
}

static tn_status read_facts(int32_t v, tn_runtime *rt, tn_error *err)
{
    tn_model_file *file = NULL;
    (void)rt;
    TN_TRY(tn_model_file_open(tn_runtime_rig_model(v), &file, err));
    tn_model_desc desc;
    tn_weight_info info;
    tn_status status = tn_model_file_desc(file, &desc, err);
    for (int32_t i = 0; i < tn_model_file_n_tensors(file) && !status; i++) {
        float *values = NULL;
        status = tn_model_file_tensor(file, i, &info, err);
        if (!status)
            status = tn_weight_values(tn_model_file_weights(file), &info, &values, err);
        tn_free(values);
    }
    tn_model_file_close(file);
    return status;
}

typedef tn_status (*call_fn)(int32_t v, tn_runtime *rt, tn_error *err);

static void fail_each(const char *name, call_fn call, int32_t v, tn_runtime *rt)
{
    attempt a = { 0 };
    bool failed;
    assert_int_equal(call(v, rt, NULL), TN_OK);
    do {
        tn_error err = { 0 };
        arm(&a);
        const tn_status status = call(v, rt, &err);
        failed = disarm(&a);
        if (failed)
            check_failure(&a, name, status, &err);
        else if (status)
            fail_msg("%s: %s", name, err.text);
        assert_int_equal(call(v, rt, NULL), TN_OK);
        assert_int_equal(live_when_settled(a.live_before), a.live_before);
    } while (failed);
    assert_true(a.n > 1);
}

static void binding_survives_the_failure_of_every_allocation(void **state)
{
    (void)state;
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        tn_runtime *rt = tn_runtime_rig_open(v);
        fail_each("bind", bind_again, v, rt);
        tn_runtime_close(rt);
    }
}

static void text_and_facts_survive_the_failure_of_every_allocation(void **state)
{
    (void)state;
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        tn_runtime *rt = tn_runtime_rig_open(v);
        fail_each("tokenize", tokenize_and_back, v, rt);
        fail_each("messages", render_messages, v, rt);
        fail_each("facts", read_facts, v, rt);
        tn_runtime_close(rt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_survives_the_failure_of_every_allocation),
        cmocka_unit_test(binding_survives_the_failure_of_every_allocation),
        cmocka_unit_test(a_request_survives_the_failure_of_every_allocation),
        cmocka_unit_test(text_and_facts_survive_the_failure_of_every_allocation),
    };
    return cmocka_run_group_tests(tests, tn_runtime_rig_setup, tn_temp_dir_teardown);
}
