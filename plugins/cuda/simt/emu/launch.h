/* SPDX-License-Identifier: Apache-2.0 */
/* LAUNCH on the host: the arguments are copied when it is called, as on a device, and the library
 * runs the kernel later. */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_LAUNCH_H
#define TN_PLUGINS_CUDA_SIMT_EMU_LAUNCH_H

#include "plugins/cuda/simt/emu/core.h"
#include "plugins/cuda/simt/shim/cuda_runtime.h"

#include <type_traits>

namespace simt
{

/* Parameters as plain data, so that the library may copy them as bytes. */
template <class... Types> struct parameters {
};
template <class First, class... Rest> struct parameters<First, Rest...> {
    static_assert(std::is_trivially_copyable<First>::value, "kernel parameters are plain values");
    First first;
    parameters<Rest...> rest;
};

template <class Kernel, class... Done>
static inline void call(Kernel kernel, const parameters<> &, Done... done)
{
    kernel(done...);
}
template <class Kernel, class First, class... Rest, class... Done>
static inline void call(Kernel kernel, const parameters<First, Rest...> &left, Done... done)
{
    call(kernel, left.rest, done..., left.first);
}

static inline parameters<> pack(parameters<> *)
{
    return {};
}
template <class First, class... Rest, class Value, class... Values>
static inline parameters<First, Rest...> pack(parameters<First, Rest...> *, Value value,
                                              Values... values)
{
    return { static_cast<First>(value),
             pack(static_cast<parameters<Rest...> *>(nullptr), values...) };
}

template <class... Types> struct packed_call {
    void (*kernel)(Types...);
    parameters<Types...> values;
    static void run(const void *self)
    {
        const packed_call *me = static_cast<const packed_call *>(self);
        call(me->kernel, me->values);
    }
};

struct launch_args {
    const char *kernel;
    const void *function; /* for cudaFuncSetAttribute */
    dim3 grid, block;
    size_t dynamic_shared_bytes;
    void *stream;
    void (*run)(const void *call);
    const void *call; /* call_bytes of plain data, copied by the library */
    size_t call_bytes;
};

} // namespace simt

/* Enqueues; a wrong shape is left for cudaGetLastError. */
extern "C" SIMT_API void tn_simt_launch(const simt::launch_args *args);

namespace simt
{

template <class... Types, class... Values>
static inline void launch(const char *name, void (*kernel)(Types...), dim3 grid, dim3 block,
                          size_t shared_bytes, void *stream, Values... values)
{
    static_assert(sizeof...(Types) == sizeof...(Values), "a kernel gets all its parameters");
    using packed = packed_call<Types...>;
    packed call = { kernel, pack(static_cast<parameters<Types...> *>(nullptr), values...) };
    launch_args args = { name,         reinterpret_cast<const void *>(kernel),
                         grid,         block,
                         shared_bytes, stream,
                         packed::run,  &call,
                         sizeof call };
    if (shared_bytes > 48 * 1024) /* as LAUNCH on a device */
        cudaFuncSetAttribute(args.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes));
    tn_simt_launch(&args);
}

} // namespace simt

#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                     \
    ::simt::launch(#kernel, kernel, grid, block, shared_bytes, stream, __VA_ARGS__)

#endif
