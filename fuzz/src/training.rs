//! The trainer's checkpoints.

/// A checkpoint file, as it is and with a hash that fits, which no mutation would find.
pub fn checkpoint(data: &[u8]) {
    forecastd_train::fuzzing::checkpoint(data);
}
