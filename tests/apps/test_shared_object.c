/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF reader on a real plugin, and on what damage makes of it. */
#include "apps/check/hygiene.h"
#include "core/base/alloc.h"
#include "core/plugin/loader.h"
#include "model/formats/file_map.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool has_symbol(const tn_shared_symbol *list, int32_t n, const char *name)
{
    for (int32_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return true;
    return false;
}

static void a_plugin_exports_its_descriptor_and_its_symbols_have_libraries(void **state)
{
    (void)state;
    tn_shared_object so;
    tn_error err = { 0 };
    char text[256];

    assert_int_equal(tn_shared_object_read(TEMPLATE_PATH, &so, &err), TN_OK);

    assert_true(has_symbol(so.exported, so.n_exported, "tn_plugin_v1"));
    assert_false(has_symbol(so.exported, so.n_exported, "memcpy"));
    assert_true(has_symbol(so.undefined, so.n_undefined, "memcpy"));
    assert_true(so.n_needed > 0 && so.has_versions);
    assert_false(so.text_relocations || so.executable_stack);
    const tn_hygiene_context context = { .sanitized = tn_host_sanitizer() != TN_SANITIZER_NONE };
    for (int32_t rule = 0; rule < TN_N_HYGIENE; rule++)
        if (!tn_hygiene_check(&so, rule, context, text, sizeof text))
            fail_msg("%s: %s", tn_hygiene_name(rule), text);
    tn_shared_object_deinit(&so);
}

static void other_files_are_refused_with_what_they_are(void **state)
{
    (void)state;
    tn_shared_object so;
    tn_error err = { 0 };
    const char not_elf[] = "#!/bin/sh\nexit 0\n this is long enough for a header, but it is none\n";
    Elf64_Ehdr header = { .e_type = ET_DYN, .e_phentsize = sizeof(Elf64_Phdr) };
    memcpy(header.e_ident, ELFMAG, SELFMAG);

    assert_int_equal(tn_shared_object_parse(not_elf, sizeof not_elf, "x", &so, &err), TN_INVALID);
    assert_string_equal(err.text, "x: not a shared library (no ELF header)");
    assert_int_equal(tn_shared_object_parse("", 0, "x", &so, &err), TN_INVALID);
    header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_int_equal(tn_shared_object_parse(&header, sizeof header, "x", &so, &err), TN_INVALID);
    assert_string_equal(err.text, "x: a shared library of another kind of machine");
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    assert_int_equal(tn_shared_object_parse(&header, sizeof header, "x", &so, &err), TN_INVALID);
    assert_string_equal(err.text, "x: it has no dynamic section");
    header.e_type = ET_EXEC;
    assert_int_equal(tn_shared_object_parse(&header, sizeof header, "x", &so, &err), TN_INVALID);
    assert_string_equal(err.text, "x: an ELF file, but not a shared library");
    header.e_type = ET_DYN;
    header.e_phnum = 1;
    header.e_phoff = 32;
    assert_int_equal(tn_shared_object_parse(&header, sizeof header, "x", &so, &err), TN_INVALID);
    assert_string_equal(err.text, "x: its program header table lies outside of the file");
    assert_int_equal(tn_shared_object_read("/nowhere/x.so", &so, &err), TN_INVALID);
}

/* A copy of the template in memory of its own size, so that a sanitizer sees each byte too far. */
static uint8_t *copy_of(const char *bytes, size_t n)
{
    uint8_t *copy = tn_alloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    return copy;
}

static void parse(const uint8_t *bytes, size_t n)
{
    tn_shared_object so;
    tn_error err = { 0 };
    char text[256];
    if (tn_shared_object_parse(bytes, n, "x", &so, &err)) {
        assert_true(*err.text);
        return;
    }
    for (int32_t rule = 0; rule < TN_N_HYGIENE; rule++)
        (void)tn_hygiene_check(&so, rule, (tn_hygiene_context){ 0 }, text, sizeof text);
    tn_shared_object_deinit(&so);
}

static void files_cut_anywhere_are_read_safely(void **state)
{
    (void)state;
    char *bytes;
    size_t n;
    tn_error err = { 0 };
    const int64_t live = tn_alloc_live();
    assert_int_equal(tn_file_read(TEMPLATE_PATH, 1 << 24, &bytes, &n, &err), TN_OK);
    for (size_t cut = 0; cut < n; cut += cut < 4096 ? 7 : 509) {
        uint8_t *copy = copy_of(bytes, cut);
        parse(copy, cut);
        tn_free(copy);
    }
    tn_free(bytes);
    assert_int_equal(tn_alloc_live(), live);
}

static void files_with_changed_bytes_are_read_safely(void **state)
{
    (void)state;
    char *bytes;
    size_t n;
    tn_error err = { 0 };
    uint64_t seed = 88172645463325252u;
    assert_int_equal(tn_file_read(TEMPLATE_PATH, 1 << 24, &bytes, &n, &err), TN_OK);
    uint8_t *copy = copy_of(bytes, n);
    for (int32_t round = 0; round < 4000; round++) {
        size_t at[4];
        /* Headers, dynamic section, symbols and versions lie in the first pages and the last. */
        for (int32_t i = 0; i < 4; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            at[i] = (size_t)(seed % (round % 2 ? 2048 : n));
            copy[at[i]] = (uint8_t)(seed >> 40);
        }
        parse(copy, n);
        for (int32_t i = 0; i < 4; i++)
            copy[at[i]] = (uint8_t)bytes[at[i]];
    }
    tn_free(copy);
    tn_free(bytes);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const int64_t live = tn_alloc_live();
    tn_status status = TN_NO_MEMORY;
    for (uint64_t n = 1; status; n++) {
        tn_shared_object so;
        tn_error err = { 0 };
        assert_true(n < 1000);
        tn_alloc_fail_at(n);
        status = tn_shared_object_read(TEMPLATE_PATH, &so, &err);
        tn_alloc_fail_at(0);
        tn_shared_object_deinit(&so);
        assert_int_equal(tn_alloc_live(), live);
    }
}

static void rules_name_what_breaks_them(void **state)
{
    (void)state;
    const char *needed[] = { "libc.so.6", "ld-linux-x86-64.so.2", "libcurl.so.4", "libmy.so" };
    tn_shared_symbol exported[] = { { "tn_plugin_v1", "", false }, { "helper", "", false } };
    tn_shared_symbol undefined[] = { { "cos", "libm.so.6", false },
                                     { "json_pack", "", false },
                                     { "__gmon_start__", "", true },
                                     { "curl_easy_init", "libcurl.so.4", false } };
    const tn_shared_object so = { .needed = needed,
                                  .exported = exported,
                                  .undefined = undefined,
                                  .n_needed = 4,
                                  .n_exported = 2,
                                  .n_undefined = 4,
                                  .has_versions = true,
                                  .text_relocations = true,
                                  .executable_stack = true };
    const char *const words[TN_N_HYGIENE] = { "besides tn_plugin_v1: helper",
                                              "libcurl.so.4, libmy.so", "json_pack, curl_easy_init",
                                              "-fPIC", "executable" };
    for (int32_t rule = 0; rule < TN_N_HYGIENE; rule++) {
        char text[512];
        assert_false(tn_hygiene_check(&so, rule, (tn_hygiene_context){ 0 }, text, sizeof text));
        assert_non_null(strstr(text, words[rule]));
    }
}

static void a_file_for_the_emulator_may_need_it(void **state)
{
    (void)state;
    const char *needed[] = { "libtn-simcuda.so" };
    tn_shared_symbol undefined[] = { { "cudaMalloc", "", false } };
    const tn_shared_object so = { .needed = needed,
                                  .undefined = undefined,
                                  .n_needed = 1,
                                  .n_undefined = 1,
                                  .has_versions = true };
    char text[256];
    for (int32_t rule = TN_HYGIENE_LIBRARIES; rule <= TN_HYGIENE_UNDEFINED; rule++) {
        assert_true(
            tn_hygiene_check(&so, rule, (tn_hygiene_context){ .emulated = true }, text, 256));
        assert_false(tn_hygiene_check(&so, rule, (tn_hygiene_context){ 0 }, text, sizeof text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_exports_its_descriptor_and_its_symbols_have_libraries),
        cmocka_unit_test(other_files_are_refused_with_what_they_are),
        cmocka_unit_test(files_cut_anywhere_are_read_safely),
        cmocka_unit_test(files_with_changed_bytes_are_read_safely),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(rules_name_what_breaks_them),
        cmocka_unit_test(a_file_for_the_emulator_may_need_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
