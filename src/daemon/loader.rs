//! The model: loading it, and noticing a new file. The last good one stays until a new one is proven to run, on the windows
//! of stations as well, and comes back when the new one ends its engine all the same.
//!
//! Loading runs on threads of its own, which nothing waits for at the end: an engine that is still loading then ends when
//! it sees that the daemon is gone.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};

use super::DaemonError;
use crate::ModelLocation;
use crate::config::ModelSettings;
use forecastd_core::Model;
use forecastd_model::{Artefact, EngineError, EngineOptions, EngineProcess, EngineProgram};

/// A model that runs.
pub(super) struct Loaded {
    /// The model file, with its manifest.
    pub artefact: Arc<Artefact>,
    /// The process that runs it, probed.
    pub engine: EngineProcess,
}

/// Loads the model at the start, again when asked or when its file changes, and the one before when a model turns out to
/// be unusable.
pub(super) struct Loader {
    location: ModelLocation,
    watch_s: u64,
    options: EngineOptions,
    current: Arc<Artefact>,
    asks: mpsc::UnboundedSender<Ask>,
    asked: Option<mpsc::UnboundedReceiver<Ask>>,
}

/// A question of the loader.
pub(super) struct WindowsWanted {
    /// The model that is to be tried.
    pub artefact: Arc<Artefact>,
    /// Where the windows of some stations go, as the model would be given them.
    pub answer: oneshot::Sender<Vec<f32>>,
}

/// What the loader is asked for.
enum Ask {
    /// To look at the file, changed or not.
    Reload,
    /// To go back to the model before the one with this hash.
    Revert(String),
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    changed: (i64, i64),
    file: (u64, u64),
    size: u64,
}

impl Loader {
    /// Loads the model for the first time.
    ///
    /// # Errors
    /// When the file is not usable or the engine does not run it.
    pub(super) async fn start(
        settings: &ModelSettings,
        program: EngineProgram,
    ) -> Result<(Loader, Loaded), DaemonError> {
        let options = engine_options(settings, program);
        let loaded = {
            let (location, options) = (settings.path.clone(), options.clone());
            on_own_thread(move || run(&location.to_string(), read(&location)?, &options)).await??
        };
        let (asks, asked) = mpsc::unbounded_channel();
        let loader = Loader {
            location: settings.path.clone(),
            watch_s: settings.watch_s,
            options,
            current: Arc::clone(&loaded.artefact),
            asks,
            asked: Some(asked),
        };
        Ok((loader, loaded))
    }

    /// Where the model is.
    pub(super) fn location(&self) -> &ModelLocation {
        &self.location
    }

    /// Asks for the file to be loaded again, changed or not.
    pub(super) fn reload(&self) {
        let _ = self.asks.send(Ask::Reload);
    }

    /// Says that the model with this hash ends its engine. The one before it, if there is one, is sent as a new model is;
    /// the file is not taken again until it changes or a reload is asked for.
    pub(super) fn model_unusable(&self, sha256: &str) {
        let _ = self.asks.send(Ask::Revert(sha256.to_owned()));
    }

    /// Sends every new model, or why it is not usable, to `models`, until that is closed; asks for windows of stations before.
    /// Watches once.
    pub(super) fn watch(
        &mut self,
        models: mpsc::Sender<Result<Loaded, DaemonError>>,
        windows: mpsc::Sender<WindowsWanted>,
    ) {
        let Some(asked) = self.asked.take() else { return };
        let watch = Watch {
            location: self.location.clone(),
            watch_s: self.watch_s,
            options: self.options.clone(),
            current: Arc::clone(&self.current),
            previous: None,
            unusable: None,
            windows,
        };
        tokio::spawn(watch.run(asked, models));
    }
}

/// The task that watches.
struct Watch {
    location: ModelLocation,
    watch_s: u64,
    options: EngineOptions,
    /// The model that was sent last.
    current: Arc<Artefact>,
    /// The good model before.
    previous: Option<Arc<Artefact>>,
    /// The hash of a model that turned out to be unusable.
    unusable: Option<String>,
    /// Who has windows of stations.
    windows: mpsc::Sender<WindowsWanted>,
}

