#!/usr/bin/env python3
"""Replays the test stations of models/world.onnx as live stations, and prints a table of what is published there.

    walk_stations.py PROGRAM POOL ...

PROGRAM is forecastd, built in release; a POOL is a folder with stations.csv and hourly.bin.xz. The stations are those of the card,
models/README.md; where a station stands in several pools, the first counts. Each is written as a CSV file (pool_station.py) and walked
by `PROGRAM evaluate --online --format json`: every forecast is what the experts say together at the time.
"""
import csv
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TEST_STATIONS = re.compile(r"^\| (.*) \(([A-Za-z0-9_]+)\) \| [A-Z0-9-]+ \| ", re.MULTILINE)


def test_stations():
    """Name and id of the test stations, in the order of the card."""
    return TEST_STATIONS.findall((ROOT / "models/README.md").read_text(encoding="utf-8"))


def walk(program, pool, station, folder):
    """What `evaluate --online` says of a station."""
    path = folder / f"{station}.csv"
    with path.open("w", encoding="utf-8") as file:
        made = subprocess.run([sys.executable, HERE / "pool_station.py", pool, station], check=True, stdout=file,
                              stderr=subprocess.PIPE, text=True)
    command = [program, "evaluate", "--online", "--format", "json", "--model", ROOT / "models/world.onnx", "--csv", path]
    said = subprocess.run([*command, *made.stderr.split()], check=True, capture_output=True, text=True)
    path.unlink()
    return json.loads(said.stdout)


def mean(document, expert, of="mae_c"):
    """The mean over the leads that were scored, and the value at 24 h."""
    lines = [line for lead in document["leads"] for line in lead["experts"] if line["expert"] == expert]
    values = [line[of] for line in lines if line[of] is not None]
    return statistics.mean(values), lines[-1][of]


def main(program, pools):
    where = {}
    for pool in pools:
        with open(f"{pool}/stations.csv", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                where.setdefault(row["id"], pool)
    print("| station | forecasts | persistence | `world` alone | as published | coverage of the 80 % interval, alone and as published |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    rows, rolling = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, station in test_stations():
            document = walk(program, where[station], station, pathlib.Path(folder))
            errors = [mean(document, expert) for expert in ("persistence", "world", "combination")]
            held = [100 * mean(document, expert, "coverage")[0] for expert in ("world", "combination")]
            rows.append((errors, held))
            rolling += [lead["rolling_coverage_365d"] for lead in document["leads"] if lead["rolling_coverage_365d"]]
            cells = ", ".join(f"{share:.1f}" for share in held)
            pairs = " | ".join(f"{over_all:.3f}, {last:.3f}" for over_all, last in errors)
            print(f"| {name} | {document['forecasts']:,} | {pairs} | {cells} |", flush=True)
    columns = [[statistics.mean(errors[index][part] for errors, _ in rows) for part in (0, 1)] for index in range(3)]
    pairs = " | ".join(f"{over_all:.3f}, {last:.3f}" for over_all, last in columns)
    means = ", ".join(f"{statistics.mean(held[index] for _, held in rows):.1f}" for index in (0, 1))
    print(f"| mean of {len(rows)} | | {pairs} | {means} |")
    for index, name in ((1, "`world` alone"), (2, "as published")):
        shares = [held[index - 1] for _, held in rows]
        ratios = [columns[index][part] / columns[0][part] for part in (0, 1)]
        print(f"\n{name}: {ratios[0]:.3f} and {ratios[1]:.3f} of persistence's error; stations' coverage {min(shares):.1f} to "
              f"{max(shares):.1f} %.", end="")
    better = sum(errors[2][0] < errors[1][0] for errors, _ in rows)
    worst = max(errors[2][0] - errors[1][0] for errors, _ in rows)
    if rolling:
        lowest, highest = (100 * end(share) for end, share in ((min, [low for low, _ in rolling]), (max, [high for _, high in rolling])))
        print(f"\n\nOver any 365 days the coverage as published is {lowest:.1f} to {highest:.1f} % at any lead and station.", end="")
    print(f"\n\nAs published is better than the model alone at {better} of {len(rows)}, and worse by at most {worst:.3f} °C.")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
