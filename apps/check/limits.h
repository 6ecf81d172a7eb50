/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far each element of a result may be from the reference: bounds computed from the case's own
 * data, by the tolerance class that the kernel claims. The derivations stand in
 * docs/numerics.md#tolerance-classes. Thread: one; uses the team.
 */
#ifndef TN_APPS_CHECK_LIMITS_H
#define TN_APPS_CHECK_LIMITS_H

#include "apps/check/reference.h"

/* A row of the table of classes. Units are relative errors of one rounding. */
typedef struct tn_check_class {
    const char *name;
    double sum;     /* of a term of a sum, and of elementary functions */
    double operand; /* of each operand of a product, in f16; 0: operands are not rounded */
    bool exact;     /* the same bits, after rounding to the edge's type */
    bool a8;        /* activations of quantised weights in 8 bits, by groups of at least 32; of bf16
                       weights in bf16 */
    bool w8;        /* weights that come as values (K-quants) in 8 bits, by groups of 32 */
    double drift;   /* of the logits of a free run: RMS error by standard deviation */
} tn_check_class;

/* Groups of 8-bit codes, their largest, and how many standard deviations roundings that are taken
 * for independent may add up to: 6 is passed by 2 in 1e9. */
enum { TN_CHECK_CODE_GROUP = 32, TN_CHECK_MAX_CODE = 127, TN_CHECK_SIGMAS = 6 };

/** The class of that name, or NULL. */
const tn_check_class *tn_check_class_find(const char *name);
/** The class of that name for a node: where operands are rounded to 16 bits, they are to the type
 * of its activations. */
tn_check_class tn_check_class_of(const char *name, const tn_node *node);
/** All classes, ending with a row whose name is NULL. */
const tn_check_class *tn_check_class_table(void);

/* Limits of every output element. */
typedef struct tn_check_limits {
    float *out[TN_MAX_OUT]; /* [rows][width] */
} tn_check_limits;

/** node: as the candidate sees it (its dtypes round the outputs). */
tn_status tn_check_limits_make(const tn_check_case *c, const tn_check_expected *e,
                               const tn_check_class *k, tn_team *team, tn_check_limits *out,
                               tn_error *err) TN_MUST_USE;
/** Of the keys that rope_kv_write writes, before they are coded: out[1]. */
tn_status tn_check_key_limits(const tn_check_case *c, const tn_check_expected *e,
                              const tn_check_class *k, tn_check_limits *out,
                              tn_error *err) TN_MUST_USE;
void tn_check_limits_deinit(tn_check_limits *limits);

/** Unit roundoff of a float type: 2^-24, 2^-11, 2^-8. */
double tn_check_unit(int32_t dtype);
/** What n terms added in any order may lose, in units: n + 8 up to 1,024, then by the square root
 * (Higham and Mary 2019: roundings of long sums hardly all go one way). */
double tn_check_sum_terms(double n);

/** True when a class lets a part's weights be recoded: they come as values and are no plain format.
 */
bool tn_check_recodes(const tn_check_class *k, const tn_check_part *part);
/** How far a recoded weight may be from its value: half a step of its group's scale, and the
 * scale's own rounding to f16. 0 when the class does not let it be recoded. */
double tn_check_recode_error(const tn_check_class *k, const tn_check_part *part, int64_t row,
                             int32_t col);

/* ---- limits_linear.c ---- */
tn_status tn_check_linear_limits(const tn_check_case *c, const tn_check_expected *e,
                                 const tn_check_class *k, tn_team *team, float *limit,
                                 tn_error *err) TN_MUST_USE;
/* ---- limits_attention.c ---- */
tn_status tn_check_attention_limits(const tn_check_case *c, const tn_check_class *k, float *limit,
                                    tn_error *err) TN_MUST_USE;

#endif
