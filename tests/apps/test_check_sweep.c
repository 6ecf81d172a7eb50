/* SPDX-License-Identifier: Apache-2.0 */
/* The made-up cases: there are some of every op and format, and each is one that a host may give.
 */
#include "apps/check/sweep.h"
#include "core/base/alloc.h"
#include "model/formats/weight_format.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void for_every_case(uint64_t seed, int32_t act, void (*check)(const tn_check_made *m))
{
    for (const tn_check_sweep *w = tn_check_sweep_table(); w->op; w++)
        for (int32_t i = 0; i < w->n_cases; i++) {
            tn_check_made m;
            tn_error err = { 0 };
            assert_int_equal(tn_check_sweep_make(w, i, seed, TN_F32, act, &m, &err), TN_OK);
            check(&m);
            tn_check_made_deinit(&m);
        }
}

static void every_op_of_the_catalogue_has_a_sweep_and_the_other_way_round(void **state)
{
    (void)state;
    uint64_t n = 0;
    for (const tn_op_info *op = tn_op_table(); op->name; op++, n++) {
        const tn_check_sweep *w = tn_check_sweep_table();
        while (w->op && strcmp(w->op, op->name) != 0)
            w++;
        assert_non_null(w->op);
        assert_true(w->n_cases > 0);
    }
    assert_int_equal(tn_check_sweep_count(), n);
}

/* ---- formats ---- */

static bool is_met(const char *op, const char *wfmt)
{
    for (const tn_check_sweep *w = tn_check_sweep_table(); w->op; w++)
        for (int32_t i = 0; strcmp(w->op, op) == 0 && i < w->n_cases; i++) {
            tn_check_made m;
            tn_error err = { 0 };
            assert_int_equal(tn_check_sweep_make(w, i, 1, TN_F32, TN_F32, &m, &err), TN_OK);
            const bool met = strcmp(m.format, wfmt) == 0;
            tn_check_made_deinit(&m);
            if (met)
                return true;
        }
    return false;
}

static void every_weight_format_that_files_hold_is_met_by_linear_and_embed(void **state)
{
    (void)state;
    int32_t n = 0;
    for (uint32_t type = 0; type < 64; type++) {
        const tn_weight_format *f = tn_weight_format_of_type(type);
        if (!f || !f->decode)
            continue;
        if (!is_met("linear", f->wfmt) || !is_met("embed", f->wfmt) ||
            !is_met("norm_linear_glu", f->wfmt))
            fail_msg("no case has weights of %s", f->wfmt);
        n++;
    }
    assert_true(n >= 15);
}

static void every_kv_format_is_met_by_what_writes_and_reads_it(void **state)
{
    (void)state;
    const char *const ops[] = { "kv_write", "rope_kv_write", "attention" };
    const char *const formats[] = { "f32", "f16", "i8", "i8-static" };
    for (int32_t o = 0; o < 3; o++)
        for (int32_t f = 0; f < 4; f++)
            assert_true(is_met(ops[o], formats[f]));
}

/* ---- what a host may give ---- */

static void check_values(const tn_check_made *m)
{
    for (int32_t i = 0; i < m->c.node.n_in; i++) {
        const tn_check_tensor *t = &m->c.in[i];
        assert_true(t->values && t->rows >= 1 && t->width >= 1);
        assert_true(t->offset + t->width <= t->base_width);
        for (int32_t k = 0; k < t->rows * t->width; k++)
            assert_true(isfinite(t->values[k]) || strcmp(m->c.op->name, "argmax") == 0);
    }
    assert_true(*m->c.name && m->c.node.n_out == m->c.op->n_out);
    assert_true(m->c.node.n_in >= m->c.op->min_in && m->c.node.n_in <= m->c.op->max_in);
    for (int32_t p = 0; p < m->c.n_parts; p++) {
        const tn_weight_rows *w = &m->part[p].rows;
        assert_true(!m->part[p].wfmt || w->values || (w->codes && w->scale));
        for (int32_t k = 0; w->values && k < w->rows * w->cols; k++)
            assert_true(isfinite(w->values[k]) && fabsf(w->values[k]) < 100);
    }
}

static void values_are_finite_and_edges_as_the_catalogue_wants_them(void **state)
{
    (void)state;
    for_every_case(1, TN_F32, check_values);
    for_every_case(2, TN_F16, check_values);
    for_every_case(3, TN_BF16, check_values);
}

