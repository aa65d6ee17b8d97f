//! A model in a file: ONNX with its manifest inside, the engines that run it, and the worker that they run in.
//!
//! | module | contents |
//! | --- | --- |
//! | `artefact` | a model file, read and checked |
//! | `shape` | whether a graph's input and output are those of its manifest |
//! | `bounds` | what a file would take in memory |
//! | `onnx` | the file format |
//! | `engine` | an engine in this process, for files that are trusted |
//! | `error` | why an engine does not run |
//! | `process` | an engine in a process of its own, for files that nobody trusts |
//! | `child` | that process, seen from within |
//! | `protocol` | what the two say to each other |
//! | `probe` | the windows that a model is tried on |
//! | `worker` | the thread that asks the engine, and replaces one that dies |

mod artefact;
mod bounds;
mod child;
mod engine;
mod error;
pub mod onnx;
mod probe;
mod process;
mod protocol;
mod shape;
mod worker;

pub use artefact::{Artefact, ArtefactError};
pub use child::serve_engine;
pub use engine::{Engine, EngineChoice, EngineKind, Runtime};
pub use error::{EngineError, LibraryError, LoadError, ProbeError, RunError, UnknownEngine};
pub use process::{EngineOptions, EngineProcess, EngineProgram};
pub use shape::ShapeError;
pub use worker::{
    Inference, InferenceError, InferenceRequest, InferenceWorker, RestartPolicy, WorkerObserver,
};
