/* SPDX-License-Identifier: Apache-2.0 */
/* Linears of Q4_0 and Q4_1 in AWQ's layout: the same codes and scales. Q4_0 is (q - 8) * d, so its
 * zero points are 8; Q4_1 is q * d + m, whose zero point is -m / d, if that is an integer. */
#include "apps/convert/hf_tensors.h"
#include "model/formats/little_endian.h"

#include <math.h>
#include <string.h>

enum {
    GROUP = 32, /* of Q4_0 and Q4_1 */
    SCALE = 0,
    ZERO = 2,
    CODES = 3,
    GROUP_BYTES = CODES + GROUP,
    MAX_ZERO = 15
};

/* A group on its way to the sink: scale in f16, zero point, codes of a byte each. */
static const tn_weight_format group_format = { .name = "AWQ",
                                               .block_elements = GROUP,
                                               .block_bytes = GROUP_BYTES };

static bool is_q4_0(const tn_weight_info *info)
{
    return strcmp(info->wfmt, "u4z.g32") == 0;
}

/* ---- rows ---- */

/* The zero point of q * d + m, and how far m is from it. */
static uint8_t zero_of(double d, double m, double *error)
{
    const double zero = d != 0.0 ? rint(-m / d) : 0.0;
    const uint8_t nearest = zero > 0.0 ? zero < MAX_ZERO ? (uint8_t)zero : MAX_ZERO : 0;
    *error = fabs(m + nearest * d);
    return nearest;
}

static tn_status encode(tn_convert_stream *s, const tn_convert_tensor *t,
                        const tn_weight_rows *rows, uint8_t *bytes, tn_error *err)
{
    tn_convert_awq_sink *sink = s->sink;
    const size_t n_groups = (size_t)rows->rows * (size_t)(rows->cols / GROUP);
    (void)err;
    for (size_t g = 0; g < n_groups; g++, bytes += GROUP_BYTES) {
        double error = 0.0;
        tn_store_u16(bytes + SCALE, tn_f32_to_f16(rows->scale[g]));
        bytes[ZERO] = is_q4_0(&t->info)
                          ? (uint8_t)rows->zero[g]
                          : zero_of((double)rows->scale[g], (double)rows->zero[g], &error);
        memcpy(bytes + CODES, rows->codes + g * GROUP, GROUP);
        if (error <= sink->largest_error)
            continue;
        sink->largest_error = error;
        sink->worst = t;
    }
    return TN_OK;
}

tn_status tn_convert_awq_format(tn_convert_hf_tensor *t, tn_error *err)
{
    tn_convert_tensor *part = &t->part[t->n_parts - 1];
    const tn_weight_info *info = &part->info;
    const tn_weight_format *f = tn_weight_format_of_wfmt(info->wfmt);
    if (!is_q4_0(info) && strcmp(info->wfmt, "u4b.g32") != 0)
        return tn_fail(err, TN_UNSUPPORTED,
                       "tensor %s is %s; of linears --type awq takes Q4_0, and Q4_1 where that is "
                       "exact; --type plain takes all",
                       info->name, f ? f->name : info->wfmt);
    part->format = &group_format;
    part->encode = encode;
    const tn_status st = tn_awq_shape(&t->awq, t->rows, t->cols, GROUP, err);
    return st ? tn_error_wrap(err, st, "tensor %s", info->name) : TN_OK;
}

tn_status tn_convert_awq_put(void *sink, const void *bytes, size_t n, tn_error *err)
{
    tn_convert_awq_sink *s = sink;
    const uint8_t *at = bytes;
    const int64_t n_groups = s->awq.cols / GROUP;
    const int64_t end = s->row + (int64_t)(n / ((size_t)n_groups * GROUP_BYTES));
    if (end > s->awq.rows)
        return tn_fail(err, TN_INTERNAL, "more rows of a linear than it has");
    for (; s->row < end; s->row++)
        for (int64_t g = 0; g < n_groups; g++, at += GROUP_BYTES)
            tn_awq_put(&s->awq, s->row, g, at + CODES, at[ZERO], tn_load_u16(at + SCALE));
    return TN_OK;
}

tn_status tn_convert_awq_exact(const tn_convert_awq_sink *s, tn_error *err)
{
    if (!s->worst)
        return TN_OK;
    return tn_fail(err, TN_UNSUPPORTED,
                   "tensor %s is Q4_1 and its offsets are no whole zero points: AWQ would change "
                   "weights by up to %.3g; --type plain takes it",
                   s->worst->info.name, s->largest_error);
}
