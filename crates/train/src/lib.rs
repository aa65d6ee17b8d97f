//! Training networks: from a station's record to an artefact.

mod baseline;
mod candidate;
mod checkpoint;
pub mod dataset;
pub mod dense;
pub mod epoch;
mod error;
pub mod experiment;
pub mod fit;
#[doc(hidden)]
pub mod fuzzing;
pub mod graph;
pub mod imdb;
mod initial;
mod interval;
pub mod network;
pub mod optimiser;
pub mod options;
pub mod pair;
pub mod parameters;
pub mod predictors;
pub mod progress;
pub mod recurrent;
mod recurrent_ops;
pub mod ridge;
mod run;
mod scan;
mod session;
mod silu_op;
mod station;
mod summary;
mod task;
mod window_cache;
pub mod world;

pub use checkpoint::{CheckpointError, CheckpointPlan};
pub use error::TrainError;
pub use options::TrainOptions;
pub use run::{run, run_on_terminal};
pub use summary::{ExperimentResult, OwnGain, ReviewResult, TrainSummary};
pub use task::{Style, Task};
pub use window_cache::WindowCache;
