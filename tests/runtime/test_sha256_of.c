/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by the CPU's instructions is SHA-256. */
#include "core/base/hash.h"
#include "runtime/sha256_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* FIPS 180-2, appendix B.3. */
static void a_million_letters_have_the_published_digest(void **state)
{
    static char letters[1000000];
    char out[65];
    (void)state;
    memset(letters, 'a', sizeof letters);
    tn_sha256_of(letters, sizeof letters, out);
    assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void every_length_and_alignment_gives_the_digest_of_plain_c(void **state)
{
    uint8_t bytes[336];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167 + i / 7);
    for (size_t at = 0; at < 16; at++)
        for (size_t n = 0; n <= 320; n++) {
            char want[65], got[65];
            tn_sha256 h;
            tn_sha256_init(&h);
            tn_sha256_update(&h, bytes + at, n);
            tn_sha256_hex(&h, want);
            tn_sha256_of(bytes + at, n, got);
            assert_string_equal(got, want);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_letters_have_the_published_digest),
        cmocka_unit_test(every_length_and_alignment_gives_the_digest_of_plain_c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
