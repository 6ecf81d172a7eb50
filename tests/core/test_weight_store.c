/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/weights/weight_store.h"
#include "tests/support/memory_source.h"
#include "tests/support/rig.h"
#include "tests/support/temp_dir.h"

#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* The file's source with a look at what is asked of it, and faults on demand. */
typedef struct probe {
    const tn_weight_source *real;
    tn_weight_source source;
    const char *hide, *reshape, *spoil; /* tensors: not there, of another shape, unreadable */
    int32_t n_done;
    char done[64][64];
} probe;

static tn_status probe_find(void *self, const char *name, tn_weight_info *info)
{
    const probe *p = self;

    if (p->hide && strcmp(name, p->hide) == 0)
        return TN_UNSUPPORTED;
    TN_TRY(p->real->find(p->real->self, name, info));
    if (p->reshape && strcmp(name, p->reshape) == 0)
        info->rows++;
    return TN_OK;
}

static tn_status probe_rows(void *self, const tn_weight_info *info, int64_t row0, int32_t n,
                            const tn_row_buffer *buffer, tn_weight_rows *out, tn_error *err)
{
    const probe *p = self;

    if (p->spoil && strcmp(info->name, p->spoil) == 0)
        return tn_fail(err, TN_INVALID, "tensor %s cannot be read", info->name);
    return p->real->rows(p->real->self, info, row0, n, buffer, out, err);
}

static void probe_done(void *self, const tn_weight_info *info)
{
    probe *p = self;

    for (int32_t i = 0; i < p->n_done; i++)
        assert_string_not_equal(p->done[i], info->name); /* once a tensor */
    assert_true(p->n_done < 64);
    strncpy(p->done[p->n_done++], info->name, 63);
}

static void open_probe(probe *p, const tn_rig *rig)
{
    *p = (probe){ .real = tn_rig_source(rig) };
    p->source = (tn_weight_source){ p, p->real->id, probe_find, probe_rows, probe_done };
}

static tn_status create(const tn_binding *binding, const tn_weight_source *source, tn_team *team,
                        const tn_blob_cache *cache, tn_weight_store **out, tn_error *err)
{
    const tn_weight_store_args args = {
        .binding = binding, .source = source, .team = team, .cache = cache
    };
    return tn_weight_store_create(&args, out, err);
}

static tn_weight_store *pack(const tn_rig *rig, const tn_weight_source *source)
{
    tn_weight_store *store = NULL;
    tn_error err = { 0 };

    tn_status st = create(rig->binding, source, rig->team, NULL, &store, &err);
    if (st)
        fail_msg("%s: %s", tn_status_name(st), err.text);
    return store;
}

static int32_t node_named(const tn_rig *rig, const char *path)
{
    for (int32_t i = 0; i < rig->binding->n_nodes; i++)
        if (strcmp(rig->binding->node[i].node.path, path) == 0)
            return i;
    fail_msg("no node %s", path);
    return -1;
}

static void blobs_do_not_depend_on_the_number_of_workers(void **state)
{
    static const char *const type[] = { "F32", "F16", "Q4_0", "Q4_1", "Q8_0" };

    (void)state;
    for (size_t t = 0; t < sizeof(type) / sizeof(type[0]); t++) {
        tn_rig rig[2];
        tn_weight_store *store[2];

        for (int32_t i = 0; i < 2; i++) {
            tn_rig_options o = TN_RIG_DEFAULT;

            o.model.type = type[t];
            o.threads = i ? 3 : 1;
            tn_rig_open(&rig[i], &o);
            store[i] = pack(&rig[i], tn_rig_source(&rig[i]));
        }
        assert_true(tn_weight_store_bytes(store[0]) > 0);
        for (int32_t n = 0; n < rig[0].binding->n_nodes; n++) {
            uint64_t bytes = rig[0].binding->node[n].plan.weight_bytes;
            uint64_t a = tn_weight_store_address(store[0], n);
            uint64_t b = tn_weight_store_address(store[1], n);

            assert_int_equal(a != 0, bytes > 0);
            if (bytes > 0)
                assert_memory_equal((const void *)(uintptr_t)a, (const void *)(uintptr_t)b, bytes);
        }
        for (int32_t i = 0; i < 2; i++) {
            tn_weight_store_destroy(store[i]);
            tn_rig_close(&rig[i]);
        }
    }
}

