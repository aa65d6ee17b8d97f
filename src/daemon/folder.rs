//! The folder of specialists: loading its models, and noticing files that come, change and go. Each is proven to run, in a
//! process of its own and on the windows of its stations, before it is used. A file that is not usable costs nothing but a
//! line for each of its versions; what stood there before goes on.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forecastd_core::{Model, Models};
use forecastd_model::{Artefact, EngineError, EngineOptions, EngineProcess};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::DaemonError;
use super::loader::{
    Loaded, Stamp, WindowsWanted, chain_with_file, on_own_thread, pause, read, run, stamp_of, try_on_stations,
};
use crate::ModelLocation;
use crate::config::ModelSettings;
use crate::model_location::is_model_file;

/// Of files that there is no room for, a message names so many at most.
const MAX_NAMED: usize = 8;

/// What is different in the folder than before.
#[derive(Default)]
pub(super) struct Changes {
    /// Files whose model runs, in place of what they held before.
    pub(super) loaded: Vec<(PathBuf, Loaded)>,
    /// Files whose model is not to be used any more.
    pub(super) gone: Vec<PathBuf>,
    /// What is not usable.
    pub(super) failed: Vec<DaemonError>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.loaded.is_empty() && self.gone.is_empty() && self.failed.is_empty()
    }
}

/// See the head of this file.
pub(super) struct Folder {
    watch_s: u64,
    asks: mpsc::UnboundedSender<Ask>,
    /// What the task that watches begins with.
    begin: Option<(Contents, mpsc::UnboundedReceiver<Ask>)>,
}

/// What the folder is asked for.
enum Ask {
    /// To look at every file, changed or not.
    Reload,
    /// Not to use the model with this hash.
    Leave(String),
}

impl Folder {
    /// Loads the specialists for the first time; from no folder, or where they are not used, there are none.
    pub(super) async fn start(
        settings: &ModelSettings,
        uses_specialists: bool,
        options: EngineOptions,
    ) -> (Folder, Changes) {
        let watch_s = settings.watch_s;
        let (asks, asked) = mpsc::unbounded_channel();
        let Some(path) = settings.folder.clone().filter(|_| uses_specialists) else {
            return (Folder { watch_s, asks, begin: None }, Changes::default());
        };
        let mut contents = Contents {
            path,
            most: settings.specialists_max,
            options,
            files: BTreeMap::new(),
            surplus: Vec::new(),
            is_unreadable: false,
            unusable: HashSet::new(),
        };
        // There are no stations yet whose windows they could be tried on.
        let (windows, _) = mpsc::channel(1);
        let changes = contents.look(false, &windows).await;
        (Folder { watch_s, asks, begin: Some((contents, asked)) }, changes)
    }

    /// Asks for every file to be looked at, changed or not.
    pub(super) fn reload(&self) {
        let _ = self.asks.send(Ask::Reload);
    }

    /// Says that the model with this hash ends its engine. If it is one of the folder, it is not used any more, until its file
    /// changes or a reload is asked for.
    pub(super) fn model_unusable(&self, sha256: &str) {
        let _ = self.asks.send(Ask::Leave(sha256.to_owned()));
    }

    /// Sends what changes to `changes`, until that is closed; asks for windows of stations before. Watches once.
    pub(super) fn watch(&mut self, changes: mpsc::Sender<Changes>, windows: mpsc::Sender<WindowsWanted>) {
        if let Some((contents, asked)) = self.begin.take() {
            tokio::spawn(watch(contents, asked, self.watch_s, changes, windows));
        }
    }
}

async fn watch(
    mut contents: Contents,
    mut asked: mpsc::UnboundedReceiver<Ask>,
    watch_s: u64,
    changes: mpsc::Sender<Changes>,
    windows: mpsc::Sender<WindowsWanted>,
) {
    loop {
        let ask = tokio::select! {
            Some(ask) = asked.recv() => Some(ask),
            () = pause(watch_s) => None,
            () = changes.closed() => return,
        };
        let found = match ask {
            Some(Ask::Leave(sha256)) => contents.leave(sha256),
            ask => contents.look(ask.is_some(), &windows).await,
        };
        if !found.is_empty() && changes.send(found).await.is_err() {
            return;
        }
    }
}

