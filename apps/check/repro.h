/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One failing case in one file, with all that it needs: no model, no profile. It is a safetensors
 * file, so other programs can read its arrays; `repro.json` in it has the rest, `repro.sha256` the
 * hash of both. Thread: one.
 */
#ifndef TN_APPS_CHECK_REPRO_H
#define TN_APPS_CHECK_REPRO_H

#include "apps/check/case.h"

#include <stddef.h>

enum { TN_REPRO_VERSION = 1 };

typedef struct tn_check_repro {
    tn_check_case c;
    const char *part;            /* "ops", "lockstep", "claims": what failed */
    const char *plugin, *kernel; /* names */
    const char *against, *metric, *text, *seed, *tenon;
    /* What c points to after reading. */
    tn_check_part weight[TN_MAX_PARTS];
    tn_check_batch batch;
    tn_arena arena;
} tn_check_repro;

/** TN_INVALID names path and reason. */
tn_status tn_check_repro_write(const tn_check_repro *r, const char *path,
                               tn_error *err) TN_MUST_USE;
/** TN_INVALID: it is of another version, foreign, truncated or corrupt, or what it describes makes
 * no sense. */
tn_status tn_check_repro_read(const char *path, tn_check_repro *out, tn_error *err) TN_MUST_USE;
/** The same of bytes; nothing is borrowed from them. */
tn_status tn_check_repro_parse(const uint8_t *data, size_t n, tn_check_repro *out,
                               tn_error *err) TN_MUST_USE;
void tn_check_repro_deinit(tn_check_repro *r);

/* ---- repro_valid.c ---- */
/** Shapes, ids and addresses of a case from a file: after this a kernel can be given it. */
tn_status tn_check_case_validate(const tn_check_case *c, tn_error *err) TN_MUST_USE;

#endif
