/* SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/normalise.h"

#include "core/base/log.h"
#include "core/graph/catalogue.h"
#include "core/plugin/loader.h"

#include <stddef.h>
#include <string.h>

/* Bounds against garbage: a list without its NULL, a size that is no size. */
enum { MAX_STRUCT_BYTES = 4096, MAX_LIST = 1024, MAX_TEXT_BYTES = 128 };

#define SIZE_THROUGH(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

static tn_status copy_sized(void *to, size_t to_size, const void *from, size_t minimum,
                            const char *what, tn_error *err)
{
    uint32_t size;

    memcpy(&size, from, sizeof(size));
    if (size < minimum || size > MAX_STRUCT_BYTES)
        return tn_fail(err, TN_INVALID,
                       "its %s says it is %u bytes; version 1 has %zu to %d: was `size` set?", what,
                       size, minimum, MAX_STRUCT_BYTES);
    memset(to, 0, to_size);
    memcpy(to, from, size < to_size ? size : to_size);
    return TN_OK;
}

static bool is_text(const char *text)
{
    return text && text[0] && strnlen(text, MAX_TEXT_BYTES) < MAX_TEXT_BYTES;
}

/* Length of a NULL-terminated list of pointers, or -1 when it does not end. */
static int32_t list_length(const void *const *list)
{
    for (int32_t n = 0; n <= MAX_LIST; n++)
        if (!list[n])
            return n;
    return -1;
}

tn_status tn_plugin_status(tn_status status, tn_error *err)
{
    if (status == TN_OK)
        return TN_OK;
    if (status < 0 || status > TN_INTERNAL)
        status = TN_INTERNAL;
    err->code = status;
    err->text[sizeof(err->text) - 1] = '\0';
    if (!err->text[0])
        return tn_fail(err, status, "%s, without a reason", tn_status_name(status));
    return status;
}

static tn_status copy_kernel(const tn_kernel *raw, int32_t index, tn_kernel *out, tn_error *err)
{
    static const char *const classes[] = { "exact", "f32acc", "f16acc", "a8", "w8", "w8a8" };

    TN_TRY(copy_sized(out, sizeof(*out), raw, SIZE_THROUGH(tn_kernel, run), "tn_kernel", err));
    if (!is_text(out->op) || !is_text(out->name))
        return tn_fail(err, TN_INVALID, "its kernel %d has no %s", (int)index,
                       is_text(out->op) ? "name" : "op");
    if (!out->supports || !out->run)
        return tn_fail(err, TN_INVALID, "its kernel %s has no `%s`", out->name,
                       out->supports ? "run" : "supports");
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (out->tolerance && strcmp(out->tolerance, classes[i]) == 0)
            return TN_OK;
    return tn_fail(err, TN_INVALID,
                   "its kernel %s has tolerance %.32s; exact, f32acc, f16acc, a8, w8 and w8a8 are known",
                   out->name, out->tolerance ? out->tolerance : "(none)");
}

static tn_status copy_kernels(const tn_plugin *api, tn_arena *arena, tn_plugin_entry *entry,
                              tn_error *err)
{
    int32_t n = api->kernels ? list_length((const void *const *)api->kernels) : 0;

    if (n < 0)
        return tn_fail(err, TN_INVALID, "its list of kernels does not end with NULL");
    if (n == 0 && !api->provides)
        return tn_fail(err, TN_INVALID, "it has no kernels and provides no domain");
    tn_kernel *kernel = tn_arena_alloc(arena, (size_t)n * sizeof(*kernel));
    if (!kernel)
        return tn_fail_memory(err, "a plugin's kernels");
    entry->kernel = kernel;
    for (int32_t i = 0; i < n; i++) {
        tn_kernel *k = &kernel[entry->n_kernels];
        TN_TRY(copy_kernel(api->kernels[i], i, k, err));
        if (tn_op_find(k->op) || strchr(k->op, '/'))
            entry->n_kernels++;
        else
            tn_log(TN_LOG_INFO, "plugin", "%s: kernel %s is for the unknown op %s: ignored",
                   api->name, k->name, k->op);
    }
    return TN_OK;
}

static bool is_catalogue_kv(const char *name)
{
    return strcmp(name, "f32") == 0 || strcmp(name, "f16") == 0 || strcmp(name, "i8") == 0 ||
           strcmp(name, "i8-static") == 0;
}

