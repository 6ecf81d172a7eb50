/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/markup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

#define REPLACED "\xef\xbf\xbd"

static void text_stays_text_in_xml(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "", "" },
        { "layer.3.qkv", "layer.3.qkv" },
        { "a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;" },
        { "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "a\tb\nc", "a\tb\nc" },
        { "a\x01\x1f\x7f", "a" REPLACED REPLACED "\x7f" }, /* XML 1.0 allows DEL */
        { "a\xff\xc3", "a" REPLACED REPLACED },
        { "\xed\xa0\x80", REPLACED REPLACED REPLACED }, /* a surrogate is no character */
        { "\xef\xbf\xbe\xef\xbf\xbf", REPLACED REPLACED },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_strbuf out = TN_STRBUF(1024);

        tn_markup_text(cases[i].text, &out);

        assert_string_equal(tn_strbuf_text(&out), cases[i].expected);
        tn_strbuf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(text_stays_text_in_xml) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
