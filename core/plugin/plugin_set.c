/* SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/plugin_set.h"

#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/plugin/loader.h"
#include "core/plugin/normalise.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SPECS = 64 };

typedef struct plugin_slot {
    tn_plugin_entry entry;
    tn_plugin_spec spec;
    tn_host host; /* what the plugin was given; it may keep the pointer until close */
    tn_team *team;
    bool opened;
} plugin_slot;

struct tn_plugin_set {
    plugin_slot *slot; /* the listed ones in their order, then what they pulled in */
    int32_t n_slots, capacity;
    plugin_slot **opened; /* in the order of open() */
    int32_t n_opened;
    const char *plugin_dir, *device, *fallback; /* device: the domain's name, without -sim */
    int32_t device_index;
    bool sim;
    tn_team *team;
    tn_arena arena;
};

/* ---- services of tn_host; ctx is the slot ---- */

static void service_log(void *ctx, int32_t level, const char *text)
{
    const plugin_slot *slot = ctx;

    tn_log(level, slot->entry.name, "%s", text ? text : "");
}

static void *service_alloc(void *ctx, uint64_t n)
{
    (void)ctx;
    return n <= SIZE_MAX ? tn_alloc((size_t)n) : NULL;
}

static void service_release(void *ctx, void *block)
{
    (void)ctx;
    tn_free(block);
}

static int32_t service_workers(void *ctx)
{
    const plugin_slot *slot = ctx;

    return slot->team ? tn_team_workers(slot->team) : 1;
}

static void service_parallel_for(void *ctx, int64_t n,
                                 void (*fn)(void *arg, int64_t i0, int64_t i1, int32_t worker),
                                 void *arg)
{
    plugin_slot *slot = ctx;

    if (slot->team)
        tn_team_for(slot->team, n, fn, arg);
    else if (n > 0)
        fn(arg, 0, n, 0);
}

static const char *service_option(void *ctx, const char *key)
{
    const plugin_slot *slot = ctx;

    for (int32_t i = 0; i < slot->spec.n_options; i++)
        if (strcmp(slot->spec.option[i].key, key) == 0)
            return slot->spec.option[i].value;
    return NULL;
}

static const void *service_ext(void *ctx, const char *id)
{
    (void)ctx, (void)id;
    return NULL;
}

/* ---- loading ---- */

static void set_state(plugin_slot *slot, int32_t state, const char *format, ...) TN_PRINTF(3, 4);

static void set_state(plugin_slot *slot, int32_t state, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(slot->entry.reason, sizeof(slot->entry.reason), format, args);
    va_end(args);
    slot->entry.state = state;
}

static tn_status load_slot(tn_plugin_set *set, plugin_slot *slot, tn_error *err);

static plugin_slot *find_slot(const tn_plugin_set *set, const char *name)
{
    for (int32_t i = 0; i < set->n_slots; i++)
        if (strcmp(set->slot[i].entry.name, name) == 0)
            return &set->slot[i];
    return NULL;
}

static plugin_slot *find_or_add_slot(tn_plugin_set *set, const char *name)
{
    plugin_slot *slot = find_slot(set, name);

    if (slot || set->n_slots == set->capacity)
        return slot;
    slot = &set->slot[set->n_slots++];
    slot->spec.name = name;
    slot->entry.name = name;
    slot->entry.path = "";
    return slot;
}

/* The slot that provides a domain, loaded or not; NULL without room for it (cannot happen). */
static tn_status find_provider(tn_plugin_set *set, const char *domain, plugin_slot **out,
                               tn_error *err)
{
    for (int32_t i = 0; i < set->n_slots; i++) {
        *out = &set->slot[i];
        if ((*out)->opened && (*out)->entry.api.provides &&
            strcmp((*out)->entry.api.provides->name, domain) == 0)
            return TN_OK;
    }
    *out = find_or_add_slot(set, domain);
    if (!*out)
        return tn_fail(err, TN_INTERNAL, "no room for the provider of domain %s", domain);
    return load_slot(set, *out, err);
}

/* A provider's domain as a device; false when the provider cannot serve it. */
static bool provider_device(const plugin_slot *provider, const char *domain, tn_device *out)
{
    const tn_domain *provides = provider->entry.api.provides;

    if (!provider->opened || !provides || strcmp(provides->name, domain) != 0)
        return false;
    *out = (tn_device){ .domain = provides, .self = provider->entry.self };
    return true;
}

/* The device that slot's kernels run in. Sets the slot's state and returns false when there is
 * none; *status is for lack of memory. */
