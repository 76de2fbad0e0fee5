#!/usr/bin/env python3
"""Tells sources whose step times were put together from parts, not measured.

    tools/composed_rows.py            # the shipped rows
    tools/composed_rows.py FOLDER

Rows of a source that differ in the number of micro-batches alone are put in groups of at least three. Measured
steps scatter around a line; where all lie on it as closely as their digits allow, somebody computed them.
"""
import json
import pathlib
import sys
from collections import defaultdict

SHIPPED = pathlib.Path(__file__).resolve().parent.parent / "models" / "published"
TABLES = {"hardware.json", "sources.json", "split.json", "calibration.json"}


def rows_of(file):
    """(what stays the same, micro-batches, seconds) of each row that tells them."""
    for row in json.loads(file.read_text()):
        seconds = row["measured"]["step_time_s"]
        micro_batches = row["training"]["grad_accum"]
        if not seconds or not micro_batches:
            continue
        training = {k: v for k, v in row["training"].items() if k not in ("global_batch", "grad_accum")}
        same = [row["model"], row["hardware"], training, row["parallel"]]
        yield json.dumps(same, sort_keys=True), micro_batches, seconds


def off_the_line(points):
    """The largest distance from the line through the first and the last point, over the time there."""
    (m0, t0), *_, (m1, t1) = points
    slope = (t1 - t0) / (m1 - m0)
    return max(abs(t0 + slope * (m - m0) - t) / t for m, t in points)


def groups_of(file):
    groups = defaultdict(dict)
    for same, micro_batches, seconds in rows_of(file):
        groups[same][micro_batches] = seconds
    return [sorted(points.items()) for points in groups.values() if len(points) >= 3]


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    print(f"{'source':32} {'groups':>6} {'rows':>5} {'off the line, median':>21} {'most':>9}")
    for file in sorted(folder.glob("*.json")):
        groups = [] if file.name in TABLES else groups_of(file)
        if not groups:
            continue
        off = sorted(off_the_line(points) for points in groups)
        count = sum(len(points) for points in groups)
        print(f"{file.stem:32} {len(groups):6} {count:5} {off[len(off) // 2]:21.1e} {off[-1]:9.1e}")


if __name__ == "__main__":
    main()
