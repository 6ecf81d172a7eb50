/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/awq_pack.h"

#include "core/base/alloc.h"
#include "model/formats/little_endian.h"

#include <inttypes.h>

enum { QWEIGHT, QZEROS, SCALES };

tn_status tn_awq_shape(tn_awq *a, int64_t rows, int64_t cols, int32_t group, tn_error *err)
{
    *a = (tn_awq){ .rows = rows, .cols = cols, .group = group };
    if (rows < 1 || cols < 1 || group < 1 || rows > INT32_MAX || cols > INT32_MAX ||
        rows % TN_AWQ_OUTPUTS || cols % group)
        return tn_fail(err, TN_UNSUPPORTED,
                       "%" PRId64 " outputs of %" PRId64
                       " inputs; AWQ needs a multiple of %d outputs and of %d inputs",
                       rows, cols, TN_AWQ_OUTPUTS, (int)group);
    const int64_t words = rows / TN_AWQ_OUTPUTS, n_groups = cols / group;
    a->tensor[QWEIGHT] = (tn_awq_tensor){ "qweight", "I32", { cols, words }, 4 };
    a->tensor[QZEROS] = (tn_awq_tensor){ "qzeros", "I32", { n_groups, words }, 4 };
    a->tensor[SCALES] = (tn_awq_tensor){ "scales", "F16", { n_groups, rows }, 2 };
    for (int i = 0; i < TN_AWQ_TENSORS; i++)
        a->tensor[i].bytes *= (size_t)a->tensor[i].dim[0] * (size_t)a->tensor[i].dim[1];
    return TN_OK;
}

tn_status tn_awq_begin(tn_awq *a, tn_error *err)
{
    for (int i = 0; i < TN_AWQ_TENSORS; i++) {
        a->data[i] = tn_alloc_array(a->tensor[i].bytes, 1);
        if (!a->data[i]) {
            tn_awq_end(a);
            return tn_fail_memory(err, "a linear in AWQ's layout");
        }
    }
    return TN_OK;
}

/* Where the nibble of a row is in its line of words: outputs 0 2 4 6 1 3 5 7, lowest nibble first.
 * Little-endian words: two nibbles a byte. */
static void put_nibble(uint8_t *line, int64_t row, uint8_t code)
{
    static const uint8_t place[TN_AWQ_OUTPUTS] = { 0, 4, 1, 5, 2, 6, 3, 7 };
    const int nibble = place[row % TN_AWQ_OUTPUTS];
    line[row / TN_AWQ_OUTPUTS * 4 + nibble / 2] |= (uint8_t)((code & 15) << nibble % 2 * 4);
}

void tn_awq_put(tn_awq *a, int64_t row, int64_t index, const uint8_t *codes, uint8_t zero,
                uint16_t scale)
{
    const size_t line_bytes = (size_t)(a->rows / TN_AWQ_OUTPUTS) * 4;
    uint8_t *line = a->data[QWEIGHT] + (size_t)(index * a->group) * line_bytes;
    for (int32_t k = 0; k < a->group; k++, line += line_bytes)
        put_nibble(line, row, codes[k]);
    put_nibble(a->data[QZEROS] + (size_t)index * line_bytes, row, zero);
    tn_store_u16(a->data[SCALES] + (size_t)(index * a->rows + row) * 2, scale);
}

void tn_awq_end(tn_awq *a)
{
    for (int i = 0; i < TN_AWQ_TENSORS; i++) {
        tn_free(a->data[i]);
        a->data[i] = NULL;
    }
}
