/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/hf_quant.h"

#include "model/formats/little_endian.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CODES = 8 }; /* in an int32 */

/* ---- quantization_config ---- */

static void read_group(tn_json_reader *r, const char *old_key, tn_hf_quant *q)
{
    q->group = 128;
    tn_json_int32(r, old_key, -1, TN_HF_MAX_GROUP, &q->group);
    tn_json_int32(r, "group_size", -1, TN_HF_MAX_GROUP, &q->group);
    if (q->group == -1 || q->group == 32 || q->group == 64 || q->group == 128)
        return;
    tn_json_fail(r, TN_UNSUPPORTED,
                 "group_size is %d; 32, 64, 128 and -1 (the whole column) are supported",
                 (int)q->group);
}

static void need_4_bits(tn_json_reader *r, const char *old_key)
{
    int32_t bits = 4;
    tn_json_int32(r, old_key, 1, 64, &bits);
    tn_json_int32(r, "bits", 1, 64, &bits);
    if (bits != 4)
        tn_json_fail(r, TN_UNSUPPORTED, "bits is %d; 4 is supported", (int)bits);
}

static bool is_ascii_equal(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a | 0x20) != (*b | 0x20))
            return false;
    return *a == *b;
}

static void read_awq(tn_json_reader *r, tn_hf_quant *q)
{
    const char *version = "gemm";
    bool zero_point = true;
    q->method = TN_HF_AWQ;
    need_4_bits(r, "w_bit");
    read_group(r, "q_group_size", q);
    tn_json_string(r, "version", &version);
    tn_json_bool(r, "zero_point", &zero_point);
    if (!is_ascii_equal(version, "gemm"))
        tn_json_fail(r, TN_UNSUPPORTED, "version is \"%.64s\"; AWQ's layout gemm is supported",
                     version);
    if (!zero_point)
        tn_json_fail(r, TN_UNSUPPORTED, "zero_point is false; only true is supported");
}

static void read_gptq(tn_json_reader *r, tn_hf_quant *q)
{
    const char *layout = "gptq";
    bool act_order = false;
    q->method = TN_HF_GPTQ;
    need_4_bits(r, "wbits");
    read_group(r, "groupsize", q);
    tn_json_string(r, "checkpoint_format", &layout);
    tn_json_bool(r, "desc_act", &act_order);
    q->zero_shift = strcmp(layout, "gptq") == 0;
    if (!q->zero_shift && strcmp(layout, "gptq_v2") != 0)
        tn_json_fail(r, TN_UNSUPPORTED,
                     "checkpoint_format is \"%.64s\"; gptq and gptq_v2 are supported", layout);
    if (act_order)
        tn_json_fail(r, TN_UNSUPPORTED,
                     "desc_act is true (act-order: each input has a group of its own), which is "
                     "not supported; quantise with desc_act false, or take an AWQ checkpoint");
}

void tn_hf_quant_read(tn_hf_quant *q, tn_json_reader *config)
{
    const char *method = "";
    *q = (tn_hf_quant){ 0 };
    tn_json_reader r =
        tn_json_object(config, "quantization_config", "config.json: quantization_config");
    if (r.object) {
        tn_json_need(&r, "quant_method");
        tn_json_string(&r, "quant_method", &method);
        if (strcmp(method, "awq") == 0)
            read_awq(&r, q);
        else if (strcmp(method, "gptq") == 0)
            read_gptq(&r, q);
        else
            tn_json_fail(&r, TN_UNSUPPORTED,
                         "quant_method is \"%.64s\"; awq and gptq of 4 bits are supported", method);
        q->skip = tn_json_get(&r, "modules_to_not_convert");
    }
    tn_json_merge(config, &r);
}

bool tn_hf_quant_skips(const tn_hf_quant *q, const char *module)
{
    for (size_t i = 0; i < json_array_size(q->skip); i++) {
        const char *part = json_string_value(json_array_get(q->skip, i));
        if (part && strstr(module, part))
            return true;
    }
    return false;
}

/* ---- tensors ---- */

