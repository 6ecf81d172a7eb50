/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/hygiene.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAMED = 5 };

/* Names of files without what follows ".so". C++ and CUDA run times are linked statically. */
static const char *const allowed[] = { "libc",       "libm",     "libdl",    "libgomp",
                                       "libpthread", "libgcc_s", "ld-linux", NULL };
static const char *const sanitizers[] = { "libasan", "libubsan", "libtsan", NULL };
static const char *const emulators[] = { "libtn-simcuda", NULL };

static bool is_one_of(const char *file, const char *const *names)
{
    const char *end = strstr(file, ".so");
    for (; end && *names; names++) {
        const size_t n = strlen(*names);
        const bool is_linker = strcmp(*names, "ld-linux") == 0; /* ld-linux-x86-64.so.2 */
        if (strncmp(file, *names, n) == 0 && (file + n == end || (is_linker && file[n] == '-')))
            return true;
    }
    return false;
}

static bool may_need(const char *file, tn_hygiene_context context)
{
    return is_one_of(file, allowed) || (context.sanitized && is_one_of(file, sanitizers)) ||
           (context.emulated && is_one_of(file, emulators));
}

/* "tn_plugin_v1", or of another major version: a file may serve two. AddressSanitizer exports a
 * mark beside each variable. */
static bool may_export(const char *name, tn_hygiene_context context)
{
    const size_t n = strlen("tn_plugin_v");
    if (context.sanitized && strncmp(name, "__odr_asan", strlen("__odr_asan")) == 0)
        return true;
    return strncmp(name, "tn_plugin_v", n) == 0 && name[n] >= '0' && name[n] <= '9' &&
           name[n + 1] == '\0';
}

/* A list of names that stops after a few. */
typedef struct names {
    char text[160];
    size_t used;
    int32_t n;
} names;

static void add_name(names *list, const char *name)
{
    if (list->n++ >= MAX_NAMED || list->used + 1 >= sizeof list->text)
        return;
    const int wrote = snprintf(list->text + list->used, sizeof list->text - list->used, "%s%.40s",
                               list->used ? ", " : "", name);
    list->used += wrote > 0 ? (size_t)wrote : 0;
}

static const char *and_more(const names *list)
{
    return list->n > MAX_NAMED ? " and more" : "";
}

static bool check_exports(const tn_shared_object *so, tn_hygiene_context context, char *text,
                          size_t cap)
{
    names others = { .n = 0 };
    bool found = false;
    for (int32_t i = 0; i < so->n_exported; i++) {
        found = found || strcmp(so->exported[i].name, "tn_plugin_v1") == 0;
        if (!may_export(so->exported[i].name, context))
            add_name(&others, so->exported[i].name);
    }
    if (!found)
        (void)snprintf(text, cap, "it does not export tn_plugin_v1");
    else if (others.n)
        (void)snprintf(text, cap,
                       "it exports %d symbols besides tn_plugin_v1: %s%s; compile with "
                       "-fvisibility=hidden, link libraries with -Wl,--exclude-libs,ALL",
                       (int)others.n, others.text, and_more(&others));
    return found && !others.n;
}

static bool check_libraries(const tn_shared_object *so, tn_hygiene_context context, char *text,
                            size_t cap)
{
    names others = { .n = 0 };
    for (int32_t i = 0; i < so->n_needed; i++)
        if (!may_need(so->needed[i], context))
            add_name(&others, so->needed[i]);
    if (others.n)
        (void)snprintf(
            text, cap,
            "it needs %s%s; a plugin may need libc, libm, libdl and libgomp: link others "
            "statically",
            others.text, and_more(&others));
    return !others.n;
}

/* Every symbol of glibc, libgomp and libgcc has a version, so one without was linked with no
 * library: it would be whatever the program happens to have by that name. */
static bool check_undefined(const tn_shared_object *so, tn_hygiene_context context, char *text,
                            size_t cap)
{
    names others = { .n = 0 };
    for (int32_t i = 0; i < so->n_undefined; i++) {
        const tn_shared_symbol *s = &so->undefined[i];
        const bool may_lack = !so->has_versions || context.sanitized || context.emulated;
        if (s->weak || (*s->library ? may_need(s->library, context) : may_lack))
            continue;
        add_name(&others, s->name);
    }
    if (others.n)
        (void)snprintf(text, cap,
                       "%d symbols come from none of the libraries that it may need: %s%s; name "
                       "their library when linking (-lm), and find them with -Wl,--no-undefined",
                       (int)others.n, others.text, and_more(&others));
    return !others.n;
}

const char *tn_hygiene_name(int32_t rule)
{
    static const char *const rules[TN_N_HYGIENE] = { "exports", "libraries", "undefined symbols",
                                                     "text relocations", "stack" };
    return rules[rule];
}

bool tn_hygiene_check(const tn_shared_object *so, int32_t rule, tn_hygiene_context context,
                      char *text, size_t cap)
{
    *text = '\0';
    switch (rule) {
    case TN_HYGIENE_EXPORTS:
        return check_exports(so, context, text, cap);
    case TN_HYGIENE_LIBRARIES:
        return check_libraries(so, context, text, cap);
    case TN_HYGIENE_UNDEFINED:
        return check_undefined(so, context, text, cap);
    case TN_HYGIENE_TEXT:
        if (so->text_relocations)
            (void)snprintf(text, cap, "it has relocations in its code; compile with -fPIC");
        return !so->text_relocations;
    default:
        if (so->executable_stack)
            (void)snprintf(text, cap,
                           "it wants an executable stack; assembler files lack a .note.GNU-stack "
                           "section, or nested functions are passed on");
        return !so->executable_stack;
    }
}
