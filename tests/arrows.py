#!/usr/bin/env python3
"""Compares the arrows of the drawing in ARCHITECTURE.md with the dependencies that the crates have.

    tests/arrows.py            fails when they differ
    tests/arrows.py --write    writes them
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "ARCHITECTURE.md"
# The program, then who needs most first; tools for tests alone are left out.
PROGRAM = "forecastd"
LEFT_OUT = {"forecastd-testkit", "forecastd-fuzz"}
DRAWING = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)


def arrows():
    """Pairs of who depends and on whom, without what a path of others says already."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["name"]: package for package in metadata["packages"] if package["name"] not in LEFT_OUT}
    needs = {name: {dependency["name"] for dependency in package["dependencies"]
                    if dependency["kind"] is None and dependency["name"] in packages}
             for name, package in packages.items()}

    def reach(name):
        return set().union(*({near} | reach(near) for near in needs[name]), set())

    return sorted((name, near) for name in needs for near in needs[name]
                  if not any(near in reach(other) for other in needs[name] - {near}))


def drawing(pairs):
    def short(name):
        return "program" if name == PROGRAM else name.removeprefix(PROGRAM + "-")
    lines = ["flowchart TD", f"    program([{PROGRAM}: the program])"]
    lines += [f"    {short(who)} --> {short(whom)}" for who, whom in pairs]
    return "\n".join(lines) + "\n"


def main():
    text = DOCUMENT.read_text(encoding="utf-8")
    found = DRAWING.search(text)
    if found is None:
        sys.exit(f"{DOCUMENT.name}: no drawing")
    wanted = drawing(arrows())
    if found.group(1) == wanted:
        return
    if "--write" not in sys.argv[1:]:
        sys.exit(f"{DOCUMENT.name}: the arrows are not those of the crates; run tests/arrows.py --write\n{wanted}")
    DOCUMENT.write_text(text[:found.start(1)] + wanted + text[found.end(1):], encoding="utf-8")


if __name__ == "__main__":
    main()
