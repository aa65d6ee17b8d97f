//! What is known of an epoch when it is over, and of a training when it ends.

use serde::{Deserialize, Serialize};

/// How good a model is on the validation part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The loss, as in training but without dropout.
    pub loss: f64,
    /// What the best epoch is chosen by; lower is better.
    pub score: f64,
}

/// What happened in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's steps.
    pub loss: f64,
    /// How good the model was afterwards; absent where there is nothing to choose by.
    pub validation: Option<Validation>,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// Steps per second, validation aside.
    pub steps_per_second: f64,
    /// How long it took, with validation.
    pub seconds: f64,
    /// Whether no epoch before was better, or the last is kept anyhow.
    pub best: bool,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All epochs were run.
    Finished,
    /// It did not get better any more.
    Stopped,
    /// It was interrupted.
    Interrupted,
    /// The loss became infinite or NaN; the model is the best before.
    Diverged,
}
