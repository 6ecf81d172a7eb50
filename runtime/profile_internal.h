/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the profile reader: YAML text -> nodes (profile_yaml.c) -> checked by the
 * table of keys (profile_schema.c, profile_apply.c) -> tn_profile. Thread: one thread at a time.
 */
#ifndef TN_RUNTIME_PROFILE_INTERNAL_H
#define TN_RUNTIME_PROFILE_INTERNAL_H

#include "core/base/arena.h"
#include "runtime/profile.h"

/* ---- nodes: what YAML can say in a profile ---- */

typedef struct tn_profile_mark {
    const char *file;
    int32_t line, col; /* from 1, col in characters; line 0: no position (--set) */
} tn_profile_mark;

enum { TN_NODE_SCALAR = 0, TN_NODE_MAP, TN_NODE_LIST };

typedef struct tn_profile_node {
    int8_t kind;
    bool quoted;      /* scalar in quotes or a block scalar */
    const char *key;  /* inside a map */
    const char *text; /* scalar */
    tn_profile_mark key_at, at;
    size_t n_children;
    struct tn_profile_node *child, *next;
} tn_profile_node;

enum {
    TN_PROFILE_MAX_BYTES = 1 << 20, /* of one profile file, and of one value after ${VAR} */
    TN_PROFILE_MAX_DEPTH = 8,       /* of nesting, and of extends */
    TN_PROFILE_MAX_ENTRIES = 1024,  /* of one map or list */
};

/**
 * Parse one YAML document of n bytes into nodes in `arena`; *out_root NULL when it is empty.
 * Refuses what a profile does not need: anchors, aliases, merge keys, tags, several documents,
 * duplicate keys. show_position 0: marks get line 0.
 */
tn_status tn_profile_yaml_parse(tn_arena *arena, const char *text, size_t n, tn_profile_mark origin,
                                tn_profile_node **out_root, tn_error *err) TN_MUST_USE;
/** Well-formed UTF-8 without control characters (but tab and line ends), or TN_INVALID at the first
 * bad byte. */
tn_status tn_profile_check_text(const char *text, size_t n, tn_profile_mark origin,
                                tn_error *err) TN_MUST_USE;

/** TN_INVALID with "file:line:col: formatted". */
tn_status tn_profile_fail(tn_error *err, const tn_profile_mark *at, const char *format, ...)
    TN_PRINTF(3, 4);
/** "file:line:col" into out; a very long file name keeps its end. */
void tn_profile_format_mark(const tn_profile_mark *at, char *out, size_t n_out);
/** A value as messages show it: in quotes, control characters escaped, cut at 40 bytes. */
enum { TN_SHOWN_BYTES = 64 };
const char *tn_profile_show(const char *text, char out[TN_SHOWN_BYTES]);

/* ---- the table of keys ---- */

enum {
    TN_KEY_SECTION = 0, /* a map of keys */
    TN_KEY_EXTENDS,     /* path of the profile below this one */
    TN_KEY_TEXT,        /* const char * */
    TN_KEY_PATH,        /* const char *, resolved */
    TN_KEY_PLUGIN_NAME, /* const char *; `word` is allowed too */
    TN_KEY_PLUGIN_PATH, /* const char *, absolute */
    TN_KEY_REFERENCE,   /* const char *: a plugin's name, or a resolved path of a profile */
    TN_KEY_SHA256,      /* const char * */
    TN_KEY_KV_FORMAT,   /* const char *: one of allowed, or vendor/name */
    TN_KEY_DEVICE,      /* tn_profile_device */
    TN_KEY_ENUM,        /* int32_t, index in allowed */
    TN_KEY_ENUM_INT,    /* int32_t, the number in allowed */
    TN_KEY_INT,         /* int32_t; `word` stands for 0 */
    TN_KEY_FLOAT,       /* float */
    TN_KEY_BOOL,        /* bool */
    TN_KEY_SEED,        /* bool, uint64_t: tn_profile_generate.seed_auto, .seed */
    TN_KEY_SIZE,        /* tn_profile_size */
    TN_KEY_TEXTS,       /* const char *const *, size_t: tn_profile_generate.stop, .n_stop */
    TN_KEY_PLUGINS,     /* tn_profile.plugins, .n_plugins */
    TN_KEY_BIND,        /* tn_profile.bind, .n_bind */
    TN_KEY_OPTIONS,     /* tn_profile_plugin.options, .n_options */
    TN_KEY_ROPE,        /* a section that also takes its type as one word */
    TN_N_KEY_TYPES
};

