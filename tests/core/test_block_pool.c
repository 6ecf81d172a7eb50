/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/kv/block_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void take_gives_each_block_once_then_nothing(void **unused)
{
    (void)unused;
    tn_block_pool pool;
    bool seen[5] = { false };
    assert_int_equal(tn_block_pool_init(&pool, 5, NULL), TN_OK);

    for (int32_t i = 0; i < 5; i++) {
        int32_t block = tn_block_pool_take(&pool);
        assert_in_range(block, 0, 4);
        assert_false(seen[block]);
        seen[block] = true;
    }

    assert_int_equal(tn_block_pool_take(&pool), -1);
    assert_int_equal(tn_block_pool_check(&pool, NULL), TN_OK);
    tn_block_pool_deinit(&pool);
}

static void block_is_free_after_its_last_release(void **unused)
{
    (void)unused;
    tn_block_pool pool;
    assert_int_equal(tn_block_pool_init(&pool, 1, NULL), TN_OK);
    int32_t block = tn_block_pool_take(&pool);
    tn_block_pool_hold(&pool, block);

    assert_int_equal(tn_block_pool_release(&pool, block), 1);
    assert_int_equal(tn_block_pool_take(&pool), -1);
    assert_int_equal(tn_block_pool_release(&pool, block), 0);
    assert_int_equal(tn_block_pool_take(&pool), block);

    tn_block_pool_deinit(&pool);
}

static void check_finds_a_block_that_is_free_twice(void **unused)
{
    (void)unused;
    tn_block_pool pool;
    assert_int_equal(tn_block_pool_init(&pool, 3, NULL), TN_OK);

    pool.free_stack[0] = pool.free_stack[1];

    assert_int_equal(tn_block_pool_check(&pool, NULL), TN_INTERNAL);
    tn_block_pool_deinit(&pool);
}

static void init_refuses_an_empty_pool_and_reports_lack_of_memory(void **unused)
{
    (void)unused;
    tn_block_pool pool;

    assert_int_equal(tn_block_pool_init(&pool, 0, NULL), TN_INVALID);
    for (uint64_t n = 1; n <= 2; n++) {
        tn_alloc_fail_at(n);
        assert_int_equal(tn_block_pool_init(&pool, 4, NULL), TN_NO_MEMORY);
    }

    tn_alloc_fail_at(0);
    tn_block_pool_deinit(&pool);
    tn_block_pool_deinit(NULL);
}

static void table_grows_all_or_nothing(void **unused)
{
    (void)unused;
    tn_block_pool pool;
    tn_prefix_index *index = NULL;
    int32_t memory[8];
    tn_block_table table = { .block = memory, .capacity = 8 };
    assert_int_equal(tn_block_pool_init(&pool, 4, NULL), TN_OK);
    assert_int_equal(tn_prefix_index_create(&pool, 16, &index, NULL), TN_OK);

    assert_true(tn_block_table_grow(&table, index, 3));
    assert_false(tn_block_table_grow(&table, index, 5));
    assert_int_equal(table.n, 3);
    assert_int_equal(pool.n_free, 1);
    assert_false(tn_block_table_grow(&table, index, 9));

    tn_block_table_clear(&table, index);
    assert_int_equal(pool.n_free, 4);
    tn_prefix_index_destroy(index);
    tn_block_pool_deinit(&pool);
}

static void shared_entry_is_copied_before_a_write(void **unused)
{
    (void)unused;
    tn_block_pool pool;
    tn_prefix_index *index = NULL;
    int32_t memory[2][4], src = -1, dst = -1;
    tn_block_table a = { .block = memory[0], .capacity = 4 };
    tn_block_table b = { .block = memory[1], .capacity = 4 };
    assert_int_equal(tn_block_pool_init(&pool, 3, NULL), TN_OK);
    assert_int_equal(tn_prefix_index_create(&pool, 16, &index, NULL), TN_OK);
    assert_true(tn_block_table_grow(&a, index, 2));
    tn_block_table_share(&b, &a, index);
    assert_true(tn_block_table_is_shared(&a, &pool, 1));

    assert_true(tn_block_table_unshare(&b, index, 1, &src, &dst));

    assert_int_equal(src, a.block[1]);
    assert_int_equal(dst, b.block[1]);
    assert_int_not_equal(src, dst);
    assert_false(tn_block_table_is_shared(&a, &pool, 1));
    assert_true(tn_block_table_is_shared(&a, &pool, 0));
    assert_false(tn_block_table_unshare(&b, index, 0, &src, &dst)); /* no block left */
    tn_block_table_clear(&a, index);
    tn_block_table_clear(&b, index);
    assert_int_equal(pool.n_free, 3);
    tn_prefix_index_destroy(index);
    tn_block_pool_deinit(&pool);
}

static void blocks_are_counted_without_overflow(void **unused)
{
    (void)unused;
    assert_int_equal(tn_blocks_for(0, 16), 0);
    assert_int_equal(tn_blocks_for(16, 16), 1);
    assert_int_equal(tn_blocks_for(17, 16), 2);
    assert_int_equal(tn_blocks_for(INT32_MAX, 16), 1 << 27);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_gives_each_block_once_then_nothing),
        cmocka_unit_test(block_is_free_after_its_last_release),
        cmocka_unit_test(check_finds_a_block_that_is_free_twice),
        cmocka_unit_test(init_refuses_an_empty_pool_and_reports_lack_of_memory),
        cmocka_unit_test(table_grows_all_or_nothing),
        cmocka_unit_test(shared_entry_is_copied_before_a_write),
        cmocka_unit_test(blocks_are_counted_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
