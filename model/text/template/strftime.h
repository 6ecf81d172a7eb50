/* SPDX-License-Identifier: Apache-2.0 */
/* Dates as Python's datetime.strftime writes them in the C locale, for a datetime without time zone
 * and microseconds. */
#ifndef TN_MODEL_TEXT_TEMPLATE_STRFTIME_H
#define TN_MODEL_TEXT_TEMPLATE_STRFTIME_H

#include "model/text/template/value.h"

/** Days from 1970-01-01 to a date of the Gregorian calendar. */
int64_t tpl_days_of(int64_t year, int month, int day);
/** now: seconds since 1970. */
tn_status tpl_strftime(tpl_env *e, const tpl_str *format, int64_t now, tpl_value *out) TN_MUST_USE;

#endif
