/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "runtime/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static tn_profile *load_options(const tn_profile_options *o)
{
    tn_error err = { 0 };
    tn_profile *p = NULL;

    if (tn_profile_load(o, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

static tn_profile *load_text(const char *text)
{
    tn_profile_options o = { .path = "p.yaml", .text = text, .n_text = strlen(text) };

    return load_options(&o);
}

static tn_profile *load_set(const char *set)
{
    tn_profile_options o = { .model = "m", .sets = &set, .n_sets = 1 };

    return load_options(&o);
}

static tn_profile *load_file(const char *path)
{
    tn_profile_options o = { .path = path };

    return load_options(&o);
}

/* ---- a directory of profiles ---- */

static const char DIR_NAME[] = "test_profile_files";

static void write_file(const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", DIR_NAME, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int make_directory(void **state)
{
    (void)state;
    mkdir(DIR_NAME, 0755);
    mkdir("test_profile_files/sub", 0755);
    return 0;
}

static void fails_with(const char *path, const char *message)
{
    tn_profile_options o = { .path = path };
    tn_error err = { 0 };
    tn_profile *p;

    assert_int_equal(tn_profile_load(&o, &p, &err), TN_INVALID);
    assert_string_equal(err.text, message);
    assert_null(p);
}

/* ---- tests ---- */

static void a_model_alone_gets_every_default(void **state)
{
    (void)state;
    tn_profile_options o = { .model = "x.gguf" };
    tn_profile *p = load_options(&o);

    assert_string_equal(p->source, "default");
    assert_string_equal(p->model, "x.gguf");
    assert_string_equal(p->device.name, "cpu");
    assert_string_equal(p->device.raw, "cpu");
    assert_int_equal(p->device.index, 0);
    assert_int_equal(p->n_plugins, 2);
    assert_string_equal(p->plugins[0].name, "cpu-simd");
    assert_string_equal(p->plugins[1].name, "cpu-ref");
    assert_null(p->plugins[0].path);
    assert_null(p->plugins[0].sha256);
    assert_false(p->plugins[0].required);
    assert_int_equal(p->plugins[0].n_options, 0);
    assert_string_equal(p->fallback, "none");
    assert_int_equal(p->n_bind, 0);
    assert_string_equal(p->kv.format, "f16");
    assert_int_equal(p->kv.block_tokens, 64);
    assert_int_equal(p->kv.memory.kind, TN_PROFILE_MEMORY_AUTO);
    assert_true(p->kv.prefix_cache);
    assert_null(p->kv.params);
    assert_int_equal(p->batch.max_sequences, 64);
    assert_int_equal(p->batch.max_tokens, 2048);
    assert_int_equal(p->batch.max_chunk, 0);
    assert_int_equal(p->context.length, 0);
    assert_int_equal(p->context.rope_scaling.type, TN_PROFILE_ROPE_MODEL);
    assert_float_equal(p->context.rope_scaling.factor, 0, 0);
    assert_float_equal(p->generate.temperature, 0.7, 1e-7);
    assert_float_equal(p->generate.top_p, 0.95, 1e-7);
    assert_float_equal(p->generate.min_p, 0, 0);
    assert_int_equal(p->generate.top_k, 0);
    assert_int_equal(p->generate.max_tokens, 512);
    assert_true(p->generate.seed_auto);
    assert_int_equal(p->generate.n_stop, 0);
    assert_int_equal(p->threads, 0);
    assert_int_equal(p->activations, TN_PROFILE_ACTIVATIONS_AUTO);
    assert_string_equal(p->server.host, "127.0.0.1");
    assert_int_equal(p->server.port, 23333);
    assert_string_equal(p->check_against, "cpu-ref");
    assert_int_equal(p->debug_max_layers, 0);
    tn_profile_destroy(p);
}

static void a_text_with_every_key_is_read(void **state)
{
    (void)state;
    tn_profile *p = load_text(
        "%YAML 1.1\n---\n"
        "model: models/a.gguf # a comment\n"
        "device: cuda-sim:3\n"
        "plugins:\n"
        "  - cuda-w4a16\n"
        "  - /opt/x/mine.so\n"
        "  - {name: cpu-simd, path: /opt/cpu.so, required: true, options: {isa: avx2, n: 1},\n"
        "     sha256: "
        "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789}\n"
        "fallback: cpu-simd\n"
        "bind: {\"layer.0.*\": cpu-ref, \"*.qkv\": 'cpu-simd'}\n"
        "kv: {format: acme/nf4, block_tokens: 16, memory: 80%, prefix_cache: false, params: "
        "p.json}\n"
        "batch: {max_sequences: 4096, max_tokens: 4097, max_chunk: 7}\n"
        "context:\n"
        "  length: 4096\n"
        "  rope_scaling: {type: yarn, factor: 4.0, original_length: 2048, beta_fast: 32,\n"
        "                 beta_slow: 1, attention_factor: 1.25e0}\n"
        "generate: {temperature: 0, top_p: 1, top_k: 40, min_p: 0.05, max_tokens: 9,\n"
        "           seed: 18446744073709551615, stop: [\"\\n\\n\", END]}\n"
        "threads: 2\n"
        "activations: bf16\n"
        "server: {host: 0.0.0.0, port: 0}\n"
        "check: {against: other.yaml}\n"
        "debug: {max_layers: 2}\n");

    assert_string_equal(p->source, "p.yaml");
    assert_string_equal(p->model, "models/a.gguf");
    assert_string_equal(p->device.name, "cuda-sim");
    assert_string_equal(p->device.raw, "cuda-sim:3");
    assert_int_equal(p->device.index, 3);
    assert_int_equal(p->n_plugins, 3);
    assert_string_equal(p->plugins[0].name, "cuda-w4a16");
    assert_string_equal(p->plugins[0].where, "p.yaml:6:5");
    assert_string_equal(p->plugins[1].name, "mine");
    assert_string_equal(p->plugins[1].path, "/opt/x/mine.so");
    assert_string_equal(p->plugins[2].name, "cpu-simd");
    assert_string_equal(p->plugins[2].path, "/opt/cpu.so");
    assert_string_equal(p->plugins[2].sha256,
                        "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789");
    assert_true(p->plugins[2].required);
    assert_int_equal(p->plugins[2].n_options, 2);
    assert_string_equal(p->plugins[2].options[0].key, "isa");
    assert_string_equal(p->plugins[2].options[0].value, "avx2");
    assert_string_equal(p->plugins[2].options[1].value, "1");
    assert_string_equal(p->fallback, "cpu-simd");
    assert_int_equal(p->n_bind, 2);
    assert_string_equal(p->bind[0].glob, "layer.0.*");
    assert_string_equal(p->bind[0].plugin, "cpu-ref");
    assert_string_equal(p->bind[0].where, "p.yaml:11:8");
    assert_string_equal(p->bind[1].glob, "*.qkv");
    assert_string_equal(p->bind[1].plugin, "cpu-simd");
    assert_string_equal(p->kv.format, "acme/nf4");
    assert_int_equal(p->kv.block_tokens, 16);
    assert_int_equal(p->kv.memory.kind, TN_PROFILE_MEMORY_PERCENT);
    assert_int_equal(p->kv.memory.percent, 80);
    assert_false(p->kv.prefix_cache);
    assert_string_equal(p->kv.params, "p.json");
    assert_int_equal(p->batch.max_sequences, 4096);
    assert_int_equal(p->batch.max_tokens, 4097);
    assert_int_equal(p->batch.max_chunk, 7);
    assert_int_equal(p->context.length, 4096);
    assert_int_equal(p->context.rope_scaling.type, TN_ROPE_SCALING_YARN);
    assert_int_equal(p->context.rope_scaling.original_length, 2048);
    assert_float_equal(p->context.rope_scaling.factor, 4, 0);
    assert_float_equal(p->context.rope_scaling.beta_fast, 32, 0);
    assert_float_equal(p->context.rope_scaling.beta_slow, 1, 0);
    assert_float_equal(p->context.rope_scaling.attention_factor, 1.25, 0);
    assert_float_equal(p->generate.temperature, 0, 0);
    assert_float_equal(p->generate.min_p, 0.05, 1e-8);
    assert_int_equal(p->generate.top_k, 40);
    assert_int_equal(p->generate.max_tokens, 9);
    assert_false(p->generate.seed_auto);
    assert_true(p->generate.seed == UINT64_MAX);
    assert_int_equal(p->generate.n_stop, 2);
    assert_string_equal(p->generate.stop[0], "\n\n");
    assert_string_equal(p->generate.stop[1], "END");
    assert_int_equal(p->threads, 2);
    assert_int_equal(p->activations, TN_PROFILE_ACTIVATIONS_BF16);
    assert_string_equal(p->server.host, "0.0.0.0");
    assert_int_equal(p->server.port, 0);
    assert_string_equal(p->check_against, "other.yaml");
    assert_int_equal(p->debug_max_layers, 2);
    tn_profile_destroy(p);
}

static void a_size_may_have_any_binary_unit(void **state)
{
    static const struct {
        const char *set;
        uint64_t bytes;
    } rows[] = { { "kv.memory=1KiB", 1024 },
                 { "kv.memory=512MiB", 536870912 },
                 { "kv.memory=2GiB", 2147483648 },
                 { "kv.memory=3TiB", 3298534883328 } };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tn_profile *p = load_set(rows[i].set);
        assert_int_equal(p->kv.memory.kind, TN_PROFILE_MEMORY_BYTES);
        assert_true(p->kv.memory.bytes == rows[i].bytes);
        tn_profile_destroy(p);
    }
}

static void a_byte_order_mark_and_windows_line_ends_are_read(void **state)
{
    (void)state;
    tn_profile *p = load_text("\xef\xbb\xbfmodel: m\r\nthreads: 3\r\n");

    assert_string_equal(p->model, "m");
    assert_int_equal(p->threads, 3);
    tn_profile_destroy(p);
}

static void each_rope_type_has_the_value_of_its_constant(void **state)
{
    static const char *const names[] = {
        "none", "linear", "dynamic", "yarn", "llama3", "longrope"
    };
    char set[80];

    (void)state;
    for (int i = 0; i < 6; i++) {
        snprintf(set, sizeof(set), "context.rope_scaling={type: %s%s}", names[i],
                 i ? ", factor: 2" : "");
        tn_profile *p = load_set(set);
        assert_int_equal(p->context.rope_scaling.type, i);
        tn_profile_destroy(p);
    }
}

/* ---- --set ---- */

static void set_changes_a_value_of_every_type(void **state)
{
    static const char *const sets[] = {
        "model=a b: c#d",
        "device=cuda",
        "plugins=cpu-simd,{name: x, options: {k: v}}",
        "fallback=cpu-ref",
        "bind.layer.*.qkv=cpu-ref",
        "bind={\"*\": cpu-simd}",
        "kv.format=i8",
        "kv.block_tokens=128",
        "kv.memory=75%",
        "kv.prefix_cache=false",
        "kv={params: x.json}",
        "batch.max_sequences=3",
        "context.rope_scaling=dynamic",
        "context.rope_scaling.factor=2.5",
        "generate.temperature=0.25",
        "generate.seed=42",
        "generate.stop=[\"a,b\", c]",
        "activations=f16",
        "threads=auto",
        "threads=7",
        "server.host=::1",
        "check.against=cpu-simd",
    };
    tn_profile_options o = { .sets = sets, .n_sets = sizeof(sets) / sizeof(sets[0]) };

    (void)state;
    tn_profile *p = load_options(&o);

    assert_string_equal(p->model, "a b: c#d");
    assert_string_equal(p->device.name, "cuda");
    assert_int_equal(p->n_plugins, 2);
    assert_string_equal(p->plugins[0].name, "cpu-simd");
    assert_string_equal(p->plugins[1].options[0].value, "v");
    assert_string_equal(p->fallback, "cpu-ref");
    assert_int_equal(p->n_bind, 2);
    assert_string_equal(p->bind[0].glob, "*");
    assert_string_equal(p->bind[1].glob, "layer.*.qkv");
    assert_string_equal(p->bind[1].where, "--set bind.layer.*.qkv");
    assert_string_equal(p->kv.format, "i8");
    assert_int_equal(p->kv.block_tokens, 128);
    assert_int_equal(p->kv.memory.percent, 75);
    assert_false(p->kv.prefix_cache);
    assert_string_equal(p->kv.params, "x.json");
    assert_int_equal(p->batch.max_sequences, 3);
    assert_int_equal(p->context.rope_scaling.type, TN_ROPE_SCALING_DYNAMIC);
    assert_float_equal(p->context.rope_scaling.factor, 2.5, 0);
    assert_float_equal(p->generate.temperature, 0.25, 0);
    assert_int_equal(p->generate.seed, 42);
    assert_int_equal(p->generate.n_stop, 2);
    assert_string_equal(p->generate.stop[0], "a,b");
    assert_int_equal(p->activations, TN_PROFILE_ACTIVATIONS_F16);
    assert_int_equal(p->threads, 7);
    assert_string_equal(p->server.host, "::1");
    assert_string_equal(p->check_against, "cpu-simd");
    tn_profile_destroy(p);
}

static void a_relative_plugin_path_in_set_becomes_absolute(void **state)
{
    char cwd[4096];
    char want[4200];

    (void)state;
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(want, sizeof(want), "%s/out/mine.so", cwd);

    tn_profile *p = load_set("plugins=out/mine.so,cpu-ref");

    assert_string_equal(p->plugins[0].path, want);
    assert_string_equal(p->plugins[0].name, "mine");
    tn_profile_destroy(p);
}

static void more_than_256_sets_are_refused(void **state)
{
    const char *sets[257];
    tn_profile_options o = { .model = "m", .sets = sets, .n_sets = 257 };
    tn_error err = { 0 };
    tn_profile *p;

    (void)state;
    for (size_t i = 0; i < 257; i++)
        sets[i] = "threads=1";

    assert_int_equal(tn_profile_load(&o, &p, &err), TN_INVALID);
    assert_string_equal(err.text, "--set: 257 times; at most 256 are allowed");
}

/* ---- the environment ---- */

static void environment_references_are_replaced(void **state)
{
    (void)state;
    setenv("TN_TEST_A", "aa", 1);
    setenv("TN_TEST_N", "5", 1);
    setenv("TN_TEST_EMPTY", "", 1);
    unsetenv("TN_TEST_UNSET");

    tn_profile *p = load_text("model: ${TN_TEST_A}/x${TN_TEST_A}$y$${Z}$\n"
                              "threads: ${TN_TEST_N}\n"
                              "batch: {max_sequences: \"${TN_TEST_N}\"}\n"
                              "kv: {params: \"${TN_TEST_EMPTY:-a b}${TN_TEST_UNSET:-}c\"}\n"
                              "plugins: [\"${TN_TEST_UNSET:-/p/q.so}\"]\n");

    assert_string_equal(p->model, "aa/xaa$y${Z}$");
    assert_int_equal(p->threads, 5);
    assert_int_equal(p->batch.max_sequences, 5);
    assert_string_equal(p->kv.params, "a bc");
    assert_string_equal(p->plugins[0].path, "/p/q.so");
    tn_profile_destroy(p);
}

static void a_variable_with_control_characters_is_refused(void **state)
{
    static const char text[] = "model: ${TN_TEST_BAD}";
    tn_profile_options o = { .path = "p.yaml", .text = text, .n_text = sizeof(text) - 1 };
    tn_error err = { 0 };
    tn_profile *p;

    (void)state;
    setenv("TN_TEST_BAD", "a\x1b[31m", 1);

    assert_int_equal(tn_profile_load(&o, &p, &err), TN_INVALID);
    assert_string_equal(err.text, "p.yaml:1:8: the value is not plain UTF-8 text after ${...}");
}

static void a_value_that_grows_past_the_limit_is_refused(void **state)
{
    static char big[100001];
    tn_strbuf b = TN_STRBUF(1 << 16);
    tn_error err = { 0 };
    tn_profile *p;

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    setenv("TN_TEST_BIG", big, 1);
    tn_strbuf_puts(&b, "model: ");
    for (int i = 0; i < 20; i++)
        tn_strbuf_puts(&b, "${TN_TEST_BIG}");
    tn_profile_options o = { .path = "p.yaml", .text = tn_strbuf_text(&b), .n_text = b.len };

    assert_int_equal(tn_profile_load(&o, &p, &err), TN_INVALID);
    assert_string_equal(err.text, "p.yaml:1:8: the value is larger than 1 MiB after ${...}");
    unsetenv("TN_TEST_BIG");
    tn_strbuf_deinit(&b);
}

/* ---- files ---- */

static void paths_start_at_the_file_they_stand_in(void **state)
{
    (void)state;
    write_file("base.yaml", "model: ../m.gguf\nkv: {params: k.json}\ncheck: {against: cpu-ref}\n");
    write_file("sub/top.yaml", "extends: ../base.yaml\ncheck: {against: other.yaml}\n");

    tn_profile *p = load_file("test_profile_files/sub/top.yaml");

    assert_string_equal(p->source, "test_profile_files/sub/top.yaml");
    assert_string_equal(p->model, "test_profile_files/sub/../../m.gguf");
    assert_string_equal(p->kv.params, "test_profile_files/sub/../k.json");
    assert_string_equal(p->check_against, "test_profile_files/sub/other.yaml");
    tn_profile_destroy(p);

    const char *set = "kv.params=here.json";
    tn_profile_options o = {
        .path = "test_profile_files/sub/top.yaml", .model = "there.gguf", .sets = &set, .n_sets = 1
    };
    p = load_options(&o);
    assert_string_equal(p->model, "there.gguf");
    assert_string_equal(p->kv.params, "here.json");
    assert_string_equal(tn_profile_where(p, "model"), "--model");
    assert_string_equal(tn_profile_where(p, "kv.params"), "--set kv.params");
    assert_string_equal(tn_profile_where(p, "check.against"),
                        "test_profile_files/sub/top.yaml:2:18");
    assert_string_equal(tn_profile_where(p, "kv.format"), "default");
    assert_string_equal(tn_profile_where(p, "no.such"), "default");
    tn_profile_destroy(p);
}

static void maps_merge_and_lists_replace_through_three_layers(void **state)
{
    (void)state;
    write_file("l1.yaml", "model: m1\nplugins: [a, b]\nkv: {format: f32, block_tokens: 16}\n"
                          "bind: {one: a, both: a}\ngenerate: {stop: [x, y], seed: 1}\n"
                          "context: {rope_scaling: {type: yarn, factor: 4, beta_fast: 9}}\n");
    write_file("l2.yaml", "extends: l1.yaml\nkv: {format: i8}\nbind: {both: b, two: b}\n"
                          "generate: {stop: [z], seed: auto}\n");
    write_file("l3.yaml", "kv: {block_tokens: 32}\nextends: l2.yaml\nplugins: [c]\n"
                          "context: {rope_scaling: none}\n");

    tn_profile *p = load_file("test_profile_files/l3.yaml");

    assert_string_equal(p->model, "test_profile_files/m1");
    assert_int_equal(p->n_plugins, 1);
    assert_string_equal(p->plugins[0].name, "c");
    assert_string_equal(p->kv.format, "i8");
    assert_int_equal(p->kv.block_tokens, 32);
    assert_int_equal(p->n_bind, 3);
    assert_string_equal(p->bind[0].glob, "both");
    assert_string_equal(p->bind[0].plugin, "b");
    assert_string_equal(p->bind[1].glob, "two");
    assert_string_equal(p->bind[2].glob, "one");
    assert_int_equal(p->generate.n_stop, 1);
    assert_true(p->generate.seed_auto);
    assert_int_equal(p->context.rope_scaling.type, TN_ROPE_SCALING_NONE);
    assert_float_equal(p->context.rope_scaling.beta_fast, 0, 0);
    tn_profile_destroy(p);
}

static void an_error_names_the_file_where_the_bad_value_stands(void **state)
{
    (void)state;
    write_file("bad.yaml", "model: m\nthreads: -1\n");
    write_file("over.yaml", "extends: bad.yaml\nthreads: 1\n");
    write_file("lost.yaml", "model: m\nextends: nowhere.yaml\n");
    write_file("dir.yaml", "extends: sub\n");
    write_file("empty.yaml", "");

    fails_with(
        "test_profile_files/over.yaml",
        "test_profile_files/bad.yaml:2:10: threads is \"-1\"; allowed: auto or a whole number 1 "
        "to 1024");
    fails_with("test_profile_files/lost.yaml",
               "test_profile_files/lost.yaml:2:10: extends: cannot open "
               "test_profile_files/nowhere.yaml: No such file or directory");
    fails_with("test_profile_files/dir.yaml",
               "test_profile_files/dir.yaml:1:10: extends: cannot read test_profile_files/sub (a "
               "directory): a file is needed");
    fails_with("test_profile_files/none.yaml",
               "cannot open test_profile_files/none.yaml: No such file or directory");
    fails_with("test_profile_files/empty.yaml", "test_profile_files/empty.yaml:1:1: the profile is "
                                                "empty; it needs at least model: PATH");
}

static void circles_and_long_chains_of_extends_are_refused(void **state)
{
    char name[16];
    char text[64];

    (void)state;
    write_file("c1.yaml", "extends: c2.yaml\n");
    write_file("c2.yaml", "extends: sub/../c1.yaml\n");
    write_file("self.yaml", "model: m\nextends: self.yaml\n");
    for (int i = 1; i <= 9; i++) {
        snprintf(name, sizeof(name), "d%d.yaml", i);
        snprintf(text, sizeof(text), i < 9 ? "extends: d%d.yaml\n" : "model: m%d\n", i + 1);
        write_file(name, text);
    }

    fails_with("test_profile_files/c1.yaml",
               "test_profile_files/c2.yaml:1:10: extends goes in a circle: "
               "test_profile_files/sub/../c1.yaml is already being read");
    fails_with("test_profile_files/self.yaml",
               "test_profile_files/self.yaml:2:10: extends goes in a circle: "
               "test_profile_files/self.yaml is already being read");
    fails_with("test_profile_files/d1.yaml",
               "test_profile_files/d8.yaml:1:10: extends is nested deeper than 8 profiles");
    tn_profile *p = load_file("test_profile_files/d2.yaml");
    assert_string_equal(p->model, "test_profile_files/m10");
    tn_profile_destroy(p);
}

/* ---- memory ---- */

static void every_allocation_may_fail_without_a_leak(void **state)
{
    static const char *const sets[] = { "bind.a=cpu-ref", "plugins=x/y.so", "kv={format: i8}" };
    tn_profile_options o = {
        .path = "test_profile_files/sub/mem.yaml", .model = "m", .sets = sets, .n_sets = 3
    };
    tn_profile *p = NULL;
    uint64_t n = 0;

    (void)state;
    write_file("mem.yaml", "model: ${TN_TEST_MEM:-m}\nbind: {x: a}\ngenerate: {stop: [a, b]}\n");
    write_file("sub/mem.yaml", "extends: ../mem.yaml\n"
                               "plugins: [a, {path: /b.so, options: {c: d}}]\ndevice: cuda:1\n");
    for (tn_status st = TN_NO_MEMORY; st; n++) {
        tn_error err = { 0 };
        assert_in_range(n, 0, 10000);

        tn_alloc_fail_at(n + 1);
        st = tn_profile_load(&o, &p, &err);

        if (st) {
            assert_int_equal(st, TN_NO_MEMORY);
            assert_int_equal(err.code, TN_NO_MEMORY);
            assert_null(p);
        }
    }
    tn_alloc_fail_at(0);

    /* An arena takes memory by the chunk, so this is the count of chunks, buffers and structs. */
    assert_true(n > 5);
    assert_string_equal(p->plugins[0].name, "y");
    tn_profile_destroy(p);
}

static void destroy_accepts_null(void **state)
{
    (void)state;
    tn_profile_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_alone_gets_every_default),
        cmocka_unit_test(a_text_with_every_key_is_read),
        cmocka_unit_test(a_size_may_have_any_binary_unit),
        cmocka_unit_test(a_byte_order_mark_and_windows_line_ends_are_read),
        cmocka_unit_test(each_rope_type_has_the_value_of_its_constant),
        cmocka_unit_test(set_changes_a_value_of_every_type),
        cmocka_unit_test(a_relative_plugin_path_in_set_becomes_absolute),
        cmocka_unit_test(more_than_256_sets_are_refused),
        cmocka_unit_test(environment_references_are_replaced),
        cmocka_unit_test(a_variable_with_control_characters_is_refused),
        cmocka_unit_test(a_value_that_grows_past_the_limit_is_refused),
        cmocka_unit_test(paths_start_at_the_file_they_stand_in),
        cmocka_unit_test(maps_merge_and_lists_replace_through_three_layers),
        cmocka_unit_test(an_error_names_the_file_where_the_bad_value_stands),
        cmocka_unit_test(circles_and_long_chains_of_extends_are_refused),
        cmocka_unit_test(every_allocation_may_fail_without_a_leak),
        cmocka_unit_test(destroy_accepts_null),
    };

    return cmocka_run_group_tests(tests, make_directory, NULL);
}