impl Watch {
    async fn run(
        mut self,
        mut asked: mpsc::UnboundedReceiver<Ask>,
        models: mpsc::Sender<Result<Loaded, DaemonError>>,
    ) {
        let mut stamp = stamp(&self.location).await;
        loop {
            let ask = tokio::select! {
                ask = asked.recv() => ask,
                () = pause(self.watch_s) => None,
                () = models.closed() => return,
            };
            let loaded = match ask {
                Some(Ask::Revert(sha256)) => self.revert(&sha256).await,
                ask => {
                    let found = self::stamp(&self.location).await;
                    let was_asked = ask.is_some();
                    if found == stamp && !was_asked {
                        continue;
                    }
                    stamp = found;
                    self.load(was_asked).await
                }
            };
            let Some(loaded) = loaded else { continue };
            if models.send(loaded).await.is_err() {
                return;
            }
        }
    }

    /// Loads the file; `None` when it holds what runs already, or what is known to be unusable.
    async fn load(&mut self, was_asked: bool) -> Option<Result<Loaded, DaemonError>> {
        let location = self.location.clone();
        let artefact = match on_own_thread(move || read(&location)).await.flatten() {
            Ok(artefact) => artefact,
            Err(error) => return Some(Err(error)),
        };
        if artefact.sha256 == self.current.sha256 {
            tracing::info!(model = artefact.id(), "model is the same as before");
            return None;
        }
        if !was_asked && self.unusable.as_ref() == Some(&artefact.sha256) {
            return None;
        }
        let loaded = self.start(artefact).await;
        if let Ok(loaded) = &loaded {
            self.previous = Some(std::mem::replace(&mut self.current, Arc::clone(&loaded.artefact)));
        }
        Some(loaded)
    }

    /// Goes back from a model that is unusable; `None` when there is nothing to go back to.
    async fn revert(&mut self, sha256: &str) -> Option<Result<Loaded, DaemonError>> {
        if self.current.sha256 != sha256 {
            return None;
        }
        let previous = self.previous.take()?;
        let loaded = self.start(previous).await;
        if let Ok(loaded) = &loaded {
            self.unusable = Some(sha256.to_owned());
            self.current = Arc::clone(&loaded.artefact);
        }
        Some(loaded)
    }

    async fn start(&self, artefact: Arc<Artefact>) -> Result<Loaded, DaemonError> {
        let (name, options) = (self.location.to_string(), self.options.clone());
        let loaded = on_own_thread(move || run(&name, artefact, &options)).await.flatten()?;
        try_on_stations(&self.location.to_string(), loaded, &self.windows).await
    }
}

/// Tries a model on windows of some stations, if there are any.
pub(super) async fn try_on_stations(
    name: &str,
    loaded: Loaded,
    windows: &mpsc::Sender<WindowsWanted>,
) -> Result<Loaded, DaemonError> {
    let windows = windows_for(&loaded.artefact, windows).await;
    let name = name.to_owned();
    on_own_thread(move || try_on(&name, loaded, &windows)).await.flatten()
}

