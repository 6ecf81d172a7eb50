// SPDX-License-Identifier: Apache-2.0
// Each fault that the emulator claims to find, in a kernel that has it, and what it says.
#include "plugins/common/sanitizer.h"
#include "tests/plugins/simt/kernels.h"
#include "tests/plugins/simt/rig.h"

using namespace simt_test;

struct expected_fault {
    fault which;
    const char *text; /* NULL: none */
};

static void check_fault(const expected_fault &e)
{
    device_array<float> x(numbers(256, 7));

    run_fault(e.which, x.p, 256, nullptr);
    cudaError_t waited = cudaDeviceSynchronize();

    if (!e.text) {
        assert_string_equal(tn_simt_fault(), "");
        assert_int_equal(waited, cudaSuccess);
        return;
    }
    if (!std::strstr(tn_simt_fault(), e.text))
        fail_msg("fault %d gives \"%s\", it should say \"%s\"", static_cast<int>(e.which),
                 tn_simt_fault(), e.text);
    assert_int_equal(waited, cudaErrorLaunchFailure);
    assert_string_equal(cudaGetErrorString(waited), tn_simt_fault());
    reset(nullptr);
}

static void check_faults(std::initializer_list<expected_fault> all)
{
    for (const expected_fault &e : all)
        check_fault(e);
}

static void barriers_that_threads_miss_are_named(void **)
{
    check_faults({ { fault::divergent_barrier, "divergent barrier" },
                   { fault::barrier_in_one_warp, "returned while" },
                   { fault::return_before_barrier, "returned while" },
                   { fault::barrier_meets_shuffle, "deadlock" },
                   { fault::trap, "__trap, block (0,0,0) thread (5,0,0)" } });
}

static void warps_that_diverge_and_wrong_masks_are_named(void **)
{
    check_faults({ { fault::two_shuffle_sites, "divergent warp" },
                   { fault::half_warp_skips_shuffle, "deadlock" },
                   { fault::shuffle_from_outside_mask, "not in the mask" },
                   { fault::caller_outside_mask, "lacks the calling lane" },
                   { fault::mask_of_returned_lane, "that returned" },
                   { fault::half_warps_apart, nullptr } });
}

static void matrix_operations_of_diverged_lanes_are_named(void **)
{
    check_faults({ { fault::two_mma_sites, "this lane is in mma.sync with mask 0xffffffff here, "
                                           "others wait in mma.sync" },
                   { fault::half_warp_skips_mma, "32 thread(s) wait in mma.sync" },
                   { fault::mma_of_returned_lane, "mma.sync: the mask 0xffffffff names lanes "
                                                  "0x00000008 that returned" },
                   { fault::two_ldmatrix_sites, "this lane is in ldmatrix with mask 0xffffffff "
                                                "here, others wait in ldmatrix" },
                   { fault::half_warp_skips_ldmatrix, "32 thread(s) wait in ldmatrix" },
                   { fault::ldmatrix_of_returned_lane, "ldmatrix: the mask 0xffffffff names lanes "
                                                       "0x00000008 that returned" },
                   { fault::mma_meets_ldmatrix, "this lane is in ldmatrix with mask 0xffffffff "
                                                "here, others wait in mma.sync" } });
}

static void accesses_out_of_bounds_or_misaligned_are_named(void **)
{
    check_faults({ { fault::global_load_behind_end, "in no device memory" },
                   { fault::global_load_of_host_memory, "in no device memory" },
                   { fault::shared_load_behind_end, "in no shared array" },
                   { fault::misaligned_load, "misaligned global load" },
                   { fault::copy_misaligned, "misaligned cp.async" },
                   { fault::copy_from_behind_end, "device memory" },
                   { fault::too_much_static_shared, "at most 49152 are allowed" } });
}

/* With ASan these end the process with its own report. */
static void plain_stores_out_of_bounds_are_found_at_the_end(void **)
{
    if (TN_SANITIZER == TN_SANITIZER_ADDRESS) {
        print_message("not run: ASan ends the process first\n");
        return;
    }
    check_faults({ { fault::plain_store_behind_end, "wrote behind the 1024 bytes" },
                   { fault::plain_shared_store_behind_end, "wrote outside shared arrays" } });
}

static void shared_memory_that_holds_nothing_yet_is_named(void **)
{
    check_faults({ { fault::shared_load_unwritten, "that nobody wrote" },
                   { fault::copy_read_too_early, "was not waited for" },
                   { fault::copy_wait_off_by_one, "was not waited for" },
                   { fault::copy_not_waited_for, "2 cp.async that it did not wait for" },
                   { fault::copy_waited_for, nullptr } });
}

static void nothing_runs_after_a_fault_until_it_is_cleared(void **)
{
    device_array<float> x(std::vector<float>(256, 1.0f)), sum(std::vector<float>(256, 5.0f));
    run_fault(fault::trap, x.p, 256, nullptr);
    assert_int_equal(cudaDeviceSynchronize(), cudaErrorLaunchFailure);

    vector_add(x.p, x.p, sum.p, 256, nullptr);

    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    reset(nullptr);
    assert_true(sum.read()[0] == 5.0f);
}

/* The wrong result depends on who runs first: each schedule shows it, at other elements. */
static void a_missing_barrier_gives_nan_under_every_schedule(void **)
{
    for (int schedule = 0; schedule < 3; schedule++) {
        simt::settings s = default_settings();
        s.schedule = static_cast<simt::schedule>(schedule);
        tn_simt_set_settings(&s);
        device_array<float> y(size_t(64));

        missing_barrier(y.p, nullptr);

        int n_nan = 0;
        for (float value : y.read())
            n_nan += value != value;
        assert_true(n_nan > 0);
    }
}

static int n_wrong_after_prefetch(bool with_barrier)
{
    int n_wrong = 0;
    std::vector<float> x = numbers(256, 8);
    under_every_setting([&] {
        device_array<float> dx(x), y(size_t(128));
        early_prefetch(dx.p, y.p, with_barrier, nullptr);
        n_wrong += std::memcmp(y.read().data(), x.data(), 128 * sizeof(float)) != 0;
    });
    return n_wrong;
}

static void a_copy_into_memory_that_is_still_read_gives_wrong_results(void **)
{
    assert_int_equal(n_wrong_after_prefetch(true), 0);
    assert_true(n_wrong_after_prefetch(false) > 0);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(barriers_that_threads_miss_are_named, reset),
        cmocka_unit_test_setup(warps_that_diverge_and_wrong_masks_are_named, reset),
        cmocka_unit_test_setup(matrix_operations_of_diverged_lanes_are_named, reset),
        cmocka_unit_test_setup(accesses_out_of_bounds_or_misaligned_are_named, reset),
        cmocka_unit_test_setup(plain_stores_out_of_bounds_are_found_at_the_end, reset),
        cmocka_unit_test_setup(shared_memory_that_holds_nothing_yet_is_named, reset),
        cmocka_unit_test_setup(nothing_runs_after_a_fault_until_it_is_cleared, reset),
        cmocka_unit_test_setup(a_missing_barrier_gives_nan_under_every_schedule, reset),
        cmocka_unit_test_setup(a_copy_into_memory_that_is_still_read_gives_wrong_results, reset),
    };
    return cmocka_run_group_tests_name("simt_faults", tests, nullptr, nullptr);
}
