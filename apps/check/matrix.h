/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The support matrix of a plugin: for every op and format of weights or KV pages, how many of the
 * made-up cases it supports, and how they went. Thread: one.
 */
#ifndef TN_APPS_CHECK_MATRIX_H
#define TN_APPS_CHECK_MATRIX_H

#include "core/base/arena.h"
#include "core/base/status.h"
#include "core/base/strbuf.h"
#include "core/graph/catalogue.h"

typedef struct tn_check_cell {
    const tn_op_info *op;
    const char *format; /* "u4b.g32", "i8"; "" when the op has none */
    const char *kernel; /* the last that supported a case, or "" */
    const char *reason; /* the first refusal, or "" */
    int32_t cases, supported, failed;
    double worst; /* largest error / limit */
} tn_check_cell;

typedef struct tn_check_matrix {
    tn_check_cell *cell;
    int32_t n, capacity;
    tn_arena arena; /* every string */
} tn_check_matrix;

/** The cell of an op and a format, made when it is not there. Groups of a whole row are one format,
 * "u4z.row". NULL without memory; valid until the next call. */
tn_check_cell *tn_check_matrix_at(tn_check_matrix *m, const tn_op_info *op, const char *format);
/** Keep a text for a cell; "" without memory. */
const char *tn_check_matrix_text(tn_check_matrix *m, const char *text);
void tn_check_matrix_deinit(tn_check_matrix *m);

/** Three tables: weight formats, KV formats, the ops that have neither. */
void tn_check_matrix_print(const tn_check_matrix *m, tn_strbuf *out);

#endif
