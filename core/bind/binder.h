/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of core/bind. A *form* is one way to run some graph nodes: an op with its edges, weights
 * and parameters, before a kernel is chosen. fuse.c makes forms, claim.c asks plugins for them,
 * bind.c and bind_kv.c decide. Thread: one.
 */
#ifndef TN_CORE_BIND_BINDER_H
#define TN_CORE_BIND_BINDER_H

#include "core/bind/bind.h"

enum { TN_MAX_FORMS = 8, TN_MAX_CANDIDATES = 136 };

typedef struct tn_candidate {
    const tn_plugin_entry *plugin;
    int32_t domain; /* index into tn_binding.device, -1: it runs in no domain of this binding */
    bool by_rule;   /* a host plugin beside a device: gets only nodes that a rule gives it */
} tn_candidate;

typedef struct tn_form {
    tn_bound_node bound;                     /* no kernel, plan, dtypes or domain yet */
    int32_t member[TN_MAX_FUSED], n_members; /* graph nodes, in order */
} tn_form;

typedef struct tn_binder {
    const tn_bind_args *args;
    tn_binding *binding;
    tn_bound_node *at; /* [n_nodes] bound node whose last member is graph node i; op NULL: none */
    bool *taken;       /* [n_nodes] graph nodes that are bound */
    int32_t *reader;   /* [n_edges] a node that reads the edge or a view of it, or -1 */
    tn_candidate candidate[TN_MAX_CANDIDATES]; /* in the order in which they are asked */
    int32_t n_candidates;
    bool device_absent; /* everything runs on the fallback */
} tn_binder;

/* ---- fuse.c ---- */
/** Forms of the chain around the linear node, the widest first, `linear` itself last. Returns their
 * number, 0: no memory. */
int32_t tn_forms_of_linear(tn_binder *b, int32_t linear, tn_form forms[TN_MAX_FORMS]);
/** Forms that write the layer's KV: rope_kv_write with what it stands for, kv_write last. */
int32_t tn_forms_of_kv_write(tn_binder *b, int32_t kv_write, tn_form forms[TN_MAX_FORMS]);
/** The node alone; false: no memory. */
bool tn_form_of_node(tn_binder *b, int32_t node, tn_form *out);

/* ---- claim.c ---- */
/** The first rule that matches path, or NULL. Rules for plugins of an absent device do not count.
 */
const tn_bind_rule *tn_rule_of(const tn_binder *b, const char *path);
/** Ask one plugin. TN_OK fills bound's kernel, plugin, domain and dtypes; TN_UNSUPPORTED leaves why
 * (never empty). */
tn_status tn_ask(const tn_binder *b, tn_form *form, const tn_candidate *candidate, tn_error *why);
/** Take a claimed form: plan it, and put it in its place. */
tn_status tn_accept(tn_binder *b, const tn_form *form, tn_error *err);
/**
 * One of `forms` (the widest first) for the first candidate that claims it, and also `also`, when
 * that is not NULL; ops on a KV pool go to plugins that list its format. Else the error that names
 * everyone's reason.
 */
tn_status tn_claim(const tn_binder *b, tn_form *forms, int32_t n_forms, tn_form *also,
                   const tn_form **out, tn_error *err);

/* ---- bind_kv.c ---- */
/** Bind the layer's writer and attention together, and describe its pool. */
tn_status tn_bind_layer_kv(tn_binder *b, int32_t layer, int32_t kv_write, int32_t attention,
                           tn_error *err);
bool tn_kv_format_is_catalogue(const char *format);
/** The format of that name in the plugin's list, or NULL. */
const tn_kv_format *tn_find_kv_format(const tn_plugin_entry *plugin, const char *name);

/* ---- bind.c ---- */
/** Candidates, domains and dtypes from the arguments; for tn_bind and for explain. */
tn_status tn_binder_init(tn_binder *b, const tn_bind_args *args, tn_binding *binding,
                         tn_error *err);

#endif
