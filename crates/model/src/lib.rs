//! A model in a file: ONNX with its manifest inside, the engines that run it, and the worker that they run in.

mod artefact;
mod engine;
pub mod onnx;
mod worker;

pub use artefact::{Artefact, ArtefactError};
pub use engine::{Engine, EngineChoice, EngineError, EngineKind, Runtime};
pub use worker::{Inference, InferenceError, InferenceRequest, InferenceWorker, WorkerObserver};
