//! Times a training step (forward and backward) and inference of the layers, in turn with those of PyTorch, and prints
//! medians, the fastest and ratios.
//!
//! `cargo bench -p forecastd-recurrent`; PyTorch takes part if `python3`, or the interpreter that the variable `PYTHON`
//! names, has it. Both use the threads that rayon would (`RAYON_NUM_THREADS`). Words after `--` choose cases by name, a
//! number among them is that of the rounds.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod pytorch;

use std::hint::black_box;
use std::time::Instant;

use forecastd_recurrent::{Gru, GruWeights, InstructionSet, Lstm, LstmWeights, Masks, Memory, Output, Sizes};
use pytorch::PyTorch;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

const BATCH: usize = 128;
const STEPS: usize = 240;
const INPUTS: usize = 14;
const UNITS: usize = 32;
const STACKED_UNITS: usize = 64;
const INFERENCE_BATCH: usize = 1024;
const ROUNDS: usize = 15;

fn uniform(generator: &mut Pcg64, length: usize, limit: f32) -> Vec<f32> {
    (0..length).map(|_| generator.random_range(-limit..limit)).collect()
}

enum Kind {
    Gru(Gru),
    Lstm(Lstm),
}

/// A layer with its weights: input, recurrent, and two biases of which an LSTM uses the first.
struct Layer {
    kind: Kind,
    sizes: Sizes,
    output: Output,
    weights: [Vec<f32>; 4],
}

impl Layer {
    fn random(generator: &mut Pcg64, is_lstm: bool, sizes: Sizes, output: Output) -> Self {
        let (kind, gates) = if is_lstm {
            (Kind::Lstm(Lstm { output, ..Lstm::default() }), 4)
        } else {
            (Kind::Gru(Gru { output, ..Gru::default() }), 3)
        };
        let rows = gates * sizes.units;
        let limit = 1.0 / (sizes.units as f32).sqrt();
        let weights = [rows * sizes.inputs, rows * sizes.units, rows, rows]
            .map(|length| uniform(generator, length, limit));
        Self { kind, sizes, output, weights }
    }

    fn gru_weights(&self) -> GruWeights<'_> {
        let [input, recurrent, input_bias, recurrent_bias] = &self.weights;
        GruWeights { input, recurrent, input_bias, recurrent_bias }
    }

    fn lstm_weights(&self) -> LstmWeights<'_> {
        let [input, recurrent, bias, _] = &self.weights;
        LstmWeights { input, recurrent, bias }
    }

    fn out(&self) -> Vec<f32> {
        vec![0.0; self.sizes.batch * self.output.per_sequence(self.sizes)]
    }

    fn infer(&self, x: &[f32]) -> Vec<f32> {
        let mut out = self.out();
        match &self.kind {
            Kind::Gru(layer) => layer.infer(self.sizes, x, self.gru_weights(), &mut out),
            Kind::Lstm(layer) => layer.infer(self.sizes, x, self.lstm_weights(), &mut out),
        }
        out
    }

    fn forward(&self, x: &[f32]) -> (Vec<f32>, Memory) {
        let mut out = self.out();
        let masks = Masks::default();
        let memory = match &self.kind {
            Kind::Gru(layer) => layer.forward(self.sizes, x, self.gru_weights(), masks, &mut out),
            Kind::Lstm(layer) => layer.forward(self.sizes, x, self.lstm_weights(), masks, &mut out),
        };
        (out, memory)
    }

    fn backward(&self, memory: &Memory, out_gradient: &[f32], x_gradient: Option<&mut [f32]>) {
        match &self.kind {
            Kind::Gru(layer) => {
                black_box(layer.backward(memory, self.gru_weights(), out_gradient, x_gradient));
            }
            Kind::Lstm(layer) => {
                black_box(layer.backward(memory, self.lstm_weights(), out_gradient, x_gradient));
            }
        }
    }
}

