#!/usr/bin/env python3
"""Writes the generated part of docs/accuracy.md: how far forecasts are from what others measured.

    tools/accuracy.py COMMAND [DOCS]     COMMAND: the foreplan to ask; DOCS: the folder of documents, docs by default

Asks `foreplan published` and replaces what stands between the markers of accuracy.md: targets, tables by source,
residuals by group, the ten worst rows with what DOCS/accuracy_notes.json knows of them. Draws
accuracy_scatter.svg and accuracy_residuals.svg. Rows of low trust count nowhere, held-out rows alone count.
"""

import json
import math
import os
import re
import subprocess
import sys

BEGIN, END = "<!-- begin: tools/accuracy.py -->", "<!-- end: tools/accuracy.py -->"
TRUSTED = ("high", "medium")

# What is asked of the cost model: rows, [error, what it is], what the best others report there.
TARGETS = [
    ("Korthikanti, 22B to 1T", lambda r: r["source"] == "korthikanti_2022" and "dp8" not in r["id"],
     "2.5 %, max 6 %", "Calculon 3.65 %, max 8.9 %"),
    ("Megatron SC21, table 1", lambda r: r["id"].startswith("megatron-sc21-t1"), "6 %", ""),
    ("vTrain, 64 to 512 GPUs", lambda r: r["source"] == "vtrain_multi", "8 %, Spearman 0.97",
     "vTrain 14.7 %, Calculon 15.3 % (0.889)"),
    ("vTrain, one node, MFU of 10 % and more",
     lambda r: r["source"] == "vtrain_single" and (r["measured_mfu"] or 0) >= 0.10, "8 %",
     "vTrain 8.4 %, Calculon 38.9 %"),
    ("SimuMax B200", lambda r: r["source"] == "simumax_b200", "3.5 % with its profile",
     "SimuMax 5.6 %"),
    ("BLOOM prequel", lambda r: r["source"] == "bloom_prequel_a100", "6 %", ""),
    ("dgxc", lambda r: r["source"] == "dgxc_benchmarking", "9 %", ""),
    ("llm-foundry", lambda r: r["source"] == "llm_foundry_mpt", "9 %", ""),
    ("torchtitan", lambda r: r["source"] == "torchtitan", "9 %", ""),
    ("NeMo", lambda r: r["source"] == "nemo_docs", "9 %", ""),
    ("nanotron", lambda r: r["source"] == "nanotron_best", "9 %", ""),
    ("every row that took part in no fit", lambda r: True, "10 %, two thirds of the naive error",
     "naive by source"),
]


def ask(command, *flags):
    call = [command, "published", *flags]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"accuracy: {' '.join(call)} failed: {done.stderr}")
    return done.stdout


def mean(values):
    return sum(values) / len(values)


def ranks(values):
    order = sorted(range(len(values)), key=lambda i: values[i])
    result = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        for i in range(at, end):
            result[order[i]] = (at + end - 1) / 2
        at = end
    return result


def spearman(rows):
    a, b = ranks([r["forecast_s"] for r in rows]), ranks([r["measured_s"] for r in rows])
    ma, mb = mean(a), mean(b)
    cov = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    size = math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))
    return cov / size if size else 0.0


def percent(value):
    return f"{100 * value:.1f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def targets(rows):
    lines = []
    for name, belongs, target, best in TARGETS:
        mine = [r for r in rows if belongs(r)]
        errors = [abs(r["error"]) for r in mine]
        lines.append([name, len(mine), percent(mean(errors)), percent(max(errors)),
                      percent(mean([r["error"] for r in mine])), f"{spearman(mine):.3f}", target, best])
    return table(["rows", "number", "MAPE %", "max %", "bias %", "Spearman", "to reach",
                  "the best others report"], lines)


def value_of(strategy, key, default=1):
    found = re.search(rf"(?:^|,){key}=([^,]+)", strategy)
    return found.group(1) if found else str(default)


def groups(rows):
    """Residuals against what a row was: name of a group, value, rows."""
    result = {}

    def put(name, value, row):
        result.setdefault((name, value), []).append(row)

    for r in rows:
        s = r["strategy"]
        for key in ("tp", "pp", "cp", "ep", "zero"):
            put(key, int(value_of(s, key, 0 if key == "zero" else 1)), r)
        put("recompute", value_of(s, "recompute", "none"), r)
        put("devices, power of 4", 4 ** int(math.log(max(1, devices(s)), 4)), r)
        mfu = r["measured_mfu"]
        if mfu:
            put("measured MFU, %", f"{int(10 * mfu) * 10:2d} to {int(10 * mfu) * 10 + 10}", r)
    return result


