/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugins of one engine: loaded from the list in the profile, each ending as loaded, skipped (why) or failed (why).
 * This module has the only dlopen of the program. Libraries are never dlclosed (CUDA and TLS destructors); close() is called.
 * Thread: opened and closed by one thread; immutable in between.
 */
#ifndef TN_CORE_PLUGIN_PLUGIN_SET_H
#define TN_CORE_PLUGIN_PLUGIN_SET_H

#include "core/base/team.h"
#include "core/plugin/domain.h"

#include <stdbool.h>

typedef struct tn_option {
    const char *key, *value;
} tn_option;

typedef struct tn_plugin_spec {
    const char *name;     /* bare name, looked up as <dir>/NAME.so; or NULL with path */
    const char *path;     /* absolute path, or NULL */
    const char *sha256;   /* 64 hex digits the file must have, or NULL */
    const tn_option *option;
    int32_t n_options;
} tn_plugin_spec;

enum { TN_PLUGIN_LOADED = 1, TN_PLUGIN_SKIPPED = 2, TN_PLUGIN_FAILED = 3 };

typedef struct tn_plugin_entry {
    const char *name, *path; /* as asked for, and the real path that was opened ("" when none) */
    int32_t state;           /* TN_PLUGIN_* */
    char reason[256];        /* why skipped or failed; "" when loaded */
    tn_plugin api;           /* normalised copy: absent fields are 0; valid unless it failed before the symbol was found */
    void *self;
    const tn_kernel *kernel; /* [n_kernels] normalised copies, in the plugin's order */
    const tn_kv_format *kv_format; /* [n_kv_formats] */
    int32_t n_kernels, n_kv_formats;
    tn_device device;        /* the domain its kernels run in */
    bool listed;             /* named in the list (not pulled in as a domain provider or fallback) */
} tn_plugin_entry;

typedef struct tn_plugin_set_args {
    const tn_plugin_spec *spec;
    int32_t n_specs;
    const char *plugin_dir;  /* absolute */
    const char *device;      /* "cpu" or "NAME", "NAME-sim" */
    int32_t device_index;
    const char *fallback;    /* "none" or the name of a host plugin, loaded too */
    tn_team *team;           /* borrowed until close */
} tn_plugin_set_args;

typedef struct tn_plugin_set tn_plugin_set;

/**
 * Load what is listed, the domain providers they need, and the fallback. Fails only on lack of memory or senseless args:
 * what became of each plugin stands in its entry. tn_plugin_set_require turns a failed or missing one into an error.
 */
tn_status tn_plugin_set_open(const tn_plugin_set_args *args, tn_plugin_set **out, tn_error *err) TN_MUST_USE;
void tn_plugin_set_close(tn_plugin_set *set);

int32_t tn_plugin_set_size(const tn_plugin_set *set);
const tn_plugin_entry *tn_plugin_set_entry(const tn_plugin_set *set, int32_t index);
const tn_plugin_entry *tn_plugin_set_find(const tn_plugin_set *set, const char *name);
/** TN_INVALID naming the first failed plugin and its reason; skipped ones are no error. */
tn_status tn_plugin_set_require(const tn_plugin_set *set, tn_error *err) TN_MUST_USE;
/** The device of the profile: *out_present false when its domain provider was skipped (reason in the provider's entry). */
void tn_plugin_set_device(const tn_plugin_set *set, tn_device *out_device, bool *out_present);
/** Name of that device's domain, which is also the name of its provider: "host", "cuda". */
const char *tn_plugin_set_device_name(const tn_plugin_set *set);

#endif
