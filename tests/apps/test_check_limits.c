/* SPDX-License-Identifier: Apache-2.0 */
/* The table of tolerance classes, its document, and what the bounds are made of. */
#include "apps/check/limits.h"
#include "apps/check/metrics.h"
#include "apps/check/sweep.h"
#include "core/base/alloc.h"
#include "core/plugin/loader.h"
#include "core/plugin/normalise.h"
#include "model/formats/file_map.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- the table ---- */

static const char *unit_text(double unit, char text[16])
{
    if (unit == 0)
        return "0";
    (void)snprintf(text, 16, "2^%d", ilogb(unit));
    assert_true(ldexp(1, ilogb(unit)) == unit);
    return text;
}

static void the_document_has_each_class_with_its_units_and_no_other(void **state)
{
    (void)state;
    char *text;
    size_t n;
    tn_error err = { 0 };
    int32_t rows = 0, classes = 0;
    assert_int_equal(tn_file_read(NUMERICS_PATH, 1 << 20, &text, &n, &err), TN_OK);
    char *section = strstr(text, "\n## Tolerance classes\n");
    assert_non_null(section);
    char *end = strstr(section, "\n### ");
    assert_non_null(end);
    *end = '\0';

    for (const tn_check_class *k = tn_check_class_table(); k->name; k++, classes++) {
        char sum[16], operand[16], row[128];
        (void)snprintf(row, sizeof row, "\n| `%s` | %s | %s | %s | %s | ", k->name,
                       unit_text(k->sum, sum), unit_text(k->operand, operand), k->a8 ? "yes" : "no",
                       k->w8 ? "yes" : "no");
        if (!strstr(section, row))
            fail_msg("docs/numerics.md has no row%s", row);
    }
    for (const char *at = section; (at = strstr(at, "\n| `")) != NULL; at++)
        rows++;
    assert_int_equal(rows, classes);
    tn_free(text);
}

static void the_document_has_the_bins_of_the_histogram(void **state)
{
    (void)state;
    char *text, bins[256] = "";
    size_t n;
    tn_error err = { 0 };
    assert_int_equal(tn_file_read(NUMERICS_PATH, 1 << 20, &text, &n, &err), TN_OK);
    for (int32_t i = 0; i < TN_ULP_BINS; i++)
        (void)snprintf(bins + strlen(bins), sizeof bins - strlen(bins), "%s%s", i ? ", " : "",
                       tn_check_metrics_bin_name(i));

    assert_non_null(strstr(text, bins));
    tn_free(text);
}

static tn_status never(void *self, const tn_node *node, tn_error *why)
{
    (void)self, (void)node, (void)why;
    return TN_UNSUPPORTED;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)self, (void)node, (void)launch, (void)err;
    return TN_OK;
}

static void the_loader_takes_the_classes_of_the_table_and_no_other(void **state)
{
    (void)state;
    const char *const others[] = { "f16", "a8w8", "" };
    for (int32_t i = 0; i < 9; i++) {
        const bool known = i < 6;
        const char *name = known ? tn_check_class_table()[i].name : others[i - 6];
        const tn_kernel kernel = { .size = sizeof kernel,
                                   .op = "add",
                                   .name = "x",
                                   .tolerance = name,
                                   .supports = never,
                                   .run = run };
        const tn_kernel *const kernels[] = { &kernel, NULL };
        const tn_plugin raw = { .size = sizeof raw,
                                .sanitizer = tn_host_sanitizer(),
                                .name = "x",
                                .version = "1",
                                .domain = "host",
                                .kernels = kernels };
        tn_arena arena = { 0 };
        tn_plugin_entry entry = { 0 };
        tn_error err = { 0 };

        assert_int_equal(tn_normalise_plugin(&raw, &arena, &entry, &err),
                         known ? TN_OK : TN_INVALID);
        tn_arena_deinit(&arena);
    }
    assert_null(tn_check_class_table()[6].name);
}

static void terms_of_a_sum_grow_with_it_first_by_number_then_by_the_root(void **state)
{
    (void)state;

    assert_true(tn_check_sum_terms(1) == 9 && tn_check_sum_terms(1024) == 1032);
    assert_true(tn_check_sum_terms(1025) > 1032 && tn_check_sum_terms(1025) < 1033);
    assert_true(tn_check_sum_terms(4 * 1024) == 32 * 64 + 8);
}

