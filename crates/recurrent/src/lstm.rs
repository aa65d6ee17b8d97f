//! The long short-term memory.
//!
//! With `σ` the logistic function and `f` the activation of candidate and output (Hochreiter and Schmidhuber 1997 with
//! the forget gate of Gers et al. 2000, in the notation and gate order i, o, f, c of the ONNX operator `LSTM`):
//!
//! ```text
//! i_t = σ(W_i x_t + R_i h_{t-1} + b_i)      input gate
//! o_t = σ(W_o x_t + R_o h_{t-1} + b_o)      output gate
//! f_t = σ(W_f x_t + R_f h_{t-1} + b_f)      forget gate
//! g_t = f(W_c x_t + R_c h_{t-1} + b_c)      candidate
//! c_t = f_t ∘ c_{t-1} + i_t ∘ g_t
//! h_t = o_t ∘ f(c_t)
//! ```
//!
//! ONNX and PyTorch have two biases per gate where one does (Keras has one); `b` is their sum. Under dropout `x_t` and, in
//! the products with `R`, `h_{t-1}` are multiplied by their masks.

use super::activation::{Activation, sigmoid, sigmoid_backward};
use super::panel::{Panels, Steps, add_outer_products, padded, stride};
use super::recurrence::{Cell, KeptStep, Masks, Memory, Output, Sizes, Walk};
use super::simd::{InstructionSet, Lane, Simd};

/// Gates of the unit.
const GATES: usize = 4;

/// What an LSTM layer does besides its weights.
#[derive(Clone, Copy, Debug)]
pub struct Lstm {
    /// Whether time is walked backwards.
    pub reverse: bool,
    /// The activation of candidate and output.
    pub activation: Activation,
    /// What is returned.
    pub output: Output,
    /// Instructions to use.
    pub instruction_set: InstructionSet,
}

impl Default for Lstm {
    fn default() -> Self {
        Self {
            reverse: false,
            activation: Activation::Tanh,
            output: Output::LastState,
            instruction_set: InstructionSet::detect(),
        }
    }
}

/// Weights in the layout of ONNX: gates i, o, f, c one after the other, each with one row per unit.
#[derive(Clone, Copy, Debug)]
pub struct LstmWeights<'a> {
    /// `W` `[4 units, inputs]`
    pub input: &'a [f32],
    /// `R` `[4 units, units]`
    pub recurrent: &'a [f32],
    /// `Wb + Rb` `[4 units]`
    pub bias: &'a [f32],
}

/// Gradients in the layout of [`LstmWeights`].
#[derive(Clone, Debug, PartialEq)]
pub struct LstmGradients {
    /// Of `W` `[4 units, inputs]`
    pub input: Vec<f32>,
    /// Of `R` `[4 units, units]`
    pub recurrent: Vec<f32>,
    /// Of the bias `[4 units]`
    pub bias: Vec<f32>,
}

impl Lstm {
    /// Forward pass that keeps nothing: `x` `[batch, steps, inputs]` to `out` `[batch, units]` or `[batch, steps, units]`.
    ///
    /// # Panics
    /// If a slice has another length than `sizes` says, or a size is zero.
    pub fn infer(&self, sizes: Sizes, x: &[f32], weights: LstmWeights, out: &mut [f32]) {
        let cell = LstmCell::new(self, sizes, weights, false);
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
        weights: LstmWeights,
        masks: Masks,
        out: &mut [f32],
    ) -> Memory {
        let cell = LstmCell::new(self, sizes, weights, false);
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
        weights: LstmWeights,
        out_gradient: &[f32],
        x_gradient: Option<&mut [f32]>,
    ) -> LstmGradients {
        let sizes = memory.sizes();
        let cell = LstmCell::new(self, sizes, weights, true);
        let raw = self.walk(sizes).backward(&cell, memory, out_gradient, x_gradient);
        let rows = padded(sizes.units);
        let gates = |values: &[f32], width: usize| -> Vec<f32> {
            let gates = values.chunks_exact(rows * width);
            gates.flat_map(|gate| &gate[..sizes.units * width]).copied().collect()
        };
        LstmGradients {
            input: gates(&raw.input, sizes.inputs),
            recurrent: gates(&raw.recurrent, sizes.units),
            bias: gates(&raw.bias, 1),
        }
    }

    fn walk(&self, sizes: Sizes) -> Walk {
        Walk { sizes, reverse: self.reverse, output: self.output, instruction_set: self.instruction_set }
    }
}

/// The weights packed for the walk. The state is h followed by c.
struct LstmCell {
    units: usize,
    /// Units rounded up to whole panels.
    rows: usize,
    activation: Activation,
    bias: Vec<f32>,
    input: Panels,
    recurrent: Panels,
    transposed_input: Panels,
    transposed_recurrent: Panels,
}

