/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library of the system that a plugin uses where it is there (CUDA's driver, cuBLAS), so that the
 * plugin itself loads everywhere. Libraries stay open for the life of the process: their threads
 * and exit functions may outlive every handle.
 */
#ifndef TN_PLUGINS_COMMON_SHARED_LIBRARY_H
#define TN_PLUGINS_COMMON_SHARED_LIBRARY_H

#include "plugins/common/plugin_util.h"

#include <dlfcn.h>
#include <string.h>

/** A function of the library, and the pointer to it that the plugin has. */
typedef struct tn_symbol {
    const char *name;
    void *pointer; /* to a function pointer */
} tn_symbol;

/**
 * Open the first of names (ended by NULL) that is there, and fill the pointers of n symbols from
 * it.
 *
 * Errors: TN_UNAVAILABLE, naming the last of names and what the dynamic linker says, or the symbol
 * that the library lacks.
 */
static inline tn_status tn_shared_library(const char *const *names, const tn_symbol *symbol,
                                          int32_t n_symbols, tn_error *err)
{
    void *library = NULL;
    const char *name = "";

    for (; *names && !library; names++) {
        name = *names;
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (!library)
        return tn_plugin_fail(err, TN_UNAVAILABLE, "%s", dlerror()); /* begins with the name */
    for (int32_t i = 0; i < n_symbols; i++) {
        void *found = dlsym(library, symbol[i].name);
        if (!found)
            return tn_plugin_fail(err, TN_UNAVAILABLE, "%s is too old: it has no %s", name,
                                  symbol[i].name);
        /* POSIX lets a function pointer be copied from an object pointer, ISO C does not. */
        memcpy(symbol[i].pointer, &found, sizeof found);
    }
    return TN_OK;
}

#endif
