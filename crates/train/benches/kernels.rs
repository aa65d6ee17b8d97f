//! Times a training step (forward and backward, without the optimiser) and inference of our recurrent layers, of burn's
//! stock layers and of PyTorch, in turn, and prints medians and ratios.
//!
//! `cargo bench --features train --bench kernels`; PyTorch takes part if `python3`, or the interpreter that the
//! variable `PYTHON` names, has it. All use the threads that rayon would (`RAYON_NUM_THREADS`). Words after `--` choose
//! cases by name.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../../recurrent/benches/pytorch/mod.rs"]
mod pytorch;

use std::time::Instant;

use burn::module::Module;
use burn::nn::{
    Gru as StockGru, GruConfig as StockGruConfig, Lstm as StockLstm, LstmConfig as StockLstmConfig,
};
use burn::tensor::{Device, Distribution, Tensor};
use forecastd_core::Grid;
use forecastd_core::Quantity;
use forecastd_record::Simulation;
use forecastd_record::{DEFAULT_SPLIT, Record};
use forecastd_train::dataset::Dataset;
use forecastd_train::experiment::{self, Method};
use forecastd_train::recurrent::{Gru, GruConfig, Lstm, LstmConfig};
use pytorch::PyTorch;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

const BATCH: usize = 128;
const STEPS: usize = 240;
const INPUTS: usize = 14;
const UNITS: usize = 32;
const STACKED_UNITS: usize = 64;
const INFERENCE_BATCH: usize = 1024;
/// Windows of the test part of the hourly Jena record.
const TEST_WINDOWS: usize = 19_931;
const ROUNDS: usize = 7;

/// A network of one or more recurrent layers; its result is the last state.
#[allow(clippy::large_enum_variant)] // There are never more than two.
#[derive(Module, Debug)]
enum Network {
    Gru(Gru),
    Stacked([Gru; 2]),
    Lstm(Lstm),
    StockGru(StockGru),
    StockStacked([StockGru; 2]),
    StockLstm(StockLstm),
}

impl Network {
    fn ours(case: &str, device: &Device) -> Self {
        let generator = &mut Pcg64::seed_from_u64(0);
        match case {
            "gru-stacked" => Self::Stacked([
                GruConfig::new(INPUTS, UNITS).init(device, generator),
                GruConfig::new(UNITS, STACKED_UNITS).init(device, generator),
            ]),
            case if case.starts_with("lstm") => {
                Self::Lstm(LstmConfig::new(INPUTS, UNITS).init(device, generator))
            }
            _ => Self::Gru(GruConfig::new(INPUTS, UNITS).init(device, generator)),
        }
    }

