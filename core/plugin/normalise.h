/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the structs a plugin wrote, of whatever size, to the host's own: min(size, ours) bytes
 * copied into zeroed structs, once; everything after that reads fields that exist. Also the
 * sentences for what is missing. Thread: one thread an arena.
 */
#ifndef TN_CORE_PLUGIN_NORMALISE_H
#define TN_CORE_PLUGIN_NORMALISE_H

#include "core/base/arena.h"
#include "core/plugin/plugin_set.h"

/**
 * Fill entry->api, kernel, kv_format and their counts from raw; api.provides points to a normalised
 * copy, or is NULL. Kernels of ops outside the catalogue (but for "vendor/op") are left out with a
 * note in the log.
 *
 * Errors: TN_INVALID (the descriptor, in one sentence); TN_NO_MEMORY.
 */
tn_status tn_normalise_plugin(const tn_plugin *raw, tn_arena *arena, tn_plugin_entry *entry,
                              tn_error *err) TN_MUST_USE;

/** A status a plugin returned, as one of the known codes, with err->text ended and never empty. */
tn_status tn_plugin_status(tn_status status, tn_error *err);

#endif