impl LstmCell {
    fn new(layer: &Lstm, sizes: Sizes, weights: LstmWeights, for_backward: bool) -> Self {
        let Sizes { inputs, units, .. } = sizes;
        assert_eq!(weights.input.len(), GATES * units * inputs);
        assert_eq!(weights.recurrent.len(), GATES * units * units);
        assert_eq!(weights.bias.len(), GATES * units);
        let rows = padded(units);
        let entry = |values: &[f32], row: usize, column: usize, columns: usize| {
            if row % rows < units && column < columns {
                values[(row / rows * units + row % rows) * columns + column]
            } else {
                0.0
            }
        };
        let input_weight = |row, column| entry(weights.input, row, column, inputs);
        let recurrent_weight = |row, column| entry(weights.recurrent, row, column, units);
        let transposed = |rows_out: usize, weight: &dyn Fn(usize, usize) -> f32| {
            if for_backward {
                Panels::new(rows_out, GATES * rows, |row, column| weight(column, row))
            } else {
                Panels::new(0, 1, |_, _| 0.0)
            }
        };
        Self {
            units,
            rows,
            activation: layer.activation,
            bias: (0..GATES * rows).map(|row| entry(weights.bias, row, 0, 1)).collect(),
            input: Panels::new(GATES * rows, inputs, input_weight),
            recurrent: Panels::new(GATES * rows, units, recurrent_weight),
            transposed_input: transposed(padded(inputs), &input_weight),
            transposed_recurrent: transposed(rows, &recurrent_weight),
        }
    }
}

impl Cell for LstmCell {
    fn state_lanes(&self) -> usize {
        2 * self.rows
    }

    fn gate_lanes(&self) -> usize {
        GATES * self.rows
    }

    fn input_rows(&self) -> usize {
        GATES * self.rows
    }

    fn recurrent_rows(&self) -> usize {
        GATES * self.rows
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
        self.input.multiply_add(simd, input, gates);
        self.recurrent.multiply_add(simd, masked_state, gates);

        let (input_gate, rest) = gates.split_at_mut(rows);
        let (output_gate, rest) = rest.split_at_mut(rows);
        let (forget_gate, candidate) = rest.split_at_mut(rows);
        let candidate = &mut candidate[..rows];
        let cell_state = &state[rows..][..rows];
        let (next_output, next_cell_state) = next.split_at_mut(rows);
        let next_cell_state = &mut next_cell_state[..rows];
        for unit in 0..rows {
            let i = sigmoid(simd, simd.load(&input_gate[unit]));
            let o = sigmoid(simd, simd.load(&output_gate[unit]));
            let f = sigmoid(simd, simd.load(&forget_gate[unit]));
            let g = self.activation.apply(simd, simd.load(&candidate[unit]));
            let carried = simd.mul(f, simd.load(&cell_state[unit]));
            let c = simd.mul_add(i, g, carried);
            simd.store(i, &mut input_gate[unit]);
            simd.store(o, &mut output_gate[unit]);
            simd.store(f, &mut forget_gate[unit]);
            simd.store(g, &mut candidate[unit]);
            simd.store(c, &mut next_cell_state[unit]);
            simd.store(simd.mul(o, self.activation.apply(simd, c)), &mut next_output[unit]);
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
        let rows = self.rows;
        let (input_gate, rest) = kept.gates.split_at(rows);
        let (output_gate, rest) = rest.split_at(rows);
        let (forget_gate, candidate) = rest.split_at(rows);
        let candidate = &candidate[..rows];
        let cell_state = &kept.state[rows..][..rows];
        let next_cell_state = &kept.next[rows..][..rows];
        let (output_gradient, cell_gradient) = gradient.split_at_mut(rows);
        let cell_gradient = &mut cell_gradient[..rows];
        {
            let (d_input, rest) = gate_gradient.split_at_mut(rows);
            let (d_output, rest) = rest.split_at_mut(rows);
            let (d_forget, d_candidate) = rest.split_at_mut(rows);
            let d_candidate = &mut d_candidate[..rows];
            for unit in 0..rows {
                let i = simd.load(&input_gate[unit]);
                let o = simd.load(&output_gate[unit]);
                let f = simd.load(&forget_gate[unit]);
                let g = simd.load(&candidate[unit]);
                let dh = simd.load(&output_gradient[unit]);
                // Cheaper to compute again than to keep.
                let squashed = self.activation.apply(simd, simd.load(&next_cell_state[unit]));
                let through_output = self.activation.backward(simd, squashed, simd.mul(dh, o));
                let dc = simd.add(simd.load(&cell_gradient[unit]), through_output);
                let d_o = sigmoid_backward(simd, o, simd.mul(dh, squashed));
                let d_i = sigmoid_backward(simd, i, simd.mul(dc, g));
                let d_f = sigmoid_backward(simd, f, simd.mul(dc, simd.load(&cell_state[unit])));
                let d_g = self.activation.backward(simd, g, simd.mul(dc, i));
                simd.store(d_i, &mut d_input[unit]);
                simd.store(d_o, &mut d_output[unit]);
                simd.store(d_f, &mut d_forget[unit]);
                simd.store(d_g, &mut d_candidate[unit]);
                simd.store(simd.mul(dc, f), &mut cell_gradient[unit]);
            }
        }
        let masked_gradient = &mut scratch[..rows];
        masked_gradient.fill(Lane::ZERO);
        self.transposed_recurrent.multiply_add(simd, gate_gradient, masked_gradient);
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
        _gates: &[Lane],
        masked_states: Steps,
        gradient: &mut [f32],
    ) {
        debug_assert_eq!(gradient.len(), GATES * self.rows * self.units);
        let gate_stride = stride(self.gate_lanes());
        let left = Steps::new(gate_gradients, gate_stride, GATES * self.rows);
        add_outer_products(simd, steps, left, masked_states, gradient);
    }
}