static tn_status take(const tn_hf_shards *shards, const char *module, const char *kind,
                      const tn_st_tensor **out, tn_error *err)
{
    char name[TN_ST_MAX_NAME_BYTES + 1];
    (void)snprintf(name, sizeof(name), "%s.%s", module, kind);
    tn_hf_source_tensor *found = tn_hf_shards_find(shards, name);
    *out = NULL;
    if (!found)
        return tn_fail(err, TN_INVALID, "the tensor %s is missing; there is %s.qweight", name,
                       module);
    found->used = true;
    *out = found->tensor;
    return TN_OK;
}

static tn_status need_shape(const tn_st_tensor *t, uint64_t rows, uint64_t cols, tn_error *err)
{
    if (t->n_dims == 2 && t->dim[0] == rows && t->dim[1] == cols)
        return TN_OK;
    return tn_fail(err, TN_INVALID,
                   "tensor %s is %" PRIu64 " x %" PRIu64 " in %d dimensions; %" PRIu64 " x %" PRIu64
                   " is needed beside its qweight and group size",
                   t->name, t->dim[0], t->dim[1], (int)t->n_dims, rows, cols);
}

static tn_status check_types(tn_hf_packed *p, tn_error *err)
{
    p->scale_format = tn_weight_format_of_name(p->scales->type_name);
    if (p->codes->type != TN_ST_I32 || p->zeros->type != TN_ST_I32)
        return tn_fail(err, TN_INVALID, "tensors %s and %s are %s and %s; both must be I32",
                       p->codes->name, p->zeros->name, p->codes->type_name, p->zeros->type_name);
    if (p->scales->type == TN_ST_F16 || p->scales->type == TN_ST_BF16 ||
        p->scales->type == TN_ST_F32)
        return TN_OK;
    return tn_fail(err, TN_INVALID, "tensor %s is %s; F16, BF16 or F32 is needed", p->scales->name,
                   p->scales->type_name);
}

/* Rows and columns by the method's layout, and all shapes against them. */
static tn_status check_shapes(tn_hf_packed *p, int32_t group, tn_error *err)
{
    const tn_st_tensor *q = p->codes;
    const bool is_awq = p->method == TN_HF_AWQ;
    const uint64_t n = p->scales->n_dims == 2 ? p->scales->dim[1] : 0;
    if (q->n_dims != 2 || n == 0 || n % CODES || q->dim[0] == 0 || q->dim[0] > TN_HF_MAX_GROUP)
        return tn_fail(err, TN_INVALID,
                       "tensors %s and %s have no shapes of a linear of 4 bits (outputs a "
                       "multiple of 8)",
                       q->name, p->scales->name);
    if (q->dim[1] != (is_awq ? n / CODES : n))
        return tn_fail(err, TN_INVALID,
                       "tensor %s has %" PRIu64 " columns beside scales of %" PRIu64
                       ": that is not %s, which quantization_config says",
                       q->name, q->dim[1], n, is_awq ? "AWQ" : "GPTQ");
    const uint64_t k = is_awq ? q->dim[0] : q->dim[0] * CODES;
    p->group = group < 0 ? (int32_t)k : group;
    if (k % (uint64_t)p->group || k % CODES)
        return tn_fail(err, TN_INVALID,
                       "tensor %s: %" PRIu64 " inputs are no multiple of the group size %d",
                       q->name, k, (int)p->group);
    p->rows = (int64_t)n;
    p->cols = (int64_t)k;
    TN_TRY(need_shape(p->scales, k / (uint64_t)p->group, n, err));
    return need_shape(p->zeros, k / (uint64_t)p->group, n / CODES, err);
}

/* GPTQ's list of the inputs' groups, when there is one: ascending, or this is act-order. */
static tn_status check_order(const tn_hf_packed *p, const tn_hf_shards *shards, const char *module,
                             tn_error *err)
{
    char name[TN_ST_MAX_NAME_BYTES + 1];
    (void)snprintf(name, sizeof(name), "%s.g_idx", module);
    tn_hf_source_tensor *found = tn_hf_shards_find(shards, name);
    if (!found || p->method != TN_HF_GPTQ)
        return TN_OK;
    const tn_st_tensor *t = found->tensor;
    found->used = true;
    if (t->type != TN_ST_I32 || t->n_dims != 1 || t->dim[0] != (uint64_t)p->cols)
        return tn_fail(err, TN_INVALID, "tensor %s must be %" PRId64 " integers (I32)", name,
                       p->cols);
    for (int64_t k = 0; k < p->cols; k++)
        if (tn_load_u32(t->data + k * 4) != (uint32_t)(k / p->group))
            return tn_fail(err, TN_UNSUPPORTED,
                           "tensor %s is in act-order, which is not supported; quantise with "
                           "desc_act false, or take an AWQ checkpoint",
                           name);
    return TN_OK;
}

