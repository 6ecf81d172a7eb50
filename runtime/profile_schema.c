/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/profile_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define AT(field)        offsetof(tn_profile, field)
#define PLUGIN_AT(field) offsetof(tn_profile_plugin, field)
#define MAX_INT          2147483647.0

static const char *const kv_formats[] = { "f32", "f16", "i8", "i8-static", NULL };
static const char *const block_tokens[] = { "16", "32", "64", "128", NULL };
/* The index of a name is its TN_ROPE_SCALING_* (TN_PROFILE_ROPE_MODEL) value. */
static const char *const rope_types[] = { "none",   "linear",   "dynamic", "yarn",
                                          "llama3", "longrope", "model",   NULL };
static const char *const affinities[] = { "none", "cores", NULL };
static const char *const activations[] = { "auto", "f16", "bf16", NULL };

static_assert(TN_ROPE_SCALING_NONE == 0 && TN_ROPE_SCALING_LINEAR == 1 &&
                  TN_ROPE_SCALING_DYNAMIC == 2 && TN_ROPE_SCALING_YARN == 3 &&
                  TN_ROPE_SCALING_LLAMA3 == 4 && TN_ROPE_SCALING_LONGROPE == 5 &&
                  TN_PROFILE_ROPE_MODEL == 6,
              "rope_types is in the order of the enum");

