/* SPDX-License-Identifier: Apache-2.0 */
/* Canaries: a byte written outside of a buffer, or into one that is read only, is found. */
#include "apps/check/guarded.h"
#include "core/base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 100 };

typedef struct fixture {
    tn_device device;
    tn_guarded g;
} fixture;

static void open_buffer(fixture *f)
{
    tn_error err = { 0 };
    f->device = (tn_device){ .domain = tn_host_domain() };
    assert_int_equal(tn_guarded_open(&f->device, NULL, BYTES, &f->g, &err), TN_OK);
}

/* What a kernel would do: write one byte, relative to the buffer, between send and fetch. */
static void write_at(fixture *f, int64_t at)
{
    tn_error err = { 0 };
    assert_int_equal(tn_guarded_send(&f->g, &err), TN_OK);
    uint8_t *byte = (uint8_t *)(uintptr_t)f->g.addr + at;
    *byte = (uint8_t)(*byte ^ 1u);
    assert_int_equal(tn_guarded_fetch(&f->g, &err), TN_OK);
}

static void a_buffer_that_nobody_touches_is_whole_and_unchanged(void **state)
{
    (void)state;
    fixture f;
    int64_t at;
    tn_error err = { 0 };
    open_buffer(&f);

    assert_int_equal(tn_guarded_send(&f.g, &err), TN_OK);
    assert_int_equal(tn_guarded_fetch(&f.g, &err), TN_OK);

    assert_true(tn_guarded_image_is_whole(&f.g));
    assert_false(tn_guarded_overrun(&f.g, &at));
    assert_false(tn_guarded_changed(&f.g, &at));
    tn_guarded_close(&f.g);
}

static void memory_is_aligned_and_poisoned_with_nan(void **state)
{
    (void)state;
    fixture f;
    float value;
    open_buffer(&f);

    memcpy(&value, tn_guarded_image(&f.g), sizeof value);

    assert_int_equal(f.g.addr % 256, 0);
    assert_true(value != value);
    tn_guarded_close(&f.g);
}

static void one_byte_outside_is_an_overrun_where_it_lies(void **state)
{
    (void)state;
    const int64_t places[] = { -1, -1024, BYTES, BYTES + 1023 };
    for (int32_t i = 0; i < 4; i++) {
        fixture f;
        int64_t at = 0;
        open_buffer(&f);

        write_at(&f, places[i]);

        assert_true(tn_guarded_overrun(&f.g, &at));
        assert_int_equal(at, places[i]);
        assert_false(tn_guarded_changed(&f.g, &at));
        tn_guarded_close(&f.g);
    }
}

static void one_byte_inside_is_a_change_where_it_lies(void **state)
{
    (void)state;
    const int64_t places[] = { 0, 57, BYTES - 1 };
    for (int32_t i = 0; i < 3; i++) {
        fixture f;
        int64_t at = -1;
        open_buffer(&f);

        write_at(&f, places[i]);

        assert_true(tn_guarded_changed(&f.g, &at));
        assert_int_equal(at, places[i]);
        assert_false(tn_guarded_overrun(&f.g, &at));
        tn_guarded_close(&f.g);
    }
}

static void pack_that_writes_past_its_blob_breaks_the_image(void **state)
{
    (void)state;
    const int64_t places[] = { -1, BYTES };
    for (int32_t i = 0; i < 2; i++) {
        fixture f;
        open_buffer(&f);
        uint8_t *byte = (uint8_t *)tn_guarded_image(&f.g) + places[i];
        *byte = (uint8_t)(*byte + 1);

        assert_false(tn_guarded_image_is_whole(&f.g));
        tn_guarded_close(&f.g);
    }
}

static void without_memory_it_is_an_error_and_nothing_is_kept(void **state)
{
    (void)state;
    const int64_t live = tn_alloc_live();
    for (uint64_t n = 1; n <= 3; n++) {
        fixture f = { .device = { .domain = tn_host_domain() } };
        tn_error err = { 0 };

        tn_alloc_fail_at(n);
        assert_int_equal(tn_guarded_open(&f.device, NULL, BYTES, &f.g, &err), TN_NO_MEMORY);
        tn_alloc_fail_at(0);
        tn_guarded_close(&f.g);

        assert_int_equal(tn_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_that_nobody_touches_is_whole_and_unchanged),
        cmocka_unit_test(memory_is_aligned_and_poisoned_with_nan),
        cmocka_unit_test(one_byte_outside_is_an_overrun_where_it_lies),
        cmocka_unit_test(one_byte_inside_is_a_change_where_it_lies),
        cmocka_unit_test(pack_that_writes_past_its_blob_breaks_the_image),
        cmocka_unit_test(without_memory_it_is_an_error_and_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
