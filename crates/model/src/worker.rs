//! The inference worker: a thread of its own that asks the engine, so that the asynchronous runtime never waits for a
//! network. Windows that wait are sent to the engine together.
//!
//! The worker outlives its engines. One that dies or hangs is started again from the artefact in memory, whatever lies in
//! the file by then. A window in whose batch an engine died is tried once more, alone, so that neither a poisonous window
//! nor a signal from outside costs another one its forecast. An engine that keeps dying is given up for a while, and for
//! longer every time; its windows are answered with an error meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Artefact, EngineError, EngineOptions, EngineProcess};

/// A normalised window that wants a forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceRequest<K> {
    /// What the answer is matched with.
    pub key: K,
    /// The normalised window, `[sample, feature]`.
    pub window: Vec<f32>,
}

/// The answer to a request.
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
    /// The engine failed: what [`EngineError`] says, in text, because the answer is compared and passed on, which the
    /// error is not made for.
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
    /// The worker lives: called after each answer and about once a second when idle.
    fn alive(&self);
    /// An engine died, hung, or did not start again.
    fn engine_ended(&self, error: &EngineError);
    /// An engine was started in the place of one that ended.
    fn engine_restarted(&self);
    /// The engine of this model ends too often: windows are answered with an error from now on, until it is tried again
    /// after a while. Told once, until the model has worked again for some time or was exchanged.
    fn model_unusable(&self, artefact: &Arc<Artefact>, error: &EngineError);
}

/// When an engine that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// So many ends make a model unusable …
    pub ends: usize,
    /// … when they come within this time.
    pub within: Duration,
    /// How long an unusable model is left alone at first; twice as long after every further end.
    pub first_pause: Duration,
    /// How long it is left alone at most.
    pub longest_pause: Duration,
    /// How long windows wait for an engine that starts before they are answered with an error.
    pub patience: Duration,
}

impl Default for RestartPolicy {
    /// Three ends within a minute; pauses from 10 s to 10 min; windows wait for 2 s.
    fn default() -> RestartPolicy {
        RestartPolicy {
            ends: 3,
            within: Duration::from_secs(60),
            first_pause: Duration::from_secs(10),
            longest_pause: Duration::from_secs(600),
            patience: Duration::from_secs(2),
        }
    }
}

enum Job<K> {
    Infer(InferenceRequest<K>),
    Exchange(Box<EngineProcess>),
}

/// The handle of the thread; dropping it ends the thread when its queue is empty.
pub struct InferenceWorker<K> {
    jobs: mpsc::Sender<Job<K>>,
    _thread: JoinHandle<()>,
}

impl<K: Send + 'static> InferenceWorker<K> {
    /// Starts the thread. Answers go to `answer`, each request's once and in the order of the requests; it is called on
    /// the worker's thread and may block to hold the worker back.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        engine: EngineProcess,
        observer: impl WorkerObserver,
        answer: impl FnMut(Inference<K>) + Send + 'static,
    ) -> std::io::Result<InferenceWorker<K>> {
        InferenceWorker::start_with(RestartPolicy::default(), engine, observer, answer)
    }

    /// Like [`InferenceWorker::start`], with another policy.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start_with(
        policy: RestartPolicy,
        engine: EngineProcess,
        observer: impl WorkerObserver,
        answer: impl FnMut(Inference<K>) + Send + 'static,
    ) -> std::io::Result<InferenceWorker<K>> {
        let (jobs, queue) = mpsc::channel();
        let mut work = Work { engine: Supervised::new(engine, policy), observer, answer };
        let thread =
            std::thread::Builder::new().name("inference".to_owned()).spawn(move || work.run(&queue))?;
        Ok(InferenceWorker { jobs, _thread: thread })
    }

    /// Queues a window. The queue has no bound of its own: whoever queues bounds what is in flight.
    pub fn infer(&self, request: InferenceRequest<K>) {
        // The thread ends only after this handle is gone.
        let _ = self.jobs.send(Job::Infer(request));
    }

    /// Has the worker use another engine for everything queued after this call.
    pub fn exchange(&self, engine: EngineProcess) {
        let _ = self.jobs.send(Job::Exchange(Box::new(engine)));
    }
}

/// The most windows that are taken from the queue at once.
const MAX_WINDOWS: usize = 256;

/// How long the queue is waited for before the engine is looked at.
const IDLE: Duration = Duration::from_secs(1);

