//! The walk over blocks of sequences and time steps that every recurrent cell shares.

use rayon::prelude::*;

use super::panel::{Panels, Steps, add_outer_products, add_row_sums, padded, stride};
use super::pool::Lanes;
use super::sequence::Block;
use super::simd::{InstructionSet, Kernel, Lane, Simd, WIDTH};

/// Time steps whose gate gradients are collected before the weight gradients are added up: few enough for the
/// second-level cache, enough to make summing across sequences cheap.
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
    /// The state after each time step, at the time's own place also if time is walked backwards, `[batch, steps, units]`.
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

/// One time step of a recurrent cell for a block of sequences.
///
/// All slices hold whole panels of lanes ([`padded`]); lanes of units beyond the last have zero weights.
pub(crate) trait Cell: Sync {
    /// Lanes of the state that is carried from step to step. The output is at its start.
    fn state_lanes(&self) -> usize;
    /// Lanes of gate values that a step keeps for its backward pass, and of gate gradients that this makes.
    fn gate_lanes(&self) -> usize;
    /// How many of the gate gradients, from the start, belong to the input weights.
    fn input_rows(&self) -> usize;
    /// Rows of the recurrent weights' gradient as [`add_recurrent_gradient`](Self::add_recurrent_gradient) makes it.
    fn recurrent_rows(&self) -> usize;
    /// Transposed input weights `[padded inputs, input rows]`, empty unless made for a backward pass.
    fn transposed_input(&self) -> &Panels;

    /// From `state` to `next`, with `masked_state` in the recurrent products, keeping `gates`.
    fn step<S: Simd>(
        &self,
        simd: S,
        input: &[Lane],
        state: &[Lane],
        masked_state: &[Lane],
        gates: &mut [Lane],
        next: &mut [Lane],
    );

    /// The derivative of [`step`](Self::step): turns `gradient` of the next state into that of the state.
    fn step_back<S: Simd>(
        &self,
        simd: S,
        kept: KeptStep,
        gradient: &mut [Lane],
        gate_gradient: &mut [Lane],
        scratch: &mut [Lane],
    );

    /// Adds the gradient of the recurrent weights `[recurrent rows, units]` from `steps` time steps.
    fn add_recurrent_gradient<S: Simd>(
        &self,
        simd: S,
        steps: usize,
        gate_gradients: &[Lane],
        gates: &[Lane],
        masked_states: Steps,
        gradient: &mut [f32],
    );
}

/// What the forward pass kept of one time step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptStep<'a> {
    /// Gate values.
    pub(crate) gates: &'a [Lane],
    /// The state before.
    pub(crate) state: &'a [Lane],
    /// The output part of the state before, under the dropout mask.
    pub(crate) masked_state: &'a [Lane],
    /// The state after.
    pub(crate) next: &'a [Lane],
    /// The dropout mask of the state.
    pub(crate) state_mask: &'a [Lane],
}

/// What the backward pass of a batch needs.
#[derive(Debug)]
pub struct Memory {
    sizes: Sizes,
    blocks: Vec<BlockMemory>,
}

#[derive(Debug)]
struct BlockMemory {
    block: Block,
    inputs: Lanes,
    /// One step more than the sequence: the zero state in front.
    states: Lanes,
    /// The same under the dropout mask, unless there is none.
    masked_states: Option<Lanes>,
    gates: Lanes,
    input_mask: Option<Lanes>,
    state_mask: Lanes,
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
    /// `[gate lanes]`
    pub(crate) bias: Vec<f32>,
}

/// A batch on its way through a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Size of the batch and of the layer.
    pub(crate) sizes: Sizes,
    /// Whether time is walked backwards.
    pub(crate) reverse: bool,
    /// What is returned.
    pub(crate) output: Output,
    /// Instructions to use.
    pub(crate) instruction_set: InstructionSet,
}

impl Walk {
    /// Forward pass that keeps nothing. `x` is `[batch, steps, inputs]`, `out` as [`Output`] says.
    ///
    /// # Panics
    /// If a slice has another length than `sizes` says, or a size is zero.
    pub(crate) fn infer<C: Cell>(&self, cell: &C, x: &[f32], out: &mut [f32]) {
        self.check(x, out);
        let per_sequence = self.output.per_sequence(self.sizes);
        self.blocks().into_par_iter().zip(out.par_chunks_mut(WIDTH * per_sequence)).for_each(
            |(block, out)| {
                self.instruction_set.run(Infer { walk: self, cell, block, x, out });
            },
        );
    }

