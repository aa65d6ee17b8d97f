//! The cell of a GRU: its equations and their derivatives for a block of sequences.

use std::ops::Range;

use super::{GATES, Gru, GruWeights};
use crate::activation::{Activation, sigmoid, sigmoid_backward};
use crate::cell::{Cell, KeptStep, SUMS, Step, Units};
use crate::outer::{Steps, add_outer_products, stride};
use crate::recurrence::Sizes;
use crate::simd::{Lane, Simd};
use crate::weights::{Biases, GROUP, GateMatrix, GatePanels, Transposed, padded};

/// The weights packed for the passes.
pub(super) struct GruCell {
    units: usize,
    /// Units rounded up to padded rows.
    rows: usize,
    reset_after: bool,
    activation: Activation,
    /// Per gate lane: everything that is added whatever the input.
    bias: Biases,
    /// Gates h, z, r.
    input: GatePanels<GATES>,
    /// Gates z, r, h.
    recurrent: GatePanels<GATES>,
    /// Gates h, z, r.
    transposed_input: Transposed,
    /// All gates with `reset_after`, otherwise z and r.
    transposed_recurrent: Transposed,
    /// The candidate without `reset_after`.
    transposed_candidate: Transposed,
}

impl GruCell {
    /// Packs the weights, the transposed ones only for a backward pass.
    ///
    /// # Panics
    /// If a slice has another length than `sizes` says.
    pub(super) fn new(layer: &Gru, sizes: Sizes, weights: GruWeights, for_backward: bool) -> Self {
        let Sizes { inputs, units, .. } = sizes;
        let rows = padded(units);
        let input = GateMatrix::new(weights.input, GATES, units, inputs);
        let recurrent = GateMatrix::new(weights.recurrent, GATES, units, units);
        assert_eq!(weights.input_bias.len(), GATES * units);
        assert_eq!(weights.recurrent_bias.len(), GATES * units);

        let bias = Biases::new(units, |sum, unit| {
            let [z, r, h] = [unit, units + unit, 2 * units + unit];
            match sum {
                0 if layer.reset_after => weights.input_bias[h],
                0 => weights.input_bias[h] + weights.recurrent_bias[h],
                1 => weights.input_bias[z] + weights.recurrent_bias[z],
                2 => weights.input_bias[r] + weights.recurrent_bias[r],
                _ => weights.recurrent_bias[h],
            }
        });
        let transposed = |matrix: GateMatrix, order: &[usize]| match for_backward && !order.is_empty() {
            true => Transposed::new(matrix, order),
            false => Transposed::default(),
        };
        let [gates_at_once, candidate]: [&[usize]; 2] =
            if layer.reset_after { [&[0, 1, 2], &[]] } else { [&[0, 1], &[2]] };
        Self {
            units,
            rows,
            reset_after: layer.reset_after,
            activation: layer.activation,
            bias,
            input: GatePanels::new(input, [2, 0, 1], [1.0; GATES]),
            recurrent: GatePanels::new(recurrent, [0, 1, 2], [1.0; GATES]),
            transposed_input: transposed(input, &[2, 0, 1]),
            transposed_recurrent: transposed(recurrent, gates_at_once),
            transposed_candidate: transposed(recurrent, candidate),
        }
    }

    /// [`step`](Cell::step) without `reset_after`.
    #[inline(always)]
    fn step_reset_before<S: Simd, const UNITS: usize>(&self, simd: S, step: &mut Step) {
        for first in (0..self.rows).step_by(UNITS) {
            self.gates_of_units::<S, UNITS>(simd, first, step);
        }
        for first in (0..self.rows).step_by(GROUP) {
            self.candidate_of_units::<S, GROUP>(simd, first, step);
        }
    }