/* ---- linear ---- */

typedef struct fixture {
    tn_check_made made;
    tn_team *team;
    float *y; /* of the linear, in f64, rounded */
    tn_check_limits limits;
} fixture;

/* Case `index` of the sweep of linear, with what is expected. */
static void open_linear(fixture *f, int32_t index)
{
    const tn_check_sweep *sweep = tn_check_sweep_table();
    tn_error err = { 0 };
    *f = (fixture){ .team = NULL };
    while (strcmp(sweep->op, "linear") != 0)
        sweep++;
    assert_int_equal(tn_check_sweep_make(sweep, index, 3, TN_F32, TN_F32, &f->made, &err), TN_OK);
    assert_int_equal(tn_team_create(1, &f->team, &err), TN_OK);
    const tn_check_case *c = &f->made.c;
    const tn_linear *linear = c->node.param;
    const size_t width = (size_t)c->out[0].width;
    f->y = tn_alloc_array((size_t)c->out[0].rows * width, sizeof(float));
    float *w = tn_alloc_array((size_t)linear->in, sizeof(float));
    assert_true(f->y && w);
    for (int32_t p = 0, at = 0; p < linear->n_parts; at += linear->part[p++]->out)
        for (int32_t o = 0; o < linear->part[p]->out; o++) {
            const tn_weight_rows row = tn_check_part_rows(&c->part[p], p, o, 1);
            assert_int_equal(tn_weight_rows_values(c->part[p].wfmt, &row, w, &err), TN_OK);
            for (int32_t r = 0; r < c->in[0].rows; r++) {
                double sum = row.bias ? (double)row.bias[0] : 0;
                for (int32_t k = 0; k < linear->in; k++)
                    sum += (double)w[k] * (double)c->in[0].values[r * linear->in + k];
                sum *= linear->out_scale != 0 ? (double)linear->out_scale : 1;
                f->y[(size_t)r * width + (size_t)(at + o)] = (float)sum;
            }
        }
    tn_free(w);
}

static const float *limit_as(fixture *f, const char *class)
{
    const tn_check_expected e = { .out = { f->y } };
    tn_error err = { 0 };
    tn_check_limits_deinit(&f->limits);
    assert_int_equal(
        tn_check_limits_make(&f->made.c, &e, tn_check_class_find(class), f->team, &f->limits, &err),
        TN_OK);
    return f->limits.out[0];
}

static double sum_as(fixture *f, const char *class)
{
    const float *limit = limit_as(f, class);
    const tn_check_tensor *t = &f->made.c.out[0];
    double sum = 0;
    for (int32_t i = 0; i < t->rows * t->width; i++)
        sum += (double)limit[i];
    return sum;
}

static void close_linear(fixture *f)
{
    tn_check_limits_deinit(&f->limits);
    tn_free(f->y);
    tn_team_destroy(f->team);
    tn_check_made_deinit(&f->made);
}

/* Index of the first case of linear whose weights are of this format. */
static int32_t case_of(const char *wfmt)
{
    for (int32_t i = 0; i < TN_LINEAR_CASES; i++) {
        fixture f;
        open_linear(&f, i);
        const bool found = strcmp(f.made.c.part[0].wfmt, wfmt) == 0;
        close_linear(&f);
        if (found)
            return i;
    }
    fail_msg("no case of %s", wfmt);
    return 0;
}

static void exact_allows_nothing(void **state)
{
    (void)state;
    fixture f;
    open_linear(&f, 0);

    assert_true(sum_as(&f, "exact") == 0);
    close_linear(&f);
}

