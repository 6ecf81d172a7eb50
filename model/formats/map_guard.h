/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapped file that another program truncates: reading behind its new end raises SIGBUS, which
 * would end the process. A guarded mapping reads as zeros there, and its check fails.
 *
 *     TN_TRY(tn_map_guard_add(&map, &guard, err));
 *     ... read from map ...
 *     TN_TRY(tn_map_guard_check(guard, path, err));   // before what was read is used
 *
 * The first guard of the process installs a handler of SIGBUS, for good. It passes on what is not
 * about a guarded mapping to the handler that was there before, or to the default. Thread: any;
 * add and remove once a guard.
 */
#ifndef TN_MODEL_FORMATS_MAP_GUARD_H
#define TN_MODEL_FORMATS_MAP_GUARD_H

#include "model/formats/file_map.h"

typedef struct tn_map_guard tn_map_guard;

/** Guard a mapping until remove, which must come before its close. */
tn_status tn_map_guard_add(const tn_file_map *map, tn_map_guard **out, tn_error *err) TN_MUST_USE;
/** TN_INTERNAL, naming path, when a byte that was mapped is not in the file any more. NULL is OK. */
tn_status tn_map_guard_check(const tn_map_guard *guard, const char *path,
                             tn_error *err) TN_MUST_USE;
/** NULL is allowed. */
void tn_map_guard_remove(tn_map_guard *guard);

#endif
