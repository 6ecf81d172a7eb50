/* SPDX-License-Identifier: Apache-2.0 */
/* A request's logits are the same bits whatever happens around it, on cpu-ref and on every
 * instruction set of cpu-simd that the machine has; sets that it lacks are printed as not run. */
#include "plugins/cpu-simd/isa.h"
#include "tests/support/engine_rig.h"
#include "tests/support/temp_dir.h"

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* Sanitizers make it ten times slower: there the context crosses one border between parts of
 * attention, on the best instruction set. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SIMD_PROMPT = 280, MAX_SETS = 1 };
#else
enum { SIMD_PROMPT = 600, MAX_SETS = INT32_MAX };
#endif

static const tn_engine_setup *backend; /* of the tests that run */

static void logits_are_the_same_bits_in_any_chunks(void **state)
{
    static const int32_t chunk[] = { 1, 7, 0 };
    tn_record base;
    tn_engine_setup s = *backend;

    (void)state;
    s.max_chunk = 512;
    tn_run_reference(&s, &base);
    assert_true(base.logits[0] != base.logits[1]); /* not a row of zeros */
    for (int32_t i = 0; i < 3; i++) {
        tn_record r;

        s.max_chunk = chunk[i];
        tn_run_reference(&s, &r);
        tn_assert_same_bits(&base, &r);
        tn_assert_same_prompt_bits(&base, &r);
        tn_record_close(&r);
    }
    tn_record_close(&base);
}

static void logits_are_the_same_bits_with_two_threads(void **state)
{
    tn_record base;
    tn_record r;
    tn_engine_setup s = *backend;

    (void)state;
    tn_run_reference(&s, &base);
    s.rig.threads = 2;
    tn_run_reference(&s, &r);
    tn_assert_same_bits(&base, &r);
    tn_assert_same_prompt_bits(&base, &r);
    tn_record_close(&r);
    tn_record_close(&base);
}

static void logits_are_the_same_bits_without_fusion_and_with_all_edges_kept(void **state)
{
    tn_record base;
    tn_record r;
    tn_engine_setup s = *backend;

    (void)state;
    tn_run_reference(&s, &base);
    s.rig.no_fusion = true;
    s.keep_all = true;
    tn_run_reference(&s, &r);
    tn_assert_same_bits(&base, &r);
    tn_record_close(&r);
    tn_record_close(&base);
}

static void rows_above_max_rows_are_computed_in_slices(void **state)
{
    tn_record base;
    tn_record r;
    tn_engine_setup s = *backend;

    (void)state;
    s.rig.max_rows = 64;
    tn_run_reference(&s, &base);
    s.rig.max_rows = 20; /* 40 prompt rows are two slices, and one sequence's rows span both */
    tn_run_reference(&s, &r);
    tn_assert_same_bits(&base, &r);
    tn_assert_same_prompt_bits(&base, &r);
    tn_record_close(&r);
    tn_record_close(&base);
}

static void logits_are_the_same_bits_in_a_batch_of_32(void **state)
{
    enum { OTHERS = 31 };
    tn_record base;
    tn_record others[OTHERS];
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_MAX_PROMPT];
    tn_error err = { 0 };
    tn_engine_setup s = *backend;

    (void)state;
    tn_run_reference(&s, &base);
    tn_engine_rig_open(&f, &s);
    tn_engine_hold(f.engine);
    for (int32_t i = 0; i < OTHERS; i++) {
        tn_record_open(&others[i], &f);
        tn_test_prompt(prompt, 3 + i % 9, f.vocab, 100 + (uint64_t)i);
        tn_engine_request other = tn_record_request(&others[i], prompt, 3 + i % 9);
        other.sampling.temperature = i % 2 ? 1.0F : 0.0F;
        tn_test_succeed(tn_engine_submit(f.engine, &other, &others[i].engine_id, &err), &err);
        if (i != OTHERS / 2)
            continue;
        tn_record_open(&r, &f);
        tn_test_prompt(prompt, s.n_prompt, f.vocab, 1);
        tn_engine_request mine = tn_record_request(&r, prompt, s.n_prompt);
        mine.logits = TN_LOGITS_ALL;
        tn_test_succeed(tn_engine_submit(f.engine, &mine, &r.engine_id, &err), &err);
    }
    tn_engine_release(f.engine);
    tn_record_wait(&r);
    for (int32_t i = 0; i < OTHERS; i++) {
        tn_record_wait(&others[i]);
        assert_int_equal(others[i].n_out[0], TN_NEW);
        tn_record_close(&others[i]);
    }
    tn_assert_same_bits(&base, &r);
    tn_assert_same_prompt_bits(&base, &r);
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.requests, OTHERS + 1);
    assert_int_equal(m.finished, OTHERS + 1);
    assert_int_equal(m.steps, TN_NEW); /* all of them met in each step */
    tn_engine_rig_close(&f);
    tn_record_close(&r);
    tn_record_close(&base);
}