const tn_profile_key tn_profile_keys[] = {
    { .path = "extends",
      .type = TN_KEY_EXTENDS,
      .help = "another profile that this one builds on; keys here count more" },
    { .path = "model",
      .type = TN_KEY_PATH,
      .offset = AT(model),
      .help = "the model: a GGUF file or a Hugging Face directory; required here or as --model" },
    { .path = "device",
      .type = TN_KEY_DEVICE,
      .offset = AT(device),
      .fallback = "cpu",
      .help = "where the model runs; a device is provided by the plugin of its name" },
    { .path = "plugins",
      .type = TN_KEY_PLUGINS,
      .fallback = "[cpu-simd, cpu-ref]",
      .help = "backend plugins in order of preference: names, absolute paths, or maps with the "
              "keys below" },
    { .path = "plugins[].name",
      .type = TN_KEY_PLUGIN_NAME,
      .offset = PLUGIN_AT(name),
      .help = "file name in the plugin directory, without .so; taken from path when left out" },
    { .path = "plugins[].path",
      .type = TN_KEY_PLUGIN_PATH,
      .offset = PLUGIN_AT(path),
      .help = "the file to load instead of the one in the plugin directory" },
    { .path = "plugins[].sha256",
      .type = TN_KEY_SHA256,
      .offset = PLUGIN_AT(sha256),
      .help = "refuse the file when its SHA-256 differs" },
    { .path = "plugins[].required",
      .type = TN_KEY_BOOL,
      .offset = PLUGIN_AT(required),
      .fallback = "false",
      .help = "make it an error when this plugin cannot be used on this machine, instead of going "
              "on to the next" },
    { .path = "plugins[].options",
      .type = TN_KEY_OPTIONS,
      .help = "options of the plugin's own, each a name and a text" },
    { .path = "fallback",
      .type = TN_KEY_PLUGIN_NAME,
      .offset = AT(fallback),
      .word = "none",
      .fallback = "none",
      .help = "host plugin that runs the nodes no listed plugin supports, and the whole graph when "
              "the device is absent" },
    { .path = "bind",
      .type = TN_KEY_BIND,
      .help = "node paths (with * and ?) to the plugin that must run them; the first match counts, "
              "a later profile's before the one it extends" },

    { .path = "kv", .type = TN_KEY_SECTION, .help = "The cache of keys and values." },
    { .path = "kv.format",
      .type = TN_KEY_KV_FORMAT,
      .offset = AT(kv.format),
      .allowed = kv_formats,
      .fallback = "f16",
      .help = "how keys and values are stored; i8 quantises as it writes, i8-static with the "
              "numbers of kv.params" },
    { .path = "kv.block_tokens",
      .type = TN_KEY_ENUM_INT,
      .offset = AT(kv.block_tokens),
      .allowed = block_tokens,
      .unit = "tokens",
      .fallback = "64",
      .help = "size of a cache block, also the grain of prefix reuse" },
    { .path = "kv.memory",
      .type = TN_KEY_SIZE,
      .offset = AT(kv.memory),
      .word = "auto",
      .fallback = "auto",
      .help = "memory for the cache; auto is what the device has left, or on the host "
              "max_sequences times the context, at most a quarter of free memory" },
    { .path = "kv.prefix_cache",
      .type = TN_KEY_BOOL,
      .offset = AT(kv.prefix_cache),
      .fallback = "true",
      .help = "reuse the cache of equal prompt beginnings" },
    { .path = "kv.params",
      .type = TN_KEY_PATH,
      .offset = AT(kv.params),
      .help = "scales and zero points for i8-static, made by tenon calibrate" },

    { .path = "batch", .type = TN_KEY_SECTION, .help = "Limits of one step." },
    { .path = "batch.max_sequences",
      .type = TN_KEY_INT,
      .offset = AT(batch.max_sequences),
      .min = 1,
      .max = 4096,
      .fallback = "64",
      .help = "sequences that run together" },
    { .path = "batch.max_tokens",
      .type = TN_KEY_INT,
      .offset = AT(batch.max_tokens),
      .min = 1,
      .max = 1048576,
      .unit = "tokens",
      .fallback = "2048",
      .help = "prompt and new tokens in one step; sizes the workspace" },
    { .path = "batch.max_chunk",
      .type = TN_KEY_INT,
      .offset = AT(batch.max_chunk),
      .min = 0,
      .max = 1048576,
      .unit = "tokens",
      .fallback = "0",
      .help = "prompt tokens of one sequence in one step; 0 for no limit but max_tokens" },

    { .path = "context", .type = TN_KEY_SECTION, .help = "How long a sequence may be." },
    { .path = "context.length",
      .type = TN_KEY_INT,
      .offset = AT(context.length),
      .min = 1,
      .max = 16777216,
      .unit = "tokens",
      .word = "auto",
      .fallback = "auto",
      .help = "longest sequence, prompt and answer together; auto is what the model was trained "
              "for, times the rope factor where one is given" },
    { .path = "context.rope_scaling",
      .type = TN_KEY_ROPE,
      .help = "stretching of the context: a type alone, or a map with the keys below" },
    { .path = "context.rope_scaling.type",
      .type = TN_KEY_ENUM,
      .offset = AT(context.rope_scaling.type),
      .allowed = rope_types,
      .fallback = "model",
      .help = "the scheme; model takes it from the model file" },
    { .path = "context.rope_scaling.factor",
      .type = TN_KEY_FLOAT,
      .offset = AT(context.rope_scaling.factor),
      .min = 1,
      .max = 1024,
      .help = "how much longer the context becomes; required by all types but model and none" },
    { .path = "context.rope_scaling.original_length",
      .type = TN_KEY_INT,
      .offset = AT(context.rope_scaling.original_length),
      .min = 1,
      .max = 16777216,
      .unit = "tokens",
      .word = "auto",
      .fallback = "auto",
      .help = "context before scaling (dynamic, yarn, llama3, longrope); auto is the model's" },
    { .path = "context.rope_scaling.low_freq_factor",
      .type = TN_KEY_FLOAT,
      .offset = AT(context.rope_scaling.low_freq_factor),
      .min = 0.001,
      .max = 1024,
      .help = "llama3 only" },
    { .path = "context.rope_scaling.high_freq_factor",
      .type = TN_KEY_FLOAT,
      .offset = AT(context.rope_scaling.high_freq_factor),
      .min = 0.001,
      .max = 1024,
      .help = "llama3 only" },
    { .path = "context.rope_scaling.beta_fast",
      .type = TN_KEY_FLOAT,
      .offset = AT(context.rope_scaling.beta_fast),
      .min = 0.001,
      .max = 1024,
      .help = "yarn only" },
    { .path = "context.rope_scaling.beta_slow",
      .type = TN_KEY_FLOAT,
      .offset = AT(context.rope_scaling.beta_slow),
      .min = 0.001,
      .max = 1024,
      .help = "yarn only" },
    { .path = "context.rope_scaling.attention_factor",
      .type = TN_KEY_FLOAT,
      .offset = AT(context.rope_scaling.attention_factor),
      .min = 0.001,
      .max = 1024,
      .help = "yarn and longrope only" },

    { .path = "generate",
      .type = TN_KEY_SECTION,
      .help = "What a request gets when it does not say otherwise." },
    { .path = "generate.temperature",
      .type = TN_KEY_FLOAT,
      .offset = AT(generate.temperature),
      .min = 0,
      .max = 100,
      .fallback = "0.7",
      .help = "divides the logits; 0 takes the best token always" },
    { .path = "generate.top_p",
      .type = TN_KEY_FLOAT,
      .offset = AT(generate.top_p),
      .min = 0.0001,
      .max = 1,
      .fallback = "0.95",
      .help = "keep the best tokens until their probabilities add up to this; 1 keeps all" },
    { .path = "generate.top_k",
      .type = TN_KEY_INT,
      .offset = AT(generate.top_k),
      .min = 0,
      .max = MAX_INT,
      .fallback = "0",
      .help = "keep this many of the best tokens; 0 keeps all" },
    { .path = "generate.min_p",
      .type = TN_KEY_FLOAT,
      .offset = AT(generate.min_p),
      .min = 0,
      .max = 1,
      .fallback = "0",
      .help = "keep tokens at least this probable relative to the best; 0 keeps all" },
    { .path = "generate.repetition_penalty",
      .type = TN_KEY_FLOAT,
      .offset = AT(generate.repetition_penalty),
      .min = 0.01,
      .max = 100,
      .fallback = "1",
      .help = "makes tokens of prompt and answer less likely; 1 is off" },
    { .path = "generate.presence_penalty",
      .type = TN_KEY_FLOAT,
      .offset = AT(generate.presence_penalty),
      .min = -2,
      .max = 2,
      .fallback = "0",
      .help = "subtracted from the logits of tokens that the answer has" },
    { .path = "generate.frequency_penalty",
      .type = TN_KEY_FLOAT,
      .offset = AT(generate.frequency_penalty),
      .min = -2,
      .max = 2,
      .fallback = "0",
      .help = "the same for each time that the answer has the token" },
    { .path = "generate.min_tokens",
      .type = TN_KEY_INT,
      .offset = AT(generate.min_tokens),
      .min = 0,
      .max = MAX_INT,
      .unit = "tokens",
      .fallback = "0",
      .help = "nothing but max_tokens ends an answer before this many" },
    { .path = "generate.ignore_eos",
      .type = TN_KEY_BOOL,
      .offset = AT(generate.ignore_eos),
      .fallback = "false",
      .help = "go on after the model's end tokens" },
    { .path = "generate.max_tokens",
      .type = TN_KEY_INT,
      .offset = AT(generate.max_tokens),
      .min = 1,
      .max = MAX_INT,
      .unit = "tokens",
      .fallback = "512",
      .help = "longest answer" },
    { .path = "generate.seed",
      .type = TN_KEY_SEED,
      .word = "auto",
      .fallback = "auto",
      .help = "start of the random numbers; auto draws another for each request" },
    { .path = "generate.stop",
      .type = TN_KEY_TEXTS,
      .help = "texts that end an answer; they are not part of it" },

    { .path = "threads",
      .type = TN_KEY_INT,
      .offset = AT(threads),
      .min = 1,
      .max = 1024,
      .word = "auto",
      .fallback = "auto",
      .help = "threads of the host; auto is one for each physical core that the process may use, "
              "and no more than its cgroup's share of time pays for" },
    { .path = "affinity",
      .type = TN_KEY_ENUM,
      .offset = AT(affinity),
      .allowed = affinities,
      .fallback = "none",
      .help = "cores keeps each thread on a core of its own, for a machine without other work; "
              "with none the system may move them" },
    { .path = "activations",
      .type = TN_KEY_ENUM,
      .offset = AT(activations),
      .allowed = activations,
      .fallback = "auto",
      .help = "type of the values between nodes on a device; auto is the device's own; the host "
              "always uses f32" },

    { .path = "cache",
      .type = TN_KEY_SECTION,
      .help = "Packed weights on disk, so that the next start is immediate." },
    { .path = "cache.enabled",
      .type = TN_KEY_BOOL,
      .offset = AT(cache.enabled),
      .fallback = "true",
      .help = "map the packed weights of an earlier start, or keep those of this one" },
    { .path = "cache.limit",
      .type = TN_KEY_SIZE,
      .offset = AT(cache.limit),
      .word = "auto",
      .fallback = "auto",
      .help =
          "what the directory may hold in all; the least recently used go first; auto is 25% of "
          "what the disk has free" },

    { .path = "server", .type = TN_KEY_SECTION, .help = "`tenon serve`." },
    { .path = "server.host",
      .type = TN_KEY_TEXT,
      .offset = AT(server.host),
      .fallback = "127.0.0.1",
      .help = "address to listen on; anything but 127.0.0.1 opens the server to the network" },
    { .path = "server.port",
      .type = TN_KEY_INT,
      .offset = AT(server.port),
      .min = 0,
      .max = 65535,
      .fallback = "23333",
      .help = "TCP port; 0 takes a free one and prints it" },

    { .path = "check", .type = TN_KEY_SECTION, .help = "`tenon check`." },
    { .path = "check.against",
      .type = TN_KEY_REFERENCE,
      .offset = AT(check_against),
      .fallback = "cpu-ref",
      .help = "what the plugins of this profile are compared with" },

    { .path = "debug", .type = TN_KEY_SECTION, .help = "For tests." },
    { .path = "debug.max_layers",
      .type = TN_KEY_INT,
      .offset = AT(debug_max_layers),
      .min = 0,
      .max = 65536,
      .fallback = "0",
      .help = "run the first layers only, for cheap tests; 0 runs all" },
};
const size_t tn_profile_n_keys = sizeof(tn_profile_keys) / sizeof(tn_profile_keys[0]);
static_assert(sizeof(tn_profile_keys) / sizeof(tn_profile_keys[0]) < TN_PROFILE_MAX_KEYS,
              "arrays indexed by row, and lists of names with their NULL");