static void unpacked_blobs_give_the_values_of_the_file(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;
    tn_error err = { 0 };
    tn_weight_info info;
    float *values = NULL;
    float row[64];

    (void)state;
    o.model.type = "Q4_1";
    tn_rig_open(&rig, &o);
    tn_weight_store *store = pack(&rig, tn_rig_source(&rig));
    int32_t index = node_named(&rig, "embed");
    const tn_bound_node *node = &rig.binding->node[index];
    const tn_weight_source *source = tn_rig_source(&rig);
    assert_int_equal(source->find(source->self, "token_embd.weight", &info), TN_OK);
    assert_int_equal(tn_weight_values(source, &info, &values, &err), TN_OK);
    assert_non_null(node->kernel->unpack);
    for (int64_t r = 0; r < info.rows; r++) {
        const void *blob = (const void *)(uintptr_t)tn_weight_store_address(store, index);

        assert_int_equal(
            node->kernel->unpack(node->plugin->self, &node->node, 0, r, blob, row, &err), TN_OK);
        assert_memory_equal(row, values + r * info.cols, sizeof(row));
    }
    tn_free(values);
    tn_weight_store_destroy(store);
    tn_rig_close(&rig);
}

/* ---- a kernel of the test's own: keeps f32 values and biases ---- */

static tn_status keep_rows(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                           tn_error *err)
{
    float *out = (float *)blob + (rows->part == 0 ? 0 : 1000) + rows->row0 * 2;

    (void)self;
    (void)node;
    (void)err;
    for (int32_t r = 0; r < rows->rows; r++) {
        out[2 * r] = rows->values[(int64_t)r * rows->cols];
        out[2 * r + 1] = rows->bias ? rows->bias[r] : -1.0F;
    }
    return TN_OK;
}

static tn_status refuse_rows(void *self, const tn_node *node, const tn_weight_rows *rows,
                             void *blob, tn_error *err)
{
    (void)self;
    (void)node;
    (void)blob;
    return tn_fail(err, TN_UNSUPPORTED, "row %d is ugly", (int)rows->row0);
}

/* A binding of one linear with two parts, 40 and 3 rows of 8, the first with a bias. */
typedef struct hand_made {
    tn_memory_source *memory;
    tn_part part[2];
    const tn_part *parts[2];
    tn_linear linear;
    tn_kernel kernel;
    tn_plugin_entry plugin;
    tn_bound_node node[2];
    tn_binding binding;
    tn_team *team;
} hand_made;

static void add_tensor(hand_made *h, const char *name, int64_t rows, int64_t cols, float first)
{
    float values[40 * 8];
    tn_error err = { 0 };
    const tn_weight_info info = { .name = name,
                                  .wfmt = "f32",
                                  .rows = rows,
                                  .cols = cols,
                                  .file_bytes = (uint64_t)(rows * cols * 4) };

    for (int64_t i = 0; i < rows * cols; i++)
        values[i] = first + (float)i;
    const tn_weight_rows all = {
        .size = sizeof(all), .rows = (int32_t)rows, .cols = (int32_t)cols, .values = values
    };
    assert_int_equal(tn_memory_source_add(h->memory, &info, &all, &err), TN_OK);
}

static void open_hand_made(hand_made *h, const char *second_layout)
{
    tn_error err = { 0 };

    *h = (hand_made){ 0 };
    assert_int_equal(tn_memory_source_create(&h->memory, &err), TN_OK);
    add_tensor(h, "a", 40, 8, 0.0F);
    add_tensor(h, "a.bias", 1, 40, 5000.0F);
    add_tensor(h, "b", 3, 8, 9000.0F);
    assert_int_equal(tn_team_create(2, &h->team, &err), TN_OK);
    h->part[0] = (tn_part){ .size = sizeof(tn_part), .out = 40, .bias = 1, .wfmt = "f32" };
    h->part[1] = (tn_part){ .size = sizeof(tn_part), .out = 3, .wfmt = "f32" };
    h->parts[0] = &h->part[0];
    h->parts[1] = &h->part[1];
    h->linear = (tn_linear){ .size = sizeof(tn_linear), .in = 8, .n_parts = 2, .part = h->parts };
    h->kernel =
        (tn_kernel){ .size = sizeof(tn_kernel), .op = "linear", .name = "keep", .pack = keep_rows };
    h->plugin.name = "test";
    for (int32_t i = 0; i < 2; i++)
        h->node[i] = (tn_bound_node){
            .node = { .size = sizeof(tn_node),
                      .op = "linear",
                      .path = i ? "second" : "first",
                      .param = &h->linear },
            .op = tn_op_find("linear"),
            .plugin = &h->plugin,
            .kernel = &h->kernel,
            .plan = { .size = sizeof(tn_plan),
                      .pack_rows = 3,
                      .weight_bytes = 8000,
                      .layout = i ? second_layout : "keep.1" },
            .n_weights = 2,
            .weight = { { "a", "a.bias" }, { "b", NULL } },
        };
    h->binding = (tn_binding){ .node = h->node, .n_nodes = 2, .n_domains = 1 };
    h->binding.device[0].domain = tn_host_domain();
}

