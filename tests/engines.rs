//! Every network that the trainer makes gives the same temperatures in burn, in tract and in ONNX Runtime.
//!
//! A process has one engine: tract runs here, ONNX Runtime in `forecastd evaluate`, with the library that
//! `FORECASTD_TEST_ONNXRUNTIME` names; what needs it says so when it is absent.
#![cfg(feature = "train")]

use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::{Device, Tensor, TensorData};
use forecastd::feature::Feature;
use forecastd::model::onnx::Model;
use forecastd::model::{Artefact, Engine, EngineChoice, Manifest, Normalisation, Runtime};
use forecastd::quantity::Quantity;
use forecastd::simulation::Simulation;
use forecastd::train::experiment::{self, Method, Recipe};
use forecastd::train::graph::GraphBuilder;
use forecastd::train::{TrainOptions, run};
use jiff::Timestamp;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

const TOLERANCE_C: f32 = 1e-4;
/// A usual standard deviation of the target, °C, by which a network's output is multiplied.
const UNIT_C: f32 = 9.0;
const FEATURES: usize = 14;

fn networks() -> Vec<(&'static str, Recipe)> {
    let network = |experiment: experiment::Experiment| match experiment.method {
        Method::Network(recipe) => Some((experiment.name, recipe)),
        _ => None,
    };
    experiment::all().into_iter().filter_map(network).collect()
}

/// The library of ONNX Runtime.
fn library() -> Option<PathBuf> {
    let library = std::env::var_os("FORECASTD_TEST_ONNXRUNTIME").filter(|path| !path.is_empty());
    if library.is_none() {
        eprintln!("SKIPPED: FORECASTD_TEST_ONNXRUNTIME does not name an ONNX Runtime library");
    }
    library.map(PathBuf::from)
}

#[test]
fn every_network_gives_the_same_in_burn_and_in_tract() {
    let device = Device::flex();
    let runtime = Runtime::start(EngineChoice::Tract, None).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/jena.onnx");
    let template = Artefact::read(&shipped).unwrap().manifest;
    for (name, recipe) in networks() {
        let mut chance = Pcg64::seed_from_u64(7);
        let lead_h = recipe.problem.target().lead_h;
        let outputs = lead_h.len();
        let size = [recipe.problem.samples, FEATURES];
        let network = recipe.network.init(size, outputs, &device, &mut chance);
        let mut graph = GraphBuilder::new();
        let last = network.export(&mut graph, Artefact::INPUT, &vec![1.0; outputs]);
        let model: Model = graph.finish(&last, size, &[outputs]);
        let mut manifest = Manifest { lead_h, quantiles: Vec::new(), ..template.clone() };
        manifest.window.samples = recipe.problem.samples;
        manifest.window.features = vec![Feature::Quantity(Quantity::AirTemperature); FEATURES];
        manifest.normalisation =
            Normalisation { mean: vec![0.0; FEATURES], standard_deviation: vec![1.0; FEATURES] };
        manifest.scores = Vec::new();
        let artefact = Artefact::parse(&Artefact::assemble(model, &manifest).unwrap()).unwrap();
        let mut engine = Engine::load(&runtime, &artefact).unwrap();
        let windows = 50;
        let values: Vec<f32> = (0..windows * recipe.problem.samples * FEATURES)
            .map(|_| chance.random_range(-2.0..2.0))
            .collect();
        let data = TensorData::new(values.clone(), [windows, recipe.problem.samples, FEATURES]);
        let by_burn: Vec<f32> =
            network.forward(Tensor::from_data(data, &device), None).into_data().try_to_vec().unwrap();
        let by_tract: Vec<f32> = values
            .chunks_exact(recipe.problem.samples * FEATURES)
            .flat_map(|window| engine.run(window, 1).unwrap())
            .collect();
        assert_eq!(by_burn.len(), by_tract.len(), "{name}");
        for (burn, tract) in by_burn.iter().zip(&by_tract) {
            assert!((burn - tract).abs() * UNIT_C < TOLERANCE_C, "{name}: {burn} in burn, {tract} in tract");
        }
    }
}

/// tract takes every GRU for one with the usual activations that walks forwards.
#[test]
fn tract_is_given_no_graph_that_it_would_misread() {
    use forecastd::model::onnx::{Attribute, Graph, Node};
    let with = |attribute: Attribute| Model {
        graph: Some(Graph {
            node: vec![Node::new("GRU", &["x", "w", "r"], &["", "y"], vec![attribute])],
            ..Graph::default()
        }),
        ..Model::default()
    };
    let usual = ["Sigmoid", "Tanh", "Sigmoid", "Tanh"];
    for attribute in [
        Attribute::strings("activations", &usual),
        Attribute::string("direction", "bidirectional"),
        Attribute::string("direction", "forward"),
        Attribute::int("linear_before_reset", 1),
    ] {
        assert_eq!(with(attribute).ignored_by_tract(), None);
    }
    for attribute in [
        Attribute::strings("activations", &["Sigmoid", "Relu"]),
        Attribute::strings("activations", &["Sigmoid", "Tanh", "Sigmoid", "Relu"]),
        Attribute::string("direction", "reverse"),
        Attribute::float("clip", 1.0),
    ] {
        let expected = format!("attribute {} of GRU", attribute.name);
        assert_eq!(with(attribute).ignored_by_tract(), Some(expected));
    }
}

