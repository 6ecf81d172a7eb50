// SPDX-License-Identifier: Apache-2.0
// cuBLAS on the emulator: matrix products in f32, enqueued like everything else. Sums run over k in
// order; what is exact in f32 is exact here, and cuBLAS has its own order.
#include "plugins/common/half.h"
#include "plugins/cuda/simt/runtime/annotate.h"
#include "plugins/cuda/simt/runtime/device.h"
#include "plugins/cuda/simt/runtime/settings.h"
#include "plugins/cuda/simt/runtime/stream.h"
#include "plugins/cuda/simt/shim/cublas_v2.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <set>

struct cublasContext {
    cudaStream_t stream = nullptr;
    void *workspace = nullptr;
    size_t workspace_bytes = 0;
    cublasMath_t math = CUBLAS_DEFAULT_MATH;
};

namespace simt
{

using guard = std::lock_guard<std::recursive_mutex>;

static std::set<cublasHandle_t> &handles()
{
    static auto *all = new std::set<cublasHandle_t>;
    return *all;
}

static bool is_handle(cublasHandle_t h)
{
    return handles().count(h) != 0;
}

/* One operand, column-major: columns of ld elements, of which rows are used. */
struct matrix {
    const void *p;
    cudaDataType type;
    int64_t rows, columns, ld, stride;
};

struct product {
    matrix a, b, c;
    bool a_is_transposed, b_is_transposed;
    int64_t m, n, k, n_batches;
    float alpha, beta;
};

static size_t element_bytes(cudaDataType type)
{
    return type == CUDA_R_32F ? 4 : 2;
}

static float element(const void *p, cudaDataType type, int64_t i)
{
    if (type == CUDA_R_32F)
        return static_cast<const float *>(p)[i];
    uint16_t bits = static_cast<const uint16_t *>(p)[i];
    return type == CUDA_R_16F ? tn_half_f16_to_f32(bits) : tn_half_bf16_to_f32(bits);
}

static void set_element(void *p, cudaDataType type, int64_t i, float value)
{
    if (type == CUDA_R_32F)
        static_cast<float *>(p)[i] = value;
    else
        static_cast<uint16_t *>(p)[i] =
            type == CUDA_R_16F ? tn_half_f32_to_f16(value) : tn_half_f32_to_bf16(value);
}

/* Bytes from the first to the last element that is used, of all batches. */
static size_t span_bytes(const matrix &x, int64_t n_batches)
{
    if (x.rows == 0 || x.columns == 0)
        return 0;
    int64_t last = (n_batches - 1) * x.stride + (x.columns - 1) * x.ld + x.rows - 1;
    return static_cast<size_t>(last + 1) * element_bytes(x.type);
}

static bool is_inside(const matrix &x, int64_t n_batches, const char *name)
{
    size_t n_bytes = span_bytes(x, n_batches);
    allocation a;
    if (n_bytes == 0 ||
        (find_allocation(x.p, &a) && a.kind == memory_kind::device &&
         n_bytes <= static_cast<size_t>(a.high - static_cast<const unsigned char *>(x.p))))
        return true;
    char text[160];
    std::snprintf(text, sizeof text, "%s, %zu bytes at %p, is not inside one device allocation",
                  name, n_bytes, x.p);
    set_fault("cublasGemm", text);
    return false;
}

/* op(x) as rows by columns floats, row after row. */
static std::vector<float> dense(const matrix &x, int64_t first, bool is_transposed, int64_t rows,
                                int64_t columns)
{
    std::vector<float> out(static_cast<size_t>(rows * columns));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[static_cast<size_t>(i * columns + j)] =
                element(x.p, x.type, first + (is_transposed ? i * x.ld + j : j * x.ld + i));
    return out;
}

/* c = alpha op(a) op(b) + beta c; with beta 0, c is not read (cuBLAS, cublasGemmEx). */
static void multiply_batch(const product &p, int64_t batch)
{
    /* a^T as [k][m], so that the inner loop runs over neighbours. */
    std::vector<float> a = dense(p.a, batch * p.a.stride, !p.a_is_transposed, p.k, p.m);
    std::vector<float> b = dense(p.b, batch * p.b.stride, p.b_is_transposed, p.k, p.n);
    std::vector<float> sum(static_cast<size_t>(p.m));
    void *c = const_cast<void *>(p.c.p);
    for (int64_t j = 0; j < p.n; j++) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        for (int64_t l = 0; l < p.k; l++) {
            const float *column = a.data() + l * p.m;
            float factor = b[static_cast<size_t>(l * p.n + j)];
            for (int64_t i = 0; i < p.m; i++)
                sum[static_cast<size_t>(i)] += column[i] * factor;
        }
        int64_t first = batch * p.c.stride + j * p.c.ld;
        for (int64_t i = 0; i < p.m; i++) {
            float value = p.alpha * sum[static_cast<size_t>(i)];
            if (p.beta != 0.0f)
                value += p.beta * element(c, p.c.type, first + i);
            set_element(c, p.c.type, first + i, value);
        }
    }
}

static void run_product(const product &p)
{
    if (sticky_error() != cudaSuccess || !is_inside(p.a, p.n_batches, "A") ||
        !is_inside(p.b, p.n_batches, "B") || !is_inside(p.c, p.n_batches, "C"))
        return;
    will_read(p.a.p, span_bytes(p.a, p.n_batches));
    will_read(p.b.p, span_bytes(p.b, p.n_batches));
    will_write(const_cast<void *>(p.c.p), span_bytes(p.c, p.n_batches));
    for (int64_t batch = 0; batch < p.n_batches; batch++)
        multiply_batch(p, batch);
}