static void close_hand_made(hand_made *h)
{
    tn_team_destroy(h->team);
    tn_memory_source_destroy(h->memory);
}

static void parts_come_in_row_ranges_with_their_bias(void **state)
{
    hand_made h;
    tn_weight_store *store = NULL;
    tn_error err = { 0 };

    (void)state;
    open_hand_made(&h, "keep.1");
    assert_int_equal(
        create(&h.binding, tn_memory_source_interface(h.memory), h.team, NULL, &store, &err),
        TN_OK);
    const float *blob = (const float *)(uintptr_t)tn_weight_store_address(store, 0);
    for (int32_t r = 0; r < 40; r++) {
        assert_true(blob[2 * r] == (float)(8 * r));
        assert_true(blob[2 * r + 1] == 5000.0F + (float)r);
    }
    for (int32_t r = 0; r < 3; r++) {
        assert_true(blob[1000 + 2 * r] == 9000.0F + (float)(8 * r));
        assert_true(blob[1000 + 2 * r + 1] == -1.0F);
    }
    assert_true(blob[999] == 0.0F); /* what no part writes is zero */
    tn_weight_store_destroy(store);
    close_hand_made(&h);
}

static void equal_tensors_and_layouts_share_one_blob(void **state)
{
    (void)state;
    for (int32_t other = 0; other < 2; other++) {
        hand_made h;
        tn_weight_store *store = NULL;
        tn_error err = { 0 };

        open_hand_made(&h, other ? "keep.2" : "keep.1");
        assert_int_equal(
            create(&h.binding, tn_memory_source_interface(h.memory), h.team, NULL, &store, &err),
            TN_OK);
        assert_int_equal(tn_weight_store_bytes(store), other ? 16000 : 8000);
        assert_int_equal(tn_weight_store_address(store, 0) == tn_weight_store_address(store, 1),
                         !other);
        tn_weight_store_destroy(store);
        close_hand_made(&h);
    }
}

static void blobs_are_aligned_apart_and_zeroed(void **state)
{
    hand_made h;
    tn_weight_store *store = NULL;
    tn_error err = { 0 };

    (void)state;
    open_hand_made(&h, "keep.2");
    assert_int_equal(
        create(&h.binding, tn_memory_source_interface(h.memory), h.team, NULL, &store, &err),
        TN_OK);
    const uint64_t first = tn_weight_store_address(store, 0);
    const uint64_t second = tn_weight_store_address(store, 1);
    assert_int_equal(first % 256, 0);
    assert_int_equal(second % 256, 0);
    assert_true(second >= first + 8000 || first >= second + 8000);
    assert_memory_equal((const void *)(uintptr_t)first, (const void *)(uintptr_t)second, 8000);
    tn_weight_store_destroy(store);
    close_hand_made(&h);
}

static void senseless_sizes_are_refused(void **state)
{
    static const uint64_t sizes[] = { UINT64_MAX,         UINT64_MAX - 255, UINT64_MAX / 2,
                                      UINT64_MAX / 4 + 1, SIZE_MAX / 4,     (uint64_t)1 << 60 };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        hand_made h;
        tn_weight_store *store = NULL;
        tn_error err = { 0 };

        open_hand_made(&h, "keep.2");
        h.node[i % 2].plan.weight_bytes = sizes[i / 2];
        assert_int_equal(
            create(&h.binding, tn_memory_source_interface(h.memory), h.team, NULL, &store, &err),
            TN_NO_MEMORY);
        assert_null(store);
        assert_non_null(strstr(err.text, "the packed weights"));
        close_hand_made(&h);
    }
}

