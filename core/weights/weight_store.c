/* SPDX-License-Identifier: Apache-2.0 */
#include "core/weights/weight_store.h"

#include "core/base/alloc.h"
#include "core/plugin/normalise.h"
#include "core/weights/domain_memory.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

/* Rows packed by one call: enough to amortise it, few enough that workers end together. */
enum { RANGE_ROWS = 32 };

typedef struct blob {
    int32_t node; /* the first that uses it */
    tn_domain_memory memory;
} blob;

struct tn_weight_store {
    const tn_binding *binding;
    blob *blob;
    int32_t n_blobs;
    int32_t *blob_of;       /* [n_nodes] or -1 */
    tn_domain_memory pages; /* of all that is packed on the host, so that huge pages fit */
    uint64_t used_bytes;
    uint64_t bytes;
};

/* Where device blobs are packed before they are copied. */
typedef struct staging {
    void *block, *stream;
    bool has_stream;
} staging;

typedef struct packer {
    tn_weight_store *store;
    const tn_weight_store_args *args;
    const tn_weight_source *source;
    tn_team *team;
    uint64_t done_bytes, total_bytes;
    staging staging[TN_MAX_DOMAINS];
} packer;

/* One part being packed. */
typedef struct part_job {
    tn_weight_info info;
    const float *kv_static;
    float *bias;
    tn_row_buffer *buffer; /* one a worker */
    int32_t step;
    int64_t first_range, n_ranges;
} part_job;

typedef struct blob_job {
    const packer *packer;
    const tn_bound_node *node;
    void *bytes;
    int32_t n_workers;
    part_job part[TN_MAX_PARTS];
    atomic_flag failed; /* relaxed: the team's end of job orders the error before its reader */
    tn_error error;
} blob_job;

static const tn_attention *attention_of(const tn_bound_node *node)
{
    return node->op->param == TN_PARAM_ATTENTION ? node->node.param : node->node.param2;
}

/* The shape that the node's parameters give to a part; false when the op has no such part. */
static bool part_shape(const tn_bound_node *node, int32_t part, int64_t *rows, int64_t *cols)
{
    const void *param = node->node.param;
    *rows = 1;
    if (node->op->param == TN_PARAM_EMBED) {
        *rows = ((const tn_embed *)param)->vocab;
        *cols = ((const tn_embed *)param)->dim;
        return part == 0;
    }
    if (node->op->param == TN_PARAM_NORM) {
        *cols = ((const tn_norm *)param)->dim;
        return part == 0;
    }
    if (node->op->param == TN_PARAM_ROPE) {
        *cols = ((const tn_rope *)param)->head_dim;
        return part < 2;
    }
    if (node->op->param != TN_PARAM_LINEAR)
        return false;
    const tn_linear *linear = param;
    *cols = linear->in;
    if (part < linear->n_parts)
        *rows = linear->part[part]->out;
    return part <= linear->n_parts; /* the last one: the weights of a fused norm */
}

static tn_status find_tensor(const tn_weight_source *source, const char *name, const char *path,
                             int64_t rows, int64_t cols, tn_weight_info *out, tn_error *err)
{
    if (source->find(source->self, name, out))
        return tn_fail(err, TN_INVALID, "%s: the model has no tensor %s", path, name);
    if (out->rows != rows || out->cols != cols)
        return tn_fail(err, TN_INVALID,
                       "%s: tensor %s is %" PRId64 " x %" PRId64 ", the graph wants %" PRId64
                       " x %" PRId64,
                       path, name, out->rows, out->cols, rows, cols);
    return TN_OK;
}