const tn_profile_key *tn_profile_key_find(const char *path)
{
    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        if (strcmp(tn_profile_keys[i].path, path) == 0)
            return &tn_profile_keys[i];
    }
    return NULL;
}

size_t tn_profile_key_names(const char *prefix, const char *names[TN_PROFILE_MAX_KEYS])
{
    size_t n = 0;
    size_t n_prefix = strlen(prefix);

    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        const char *rest = tn_profile_keys[i].path;
        if (strncmp(rest, prefix, n_prefix) != 0)
            continue;
        rest += n_prefix;
        if (n_prefix && *rest++ != '.')
            continue;
        if (!strpbrk(rest, ".["))
            names[n++] = rest;
    }
    names[n] = NULL;
    return n;
}

/* "a, b, c" into out, cut when it does not fit. */
static void list_names(const char *const *names, char *out, size_t n_out)
{
    size_t at = 0;

    out[0] = '\0';
    for (; *names && at < n_out; names++) {
        int n = snprintf(out + at, n_out - at, "%s%s", at ? ", " : "", *names);
        at += n > 0 ? (size_t)n : 0;
    }
}

static const char *section_prefix(const tn_profile_key *key)
{
    return key->type == TN_KEY_PLUGINS ? "plugins[]" : key->path;
}

static void describe_range(const tn_profile_key *key, const char *kind, char *out, size_t n_out)
{
    snprintf(out, n_out, "%s%s%s %.15g to %.15g%s%s", key->word ? key->word : "",
             key->word ? " or " : "", kind, key->min, key->max, key->unit ? " " : "",
             key->unit ? key->unit : "");
}

