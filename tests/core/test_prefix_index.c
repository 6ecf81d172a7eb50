/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/kv/prefix_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { T = 2 };

typedef struct fixture {
    tn_block_pool pool;
    tn_prefix_index *index;
} fixture;

static const int32_t first[T] = { 1, 2 }, second[T] = { 3, 4 }, other[T] = { 3, 5 };

static void start(fixture *f, int32_t n_blocks)
{
    assert_int_equal(tn_block_pool_init(&f->pool, n_blocks, NULL), TN_OK);
    assert_int_equal(tn_prefix_index_create(&f->pool, T, &f->index, NULL), TN_OK);
}

static void stop(fixture *f)
{
    assert_int_equal(tn_block_pool_check(&f->pool, NULL), TN_OK);
    assert_int_equal(tn_prefix_index_check(f->index, NULL), TN_OK);
    tn_prefix_index_destroy(f->index);
    tn_block_pool_deinit(&f->pool);
}

static int32_t publish_new(fixture *f, int32_t parent, uint64_t seed, const int32_t *tokens)
{
    int32_t block = tn_prefix_index_take(f->index);
    assert_true(block >= 0);
    return tn_prefix_index_publish(f->index, parent, seed, tokens, block);
}

static void find_needs_the_same_seed_parent_and_tokens(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 8);
    int32_t a = publish_new(&f, -1, 7, first), b = publish_new(&f, a, 7, second);

    assert_int_equal(tn_prefix_index_find(f.index, -1, 7, first), a);
    assert_int_equal(tn_prefix_index_find(f.index, a, 7, second), b);
    assert_int_equal(tn_prefix_index_find(f.index, -1, 8, first), -1);
    assert_int_equal(tn_prefix_index_find(f.index, -1, 7, second), -1);
    assert_int_equal(tn_prefix_index_find(f.index, a, 7, other), -1);
    assert_int_equal(tn_prefix_index_find(f.index, b, 7, second), -1);
    stop(&f);
}

/* With one block there is one bucket, so every two keys collide. */
static void colliding_keys_are_told_apart_by_their_tokens(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 1);
    (void)publish_new(&f, -1, 7, first);

    assert_int_equal(tn_prefix_index_find(f.index, -1, 7, second), -1);
    assert_int_equal(tn_prefix_index_find(f.index, -1, 8, first), -1);
    stop(&f);
}

static void publish_moves_the_holder_to_the_block_that_is_there(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 4);
    int32_t a = publish_new(&f, -1, 7, first);

    int32_t b = publish_new(&f, -1, 7, first);

    assert_int_equal(a, b);
    assert_int_equal(f.pool.refs[a], 3); /* two holders and the index */
    assert_int_equal(f.pool.n_free, 3);
    stop(&f);
}

static void idle_nodes_are_evicted_oldest_release_first(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 3);
    int32_t a = publish_new(&f, -1, 1, first), b = publish_new(&f, -1, 2, first);
    int32_t c = publish_new(&f, -1, 3, first);
    tn_prefix_index_release(f.index, b);
    tn_prefix_index_release(f.index, c);
    tn_prefix_index_release(f.index, a);
    tn_prefix_index_hold(f.index, b); /* used again: now the most recent */
    tn_prefix_index_release(f.index, b);
    assert_int_equal(tn_prefix_index_available(f.index), 3);

    assert_int_equal(tn_prefix_index_take(f.index), c);
    assert_int_equal(tn_prefix_index_take(f.index), a);

    assert_int_equal(tn_prefix_index_find(f.index, -1, 3, first), -1);
    assert_int_equal(tn_prefix_index_find(f.index, -1, 2, first), b);
    stop(&f);
}

static void held_nodes_are_never_evicted(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 2);
    int32_t a = publish_new(&f, -1, 1, first), b = publish_new(&f, a, 1, second);

    assert_int_equal(tn_prefix_index_take(f.index), -1);
    tn_prefix_index_release(f.index, b);
    assert_int_equal(tn_prefix_index_take(f.index), b);

    assert_int_equal(tn_prefix_index_find(f.index, -1, 1, first), a);
    stop(&f);
}

static void children_go_before_their_parents(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 3);
    int32_t a = publish_new(&f, -1, 1, first), b = publish_new(&f, a, 1, second);
    tn_prefix_index_hold(f.index, a);
    int32_t c = publish_new(&f, a, 1, other);
    tn_prefix_index_release(f.index, b);
    tn_prefix_index_release(f.index, a);
    tn_prefix_index_release(f.index, c);
    tn_prefix_index_release(f.index, a);

    assert_int_equal(tn_prefix_index_take(f.index), b);
    assert_int_equal(tn_prefix_index_take(f.index), c);
    assert_int_equal(tn_prefix_index_check(f.index, NULL), TN_OK);
    assert_int_equal(tn_prefix_index_take(f.index), a);
    stop(&f);
}

static void clear_frees_every_idle_node(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 4);
    int32_t a = publish_new(&f, -1, 1, first), b = publish_new(&f, -1, 2, first);
    tn_prefix_index_release(f.index, b);

    tn_prefix_index_clear(f.index);

    assert_int_equal(f.pool.n_free, 3);
    assert_true(tn_prefix_index_has(f.index, a));
    assert_false(tn_prefix_index_has(f.index, b));
    stop(&f);
}

static void check_finds_a_parent_that_went_first(void **unused)
{
    (void)unused;
    fixture f;
    start(&f, 2);
    int32_t a = publish_new(&f, -1, 1, first), b = publish_new(&f, a, 1, second);

    tn_prefix_index_release(f.index, a); /* against the rule: deepest first */

    assert_int_equal(tn_prefix_index_check(f.index, NULL), TN_INTERNAL);
    tn_prefix_index_release(f.index, b);
    tn_prefix_index_destroy(f.index);
    tn_block_pool_deinit(&f.pool);
}

static void create_reports_lack_of_memory_at_each_allocation(void **unused)
{
    (void)unused;
    tn_block_pool pool;
    tn_prefix_index *index = NULL;
    assert_int_equal(tn_block_pool_init(&pool, 4, NULL), TN_OK);
    uint64_t before = tn_alloc_count();
    assert_int_equal(tn_prefix_index_create(&pool, T, &index, NULL), TN_OK);
    uint64_t n_allocations = tn_alloc_count() - before;
    tn_prefix_index_destroy(index);

    for (uint64_t n = 1; n <= n_allocations; n++) {
        tn_alloc_fail_at(n);
        assert_int_equal(tn_prefix_index_create(&pool, T, &index, NULL), TN_NO_MEMORY);
        assert_null(index);
    }

    tn_alloc_fail_at(0);
    assert_int_equal(tn_prefix_index_create(&pool, 0, &index, NULL), TN_INVALID);
    tn_block_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_needs_the_same_seed_parent_and_tokens),
        cmocka_unit_test(colliding_keys_are_told_apart_by_their_tokens),
        cmocka_unit_test(publish_moves_the_holder_to_the_block_that_is_there),
        cmocka_unit_test(idle_nodes_are_evicted_oldest_release_first),
        cmocka_unit_test(held_nodes_are_never_evicted),
        cmocka_unit_test(children_go_before_their_parents),
        cmocka_unit_test(clear_frees_every_idle_node),
        cmocka_unit_test(check_finds_a_parent_that_went_first),
        cmocka_unit_test(create_reports_lack_of_memory_at_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