/* cuBLAS, cublasGemmEx, table of supported types with CUBLAS_COMPUTE_32F. */
static bool types_are_supported(const product &p, cublasComputeType_t compute)
{
    if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC)
        return false;
    if (p.a.type != p.b.type)
        return false;
    if (p.a.type == CUDA_R_32F)
        return p.c.type == CUDA_R_32F;
    return (p.a.type == CUDA_R_16F || p.a.type == CUDA_R_16BF) &&
           (p.c.type == p.a.type || p.c.type == CUDA_R_32F);
}

static bool shape_is_valid(const matrix &x)
{
    return x.rows >= 0 && x.columns >= 0 && x.ld >= (x.rows > 1 ? x.rows : 1) && x.stride >= 0;
}

static cublasStatus_t multiply_later(cublasHandle_t h, const product &p,
                                     cublasComputeType_t compute)
{
    if (!is_handle(h))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!shape_is_valid(p.a) || !shape_is_valid(p.b) || !shape_is_valid(p.c) || p.n_batches < 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!types_are_supported(p, compute))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    cudaStream_t s = stream_of(h->stream);
    if (!s)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    if (s->capture && !h->workspace) {
        /* cuBLAS would capture allocations of its own; plugins give it memory instead. */
        set_fault("cublasGemm", "captured without cublasSetWorkspace_v2 after cublasSetStream_v2");
        invalidate_captures();
        return CUBLAS_STATUS_EXECUTION_FAILED;
    }
    if (p.m == 0 || p.n == 0 || p.n_batches == 0)
        return CUBLAS_STATUS_SUCCESS;
    return enqueue(s, [p] { run_product(p); }) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                              : CUBLAS_STATUS_EXECUTION_FAILED;
}

} // namespace simt

using namespace simt;

extern "C" cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    guard hold(runtime_lock());
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (any_capture()) /* it allocates */
        return CUBLAS_STATUS_ALLOC_FAILED;
    *handle = new cublasContext;
    handles().insert(*handle);
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    guard hold(runtime_lock());
    if (!is_handle(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    handles().erase(handle);
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version)
{
    guard hold(runtime_lock());
    *version = 130000;
    return is_handle(handle) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

/* cuBLAS, cublasSetStream: "unconditionally resets the cuBLAS library workspace". */
extern "C" cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream)
{
    guard hold(runtime_lock());
    if (!is_handle(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->stream = stream;
    handle->workspace = nullptr;
    handle->workspace_bytes = 0;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t *stream)
{
    guard hold(runtime_lock());
    if (!is_handle(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *stream = handle->stream;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace,
                                                size_t n_bytes)
{
    guard hold(runtime_lock());
    allocation a;
    if (!is_handle(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (n_bytes &&
        (!find_allocation(workspace, &a) || a.kind != memory_kind::device ||
         reinterpret_cast<uintptr_t>(workspace) % 256 ||
         n_bytes > static_cast<size_t>(a.high - static_cast<unsigned char *>(workspace))))
        return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace = n_bytes ? workspace : nullptr;
    handle->workspace_bytes = n_bytes;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)
{
    guard hold(runtime_lock());
    if (!is_handle(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode)
{
    guard hold(runtime_lock());
    if (!is_handle(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *mode = handle->math;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k,
    const void *alpha, const void *a, cudaDataType a_type, int lda, long long int a_stride,
    const void *b, cudaDataType b_type, int ldb, long long int b_stride, const void *beta, void *c,
    cudaDataType c_type, int ldc, long long int c_stride, int n_batches,
    cublasComputeType_t compute, cublasGemmAlgo_t)
{
    guard hold(runtime_lock());
    if (!alpha || !beta)
        return CUBLAS_STATUS_INVALID_VALUE;
    product p = {};
    p.a_is_transposed = transa != CUBLAS_OP_N;
    p.b_is_transposed = transb != CUBLAS_OP_N;
    p.a = { a, a_type, p.a_is_transposed ? k : m, p.a_is_transposed ? m : k, lda, a_stride };
    p.b = { b, b_type, p.b_is_transposed ? n : k, p.b_is_transposed ? k : n, ldb, b_stride };
    p.c = { c, c_type, m, n, ldc, c_stride };
    p.m = m;
    p.n = n;
    p.k = k;
    p.n_batches = n_batches;
    std::memcpy(&p.alpha, alpha, sizeof p.alpha); /* read now: with the host's pointer mode */
    std::memcpy(&p.beta, beta, sizeof p.beta);
    return multiply_later(handle, p, compute);
}

extern "C" cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa,
                                       cublasOperation_t transb, int m, int n, int k,
                                       const void *alpha, const void *a, cudaDataType a_type,
                                       int lda, const void *b, cudaDataType b_type, int ldb,
                                       const void *beta, void *c, cudaDataType c_type, int ldc,
                                       cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
    return cublasGemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, a, a_type, lda, 0, b,
                                      b_type, ldb, 0, beta, c, c_type, ldc, 0, 1, compute,
                                      algorithm);
}

extern "C" const char *cublasGetStatusString(cublasStatus_t status)
{
    static const struct {
        cublasStatus_t status;
        const char *name;
    } names[] = {
        { CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS" },
        { CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED" },
        { CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED" },
        { CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE" },
        { CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED" },
        { CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED" },
    };
    if (status == CUBLAS_STATUS_EXECUTION_FAILED && has_fault())
        return tn_simt_fault(); /* as cudaGetErrorString does */
    for (const auto &one : names)
        if (one.status == status)
            return one.name;
    return "<unknown>";
}
