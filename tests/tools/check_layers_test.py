#!/usr/bin/env python3
"""check_layers.py passes a sound tree and names file and line of every broken floor."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "tools" / "check_layers.py"


class CheckLayers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.write("sim/units.hpp", "#pragma once\n#include <vector>\n")
        self.write("models/layer.cpp", '#include "sim/units.hpp"\n#include <boost/graph.hpp>\n')

    def write(self, name, text):
        path = Path(self.folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def check(self, root=None):
        command = [sys.executable, str(SCRIPT), str(root or self.folder.name)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def assert_complains(self, expected):
        result = self.check()
        self.assertEqual(result.stdout.splitlines(), [expected])
        self.assertEqual(result.returncode, 1)

    def test_passes_a_sound_tree(self):
        result = self.check()
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_this_very_tree_holds(self):
        result = self.check(ROOT)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_fails_where_a_lower_floor_includes_a_higher_one(self):
        self.write("sim/engine.cpp", '#include "sim/units.hpp"\n\n#include "models/layer.hpp"\n')
        self.assert_complains(
            "sim/engine.cpp:3: sim may include nothing else, not models/layer.hpp"
        )

    def test_fails_where_neighbours_include_each_other(self):
        self.write("planner/search.hpp", '#pragma once\n#  include "runtime/backend.hpp"\n')
        self.assert_complains(
            "planner/search.hpp:2: planner may include models, sim, not runtime/backend.hpp"
        )

    def test_fails_where_tools_include_tests(self):
        self.write("tools/main.cpp", '#include "tests/sim/fakes.hpp"\n')
        result = self.check()
        self.assertIn("tools/main.cpp:1: tools may include", result.stdout)
        self.assertEqual(result.returncode, 1)

    def test_lets_tools_include_every_floor(self):
        floors = ("sim", "models", "planner", "profiler", "runtime", "tools")
        self.write("tools/main.cpp", "".join(f'#include "{floor}/x.hpp"\n' for floor in floors))
        self.assertEqual(self.check().returncode, 0)

    def test_fails_where_an_include_is_not_from_the_root(self):
        self.write("sim/engine.cpp", '#include "units.hpp"\n')
        self.assert_complains(
            'sim/engine.cpp:1: write the include from the root, not as "units.hpp"'
        )

    def test_fails_where_a_header_includes_a_heavy_library(self):
        for library in ("nlohmann/json.hpp", "Eigen/Dense", "boost/graph/adjacency_list.hpp",
                        "oneapi/dnnl/dnnl.hpp", "CLI/CLI.hpp"):
            self.write("sim/reader.hpp", f"#pragma once\n#include <{library}>\n")
            self.assert_complains(f"sim/reader.hpp:2: <{library}> stays out of headers")

    def test_lets_a_header_declare_json(self):
        self.write("sim/reader.hpp", "#pragma once\n#include <nlohmann/json_fwd.hpp>\n")
        self.assertEqual(self.check().returncode, 0)

    def test_fails_where_cuda_leaves_its_folder(self):
        self.write("runtime/cuda/handles.hpp", "#pragma once\n#include <cuda_runtime.h>\n")
        self.assertEqual(self.check().returncode, 0)
        self.write("runtime/backend.cpp", "#include <cuda_runtime.h>\n")
        self.assert_complains(
            "runtime/backend.cpp:1: <cuda_runtime.h> belongs in runtime/cuda/ or profiler/cupti/"
        )

    def test_fails_where_code_is_compiled_conditionally(self):
        for directive in ("#ifdef USE_CUDA", "#if defined(USE_CUDA)", "  # ifndef USE_CUDA"):
            self.write("runtime/backend.cpp", f"int x;\n{directive}\nint y;\n")
            result = self.check()
            self.assertIn("runtime/backend.cpp:2: no conditional compilation", result.stdout)
            self.assertEqual(result.returncode, 1)

    def test_lets_the_runtime_ask_for_the_processor_but_not_the_simulator(self):
        text = "#if defined(__x86_64__) && \\\n    !defined(__SANITIZE_THREAD__)\n#else\n#endif\n"
        self.write("runtime/loops.cpp", text)
        self.assertEqual(self.check().returncode, 0)
        self.write("sim/loops.cpp", text)
        self.assertEqual(len(self.check().stdout.splitlines()), 3)

    def test_fails_where_the_runtime_asks_for_a_build_option_too(self):
        text = "#if defined(__x86_64__) && USE_CUDA\n#endif\n"
        self.write("runtime/loops.cpp", text)
        self.assertEqual(len(self.check().stdout.splitlines()), 2)

    def test_lets_an_include_guard_stand(self):
        self.write("sim/a.hpp", "#ifndef SIM_A_HPP\n#define SIM_A_HPP\nint x;\n#endif\n")
        self.assertEqual(self.check().returncode, 0)

    def test_reads_no_comments(self):
        self.write("sim/a.cpp", '/*\n#include "tools/x.hpp"\n*/\n// #ifdef X\nint x;\n')
        self.assertEqual(self.check().returncode, 0)

    def test_fails_where_there_is_nothing_to_read(self):
        with tempfile.TemporaryDirectory() as empty:
            result = self.check(empty)
        self.assertEqual(result.returncode, 2)
        self.assertIn("found no source files", result.stderr)


if __name__ == "__main__":
    unittest.main()
