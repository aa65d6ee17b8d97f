//! The inference worker: a thread of its own that owns the engine, so that the asynchronous runtime never waits
//! for a network. Windows that wait are run as one batch where the engine takes batches.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Artefact, Engine, EngineError};

/// A normalised window that wants a forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceRequest<K> {
    /// What the answer is matched with.
    pub key: K,
    /// The normalised window, `[sample, feature]`.
    pub window: Vec<f32>,
}

/// What came of a request.
#[derive(Debug)]
pub struct Inference<K> {
    /// The request's key.
    pub key: K,
    /// The network's outputs, or why there are none.
    pub outputs: Result<Vec<f32>, InferenceError>,
}

/// Why a request got no outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferenceError {
    /// The engine failed.
    #[error("{0}")]
    Engine(String),
    /// The network gave a number that is not finite.
    #[error("the network gave a number that is not finite")]
    NotFinite,
    /// The window was made for another model than the one loaded now.
    #[error("the window was made for another model")]
    OtherModel,
}

/// What the worker tells of its work; called on its thread.
pub trait WorkerObserver: Send + 'static {
    /// A batch of `size` windows took `duration` in the engine.
    fn batch(&self, size: usize, duration: Duration);
    /// The worker lives: called after each batch and about once a second when idle.
    fn alive(&self);
}

enum Job<K> {
    Infer(InferenceRequest<K>),
    Exchange(Box<Engine>, Arc<Artefact>),
}

/// The handle of the thread; dropping it ends the thread when its queue is empty.
pub struct InferenceWorker<K> {
    jobs: mpsc::Sender<Job<K>>,
    _thread: JoinHandle<()>,
}

impl<K: Send + 'static> InferenceWorker<K> {
    /// Starts the thread. Answers go to `answer`, in the order of the requests; it is called on the worker's
    /// thread and may block to hold the worker back.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        engine: Engine,
        artefact: Arc<Artefact>,
        observer: impl WorkerObserver,
        answer: impl FnMut(Inference<K>) + Send + 'static,
    ) -> std::io::Result<InferenceWorker<K>> {
        let (jobs, queue) = mpsc::channel();
        let mut work = Work { engine, window_len: artefact.manifest.window.len(), observer, answer };
        let thread =
            std::thread::Builder::new().name("inference".to_owned()).spawn(move || work.run(&queue))?;
        Ok(InferenceWorker { jobs, _thread: thread })
    }

    /// Queues a window. The queue has no bound of its own: whoever queues bounds what is under way.
    pub fn infer(&self, request: InferenceRequest<K>) {
        // The thread ends only after this handle is gone.
        let _ = self.jobs.send(Job::Infer(request));
    }

    /// Has the worker use another engine for everything queued after this call.
    pub fn exchange(&self, engine: Engine, artefact: Arc<Artefact>) {
        let _ = self.jobs.send(Job::Exchange(Box::new(engine), artefact));
    }
}

struct Work<O, A> {
    engine: Engine,
    window_len: usize,
    observer: O,
    answer: A,
}

impl<O: WorkerObserver, A> Work<O, A> {
    fn run<K>(&mut self, queue: &mpsc::Receiver<Job<K>>)
    where
        A: FnMut(Inference<K>),
    {
        let mut batch: Vec<InferenceRequest<K>> = Vec::new();
        loop {
            let first = match queue.recv_timeout(Duration::from_secs(1)) {
                Ok(job) => job,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.observer.alive();
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let mut exchange = None;
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Infer(request) => batch.push(request),
                    Job::Exchange(engine, artefact) => {
                        exchange = Some((engine, artefact));
                        break;
                    }
                }
                if batch.len() < self.engine.max_batch() {
                    next = queue.try_recv().ok();
                }
            }
            self.run_batch(&mut batch);
            if let Some((engine, artefact)) = exchange {
                self.engine = *engine;
                self.window_len = artefact.manifest.window.len();
            }
            self.observer.alive();
        }
    }

    fn run_batch<K>(&mut self, batch: &mut Vec<InferenceRequest<K>>)
    where
        A: FnMut(Inference<K>),
    {
        let (fitting, others): (Vec<_>, Vec<_>) =
            batch.drain(..).partition(|request| request.window.len() == self.window_len);
        for request in others {
            (self.answer)(Inference { key: request.key, outputs: Err(InferenceError::OtherModel) });
        }
        if fitting.is_empty() {
            return;
        }
        let started = Instant::now();
        let outputs = match fitting.as_slice() {
            [request] => self.engine.run(&request.window, 1),
            requests => {
                let windows: Vec<f32> =
                    requests.iter().flat_map(|request| request.window.iter().copied()).collect();
                self.engine.run(&windows, requests.len())
            }
        };
        self.observer.batch(fitting.len(), started.elapsed());
        let size = fitting.len();
        for (index, request) in fitting.into_iter().enumerate() {
            let outputs = match &outputs {
                Ok(outputs) => {
                    let each = outputs.len() / size;
                    let own = &outputs[index * each..(index + 1) * each];
                    match own.iter().all(|output| output.is_finite()) {
                        true => Ok(own.to_vec()),
                        false => Err(InferenceError::NotFinite),
                    }
                }
                Err(error) => Err(engine_error(error)),
            };
            (self.answer)(Inference { key: request.key, outputs });
        }
    }
}

fn engine_error(error: &EngineError) -> InferenceError {
    InferenceError::Engine(error.to_string())
}