typedef struct tn_profile_key {
    const char *path; /* "kv.format"; "plugins[].name" for the maps in a list */
    int32_t type;     /* TN_KEY_* */
    size_t offset;    /* in tn_profile, or in tn_profile_plugin for plugins[] */
    double min, max;
    const char *unit;           /* or NULL */
    const char *word;           /* a word allowed besides the type, or NULL */
    const char *const *allowed; /* NULL-terminated, or NULL */
    const char *fallback;       /* the default as written in YAML, or NULL: not set */
    const char *help;           /* one sentence without period */
} tn_profile_key;

enum { TN_PROFILE_MAX_KEYS = 64, TN_KEY_PATH_BYTES = 96 };

extern const tn_profile_key tn_profile_keys[];
extern const size_t tn_profile_n_keys;

/** The row of a dotted path, or NULL. */
const tn_profile_key *tn_profile_key_find(const char *path);
/** Last parts of the keys right below `prefix` ("" for the top), in order, NULL-terminated; returns
 * how many. */
size_t tn_profile_key_names(const char *prefix, const char *names[TN_PROFILE_MAX_KEYS]);
/** What a key accepts, as docs and messages say it. */
enum { TN_ALLOWED_BYTES = 200 };
const char *tn_profile_key_allowed(const tn_profile_key *key, char out[TN_ALLOWED_BYTES]);

/* ---- scalars ---- */

/** Strict decimals: no sign but '-', no leading zero or '+', no trailing text. */
bool tn_profile_parse_int(const char *text, int64_t *out);
bool tn_profile_parse_u64(const char *text, uint64_t *out);
/** Digits with optional fraction and exponent, finite; independent of the locale. */
bool tn_profile_parse_float(const char *text, double *out);
/** "auto", "80%", "512MiB" (KiB MiB GiB TiB). */
bool tn_profile_parse_size(const char *text, tn_profile_size *out);
/** NAME[:N] into name (n_name bytes) and index. */
bool tn_profile_parse_device(const char *text, char *name, size_t n_name, int32_t *index);
/** A plugin's bare name: letters, digits, '.', '_', '-', at most 64, the first a letter or digit.
 */
bool tn_profile_is_name(const char *text);
/** Replace ${VAR}, ${VAR:-text} and $${; *out borrows text or lives in arena. */
tn_status tn_profile_expand(tn_arena *arena, const char *text, const tn_profile_mark *at,
                            const char **out, tn_error *err) TN_MUST_USE;

/* ---- nodes into the profile ---- */

typedef struct tn_profile_private {
    tn_arena memory;
    const char *where[TN_PROFILE_MAX_KEYS]; /* by row of the table; NULL: default */
} tn_profile_private;

typedef struct tn_profile_loader {
    tn_profile *profile;
    tn_arena nodes;
    const char *dir; /* relative paths of the current layer start here; NULL = working directory */
    bool command_line; /* the current layer is --set or --model */
    tn_error *err;
} tn_profile_loader;

/* profile_scalar.c */

/** "KEY is WHAT; allowed: ..., did you mean ...". */
tn_status tn_profile_fail_value(tn_profile_loader *l, const tn_profile_key *key,
                                const tn_profile_node *v, const char *what);
const char *tn_profile_kind_name(const tn_profile_node *v);
/** A plain nothing, ~ or null. */
bool tn_profile_is_null(const tn_profile_node *v);
/** The expanded text of a scalar that is not empty; borrowed from the loader's nodes. */
tn_status tn_profile_scalar_text(tn_profile_loader *l, const tn_profile_key *key,
                                 const tn_profile_node *v, const char **out) TN_MUST_USE;
/** Copy text into the profile's memory and a field of type const char *. */
tn_status tn_profile_store_text(tn_profile_loader *l, void *field, const char *text) TN_MUST_USE;
/** The two together. */
tn_status tn_profile_store_value(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                 const tn_profile_node *v) TN_MUST_USE;
/** As store_text, a relative path seen from the loader's directory. */
tn_status tn_profile_store_path(tn_profile_loader *l, void *field, const char *text) TN_MUST_USE;
bool tn_profile_type_is_scalar(int32_t type);
/** Check and store a key of a scalar type. */
tn_status tn_profile_apply_scalar(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                  const tn_profile_node *v) TN_MUST_USE;

/* profile_apply.c */

/** "unknown key WORD, did you mean ..." for the dotted path of a --set. */
tn_status tn_profile_fail_unknown_path(tn_profile_loader *l, const char *path);
/** Check the map of one file and store it over what is there. */
tn_status tn_profile_apply_file(tn_profile_loader *l, const tn_profile_node *root) TN_MUST_USE;
/** Store one value. */
tn_status tn_profile_apply_key(tn_profile_loader *l, const tn_profile_key *key,
                               const tn_profile_node *value) TN_MUST_USE;

#endif