def devices(strategy):
    return math.prod(int(value_of(strategy, key)) for key in ("dp", "tp", "pp", "cp"))


def residuals(rows):
    lines = []
    for (name, value), mine in sorted(groups(rows).items(), key=lambda g: (g[0][0], str(g[0][1]).zfill(8))):
        if len(mine) < 5:
            continue
        errors = [r["error"] for r in mine]
        lines.append([name, value, len(mine), percent(mean([abs(e) for e in errors])),
                      percent(mean(errors))])
    return table(["what", "value", "rows", "MAPE %", "bias %"], lines)


def worst(rows, notes):
    ordered = sorted(rows, key=lambda r: -abs(math.log(r["forecast_s"] / r["measured_s"])))
    taken, seen = [], {}
    for r in ordered:
        seen[r["source"]] = seen.get(r["source"], 0) + 1
        if seen[r["source"]] <= 2:
            taken.append(r)
        if len(taken) == 10:
            break
    lines = []
    for r in taken:
        note = next((text for prefix, text in notes.items() if r["id"].startswith(prefix)),
                    "not understood")
        strategy = re.sub(r",layers=[^,]+", "", r["strategy"])
        lines.append([r["id"], f"`{strategy}`", f"{r['forecast_s']:.4g}", f"{r['measured_s']:.4g}",
                      f"{100 * r['error']:+.1f}", note])
    return table(["row", "strategy", "forecast s", "measured s", "error %", "believed cause"], lines)


COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777"]


def colour(source, sources):
    return COLOURS[sources.index(source) % len(COLOURS)]


def svg(width, height, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(body) + "\n</svg>\n")


def mark(x, y, index, fill):
    """Sources that share a colour differ in shape."""
    if index < len(COLOURS):
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{fill}" fill-opacity="0.6"/>'
    if index < 2 * len(COLOURS):
        return (f'<rect x="{x - 2.2:.1f}" y="{y - 2.2:.1f}" width="4.4" height="4.4" fill="{fill}" '
                f'fill-opacity="0.6"/>')
    return (f'<path d="M {x:.1f} {y - 3:.1f} l 3 5 l -6 0 z" fill="{fill}" fill-opacity="0.6"/>')


def legend(sources, left, top):
    body = []
    for i, source in enumerate(sources):
        y = top + 15 * i
        body.append(mark(left, y - 4, i, colour(source, sources)))
        body.append(f'<text x="{left + 8}" y="{y}">{source}</text>')
    return body


