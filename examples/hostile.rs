//! Loads hostile models, each in a process of its own, and says what became of them and of this process.
//!
//! `cargo run --example hostile -- [COUNT] [ENGINE]`; ONNX Runtime takes part if the engine is
//! `onnxruntime` and `ORT_DYLIB_PATH` names its library.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forecastd_model::{
    Artefact, EngineChoice, EngineError, EngineOptions, EngineProcess, EngineProgram, serve_engine,
};
use forecastd_testkit::hostile;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("engine") {
        return serve_engine();
    }
    let count = first.map_or(1000, |count| count.parse().expect("a number of models"));
    let choice = arguments.next().map_or(EngineChoice::Tract, |name| name.parse().expect("an engine"));
    let options = EngineOptions {
        loading: Duration::from_secs(10),
        ..EngineOptions::new(choice, None, EngineProgram::itself())
    };
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut slowest, mut largest) = ((Duration::ZERO, String::new()), (0, String::new()));
    let models = hostile::models(count);
    let peak_before = peak_memory();
    for (name, file) in models {
        let began = Instant::now();
        let (outcome, said) = match Artefact::parse(&file) {
            Err(error) => ("refused unseen", error.to_string()),
            Ok(artefact) => match EngineProcess::start(Arc::new(artefact), &options) {
                Ok(engine) => {
                    let (_, peak) = engine.resident_bytes().unwrap_or_default();
                    if peak > largest.0 {
                        largest = (peak, name.clone());
                    }
                    ("runs", String::new())
                }
                Err(error) => {
                    let outcome = match &error {
                        EngineError::Died { .. } => "died",
                        EngineError::TimedOut { .. } => "hung",
                        EngineError::Answer { .. } => "garbled",
                        EngineError::Start(_) => "not started",
                        _ => "refused",
                    };
                    (outcome, error.to_string())
                }
            },
        };
        println!("{outcome:<15} {name}: {said:.160}");
        *outcomes.entry(outcome).or_default() += 1;
        if began.elapsed() > slowest.0 {
            slowest = (began.elapsed(), name);
        }
    }
    println!("{outcomes:?}");
    println!("longest: {:.1} s, {}", slowest.0.as_secs_f64(), slowest.1);
    println!("largest that runs: {} MiB, {}", largest.0 >> 20, largest.1);
    println!("this process: at most {} before, at most {} in the end", peak_before, peak_memory());
    ExitCode::SUCCESS
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("unknown").trim().to_owned()
}
