#!/usr/bin/env python3
"""Turns a SimuMax system file into a foreplan profile.

    tools/convert_simumax.py SYSTEM.json -o PROFILE.json --source TEXT

A system file (MooreThreads/SimuMax, configs/system; Apache 2.0) tells efficiencies of products and attention
by shape, as they were measured, and of memory and collectives, as they were fitted. Of it foreplan gets the
seconds that they stand for (SimuMax docs/system.md):

    op          seconds = FLOPs / (tflops 1e12 efficiency)
    memory      seconds = latency + bytes / (gbps 2^30 efficiency), for whatever is no product
    collective  seconds = fixed + latency hops + bytes hops / (ranks gbps 2^30 efficiency), where one node's were
                fitted; hops = scale (ranks + offset)

with these FLOPs: products 2 m k n; grouped products 2 ng M K N; attention, counted in full though it is causal,
2 b s^2 heads (qk + v) forward and 5 b s^2 heads (qk + v) backward. Products are known by their layout: TN is
forward [m, k, n], NN the gradient of the input, NT that of the weights. Where weights' gradients of both
formats were measured, those in fp32 are taken. Efficiencies of 0 stand for nothing and are left out.
"""

import argparse
import json
import sys

GIB = 2**30


def fields(key):
    """{"m": "4096", ...} of "b=1, m=4096, ..."."""
    return dict(part.split("=", 1) for part in key.split(", "))


def sample(seconds):
    return {"mean_s": seconds, "median_s": seconds, "mad_s": 0, "samples": 1, "disturbed": 0}


def op(name, step, shape, dtype, flops, traffic, seconds, accumulate=False):
    row = {"op": name, "pass": step, "shape": shape, "dtype": dtype}
    if accumulate:
        row["accumulate"] = True
    return {**row, "flops": flops, "bytes_accessed": traffic, **sample(float(f"{seconds:.6g}"))}


def measured(table):
    """(fields, efficiency, peak FLOP/s) of every shape that a table of efficiencies has."""
    for key, efficiency in table.get("accurate_efficient_factor", {}).items():
        if efficiency > 0:
            yield fields(key), efficiency, table["tflops"] * 1e12


def products(table):
    for f, efficiency, peak in measured(table):
        m, k, n = int(f["m"]), int(f["k"]), int(f["n"])
        backward_weight = f["layout"] == "NT"
        if int(f["b"]) != 1 or (backward_weight and f["out_dtype"] != "fp32"):
            continue
        step, shape = {
            "TN": ("forward", [m, k, n]),
            "NN": ("backward_input", [m, n, k]),
            "NT": ("backward_weight", [k, n, m]),
        }[f["layout"]]
        flops = 2 * m * k * n
        traffic = 2 * (m * k + k * n) + (4 if f["out_dtype"] == "fp32" else 2) * m * n
        yield op("matmul", step, shape, "bf16", flops, traffic, flops / (peak * efficiency),
                 f["accumulate"] == "True")


def grouped_products(table):
    steps = {"fwd": "forward", "bwd_grad_act": "backward_input", "bwd_grad_w": "backward_weight"}
    for f, efficiency, peak in measured(table):
        if f["main_grad_dtype"] != "fp32":
            continue
        groups, m, k, n = int(f["ng"]), int(f["M"]), int(f["K"]), int(f["N"])
        flops = 2 * groups * m * k * n
        traffic = 2 * groups * (m * k + k * n + m * n)
        yield op("expert_linear", steps[f["stage"]], [groups, groups * m, k, n], f["dtype"], flops,
                 traffic, flops / (peak * efficiency), f["accumulate"] == "True")


def attention(table, step, counted):
    """`counted`: FLOPs that SimuMax counts for a score and feature, two products forward, five backward."""
    for f, efficiency, peak in measured(table):
        if f.get("qkv_contiguous", "True") != "True":
            continue
        b, s, heads = int(f["batch"]), int(f["seq_len"]), int(f["head_num"])
        kv_heads, qk, v = int(f["kv_head_num"]), int(f["qk_head_dim"]), int(f["v_head_dim"])
        scores = b * s * s * heads
        # As foreplan counts them: models/op_cost.hpp.
        flops = scores * (2 * (qk + v) + 5 if step == "forward" else 4 * (qk + v) + 4)
        traffic = 2 * b * s * (heads + kv_heads) * (qk + v)
        yield op("causal_attention", step, [b, heads, kv_heads, s, s, s, qk, v], "bf16", flops, traffic,
                 counted * scores * (qk + v) / (peak * efficiency))


