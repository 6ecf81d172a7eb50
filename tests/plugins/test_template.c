/* SPDX-License-Identifier: Apache-2.0 */
/* plugins/template, built in the tree and with the one compiler line of docs/add-a-plugin.md: it
 * loads, and computes. */
#include "core/base/log.h"
#include "core/plugin/plugin_set.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

enum { DIM = 5, ROWS = 3, STRIDE = 8 };

static const char *const paths[] = {
    TEMPLATE_PATH,
#ifdef OUTSIDE_PATH
    OUTSIDE_PATH,
#endif
};

enum { N_PATHS = sizeof(paths) / sizeof(paths[0]) };

static tn_plugin_set *load(const char *path)
{
    tn_plugin_spec spec = { .path = path };
    tn_plugin_set *set;

    assert_int_equal(
        tn_plugin_set_open(&(tn_plugin_set_args){ .spec = &spec, .n_specs = 1, .plugin_dir = "/" },
                           &set, NULL),
        TN_OK);
    const tn_plugin_entry *entry = tn_plugin_set_entry(set, 0);
    if (entry->state != TN_PLUGIN_LOADED)
        fail_msg("%s: %s", path, entry->reason);
    assert_string_equal(entry->name, "template");
    return set;
}

static tn_tensor rows_tensor(float *data)
{
    return (tn_tensor){ .addr = (uint64_t)(uintptr_t)data,
                        .dtype = TN_F32,
                        .rank = 2,
                        .dim = { ROWS, DIM },
                        .stride = { STRIDE, 1 } };
}

static void fill(float data[ROWS * STRIDE], float first)
{
    for (int i = 0; i < ROWS * STRIDE; i++)
        data[i] = first + (float)i * 0.25f;
}

static void check_norm(const tn_plugin_entry *plugin)
{
    const tn_kernel *kernel = &plugin->kernel[0];
    const tn_norm param = { .size = sizeof(param), .dim = DIM, .eps = 1e-5f, .offset = 1.0f };
    tn_node node = { .size = sizeof(node),
                     .op = "rmsnorm",
                     .path = "norm",
                     .n_in = 1,
                     .n_out = 1,
                     .in_dtype = { TN_F32 },
                     .out_dtype = { TN_F32 },
                     .param = &param };
    float weight[DIM] = { 0.5f, -1.0f, 2.0f, 0.0f, 3.0f }, back[DIM], blob[DIM] = { 0 };
    float x[ROWS * STRIDE], y[ROWS * STRIDE] = { 0 };
    tn_weight_rows rows = { .size = sizeof(rows), .rows = 1, .cols = DIM, .values = weight };
    tn_plan plan = { .size = sizeof(plan) };
    tn_error err = { 0 };

    assert_int_equal(kernel->supports(plugin->self, &node, &err), TN_OK);
    assert_int_equal(kernel->plan(plugin->self, &node, &plan, &err), TN_OK);
    assert_int_equal(plan.weight_bytes, sizeof(blob));
    assert_int_equal(kernel->pack(plugin->self, &node, &rows, blob, &err), TN_OK);
    assert_int_equal(kernel->unpack(plugin->self, &node, 0, 0, blob, back, &err), TN_OK);
    assert_memory_equal(back, weight, sizeof(weight));
    fill(x, -2.0f);
    const tn_tensor in = rows_tensor(x), out = rows_tensor(y);
    const tn_launch launch = { .size = sizeof(launch),
                               .n_in = 1,
                               .n_out = 1,
                               .in = &in,
                               .out = &out,
                               .weight = (uint64_t)(uintptr_t)blob };
    assert_int_equal(kernel->run(plugin->self, &node, &launch, &err), TN_OK);
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int k = 0; k < DIM; k++)
            sum += (double)x[r * STRIDE + k] * (double)x[r * STRIDE + k];
        for (int k = 0; k < DIM; k++) {
            const double wanted =
                (double)x[r * STRIDE + k] / sqrt(sum / DIM + 1e-5) * ((double)weight[k] + 1.0);
            assert_float_equal(y[r * STRIDE + k], (float)wanted, 1e-5f);
        }
        assert_float_equal(y[r * STRIDE + DIM], 0.0f, 0); /* between the rows nothing is written */
    }
    node.in_dtype[0] = TN_F16;
    assert_int_equal(kernel->supports(plugin->self, &node, &err), TN_UNSUPPORTED);
    assert_string_equal(err.text, "input 0 is not f32");
    rows.cols = DIM - 1;
    assert_int_equal(kernel->pack(plugin->self, &node, &rows, blob, &err), TN_INVALID);
}

static void check_add(const tn_plugin_entry *plugin)
{
    const tn_kernel *kernel = &plugin->kernel[1];
    const tn_rows_op param = { .size = sizeof(param), .dim = DIM };
    const tn_node node = { .size = sizeof(node),
                           .op = "add",
                           .path = "add",
                           .n_in = 2,
                           .n_out = 1,
                           .in_dtype = { TN_F32, TN_F32 },
                           .out_dtype = { TN_F32 },
                           .param = &param };
    float x[ROWS * STRIDE], y[ROWS * STRIDE];
    tn_error err = { 0 };

    fill(x, 1.0f);
    fill(y, -3.0f);
    const tn_tensor in[] = { rows_tensor(y), rows_tensor(x) }, out = rows_tensor(x); /* in place */
    const tn_launch launch = {
        .size = sizeof(launch), .n_in = 2, .n_out = 1, .in = in, .out = &out
    };
    assert_int_equal(kernel->supports(plugin->self, &node, &err), TN_OK);
    assert_int_equal(kernel->run(plugin->self, &node, &launch, &err), TN_OK);
    assert_float_equal(x[0], -2.0f, 0);
    assert_float_equal(x[2 * STRIDE + 4], -2.0f + 2 * 0.25f * (2 * STRIDE + 4), 0);
    assert_float_equal(x[DIM], 1.0f + 0.25f * DIM, 0);
}

static void the_template_loads_and_computes(void **state)
{
    (void)state;
    for (int i = 0; i < N_PATHS; i++) {
        tn_plugin_set *set = load(paths[i]);
        check_norm(tn_plugin_set_entry(set, 0));
        check_add(tn_plugin_set_entry(set, 0));
        tn_plugin_set_close(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_template_loads_and_computes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
