/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows of each broken-NAME that it is wrong in the way that faults.def says, and nowhere beside
 * it: a plugin that is right by accident would make tests of `tenon check` worthless. Each case
 * gets alt-f32 and the broken plugin, opened side by side.
 */
#ifndef TN_TESTS_BROKEN_CASES_H
#define TN_TESTS_BROKEN_CASES_H

#include "tests/support/plugin_harness.h"

typedef struct broken_pair {
    harness sound, broken;
} broken_pair;

/** Both plugins with n_workers threads; closes. fault: ALT_FAULT_*. */
void broken_open(broken_pair *p, int32_t fault, int32_t n_workers);
void broken_close(broken_pair *p);
/** Elements of unlike bits. */
int32_t broken_count(const float *a, const float *b, size_t n);
/** All are close, and at least one has other bits. */
void broken_assert_last_bits(const float *a, const float *b, size_t n);

/* broken_linear.c */
void row_before_the_last(void **state);
void buffer_shared_by_workers(void **state);
void element_past_the_end(void **state);
void columns_beyond_16(void **state);
void every_other_call(void **state);
void zero_points_less_one(void **state);
void scale_of_the_group_before(void **state);
void one_element_in_4096(void **state);
void unpacked_last_value(void **state);
void root_of_the_call_before(void **state);
void input_is_zeroed(void **state);
void order_by_rows(void **state);
void order_by_threads(void **state);
void no_kernel_is_claimed(void **state);
void workspace_was_zero(void **state);
void zeroed_bytes_are_left(void **state);
void sum_over_itself(void **state);
void half_of_the_rows(void **state);
void bias_of_a_row_range(void **state);
void last_of_equals(void **state);
void eps_of_small_rows(void **state);

/* broken_attention.c */
void pairs_of_the_other_kind(void **state);
void block_before_it_was_rewritten(void **state);
void next_position(void **state);
void keys_for_values(void **state);
void pages_after_the_first(void **state);
void tiles_by_chunk(void **state);
void positions_of_the_mirror(void **state);
void slot_of_padding(void **state);
void output_of_padding(void **state);
void scores_that_overflow(void **state);
void positions_before_the_window(void **state);
void kv_heads_in_turn(void **state);

#endif
