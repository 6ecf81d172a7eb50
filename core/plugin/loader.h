/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a name or a path to the descriptor of a plugin: path rules, file checks, pin, dlopen, dlsym.
 * loader.c has the only dlopen of the program. A library that was opened stays mapped for the life
 * of the process. Thread: any.
 */
#ifndef TN_CORE_PLUGIN_LOADER_H
#define TN_CORE_PLUGIN_LOADER_H

#include "core/plugin/plugin_set.h"

enum { TN_PATH_BYTES = 4096 };

/* What `sanitizer` of a descriptor says, and what this program was built with. */
enum { TN_SANITIZER_NONE = 0, TN_SANITIZER_ADDRESS = 1, TN_SANITIZER_THREAD = 2 };

/**
 * Open the file of spec: its absolute path, or <plugin_dir>/NAME.so; sim: <plugin_dir>/sim/NAME.so
 * first, when it is there. Never the working directory or LD_LIBRARY_PATH. *out_raw is the
 * descriptor as the plugin wrote it (size is all that may be read before it is checked). real_path:
 * the file that was opened, "" when none was.
 *
 * Errors: TN_INVALID with what is wrong with the name, the file, the pin or the library.
 */
tn_status tn_library_open(const tn_plugin_spec *spec, const char *plugin_dir, bool sim,
                          char real_path[TN_PATH_BYTES], const tn_plugin **out_raw,
                          tn_error *err) TN_MUST_USE;

/** TN_SANITIZER_* of this program. */
uint32_t tn_host_sanitizer(void);

#endif