static void logits_are_the_same_bits_after_a_preemption(void **state)
{
    tn_record base;
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_MAX_PROMPT];
    tn_engine_setup s = *backend;

    (void)state;
    tn_run_reference(&s, &base);
    tn_engine_rig_open(&f, &s);
    tn_record_open(&r, &f);
    r.preempt_at = 4;
    tn_test_prompt(prompt, s.n_prompt, f.vocab, 1);
    tn_engine_request request = tn_record_request(&r, prompt, s.n_prompt);
    request.logits = TN_LOGITS_ALL;
    tn_record_submit(&f, &r, &request);
    tn_record_wait(&r);
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.preemptions, 1);
    tn_assert_same_bits(&base, &r);
    tn_assert_same_prompt_bits(&base, &r);
    tn_engine_rig_close(&f);
    tn_record_close(&r);
    tn_record_close(&base);
}

static void logits_are_the_same_bits_from_a_shared_prefix(void **state)
{
    tn_record base;
    tn_engine_rig f;
    int32_t prompt[TN_MAX_PROMPT];
    tn_engine_setup s = *backend;

    (void)state;
    tn_run_reference(&s, &base);
    s.prefix_cache = true;
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, s.n_prompt, f.vocab, 1);
    for (int32_t i = 0; i < 3; i++) {
        tn_record r;

        tn_record_open(&r, &f);
        tn_engine_request request = tn_record_request(&r, prompt, s.n_prompt);
        request.logits = TN_LOGITS_LAST;
        request.salt = i == 2; /* another tenant shares nothing */
        tn_record_submit(&f, &r, &request);
        tn_record_wait(&r);
        tn_assert_same_bits(&base, &r);
        assert_int_equal(r.cached, i == 1 ? s.n_prompt / 16 * 16 : 0);
        tn_record_close(&r);
    }
    tn_engine_rig_close(&f);
    tn_record_close(&base);
}

static void a_crowded_pool_gives_every_request_its_tokens(void **state)
{
    enum { N = 6 };
    tn_record r[N];
    tn_engine_rig f;
    int32_t prompt[TN_MAX_PROMPT];
    tn_error err = { 0 };
    tn_record base;
    tn_engine_setup s = *backend;
    int32_t blocks = (s.n_prompt + TN_NEW + s.rig.block_tokens - 1) / s.rig.block_tokens;

    (void)state;
    tn_run_reference(&s, &base);
    s.n_blocks = 2 * blocks + 1; /* two run, more are preempted */
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, s.n_prompt, f.vocab, 1);
    tn_engine_hold(f.engine);
    for (int32_t i = 0; i < N; i++) {
        tn_record_open(&r[i], &f);
        tn_engine_request request = tn_record_request(&r[i], prompt, s.n_prompt);
        request.logits = TN_LOGITS_LAST;
        tn_test_succeed(tn_engine_submit(f.engine, &request, &r[i].engine_id, &err), &err);
    }
    tn_engine_release(f.engine);
    for (int32_t i = 0; i < N; i++) {
        tn_record_wait(&r[i]);
        tn_assert_same_bits(&base, &r[i]);
        tn_record_close(&r[i]);
    }
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.blocks, 2 * blocks + 1);
    assert_int_equal(m.blocks_free, 2 * blocks + 1);
    tn_engine_rig_close(&f);
    tn_record_close(&base);
}

static void every_kv_format_generates_and_repeats_itself(void **state)
{
    static const char *const format[] = { "f16", "i8" };

    (void)state;
    for (int32_t i = 0; i < 2; i++) {
        tn_record a;
        tn_record b;
        tn_engine_setup s = *backend;

        s.rig.kv_format = format[i];
        tn_run_reference(&s, &a);
        s.max_chunk = 7;
        tn_run_reference(&s, &b);
        tn_assert_same_bits(&a, &b);
        tn_assert_same_prompt_bits(&a, &b);
        tn_record_close(&a);
        tn_record_close(&b);
    }
}