/// Windows of some stations; none when the daemon is ending.
async fn windows_for(artefact: &Arc<Artefact>, windows: &mpsc::Sender<WindowsWanted>) -> Vec<f32> {
    let (answer, answered) = oneshot::channel();
    let wanted = WindowsWanted { artefact: Arc::clone(artefact), answer };
    match windows.send(wanted).await {
        Ok(()) => answered.await.unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// How the configured engine is run.
pub(crate) fn engine_options(settings: &ModelSettings, program: EngineProgram) -> EngineOptions {
    EngineOptions::new(settings.engine, settings.onnxruntime_library.clone(), program)
}

/// A key of the configuration, and what is wrong with its value.
type KeyMessage = (&'static str, String);

/// What is wrong with the configured models and engine: keys and messages, of the main model, without which there is no start, and
/// then of the specialists, without which there is one; these where they are used. All are loaded and tried as a start would, in
/// processes of their own.
pub(super) fn check(
    settings: &ModelSettings,
    uses_specialists: bool,
    program: EngineProgram,
) -> (Option<KeyMessage>, Vec<KeyMessage>) {
    let options = engine_options(settings, program);
    let (main, fault) = match check_main(&settings.path, &options) {
        Ok(main) => (Some(main), None),
        Err(fault) => (None, Some(fault)),
    };
    let folder = settings.folder.as_ref().filter(|_| uses_specialists);
    let specialists = folder
        .map(|folder| super::folder::check(folder, settings.specialists_max, main, &options))
        .unwrap_or_default();
    (fault, specialists.into_iter().map(|message| ("model.folder", message)).collect())
}

fn check_main(location: &ModelLocation, options: &EngineOptions) -> Result<Arc<Model>, KeyMessage> {
    let artefact = location.read().map_err(|error| ("model.path", format!("{location}: {error}")))?;
    let model = Arc::new(artefact.description());
    match EngineProcess::start(Arc::new(artefact), options) {
        Ok(_) => Ok(model),
        Err(error @ EngineError::NoLibrary) => Err(("model.engine", error.to_string())),
        Err(error @ EngineError::Library(_)) => Err(("model.onnxruntime_library", error.to_string())),
        Err(error @ EngineError::Start(_)) => Err(("model.engine", error.to_string())),
        Err(error) => Err(("model.path", format!("{location}: {error}"))),
    }
}

/// An error of a file with its causes, in one line.
pub(super) fn chain_with_file(path: &Path, error: &dyn std::error::Error) -> String {
    format!("{}: {}", path.display(), crate::error_chain::chain(error))
}

/// Waits between two looks at the file; for ever when there are none.
pub(super) async fn pause(seconds: u64) {
    match seconds {
        0 => std::future::pending().await,
        seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
    }
}

/// The state of the model's file; that of the program never changes while it runs.
async fn stamp(location: &ModelLocation) -> Option<Stamp> {
    let path = location.path()?.to_owned();
    on_own_thread(move || stamp_of(&path)).await.ok().flatten()
}

/// The state of a file, if there is one.
pub(super) fn stamp_of(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        file: (metadata.dev(), metadata.ino()),
        size: metadata.len(),
    })
}

/// Runs what may take long on a thread that nobody has to wait for.
pub(super) async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DaemonError> {
    let (sender, done) = oneshot::channel();
    let work = move || drop(sender.send(work()));
    std::thread::Builder::new().name("model".to_owned()).spawn(work).map_err(DaemonError::Thread)?;
    done.await.map_err(|_| DaemonError::Thread(std::io::Error::other("the thread of the model panicked")))
}

/// Reads a model.
pub(super) fn read(location: &ModelLocation) -> Result<Arc<Artefact>, DaemonError> {
    let named = |source| DaemonError::Model { path: location.to_string(), source };
    location.read().map(Arc::new).map_err(named)
}

/// Starts the process of a model, which tries it; `name` says where it is from.
pub(super) fn run(
    name: &str,
    artefact: Arc<Artefact>,
    options: &EngineOptions,
) -> Result<Loaded, DaemonError> {
    let engine = EngineProcess::start(Arc::clone(&artefact), options).map_err(|error| named(name, error))?;
    Ok(Loaded { artefact, engine })
}

/// Tries a model on windows of stations.
fn try_on(name: &str, mut loaded: Loaded, windows: &[f32]) -> Result<Loaded, DaemonError> {
    loaded.engine.probe(windows).map_err(|error| named(name, error))?;
    Ok(loaded)
}

fn named(name: &str, source: EngineError) -> DaemonError {
    match source {
        // The file has no part in these.
        EngineError::NoLibrary | EngineError::Library(_) | EngineError::Start(_) => {
            DaemonError::Engine(source)
        }
        source => DaemonError::Network { path: name.to_owned(), source },
    }
}