    /// The part of [`step`](Cell::step) without `reset_after` that precedes the candidate's recurrent product: leaves the
    /// candidate's other part, z, r and r ∘ h in `step.gates`.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn gates_of_units<S: Simd, const UNITS: usize>(&self, simd: S, first: usize, step: &mut Step) {
        let rows = self.rows;
        let [mut sums @ .., _] = self.bias.load::<S, UNITS>(simd, first);
        self.input.multiply_add(simd, 0, first, 0, step.input, &mut sums);
        let [_, update_and_reset @ ..] = &mut sums;
        self.recurrent.multiply_add::<S, 2, UNITS>(simd, 0, first, 0, step.masked_state, update_and_reset);
        for unit in 0..UNITS {
            let z = sigmoid(simd, sums[1][unit]);
            let r = sigmoid(simd, sums[2][unit]);
            // Lanes beyond the units are padding.
            let masked = match step.masked_state.get(first + unit) {
                Some(lane) => simd.load(lane),
                None => simd.splat(0.0),
            };
            for (gate, value) in [sums[0][unit], z, r, simd.mul(r, masked)].into_iter().enumerate() {
                simd.store(value, &mut step.gates[gate * rows + first + unit]);
            }
        }
    }

    /// The rest of a step after [`gates_of_units`](Self::gates_of_units) of all units.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn candidate_of_units<S: Simd, const UNITS: usize>(&self, simd: S, first: usize, step: &mut Step) {
        let rows = self.rows;
        let mut sums = [[simd.splat(0.0); UNITS]];
        for unit in 0..UNITS {
            sums[0][unit] = simd.load(&step.gates[first + unit]);
        }
        let reset_state = &step.gates[3 * rows..][..self.units];
        self.recurrent.multiply_add(simd, 2, first, 0, reset_state, &mut sums);
        for unit in 0..UNITS {
            let z = simd.load(&step.gates[rows + first + unit]);
            let g = self.activation.apply(simd, sums[0][unit]);
            simd.store(g, &mut step.gates[first + unit]);
            let change = simd.sub(simd.load(&step.state[first + unit]), g);
            simd.store(simd.mul_add(z, change, g), &mut step.next[first + unit]);
        }
    }
}

impl Units for GruCell {
    #[inline(always)]
    fn biases<S: Simd, const UNITS: usize>(&self, simd: S, first: usize) -> [[S::V; UNITS]; SUMS] {
        self.bias.load(simd, first)
    }

    #[inline(always)]
    fn add_input<S: Simd, const UNITS: usize>(
        &self,
        simd: S,
        first: usize,
        input: &[Lane],
        sums: &mut [[S::V; UNITS]; SUMS],
    ) {
        let [candidate_to_reset @ .., _] = sums;
        self.input.multiply_add(simd, 0, first, 0, input, candidate_to_reset);
    }

    #[inline(always)]
    fn add_state<S: Simd, const UNITS: usize>(
        &self,
        simd: S,
        first: usize,
        masked_state: &[Lane],
        part: Range<usize>,
        sums: &mut [[S::V; UNITS]; SUMS],
    ) {
        let [_, update_to_product @ ..] = sums;
        self.recurrent.multiply_add(simd, 0, first, part.start, &masked_state[part], update_to_product);
    }

    #[inline(always)]
    fn finish<S: Simd, const KEEP: bool>(&self, simd: S, unit: usize, sums: [S::V; SUMS], step: &mut Step) {
        let [candidate, update, reset, product] = sums;
        let z = sigmoid(simd, update);
        let r = sigmoid(simd, reset);
        let g = self.activation.apply(simd, simd.mul_add(r, product, candidate));
        let change = simd.sub(simd.load(&step.state[unit]), g);
        simd.store(simd.mul_add(z, change, g), &mut step.next[unit]);
        if KEEP {
            for (gate, value) in [g, z, r, product].into_iter().enumerate() {
                simd.store(value, &mut step.gates[gate * self.rows + unit]);
            }
        }
    }
}

impl Cell for GruCell {
    fn state_lanes(&self) -> usize {
        self.rows
    }

    fn gate_lanes(&self) -> usize {
        4 * self.rows
    }

    fn input_rows(&self) -> usize {
        3 * self.rows
    }

    fn recurrent_rows(&self) -> usize {
        3 * self.rows
    }

    fn transposed_input(&self) -> &Transposed {
        &self.transposed_input
    }