static bool resolve_domain(tn_plugin_set *set, plugin_slot *slot, tn_status *status, tn_error *err)
{
    const char *domain = slot->entry.api.domain;
    tn_device *device = &slot->entry.device;
    plugin_slot *provider;

    *device = (tn_device){ .domain = tn_host_domain() };
    if (strcmp(domain, "host") == 0)
        return true;
    if (slot->entry.api.provides) {
        device->domain = NULL; /* its own, known after open */
        return true;
    }
    *status = find_provider(set, domain, &provider, err);
    if (*status)
        return false;
    if (provider_device(provider, domain, device)) {
        device->index = strcmp(domain, set->device) == 0 ? set->device_index : 0;
        return true;
    }
    if (provider->opened)
        set_state(slot, TN_PLUGIN_FAILED, "the plugin %s does not provide its domain %s",
                  provider->entry.name, domain);
    else
        set_state(slot, TN_PLUGIN_SKIPPED, "its domain %s is not there: %.200s", domain,
                  provider->entry.reason);
    return false;
}

static void close_slot(plugin_slot *slot)
{
    if (slot->opened && slot->entry.api.close)
        slot->entry.api.close(slot->entry.self);
    slot->opened = false;
    slot->entry.self = NULL;
}

/* A plugin that cannot be used, and why: a state of its entry; only lack of memory is an error. */
static tn_status refuse_slot(plugin_slot *slot, tn_status status, const tn_error *why,
                             tn_error *err)
{
    set_state(slot, status == TN_UNAVAILABLE ? TN_PLUGIN_SKIPPED : TN_PLUGIN_FAILED, "%s",
              why->text);
    if (status == TN_NO_MEMORY && err)
        *err = *why;
    return status == TN_NO_MEMORY ? status : TN_OK;
}

static tn_status open_slot(tn_plugin_set *set, plugin_slot *slot, tn_error *err)
{
    tn_error why = { 0 };
    tn_device *device = &slot->entry.device;
    const bool on_device = device->domain && !tn_device_is_host(device);
    const char *domain = slot->entry.api.domain;

    slot->team = set->team;
    slot->host = (tn_host){
        .size = sizeof(tn_host),
        .minor = TN_ABI_MINOR,
        .ctx = slot,
        .log = service_log,
        .alloc = service_alloc,
        .release = service_release,
        .workers = service_workers,
        .parallel_for = service_parallel_for,
        .option = service_option,
        .domain = on_device ? device->domain : NULL,
        .domain_self = on_device ? device->self : NULL,
        .device = strcmp(domain, set->device) == 0 ? set->device_index : 0,
        .ext = service_ext,
    };
    tn_status status = TN_OK;
    if (slot->entry.api.open)
        status = tn_plugin_status(slot->entry.api.open(&slot->host, &slot->entry.self, &why), &why);
    if (status) {
        slot->entry.self = NULL;
        return refuse_slot(slot, status, &why, err);
    }
    slot->opened = true;
    if (!device->domain) /* provides the domain it runs in */
        *device = (tn_device){ .domain = slot->entry.api.provides,
                               .self = slot->entry.self,
                               .index = slot->host.device };
    return TN_OK;
}

/* A provider without the device that is asked for is no provider: closed again, with the reason. */
static tn_status check_devices(tn_plugin_set *set, plugin_slot *slot, tn_error *err)
{
    const tn_domain *provides = slot->entry.api.provides;
    tn_error why = { 0 };
    int32_t n = 0;

    if (!slot->opened || !provides)
        return TN_OK;
    const int32_t wanted = strcmp(provides->name, set->device) == 0 ? set->device_index : 0;
    tn_status status = tn_plugin_status(provides->devices(slot->entry.self, &n, &why), &why);
    if (status)
        status = refuse_slot(slot, status, &why, err);
    else if (n <= 0)
        set_state(slot, TN_PLUGIN_SKIPPED, "there is no %s device", provides->name);
    else if (wanted < 0 || wanted >= n)
        set_state(slot, TN_PLUGIN_FAILED, "there is no device %s:%d, devices 0 to %d are there",
                  provides->name, (int)wanted, (int)n - 1);
    else
        return TN_OK;
    close_slot(slot);
    return status;
}

