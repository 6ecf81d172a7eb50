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

/* ---- the cases that break kernels ---- */

typedef struct found {
    bool one_token, fills_block, one_past_block, permuted, free_is_nan, shares_prefix, mixed,
        padding;
    bool window, masked_tiles, huge, denormal, softcap, logn;
    uint32_t ratios; /* bit n: n query heads a kv head */
} found;

enum { TILE = 128 }; /* keys that hardly a kernel takes more of at once */

static void look_at_sequence(const tn_check_made *m, int32_t s, found *f)
{
    const tn_check_batch *b = &m->batch;
    const tn_attention *a = m->c.node.param;
    const int32_t n = b->q_start[s + 1] - b->q_start[s], kv = b->kv_len[s];
    const int32_t block = m->c.pool.block_tokens, *table = b->table + s * b->table_stride;
    f->padding |= kv == 0;
    f->fills_block |= kv > 0 && kv % block == 0;
    f->one_past_block |= kv > 1 && kv % block == 1;
    f->mixed |= b->n_decode > 0 && n > 1 && kv > 0;
    f->window |= a->window > 0 && a->window < kv;
    f->masked_tiles |= a->window > 0 && kv - n - a->window >= TILE;
    for (int32_t i = 1; i < tn_check_blocks(kv, block); i++)
        f->permuted |= table[i] < table[i - 1];
    for (int32_t t = 0; t < s; t++)
        f->shares_prefix |= kv > 0 && b->kv_len[t] > 0 && table[0] == b->table[t * b->table_stride];
}

/* A block in no table: NaN, where the format has floats. */
static bool free_block_is_nan(const tn_check_made *m)
{
    const tn_check_batch *b = &m->batch;
    bool used[512] = { false };
    assert_in_range(m->c.pool.n_blocks, 1, 512);
    for (int32_t i = 0; i < b->n_seqs * b->table_stride; i++)
        if (b->table[i] >= 0)
            used[b->table[i]] = true;
    for (int32_t i = 0; i < m->c.pool.n_blocks; i++)
        for (uint64_t k = 0; k < m->c.pool.block_bytes && !used[i]; k++)
            if (m->c.pool.bytes[(uint64_t)i * m->c.pool.block_bytes + k] != 0xff)
                return false;
    return true;
}

static void look_at_values(const tn_check_tensor *t, found *f)
{
    for (size_t i = 0; i < (size_t)t->rows * (size_t)t->width; i++) {
        f->huge |= fabsf(t->values[i]) > 150;
        f->denormal |= t->values[i] != 0 && fabsf(t->values[i]) < 0x1p-126f;
    }
}

static void attention_meets_what_breaks_it(void **state)
{
    const tn_check_sweep *w = tn_check_sweep_table();
    found f = { .free_is_nan = true };
    (void)state;
    while (strcmp(w->op, "attention") != 0)
        w++;
    for (int32_t i = 0; i < w->n_cases; i++) {
        tn_check_made m;
        tn_error err = { 0 };
        assert_int_equal(tn_check_sweep_make(w, i, 1, TN_F32, TN_F32, &m, &err), TN_OK);
        const tn_attention *a = m.c.node.param;
        f.one_token |= m.batch.n_tokens == 1;
        f.softcap |= a->softcap > 0;
        f.logn |= a->logn_length > 0;
        f.ratios |= 1u << (a->heads / a->kv_heads);
        f.free_is_nan &= free_block_is_nan(&m);
        for (int32_t s = 0; s < m.batch.n_seqs; s++)
            look_at_sequence(&m, s, &f);
        look_at_values(&m.c.in[0], &f);
        tn_check_made_deinit(&m);
    }
    assert_true(f.one_token && f.fills_block && f.one_past_block && f.permuted && f.free_is_nan);
    assert_true(f.shares_prefix && f.mixed && f.padding && f.window && f.masked_tiles);
    assert_true(f.huge && f.denormal && f.softcap && f.logn);
    for (int32_t ratio = 1; ratio <= 8; ratio++)
        assert_true(f.ratios & 1u << ratio);
    assert_true(f.ratios & 1u << 16);
}

/* Of one group: 0 when its weights differ in sign, 1 when they do not, 2 when they are all equal.
 */
static int32_t kind_of(const float *w, int32_t n)
{
    bool equal = true, positive = true, negative = true;
    for (int32_t i = 0; i < n; i++) {
        equal &= w[i] == w[0];
        positive &= w[i] >= 0;
        negative &= w[i] <= 0;
    }
    return equal ? 2 : positive || negative ? 1 : 0;
}

static void groups_of_one_value_and_of_one_sign_are_met_in_every_coded_format(void **state)
{
    static const char *const formats[] = { "u4z", "u4b", "q8" };
    const tn_check_sweep *w = tn_check_sweep_table();
    bool met[3][3] = { { false } };
    (void)state;
    while (strcmp(w->op, "linear") != 0)
        w++;
    for (int32_t i = 0; i < w->n_cases; i++) {
        tn_check_made m;
        tn_error err = { 0 };
        assert_int_equal(tn_check_sweep_make(w, i, 1, TN_F32, TN_F32, &m, &err), TN_OK);
        const tn_weight_rows *rows = &m.part[0].rows;
        int32_t f = 0, kind = 2;
        while (f < 3 && strncmp(m.part[0].wfmt, formats[f], strlen(formats[f])) != 0)
            f++;
        float *values = tn_alloc_array((size_t)rows->rows * (size_t)rows->cols, sizeof *values);
        assert_non_null(values);
        if (f < 3 && !rows->values) {
            assert_int_equal(tn_weight_rows_values(m.part[0].wfmt, rows, values, &err), TN_OK);
            for (int32_t g = 0; g < rows->rows * rows->cols; g += rows->group) {
                const int32_t k = kind_of(values + g, rows->group);
                kind = k < kind ? k : kind;
            }
            met[f][kind] = true; /* what holds for every group */
        }
        tn_free(values);
        tn_check_made_deinit(&m);
    }
    for (int32_t f = 0; f < 3; f++)
        for (int32_t kind = 0; kind < 3; kind++)
            if (!met[f][kind])
                fail_msg("no case of %s has groups of kind %d", formats[f], (int)kind);
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
        cmocka_unit_test(attention_meets_what_breaks_it),
        cmocka_unit_test(groups_of_one_value_and_of_one_sign_are_met_in_every_coded_format),
        cmocka_unit_test(a_seed_gives_the_same_case_and_another_seed_another),
        cmocka_unit_test(every_allocation_of_a_case_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
