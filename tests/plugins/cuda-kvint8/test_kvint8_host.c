/* SPDX-License-Identifier: Apache-2.0 */
/* What cuda-kvint8 says before anything runs: bytes of blocks, nodes that it takes, parameters that
 * it packs. Its functions are pure, so the plugin is opened as a library and needs no device. */
#include <tenon/plugin.h>

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

static const tn_plugin *plugin;

static int open_plugin(void **state)
{
    void *library = dlopen(KVINT8_PATH, RTLD_NOW | RTLD_LOCAL);
    (void)state;
    if (!library)
        fail_msg("%s", dlerror());
    plugin = dlsym(library, "tn_plugin_v1");
    return plugin ? 0 : -1;
}

static const tn_kernel *kernel_of(const char *op)
{
    for (const tn_kernel *const *k = plugin->kernels; *k; k++)
        if (strcmp((*k)->op, op) == 0)
            return *k;
    fail_msg("no kernel of %s", op);
    return NULL;
}

static void a_block_has_a_byte_a_value_and_8_bytes_of_parameters_a_token(void **state)
{
    const tn_attention a = { .size = sizeof a, .heads = 6, .kv_heads = 3, .head_dim = 80 };
    uint64_t bytes;
    (void)state;
    assert_string_equal(plugin->kv_formats[0]->name, "i8");
    assert_int_equal(plugin->kv_formats[0]->block_bytes(NULL, &a, 32, &bytes, NULL), TN_OK);
    assert_int_equal(bytes, 3 * (2 * 32 * 80 + 8 * 32));
    assert_string_equal(plugin->kv_formats[1]->name, "i8-static");
    assert_int_equal(plugin->kv_formats[1]->block_bytes(NULL, &a, 32, &bytes, NULL), TN_OK);
    assert_int_equal(bytes, 3 * 2 * 32 * 80);
}

static void blocks_of_no_size_or_beyond_64_bits_are_refused(void **state)
{
    static const tn_attention wrong[] = {
        { .kv_heads = INT32_MAX, .head_dim = INT32_MAX },
        { .kv_heads = 0, .head_dim = 64 },
        { .kv_heads = 2, .head_dim = -64 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int32_t f = 0; f < 2; f++) {
            uint64_t bytes = 1;
            tn_error err = { 0 };
            assert_int_equal(
                plugin->kv_formats[f]->block_bytes(NULL, &wrong[i], INT32_MAX, &bytes, &err),
                TN_INVALID);
            assert_non_null(strstr(err.text, "heads of size"));
            assert_int_equal(bytes, 0);
        }
}

/* A node of attention on blocks of 16. */
static tn_node attention_node(const tn_attention *a, const char *kvfmt)
{
    return (tn_node){ .size = sizeof(tn_node),
                      .op = "attention",
                      .path = "layer.0.attention",
                      .param = a,
                      .n_in = 1,
                      .n_out = 1,
                      .in_dtype = { TN_F16 },
                      .out_dtype = { TN_F16 },
                      .act_dtype = TN_F16,
                      .resid_dtype = TN_F32,
                      .kvfmt = kvfmt,
                      .block_tokens = 16,
                      .max_tokens = 16,
                      .max_seqs = 2,
                      .max_rows = 2,
                      .max_ctx = 64 };
}

static void assert_refused(const tn_attention *a, const char *kvfmt, const char *reason)
{
    const tn_node node = attention_node(a, kvfmt);
    tn_error why = { 0 };
    assert_int_equal(kernel_of("attention")->supports(NULL, &node, &why), TN_UNSUPPORTED);
    if (!strstr(why.text, reason))
        fail_msg("\"%s\" does not say \"%s\"", why.text, reason);
}

static void what_is_not_taken_is_refused_with_the_reason(void **state)
{
    float params[8] = { 0.02f, 0.0f, 0.02f, 0.0f, 0.02f, 0.0f, 0.02f, 0.0f };
    tn_attention a = { .size = sizeof a, .heads = 4, .kv_heads = 4, .head_dim = 64 };
    (void)state;
    assert_refused(&a, "f16", "KV format f16, i8 and i8-static are taken");
    assert_refused(&a, NULL, "KV format (none)");
    assert_refused(&a, "i8-static", "0 sets of parameters, it needs 1 or one for each of 4");
    a.kv_static = params;
    a.n_kv_static = 2;
    assert_refused(&a, "i8-static", "2 sets of parameters");
    a.kv_heads = 2;
    const float wrong[] = { 0.0f, -0.02f, 1e-39f, 1e38f, NAN, INFINITY };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        params[6] = wrong[i];
        assert_refused(&a, "i8-static", "in kv.params");
    }
    params[6] = 0.02f;
    const tn_node node = attention_node(&a, "i8-static");
    assert_int_equal(kernel_of("attention")->supports(NULL, &node, NULL), TN_OK);
    a.heads = 3;
    assert_refused(&a, "i8", "3 heads are not a multiple of 2 kv heads");
}

