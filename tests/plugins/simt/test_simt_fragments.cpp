// SPDX-License-Identifier: Apache-2.0
// Every position of the fragments, one at a time, against the index formulas of the PTX ISA
// (written here as the manual gives them, row and column of element i of a lane, and not as the
// emulator uses them).
#include "tests/plugins/simt/kernels.h"
#include "tests/plugins/simt/rig.h"

using namespace simt_test;

/* PTX ISA, mma.m16n8k16, floating point. A: a0..a7, B: b0..b3, C: c0..c3. */
static int a_row(int lane, int i)
{
    return (i < 2 || (i >= 4 && i < 6)) ? lane >> 2 : (lane >> 2) + 8;
}
static int a_column(int lane, int i)
{
    return i < 4 ? (lane % 4) * 2 + (i & 1) : (lane % 4) * 2 + (i & 1) + 8;
}
static int b_row(int lane, int i)
{
    return i < 2 ? (lane % 4) * 2 + (i & 1) : (lane % 4) * 2 + (i & 1) + 8;
}
static int b_column(int lane, int)
{
    return lane >> 2;
}
static int c_row(int lane, int i)
{
    return i < 2 ? lane >> 2 : (lane >> 2) + 8;
}
static int c_column(int lane, int i)
{
    return (lane % 4) * 2 + (i & 1);
}

/* One element of A is 1; B[k][n] is 1 + k + 16 n, exact in f16 and bf16 up to 256: row m of C is
 * then row k of B. */
static void check_every_a(bool is_bf16, uint16_t one, uint16_t (*narrow)(float))
{
    std::vector<uint32_t> b(64);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            float value = static_cast<float>(1 + b_row(lane, i) + 16 * b_column(lane, i));
            b[static_cast<size_t>(lane * 2 + i / 2)] |= static_cast<uint32_t>(narrow(value))
                                                        << (16 * (i & 1));
        }
    device_array<uint32_t> db(b);
    std::vector<float> before(128); /* of the sums: no two alike */
    for (size_t at = 0; at < 128; at++)
        before[at] = static_cast<float>(1000 * at);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 8; i++) {
            std::vector<uint32_t> a(128);
            a[static_cast<size_t>(lane * 4 + i / 2)] = static_cast<uint32_t>(one) << (16 * (i & 1));
            device_array<uint32_t> da(a);
            device_array<float> c(before);
            mma_words(da.p, db.p, c.p, is_bf16, nullptr);
            std::vector<float> got = c.read();
            for (int at = 0; at < 128; at++) {
                bool is_row = c_row(at / 4, at % 4) == a_row(lane, i);
                float expected =
                    is_row
                        ? static_cast<float>(1 + a_column(lane, i) + 16 * c_column(at / 4, at % 4))
                        : 0.0f;
                size_t n = static_cast<size_t>(at);
                assert_true(got[n] == before[n] + expected);
            }
        }
}

static uint16_t integer_f16(float value) /* 1 to 2047, by the definition of binary16 */
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<uint16_t>(((bits >> 23) - 112) << 10 | (bits >> 13 & 0x3ff));
}
static uint16_t integer_bf16(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<uint16_t>(bits >> 16);
}

static void every_f16_element_of_a_and_b_is_where_ptx_says(void **)
{
    check_every_a(false, 0x3c00, integer_f16);
}

static void every_bf16_element_of_a_and_b_is_where_ptx_says(void **)
{
    check_every_a(true, 0x3f80, integer_bf16);
}

/* Element (row, column) of matrix m holds m 64 + row 8 + column + 1. Lane l gets in register m: row
 * l / 4, columns 2 (l % 4) and + 1. */
static void check_ldmatrix(int n_matrices, bool is_transposed)
{
    std::vector<uint32_t> rows(128);
    for (uint32_t word = 0; word < 128; word++)
        rows[word] = (2 * word + 1) | (2 * word + 2) << 16;
    device_array<uint32_t> in(rows), out(size_t(128));

    ldmatrix_words(in.p, out.p, n_matrices, is_transposed, nullptr);

    std::vector<uint32_t> got = out.read();
    for (uint32_t lane = 0; lane < 32; lane++)
        for (uint32_t m = 0; m < 4; m++) {
            uint32_t row = lane / 4, column = lane % 4 * 2;
            uint32_t low = m * 64 + row * 8 + column + 1, high = low + 1;
            if (is_transposed) {
                low = m * 64 + column * 8 + row + 1;
                high = low + 8;
            }
            uint32_t expected = m < static_cast<uint32_t>(n_matrices) ? low | high << 16 : 0;
            assert_int_equal(got[lane * 4 + m], expected);
        }
}

static void ldmatrix_gives_every_element_to_the_lane_of_ptx(void **)
{
    for (int n_matrices : { 1, 2, 4 }) {
        check_ldmatrix(n_matrices, false);
        check_ldmatrix(n_matrices, true);
    }
}

static int within(int source, int lane, int width)
{
    return source >= lane / width * width && source < lane / width * width + width;
}

static void shuffles_of_all_widths_read_the_lane_of_the_guide(void **)
{
    for (int width : { 1, 2, 4, 8, 16, 32 })
        for (int argument = 0; argument < 32; argument++) {
            device_array<int32_t> out(size_t(256));
            collectives(out.p, width, argument, nullptr);
            std::vector<int32_t> got = out.read();
            for (int lane = 0; lane < 32; lane++) {
                const int32_t *mine = &got[static_cast<size_t>(lane) * 8];
                assert_int_equal(mine[0],
                                 within(lane - argument, lane, width) ? lane - argument : lane);
                assert_int_equal(mine[1],
                                 within(lane + argument, lane, width) ? lane + argument : lane);
                int end = lane / width * width + width, other = lane ^ argument;
                assert_int_equal(mine[2], other < end ? other : lane);
                assert_int_equal(mine[3], lane / width * width + argument % width);
                assert_int_equal(static_cast<uint32_t>(mine[4]), 0x49249249u);
                assert_int_equal(mine[5], 11);
                assert_int_equal(mine[6], 496);
                assert_int_equal(mine[7], -5);
            }
        }
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_f16_element_of_a_and_b_is_where_ptx_says, reset),
        cmocka_unit_test_setup(every_bf16_element_of_a_and_b_is_where_ptx_says, reset),
        cmocka_unit_test_setup(ldmatrix_gives_every_element_to_the_lane_of_ptx, reset),
        cmocka_unit_test_setup(shuffles_of_all_widths_read_the_lane_of_the_guide, reset),
    };
    return cmocka_run_group_tests_name("simt_fragments", tests, nullptr, nullptr);
}
