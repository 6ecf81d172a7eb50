// SPDX-License-Identifier: Apache-2.0
// cuBLAS on the emulator against plain loops, and what it refuses.
#include "plugins/common/half.h"
#define TN_CUDA_SIM 1
#include "plugins/cuda/simt/cublas.h"
#include "tests/plugins/simt/rig.h"

using namespace simt_test;

static const float one = 1.0f, zero = 0.0f;

/* Opened by name, as plugins do. */
static const tn_cublas &cublas()
{
    static tn_cublas calls;
    static bool is_open = false;
    tn_error err = {};
    if (!is_open && tn_cublas_open(&calls, &err))
        fail_msg("%s", err.text);
    is_open = true;
    return calls;
}

struct handle {
    cublasHandle_t h = nullptr;
    handle()
    {
        assert_int_equal(cublas().cublasCreate_v2(&h), CUBLAS_STATUS_SUCCESS);
    }
    ~handle()
    {
        assert_int_equal(cublas().cublasDestroy_v2(h), CUBLAS_STATUS_SUCCESS);
    }
};

static std::vector<uint16_t> narrow(const std::vector<float> &x, cudaDataType type)
{
    std::vector<uint16_t> h(x.size());
    for (size_t i = 0; i < x.size(); i++)
        h[i] = type == CUDA_R_16F ? tn_half_f32_to_f16(x[i]) : tn_half_f32_to_bf16(x[i]);
    return h;
}

/* op(a) is m by k and op(b) k by n, column-major with a spare row each; inputs are multiples of
 * 1/64, so sums are exact. */
static void products_equal_loops_for_every_transposition_and_type(void **)
{
    handle h;
    const int m = 5, n = 7, k = 11;
    for (cudaDataType type : { CUDA_R_16F, CUDA_R_16BF })
        for (int transposed = 0; transposed < 4; transposed++) {
            const bool ta = transposed & 1, tb = transposed & 2;
            const int lda = (ta ? k : m) + 1, ldb = (tb ? n : k) + 1, ldc = m + 1;
            std::vector<float> a = numbers(static_cast<size_t>(lda * (ta ? m : k)), 1);
            std::vector<float> b = numbers(static_cast<size_t>(ldb * (tb ? k : n)), 2);
            std::vector<float> c = numbers(static_cast<size_t>(ldc * n), 3), expected = c;
            const float alpha = 0.5f, beta = 2.0f;
            device_array<uint16_t> da(narrow(a, type)), db(narrow(b, type));
            device_array<float> dc(c);

            assert_int_equal(cublas().cublasGemmEx(h.h, ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                                                   tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &alpha,
                                                   da.p, type, lda, db.p, type, ldb, &beta, dc.p,
                                                   CUDA_R_32F, ldc, CUBLAS_COMPUTE_32F,
                                                   CUBLAS_GEMM_DEFAULT),
                             CUBLAS_STATUS_SUCCESS);
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++) {
                    float sum = 0.0f;
                    for (int l = 0; l < k; l++)
                        sum += a[static_cast<size_t>(ta ? i * lda + l : l * lda + i)] *
                               b[static_cast<size_t>(tb ? l * ldb + j : j * ldb + l)];
                    float &e = expected[static_cast<size_t>(j * ldc + i)];
                    e = alpha * sum + beta * e;
                }
            assert_true(dc.read() == expected); /* spare rows too */
        }
}

