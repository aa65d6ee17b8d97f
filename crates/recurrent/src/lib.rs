//! Recurrent layers as single operations: forward, forward for training, and backward, on plain slices.
//!
//! | file | answers for |
//! | --- | --- |
//! | [`simd`] | sixteen sequences in a register, the instruction sets, all `unsafe` code |
//! | [`activation`] | hyperbolic tangent, logistic function, their derivatives |
//! | [`panel`] | weight matrix times the lanes of a step, and the gradient of a weight matrix |
//! | [`sequence`] | from `[batch, steps, features]` to lanes and back |
//! | [`pool`] | buffers that are kept between calls |
//! | [`recurrence`] | the walk over blocks and time steps that every cell shares |
//! | [`gru`], [`lstm`] | one cell each: its equations and their derivatives |
//!
//! The batch is cut into blocks of sixteen sequences. A block walks through all its time steps without ever meeting
//! another: weights and state stay in the first-level cache, and rayon spreads the blocks over the cores. The cut depends on
//! the batch only and partial gradients are added in the order of the blocks, so the results are the same bit for bit
//! whatever the number of threads.

pub mod activation;
pub mod gru;
pub mod lstm;
pub mod panel;
pub mod pool;
pub mod recurrence;
pub mod sequence;
pub mod simd;
