#!/usr/bin/env python3
"""What tools/search_growth.py writes of the answers of a foreplan that is a few lines."""

import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "search_growth.py"

# Counts a million strategies for each device and each layer, and simulates one for each.
COMMAND = """#!/usr/bin/env python3
import json, sys
layers = json.load(open(sys.argv[2]))["num_hidden_layers"]
devices = 8 * int(sys.argv[4].removeprefix("dgx-a100x"))
proof = {"strategies": 10**6 * (devices + layers), "simulated": devices + layers, "gap": GAP}
print(json.dumps({"certificate": proof}))
"""
PAGE = "before\n<!-- begin: tools/search_growth.py -->\nold\n<!-- end: tools/search_growth.py -->\nafter\n"


class SearchGrowth(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.docs = Path(self.folder.name)

    def run_tool(self, page=PAGE, gap="0"):
        command = self.docs / "foreplan"
        command.write_text(COMMAND.replace("GAP", gap))
        command.chmod(0o755)
        (self.docs / "planner.md").write_text(page)
        return subprocess.run([sys.executable, TOOL, command, self.docs, "--runs", "1"], capture_output=True,
                              text=True)

    def test_replaces_what_stands_between_its_markers(self):
        self.assertEqual(self.run_tool().stderr, "")
        page = (self.docs / "planner.md").read_text()
        self.assertTrue(page.startswith("before\n<!-- begin"))
        self.assertTrue(page.endswith("end: tools/search_growth.py -->\nafter\n"))
        self.assertNotIn("old", page)
        # 32 layers on 16,384 devices; 200 layers on 512.
        self.assertRegex(page, r"\| 16,384 \| 16,416.0 \| 16,416 \| \d+\.\d\d \| \d+ \|")
        self.assertRegex(page, r"\| 200 \| 712.0 \| 712 \| \d+\.\d\d \| \d+ \|")

    def test_draws_a_point_for_each_size_and_quantity(self):
        self.run_tool()
        figure = xml.dom.minidom.parse(str(self.docs / "search_growth.svg"))
        points = figure.getElementsByTagName("circle")
        self.assertEqual(len(points), 2 * (12 + 7))
        for point in points:
            self.assertTrue(0 <= float(point.getAttribute("cx")) <= 830)
            self.assertTrue(0 <= float(point.getAttribute("cy")) <= 580)

    def test_refuses_a_page_without_its_markers_and_a_search_without_proof(self):
        self.assertIn("expected the lines", self.run_tool(page="before\n").stderr)
        self.assertIn("expected gap 0, got 0.5", self.run_tool(gap="0.5").stderr)
        self.assertEqual((self.docs / "planner.md").read_text(), PAGE)


if __name__ == "__main__":
    unittest.main()
