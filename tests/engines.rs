//! Every network that the trainer makes gives the same temperatures in burn, in tract and in ONNX Runtime.
//!
//! A process has one engine: tract runs here, ONNX Runtime in `forecastd evaluate`, with the library that
//! `FORECASTD_TEST_ONNXRUNTIME` names; what needs it is ignored where nobody asks for it.

#![cfg(feature = "train")]

use std::path::Path;
use std::process::Command;

use burn::tensor::{Device, Tensor, TensorData};
use forecastd_core::Feature;
use forecastd_core::Quantity;
use forecastd_core::{Manifest, Normalisation};
use forecastd_model::onnx::{Attribute, Model};
use forecastd_model::{Artefact, Engine, EngineChoice, Runtime};
use forecastd_record::Simulation;
use forecastd_testkit::needed;
use forecastd_train::dense::Dense;
use forecastd_train::experiment::{self, Experiment, Method};
use forecastd_train::graph::GraphBuilder;
use forecastd_train::network::{Bidirectional, CellKind, Direction, Network, Recurrent, RecurrentSettings};
use forecastd_train::recurrent::{Activation, GruConfig};
use forecastd_train::{TrainOptions, parameters, run};
use jiff::Timestamp;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

const TOLERANCE_C: f32 = 1e-4;
/// A usual standard deviation of the target, °C, by which a network's output is multiplied.
const UNIT_C: f32 = 9.0;
const FEATURES: usize = 14;

/// Every experiment that a model file can be made of, with its own cell and, where it has one, with the other, of which
/// a small network tells as much.
fn variants() -> Vec<(String, Experiment, TrainOptions)> {
    let mut variants = Vec::new();
    for experiment in experiment::all()
        .into_iter()
        .filter(|experiment| experiment.exported_lead_h(&TrainOptions::default()).is_some())
        // Those that learn from many stations, or go on from such a model: tests/trainer/world.rs.
        .filter(|experiment| !matches!(experiment.method, Method::World(_) | Method::Own(_)))
    {
        variants.push((experiment.name.to_owned(), experiment.clone(), TrainOptions::default()));
        let Method::Network(recipe) = &experiment.method else { continue };
        let layers = &recipe.network.recurrent;
        let (name, cell) = match layers.first().map(|layer| layer.cell) {
            Some(CellKind::Gru) => (format!("{}-of-lstm", experiment.name), CellKind::Lstm),
            Some(CellKind::Lstm) => (format!("{}-of-gru", experiment.name), CellKind::Gru),
            None => continue,
        };
        let units = vec![8; layers.len()];
        let options = TrainOptions { cell: Some(cell), units, samples: Some(48), ..TrainOptions::default() };
        assert_eq!(experiment.ignored_option(&options), None, "{name}");
        variants.push((name, experiment, options));
    }
    variants
}

/// A recurrent layer of every kind, each in a network of its own with one output: below it gives every state, above it
/// the last one. Among the numbers, all of them random, are biases that a new layer does not have yet.
fn networks_of_every_layer(features: usize, device: &Device, chance: &mut Pcg64) -> Vec<(String, Network)> {
    const UNITS: usize = 5;
    let mut networks = Vec::new();
    for direction in [Direction::Forward, Direction::Backward, Direction::Bidirectional] {
        for activation in [Activation::Tanh, Activation::Relu] {
            for (cell, reset_after) in [(CellKind::Gru, true), (CellKind::Gru, false), (CellKind::Lstm, true)]
            {
                let settings =
                    RecurrentSettings { direction, activation, ..RecurrentSettings::plain(cell, UNITS) };
                let mut layer = |inputs| {
                    let gru = |reverse| {
                        GruConfig::new(inputs, UNITS)
                            .with_reset_after(false)
                            .with_reverse(reverse)
                            .with_activation(activation)
                    };
                    match (reset_after, direction) {
                        (true, _) => settings.init(inputs, device, chance),
                        (false, Direction::Bidirectional) => Recurrent::GruBidirectional(Bidirectional {
                            forward: gru(false).init(device, chance),
                            reverse: gru(true).init(device, chance),
                        }),
                        (false, _) => {
                            Recurrent::Gru(gru(direction == Direction::Backward).init(device, chance))
                        }
                    }
                };
                let recurrent = vec![layer(features), layer(settings.width())];
                let output = Dense::new(settings.width(), 1, device, chance);
                let network = Network { recurrent, hidden: Vec::new(), output, head_dropout: 0.0 };
                let mut numbers = parameters::values(&network);
                numbers.fill_with(|| chance.random_range(-0.5..0.5));
                let name =
                    format!("{direction:?} {cell:?}, {activation:?}, reset after the product: {reset_after}");
                networks.push((name, parameters::with_values(network, &numbers)));
            }
        }
    }
    networks
}

