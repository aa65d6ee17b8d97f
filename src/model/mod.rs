//! The artefact (ONNX with its manifest inside), normalisation, engines and the inference worker.

mod artefact;
mod engine;
mod manifest;
mod normalisation;
pub mod onnx;
mod worker;

pub(crate) use artefact::hexadecimal;
pub use artefact::{Artefact, ArtefactError};
pub use engine::{Engine, EngineChoice, EngineError, EngineKind, Runtime};
pub use manifest::{
    FORMAT_VERSION, LeadScore, MANIFEST_KEY, Manifest, ManifestError, PartScores, Refit, Split, Target,
    TargetKind, Training,
};
pub use normalisation::Normalisation;
pub use worker::{Inference, InferenceError, InferenceRequest, InferenceWorker, WorkerObserver};
