//! Times one forecast: a GRU of 32 units over 240 samples of 14 features, and the shipped model, with tract and with
//! ONNX Runtime; in this process, in one of its own as the daemon has it, and there while many windows wait.
//!
//! `cargo bench --bench inference`; ONNX Runtime takes part if `ORT_DYLIB_PATH` names its library. An engine is chosen
//! once per process, so each is timed in a child process of its own; the two take turns.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use forecastd_core::MissingValues;
use forecastd_core::Quantity;
use forecastd_core::Site;
use forecastd_core::WindowSpec;
use forecastd_core::{FORMAT_VERSION, Manifest, Normalisation, Target, TargetKind};
use forecastd_core::{Feature, Wave};
use forecastd_model::onnx::{
    Attribute, DimensionValue, Graph, Model, Node, OperatorSetId, Tensor, ValueInfo,
};
use forecastd_model::{
    Artefact, Engine, EngineChoice, EngineOptions, EngineProcess, EngineProgram, Runtime, serve_engine,
};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

const SAMPLES: usize = 240;
const UNITS: usize = 32;
const LEADS: usize = 24;
const WARM_UP: usize = 200;
const FORECASTS: usize = 3000;
const ROUNDS: usize = 3;
/// As many as the daemon has in flight at most.
const WAITING: usize = 256;
/// How often so many are timed.
const BURSTS: usize = 20;

/// The variable by which a child process knows its engine.
const ENGINE: &str = "FORECASTD_BENCH_ENGINE";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("engine") {
        return serve_engine();
    }
    compare();
    ExitCode::SUCCESS
}

fn compare() {
    if let Ok(engine) = std::env::var(ENGINE) {
        return time(engine.parse().expect("the parent names an engine that exists"));
    }
    let library = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    let engines: &[&str] = if library.is_some() { &["tract", "onnxruntime"] } else { &["tract"] };
    if library.is_none() {
        println!("ONNX Runtime takes part if ORT_DYLIB_PATH names its library");
    }
    println!("{:<12} {:<34} {:>9} {:>9} {:>9}   µs", "engine", "network", "median", "fastest", "p99");
    let program = std::env::current_exe().expect("this program has a path");
    for _ in 0..ROUNDS {
        for engine in engines {
            let ended = Command::new(&program).env(ENGINE, engine).status().expect("this program starts");
            assert!(ended.success(), "{engine} failed");
        }
    }
}

