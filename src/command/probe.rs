//! Whether a model file runs, tried in a process of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::ModelLocation;
use forecastd_core::excerpt;
use forecastd_model::{
    Artefact, ArtefactError, EngineChoice, EngineError, EngineOptions, EngineProcess, EngineProgram,
};

/// What is to be tried.
#[derive(Debug, Clone, clap::Args)]
pub struct ProbeOptions {
    /// The model file [default: the model that is built in]
    pub file: Option<PathBuf>,
    /// The engine that runs the network: auto, tract or onnxruntime
    #[arg(long, default_value = "auto", value_name = "ENGINE")]
    pub engine: EngineChoice,
    /// ONNX Runtime's library, where it is not found by itself
    #[arg(long, value_name = "FILE")]
    pub onnxruntime_library: Option<PathBuf>,
}

/// Why a model is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file is no artefact.
    #[error("{location}")]
    Artefact {
        /// The file, or the model that is built in.
        location: ModelLocation,
        /// What is wrong with the file.
        source: ArtefactError,
    },
    /// The engine does not run it.
    #[error("{location}")]
    Engine {
        /// The file, or the model that is built in.
        location: ModelLocation,
        /// What the engine says.
        source: EngineError,
    },
    /// The output is gone.
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

/// Forecasts that are timed.
const TIMED: usize = 101;

/// Tries a model as a start of the daemon does, times it, and prints what was found.
///
/// # Errors
/// [`ProbeError`] when the model is not usable.
pub fn run(
    options: &ProbeOptions,
    program: EngineProgram,
    output: &mut impl Write,
) -> Result<(), ProbeError> {
    let location = ModelLocation::from(options.file.clone());
    let named = |source| ProbeError::Engine { location: location.clone(), source };
    let began = Instant::now();
    let (artefact, mut engine) =
        start(&location, options.engine, options.onnxruntime_library.as_deref(), program)?;
    let loaded_in = began.elapsed();
    let window = vec![0.0; artefact.manifest.window.len()];
    let mut times = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        let began = Instant::now();
        engine.run(&window, 1).map_err(named)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_unstable_by(f64::total_cmp);
    let manifest = &artefact.manifest;
    writeln!(output, "model      {}", excerpt(&artefact.id(), 100))?;
    writeln!(
        output,
        "engine     {}, loaded and tried in {:.0} ms",
        engine.kind().name(),
        loaded_in.as_secs_f64() * 1e3
    )?;
    writeln!(
        output,
        "forecast   {:.3} ms (median of {TIMED}), at most {:.3} ms",
        times[TIMED / 2],
        times[TIMED - 1]
    )?;
    writeln!(
        output,
        "outputs    {} leads × {} quantiles, finite for every window that was tried",
        manifest.lead_h.len(),
        manifest.quantiles.len().max(1)
    )?;
    if let Some((now, peak)) = engine.resident_bytes() {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(output, "memory     {:.1} MiB, at most {:.1} MiB", mebibytes(now), mebibytes(peak))?;
    }
    Ok(())
}

/// Reads a model and starts it in a process of its own, which tries it.
///
/// # Errors
/// [`ProbeError`] when the model is not usable.
pub fn start(
    location: &ModelLocation,
    engine: EngineChoice,
    library: Option<&Path>,
    program: EngineProgram,
) -> Result<(Arc<Artefact>, EngineProcess), ProbeError> {
    let artefact = location.read().map(Arc::new);
    let artefact = artefact.map_err(|source| ProbeError::Artefact { location: location.clone(), source })?;
    let options = EngineOptions::new(engine, library.map(Path::to_owned), program);
    let engine = EngineProcess::start(Arc::clone(&artefact), &options);
    Ok((artefact, engine.map_err(|source| ProbeError::Engine { location: location.clone(), source })?))
}
