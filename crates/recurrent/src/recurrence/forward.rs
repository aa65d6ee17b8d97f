//! The forward pass of one block of sequences.

use super::{BlockMemory, Masks, Output, Recurrence, Sizes, masked, multiply, state_spacing};
use crate::cell::{Cell, Step};
use crate::outer::stride;
use crate::pool::Lanes;
use crate::sequence::Block;
use crate::simd::{Kernel, Simd};

/// A forward pass; with `KEEP` it returns what the backward pass needs.
pub(super) struct Forward<'a, C, const KEEP: bool> {
    pub(super) recurrence: &'a Recurrence,
    pub(super) cell: &'a C,
    pub(super) block: Block,
    pub(super) x: &'a [f32],
    pub(super) masks: Masks<'a>,
    pub(super) out: &'a mut [f32],
}

impl<C: Cell, const KEEP: bool> Kernel for Forward<'_, C, KEEP> {
    type Output = Option<BlockMemory>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<BlockMemory> {
        let Self { recurrence, cell, block, x, masks, out } = self;
        let Sizes { steps, inputs, units, .. } = recurrence.sizes;
        let state_lanes = cell.state_lanes();
        let mask = |rows: Option<&[f32]>, width: usize| {
            rows.map(|rows| {
                let mut mask = Lanes::take(width);
                block.load_rows(rows, width, &mut mask);
                mask
            })
        };
        let (input_mask, state_mask) = (mask(masks.input, inputs), mask(masks.state, units));

        let input_stride = if KEEP { stride(inputs) } else { 0 };
        let mut input_lanes = Lanes::take(if KEEP { steps * input_stride } else { inputs });
        let keep_gates = KEEP && recurrence.keep_gates;
        let (spacing, state_stride) = (state_spacing(keep_gates), stride(state_lanes));
        let mut kept_states = KEEP.then(|| Lanes::take(steps.div_ceil(spacing) * state_stride));
        let kept_lanes = cell.kept_lanes();
        let gate_stride = if keep_gates { stride(kept_lanes) } else { 0 };
        let mut gate_lanes = Lanes::take(if keep_gates { steps * gate_stride } else { kept_lanes });
        let mut masked_state = Lanes::take(units);
        let mut states = Lanes::filled(2 * state_lanes, 0.0);
        let (mut state, mut next) = states.split_at_mut(state_lanes);
        for step in 0..steps {
            if let Some(kept_states) = &mut kept_states
                && step % spacing == 0
            {
                kept_states[step / spacing * state_stride..][..state_lanes].copy_from_slice(state);
            }
            let input = &mut input_lanes[step * input_stride..][..inputs];
            block.load_step(simd, x, inputs, step, input);
            if let Some(mask) = &input_mask {
                multiply(simd, input, mask);
            }
            let masked_state = masked(simd, &state[..units], state_mask.as_deref(), &mut masked_state);
            let gates = &mut gate_lanes[step * gate_stride..][..kept_lanes];
            let arguments = Step { input, state, masked_state, gates, next };
            // The same with `KEEP` and without it, so that both give the same bits.
            if recurrence.keep_gates {
                cell.step::<S, true>(simd, arguments);
            } else {
                cell.step::<S, false>(simd, arguments);
            }
            std::mem::swap(&mut state, &mut next);
            if recurrence.output == Output::Sequence {
                block.store_step(simd, state, units, step, out);
            }
        }
        if recurrence.output == Output::LastState {
            block.store_rows(state, units, out);
        }
        kept_states.map(|states| BlockMemory {
            block,
            inputs: input_lanes,
            states,
            gates: keep_gates.then_some(gate_lanes),
            input_mask,
            state_mask,
        })
    }
}
