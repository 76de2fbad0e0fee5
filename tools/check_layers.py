#!/usr/bin/env python3
"""Fails where a file includes what its floor may not see.

    tools/check_layers.py [ROOT]

Reads the preprocessor lines of sim, models, planner, profiler, runtime and tools, and prints
`file:line: what is wrong` for each:

- an include of a floor that this floor may not include (the table below), or of tests or bench;
- a quoted include that is not written from the root;
- JSON, Eigen, Boost, CUDA, oneDNN or CLI11 in a header (nlohmann/json_fwd.hpp may stand there);
- CUDA or CUPTI anywhere but in runtime/cuda and profiler/cupti;
- conditional compilation other than an include guard; runtime and profiler may ask the
  compiler about itself, never for a build option: what a build may lack is a file of its own
  and its `_unavailable` twin.

Exit status: 0 all floors hold, 1 something is wrong, 2 there was nothing to read.
"""

import re
import sys
from pathlib import Path

# What a floor may include besides itself.
MAY_INCLUDE = {
    "sim": set(),
    "models": {"sim"},
    "planner": {"models", "sim"},
    "profiler": {"models", "sim"},
    "runtime": {"models", "sim"},
    "tools": {"models", "planner", "profiler", "runtime", "sim"},
}
SUFFIXES = {".hpp", ".cpp", ".cu", ".cuh"}
HEADERS = {".hpp", ".cuh"}
GPU_FOLDERS = ("runtime/cuda/", "profiler/cupti/")

COMPILER_MACROS = {
    "__x86_64__",
    "__aarch64__",
    "__GNUC__",
    "__clang__",
    "__OPTIMIZE__",
    "__SANITIZE_ADDRESS__",
    "__SANITIZE_THREAD__",
}
MAY_ASK_THE_COMPILER = ("runtime/", "profiler/")

INCLUDE = re.compile(r'#\s*include\s*([<"])([^>"]+)[>"]')
CONDITIONAL = re.compile(r"#\s*(if|ifdef|ifndef|elif|else|endif)\b\s*(.*)")
GPU = re.compile(r"(cuda|cublas|cupti|nccl|nvml|nvtx|device_launch_parameters)", re.IGNORECASE)
HEAVY = re.compile(r"(nlohmann/(?!json_fwd\.hpp)|Eigen/|boost/|CLI/|oneapi/|dnnl)")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def directives(text):
    """Yields (line number, text) of every preprocessor line outside comments."""
    bare = COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), text)
    lines = enumerate(bare.split("\n"), start=1)
    for number, line in lines:
        if not line.lstrip().startswith("#"):
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines, (0, ""))[1]
        yield number, line.strip()


def asks_the_compiler(line):
    """Whether this opens a condition on nothing but the compiler's own macros."""
    condition = re.match(r"#\s*(if|ifdef|ifndef)\b(.*)", line)
    if not condition:
        return False
    names = set(re.findall(r"[A-Za-z_]\w*", condition.group(2))) - {"defined"}
    return bool(names) and names <= COMPILER_MACROS


def compiler_conditions(lines):
    """The line numbers of the conditions that ask the compiler, with their #else and #endif."""
    allowed, open_conditions = set(), []
    for number, line in lines:
        if re.match(r"#\s*if", line):
            open_conditions.append(asks_the_compiler(line))
        elif not re.match(r"#\s*(else|endif)\b", line):
            continue
        if open_conditions and open_conditions[-1]:
            allowed.add(number)
        if open_conditions and re.match(r"#\s*endif", line):
            open_conditions.pop()
    return allowed


def include_guard(lines):
    """The line numbers of an include guard around the whole file."""
    if len(lines) < 3:
        return set()
    opened = re.fullmatch(r"#\s*ifndef\s+(\w+)", lines[0][1])
    defined = re.fullmatch(r"#\s*define\s+(\w+)", lines[1][1])
    closed = re.match(r"#\s*endif\b", lines[-1][1])
    if opened and defined and closed and opened.group(1) == defined.group(1):
        return {lines[0][0], lines[-1][0]}
    return set()


def complaint_about_quoted(floor, included):
    target = included.split("/")[0]
    if target == floor or target in MAY_INCLUDE[floor]:
        return None
    if target in MAY_INCLUDE or target in ("tests", "bench"):
        allowed = ", ".join(sorted(MAY_INCLUDE[floor])) or "nothing else"
        return f"{floor} may include {allowed}, not {included}"
    return f'write the include from the root, not as "{included}"'


def complaint_about_library(file, included):
    gpu = GPU.search(included) is not None
    if gpu and not file.startswith(GPU_FOLDERS):
        return f"<{included}> belongs in {' or '.join(GPU_FOLDERS)}"
    if HEAVY.match(included) and Path(file).suffix in HEADERS:
        return f"<{included}> stays out of headers"
    return None


def complaint_about(file, line):
    include = INCLUDE.match(line)
    if include:
        quote, included = include.groups()
        if quote == "<":
            return complaint_about_library(file, included)
        return complaint_about_quoted(file.split("/")[0], included)
    conditional = CONDITIONAL.match(line)
    if conditional:
        return f"no conditional compilation: #{' '.join(conditional.groups()).strip()}"
    return None


def check_file(root, path):
    file = path.relative_to(root).as_posix()
    lines = list(directives(path.read_text(encoding="utf-8")))
    allowed = include_guard(lines)
    if file.startswith(MAY_ASK_THE_COMPILER):
        allowed |= compiler_conditions(lines)
    for number, line in lines:
        complaint = None if number in allowed else complaint_about(file, line)
        if complaint:
            yield f"{file}:{number}: {complaint}"


def main(arguments):
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    paths = [
        path
        for floor in MAY_INCLUDE
        for path in sorted((root / floor).rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    ]
    if not paths:
        print(f"{root}: found no source files of any floor", file=sys.stderr)
        return 2
    complaints = [complaint for path in paths for complaint in check_file(root, path)]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
