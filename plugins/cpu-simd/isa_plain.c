/* SPDX-License-Identifier: Apache-2.0 */
#define ISA_VECTORS "plugins/cpu-simd/vec_plain.inc"
#define ISA_TABLE   simd_isa_plain
#define ISA_NAME    "plain"
#define ISA_BUILD   "plain C"
#include "plugins/cpu-simd/isa_table.inc"