static tn_status find_part(const tn_weight_source *source, const tn_bound_node *node, int32_t part,
                           tn_weight_info *out, tn_error *err)
{
    const char *name = node->weight[part].name;
    int64_t rows = 0;
    int64_t cols = 0;
    if (strcmp(name, TN_KV_STATIC_WEIGHT) == 0) {
        const tn_attention *attention = attention_of(node);
        if (!attention || !attention->kv_static || attention->n_kv_static < 1)
            return tn_fail(err, TN_INTERNAL, "%s: no static KV parameters are given",
                           node->node.path);
        *out = (tn_weight_info){ .name = name,
                                 .wfmt = "f32",
                                 .values = 1,
                                 .rows = attention->n_kv_static,
                                 .cols = 4,
                                 .handle = -1 };
        return TN_OK;
    }
    if (!part_shape(node, part, &rows, &cols))
        return tn_fail(err, TN_INTERNAL, "%s: op %s has no weight part %d", node->node.path,
                       node->op->name, part);
    return find_tensor(source, name, node->node.path, rows, cols, out, err);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Equal bytes by construction: same layout, size, place and tensors. */
static bool same_weights(const tn_bound_node *a, const tn_bound_node *b)
{
    if (a->plan.weight_bytes != b->plan.weight_bytes || a->domain != b->domain ||
        a->n_weights != b->n_weights || !a->plan.layout ||
        !same_text(a->plan.layout, b->plan.layout))
        return false;
    for (int32_t i = 0; i < a->n_weights; i++) {
        const char *name = a->weight[i].name;
        if (!same_text(name, b->weight[i].name) || !same_text(a->weight[i].bias, b->weight[i].bias))
            return false;
        if (name && strcmp(name, TN_KV_STATIC_WEIGHT) == 0 && a->node.layer != b->node.layer)
            return false;
    }
    return true;
}

int32_t tn_weight_store_owner(const tn_binding *binding, int32_t node_index)
{
    const tn_bound_node *node = &binding->node[node_index];
    int32_t owner = 0;
    if (node->plan.weight_bytes == 0)
        return -1;
    while (owner < node_index && !same_weights(node, &binding->node[owner]))
        owner++;
    return owner;
}

bool tn_weight_store_keeps(const tn_binding *binding, int32_t node_index)
{
    const tn_bound_node *node = &binding->node[node_index];
    for (int32_t i = 0; i < node->n_weights; i++)
        if (same_text(node->weight[i].name, TN_KV_STATIC_WEIGHT))
            return false;
    return node->plan.layout && tn_weight_store_owner(binding, node_index) == node_index;
}

static void share_blobs(tn_weight_store *store)
{
    for (int32_t i = 0; i < store->binding->n_nodes; i++) {
        int32_t owner = tn_weight_store_owner(store->binding, i);
        if (owner == i)
            store->blob[store->n_blobs].node = i;
        store->blob_of[i] = owner < 0 ? -1 : owner == i ? store->n_blobs++ : store->blob_of[owner];
    }
}

/* A tensor may be packed twice, in two layouts (a tied head on another kernel). */
static bool used_later(const tn_weight_store *store, int32_t after, const char *name)
{
    for (int32_t b = after + 1; b < store->n_blobs; b++) {
        const tn_bound_node *node = &store->binding->node[store->blob[b].node];
        for (int32_t i = 0; i < node->n_weights; i++)
            if (same_text(node->weight[i].name, name) || same_text(node->weight[i].bias, name))
                return true;
    }
    return false;
}

static void pack_range(blob_job *job, int64_t range, int32_t worker)
{
    part_job *part = job->part;
    tn_error err = { 0 };
    tn_weight_rows rows = { .size = sizeof(rows) };
    while (range >= part->first_range + part->n_ranges)
        part++;
    int64_t row0 = (range - part->first_range) * part->step;
    int64_t left = part->info.rows - row0;
    int32_t n = left < part->step ? (int32_t)left : part->step;
    tn_status st = TN_OK;
    if (part->kv_static) {
        rows.values = part->kv_static + row0 * part->info.cols;
        rows.cols = (int32_t)part->info.cols;
    } else {
        const tn_weight_source *source = job->packer->source;
        st = source->rows(source->self, &part->info, row0, n, &part->buffer[worker], &rows, &err);
    }
    if (!st) {
        rows.size = sizeof(rows);
        rows.part = (int32_t)(part - job->part);
        rows.rows = n;
        rows.row0 = row0;
        rows.bias = part->bias ? part->bias + row0 : NULL;
        st = tn_plugin_status(job->node->kernel->pack(job->node->plugin->self, &job->node->node,
                                                      &rows, job->bytes, &err),
                              &err);
    }
    if (st && !atomic_flag_test_and_set_explicit(&job->failed, memory_order_relaxed)) {
        err.code = st;
        job->error = err;
    }
}

static void pack_ranges(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    for (int64_t i = i0; i < i1; i++)
        pack_range(arg, i, worker);
}

static int32_t range_rows(const tn_plan *plan, int64_t rows)
{
    int64_t unit = plan->pack_rows ? plan->pack_rows : rows; /* 0: no promise, so all at once */
    int64_t step = unit >= RANGE_ROWS ? unit : RANGE_ROWS / unit * unit;
    return (int32_t)(step < rows ? step : rows);
}

static tn_status open_part(blob_job *job, int32_t index, int64_t first_range, tn_error *err)
{
    const tn_weight_source *source = job->packer->source;
    const tn_weight_ref *ref = &job->node->weight[index];
    part_job *part = &job->part[index];
    part->first_range = first_range;
    if (!ref->name)
        return TN_OK;
    TN_TRY(find_part(source, job->node, index, &part->info, err));
    if (part->info.rows > INT32_MAX)
        return tn_fail(err, TN_INVALID, "%s: %" PRId64 " rows are too many", ref->name,
                       part->info.rows);
    part->step = range_rows(&job->node->plan, part->info.rows);
    part->n_ranges = (part->info.rows + part->step - 1) / part->step;
    if (part->info.handle < 0 && strcmp(ref->name, TN_KV_STATIC_WEIGHT) == 0) {
        part->kv_static = attention_of(job->node)->kv_static;
        return TN_OK;
    }
    if (ref->bias) {
        tn_weight_info bias;
        TN_TRY(
            find_tensor(source, ref->bias, job->node->node.path, 1, part->info.rows, &bias, err));
        TN_TRY(tn_weight_values(source, &bias, &part->bias, err));
    }
    part->buffer = tn_alloc_array((size_t)job->n_workers, sizeof(*part->buffer));
    if (!part->buffer)
        return tn_fail_memory(err, "packing");
    for (int32_t w = 0; w < job->n_workers; w++)
        TN_TRY(tn_row_buffer_init(&part->buffer[w], &part->info, part->step, err));
    return TN_OK;
}

static void close_parts(blob_job *job)
{
    for (int32_t i = 0; i < job->node->n_weights; i++) {
        part_job *part = &job->part[i];
        for (int32_t w = 0; part->buffer && w < job->n_workers; w++)
            tn_row_buffer_deinit(&part->buffer[w]);
        tn_free(part->buffer);
        tn_free(part->bias);
    }
}

/* Pack all parts of a node into zeroed bytes. */
static tn_status pack_node(const packer *p, const tn_bound_node *node, void *bytes, tn_error *err)
{
    blob_job job = { .packer = p,
                     .node = node,
                     .bytes = bytes,
                     .n_workers = tn_team_workers(p->team),
                     .failed = ATOMIC_FLAG_INIT };
    int64_t n_ranges = 0;
    tn_status st = TN_OK;
    for (int32_t i = 0; i < node->n_weights && !st; i++) {
        st = open_part(&job, i, n_ranges, err);
        n_ranges += job.part[i].n_ranges;
    }
    if (!st) {
        tn_team_for(p->team, n_ranges, pack_ranges, &job);
        st = job.error.code;
        if (st)
            st = tn_fail(err, st, "packing %s for %s %s: %s", node->node.path, node->plugin->name,
                         node->kernel->name, job.error.text);
    }
    close_parts(&job);
    return st;
}

/* Packed bytes into the node's domain. */
static tn_status upload(packer *p, blob *b, const void *bytes, tn_error *err)
{
    const tn_bound_node *node = &p->store->binding->node[b->node];
    const tn_device *device = &p->store->binding->device[node->domain];
    void *stream = p->staging[node->domain].stream;
    TN_TRY(device->domain->copy(device->self, b->memory.addr, (uint64_t)(uintptr_t)bytes,
                                node->plan.weight_bytes, TN_TO_DEVICE, stream, err));
    return device->domain->stream_wait(device->self, stream, err);
}

static uint64_t aligned_bytes(const tn_bound_node *node)
{
    return (node->plan.weight_bytes + 255) / 256 * 256;
}

/* Zeroed host memory for a blob, of one piece that is as large as all of them: what is not touched
 * costs nothing. */
static tn_status take_pages(packer *p, blob *b, tn_error *err)
{
    tn_weight_store *s = p->store;
    const tn_bound_node *node = &s->binding->node[b->node];
    if (s->pages.bytes == 0) {
        uint64_t bytes = 0;
        for (int32_t i = 0; i < s->n_blobs; i++) {
            const tn_bound_node *other = &s->binding->node[s->blob[i].node];
            if (other->domain != node->domain)
                continue;
            if (other->plan.weight_bytes > SIZE_MAX / 4 || bytes > SIZE_MAX / 4)
                return tn_fail(err, TN_NO_MEMORY, "%s: the packed weights are too large",
                               other->node.path);
            bytes += aligned_bytes(other);
        }
        TN_TRY(tn_domain_memory_alloc(&s->binding->device[node->domain], NULL, bytes,
                                      "the packed weights", &s->pages, err));
        // NOLINTNEXTLINE(performance-no-int-to-ptr): host memory, by its address
        tn_pages_prefer_huge((void *)(uintptr_t)s->pages.addr, (size_t)bytes);
    }
    b->memory = (tn_domain_memory){ .addr = s->pages.addr + s->used_bytes };
    s->used_bytes += aligned_bytes(node);
    return TN_OK;
}

static tn_status fill_blob(packer *p, blob *b, tn_error *err)
{
    const tn_bound_node *node = &p->store->binding->node[b->node];
    const tn_device *device = &p->store->binding->device[node->domain];
    const tn_blob_cache *cache =
        tn_weight_store_keeps(p->store->binding, b->node) ? p->args->cache : NULL;
    const void *kept = cache ? cache->find(cache->self, b->node) : NULL;
    staging *s = &p->staging[node->domain];
    uint64_t bytes = node->plan.weight_bytes;
    bool is_host = tn_device_is_host(device);
    if (!node->kernel->pack)
        return tn_fail(err, TN_INTERNAL, "%s: kernel %s of %s plans weights but cannot pack them",
                       node->node.path, node->kernel->name, node->plugin->name);
    p->store->bytes += bytes;
    if (kept && is_host) { /* the cache's memory: bytes 0, nothing to release */
        b->memory = (tn_domain_memory){ .addr = (uint64_t)(uintptr_t)kept };
        return TN_OK;
    }
    if (is_host)
        TN_TRY(take_pages(p, b, err));
    else
        TN_TRY(tn_domain_memory_alloc(device, s->stream, bytes, node->node.path, &b->memory, err));
    if (kept)
        return upload(p, b, kept, err);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): host memory, by its address
    void *packed = is_host ? (void *)(uintptr_t)b->memory.addr : s->block;
    if (!is_host)
        memset(packed, 0, (size_t)bytes);
    TN_TRY(pack_node(p, node, packed, err));
    if (cache)
        cache->keep(cache->self, b->node, packed);
    return is_host ? TN_OK : upload(p, b, packed, err);
}

