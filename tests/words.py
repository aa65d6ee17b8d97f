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
# `prop::option::of` and the like are of other crates.
ALLOWED = re.compile(r"prop::\w+::of\(|struct Problem \{|fn hundredths|[( ]hundredths\(")


def main():
    files = subprocess.run(["git", "ls-files", "*.rs", "*.md", "*.toml", "*.yml", "*.py", "tests/run"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split()
    found = 0
    for file in files:
        if file == "tests/words.py":
            continue
        for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines(), 1):
            for old, new in OLD.items():
                if re.search(old, line) and not ALLOWED.search(line):
                    print(f"{file}:{number}: {line.strip()[:90]}\n    write: {new}")
                    found += 1
    print(f"{len(files)} files, {found} old words")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