fn time(choice: EngineChoice) {
    let runtime = Runtime::start(choice, None).expect("the engine starts");
    let shipped = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
        Artefact::read(&path).expect("a shipped model is an artefact")
    };
    let networks = [
        ("GRU 32, 240 × 14", Artefact::parse(&gru()).expect("the graph is an artefact")),
        ("world", shipped("world.onnx")),
        ("jena", shipped("jena.onnx")),
    ];
    for (name, artefact) in networks {
        let mut engine = Engine::load(&runtime, &artefact).expect("the engine takes the graph");
        let mut chance = Pcg64::seed_from_u64(1);
        let window: Vec<f32> =
            (0..artefact.manifest.window.len()).map(|_| chance.random_range(-2.0..2.0)).collect();
        let kind = engine.kind().name();
        print(kind, name, FORECASTS, || {
            std::hint::black_box(engine.run(&window, 1).expect("the engine runs"));
        });
        print(kind, &format!("{name}, {WAITING} one by one"), BURSTS, || {
            for _ in 0..WAITING {
                std::hint::black_box(engine.run(&window, 1).expect("the engine runs"));
            }
        });
        let options = EngineOptions::new(choice, None, EngineProgram::itself());
        let mut process =
            EngineProcess::start(Arc::new(artefact), &options).expect("the engine takes the graph");
        print(kind, &format!("{name}, own process"), FORECASTS, || {
            std::hint::black_box(process.run(&window, 1).expect("the engine runs"));
        });
        let many = vec![window.as_slice(); WAITING];
        print(kind, &format!("{name}, {WAITING} to own process"), BURSTS, || {
            process
                .run_each(many.iter().copied(), |outputs| drop(std::hint::black_box(outputs)))
                .expect("it runs");
        });
        if let Some((now, peak)) = process.resident_bytes() {
            println!("{kind:<12} {name:<34} {:>6.1} MiB, at most {:.1}", mebibytes(now), mebibytes(peak));
        }
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Times `forecast` so often, after it has warmed up.
fn print(engine: &str, what: &str, times: usize, mut forecast: impl FnMut()) {
    for _ in 0..times.min(WARM_UP) {
        forecast();
    }
    let mut times: Vec<_> = (0..times)
        .map(|_| {
            let begin = Instant::now();
            forecast();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let microseconds = |index: usize| times[index].as_secs_f64() * 1e6;
    println!(
        "{engine:<12} {what:<34} {:>9.1} {:>9.1} {:>9.1}",
        microseconds(times.len() / 2),
        microseconds(0),
        microseconds(times.len() * 99 / 100),
    );
}

/// The file of a GRU with random weights, its last state and a dense layer to every hour until tomorrow.
fn gru() -> Vec<u8> {
    let features = vec![Feature::Quantity(Quantity::AirTemperature); 12];
    let features = [features, vec![Feature::TimeOfDay(Wave::Sin), Feature::TimeOfDay(Wave::Cos)]].concat();
    let inputs = features.len();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: "benchmark".to_owned(),
        normalisation: Normalisation { mean: vec![0.0; inputs], standard_deviation: vec![1.0; inputs] },
        window: WindowSpec {
            grid_step_s: 600,
            sample_every_s: 3600,
            samples: SAMPLES,
            max_hole_s: 3 * 3600,
            site: Some(Site::new(50.91, 11.57)),
            missing: MissingValues::Refused,
            features,
        },
        target: Target {
            quantity: "air_temperature".to_owned(),
            kind: TargetKind::DifferenceToNewest,
            mean: 0.0,
            standard_deviation: 1.0,
        },
        lead_h: (1..=LEADS as u32).collect(),
        quantiles: Vec::new(),
        extremes_h: None,
        ranges: None,
        training: None,
        scores: Vec::new(),
        tool: "benchmark".to_owned(),
        stations: Vec::new(),
        graph_sha256: None,
    };
    let mut chance = Pcg64::seed_from_u64(2);
    let mut constant = |name: &str, dims: &[usize]| {
        let values: Vec<f32> =
            (0..dims.iter().product()).map(|_| chance.random_range(-0.2_f32..0.2)).collect();
        Tensor::float(name, dims, &values)
    };
    let initializer = vec![
        constant("w", &[1, 3 * UNITS, inputs]),
        constant("r", &[1, 3 * UNITS, UNITS]),
        constant("b", &[1, 6 * UNITS]),
        constant("weight", &[UNITS, LEADS]),
        constant("bias", &[LEADS]),
    ];
    let batch = || DimensionValue::Name("batch".to_owned());
    let size = |size: usize| DimensionValue::Size(size as i64);
    let model = Model {
        ir_version: 4,
        producer_name: "benchmark".to_owned(),
        opset_import: vec![OperatorSetId { domain: String::new(), version: 9 }],
        graph: Some(Graph {
            name: "gru".to_owned(),
            node: vec![
                Node::new("Transpose", &["window"], &["by_time"], vec![Attribute::ints("perm", &[1, 0, 2])]),
                Node::new(
                    "GRU",
                    &["by_time", "w", "r", "b"],
                    &["", "last"],
                    vec![
                        Attribute::int("hidden_size", UNITS as i64),
                        Attribute::int("linear_before_reset", 1),
                    ],
                ),
                Node::new("Squeeze", &["last"], &["state"], vec![Attribute::ints("axes", &[0])]),
                Node::new("Gemm", &["state", "weight", "bias"], &["temperature"], Vec::new()),
            ],
            initializer,
            input: vec![ValueInfo::float("window", [batch(), size(SAMPLES), size(inputs)])],
            output: vec![ValueInfo::float("temperature", [batch(), size(LEADS)])],
            ..Graph::default()
        }),
        ..Model::default()
    };
    Artefact::assemble(model, &manifest).expect("manifest and graph fit")
}
