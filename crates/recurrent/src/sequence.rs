//! Between a batch of sequences, `[batch, steps, features]` row by row, and the lanes of sixteen of them.

// Loops over squares of lanes count to constants where iterators would be shorter: the compiler unrolls them and keeps the
// square in registers, which it does not with iterators over arrays.

use super::simd::{Lane, Simd, WIDTH};

/// Below this many features moving numbers one by one is faster than transposing a square of lanes.
const NARROW: usize = 4;

/// Time steps between asking for the values of one and reading them.
const AHEAD: isize = 4;

/// Which sequences of which batch a block of lanes holds, and in which direction time runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// The first sequence.
    pub(crate) first: usize,
    /// How many sequences, at most [`WIDTH`]. Lanes beyond repeat the last one, so that they can never overflow
    /// unless a true sequence does; their gradients are zero.
    pub(crate) count: usize,
    /// Time steps of a sequence.
    pub(crate) steps: usize,
    /// Whether the last time step is processed first.
    pub(crate) reverse: bool,
}

impl Block {
    /// The blocks of a batch.
    pub(crate) fn of_batch(batch: usize, steps: usize, reverse: bool) -> Vec<Self> {
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
    pub(crate) fn load_rows(&self, rows: &[f32], features: usize, lanes: &mut [Lane]) {
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
    pub(crate) fn load_step<S: Simd>(
        &self,
        simd: S,
        sequences: &[f32],
        features: usize,
        step: usize,
        lanes: &mut [Lane],
    ) {
        self.gather::<S, false>(simd, sequences, features, step, lanes);
    }

    /// Adds the gradients of time step `step` from `sequences` `[batch, steps, features]`; lanes beyond the batch get none.
    #[inline(always)]
    pub(crate) fn add_step<S: Simd>(
        &self,
        simd: S,
        sequences: &[f32],
        features: usize,
        step: usize,
        lanes: &mut [Lane],
    ) {
        self.gather::<S, true>(simd, sequences, features, step, lanes);
    }

    /// [`add_step`](Self::add_step) with `ADD`, otherwise [`load_step`](Self::load_step).
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn gather<S: Simd, const ADD: bool>(
        &self,
        simd: S,
        sequences: &[f32],
        features: usize,
        step: usize,
        lanes: &mut [Lane],
    ) {
        let time = self.time(step);
        let ahead = if self.reverse { -AHEAD } else { AHEAD } * features as isize;
        let gathered = if ADD { self.count } else { WIDTH };
        let start = |sequence: usize| (self.first + sequence.min(self.count - 1)) * self.steps + time;
        for (index, lanes) in lanes[..features].chunks_mut(WIDTH).enumerate() {
            let offset = |sequence: usize| start(sequence) * features + index * WIDTH;
            // A square may reach into the next time step; what it finds there is not used.
            if lanes.len() >= NARROW && offset(WIDTH - 1) + WIDTH <= sequences.len() {
                let mut rows = [simd.splat(0.0); WIDTH];
                for sequence in 0..WIDTH {
                    if sequence < gathered {
                        rows[sequence] = load_values(simd, sequences, offset(sequence));
                        // Sixteen places that advance slowly are too many for the processor to foresee.
                        simd.prefetch(sequences, offset(sequence).wrapping_add_signed(ahead));
                    }
                }
                let columns = simd.transpose(rows);
                for feature in 0..WIDTH {
                    if let Some(lane) = lanes.get_mut(feature) {
                        let column = columns[feature];
                        simd.store(if ADD { simd.add(simd.load(lane), column) } else { column }, lane);
                    }
                }
            } else {
                for sequence in 0..gathered {
                    let values = &sequences[offset(sequence)..][..lanes.len()];
                    for (lane, &value) in lanes.iter_mut().zip(values) {
                        lane.0[sequence] = if ADD { lane.0[sequence] + value } else { value };
                    }
                }
            }
        }
    }

    /// Sets one lane per feature from gradients `rows` `[batch, features]`; lanes beyond the batch get none.
    pub(crate) fn load_gradient(&self, rows: &[f32], features: usize, lanes: &mut [Lane]) {
        lanes.fill(Lane::ZERO);
        for sequence in 0..self.count {
            let values = &rows[(self.first + sequence) * features..][..features];
            for (lane, &value) in lanes.iter_mut().zip(values) {
                lane.0[sequence] = value;
            }
        }
    }

    /// Writes one lane per feature to `rows` `[count, features]`, the block's own part of the batch.
    pub(crate) fn store_rows(&self, lanes: &[Lane], features: usize, rows: &mut [f32]) {
        for (sequence, row) in rows.chunks_exact_mut(features).enumerate() {
            for (value, lane) in row.iter_mut().zip(lanes) {
                *value = lane.0[sequence];
            }
        }
    }

    /// Writes time step `step` to `sequences` `[count, steps, features]`, the block's own part of the batch.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    pub(crate) fn store_step<S: Simd>(
        &self,
        simd: S,
        lanes: &[Lane],
        features: usize,
        step: usize,
        sequences: &mut [f32],
    ) {
        let time = self.time(step);
        for (index, lanes) in lanes[..features].chunks(WIDTH).enumerate() {
            let offset = |sequence: usize| (sequence * self.steps + time) * features + index * WIDTH;
            if lanes.len() >= NARROW {
                let mut columns = [simd.splat(0.0); WIDTH];
                for feature in 0..WIDTH {
                    if let Some(lane) = lanes.get(feature) {
                        columns[feature] = simd.load(lane);
                    }
                }
                let rows = simd.transpose(columns);
                for sequence in 0..WIDTH {
                    if sequence >= self.count {
                        break;
                    }
                    let mut values = Lane::ZERO;
                    simd.store(rows[sequence], &mut values);
                    let target = &mut sequences[offset(sequence)..][..lanes.len()];
                    // A copy of constant length is a single instruction.
                    match target.first_chunk_mut::<WIDTH>() {
                        Some(target) => *target = values.0,
                        None => target.copy_from_slice(&values.0[..lanes.len()]),
                    }
                }
            } else {
                for sequence in 0..self.count {
                    let row = &mut sequences[offset(sequence)..][..lanes.len()];
                    for (value, lane) in row.iter_mut().zip(lanes) {
                        *value = lane.0[sequence];
                    }
                }
            }
        }
    }
}

/// Sixteen neighbouring values of one sequence.
#[inline(always)]
fn load_values<S: Simd>(simd: S, values: &[f32], offset: usize) -> S::V {
    let mut lane = Lane::ZERO;
    lane.0.copy_from_slice(&values[offset..offset + WIDTH]);
    simd.load(&lane)
}