    /// Forward pass that keeps what [`backward`](Self::backward) needs.
    ///
    /// # Panics
    /// Like [`infer`](Self::infer).
    pub(crate) fn forward<C: Cell>(&self, cell: &C, x: &[f32], masks: Masks, out: &mut [f32]) -> Memory {
        self.check(x, out);
        let sizes = self.sizes;
        assert!(masks.input.is_none_or(|mask| mask.len() == sizes.batch * sizes.inputs));
        assert!(masks.state.is_none_or(|mask| mask.len() == sizes.batch * sizes.units));
        let per_sequence = self.output.per_sequence(sizes);
        let blocks = self
            .blocks()
            .into_par_iter()
            .zip(out.par_chunks_mut(WIDTH * per_sequence))
            .map(|(block, out)| self.instruction_set.run(Forward { walk: self, cell, block, x, masks, out }))
            .collect();
        Memory { sizes, blocks }
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
                self.instruction_set.run(Backward { walk: self, cell, memory, out_gradient, input_gradient })
            })
            .collect();
        let mut partial = partial.into_iter();
        let mut total = partial.next().expect("a batch has at least one block");
        for block in partial {
            add(&mut total.input, &block.input);
            add(&mut total.recurrent, &block.recurrent);
            add(&mut total.bias, &block.bias);
        }
        total
    }

    fn blocks(&self) -> Vec<Block> {
        Block::of_batch(self.sizes.batch, self.sizes.steps, self.reverse)
    }

    fn check(&self, x: &[f32], out: &[f32]) {
        let Sizes { batch, steps, inputs, units } = self.sizes;
        assert!(batch > 0 && steps > 0 && inputs > 0 && units > 0, "sizes must not be zero");
        assert_eq!(x.len(), batch * steps * inputs);
        assert_eq!(out.len(), batch * self.output.per_sequence(self.sizes));
    }
}

fn add(total: &mut [f32], part: &[f32]) {
    for (total, part) in total.iter_mut().zip(part) {
        *total += part;
    }
}

#[inline(always)]
fn multiply<S: Simd>(simd: S, lanes: &mut [Lane], factors: &[Lane]) {
    for (lane, factor) in lanes.iter_mut().zip(factors) {
        let product = simd.mul(simd.load(lane), simd.load(factor));
        simd.store(product, lane);
    }
}

struct Infer<'a, C> {
    walk: &'a Walk,
    cell: &'a C,
    block: Block,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl<C: Cell> Kernel for Infer<'_, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { walk, cell, block, x, out } = self;
        let Sizes { steps, inputs, units, .. } = walk.sizes;
        let state_lanes = cell.state_lanes();
        let mut input = Lanes::take(inputs);
        let mut gates = Lanes::take(cell.gate_lanes());
        let mut states = Lanes::filled(2 * state_lanes, 0.0);
        let (mut state, mut next) = states.split_at_mut(state_lanes);
        for step in 0..steps {
            block.load_step(simd, x, inputs, step, &mut input);
            cell.step(simd, &input, state, &state[..units], &mut gates, next);
            std::mem::swap(&mut state, &mut next);
            if walk.output == Output::Sequence {
                block.store_step(simd, state, units, step, out);
            }
        }
        if walk.output == Output::LastState {
            block.store_rows(state, units, out);
        }
    }
}

struct Forward<'a, C> {
    walk: &'a Walk,
    cell: &'a C,
    block: Block,
    x: &'a [f32],
    masks: Masks<'a>,
    out: &'a mut [f32],
}

impl<C: Cell> Kernel for Forward<'_, C> {
    type Output = BlockMemory;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> BlockMemory {
        let Self { walk, cell, block, x, masks, out } = self;
        let Sizes { steps, inputs, units, .. } = walk.sizes;
        let (input_stride, unit_stride) = (stride(inputs), stride(units));
        let (state_lanes, state_stride) = (cell.state_lanes(), stride(cell.state_lanes()));
        let (gate_lanes, gate_stride) = (cell.gate_lanes(), stride(cell.gate_lanes()));

        let input_mask = masks.input.map(|rows| {
            let mut mask = Lanes::take(inputs);
            block.load_rows(rows, inputs, &mut mask);
            mask
        });
        let mut state_mask = Lanes::filled(padded(units), 1.0);
        let mut masked_states = masks.state.map(|rows| {
            block.load_rows(rows, units, &mut state_mask);
            Lanes::take(steps * unit_stride)
        });
        let mut input_lanes = Lanes::take(steps * input_stride);
        let mut gates = Lanes::take(steps * gate_stride);
        let mut states = Lanes::take((steps + 1) * state_stride);
        states[..state_stride].fill(Lane::ZERO);

        for step in 0..steps {
            let input = &mut input_lanes[step * input_stride..][..inputs];
            block.load_step(simd, x, inputs, step, input);
            if let Some(mask) = &input_mask {
                multiply(simd, input, mask);
            }
            let (state, next) = states[step * state_stride..].split_at_mut(state_stride);
            let (state, next) = (&state[..state_lanes], &mut next[..state_lanes]);
            let masked_state = match &mut masked_states {
                None => &state[..units],
                Some(masked_states) => {
                    let masked_state = &mut masked_states[step * unit_stride..][..units];
                    masked_state.copy_from_slice(&state[..units]);
                    multiply(simd, masked_state, &state_mask);
                    &*masked_state
                }
            };
            let gates = &mut gates[step * gate_stride..][..gate_lanes];
            cell.step(simd, input, state, masked_state, gates, next);
            if walk.output == Output::Sequence {
                block.store_step(simd, next, units, step, out);
            }
        }
        if walk.output == Output::LastState {
            block.store_rows(&states[steps * state_stride..], units, out);
        }
        BlockMemory { block, inputs: input_lanes, states, masked_states, gates, input_mask, state_mask }
    }
}

