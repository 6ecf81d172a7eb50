/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "model/formats/file_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char path[96];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/tenon-file-map-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/file", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void write_file(const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void a_file_maps_to_its_bytes(void **state)
{
    (void)state;
    tn_file_map map;
    tn_error err = { 0 };
    struct stat st;
    write_file("tenon\0model", 11);
    assert_int_equal(stat(path, &st), 0);

    assert_int_equal(tn_file_map_open(&map, path, &err), TN_OK);

    assert_int_equal(map.size, 11);
    assert_memory_equal(map.data, "tenon\0model", 11);
    assert_true(map.inode == st.st_ino);
    assert_true(map.device == st.st_dev);
    assert_true(map.mtime_ns / 1000000000u == (uint64_t)st.st_mtim.tv_sec);
    assert_true(map.mtime_ns % 1000000000u == (uint64_t)st.st_mtim.tv_nsec);
    tn_file_map_close(&map);
    assert_null(map.data);
    tn_file_map_close(&map);
}

static void an_empty_file_maps_to_nothing(void **state)
{
    (void)state;
    tn_file_map map;
    write_file("", 0);

    assert_int_equal(tn_file_map_open(&map, path, NULL), TN_OK);

    assert_null(map.data);
    assert_int_equal(map.size, 0);
    tn_file_map_drop(&map, 0, 0);
    tn_file_map_close(&map);
}

static void dropped_pages_read_the_same_again(void **state)
{
    (void)state;
    tn_file_map map;
    size_t n = 5 * 4096 + 77;
    unsigned char *bytes = tn_alloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 4096);
    write_file(bytes, n);
    assert_int_equal(tn_file_map_open(&map, path, NULL), TN_OK);

    tn_file_map_drop(&map, 100, 9000);
    tn_file_map_drop(&map, 0, n);
    tn_file_map_drop(&map, n + 1, 1);    /* outside: ignored */
    tn_file_map_drop(&map, 1, SIZE_MAX); /* overflows: ignored */

    assert_memory_equal(map.data, bytes, n);
    tn_file_map_close(&map);
    tn_free(bytes);
}

static void expect_refusal(const char *what, const char *message_part)
{
    tn_file_map map;
    tn_error err = { 0 };
    char *text = NULL;
    size_t n = 1;

    assert_int_equal(tn_file_map_open(&map, what, &err), TN_INVALID);
    assert_non_null(strstr(err.text, message_part));
    assert_non_null(strstr(err.text, what));
    assert_null(map.data);
    err.text[0] = '\0';
    assert_int_equal(tn_file_read(what, 100, &text, &n, &err), TN_INVALID);
    assert_non_null(strstr(err.text, message_part));
    assert_null(text);
    assert_int_equal(n, 0);
}

static void what_is_not_a_regular_file_is_refused_by_name(void **state)
{
    (void)state;

    expect_refusal(path, "No such file");
    expect_refusal(dir, "a directory");
    expect_refusal("/dev/null", "not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    expect_refusal(path, "not a regular file");
}

static void an_unreadable_file_is_refused(void **state)
{
    (void)state;
    uid_t user = geteuid();
    write_file("x", 1);
    assert_int_equal(chmod(path, 0), 0);
    if (user == 0 && seteuid(65534) != 0) /* root reads everything: be "nobody" for a while */
        skip();

    expect_refusal(path, "Permission denied");
    assert_int_equal(seteuid(user), 0);
}

static void a_small_file_is_read_with_a_final_nul(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    write_file("threads: 2\n", 11);

    assert_int_equal(tn_file_read(path, 11, &text, &n, NULL), TN_OK);

    assert_int_equal(n, 11);
    assert_string_equal(text, "threads: 2\n");
    tn_free(text);
}

static void a_file_above_the_limit_is_not_read(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    tn_error err = { 0 };
    write_file("0123456789", 10);

    assert_int_equal(tn_file_read(path, 9, &text, &n, &err), TN_INVALID);

    assert_null(text);
    assert_non_null(strstr(err.text, "10 bytes, at most 9 are allowed"));
}

static void reading_survives_lack_of_memory(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    write_file("abc", 3);
    tn_alloc_fail_at(1);

    assert_int_equal(tn_file_read(path, 9, &text, &n, NULL), TN_NO_MEMORY);

    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_maps_to_its_bytes, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(an_empty_file_maps_to_nothing, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(dropped_pages_read_the_same_again, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(what_is_not_a_regular_file_is_refused_by_name, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(an_unreadable_file_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_small_file_is_read_with_a_final_nul, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_file_above_the_limit_is_not_read, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(reading_survives_lack_of_memory, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
