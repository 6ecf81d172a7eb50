// SPDX-License-Identifier: Apache-2.0
// void tn_simt_switch(void **save, void *load): callee-saved registers onto the stack, stacks
// exchanged, registers back. x86-64: System V ABI, "Registers"; AArch64: AAPCS64, "General-purpose
// Registers" and "SIMD and Floating-Point Registers" (d8 to d15). Floating-point control words are
// not switched: kernels do not change them. No header, so that the AArch64 half can be assembled on
// any machine.

#if defined(__x86_64__)
asm(R"(
    .text
    .globl tn_simt_switch
    .hidden tn_simt_switch
    .type tn_simt_switch, @function
tn_simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size tn_simt_switch, . - tn_simt_switch
)");
#elif defined(__aarch64__)
asm(R"(
    .text
    .globl tn_simt_switch
    .hidden tn_simt_switch
    .type tn_simt_switch, %function
tn_simt_switch:
    stp x29, x30, [sp, #-160]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x27, x28, [sp, #80]
    ldp x25, x26, [sp, #64]
    ldp x23, x24, [sp, #48]
    ldp x21, x22, [sp, #32]
    ldp x19, x20, [sp, #16]
    ldp x29, x30, [sp], #160
    ret
    .size tn_simt_switch, . - tn_simt_switch
)");
#endif