/// A file of the folder.
struct File {
    stamp: Stamp,
    /// The hash of the model that is used of it.
    used: Option<String>,
}

/// What is known of the folder.
struct Contents {
    path: PathBuf,
    /// So many files are used at most.
    most: usize,
    options: EngineOptions,
    files: BTreeMap<PathBuf, File>,
    /// Files beyond those that there is room for.
    surplus: Vec<PathBuf>,
    /// Whether the folder could not be read the last time.
    is_unreadable: bool,
    /// Hashes of models that turned out to be unusable.
    unusable: HashSet<String>,
}

impl Contents {
    /// Looks for what is different; with `was_asked`, also at what is not.
    async fn look(&mut self, was_asked: bool, windows: &mpsc::Sender<WindowsWanted>) -> Changes {
        let mut changes = Changes::default();
        let path = self.path.clone();
        let listed = on_own_thread(move || list(&path)).await;
        let listed = match listed.and_then(|listed| listed) {
            Ok(listed) => listed,
            Err(error) => {
                if !std::mem::replace(&mut self.is_unreadable, true) || was_asked {
                    changes.failed.push(error);
                }
                return changes;
            }
        };
        self.is_unreadable = false;
        self.drop_gone(&listed, &mut changes);
        let mut tried = JoinSet::new();
        for (path, stamp) in self.with_room(listed, was_asked, &mut changes) {
            let known = self.files.get(&path);
            if known.is_some_and(|known| known.stamp == stamp) && !was_asked {
                continue;
            }
            let used = known.and_then(|known| known.used.clone());
            let trial = Trial {
                path: path.clone(),
                options: self.options.clone(),
                used: used.clone(),
                unusable: if was_asked { HashSet::new() } else { self.unusable.clone() },
                windows: windows.clone(),
            };
            self.files.insert(path, File { stamp, used });
            tried.spawn(trial.run());
        }
        let mut results = tried.join_all().await;
        results.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (path, result) in results {
            match result {
                Ok(None) => {}
                Ok(Some(loaded)) => {
                    self.unusable.remove(&loaded.artefact.sha256);
                    if let Some(file) = self.files.get_mut(&path) {
                        file.used = Some(loaded.artefact.sha256.clone());
                    }
                    changes.loaded.push((path, loaded));
                }
                Err((sha256, error)) => {
                    self.unusable.extend(sha256);
                    changes.failed.push(error);
                }
            }
        }
        changes
    }

    /// Forgets files that are not there any more.
    fn drop_gone(&mut self, listed: &[(PathBuf, Stamp)], changes: &mut Changes) {
        self.files.retain(|path, file| {
            let is_there = listed.iter().any(|(listed, _)| listed == path);
            if !is_there && file.used.is_some() {
                changes.gone.push(path.clone());
            }
            is_there
        });
    }

    /// The files that there is room for: those that are known already, then others by name.
    fn with_room(
        &mut self,
        listed: Vec<(PathBuf, Stamp)>,
        was_asked: bool,
        changes: &mut Changes,
    ) -> Vec<(PathBuf, Stamp)> {
        let (mut taken, others): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|(path, _)| self.files.contains_key(path));
        taken.extend(others);
        let surplus = taken.split_off(taken.len().min(self.most));
        let surplus: Vec<PathBuf> = surplus.into_iter().map(|(path, _)| path).collect();
        let is_news = surplus.iter().any(|path| !self.surplus.contains(path));
        if !surplus.is_empty() && (is_news || was_asked) {
            changes.failed.push(too_many(&surplus, self.most));
        }
        self.surplus = surplus;
        taken
    }

    /// Uses a model no more.
    fn leave(&mut self, sha256: String) -> Changes {
        let mut changes = Changes::default();
        for (path, file) in &mut self.files {
            if file.used.as_ref() == Some(&sha256) {
                file.used = None;
                changes.gone.push(path.clone());
            }
        }
        if !changes.gone.is_empty() {
            self.unusable.insert(sha256);
        }
        changes
    }
}

