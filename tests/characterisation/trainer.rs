//! The trainer's file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use forecastd::wire::reading as json;
use forecastd_model::Artefact;
use forecastd_record::Simulation;
use forecastd_testkit::client::at;

use super::{compare, said};

/// Four months of the simulated station, every hour, in forecastd's own format.
fn simulated(folder: &Path) -> PathBuf {
    let keys =
        ["air_temperature_c", "air_pressure_hpa", "relative_humidity_pct", "dew_point_c", "wind_speed_m_s"];
    let mut text = format!("time,{}\n", keys.join(","));
    for (time, values) in Simulation::new(at(0), 7).step_by(6).take(3000) {
        let reading: serde_json::Value = serde_json::from_str(&json::encode(time, &values)).unwrap();
        let cells: Vec<String> = keys.iter().map(|&key| reading[key].to_string()).collect();
        writeln!(text, "{time},{}", cells.join(",")).unwrap();
    }
    let path = folder.join("simulated.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// A small training, and the file that it writes.
fn trained(folder: &Path, csv: &Path, out: &str) -> Vec<u8> {
    let out = folder.join(out);
    let paths = [csv.to_str().unwrap(), out.to_str().unwrap()];
    let place = ["--latitude", "50.91", "--longitude", "11.57"];
    let size = ["--epochs", "1", "--steps", "8", "--batch", "32", "--seed", "5", "--refit", "validation"];
    let arguments = [
        &["train", "--csv", paths[0], "--out", paths[1], "--experiment", "station-pair", "--name", "same"][..],
        &["--ship-anyway", "--quiet"],
        &place,
        &size,
    ];
    let said = said(&arguments.concat());
    assert!(said.starts_with("exit code 0"), "{said}");
    std::fs::read(&out).unwrap()
}

#[test]
fn two_trainings_give_the_same_file_and_its_graph_is_as_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path());
    let file = trained(folder.path(), &csv, "first.onnx");
    assert!(file == trained(folder.path(), &csv, "second.onnx"), "two runs give two files");

    let artefact = Artefact::parse(&file).unwrap();
    let model = artefact.model();
    let graph = model.graph.as_ref().unwrap();
    let mut text = format!("{} bytes\nnodes:\n", file.len());
    for node in &graph.node {
        writeln!(text, "{} {:?} -> {:?}", node.op_type, node.input, node.output).unwrap();
    }
    text.push_str("constants:\n");
    for tensor in &graph.initializer {
        writeln!(text, "{} {:?}", tensor.name, tensor.dims).unwrap();
    }
    compare("train_graph", &text);
}

/// The last digit of a sum depends on the instruction set that the kernels choose.
#[test]
#[ignore = "needs AVX-512: the hash is recorded with it"]
fn the_trainers_file_is_as_recorded_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let file = trained(folder.path(), &simulated(folder.path()), "same.onnx");
    let artefact = Artefact::parse(&file).unwrap();
    let manifest = serde_json::to_string_pretty(&artefact.manifest).unwrap();
    compare(
        "train_sha256_x86_64_avx512f",
        &format!("SHA-256 of the file: {}\n\nmanifest:\n{manifest}", artefact.sha256),
    );
}
