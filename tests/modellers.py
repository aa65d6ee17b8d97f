"""What forecastd gives modellers, held against NumPy.

    python3 tests/modellers.py FORECASTD RECORD.csv MODEL.onnx

FORECASTD is the program, RECORD an hourly file in the Jena format, MODEL a model of it. Windows and scores are computed
here a second time, from the file alone. Needs numpy; where torch and onnx are there too, the example is run on the windows.
"""

import csv
import importlib.util
import json
import lzma
import pathlib
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone

import numpy

COLUMNS = {
    "air_temperature": "T (degC)",
    "air_pressure": "p (mbar)",
    "relative_humidity": "rh (%)",
    "wind_speed": "wv (m/s)",
}
LONGITUDE = 11.57
HOUR = 3600


def read(path):
    """Values of the file by second since 1970 and column; those that the file marks as missing are left out."""
    zone = timezone(timedelta(hours=1))
    values = {}
    with open(path, newline="", encoding="latin-1") as file:
        for row in csv.DictReader(file):
            time = datetime.strptime(row["Date Time"], "%d.%m.%Y %H:%M:%S").replace(tzinfo=zone)
            values[int(time.timestamp())] = {name: float(row[column]) for name, column in COLUMNS.items()}
    return values


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_windows(program, record, folder):
    archive = folder / "windows.npz"
    said = run(program, "windows", "--csv", record, "--out", archive, "--samples", 48)
    data = numpy.load(archive)
    manifest = json.loads(data["manifest.json"])
    features = manifest["window"]["features"]
    inputs, times = data["inputs"], data["times"]
    assert inputs.dtype == numpy.float32 and inputs.shape == (len(times), 48, len(features))
    assert f"{len(times)} windows of 48 samples" in said, said
    mean = numpy.array(manifest["normalisation"]["mean"])
    deviation = numpy.array(manifest["normalisation"]["standard_deviation"])
    values = read(record)
    physical = inputs[::997] * deviation + mean
    compared = 0
    for window, end in zip(physical, times[::997]):
        for sample in range(48):
            second = int(end) - (47 - sample) * HOUR
            day = 2 * numpy.pi * (second / 86_400 + LONGITUDE / 360)
            year = 2 * numpy.pi * (second - 946_684_800) / (365.2422 * 86_400)
            expected = {
                "time_of_day_sin": numpy.sin(day),
                "time_of_day_cos": numpy.cos(day),
                "time_of_year_sin": numpy.sin(year),
                "time_of_year_cos": numpy.cos(year),
                # A reading that is missing was filled, and one below -100 is a mark for that.
                **{name: value for name, value in values.get(second, {}).items() if value > -100},
            }
            for index, name in enumerate(features):
                if name in expected:
                    scale = max(1.0, abs(expected[name]))
                    assert abs(window[sample, index] - expected[name]) < 2e-4 * scale, (name, second)
                    compared += 1
    assert compared > 48 * len(physical) * 7, "nearly everything was compared"

    targets, mask, newest = data["targets"], data["targets_mask"], data["newest"]
    assert (numpy.isnan(targets) == ~mask).all()
    temperature = {second: row["air_temperature"] for second, row in values.items()}
    for index in range(0, len(times), 997):
        assert abs(newest[index] - temperature[int(times[index])]) < 1e-4
        for lead, hours in enumerate(data["lead_h"]):
            if mask[index, lead]:
                assert abs(targets[index, lead] - temperature[int(times[index]) + int(hours) * HOUR]) < 1e-4
    train = data["part"] == 0
    changes = (targets - newest[:, None])[train].astype(float)
    assert abs(numpy.nanstd(changes) - manifest["target"]["standard_deviation"]) < 1e-4
    assert (numpy.diff(data["part"]) >= 0).all() and (numpy.diff(times) > 0).all()
    print(f"windows: {len(times)}, {compared} numbers of {len(physical)} of them are those of the file")
    return archive