/// A window that waits.
struct Waiting<K> {
    request: InferenceRequest<K>,
    /// An engine died on it and others: it is tried alone.
    is_suspect: bool,
}

struct Work<O, A> {
    engine: Supervised,
    observer: O,
    answer: A,
}

impl<O: WorkerObserver, A> Work<O, A> {
    fn run<K>(&mut self, queue: &mpsc::Receiver<Job<K>>)
    where
        A: FnMut(Inference<K>),
    {
        let mut waiting = VecDeque::new();
        loop {
            let first = match queue.recv_timeout(IDLE) {
                Ok(job) => job,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.engine.look_after(&self.observer);
                    self.observer.alive();
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let mut exchange = None;
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Infer(request) => waiting.push_back(Waiting { request, is_suspect: false }),
                    Job::Exchange(engine) => {
                        exchange = Some(engine);
                        break;
                    }
                }
                if waiting.len() < MAX_WINDOWS {
                    next = queue.try_recv().ok();
                }
            }
            self.infer(&mut waiting);
            if let Some(engine) = exchange {
                self.engine = Supervised::new(*engine, self.engine.policy);
            }
            self.observer.alive();
        }
    }

    /// Answers all that wait.
    fn infer<K>(&mut self, waiting: &mut VecDeque<Waiting<K>>)
    where
        A: FnMut(Inference<K>),
    {
        let Work { engine: supervised, observer, answer } = self;
        let window_len = supervised.artefact.manifest.window.len();
        while let Some(first) = waiting.front() {
            if first.request.window.len() != window_len {
                answer_first(waiting, answer, Err(InferenceError::OtherModel));
                continue;
            }
            if let Err(error) = supervised.wait(observer) {
                answer_first(waiting, answer, Err(error));
                observer.alive();
                continue;
            }
            let State::Running(engine) = &mut supervised.state else { continue };
            let fits =
                |waiting: &&Waiting<K>| !waiting.is_suspect && waiting.request.window.len() == window_len;
            let size = match first.is_suspect {
                true => 1,
                false => waiting.iter().take_while(fits).count(),
            };
            let windows: Vec<Vec<f32>> = waiting
                .iter_mut()
                .take(size)
                .map(|waiting| std::mem::take(&mut waiting.request.window))
                .collect();
            let started = Instant::now();
            let mut answered = 0;
            let ended = engine.run_each(windows.iter().map(Vec::as_slice), |outputs| {
                answered += 1;
                let outputs = match outputs {
                    Ok(outputs) if outputs.iter().all(|output| output.is_finite()) => Ok(outputs),
                    Ok(_) => Err(InferenceError::NotFinite),
                    Err(error) => Err(engine_error(&error)),
                };
                answer_first(waiting, answer, outputs);
                observer.alive();
            });
            let answers_together = engine.answers_together();
            if answered > 0 {
                observer.batch(answered, started.elapsed());
            }
            let Err(error) = ended else { continue };
            // The windows that were not answered wait again.
            for (waiting, window) in waiting.iter_mut().zip(windows.into_iter().skip(answered)) {
                waiting.request.window = window;
            }
            let unanswered = size - answered;
            let suspects = unanswered.min(answers_together);
            let was_alone = waiting.front().is_some_and(|first| first.is_suspect);
            // Nobody but a window makes an engine hang; to die it may have had other reasons.
            let is_guilty = was_alone || (suspects == 1 && matches!(error, EngineError::TimedOut { .. }));
            match is_guilty {
                true => answer_first(waiting, answer, Err(engine_error(&error))),
                false => waiting.iter_mut().take(suspects).for_each(|waiting| waiting.is_suspect = true),
            }
            supervised.ended(error, observer);
        }
    }
}

fn answer_first<K>(
    waiting: &mut VecDeque<Waiting<K>>,
    answer: &mut impl FnMut(Inference<K>),
    outputs: Result<Vec<f32>, InferenceError>,
) {
    if let Some(Waiting { request, .. }) = waiting.pop_front() {
        answer(Inference { key: request.key, outputs });
    }
}

fn engine_error(error: &EngineError) -> InferenceError {
    InferenceError::Engine(error.to_string())
}

/// The engine of a model, and what becomes of it when it ends.
struct Supervised {
    policy: RestartPolicy,
    artefact: Arc<Artefact>,
    options: EngineOptions,
    state: State,
    /// When the present engine was started.
    since: Instant,
    /// When engines ended, as far as it counts.
    ends: VecDeque<Instant>,
    /// How long the next pause is.
    pause: Duration,
    /// Whether the model ended its engines too often, and has not proven itself since.
    is_unusable: bool,
}

