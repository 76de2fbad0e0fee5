"""Runs every ```sh block of the README, in order, in one empty folder.

    readme_test.py README.md FOLDER_OF_THE_COMMAND
"""

import os
import re
import subprocess
import sys
import tempfile


def blocks(text):
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def main():
    readme, folder = sys.argv[1], os.path.abspath(sys.argv[2])
    with open(readme, encoding="utf-8") as file:
        found = blocks(file.read())
    if not found:
        sys.exit(f"{readme}: no sh blocks")
    environment = dict(os.environ, PATH=folder + os.pathsep + os.environ["PATH"])
    with tempfile.TemporaryDirectory() as work:
        for block in found:
            print(block, flush=True)
            result = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=work,
                                    env=environment, check=False)
            if result.returncode != 0:
                sys.exit(f"{readme}: exit status {result.returncode} from:\n{block}")
    print(f"{len(found)} blocks passed")


if __name__ == "__main__":
    main()
