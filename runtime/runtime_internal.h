/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of runtime/ share behind tenon.h. */
#ifndef TN_RUNTIME_RUNTIME_INTERNAL_H
#define TN_RUNTIME_RUNTIME_INTERNAL_H

#include "runtime/pack_cache.h"

#include <pthread.h>

typedef struct tn_active tn_active;

struct tn_runtime {
    tn_setup setup;
    tn_pack_cache *cache; /* of the packed weights, or NULL */
    tn_engine *engine;
    double load_s;
    /* Requests in flight, so that wait and close know them. The lock guards the list only, and is
     * never held during a callback. */
    pthread_mutex_t lock;
    pthread_cond_t idle; /* an active request ended */
    tn_active *active;
};

/** Ids of the input of args through tokenizer and template. */
tn_status tn_prompt_ids(const tn_runtime *rt, const tn_request_args *args, tn_ids *ids,
                        tn_error *err) TN_MUST_USE;

#endif