/// A model file whose every lead is the output of another network, for windows like those of the shipped model.
fn artefact_of_leads(networks: &[(String, Network)]) -> Vec<u8> {
    let template = shipped_manifest();
    let leads = networks.len();
    let mut graph = GraphBuilder::new();
    let export = |(_, network): &(String, Network)| network.export(&mut graph, Artefact::INPUT, &[1.0]);
    let outputs: Vec<String> = networks.iter().map(export).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let all = graph.node("Concat", &outputs, vec![Attribute::int("axis", 1)]);
    let size = [template.window.samples, template.window.features.len()];
    let model = graph.finish(&all, size, &[leads]);
    let manifest = Manifest {
        lead_h: (1..=leads as u32).collect(),
        quantiles: Vec::new(),
        extremes_h: None,
        ranges: None,
        training: None,
        scores: Vec::new(),
        ..template
    };
    Artefact::assemble(model, &manifest).unwrap()
}

fn shipped_manifest() -> Manifest {
    Artefact::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/jena.onnx")).unwrap().manifest
}

/// So many windows of random numbers `[sample, feature]`.
fn random_windows(windows: usize, [samples, features]: [usize; 2], chance: &mut Pcg64) -> Vec<f32> {
    (0..windows * samples * features).map(|_| chance.random_range(-2.0..2.0)).collect()
}

fn by_burn(network: &Network, values: &[f32], [samples, features]: [usize; 2]) -> Vec<f32> {
    let data = TensorData::new(values.to_vec(), [values.len() / (samples * features), samples, features]);
    network.forward(Tensor::from_data(data, &Device::flex()), None).into_data().try_to_vec().unwrap()
}

/// The outputs of an artefact, window by window.
fn by_tract(artefact: &[u8], values: &[f32], [samples, features]: [usize; 2]) -> Vec<f32> {
    let runtime = Runtime::start(EngineChoice::Tract, None).unwrap();
    let mut engine = Engine::load(&runtime, &Artefact::parse(artefact).unwrap()).unwrap();
    values.chunks_exact(samples * features).flat_map(|window| engine.run(window, 1).unwrap()).collect()
}

fn assert_same(name: &str, by_burn: &[f32], by_tract: &[f32]) {
    assert_eq!(by_burn.len(), by_tract.len(), "{name}");
    for (burn, tract) in by_burn.iter().zip(by_tract) {
        assert!((burn - tract).abs() * UNIT_C < TOLERANCE_C, "{name}: {burn} in burn, {tract} in tract");
    }
}

#[test]
fn every_network_gives_the_same_in_burn_and_in_tract() {
    let device = Device::flex();
    let template = shipped_manifest();
    for (name, experiment, options) in variants() {
        let Method::Network(recipe) = experiment.method else { continue };
        let recipe = recipe.with_options(&options, 1);
        let mut chance = Pcg64::seed_from_u64(7);
        let lead_h = recipe.task.target().lead_h;
        let outputs = lead_h.len();
        let size = [recipe.task.samples, FEATURES];
        let network = recipe.network.init(size, outputs, &device, &mut chance);
        let mut graph = GraphBuilder::new();
        let last = network.export(&mut graph, Artefact::INPUT, &vec![1.0; outputs]);
        let model: Model = graph.finish(&last, size, &[outputs]);
        let mut manifest = Manifest { lead_h, quantiles: Vec::new(), ..template.clone() };
        manifest.window.samples = recipe.task.samples;
        manifest.window.features = vec![Feature::Quantity(Quantity::AirTemperature); FEATURES];
        manifest.normalisation =
            Normalisation { mean: vec![0.0; FEATURES], standard_deviation: vec![1.0; FEATURES] };
        manifest.scores = Vec::new();
        let artefact = Artefact::assemble(model, &manifest).unwrap();
        let values = random_windows(50, size, &mut chance);
        assert_same(&name, &by_burn(&network, &values, size), &by_tract(&artefact, &values, size));
    }
}

#[test]
fn every_recurrent_layer_gives_the_same_in_burn_and_in_tract() {
    let window = shipped_manifest().window;
    let size = [window.samples, window.features.len()];
    let chance = &mut Pcg64::seed_from_u64(11);
    let networks = networks_of_every_layer(window.features.len(), &Device::flex(), chance);
    let values = random_windows(20, size, chance);
    let by_tract = by_tract(&artefact_of_leads(&networks), &values, size);
    for (index, (name, network)) in networks.iter().enumerate() {
        let of_network: Vec<f32> = by_tract.iter().skip(index).step_by(networks.len()).copied().collect();
        let by_burn = by_burn(network, &values, size);
        let lowest = by_burn.iter().copied().fold(f32::MAX, f32::min);
        let spread = by_burn.iter().copied().fold(f32::MIN, f32::max) - lowest;
        assert!(spread > 1e-2, "{name}: the windows are all the same to it, {spread} apart");
        assert_same(name, &by_burn, &of_network);
    }
}

