/* SPDX-License-Identifier: Apache-2.0 */
/* Results of a bench as text. Columns follow llama-bench, so that tables stand side by side. */
#ifndef TN_APPS_BENCH_REPORT_H
#define TN_APPS_BENCH_REPORT_H

#include "apps/bench/bench.h"
#include "core/base/strbuf.h"

#include <jansson.h>

void tn_bench_markdown(const tn_bench_row *rows, int32_t n, tn_strbuf *out);
void tn_bench_csv(const tn_bench_row *rows, int32_t n, tn_strbuf *out);
/** A page with one bar a row, the quartiles on it, and the memory roofline where it is known. */
void tn_bench_svg(const tn_bench_row *rows, int32_t n, tn_strbuf *out);
/** {"machine": ..., "results": [...]}; NULL when memory runs out. */
json_t *tn_bench_json(const tn_bench_row *rows, int32_t n, const tn_roofline *roofs,
                      int32_t n_roofs);
void tn_bench_roofline_text(const tn_roofline *roofs, int32_t n, tn_strbuf *out);

#endif
