/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins of other minor versions than the program's: an older header, a descriptor that ends
 * early. */
#include "core/plugin/plugin_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

static tn_plugin_set *load(const tn_plugin_spec *spec, const char *dir)
{
    const tn_plugin_set_args args = { .spec = spec, .n_specs = 1, .plugin_dir = dir };
    tn_plugin_set *set = NULL;
    tn_error err = { 0 };

    assert_int_equal(tn_plugin_set_open(&args, &set, &err), TN_OK);
    const tn_plugin_entry *entry = tn_plugin_set_entry(set, 0);
    if (entry->state != TN_PLUGIN_LOADED)
        fail_msg("%s: %s", entry->name, entry->reason);
    return set;
}

static void what_lies_beyond_a_descriptors_size_is_not_read(void **state)
{
    (void)state;
    tn_plugin_spec spec = { .name = "short_plugin" };
    tn_plugin_set *set = load(&spec, PLUGIN_DIR "/broken-load");

    assert_int_equal(tn_plugin_set_entry(set, 0)->n_kv_formats, 0);
    tn_plugin_set_close(set);
}

static void a_plugin_of_the_published_header_loads_and_runs(void **state)
{
    (void)state;
    tn_plugin_spec spec = { .name = "abi-v1_0" };
    tn_plugin_set *set = load(&spec, PLUGIN_DIR);
    const tn_kernel *add = &tn_plugin_set_entry(set, 0)->kernel[0];
    const tn_rows_op param = { .size = sizeof(param), .dim = 3 };
    const tn_node node = { .size = sizeof(node),
                           .op = "add",
                           .n_in = 2,
                           .n_out = 1,
                           .in_dtype = { TN_F32, TN_F32 },
                           .param = &param };
    float y[3] = { 1, 2, 3 }, x[3] = { 10, 20, 30 }, sum[3] = { 0 };
    tn_tensor in[2] = {
        { .addr = (uint64_t)(uintptr_t)y, .rank = 2, .dim = { 1, 3 }, .stride = { 3, 1 } },
        { .addr = (uint64_t)(uintptr_t)x, .rank = 2, .dim = { 1, 3 }, .stride = { 3, 1 } }
    };
    tn_tensor out = {
        .addr = (uint64_t)(uintptr_t)sum, .rank = 2, .dim = { 1, 3 }, .stride = { 3, 1 }
    };
    const tn_launch launch = {
        .size = sizeof(launch), .n_in = 2, .n_out = 1, .in = in, .out = &out
    };
    tn_error err = { 0 };

    assert_int_equal(add->supports(NULL, &node, &err), TN_OK);
    assert_int_equal(add->run(NULL, &node, &launch, &err), TN_OK);
    assert_true(sum[0] == 11.0F && sum[1] == 22.0F && sum[2] == 33.0F);
    tn_plugin_set_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_beyond_a_descriptors_size_is_not_read),
        cmocka_unit_test(a_plugin_of_the_published_header_loads_and_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