def fit(what, bandwidth):
    return {
        "what": what,
        "variable": "bytes",
        "overhead_s": round(bandwidth["latency_us"] * 1e-6, 9),
        "per_s": bandwidth["gbps"] * GIB * bandwidth["efficient_factor"],
        "residual": 0,
        "points": 0,
        "fitted_on": "SimuMax's own fit of accelerator.bandwidth",
    }


def fits(bandwidth):
    for dtype in ("fp32", "bf16"):
        yield fit(f"bytes {dtype}", bandwidth["default"])
    names = {
        "permute_fwd": ["dispatch.forward bf16", "combine.forward bf16"],
        "permute_bwd": ["dispatch.backward_input bf16", "combine.backward_input bf16"],
        "ce_fusion" if "ce_fusion" in bandwidth else "ce": [
            "softmax_cross_entropy.forward bf16",
            "softmax_cross_entropy.backward_input bf16",
        ],
    }
    for key, ops in names.items():
        for name in ops if key in bandwidth else []:
            yield fit(name, bandwidth[key])


def collectives(network):
    """Seconds of SimuMax's fitted lines at some sizes, among 2, 4 and 8 ranks of a node."""
    names = {"all_reduce": "all_reduce", "all_gather": "all_gather",
             "reduce_scatter": "reduce_scatter", "all2all": "all_to_all"}
    for name, operation in names.items():
        line = network["op"][name]
        if "efficient_factor" not in line:
            continue
        rate = network["bandwidth"]["gbps"] * GIB * line["efficient_factor"]
        fixed = line.get("fixed_latency_us_by_comm_num", {})
        for ranks in (2, 4, 8):
            hops = (ranks + line["offset"]) * line["scale"]
            start = line["latency_us"] * hops
            start += fixed.get(str(ranks), line.get("fixed_latency_us", 0))
            for size in (2**20, 2**36):
                seconds = start * 1e-6 + size * hops / ranks / rate
                yield {"operation": operation, "ranks": ranks, "bytes": size,
                       **sample(float(f"{seconds:.6g}"))}


def profile(system, source):
    accelerator = system["accelerator"]
    ops = accelerator["op"]
    rows = [
        *products(ops["matmul"]),
        *grouped_products(ops["group_matmul"]),
        *attention(ops["sdp_fwd"], "forward", 2),
        *attention(ops["sdp_bwd"], "backward_input", 5),
    ]
    nothing = sample(0)
    network = system["networks"].get("high_intra_node")
    return {
        "schema": "foreplan.profile/1",
        "source": source,
        "device": {"name": system["sys_name"], "backend": accelerator["backend"], "memory_bytes": 0,
                   "clock_mhz": 0, "driver": "", "measured_at": "", "workers": system["num_per_node"]},
        "ops": rows,
        "copies": [],
        "collectives": list(collectives(network)) if network else [],
        "dispatch": nothing,
        "handover": nothing,
        "barrier": nothing,
        "fits": list(fits(accelerator["bandwidth"])),
    }


def text(document):
    """JSON with a line for each row."""
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            rows = ",\n".join("    " + json.dumps(row) for row in value)
            lines.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("system")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--source", required=True, help="where the file is from, and its licence")
    arguments = parser.parse_args()
    try:
        with open(arguments.system, encoding="utf-8") as file:
            system = json.load(file)
        document = text(profile(system, arguments.source))
    except (OSError, ValueError) as error:
        sys.exit(f"{arguments.system}: {error}")
    except KeyError as error:
        sys.exit(f"{arguments.system}: expected a SimuMax system file, which has the key {error}")
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(document)


if __name__ == "__main__":
    main()
