//! The engine's process, seen from the daemon: started, fed with windows, watched, killed.
//!
//! The daemon's own process never holds an engine, so that no model file can end it, hang it, or take its memory.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::protocol::{self, Answer};
use crate::{Artefact, Engine, EngineChoice, EngineError, EngineKind, ProbeError, RunError, probe};

/// The program that is started as the engine's process: it must call [`serve_engine`](crate::serve_engine).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineProgram {
    /// The file that is executed.
    pub path: PathBuf,
    /// The arguments with which it serves an engine.
    pub arguments: Vec<OsString>,
}

impl EngineProgram {
    /// The running program with the argument `engine`. For programs that serve an engine then, and for no others.
    ///
    /// On Linux it is the very file that runs, also when another version lies in its place by now.
    pub fn itself() -> EngineProgram {
        let path = match () {
            () if cfg!(target_os = "linux") => PathBuf::from("/proc/self/exe"),
            () => std::env::current_exe().unwrap_or_default(),
        };
        EngineProgram { path, arguments: vec!["engine".into()] }
    }
}

/// How an engine's process is run.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// The engine that the configuration asks for.
    pub choice: EngineChoice,
    /// The configured library of ONNX Runtime, see [`Runtime::start`](crate::Runtime::start).
    pub library: Option<PathBuf>,
    /// The program of the process.
    pub program: EngineProgram,
    /// How long starting, loading and probing may take together.
    pub loading: Duration,
    /// How long one batch may take. A model that takes a fifth of that on average, while it is tried, is refused, to
    /// leave room for a machine that is busy later.
    pub running: Duration,
    /// How many bytes the process may allocate, beside eight times the size of the file.
    pub memory: u64,
}

impl EngineOptions {
    /// The limits that a daemon has.
    pub fn new(choice: EngineChoice, library: Option<PathBuf>, program: EngineProgram) -> EngineOptions {
        EngineOptions {
            choice,
            library,
            program,
            loading: Duration::from_secs(60),
            running: Duration::from_secs(10),
            memory: 512 * 1024 * 1024,
        }
    }
}

