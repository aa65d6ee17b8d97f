#!/usr/bin/env python3
"""Finds words that the project no longer uses, and says what to write instead."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What not to write, and what instead: the terms of the field, each with one meaning.
OLD = {
    r"\b[Ww]hat came\b": "observation, observed; or what it is that came",
    r"forecasts? that costs? nothing": "reference forecast",
    r"\b[Ll]earn(s|ed)? once more\b": "refit on …",
    r"\b(went|goes) to work\b": "is deployed",
    r"\bholds rubbish\b": "the contents are unspecified",
    r"\breads over (the )?attributes?\b": "ignores",
    r"\bwindows under way\b": "windows in flight",
    r"\b(Desk|Seat|Came|Happened|Fittings|Readying)\b": "Driver, StationEntry, Input, Turn, Overrides, ReadyNotifier",
    r"\b(AsItWas|whole_file|Begun|Receipt)\b": "Existing, atomic_file, AtomicFile, DurabilityGuard",
    r"\b(needs_a_person|unheeded|judge_text|hundredths\()": "is_permanent, ignored_options, validate_text, round_to_centidegrees",
    r"\b[A-Z][A-Za-z]*::of\(": "new, from_*, fit, parse",
    r"enum (Until|Walk|Chosen)\b|struct (Walk|Both|Terms|Draft|Problem)\b": "StopRule, Direction, Bidirectional, Predictors, Candidate, Task",
    r"\bWhoever wants to know\b": "Receives the events",
}
# The same in Rust alone, where they were names and the first lines of module heads.
OLD_IN_RUST = {
    r"\bFaults?\b": "QualityReport (of a record), Diagnostic (of a configuration)",
    r"\b[Jj]udged?\b|\b[Jj]udg(es|ing)\b|[Jj]udge(ment|d?_)|JUDG": "evaluate, verify, score (forecasts); validate, check (values)",
    r"\b(was|were|is|are|had|has|have) learned from\b|\blearned from (beside|too)\b": "trained on",
    r"^//! \| *(file|room) *\|": "| module | contents |",
}
# What learns online does learn from its hours, and the sensor's resolution from its values.
LEARNS_ONLINE = ("crates/core/src/station/", "crates/core/src/forecast/", "crates/core/src/intake/", "crates/core/tests/")
# A summary of one word says what the name says already. Those of the options are their help.
ONE_WORD = re.compile(r"^\s*/// [A-Z][a-z]*\.$")
# `prop::option::of` and the like are of other crates.
ALLOWED = re.compile(r"rename = \"judged\"|prop::\w+::of\(|struct Problem \{|fn hundredths|[( ]hundredths\(")


def old_words(file, lines):
    """The lines with an old word, as their number, the line and what to write."""
    is_rust = file.endswith(".rs")
    olds = list(OLD.items())
    if is_rust:
        olds += [(old, new) for old, new in OLD_IN_RUST.items()
                 if not (new == "trained on" and file.startswith(LEARNS_ONLINE))]
    for number, line in enumerate(lines, 1):
        for old, new in olds:
            if re.search(old, line) and not ALLOWED.search(line):
                yield number, line, new
        if is_rust and ONE_WORD.search(line):
            around = lines[max(0, number - 2):number - 1] + lines[number:number + 1]
            if not any(other.lstrip().startswith("///") for other in around):
                yield number, line, "a sentence that says what the name does not"


def main():
    files = subprocess.run(["git", "ls-files", "*.rs", "*.md", "*.toml", "*.yml", "*.py", "tests/run"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split()
    found = 0
    for file in files:
        if file == "tests/words.py":
            continue
        for number, line, new in old_words(file, (ROOT / file).read_text(encoding="utf-8").splitlines()):
            print(f"{file}:{number}: {line.strip()[:90]}\n    write: {new}")
            found += 1
    print(f"{len(files)} files, {found} old words")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
