//! The passes over blocks of sequences and time steps that every recurrent cell shares.

mod backward;
mod forward;

use backward::Backward;
use forward::Forward;
use rayon::prelude::*;

use super::cell::Cell;
use super::pool::Lanes;
use super::sequence::Block;
use super::simd::{InstructionSet, Lane, Simd, WIDTH};

/// Time steps whose gate gradients are collected before the weight gradients are added up: few enough for the second-level
/// cache, enough to make summing across sequences cheap.
const CHUNK: usize = 32;

/// Size of a batch and of the layer it goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Sequences in the batch.
    pub batch: usize,
    /// Time steps of a sequence.
    pub steps: usize,
    /// Features of a time step.
    pub inputs: usize,
    /// Units of the layer.
    pub units: usize,
}

/// What a layer returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// The state after the last processed time step, `[batch, units]`.
    #[default]
    LastState,
    /// The state after each time step, at the place of that step also if the last is processed first, `[batch, steps, units]`.
    Sequence,
}

impl Output {
    /// Values per sequence.
    pub fn per_sequence(self, sizes: Sizes) -> usize {
        match self {
            Self::LastState => sizes.units,
            Self::Sequence => sizes.steps * sizes.units,
        }
    }
}

/// Dropout masks that hold for all time steps of a sequence (Gal and Ghahramani 2016, arXiv:1512.05287), already
/// divided by the share that is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masks<'a> {
    /// For the inputs, `[batch, inputs]`.
    pub input: Option<&'a [f32]>,
    /// For the state where it is multiplied with the recurrent weights, `[batch, units]`. The state that is carried to
    /// the next step is left alone, or it would fade or explode over many steps.
    pub state: Option<&'a [f32]>,
}

/// What the backward pass of a batch needs: the inputs, and either the states and gate values of all time steps, or every 32nd
/// state and nothing else, from which those are computed once more: whichever takes less time with the instruction set.
#[derive(Debug)]
pub struct Memory {
    sizes: Sizes,
    blocks: Vec<BlockMemory>,
}

#[derive(Debug)]
struct BlockMemory {
    block: Block,
    /// Of every time step, under the dropout mask.
    inputs: Lanes,
    /// The state before every time step whose index is a multiple of [`state_spacing`].
    states: Lanes,
    /// The gate values of every time step, unless they are computed once more.
    gates: Option<Lanes>,
    input_mask: Option<Lanes>,
    state_mask: Option<Lanes>,
}

/// Time steps from one kept state to the next: every state is kept beside gate values, otherwise those at the start of a chunk.
const fn state_spacing(keep_gates: bool) -> usize {
    if keep_gates { 1 } else { CHUNK }
}

impl Memory {
    /// The size of the batch that this belongs to.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }
}

/// Gradients in the order and padding of the cell's gates.
#[derive(Debug)]
pub(crate) struct RawGradients {
    /// `[input rows, inputs]`
    pub(crate) input: Vec<f32>,
    /// `[recurrent rows, units]`
    pub(crate) recurrent: Vec<f32>,
    /// The gradient of the biases, `[gate lanes]`.
    pub(crate) bias: Vec<f32>,
}

impl RawGradients {
    fn add(&mut self, other: &RawGradients) {
        let pairs = [
            (&mut self.input, &other.input),
            (&mut self.recurrent, &other.recurrent),
            (&mut self.bias, &other.bias),
        ];
        for (total, part) in pairs {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
    }
}

/// The passes of a batch through a layer, whatever its cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recurrence {
    /// Size of the batch and of the layer.
    pub(crate) sizes: Sizes,
    /// Whether the last time step is processed first.
    pub(crate) reverse: bool,
    /// What is returned.
    pub(crate) output: Output,
    /// Instructions to use.
    pub(crate) instruction_set: InstructionSet,
    /// Whether a forward pass for training keeps the gate values, or the backward pass computes them once more.
    pub(crate) keep_gates: bool,
}

