/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/arena.h"

#include "core/base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_BYTES = 16384, ALIGNMENT = 16 };

struct tn_arena_chunk {
    tn_arena_chunk *next;
    size_t used, size;
    max_align_t data[];
};

void *tn_arena_alloc(tn_arena *arena, size_t n)
{
    size_t rounded;
    if (tn_alloc_must_fail() || !tn_size_add(n ? n : 1, ALIGNMENT - 1, &rounded))
        return NULL;
    rounded &= ~(size_t)(ALIGNMENT - 1);
    tn_arena_chunk *chunk = arena->head;
    if (!chunk || chunk->size - chunk->used < rounded) {
        size_t size = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES, total;
        if (!tn_size_add(size, sizeof *chunk, &total))
            return NULL;
        chunk = tn_alloc_array(1, total);
        if (!chunk)
            return NULL;
        chunk->size = size;
        chunk->next = arena->head;
        arena->head = chunk;
    }
    unsigned char *block = (unsigned char *)chunk->data + chunk->used;
    chunk->used += rounded;
    return block;
}

void *tn_arena_copy(tn_arena *arena, const void *bytes, size_t n)
{
    void *copy = tn_arena_alloc(arena, n);
    if (copy && n)
        memcpy(copy, bytes, n);
    return copy;
}

char *tn_arena_strdup(tn_arena *arena, const char *text)
{
    return tn_arena_copy(arena, text, strlen(text) + 1);
}

char *tn_arena_printf(tn_arena *arena, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tn_arena_strdup(arena, text);
}

void tn_arena_deinit(tn_arena *arena)
{
    while (arena->head) {
        tn_arena_chunk *next = arena->head->next;
        tn_free(arena->head);
        arena->head = next;
    }
}
