//! The backward pass of one block of sequences.

use super::{BlockMemory, CHUNK, Output, RawGradients, Recurrence, Sizes, masked, multiply, state_spacing};
use crate::cell::{Cell, KeptStep, Step};
use crate::outer::{ROWS_AT_ONCE, Steps, add_outer_products, add_row_sums, stride};
use crate::pool::Lanes;
use crate::simd::{Kernel, Lane, Simd};
use crate::weights::padded;

/// A backward pass, chunk after chunk of time steps, the last first: the gate values of a chunk are copied from the memory,
/// or computed once more from the state at its start, turned into gate gradients, and these are added to the gradients of the
/// weights.
pub(super) struct Backward<'a, C> {
    pub(super) recurrence: &'a Recurrence,
    pub(super) cell: &'a C,
    pub(super) memory: &'a BlockMemory,
    pub(super) out_gradient: &'a [f32],
    pub(super) input_gradient: Option<&'a mut [f32]>,
}

impl<C: Cell> Kernel for Backward<'_, C> {
    type Output = RawGradients;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RawGradients {
        let Self { recurrence, cell, memory, out_gradient, mut input_gradient } = self;
        let Sizes { steps, inputs, units, .. } = recurrence.sizes;
        let block = memory.block;
        let (input_stride, unit_stride) = (stride(inputs), stride(units));
        let (state_lanes, state_stride) = (cell.state_lanes(), stride(cell.state_lanes()));
        let (kept_lanes, gate_stride) = (cell.kept_lanes(), stride(cell.kept_lanes()));
        let gate_lanes = cell.gate_lanes();
        let spacing = state_spacing(memory.gates.is_some());
        let input_rows = cell.input_rows();

        let mut total = RawGradients {
            input: vec![0.0; input_rows * inputs],
            recurrent: vec![0.0; cell.recurrent_rows() * units],
            bias: vec![0.0; gate_lanes],
        };
        let mut gradient = Lanes::filled(state_lanes, 0.0);
        if recurrence.output == Output::LastState {
            block.load_gradient(out_gradient, units, &mut gradient[..units]);
        }
        let state_mask = memory.state_mask.as_deref();
        let mut mask = Lanes::filled(padded(units), 1.0);
        if let Some(state_mask) = state_mask {
            mask[..units].copy_from_slice(state_mask);
        }
        // Of the steps of a chunk: gate values, later gate gradients; states, one more; states under the mask, if any.
        let mut gates = Lanes::take(CHUNK * gate_stride);
        let mut states = Lanes::take((CHUNK + 1) * state_stride);
        let mut masked_states = state_mask.map(|_| Lanes::take(CHUNK * unit_stride));
        let mut scratch = Lanes::take(padded(units));
        let mut input_gradient_lanes = Lanes::take(padded(inputs));

        for chunk in (0..steps.div_ceil(CHUNK)).rev() {
            let first = chunk * CHUNK;
            let chunk_steps = CHUNK.min(steps - first);
            let input_lanes = &memory.inputs[first * input_stride..];

            let kept = chunk_steps.div_ceil(spacing) * state_stride;
            states[..kept].copy_from_slice(&memory.states[first / spacing * state_stride..][..kept]);
            for index in 0..chunk_steps {
                let input = &input_lanes[index * input_stride..][..inputs];
                let (state, next) = states[index * state_stride..].split_at_mut(state_stride);
                let (state, next) = (&state[..state_lanes], &mut next[..state_lanes]);
                let room: &mut [Lane] = match &mut masked_states {
                    Some(masked_states) => &mut masked_states[index * unit_stride..][..units],
                    None => &mut [],
                };
                let masked_state = masked(simd, &state[..units], state_mask, room);
                if memory.gates.is_none() {
                    let gates = &mut gates[index * gate_stride..][..kept_lanes];
                    cell.step::<S, true>(simd, Step { input, state, masked_state, gates, next });
                }
            }

            // Without a mask the state itself goes into the products.
            let (masked_states, masked_stride) = match &masked_states {
                Some(masked_states) => (&masked_states[..], unit_stride),
                None => (&states[..], state_stride),
            };
            for index in (0..chunk_steps).rev() {
                if recurrence.output == Output::Sequence {
                    block.add_step(simd, out_gradient, units, first + index, &mut gradient);
                }
                let gates = &mut gates[index * gate_stride..][..kept_lanes];
                if let Some(kept) = &memory.gates {
                    gates.copy_from_slice(&kept[(first + index) * gate_stride..][..kept_lanes]);
                }
                let kept = KeptStep {
                    gates,
                    state: &states[index * state_stride..][..state_lanes],
                    masked_state: &masked_states[index * masked_stride..][..units],
                    state_mask: &mask,
                    scratch: &mut scratch,
                };
                cell.step_back(simd, kept, &mut gradient);
            }

            let masked_states = Steps::new(masked_states, masked_stride, units);
            let input_part = Steps::new(&gates, gate_stride, input_rows);
            let inputs_of_chunk = Steps::new(input_lanes, input_stride, inputs);
            let bias = Some(&mut total.bias[..]);
            add_outer_products(simd, chunk_steps, input_part, inputs_of_chunk, &mut total.input, bias);
            cell.add_recurrent_gradient(simd, chunk_steps, &gates, masked_states, &mut total.recurrent);
            let all_gates = Steps::new(&gates, gate_stride, gate_lanes);
            for row in (input_rows..gate_lanes).step_by(ROWS_AT_ONCE) {
                add_row_sums(simd, chunk_steps, all_gates, row, &mut total.bias);
            }

            if let Some(input_gradient) = &mut input_gradient {
                for index in 0..chunk_steps {
                    let gate_gradient = &gates[index * gate_stride..][..input_rows];
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
