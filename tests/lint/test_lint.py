# SPDX-License-Identifier: Apache-2.0
"""The checks find planted breaches. Run: python3 -m unittest test_lint"""
import pathlib
import subprocess
import tempfile
import unittest

import check_core
import check_headers
import check_layers
import check_plugins
import check_text
import source

TABLE = """# Architecture

```layers
include/tenon   0
core/base       1
core/graph      2
core/kv         3
core/sched      4   only include/tenon core/base core/kv   # a pure function of its queues
model/arch      5
model/text      5
plugins/common  1   only include/tenon
plugins/*       2   only include/tenon plugins/common
```
"""
SPDX_C = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Tree(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name)
        self.put("docs/architecture.md", TABLE)
        for header in ("include/tenon/plugin.h", "core/base/alloc.h", "core/graph/graph.h", "core/kv/kv.h",
                       "core/sched/sched.h", "model/arch/arch.h", "model/text/text.h", "plugins/common/half.h",
                       "plugins/one/one.h"):
            guard = check_text.guard_of(header)
            self.put(header, f"{SPDX_C}#ifndef {guard}\n#define {guard}\ntypedef int t;\n#endif\n")

    def put(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def layers(self, path, include):
        self.put(path, f"{SPDX_C}#include {include}\n")
        return check_layers.check(self.root)[0]


class Layers(Tree):
    def test_allowed_includes_pass(self):
        self.put("core/graph/a.c", '#include "core/graph/graph.h"\n#include "core/base/alloc.h"\n#include <tenon/plugin.h>\n'
                                   "#include <stdio.h>\n")
        self.put("core/sched/a.c", '#include "core/kv/kv.h"\n#include "sched.h"\n')
        self.put("plugins/one/a.c", '#include "one.h"\n#include "plugins/common/half.h"\n#include <tenon/plugin.h>\n')
        self.put("tests/core/a.c", '#include "plugins/one/one.h"\n')
        self.assertEqual(check_layers.check(self.root)[0], [])

    def test_a_higher_rank_is_refused_with_file_and_line(self):
        self.assertEqual(self.layers("core/base/a.c", '"core/graph/graph.h"'),
                         ["core/base/a.c:2: core/base (rank 1) may not include core/graph/graph.h (rank 2)"])

    def test_a_relative_path_does_not_hide_a_breach(self):
        self.assertEqual(len(self.layers("core/base/a.c", '"../graph/graph.h"')), 1)

    def test_angle_brackets_do_not_hide_a_breach(self):
        self.assertEqual(len(self.layers("core/base/a.c", "<core/graph/graph.h>")), 1)

    def test_an_equal_rank_is_refused(self):
        self.assertEqual(len(self.layers("model/arch/a.c", '"model/text/text.h"')), 1)

    def test_the_scheduler_may_not_see_the_graph(self):
        self.assertIn("may include only itself", self.layers("core/sched/a.c", '"core/graph/graph.h"')[0])

    def test_a_plugin_may_see_neither_the_core_nor_another_plugin(self):
        self.assertEqual(len(self.layers("plugins/one/a.c", '"core/base/alloc.h"')), 1)
        self.put("plugins/two/two.h", "")
        self.assertEqual(len(self.layers("plugins/one/a.c", '"plugins/two/two.h"')), 1)

    def test_a_missing_header_and_an_unlisted_directory_are_refused(self):
        self.assertEqual(len(self.layers("core/base/a.c", '"core/base/gone.h"')), 1)
        self.assertIn("no row", self.layers("core/novel/a.c", "<stdio.h>")[-1])

    def test_the_table_must_be_there_and_well_formed(self):
        with self.assertRaises(ValueError):
            check_layers.read_table("no block")
        with self.assertRaises(ValueError):
            check_layers.read_table("```layers\ncore/base one\n```\n")


class Text(Tree):
    def problems(self, path, text):
        self.put(path, text)
        return check_text.check_file(self.root, path)

    def test_clean_files_pass(self):
        self.assertEqual(check_text.check(self.root)[0], [])
        self.assertEqual(self.problems("core/base/a.c", SPDX_C + "/* free() and strcpy() */\n"
                                       'void f(S *s) { s->free(s); tn_free(s); s.rand(); log("system(x)"); }\n'), [])

    def test_banned_functions_are_found_by_line(self):
        for name in check_text.BANNED:
            found = self.problems("core/base/a.c", f"{SPDX_C}\nint f(void) {{ return {name} (1); }}\n")
            self.assertEqual(len(found), 1, name)
            self.assertTrue(found[0].startswith(f"core/base/a.c:3: {name} "), found)

    def test_raw_memory_and_loading_are_bound_to_their_files(self):
        call = SPDX_C + "void f(void *p) { free(p); dlsym(p, 0); }\n"
        self.assertEqual(len(self.problems("core/graph/a.c", call)), 2)
        self.assertEqual(len(self.problems("core/base/alloc.c", call)), 1)
        self.assertEqual(len(self.problems("core/plugin/loader.c", call)), 1)
        self.assertEqual(len(self.problems("plugins/one/a.c", call)), 2)
        self.assertEqual(self.problems("tests/core/a.c", call), [])

    def test_the_licence_is_the_first_line(self):
        self.assertEqual(len(self.problems("core/base/a.c", "int x;\n")), 1)
        self.assertEqual(len(self.problems("scripts/a.sh", "#!/bin/sh\necho\n")), 1)
        self.assertEqual(self.problems("scripts/a.sh", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n"), [])

    def test_long_files_are_refused(self):
        self.assertEqual(self.problems("core/base/a.c", SPDX_C + "\n" * (check_text.MAX_LINES - 1)), [])
        self.assertEqual(len(self.problems("core/base/a.c", SPDX_C + "\n" * check_text.MAX_LINES)), 1)

    def test_guards_follow_the_path(self):
        self.assertEqual(check_text.guard_of("core/base/alloc.h"), "TN_CORE_BASE_ALLOC_H")
        self.assertEqual(check_text.guard_of("include/tenon/plugin.h"), "TENON_PLUGIN_H")
        self.assertEqual(check_text.guard_of("plugins/cpu-ref/ops.h"), "TN_PLUGINS_CPU_REF_OPS_H")
        self.assertEqual(len(self.problems("core/base/b.h", SPDX_C)), 1)
        self.assertEqual(len(self.problems("core/base/b.h", SPDX_C + "#ifndef B_H\n#define B_H\n#endif\n")), 1)

    def test_dead_links_are_found(self):
        page = "[a](architecture.md) [b](../core/base/alloc.h#L1) [c](https://example.org/x) [d](#here)\n"
        self.assertEqual(self.problems("docs/a.md", page), [])
        self.assertIn("gone.md", self.problems("docs/a.md", "\n[a](gone.md#part)\n")[0])

    def test_machine_paths_are_found_and_other_paths_are_not(self):
        for planted in ("/wor" "k/main", "see '/far" "m/x'", "/tmp/bash_" "jobs.0"):
            self.assertEqual(len(self.problems("docs/a.md", f"text\n{planted}\n")), 1, planted)
        self.assertEqual(self.problems("docs/a.md", "src/wor" "k/ and net.wor" "k/\n"), [])


class Core(Tree):
    def test_comments_and_blank_lines_are_not_code(self):
        text = """/* one
two */
int a; /* after code */ // and more

const char *s = "/* no comment", c = '"'; /* begins here
ends here */ int b;
   // alone
"""
        self.assertEqual(check_core.code_lines(text), 3)

    def test_the_size_limit_is_exact(self):
        lines = check_core.check_size(self.root)[1]
        self.assertEqual(check_core.check_size(self.root, lines)[0], [])
        self.assertEqual(len(check_core.check_size(self.root, lines - 1)[0]), 1)

    def test_foreign_libraries_are_named(self):
        fine = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2"]
        self.assertEqual(check_core.check_links(fine), [])
        for foreign in ("libyaml-0.so.2", "libgomp.so.1", "libcuda.so.1", "libstdc++.so.6", "libcc.so.1"):
            self.assertIn(foreign, check_core.check_links(fine + [foreign])[0])


class Headers(Tree):
    def test_a_header_that_needs_another_is_found(self):
        self.assertEqual(check_headers.check(self.root, "cc", "c++")[0], [])
        self.put("core/base/needy.h", "static inline size_t f(void) { return 0; }\n")
        self.assertIn("needy.h", check_headers.check(self.root, "cc", "c++")[0][0])

    def test_a_public_header_must_be_cpp(self):
        self.put("include/tenon/bad.h", "int f(int class);\n")
        self.assertIn("c++17", check_headers.check(self.root, "cc", "c++")[0][0])


class Plugins(Tree):
    def compile(self, path, code, *flags):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-x", "c", "-fPIC", "-fvisibility=hidden", "-o", self.root / path, "-", *flags],
                       input=code, text=True, check=True)

    def test_exports_and_links(self):
        visible = '__attribute__((visibility("default"))) '
        good = f"{visible}const int tn_plugin_v1 = 1;\n"
        self.compile("lib/tenon/plugins/good.so", good, "-shared")
        self.assertIn("was not built", check_plugins.check(self.root)[0][0])
        self.compile("bin/tenon", "int main(void) { return 0; }\n")
        self.assertEqual(check_plugins.check(self.root)[0], [])

        self.compile("lib/tenon/plugins/two.so", f"{good}{visible}int extra;\n", "-shared")
        self.assertIn("extra", check_plugins.check(self.root)[0][0])
        (self.root / "lib/tenon/plugins/two.so").unlink()

        self.compile("bin/tenon", "extern const int tn_plugin_v1; int main(void) { return tn_plugin_v1; }\n",
                     f"-L{self.root}/lib/tenon/plugins", "-l:good.so")
        self.assertIn("links the plugin good.so", check_plugins.check(self.root)[0][0])

    def test_no_plugin_at_all_is_a_failure(self):
        self.compile("bin/tenon", "int main(void) { return 0; }\n")
        self.assertIn("no plugin was built", check_plugins.check(self.root)[0][0])


class Source(unittest.TestCase):
    def test_comments_and_literals_are_blanked_and_lines_kept(self):
        text = 'a /* b\nc */ d "e\\"f" // g\n\'h\' i'
        self.assertEqual(source.code_only(text).split(), ["a", "d", "i"])
        self.assertEqual(source.code_only(text).count("\n"), text.count("\n"))


if __name__ == "__main__":
    unittest.main()