/* File bytes of the blob's tensors; with `drop`, those that no later blob needs are let go. */
static uint64_t tensor_bytes(const packer *p, int32_t blob_index, bool drop)
{
    const tn_bound_node *node = &p->store->binding->node[p->store->blob[blob_index].node];
    const tn_weight_source *source = p->source;
    uint64_t sum = 0;
    for (int32_t i = 0; i < 2 * node->n_weights; i++) {
        const char *name = i % 2 ? node->weight[i / 2].bias : node->weight[i / 2].name;
        tn_weight_info info;
        if (!name || source->find(source->self, name, &info))
            continue;
        sum += info.file_bytes;
        if (drop && source->done && !used_later(p->store, blob_index, name))
            source->done(source->self, &info);
    }
    return sum;
}

static tn_status open_staging(packer *p, tn_error *err)
{
    uint64_t largest[TN_MAX_DOMAINS] = { 0 };
    const tn_binding *binding = p->store->binding;
    for (int32_t i = 0; i < binding->n_nodes; i++) {
        uint64_t *max = &largest[binding->node[i].domain];
        if (*max < binding->node[i].plan.weight_bytes)
            *max = binding->node[i].plan.weight_bytes;
    }
    for (int32_t d = 0; d < binding->n_domains; d++) {
        const tn_device *device = &binding->device[d];
        staging *s = &p->staging[d];
        if (tn_device_is_host(device) || largest[d] == 0)
            continue;
        TN_TRY(device->domain->attach(device->self, device->index, err));
        TN_TRY(device->domain->stream_new(device->self, device->index, &s->stream, err));
        s->has_stream = true;
        TN_TRY(device->domain->host_alloc(device->self, largest[d], &s->block, err));
    }
    return TN_OK;
}

