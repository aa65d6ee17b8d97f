#!/usr/bin/env python3
"""Writes the notices of everything that is linked into forecastd: name, version, licence, source, and the texts.

    deploy/third_party_notices.py                     the lean daemon
    deploy/third_party_notices.py --features train    another set of features
    deploy/third_party_notices.py --check             only says what is missing

With cargo and Python alone; the texts are those that lie in the sources of the crates. A text that many crates share stands
once. Where a crate brings none, the licence of its SPDX expression stands, in the words of another crate that has it; a
licence that no crate has in full is an error.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = re.compile(r"^(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)
RULE = "=" * 80


def linked(features):
    """Name and version of every crate of others in the program, without what runs at build time alone."""
    command = ["cargo", "tree", "--locked", "--package", "forecastd", "--no-default-features", "--features", features]
    command += ["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = {tuple(line.split()[:2]) for line in lines if line}
    return {(name, version.removeprefix("v")) for name, version in found if not name.startswith("forecastd")}


def packages():
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return {(package["name"], package["version"]): package for package in metadata["packages"]}


def texts(package):
    """Every licence text that lies beside a crate's manifest, or one folder below."""
    folder = Path(package["manifest_path"]).parent
    files = [path for path in sorted(folder.iterdir()) if NAMES.match(path.name)]
    files += [inner for path in files if path.is_dir() for inner in sorted(path.iterdir())]
    named = package.get("license_file")
    files += [folder / named] if named and (folder / named) not in files else []
    read = (path.read_text(errors="replace").strip() for path in files if path.is_file() and path.suffix != ".rs")
    return [text for text in read if text]


def identifiers(expression):
    """The licences that an SPDX expression names."""
    words = re.findall(r"[A-Za-z0-9.+-]+", expression.replace("/", " OR "))
    return [word for word in words if word not in {"OR", "AND", "WITH"} and not word.endswith("exception")]


# A line by which the whole text of a licence is known.
MARKS = {
    "Apache-2.0": "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    "MIT": "Permission is hereby granted, free of charge",
    "BSD-3-Clause": "Neither the name",
    "BSD-2-Clause": "Redistributions in binary form must reproduce",
    "ISC": "Permission to use, copy, modify, and/or distribute",
    "Zlib": "In no event will the authors be held liable",
    "Unicode-3.0": "UNICODE LICENSE V3",
    "MPL-2.0": "Mozilla Public License",
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--features", default="")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    known = packages()
    crates = [known[key] for key in sorted(linked(options.features))]
    own = {(crate["name"], crate["version"]): texts(crate) for crate in crates}
    every = [text for found in own.values() for text in found]
    borrowed, missing = {}, []
    for crate in crates:
        key = (crate["name"], crate["version"])
        if own[key]:
            continue
        # One of the licences that may be chosen is enough.
        for licence in identifiers(crate["license"] or ""):
            text = next((text for text in every if MARKS.get(licence, "\0") in text), None)
            if text:
                borrowed[key] = licence
                own[key] = [text]
                break
        else:
            missing.append(f"{crate['name']} {crate['version']}: no text of {crate['license'] or 'any licence'}")
    for line in missing:
        print(line, file=sys.stderr)
    if options.check or missing:
        print(f"{len(crates)} crates, {len(borrowed)} without a text of their own", file=sys.stderr)
        return 1 if missing else 0

    print("Third-party notices of forecastd\n")
    print("The program holds code of these crates, each under the licence beside it. The texts follow.\n")
    users = defaultdict(list)
    for crate in crates:
        key = (crate["name"], crate["version"])
        source = crate["repository"] or crate["homepage"] or ""
        note = f" (without a text of its own: {borrowed[key]})" if key in borrowed else ""
        print(f"- {crate['name']} {crate['version']}: {crate['license'] or 'see the text'}{note} {source}".rstrip())
        for text in own[key]:
            users[text].append(f"{crate['name']} {crate['version']}")
    for text, names in users.items():
        print(f"\n{RULE}\n{', '.join(names)}\n{RULE}\n\n{text}")
    return 0


sys.exit(main())
