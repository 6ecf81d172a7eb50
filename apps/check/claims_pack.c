/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/claims.h"
#include "core/base/alloc.h"
#include "core/plugin/normalise.h"

#include <math.h>
#include <string.h>

/* Calls of pack and unpack for one node: enough to meet every kind of row, few enough for a head of
 * 100,000 rows. */
enum { MAX_RANGES = 64, MAX_ROWS = 48 };

static void compare_blobs(const tn_check_kernel *k, const uint8_t *blob, const char *how,
                          tn_check_verdict *out)
{
    tn_check_fault fault = { 0 };
    const uint8_t *packed = tn_guarded_image(&k->weight);
    size_t at = 0;
    if (memcmp(blob, packed, k->weight.bytes) == 0)
        return;
    while (blob[at] == packed[at])
        at++;
    tn_check_set_fault(&fault, "pack",
                       "pack %s gives another blob than pack in ranges; byte %zu of %zu differs",
                       how, at, k->weight.bytes);
    tn_check_verdict_fault(&fault, out);
}

static int32_t most_rows(const tn_check_case *c)
{
    int32_t most = 1;
    for (int32_t i = 0; i < c->n_parts; i++)
        if (c->part[i].wfmt && c->part[i].rows.rows > most)
            most = c->part[i].rows.rows;
    return most;
}

/* At once, and in the smallest allowed ranges (but not too many), the last first. */
static tn_status check_split(const tn_check_kernel *k, const tn_check_case *c,
                             tn_check_verdict *out, tn_error *err)
{
    const int32_t unit = k->plan.pack_rows ? (int32_t)k->plan.pack_rows : 0;
    const int32_t units = unit ? (most_rows(c) / unit + MAX_RANGES) / MAX_RANGES : 0;
    const struct {
        int32_t step;
        bool backwards;
        const char *how;
    } way[] = { { 0, false, "at once" }, { unit * (units ? units : 1), true, "from the end" } };
    uint8_t *blob = tn_alloc(k->weight.bytes);
    if (!blob)
        return tn_fail_memory(err, "a blob");
    for (int32_t i = 0; i < 2 && !out->failed; i++) {
        tn_check_fault fault = { 0 };
        memset(blob, 0, k->weight.bytes);
        tn_check_pack(k, c->part, c->n_parts, way[i].step, way[i].backwards, blob, &fault);
        tn_check_verdict_fault(&fault, out);
        compare_blobs(k, blob, way[i].how, out);
    }
    tn_free(blob);
    return TN_OK;
}

/* The reference values may be rounded as the class rounds operands; f32 arithmetic may lose the
 * last bits of a formula whose terms cancel. */
static double row_limit(const tn_check_class *k, const tn_check_part *part, int32_t row,
                        int32_t col, float value)
{
    const tn_weight_rows *w = &part->rows;
    double size = fabs((double)value);
    if (!w->values) {
        const int64_t group = (int64_t)row * (w->cols / w->group) + col / w->group;
        size += 32 * fabs((double)w->scale[group]) +
                (w->zero ? fabs((double)w->zero[group] * (part->wfmt[2] == 'b' ? 1.0 : 0.0)) : 0);
    }
    return size * (4 * 0x1p-24 + k->operand) + (k->operand > 0 ? 0x1p-24 : 0x1p-126) +
           tn_check_recode_error(k, part, row, col);
}

static void compare_row(const tn_check_kernel *k, const tn_check_part *part, int32_t index,
                        int32_t row, const float *got, const float *expected, tn_check_verdict *out)
{
    const tn_check_class class = tn_check_class_of(k->kernel->tolerance, &k->node);
    for (int32_t i = 0; i < part->rows.cols && !out->failed; i++) {
        const double limit = row_limit(&class, part, row, i, expected[i]);
        const double error = fabs((double)got[i] - (double)expected[i]);
        tn_check_fault fault = { 0 };
        if (got[i] == expected[i] || error <= limit || (isnan(got[i]) && isnan(expected[i])))
            continue;
        tn_check_set_fault(&fault, "unpack",
                           "unpack(pack(w)) of part %d (%s), row %d, column %d: got %.9g, expected "
                           "%.9g, limit %.3g",
                           (int)index, part->wfmt, (int)row, (int)i, (double)got[i],
                           (double)expected[i], limit);
        tn_check_verdict_fault(&fault, out);
    }
}

static tn_status unpack_row(const tn_check_kernel *k, const tn_check_part *part, int32_t index,
                            int32_t row, float *values, tn_check_verdict *out, tn_error *err)
{
    const int32_t cols = part->rows.cols;
    const tn_weight_rows one = tn_check_part_rows(part, index, row, 1);
    tn_check_fault fault = { 0 };
    tn_error own = { 0 };
    memset(values, 0xff, (size_t)cols * sizeof(float));
    if (tn_plugin_status(k->kernel->unpack(k->plugin->self, &k->node, index, row,
                                           tn_guarded_image(&k->weight), values, &own),
                         &own)) {
        tn_check_set_fault(&fault, "unpack", "unpack of part %d, row %d: %s", (int)index, (int)row,
                           own.text);
        tn_check_verdict_fault(&fault, out);
        return TN_OK;
    }
    TN_TRY(tn_weight_rows_values(part->wfmt, &one, values + cols, err));
    compare_row(k, part, index, row, values, values + cols, out);
    return TN_OK;
}

static tn_status check_unpack(const tn_check_kernel *k, const tn_check_case *c,
                              tn_check_verdict *out, tn_error *err)
{
    const tn_linear *linear = c->op->param == TN_PARAM_LINEAR ? c->node.param : NULL;
    const int32_t n_matrices = linear ? linear->n_parts : c->op->param == TN_PARAM_EMBED;
    tn_status status = TN_OK;
    for (int32_t i = 0; i < n_matrices && !status && !out->failed; i++) {
        const tn_check_part *part = &c->part[i];
        if (!part->wfmt)
            continue;
        const int32_t rows = part->rows.rows, step = (rows + MAX_ROWS - 1) / MAX_ROWS;
        float *values = tn_alloc_array(2 * (size_t)part->rows.cols, sizeof *values);
        if (!values)
            return tn_fail_memory(err, "a row");
        for (int32_t r = 0; r < rows && !status && !out->failed; r += step)
            status = unpack_row(k, part, i, r, values, out, err);
        if (!status && !out->failed)
            status = unpack_row(k, part, i, rows - 1, values, out, err);
        tn_free(values);
    }
    return status;
}

tn_status tn_check_pack_claims(const tn_check_kernel *k, const tn_check_case *c,
                               tn_check_verdict *out, tn_error *err)
{
    if (!k->weight.base)
        return TN_OK;
    TN_TRY(check_split(k, c, out, err));
    return k->kernel->unpack && !out->failed ? check_unpack(k, c, out, err) : TN_OK;
}