static tn_status copy_kv_formats(const tn_plugin *api, tn_arena *arena, tn_plugin_entry *entry,
                                 tn_error *err)
{
    int32_t n = api->kv_formats ? list_length((const void *const *)api->kv_formats) : 0;

    if (n < 0)
        return tn_fail(err, TN_INVALID, "its list of KV formats does not end with NULL");
    tn_kv_format *format = tn_arena_alloc(arena, (size_t)n * sizeof(*format));
    if (!format)
        return tn_fail_memory(err, "a plugin's KV formats");
    entry->kv_format = format;
    for (int32_t i = 0; i < n; i++) {
        tn_kv_format *f = &format[i];
        TN_TRY(copy_sized(f, sizeof(*f), api->kv_formats[i],
                          SIZE_THROUGH(tn_kv_format, block_bytes), "tn_kv_format", err));
        if (!is_text(f->name) || !f->block_bytes)
            return tn_fail(err, TN_INVALID, "its KV format %d has no %s", (int)i,
                           is_text(f->name) ? "`block_bytes`" : "name");
        if (!f->to_f32 && !is_catalogue_kv(f->name))
            return tn_fail(err, TN_INVALID,
                           "its private KV format %s has no `to_f32`: the checker cannot read it",
                           f->name);
    }
    entry->n_kv_formats = n;
    return TN_OK;
}

static bool is_edge_dtype(int32_t dtype)
{
    return dtype == TN_F32 || dtype == TN_F16 || dtype == TN_BF16;
}

static tn_status copy_domain(const tn_domain *raw, tn_arena *arena, const tn_domain **out,
                             tn_error *err)
{
    tn_domain *d = tn_arena_alloc(arena, sizeof(*d));

    if (!d)
        return tn_fail_memory(err, "a plugin's domain");
    TN_TRY(copy_sized(d, sizeof(*d), raw, SIZE_THROUGH(tn_domain, stream_wait), "tn_domain", err));
    if (!is_text(d->name) || strcmp(d->name, "host") == 0)
        return tn_fail(err, TN_INVALID, "the domain it provides has no name, or the name host");
    if (!d->devices || !d->describe || !d->attach || !d->alloc || !d->release || !d->host_alloc ||
        !d->host_release || !d->copy || !d->fill || !d->stream_new || !d->stream_release ||
        !d->stream_wait)
        return tn_fail(err, TN_INVALID,
                       "its domain %s misses a function: all but the four of capture are required",
                       d->name);
    if (!is_edge_dtype(d->resid_dtype) || !is_edge_dtype(d->act_dtype))
        return tn_fail(err, TN_INVALID,
                       "its domain %s has edge dtypes %d and %d; F32, F16 and BF16 are allowed",
                       d->name, (int)d->resid_dtype, (int)d->act_dtype);
    if (!d->capture_begin || !d->capture_end || !d->graph_run || !d->graph_release) {
        d->capture_begin = NULL; /* all four or none: callers ask for the first only */
        d->capture_end = NULL;
        d->graph_run = NULL;
        d->graph_release = NULL;
    }
    *out = d;
    return TN_OK;
}

static tn_status check_sanitizer(const tn_plugin *api, tn_error *err)
{
    static const char *const names[] = { "no sanitizer", "AddressSanitizer", "ThreadSanitizer" };

    if (api->sanitizer > TN_SANITIZER_THREAD)
        return tn_fail(err, TN_INVALID, "its `sanitizer` is %u; 0, 1 and 2 are known",
                       api->sanitizer);
    if (api->sanitizer != tn_host_sanitizer())
        return tn_fail(err, TN_INVALID,
                       "it was built with %s, this program with %s: build both alike",
                       names[api->sanitizer], names[tn_host_sanitizer()]);
    return TN_OK;
}

tn_status tn_normalise_plugin(const tn_plugin *raw, tn_arena *arena, tn_plugin_entry *entry,
                              tn_error *err)
{
    tn_plugin *api = &entry->api;

    TN_TRY(copy_sized(api, sizeof(*api), raw, SIZE_THROUGH(tn_plugin, kernels), "tn_plugin", err));
    TN_TRY(check_sanitizer(api, err));
    if (!is_text(api->name) || !is_text(api->domain))
        return tn_fail(err, TN_INVALID, "its descriptor has no %s",
                       is_text(api->name) ? "domain" : "name");
    if (!api->version)
        api->version = "";
    if (!api->build)
        api->build = "";
    TN_TRY(copy_kernels(api, arena, entry, err));
    TN_TRY(copy_kv_formats(api, arena, entry, err));
    if (api->provides)
        TN_TRY(copy_domain(api->provides, arena, &api->provides, err));
    if (api->provides && strcmp(api->domain, "host") != 0 &&
        strcmp(api->domain, api->provides->name) != 0)
        return tn_fail(err, TN_INVALID,
                       "it provides the domain %s and runs in %s; a provider runs in its own "
                       "domain or in host",
                       api->provides->name, api->domain);
    return TN_OK;
}
