"""A GRU trained by PyTorch on the windows of any record, written as a model that forecastd runs.

    pip install torch numpy onnx
    forecastd windows --csv jena_2009_2016_hourly.csv --out windows.npz
    python3 examples/pytorch_gru.py windows.npz pytorch.onnx
    forecastd evaluate --model pytorch.onnx --csv jena_2009_2016_hourly.csv

The archive holds what a network of forecastd is given (`inputs`, normalised, `[window, sample, feature]`), what was observed
after each window (`targets`, °C, `[window, lead]`, and whether it was: `targets_mask`), the newest temperature of each
(`newest`), the part of the record that it belongs to (`part`: 0 training, 1 validation, 2 test) and the manifest, which says
what all of that means. A model is an ONNX file with one input, `[batch, sample, feature]`, one output, `[batch, lead]`, and
that manifest in its metadata: nothing of the pre-processing is repeated here.
"""

import json
import sys

import numpy
import onnx
import torch

UNITS, EPOCHS, BATCH = 48, 6, 256
TRAINING, VALIDATION = 0, 1


class Network(torch.nn.Module):
    def __init__(self, features, leads):
        super().__init__()
        self.gru = torch.nn.GRU(features, UNITS, batch_first=True)
        self.output = torch.nn.Linear(UNITS, leads)

    def forward(self, window):
        states, _ = self.gru(window)
        return self.output(states[:, -1])


def main(archive, model_file):
    torch.manual_seed(1)
    data = numpy.load(archive)
    manifest = json.loads(data["manifest.json"])
    inputs = torch.from_numpy(data["inputs"])
    mask = torch.from_numpy(data["targets_mask"])
    # What the manifest calls difference_to_newest, in its unit; what was not observed counts for nothing.
    unit = manifest["target"]["standard_deviation"]
    changes = torch.from_numpy((data["targets"] - data["newest"][:, None]) / unit)
    changes = torch.where(mask, changes, 0.0)
    train = torch.from_numpy(numpy.flatnonzero(data["part"] == TRAINING))
    validation = torch.from_numpy(numpy.flatnonzero(data["part"] == VALIDATION))
    lead_h = manifest["lead_h"]

    network = Network(inputs.shape[2], len(lead_h))
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for epoch in range(EPOCHS):
        network.train()
        for batch in train[torch.randperm(len(train))].split(BATCH):
            errors = (network(inputs[batch]) - changes[batch]).abs() * mask[batch]
            loss = errors.sum() / mask[batch].sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            errors = torch.cat([network(inputs[batch]) - changes[batch] for batch in validation.split(4096)])
        longest = errors[:, -1][mask[validation, -1]].abs().mean() * unit
        print(f"epoch {epoch + 1}: validation MAE at {lead_h[-1]} h {longest:.3f} °C", flush=True)

    manifest["name"] = "pytorch-gru"
    manifest["tool"] = f"PyTorch {torch.__version__}"
    manifest["training"].update(seed=1, experiment="PyTorch GRU")
    torch.onnx.export(
        network,
        (inputs[:1],),
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