/// What the environment of the engine's process holds. It has no need of the daemon's passwords.
const ENVIRONMENT: [&str; 3] = ["ORT_DYLIB_PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// An allocator that commits a gigabyte at its first use has taken all that the limit of memory allows, while next to
/// nothing is used. mimalloc is one, unless this is said to it.
const COMMIT_AS_NEEDED: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

/// What the engine's process is at, for an error.
const LOADING: &str = "while it loaded the model";
const PROBING: &str = "while the model was tried";
const RUNNING: &str = "in a forecast";
const IDLE: &str = "while there was nothing to do";

/// A model loaded in a process of its own.
///
/// After an error that is not [`EngineError::Run`] the process is gone, and every further call says so. Dropping it kills
/// the process.
pub struct EngineProcess {
    artefact: Arc<Artefact>,
    options: EngineOptions,
    child: Child,
    stream: BufReader<TimedStream>,
    said: Said,
    kind: EngineKind,
    max_batch: usize,
    /// Room for frames.
    frame: Vec<u8>,
    has_ended: bool,
}

impl EngineProcess {
    /// Starts the process, loads the artefact in it, and tries it on windows of every kind: the outputs must be finite
    /// and as many as the manifest says.
    ///
    /// # Errors
    /// [`EngineError`] when the engine cannot be had, refuses the model, gives no good outputs, dies or hangs.
    pub fn start(artefact: Arc<Artefact>, options: &EngineOptions) -> Result<EngineProcess, EngineError> {
        let deadline = Instant::now() + options.loading;
        let (child, stream) = spawn(&options.program).map_err(EngineError::Start)?;
        let mut process = EngineProcess {
            artefact,
            options: options.clone(),
            child,
            stream: BufReader::new(TimedStream { stream, deadline }),
            said: Said::default(),
            kind: EngineKind::Tract,
            max_batch: 1,
            frame: Vec::new(),
            has_ended: false,
        };
        if let Some(stderr) = process.child.stderr.take() {
            process.said = Said::listen(stderr).map_err(EngineError::Start)?;
        }
        process.load()?;
        let windows = probe::windows(&process.artefact);
        process.probe_until(&windows, deadline)?;
        Ok(process)
    }

    fn load(&mut self) -> Result<(), EngineError> {
        let memory = self.options.memory.saturating_add(8 * self.artefact.bytes().len() as u64);
        let library = self.options.library.as_deref();
        let stream = self.stream.get_mut();
        let sent = protocol::send_load(stream, memory, self.options.choice, library, self.artefact.bytes());
        // A process that refuses what it is sent may say why, and close the socket, before it has read everything.
        let answer = match Answer::receive(&mut self.stream, self.artefact.manifest.outputs()) {
            Err(_) if sent.is_err() => sent.and(Err(ErrorKind::BrokenPipe.into())),
            answer => answer,
        };
        match answer {
            Ok(Answer::Loaded { kind, max_batch }) => {
                self.kind = kind;
                self.max_batch = max_batch.clamp(1, Engine::MAX_BATCH);
                Ok(())
            }
            Ok(Answer::Refused(error)) => {
                self.kill();
                Err(error)
            }
            Ok(_) => Err(self.failed(&ErrorKind::InvalidData.into(), LOADING, self.options.loading)),
            Err(error) => Err(self.failed(&error, LOADING, self.options.loading)),
        }
    }

    /// The model that the process has loaded.
    pub fn artefact(&self) -> &Arc<Artefact> {
        &self.artefact
    }

    /// How the process is run.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// How many windows the engine runs at once. More may be given: they are run one batch after the other.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// How many windows are answered together at most.
    pub fn answers_together(&self) -> usize {
        self.max_batch.max(protocol::ANSWERS_TOGETHER)
    }

    /// The number of the process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that the process holds now and held at most, in bytes, where the system tells.
    pub fn resident_bytes(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kilobytes = |key: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(key))?;
            value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        Some((kilobytes("VmRSS:")? * 1024, kilobytes("VmHWM:")? * 1024))
    }

    /// Tries the model on further windows, `[window, sample, feature]`, such as the stations' own.
    ///
    /// # Errors
    /// [`EngineError`], like [`EngineProcess::start`].
    ///
    /// # Panics
    /// If `windows` has not the size of whole windows.
    pub fn probe(&mut self, windows: &[f32]) -> Result<(), EngineError> {
        self.probe_until(windows, Instant::now() + self.options.loading)
    }

    fn probe_until(&mut self, windows: &[f32], deadline: Instant) -> Result<(), EngineError> {
        let running = self.options.running;
        let (began, mut answers) = (Instant::now(), 0);
        let mut fault = None;
        self.exchange(self.split(windows), PROBING, running, Some(deadline), |answer| {
            answers += 1;
            let found = match answer {
                Err(EngineError::Run(error)) => Some(EngineError::Probe(ProbeError::Run(error))),
                Err(error) => Some(error),
                Ok(outputs) if outputs.iter().all(|output| output.is_finite()) => None,
                Ok(_) => Some(EngineError::Probe(ProbeError::NotFinite)),
            };
            fault = fault.take().or(found);
        })?;
        let (each, most) = (began.elapsed() / answers.max(1), running / 5);
        if each > most {
            fault = fault.or(Some(EngineError::Probe(ProbeError::TooSlow { each, most })));
        }
        match fault {
            None => Ok(()),
            Some(fault) => {
                self.kill();
                Err(fault)
            }
        }
    }

    /// Runs `batch` normalised windows `[batch, sample, feature]`; gives `[batch, lead]` or
    /// `[batch, lead, quantile]`.
    ///
    /// # Errors
    /// [`EngineError::Run`] when the engine fails on one of them; another error when the process died or hung.
    ///
    /// # Panics
    /// If `windows` has not the size of `batch` windows.
    pub fn run(&mut self, windows: &[f32], batch: usize) -> Result<Vec<f32>, EngineError> {
        assert_eq!(windows.len(), batch * self.artefact.manifest.window.len(), "size of the windows");
        let mut outputs = Vec::with_capacity(batch * self.artefact.manifest.outputs());
        let mut fault = None;
        self.run_each(self.split(windows), |answer| match answer {
            Ok(own) => outputs.extend(own),
            Err(error) => fault = fault.take().or(Some(error)),
        })?;
        fault.map_or(Ok(outputs), Err)
    }

    /// Runs normalised windows `[sample, feature]` and gives the outputs of each, in their order and as soon as they are
    /// there, or the [`EngineError::Run`] of that window.
    ///
    /// # Errors
    /// When the process died, hung, or says what no engine says; what was not answered by then has no answer. One of the
    /// next [`EngineProcess::answers_together`] windows did it.
    ///
    /// # Panics
    /// If a window has not the size that the manifest says.
    pub fn run_each<'w, W>(
        &mut self,
        windows: W,
        each: impl FnMut(Result<Vec<f32>, EngineError>),
    ) -> Result<(), EngineError>
    where
        W: IntoIterator<Item = &'w [f32]>,
    {
        self.exchange(windows, RUNNING, self.options.running, None, each)
    }

    /// Looks whether the process has died since its last answer.
    ///
    /// # Errors
    /// [`EngineError::Died`].
    pub fn check_alive(&mut self) -> Result<(), EngineError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.failed(&ErrorKind::UnexpectedEof.into(), IDLE, Duration::ZERO)),
            Err(error) => Err(self.failed(&error, IDLE, Duration::ZERO)),
        }
    }

    fn split<'w>(&self, windows: &'w [f32]) -> std::slice::ChunksExact<'w, f32> {
        let len = self.artefact.manifest.window.len();
        assert!(windows.len().is_multiple_of(len), "whole windows");
        windows.chunks_exact(len)
    }

    fn exchange<'w>(
        &mut self,
        windows: impl IntoIterator<Item = &'w [f32]>,
        doing: &'static str,
        running: Duration,
        until: Option<Instant>,
        mut each: impl FnMut(Result<Vec<f32>, EngineError>),
    ) -> Result<(), EngineError> {
        let window_len = self.artefact.manifest.window.len();
        let outputs = self.artefact.manifest.outputs();
        let per_frame = (protocol::MAX_FRAME / (window_len * size_of::<f32>())).max(1);
        let mut windows =
            windows.into_iter().inspect(|window| assert_eq!(window.len(), window_len)).peekable();
        while windows.peek().is_some() {
            let mut unanswered = 0;
            let counted = windows.by_ref().take(per_frame).inspect(|_| unanswered += 1);
            protocol::encode_windows(&mut self.frame, counted);
            let stream = self.stream.get_mut();
            let deadline = |now: Instant| until.map_or(now + running, |until| until.min(now + running));
            stream.deadline = deadline(Instant::now());
            // The process reads the whole frame before it answers, so that neither waits for the other.
            let mut result = stream.write_all(&self.frame);
            while unanswered > 0 && result.is_ok() {
                result = match Answer::receive(&mut self.stream, outputs) {
                    Ok(Answer::Outputs(outputs)) => {
                        each(Ok(outputs));
                        Ok(())
                    }
                    Ok(Answer::Failed(message)) => {
                        each(Err(EngineError::Run(RunError::Engine { message })));
                        Ok(())
                    }
                    Ok(_) => Err(ErrorKind::InvalidData.into()),
                    Err(error) => Err(error),
                };
                unanswered -= 1;
                self.stream.get_mut().deadline = deadline(Instant::now());
            }
            if let Err(error) = result {
                return Err(self.failed(&error, doing, running));
            }
        }
        // One large frame does not stay in memory.
        self.frame.shrink_to(64 * 1024);
        Ok(())
    }

    /// Ends the process, and says how it failed.
    fn failed(&mut self, error: &io::Error, doing: &'static str, limit: Duration) -> EngineError {
        // A process whose socket is closed has its status already; the signal does not change that.
        let status = self.kill();
        let said = self.said.last_line();
        match error.kind() {
            ErrorKind::TimedOut => EngineError::TimedOut { doing, limit },
            ErrorKind::InvalidData => EngineError::Answer { doing },
            _ => EngineError::Died { doing, status, said },
        }
    }

    fn kill(&mut self) -> Option<ExitStatus> {
        self.has_ended = true;
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        if !self.has_ended {
            self.kill();
        }
    }
}

