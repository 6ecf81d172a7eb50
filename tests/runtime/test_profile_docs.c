/* SPDX-License-Identifier: Apache-2.0 */
/* docs/profile.md is generated: this fails when it no longer says what the table of keys says. */
#include "core/base/alloc.h"
#include "model/formats/file_map.h"
#include "runtime/profile_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_page_is_what_the_table_says(void **state)
{
    tn_strbuf want = TN_STRBUF(1 << 20);
    tn_error err = { 0 };
    char *page = NULL;
    size_t n = 0;

    (void)state;
    tn_profile_write_docs(&want);
    assert_false(want.failed);
    if (tn_file_read(TENON_SOURCE_DIR "/docs/profile.md", 1 << 20, &page, &n, &err))
        fail_msg("%s", err.text);

    if (n != want.len || memcmp(page, want.data, n) != 0)
        fail_msg("docs/profile.md is stale; run: build/release/bin/tenon_profile_docs > "
                 "docs/profile.md");
    tn_free(page);
    tn_strbuf_deinit(&want);
}

static void every_key_is_on_the_page_with_its_default(void **state)
{
    tn_strbuf page = TN_STRBUF(1 << 20);
    char row[256];

    (void)state;
    tn_profile_write_docs(&page);
    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        const tn_profile_key *key = &tn_profile_keys[i];
        snprintf(row, sizeof(row), key->type == TN_KEY_SECTION ? "\n## %s\n" : "\n| `%s` | ",
                 key->path);
        const char *at = strstr(tn_strbuf_text(&page), row);
        if (!at)
            fail_msg("%s is missing", key->path);
        snprintf(row, sizeof(row), "| `%s` |", key->fallback ? key->fallback : "");
        if (key->fallback && !strstr(at, row))
            fail_msg("%s lacks its default", key->path);
    }
    tn_strbuf_deinit(&page);
}

static void every_default_on_the_page_can_be_set(void **state)
{
    char set[256];
    const char *sets[] = { set };
    tn_profile_options o = { .model = "m", .sets = sets, .n_sets = 1 };

    (void)state;
    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        const tn_profile_key *key = &tn_profile_keys[i];
        tn_error err = { 0 };
        tn_profile *p;
        if (!key->fallback || strchr(key->path, '['))
            continue;
        snprintf(set, sizeof(set), "%s=%s", key->path, key->fallback);

        if (tn_profile_load(&o, &p, &err))
            fail_msg("%s", err.text);

        tn_profile_destroy(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_what_the_table_says),
        cmocka_unit_test(every_key_is_on_the_page_with_its_default),
        cmocka_unit_test(every_default_on_the_page_can_be_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
