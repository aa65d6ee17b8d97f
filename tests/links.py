#!/usr/bin/env python3
"""Every relative link in the documents leads to a file that is there, and to a heading that it has."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchor(heading):
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text))


def prose(path):
    """The lines of a document outside of blocks of code."""
    is_code = False
    for line in path.read_text().splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield line


def faults(documents):
    for path in documents:
        for line in prose(path):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:", target):
                    continue
                file, _, heading = target.partition("#")
                linked = (path.parent / file).resolve() if file else path
                if not linked.exists():
                    yield f"{path.relative_to(ROOT)}: {target} is not there"
                elif heading and linked.suffix == ".md":
                    headings = {anchor(text.lstrip("#")) for text in prose(linked) if text.startswith("#")}
                    if heading not in headings:
                        yield f"{path.relative_to(ROOT)}: {target} has no such heading"


def main():
    assert anchor("## `world.onnx`".lstrip("#")) == "worldonnx"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    documents = [ROOT / name for name in listed.stdout.splitlines()]
    found = list(faults(documents))
    for fault in found:
        print(f"FAULT: {fault}")
    print(f"{len(documents)} documents")
    return 1 if found or not documents else 0


sys.exit(main())
