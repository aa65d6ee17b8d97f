//! What runs the models: a worker, with a process, for the main one and for each specialist.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use forecastd_core::{Model, Models, StationName};
use forecastd_model::{
    Artefact, EngineKind, EngineProcess, Inference, InferenceError, InferenceRequest, InferenceWorker,
};
use tokio::sync::mpsc;
use tracing::error;

use super::folder::Changes;
use super::loader::Loaded;
use super::observers::WorkerWatch;

/// Names a window in flight.
#[derive(Debug)]
pub(super) struct WindowKey {
    pub(super) station: StationName,
    pub(super) number: u64,
    pub(super) model: Arc<str>,
}

/// A model that runs.
struct Running {
    model: Arc<Model>,
    artefact: Arc<Artefact>,
    kind: EngineKind,
}

impl Running {
    fn new(loaded: &Loaded) -> Running {
        let Loaded { artefact, engine } = loaded;
        Running {
            model: Arc::new(artefact.description()),
            artefact: Arc::clone(artefact),
            kind: engine.kind(),
        }
    }
}

/// See the head of this file.
pub(super) struct Engines {
    answered: mpsc::UnboundedSender<Inference<WindowKey>>,
    watch: WorkerWatch,
    /// The main model that is wanted.
    main: Running,
    worker: InferenceWorker<WindowKey>,
    /// The engine of a main model that waits until the service switches to it.
    waiting: Option<EngineProcess>,
    /// The id of the specialist that is wanted of each file.
    files: BTreeMap<PathBuf, Arc<str>>,
    /// By id: those that are wanted, and those that may still have windows in flight.
    specialists: HashMap<Arc<str>, (Running, InferenceWorker<WindowKey>)>,
}

impl Engines {
    /// Starts the worker of the main model; answers go to `answered`, and what happens to the engines to `watch`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(
        main: Loaded,
        answered: mpsc::UnboundedSender<Inference<WindowKey>>,
        watch: WorkerWatch,
    ) -> std::io::Result<Engines> {
        let running = Running::new(&main);
        let worker = start_worker(main.engine, watch.clone(), answered.clone())?;
        Ok(Engines {
            answered,
            watch,
            main: running,
            worker,
            waiting: None,
            files: BTreeMap::new(),
            specialists: HashMap::new(),
        })
    }

    /// Wants another main model, from when the service switches to it.
    pub(super) fn main_loaded(&mut self, loaded: Loaded) {
        self.main = Running::new(&loaded);
        self.waiting = Some(loaded.engine);
    }

    /// Wants other specialists, from when the service switches to them.
    pub(super) fn change(&mut self, changes: Changes) {
        for file in changes.gone {
            self.files.remove(&file);
        }
        for (file, loaded) in changes.loaded {
            let running = Running::new(&loaded);
            let id = Arc::clone(&running.model.id);
            if !self.specialists.contains_key(&id) {
                let watch = self.watch.clone().of_specialist(Arc::clone(&id));
                match start_worker(loaded.engine, watch, self.answered.clone()) {
                    Ok(worker) => drop(self.specialists.insert(Arc::clone(&id), (running, worker))),
                    Err(error) => {
                        error!(model = %id, %error, "no thread for a specialist: it is left out");
                        continue;
                    }
                }
            }
            self.files.insert(file, id);
        }
    }

    /// The models that are wanted.
    pub(super) fn models(&self) -> Models {
        let specialists = self.files.values().filter_map(|id| self.specialists.get(id));
        Models::new(Arc::clone(&self.main.model), specialists.map(|(running, _)| Arc::clone(&running.model)))
    }

    /// Has a model run on a window.
    pub(super) fn infer(&self, models: &Models, key: WindowKey, window: Vec<f32>) {
        let worker = match models.main().id == key.model {
            true => Some(&self.worker),
            false => self.specialists.get(&key.model).map(|(_, worker)| worker),
        };
        match worker {
            Some(worker) => worker.infer(InferenceRequest { key, window }),
            // The driver is gone only at the very end.
            None => drop(self.answered.send(Inference { key, outputs: Err(InferenceError::OtherModel) })),
        }
    }

    /// The service uses the models that are wanted from now on; nothing is in flight for others. Those in use, the main one
    /// first.
    pub(super) fn switch(&mut self, models: &Models) -> Vec<(Arc<Artefact>, EngineKind)> {
        if let Some(engine) = self.waiting.take() {
            self.worker.exchange(engine);
        }
        let wanted = &self.files;
        self.specialists.retain(|id, _| wanted.values().any(|own| own == id));
        self.in_use(models)
    }

    /// Artefacts and engines of the models in use, the main one first.
    pub(super) fn in_use(&self, models: &Models) -> Vec<(Arc<Artefact>, EngineKind)> {
        let specialists = models.specialists().iter().filter_map(|model| self.specialists.get(&model.id));
        let running = std::iter::once(&self.main).chain(specialists.map(|(running, _)| running));
        running.map(|running| (Arc::clone(&running.artefact), running.kind)).collect()
    }
}

fn start_worker(
    engine: EngineProcess,
    watch: WorkerWatch,
    answered: mpsc::UnboundedSender<Inference<WindowKey>>,
) -> std::io::Result<InferenceWorker<WindowKey>> {
    InferenceWorker::start(engine, watch, move |inference| {
        // The driver is gone only at the very end, when nobody waits for answers.
        let _ = answered.send(inference);
    })
}
