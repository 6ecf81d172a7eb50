/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Architectures: description -> graph. One file each, one row in the table of arch.c;
 * docs/architecture.md says where a new one goes. Thread: reentrant.
 */
#ifndef TN_MODEL_ARCH_ARCH_H
#define TN_MODEL_ARCH_ARCH_H

#include "core/graph/graph.h"

typedef struct tn_arch {
    const char *name; /* tn_model_desc.arch */
    const char *text; /* what it is, for people */
    /* Add the nodes of the first n_layers layers, and head and argmax. Errors stay in the graph. */
    void (*build)(tn_graph *g, int32_t n_layers);
} tn_arch;

/** The row of `name`, or NULL. */
const tn_arch *tn_arch_find(const char *name);

/**
 * Build the graph of desc. max_layers 0 means all. TN_UNSUPPORTED, with the list of what runs, for
 * an unknown architecture; TN_INVALID for tensors that are missing or contradict the description.
 * desc is borrowed until tn_graph_deinit.
 */
tn_status tn_arch_build(const tn_model_desc *desc, const tn_weight_source *source,
                        int32_t max_layers, tn_graph *out, tn_error *err) TN_MUST_USE;

/* The rows, each in the file of its name. */
extern const tn_arch tn_arch_llama, tn_arch_mistral, tn_arch_internlm, tn_arch_internlm2,
    tn_arch_qwen2, tn_arch_qwen3;

#endif