/// A file that is tried.
struct Trial {
    path: PathBuf,
    options: EngineOptions,
    /// The hash of what is used of it now.
    used: Option<String>,
    /// Hashes of what need not be tried.
    unusable: HashSet<String>,
    windows: mpsc::Sender<WindowsWanted>,
}

impl Trial {
    /// The model, unless it is used already or known to be unusable; else its hash, if it has one, and why it cannot be used.
    async fn run(self) -> (PathBuf, Result<Option<Loaded>, (Option<String>, DaemonError)>) {
        let result = self.try_out().await;
        (self.path, result)
    }

    async fn try_out(&self) -> Result<Option<Loaded>, (Option<String>, DaemonError)> {
        let location = ModelLocation::File(self.path.clone());
        let name = location.to_string();
        let artefact =
            on_own_thread(move || read(&location)).await.flatten().map_err(|error| (None, error))?;
        let sha256 = artefact.sha256.clone();
        if self.used.as_ref() == Some(&sha256) || self.unusable.contains(&sha256) {
            return Ok(None);
        }
        let failed = |error| (Some(sha256), error);
        let (file, options) = (name.clone(), self.options.clone());
        let started = on_own_thread(move || run(&file, artefact, &options)).await.flatten();
        match started {
            Ok(loaded) => try_on_stations(&name, loaded, &self.windows).await.map(Some).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }
}

/// The model files of a folder, by name; a folder that is not there has none.
fn list(folder: &Path) -> Result<Vec<(PathBuf, Stamp)>, DaemonError> {
    let failed = |source| DaemonError::Folder { path: folder.display().to_string(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if is_model_file(&path)
            && let Some(stamp) = stamp_of(&path)
        {
            files.push((path, stamp));
        }
    }
    files.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(files)
}

/// What is said of files that there is no room for.
fn too_many(surplus: &[PathBuf], most: usize) -> DaemonError {
    let names = surplus.iter().take(MAX_NAMED).filter_map(|path| path.file_name());
    let mut files: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    if surplus.len() > MAX_NAMED {
        files.push(format!("and {} more", surplus.len() - MAX_NAMED));
    }
    DaemonError::TooManySpecialists { surplus: surplus.len(), most, files: files.join(", ") }
}

/// What is wrong with the specialists of a folder beside a main model, which is given if it can be used: one message each.
/// They are loaded and tried as a start would.
pub(super) fn check(
    folder: &Path,
    most: usize,
    main: Option<Arc<Model>>,
    options: &EngineOptions,
) -> Vec<String> {
    let mut files: Vec<PathBuf> = match list(folder) {
        Ok(files) => files.into_iter().map(|(path, _)| path).collect(),
        Err(error) => return vec![crate::error_chain::chain(&error)],
    };
    let mut messages = Vec::new();
    let mut found: Vec<(PathBuf, Arc<Model>)> = Vec::new();
    let surplus = files.split_off(files.len().min(most));
    for path in files {
        let tried =
            Artefact::read(&path).map_err(|error| chain_with_file(&path, &error)).and_then(|artefact| {
                let model = Arc::new(artefact.description());
                match EngineProcess::start(Arc::new(artefact), options) {
                    Ok(_) => Ok(Some(model)),
                    // Said of the main model.
                    Err(EngineError::NoLibrary | EngineError::Library(_) | EngineError::Start(_)) => Ok(None),
                    Err(error) => Err(chain_with_file(&path, &error)),
                }
            });
        match tried {
            Ok(model) => found.extend(model.map(|model| (path, model))),
            Err(message) => messages.push(message),
        }
    }
    if let Some(main) = main {
        let models = Models::new(main, found.iter().map(|(_, model)| Arc::clone(model)));
        for (id, error) in models.refused() {
            // Of two files with one model, the later one is too much.
            let path = found.iter().rev().find(|(_, model)| model.id == *id).map(|(path, _)| path);
            messages.extend(path.map(|path| chain_with_file(path, error)));
        }
    }
    if !surplus.is_empty() {
        messages.push(too_many(&surplus, most).to_string());
    }
    messages
}