static void parameters_are_packed_as_they_are(void **state)
{
    const float params[8] = { 0.02f, 0.1f, 0.03f, 0.2f, 0.04f, 0.3f, 0.05f, 0.4f };
    const tn_attention a = { .size = sizeof a,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = 64,
                             .kv_static = params,
                             .n_kv_static = 2 };
    const tn_node node = attention_node(&a, "i8-static");
    const tn_kernel *kernel = kernel_of("attention");
    tn_weight_rows rows = {
        .size = sizeof rows, .row0 = 1, .rows = 1, .cols = 4, .values = params + 4
    };
    tn_plan plan;
    float blob[8] = { 0 }, row[4];
    (void)state;
    assert_int_equal(kernel->plan(NULL, &node, &plan, NULL), TN_OK);
    assert_int_equal(plan.weight_bytes, sizeof params);
    assert_int_equal(kernel->pack(NULL, &node, &rows, blob, NULL), TN_OK);
    rows.row0 = 0;
    rows.values = params;
    assert_int_equal(kernel->pack(NULL, &node, &rows, blob, NULL), TN_OK);
    assert_memory_equal(blob, params, sizeof params);
    assert_int_equal(kernel->unpack(NULL, &node, 0, 1, blob, row, NULL), TN_OK);
    assert_memory_equal(row, params + 4, sizeof row);
}

static void parts_and_rows_that_are_not_there_are_refused(void **state)
{
    const float params[4] = { 0.02f, 0.1f, 0.03f, 0.2f };
    const tn_attention a = { .size = sizeof a,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = 64,
                             .kv_static = params,
                             .n_kv_static = 1 };
    const tn_node node = attention_node(&a, "i8-static");
    const tn_kernel *kernel = kernel_of("attention");
    const tn_weight_rows good = {
        .size = sizeof good, .row0 = 0, .rows = 1, .cols = 4, .values = params
    };
    tn_weight_rows wrong[4] = { good, good, good, good };
    float blob[4] = { 0 }, row[4];
    (void)state;
    wrong[0].part = 1;
    wrong[1].row0 = 1;
    wrong[2].cols = 3;
    wrong[3].values = NULL;
    for (int32_t i = 0; i < 4; i++)
        assert_int_equal(kernel->pack(NULL, &node, &wrong[i], blob, NULL), TN_INVALID);
    assert_int_equal(kernel->unpack(NULL, &node, 1, 0, blob, row, NULL), TN_INVALID);
    assert_int_equal(kernel->unpack(NULL, &node, 0, 1, blob, row, NULL), TN_INVALID);
    assert_int_equal(kernel->unpack(NULL, &node, 0, -1, blob, row, NULL), TN_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_has_a_byte_a_value_and_8_bytes_of_parameters_a_token),
        cmocka_unit_test(blocks_of_no_size_or_beyond_64_bits_are_refused),
        cmocka_unit_test(what_is_not_taken_is_refused_with_the_reason),
        cmocka_unit_test(parameters_are_packed_as_they_are),
        cmocka_unit_test(parts_and_rows_that_are_not_there_are_refused),
    };
    return cmocka_run_group_tests_name("kvint8_host", tests, open_plugin, NULL);
}
