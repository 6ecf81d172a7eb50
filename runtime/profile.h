/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run profile: a YAML file that names the model, the plugins in order of preference, the KV
 * cache and the limits. One table of keys (profile_schema.c) holds type, range, default and text of
 * each; docs/profile.md is generated from it.
 *
 *     tn_profile *p;
 *     tn_profile_options o = { .path = "configs/demo.yaml", .sets = sets, .n_sets = n };
 *     tn_status st = tn_profile_load(&o, &p, &err);
 */
#ifndef TN_RUNTIME_PROFILE_H
#define TN_RUNTIME_PROFILE_H

#include "core/base/status.h"
#include "core/base/strbuf.h"
#include "core/graph/model_desc.h"
#include "core/plugin/plugin_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values of tn_profile_rope.type: TN_ROPE_SCALING_* or this, "as the model file says". */
enum { TN_PROFILE_ROPE_MODEL = TN_ROPE_SCALING_LONGROPE + 1 };
enum { TN_PROFILE_ACTIVATIONS_AUTO = 0, TN_PROFILE_ACTIVATIONS_F16, TN_PROFILE_ACTIVATIONS_BF16 };
enum { TN_PROFILE_AFFINITY_NONE = 0, TN_PROFILE_AFFINITY_CORES };
enum { TN_PROFILE_MEMORY_AUTO = 0, TN_PROFILE_MEMORY_PERCENT, TN_PROFILE_MEMORY_BYTES };

typedef struct tn_profile_plugin {
    const char *name; /* never NULL; from the path's last part when only a path is given */
    const char *path; /* absolute path of the .so, or NULL: look for name in the plugin directory */
    const char *sha256; /* 64 lower-case hex digits, or NULL */
    bool required;      /* a skip of this plugin is an error */
    const tn_option *options;
    size_t n_options;
    const char *where; /* "file:line:col" (or "--set ..."), for messages */
} tn_profile_plugin;

typedef struct tn_profile_bind {
    const char *glob, *plugin;
    const char *where;
} tn_profile_bind;

/* name is "cpu" for the host, otherwise a domain ("cuda", "cuda-sim"); raw is the text as given
 * ("cuda:1"). */
typedef struct tn_profile_device {
    const char *name, *raw;
    int32_t index;
} tn_profile_device;

typedef struct tn_profile_size {
    int32_t kind;    /* TN_PROFILE_MEMORY_* */
    int32_t percent; /* 1..100 of what is free */
    uint64_t bytes;
} tn_profile_size;

/* A 0 in any number means "not given": the model's value or the scheme's usual default. */
typedef struct tn_profile_rope {
    int32_t type; /* TN_ROPE_SCALING_* or TN_PROFILE_ROPE_MODEL */
    int32_t original_length;
    float factor, low_freq_factor, high_freq_factor;
    float beta_fast, beta_slow, attention_factor;
} tn_profile_rope;

typedef struct tn_profile_kv {
    const char *format; /* f32 f16 i8 i8-static, or a plugin's own "vendor/name" */
    int32_t block_tokens;
    tn_profile_size memory;
    bool prefix_cache;
    const char *params; /* resolved path of the calibration file, or NULL */
} tn_profile_kv;

typedef struct tn_profile_batch {
    int32_t max_sequences, max_tokens;
    int32_t max_chunk; /* prompt tokens of one sequence in one step; 0 = no limit but max_tokens */
} tn_profile_batch;

typedef struct tn_profile_context {
    int32_t length; /* 0 = auto: the model's own (times the rope factor, where one is given) */
    tn_profile_rope rope_scaling;
} tn_profile_context;

typedef struct tn_profile_generate {
    float temperature, top_p, min_p;
    float repetition_penalty, presence_penalty, frequency_penalty;
    int32_t top_k, min_tokens, max_tokens;
    bool ignore_eos;
    bool seed_auto; /* draw a seed for each request */
    uint64_t seed;
    const char *const *stop;
    size_t n_stop;
} tn_profile_generate;

typedef struct tn_profile_cache {
    bool enabled;
    tn_profile_size limit; /* a share counts what the cache's file system has free */
} tn_profile_cache;

typedef struct tn_profile_server {
    const char *host;
    int32_t port;
} tn_profile_server;

/* Every string is owned by the profile. Immutable after load, so any thread may read it. */
typedef struct tn_profile {
    const char *source; /* path of the profile file as given, or "default" */
    const char *model;  /* resolved path, never NULL */
    tn_profile_device device;
    const tn_profile_plugin *plugins; /* in order of preference, names unique, at least one */
    size_t n_plugins;
    const char *fallback; /* plugin name, or "none" */
    /* In file order, those of extended profiles last; the first glob that matches a node wins. */
    const tn_profile_bind *bind;
    size_t n_bind;
    tn_profile_kv kv;
    tn_profile_batch batch;
    tn_profile_context context;
    tn_profile_generate generate;
    int32_t threads;        /* 0 = auto */
    int32_t affinity;       /* TN_PROFILE_AFFINITY_* */
    int32_t activations;    /* TN_PROFILE_ACTIVATIONS_* */
    tn_profile_cache cache; /* of packed weights, on disk */
    tn_profile_server server;
    const char *check_against;       /* plugin name, or resolved path of a profile */
    int32_t debug_max_layers;        /* 0 = all */
    struct tn_profile_private *priv; /* memory and origins */
} tn_profile;

/* What to load. All may be absent but the model, which comes from one of them. */
typedef struct tn_profile_options {
    const char *path; /* profile file; NULL = the default profile of the table */
    const char *text; /* not NULL: the profile itself, n_text bytes; path only names it and
                         `extends` is refused */
    size_t n_text;
    const char
        *model; /* --model: counts more than the profile's, relative to the working directory */
    const char *const
        *sets; /* --set: "key.path=value", applied in order, relative to the working directory */
    size_t n_sets;
} tn_profile_options;

/**
 * Read a profile with what it extends, apply sets, check everything.
 *
 * Errors: TN_INVALID "file:line:col: what is wrong, what is allowed, did you mean"; TN_NO_MEMORY.
 * Owns: *out_profile is the caller's (tn_profile_destroy). Thread: any; reads the environment for
 * ${VAR}.
 */
tn_status tn_profile_load(const tn_profile_options *options, tn_profile **out_profile,
                          tn_error *err) TN_MUST_USE;
void tn_profile_destroy(tn_profile *profile);

/** Where the value of a key ("kv.format") came from: "file:line:col", "--set ...", "--model" or
 * "default". Borrowed from profile. */
const char *tn_profile_where(const tn_profile *profile, const char *key);

/** Append docs/profile.md, made from the table. */
void tn_profile_write_docs(tn_strbuf *out);
/** For the completion of shells: the keys that --set takes, with a space behind each, and a case of
 * a shell for each key that has choices: "kv.format) values="f32 f16" ;;". */
void tn_profile_write_keys(tn_strbuf *out);
void tn_profile_write_choices(tn_strbuf *out);

#endif
