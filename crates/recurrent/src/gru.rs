//! The gated recurrent unit.
//!
//! With `σ` the logistic function, `f` the candidate's activation and `∘` the product by elements (Cho et al. 2014,
//! arXiv:1406.1078, in the notation and gate order z, r, h of the ONNX operator `GRU`):
//!
//! ```text
//! z_t = σ(W_z x_t + R_z h_{t-1} + Wb_z + Rb_z)                 update gate
//! r_t = σ(W_r x_t + R_r h_{t-1} + Wb_r + Rb_r)                 reset gate
//! g_t = f(W_h x_t + Wb_h + r_t ∘ (R_h h_{t-1} + Rb_h))         candidate, `reset_after` (linear_before_reset = 1)
//! g_t = f(W_h x_t + Wb_h + R_h (r_t ∘ h_{t-1}) + Rb_h)         candidate, otherwise (version 3 of the paper)
//! h_t = (1 - z_t) ∘ g_t + z_t ∘ h_{t-1}
//! ```
//!
//! Under dropout `x_t` and, in the products with `R` only, `h_{t-1}` are multiplied by their masks.

use super::activation::{Activation, sigmoid, sigmoid_backward};
use super::panel::{Panels, Steps, add_outer_products, padded, stride};
use super::recurrence::{Cell, KeptStep, Masks, Memory, Output, Sizes, Walk};
use super::simd::{InstructionSet, Lane, Simd};

/// Gates of the unit.
const GATES: usize = 3;
/// Where the gates z, r, h are among the lanes of a step, which are h, z, r and the recurrent part of h: the input
/// weights make the first three, the recurrent weights the last three.
const INPUT_PLACE: [usize; GATES] = [1, 2, 0];

/// What a GRU layer does besides its weights.
#[derive(Clone, Copy, Debug)]
pub struct Gru {
    /// Whether the reset gate is applied after the product with the recurrent weights, as Keras, PyTorch and ONNX
    /// with `linear_before_reset = 1` do.
    pub reset_after: bool,
    /// Whether time is walked backwards.
    pub reverse: bool,
    /// The candidate's activation.
    pub activation: Activation,
    /// What is returned.
    pub output: Output,
    /// Instructions to use.
    pub instruction_set: InstructionSet,
}

impl Default for Gru {
    fn default() -> Self {
        Self {
            reset_after: true,
            reverse: false,
            activation: Activation::Tanh,
            output: Output::LastState,
            instruction_set: InstructionSet::detect(),
        }
    }
}

/// Weights in the layout of ONNX: gates z, r, h one after the other, each with one row per unit.
#[derive(Clone, Copy, Debug)]
pub struct GruWeights<'a> {
    /// `W` `[3 units, inputs]`
    pub input: &'a [f32],
    /// `R` `[3 units, units]`
    pub recurrent: &'a [f32],
    /// `Wb` `[3 units]`
    pub input_bias: &'a [f32],
    /// `Rb` `[3 units]`
    pub recurrent_bias: &'a [f32],
}

/// Gradients in the layout of [`GruWeights`].
#[derive(Clone, Debug, PartialEq)]
pub struct GruGradients {
    /// Of `W` `[3 units, inputs]`
    pub input: Vec<f32>,
    /// Of `R` `[3 units, units]`
    pub recurrent: Vec<f32>,
    /// Of `Wb` `[3 units]`
    pub input_bias: Vec<f32>,
    /// Of `Rb` `[3 units]`
    pub recurrent_bias: Vec<f32>,
}

impl Gru {
    /// Forward pass that keeps nothing: `x` `[batch, steps, inputs]` to `out` `[batch, units]` or `[batch, steps, units]`.
    ///
    /// # Panics
    /// If a slice has another length than `sizes` says, or a size is zero.
    pub fn infer(&self, sizes: Sizes, x: &[f32], weights: GruWeights, out: &mut [f32]) {
        let cell = GruCell::new(self, sizes, weights, false);
        self.walk(sizes).infer(&cell, x, out);
    }

