//! The engines that run a network in this process: tract (built in) and ONNX Runtime (a shared library), behind the
//! `ort` API. Both end the process on some files, so they are for files that are trusted, or for a process that may end:
//! a daemon has an [`EngineProcess`](crate::EngineProcess).
//!
//! The API's table of functions is one per process, so the engine is chosen once, at start, by [`Runtime::start`].

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use super::Artefact;

/// Which engine a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// ONNX Runtime when a library is configured or found, else tract.
    #[default]
    Auto,
    /// tract, whatever library there is.
    Tract,
    /// ONNX Runtime, or an error.
    OnnxRuntime,
}

/// An engine that runs networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// tract, pure Rust, built in.
    Tract,
    /// Microsoft's ONNX Runtime.
    OnnxRuntime,
}

impl EngineKind {
    /// The name in configuration, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Tract => "tract",
            EngineKind::OnnxRuntime => "onnxruntime",
        }
    }
}

impl std::str::FromStr for EngineChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<EngineChoice, String> {
        match name {
            "auto" => Ok(EngineChoice::Auto),
            "tract" => Ok(EngineChoice::Tract),
            "onnxruntime" => Ok(EngineChoice::OnnxRuntime),
            _ => Err(format!("unknown engine {name:?}, expected auto, tract or onnxruntime")),
        }
    }
}

/// Why an engine does not run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// ONNX Runtime was asked for and there is no library.
    #[error(
        "no ONNX Runtime library found: set model.onnxruntime_library or ORT_DYLIB_PATH, or run \
         deploy/fetch-onnxruntime.sh"
    )]
    NoLibrary,
    /// The library does not load, or is too old.
    #[error("ONNX Runtime: {0}")]
    Library(String),
    /// Another engine was started in this process.
    #[error("{0} runs in this process already")]
    AlreadyStarted(&'static str),
    /// The engine refuses the graph.
    #[error("{engine} cannot load the network: {message}")]
    Load {
        /// The engine's name, as the configuration has it.
        engine: &'static str,
        /// What it says.
        message: String,
    },
    /// The engine fails on a window.
    #[error("inference failed: {0}")]
    Run(String),
    /// The engine's process does not start.
    #[error("cannot start the process of the engine: {0}")]
    Start(io::Error),
    /// What the engine's process says against a model.
    #[error("{0}")]
    Refused(String),
    /// The engine's process ended by itself.
    #[error("the engine died {doing}{}", how_it_died(.status.as_ref(), .said.as_deref()))]
    Died {
        /// What it was doing, in words.
        doing: &'static str,
        /// How it ended, as far as that is known.
        status: Option<ExitStatus>,
        /// What it last wrote to its standard error.
        said: Option<String>,
    },
    /// The engine's process took too long and was killed.
    #[error("the engine was killed {doing}: it took longer than {} s", .limit.as_secs_f64())]
    TimedOut {
        /// What it was doing, in words.
        doing: &'static str,
        /// How long that may take.
        limit: Duration,
    },
    /// The engine's process says what no engine says.
    #[error("the engine was killed {doing}: its answer cannot be understood")]
    Answer {
        /// What it was doing, in words.
        doing: &'static str,
    },
}

fn how_it_died(status: Option<&ExitStatus>, said: Option<&str>) -> String {
    let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    format!("{status}{said}")
}

/// The engine of this process.
#[derive(Clone)]
pub struct Runtime {
    kind: EngineKind,
    environment: Environment,
}

/// Whether this program cannot load libraries, as it holds its own C library.
const IS_STATIC: bool = cfg!(target_feature = "crt-static");

/// What was started in this process. An engine's table of functions cannot be exchanged.
static STARTED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Starts the engine that was chosen; the same one again if it runs already.
    ///
    /// `library` is a configured path. Without one, `ORT_DYLIB_PATH` counts, then `libonnxruntime.so` beside the
    /// executable. `Auto` takes tract when there is none; a library that is named but does not load is an error. A static
    /// program has tract alone.
    ///
    /// # Errors
    /// [`EngineError`] when the engine cannot be had.
    pub fn start(choice: EngineChoice, library: Option<&Path>) -> Result<Runtime, EngineError> {
        let mut started = STARTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_wanted =
            choice == EngineChoice::OnnxRuntime || choice == EngineChoice::Auto && library.is_some();
        if IS_STATIC && is_wanted {
            let reason = "a static program cannot load libraries; its engine is tract";
            return Err(EngineError::Library(reason.to_owned()));
        }
        let library = library.map(Path::to_owned).or_else(find_library).filter(|_| !IS_STATIC);
        let kind = match (choice, &library) {
            (EngineChoice::Tract, _) | (EngineChoice::Auto, None) => EngineKind::Tract,
            (EngineChoice::OnnxRuntime, None) => return Err(EngineError::NoLibrary),
            (EngineChoice::Auto | EngineChoice::OnnxRuntime, Some(_)) => EngineKind::OnnxRuntime,
        };
        match &*started {
            Some(running) if running.kind == kind => return Ok(running.clone()),
            Some(running) => return Err(EngineError::AlreadyStarted(running.kind.name())),
            None => {}
        }
        let builder = match (kind, library) {
            (EngineKind::OnnxRuntime, Some(path)) => {
                let path = path.canonicalize().unwrap_or(path);
                let library = ort::init_from(&path);
                library.map_err(|error| EngineError::Library(error.to_string()))?.with_logger(Arc::new(log))
            }
            _ => {
                ort::set_api(ort_tract::api());
                ort::init()
            }
        };
        let environment = builder
            .with_name("forecastd")
            .with_telemetry(false)
            .build()
            .map_err(|error| EngineError::Library(error.to_string()))?;
        if kind == EngineKind::OnnxRuntime {
            environment.set_log_level(LogLevel::Warning);
        }
        let runtime = Runtime { kind, environment };
        *started = Some(runtime.clone());
        Ok(runtime)
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }
}

