//! The engine's process, seen from within: it takes a model that nobody trusts, and answers for its windows.
//!
//! Whatever a model makes of an engine (a panic in a function that cannot unwind, a loop without end, memory without
//! bound), it ends this process and no other. Its limits are set before the first byte of the model is read. There is no
//! signal on the parent's death: Linux sends that when the *thread* that started the process ends. A thread of our own
//! waits for the other end of the socket to close instead.

use std::io::{self, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit, Signal};

use crate::protocol::{self, Answer};
use crate::{Artefact, Engine, EngineError, Runtime};

/// How long the answer of a window waits for those of the next.
const LONGEST_HELD: Duration = Duration::from_millis(1);

/// Files that the engine may have open at once.
const MAX_FILES: u64 = 64;

/// Serves as the engine of the process that started this one, over standard input, until that closes it. A program that
/// starts engines from itself ([`EngineProgram::itself`](crate::EngineProgram::itself)) calls this, and does nothing
/// else, when its first argument is `engine`.
pub fn serve_engine() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    if socket.local_addr().is_err() {
        let message = "standard input is no socket: this command is started by the daemon, for itself";
        return Err(io::Error::other(message));
    }
    limit_privileges();
    say_panics_once();
    end_with_the_other_side(socket.try_clone()?)?;
    let mut input = BufReader::with_capacity(64 * 1024, socket.try_clone()?);
    let load = protocol::receive_load(&mut input)?;
    limit(Resource::Data, load.memory);
    let file = protocol::receive_file(&mut input, &load)?;
    let mut engine = match load_engine(file, &load) {
        Ok(engine) => engine,
        Err(error) => return send(&socket, &mut Vec::new(), &[Answer::Refused(error)]),
    };
    let (window_len, max_batch) = (engine.window_len(), engine.max_batch());
    let mut frame = Vec::new();
    send(&socket, &mut frame, &[Answer::Loaded { kind: engine.kind(), max_batch }])?;
    let mut windows = Vec::new();
    while protocol::receive_windows(&mut input, &mut windows)? {
        let (mut held, mut since) = (0, Instant::now());
        for batch in windows.chunks(window_len * max_batch) {
            let answers = run(&mut engine, batch, window_len);
            held += answers.len();
            answers.iter().for_each(|answer| answer.encode(&mut frame));
            if held >= protocol::ANSWERS_TOGETHER || since.elapsed() >= LONGEST_HELD {
                send(&socket, &mut frame, &[])?;
                (held, since) = (0, Instant::now());
            }
        }
        send(&socket, &mut frame, &[])?;
        // One large frame does not stay in memory.
        windows.shrink_to(protocol::MAX_FRAME / size_of::<f32>());
    }
    Ok(())
}

fn load_engine(file: Vec<u8>, load: &protocol::Load) -> Result<Engine, EngineError> {
    let artefact = Artefact::from_bytes(file.into())
        .map_err(|error| EngineError::Refused { message: error.to_string() })?;
    let runtime = Runtime::start(load.choice, load.library.as_deref())?;
    Engine::load(&runtime, &artefact)
}

/// Answers for each window of a batch. When the engine fails on several, each is tried alone.
fn run(engine: &mut Engine, batch: &[f32], window_len: usize) -> Vec<Answer> {
    let size = batch.len() / window_len;
    match engine.infer(batch, size) {
        Ok(outputs) => {
            let each = (outputs.len() / size).max(1);
            outputs.chunks(each).map(|outputs| Answer::Outputs(outputs.to_vec())).collect()
        }
        Err(error) if size == 1 => vec![Answer::Failed(error.to_string())],
        Err(_) => batch.chunks(window_len).flat_map(|window| run(engine, window, window_len)).collect(),
    }
}

/// Sends what is in the frame, and further answers, and leaves it empty.
fn send(mut socket: &UnixStream, frame: &mut Vec<u8>, answers: &[Answer]) -> io::Result<()> {
    for answer in answers {
        answer.encode(frame);
    }
    let sent = socket.write_all(frame);
    frame.clear();
    sent
}

/// Gives up what an engine has no need of. What the system does not allow is not needed for the daemon to live on: it
/// has time limits of its own, and the unit a limit of memory.
fn limit_privileges() {
    #[cfg(target_os = "linux")]
    {
        // When memory is short, this process goes before the daemon.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        let _ = rustix::thread::set_name(c"forecast-engine");
        // No dump, not even through a pipe, which the limit below does not hold back.
        let none = rustix::process::DumpableBehavior::NotDumpable;
        let _ = rustix::process::set_dumpable_behavior(none);
    }
    limit(Resource::Core, 0);
    limit(Resource::Nofile, MAX_FILES);
}

/// Lowers a limit, for good; one that is lower already stays.
fn limit(resource: Resource, most: u64) {
    let present = rustix::process::getrlimit(resource);
    let most = present.maximum.map_or(most, |maximum| maximum.min(most));
    let _ = rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
}

/// Says the first panic in one line, which the daemon quotes. A panic that cannot unwind is followed by others, which
/// say nothing of the cause.
fn say_panics_once() {
    static SAID: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|panic| {
        if SAID.swap(true, Ordering::Relaxed) {
            return;
        }
        let message = panic.payload_as_str().unwrap_or("panic").replace('\n', " ");
        let place =
            panic.location().map(|place| format!(" ({}:{})", in_its_package(place.file()), place.line()));
        let _ = writeln!(io::stderr(), "panic: {message}{}", place.unwrap_or_default());
        // Whether it could unwind or not: an engine that has panicked once is not trusted with another window.
        std::process::abort();
    }));
}

/// The path of a source file without where the registry lay when it was compiled.
fn in_its_package(file: &str) -> &str {
    let within = file.split_once("/registry/src/").and_then(|(_, within)| within.split_once('/'));
    within.map_or(file, |(_, path)| path)
}

/// Ends this process when the other end is closed, whatever the engine is at.
fn end_with_the_other_side(socket: UnixStream) -> io::Result<()> {
    let wait = move || {
        loop {
            // A hang-up is always told.
            let mut sockets = [PollFd::new(&socket, PollFlags::empty())];
            match rustix::event::poll(&mut sockets, None) {
                Err(error) if error != rustix::io::Errno::INTR => break,
                Ok(_) if !sockets[0].revents().is_empty() => break,
                _ => {}
            }
        }
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    };
    std::thread::Builder::new().name("end".to_owned()).stack_size(64 * 1024).spawn(wait).map(drop)
}
