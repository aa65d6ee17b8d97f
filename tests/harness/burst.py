#!/usr/bin/env python3
"""Measures very many stations: restored at the start, and a burst of one reading each.

    tests/harness/burst.py --binary target/release/forecastd --stations 100000

Every station sends three readings, so that it has a seat, a ring and rows in the journal; the daemon ends and is
started again. Told are the time until it is ready, the time until the burst is in the journal and has its forecasts,
the processor time of both, and the most memory that the daemon and its engine held.

It needs Linux, Python 3.9 and mosquitto, and nothing else.
"""

import datetime
import json
import pathlib
import sys
import time

from rig import Broker, Daemon, measured, parser, publish, wait


def readings(options, minutes_ago):
    """One reading of every station."""
    time_s = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes_ago)
    for number in range(options.stations):
        values = {
            "time": time_s.isoformat(timespec="seconds"), "air_temperature_c": round(number % 300 / 10 - 5, 1),
            "air_pressure_hpa": 990.0, "relative_humidity_pct": 70.0, "wind_speed_m_s": 2.0,
        }
        yield f"weather/s{number}/reading", json.dumps(values)


def count(daemon, name):
    """The sum over the series of a counter, as soon as a scrape is answered."""
    samples = {}
    while not samples:
        daemon.check()
        samples = daemon.metrics()
    return sum(float(value) for series, value in samples.items() if series.split("{")[0] == name)


def with_places(options, folder):
    """A configuration with a place for every station, all over the inhabited latitudes."""
    lines = []
    for number in range(options.stations):
        latitude, longitude = number * 0.618034 % 1 * 110 - 45, number * 0.754878 % 1 * 360 - 180
        lines.append(f"[station.s{number}]\nlatitude_deg = {latitude:.4f}\nlongitude_deg = {longitude:.4f}\n")
    path = folder / "places.toml"
    path.write_text("".join(lines))
    return path


def transactions(daemon):
    """How many transactions the journal made, and how many seconds they took."""
    return [count(daemon, f"forecastd_journal_commit_duration_seconds_{part}") for part in ("count", "sum")]


def send(options, broker, daemon, minutes_ago):
    """Publishes one reading of every station, and waits for as many forecasts."""
    before = count(daemon, "forecastd_forecasts_total")
    publish(broker.port, readings(options, minutes_ago))
    enough = before + options.stations
    wait(lambda: count(daemon, "forecastd_forecasts_total") >= enough, options.patience, "the forecasts", every=0.1)


def measure(options, folder):
    """Fills, restarts, and sends the burst."""
    broker = Broker(folder)
    daemon = None
    options.set += [f"stations.max={options.stations}"]
    more = ["--config", with_places(options, folder)] if options.places else []
    try:
        daemon = Daemon(options, folder, broker, more)
        wait(lambda: daemon.check() or daemon.is_ready(), options.patience, "the first start")
        for minutes_ago in (50, 40, 30):
            send(options, broker, daemon, minutes_ago)
        print(f"filled: {options.stations} stations, journal {daemon.journal.stat().st_size / 2**20:.0f} MiB", flush=True)
        print(f"end: {daemon.end():.1f} s", flush=True)

        began = time.monotonic()
        daemon.start()
        wait(lambda: daemon.check() or daemon.is_ready(), options.patience, "the restart", every=0.02)
        ready_s, cpu_s = time.monotonic() - began, daemon.cpu_s()
        # The gauges are set once a second.
        wait(lambda: count(daemon, "forecastd_stations") > 0, 60, "the stations", every=0.1)
        served = count(daemon, "forecastd_stations")
        print(f"restored: {served:.0f} stations ready in {ready_s:.1f} s, {cpu_s:.1f} s of processor time, "
              f"peak {memory(daemon)}", flush=True)
        before, began = transactions(daemon), time.monotonic()
        send(options, broker, daemon, 10)
        burst_s = time.monotonic() - began
        count_after, seconds_after = transactions(daemon)
        print(f"burst: {burst_s:.1f} s, {daemon.cpu_s() - cpu_s:.1f} s of processor time, peak {memory(daemon)}; "
              f"{count_after - before[0]:.0f} transactions of together {seconds_after - before[1]:.1f} s", flush=True)
    finally:
        if daemon is not None:
            daemon.abandon()
        broker.end()


def memory(daemon):
    """The peaks of the daemon and its engine, for a person."""
    return " + ".join(f"{peak / 2**20:.0f} MiB" for peak in daemon.peak_bytes())


def main():
    """Measures once."""
    options = parser(__doc__, "jena.onnx", 600)
    options.add_argument("--stations", type=int, default=100_000, help="how many [100000]")
    options.add_argument("--places", action="store_true", help="a configuration with a place for every station")
    return measured(options.parse_args(), measure)


if __name__ == "__main__":
    sys.exit(main())