static void describe_list(const tn_profile_key *key, char *out, size_t n_out)
{
    const char *names[TN_PROFILE_MAX_KEYS];
    char list[TN_ALLOWED_BYTES - 40];

    if (key->allowed) {
        list_names(key->allowed, list, sizeof(list));
        snprintf(out, n_out, "%s%s", list,
                 key->type == TN_KEY_KV_FORMAT ? ", or a plugin's own vendor/name" : "");
        return;
    }
    tn_profile_key_names(section_prefix(key), names);
    list_names(names, list, sizeof(list));
    snprintf(out, n_out, "%sa map of %s", key->type == TN_KEY_ROPE ? "a type, or " : "", list);
}

static const char *const simple[TN_N_KEY_TYPES] = {
    [TN_KEY_EXTENDS] = "the path of a profile",
    [TN_KEY_TEXT] = "text",
    [TN_KEY_PATH] = "a path",
    [TN_KEY_PLUGIN_NAME] = "a plugin's name (letters, digits, . _ -)",
    [TN_KEY_PLUGIN_PATH] = "an absolute path",
    [TN_KEY_REFERENCE] = "a plugin's name, or the path of a profile (with a / or ending in .yaml)",
    [TN_KEY_SHA256] = "64 hexadecimal digits",
    [TN_KEY_DEVICE] = "cpu, or a device and its index such as cuda or cuda:1",
    [TN_KEY_BOOL] = "true, false",
    [TN_KEY_SEED] = "auto or a whole number 0 to 18446744073709551615",
    [TN_KEY_SIZE] = "auto, a share of what is free such as 80%, or a size such as 512MiB or 2GiB",
    [TN_KEY_TEXTS] = "a list of texts such as [\"END\"]",
    [TN_KEY_PLUGINS] = "a list such as [cpu-simd, cpu-ref]",
    [TN_KEY_BIND] = "a map such as {\"layer.0.*\": cpu-ref}",
    [TN_KEY_OPTIONS] = "a map of texts such as {isa: avx2}",
};

const char *tn_profile_key_allowed(const tn_profile_key *key, char out[TN_ALLOWED_BYTES])
{
    if (key->type == TN_KEY_INT)
        describe_range(key, "a whole number", out, TN_ALLOWED_BYTES);
    else if (key->type == TN_KEY_FLOAT)
        describe_range(key, "a number", out, TN_ALLOWED_BYTES);
    else if (key->type == TN_KEY_PLUGIN_NAME && key->word)
        snprintf(out, TN_ALLOWED_BYTES, "%s or %s", key->word, simple[TN_KEY_PLUGIN_NAME]);
    else if (simple[key->type])
        snprintf(out, TN_ALLOWED_BYTES, "%s", simple[key->type]);
    else
        describe_list(key, out, TN_ALLOWED_BYTES);
    return out;
}
