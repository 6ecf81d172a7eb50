/* SPDX-License-Identifier: Apache-2.0 */
#define ISA_VECTORS "plugins/cpu-simd/vec_avx2.inc"
#define ISA_TABLE   simd_isa_avxvnni
#define ISA_NAME    "avx-vnni"
#define ISA_BUILD   "AVX2 FMA F16C AVX-VNNI"
#include "plugins/cpu-simd/isa_table.inc"
