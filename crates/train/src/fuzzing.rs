//! Doors for a fuzzer to what is private. No part of the interface.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::checkpoint::Checkpoint;
use super::checkpoint::{CheckpointPlan, State};
use super::optimiser::{Optimiser, OptimiserKind};

/// Parameters of the training that checkpoints are of here.
const PARAMETERS: usize = 4;

/// Decodes a checkpoint of a training with four parameters and the fingerprint `fuzz`: the bytes as they are, and with a hash
/// that fits.
pub fn checkpoint(bytes: &[u8]) {
    let plan =
        CheckpointPlan { path: PathBuf::from("checkpoint"), resume: true, fingerprint: "fuzz".to_owned() };
    let vector = vec![0.0; PARAMETERS];
    let fresh = State {
        values: vector.clone(),
        average: vector.clone(),
        best_values: vector,
        optimiser: Optimiser::new(OptimiserKind::AdamW { weight_decay: 0.0 }, PARAMETERS),
        epochs: Vec::new(),
        best_epoch: 0,
    };
    let hashed = [bytes, &Sha256::digest(bytes)[..]].concat();
    for bytes in [bytes, &hashed] {
        if let Ok(state) = Checkpoint::decode(bytes, &plan, &fresh) {
            assert_eq!(state.values.len(), PARAMETERS);
        }
    }
}
