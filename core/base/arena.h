/* SPDX-License-Identifier: Apache-2.0 */
/* Many small objects that live and die together. Thread: one thread at a time. `= {0}` is a valid empty arena. */
#ifndef TN_CORE_BASE_ARENA_H
#define TN_CORE_BASE_ARENA_H

#include <stddef.h>

typedef struct tn_arena_chunk tn_arena_chunk;
typedef struct tn_arena {
    tn_arena_chunk *head;
} tn_arena;

/** Zeroed memory of n bytes, aligned to 16, valid until deinit; NULL when there is none. */
void *tn_arena_alloc(tn_arena *arena, size_t n);
/** A copy of n bytes, of a text, of a formatted text (cut at 255 bytes). */
void *tn_arena_copy(tn_arena *arena, const void *bytes, size_t n);
char *tn_arena_strdup(tn_arena *arena, const char *text);
char *tn_arena_printf(tn_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tn_arena_deinit(tn_arena *arena);

#endif