    /// Forward pass under dropout masks that keeps what [`backward`](Self::backward) needs.
    ///
    /// # Panics
    /// Like [`infer`](Self::infer).
    pub fn forward(
        &self,
        sizes: Sizes,
        x: &[f32],
        weights: GruWeights,
        masks: Masks,
        out: &mut [f32],
    ) -> Memory {
        let cell = GruCell::new(self, sizes, weights, false);
        self.walk(sizes).forward(&cell, x, masks, out)
    }

    /// From the gradient of the output to those of the weights and, if asked for, of `x`.
    ///
    /// `weights` are those of the forward pass.
    ///
    /// # Panics
    /// If a slice has another length than the forward pass had.
    pub fn backward(
        &self,
        memory: &Memory,
        weights: GruWeights,
        out_gradient: &[f32],
        x_gradient: Option<&mut [f32]>,
    ) -> GruGradients {
        let sizes = memory.sizes();
        let cell = GruCell::new(self, sizes, weights, true);
        let raw = self.walk(sizes).backward(&cell, memory, out_gradient, x_gradient);

        let rows = padded(sizes.units);
        let part = |values: &[f32], place: usize, width: usize| {
            values[place * rows * width..][..sizes.units * width].to_vec()
        };
        let recurrent_place = self.recurrent_place();
        // Without `reset_after` the candidate's two biases are one.
        let bias_place = if self.reset_after { [1, 2, 3] } else { INPUT_PLACE };
        GruGradients {
            input: INPUT_PLACE.map(|place| part(&raw.input, place, sizes.inputs)).concat(),
            recurrent: recurrent_place.map(|place| part(&raw.recurrent, place, sizes.units)).concat(),
            input_bias: INPUT_PLACE.map(|place| part(&raw.bias, place, 1)).concat(),
            recurrent_bias: bias_place.map(|place| part(&raw.bias, place, 1)).concat(),
        }
    }

    /// Where the gates z, r, h are in the gradient of the recurrent weights.
    fn recurrent_place(&self) -> [usize; GATES] {
        if self.reset_after { [0, 1, 2] } else { INPUT_PLACE }
    }

    fn walk(&self, sizes: Sizes) -> Walk {
        Walk { sizes, reverse: self.reverse, output: self.output, instruction_set: self.instruction_set }
    }
}

/// The weights packed for the walk.
struct GruCell {
    units: usize,
    /// Units rounded up to whole panels.
    rows: usize,
    reset_after: bool,
    activation: Activation,
    /// Per gate lane: everything that is added whatever the input.
    bias: Vec<f32>,
    /// Gates h, z, r.
    input: Panels,
    /// Gates z, r, h.
    recurrent: Panels,
    transposed_input: Panels,
    /// All gates with `reset_after`, otherwise z and r.
    transposed_recurrent: Panels,
    /// The candidate without `reset_after`.
    transposed_candidate: Panels,
}