enum State {
    Running(Box<EngineProcess>),
    /// Another thread starts an engine; windows wait for it until then.
    Starting(mpsc::Receiver<Result<EngineProcess, EngineError>>, Instant),
    /// No engine until then, because of this.
    Pausing(Instant, InferenceError),
}

impl Supervised {
    fn new(engine: EngineProcess, policy: RestartPolicy) -> Supervised {
        Supervised {
            policy,
            artefact: Arc::clone(engine.artefact()),
            options: engine.options().clone(),
            state: State::Running(Box::new(engine)),
            since: Instant::now(),
            ends: VecDeque::new(),
            pause: policy.first_pause,
            is_unusable: false,
        }
    }

    /// Waits a little for an engine that starts.
    ///
    /// # Errors
    /// Why there is none.
    fn wait(&mut self, observer: &impl WorkerObserver) -> Result<(), InferenceError> {
        // It may start and end several times, until it is left alone for a while.
        loop {
            self.turn(observer, true);
            match &self.state {
                State::Running(_) => return Ok(()),
                State::Pausing(_, error) => return Err(error.clone()),
                State::Starting(_, until) if *until <= Instant::now() => {
                    return Err(InferenceError::Engine("the engine is being started again".to_owned()));
                }
                State::Starting(..) => {}
            }
        }
    }

    /// Notices, without a window, what has become of the engine.
    fn look_after(&mut self, observer: &impl WorkerObserver) {
        if let State::Running(engine) = &mut self.state
            && let Err(error) = engine.check_alive()
        {
            observer.engine_ended(&error);
            // Without a window it was not the model.
            self.start();
        }
        self.turn(observer, false);
    }

    /// Goes on from starting to running, from pausing to starting.
    fn turn(&mut self, observer: &impl WorkerObserver, waits: bool) {
        match &self.state {
            State::Running(_) => {}
            State::Pausing(until, _) => {
                if *until <= Instant::now() {
                    self.start();
                }
            }
            State::Starting(started, until) => {
                let wait = match waits {
                    true => until.saturating_duration_since(Instant::now()),
                    false => Duration::ZERO,
                };
                match started.recv_timeout(wait) {
                    Ok(Ok(engine)) => {
                        observer.engine_restarted();
                        self.since = Instant::now();
                        self.state = State::Running(Box::new(engine));
                    }
                    Ok(Err(error)) => self.ended(error, observer),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        let error = std::io::Error::other("the thread that starts it ended");
                        self.ended(EngineError::Start(error), observer);
                    }
                }
            }
        }
    }

    /// Starts an engine on a thread of its own: it may take as long as a hostile model likes, up to its limit.
    fn start(&mut self) {
        let (sender, started) = mpsc::sync_channel(1);
        let (artefact, options) = (Arc::clone(&self.artefact), self.options.clone());
        // Dropped unseen, when the model was exchanged meanwhile, it ends at once.
        let start = move || drop(sender.send(EngineProcess::start(artefact, &options)));
        // Without a thread the channel is closed, which is seen as an engine that does not start.
        let _ = std::thread::Builder::new().name("engine-start".to_owned()).spawn(start);
        self.since = Instant::now();
        self.state = State::Starting(started, Instant::now() + self.policy.patience);
    }

    /// Decides what follows on an end.
    fn ended(&mut self, error: EngineError, observer: &impl WorkerObserver) {
        observer.engine_ended(&error);
        let now = Instant::now();
        let lived = now.saturating_duration_since(self.since);
        if matches!(self.state, State::Running(_)) {
            if lived >= self.policy.within {
                self.is_unusable = false;
            }
            if lived >= self.policy.longest_pause {
                self.pause = self.policy.first_pause;
            }
        }
        self.ends.push_back(now);
        self.ends.retain(|&end| now.saturating_duration_since(end) < self.policy.within);
        if !self.is_unusable && self.ends.len() < self.policy.ends {
            self.start();
            return;
        }
        if !self.is_unusable {
            self.is_unusable = true;
            observer.model_unusable(&self.artefact, &error);
        }
        self.ends.clear();
        let reason = InferenceError::Engine(format!("the model is left alone for a while, because {error}"));
        self.state = State::Pausing(now + self.pause, reason);
        self.pause = (self.pause * 2).min(self.policy.longest_pause);
    }
}
