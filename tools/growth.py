#!/usr/bin/env python3
"""Measures how an estimate grows with devices and micro-batches: the whole process, cold.

    tools/growth.py COMMAND [SVG]     COMMAND: the foreplan to measure; SVG: docs/growth.svg by default

Each row is the mean processor time of its runs, user and system, so that other programs do not count, the
least wall time, and the most memory the process held, as GNU time counts it. Prints the tables of
docs/growth.md and draws the figure.
"""

import json
import math
import os
import subprocess
import sys
import time

RUNS = 15
MODEL = ["gpt3-175b", "--seq", "2048"]
DEVICES = [8 << i for i in range(12)]
MICRO_BATCHES = [1 << i for i in range(11)]


def by_devices(devices):
    """Nodes of 8: tp within one, then up to 8 stages, then replicas; 64 micro-batches each."""
    pp = min(8, devices // 8)
    dp = devices // (8 * pp)
    vpp = 3 if pp > 1 else 1
    return (f"dgx-a100x{devices // 8}", f"tp=8,pp={pp},vpp={vpp},dp={dp},micro_batch=1", 64 * dp)


def by_micro_batches(count):
    return "dgx-a100x8", "tp=8,pp=8,micro_batch=1", count


def run(command, row):
    """Processor time [ms], wall time [ms], memory [MB] and tasks of one estimate."""
    cluster, strategy, batch = row
    # A small program starts it: what a child holds begins with what its parent did.
    call = ["/usr/bin/time", "-f", "%M", command, "estimate", *MODEL, "--cluster", cluster]
    call += ["--strategy", strategy, "--global-batch", str(batch), "--json"]
    start = time.perf_counter()
    child = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    text, errors = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"growth: {' '.join(call)} failed: {errors}")
    memory = int(errors.split()[-1]) * 1024 / 1e6
    return 1e3 * (usage.ru_utime + usage.ru_stime), 1e3 * wall, memory, json.loads(text)["tasks"]


def measure(command, row):
    busy, wall, memory, tasks = zip(*[run(command, row) for _ in range(RUNS)])
    return sum(busy) / RUNS, min(wall), max(memory), tasks[0]


def print_table(title, rows):
    print(f"| {title} | strategy | tasks | processor time [ms] | wall time [ms] | memory [MB] |")
    print("|---|---|---|---|---|---|")
    for size, (_, strategy, _), (busy, wall, memory, tasks) in rows:
        print(f"| {size:,} | `{strategy}` | {tasks:,} | {busy:.1f} | {wall:.1f} | {memory:.1f} |")
    print()


class Panel:
    """A plot with logarithmic axes, base 2 to the right and base 10 upwards."""

    WIDTH, HEIGHT, MARGIN = 325, 220, 60

    def __init__(self, left, top, sizes, lowest, highest):
        self.left, self.top, self.sizes = left + self.MARGIN, top + 30, sizes
        self.lowest, self.highest = lowest, highest

    def x(self, size):
        first, last = math.log2(self.sizes[0]), math.log2(self.sizes[-1])
        return self.left + self.WIDTH * (math.log2(size) - first) / (last - first)

    def y(self, value):
        first, last = math.log10(self.lowest), math.log10(self.highest)
        return self.top + self.HEIGHT * (1 - (math.log10(value) - first) / (last - first))

    def frame(self, title, unit):
        right, bottom = self.left + self.WIDTH, self.top + self.HEIGHT
        yield f'<text x="{self.left}" y="{self.top - 10}">{title}</text>'
        yield (f'<rect x="{self.left}" y="{self.top}" width="{self.WIDTH}" '
               f'height="{self.HEIGHT}" fill="none" stroke="#999"/>')
        value = self.lowest
        while value <= self.highest * 1.001:
            yield f'<path d="M{self.left} {self.y(value):.1f}H{right}" stroke="#ddd"/>'
            yield (f'<text x="{self.left - 6}" y="{self.y(value) + 4:.1f}" '
                   f'text-anchor="end">{value:g} {unit}</text>')
            value *= 10
        for size in self.sizes[::2]:
            yield (f'<text x="{self.x(size):.1f}" y="{bottom + 16}" '
                   f'text-anchor="middle">{size:,}</text>')

    def line(self, values, color):
        points = [(self.x(s), self.y(v)) for s, v in zip(self.sizes, values)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        yield f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'


def draw(devices, micro_batches):
    """The figure as SVG: time above, memory below; devices to the left, micro-batches to the right."""
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" width="830" height="580" '
             'font-family="sans-serif" font-size="11">', '<rect width="830" height="580" fill="#fff"/>']
    for column, (what, rows) in enumerate([("devices", devices), ("micro-batches", micro_batches)]):
        sizes = [row[0] for row in rows]
        for top, title, unit, values, color, limits in [
                (0, "processor time", "ms", [r[2][0] for r in rows], "#1f77b4", (1, 100)),
                (285, "memory", "MB", [r[2][2] for r in rows], "#d62728", (1, 100))]:
            panel = Panel(410 * column, top, sizes, *limits)
            lines += panel.frame(f"{title}, by {what}", unit)
            lines += panel.line(values, color)
    return "\n".join(lines + ["</svg>", ""])


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    command = sys.argv[1]
    target = sys.argv[2] if len(sys.argv) == 3 else "docs/growth.svg"
    devices = [(n, by_devices(n), measure(command, by_devices(n))) for n in DEVICES]
    print_table("devices", devices)
    counts = [(m, by_micro_batches(m), measure(command, by_micro_batches(m))) for m in MICRO_BATCHES]
    print_table("micro-batches", counts)
    with open(target, "w", encoding="utf-8") as file:
        file.write(draw(devices, counts))


if __name__ == "__main__":
    main()
