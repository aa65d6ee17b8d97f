//! Between a batch of sequences, `[batch, steps, features]` row by row, and the lanes of sixteen of them.

use super::simd::{Lane, WIDTH};

/// Which sequences of which batch a block of lanes holds, and in which direction time runs.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The first sequence.
    pub first: usize,
    /// How many sequences, at most [`WIDTH`]. Lanes beyond repeat the last one, so that they can never overflow
    /// unless a true sequence does; their gradients are zero.
    pub count: usize,
    /// Time steps of a sequence.
    pub steps: usize,
    /// Whether the last time step is processed first.
    pub reverse: bool,
}

impl Block {
    /// The blocks of a batch.
    pub fn of_batch(batch: usize, steps: usize, reverse: bool) -> Vec<Self> {
        (0..batch.div_ceil(WIDTH))
            .map(|index| {
                let first = index * WIDTH;
                Self { first, count: WIDTH.min(batch - first), steps, reverse }
            })
            .collect()
    }

    /// The time index in the batch of the `step`-th processed time step.
    fn time(&self, step: usize) -> usize {
        if self.reverse { self.steps - 1 - step } else { step }
    }

    /// Sets one lane per feature from `rows` `[batch, features]`. Lanes beyond the batch repeat the last sequence.
    pub fn load_rows(&self, rows: &[f32], features: usize, lanes: &mut [Lane]) {
        for sequence in 0..WIDTH {
            let row = self.first + sequence.min(self.count - 1);
            let values = &rows[row * features..][..features];
            for (lane, &value) in lanes.iter_mut().zip(values) {
                lane.0[sequence] = value;
            }
        }
    }

    /// Like [`load_rows`](Self::load_rows) for the processed time step `step` of `sequences` `[batch, steps, features]`.
    #[inline(always)]
    pub fn load_step(&self, sequences: &[f32], features: usize, step: usize, lanes: &mut [Lane]) {
        let time = self.time(step);
        let lanes = &mut lanes[..features];
        for sequence in 0..WIDTH {
            let row = (self.first + sequence.min(self.count - 1)) * self.steps + time;
            let values = &sequences[row * features..][..features];
            for (lane, &value) in lanes.iter_mut().zip(values) {
                lane.0[sequence] = value;
            }
        }
    }

    /// Adds the gradients of time step `step` from `sequences` `[batch, steps, features]`; lanes beyond the batch get none.
    #[inline(always)]
    pub fn add_step(&self, sequences: &[f32], features: usize, step: usize, lanes: &mut [Lane]) {
        let time = self.time(step);
        let lanes = &mut lanes[..features];
        for sequence in 0..self.count {
            let row = (self.first + sequence) * self.steps + time;
            let values = &sequences[row * features..][..features];
            for (lane, &value) in lanes.iter_mut().zip(values) {
                lane.0[sequence] += value;
            }
        }
    }

    /// Sets one lane per feature from gradients `rows` `[batch, features]`; lanes beyond the batch get none.
    pub fn load_gradient(&self, rows: &[f32], features: usize, lanes: &mut [Lane]) {
        lanes.fill(Lane::ZERO);
        for sequence in 0..self.count {
            let values = &rows[(self.first + sequence) * features..][..features];
            for (lane, &value) in lanes.iter_mut().zip(values) {
                lane.0[sequence] = value;
            }
        }
    }

    /// Writes one lane per feature to `rows` `[count, features]`, the block's own part of the batch.
    pub fn store_rows(&self, lanes: &[Lane], features: usize, rows: &mut [f32]) {
        for (sequence, row) in rows.chunks_exact_mut(features).enumerate() {
            for (value, lane) in row.iter_mut().zip(lanes) {
                *value = lane.0[sequence];
            }
        }
    }

    /// Writes time step `step` to `sequences` `[count, steps, features]`, the block's own part of the batch.
    #[inline(always)]
    pub fn store_step(&self, lanes: &[Lane], features: usize, step: usize, sequences: &mut [f32]) {
        let time = self.time(step);
        let lanes = &lanes[..features];
        for sequence in 0..self.count {
            let row = &mut sequences[(sequence * self.steps + time) * features..][..features];
            for (value, lane) in row.iter_mut().zip(lanes) {
                *value = lane.0[sequence];
            }
        }
    }
}
