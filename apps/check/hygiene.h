/* SPDX-License-Identifier: Apache-2.0 */
/* What the file of a plugin may export, need and be (docs/plugin-abi.md). Pure. */
#ifndef TN_APPS_CHECK_HYGIENE_H
#define TN_APPS_CHECK_HYGIENE_H

#include "apps/check/shared_object.h"

enum {
    TN_HYGIENE_EXPORTS,   /* the descriptor and nothing else */
    TN_HYGIENE_LIBRARIES, /* needs libc, libm, libdl, libgomp and what belongs to them */
    TN_HYGIENE_UNDEFINED, /* every symbol comes from one of those, none from the program */
    TN_HYGIENE_TEXT,      /* no relocations in code */
    TN_HYGIENE_STACK,     /* no executable stack */
    TN_N_HYGIENE
};

/* How the file is loaded. */
typedef struct tn_hygiene_context {
    bool sanitized; /* it needs the run time of a sanitizer, as this program does */
    bool emulated;  /* it is one of plugins/sim and needs the emulator */
} tn_hygiene_context;

/** "exports", "libraries" ... */
const char *tn_hygiene_name(int32_t rule);
/** True when the file keeps the rule; else text says what is wrong and what to do. */
bool tn_hygiene_check(const tn_shared_object *so, int32_t rule, tn_hygiene_context context,
                      char *text, size_t cap);

#endif