/// Takes what ONNX Runtime has to say into our log, line by line; left alone it writes to standard error itself, in
/// colours. Errors are said by whoever gets them.
fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    let message = message.trim();
    match level {
        LogLevel::Warning => {
            tracing::warn!(target: "ort", category, message = message.escape_debug().to_string())
        }
        _ => tracing::debug!(target: "ort", category, message = message.escape_debug().to_string()),
    }
}

/// A library that nobody configured: named by `ORT_DYLIB_PATH`, or beside the executable.
fn find_library() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let name = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let beside = std::env::current_exe().ok()?.parent()?.join(name);
    beside.is_file().then_some(beside)
}

/// A network loaded into the engine.
pub struct Engine {
    session: Session,
    kind: EngineKind,
    samples: usize,
    features: usize,
    outputs: usize,
    max_batch: usize,
}

impl Engine {
    /// The most windows that are run at once.
    pub const MAX_BATCH: usize = 64;

    /// Loads an artefact's graph and proves that it runs, on a window of zeros.
    ///
    /// # Errors
    /// [`EngineError`] when the engine refuses the graph or its output has another size than the manifest says.
    pub fn load(runtime: &Runtime, artefact: &Artefact) -> Result<Engine, EngineError> {
        let kind = runtime.kind;
        let takes_batches = kind == EngineKind::OnnxRuntime && artefact.takes_batches();
        if let (EngineKind::Tract, Some(ignored)) = (kind, artefact.model().ignored_by_tract()) {
            let message = format!("it ignores {ignored}, and would give other temperatures; use onnxruntime");
            return Err(EngineError::Load { engine: kind.name(), message });
        }
        let graph = artefact.graph(kind == EngineKind::Tract);
        let session = build_session(runtime, &graph)
            .map_err(|error| EngineError::Load { engine: kind.name(), message: error.to_string() })?;
        let window = &artefact.manifest.window;
        let mut engine = Engine {
            session,
            kind,
            samples: window.samples,
            features: window.features.len(),
            outputs: artefact.manifest.outputs(),
            max_batch: if takes_batches { Engine::MAX_BATCH } else { 1 },
        };
        let zeros = vec![0.0; window.len()];
        let load_error = |message| EngineError::Load { engine: kind.name(), message };
        let outputs = engine.run(&zeros, 1).map_err(|error| load_error(error.to_string()))?;
        if outputs.iter().any(|output| !output.is_finite()) {
            return Err(load_error("it gives no finite numbers for a normal window".to_owned()));
        }
        Ok(engine)
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// The most windows that [`Engine::run`] takes at once.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// How many numbers one window has.
    pub(crate) fn window_len(&self) -> usize {
        self.samples * self.features
    }

    /// Runs `batch` normalised windows `[batch, sample, feature]`; gives `[batch, lead]` or
    /// `[batch, lead, quantile]`.
    ///
    /// # Errors
    /// [`EngineError::Run`] when the engine fails or gives another number of outputs.
    ///
    /// # Panics
    /// If `windows` has not the size of `batch` windows, or `batch` is above [`Engine::max_batch`].
    pub fn run(&mut self, windows: &[f32], batch: usize) -> Result<Vec<f32>, EngineError> {
        assert!(batch <= self.max_batch, "at most {} windows at once", self.max_batch);
        let failed = |error: ort::Error| EngineError::Run(error.to_string());
        let shape = [batch, self.samples, self.features];
        let input = TensorRef::from_array_view((shape, windows)).map_err(failed)?;
        let result = self.session.run(ort::inputs![Artefact::INPUT => input]).map_err(failed)?;
        let (_, outputs) = result[Artefact::OUTPUT].try_extract_tensor::<f32>().map_err(failed)?;
        if outputs.len() != batch * self.outputs {
            let (found, expected) = (outputs.len(), batch * self.outputs);
            return Err(EngineError::Run(format!("{found} outputs instead of {expected}")));
        }
        Ok(outputs.to_vec())
    }
}

/// One thread and no spinning: a forecast is small, and a daemon sleeps between readings. No arena and no memory
/// pattern: they hold memory for speed that one window does not need.
fn build_session(runtime: &Runtime, graph: &[u8]) -> ort::Result<Session> {
    let mut builder =
        Session::builder(&runtime.environment)?.with_optimization_level(GraphOptimizationLevel::All)?;
    if runtime.kind == EngineKind::OnnxRuntime {
        builder = builder
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(false)?;
    }
    builder.commit_from_memory(graph)
}
