#!/usr/bin/env python3
"""Writes a station of a pool (stations.csv and hourly.bin.xz) as a CSV file that forecastd reads.

    pool_station.py FOLDER ID > ID.csv

says on standard error where the station stands, as options of `forecastd evaluate`. A pressure at sea level is brought to the
station with the standard atmosphere: as what it is not, a record would be refused. Of a station that was observed every three hours, only those hours are
written: what stands between them was interpolated. Typical years stand in a year that nobody measured in: where that is before 1990,
from when on readings are taken, they are written 28 years later, when the calendar is the same.
"""
import array
import csv
import datetime
import lzma
import sys

COLUMNS = [
    ("air_temperature_c", 10.0),
    ("air_pressure_hpa", 10.0),
    ("relative_humidity_pct", 1.0),
    ("dew_point_c", 10.0),
    ("wind_speed_m_s", 10.0),
    ("wind_direction_deg", 1.0),
]
MISSING = -32768
# 1990-01-01, and 28 years of 365.25 days.
EARLIEST_S = 631_152_000
SAME_CALENDAR_S = 28 * 1461 // 4 * 86_400


def column(data, rows):
    """Differences of 16 bits that wrap around, summed up."""
    differences = array.array("h", data.read(2 * rows))
    value, values = 0, []
    for difference in differences:
        value = (value + difference + 32768) % 65536 - 32768
        values.append(value)
    return values


def at_station(setting_hpa, elevation_m):
    """The pressure at the station: the altimeter setting of the standard atmosphere (ICAO Doc 7488) solved for it."""
    exponent = 287.05 * 0.0065 / 9.80665
    return 1013.25 * ((setting_hpa / 1013.25) ** exponent - 0.0065 * elevation_m / 288.15) ** (1 / exponent)


def main(folder, wanted):
    with open(f"{folder}/stations.csv", encoding="utf-8") as file:
        stations = list(csv.DictReader(file))
    with lzma.open(f"{folder}/hourly.bin.xz") as data:
        for station in stations:
            rows = int(station["rows"])
            if station["id"] == wanted:
                columns = [column(data, rows) for _ in COLUMNS]
                break
            data.read(2 * rows * len(COLUMNS))
        else:
            sys.exit(f"{folder} has no station {wanted}")
    first, step_h = int(station["first_unix_s"]), int(station["step_h"])
    if station["tmy"] == "1" and first < EARLIEST_S:
        first += SAME_CALENDAR_S
    if station["pressure"] == "sea level":
        scale, elevation_m = COLUMNS[1][1], float(station["elevation_m"])
        columns[1] = [value if value == MISSING else round(scale * at_station(value / scale, elevation_m)) for value in columns[1]]
    out = csv.writer(sys.stdout)
    out.writerow(["time"] + [name for name, _ in COLUMNS])
    for row, values in enumerate(zip(*columns)):
        # By the hour of the day in UTC, wherever the record begins.
        if (first // 3600 + row) % step_h == 0 and any(value != MISSING for value in values):
            time = datetime.datetime.fromtimestamp(first + 3600 * row, datetime.UTC)
            cells = ["" if value == MISSING else value / scale for value, (_, scale) in zip(values, COLUMNS)]
            out.writerow([time.strftime("%Y-%m-%dT%H:%M:%SZ")] + cells)
    place = " ".join(f"--{name} {station[key]}" for name, key in
                     [("latitude", "latitude_deg"), ("longitude", "longitude_deg"), ("elevation", "elevation_m")])
    print(place, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
