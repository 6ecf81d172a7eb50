/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/plugins/alt/alt.h"
#include "tests/plugins/broken_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

#define ALT_FAULT(id, name, ops, finding) name,
static const char *const names[ALT_N_FAULTS] = {
    "",
#include "tests/plugins/alt/faults.def"
};
#undef ALT_FAULT

static const struct {
    const char *what;
    CMUnitTestFunction show;
} cases[ALT_N_FAULTS] = {
    [ALT_FAULT_ROW] = { "off_by_one_row_repeats_the_row_before_the_last", row_before_the_last },
    [ALT_FAULT_PAIRING] = { "rope_pairing_turns_pairs_of_the_other_kind", pairs_of_the_other_kind },
    [ALT_FAULT_STALE_BLOCK] = { "stale_block_is_read_as_it_was_before_it_was_rewritten",
                                block_before_it_was_rewritten },
    [ALT_FAULT_RACE] = { "race_is_wrong_with_two_workers_and_right_with_one",
                         buffer_shared_by_workers },
    [ALT_FAULT_PAST_END] = { "past_end_writes_one_element_more", element_past_the_end },
    [ALT_FAULT_TAIL] = { "lost_tail_is_right_for_multiples_of_16", columns_beyond_16 },
    [ALT_FAULT_UNSTEADY] = { "non_deterministic_changes_the_last_bits_every_other_call",
                             every_other_call },
    [ALT_FAULT_ZERO] = { "zero_point_is_one_less_in_u4z_only", zero_points_less_one },
    [ALT_FAULT_NEIGHBOUR] = { "neighbour_scale_needs_eight_groups_and_unpacks_well",
                              scale_of_the_group_before },
    [ALT_FAULT_ONE_IN_4096] = { "one_in_4096_spoils_few_elements", one_element_in_4096 },
    [ALT_FAULT_MASK] = { "mask_off_by_one_spares_the_last_token", next_position },
    [ALT_FAULT_V_FROM_K] = { "v_from_k_gives_sums_of_keys", keys_for_values },
    [ALT_FAULT_FIRST_PAGE] = { "first_page_only_is_right_on_the_first_page",
                               pages_after_the_first },
    [ALT_FAULT_UNPACK] = { "unpack_lies_and_runs_well", unpacked_last_value },
    [ALT_FAULT_STATE] = { "state_kept_spoils_the_first_row_of_the_second_call",
                          root_of_the_call_before },
    [ALT_FAULT_INPUT] = { "input_modified_gives_right_results", input_is_zeroed },
    [ALT_FAULT_BATCH] = { "batch_dependent_has_other_bits_with_many_rows", order_by_rows },
    [ALT_FAULT_CHUNK] = { "chunk_dependent_has_other_bits_with_another_chunk", tiles_by_chunk },
    [ALT_FAULT_THREADS] = { "thread_dependent_has_other_bits_with_two_workers", order_by_threads },
    [ALT_FAULT_NOTHING] = { "claims_nothing_refuses_every_node", no_kernel_is_claimed },
    [ALT_FAULT_CAPTURE] = { "capture_unsafe_reads_the_hosts_mirror", positions_of_the_mirror },
    [ALT_FAULT_WORKSPACE] = { "workspace_not_zero_needs_a_zeroed_workspace", workspace_was_zero },
    [ALT_FAULT_ZEROED] = { "zeroed_not_left_zero_gives_right_results", zeroed_bytes_are_left },
    [ALT_FAULT_ALIAS] = { "in_place_is_right_when_nothing_aliases", sum_over_itself },
    [ALT_FAULT_PADDING_SLOT] = { "padding_slot_overwrites_slot_0", slot_of_padding },
    [ALT_FAULT_PADDING_OUTPUT] = { "padding_output_stays_as_it_was", output_of_padding },
    [ALT_FAULT_PROMISE] = { "promise_fails_above_half_of_the_rows", half_of_the_rows },
    [ALT_FAULT_SPLIT] = { "pack_split_is_right_for_a_whole_part", bias_of_a_row_range },
    [ALT_FAULT_TIE] = { "argmax_tie_takes_the_last_of_equals", last_of_equals },
    [ALT_FAULT_OVERFLOW] = { "softmax_overflow_is_right_for_small_scores", scores_that_overflow },
    [ALT_FAULT_WINDOW] = { "window_ignored_is_right_without_a_window",
                           positions_before_the_window },
    [ALT_FAULT_GQA] = { "kv_head_is_wrong_for_the_heads_between", kv_heads_in_turn },
    [ALT_FAULT_EPS] = { "eps_outside_is_right_for_large_rows", eps_of_small_rows },
};

void broken_open(broken_pair *p, int32_t fault, int32_t n_workers)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/broken-%s.so", PLUGIN_DIR, names[fault]);
    harness_open_file(&p->sound, n_workers, PLUGIN_DIR "/alt-f32.so");
    harness_open_file(&p->broken, n_workers, path);
}

void broken_close(broken_pair *p)
{
    harness_close(&p->sound);
    harness_close(&p->broken);
}

int32_t broken_count(const float *a, const float *b, size_t n)
{
    int32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += memcmp(&a[i], &b[i], sizeof *a) != 0;
    return count;
}

void broken_assert_last_bits(const float *a, const float *b, size_t n)
{
    assert_true(broken_count(a, b, n) > 0);
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-4f + 1e-4f * fabsf(b[i])))
            fail_msg("element %zu: %.9g and %.9g", i, (double)a[i], (double)b[i]);
}

static void every_fault_has_a_case(void **state)
{
    (void)state;
    for (int32_t fault = 1; fault < ALT_N_FAULTS; fault++)
        if (!cases[fault].show)
            fail_msg("broken-%s has no case", names[fault]);
}

int main(void)
{
    struct CMUnitTest tests[ALT_N_FAULTS] = { cmocka_unit_test(every_fault_has_a_case) };
    for (int32_t fault = 1; fault < ALT_N_FAULTS; fault++)
        tests[fault] =
            (struct CMUnitTest){ .name = cases[fault].what, .test_func = cases[fault].show };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