class Axes:
    """A panel; to the right the logarithm of seconds or of FLOP/s, upwards `low` to `high`."""

    def __init__(self, size, low, high):
        self.left, self.top, self.size, self.low, self.high = 60, 20, size, low, high

    def place(self, value, low, high):
        return (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))

    def x(self, value):
        return self.left + self.size * self.place(value, self.low, self.high)

    def decades(self, low, high):
        return [10.0**e for e in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def scatter(rows, sources):
    axes = Axes(420, 3e-3, 3e3)
    bottom = axes.top + axes.size

    def y(value):
        return bottom - axes.size * axes.place(value, axes.low, axes.high)

    body = [f'<rect x="{axes.left}" y="{axes.top}" width="{axes.size}" height="{axes.size}" fill="none" '
            f'stroke="black"/>']
    for v in axes.decades(axes.low, axes.high):
        body.append(f'<text x="{axes.x(v):.1f}" y="{bottom + 14}" text-anchor="middle">{v:g}</text>')
        body.append(f'<text x="{axes.left - 4}" y="{y(v) + 4:.1f}" text-anchor="end">{v:g}</text>')
    for factor, dash in ((1, ""), (1.1, "3,3"), (1 / 1.1, "3,3"), (2, "1,3"), (0.5, "1,3")):
        low, high = max(axes.low, axes.low / factor), min(axes.high, axes.high / factor)
        body.append(f'<line x1="{axes.x(low):.1f}" y1="{y(low * factor):.1f}" x2="{axes.x(high):.1f}" '
                    f'y2="{y(high * factor):.1f}" stroke="black" stroke-width="0.7" '
                    f'stroke-dasharray="{dash}"/>')
    for r in rows:
        body.append(mark(axes.x(r["measured_s"]), y(r["forecast_s"]), sources.index(r["source"]),
                         colour(r["source"], sources)))
    body.append(f'<text x="{axes.left + axes.size / 2}" y="{bottom + 32}" text-anchor="middle">'
                "measured step [s]; lines: equal, 10 % off, a factor of 2</text>")
    body.append(f'<text x="14" y="{axes.top + axes.size / 2}" transform="rotate(-90 14 '
                f'{axes.top + axes.size / 2})" text-anchor="middle">forecast step [s]</text>')
    return svg(720, 490, body + legend(sources, axes.left + axes.size + 20, axes.top + 12))


def residual_plot(rows, sources):
    axes = Axes(420, 0.005, 1.0)
    height, middle = 300, 20 + 150

    def y(error):
        clipped = max(-1.0, min(1.0, error))
        return middle - clipped * height / 2

    body = [f'<rect x="{axes.left}" y="{axes.top}" width="{axes.size}" height="{height}" fill="none" '
            f'stroke="black"/>']
    for error in (-1, -0.5, -0.1, 0, 0.1, 0.5, 1):
        body.append(f'<line x1="{axes.left}" y1="{y(error):.1f}" x2="{axes.left + axes.size}" '
                    f'y2="{y(error):.1f}" stroke="black" stroke-width="{0.8 if error == 0 else 0.3}"/>')
        body.append(f'<text x="{axes.left - 4}" y="{y(error) + 4:.1f}" text-anchor="end">'
                    f'{100 * error:+.0f} %</text>')
    for mfu in (0.01, 0.03, 0.1, 0.2, 0.4, 0.8):
        body.append(f'<text x="{axes.x(mfu):.1f}" y="{axes.top + height + 14}" text-anchor="middle">'
                    f'{100 * mfu:g} %</text>')
    for r in rows:
        if r["measured_mfu"] and r["measured_mfu"] > axes.low:
            body.append(mark(axes.x(min(1, r["measured_mfu"])), y(r["error"]), sources.index(r["source"]),
                             colour(r["source"], sources)))
    body.append(f'<text x="{axes.left + axes.size / 2}" y="{axes.top + height + 32}" text-anchor="middle">'
                "measured MFU; upwards forecast / measured - 1</text>")
    return svg(720, 370, body + legend(sources, axes.left + axes.size + 20, axes.top + 12))


def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def generated(command, rows, notes):
    held_out = ask(command, "--markdown", "--split", "test")
    everything = ask(command, "--markdown", "--split", "all")
    everything = everything[:everything.index("The ten worst rows")]
    held_out = held_out[:held_out.index("The ten worst rows")]
    return "\n".join([
        BEGIN,
        "**Targets, held-out rows.**\n", targets(rows),
        "![forecast against measured](accuracy_scatter.svg)\n",
        "![residuals against measured MFU](accuracy_residuals.svg)\n",
        "### Held-out rows, by source\n", held_out,
        "### All rows, those of the fits among them\n", everything,
        "### Residuals of held-out rows\n", residuals(rows),
        "### The ten worst held-out rows, at most two of a source\n", worst(rows, notes),
        END,
    ])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    command, docs = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "docs"
    record = json.loads(ask(command, "--json"))
    rows = [r for r in record["rows"] if r["measured_s"] and r["trust"] in TRUSTED and r["split"] == "test"]
    sources = sorted({r["source"] for r in rows})
    with open(os.path.join(docs, "accuracy_notes.json"), encoding="utf-8") as file:
        notes = json.load(file)
    path = os.path.join(docs, "accuracy.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    if BEGIN not in page or END not in page:
        sys.exit(f"accuracy: {path}: expected the lines {BEGIN} and {END}")
    before, rest = page.split(BEGIN, 1)
    write(path, before + generated(command, rows, notes) + rest.split(END, 1)[1])
    write(os.path.join(docs, "accuracy_scatter.svg"), scatter(rows, sources))
    write(os.path.join(docs, "accuracy_residuals.svg"), residual_plot(rows, sources))


if __name__ == "__main__":
    main()
