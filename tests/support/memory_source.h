/* SPDX-License-Identifier: Apache-2.0 */
/* A weight source in memory: for tests, and for weight formats that no reader gives yet. Thread:
 * filled by one thread, immutable then. */
#ifndef TN_TESTS_SUPPORT_MEMORY_SOURCE_H
#define TN_TESTS_SUPPORT_MEMORY_SOURCE_H

#include "core/graph/weight_source.h"

typedef struct tn_memory_source tn_memory_source;
tn_status tn_memory_source_create(tn_memory_source **out, tn_error *err) TN_MUST_USE;
/** Add one tensor; arrays are copied. Pass values (plain), or codes + scale + zero (quantised; zero
 * NULL for q8). */
tn_status tn_memory_source_add(tn_memory_source *m, const tn_weight_info *info,
                               const tn_weight_rows *all_rows, tn_error *err) TN_MUST_USE;
/** The interface; borrowed, valid until destroy. */
const tn_weight_source *tn_memory_source_interface(tn_memory_source *m);
void tn_memory_source_destroy(tn_memory_source *m);

#endif