/* Both orders of an f32 sum are inside of f32acc, which is no more than a few times the bound. */
static void f32_sums_in_both_orders_are_inside_of_f32acc_and_it_is_not_wide(void **state)
{
    (void)state;
    fixture f;
    open_linear(&f, case_of("f32"));
    const tn_check_case *c = &f.made.c;
    const int32_t in = c->in[0].width, rows = c->part[0].rows.rows;
    const float *limit = limit_as(&f, "f32acc");
    for (int32_t o = 0; o < rows; o++) {
        const float *w = c->part[0].rows.values + (size_t)o * (size_t)in, *x = c->in[0].values;
        float forward = 0, backward = 0;
        double size = 0;
        for (int32_t k = 0; k < in; k++) {
            forward += w[k] * x[k];
            backward += w[in - 1 - k] * x[in - 1 - k];
            size += fabs((double)w[k] * (double)x[k]);
        }
        assert_true(fabsf(forward - f.y[o]) <= limit[o] && fabsf(backward - f.y[o]) <= limit[o]);
        assert_true((double)limit[o] <= 4 * 0x1p-24 * (in + 8) * size);
    }
    close_linear(&f);
}

static void eight_bit_activations_widen_coded_weights_and_bf16_only(void **state)
{
    (void)state;
    const char *const coded[] = { "u4b.g32", "u4z.g64", "q8.g32", "bf16" };
    const char *const kept[] = { "f16", "q6_k" };
    for (int32_t i = 0; i < 4; i++) {
        fixture f;
        open_linear(&f, case_of(coded[i]));
        assert_true(sum_as(&f, "a8") > 10 * sum_as(&f, "f32acc"));
        assert_true(sum_as(&f, "w8") == sum_as(&f, "f32acc"));
        assert_true(sum_as(&f, "w8a8") == sum_as(&f, "a8"));
        close_linear(&f);
    }
    for (int32_t i = 0; i < 2; i++) {
        fixture f;
        open_linear(&f, case_of(kept[i]));
        assert_true(sum_as(&f, "a8") == sum_as(&f, "f32acc"));
        close_linear(&f);
    }
}

static void recoded_weights_widen_formats_that_come_as_values_but_are_not_plain(void **state)
{
    (void)state;
    fixture f;
    open_linear(&f, case_of("q4_k"));
    assert_true(sum_as(&f, "w8") > 10 * sum_as(&f, "f32acc"));
    assert_true(sum_as(&f, "w8a8") > 1.2 * sum_as(&f, "w8"));
    close_linear(&f);
    open_linear(&f, case_of("f16"));
    assert_true(sum_as(&f, "w8a8") == sum_as(&f, "f32acc"));
    close_linear(&f);
}

static void a_weight_is_recoded_within_half_a_step_of_its_group(void **state)
{
    (void)state;
    float values[64] = { [3] = -2.54f, [5] = 0.5f, [40] = 1.27f, [41] = 0.25f };
    tn_check_part part = { .wfmt = "q6_k", .rows = { .rows = 1, .cols = 64, .values = values } };
    const tn_check_class *w8 = tn_check_class_find("w8");

    assert_true(fabs(tn_check_recode_error(w8, &part, 0, 5) - (0.01 + 0.5 * 0x1p-11)) < 1e-6);
    assert_true(fabs(tn_check_recode_error(w8, &part, 0, 41) - (0.005 + 0.25 * 0x1p-11)) < 1e-6);
    assert_true(tn_check_recode_error(tn_check_class_find("a8"), &part, 0, 5) == 0);
    part.wfmt = "f16";
    assert_true(tn_check_recode_error(w8, &part, 0, 5) == 0);
}

/* cpu-simd sums q x and z x apart; where they cancel, units of them stay. */
static void weights_of_zero_still_cost_units_of_their_terms(void **state)
{
    (void)state;
    fixture f;
    open_linear(&f, case_of("u4z.g32"));
    tn_weight_rows *rows = &f.made.part[0].rows;
    uint8_t *codes = (uint8_t *)(uintptr_t)rows->codes; /* the case's own memory */
    float *zero = (float *)(uintptr_t)rows->zero;
    memset(codes, 15, (size_t)rows->rows * (size_t)rows->cols);
    for (int32_t g = 0; g < rows->rows * (rows->cols / rows->group); g++)
        zero[g] = 15;
    memset(f.y, 0, (size_t)f.made.c.out[0].rows * (size_t)f.made.c.out[0].width * sizeof(float));
    const float units = limit_as(&f, "f32acc")[0];

    assert_true(units > 1e-7f && units < 1e-2f);
    assert_true(limit_as(&f, "a8")[0] == units);
    close_linear(&f);
}

