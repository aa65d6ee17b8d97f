"""A GRU trained by PyTorch, written as a model that forecastd runs.

    pip install torch numpy onnx
    python3 examples/pytorch_gru.py jena_2009_2016_hourly.csv pytorch.onnx
    forecastd evaluate --model pytorch.onnx --csv jena_2009_2016_hourly.csv

A model is an ONNX file with one input, `[batch, sample, feature]`, one output, `[batch, lead]` (or
`[batch, lead, quantile]`), and a manifest: a JSON document in the file's metadata that says how windows are cut and
normalised and what the outputs are. forecastd computes the same features from readings, so they must be the same here.
"""

import csv
import hashlib
import json
import sys
from datetime import datetime, timedelta, timezone

import numpy
import onnx
import torch

# Columns of the Jena record, and what forecastd calls them.
COLUMNS = {
    "T (degC)": "air_temperature",
    "p (mbar)": "air_pressure",
    "rh (%)": "relative_humidity",
    "Tdew (degC)": "dew_point_temperature",
    "wv (m/s)": "wind_speed",
}
WAVES = ["time_of_day_sin", "time_of_day_cos", "time_of_year_sin", "time_of_year_cos"]
LATITUDE, LONGITUDE = 50.91, 11.57
STATION_TIME = timezone(timedelta(hours=1))
SAMPLES, LEADS, UNITS, EPOCHS = 72, 24, 48, 6
# What is learned from, and what chooses: fractions of the rows. The rest is the test part, which is not touched here.
TRAIN, VALIDATION = 200_000 / 420_551, 100_000 / 420_551


def read(path):
    """Times in seconds since 1970, and values: the columns above."""
    times, rows = [], []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            time = datetime.strptime(row["Date Time"], "%d.%m.%Y %H:%M:%S").replace(tzinfo=STATION_TIME)
            times.append(time.timestamp())
            rows.append([float(row[column]) for column in COLUMNS])
    values = numpy.array(rows)
    values[values < -100] = numpy.nan  # what the record writes where nothing was measured
    return numpy.array(times), values


def waves(times):
    """Local mean solar time and the tropical year as sines and cosines."""
    day = times / 86_400 + LONGITUDE / 360
    year = (times - 946_684_800) / (365.2422 * 86_400)
    return numpy.stack([wave(2 * numpy.pi * phase) for phase in (day, year) for wave in (numpy.sin, numpy.cos)], 1)


class Network(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.gru = torch.nn.GRU(features, UNITS, batch_first=True)
        self.output = torch.nn.Linear(UNITS, LEADS)

    def forward(self, window):
        states, _ = self.gru(window)
        return self.output(states[:, -1])


def examples(times, features, temperature, begin, end):
    """Windows of hourly rows without a hole, and the changes of temperature after them, all targets before `end`."""
    origins = [
        row
        for row in range(max(begin, SAMPLES - 1), end - LEADS)
        if times[row + LEADS] - times[row - SAMPLES + 1] == 3600 * (LEADS + SAMPLES - 1)
        and not numpy.isnan(features[row - SAMPLES + 1 : row + 1]).any()
    ]
    windows = numpy.stack([features[row - SAMPLES + 1 : row + 1] for row in origins])
    changes = numpy.stack([temperature[row + 1 : row + 1 + LEADS] - temperature[row] for row in origins])
    keep = ~numpy.isnan(changes).any(1)
    return windows[keep].astype("float32"), changes[keep].astype("float32")


def main(record, model_file):
    torch.manual_seed(1)
    times, values = read(record)
    features = numpy.concatenate([values, waves(times)], 1)
    train_end = int(len(times) * TRAIN)
    validation_end = int(len(times) * (TRAIN + VALIDATION))
    mean = numpy.nanmean(features[:train_end], 0)
    deviation = numpy.nanstd(features[:train_end], 0)
    normalised = (features - mean) / deviation
    x, y = map(torch.tensor, examples(times, normalised, values[:, 0], 0, train_end))
    x_validation, y_validation = map(
        torch.tensor, examples(times, normalised, values[:, 0], train_end, validation_end)
    )
    unit = float(y.std())

    network = Network(x.shape[2])
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for epoch in range(EPOCHS):
        network.train()
        for batch in torch.randperm(len(x)).split(256):
            loss = (network(x[batch]) - y[batch] / unit).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            error = (network(x_validation) * unit - y_validation)[:, -1].abs().mean()
        print(f"epoch {epoch + 1}: validation MAE at {LEADS} h {error:.3f} °C", flush=True)

    manifest = {
        "format_version": 1,
        "name": "pytorch-gru",
        "window": {
            "grid_step_s": 600,
            "sample_every_s": 3600,
            "samples": SAMPLES,
            "max_hole_s": 10_800,
            "site": {"latitude_deg": LATITUDE, "longitude_deg": LONGITUDE},
            "features": [*COLUMNS.values(), *WAVES],
        },
        "normalisation": {"mean": mean.tolist(), "standard_deviation": deviation.tolist()},
        "target": {
            "quantity": "air_temperature",
            "kind": "difference_to_newest",
            "mean": 0.0,
            "standard_deviation": unit,
        },
        "lead_h": list(range(1, LEADS + 1)),
        "quantiles": [],
        # With the training file's digest, `forecastd evaluate` knows which part of it the network has not seen.
        "training": {
            "file": record.rsplit("/", 1)[-1],
            "sha256": hashlib.sha256(open(record, "rb").read()).hexdigest(),
            "rows": len(times),
            "first": datetime.fromtimestamp(times[0], timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "last": datetime.fromtimestamp(times[-1], timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "split": {"train": TRAIN, "validation": VALIDATION},
            "seed": 1,
            "experiment": "PyTorch GRU",
        },
        "scores": [],
        "tool": f"PyTorch {torch.__version__}",
    }
    torch.onnx.export(
        network,
        (x[:1],),
        model_file,
        input_names=["window"],
        output_names=["temperature"],
        dynamic_axes={"window": {0: "batch"}, "temperature": {0: "batch"}},
        opset_version=12,
        dynamo=False,
    )
    model = onnx.load(model_file)
    onnx.helper.set_model_props(model, {"forecastd.manifest": json.dumps(manifest)})
    onnx.save(model, model_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
