//! Checkpoints: the whole state of a training between two epochs, exactly.
//!
//! A file is the line `forecastd checkpoint 2`, a line of JSON that says what it is of and how long the vectors are,
//! the vectors as little-endian numbers of single precision, and the SHA-256 of all that. It is written whole or not at
//! all.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use forecastd_atomic_file::{self as atomic_file, WriteError};

use super::epoch::{EpochRecord, Validation};
use super::optimiser::Optimiser;

const MAGIC: &str = "forecastd checkpoint 2\n";
const HASH_BYTES: usize = 32;

/// Where a training's state is kept.
#[derive(Debug, Clone)]
pub struct CheckpointPlan {
    /// The checkpoint's file, written after each epoch.
    pub path: PathBuf,
    /// Whether to go on from what it holds.
    pub resume: bool,
    /// What the training is of: settings and data. A checkpoint of another is refused.
    pub fingerprint: String,
}

/// The state of a training between two epochs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub values: Vec<f32>,
    pub average: Vec<f32>,
    pub best_values: Vec<f32>,
    pub optimiser: Optimiser,
    pub epochs: Vec<EpochRecord>,
    pub best_epoch: usize,
}

impl State {
    pub(crate) fn best(&self) -> Option<Validation> {
        let index = self.best_epoch.checked_sub(1)?;
        self.epochs.get(index)?.validation
    }
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It cannot be written.
    #[error("checkpoint cannot be written")]
    Write(#[from] WriteError),
    /// It cannot be read.
    #[error("checkpoint {path}: {message}", path = .path.display())]
    Read {
        /// The file of the checkpoint.
        path: PathBuf,
        /// What the operating system says, or what of the content is wrong.
        message: String,
    },
    /// It is of another training.
    #[error(
        "checkpoint {path} is of a training with other settings or other data; remove it, or train without --resume",
        path = .0.display()
    )]
    OtherTraining(PathBuf),
}

#[derive(Serialize, Deserialize)]
struct Header {
    fingerprint: String,
    steps: u64,
    parameters: usize,
    first: usize,
    best_epoch: usize,
    epochs: Vec<Epoch>,
}

/// An epoch with its numbers as bits: a score that is rounded on the way could make another epoch the best.
#[derive(Serialize, Deserialize)]
struct Epoch {
    epoch: usize,
    bits: [u64; 6],
    best: bool,
}

impl Epoch {
    fn from_record(record: &EpochRecord) -> Epoch {
        // A score that is there is a number.
        let validation = record.validation.unwrap_or(Validation { loss: f64::NAN, score: f64::NAN });
        let numbers = [
            record.loss,
            validation.loss,
            validation.score,
            record.learning_rate,
            record.steps_per_second,
            record.seconds,
        ];
        Epoch { epoch: record.epoch, bits: numbers.map(f64::to_bits), best: record.best }
    }

    fn record(&self) -> EpochRecord {
        let [loss, validation_loss, score, learning_rate, steps_per_second, seconds] =
            self.bits.map(f64::from_bits);
        let validation = Validation { loss: validation_loss, score };
        let validation = Some(validation).filter(|validation| !validation.score.is_nan());
        EpochRecord {
            epoch: self.epoch,
            loss,
            validation,
            learning_rate,
            steps_per_second,
            seconds,
            best: self.best,
        }
    }
}

/// Reads and writes checkpoints.
pub(super) struct Checkpoint;

impl Checkpoint {
    /// Writes `state` where the plan says.
    pub(crate) fn write(plan: &CheckpointPlan, state: &State) -> Result<(), CheckpointError> {
        let header = Header {
            fingerprint: plan.fingerprint.clone(),
            steps: state.optimiser.steps,
            parameters: state.values.len(),
            first: state.optimiser.first.len(),
            best_epoch: state.best_epoch,
            epochs: state.epochs.iter().map(Epoch::from_record).collect(),
        };
        let header = serde_json::to_string(&header)
            .map_err(|error| CheckpointError::Read { path: plan.path.clone(), message: error.to_string() })?;
        let mut bytes = format!("{MAGIC}{header}\n").into_bytes();
        let optimiser = &state.optimiser;
        for vector in [&state.values, &state.average, &state.best_values, &optimiser.second, &optimiser.first]
        {
            bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
        }
        let hash = Sha256::digest(&bytes);
        bytes.extend_from_slice(&hash);
        Ok(atomic_file::write(&plan.path, &bytes)?)
    }

    /// Reads the state where the plan says; `fresh` is the state at the beginning of such a training.
    pub(crate) fn read(plan: &CheckpointPlan, fresh: &State) -> Result<State, CheckpointError> {
        let failed = |message: String| CheckpointError::Read { path: plan.path.clone(), message };
        let bytes = std::fs::read(&plan.path).map_err(|error| failed(error.to_string()))?;
        Checkpoint::decode(&bytes, plan, fresh)
    }

    /// Takes the bytes of a file for a checkpoint.
    pub(crate) fn decode(
        bytes: &[u8],
        plan: &CheckpointPlan,
        fresh: &State,
    ) -> Result<State, CheckpointError> {
        let failed = |message: String| CheckpointError::Read { path: plan.path.clone(), message };
        if !bytes.starts_with(MAGIC.as_bytes()) {
            return Err(failed("not a checkpoint of this version".to_owned()));
        }
        let damaged = || failed("damaged or cut off; remove it, or train without --resume".to_owned());
        let (rest, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(damaged)?;
        if Sha256::digest(rest)[..] != hash[..] {
            return Err(damaged());
        }
        let rest = &rest[MAGIC.len()..];
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or_else(damaged)?;
        let header: Header =
            serde_json::from_slice(&rest[..end]).map_err(|error| failed(error.to_string()))?;
        let same_sizes =
            header.parameters == fresh.values.len() && header.first == fresh.optimiser.first.len();
        if header.fingerprint != plan.fingerprint || !same_sizes {
            return Err(CheckpointError::OtherTraining(plan.path.clone()));
        }
        let mut numbers = rest[end + 1..].chunks_exact(4).map(|bytes| {
            let mut number = [0; 4];
            number.copy_from_slice(bytes);
            f32::from_le_bytes(number)
        });
        if numbers.len() != 4 * header.parameters + header.first {
            return Err(damaged());
        }
        let mut vector = |length: usize| -> Vec<f32> { numbers.by_ref().take(length).collect() };
        let [values, average, best_values, second] = [header.parameters; 4].map(&mut vector);
        let first = vector(header.first);
        let mut optimiser = fresh.optimiser.clone();
        (optimiser.steps, optimiser.first, optimiser.second) = (header.steps, first, second);
        let epochs = header.epochs.iter().map(Epoch::record).collect();
        Ok(State { values, average, best_values, optimiser, epochs, best_epoch: header.best_epoch })
    }
}