static void a_dynamic_rope_row_belongs_to_its_sequence(void **state)
{
    tn_record alone;
    tn_record r;
    tn_record other;
    tn_engine_rig f;
    int32_t prompt[TN_MAX_PROMPT];
    tn_error err = { 0 };
    tn_engine_setup s = *backend;

    (void)state;
    s.rig.rope_scaling = TN_ROPE_SCALING_DYNAMIC;
    s.rig.model.context = 32; /* 40 + 12 tokens are beyond it */
    tn_run_reference(&s, &alone);
    tn_engine_rig_open(&f, &s);
    tn_record_open(&r, &f);
    tn_record_open(&other, &f);
    tn_test_prompt(prompt, s.n_prompt, f.vocab, 1);
    tn_engine_request longer = tn_record_request(&other, prompt, s.n_prompt);
    longer.max_tokens = 50;
    longer.logits = TN_LOGITS_LAST;
    tn_engine_request mine = tn_record_request(&r, prompt, s.n_prompt);
    mine.logits = TN_LOGITS_LAST;
    tn_engine_hold(f.engine);
    tn_test_succeed(tn_engine_submit(f.engine, &longer, &other.engine_id, &err), &err);
    tn_test_succeed(tn_engine_submit(f.engine, &mine, &r.engine_id, &err), &err);
    tn_engine_release(f.engine);
    tn_record_wait(&r);
    tn_record_wait(&other);
    tn_assert_same_bits(&alone, &r);
    assert_memory_not_equal(r.logits, other.logits, (size_t)f.vocab * sizeof(float));
    tn_engine_rig_close(&f);
    tn_record_close(&alone);
    tn_record_close(&r);
    tn_record_close(&other);
}

/* All tests on one backend. Returns how many failed. */
static int run_on(const char *name, const tn_engine_setup *setup)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_same_bits_in_any_chunks),
        cmocka_unit_test(logits_are_the_same_bits_with_two_threads),
        cmocka_unit_test(logits_are_the_same_bits_without_fusion_and_with_all_edges_kept),
        cmocka_unit_test(rows_above_max_rows_are_computed_in_slices),
        cmocka_unit_test(logits_are_the_same_bits_in_a_batch_of_32),
        cmocka_unit_test(logits_are_the_same_bits_after_a_preemption),
        cmocka_unit_test(logits_are_the_same_bits_from_a_shared_prefix),
        cmocka_unit_test(a_crowded_pool_gives_every_request_its_tokens),
        cmocka_unit_test(every_kv_format_generates_and_repeats_itself),
        cmocka_unit_test(a_dynamic_rope_row_belongs_to_its_sequence),
    };

    backend = setup;
    return cmocka_run_group_tests_name(name, tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}

/* Sizes that fill no tile of columns and a context beyond two fixed parts of attention, 256
 * positions each. */
static tn_engine_setup simd_setup(const tn_option *option)
{
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    s.n_prompt = SIMD_PROMPT;
    s.max_sequences = 32;
    s.max_tokens = s.rig.max_tokens = 1024;
    s.rig.max_ctx = 672;
    s.rig.kv_format = "f16";
    s.rig.plugin = "cpu-simd";
    s.rig.plugin_option = option;
    s.rig.n_plugin_options = 1;
    s.rig.model.dim = 96;
    s.rig.model.heads = 6;
    s.rig.model.kv_heads = 2;
    s.rig.model.head_dim = 32;
    s.rig.model.ffn = 160;
    s.rig.model.type = "Q4_1";
    s.rig.model.embed_type = "Q8_0";
    return s;
}

int main(void)
{
    tn_engine_setup ref = TN_ENGINE_SETUP_DEFAULT;

    ref.max_sequences = 32;
    int32_t n_sets = 0;
    int failed = run_on("cpu-ref", &ref);
    for (const simd_isa *const *isa = simd_isas; *isa; isa++) {
        const tn_option option = { .key = "isa", .value = (*isa)->name };
        const tn_engine_setup simd = simd_setup(&option);

        if (!simd_isa_runs(*isa))
            print_message("not run: this machine has no %s\n", (*isa)->name);
        else if (n_sets++ < MAX_SETS)
            failed += run_on((*isa)->name, &simd);
    }
    return failed;
}
