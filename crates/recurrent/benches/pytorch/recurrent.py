"""The PyTorch side of the benches `layers` and, in the trainer's crate, `kernels`.

Arguments: threads, and how many sequences the inference cases go through. Reads lines `<case> <repetitions>` and answers each with the milliseconds of every repetition. A case is one of
gru, gru-stacked, lstm, gru-inference, lstm-inference.
"""

import sys
import time

import torch

BATCH, STEPS, INPUTS, UNITS, STACKED_UNITS = 128, 240, 14, 32, 64
INFERENCE_BATCH = 1024


class Network(torch.nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return x[:, -1]


def network(case):
    if case == "gru-stacked":
        return Network(
            torch.nn.GRU(INPUTS, UNITS, batch_first=True),
            torch.nn.GRU(UNITS, STACKED_UNITS, batch_first=True),
        )
    cell = torch.nn.LSTM if case.startswith("lstm") else torch.nn.GRU
    return Network(cell(INPUTS, UNITS, batch_first=True))


def main():
    torch.manual_seed(0)
    threads, windows = map(int, sys.argv[1:3])
    torch.set_num_threads(threads)
    networks = {}
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        case, repetitions = line.split()
        inference = case.endswith("-inference")
        if case not in networks:
            batch = INFERENCE_BATCH if inference else BATCH
            networks[case] = (network(case), torch.randn(batch, STEPS, INPUTS))
        model, x = networks[case]
        times = []
        for _ in range(int(repetitions)):
            start = time.perf_counter()
            if inference:
                with torch.inference_mode():
                    for begin in range(0, windows, INFERENCE_BATCH):
                        model(x[: windows - begin])
            else:
                model.zero_grad()
                model(x).abs().mean().backward()
            times.append((time.perf_counter() - start) * 1e3)
        print(*times, flush=True)


if __name__ == "__main__":
    main()