static cublasStatus_t gemm(cublasHandle_t h, const void *a, const void *b, void *c, int n,
                           cudaDataType type, cudaDataType c_type)
{
    return cublas().cublasGemmEx(h, CUBLAS_OP_T, CUBLAS_OP_N, n, n, n, &one, a, type, n, b, type, n,
                                 &zero, c, c_type, n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

static void without_beta_the_result_is_not_read(void **)
{
    handle h;
    device_array<uint16_t> x(narrow(std::vector<float>(256, 0.25f), CUDA_R_16F)), c(size_t(256));

    assert_int_equal(gemm(h.h, x.p, x.p, c.p, 16, CUDA_R_16F, CUDA_R_16F), CUBLAS_STATUS_SUCCESS);
    for (uint16_t value : c.read()) /* c began as NaN */
        assert_true(tn_half_f16_to_f32(value) == 1.0f);
}

static void batches_lie_a_stride_apart_and_may_share_an_operand(void **)
{
    handle h;
    const int n = 8, n_batches = 3;
    std::vector<float> a = numbers(size_t(n * n * n_batches), 4), b = numbers(size_t(n * n), 5);
    device_array<float> da(a), db(b), dc(size_t(n * n * n_batches));

    assert_int_equal(cublas().cublasGemmStridedBatchedEx(
                         h.h, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, da.p, CUDA_R_32F, n, n * n,
                         db.p, CUDA_R_32F, n, 0, &zero, dc.p, CUDA_R_32F, n, n * n, n_batches,
                         CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                     CUBLAS_STATUS_SUCCESS);
    std::vector<float> got = dc.read();
    for (int batch = 0; batch < n_batches; batch++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                float sum = 0.0f;
                for (int l = 0; l < n; l++)
                    sum += a[size_t(batch * n * n + l * n + i)] * b[size_t(j * n + l)];
                assert_true(got[size_t(batch * n * n + j * n + i)] == sum);
            }
}

static void what_cublas_does_not_support_is_refused(void **)
{
    handle h;
    device_array<uint16_t> x(size_t(256));
    device_array<float> y(size_t(256));

    assert_int_equal(gemm(h.h, x.p, x.p, y.p, 16, CUDA_R_16F, CUDA_R_16BF),
                     CUBLAS_STATUS_NOT_SUPPORTED);
    assert_int_equal(gemm(h.h, y.p, y.p, x.p, 16, CUDA_R_32F, CUDA_R_16F),
                     CUBLAS_STATUS_NOT_SUPPORTED);
    assert_int_equal(cublas().cublasGemmEx(h.h, CUBLAS_OP_N, CUBLAS_OP_N, 16, 16, 16, &one, x.p,
                                           CUDA_R_16F, 15, x.p, CUDA_R_16F, 16, &zero, y.p,
                                           CUDA_R_32F, 16, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                     CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(gemm(nullptr, x.p, x.p, y.p, 16, CUDA_R_16F, CUDA_R_32F),
                     CUBLAS_STATUS_NOT_INITIALIZED);
    assert_string_equal(tn_simt_fault(), "");
}

static void an_operand_behind_the_end_of_its_memory_is_a_fault(void **)
{
    handle h;
    device_array<float> x(size_t(256)), y(size_t(255));

    assert_int_equal(gemm(h.h, x.p, x.p, y.p, 16, CUDA_R_32F, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
    assert_non_null(std::strstr(tn_simt_fault(), "cublasGemm: C, 1024 bytes at"));
    assert_string_equal(cublas().cublasGetStatusString(CUBLAS_STATUS_EXECUTION_FAILED),
                        tn_simt_fault());
}

static void a_product_waits_in_its_stream_and_is_replayed_by_a_graph(void **)
{
    handle h;
    std::vector<float> eye(256, 0.0f), got(256, -1.0f);
    for (size_t i = 0; i < 16; i++)
        eye[17 * i] = 1.0f;
    device_array<float> x(numbers(256, 6)), e(eye), y(size_t(256)), workspace(size_t(1024));
    cudaStream_t s;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    assert_int_equal(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaSuccess);
    assert_int_equal(cublas().cublasSetStream_v2(h.h, s), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublas().cublasSetWorkspace_v2(h.h, workspace.p, 4096), CUBLAS_STATUS_SUCCESS);

    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(gemm(h.h, e.p, x.p, y.p, 16, CUDA_R_32F, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    for (uint32_t seed : { 7u, 8u }) {
        std::vector<float> now = numbers(256, seed);
        assert_int_equal(cudaMemcpy(x.p, now.data(), 1024, cudaMemcpyHostToDevice), cudaSuccess);
        assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
        assert_int_equal(cudaMemcpyAsync(got.data(), y.p, 1024, cudaMemcpyDeviceToHost, s),
                         cudaSuccess);
        assert_false(got == now);
        assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
        assert_true(got == now);
    }
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(s);
}

static void a_capture_needs_a_workspace_of_the_plugins(void **)
{
    handle h;
    device_array<float> x(size_t(256)), y(size_t(256)), workspace(size_t(1024));
    cudaStream_t s;
    cudaGraph_t graph;
    assert_int_equal(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaSuccess);
    assert_int_equal(cublas().cublasSetWorkspace_v2(h.h, workspace.p, 4096), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublas().cublasSetStream_v2(h.h, s),
                     CUBLAS_STATUS_SUCCESS); /* takes it away */

    assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(gemm(h.h, x.p, x.p, y.p, 16, CUDA_R_32F, CUDA_R_32F),
                     CUBLAS_STATUS_EXECUTION_FAILED);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
    assert_non_null(std::strstr(tn_simt_fault(), "without cublasSetWorkspace_v2"));
    tn_simt_clear_fault();
    cudaStreamDestroy(s);
    assert_int_equal(cublas().cublasSetWorkspace_v2(h.h, workspace.p, 4097),
                     CUBLAS_STATUS_INVALID_VALUE);
}

static void a_handle_keeps_stream_and_math_mode(void **)
{
    handle h;
    cudaStream_t stream = reinterpret_cast<cudaStream_t>(&h);
    cublasMath_t mode = CUBLAS_PEDANTIC_MATH;
    int version = 0;

    assert_int_equal(cublas().cublasGetStream_v2(h.h, &stream), CUBLAS_STATUS_SUCCESS);
    assert_null(stream);
    assert_int_equal(cublas().cublasGetMathMode(h.h, &mode), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(mode, CUBLAS_DEFAULT_MATH);
    assert_int_equal(
        cublas().cublasSetMathMode(h.h, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION),
        CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublas().cublasGetMathMode(h.h, &mode), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(mode, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
    assert_int_equal(cublas().cublasGetVersion_v2(h.h, &version), CUBLAS_STATUS_SUCCESS);
    assert_true(version >= 120000);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(products_equal_loops_for_every_transposition_and_type, reset),
        cmocka_unit_test_setup(without_beta_the_result_is_not_read, reset),
        cmocka_unit_test_setup(batches_lie_a_stride_apart_and_may_share_an_operand, reset),
        cmocka_unit_test_setup(what_cublas_does_not_support_is_refused, reset),
        cmocka_unit_test_setup(an_operand_behind_the_end_of_its_memory_is_a_fault, reset),
        cmocka_unit_test_setup(a_product_waits_in_its_stream_and_is_replayed_by_a_graph, reset),
        cmocka_unit_test_setup(a_capture_needs_a_workspace_of_the_plugins, reset),
        cmocka_unit_test_setup(a_handle_keeps_stream_and_math_mode, reset),
    };
    return cmocka_run_group_tests_name("simt_cublas", tests, nullptr, nullptr);
}
