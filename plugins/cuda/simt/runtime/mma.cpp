// SPDX-License-Identifier: Apache-2.0
// mma.sync and ldmatrix for a whole warp. With g = lane / 4 and t = lane % 4, PTX ISA, "Matrix
// Fragments for mma.m16n8k16 with floating point type": A word 0 holds (g, 2t) and (g, 2t+1), word
// 1 row g+8, words 2 and 3 the same at columns +8; B word 0 holds (2t, g) and (2t+1, g), word 1
// rows +8; C floats 0 and 1 hold (g, 2t) and (g, 2t+1), 2 and 3 row g+8.
#include "plugins/common/half.h"
#include "plugins/cuda/simt/runtime/annotate.h"
#include "plugins/cuda/simt/runtime/warp.h"

#include <cstring>

namespace simt
{

struct mma_tiles {
    uint16_t a[16][16], b[16][8];
    float wide_a[16][16], wide_b[16][8], c[16][8];
};

static void gather(const warp *w, mma_tiles *m)
{
    for (int lane = 0; lane < warp_size; lane++) {
        const int g = lane / 4, t = lane % 4;
        const uint32_t *in = w->in[lane];
        std::memcpy(&m->a[g][2 * t], &in[0], 4);
        std::memcpy(&m->a[g + 8][2 * t], &in[1], 4);
        std::memcpy(&m->a[g][2 * t + 8], &in[2], 4);
        std::memcpy(&m->a[g + 8][2 * t + 8], &in[3], 4);
        for (int half = 0; half < 2; half++) {
            m->b[2 * t + 8 * half][g] = static_cast<uint16_t>(in[4 + half]);
            m->b[2 * t + 8 * half + 1][g] = static_cast<uint16_t>(in[4 + half] >> 16);
        }
        std::memcpy(&m->c[g][2 * t], &in[6], 8);
        std::memcpy(&m->c[g + 8][2 * t], &in[8], 8);
    }
}

template <float widen(uint16_t)> static void widen_all(mma_tiles *m)
{
    for (int row = 0; row < 16; row++) {
        for (int i = 0; i < 16; i++)
            m->wide_a[row][i] = widen(m->a[row][i]);
        for (int i = 0; i < 8; i++)
            m->wide_b[row][i] = widen(m->b[row][i]);
    }
}

/* Products are exact in f32; the order of the sum is ours, a GPU's is its own. */
static void multiply(mma_tiles *m)
{
    for (int row = 0; row < 16; row++) {
        float sum[8];
        std::memcpy(sum, m->c[row], sizeof sum);
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++)
                sum[column] += m->wide_a[row][k] * m->wide_b[k][column];
        std::memcpy(m->c[row], sum, sizeof sum);
    }
}

static void compute_mma(warp *w, uint32_t, const void *context)
{
    mma_tiles m;
    gather(w, &m);
    if (*static_cast<const mma_type *>(context) == mma_type::f16)
        widen_all<tn_half_f16_to_f32>(&m);
    else
        widen_all<tn_half_bf16_to_f32>(&m);
    multiply(&m);
    for (int lane = 0; lane < warp_size; lane++) {
        const int g = lane / 4, t = lane % 4;
        std::memcpy(&w->out[lane][0], &m.c[g][2 * t], 8);
        std::memcpy(&w->out[lane][2], &m.c[g + 8][2 * t], 8);
    }
    this_block->counts.n_mma++;
}

/*
 * PTX ISA, ldmatrix: lanes 8 i to 8 i + 7 give the rows of matrix i, 8 elements of 16 bits each.
 * Lane l gets elements 2t and 2t+1 of row g; with .trans those of column g, that is (2t, g) and
 * (2t+1, g).
 */
struct ldmatrix_args {
    int n_matrices;
    bool is_transposed;
};

static void compute_ldmatrix(warp *w, uint32_t, const void *context)
{
    const ldmatrix_args *args = static_cast<const ldmatrix_args *>(context);
    for (int matrix = 0; matrix < args->n_matrices; matrix++) {
        uint16_t element[8][8];
        for (int row = 0; row < 8; row++) {
            uintptr_t address;
            std::memcpy(&address, w->in[matrix * 8 + row], sizeof address);
            std::memcpy(element[row], reinterpret_cast<const void *>(address), sizeof element[row]);
        }
        for (int lane = 0; lane < warp_size; lane++) {
            const int g = lane / 4, t = lane % 4;
            uint32_t low = args->is_transposed ? element[2 * t][g] : element[g][2 * t];
            uint32_t high = args->is_transposed ? element[2 * t + 1][g] : element[g][2 * t + 1];
            w->out[lane][matrix] = low | high << 16;
        }
    }
}

} // namespace simt

using namespace simt;

extern "C" void tn_simt_mma(mma_type type, float *d, const uint32_t *a, const uint32_t *b,
                            const char *file, int line)
{
    uint32_t in[10], out[4];
    std::memcpy(in, a, 4 * sizeof *a);
    std::memcpy(in + 4, b, 2 * sizeof *b);
    std::memcpy(in + 6, d, 4 * sizeof *d);
    meet({ { "mma.sync", file, line }, 0xffffffffu, in, 10, 4, out, compute_mma, &type });
    std::memcpy(d, out, sizeof out);
}

extern "C" void tn_simt_ldmatrix(int n_matrices, int transposed, uint32_t *r, const void *row,
                                 const char *file, int line)
{
    uint32_t in[2] = {};
    if (this_thread->lane < 8 * n_matrices) { /* the addresses of other lanes do not matter */
        tn_simt_access(access::shared_read, row, 16, 16, file, line);
        will_read(row, 16);
        uintptr_t address = reinterpret_cast<uintptr_t>(row);
        std::memcpy(in, &address, sizeof address);
    }
    ldmatrix_args args = { n_matrices, transposed != 0 };
    meet(
        { { "ldmatrix", file, line }, 0xffffffffu, in, 2, n_matrices, r, compute_ldmatrix, &args });
}