/* Ends with a state in the entry. Fails only on lack of memory. */
static tn_status load_slot(tn_plugin_set *set, plugin_slot *slot, tn_error *err)
{
    char path[TN_PATH_BYTES];
    const tn_plugin *raw;
    tn_error why = { 0 };

    if (slot->entry.state)
        return TN_OK;
    /* Stands until something better is known: also what a circle of providers finds. */
    set_state(slot, TN_PLUGIN_FAILED, "it needs a domain whose provider needs it");
    tn_status status = tn_library_open(&slot->spec, set->plugin_dir, set->sim, path, &raw, &why);
    if (path[0]) {
        slot->entry.path = tn_arena_strdup(&set->arena, path);
        if (!slot->entry.path)
            return tn_fail_memory(err, "a plugin's path");
    }
    if (!status)
        status = tn_normalise_plugin(raw, &set->arena, &slot->entry, &why);
    if (status)
        return refuse_slot(slot, status, &why, err);
    if (!slot->spec.name)
        slot->entry.name = slot->entry.api.name;
    if (!resolve_domain(set, slot, &status, err))
        return status;
    TN_TRY(open_slot(set, slot, err));
    TN_TRY(check_devices(set, slot, err));
    if (!slot->opened)
        return TN_OK;
    set_state(slot, TN_PLUGIN_LOADED, "%s", "");
    set->opened[set->n_opened++] = slot;
    tn_log(TN_LOG_INFO, "plugin", "%s %s: %s (%s)", slot->entry.api.name, slot->entry.api.version,
           slot->entry.path, slot->entry.api.build);
    return TN_OK;
}

/* ---- the set ---- */

static const char *copy_text(tn_plugin_set *set, const char *text, bool *failed)
{
    const char *copy = text ? tn_arena_strdup(&set->arena, text) : NULL;

    if (text && !copy)
        *failed = true;
    return copy;
}

static void copy_spec(tn_plugin_set *set, const tn_plugin_spec *spec, plugin_slot *slot,
                      bool *failed)
{
    tn_option *option =
        tn_arena_alloc(&set->arena, (size_t)(spec->n_options + 1) * sizeof(*option));

    slot->spec = (tn_plugin_spec){ .name = copy_text(set, spec->name, failed),
                                   .path = copy_text(set, spec->path, failed),
                                   .sha256 = copy_text(set, spec->sha256, failed),
                                   .option = option,
                                   .n_options = option ? spec->n_options : 0 };
    for (int32_t i = 0; i < slot->spec.n_options; i++) {
        option[i].key = copy_text(set, spec->option[i].key, failed);
        option[i].value = copy_text(set, spec->option[i].value, failed);
    }
    *failed = *failed || !option;
    slot->entry.path = "";
    slot->entry.name = slot->spec.name;
    if (!slot->spec.name &&
        slot->spec.path) { /* until its descriptor is read: acme for /x/acme.so */
        const char *base = strrchr(slot->spec.path, '/');
        char *name = tn_arena_strdup(&set->arena, base ? base + 1 : slot->spec.path);
        char *dot = name ? strrchr(name, '.') : NULL;
        if (dot)
            *dot = '\0';
        slot->entry.name = name;
        *failed = *failed || !name;
    }
    slot->entry.listed = true;
}

static tn_status check_args(const tn_plugin_set_args *args, tn_error *err)
{
    if (!args->plugin_dir || args->plugin_dir[0] != '/')
        return tn_fail(err, TN_INVALID, "the plugin directory %s is not an absolute path",
                       args->plugin_dir ? args->plugin_dir : "(none)");
    if (args->n_specs < 0 || args->n_specs > MAX_SPECS)
        return tn_fail(err, TN_INVALID, "%d plugins are listed, at most %d are allowed",
                       (int)args->n_specs, MAX_SPECS);
    for (int32_t i = 0; i < args->n_specs; i++) {
        if (!args->spec[i].name && !args->spec[i].path)
            return tn_fail(err, TN_INVALID, "plugin %d of the list has neither name nor path",
                           (int)i);
        for (int32_t j = 0; j < i; j++)
            if (args->spec[i].name && args->spec[j].name &&
                strcmp(args->spec[i].name, args->spec[j].name) == 0)
                return tn_fail(err, TN_INVALID, "the plugin %s is listed twice",
                               args->spec[i].name);
    }
    return TN_OK;
}