def check_scores(program, record, model, folder):
    predictions = folder / "predictions.csv"
    verif_text = folder / "verif.txt"
    run(program, "evaluate", "--model", model, "--csv", record, "--predictions", predictions, "--verif", verif_text)
    with open(predictions, newline="") as file:
        ours = {(row["issued_at"], int(row["lead_h"])): row for row in csv.DictReader(file)}
    # Somebody's forecasts: ours, pulled towards the newest temperature, at every third hour.
    theirs = folder / "theirs.csv"
    chosen = {key: row for key, row in ours.items() if int(key[0][11:13]) % 3 == 0 and key[1] in (1, 6, 24)}
    value = lambda row: 0.7 * float(row["model_c"]) + 0.3 * float(row["persistence_c"])
    with open(theirs, "w") as file:
        file.write("init_time,step,forecast,q10,q90\n")
        for (issued_at, lead_h), row in chosen.items():
            middle = value(row)
            file.write(f"{issued_at},{lead_h},{middle:.6f},{middle - 2:.6f},{middle + 2:.6f}\n")
    said = run(program, "evaluate", "--model", model, "--csv", record, "--forecasts", theirs, "--format", "json")
    beside = json.loads(said)["forecasts"]
    assert beside["matched"] == len(chosen) == beside["given"], (beside["matched"], len(chosen))
    for part in {line["part"] for line in beside["leads"]}:
        for lead_h in (1, 6, 24):
            rows = [row for (_, lead), row in chosen.items() if lead == lead_h and row["part"] == part]
            [line] = [line for line in beside["leads"] if (line["part"], line["lead_h"]) == (part, lead_h)]
            error = numpy.array([value(row) - float(row["observed_c"]) for row in rows])
            own = numpy.array([float(row["model_c"]) - float(row["observed_c"]) for row in rows])
            for key, expected in {
                "cases": len(rows),
                "forecasts_mae_c": numpy.abs(error).mean(),
                "forecasts_rmse_c": numpy.sqrt((error**2).mean()),
                "forecasts_bias_c": error.mean(),
                "forecasts_coverage": (numpy.abs(error) <= 2).mean(),
                "model_mae_c": numpy.abs(own).mean(),
                "model_rmse_c": numpy.sqrt((own**2).mean()),
            }.items():
                assert abs(line[key] - expected) < 1e-3, (part, lead_h, key, line[key], expected)
    numbers = numpy.loadtxt(verif_text, comments="#", skiprows=3)
    assert len(numbers) == len(ours)
    print(f"scores: {len(chosen)} forecasts of others, {len(ours)} of ours for verif")
    if not importlib.util.find_spec("verif"):
        print("NOT RUN: whether verif reads its file needs verif")
        return
    import verif.input

    read_back = verif.input.Text(str(verif_text))
    assert numpy.isfinite(read_back.fcst).sum() == len(ours)
    print("verif reads the file")


def check_example(program, record, archive, folder):
    missing = [name for name in ("torch", "onnx") if not importlib.util.find_spec(name)]
    if missing:
        print(f"NOT RUN: the example needs {' and '.join(missing)}")
        return
    example = pathlib.Path(__file__).parent.parent / "examples" / "pytorch_gru.py"
    model = folder / "pytorch.onnx"
    subprocess.run([sys.executable, example, archive, model], check=True)
    said = run(program, "evaluate", "--model", model, "--csv", record, "--format", "json")
    for part in json.loads(said)["parts"]:
        last = part["leads"][-1]
        assert last["mae_c"] < last["persistence_mae_c"], "it is better than persistence"
        print(f"example: {part['part']} part, {last['lead_h']} h, {last['mae_c']:.3f} °C")


def check_pool_station(program, folder):
    """A station of a pool whose pressure is that of the sea's level, 500 m up, is walked as a live one."""
    pool, hours, sea_hpa = folder / "pool", 24 * 14, 1013.2
    pool.mkdir()
    (pool / "stations.csv").write_text(
        "id,name,latitude_deg,longitude_deg,elevation_m,first_unix_s,rows,tmy,step_h,pressure\n"
        f"hill,Hill,30.7,104.0,500,1609459200,{hours},0,1,sea level\n"
    )
    hour = numpy.arange(hours)
    temperature = 10 + 6 * numpy.sin((hour - 2) * 2 * numpy.pi / 24)
    missing = numpy.full(hours, -32768)
    columns = [numpy.round(10 * temperature), numpy.full(hours, 10 * sea_hpa), numpy.full(hours, 60), missing, missing, missing]
    with lzma.open(pool / "hourly.bin.xz", "wb") as file:
        for column in columns:
            file.write(numpy.diff(column.astype("<i2"), prepend=numpy.int16(0)).astype("<i2").tobytes())
    root = pathlib.Path(__file__).parent.parent
    made = subprocess.run([sys.executable, root / "examples" / "pool_station.py", pool, "hill"], check=True,
                          capture_output=True, text=True)
    rows = list(csv.DictReader(made.stdout.splitlines()))
    # The standard atmosphere has 954.61 hPa at 500 m and 1013.25 hPa at sea level (ICAO Doc 7488/3).
    assert all(abs(float(row["air_pressure_hpa"]) - 954.6) < 0.2 for row in rows), rows[0]
    path = folder / "hill.csv"
    path.write_text(made.stdout)
    said = run(program, "evaluate", "--online", "--format", "json", "--model", root / "models" / "world.onnx", "--csv", path,
               *made.stderr.split())
    print(f"a station of a pool: {json.loads(said)['forecasts']} forecasts")


def main(program, record, model):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        archive = check_windows(program, record, folder)
        check_scores(program, record, model, folder)
        check_example(program, record, archive, folder)
        check_pool_station(program, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
