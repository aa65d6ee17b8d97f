//! What a recurrent cell does in one time step, and how the units of a step are made.

use std::ops::Range;

use super::outer::Steps;
use super::simd::{Lane, Simd};
use super::weights::{GROUP, Transposed};

/// One time step of a recurrent cell for a block of sequences.
///
/// Lanes of units beyond the last, up to whole [`padded`](super::weights::padded) rows, have zero weights.
pub(crate) trait Cell: Sync {
    /// Lanes of the state that is carried from step to step. The output is at its start.
    fn state_lanes(&self) -> usize;
    /// Lanes of gate values, and of the gate gradients that the backward pass makes of them.
    fn gate_lanes(&self) -> usize;
    /// Lanes of all values that a step leaves for its backward pass, the gate values first.
    fn kept_lanes(&self) -> usize {
        self.gate_lanes()
    }
    /// How many of the gate gradients, from the start, belong to the input weights.
    fn input_rows(&self) -> usize;
    /// Rows of the recurrent weights' gradient as [`add_recurrent_gradient`](Self::add_recurrent_gradient) makes it.
    fn recurrent_rows(&self) -> usize;
    /// Transposed input weights `[padded inputs, input rows]`, empty unless made for a backward pass.
    fn transposed_input(&self) -> &Transposed;

    /// Makes the next state. The gate values are left in `step.gates` with `KEEP`, otherwise the contents of those lanes
    /// are unspecified.
    fn step<S: Simd, const KEEP: bool>(&self, simd: S, step: Step);

    /// The derivative of [`step`](Self::step): turns `gradient` of the next state into that of the state, and the gate
    /// values into gate gradients.
    fn step_back<S: Simd>(&self, simd: S, kept: KeptStep, gradient: &mut [Lane]);

    /// Adds the gradient of the recurrent weights `[recurrent rows, units]` from the gate gradients of `steps` time steps.
    fn add_recurrent_gradient<S: Simd>(
        &self,
        simd: S,
        steps: usize,
        gate_gradients: &[Lane],
        masked_states: Steps,
        gradient: &mut [f32],
    );
}

/// The lanes of one time step.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// One lane per input feature, under the dropout mask.
    pub(crate) input: &'a [Lane],
    /// The state before.
    pub(crate) state: &'a [Lane],
    /// The output part of the state before, one lane per unit, under the dropout mask.
    pub(crate) masked_state: &'a [Lane],
    /// Room for the gate values.
    pub(crate) gates: &'a mut [Lane],
    /// Room for the state after.
    pub(crate) next: &'a mut [Lane],
}

/// One time step of which the gate values are known.
#[derive(Debug)]
pub(crate) struct KeptStep<'a> {
    /// The gate values; their gradients are put in their place.
    pub(crate) gates: &'a mut [Lane],
    /// The state before.
    pub(crate) state: &'a [Lane],
    /// The output part of the state before, one lane per unit, under the dropout mask.
    pub(crate) masked_state: &'a [Lane],
    /// The dropout mask of the state.
    pub(crate) state_mask: &'a [Lane],
    /// Room for one lane per padded unit.
    pub(crate) scratch: &'a mut [Lane],
}

/// Gate sums that every cell makes of a unit in one step, of which the gates are functions.
pub(crate) const SUMS: usize = 4;

/// A cell whose units do not need each other within a time step.
pub(crate) trait Units {
    /// The biases of the sums of `UNITS` units from `first` on.
    fn biases<S: Simd, const UNITS: usize>(&self, simd: S, first: usize) -> [[S::V; UNITS]; SUMS];

    /// Adds the products with the input.
    fn add_input<S: Simd, const UNITS: usize>(
        &self,
        simd: S,
        first: usize,
        input: &[Lane],
        sums: &mut [[S::V; UNITS]; SUMS],
    );

    /// Adds the products with a part of the state.
    fn add_state<S: Simd, const UNITS: usize>(
        &self,
        simd: S,
        first: usize,
        masked_state: &[Lane],
        part: Range<usize>,
        sums: &mut [[S::V; UNITS]; SUMS],
    );

    /// The rest of [`Cell::step`] for one unit.
    fn finish<S: Simd, const KEEP: bool>(&self, simd: S, unit: usize, sums: [S::V; SUMS], step: &mut Step);

    /// Makes the whole step for `rows` units, `NARROW` at a time where a lane takes several registers.
    ///
    /// The activations of a unit are a long chain of instructions that depend on each other, and processors look only some
    /// hundred instructions ahead. So each unit is finished between two parts of the sums of the next ones.
    #[inline(always)]
    fn step_units<S: Simd, const KEEP: bool, const NARROW: usize>(
        &self,
        simd: S,
        rows: usize,
        step: &mut Step,
    ) {
        let state = step.masked_state;
        if !S::WIDE {
            for first in (0..rows).step_by(NARROW) {
                let mut sums = self.biases::<S, NARROW>(simd, first);
                self.add_input(simd, first, step.input, &mut sums);
                self.add_state(simd, first, state, 0..state.len(), &mut sums);
                for unit in 0..NARROW {
                    self.finish::<S, KEEP>(simd, first + unit, column(&sums, unit), step);
                }
            }
            return;
        }
        let part = |index: usize| index * state.len() / 3..(index + 1) * state.len() / 3;
        let mut sums = self.biases::<S, GROUP>(simd, 0);
        self.add_input(simd, 0, step.input, &mut sums);
        self.add_state(simd, 0, state, 0..state.len(), &mut sums);
        for first in (GROUP..rows).step_by(GROUP) {
            let mut next_sums = self.biases::<S, GROUP>(simd, first);
            self.add_input(simd, first, step.input, &mut next_sums);
            self.finish::<S, KEEP>(simd, first - 4, column(&sums, 0), step);
            self.add_state(simd, first, state, part(0), &mut next_sums);
            self.finish::<S, KEEP>(simd, first - 3, column(&sums, 1), step);
            self.add_state(simd, first, state, part(1), &mut next_sums);
            self.finish::<S, KEEP>(simd, first - 2, column(&sums, 2), step);
            self.add_state(simd, first, state, part(2), &mut next_sums);
            self.finish::<S, KEEP>(simd, first - 1, column(&sums, 3), step);
            sums = next_sums;
        }
        for index in 0..GROUP {
            self.finish::<S, KEEP>(simd, rows - GROUP + index, column(&sums, index), step);
        }
    }
}

/// The sums of one unit.
#[inline(always)]
fn column<V: Copy, const UNITS: usize>(sums: &[[V; UNITS]; SUMS], unit: usize) -> [V; SUMS] {
    [sums[0][unit], sums[1][unit], sums[2][unit], sums[3][unit]]
}
