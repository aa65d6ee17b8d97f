//! Recurrent layers (GRU, LSTM) as single operations on plain slices: forward, forward for training, and backward.
//!
//! There are no tensors, no graph and no optimiser here: slices of `f32` go in and come out, with weights in the layout of
//! the ONNX operators `GRU` and `LSTM`. Dropout masks hold for a whole sequence. Everything is safe to call; what is
//! `unsafe` inside are calls of vector instructions that the processor was asked for.
//!
//! # Example
//!
//! A GRU of four units learns to add up three numbers, by plain gradient descent:
//!
//! ```
//! use forecastd_recurrent::{Gru, GruWeights, Masks, Sizes};
//!
//! // 64 sequences of three steps with one feature; the first unit is to say the mean.
//! let sizes = Sizes { batch: 64, steps: 3, inputs: 1, units: 4 };
//! let x: Vec<f32> = (0..192).map(|i| (i as f32 * 1.7).sin()).collect();
//! let means: Vec<f32> = x.chunks(3).map(|sequence| sequence.iter().sum::<f32>() / 3.0).collect();
//!
//! // Gates z, r, h one after the other, each with one row per unit.
//! let start = |count: usize, scale: f32| (0..count).map(|i| scale * (i as f32 * 2.3).cos()).collect();
//! let mut input: Vec<f32> = start(12, 0.5);
//! let mut recurrent: Vec<f32> = start(48, 0.3);
//! let (mut input_bias, mut recurrent_bias) = (vec![0.0; 12], vec![0.0; 12]);
//!
//! let gru = Gru::default();
//! let mut losses = Vec::new();
//! for _ in 0..300 {
//!     let weights = GruWeights {
//!         input: &input,
//!         recurrent: &recurrent,
//!         input_bias: &input_bias,
//!         recurrent_bias: &recurrent_bias,
//!     };
//!     let mut out = vec![0.0; sizes.batch * sizes.units];
//!     let memory = gru.forward(sizes, &x, weights, Masks::default(), &mut out);
//!
//!     // Mean squared error of the first unit, and its gradient.
//!     let mut out_gradient = vec![0.0; out.len()];
//!     let mut loss = 0.0;
//!     for (sequence, mean) in means.iter().enumerate() {
//!         let error = out[sequence * sizes.units] - mean;
//!         loss += error * error / 64.0;
//!         out_gradient[sequence * sizes.units] = 2.0 * error / 64.0;
//!     }
//!     losses.push(loss);
//!
//!     let gradients = gru.backward(&memory, weights, &out_gradient, None);
//!     let descend = |values: &mut [f32], gradient: &[f32]| {
//!         values.iter_mut().zip(gradient).for_each(|(value, slope)| *value -= 0.5 * slope);
//!     };
//!     descend(&mut input, &gradients.input);
//!     descend(&mut recurrent, &gradients.recurrent);
//!     descend(&mut input_bias, &gradients.input_bias);
//!     descend(&mut recurrent_bias, &gradients.recurrent_bias);
//! }
//! assert!(losses[299] < 0.05 * losses[0], "{} to {}", losses[0], losses[299]);
//! ```
//!
//! # How it is fast
//!
//! The batch is cut into blocks of sixteen sequences, the width of a register of AVX-512. A block goes through all its time
//! steps without ever meeting another: weights and state stay in the first-level cache, and rayon spreads the blocks over the
//! cores. The cut depends on the batch only and partial gradients are added in the order of the blocks, so the results are
//! the same bit for bit whatever the number of threads. Buffers are kept between calls, at most 256 MiB.
//!
//! Within a step all gates of a few units are summed in registers, and their activations, long chains of instructions that
//! wait for each other, are computed between parts of the sums of the next units.
//!
//! Training with AVX-512 keeps the inputs and every 32nd state, not the gates: the backward pass computes the gates of 32
//! steps once more, in the second-level cache. That takes no more time than to write them to memory and to read them again, and
//! a tenth of the memory. With AVX2, and in plain Rust, it takes a quarter more, and the states and gates of all steps are
//! kept; so they are with NEON, where neither is measured.
//!
//! | module | contents |
//! | --- | --- |
//! | `simd` | sixteen sequences in registers, the instruction sets, all `unsafe` code |
//! | `activation` | hyperbolic tangent, logistic function, their derivatives |
//! | `weights` | packed weight matrices and their products with the lanes of a step |
//! | `outer` | the gradient of a weight matrix and of a bias |
//! | `sequence` | from `[batch, steps, features]` to lanes and back |
//! | `pool` | buffers that are kept between calls |
//! | `silu` | the sigmoid-weighted linear unit of dense layers, and its derivative |
//! | `cell` | what a cell does in a step, and the order in which the units of a step are made |
//! | `recurrence` | the passes over blocks and time steps that every cell shares, what is kept between them |
//! | `gru`, `lstm` | a layer each, and its cell: equations and derivatives |
//!
//! `cargo bench -p forecastd-recurrent --bench layers` times it, beside PyTorch if that is there.
//!
//! # Features
//!
//! `serde`: [`Activation`] can be written and read.

mod activation;
mod cell;
mod gru;
mod lstm;
mod outer;
mod pool;
mod recurrence;
mod sequence;
mod silu;
mod simd;
mod weights;

pub use activation::Activation;
pub use gru::{Gru, GruGradients, GruWeights};
pub use lstm::{Lstm, LstmGradients, LstmWeights};
pub use recurrence::{Masks, Memory, Output, Sizes};
pub use silu::{silu, silu_backward};
pub use simd::InstructionSet;