tn_status tn_hf_packed_find(tn_hf_packed *p, const tn_hf_quant *q, const tn_hf_shards *shards,
                            const char *module, tn_error *err)
{
    *p = (tn_hf_packed){ .method = q->method, .zero_shift = q->zero_shift };
    if (q->method == TN_HF_NOT_QUANTISED)
        return tn_fail(err, TN_INVALID,
                       "the tensor %s.qweight is there, but config.json has no "
                       "quantization_config, which says what it means",
                       module);
    if (tn_hf_quant_skips(q, module))
        return tn_fail(err, TN_INVALID,
                       "the tensor %s.qweight is there, but modules_to_not_convert says that it "
                       "is not quantised",
                       module);
    TN_TRY(take(shards, module, "qweight", &p->codes, err));
    TN_TRY(take(shards, module, "qzeros", &p->zeros, err));
    TN_TRY(take(shards, module, "scales", &p->scales, err));
    TN_TRY(check_types(p, err));
    TN_TRY(check_shapes(p, q->group, err));
    return check_order(p, shards, module, err);
}

/* ---- rows ---- */

/* Bits to shift to code j of eight outputs. */
static int32_t shift_of(int32_t method, int64_t j)
{
    static const uint8_t awq[CODES] = { 0, 16, 4, 20, 8, 24, 12, 28 };
    return method == TN_HF_AWQ ? awq[j] : (int32_t)(4 * j);
}

/* Eight outputs a word, inputs downwards: read line by line, as the file has them. */
static void awq_codes(const tn_hf_packed *p, int64_t row0, int32_t n, uint8_t *codes)
{
    const size_t line_bytes = (size_t)(p->rows / CODES) * 4;
    for (int64_t k = 0; k < p->cols; k++) {
        const uint8_t *line = p->codes->data + (size_t)k * line_bytes;
        for (int32_t i = 0; i < n; i++) {
            const int64_t row = row0 + i;
            const uint32_t word = tn_load_u32(line + row / CODES * 4);
            codes[i * p->cols + k] = word >> shift_of(TN_HF_AWQ, row % CODES) & 15;
        }
    }
}

/* Eight inputs a word. */
static void gptq_codes(const tn_hf_packed *p, int64_t row0, int32_t n, uint8_t *codes)
{
    for (int64_t k = 0; k < p->cols; k += CODES) {
        const uint8_t *line = p->codes->data + (size_t)(k / CODES) * (size_t)p->rows * 4;
        for (int32_t i = 0; i < n; i++) {
            const uint32_t word = tn_load_u32(line + (row0 + i) * 4);
            for (int32_t j = 0; j < CODES; j++)
                codes[i * p->cols + k + j] = word >> 4 * j & 15;
        }
    }
}

void tn_hf_packed_rows(const tn_hf_packed *p, int64_t row0, int32_t n, int32_t at,
                       const tn_row_buffer *buffer)
{
    const int64_t n_groups = p->cols / p->group;
    const size_t scale_bytes = p->scale_format->block_bytes;
    if (p->method == TN_HF_AWQ)
        awq_codes(p, row0, n, buffer->codes + at * p->cols);
    else
        gptq_codes(p, row0, n, buffer->codes + at * p->cols);
    for (int64_t g = 0; g < n_groups; g++)
        for (int32_t i = 0; i < n; i++) {
            const int64_t row = row0 + i, to = (at + i) * n_groups + g;
            const size_t scale = (size_t)(g * p->rows + row) * scale_bytes;
            const size_t word = (size_t)(g * (p->rows / CODES) + row / CODES) * 4;
            const uint32_t zeros = tn_load_u32(p->zeros->data + word);
            const uint32_t zero = zeros >> shift_of(p->method, row % CODES) & 15;
            p->scale_format->decode(p->scales->data + scale, 1,
                                    &(tn_row_buffer){ .values = &buffer->scale[to] });
            buffer->zero[to] = (float)((int32_t)zero + p->zero_shift);
        }
}
