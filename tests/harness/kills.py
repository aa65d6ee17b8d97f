#!/usr/bin/env python3
"""Shows whether killing the daemon, or restarting the broker, loses anything.

    tests/harness/kills.py --binary target/release/forecastd --csv jena_2020_10min.csv --readings 20000 --kills 100

The same readings are replayed twice through a real mosquitto into a real forecastd: once undisturbed, and once while
the daemon is killed (SIGKILL) at random moments, the broker is restarted cleanly, or both. The last readings are
replayed when that is over. What is left of the two is compared: readings and forecasts in the journal, forecasts as
they were published, scores, and what the broker retains.

A table says of each what is missing (lost), extra, or different. The exit code is 0 when the two are alike, 1 when they
are not, and 2 when the comparison could not be made. Of a journal only the table `reading` and the view `forecast_lead`
are read, by the columns that are known here, so that journals of any version can be compared.

The quantiles of forecasts are not compared: the journal keeps the interval of 80 % alone, so what is published again after
a restart has no more.

It needs Python 3.9 and mosquitto, and nothing else.
"""

import argparse
import bisect
import collections
import datetime
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from rig import Broker, Client, Daemon, HarnessError, connect, issue_time, wait

QUANTILES = re.compile(rb',"(?:\w+_)?quantiles(?:_c)?":\[[^]]*\]')

# The columns of the table `reading` that are measured; a journal may have others.
QUANTITIES = (
    "air_temperature_c", "air_pressure_hpa", "relative_humidity_pct", "dew_point_c", "wind_speed_m_s", "wind_gust_m_s",
    "wind_direction_deg", "air_potential_temperature_k", "saturation_vapor_pressure_hpa", "vapor_pressure_hpa",
    "vapor_pressure_deficit_hpa", "specific_humidity_g_kg", "water_vapor_mole_fraction_mmol_mol", "air_density_g_m3",
)
# Metrics that say how good the forecasts were. Other counters begin anew with every process, as Prometheus expects.
SCORES = (
    "forecastd_forecasts_verified_total",
    "forecastd_forecast_mean_absolute_error_celsius",
    "forecastd_forecast_skill_ratio",
)
# Fields of a station's status that do not depend on when it is published.
STATUS = ("station", "state", "missing_hours", "missing", "model")
# So many readings, the last, are replayed when all kills and restarts are over: what is published now and then, such as
# scores, then stands as it would without them.
CALM_READINGS = 36
# Nothing may change for so long before everything counts as digested.
QUIET_S = 3.0
# Nor does a forecast come that has not come for so long after everything was sent.
STUCK_S = 2.0


# --- A run -----------------------------------------------------------------------------------------------------------


Outcome = collections.namedtuple(
    "Outcome", "readings forecasts leads twice published deliveries scores metrics retained bytes remarks duration"
)


def without_quantiles(payload):
    return QUANTILES.sub(b"", payload)


def moments(count, generator):
    """So many random parts of the way, rising."""
    return sorted(generator.random() for _ in range(count))


def disturb(parts, progress, is_stuck, act, generator, failed):
    """Acts at each of `parts` of the way, or a little later; what is due when one act ends comes soon after it.

    A daemon that loses the last forecasts would never come so far, so that nothing is waited for when nothing comes.
    """
    try:
        for part in parts:
            while progress() < part and not is_stuck():
                if failed:
                    return
                time.sleep(0.001)
            # Soon enough to hit the work that is going on: a thousand readings take a tenth of a second.
            time.sleep(generator.choice((0.001, 0.005, 0.02)) * generator.random())
            act()
    except Exception as error:  # Whatever it is, the run is over.
        failed.append(error)


