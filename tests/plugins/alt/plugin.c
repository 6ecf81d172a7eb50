/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors of one plugin: its NAME, VARIANT (F32, F16, A8) and FAULT (an id of faults.def,
 * or none) come from CMakeLists.txt. */
#include "plugins/common/sanitizer.h"
#include "tests/plugins/alt/alt.h"

#if ALT_PLUGIN_VARIANT == 1 /* f16 */
#    define ACT_CLASS    "f16acc"
#    define LINEAR_CLASS "f16acc"
#elif ALT_PLUGIN_VARIANT == 2 /* a8 */
#    define ACT_CLASS    "f32acc"
#    define LINEAR_CLASS "a8"
#else
#    define ACT_CLASS    "f32acc"
#    define LINEAR_CLASS "f32acc"
#endif
#ifndef ALT_PLUGIN_FAULT
#    define ALT_PLUGIN_FAULT ALT_SOUND
#endif

enum { FLAGS = TN_K_CAPTURE_SAFE | TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT };

#define KERNEL(op_name, class_name, extra, family)                                                 \
    .size = sizeof(tn_kernel), .flags = FLAGS | (extra), .op = op_name,                            \
    .name = ALT_PLUGIN_NAME "." op_name, .tolerance = (class_name),                                \
    .supports = alt_##family##_supports, .run = alt_##family##_run
#define WEIGHTED(op_name, class_name, extra, family)                                               \
    KERNEL(op_name, class_name, extra, family),                                                    \
        .plan = alt_##family##_plan, .pack = alt_##family##_pack, .unpack = alt_##family##_unpack

static const tn_kernel embed = { WEIGHTED("embed", "f32acc", 0, embed) };
static const tn_kernel rmsnorm = { WEIGHTED("rmsnorm", "f32acc", 0, rmsnorm) };
static const tn_kernel linear = { WEIGHTED("linear", LINEAR_CLASS, 0, linear) };
static const tn_kernel linear_add = { WEIGHTED("linear_add", LINEAR_CLASS, TN_K_IN_PLACE, linear) };
static const tn_kernel linear_glu = { WEIGHTED("linear_glu", LINEAR_CLASS, 0, linear) };
static const tn_kernel norm_linear = { WEIGHTED("norm_linear", LINEAR_CLASS, 0, linear) };
static const tn_kernel norm_linear_glu = { WEIGHTED("norm_linear_glu", LINEAR_CLASS, 0, linear) };
static const tn_kernel add = { KERNEL("add", "f32acc", TN_K_IN_PLACE, add) };
static const tn_kernel glu = { KERNEL("glu", ACT_CLASS, TN_K_IN_PLACE, glu) };
static const tn_kernel qk_norm = { WEIGHTED("qk_norm", ACT_CLASS, TN_K_IN_PLACE, rope) };
static const tn_kernel rope = { WEIGHTED("rope", ACT_CLASS, TN_K_IN_PLACE, rope) };
static const tn_kernel kv_write = { WEIGHTED("kv_write", "exact", 0, rope) };
static const tn_kernel rope_kv_write = { WEIGHTED("rope_kv_write", ACT_CLASS, TN_K_IN_PLACE,
                                                  rope) };
static const tn_kernel attention = { WEIGHTED("attention", ACT_CLASS, 0, attention) };
static const tn_kernel gather_rows = { KERNEL("gather_rows", "exact", 0, gather_rows) };
static const tn_kernel argmax = { KERNEL("argmax", "exact", 0, argmax) };

static const tn_kernel *const kernels[] = {
    &embed,           &rmsnorm,   &linear,      &linear_add, &linear_glu, &norm_linear,
    &norm_linear_glu, &add,       &glu,         &qk_norm,    &rope,       &kv_write,
    &rope_kv_write,   &attention, &gather_rows, &argmax,     NULL
};

static const tn_kv_format *const kv_formats[] = { &alt_kv_f16,
#if ALT_PLUGIN_VARIANT != 1
                                                  &alt_kv_f32, &alt_kv_i8, &alt_kv_i8_static,
#endif
                                                  NULL };

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    return alt_open(host, ALT_PLUGIN_NAME, ALT_PLUGIN_VARIANT, ALT_PLUGIN_FAULT, self, err);
}

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = ALT_PLUGIN_NAME,
    .version = "1",
    .domain = "host",
    .build = "for tests",
    .open = open_plugin,
    .close = alt_close,
    .kernels = kernels,
    .kv_formats = kv_formats,
};
