#!/usr/bin/env python3
"""Measures how a search grows with devices and layers, and writes the result into docs/planner.md.

    tools/search_growth.py COMMAND [DOCS] [--runs N]

COMMAND: the foreplan to measure; DOCS: the folder of documents, docs by default.

Runs `foreplan plan` to gap 0 on one thread: a network of 32 layers on 8 to 16,384 devices, networks of 8 to 200
layers on 512. Replaces what stands between the markers of planner.md and draws search_growth.svg. Processor time, user
and system, is of the whole process, so that other programs do not count: the mean of its runs; memory is the most that
the process held, as GNU time counts it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

from accuracy import table, write
from growth import Panel

BEGIN, END = "<!-- begin: tools/search_growth.py -->", "<!-- end: tools/search_growth.py -->"
DEVICES = [8 << i for i in range(12)]
LAYERS = [8, 16, 32, 64, 96, 128, 200]
USUAL_DEVICES, USUAL_LAYERS = 512, 32
BATCH = 2048

# The block of Llama 2 7B (Touvron et al., arXiv:2307.09288), as its config.json tells it.
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    "vocab_size": 32000,
}


def config(folder, layers):
    path = os.path.join(folder, f"llama-{layers}-layers.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**CONFIG, "num_hidden_layers": layers}, file)
    return path


def run(command, model, devices):
    """Processor time [s], memory [MB] and certificate of one search."""
    with tempfile.NamedTemporaryFile("w+") as usage:
        # A small program starts it: what a child holds begins with what its parent did.
        call = ["/usr/bin/time", "-o", usage.name, "-f", "%U %S %M", command, "plan", model]
        call += ["--cluster", f"dgx-a100x{devices // 8}", "--global-batch", str(BATCH)]
        call += ["--threads", "1", "--json"]
        done = subprocess.run(call, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"search_growth: {' '.join(call)} failed: {done.stderr}")
        user, system, kilobytes = usage.read().split()[-3:]
    certificate = json.loads(done.stdout)["certificate"]
    if certificate["gap"] != 0:
        sys.exit(f"search_growth: {' '.join(call)}: expected gap 0, got {certificate['gap']}")
    return float(user) + float(system), int(kilobytes) * 1024 / 1e6, certificate


def measure(asked, model, devices):
    results = [run(asked.command, model, devices) for _ in range(asked.runs)]
    times, memory, certificates = zip(*results)
    return sum(times) / asked.runs, max(memory), certificates[0]


def rows_of(title, rows):
    head = [title, "strategies [millions]", "simulated", "processor time [s]", "memory [MB]"]
    return table(head, [[f"{size:,}", f"{proof['strategies'] / 1e6:,.1f}", f"{proof['simulated']:,}",
                         f"{time:.2f}", f"{memory:.0f}"] for size, (time, memory, proof) in rows])


def decades(values):
    """Powers of ten around values."""
    low = high = 1.0
    while low > min(values):
        low /= 10
    while low * 10 <= min(values):
        low *= 10
    while high < max(values):
        high *= 10
    return low, max(high, 10 * low)


def draw(devices, layers):
    """The figure as SVG: time above, strategies below; devices to the left, layers to the right."""
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" width="830" height="580" '
             'font-family="sans-serif" font-size="11">', '<rect width="830" height="580" fill="#fff"/>']
    both = devices + layers
    for top, title, unit, color, value in [
            (0, "processor time of a search", "s", "#1f77b4", lambda row: row[1][0]),
            (285, "strategies", "M", "#d62728", lambda row: row[1][2]["strategies"] / 1e6)]:
        limits = decades([value(row) for row in both])
        for column, (what, rows) in enumerate([("devices", devices), ("layers", layers)]):
            panel = Panel(410 * column, top, [row[0] for row in rows], *limits)
            lines += panel.frame(f"{title}, by {what}", unit)
            lines += panel.line([value(row) for row in rows], color)
    return "\n".join(lines + ["</svg>", ""])


def generated(devices, layers, runs):
    return "\n".join([
        BEGIN,
        f"Mean of {runs} runs.\n",
        "![processor time and strategies, by devices and by layers](search_growth.svg)\n",
        f"{USUAL_LAYERS} layers, devices grow:\n", rows_of("devices", devices),
        f"{USUAL_DEVICES} devices, layers grow:\n", rows_of("layers", layers),
        END,
    ])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command")
    parser.add_argument("docs", nargs="?", default="docs")
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def main():
    asked = arguments()
    path = os.path.join(asked.docs, "planner.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    if BEGIN not in page or END not in page:
        sys.exit(f"search_growth: {path}: expected the lines {BEGIN} and {END}")
    with tempfile.TemporaryDirectory() as folder:
        usual = config(folder, USUAL_LAYERS)
        devices = [(n, measure(asked, usual, n)) for n in DEVICES]
        layers = [(n, measure(asked, config(folder, n), USUAL_DEVICES)) for n in LAYERS]
    before, rest = page.split(BEGIN, 1)
    write(path, before + generated(devices, layers, asked.runs) + rest.split(END, 1)[1])
    write(os.path.join(asked.docs, "search_growth.svg"), draw(devices, layers))


if __name__ == "__main__":
    main()
