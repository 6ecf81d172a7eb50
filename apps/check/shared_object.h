/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shared library says to the dynamic linker, read from the file without running any of it:
 * the ELF dynamic section (System V ABI, chapter 5; GNU symbol versions of the LSB). Section
 * headers are not looked at: the linker ignores them too, and a stripped file may lack them. Any
 * bytes are safe to read. Thread: immutable once read.
 */
#ifndef TN_APPS_CHECK_SHARED_OBJECT_H
#define TN_APPS_CHECK_SHARED_OBJECT_H

#include "core/base/arena.h"
#include "core/base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tn_shared_symbol {
    const char *name;
    const char *library; /* of an undefined one: the needed file that it was linked with; "" when it
                            was linked with none */
    bool weak;
} tn_shared_symbol;

typedef struct tn_shared_object {
    const char **needed;                    /* [n_needed] "libc.so.6" */
    tn_shared_symbol *exported, *undefined; /* global and weak symbols */
    int32_t n_needed, n_exported, n_undefined;
    bool text_relocations, executable_stack;
    bool has_versions; /* false: nothing tells which library a symbol is of (musl) */
    tn_arena arena;    /* every string and array */
} tn_shared_object;

/**
 * The file at path. TN_INVALID with what is wrong: not there, not an ELF shared library of 64 bits
 * and this machine's byte order, a part of it outside of the file.
 */
tn_status tn_shared_object_read(const char *path, tn_shared_object *out, tn_error *err) TN_MUST_USE;
/** The same of bytes in memory, for tests and fuzzing. name: for messages. */
tn_status tn_shared_object_parse(const void *bytes, size_t n, const char *name,
                                 tn_shared_object *out, tn_error *err) TN_MUST_USE;
void tn_shared_object_deinit(tn_shared_object *so);

#endif
