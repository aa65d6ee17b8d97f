//! The model: loading it, and noticing a new file. The last good one stays until a new one is proven to run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc};

use super::DaemonError;
use crate::config::ModelSettings;
use forecastd_model::{Artefact, Engine, Runtime};

/// A model that runs.
pub struct Loaded {
    /// The artefact.
    pub artefact: Arc<Artefact>,
    /// The engine with its network.
    pub engine: Engine,
}

/// Loads the model at the start and again when asked or when its file changes.
pub struct Loader {
    settings: ModelSettings,
    runtime: Runtime,
    asked: Arc<Notify>,
    sha256: String,
}

/// What tells one state of a file from another without reading it.
type Stamp = Option<(SystemTime, u64)>;

impl Loader {
    /// Loads the model for the first time.
    ///
    /// # Errors
    /// When the file is not usable or the engine does not run it.
    pub fn start(settings: ModelSettings, runtime: Runtime) -> Result<(Loader, Loaded), DaemonError> {
        let loaded = load(&settings.path, &runtime)?;
        let sha256 = loaded.artefact.sha256.clone();
        Ok((Loader { settings, runtime, asked: Arc::new(Notify::new()), sha256 }, loaded))
    }

    /// The model's file.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// Asks for the file to be loaded again, changed or not.
    pub fn reload(&self) {
        self.asked.notify_one();
    }

    /// Sends every new model, or why it is not usable, to `models`, until that is closed.
    pub fn watch(&self, models: mpsc::Sender<Result<Loaded, DaemonError>>) {
        let path = self.settings.path.clone();
        let every = self.settings.watch_s;
        let runtime = self.runtime.clone();
        let asked = Arc::clone(&self.asked);
        let mut sha256 = self.sha256.clone();
        tokio::spawn(async move {
            let mut stamp = stamp(&path).await;
            loop {
                let was_asked = tokio::select! {
                    () = asked.notified() => true,
                    () = pause(every) => false,
                    () = models.closed() => return,
                };
                let found = self::stamp(&path).await;
                if found == stamp && !was_asked {
                    continue;
                }
                stamp = found;
                let (path, runtime) = (path.clone(), runtime.clone());
                let loading = tokio::task::spawn_blocking(move || load(&path, &runtime));
                let Ok(loaded) = loading.await else { continue };
                if let Ok(loaded) = &loaded {
                    if loaded.artefact.sha256 == sha256 {
                        tracing::info!(model = loaded.artefact.id(), "model is the same as before");
                        continue;
                    }
                    sha256.clone_from(&loaded.artefact.sha256);
                }
                if models.send(loaded).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Waits between two looks at the file; for ever when there are none.
async fn pause(seconds: u64) {
    match seconds {
        0 => std::future::pending().await,
        seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
    }
}

async fn stamp(path: &Path) -> Stamp {
    let path: PathBuf = path.to_owned();
    let look = move || {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

fn load(path: &Path, runtime: &Runtime) -> Result<Loaded, DaemonError> {
    let named = || path.display().to_string();
    let artefact = Artefact::read(path).map_err(|source| DaemonError::Model { path: named(), source })?;
    let engine =
        Engine::load(runtime, &artefact).map_err(|source| DaemonError::Network { path: named(), source })?;
    Ok(Loaded { artefact: Arc::new(artefact), engine })
}
