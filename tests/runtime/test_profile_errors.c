/* SPDX-License-Identifier: Apache-2.0 */
/* What a wrong profile is told, word for word: the messages are the interface of this module to
 * people. */
#include "core/base/alloc.h"
#include "runtime/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct wrong_text {
    const char *text, *message;
} wrong_text;

static tn_status load_text(const char *text, size_t n, tn_error *err)
{
    tn_profile_options o = { .path = "p.yaml", .text = text, .n_text = n };
    tn_profile *p;
    tn_status st = tn_profile_load(&o, &p, err);

    tn_profile_destroy(p);
    return st;
}

static void check_table(const wrong_text *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tn_error err = { 0 };

        tn_status st = load_text(rows[i].text, strlen(rows[i].text), &err);

        if (st != TN_INVALID || strcmp(err.text, rows[i].message) != 0)
            fail_msg("profile:\n%s\nstatus %d, said: %s\nexpected:  %s", rows[i].text, st, err.text,
                     rows[i].message);
    }
}

#define CHECK_TABLE(rows) check_table(rows, sizeof(rows) / sizeof((rows)[0]))

static void a_text_that_is_not_plain_yaml_is_refused(void **state)
{
    static const wrong_text rows[] = {
        { "", "p.yaml:1:1: the profile is empty; it needs at least model: PATH" },
        { "# only a comment\n", "p.yaml:1:1: the profile is empty; it needs at least model: PATH" },
        { "- model\n", "p.yaml:1:1: a profile is a map of keys, this is a list" },
        { "just text\n", "p.yaml:1:1: a profile is a map of keys, this is one value" },
        { "model: m\nmodel: n\n",
          "p.yaml:2:1: the key \"model\" is there twice, first at line 1; keep one" },
        { "model: &a m\n", "p.yaml:1:8: the anchor &a is not allowed; write the value out, or use "
                           "extends for what profiles share" },
        { "model: m\nkv: &k {format: f16}\n", "p.yaml:2:5: the anchor &k is not allowed; write the "
                                              "value out, or use extends for what profiles share" },
        { "model: m\nthreads: *a\n",
          "p.yaml:2:10: the alias *a is not allowed; write the value out" },
        { "model: m\nkv: {<<: {format: f16}}\n",
          "p.yaml:2:6: the merge key << is not allowed; use extends for what profiles share" },
        { "model: !!str m\n",
          "p.yaml:1:8: the tag \"tag:yaml.org,2002:str\" is not allowed; leave it out" },
        { "model: !m m\n", "p.yaml:1:8: the tag \"!m\" is not allowed; leave it out" },
        { "model: m\n---\nmodel: n\n",
          "p.yaml:2:1: a second document starts here; a profile is one" },
        { "model: m\n\tthreads: 1\n",
          "p.yaml:2:1: a tab where indentation belongs; indent with spaces" },
        { "model: m\nkv:\n\tformat: i8\n",
          "p.yaml:3:1: a tab where indentation belongs; indent with spaces" },
        { "model: m\nkv: {format: i8\n", "p.yaml:3:1: not YAML: did not find expected ',' or '}', "
                                         "while parsing a flow mapping that starts at line 2" },
        { "model: \"abc\n", "p.yaml:2:1: not YAML: found unexpected end of stream, while scanning "
                            "a quoted scalar that starts at line 1" },
        { "model: a: b\n", "p.yaml:1:9: not YAML: mapping values are not allowed in this context" },
        { "model: m\n  threads: 1\n",
          "p.yaml:2:10: not YAML: mapping values are not allowed in this context" },
        { "model: m\n\"\": x\n", "p.yaml:2:1: a key is empty" },
        { "model: m\n? [a]\n: b\n", "p.yaml:2:3: a key must be plain text, this is a list" },
        { "model: m\ngenerate: {stop: [\"a\\0b\"]}\n",
          "p.yaml:2:19: a text with a NUL character is not allowed" },
        { "model: m\ngenerate: {stop: [[[[[[[[[[a]]]]]]]]]]}\n",
          "p.yaml:2:24: nested deeper than 8 levels" },
        { "model: {a: ${X}}\n", "p.yaml:1:13: not YAML: did not find expected ',' or '}', while "
                                "parsing a flow mapping that starts at line 1" },
        { "model: m\nextends: base.yaml\n", "p.yaml:2:10: extends needs a profile that is a file" },
        { "%YAML 2.0\n---\nmodel: m\n", "p.yaml:1:1: not YAML: found incompatible YAML document" },
        { "model: @x\n", "p.yaml:1:8: not YAML: found character that cannot start any token, while "
                         "scanning for the next token that starts at line 1" },
        { "model: m\nbind: {\"\": cpu-ref}\n", "p.yaml:2:8: a key is empty" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void an_unknown_key_names_the_nearest_known_one(void **state)
{
    static const wrong_text rows[] = {
        { "model: m\nmodle: x\n", "p.yaml:2:1: unknown key \"modle\", did you mean \"model\"" },
        { "model: m\ntemperature: 1\n",
          "p.yaml:2:1: unknown key \"temperature\", did you mean \"generate.temperature\"" },
        { "model: m\nzzzzqqq: 1\n",
          "p.yaml:2:1: unknown key \"zzzzqqq\"; known: extends, model, device, plugins, fallback, "
          "bind, kv, batch, context, generate, threads, affinity, activations, cache, server, "
          "check, debug" },
        { "model: m\nkv:\n  fromat: i8\n",
          "p.yaml:3:3: unknown key \"fromat\" in kv, did you mean \"kv.format\"" },
        { "model: m\ngenerate: {top_p: 1,5}\n",
          "p.yaml:2:21: unknown key \"5\" in generate; known: temperature, top_p, top_k, min_p, "
          "repetition_penalty, presence_penalty, frequency_penalty, min_tokens, ignore_eos, "
          "max_tokens, seed, stop" },
        { "model: m\nplugins: [{name: a, pth: /x}]\n",
          "p.yaml:2:21: unknown key \"pth\" in plugins[], did you mean \"plugins[].path\"" },
        { "model: m\nserver.port: 1\n",
          "p.yaml:2:1: unknown key \"server.port\"; keys are nested: write port inside server" },
        { "model: m\nplugins[]: a\n",
          "p.yaml:2:1: unknown key \"plugins[]\", did you mean \"plugins\"" },
        { "model: m\nkv.format: i8\n",
          "p.yaml:2:1: unknown key \"kv.format\"; keys are nested: write format inside kv" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void a_wrong_value_is_told_what_is_allowed(void **state)
{
    static const wrong_text rows[] = {
        { "model: m\nkv: {format: i9}\n",
          "p.yaml:2:14: kv.format is \"i9\"; allowed: f32, f16, i8, i8-static, or a plugin's own "
          "vendor/name; did you mean \"i8\"" },
        { "model: m\nkv: {format: fp16}\n",
          "p.yaml:2:14: kv.format is \"fp16\"; allowed: f32, f16, i8, i8-static, or a plugin's own "
          "vendor/name; did you mean \"f16\"" },
        { "model: m\nkv: {format: /x}\n", "p.yaml:2:14: kv.format is \"/x\"; allowed: f32, f16, "
                                          "i8, i8-static, or a plugin's own vendor/name" },
        { "model: m\nkv: {block_tokens: 24}\n",
          "p.yaml:2:20: kv.block_tokens is \"24\"; allowed: 16, 32, 64, 128" },
        { "model: m\nkv: {block_tokens: \"64\"}\n",
          "p.yaml:2:20: kv.block_tokens is text, \"64\"; write it without quotes" },
        { "model: m\nkv: {memory: 2GB}\n",
          "p.yaml:2:14: kv.memory is \"2GB\"; allowed: auto, a share of what is free such as 80%, "
          "or a size such as 512MiB or 2GiB" },
        { "model: m\nkv: {memory: 101%}\n",
          "p.yaml:2:14: kv.memory is \"101%\"; allowed: auto, a share of what is free such as 80%, "
          "or a size such as 512MiB or 2GiB" },
        { "model: m\nkv: {memory: 1024}\n",
          "p.yaml:2:14: kv.memory is \"1024\"; allowed: auto, a share of what is free such as 80%, "
          "or a size such as 512MiB or 2GiB" },
        { "model: m\nkv: {memory: 99999999999TiB}\n",
          "p.yaml:2:14: kv.memory is \"99999999999TiB\"; allowed: auto, a share of what is free "
          "such as 80%, or a size such as 512MiB or 2GiB" },
        { "model: m\nkv: {prefix_cache: yes}\n",
          "p.yaml:2:20: kv.prefix_cache is \"yes\"; allowed: true, false" },
        { "model: m\nkv: {prefix_cache: \"true\"}\n",
          "p.yaml:2:20: kv.prefix_cache is text, \"true\"; write it without quotes" },
        { "model: m\nkv: i8\n", "p.yaml:2:5: kv is \"i8\"; allowed: a map of format, block_tokens, "
                                "memory, prefix_cache, params" },
        { "model: m\nkv: [i8]\n", "p.yaml:2:5: kv is a list; allowed: a map of format, "
                                  "block_tokens, memory, prefix_cache, params" },
        { "model: m\nkv:\n",
          "p.yaml:2:4: kv is without a value (leave the key out for its default); allowed: a map "
          "of format, block_tokens, memory, prefix_cache, params" },
        { "model: m\nkv: {format: }\n",
          "p.yaml:2:14: kv.format is without a value (leave the key out for its default); allowed: "
          "f32, f16, i8, i8-static, or a plugin's own vendor/name" },
        { "model: m\nkv: {format: ~}\n",
          "p.yaml:2:14: kv.format is without a value (leave the key out for its default); allowed: "
          "f32, f16, i8, i8-static, or a plugin's own vendor/name" },
        { "model: m\nkv: {format: {a: b}}\n", "p.yaml:2:14: kv.format is a map; allowed: f32, f16, "
                                              "i8, i8-static, or a plugin's own vendor/name" },
        { "model: m\nkv: {format: i8-static}\n",
          "p.yaml:2:14: kv.format i8-static needs kv.params, the file that tenon calibrate "
          "writes" },
        { "model: m\nbatch: {max_sequences: 8, max_tokens: 7}\n",
          "p.yaml:2:39: batch.max_tokens 7 is less than batch.max_sequences 8; a step takes at "
          "least one token of each sequence" },
        { "model: m\nbatch: {max_sequences: 0}\n",
          "p.yaml:2:24: batch.max_sequences is \"0\"; allowed: a whole number 1 to 4096" },
        { "model: m\nbatch: {max_sequences: 12x}\n",
          "p.yaml:2:24: batch.max_sequences is \"12x\"; allowed: a whole number 1 to 4096" },
        { "model: m\nbatch: {max_sequences: 010}\n",
          "p.yaml:2:24: batch.max_sequences is \"010\"; allowed: a whole number 1 to 4096" },
        { "model: m\nbatch: {max_sequences: 1.5}\n",
          "p.yaml:2:24: batch.max_sequences is \"1.5\"; allowed: a whole number 1 to 4096" },
        { "model: m\nbatch: {max_sequences: 0x10}\n",
          "p.yaml:2:24: batch.max_sequences is \"0x10\"; allowed: a whole number 1 to 4096" },
        { "model: m\nbatch: {max_sequences: 99999999999999999999}\n",
          "p.yaml:2:24: batch.max_sequences is \"99999999999999999999\"; allowed: a whole number 1 "
          "to 4096" },
        { "model: m\nbatch: {max_sequences: \"8\"}\n",
          "p.yaml:2:24: batch.max_sequences is text, \"8\"; write it without quotes" },
        { "model: m\ngenerate: {temperature: -1}\n",
          "p.yaml:2:25: generate.temperature is \"-1\"; allowed: a number 0 to 100" },
        { "model: m\ngenerate: {temperature: .nan}\n",
          "p.yaml:2:25: generate.temperature is \".nan\"; allowed: a number 0 to 100" },
        { "model: m\ngenerate: {temperature: .5}\n",
          "p.yaml:2:25: generate.temperature is \".5\"; allowed: a number 0 to 100" },
        { "model: m\ngenerate: {temperature: 1e999}\n",
          "p.yaml:2:25: generate.temperature is \"1e999\"; allowed: a number 0 to 100" },
        { "model: m\ngenerate: {seed: -1}\n", "p.yaml:2:18: generate.seed is \"-1\"; allowed: auto "
                                              "or a whole number 0 to 18446744073709551615" },
        { "model: m\ngenerate: {stop: END}\n",
          "p.yaml:2:18: generate.stop is \"END\"; allowed: a list of texts such as [\"END\"]" },
        { "model: m\ngenerate: {stop: [\"\"]}\n",
          "p.yaml:2:19: generate.stop is empty; allowed: a list of texts such as [\"END\"]" },
        { "model: m\ngenerate: {stop: [[a]]}\n",
          "p.yaml:2:19: generate.stop is a list; allowed: a list of texts such as [\"END\"]" },
        { "model: m\nactivations: fp16\n",
          "p.yaml:2:14: activations is \"fp16\"; allowed: auto, f16, bf16; did you mean \"f16\"" },
        { "model: m\ndevice: cuda:x\n", "p.yaml:2:9: device is \"cuda:x\"; allowed: cpu, or a "
                                        "device and its index such as cuda or cuda:1" },
        { "model: m\ndevice: cpu:1\n", "p.yaml:2:9: device is \"cpu:1\"; allowed: cpu, or a device "
                                       "and its index such as cuda or cuda:1" },
        { "model: m\nthreads: 0\n",
          "p.yaml:2:10: threads is \"0\"; allowed: auto or a whole number 1 to 1024" },
        { "model: m\nthreads: many\n",
          "p.yaml:2:10: threads is \"many\"; allowed: auto or a whole number 1 to 1024" },
        { "model: \"\"\n", "p.yaml:1:8: model is empty; allowed: a path" },
        { "model: \"a\\nb\"\nthreads: \"x\\ny\"\n",
          "p.yaml:2:10: threads is text, \"x\\ny\"; write it without quotes" },
        { "threads: 1\n", "p.yaml: no model; give --model PATH, or write model: PATH in the "
                          "profile (a GGUF file or a Hugging Face directory)" },
        { "model: m\nserver: {port: 70000}\n",
          "p.yaml:2:16: server.port is \"70000\"; allowed: a whole number 0 to 65535" },
        { "model: m\ngenerate: {temperature: 1.0 junk}\n",
          "p.yaml:2:25: generate.temperature is \"1.0 junk\"; allowed: a number 0 to 100" },
        { "model: m\ncheck: {against: \"a b\"}\n",
          "p.yaml:2:18: check.against is \"a b\"; allowed: a plugin's name, or the path of a "
          "profile (with a / or ending in .yaml)" },
        { "model: m\nkv: {format: "
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n",
          "p.yaml:2:14: kv.format is \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\"; allowed: f32, "
          "f16, i8, i8-static, or a plugin's own vendor/name" },
        { "model: m\ngenerate: {seed: 18446744073709551616}\n",
          "p.yaml:2:18: generate.seed is \"18446744073709551616\"; allowed: auto or a whole number "
          "0 to 18446744073709551615" },
        { "model: m\nkv:\n  ? format\n  : {}\n",
          "p.yaml:4:5: kv.format is a map; allowed: f32, f16, i8, i8-static, or a plugin's own "
          "vendor/name" },
        { "model: m\ncontext: {length: 0}\n", "p.yaml:2:19: context.length is \"0\"; allowed: auto "
                                              "or a whole number 1 to 16777216 tokens" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void a_wrong_plugin_list_is_refused(void **state)
{
    static const wrong_text rows[] = {
        { "model: m\nplugins: cpu-ref\n",
          "p.yaml:2:10: plugins is \"cpu-ref\"; allowed: a list such as [cpu-simd, cpu-ref]" },
        { "model: m\nplugins: []\n",
          "p.yaml:2:10: plugins is empty; allowed: a list such as [cpu-simd, cpu-ref]" },
        { "model: m\nplugins: [cpu-ref, cpu-ref]\n",
          "p.yaml:2:20: plugins has cpu-ref twice; keep one" },
        { "model: m\nplugins: [../cpu-ref.so]\n",
          "p.yaml:2:11: plugins[].path is \"../cpu-ref.so\"; allowed: an absolute path" },
        { "model: m\nplugins: [{path: rel.so}]\n",
          "p.yaml:2:18: plugins[].path is \"rel.so\"; allowed: an absolute path" },
        { "model: m\nplugins: [{options: {a: b}}]\n",
          "p.yaml:2:11: plugins is a plugin without name and path; allowed: a list such as "
          "[cpu-simd, cpu-ref]" },
        { "model: m\nplugins: [{name: a, sha256: abc}]\n",
          "p.yaml:2:29: plugins[].sha256 is \"abc\"; allowed: 64 hexadecimal digits" },
        { "model: m\nplugins: [{name: a, options: [x]}]\n",
          "p.yaml:2:30: plugins[].options is a list; allowed: a map of texts such as {isa: avx2}" },
        { "model: m\nplugins: [ \"a b\" ]\n", "p.yaml:2:12: plugins[].name is \"a b\"; allowed: a "
                                              "plugin's name (letters, digits, . _ -)" },
        { "model: m\nplugins:\n  -\n",
          "p.yaml:3:4: plugins[].name is without a value (leave the key out for its default); "
          "allowed: a plugin's name (letters, digits, . _ -)" },
        { "model: m\nfallback: /x/y.so\n", "p.yaml:2:11: fallback is \"/x/y.so\"; allowed: none or "
                                           "a plugin's name (letters, digits, . _ -)" },
        { "model: m\nbind: [a]\n",
          "p.yaml:2:7: bind is a list; allowed: a map such as {\"layer.0.*\": cpu-ref}" },
        { "model: m\nbind: {\"layer.*\": 'x y'}\n",
          "p.yaml:2:19: bind is \"x y\"; allowed: a plugin's name (letters, digits, . _ -)" },
        { "model: m\nplugins: [\"\"]\n", "p.yaml:2:11: plugins[].name is empty; allowed: a "
                                         "plugin's name (letters, digits, . _ -)" },
        { "model: m\nplugins: [{name: cpu-ref, required: 1}]\n",
          "p.yaml:2:37: plugins[].required is \"1\"; allowed: true, false" },
        { "model: m\nplugins: [/x/.so]\n", "p.yaml:2:11: plugins[].name is \"/x/.so\"; allowed: a "
                                           "plugin's name (letters, digits, . _ -)" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void rope_scaling_must_fit_its_type(void **state)
{
    static const wrong_text rows[] = {
        { "model: m\ncontext: {rope_scaling: dynamik}\n",
          "p.yaml:2:25: context.rope_scaling.type is \"dynamik\"; allowed: none, linear, dynamic, "
          "yarn, llama3, longrope, model; did you mean \"dynamic\"" },
        { "model: m\ncontext: {rope_scaling: dynamic}\n",
          "p.yaml:2:25: context.rope_scaling.type dynamic needs a factor: {type: dynamic, factor: "
          "2.0}" },
        { "model: m\ncontext: {rope_scaling: {factor: 2.0}}\n",
          "p.yaml:2:34: context.rope_scaling.factor is not for type model; leave it out, or choose "
          "another type" },
        { "model: m\ncontext: {rope_scaling: {type: linear, factor: 2, beta_fast: 3}}\n",
          "p.yaml:2:62: context.rope_scaling.beta_fast is not for type linear; leave it out, or "
          "choose another type" },
        { "model: m\ncontext: {rope_scaling: {type: linear, facto: 2}}\n",
          "p.yaml:2:40: unknown key \"facto\" in context.rope_scaling, did you mean "
          "\"context.rope_scaling.factor\"" },
        { "model: m\ncontext: {rope_scaling: }\n",
          "p.yaml:2:25: context.rope_scaling is without a value (leave the key out for its "
          "default); allowed: a type, or a map of type, factor, original_length, low_freq_factor, "
          "high_freq_factor, beta_fast, beta_slow, attention_factor" },
        { "model: m\ncontext: {rope_scaling: [none]}\n",
          "p.yaml:2:25: context.rope_scaling is a list; allowed: a type, or a map of type, factor, "
          "original_length, low_freq_factor, high_freq_factor, beta_fast, beta_slow, "
          "attention_factor" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void an_environment_reference_must_be_whole_and_set(void **state)
{
    static const wrong_text rows[] = {
        { "model: ${NOT_SET_ANYWHERE}/x\n",
          "p.yaml:1:8: the environment variable NOT_SET_ANYWHERE is not set; set it, or write "
          "${NOT_SET_ANYWHERE:-text} to give a value for that case" },
        { "model: ${1X}\n", "p.yaml:1:8: a reference to the environment is ${NAME} or "
                            "${NAME:-text}; write $${ for a plain ${" },
        { "model: ${X\n", "p.yaml:1:8: a reference to the environment is ${NAME} or ${NAME:-text}; "
                          "write $${ for a plain ${" },
        { "model: m\nkv: {params: \"x\\ty${\"}\n",
          "p.yaml:2:14: a reference to the environment is ${NAME} or ${NAME:-text}; write $${ for "
          "a plain ${" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void bytes_that_are_not_utf8_are_refused_with_their_place(void **state)
{
    static const wrong_text rows[] = {
        { "model: m\nthreads: \xff\n",
          "p.yaml:2:10: byte 0xff is not UTF-8; save the file as UTF-8" },
        { "# \xc3\xa4\xe2\x82\xac \xc3",
          "p.yaml:1:6: byte 0xc3 is not UTF-8; save the file as UTF-8" },
        { "a: \xc0\x80", "p.yaml:1:4: byte 0xc0 is not UTF-8; save the file as UTF-8" },
        { "a: \xe0\x80\x80", "p.yaml:1:4: byte 0xe0 is not UTF-8; save the file as UTF-8" },
        { "a: \xed\xa0\x80", "p.yaml:1:4: byte 0xed is not UTF-8; save the file as UTF-8" },
        { "a: \xf4\x90\x80\x80", "p.yaml:1:4: byte 0xf4 is not UTF-8; save the file as UTF-8" },
        { "model: \x01", "p.yaml:1:8: control character 0x01 is not allowed" },
        { "\xff\xfem\0", "p.yaml:1:1: byte 0xff is not UTF-8; save the file as UTF-8" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void a_nul_byte_and_a_text_that_is_too_large_are_refused(void **state)
{
    enum { LARGE = (1 << 20) + 1 };
    tn_error err = { 0 };
    char *large = tn_alloc(LARGE);

    (void)state;
    assert_non_null(large);
    memset(large, '#', LARGE);

    assert_int_equal(load_text("a: \0b", 5, &err), TN_INVALID);
    assert_string_equal(err.text, "p.yaml:1:4: control character 0x00 is not allowed");
    assert_int_equal(load_text(large, LARGE, &err), TN_INVALID);
    assert_string_equal(err.text, "p.yaml:1:1: 1048577 bytes; a profile has at most 1048576");
    tn_free(large);
}

static void more_than_1024_entries_are_refused(void **state)
{
    tn_strbuf b = TN_STRBUF(1 << 20);
    tn_error err = { 0 };

    (void)state;
    tn_strbuf_puts(&b, "model: m\nbind:\n");
    for (int i = 0; i < 1025; i++)
        tn_strbuf_printf(&b, " n%d: cpu-ref\n", i);

    assert_int_equal(load_text(tn_strbuf_text(&b), b.len, &err), TN_INVALID);
    assert_string_equal(err.text, "p.yaml:1027:9: more than 1024 entries; that is too many");
    tn_strbuf_deinit(&b);
}

static void a_shown_value_is_cut_between_characters_and_has_no_control_characters(void **state)
{
    static const wrong_text rows[] = {
        { "model: m\nthreads: "
          "x\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
          "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3"
          "\xa4",
          "p.yaml:2:10: threads is "
          "\"x\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
          "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
          "...\"; allowed: auto or a whole number 1 to 1024" },
        { "model: m\nactivations: \"\\e[31m\\n\\t\\x7f\"\n",
          "p.yaml:2:14: activations is \"\\x1b[31m\\n\\t\\x7f\"; allowed: auto, f16, bf16" },
    };

    (void)state;
    CHECK_TABLE(rows);
}

static void a_message_keeps_the_end_of_a_very_long_file_name(void **state)
{
    char path[400];
    tn_error err = { 0 };
    tn_profile *p;

    (void)state;
    memset(path, 'd', sizeof(path));
    memcpy(path + sizeof(path) - 8, "/p.yaml", 8);
    tn_profile_options o = { .path = path, .text = "model: 1\nthreads: x\n", .n_text = 20 };

    assert_int_equal(tn_profile_load(&o, &p, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "d/p.yaml:2:10: threads is \"x\"; allowed: auto or"));
    assert_null(p);
}

static void a_wrong_set_is_told_by_its_key(void **state)
{
    static const wrong_text rows[] = {
        { "kv.format=i9", "--set kv.format: kv.format is \"i9\"; allowed: f32, f16, i8, i8-static, "
                          "or a plugin's own "
                          "vendor/name; did you mean \"i8\"" },
        { "kv.fromat=i8", "--set: unknown key \"fromat\" in kv, did you mean \"kv.format\"" },
        { "temperature=1",
          "--set: unknown key \"temperature\", did you mean \"generate.temperature\"" },
        { "threads", "--set: \"threads\"; write KEY=VALUE, such as kv.format=i8" },
        { "=1", "--set: \"=1\"; write KEY=VALUE, such as kv.format=i8" },
        { "threads=",
          "--set threads: threads is without a value (leave the key out for its default); "
          "allowed: auto or a whole number 1 to 1024" },
        { "threads=two",
          "--set threads: threads is \"two\"; allowed: auto or a whole number 1 to 1024" },
        { "extends=x.yaml", "--set extends: extends belongs in a profile file" },
        { "plugins[].name=x",
          "--set: unknown key \"plugins[].name\"; known: extends, model, device, plugins, "
          "fallback, bind, kv, "
          "batch, context, generate, threads, affinity, activations, cache, server, check, debug" },
        { "bind.=cpu-ref", "--set bind.: a key is empty" },
        { "bind.x=", "--set bind.x: bind is without a value (leave the key out for its default); "
                     "allowed: a plugin's name (letters, digits, . _ -)" },
        { "kv=i8", "--set kv: kv is \"i8\"; allowed: a map of format, block_tokens, memory, "
                   "prefix_cache, params" },
        { "kv={format: i8", "--set kv: not YAML: did not find expected ',' or '}'" },
        { "kv=", "--set kv: no value; write KEY=VALUE" },
        { "model=\xff", "--set: byte 0xff is not UTF-8; save the file as UTF-8" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tn_profile_options o = { .model = "m", .sets = &rows[i].text, .n_sets = 1 };
        tn_error err = { 0 };
        tn_profile *p;

        tn_status st = tn_profile_load(&o, &p, &err);

        if (st != TN_INVALID || strcmp(err.text, rows[i].message) != 0)
            fail_msg("--set %s\nstatus %d, said: %s\nexpected:  %s", rows[i].text, st, err.text,
                     rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_that_is_not_plain_yaml_is_refused),
        cmocka_unit_test(an_unknown_key_names_the_nearest_known_one),
        cmocka_unit_test(a_wrong_value_is_told_what_is_allowed),
        cmocka_unit_test(a_wrong_plugin_list_is_refused),
        cmocka_unit_test(rope_scaling_must_fit_its_type),
        cmocka_unit_test(an_environment_reference_must_be_whole_and_set),
        cmocka_unit_test(bytes_that_are_not_utf8_are_refused_with_their_place),
        cmocka_unit_test(a_nul_byte_and_a_text_that_is_too_large_are_refused),
        cmocka_unit_test(more_than_1024_entries_are_refused),
        cmocka_unit_test(a_shown_value_is_cut_between_characters_and_has_no_control_characters),
        cmocka_unit_test(a_message_keeps_the_end_of_a_very_long_file_name),
        cmocka_unit_test(a_wrong_set_is_told_by_its_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
