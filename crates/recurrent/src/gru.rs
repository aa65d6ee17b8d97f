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

mod cell;

use cell::GruCell;

use crate::activation::Activation;
use crate::recurrence::{Masks, Memory, Output, Recurrence, Sizes};
use crate::simd::InstructionSet;
use crate::weights::padded;

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
    /// Whether the last time step is processed first.
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
        weights: GruWeights,
        masks: Masks,
        out: &mut [f32],
    ) -> Memory {
        let cell = GruCell::new(self, sizes, weights, false);
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
        weights: GruWeights,
        out_gradient: &[f32],
        x_gradient: Option<&mut [f32]>,
    ) -> GruGradients {
        let sizes = memory.sizes();
        let cell = GruCell::new(self, sizes, weights, true);
        let raw = self.recurrence(sizes).backward(&cell, memory, out_gradient, x_gradient);

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

    fn recurrence(&self, sizes: Sizes) -> Recurrence {
        let Self { reverse, output, instruction_set, .. } = *self;
        let keep_gates = instruction_set.keeps_gates();
        Recurrence { sizes, reverse, output, instruction_set, keep_gates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recurrence::RawGradients;

    const SIZES: Sizes = Sizes { batch: 19, steps: 70, inputs: 5, units: 11 };

    fn values(count: usize, frequency: f32) -> Vec<f32> {
        (0..count).map(|i| 0.5 * (i as f32 * frequency).sin()).collect()
    }

    /// Output and gradients of a training step, as bits.
    fn training_step(gru: &Gru, keep_gates: bool) -> Vec<Vec<u32>> {
        let Sizes { batch, steps, inputs, units } = SIZES;
        let (input, recurrent) = (values(3 * units * inputs, 2.1), values(3 * units * units, 1.3));
        let (input_bias, recurrent_bias) = (values(3 * units, 3.3), values(3 * units, 0.3));
        let weights = GruWeights {
            input: &input,
            recurrent: &recurrent,
            input_bias: &input_bias,
            recurrent_bias: &recurrent_bias,
        };
        let (input_mask, state_mask) = (values(batch * inputs, 5.1), values(batch * units, 4.1));
        let masks = Masks { input: Some(&input_mask), state: Some(&state_mask) };
        let x = values(batch * steps * inputs, 1.7);
        let mut out = vec![0.0; batch * gru.output.per_sequence(SIZES)];
        let mut x_gradient = vec![0.0; x.len()];

        let recurrence = Recurrence { keep_gates, ..gru.recurrence(SIZES) };
        let cell = GruCell::new(gru, SIZES, weights, true);
        let memory = recurrence.forward(&cell, &x, masks, &mut out);
        let out_gradient = values(out.len(), 0.7);
        let gradients = recurrence.backward(&cell, &memory, &out_gradient, Some(&mut x_gradient));
        let RawGradients { input, recurrent, bias } = gradients;
        [out, x_gradient, input, recurrent, bias]
            .map(|values| values.iter().map(|value| value.to_bits()).collect())
            .into()
    }

    #[test]
    fn gates_that_are_computed_once_more_are_those_that_would_be_kept_bit_for_bit() {
        for instruction_set in InstructionSet::available() {
            for reset_after in [true, false] {
                for output in [Output::LastState, Output::Sequence] {
                    let gru = Gru { reset_after, output, instruction_set, ..Gru::default() };
                    assert_eq!(training_step(&gru, true), training_step(&gru, false), "{gru:?}");
                }
            }
        }
    }
}
