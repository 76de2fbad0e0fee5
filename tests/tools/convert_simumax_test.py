#!/usr/bin/env python3
"""What tools/convert_simumax.py makes of a small system file, by hand."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "convert_simumax.py"


def table(**efficiencies):
    return {"tflops": 1, "efficient_factor": 0.1, "accurate_efficient_factor": efficiencies}


SYSTEM = {
    "sys_name": "small",
    "num_per_node": 8,
    "accelerator": {
        "backend": "cuda",
        "op": {
            "matmul": table(**{
                "b=1, m=10, k=20, n=30, layout=TN, accumulate=False, out_dtype=bf16": 0.5,
                "b=1, m=10, k=30, n=20, layout=NN, accumulate=False, out_dtype=bf16": 0.25,
                "b=1, m=30, k=10, n=20, layout=NT, accumulate=True, out_dtype=fp32": 0.125,
                "b=1, m=30, k=10, n=20, layout=NT, accumulate=True, out_dtype=bf16": 0.9,
                "b=1, m=1, k=1, n=1, layout=TN, accumulate=False, out_dtype=bf16": 0,
            }),
            "group_matmul": table(**{
                "ng=2, M=5, N=7, K=3, dtype=bf16, out_dtype=bf16, main_grad_dtype=fp32, stage=fwd, "
                "grad=False, accumulate=False": 0.5,
            }),
            "sdp_fwd": table(**{
                "batch=1, seq_len=10, head_num=4, kv_head_num=2, qk_head_dim=3, v_head_dim=2, "
                "qkv_contiguous=True": 0.5,
            }),
            "sdp_bwd": table(**{
                "batch=1, seq_len=10, head_num=4, kv_head_num=2, qk_head_dim=3, v_head_dim=2, "
                "qkv_contiguous=True": 0.5,
            }),
        },
        "bandwidth": {"default": {"gbps": 2, "efficient_factor": 0.5, "latency_us": 30}},
    },
    "networks": {
        "high_intra_node": {
            "bandwidth": {"gbps": 1},
            "op": {
                "all_reduce": {"scale": 2, "offset": -1, "efficient_factor": 0.5, "latency_us": 5,
                               "fixed_latency_us": 10},
                "all_gather": {"scale": 1, "offset": -1},
                "reduce_scatter": {"scale": 1, "offset": -1},
                "all2all": {"scale": 1, "offset": -1},
            },
        }
    },
}


def convert(text):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "system.json"), Path(folder, "profile.json")
        source.write_text(text, encoding="utf-8")
        command = [sys.executable, TOOL, source, "-o", target, "--source", "nowhere"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        profile = json.loads(target.read_text(encoding="utf-8")) if target.exists() else None
        return done, profile


class ConvertSimuMax(unittest.TestCase):
    def setUp(self):
        self.profile = convert(json.dumps(SYSTEM))[1]

    def op(self, name, step):
        rows = [o for o in self.profile["ops"] if o["op"] == name and o["pass"] == step]
        self.assertEqual(len(rows), 1)
        return rows[0]

    def test_products_of_a_layer_of_20_by_30(self):
        # 12,000 FLOPs at 1e12 a second and a half, a quarter, an eighth of it.
        for step, seconds in (("forward", 24e-9), ("backward_input", 48e-9), ("backward_weight", 96e-9)):
            row = self.op("matmul", step)
            self.assertEqual(row["shape"], [10, 20, 30])
            self.assertAlmostEqual(row["mean_s"], seconds, places=15)

    def test_grouped_products(self):
        row = self.op("expert_linear", "forward")
        self.assertEqual(row["shape"], [2, 10, 3, 7])
        self.assertAlmostEqual(row["mean_s"], 2 * 2 * 5 * 3 * 7 / 0.5e12, places=15)

    def test_attention(self):
        # 400 scores of 5 features: two products of 2,000 forward, five backward.
        forward = self.op("causal_attention", "forward")
        self.assertEqual(forward["shape"], [1, 4, 2, 10, 10, 10, 3, 2])
        self.assertAlmostEqual(forward["mean_s"], 4000 / 0.5e12, places=15)
        self.assertEqual(forward["flops"], 4000 + 5 * 400)
        backward = self.op("causal_attention", "backward_input")
        self.assertAlmostEqual(backward["mean_s"], 10000 / 0.5e12, places=15)
        self.assertEqual(backward["flops"], 8000 + 4 * 400)

    def test_memory_and_collectives(self):
        fit = next(f for f in self.profile["fits"] if f["what"] == "bytes bf16")
        self.assertEqual((fit["overhead_s"], fit["per_s"]), (3e-5, 2**30))
        # Of 4 ranks 6 hops: 10 + 6 * 5 us, and 6/4 of 2^20 at 2^29 a second.
        row = next(c for c in self.profile["collectives"] if c["ranks"] == 4 and c["bytes"] == 2**20)
        self.assertEqual(row["operation"], "all_reduce")
        self.assertAlmostEqual(row["mean_s"], 40e-6 + 1.5 * 2**20 / 2**29, places=8)
        self.assertEqual({c["operation"] for c in self.profile["collectives"]}, {"all_reduce"})

    def test_refuses_what_is_no_system_file(self):
        for text in ("{}", "no json"):
            done, profile = convert(text)
            self.assertEqual(done.returncode, 1)
            self.assertIsNone(profile)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
