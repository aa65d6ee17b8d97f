//! Why an engine does not run. What tract or ONNX Runtime say themselves is text, in fields named `message`.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// A name that no engine has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown engine {0:?}, expected auto, tract or onnxruntime")]
pub struct UnknownEngine(pub String);

/// Why an engine does not run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// ONNX Runtime was asked for and there is no library.
    #[error(
        "no ONNX Runtime library found: set model.onnxruntime_library or ORT_DYLIB_PATH, or run \
         deploy/fetch-onnxruntime.sh"
    )]
    NoLibrary,
    /// The library cannot be used.
    #[error("ONNX Runtime: {0}")]
    Library(LibraryError),
    /// Another engine was started in this process.
    #[error("{0} runs in this process already")]
    AlreadyStarted(&'static str),
    /// The engine refuses the graph.
    #[error("{engine} cannot load the network: {fault}")]
    Load {
        /// The engine's name, as the configuration has it.
        engine: &'static str,
        /// What is wrong.
        fault: LoadError,
    },
    /// The engine fails on a window.
    #[error("inference failed: {0}")]
    Run(RunError),
    /// The model does badly on a window on which it is tried.
    #[error(transparent)]
    Probe(ProbeError),
    /// The engine's process does not start.
    #[error("cannot start the process of the engine: {0}")]
    Start(io::Error),
    /// What the engine's process says against a model. It is text, as it has come out of a process that the model may
    /// have taken over, which is believed no more than a sentence for a person; nothing is decided by it.
    #[error("{message}")]
    Refused {
        /// What the process says, escaped and short.
        message: String,
    },
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

/// Why a library of ONNX Runtime cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// This program holds its own C library, and can load no other.
    #[error("a static program cannot load libraries; its engine is tract")]
    StaticProgram,
    /// The library does not load, is too old, or does not start.
    #[error("{message}")]
    Start {
        /// What ONNX Runtime, or whoever loads it, says.
        message: String,
    },
}

/// Why an engine refuses a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The engine would run another network than the graph's: it ignores what is named here.
    #[error("it ignores {0}, and would give other temperatures; use onnxruntime")]
    Ignored(String),
    /// The engine cannot make the graph into something that runs.
    #[error("{message}")]
    Graph {
        /// What the engine says.
        message: String,
    },
    /// The graph is loaded, and fails on a window of zeros.
    #[error("inference failed: {0}")]
    Run(RunError),
    /// The outputs for a window of zeros are not all finite.
    #[error("it gives no finite numbers for a normal window")]
    NotFinite,
}

/// Why an engine fails on a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The engine itself fails.
    #[error("{message}")]
    Engine {
        /// What it says.
        message: String,
    },
    /// The graph gives more or fewer numbers than the manifest says.
    #[error("{found} outputs instead of {expected}")]
    OutputCount {
        /// How many numbers it gives.
        found: usize,
        /// How many it should give.
        expected: usize,
    },
}

/// What is wrong with a model on windows that a station may well have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProbeError {
    /// The engine fails on one.
    #[error("it fails on a window that can be: {0}")]
    Run(RunError),
    /// An output for one is not finite.
    #[error("it gives a number that is not finite for a window that can be")]
    NotFinite,
    /// They take too long, on average.
    #[error("it takes {:.1} s for a window, at most {:.1} s are allowed", .each.as_secs_f64(), .most.as_secs_f64())]
    TooSlow {
        /// How long a window takes.
        each: Duration,
        /// How long it may take.
        most: Duration,
    },
}

fn how_it_died(status: Option<&ExitStatus>, said: Option<&str>) -> String {
    let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    format!("{status}{said}")
}