    #[inline(always)]
    fn step<S: Simd, const KEEP: bool>(&self, simd: S, mut step: Step) {
        match (self.reset_after, S::WIDE) {
            (true, _) if S::PAIRS => self.step_units::<S, KEEP, 2>(simd, self.rows, &mut step),
            (true, _) => self.step_units::<S, KEEP, 1>(simd, self.rows, &mut step),
            (false, true) => self.step_reset_before::<S, GROUP>(simd, &mut step),
            (false, false) => self.step_reset_before::<S, 1>(simd, &mut step),
        }
    }

    #[inline(always)]
    fn step_back<S: Simd>(&self, simd: S, kept: KeptStep, gradient: &mut [Lane]) {
        let rows = self.rows;
        let one = simd.splat(1.0);
        let gradient = &mut gradient[..rows];
        let state = &kept.state[..rows];
        let (candidate, rest) = kept.gates.split_at_mut(rows);
        let (update, rest) = rest.split_at_mut(rows);
        let (reset, product) = rest.split_at_mut(rows);
        let product = &mut product[..rows];
        for unit in 0..rows {
            let g = simd.load(&candidate[unit]);
            let z = simd.load(&update[unit]);
            let dh = simd.load(&gradient[unit]);
            let dz = simd.mul(dh, simd.sub(simd.load(&state[unit]), g));
            let dg = simd.mul(dh, simd.sub(one, z));
            let da = self.activation.backward(simd, g, dg);
            simd.store(sigmoid_backward(simd, z, dz), &mut update[unit]);
            simd.store(da, &mut candidate[unit]);
            simd.store(simd.mul(dh, z), &mut gradient[unit]);
            if self.reset_after {
                let r = simd.load(&reset[unit]);
                let dr = simd.mul(da, simd.load(&product[unit]));
                simd.store(simd.mul(da, r), &mut product[unit]);
                simd.store(sigmoid_backward(simd, r, dr), &mut reset[unit]);
            }
        }
        let masked_gradient = &mut kept.scratch[..rows];
        masked_gradient.fill(Lane::ZERO);
        let recurrent_part = if self.reset_after {
            &kept.gates[rows..]
        } else {
            // The gradient of r ∘ h; r ∘ h itself is left in its lanes for the gradient of the candidate's weights.
            self.transposed_candidate.multiply_add(simd, candidate, masked_gradient);
            for unit in 0..self.units {
                let ds = simd.load(&masked_gradient[unit]);
                let r = simd.load(&reset[unit]);
                let dr = simd.mul(ds, simd.load(&kept.masked_state[unit]));
                simd.store(sigmoid_backward(simd, r, dr), &mut reset[unit]);
                simd.store(simd.mul(ds, r), &mut masked_gradient[unit]);
            }
            for unit in self.units..rows {
                simd.store(simd.splat(0.0), &mut reset[unit]);
                simd.store(simd.splat(0.0), &mut masked_gradient[unit]);
            }
            &kept.gates[rows..3 * rows]
        };
        self.transposed_recurrent.multiply_add(simd, recurrent_part, masked_gradient);
        for unit in 0..rows {
            let mask = simd.load(&kept.state_mask[unit]);
            let masked = simd.load(&masked_gradient[unit]);
            simd.store(simd.mul_add(masked, mask, simd.load(&gradient[unit])), &mut gradient[unit]);
        }
    }

    #[inline(always)]
    fn add_recurrent_gradient<S: Simd>(
        &self,
        simd: S,
        steps: usize,
        gate_gradients: &[Lane],
        masked_states: Steps,
        gradient: &mut [f32],
    ) {
        let rows = self.rows;
        let gate_stride = stride(self.gate_lanes());
        if self.reset_after {
            let left = Steps::new(&gate_gradients[rows..], gate_stride, 3 * rows);
            add_outer_products(simd, steps, left, masked_states, gradient, None);
        } else {
            // The rows are h, z, r: the candidate saw the state after the reset gate.
            let (candidate_part, gates_part) = gradient.split_at_mut(rows * self.units);
            let left = Steps::new(gate_gradients, gate_stride, rows);
            let reset_states = Steps::new(&gate_gradients[3 * rows..], gate_stride, self.units);
            add_outer_products(simd, steps, left, reset_states, candidate_part, None);
            let left = Steps::new(&gate_gradients[rows..], gate_stride, 2 * rows);
            add_outer_products(simd, steps, left, masked_states, gates_part, None);
        }
    }
}
