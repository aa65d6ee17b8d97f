//! What some tests need that is not in the tree: real records, ONNX Runtime, schemathesis, axe-core.
//!
//! Such tests are marked `#[ignore = "needs …"]`, so that a plain `cargo test` lists them as ignored, with the reason;
//! `tests/run` runs them too. Where one is run without what it needs, it fails: no test passes without having tested.

use std::path::{Path, PathBuf};

/// A real record of the folder that `FORECASTD_DATA` names.
///
/// # Panics
/// When it is not there.
pub fn record(name: &str) -> PathBuf {
    let folder = std::env::var_os("FORECASTD_DATA").expect("FORECASTD_DATA names the folder of real records");
    let path = Path::new(&folder).join(name);
    assert!(
        path.exists(),
        "{} is not there; FORECASTD_DATA names the folder of real records",
        path.display()
    );
    path
}

/// The library of ONNX Runtime that `FORECASTD_TEST_ONNXRUNTIME` names.
///
/// # Panics
/// When it is not there.
pub fn onnxruntime() -> PathBuf {
    let library = std::env::var_os("FORECASTD_TEST_ONNXRUNTIME");
    let library = PathBuf::from(library.expect("FORECASTD_TEST_ONNXRUNTIME names ONNX Runtime's library"));
    assert!(library.exists(), "{} is not there", library.display());
    library
}

/// The program that `FORECASTD_TEST_SCHEMATHESIS` names.
///
/// # Panics
/// When none is named.
pub fn schemathesis() -> PathBuf {
    let program = std::env::var_os("FORECASTD_TEST_SCHEMATHESIS");
    program.expect("FORECASTD_TEST_SCHEMATHESIS names schemathesis; tests/run installs it").into()
}

/// axe-core's script, which `FORECASTD_TEST_AXE` names, or which `tests/run` has installed below the target folder.
///
/// # Panics
/// When it cannot be read.
pub fn axe_script() -> String {
    let installed = || {
        let libraries = Path::new("target/checkers/lib").read_dir().ok()?;
        let scripts =
            libraries.flatten().map(|python| python.path().join("site-packages/axe_core_python/axe.min.js"));
        scripts.into_iter().find(|script| script.exists())
    };
    let script = std::env::var_os("FORECASTD_TEST_AXE").map(PathBuf::from).or_else(installed);
    let script = script.expect("FORECASTD_TEST_AXE names axe-core's script; tests/run installs one");
    std::fs::read_to_string(&script).unwrap_or_else(|error| panic!("{}: {error}", script.display()))
}
