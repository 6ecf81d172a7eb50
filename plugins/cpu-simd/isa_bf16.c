/* SPDX-License-Identifier: Apache-2.0 */
#define ISA_VECTORS "plugins/cpu-simd/vec_avx512.inc"
#define ISA_TABLE   simd_isa_bf16
#define ISA_NAME    "avx512-bf16"
#define ISA_BUILD   "AVX-512 F BW DQ VL VNNI BF16"
#include "plugins/cpu-simd/isa_table.inc"
