/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/kv_params.h"

#include "core/base/alloc.h"
#include "model/formats/file_map.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { MAX_FILE_BYTES = 16 << 20, PAIR_FLOATS = 4 };

/* Where we are in the file, for messages. */
typedef struct reader {
    const char *path;
    int32_t n_layers, kv_heads;
    tn_kv_params *params;
    tn_error *err;
} reader;

static tn_status read_number(const reader *r, const json_t *value, int32_t layer, const char *which,
                             float *out)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite(number) || fabs(number) > 1e30)
        return tn_fail(r->err, TN_INVALID,
                       "%s: layers[%d].%s: a scale or zero point is not a finite number", r->path,
                       (int)layer, which);
    *out = (float)number;
    return TN_OK;
}

/* One of "k" and "v": [[scale, zp], ...] into column 0 or 2 of the layer's rows. */
static tn_status read_pairs(reader *r, const json_t *list, int32_t layer, const char *which,
                            int column)
{
    tn_kv_params *p = r->params;
    const size_t n = json_array_size(list);
    if (n != 1 && n != (size_t)r->kv_heads)
        return tn_fail(r->err, TN_INVALID,
                       "%s: layers[%d].%s has %zu pairs; 1 or %d (one a kv head) are allowed",
                       r->path, (int)layer, which, n, (int)r->kv_heads);
    if (p->n_pairs == 0)
        p->n_pairs = (int32_t)n;
    if (n != (size_t)p->n_pairs)
        return tn_fail(r->err, TN_INVALID,
                       "%s: layers[%d].%s has %zu pairs, other layers have %d; all must agree",
                       r->path, (int)layer, which, n, (int)p->n_pairs);
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);
        if (json_array_size(pair) != 2)
            return tn_fail(r->err, TN_INVALID, "%s: layers[%d].%s[%zu] is not [scale, zero point]",
                           r->path, (int)layer, which, i);
        float *to = p->values + ((size_t)layer * (size_t)p->n_pairs + i) * PAIR_FLOATS + column;
        TN_TRY(read_number(r, json_array_get(pair, 0), layer, which, &to[0]));
        TN_TRY(read_number(r, json_array_get(pair, 1), layer, which, &to[1]));
        if (to[0] <= 0)
            return tn_fail(r->err, TN_INVALID,
                           "%s: layers[%d].%s[%zu] has scale %g; it must be above 0", r->path,
                           (int)layer, which, i, (double)to[0]);
    }
    return TN_OK;
}

static tn_status read_layers(reader *r, const json_t *root)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    const json_t *layers = json_object_get(root, "layers");
    if (!format || strcmp(format, "i8-static") != 0)
        return tn_fail(r->err, TN_INVALID, "%s: \"format\" must be \"i8-static\"", r->path);
    if (!json_is_array(layers) || json_array_size(layers) != (size_t)r->n_layers)
        return tn_fail(r->err, TN_INVALID,
                       "%s: \"layers\" has %zu entries; the model has %d layers", r->path,
                       json_array_size(layers), (int)r->n_layers);
    for (int32_t i = 0; i < r->n_layers; i++) {
        const json_t *layer = json_array_get(layers, (size_t)i);
        TN_TRY(read_pairs(r, json_object_get(layer, "k"), i, "k", 0));
        TN_TRY(read_pairs(r, json_object_get(layer, "v"), i, "v", 2));
    }
    return TN_OK;
}

static tn_status allocate(reader *r)
{
    tn_kv_params *p = r->params;
    size_t n;
    p->layer = tn_alloc_array((size_t)r->n_layers, sizeof *p->layer);
    if (p->layer && tn_size_mul((size_t)r->n_layers, (size_t)r->kv_heads, &n))
        p->values = tn_alloc_array(n, PAIR_FLOATS * sizeof *p->values);
    return p->values ? TN_OK : tn_fail_memory(r->err, "the KV parameters");
}

static tn_status parse(reader *r, const char *text, size_t n)
{
    json_error_t where;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return tn_fail(r->err, TN_INVALID, "%s:%d:%d: not valid JSON: %s", r->path, where.line,
                       where.column, where.text);
    tn_status status = read_layers(r, root);
    json_decref(root);
    if (status)
        return status;
    for (int32_t i = 0; i < r->n_layers; i++)
        r->params->layer[i] =
            r->params->values + (size_t)i * (size_t)r->params->n_pairs * PAIR_FLOATS;
    return TN_OK;
}

tn_status tn_kv_params_load(const char *path, int32_t n_layers, int32_t kv_heads,
                            tn_kv_params **out, tn_error *err)
{
    char *text = NULL;
    size_t n;
    *out = NULL;
    TN_TRY(tn_file_read(path, MAX_FILE_BYTES, &text, &n, err));
    reader r = { .path = path, .n_layers = n_layers, .kv_heads = kv_heads, .err = err };
    r.params = tn_alloc_array(1, sizeof *r.params);
    tn_status status = r.params ? TN_OK : tn_fail_memory(err, "the KV parameters");
    if (!status) {
        r.params->n_layers = n_layers;
        status = allocate(&r);
    }
    if (!status)
        status = parse(&r, text, n);
    tn_free(text);
    if (status) {
        tn_kv_params_destroy(r.params);
        return status;
    }
    *out = r.params;
    return TN_OK;
}

void tn_kv_params_destroy(tn_kv_params *params)
{
    if (!params)
        return;
    tn_free(params->layer);
    tn_free(params->values);
    tn_free(params);
}