/// Forward and backward pass of layers one upon the other, under a loss whose gradient is the same everywhere.
fn training_step(layers: &[Layer], x: &[f32]) {
    let mut kept: Vec<(Vec<f32>, Memory)> = Vec::new();
    for layer in layers {
        let input = kept.last().map_or(x, |(out, _)| out);
        kept.push(layer.forward(input));
    }
    let outputs = layers.last().map_or(0, |layer| layer.out().len());
    let mut gradient = vec![1.0 / outputs as f32; outputs];
    for (index, layer) in layers.iter().enumerate().rev() {
        let memory = &kept[index].1;
        if index == 0 {
            layer.backward(memory, &gradient, None);
        } else {
            let Sizes { batch, steps, inputs, .. } = layer.sizes;
            let mut x_gradient = vec![0.0; batch * steps * inputs];
            layer.backward(memory, &gradient, Some(&mut x_gradient));
            gradient = x_gradient;
        }
    }
}

fn milliseconds(repetitions: usize, work: impl Fn()) -> Vec<f64> {
    (0..repetitions)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect()
}

fn print_row(name: &str, ours: Option<f64>, pytorch: Option<f64>) {
    let cell =
        |value: Option<f64>| value.map_or_else(|| format!("{:>14}", "-"), |value| format!("{value:>14.2}"));
    let ratio = ours.zip(pytorch).map(|(ours, pytorch)| pytorch / ours);
    println!("{name:<16}{}", [ours, pytorch, ratio].map(cell).concat());
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let chosen: Vec<&String> = words.iter().filter(|word| word.parse::<usize>().is_err()).collect();
    let threads = rayon::current_num_threads();
    println!(
        "a step on {BATCH} sequences, inference on {INFERENCE_BATCH}; {STEPS} steps with {INPUTS} features; {UNITS} \
         units, stacked {UNITS} and {STACKED_UNITS}; {threads} threads, {:?}; milliseconds",
        InstructionSet::detect()
    );
    let mut pytorch = PyTorch::start(threads, INFERENCE_BATCH);
    if pytorch.is_none() {
        println!("PyTorch: not found (set PYTHON to an interpreter that has it)");
    }
    let header = ["ours", "PyTorch", "PyTorch/ours"];
    println!("{:<16}{}", "case", header.map(|word| format!("{word:>14}")).concat());

    for case in ["gru", "gru-stacked", "lstm", "gru-inference", "lstm-inference"] {
        if !chosen.is_empty() && !chosen.iter().any(|word| *word == case) {
            continue;
        }
        let generator = &mut Pcg64::seed_from_u64(0);
        let is_inference = case.ends_with("-inference");
        let batch = if is_inference { INFERENCE_BATCH } else { BATCH };
        let sizes = Sizes { batch, steps: STEPS, inputs: INPUTS, units: UNITS };
        let is_lstm = case.starts_with("lstm");
        let layers = if case == "gru-stacked" {
            let stacked = Sizes { inputs: UNITS, units: STACKED_UNITS, ..sizes };
            vec![
                Layer::random(generator, is_lstm, sizes, Output::Sequence),
                Layer::random(generator, is_lstm, stacked, Output::LastState),
            ]
        } else {
            vec![Layer::random(generator, is_lstm, sizes, Output::LastState)]
        };
        let x = uniform(generator, batch * STEPS * INPUTS, 1.7);

        let (mut our_times, mut pytorch_times) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let our_round = milliseconds(10, || {
                if is_inference {
                    black_box(layers[0].infer(&x));
                } else {
                    training_step(&layers, &x);
                }
            });
            let pytorch_round = pytorch.as_mut().and_then(|pytorch| pytorch.milliseconds(case, 5));
            // The first round warms up.
            if round > 0 {
                our_times.extend(our_round);
                pytorch_times.extend(pytorch_round.into_iter().flatten());
            }
        }
        our_times.sort_by(f64::total_cmp);
        pytorch_times.sort_by(f64::total_cmp);
        let median = |times: &[f64]| times.get(times.len() / 2).copied();
        print_row(case, median(&our_times), median(&pytorch_times));
        // The fastest says what the code can do when others share the processor.
        print_row("  fastest", our_times.first().copied(), pytorch_times.first().copied());
    }
}
