/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of kernels: those of run (claims.c) and those of pack and unpack (claims_pack.c). */
#ifndef TN_APPS_CHECK_CLAIMS_H
#define TN_APPS_CHECK_CLAIMS_H

#include "apps/check/session.h"

#include <stdio.h>

/** pack in pieces equals pack at once; unpack gives back what was packed, within the class. */
tn_status tn_check_pack_claims(const tn_check_kernel *k, const tn_check_case *c,
                               tn_check_verdict *out, tn_error *err) TN_MUST_USE;

#endif
