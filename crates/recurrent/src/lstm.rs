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

mod cell;

use cell::LstmCell;

use crate::activation::Activation;
use crate::recurrence::{Masks, Memory, Output, Recurrence, Sizes};
use crate::simd::InstructionSet;
use crate::weights::padded;

/// Gates of the unit.
const GATES: usize = 4;

/// What an LSTM layer does besides its weights.
#[derive(Clone, Copy, Debug)]
pub struct Lstm {
    /// Whether the last time step is processed first.
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
        self.recurrence(sizes).infer(&cell, x, out);
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
        self.recurrence(sizes).forward(&cell, x, masks, out)
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
        let raw = self.recurrence(sizes).backward(&cell, memory, out_gradient, x_gradient);
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

    fn recurrence(&self, sizes: Sizes) -> Recurrence {
        let Self { reverse, output, instruction_set, .. } = *self;
        let keep_gates = instruction_set.keeps_gates();
        Recurrence { sizes, reverse, output, instruction_set, keep_gates }
    }
}