static void check_f16(const tn_check_made *m)
{
    for (int32_t i = 0; i < m->c.node.n_in; i++) {
        const tn_check_tensor *t = &m->c.in[i];
        for (int32_t k = 0; m->c.node.in_dtype[i] == TN_F16 && k < t->rows * t->width; k++) {
            float rounded = t->values[k];
            tn_check_round_values(&rounded, 1, TN_F16);
            assert_true(rounded == t->values[k]);
        }
    }
}

static void inputs_of_f16_edges_are_f16_values(void **state)
{
    (void)state;
    for_every_case(1, TN_F16, check_f16);
}

static void check_sequence(const tn_check_made *m, const tn_check_batch *b, int32_t s)
{
    const int32_t block = m->c.pool.block_tokens, *table = b->table + s * b->table_stride;
    for (int32_t i = 0; i < tn_check_blocks(b->kv_len[s], block); i++)
        assert_true(table[i] >= 0 && table[i] < m->c.pool.n_blocks);
    for (int32_t t = b->q_start[s]; t < b->q_start[s + 1]; t++) {
        const int32_t pos = b->pos[t];
        if (b->kv_len[s] == 0) {
            assert_int_equal(b->slot[t], -1);
            continue;
        }
        assert_true(pos < b->kv_len[s]);
        if (b->slot[t] >= 0)
            assert_int_equal(b->slot[t], table[pos / block] * block + pos % block);
    }
}

static void check_batch(const tn_check_made *m)
{
    const tn_check_batch *b = &m->batch;
    if (!m->c.pool.format)
        return;
    assert_int_equal(b->q_start[b->n_seqs], b->n_tokens);
    assert_true(m->c.pool.n_blocks > tn_check_blocks(b->max_kv, m->c.pool.block_tokens));
    for (int32_t s = 0; s < b->n_seqs; s++)
        check_sequence(m, b, s);
    for (int32_t t = 0; t < b->n_tokens; t++) /* nobody writes what another writes */
        for (int32_t u = 0; u < t; u++)
            assert_true(b->slot[t] < 0 || b->slot[t] != b->slot[u]);
}

static void batches_keep_the_rules_of_block_tables(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        for_every_case(seed, TN_F32, check_batch);
}

/* ---- seeds ---- */

static float *all_inputs(uint64_t seed, size_t *n)
{
    tn_check_made m;
    tn_error err = { 0 };
    const tn_check_sweep *linear = tn_check_sweep_table() + 2;
    assert_string_equal(linear->op, "linear");
    assert_int_equal(tn_check_sweep_make(linear, 4, seed, TN_F32, TN_F32, &m, &err), TN_OK);
    *n = (size_t)m.c.in[0].rows * (size_t)m.c.in[0].width;
    float *copy = tn_alloc_array(*n, sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, m.c.in[0].values, *n * sizeof *copy);
    tn_check_made_deinit(&m);
    return copy;
}

static void a_seed_gives_the_same_case_and_another_seed_another(void **state)
{
    (void)state;
    size_t n;
    float *one = all_inputs(1, &n), *again = all_inputs(1, &n), *two = all_inputs(2, &n);

    assert_memory_equal(one, again, n * sizeof *one);
    assert_int_not_equal(memcmp(one, two, n * sizeof *one), 0);
    tn_free(one);
    tn_free(again);
    tn_free(two);
}

static void every_allocation_of_a_case_may_fail(void **state)
{
    (void)state;
    const int64_t live = tn_alloc_live();
    for (const tn_check_sweep *w = tn_check_sweep_table(); w->op; w++) {
        tn_status status = TN_NO_MEMORY;
        for (uint64_t n = 1; status; n++) {
            tn_check_made m;
            tn_error err = { 0 };
            assert_true(n < 100);
            tn_alloc_fail_at(n);
            status = tn_check_sweep_make(w, 3, 1, TN_F32, TN_F32, &m, &err);
            tn_alloc_fail_at(0);
            assert_true(status == TN_OK || status == TN_NO_MEMORY);
            tn_check_made_deinit(&m);
            assert_int_equal(tn_alloc_live(), live);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_of_the_catalogue_has_a_sweep_and_the_other_way_round),
        cmocka_unit_test(every_weight_format_that_files_hold_is_met_by_linear_and_embed),
        cmocka_unit_test(every_kv_format_is_met_by_what_writes_and_reads_it),
        cmocka_unit_test(values_are_finite_and_edges_as_the_catalogue_wants_them),
        cmocka_unit_test(inputs_of_f16_edges_are_f16_values),
        cmocka_unit_test(batches_keep_the_rules_of_block_tables),
        cmocka_unit_test(a_seed_gives_the_same_case_and_another_seed_another),
        cmocka_unit_test(every_allocation_of_a_case_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
