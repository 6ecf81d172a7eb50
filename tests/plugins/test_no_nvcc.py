# SPDX-License-Identifier: Apache-2.0
"""Where there is no nvcc that works, a build is for the emulator and says so. Run by ctest: python3 -m unittest test_no_nvcc."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDS_NVCC = ["simt_signatures", "simt_nvcc_kernels.cu", "cuda_architectures_cuda-fp16", "cuda_budget_cuda-kvint8", "cuda_table_nvcc_cuda-w4a16"]


class NoNvcc(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        self.nvcc = self.place / "nvcc"
        self.nvcc.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        self.nvcc.chmod(0o755)

    def configure(self, *options):
        """With an nvcc that does not run."""
        done = subprocess.run([os.environ.get("CMAKE", "cmake"), "-S", ROOT, "-B", self.place / "build", f"-DTENON_NVCC_PROGRAM={self.nvcc}", *options],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, " ".join(done.stdout.split())  # messages are wrapped

    def test_one_that_does_not_run_is_left_out_and_its_tests_are_not_run(self):
        status, said = self.configure()
        self.assertEqual(status, 0, said)
        self.assertIn(f"CUDA plugins by nvcc: not built, {self.nvcc} does not run; those for the emulator are", said)
        done = subprocess.run([os.environ.get("CTEST", "ctest"), "--test-dir", self.place / "build", "-R", f"^({'|'.join(NEEDS_NVCC)})$"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout.count("***Skipped"), len(NEEDS_NVCC), done.stdout)

    def test_it_is_an_error_where_one_is_demanded(self):
        status, said = self.configure("-DTENON_CUDA=ON")
        self.assertEqual(status, 1, said)
        self.assertIn(f"TENON_CUDA is ON and {self.nvcc} does not run", said)


if __name__ == "__main__":
    unittest.main()