impl GruCell {
    fn new(layer: &Gru, sizes: Sizes, weights: GruWeights, for_backward: bool) -> Self {
        let Sizes { inputs, units, .. } = sizes;
        assert_eq!(weights.input.len(), GATES * units * inputs);
        assert_eq!(weights.recurrent.len(), GATES * units * units);
        assert_eq!(weights.input_bias.len(), GATES * units);
        assert_eq!(weights.recurrent_bias.len(), GATES * units);
        let rows = padded(units);
        // Row `row` of the lanes h, z, r, or of z, r, h, in the layout of ONNX; none for lanes beyond the units.
        let input_row = |row: usize| (row % rows < units).then(|| [2, 0, 1][row / rows] * units + row % rows);
        let recurrent_row = |row: usize| (row % rows < units).then(|| row / rows * units + row % rows);
        let input_weight = |row: usize, column: usize| {
            input_row(row).filter(|_| column < inputs).map_or(0.0, |row| weights.input[row * inputs + column])
        };
        let recurrent_weight = |row: usize, column: usize| {
            recurrent_row(row)
                .filter(|_| column < units)
                .map_or(0.0, |row| weights.recurrent[row * units + column])
        };

        let mut bias = vec![0.0; 4 * rows];
        for unit in 0..units {
            let [z, r, h] = [unit, units + unit, 2 * units + unit];
            bias[rows + unit] = weights.input_bias[z] + weights.recurrent_bias[z];
            bias[2 * rows + unit] = weights.input_bias[r] + weights.recurrent_bias[r];
            bias[unit] = weights.input_bias[h];
            let candidate = if layer.reset_after { 3 * rows + unit } else { unit };
            bias[candidate] += weights.recurrent_bias[h];
        }
        let transposed = |rows_out: usize, columns: usize, weight: &dyn Fn(usize, usize) -> f32| {
            if for_backward {
                Panels::new(rows_out, columns, |row, column| weight(column, row))
            } else {
                Panels::new(0, 1, |_, _| 0.0)
            }
        };
        let gates_at_once = if layer.reset_after { 3 } else { 2 };
        Self {
            units,
            rows,
            reset_after: layer.reset_after,
            activation: layer.activation,
            bias,
            input: Panels::new(3 * rows, inputs, input_weight),
            recurrent: Panels::new(3 * rows, units, recurrent_weight),
            transposed_input: transposed(padded(inputs), 3 * rows, &input_weight),
            transposed_recurrent: transposed(rows, gates_at_once * rows, &recurrent_weight),
            transposed_candidate: transposed(rows, rows, &|row, column| {
                recurrent_weight(2 * rows + row, column)
            }),
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

    fn transposed_input(&self) -> &Panels {
        &self.transposed_input
    }

    #[inline(always)]
    fn step<S: Simd>(
        &self,
        simd: S,
        input: &[Lane],
        state: &[Lane],
        masked_state: &[Lane],
        gates: &mut [Lane],
        next: &mut [Lane],
    ) {
        let rows = self.rows;
        for (lane, &bias) in gates.iter_mut().zip(&self.bias) {
            simd.store(simd.splat(bias), lane);
        }
        self.input.multiply_add(simd, input, &mut gates[..3 * rows]);
        if self.reset_after {
            self.recurrent.multiply_add(simd, masked_state, &mut gates[rows..]);
        } else {
            self.recurrent.multiply_add(simd, masked_state, &mut gates[rows..3 * rows]);
        }

        let (candidate, rest) = gates.split_at_mut(rows);
        let (update, rest) = rest.split_at_mut(rows);
        let (reset, product) = rest.split_at_mut(rows);
        if !self.reset_after {
            for (lane, (reset, masked)) in product.iter_mut().zip(reset.iter_mut().zip(masked_state)) {
                let r = sigmoid(simd, simd.load(reset));
                simd.store(r, reset);
                simd.store(simd.mul(r, simd.load(masked)), lane);
            }
            let reset_state = &product[..self.units];
            self.recurrent.multiply_add_rows(simd, 2 * rows, reset_state, candidate);
        }
        let (state, next) = (&state[..rows], &mut next[..rows]);
        let product = &product[..rows];
        for unit in 0..rows {
            let z = sigmoid(simd, simd.load(&update[unit]));
            let mut sum = simd.load(&candidate[unit]);
            if self.reset_after {
                let r = sigmoid(simd, simd.load(&reset[unit]));
                simd.store(r, &mut reset[unit]);
                sum = simd.mul_add(r, simd.load(&product[unit]), sum);
            }
            let g = self.activation.apply(simd, sum);
            simd.store(z, &mut update[unit]);
            simd.store(g, &mut candidate[unit]);
            let change = simd.sub(simd.load(&state[unit]), g);
            simd.store(simd.mul_add(z, change, g), &mut next[unit]);
        }
    }

    #[inline(always)]
    fn step_back<S: Simd>(
        &self,
        simd: S,
        kept: KeptStep,
        gradient: &mut [Lane],
        gate_gradient: &mut [Lane],
        scratch: &mut [Lane],
    ) {
        let (rows, units) = (self.rows, self.units);
        let one = simd.splat(1.0);
        let (candidate, rest) = kept.gates.split_at(rows);
        let (update, rest) = rest.split_at(rows);
        let (reset, product) = rest.split_at(rows);
        let (masked_gradient, reset_gradient_state) = scratch.split_at_mut(rows);
        let (state, state_mask) = (&kept.state[..rows], &kept.state_mask[..rows]);
        let product = &product[..rows];
        let gradient = &mut gradient[..rows];
        {
            let (d_candidate, rest) = gate_gradient.split_at_mut(rows);
            let (d_update, rest) = rest.split_at_mut(rows);
            let (d_reset, d_product) = rest.split_at_mut(rows);
            let d_product = &mut d_product[..rows];
            for unit in 0..rows {
                let g = simd.load(&candidate[unit]);
                let z = simd.load(&update[unit]);
                let dh = simd.load(&gradient[unit]);
                let dz = simd.mul(dh, simd.sub(simd.load(&state[unit]), g));
                let dg = simd.mul(dh, simd.sub(one, z));
                let da = self.activation.backward(simd, g, dg);
                simd.store(sigmoid_backward(simd, z, dz), &mut d_update[unit]);
                simd.store(da, &mut d_candidate[unit]);
                simd.store(simd.mul(dh, z), &mut gradient[unit]);
                if self.reset_after {
                    let r = simd.load(&reset[unit]);
                    let dr = simd.mul(da, simd.load(&product[unit]));
                    simd.store(simd.mul(da, r), &mut d_product[unit]);
                    simd.store(sigmoid_backward(simd, r, dr), &mut d_reset[unit]);
                }
            }
            masked_gradient.fill(Lane::ZERO);
            if !self.reset_after {
                reset_gradient_state.fill(Lane::ZERO);
                self.transposed_candidate.multiply_add(simd, d_candidate, reset_gradient_state);
                d_reset.fill(Lane::ZERO);
                d_product.fill(Lane::ZERO);
                for unit in 0..units {
                    let ds = simd.load(&reset_gradient_state[unit]);
                    let r = simd.load(&reset[unit]);
                    let dr = simd.mul(ds, simd.load(&kept.masked_state[unit]));
                    simd.store(sigmoid_backward(simd, r, dr), &mut d_reset[unit]);
                    simd.store(simd.mul(ds, r), &mut masked_gradient[unit]);
                }
            }
        }
        let recurrent_part =
            if self.reset_after { &gate_gradient[rows..] } else { &gate_gradient[rows..3 * rows] };
        self.transposed_recurrent.multiply_add(simd, recurrent_part, masked_gradient);
        for unit in 0..rows {
            let masked = simd.load(&masked_gradient[unit]);
            let sum = simd.mul_add(masked, simd.load(&state_mask[unit]), simd.load(&gradient[unit]));
            simd.store(sum, &mut gradient[unit]);
        }
    }

    #[inline(always)]
    fn add_recurrent_gradient<S: Simd>(
        &self,
        simd: S,
        steps: usize,
        gate_gradients: &[Lane],
        gates: &[Lane],
        masked_states: Steps,
        gradient: &mut [f32],
    ) {
        let rows = self.rows;
        let gate_stride = stride(self.gate_lanes());
        if self.reset_after {
            let left = Steps::new(&gate_gradients[rows..], gate_stride, 3 * rows);
            add_outer_products(simd, steps, left, masked_states, gradient);
        } else {
            // The rows are h, z, r: the candidate saw the state after the reset gate.
            let (candidate_part, gates_part) = gradient.split_at_mut(rows * self.units);
            let left = Steps::new(gate_gradients, gate_stride, rows);
            let reset_states = Steps::new(&gates[3 * rows..], gate_stride, self.units);
            add_outer_products(simd, steps, left, reset_states, candidate_part);
            let left = Steps::new(&gate_gradients[rows..], gate_stride, 2 * rows);
            add_outer_products(simd, steps, left, masked_states, gates_part);
        }
    }
}