impl Recurrence {
    /// Forward pass that keeps nothing. `x` is `[batch, steps, inputs]`, `out` as [`Output`] says.
    ///
    /// # Panics
    /// If a slice has another length than `sizes` says, or a size is zero.
    pub(crate) fn infer<C: Cell>(&self, cell: &C, x: &[f32], out: &mut [f32]) {
        self.pass::<C, false>(cell, x, Masks::default(), out);
    }

    /// Forward pass that keeps what [`backward`](Self::backward) needs.
    ///
    /// # Panics
    /// Like [`infer`](Self::infer).
    pub(crate) fn forward<C: Cell>(&self, cell: &C, x: &[f32], masks: Masks, out: &mut [f32]) -> Memory {
        let blocks = self.pass::<C, true>(cell, x, masks, out);
        Memory { sizes: self.sizes, blocks }
    }

    /// Forward pass; with `KEEP` the memory of every block, otherwise none.
    fn pass<C: Cell, const KEEP: bool>(
        &self,
        cell: &C,
        x: &[f32],
        masks: Masks,
        out: &mut [f32],
    ) -> Vec<BlockMemory> {
        let Sizes { batch, steps, inputs, units } = self.sizes;
        let per_sequence = self.output.per_sequence(self.sizes);
        assert!(batch > 0 && steps > 0 && inputs > 0 && units > 0, "sizes must not be zero");
        assert_eq!(x.len(), batch * steps * inputs);
        assert_eq!(out.len(), batch * per_sequence);
        assert!(masks.input.is_none_or(|mask| mask.len() == batch * inputs));
        assert!(masks.state.is_none_or(|mask| mask.len() == batch * units));
        Block::of_batch(batch, steps, self.reverse)
            .into_par_iter()
            .zip(out.par_chunks_mut(WIDTH * per_sequence))
            .filter_map(|(block, out)| {
                let kernel = Forward::<C, KEEP> { recurrence: self, cell, block, x, masks, out };
                self.instruction_set.run(kernel)
            })
            .collect()
    }

    /// Gradients of the weights, and of the inputs `[batch, steps, inputs]` if asked for, from the gradient of the output.
    ///
    /// # Panics
    /// If a slice has another length than the forward pass had.
    pub(crate) fn backward<C: Cell>(
        &self,
        cell: &C,
        memory: &Memory,
        out_gradient: &[f32],
        input_gradient: Option<&mut [f32]>,
    ) -> RawGradients {
        let sizes = memory.sizes;
        assert_eq!(sizes, self.sizes);
        assert_eq!(out_gradient.len(), sizes.batch * self.output.per_sequence(sizes));
        let per_sequence = sizes.steps * sizes.inputs;
        let input_gradients: Vec<Option<&mut [f32]>> = match input_gradient {
            Some(gradient) => {
                assert_eq!(gradient.len(), sizes.batch * per_sequence);
                gradient.chunks_mut(WIDTH * per_sequence).map(Some).collect()
            }
            None => memory.blocks.iter().map(|_| None).collect(),
        };
        let partial: Vec<RawGradients> = memory
            .blocks
            .par_iter()
            .zip(input_gradients)
            .map(|(memory, input_gradient)| {
                let kernel = Backward { recurrence: self, cell, memory, out_gradient, input_gradient };
                self.instruction_set.run(kernel)
            })
            .collect();
        let mut partial = partial.into_iter();
        let mut total = partial.next().expect("a batch has at least one block");
        partial.for_each(|block| total.add(&block));
        total
    }
}

#[inline(always)]
fn multiply<S: Simd>(simd: S, lanes: &mut [Lane], factors: &[Lane]) {
    for (lane, factor) in lanes.iter_mut().zip(factors) {
        let product = simd.mul(simd.load(lane), simd.load(factor));
        simd.store(product, lane);
    }
}

/// Fills `room` with the state under the dropout mask and returns it, or returns the state itself if there is no mask.
#[inline(always)]
fn masked<'a, S: Simd>(
    simd: S,
    state: &'a [Lane],
    mask: Option<&[Lane]>,
    room: &'a mut [Lane],
) -> &'a [Lane] {
    match mask {
        None => state,
        Some(mask) => {
            room.copy_from_slice(state);
            multiply(simd, room, mask);
            room
        }
    }
}
