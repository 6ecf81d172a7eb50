/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect_sha256(const void *bytes, size_t n, const char *hex)
{
    tn_sha256 h;
    char out[65];

    tn_sha256_init(&h);
    tn_sha256_update(&h, bytes, n);
    tn_sha256_hex(&h, out);
    assert_string_equal(out, hex);
}

/* NIST, "Secure Hash Standard" example values (FIPS 180-4): SHA256.pdf and the SHA256ShortMsg
 * zero-length case. */
static void sha256_gives_the_published_digests(void **state)
{
    (void)state;
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    const char *four_blocks = "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                              "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";

    expect_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sha256(two_blocks, strlen(two_blocks),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_sha256(four_blocks, strlen(four_blocks),
                  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

/* FIPS 180-2, appendix B.3: one million times "a". Fed in pieces that cross block borders. */
static void sha256_of_a_million_letters_in_odd_pieces(void **state)
{
    (void)state;
    char piece[997];
    tn_sha256 h;
    char out[65];
    memset(piece, 'a', sizeof(piece));

    tn_sha256_init(&h);
    for (size_t left = 1000000; left > 0;) {
        size_t n = left < sizeof(piece) ? left : sizeof(piece);
        tn_sha256_update(&h, piece, n);
        left -= n;
    }
    tn_sha256_hex(&h, out);

    assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* XXH64 reference values: the empty input (xxHash repository, README) and "abc" (xxhsum -H1). */
static void hash64_gives_the_published_values(void **state)
{
    (void)state;

    assert_true(tn_hash64("", 0, 0) == 0xEF46DB3751D8E999u);
    assert_true(tn_hash64("abc", 3, 0) == 0x44BC2CF5AD770999u);
}

static void hash64_differs_for_every_length_and_seed(void **state)
{
    (void)state;
    enum { N = 200 };
    static const unsigned char zeros[N];
    uint64_t seen[2 * N];

    for (size_t n = 0; n < N; n++) {
        seen[2 * n] = tn_hash64(zeros, n, 1);
        seen[2 * n + 1] = tn_hash64(zeros, n, 2);
    }

    for (size_t i = 0; i < 2 * N; i++) {
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

static int count_bits(uint64_t x)
{
    int n = 0;

    for (; x > 0; x &= x - 1)
        n++;
    return n;
}

static void hash64_flips_half_of_its_bits_for_one_input_bit(void **state)
{
    (void)state;

    for (size_t n = 1; n <= 70; n++) {
        unsigned char bytes[70] = { 0 };
        int flipped = 0;
        uint64_t base = tn_hash64(bytes, n, 7);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            flipped += count_bits(base ^ tn_hash64(bytes, n, 7));
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        double mean = flipped / (8.0 * (double)n); /* 32 expected; sigma <= 4 / sqrt(8) for n = 1 */
        assert_true(mean > 26 && mean < 38);
    }
}

static void hash64_spreads_counters_over_the_low_bits(void **state)
{
    (void)state;
    enum { BUCKETS = 256, ITEMS = 256 * 64 };
    int count[BUCKETS] = { 0 };

    for (int32_t i = 0; i < ITEMS; i++)
        count[tn_hash64(&i, sizeof(i), 0) % BUCKETS]++;

    for (int b = 0; b < BUCKETS; b++) /* mean 64, sigma 8: within six sigma */
        assert_in_range(count[b], 64 - 48, 64 + 48);
}

static void hash64_does_not_need_alignment(void **state)
{
    (void)state;
    unsigned char bytes[108];
    uint64_t first = 0;

    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t i = 0; i < 100; i++)
            bytes[shift + i] = (unsigned char)(i * 7);
        uint64_t h = tn_hash64(bytes + shift, 100, 3);
        if (shift == 0)
            first = h;
        assert_true(h == first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(sha256_of_a_million_letters_in_odd_pieces),
        cmocka_unit_test(hash64_gives_the_published_values),
        cmocka_unit_test(hash64_differs_for_every_length_and_seed),
        cmocka_unit_test(hash64_flips_half_of_its_bits_for_one_input_bit),
        cmocka_unit_test(hash64_spreads_counters_over_the_low_bits),
        cmocka_unit_test(hash64_does_not_need_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
