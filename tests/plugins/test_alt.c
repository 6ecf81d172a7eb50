/* SPDX-License-Identifier: Apache-2.0 */
/* alt-f32, alt-f16 and alt-a8 run a model as cpu-ref does, to within their classes, and not to the
 * bit; every broken-* is a plugin that the loader and the binder accept. */
#include "core/base/alloc.h"
#include "tests/plugins/alt/alt.h"
#include "tests/support/engine_rig.h"
#include "tests/support/temp_dir.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

#define ALT_F32_PATH PLUGIN_DIR "/alt-f32.so"
#define ALT_F16_PATH PLUGIN_DIR "/alt-f16.so"
#define ALT_A8_PATH  PLUGIN_DIR "/alt-a8.so"

static tn_engine_setup setup_of(const char *type, const char *kv_format, const char *plugin_path)
{
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;
    s.rig.model.type = type;
    s.rig.model.layers = 3;
    s.rig.kv_format = kv_format;
    s.rig.plugin_path = plugin_path;
    s.rig.threads = 2;
    s.keep_all = false;
    return s;
}

/* RMS of the difference of the prompt's logits to cpu-ref's, as a share of their RMS. */
static double distance(const tn_engine_setup *setup)
{
    tn_engine_setup reference = *setup;
    tn_record a, b;
    double difference = 0.0, size = 0.0;
    reference.rig.plugin_path = NULL;
    tn_run_reference(&reference, &a);
    tn_run_reference(setup, &b);
    for (size_t i = 0; i < (size_t)TN_PROMPT * (size_t)a.vocab; i++) {
        double d = (double)b.prompt_logits[i] - (double)a.prompt_logits[i];
        difference += d * d;
        size += (double)a.prompt_logits[i] * (double)a.prompt_logits[i];
    }
    tn_record_close(&a);
    tn_record_close(&b);
    return sqrt(difference / size);
}

static void assert_distance(const tn_engine_setup *setup, double low, double high)
{
    double d = distance(setup);
    if (!(d > low && d <= high))
        fail_msg("%s with %s weights and %s KV is %.3g from cpu-ref, %g to %g is expected",
                 setup->rig.plugin_path, setup->rig.model.type, setup->rig.kv_format, d, low, high);
}

static const char *const types[] = { "F32", "F16", "Q4_0", "Q4_1", "Q8_0", "Q5_0" };
enum { N_TYPES = sizeof types / sizeof *types };

static void alt_f32_runs_every_weight_format_to_within_f32(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        const tn_engine_setup s = setup_of(types[i], "f32", ALT_F32_PATH);
        assert_distance(&s, 1e-8, 2e-6);
    }
}

static void alt_f32_reads_and_writes_every_kv_format(void **state)
{
    (void)state;
    const tn_engine_setup f16 = setup_of("Q4_1", "f16", ALT_F32_PATH),
                          i8 = setup_of("Q4_1", "i8", ALT_F32_PATH);
    assert_distance(
        &f16, 1e-8,
        2e-4); /* a K on the border of two halves may fall to either side, as codes may */
    assert_distance(&i8, 1e-8, 1e-2);
}

static void alt_f32_runs_the_primitives_too(void **state)
{
    (void)state;
    tn_engine_setup s = setup_of("Q4_0", "f32", ALT_F32_PATH);
    s.rig.no_fusion = true;
    assert_distance(&s, 1e-8, 2e-6);
}

static void alt_f16_is_as_far_as_f16_activations_are(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        const tn_engine_setup s = setup_of(types[i], "f16", ALT_F16_PATH);
        assert_distance(&s, 1e-4, 3e-3);
    }
}

static void alt_a8_is_as_far_as_8_bit_activations_are(void **state)
{
    (void)state;
    const tn_engine_setup plain = setup_of("F16", "f32", ALT_A8_PATH);
    assert_distance(&plain, 1e-8, 2e-6); /* only coded weights take codes */
    for (int i = 2; i < 5; i++) {
        const tn_engine_setup s = setup_of(types[i], "f32", ALT_A8_PATH);
        assert_distance(&s, 5e-3, 5e-2);
    }
}

#define ALT_FAULT(id, name, ops, finding) name,
static const char *const names[ALT_N_FAULTS] = {
    "",
#include "tests/plugins/alt/faults.def"
};
#undef ALT_FAULT

static void the_loader_and_the_binder_accept_every_broken_plugin(void **state)
{
    (void)state;
    for (int32_t fault = 1; fault < ALT_N_FAULTS; fault++) {
        tn_rig_options o = TN_RIG_DEFAULT;
        char path[512];
        tn_rig rig;
        (void)snprintf(path, sizeof path, "%s/broken-%s.so", PLUGIN_DIR, names[fault]);
        if (fault == ALT_FAULT_NOTHING)
            continue; /* it is loaded, and no node is bound: test_broken */
        o.plugin_path = path;
        tn_rig_open(&rig, &o);
        tn_rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alt_f32_runs_every_weight_format_to_within_f32),
        cmocka_unit_test(alt_f32_reads_and_writes_every_kv_format),
        cmocka_unit_test(alt_f32_runs_the_primitives_too),
        cmocka_unit_test(alt_f16_is_as_far_as_f16_activations_are),
        cmocka_unit_test(alt_a8_is_as_far_as_8_bit_activations_are),
        cmocka_unit_test(the_loader_and_the_binder_accept_every_broken_plugin),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
