//! The forward pass of one block of sequences.

use super::{BlockMemory, CHUNK, Masks, Output, Recurrence, Sizes, masked, multiply};
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
        let mut checkpoints = KEEP.then(|| Lanes::take(steps.div_ceil(CHUNK) * state_lanes));
        let mut gates = Lanes::take(cell.kept_lanes());
        let mut masked_state = Lanes::take(units);
        let mut states = Lanes::filled(2 * state_lanes, 0.0);
        let (mut state, mut next) = states.split_at_mut(state_lanes);
        for step in 0..steps {
            if let Some(checkpoints) = &mut checkpoints
                && step % CHUNK == 0
            {
                checkpoints[step / CHUNK * state_lanes..][..state_lanes].copy_from_slice(state);
            }
            let input = &mut input_lanes[step * input_stride..][..inputs];
            block.load_step(simd, x, inputs, step, input);
            if let Some(mask) = &input_mask {
                multiply(simd, input, mask);
            }
            let masked_state = masked(simd, &state[..units], state_mask.as_deref(), &mut masked_state);
            cell.step::<S, false>(simd, Step { input, state, masked_state, gates: &mut gates, next });
            std::mem::swap(&mut state, &mut next);
            if recurrence.output == Output::Sequence {
                block.store_step(simd, state, units, step, out);
            }
        }
        if recurrence.output == Output::LastState {
            block.store_rows(state, units, out);
        }
        checkpoints.map(|checkpoints| BlockMemory {
            block,
            inputs: input_lanes,
            checkpoints,
            input_mask,
            state_mask,
        })
    }
}
