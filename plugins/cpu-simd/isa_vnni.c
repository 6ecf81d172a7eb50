/* SPDX-License-Identifier: Apache-2.0 */
#define ISA_VECTORS "plugins/cpu-simd/vec_avx512.inc"
#define ISA_TABLE   simd_isa_vnni
#define ISA_NAME    "avx512-vnni"
#define ISA_BUILD   "AVX-512 F BW DQ VL VNNI"
#include "plugins/cpu-simd/isa_table.inc"
