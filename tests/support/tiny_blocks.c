/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tiny_blocks.h"

#include "model/formats/little_endian.h"
#include "tests/support/tiny_model.h"

#include <math.h>
#include <string.h>

enum { MAX_ELEMENTS = 256 };

/* Formats without an encoder: where the scale d and the minimum m of a block are (ggml-common.h;
 * m -1: none), and m as a multiple of d that puts the mean of random codes at 0. */
static const struct {
    const char *name;
    int d, m;
    float m_of_d;
    int d_is_f32;
} random_formats[] = {
    { "Q2_K", 80, 82, 1.5f, 0 },  { "Q3_K", 108, -1, 0.0f, 0 }, { "Q4_K", 0, 2, 7.5f, 0 },
    { "Q5_K", 0, 2, 15.5f, 0 },   { "Q6_K", 208, -1, 0.0f, 0 }, { "Q8_K", 0, -1, 0.0f, 1 },
    { "IQ4_NL", 0, -1, 0.0f, 0 }, { "IQ4_XS", 0, -1, 0.0f, 0 },
};
enum { N_RANDOM = (int)(sizeof(random_formats) / sizeof(random_formats[0])) };

static void set_scale(int format, float d, uint8_t *block)
{
    uint8_t *p = block + random_formats[format].d;
    if (random_formats[format].d_is_f32)
        tn_store_u32(p, tn_f32_bits(d));
    else
        tn_store_u16(p, tn_f32_to_f16(d));
    if (random_formats[format].m >= 0)
        tn_store_u16(block + random_formats[format].m,
                     tn_f32_to_f16(d * random_formats[format].m_of_d));
}

/* Random codes and sub-scales; then the scale that gives the block the deviation. */
static void random_block(const tn_weight_format *f, int format, uint64_t *random, float deviation,
                         uint8_t *block)
{
    float values[MAX_ELEMENTS];
    double sum = 0.0;
    for (uint32_t i = 0; i < f->block_bytes; i++)
        block[i] = (uint8_t)(tn_test_random(random) >> 32);
    set_scale(format, 1.0f, block);
    f->decode(block, 1, &(tn_row_buffer){ .values = values });
    for (uint32_t i = 0; i < f->block_elements; i++)
        sum += (double)values[i] * (double)values[i];
    double root = sqrt(sum / f->block_elements);
    set_scale(format, (float)((double)deviation / (root > 0 ? root : 1.0)), block);
}

void tn_tiny_blocks_make(const tn_weight_format *f, uint64_t *random, float deviation,
                         size_t n_blocks, float *values, uint8_t *blocks)
{
    int format = 0;
    while (format < N_RANDOM && strcmp(random_formats[format].name, f->name) != 0)
        format++;
    if (format < N_RANDOM) {
        for (size_t b = 0; b < n_blocks; b++)
            random_block(f, format, random, deviation, blocks + b * f->block_bytes);
        return;
    }
    for (size_t i = 0; i < n_blocks * f->block_elements; i++)
        values[i] = tn_test_normal(random) * deviation;
    f->encode(values, n_blocks, blocks);
}

tn_status tn_tiny_blocks_values(const tn_weight_format *f, const uint8_t *blocks, size_t n_blocks,
                                float *values, tn_error *err)
{
    const tn_weight_info info = { .name = f->name,
                                  .wfmt = f->wfmt,
                                  .group = f->group,
                                  .values = f->values,
                                  .rows = 1,
                                  .cols = (int64_t)(n_blocks * f->block_elements) };
    tn_row_buffer buffer;
    TN_TRY(tn_row_buffer_init(&buffer, &info, 1, err));
    f->decode(blocks, n_blocks, &buffer);
    const tn_weight_rows rows = { .size = sizeof(rows),
                                  .rows = 1,
                                  .cols = (int32_t)info.cols,
                                  .group = f->group,
                                  .values = buffer.values,
                                  .codes = buffer.codes,
                                  .scale = buffer.scale,
                                  .zero = buffer.zero };
    tn_status st = tn_weight_rows_values(f->wfmt, &rows, values, err);
    tn_row_buffer_deinit(&buffer);
    return st;
}