struct Backward<'a, C> {
    walk: &'a Walk,
    cell: &'a C,
    memory: &'a BlockMemory,
    out_gradient: &'a [f32],
    input_gradient: Option<&'a mut [f32]>,
}

impl<C: Cell> Kernel for Backward<'_, C> {
    type Output = RawGradients;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RawGradients {
        let Self { walk, cell, memory, out_gradient, mut input_gradient } = self;
        let Sizes { steps, inputs, units, .. } = walk.sizes;
        let block = memory.block;
        let (input_stride, unit_stride) = (stride(inputs), stride(units));
        let (state_lanes, state_stride) = (cell.state_lanes(), stride(cell.state_lanes()));
        let (gate_lanes, gate_stride) = (cell.gate_lanes(), stride(cell.gate_lanes()));
        let input_rows = cell.input_rows();

        let mut total = RawGradients {
            input: vec![0.0; input_rows * inputs],
            recurrent: vec![0.0; cell.recurrent_rows() * units],
            bias: vec![0.0; gate_lanes],
        };
        let mut gradient = Lanes::filled(state_lanes, 0.0);
        if walk.output == Output::LastState {
            block.load_gradient(out_gradient, units, &mut gradient[..units]);
        }
        let mut gate_gradients = Lanes::take(CHUNK * gate_stride);
        let mut scratch = Lanes::take(2 * padded(units));
        let mut input_gradient_lanes = Lanes::take(padded(inputs));
        // Without a mask the state itself went into the products.
        let (masked_states, masked_stride) = match &memory.masked_states {
            Some(masked_states) => (&masked_states[..], unit_stride),
            None => (&memory.states[..], state_stride),
        };

        for chunk in (0..steps.div_ceil(CHUNK)).rev() {
            let first = chunk * CHUNK;
            let chunk_steps = CHUNK.min(steps - first);
            for index in (0..chunk_steps).rev() {
                let step = first + index;
                if walk.output == Output::Sequence {
                    block.add_step(simd, out_gradient, units, step, &mut gradient);
                }
                let kept = KeptStep {
                    gates: &memory.gates[step * gate_stride..][..gate_lanes],
                    state: &memory.states[step * state_stride..][..state_lanes],
                    masked_state: &masked_states[step * masked_stride..][..units],
                    next: &memory.states[(step + 1) * state_stride..][..state_lanes],
                    state_mask: &memory.state_mask,
                };
                let gate_gradient = &mut gate_gradients[index * gate_stride..][..gate_lanes];
                cell.step_back(simd, kept, &mut gradient, gate_gradient, &mut scratch);
            }

            let inputs_of_chunk = Steps::new(&memory.inputs[first * input_stride..], input_stride, inputs);
            let masked_states_of_chunk =
                Steps::new(&masked_states[first * masked_stride..], masked_stride, units);
            let input_part = Steps::new(&gate_gradients, gate_stride, input_rows);
            add_outer_products(simd, chunk_steps, input_part, inputs_of_chunk, &mut total.input);
            cell.add_recurrent_gradient(
                simd,
                chunk_steps,
                &gate_gradients,
                &memory.gates[first * gate_stride..],
                masked_states_of_chunk,
                &mut total.recurrent,
            );
            let all_gates = Steps::new(&gate_gradients, gate_stride, gate_lanes);
            add_row_sums(simd, chunk_steps, all_gates, &mut total.bias);

            if let Some(input_gradient) = &mut input_gradient {
                for index in 0..chunk_steps {
                    let gate_gradient = &gate_gradients[index * gate_stride..][..input_rows];
                    input_gradient_lanes.fill(Lane::ZERO);
                    cell.transposed_input().multiply_add(simd, gate_gradient, &mut input_gradient_lanes);
                    if let Some(mask) = &memory.input_mask {
                        multiply(simd, &mut input_gradient_lanes, mask);
                    }
                    block.store_step(simd, &input_gradient_lanes, inputs, first + index, input_gradient);
                }
            }
        }
        total
    }
}