static tn_status copy_args(tn_plugin_set *set, const tn_plugin_set_args *args, tn_error *err)
{
    bool failed = false;
    const char *device = args->device && strcmp(args->device, "cpu") != 0 ? args->device : "host";
    size_t n = strlen(device);
    char *name = tn_arena_strdup(&set->arena, device);

    set->sim = n > 4 && strcmp(device + n - 4, "-sim") == 0;
    if (set->sim && name)
        name[n - 4] = '\0';
    set->device = name;
    set->device_index = args->device_index;
    set->plugin_dir = copy_text(set, args->plugin_dir, &failed);
    set->fallback = args->fallback && strcmp(args->fallback, "none") != 0
                        ? copy_text(set, args->fallback, &failed)
                        : NULL;
    set->team = args->team;
    /* Each plugin, the device and the fallback may pull in one domain provider. */
    set->capacity = 2 * args->n_specs + 4;
    set->slot = tn_arena_alloc(&set->arena, (size_t)set->capacity * sizeof(*set->slot));
    set->opened = tn_arena_alloc(&set->arena, (size_t)set->capacity * sizeof(*set->opened));
    if (failed || !name || !set->slot || !set->opened)
        return tn_fail_memory(err, "the plugin list");
    for (; set->n_slots < args->n_specs; set->n_slots++)
        copy_spec(set, &args->spec[set->n_slots], &set->slot[set->n_slots], &failed);
    return failed ? tn_fail_memory(err, "the plugin list") : TN_OK;
}

static tn_status load_all(tn_plugin_set *set, tn_error *err)
{
    const int32_t n_listed = set->n_slots;
    plugin_slot *slot;

    if (strcmp(set->device, "host") != 0)
        TN_TRY(find_provider(set, set->device, &slot, err));
    for (int32_t i = 0; i < n_listed; i++)
        TN_TRY(load_slot(set, &set->slot[i], err));
    if (!set->fallback)
        return TN_OK;
    slot = find_or_add_slot(set, set->fallback);
    if (!slot)
        return tn_fail(err, TN_INTERNAL, "no room for the fallback plugin");
    TN_TRY(load_slot(set, slot, err));
    if (slot->opened && !tn_device_is_host(&slot->entry.device))
        return tn_fail(err, TN_INVALID, "the fallback %s runs in %s; a host plugin is needed",
                       set->fallback, slot->entry.api.domain);
    return TN_OK;
}

tn_status tn_plugin_set_open(const tn_plugin_set_args *args, tn_plugin_set **out, tn_error *err)
{
    *out = NULL;
    TN_TRY(check_args(args, err));
    tn_plugin_set *set = tn_alloc_array(1, sizeof(*set));
    if (!set)
        return tn_fail_memory(err, "the plugin set");
    tn_status status = copy_args(set, args, err);
    if (!status)
        status = load_all(set, err);
    if (status) {
        tn_plugin_set_close(set);
        return status;
    }
    *out = set;
    return TN_OK;
}

void tn_plugin_set_close(tn_plugin_set *set)
{
    if (!set)
        return;
    while (set->n_opened > 0)
        close_slot(set->opened[--set->n_opened]);
    tn_arena_deinit(&set->arena);
    tn_free(set);
}

int32_t tn_plugin_set_size(const tn_plugin_set *set)
{
    return set->n_slots;
}

const tn_plugin_entry *tn_plugin_set_entry(const tn_plugin_set *set, int32_t index)
{
    return index >= 0 && index < set->n_slots ? &set->slot[index].entry : NULL;
}

const tn_plugin_entry *tn_plugin_set_find(const tn_plugin_set *set, const char *name)
{
    const plugin_slot *slot = find_slot(set, name);

    return slot ? &slot->entry : NULL;
}

tn_status tn_plugin_set_require(const tn_plugin_set *set, tn_error *err)
{
    for (int32_t i = 0; i < set->n_slots; i++) {
        const tn_plugin_entry *entry = &set->slot[i].entry;
        if (entry->state == TN_PLUGIN_FAILED)
            return tn_fail(err, TN_INVALID, "plugin %s%s%s%s: %s", entry->name,
                           *entry->path ? " (" : "", entry->path, *entry->path ? ")" : "",
                           entry->reason);
    }
    return TN_OK;
}

void tn_plugin_set_device(const tn_plugin_set *set, tn_device *out_device, bool *out_present)
{
    *out_device = (tn_device){ .domain = tn_host_domain() };
    *out_present = strcmp(set->device, "host") == 0;
    for (int32_t i = 0; !*out_present && i < set->n_slots; i++) {
        *out_present = set->slot[i].entry.state == TN_PLUGIN_LOADED &&
                       provider_device(&set->slot[i], set->device, out_device);
        if (*out_present)
            out_device->index = set->device_index;
    }
    if (!*out_present)
        *out_device = (tn_device){ 0 };
}

const char *tn_plugin_set_device_name(const tn_plugin_set *set)
{
    return set->device;
}