/// Every forecast of a model for a record by an engine: issue time, valid time, the temperature and its interval.
fn forecasts(model: &Path, csv: &Path, engine: &[&str]) -> Vec<([String; 2], Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    let predictions = folder.path().join("predictions.csv");
    let output = Command::new(env!("CARGO_BIN_EXE_forecastd"))
        .arg("evaluate")
        .args(engine)
        .arg("--model")
        .arg(model)
        .arg("--csv")
        .arg(csv)
        .arg("--predictions")
        .arg(&predictions)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(predictions).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|&column| column == name).unwrap();
    let times = ["issued_at", "valid_at"].map(column);
    let values = ["model_c", "low_c", "high_c"].map(column);
    let forecast = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let of_model = values.iter().filter(|&&index| !fields[index].is_empty());
        let numbers = of_model.map(|&index| fields[index].parse().unwrap()).collect();
        (times.map(|index| fields[index].to_owned()), numbers)
    };
    lines.map(forecast).collect()
}

/// Compares tract with ONNX Runtime, which is given many windows at once. Gives the number of windows.
fn compare(name: &str, model: &Path, csv: &Path, library: &Path) -> usize {
    let library = library.to_str().unwrap();
    let by_tract = forecasts(model, csv, &["--engine", "tract"]);
    let by_onnx_runtime =
        forecasts(model, csv, &["--engine", "onnxruntime", "--onnxruntime-library", library]);
    assert_eq!(by_tract.len(), by_onnx_runtime.len(), "{name}");
    let mut windows = std::collections::BTreeSet::new();
    for ((times, tract), (same_times, onnx_runtime)) in by_tract.iter().zip(&by_onnx_runtime) {
        assert_eq!((times, tract.len()), (same_times, onnx_runtime.len()), "{name}");
        windows.insert(&times[0]);
        for (tract, onnx_runtime) in tract.iter().zip(onnx_runtime) {
            let apart = (tract - onnx_runtime).abs();
            assert!(
                apart < TOLERANCE_C,
                "{name}, {times:?}: {tract} by tract, {onnx_runtime} by ONNX Runtime"
            );
        }
    }
    windows.len()
}

#[test]
fn every_experiment_is_trained_exported_and_run_by_both_engines_alike() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("simulated.csv");
    let mut text = String::from(
        "time,air_temperature_c,air_pressure_hpa,relative_humidity_pct,dew_point_c,wind_speed_m_s\n",
    );
    let start: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
    // Every sixth of the ten-minute readings, four months.
    for (time, values) in Simulation::new(start, 3).step_by(6).take(24 * 120) {
        let value = |quantity| values.get(quantity).unwrap();
        text += &format!(
            "{time},{:.2},{:.2},{:.1},{:.2},{:.2}\n",
            value(Quantity::AirTemperature),
            value(Quantity::AirPressure),
            value(Quantity::RelativeHumidity),
            value(Quantity::DewPointTemperature),
            value(Quantity::WindSpeed),
        );
    }
    std::fs::write(&csv, text).unwrap();
    for experiment in experiment::all().iter().filter(|experiment| experiment.is_exportable()) {
        let is_pair = matches!(experiment.method, Method::Pair(_));
        let is_trained = !experiment.is_free();
        let model = folder.path().join(format!("{}.onnx", experiment.name));
        let options = TrainOptions {
            csv: Some(csv.clone()),
            latitude: Some(50.0),
            longitude: Some(10.0),
            experiment: vec![experiment.name.to_owned()],
            out: Some(model.clone()),
            grid_step_s: 600,
            epochs: is_trained.then_some(1),
            // A pair that has learned nothing has quantiles so close to each other that its intervals are stretched a
            // thousandfold, and so is every error of rounding.
            steps: is_trained.then_some(if is_pair { 130 } else { 10 }),
            batch: is_trained.then_some(if is_pair { 256 } else { 32 }),
            seed: 1,
            seeds: 1,
            ship_anyway: true,
            ..TrainOptions::default()
        };
        run(&options, &Default::default(), &mut ()).unwrap();
        let windows = compare(experiment.name, &model, &csv, &library);
        assert!(windows >= 1000, "{}: {windows} windows", experiment.name);
    }
}

#[test]
fn the_shipped_model_gives_the_same_by_both_engines_on_a_year_of_readings() {
    let Some(library) = library() else { return };
    let folder =
        std::env::var_os("FORECASTD_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let csv = folder.join("jena_2020_10min.csv");
    if !csv.exists() {
        eprintln!("SKIPPED: {} is not there; set FORECASTD_DATA", csv.display());
        return;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/jena.onnx");
    assert!(compare("shipped", &model, &csv, &library) > 50_000);
}
