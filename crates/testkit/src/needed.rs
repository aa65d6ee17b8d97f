//! What some tests need that is not in the tree: real records, and ONNX Runtime.
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
