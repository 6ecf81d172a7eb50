/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of jansson, whose callers often cannot tell that it ran out: a key that could not be set
 * is left out, a text that could not be parsed is no JSON. So a program has its failures counted,
 * and whoever builds or parses something compares the count before and after. Thread: any.
 */
#ifndef TN_MODEL_FORMATS_JSON_MEMORY_H
#define TN_MODEL_FORMATS_JSON_MEMORY_H

#include <stdint.h>

/** Once, before any JSON is made: its memory is that of core/base/alloc.h. */
void tn_json_count_failures(void);
/** Allocations that failed so far; 0 without tn_json_count_failures. */
uint32_t tn_json_failures(void);

#endif
