/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of every size, from nothing to longer than the program knows, each ending where a
 * page begins that may not be read: a size that version 1.0 does not have is refused, of the others
 * what lies behind is never looked at, and absent fields are 0.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "core/plugin/loader.h"
#include "core/plugin/normalise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka.h wants the ones above first. */
#include <cmocka.h>

enum { LONGEST = 512, TAIL = 0xa5 };

/* n bytes in front of a page without access. */
typedef struct edge {
    uint8_t *pages, *bytes;
    size_t page;
} edge;

static void *place(edge *e, const void *from, size_t have, size_t n)
{
    e->page = (size_t)sysconf(_SC_PAGESIZE);
    e->pages = mmap(NULL, 2 * e->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(e->pages, MAP_FAILED);
    assert_int_equal(mprotect(e->pages + e->page, e->page, PROT_NONE), 0);
    e->bytes = e->pages + e->page - n;
    memset(e->bytes, TAIL, n);
    memcpy(e->bytes, from, have < n ? have : n);
    if (n >= sizeof(uint32_t)) {
        const uint32_t size = (uint32_t)n;
        memcpy(e->bytes, &size, sizeof size);
    }
    return e->bytes;
}

static void release(edge *e)
{
    assert_int_equal(munmap(e->pages, 2 * e->page), 0);
}

static tn_status yes(void *self, const tn_node *node, tn_error *why)
{
    (void)self, (void)node, (void)why;
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)self, (void)node, (void)launch, (void)err;
    return TN_OK;
}

static tn_status bytes_of(void *self, const tn_attention *a, int32_t tokens, uint64_t *out,
                          tn_error *err)
{
    (void)self, (void)a, (void)tokens, (void)err;
    *out = 1;
    return TN_OK;
}

static tn_status to_f32(void *self, const tn_attention *a, int32_t tokens, const void *block,
                        float *k, float *v, tn_error *err)
{
    (void)self, (void)a, (void)tokens, (void)block, (void)k, (void)v, (void)err;
    return TN_OK;
}

static const tn_kernel whole_kernel = { .size = sizeof(tn_kernel),
                                        .op = "add",
                                        .name = "x.add",
                                        .tolerance = "exact",
                                        .supports = yes,
                                        .run = run };
static const tn_kv_format whole_format = {
    .size = sizeof(tn_kv_format), .name = "f16", .block_bytes = bytes_of, .to_f32 = to_f32
};

static tn_status normalise(const tn_plugin *raw, tn_plugin_entry *entry, tn_arena *arena)
{
    tn_error err = { 0 };
    const tn_status status = tn_normalise_plugin(raw, arena, entry, &err);
    if (status) {
        assert_int_equal(status, TN_INVALID);
        assert_non_null(strstr(err.text, "bytes; version 1 has"));
    }
    return status;
}

/* A plugin with one kernel and one format, each as the test wants it. */
static tn_plugin plugin_of(const tn_kernel *const *kernels, const tn_kv_format *const *formats)
{
    return (tn_plugin){ .size = sizeof(tn_plugin),
                        .sanitizer = tn_host_sanitizer(),
                        .name = "x",
                        .version = "1",
                        .domain = "host",
                        .kernels = kernels,
                        .kv_formats = formats };
}

static void plugins_of_every_size_are_refused_or_cut(void **state)
{
    (void)state;
    const tn_kernel *const kernels[] = { &whole_kernel, NULL };
    const tn_kv_format *const formats[] = { &whole_format, NULL };
    const tn_plugin whole = plugin_of(kernels, formats);
    for (size_t n = 8; n <= LONGEST; n += 8) {
        edge e;
        tn_arena arena = { 0 };
        tn_plugin_entry entry = { 0 };
        const tn_plugin *raw = place(&e, &whole, sizeof whole, n);
        const bool enough = n >= offsetof(tn_plugin, kv_formats);

        assert_int_equal(normalise(raw, &entry, &arena) == TN_OK, enough);
        if (enough) {
            assert_int_equal(entry.n_kernels, 1);
            assert_int_equal(entry.n_kv_formats, n >= offsetof(tn_plugin, provides) ? 1 : 0);
            assert_true(n < sizeof whole ? !entry.api.ext : entry.api.ext == whole.ext);
        }
        tn_arena_deinit(&arena);
        release(&e);
    }
}

static void kernels_of_every_size_are_refused_or_cut(void **state)
{
    (void)state;
    for (size_t n = 8; n <= LONGEST; n += 8) {
        edge e;
        tn_arena arena = { 0 };
        tn_plugin_entry entry = { 0 };
        const tn_kernel *const kernels[] = { place(&e, &whole_kernel, sizeof whole_kernel, n),
                                             NULL };
        const tn_plugin plugin = plugin_of(kernels, NULL);

        assert_int_equal(normalise(&plugin, &entry, &arena) == TN_OK, n >= sizeof whole_kernel);
        if (n >= sizeof whole_kernel) {
            assert_true(entry.kernel[0].run == run && entry.kernel[0].supports == yes);
            assert_null(entry.kernel[0].plan);
        }
        tn_arena_deinit(&arena);
        release(&e);
    }
}

static void kv_formats_of_every_size_are_refused_or_cut(void **state)
{
    (void)state;
    const tn_kernel *const kernels[] = { &whole_kernel, NULL };
    for (size_t n = 8; n <= LONGEST; n += 8) {
        edge e;
        tn_arena arena = { 0 };
        tn_plugin_entry entry = { 0 };
        const tn_kv_format *const formats[] = { place(&e, &whole_format, sizeof whole_format, n),
                                                NULL };
        const tn_plugin plugin = plugin_of(kernels, formats);
        const bool enough = n >= offsetof(tn_kv_format, to_f32);

        assert_int_equal(normalise(&plugin, &entry, &arena) == TN_OK, enough);
        if (enough)
            assert_true(entry.kv_format[0].to_f32 == (n >= sizeof whole_format ? to_f32 : NULL));
        tn_arena_deinit(&arena);
        release(&e);
    }
}

static void sizes_that_are_no_sizes_are_refused(void **state)
{
    (void)state;
    const uint32_t sizes[] = { 0, 1, 4097, UINT32_MAX };
    const tn_kernel *const kernels[] = { &whole_kernel, NULL };
    for (int32_t i = 0; i < 4; i++) {
        tn_arena arena = { 0 };
        tn_plugin_entry entry = { 0 };
        tn_plugin plugin = plugin_of(kernels, NULL);
        plugin.size = sizes[i];

        assert_int_equal(normalise(&plugin, &entry, &arena), TN_INVALID);
        tn_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugins_of_every_size_are_refused_or_cut),
        cmocka_unit_test(kernels_of_every_size_are_refused_or_cut),
        cmocka_unit_test(kv_formats_of_every_size_are_refused_or_cut),
        cmocka_unit_test(sizes_that_are_no_sizes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
