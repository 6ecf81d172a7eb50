/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile is said to need, before anything is loaded, is what the runtime takes. */
#include "runtime/setup.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_SETS = 4 };

typedef struct memory_case {
    const char *type; /* of the weights */
    int32_t tied;
    const char *set[MAX_SETS];
} memory_case;

static const memory_case cases[] = {
    { "F32", 1, { "plugins=[cpu-ref]" } },
    { "F32", 0, { "plugins=[cpu-ref]" } },
    { "Q4_1", 1, { "plugins=[cpu-ref]", "kv.format=i8" } },
    { "Q8_0", 0, { "plugins=[cpu-ref]", "kv.format=f16", "kv.memory=100KiB" } },
    { "Q4_1", 1, { "plugins=[cpu-simd]", "batch.max_tokens=96" } },
    { "Q5_0", 0, { "plugins=[cpu-simd]", "batch.max_sequences=3", "kv.block_tokens=16" } },
    { "F32", 1, { "plugins=[template, cpu-ref]", "context.length=200" } },
    { "Q4_0", 1, { "plugins=[cpu-ref]", "kv.memory=1%" } },
    { "Q4_1", 1, { "device=simdev", "plugins=[{name: simdev, path: " SIM_PLUGIN "}]" } },
};

static tn_open_args open_args(const memory_case *c, const char *model)
{
    int32_t n = 0;
    while (n < MAX_SETS && c->set[n])
        n++;
    return (tn_open_args){ .size = sizeof(tn_open_args),
                           .model = model,
                           .set = c->set,
                           .n_sets = n,
                           .plugin_dir = TEST_PLUGIN_DIR };
}

static void check_case(const memory_case *c)
{
    tn_error err = { 0 };
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    const char *path = tn_temp_path("memory.gguf");
    const tn_open_args args = open_args(c, path);
    tn_setup setup;
    tn_memory_need need;
    tn_runtime *rt = NULL;
    tn_metrics got;
    m.type = c->type;
    m.tied = c->tied;
    assert_int_equal(tn_tiny_model_write(&m, path, &err), TN_OK);

    if (tn_setup_open(&setup, &args, &err) || tn_setup_memory_need(&setup, &need, &err))
        fail_msg("%s, %s: %s", c->type, c->set[0], err.text);
    tn_setup_close(&setup);
    if (tn_runtime_open(&args, &rt, &err))
        fail_msg("%s, %s: %s", c->type, c->set[0], err.text);
    tn_runtime_metrics(rt, &got, sizeof got);
    tn_runtime_close(rt);

    assert_int_equal(need.weight_bytes, got.weight_bytes);
    assert_int_equal(need.activation_bytes, got.activation_bytes);
    assert_int_equal(need.workspace_bytes, got.workspace_bytes);
    assert_int_equal(need.kv_bytes, got.kv_bytes);
    assert_int_equal(need.blocks, got.blocks);
    assert_int_equal(need.block_tokens, got.block_tokens);
    assert_int_equal(need.total_bytes,
                     got.weight_bytes + got.activation_bytes + got.workspace_bytes + got.kv_bytes);
    assert_true(need.weight_bytes > 0 && need.activation_bytes > 0 && need.free_bytes > 0);
    assert_int_equal(need.kv_bytes,
                     need.kv_token_bytes * (uint64_t)need.blocks * (uint64_t)need.block_tokens);
}

static void what_a_profile_needs_is_what_the_runtime_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_case(&cases[i]);
}

static void a_kv_budget_that_holds_no_block_is_refused(void **state)
{
    (void)state;
    const memory_case c = { "F32", 1, { "plugins=[cpu-ref]", "kv.memory=1KiB" } };
    tn_error err = { 0 };
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    const tn_open_args args = open_args(&c, tn_temp_path("small.gguf"));
    tn_setup setup;
    tn_memory_need need;
    assert_int_equal(tn_tiny_model_write(&m, args.model, &err), TN_OK);
    assert_int_equal(tn_setup_open(&setup, &args, &err), TN_OK);

    assert_int_equal(tn_setup_memory_need(&setup, &need, &err), TN_INVALID);

    assert_non_null(strstr(err.text, "raise kv.memory"));
    tn_setup_close(&setup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_profile_needs_is_what_the_runtime_takes),
        cmocka_unit_test(a_kv_budget_that_holds_no_block_is_refused),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