static void close_staging(packer *p)
{
    for (int32_t d = 0; d < p->store->binding->n_domains; d++) {
        const tn_device *device = &p->store->binding->device[d];
        if (p->staging[d].block)
            device->domain->host_release(device->self, p->staging[d].block);
        if (p->staging[d].has_stream)
            device->domain->stream_release(device->self, p->staging[d].stream);
    }
}

static tn_status pack_all(packer *p, tn_error *err)
{
    for (int32_t b = 0; b < p->store->n_blobs; b++)
        p->total_bytes += tensor_bytes(p, b, false);
    TN_TRY(open_staging(p, err));
    for (int32_t b = 0; b < p->store->n_blobs; b++) {
        TN_TRY(fill_blob(p, &p->store->blob[b], err));
        p->done_bytes += tensor_bytes(p, b, true);
        if (p->args->progress)
            p->args->progress(p->args->progress_ctx, p->done_bytes, p->total_bytes);
    }
    return TN_OK;
}

tn_status tn_weight_store_create(const tn_weight_store_args *args, tn_weight_store **out,
                                 tn_error *err)
{
    const tn_binding *binding = args->binding;
    tn_weight_store *store = tn_alloc_array(1, sizeof(*store));
    *out = NULL;
    if (!store)
        return tn_fail_memory(err, "the weight store");
    store->binding = binding;
    store->blob = tn_alloc_array((size_t)binding->n_nodes, sizeof(*store->blob));
    store->blob_of = tn_alloc_array((size_t)binding->n_nodes, sizeof(*store->blob_of));
    packer p = { .store = store, .args = args, .source = args->source, .team = args->team };
    tn_status st;
    if (store->blob && store->blob_of) {
        share_blobs(store);
        st = pack_all(&p, err);
        close_staging(&p);
    } else {
        st = tn_fail_memory(err, "the weight store");
    }
    if (st) {
        tn_weight_store_destroy(store);
        return st;
    }
    *out = store;
    return TN_OK;
}

void tn_weight_store_destroy(tn_weight_store *store)
{
    if (!store)
        return;
    for (int32_t b = 0; b < store->n_blobs; b++)
        tn_domain_memory_release(&store->blob[b].memory);
    tn_domain_memory_release(&store->pages);
    tn_free(store->blob);
    tn_free(store->blob_of);
    tn_free(store);
}

uint64_t tn_weight_store_address(const tn_weight_store *store, int32_t node_index)
{
    int32_t b = store->blob_of[node_index];
    return b < 0 ? 0 : store->blob[b].memory.addr;
}

uint64_t tn_weight_store_bytes(const tn_weight_store *store)
{
    return store->bytes;
}