class Replay:
    """A replay of a file into a broker; one that gives up is taken up again where it says."""

    def __init__(self, options, csv, broker):
        self.resumed, self.is_over = 0, False
        self._log = csv.parent / f"{csv.stem}.log"
        # With --quiet it would not say where to go on.
        self._command = [options.binary, "replay", "--csv", csv, "--broker", f"mqtt://127.0.0.1:{broker.port}",
                         "--speed", options.speed]
        self._process = None
        self._lines = []
        self._start([])

    def _start(self, more):
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen([*self._command, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def has_ended(self):
        """Whether everything is sent."""
        if self.is_over or self._process.poll() is None:
            return self.is_over
        self._lines += self._log.read_text().splitlines()
        self.is_over = self._process.returncode == 0
        if self.is_over:
            return True
        # A broker that restarts again and again is away for longer than it waits.
        go_on = [line.split("--from ")[1].strip() for line in self._lines if "--from " in line]
        if not go_on:
            raise HarnessError("\n".join([f"the replay ended with {self._process.returncode}", *self._lines[-10:]]))
        self.resumed += 1
        self._start(["--from", go_on[-1]])
        return False

    def abandon(self):
        """Sees to it that nothing goes on."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def run(options, folder, kills, broker_restarts, times):
    """Replays the record. `times`, of all forecasts of an undisturbed run, tell how far a disturbed one has come."""
    folder.mkdir()
    busy, calm = folder / "busy.csv", folder / "calm.csv"
    split(options.csv, options.readings, busy, calm)
    began = time.monotonic()
    broker = Broker(folder)
    client = daemon = None
    replays, threads, failed, interrupted = [], [], [], []
    events = open(folder / "events.log", "w", buffering=1)
    try:
        client = Client(broker.port, "kills-harness", "forecast/#")
        daemon = Daemon(options, folder, broker)
        # A broker keeps nothing for a subscriber that it has never seen.
        wait(lambda: daemon.check() or daemon.metrics().get("forecastd_mqtt_connected") == "1", 60, "the first start")
        time.sleep(0.5)
        replays.append(Replay(options, busy, broker))

        def note(what):
            now = datetime.datetime.now(datetime.timezone.utc)
            print(f"{now.isoformat()} {what}, {progress():.2%} of the forecasts are out", file=events)

        def progress():
            return bisect.bisect_right(times, client.newest_issued_at) / max(len(times), 1)

        def is_stuck():
            return replays[0].is_over and time.monotonic() - client.newest_came > STUCK_S

        def kill():
            interrupted.append(progress())
            note("kill")
            daemon.kill()
            daemon.start()

        def restart():
            note("restart")
            broker.restart()
            note("restarted")

        def is_over():
            if failed:
                raise failed[0]
            return replays[0].has_ended() and not any(thread.is_alive() for thread in threads)

        for count, act, name in ((kills, kill, "kills"), (broker_restarts, restart, "restarts")):
            generator = random.Random(f"{options.seed} {name}")
            # Of the way without the calm end.
            share = 1 - (CALM_READINGS + 1) / options.readings
            parts = [part * share for part in moments(count, generator)]
            given = (parts, progress, is_stuck, act, generator, failed)
            threads.append(threading.Thread(target=disturb, args=given, daemon=True))
        for thread in threads:
            thread.start()
        wait(is_over, 2 * options.patience, "the end of replay, kills and restarts", every=0.02)
        digest(daemon, client, options.patience)
        replays.append(Replay(options, calm, broker))
        wait(replays[1].has_ended, options.patience, "the end of the last replay")
        digest(daemon, client, options.patience)
        metrics = daemon.metrics()
        remarks = [f"SIGTERM to end {daemon.end():.1f} s"]
        if replays[0].resumed:
            remarks.append(f"the replay gave up {replays[0].resumed} times and was resumed")
        if kills:
            last = bisect.bisect_right(times, client.newest_issued_at) - CALM_READINGS
            while_busy = sum(part * len(times) < last for part in interrupted)
            remarks.append(f"{daemon.kills} SIGKILLs, {while_busy} of them while there was work")
        if broker_restarts:
            remarks.append(f"{broker.restarts} clean restarts of the broker")
        client.read_to_the_end()
        acknowledged = int(metrics.get("forecastd_mqtt_messages_acknowledged_total", 0))
        remarks.append(f"{acknowledged} messages acknowledged, {len(client.messages)} delivered")
        if acknowledged > len(client.messages):
            raise HarnessError(f"the broker lost messages: {remarks[-1]}")
        if client.sessions != 1:
            raise HarnessError(f"the broker lost the subscriber's session {client.sessions - 1} times")
        late = Client(broker.port, "kills-harness-late", "forecast/#")
        late.read_to_the_end()
        late.end()
        return outcome(options, daemon.journal, client.messages, metrics, late.messages, remarks, began)
    finally:
        failed.append(HarnessError("the run is over"))
        for thread in threads:
            thread.join(60)
        for replay in replays:
            replay.abandon()
        if daemon is not None:
            daemon.abandon()
        if client is not None:
            client.end()
        broker.end()
        events.close()


def digest(daemon, client, patience):
    """Waits until nothing changes any more."""
    deadline = time.monotonic() + patience
    before, since = None, time.monotonic()
    while time.monotonic() - since < QUIET_S:
        daemon.check()
        metrics = daemon.metrics()
        in_flight = metrics.get("forecastd_mqtt_messages_in_flight", "0")
        state = (daemon.count_rows(), len(client.messages))
        if state != before or state[0] is None or not metrics or in_flight != "0":
            before, since = state, time.monotonic()
        if time.monotonic() > deadline:
            raise HarnessError(f"not digested within {patience:.0f} s: {state}, in flight: {in_flight}")
        time.sleep(0.25)


def slot_of(time_s, step_s):
    """The slot of the grid that a time belongs to: the next, with a tenth of a step of grace."""
    return -((step_s // 10 - time_s) // step_s)


def outcome(options, journal, messages, metrics, retained, remarks, began):
    """What a run left behind."""
    with connect(journal) as database:
        found = [row[1] for row in database.execute("PRAGMA table_info(reading)")]
        columns = [column for column in QUANTITIES if column in found]
        rows = database.execute(f"SELECT station, time, {', '.join(columns)} FROM reading").fetchall()
        readings = collections.defaultdict(list)
        for station, time_s, *values in rows:
            readings[station, time_s].append(tuple(values))
        leads = database.execute(
            "SELECT station, issued_at, source, model, lead_h, valid_at, temperature_c, low_c, high_c"
            " FROM forecast_lead"
        ).fetchall()
        check = database.execute("PRAGMA integrity_check").fetchone()[0]
        if check != "ok":
            raise HarnessError(f"{journal}: {check}")
    forecasts, once, twice = collections.defaultdict(list), set(), set()
    for station, issued_at, *rest in leads:
        forecasts[station, slot_of(issued_at, options.grid_step_s)].append((issued_at, *rest))
        lead = (station, issued_at, rest[2])
        (twice if lead in once else once).add(lead)
    twice = {(station, issued_at) for station, issued_at, _ in twice}
    twice |= {key for key, rows in readings.items() if len(rows) > 1}
    published, deliveries = collections.defaultdict(set), 0
    for message in messages:
        issued_at = issue_time(message.payload)
        if issued_at and not message.retain:
            published[message.topic, issued_at].add(without_quantiles(message.payload))
            deliveries += 1
    metrics = {series: value for series, value in metrics.items() if series.startswith(SCORES)}
    scores, kept = {}, {}
    for message in retained:
        if message.topic.endswith("/verification"):
            for lead in json.loads(message.payload)["leads"]:
                scores[message.topic, lead["lead_h"]] = json.dumps(lead)
        elif message.topic.count("/") == 2 and message.topic.endswith("/status"):
            status = json.loads(message.payload)
            kept[message.topic] = {key: status.get(key) for key in STATUS}
        else:
            kept[message.topic] = without_quantiles(message.payload)
    return Outcome(
        readings=dict(readings), forecasts={key: sorted(rows) for key, rows in forecasts.items()}, leads=len(leads),
        twice=twice, published=dict(published), deliveries=deliveries, scores=scores, metrics=metrics, retained=kept,
        bytes=journal.stat().st_size, remarks=remarks, duration=time.monotonic() - began,
    )


# --- The comparison --------------------------------------------------------------------------------------------------


def compare(undisturbed, disturbed):
    """Prints what differs; whether nothing does."""
    rows = [
        ("readings in the journal", undisturbed.readings, disturbed.readings),
        ("forecasts in the journal", undisturbed.forecasts, disturbed.forecasts),
        ("forecasts published", undisturbed.published, disturbed.published),
        ("scores, verification topic", undisturbed.scores, disturbed.scores),
        ("scores, /metrics", undisturbed.metrics, disturbed.metrics),
        ("retained messages", undisturbed.retained, disturbed.retained),
    ]
    print(f"\n{'':28}{'undisturbed':>12}{'disturbed':>12}{'missing':>10}{'extra':>10}{'different':>10}")
    alike, examples = True, []
    for name, expected, found in rows:
        missing = [key for key in expected if key not in found]
        extra = [key for key in found if key not in expected]
        different = [key for key in expected if key in found and expected[key] != found[key]]
        print(f"{name:28}{len(expected):12}{len(found):12}{len(missing):10}{len(extra):10}{len(different):10}")
        alike = alike and not (missing or extra or different)
        examples += [f"{name}, missing: {label(key)}" for key in missing[:3]]
        examples += [f"{name}, extra: {label(key)}" for key in extra[:3]]
        examples += [
            f"{name}, different: {label(key)}: {shorten(expected[key])} became {shorten(found[key])}"
            for key in different[:3]
        ]
    counts = [
        ("rows of the view forecast_lead", [run.leads for run in (undisturbed, disturbed)]),
        ("twice in the journal", [len(run.twice) for run in (undisturbed, disturbed)]),
        ("forecasts delivered again", [run.deliveries - sum(map(len, run.published.values()))
                                       for run in (undisturbed, disturbed)]),
        ("bytes of the journal by reading", [run.bytes // max(len(run.readings), 1)
                                             for run in (undisturbed, disturbed)]),
        ("seconds", [round(run.duration) for run in (undisturbed, disturbed)]),
    ]
    print()
    for name, (before, after) in counts:
        print(f"{name:32}{before:8}{after:12}")
    alike = alike and not undisturbed.twice and not disturbed.twice
    examples += [f"twice in the journal: {label(key)}" for key in sorted(undisturbed.twice | disturbed.twice)[:3]]
    if examples:
        print("\nfor example:")
        for example in examples:
            print(f"  {example}")
    return alike


def label(key):
    """A key for a person."""
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def shorten(value):
    """A value that fits into a line."""
    shown = str(value)
    return shown if len(shown) <= 160 else f"{shown[:160]}…"


def split(source, count, busy, calm):
    """Copies the first rows of a CSV file into two, each with the header."""
    with open(source, "rb") as lines:
        header, *rows = [line for _, line in zip(range(count + 1), lines)]
    if len(rows) < count:
        raise HarnessError(f"{source} has {len(rows)} rows")
    busy.write_bytes(header + b"".join(rows[:-CALM_READINGS]))
    calm.write_bytes(header + b"".join(rows[-CALM_READINGS:]))


def arguments():
    """What is asked for."""
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], epilog="exit code: 0 alike, 1 something is lost or other, 2 not compared"
    )
    parser.add_argument("--csv", type=pathlib.Path, required=True, help="the record that is replayed")
    parser.add_argument("--binary", type=pathlib.Path, default=root / "target/release/forecastd")
    parser.add_argument("--model", type=pathlib.Path, default=root / "models/jena.onnx")
    parser.add_argument("--readings", type=int, default=8000, help="rows of the record, from the first [8000]")
    parser.add_argument("--kills", type=int, default=40, help="SIGKILLs of the daemon [40]")
    parser.add_argument("--broker-restarts", type=int, default=0, help="clean restarts of the broker [0]")
    parser.add_argument("--speed", default="max", help='"max", or how many times as fast as real time ["max"]')
    parser.add_argument("--seed", type=int, default=1, help="what the random moments start from [1]")
    parser.add_argument("--engine", default="tract", help="model.engine [tract]")
    parser.add_argument("--grid-step-s", type=int, default=600, help="the grid of the model [600]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the configuration")
    parser.add_argument("--patience", type=float, default=300, help="seconds until a run must be digested [300]")
    parser.add_argument("--keep", type=pathlib.Path, help="a new folder for journals and logs, which is left there")
    options = parser.parse_args()
    for name in ("csv", "binary", "model"):
        path = getattr(options, name).resolve()
        if not path.is_file():
            parser.error(f"--{name}: there is no file {path}")
        setattr(options, name, path)
    if options.readings < 10 * CALM_READINGS:
        parser.error(f"--readings: at least {10 * CALM_READINGS}")
    return options


def main():
    """Runs twice and compares."""
    options = arguments()
    # The first SIGTERM ends everything as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or pathlib.Path(temporary)
        if options.keep:
            folder.mkdir(parents=True)
            folder = folder.resolve()
        try:
            undisturbed = run(options, folder / "undisturbed", 0, 0, [])
            print("undisturbed: " + "; ".join(undisturbed.remarks), flush=True)
            times = sorted(issued_at for _, issued_at in undisturbed.published)
            disturbed = run(options, folder / "disturbed", options.kills, options.broker_restarts, times)
            print("disturbed:   " + "; ".join(disturbed.remarks))
        except HarnessError as error:
            print(f"not compared: {error}", file=sys.stderr)
            return 2
        return 0 if compare(undisturbed, disturbed) else 1


if __name__ == "__main__":
    sys.exit(main())
