//! The cell of an LSTM: its equations and their derivatives for a block of sequences.

use std::ops::Range;

use super::{GATES, Lstm, LstmWeights};
use crate::activation::{Activation, LOGISTIC_SCALE, logistic_divisor, sigmoid_backward};
use crate::cell::{Cell, KeptStep, SUMS, Step, Units};
use crate::outer::{Steps, add_outer_products, stride};
use crate::recurrence::Sizes;
use crate::simd::{Lane, Simd};
use crate::weights::{Biases, GateMatrix, GatePanels, Transposed, padded};

/// What the sums of the gates are multiplied with before their activations.
const FACTORS: [f32; GATES] = [LOGISTIC_SCALE, LOGISTIC_SCALE, LOGISTIC_SCALE, 1.0];

/// The weights packed for the passes. The state is h followed by c.
pub(super) struct LstmCell {
    units: usize,
    /// Units rounded up to padded rows.
    rows: usize,
    activation: Activation,
    bias: Biases,
    input: GatePanels<GATES>,
    recurrent: GatePanels<GATES>,
    transposed_input: Transposed,
    transposed_recurrent: Transposed,
}

impl LstmCell {
    /// Packs the weights, the transposed ones only for a backward pass.
    ///
    /// # Panics
    /// If a slice has another length than `sizes` says.
    pub(super) fn new(layer: &Lstm, sizes: Sizes, weights: LstmWeights, for_backward: bool) -> Self {
        let Sizes { inputs, units, .. } = sizes;
        let rows = padded(units);
        let input = GateMatrix::new(weights.input, GATES, units, inputs);
        let recurrent = GateMatrix::new(weights.recurrent, GATES, units, units);
        assert_eq!(weights.bias.len(), GATES * units);
        let bias = Biases::new(units, |gate, unit| FACTORS[gate] * weights.bias[gate * units + unit]);
        let order = [0, 1, 2, 3];
        let transposed = |matrix: GateMatrix| match for_backward {
            true => Transposed::new(matrix, &order),
            false => Transposed::default(),
        };
        Self {
            units,
            rows,
            activation: layer.activation,
            bias,
            input: GatePanels::new(input, order, FACTORS),
            recurrent: GatePanels::new(recurrent, order, FACTORS),
            transposed_input: transposed(input),
            transposed_recurrent: transposed(recurrent),
        }
    }
}

impl Units for LstmCell {
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
        self.input.multiply_add(simd, 0, first, 0, input, sums);
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
        self.recurrent.multiply_add(simd, 0, first, part.start, &masked_state[part], sums);
    }

    #[inline(always)]
    fn finish<S: Simd, const KEEP: bool>(&self, simd: S, unit: usize, sums: [S::V; SUMS], step: &mut Step) {
        let rows = self.rows;
        let d_i = logistic_divisor(simd, sums[0]);
        let d_o = logistic_divisor(simd, sums[1]);
        let d_f = logistic_divisor(simd, sums[2]);
        let state = simd.load(&step.state[rows + unit]);
        let (c, h) = if KEEP {
            let one = simd.splat(1.0);
            let (i, o, f) = (simd.div(one, d_i), simd.div(one, d_o), simd.div(one, d_f));
            let g = self.activation.apply(simd, sums[3]);
            let c = simd.mul_add(i, g, simd.mul(f, state));
            let squashed = self.activation.apply(simd, c);
            for (gate, value) in [i, o, f, g, squashed].into_iter().enumerate() {
                simd.store(value, &mut step.gates[gate * rows + unit]);
            }
            (c, simd.mul(o, squashed))
        } else {
            // Products with a gate are quotients by its divisor, so that three divisions do for five functions.
            let c = simd.add(self.activation.divided(simd, sums[3], d_i), simd.div(state, d_f));
            (c, self.activation.divided(simd, c, d_o))
        };
        simd.store(c, &mut step.next[rows + unit]);
        simd.store(h, &mut step.next[unit]);
    }
}

impl Cell for LstmCell {
    fn state_lanes(&self) -> usize {
        2 * self.rows
    }

    fn gate_lanes(&self) -> usize {
        GATES * self.rows
    }

    fn kept_lanes(&self) -> usize {
        // The gates and f(c).
        (GATES + 1) * self.rows
    }

    fn input_rows(&self) -> usize {
        GATES * self.rows
    }

    fn recurrent_rows(&self) -> usize {
        GATES * self.rows
    }

    fn transposed_input(&self) -> &Transposed {
        &self.transposed_input
    }

    #[inline(always)]
    fn step<S: Simd, const KEEP: bool>(&self, simd: S, mut step: Step) {
        self.step_units::<S, KEEP, 1>(simd, self.rows, &mut step);
    }

    #[inline(always)]
    fn step_back<S: Simd>(&self, simd: S, kept: KeptStep, gradient: &mut [Lane]) {
        let rows = self.rows;
        let cell_state = &kept.state[rows..][..rows];
        let (output_gradient, cell_gradient) = gradient.split_at_mut(rows);
        let cell_gradient = &mut cell_gradient[..rows];
        {
            let (input_gate, rest) = kept.gates.split_at_mut(rows);
            let (output_gate, rest) = rest.split_at_mut(rows);
            let (forget_gate, candidate) = rest.split_at_mut(rows);
            let (candidate, squashed) = candidate.split_at_mut(rows);
            let squashed = &squashed[..rows];
            for unit in 0..rows {
                let i = simd.load(&input_gate[unit]);
                let o = simd.load(&output_gate[unit]);
                let f = simd.load(&forget_gate[unit]);
                let g = simd.load(&candidate[unit]);
                let dh = simd.load(&output_gradient[unit]);
                let squashed = simd.load(&squashed[unit]);
                let through_output = self.activation.backward(simd, squashed, simd.mul(dh, o));
                let dc = simd.add(simd.load(&cell_gradient[unit]), through_output);
                let d_o = sigmoid_backward(simd, o, simd.mul(dh, squashed));
                let d_i = sigmoid_backward(simd, i, simd.mul(dc, g));
                let d_f = sigmoid_backward(simd, f, simd.mul(dc, simd.load(&cell_state[unit])));
                let d_g = self.activation.backward(simd, g, simd.mul(dc, i));
                simd.store(d_i, &mut input_gate[unit]);
                simd.store(d_o, &mut output_gate[unit]);
                simd.store(d_f, &mut forget_gate[unit]);
                simd.store(d_g, &mut candidate[unit]);
                simd.store(simd.mul(dc, f), &mut cell_gradient[unit]);
            }
        }
        let masked_gradient = &mut kept.scratch[..rows];
        masked_gradient.fill(Lane::ZERO);
        self.transposed_recurrent.multiply_add(simd, &kept.gates[..GATES * rows], masked_gradient);
        for unit in 0..rows {
            let mask = simd.load(&kept.state_mask[unit]);
            let value = simd.mul(simd.load(&masked_gradient[unit]), mask);
            simd.store(value, &mut output_gradient[unit]);
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
        debug_assert_eq!(gradient.len(), GATES * self.rows * self.units);
        let gate_stride = stride(self.kept_lanes());
        let left = Steps::new(gate_gradients, gate_stride, GATES * self.rows);
        add_outer_products(simd, steps, left, masked_states, gradient, None);
    }
}