fn spawn(program: &EngineProgram) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let environment = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let child = Command::new(&program.path)
        .arg0("forecastd")
        .args(&program.arguments)
        .env_clear()
        .envs(environment)
        .envs([COMMIT_AS_NEEDED])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok((child, ours))
}

/// A socket on which nothing takes longer than until the deadline, however the bytes trickle.
struct TimedStream {
    stream: UnixStream,
    deadline: Instant,
}

impl TimedStream {
    /// What is left, which is never nothing: the system takes that for no limit.
    fn left(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(left.max(Duration::from_millis(1))),
        }
    }
}

fn timed(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(timed)
    }
}

impl Write for TimedStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer).map_err(timed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The last line that the process wrote to its standard error. It comes when that is closed.
#[derive(Default)]
struct Said(Option<mpsc::Receiver<String>>);

impl Said {
    /// The longest line that is kept, in bytes.
    const MAX_LINE: u64 = 1024;
    /// So many warnings of one process go to our log.
    const MAX_WARNINGS: usize = 16;

    /// Reads what the process writes, so that it never waits for a reader, and logs it.
    fn listen(stderr: ChildStderr) -> io::Result<Said> {
        let (sender, said) = mpsc::sync_channel(1);
        let listen = move || {
            let mut stderr = BufReader::with_capacity(Said::MAX_LINE as usize, stderr);
            let (mut line, mut last, mut warnings) = (Vec::new(), String::new(), 0);
            // A line that is too long is read in parts.
            while let Ok(1..) = (&mut stderr).take(Said::MAX_LINE).read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line);
                let text = forecastd_core::excerpt(text.trim(), 300);
                line.clear();
                if text.is_empty() {
                    continue;
                }
                match text.strip_prefix("WARN ") {
                    Some(warning) if warnings < Said::MAX_WARNINGS => {
                        warnings += 1;
                        tracing::warn!(target: "engine", "{warning}");
                    }
                    _ => tracing::debug!(target: "engine", "{text}"),
                }
                // After a panic that cannot unwind comes no better line.
                if !last.starts_with("panic: ") {
                    last = text;
                }
            }
            // Nobody may want it.
            let _ = sender.send(last);
        };
        std::thread::Builder::new().name("engine-stderr".to_owned()).stack_size(256 * 1024).spawn(listen)?;
        Ok(Said(Some(said)))
    }

    /// What was said last by a process that has ended. One that left another behind has not closed the pipe: it is not
    /// waited for.
    fn last_line(&mut self) -> Option<String> {
        let said = self.0.take()?.recv_timeout(Duration::from_secs(1)).ok()?;
        Some(said).filter(|said| !said.is_empty())
    }
}