static void a_tied_head_shares_the_table_of_embed(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;

    (void)state;
    o.no_fusion = true; /* the head's linear alone, without the norm */
    tn_rig_open(&rig, &o);
    tn_weight_store *store = pack(&rig, tn_rig_source(&rig));
    int32_t embed = node_named(&rig, "embed");
    const tn_bound_node *table = &rig.binding->node[embed];
    for (int32_t i = 0; i < rig.binding->n_nodes; i++) {
        const tn_bound_node *node = &rig.binding->node[i];

        if (i == embed || node->n_weights == 0 ||
            strcmp(node->weight[0].name, "token_embd.weight") != 0)
            continue;
        bool same = strcmp(node->plan.layout, table->plan.layout) == 0 &&
                    node->plan.weight_bytes == table->plan.weight_bytes;
        assert_int_equal(tn_weight_store_address(store, i) == tn_weight_store_address(store, embed),
                         same);
    }
    tn_weight_store_destroy(store);
    tn_rig_close(&rig);
}

/* Blobs in memory, by node. */
typedef struct memory_cache {
    const tn_binding *binding;
    void *blob[256];
    int32_t n_found, n_kept, last;
} memory_cache;

static const void *cache_find(void *self, int32_t node_index)
{
    memory_cache *c = self;
    assert_true(tn_weight_store_keeps(c->binding, node_index));
    c->n_found += c->blob[node_index] != NULL;
    return c->blob[node_index];
}

static void cache_keep(void *self, int32_t node_index, const void *bytes)
{
    memory_cache *c = self;
    const size_t n = (size_t)c->binding->node[node_index].plan.weight_bytes;
    assert_true(node_index >= c->last); /* in the order of the nodes */
    assert_null(c->blob[node_index]);
    c->last = node_index;
    c->n_kept++;
    c->blob[node_index] = tn_alloc_aligned(n);
    memcpy(c->blob[node_index], bytes, n);
}

static tn_status no_rows(void *self, const tn_weight_info *info, int64_t row0, int32_t n,
                         const tn_row_buffer *buffer, tn_weight_rows *out, tn_error *err)
{
    (void)self, (void)row0, (void)n, (void)buffer, (void)out;
    return tn_fail(err, TN_INTERNAL, "%s is read", info->name);
}

static void what_a_cache_has_is_used_in_place_and_nothing_is_read(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;
    tn_weight_store *store = NULL;
    tn_error err = { 0 };

    (void)state;
    tn_rig_open(&rig, &o);
    memory_cache c = { .binding = rig.binding };
    const tn_blob_cache cache = { &c, cache_find, cache_keep };
    assert_true(rig.binding->n_nodes <= 256);
    assert_int_equal(create(rig.binding, tn_rig_source(&rig), rig.team, &cache, &store, &err),
                     TN_OK);
    const uint64_t bytes = tn_weight_store_bytes(store);
    assert_true(c.n_kept > 1 && c.n_found == 0);
    tn_weight_store_destroy(store);

    tn_weight_source unread = *tn_rig_source(&rig);
    unread.rows = no_rows;
    const int32_t n_kept = c.n_kept;
    assert_int_equal(create(rig.binding, &unread, rig.team, &cache, &store, &err), TN_OK);
    assert_int_equal(c.n_found, n_kept);
    assert_int_equal(c.n_kept, n_kept);
    assert_int_equal(tn_weight_store_bytes(store), bytes);
    for (int32_t i = 0; i < rig.binding->n_nodes; i++) {
        const int32_t owner = tn_weight_store_owner(rig.binding, i);
        const uint64_t want = owner < 0 ? 0 : (uint64_t)(uintptr_t)c.blob[owner];
        assert_int_equal(tn_weight_store_address(store, i), want);
    }
    tn_weight_store_destroy(store);
    for (int32_t i = 0; i < 256; i++)
        tn_free(c.blob[i]);
    tn_rig_close(&rig);
}

static void each_tensor_is_dropped_once_after_its_last_use(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;
    probe p;

    (void)state;
    tn_rig_open(&rig, &o);
    open_probe(&p, &rig);
    tn_weight_store *store = pack(&rig, &p.source);
    assert_int_equal(p.n_done, tn_model_file_n_tensors(rig.file));
    tn_weight_store_destroy(store);
    tn_rig_close(&rig);
}

