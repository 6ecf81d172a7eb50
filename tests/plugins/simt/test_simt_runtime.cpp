// SPDX-License-Identifier: Apache-2.0
// The runtime API on the emulator: lazy streams, events, graphs, memory and limits, and the calls
// that it refuses.
#include "tests/plugins/simt/kernels.h"
#include "tests/plugins/simt/rig.h"

#include <cstdlib>

using namespace simt_test;

static const size_t n_bytes = 64 * sizeof(float);

static void nothing_runs_before_somebody_waits(void **)
{
    device_array<float> x(std::vector<float>(64, 2.0f)), sum(size_t(64));
    std::vector<float> got(64, -1.0f);
    cudaStream_t s;
    assert_int_equal(cudaStreamCreate(&s), cudaSuccess);

    vector_add(x.p, x.p, sum.p, 64, s);
    assert_int_equal(cudaMemcpyAsync(got.data(), sum.p, n_bytes, cudaMemcpyDeviceToHost, s),
                     cudaSuccess);

    assert_true(got[0] == -1.0f);
    assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
    assert_true(got[0] == 4.0f);
    assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
}

static void an_event_orders_two_streams(void **)
{
    device_array<float> x(std::vector<float>(64, 2.0f)), sum(size_t(64));
    std::vector<float> got(64, -1.0f);
    cudaStream_t first, second;
    cudaEvent_t event;
    assert_int_equal(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking), cudaSuccess);
    assert_int_equal(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking), cudaSuccess);
    assert_int_equal(cudaEventCreate(&event), cudaSuccess);

    vector_add(x.p, x.p, sum.p, 64, first);
    assert_int_equal(cudaEventRecord(event, first), cudaSuccess);
    assert_int_equal(cudaEventQuery(event), cudaErrorNotReady);
    assert_int_equal(cudaStreamWaitEvent(second, event, 0), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(got.data(), sum.p, n_bytes, cudaMemcpyDeviceToHost, second),
                     cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(second), cudaSuccess);

    assert_true(got[0] == 4.0f);
    cudaGetLastError();
    cudaEventDestroy(event);
    cudaStreamDestroy(first);
    cudaStreamDestroy(second);
}

static void a_captured_graph_runs_at_each_launch_only(void **)
{
    device_array<float> one(std::vector<float>(64, 1.0f)), x(std::vector<float>(64, 0.0f));
    cudaStream_t s;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    assert_int_equal(cudaStreamCreate(&s), cudaSuccess);

    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
    vector_add(x.p, one.p, x.p, 64, s);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    assert_true(x.read()[0] == 0.0f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);

    assert_true(x.read()[63] == 3.0f);
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(s);
}

static void waiting_or_allocating_spoils_a_capture(void **)
{
    cudaStream_t s;
    cudaGraph_t graph;
    void *p;
    assert_int_equal(cudaStreamCreate(&s), cudaSuccess);

    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
    assert_int_equal(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureUnmatched);
    cudaStreamDestroy(s);
}

static void memory_has_a_quota_and_begins_as_nan(void **)
{
    simt::settings s = default_settings();
    s.max_memory_bytes = 1u << 20;
    tn_simt_set_settings(&s);
    size_t free_bytes, total;
    void *p;
    device_array<float> x(size_t(1000));

    for (float value : x.read())
        assert_true(value != value);
    assert_int_equal(reinterpret_cast<uintptr_t>(x.p) % 256, 0);
    assert_int_equal(cudaMemGetInfo(&free_bytes, &total), cudaSuccess);
    assert_int_equal(total - free_bytes, 4000);
    assert_int_equal(cudaMalloc(&p, free_bytes + 1), cudaErrorMemoryAllocation);
    assert_int_equal(cudaMalloc(&p, SIZE_MAX), cudaErrorMemoryAllocation);
    assert_int_equal(cudaFree(x.p + 1), cudaErrorInvalidValue);
}

static void copies_with_the_wrong_kind_or_size_are_refused(void **)
{
    device_array<float> x(std::vector<float>(64, 1.0f));
    float host[64] = {};

    assert_int_equal(cudaMemcpy(host, x.p, n_bytes, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(x.p, host, n_bytes, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(x.p + 1, host, n_bytes, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaMemset(x.p, 0, n_bytes + 1), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(host, x.p, n_bytes, cudaMemcpyDefault), cudaSuccess);
    assert_true(host[63] == 1.0f);
}

static void limits_are_those_of_the_pretended_device(void **)
{
    const struct {
        simt::device device;
        int major, optin_bytes;
    } cases[] = { { simt::device::a100, 8, 163 * 1024 }, { simt::device::h100, 9, 227 * 1024 } };
    for (const auto &one : cases) {
        simt::settings s = default_settings();
        s.device = one.device;
        tn_simt_set_settings(&s);
        cudaDeviceProp prop;

        assert_int_equal(cudaGetDeviceProperties(&prop, 0), cudaSuccess);
        assert_int_equal(prop.major, one.major);
        assert_int_equal(prop.sharedMemPerBlockOptin, one.optin_bytes);
        cudaFuncAttribute bytes = cudaFuncAttributeMaxDynamicSharedMemorySize;
        assert_int_equal(cudaFuncSetAttribute(&prop, bytes, one.optin_bytes), cudaSuccess);
        assert_int_equal(cudaFuncSetAttribute(&prop, bytes, one.optin_bytes + 1),
                         cudaErrorInvalidValue);
    }
}

/* ctest runs this program with another build of the library too. */
static void the_switch_is_the_one_that_the_build_asks_for(void **)
{
    const char *expected = std::getenv("SIMT_EXPECTED_SWITCH");
    assert_string_equal(tn_simt_switch_kind(), expected ? expected : SIMT_SWITCH);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_runs_before_somebody_waits, reset),
        cmocka_unit_test_setup(an_event_orders_two_streams, reset),
        cmocka_unit_test_setup(a_captured_graph_runs_at_each_launch_only, reset),
        cmocka_unit_test_setup(waiting_or_allocating_spoils_a_capture, reset),
        cmocka_unit_test_setup(memory_has_a_quota_and_begins_as_nan, reset),
        cmocka_unit_test_setup(copies_with_the_wrong_kind_or_size_are_refused, reset),
        cmocka_unit_test_setup(limits_are_those_of_the_pretended_device, reset),
        cmocka_unit_test_setup(the_switch_is_the_one_that_the_build_asks_for, reset),
    };
    return cmocka_run_group_tests_name("simt_runtime", tests, nullptr, nullptr);
}
