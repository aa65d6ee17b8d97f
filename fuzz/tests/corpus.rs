//! What was found once, and simple mutations of it: without a fuzzer, in every run of the tests.

use std::path::Path;

use rand::Rng;
use rand_pcg::Pcg64;

/// Runs `target` on every file of its corpus and on so many mutations of each, the same ones every time.
fn run(name: &str, mutations: u64, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no files", folder.display());
    target(b"");
    for path in files {
        let seed = std::fs::read(&path).unwrap();
        target(&seed);
        for mutation in 0..mutations {
            let mutated = mutate(&seed, mutation);
            let caught = std::panic::catch_unwind(|| target(&mutated));
            assert!(caught.is_ok(), "{}, mutation {mutation}: {mutated:?}", path.display());
        }
    }
}

/// Some bytes exchanged, put in, taken out or doubled.
fn mutate(seed: &[u8], number: u64) -> Vec<u8> {
    let mut random = Pcg64::new(u128::from(number), 1);
    let mut bytes = seed.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        let to = (at + random.random_range(0..16)).min(bytes.len());
        match random.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.insert(at, random.random()),
            3 => drop(bytes.drain(at..to)),
            _ => {
                let doubled = bytes[at..to].to_vec();
                bytes.splice(at..at, doubled);
            }
        }
    }
    bytes
}

#[test]
fn payloads() {
    run("payload", 200, forecastd_fuzz::payload);
}

#[test]
fn messages_of_other_programs() {
    run("source", 200, forecastd_fuzz::source);
}

#[test]
fn topics() {
    run("topic", 200, forecastd_fuzz::topic);
}

#[test]
fn records_and_their_mappings() {
    run("csv_mapping", 50, forecastd_fuzz::csv_mapping);
}

#[test]
fn model_files() {
    run("onnx_manifest", 200, forecastd_fuzz::onnx_manifest);
}

#[test]
#[cfg(feature = "train")]
fn checkpoints() {
    run("checkpoint", 200, forecastd_fuzz::checkpoint);
}

#[test]
fn configurations() {
    run("configuration", 200, forecastd_fuzz::configuration);
}

#[test]
fn packets_of_a_broker() {
    // Each is a connection.
    run("mqtt_packets", 10, forecastd_fuzz::mqtt_packets);
}

#[test]
fn journals() {
    run("journal", 50, forecastd_fuzz::journal);
}

/// `fuzz/corpus/onnx_manifest/trend.onnx` is the testkit's model; a new format makes the seed useless without a word.
#[test]
fn the_seed_of_model_files_is_a_model() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/onnx_manifest/trend.onnx");
    if std::env::var_os("FORECASTD_WRITE_SEEDS").is_some() {
        std::fs::write(&path, forecastd_testkit::artefact::trend_file(3, 0.5)).unwrap();
    }
    forecastd_model::Artefact::read(&path).unwrap();
}
