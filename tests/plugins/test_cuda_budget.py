# SPDX-License-Identifier: Apache-2.0
"""The budget check finds each thing that it is for. Run by ctest: python3 -m unittest test_cuda_budget."""
import unittest

import cuda_budget

LOG = """ptxas info    : Compiling entry function '_ZN2ns4gemmILi3EEEvPKfi' for 'sm_80'
ptxas info    : Function properties for _ZN2ns4gemmILi3EEEvPKfi
    0 bytes stack frame, {spills} bytes spill stores, 0 bytes spill loads
ptxas info    : Used 90 registers, used 1 barriers, 4352 bytes smem, 384 bytes cmem[0]
ptxas info    : Compiling entry function '_ZN2ns4gemmILi3EEEvPKfi' for 'sm_90'
ptxas info    : Function properties for _ZN2ns4gemmILi3EEEvPKfi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 200 registers, used 1 barriers, 384 bytes cmem[0]
"""
PTX = """.visible .entry _ZN2ns4gemmILi3EEEvPKfi(
\t.param .u64 a
)
{
\tmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1};
\t@%p1 mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f2};
\tdiv.rn.f32 \t%f3, %f4, %f5;
}
.visible .entry other(
{
\tld.local.u32 \t%r1, [%rd1];
}
"""
BUDGET = {"threads": 128, "registers": 96, "static_shared": 4352, "blocks": 5, "in_flight": 4096, "bound": "memory",
          "ptx": {"mma.sync": 2}, "allow": ["div.rn.f32"]}


def kernels(spills=0):
    said = cuda_budget.read_log(LOG.format(spills=spills))
    ptx = cuda_budget.read_ptx(PTX)
    return {cuda_budget.short_name(name): {**one, "instructions": ptx[name]} for name, one in said.items()}


class Budget(unittest.TestCase):
    def problems(self, spills=0, **changes):
        return cuda_budget.check(kernels(spills), {"gemm<3>": BUDGET | changes})

    def test_a_kernel_within_its_budget_passes(self):
        self.assertEqual(self.problems(), [])

    def test_log_and_ptx_are_read_for_the_architecture_of_the_budget(self):
        self.assertEqual(kernels()["gemm<3>"]["registers"], 90)
        self.assertEqual(kernels()["gemm<3>"]["static_shared"], 4352)
        self.assertEqual(len([i for i in kernels()["gemm<3>"]["instructions"] if i.startswith("mma")]), 2)

    def test_each_excess_is_named(self):
        for changes, text in [({"registers": 89}, "90 registers, 89 are budgeted"),
                              ({"static_shared": 0}, "4352 static_shared"),
                              ({"blocks": 6}, "5 blocks a multiprocessor, 6"),
                              ({"dynamic_shared": 60000}, "2 blocks a multiprocessor, 5"),
                              ({"in_flight": 2000}, "10000 bytes in flight"),
                              ({"ptx": {"mma.sync": 3}}, "2 instructions mma.sync, at least 3"),
                              ({"ptx": {"mma.sync": "=1"}}, "2 instructions mma.sync, exactly 1"),
                              ({"allow": []}, "1 instructions div.rn.f32, none"),
                              ({"regs": 1}, "unknown keys regs")]:
            with self.subTest(text):
                self.assertIn(text, self.problems(**changes)[0])
        self.assertIn("8 bytes spilled", self.problems(spills=8)[0])

    def test_every_kernel_has_a_budget_and_every_budget_a_kernel(self):
        self.assertEqual(cuda_budget.check(kernels(), {}), ["gemm<3>: has no budget"])
        self.assertEqual(cuda_budget.check({}, {"gone": BUDGET}), ["gone: is budgeted and not built"])

    def test_every_architecture_is_looked_at(self):
        fine = {"gemm<3>": {"registers": 90, "static_shared": 4352, "spills": 0, "stack": 0}}
        budgets = {"gemm<3>": BUDGET}
        self.assertEqual(list(cuda_budget.check_architecture("sm_90", fine, budgets)), [])
        for changes, text in [({"spills": 8}, "8 bytes spilled"), ({"stack": 16}, "16 of stack"),
                              ({"static_shared": 102400}, "102400 bytes of shared memory, 101376 fit"),
                              ({"registers": 600}, "600 registers for 128 threads are too many")]:
            with self.subTest(text):
                changed = {"gemm<3>": fine["gemm<3>"] | changes}
                self.assertIn(text, "".join(cuda_budget.check_architecture("sm_90", changed, budgets)))
        self.assertEqual(list(cuda_budget.check_architecture("sm_90", {}, budgets)), ["sm_90: lacks gemm<3>"])
        self.assertEqual(list(cuda_budget.check_architecture("sm_90", fine, {})), ["sm_90, gemm<3>: has no budget"])
        self.assertEqual(cuda_budget.read_log(LOG.format(spills=0), "sm_90")["_ZN2ns4gemmILi3EEEvPKfi"]["registers"], 200)

    def test_occupancy_is_that_of_nvidias_calculator(self):
        # Values of cuda_occupancy.h of CUDA 13.0 for compute capability 8.0.
        for registers, shared, threads, blocks in [(90, 0, 128, 5), (90, 34611, 128, 4), (64, 0, 1024, 1), (128, 0, 192, 2),
                                                   (1, 4096, 32, 32), (32, 0, 256, 8), (200, 70000, 64, 2), (255, 0, 512, 0)]:
            with self.subTest(registers=registers, shared=shared, threads=threads):
                self.assertEqual(cuda_budget.blocks_per_multiprocessor(registers, shared, threads), blocks)


if __name__ == "__main__":
    unittest.main()
