#!/usr/bin/env python3
"""Measures how long a forecast takes: from sending a reading to the arrival of its forecast, through a broker.

    tests/harness/delay.py --binary target/release/forecastd --model models/world.onnx

A station sends its readings one at a time, each when the forecast of the one before has come, as a station does that has the
daemon to itself. Told are the median and the 90 and 99 % quantiles of what a client sees, which has the broker's way twice and the
journal's commit in it, and the mean that the daemon itself measures (`forecastd_forecast_delay_seconds`: from the arrival of a
reading to its forecast on the way out).

It needs Linux, Python 3.9 and mosquitto, and nothing else.
"""

import datetime
import json
import pathlib
import socket
import sys
import time

from rig import Broker, Client, Daemon, measured, packet, parser, text, wait

TOPIC = "weather/delay/reading"


def readings(options):
    """Readings every ten minutes up to now, and when they were taken."""
    newest = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
    for number in range(options.readings):
        time_s = newest - datetime.timedelta(minutes=10 * (options.readings - 1 - number))
        values = {
            "time": time_s.isoformat().replace("+00:00", "Z"), "air_temperature_c": round(10 + number % 72 / 9, 1),
            "air_pressure_hpa": 990 + number % 100 / 10, "relative_humidity_pct": 60 + number % 20,
            "wind_speed_m_s": 2 + number % 5 / 2,
        }
        yield values["time"], json.dumps(values).encode()


def delays(options, broker):
    """Seconds from sending each reading to its forecast."""
    client = Client(broker.port, "delay", "forecast/delay/temperature")
    found = []
    with socket.create_connection(("127.0.0.1", broker.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("station")))
        connection.recv(4)
        for issued_at, payload in readings(options):
            began = time.monotonic()
            # At most once: the forecast is the answer.
            connection.sendall(packet(0x30, text(TOPIC) + payload))
            wait(lambda: client.newest_issued_at == issued_at, options.patience, f"the forecast of {issued_at}", every=0.00005)
            found.append(client.newest_came - began)
    client.end()
    return sorted(found[options.readings // 10:])


def measure(options, folder):
    """Starts everything, sends the readings, and prints."""
    broker = Broker(folder)
    daemon = None
    options.set += ["site.latitude_deg=50.9", "site.longitude_deg=11.6"]
    try:
        daemon = Daemon(options, folder, broker)
        wait(lambda: daemon.check() or daemon.is_ready(), options.patience, "the start")
        found = delays(options, broker)
        quantile = lambda share: 1e3 * found[min(int(share * len(found)), len(found) - 1)]
        samples = daemon.metrics()
        total, count = (float(samples[f"forecastd_forecast_delay_seconds_{part}"]) for part in ("sum", "count"))
        print(f"{len(found)} readings: half of the forecasts within {quantile(0.5):.2f} ms, 90 % within {quantile(0.9):.2f}, "
              f"99 % within {quantile(0.99):.2f}; in the daemon {1e3 * total / count:.2f} ms in the mean")
    finally:
        if daemon is not None:
            daemon.abandon()
        broker.end()


def main():
    """Measures once."""
    options = parser(__doc__, "world.onnx", 60)
    options.add_argument("--readings", type=int, default=2000, help="how many, of which the first tenth does not count [2000]")
    return measured(options.parse_args(), measure)


if __name__ == "__main__":
    sys.exit(main())
