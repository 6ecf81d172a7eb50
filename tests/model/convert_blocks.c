/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert_blocks decode|encode TYPE < in > out: blocks of a tensor type to f32 values in machine
 * order, or the reverse, by the table of weight formats. For tests that hold it against other
 * implementations.
 */
#include "core/base/alloc.h"
#include "model/formats/weight_format.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BATCH_BLOCKS = 256 };

/* Values of canonical rows in f32, each step rounded, as ggml has them. (The host evaluates codes
 * in f64, see docs/numerics.md; what is compared here is what was read.) */
static void evaluate(const tn_weight_format *f, const tn_row_buffer *rows, size_t n, float *values)
{
    for (size_t i = 0; i < n; i++) {
        size_t group = f->values ? 0 : i / (size_t)f->group;
        if (f->values)
            values[i] = rows->values[i];
        else if (f->wfmt[0] == 'q')
            values[i] = (float)(rows->codes[i] - 128) * rows->scale[group];
        else if (strncmp(f->wfmt, "u4z", 3) == 0)
            values[i] = ((float)rows->codes[i] - rows->zero[group]) * rows->scale[group];
        else
            values[i] = (float)rows->codes[i] * rows->scale[group] + rows->zero[group];
    }
}

/* One batch of n blocks. */
static tn_status decode(const tn_weight_format *f, const uint8_t *blocks, size_t n, float *values,
                        tn_error *err)
{
    const tn_weight_info info = { .name = f->name,
                                  .wfmt = f->wfmt,
                                  .group = f->group,
                                  .values = f->values,
                                  .cols = (int64_t)(n * f->block_elements) };
    tn_row_buffer rows;
    TN_TRY(tn_row_buffer_init(&rows, &info, 1, err));
    f->decode(blocks, n, &rows);
    evaluate(f, &rows, (size_t)info.cols, values);
    tn_row_buffer_deinit(&rows);
    return TN_OK;
}

static int convert(const tn_weight_format *f, bool is_decode, uint8_t *blocks, float *values)
{
    const size_t value_bytes = f->block_elements * sizeof(*values);
    tn_error err = { 0 };
    size_t n = 0;
    do {
        n = is_decode ? fread(blocks, f->block_bytes, BATCH_BLOCKS, stdin)
                      : fread(values, value_bytes, BATCH_BLOCKS, stdin);
        if (!is_decode)
            f->encode(values, n, blocks);
        else if (n && decode(f, blocks, n, values, &err)) {
            fprintf(stderr, "convert_blocks: %s\n", err.text);
            return 1;
        }
        size_t written = is_decode ? fwrite(values, value_bytes, n, stdout)
                                   : fwrite(blocks, f->block_bytes, n, stdout);
        if (written != n) {
            fputs("convert_blocks: cannot write\n", stderr);
            return 1;
        }
    } while (n == BATCH_BLOCKS);
    return 0;
}

int main(int argc, char **argv)
{
    const tn_weight_format *f = argc == 3 ? tn_weight_format_of_name(argv[2]) : NULL;
    bool is_decode = f && strcmp(argv[1], "decode") == 0;
    bool is_encode = f && strcmp(argv[1], "encode") == 0;
    if ((is_decode && !f->decode) || (is_encode && !f->encode) || (!is_decode && !is_encode)) {
        fputs("usage: convert_blocks decode|encode TYPE < in > out\n", stderr);
        return 2;
    }
    uint8_t *blocks = tn_alloc_array(BATCH_BLOCKS, f->block_bytes);
    float *values = tn_alloc_array((size_t)BATCH_BLOCKS * f->block_elements, sizeof(*values));
    int result = blocks && values ? convert(f, is_decode, blocks, values) : 1;
    tn_free(blocks);
    tn_free(values);
    return result;
}
