# SPDX-License-Identifier: Apache-2.0
"""The check of the table in docs/cuda.md finds what is not so. Run by ctest: python3 -m unittest test_cuda_table."""
import pathlib
import tempfile
import unittest

import cuda_table

TRAFFIC = """[ RUN      ] a_test
traffic | gemm_kernel<16> | 16 x 64 | 1.000 | 1.00 | 1.00
traffic | gemm_kernel<16> | 16 x 2 x 64 | 1.004 | 1.00 | 1.00
traffic | add_kernel | 4 x 8 | 1.000 | 1.00 | 1.00
"""
CODE = {"add_kernel": ["16", "0", "128", "16", "-", "0", "0", "0", "2"], "gemm_kernel<16>": ["64", "40960", "128", "4", "122880", "8", "8", "3", "0"]}


class Table(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.doc = pathlib.Path(place.name) / "doc.md"
        self.doc.write_text("before\n\n<!-- kernels of x, nvcc 0 -->\n\nafter\n", encoding="utf-8")
        cuda_table.write(self.doc, "x", CODE, cuda_table.read_moves(TRAFFIC), "13.0")

    def read(self):
        return cuda_table.read_table(self.doc.read_text(encoding="utf-8"), "x")

    def test_what_is_written_is_read(self):
        release, table = self.read()
        self.assertEqual(release, "13.0")
        self.assertEqual(table["add_kernel"], [*CODE["add_kernel"], "4 x 8", "1.000", "1.00", "1.00"])
        self.assertTrue(self.doc.read_text(encoding="utf-8").startswith("before\n\n<!--"))
        self.assertTrue(self.doc.read_text(encoding="utf-8").endswith("|\n\nafter\n"))

    def test_a_kernel_has_all_its_shapes_and_the_worst_of_their_numbers(self):
        self.assertEqual(cuda_table.read_moves(TRAFFIC)["gemm_kernel<16>"], ["16 x 64; 16 x 2 x 64", "1.004", "1.00", "1.00"])

    def test_each_difference_is_named(self):
        _, table = self.read()
        code = {kernel: cells[:len(cuda_table.CODE)] for kernel, cells in table.items()}
        changed = {"add_kernel": ["17", *CODE["add_kernel"][1:]], "new_kernel": CODE["add_kernel"]}
        self.assertEqual(cuda_table.differences(code, CODE, cuda_table.CODE), [])
        self.assertEqual(cuda_table.differences(code, changed, cuda_table.CODE),
                         ["new_kernel: not in the table", "gemm_kernel<16>: in the table only", "add_kernel: registers is 17 and not 16"])

    def test_only_f16_is_shown_of_two_types(self):
        for name, title in [("decode_kernel<__half, 64>", "decode_kernel<64>"), ("embed_kernel<__half>", "embed_kernel"),
                            ("gemm_kernel<__half, fp16::gemm_shape<16, 64, 1, 4> >", "gemm_kernel<16, 64, 1, 4>"),
                            ("gemm_kernel<w4::gemm_shape<32, 1, 6> >", "gemm_kernel<32, 1, 6>"),
                            ("add_kernel<float>", "add_kernel<float>"), ("embed_kernel<__nv_bfloat16>", None)]:
            with self.subTest(name):
                self.assertEqual(cuda_table.title(name), title)

    def test_a_table_that_is_not_there_is_an_error(self):
        with self.assertRaises(SystemExit):
            cuda_table.read_table("no table", "x")


if __name__ == "__main__":
    unittest.main()
