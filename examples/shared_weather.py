#!/usr/bin/env python3
"""Tells in how many months a validation station of models/world.onnx has the weather of another station.

    shared_weather.py POOL

POOL is a folder with stations.csv and hourly.bin.xz. Typical years are of months of different years, and stations near each other
have some in common. A month is shared where the changes of temperature over 24 hours correlate by more than 0.8 with those of a
station 50 to 300 km away that is no validation station. Needs numpy.
"""
import csv
import datetime
import lzma
import math
import pathlib
import re
import sys

import numpy

CARD = pathlib.Path(__file__).resolve().parent.parent / "models/README.md"
MONTH_H, SCORED_H, FEWEST_H, ALIKE = 730, 640, 300, 0.8


def validation_stations():
    """The ids that the card names."""
    text = CARD.read_text(encoding="utf-8").split("\nValidation stations, which chose", 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"\(([A-Za-z0-9_]+)\)", text))


def by_hour_of_year(station, column):
    """The temperatures of a typical year from 1 January on, in tenths of a degree, and their changes over 24 hours."""
    first = datetime.datetime.fromtimestamp(int(station["first_unix_s"]), datetime.UTC)
    begin = int((first - first.replace(month=1, day=1, hour=0)).total_seconds()) // 3600
    values = numpy.full(8760, numpy.nan)
    values[(begin + numpy.arange(len(column))) % 8760] = numpy.where(column == -32768, numpy.nan, column)
    return values[24:] - values[:-24]


def distance_km(one, other):
    """The distance along the great circle."""
    degrees = [float(station[key]) for station in (one, other) for key in ("latitude_deg", "longitude_deg")]
    a, b, c, d = map(math.radians, degrees)
    return 12742 * math.asin(math.sqrt(math.sin((a - c) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((b - d) / 2) ** 2))


def correlation(one, other, month):
    """Of the changes in a month; less than any where too few are known."""
    part = slice(month * MONTH_H, month * MONTH_H + SCORED_H)
    known = ~numpy.isnan(one[part]) & ~numpy.isnan(other[part])
    return numpy.corrcoef(one[part][known], other[part][known])[0, 1] if known.sum() > FEWEST_H else -1.0


def main(pool):
    changes = {}
    with open(f"{pool}/stations.csv", encoding="utf-8") as file, lzma.open(f"{pool}/hourly.bin.xz") as data:
        stations = list(csv.DictReader(file))
        for station in stations:
            rows = int(station["rows"])
            column = numpy.cumsum(numpy.frombuffer(data.read(2 * rows), "<i2"), dtype=numpy.int16)
            data.read(10 * rows)
            if station["tmy"] == "1":
                changes[station["id"]] = by_hour_of_year(station, column)
    held = validation_stations()
    typical = [station for station in stations if station["id"] in changes]
    shared, chosen = [], [station for station in typical if station["id"] in held]
    for station in chosen:
        near = [changes[other["id"]] for other in typical
                if other["id"] not in held and 50 <= distance_km(station, other) <= 300]
        for month in range(12):
            shared.append(any(correlation(changes[station["id"]], other, month) > ALIKE for other in near))
    print(f"{sum(shared)} of {len(shared)} months at {len(chosen)} stations are shared: {100 * sum(shared) / len(shared):.0f} %")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
