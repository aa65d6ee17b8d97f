//! The engines that run a network in this process: tract (built in) and ONNX Runtime (a shared library), behind the
//! `ort` API. Both end the process on some files, so they are for files that are trusted, or for a process that may end:
//! a daemon has an [`EngineProcess`](crate::EngineProcess).
//!
//! The API's table of functions is one per process, so the engine is chosen once, at start, by [`Runtime::start`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use super::Artefact;
use crate::error::{EngineError, LibraryError, LoadError, RunError, UnknownEngine};

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
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<EngineChoice, UnknownEngine> {
        match name {
            "auto" => Ok(EngineChoice::Auto),
            "tract" => Ok(EngineChoice::Tract),
            "onnxruntime" => Ok(EngineChoice::OnnxRuntime),
            _ => Err(UnknownEngine(name.to_owned())),
        }
    }
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
            return Err(EngineError::Library(LibraryError::StaticProgram));
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
        let not_started = |message| EngineError::Library(LibraryError::Start { message });
        let builder = match (kind, library) {
            (EngineKind::OnnxRuntime, Some(path)) => {
                let path = path.canonicalize().unwrap_or(path);
                let library = ort::init_from(&path).map_err(|error| not_started(error.to_string()))?;
                library.with_logger(Arc::new(log))
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
            .map_err(|error| not_started(error.to_string()))?;
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
        let refused = |fault| EngineError::Load { engine: kind.name(), fault };
        if let (EngineKind::Tract, Some(ignored)) = (kind, artefact.model().ignored_by_tract()) {
            return Err(refused(LoadError::Ignored(ignored)));
        }
        let graph = artefact.graph(kind == EngineKind::Tract);
        let session = build_session(runtime, &graph)
            .map_err(|error| refused(LoadError::Graph { message: error.to_string() }))?;
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
        let outputs = engine.infer(&zeros, 1).map_err(|error| refused(LoadError::Run(error)))?;
        if outputs.iter().any(|output| !output.is_finite()) {
            return Err(refused(LoadError::NotFinite));
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
        self.infer(windows, batch).map_err(EngineError::Run)
    }

    /// Like [`Engine::run`], with the only errors that can come of it.
    pub(crate) fn infer(&mut self, windows: &[f32], batch: usize) -> Result<Vec<f32>, RunError> {
        assert!(batch <= self.max_batch, "at most {} windows at once", self.max_batch);
        let failed = |error: ort::Error| RunError::Engine { message: error.to_string() };
        let shape = [batch, self.samples, self.features];
        let input = TensorRef::from_array_view((shape, windows)).map_err(failed)?;
        let result = self.session.run(ort::inputs![Artefact::INPUT => input]).map_err(failed)?;
        let (_, outputs) = result[Artefact::OUTPUT].try_extract_tensor::<f32>().map_err(failed)?;
        let (found, expected) = (outputs.len(), batch * self.outputs);
        if found != expected {
            return Err(RunError::OutputCount { found, expected });
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