/* ---- attention ---- */

enum { DIM = 16, TOKENS = 16 };

/* Limit of the first element; `spread` scales what differs in V, `size` scales q. */
static double attention_limit(const char *class, float size, float spread)
{
    float pool[2 * TOKENS * DIM], q[DIM], y[DIM] = { 0 };
    int32_t pos = 9, q_start[] = { 0, 1 }, kv_len = 10, table = 0;
    const tn_attention a = { .size = sizeof a, .heads = 1, .kv_heads = 1, .head_dim = DIM };
    uint64_t seed = 7;
    for (int32_t i = 0; i < TOKENS * DIM; i++) {
        pool[i] = tn_check_uniform(&seed, -1, 1);
        pool[TOKENS * DIM + i] = 1 + spread * tn_check_uniform(&seed, -1, 1);
    }
    for (int32_t d = 0; d < DIM; d++)
        q[d] = size * tn_check_uniform(&seed, -1, 1);
    const tn_check_batch batch = { .n_tokens = 1,
                                   .n_seqs = 1,
                                   .max_kv = 10,
                                   .table_stride = 1,
                                   .pos = &pos,
                                   .q_start = q_start,
                                   .kv_len = &kv_len,
                                   .table = &table };
    tn_check_case c = { .op = tn_op_find("attention"),
                        .node = { .n_in = 1, .n_out = 1, .out_dtype = { TN_F32 }, .param = &a },
                        .in = { tn_check_dense("q", 1, DIM, 1, q) },
                        .out = { tn_check_dense("a", 1, DIM, 0, NULL) },
                        .batch = &batch };
    c.pool = (tn_check_pool){ .format = "f32",
                              .attention = &a,
                              .n_blocks = 1,
                              .block_tokens = TOKENS,
                              .block_bytes = sizeof pool,
                              .bytes = (const uint8_t *)pool };
    const tn_check_expected e = { .out = { y } };
    tn_check_limits limits;
    tn_error err = { 0 };
    assert_int_equal(tn_check_limits_make(&c, &e, tn_check_class_find(class), NULL, &limits, &err),
                     TN_OK);
    const double limit = (double)limits.out[0][0];
    tn_check_limits_deinit(&limits);
    return limit;
}

static void what_is_alike_in_all_values_cannot_go_wrong_with_the_scores(void **state)
{
    (void)state;

    assert_true(fabs(attention_limit("f32acc", 1, 0) / attention_limit("f32acc", 30, 0) - 1) <
                1e-3);
    assert_true(attention_limit("f32acc", 30, 1) > 3 * attention_limit("f32acc", 1, 0));
    assert_true(attention_limit("f32acc", 1, 0) < 30 * 0x1p-24 * 1.5);
}

static void f16_operands_cost_attention_units_of_f16_and_no_more_than_some(void **state)
{
    (void)state;

    assert_true(attention_limit("f16acc", 1, 1) > 100 * attention_limit("f32acc", 1, 1));
    assert_true(attention_limit("f16acc", 1, 1) < 12 * 0x1p-11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_has_each_class_with_its_units_and_no_other),
        cmocka_unit_test(the_document_has_the_bins_of_the_histogram),
        cmocka_unit_test(the_loader_takes_the_classes_of_the_table_and_no_other),
        cmocka_unit_test(terms_of_a_sum_grow_with_it_first_by_number_then_by_the_root),
        cmocka_unit_test(exact_allows_nothing),
        cmocka_unit_test(f32_sums_in_both_orders_are_inside_of_f32acc_and_it_is_not_wide),
        cmocka_unit_test(eight_bit_activations_widen_coded_weights_and_bf16_only),
        cmocka_unit_test(recoded_weights_widen_formats_that_come_as_values_but_are_not_plain),
        cmocka_unit_test(a_weight_is_recoded_within_half_a_step_of_its_group),
        cmocka_unit_test(weights_of_zero_still_cost_units_of_their_terms),
        cmocka_unit_test(what_is_alike_in_all_values_cannot_go_wrong_with_the_scores),
        cmocka_unit_test(f16_operands_cost_attention_units_of_f16_and_no_more_than_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
