/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A two-layer Llama graph and a set of plugins that claim what their options say
 * (tests/plugins/fake), for tests of the binder. Failures are cmocka assertions. make_fixture and
 * free_fixture are cmocka setup and teardown.
 */
#ifndef TN_TESTS_CORE_BIND_FIXTURE_H
#define TN_TESTS_CORE_BIND_FIXTURE_H

#include "core/bind/bind.h"

enum { DIM = 64, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16, FFN = 96, VOCAB = 40, LAYERS = 2 };

typedef struct shapes {
    const char *odd_tensor, *odd_wfmt; /* one tensor of another format than f16 */
} shapes;

typedef struct fixture {
    shapes shapes;
    tn_weight_source source;
    tn_model_desc desc;
    tn_graph graph;
    tn_plugin_spec spec[3];
    tn_option option[3][3];
    tn_plugin_set_args set_args;
    tn_plugin_set *set;
    tn_bind_args args;
    tn_binding *binding;
    tn_error err;
    char log[2048];
} fixture;

int make_fixture(void **state);
int free_fixture(void **state);

/** List the fake plugin under a name, from a file, with up to three options; see LIST. */
void list_fake(fixture *f, const char *name, const char *file, const tn_option *options,
               int32_t n_options);

#define HOST_FAKE   PLUGIN_DIR "/fake.so"
#define DEVICE_FAKE PLUGIN_DIR "/fake-simdev.so"
#define LIST(f, name, file, ...)                                                                   \
    list_fake(f, name, file, (const tn_option[]){ __VA_ARGS__ },                                   \
              (int32_t)(sizeof((const tn_option[]){ __VA_ARGS__ }) / sizeof(tn_option)))
#define ALL                                                                                        \
    {                                                                                              \
        "", ""                                                                                     \
    } /* an option nobody reads */

/** Build the graph and open the plugins when that was not done yet, and bind. */
tn_status bind_all(fixture *f);
void assert_bound(fixture *f);
/** Binding fails with this status and a message that contains text. */
void assert_refused(fixture *f, tn_status status, const char *text);
/** The bound node of a path, or NULL. */
const tn_bound_node *node_at(const fixture *f, const char *path);
void assert_node(const fixture *f, const char *path, const char *op, const char *plugin);
/** Every input is produced before it is read, and every edge that a node touches has a dtype. */
void assert_order(const fixture *f);

#endif