typedef struct progress {
    uint64_t done, total;
} progress;

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    progress *p = ctx;

    assert_true(done >= p->done && done <= total);
    assert_true(p->total == 0 || p->total == total);
    *p = (progress){ done, total };
}

static void progress_ends_at_its_total(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;
    tn_weight_store *store = NULL;
    progress p = { 0 };
    tn_error err = { 0 };

    (void)state;
    tn_rig_open(&rig, &o);
    const tn_weight_store_args args = { .binding = rig.binding,
                                        .source = tn_rig_source(&rig),
                                        .team = rig.team,
                                        .progress = on_progress,
                                        .progress_ctx = &p };
    assert_int_equal(tn_weight_store_create(&args, &store, &err), TN_OK);
    assert_true(p.total > 0);
    assert_int_equal(p.done, p.total);
    tn_weight_store_destroy(store);
    tn_rig_close(&rig);
}

static void expect_failure(const tn_binding *binding, const tn_weight_source *source, tn_team *team,
                           tn_status code, const char *words)
{
    tn_weight_store *store = NULL;
    tn_error err = { 0 };

    assert_int_equal(create(binding, source, team, NULL, &store, &err), code);
    assert_null(store);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void faults_of_source_and_kernel_name_the_node(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;
    probe p;
    hand_made h;

    (void)state;
    tn_rig_open(&rig, &o);
    open_probe(&p, &rig);
    p.hide = "blk.1.ffn_down.weight";
    expect_failure(rig.binding, &p.source, rig.team, TN_INVALID,
                   "layer.1.down: the model has no tensor blk.1.ffn_down.weight");
    open_probe(&p, &rig);
    p.reshape = "blk.0.attn_output.weight";
    expect_failure(rig.binding, &p.source, rig.team, TN_INVALID, "the graph wants 64 x 64");
    open_probe(&p, &rig);
    p.spoil = "blk.0.attn_q.weight";
    expect_failure(rig.binding, &p.source, rig.team, TN_INVALID,
                   "tensor blk.0.attn_q.weight cannot be read");
    tn_rig_close(&rig);

    open_hand_made(&h, "keep.1");
    h.kernel.pack = refuse_rows;
    expect_failure(&h.binding, tn_memory_source_interface(h.memory), h.team, TN_UNSUPPORTED,
                   "packing first for test keep: row ");
    h.kernel.pack = NULL;
    expect_failure(&h.binding, tn_memory_source_interface(h.memory), h.team, TN_INTERNAL,
                   "cannot pack");
    close_hand_made(&h);
}

static void packing_survives_the_failure_of_every_allocation(void **state)
{
    hand_made h;
    tn_weight_store *store = NULL;
    uint64_t n = 1;

    (void)state;
    open_hand_made(&h, "keep.2");
    for (;; n++) {
        tn_error err = { 0 };

        tn_alloc_fail_at(n);
        tn_status st =
            create(&h.binding, tn_memory_source_interface(h.memory), h.team, NULL, &store, &err);
        tn_alloc_fail_at(0);
        if (!st)
            break;
        assert_int_equal(st, TN_NO_MEMORY);
    }
    assert_true(n > 5);
    tn_weight_store_destroy(store);
    close_hand_made(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blobs_do_not_depend_on_the_number_of_workers),
        cmocka_unit_test(unpacked_blobs_give_the_values_of_the_file),
        cmocka_unit_test(parts_come_in_row_ranges_with_their_bias),
        cmocka_unit_test(equal_tensors_and_layouts_share_one_blob),
        cmocka_unit_test(blobs_are_aligned_apart_and_zeroed),
        cmocka_unit_test(senseless_sizes_are_refused),
        cmocka_unit_test(a_tied_head_shares_the_table_of_embed),
        cmocka_unit_test(what_a_cache_has_is_used_in_place_and_nothing_is_read),
        cmocka_unit_test(each_tensor_is_dropped_once_after_its_last_use),
        cmocka_unit_test(progress_ends_at_its_total),
        cmocka_unit_test(faults_of_source_and_kernel_name_the_node),
        cmocka_unit_test(packing_survives_the_failure_of_every_allocation),
    };

    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