    fn stock(case: &str, device: &Device) -> Self {
        match case {
            "gru-stacked" => Self::StockStacked([
                StockGruConfig::new(INPUTS, UNITS, true).init(device),
                StockGruConfig::new(UNITS, STACKED_UNITS, true).init(device),
            ]),
            case if case.starts_with("lstm") => {
                Self::StockLstm(StockLstmConfig::new(INPUTS, UNITS, true).init(device))
            }
            _ => Self::StockGru(StockGruConfig::new(INPUTS, UNITS, true).init(device)),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let last = |sequence: Tensor<3>| sequence.slice([0..x.dims()[0], STEPS - 1..STEPS]).squeeze_dim(1);
        match self {
            Self::Gru(layer) => layer.forward(x, None),
            Self::Stacked([first, second]) => second.forward(first.forward_sequence(x, None), None),
            Self::Lstm(layer) => layer.forward(x, None),
            Self::StockGru(layer) => last(layer.forward(x.clone(), None)),
            Self::StockStacked([first, second]) => last(second.forward(first.forward(x.clone(), None), None)),
            Self::StockLstm(layer) => layer.forward(x, None).1.hidden,
        }
    }

    fn milliseconds(&self, x: &Tensor<3>, inference: bool, repetitions: usize) -> Vec<f64> {
        let mut times = Vec::with_capacity(repetitions);
        for _ in 0..repetitions {
            let start = Instant::now();
            if inference {
                // The same numbers again and again: what they are does not matter.
                let mut left = TEST_WINDOWS;
                while left > 0 {
                    let count = left.min(INFERENCE_BATCH);
                    std::hint::black_box(self.forward(x.clone().slice([0..count, 0..STEPS])).into_data());
                    left -= count;
                }
            } else {
                std::hint::black_box(self.forward(x.clone()).abs().mean().backward());
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times
    }
}

/// Milliseconds to draw the windows of a batch: 240 hourly samples out of two years of ten-minute readings, normalised.
fn sampling_milliseconds() -> Option<f64> {
    let grid = Grid::new(600)?;
    let start = jiff::Timestamp::from_second(1_000_000_000).ok()?;
    let readings: Vec<_> = Simulation::new(start, 1).take(2 * 52_560).collect();
    let measured: Vec<Quantity> = readings[0].1.iter().map(|(quantity, _)| quantity).collect();
    let record = Record::from_readings(&readings, grid, &measured)?;
    let mut task = match experiment::by_name("gru")?.method {
        Method::Network(recipe) => recipe.task,
        _ => return None,
    };
    task.samples = STEPS;
    let mut spec = task.window(&record, forecastd_record::SITE);
    // As many features as the cases above have.
    spec.features = spec.features.iter().copied().cycle().take(INPUTS).collect();
    let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &task.target(), None).ok()?;
    let generator = &mut Pcg64::seed_from_u64(0);
    let mut times = Vec::new();
    for _ in 0..200 {
        let batch: Vec<usize> = (0..BATCH).map(|_| generator.random_range(0..dataset.train.len())).collect();
        let start = Instant::now();
        std::hint::black_box(dataset.gather(&dataset.train, &batch));
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    median(&mut times)
}

fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn print_row(case: &str, [ours, stock, pytorch]: [Option<f64>; 3]) {
    let ratio = |times: Option<f64>| Some(times? / ours?);
    let cell = |value: Option<f64>| match value {
        Some(value) => format!("{value:>14.2}"),
        None => format!("{:>14}", "-"),
    };
    println!("{case:<16}{}", [ours, stock, pytorch, ratio(stock), ratio(pytorch)].map(cell).concat());
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let threads = rayon::current_num_threads();
    println!(
        "{BATCH} sequences of {STEPS} steps with {INPUTS} features; inference: all {TEST_WINDOWS} windows of a test \
         part, {INFERENCE_BATCH} at once; {UNITS} units, stacked {UNITS} and {STACKED_UNITS}; {threads} threads; \
         medians in milliseconds"
    );
    let mut pytorch = PyTorch::start(threads, TEST_WINDOWS);
    if pytorch.is_none() {
        println!("PyTorch: not found (set PYTHON to an interpreter that has it)");
    }
    let header = ["ours", "stock", "PyTorch", "stock/ours", "PyTorch/ours"];
    println!("{:<16}{}", "case", header.map(|word| format!("{word:>14}")).concat());

    for case in ["gru", "gru-stacked", "lstm", "gru-inference", "lstm-inference"] {
        if !chosen.is_empty() && !chosen.iter().any(|word| word == case) {
            continue;
        }
        let inference = case.ends_with("-inference");
        let device = Device::flex().autodiff();
        let (mut ours, mut stock) = (Network::ours(case, &device), Network::stock(case, &device));
        let mut data_device = device;
        let mut batch = BATCH;
        if inference {
            (ours, stock) = (ours.valid(), stock.valid());
            data_device = Device::flex();
            batch = INFERENCE_BATCH;
        }
        let x = Tensor::<3>::random([batch, STEPS, INPUTS], Distribution::Normal(0.0, 1.0), &data_device);

        let (mut our_times, mut stock_times, mut pytorch_times) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let repetitions = if inference { [1; 3] } else { [10, 2, 5] };
            let our_round = ours.milliseconds(&x, inference, repetitions[0]);
            let stock_round = stock.milliseconds(&x, inference, repetitions[1]);
            let pytorch_round =
                pytorch.as_mut().and_then(|pytorch| pytorch.milliseconds(case, repetitions[2]));
            // The first round warms up.
            if round > 0 {
                our_times.extend(our_round);
                stock_times.extend(stock_round);
                pytorch_times.extend(pytorch_round.into_iter().flatten());
            }
        }
        // The fastest says what the code can do when others share the processor.
        let mut times = [our_times, stock_times, pytorch_times];
        print_row(case, times.each_mut().map(|times| median(times)));
        print_row("  fastest", times.each_ref().map(|times| times.first().copied()));
    }
    if let Some(milliseconds) = sampling_milliseconds() {
        println!("{:<16}{milliseconds:>14.2}", "sampling a batch");
    }
}
