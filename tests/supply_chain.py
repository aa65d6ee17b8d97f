#!/usr/bin/env python3
"""Checks licences, bans and sources of everything that is linked, as deny.toml says, with cargo and Python alone.

The graph is the one that cargo builds: normal and build dependencies of every crate of the workspace, with all features;
without what tests and fuzz targets alone need, which is in no program that is given away.
"""

import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# What a daemon that is built with --no-default-features must not contain: a broker, a download, a trainer.
NOT_IN_THE_LEAN_BUILD = {"burn", "rumqttd", "ureq"}
# Nor what one careless feature or `cargo update` would bring back (docs/decisions/well-kept-crates.md).
NOT_IN_THE_LEAN_BUILD |= {"icu_normalizer", "procfs", "regex-automata"}


def tree(*arguments):
    """Name, version and licence of every crate that `cargo tree` shows."""
    command = ["cargo", "tree", "--locked", "--prefix", "none", "--format", "{p}|{l}", *arguments]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    crates = set()
    for line in filter(None, output.splitlines()):
        package, _, licence = line.removesuffix(" (*)").partition("|")
        name, version = package.split()[:2]
        crates.add((name, version, licence))
    return crates


class Expression:
    """An SPDX licence expression; "/" is an old way to write OR."""

    def __init__(self, text):
        self.tokens = re.findall(r"[()]|[^\s()]+", text.replace("/", " OR "))
        self.at = 0

    def next(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def any_of(self, allowed):
        holds = self.all_of(allowed)
        while self.next() == "OR":
            self.take()
            holds = self.all_of(allowed) or holds
        return holds

    def all_of(self, allowed):
        holds = self.one(allowed)
        while self.next() == "AND":
            self.take()
            holds = self.one(allowed) and holds
        return holds

    def one(self, allowed):
        token = self.take()
        if token == "(":
            holds = self.any_of(allowed)
            assert self.take() == ")", self.tokens
            return holds
        if self.next() == "WITH":
            self.take()
            token = f"{token} WITH {self.take()}"
        return token in allowed


def is_allowed(licence, allowed):
    return bool(licence) and Expression(licence).any_of(allowed)


def check(rules, crates, lean, locked):
    """Every fault, and every crate in more than one version."""
    faults = []
    allowed = set(rules["licenses"]["allow"])
    exceptions = {entry["crate"]: set(entry["allow"]) for entry in rules["licenses"]["exceptions"]}
    for name, version, licence in sorted(crates):
        if not is_allowed(licence, allowed | exceptions.get(name, set())):
            faults.append(f"{name} {version}: licence {licence or 'not given'!r} is not allowed")
    names = {name for name, _, _ in crates}
    for name in sorted(set(exceptions) - names):
        faults.append(f"deny.toml: the exception for {name} is for a crate that is not linked")
    for entry in rules["bans"]["deny"]:
        if entry["crate"] in names:
            faults.append(f"{entry['crate']} is banned: {entry['reason']}")
    for name in sorted({name for name, _, _ in lean} & NOT_IN_THE_LEAN_BUILD):
        faults.append(f"{name} is in the build without default features")
    for package in locked["package"]:
        source = package.get("source", REGISTRY)
        if source != REGISTRY:
            faults.append(f"{package['name']} {package['version']}: source {source} is not allowed")
    versions = defaultdict(set)
    for name, version, _ in lean:
        versions[name].add(version.removeprefix("v"))
    return faults, {name: sorted(found) for name, found in sorted(versions.items()) if len(found) > 1}


def test_itself():
    """A check that lets everything through is none."""
    assert is_allowed("MIT OR GPL-3.0", {"MIT"}) and is_allowed("GPL-3.0/MIT", {"MIT"})
    assert not is_allowed("MIT AND GPL-3.0", {"MIT"}) and not is_allowed("", {"MIT"})
    assert is_allowed("(MIT OR GPL-3.0) AND ISC", {"MIT", "ISC"})
    assert not is_allowed("Apache-2.0 WITH LLVM-exception", {"Apache-2.0"})
    rules = {
        "licenses": {"allow": ["MIT"], "exceptions": [{"crate": "gone", "allow": ["ISC"]}]},
        "bans": {"deny": [{"crate": "bad", "reason": "because"}]},
    }
    crates = {("bad", "v1.0.0", "MIT"), ("copyleft", "v1.0.0", "GPL-3.0"), ("ureq", "v1.0.0", "MIT"), ("ureq", "v2.0.0", "MIT")}
    locked = {"package": [{"name": "git", "version": "1.0.0", "source": "git+https://example.org"}]}
    faults, several = check(rules, crates, crates, locked)
    assert len(faults) == 5, faults
    assert several == {"ureq": ["1.0.0", "2.0.0"]}, several


def main():
    test_itself()
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())
    crates = tree("--workspace", "--exclude", "forecastd-fuzz", "--all-features", "--edges", "normal,build")
    lean = tree("--package", "forecastd", "--no-default-features", "--edges", "normal")
    whole = tree("--package", "forecastd", "--edges", "normal")
    faults, several = check(rules, crates, lean, locked)
    print(f"{len(crates)} crates with all features, {len(whole)} with the default ones, {len(lean)} in the lean daemon")
    for name, versions in several.items():
        print(f"note: {name} is linked in versions {', '.join(versions)}")
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


sys.exit(main())
