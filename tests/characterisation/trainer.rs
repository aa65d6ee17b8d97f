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

/// The instruction set that the trainer's kernels choose, on which the last digit of a sum depends.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "x86_64_avx512f";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "x86_64_avx2_fma";
        }
    }
    std::env::consts::ARCH
}

/// Two runs give the same file; and where a hash was recorded for this instruction set, it is the one of today.
#[test]
fn the_trainers_file_is_as_recorded_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path());
    let train = |out: &str| {
        let out = folder.path().join(out);
        let paths = [csv.to_str().unwrap(), out.to_str().unwrap()];
        let place = ["--latitude", "50.91", "--longitude", "11.57"];
        let size = ["--epochs", "1", "--steps", "8", "--batch", "32", "--seed", "5", "--refit", "validation"];
        let arguments = [
            &[
                "train",
                "--csv",
                paths[0],
                "--out",
                paths[1],
                "--experiment",
                "station-pair",
                "--name",
                "same",
            ][..],
            &["--ship-anyway", "--quiet"],
            &place,
            &size,
        ];
        let said = said(&arguments.concat());
        assert!(said.starts_with("exit code 0"), "{said}");
        std::fs::read(&out).unwrap()
    };
    let file = train("first.onnx");
    assert!(file == train("second.onnx"), "two runs give two files");

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

    let name = format!("train_sha256_{}", instruction_set());
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let is_recorded = snapshots.join(format!("characterisation__{name}.snap")).exists();
    let is_recording = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    if is_recorded || is_recording {
        let manifest = serde_json::to_string_pretty(&artefact.manifest).unwrap();
        compare(&name, &format!("SHA-256 of the file: {}\n\nmanifest:\n{manifest}", artefact.sha256));
    } else {
        eprintln!("NOT RUN: no hash is recorded for {}; two runs were compared", instruction_set());
    }
}