/// tract takes every GRU for one with the usual activations that walks forwards.
#[test]
fn tract_is_given_no_graph_that_it_would_misread() {
    use forecastd_model::onnx::{Graph, Node};
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

/// Every forecast of a model for a record, with options that name an engine and a place: issue time, valid time, the temperature and its interval.
fn forecasts(model: &Path, csv: &Path, options: &[&str]) -> Vec<([String; 2], Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    let predictions = folder.path().join("predictions.csv");
    let output = Command::new(env!("CARGO_BIN_EXE_forecastd"))
        .arg("evaluate")
        .args(options)
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
fn compare(name: &str, model: &Path, csv: &Path, place: &[&str], library: &Path) -> usize {
    let library = library.to_str().unwrap();
    let by_engine = |engine: &[&str]| forecasts(model, csv, &[engine, place].concat());
    let by_tract = by_engine(&["--engine", "tract"]);
    let by_onnx_runtime = by_engine(&["--engine", "onnxruntime", "--onnxruntime-library", library]);
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

/// Writes hourly readings of a simulated station, as many as stand in so many days.
fn write_simulated(csv: &Path, days: usize) {
    let mut text = String::from(
        "time,air_temperature_c,air_pressure_hpa,relative_humidity_pct,dew_point_c,wind_speed_m_s,\
         wind_direction_deg\n",
    );
    let start: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
    // Every sixth of the ten-minute readings.
    for (hour, (time, values)) in Simulation::new(start, 3).step_by(6).take(24 * days).enumerate() {
        let value = |quantity| values.get(quantity).unwrap();
        text += &format!(
            "{time},{:.2},{:.2},{:.1},{:.2},{:.2},{}\n",
            value(Quantity::AirTemperature),
            value(Quantity::AirPressure),
            value(Quantity::RelativeHumidity),
            value(Quantity::DewPointTemperature),
            value(Quantity::WindSpeed),
            hour * 7 % 360,
        );
    }
    std::fs::write(csv, text).unwrap();
}

#[test]
#[ignore = "needs ONNX Runtime: FORECASTD_TEST_ONNXRUNTIME"]
fn every_experiment_is_trained_exported_and_run_by_both_engines_alike() {
    let library = needed::onnxruntime();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("simulated.csv");
    write_simulated(&csv, 120);
    for (name, experiment, options) in variants() {
        let is_pair = matches!(experiment.method, Method::Pair(_));
        let is_trained = !experiment.is_free();
        let model = folder.path().join(format!("{name}.onnx"));
        let options = TrainOptions {
            csv: vec![csv.clone()],
            latitude: Some(50.0),
            longitude: Some(10.0),
            experiment: vec![experiment.name.to_owned()],
            out: Some(model.clone()),
            epochs: is_trained.then_some(1),
            // A pair that has learned nothing has quantiles so close to each other that its intervals are stretched a
            // thousandfold, and so is every error of rounding.
            steps: is_trained.then_some(if is_pair { 130 } else { 10 }),
            batch: is_trained.then_some(if is_pair { 256 } else { 32 }),
            seed: 1,
            ship_anyway: true,
            ..options
        };
        run(&options, &Default::default(), &mut ()).unwrap();
        let windows = compare(&name, &model, &csv, &[], &library);
        assert!(windows >= 1000, "{name}: {windows} windows");
    }
}

#[test]
#[ignore = "needs ONNX Runtime: FORECASTD_TEST_ONNXRUNTIME"]
fn every_recurrent_layer_is_run_by_both_engines_alike() {
    let library = needed::onnxruntime();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("simulated.csv");
    write_simulated(&csv, 8);
    let features = shipped_manifest().window.features.len();
    let networks = networks_of_every_layer(features, &Device::flex(), &mut Pcg64::seed_from_u64(11));
    let model = folder.path().join("layers.onnx");
    std::fs::write(&model, artefact_of_leads(&networks)).unwrap();
    let windows = compare("every layer at a lead of its own", &model, &csv, &[], &library);
    assert!(windows >= 100, "{windows} windows");
}

#[test]
#[ignore = "needs ONNX Runtime: FORECASTD_TEST_ONNXRUNTIME"]
fn the_model_for_any_place_gives_the_same_by_both_engines() {
    let library = needed::onnxruntime();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("simulated.csv");
    write_simulated(&csv, 30);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx");
    let windows = compare("world", &model, &csv, &["--latitude", "50", "--longitude", "10"], &library);
    assert!(windows >= 600, "{windows} windows");
}

#[test]
#[ignore = "needs the real records and ONNX Runtime: FORECASTD_DATA, FORECASTD_TEST_ONNXRUNTIME"]
fn the_shipped_model_gives_the_same_by_both_engines_on_a_year_of_readings() {
    let library = needed::onnxruntime();
    let csv = needed::record("jena_2020_10min.csv");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/jena.onnx");
    assert!(compare("shipped", &model, &csv, &[], &library) > 50_000);
}
