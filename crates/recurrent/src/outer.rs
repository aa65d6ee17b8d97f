//! Gradients of weight matrices and biases: sums over time steps and sequences.

use super::simd::{Lane, Simd, WIDTH};
use super::weights::PADDING;

/// Rows of a gradient that are summed together.
pub(crate) const ROWS_AT_ONCE: usize = PADDING;

/// Columns of a gradient that are summed while their lanes, of all time steps, stay in the first-level cache.
const COLUMNS_AT_ONCE: usize = 16;

/// Distance between time steps that hold `rows` lanes each. An odd number of cache lines: with a power of two all
/// steps would fall into the same few sets of the cache.
pub(crate) const fn stride(rows: usize) -> usize {
    rows | 1
}

/// Lanes of consecutive time steps: `rows` of every step, `stride` lanes apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps<'a> {
    lanes: &'a [Lane],
    stride: usize,
    rows: usize,
}

impl<'a> Steps<'a> {
    /// The `rows` lanes at the start of each `stride` lanes.
    pub(crate) fn new(lanes: &'a [Lane], stride: usize, rows: usize) -> Self {
        Self { lanes, stride, rows }
    }
}

/// Adds `Σ left · rightᵀ` over `steps` time steps and all sequences to `gradient` `[left rows, right rows]`, and `Σ left` to
/// `bias` if there is one.
#[inline(always)]
pub(crate) fn add_outer_products<S: Simd>(
    simd: S,
    steps: usize,
    left: Steps,
    right: Steps,
    gradient: &mut [f32],
    mut bias: Option<&mut [f32]>,
) {
    debug_assert_eq!(left.rows % ROWS_AT_ONCE, 0);
    for first in (0..right.rows).step_by(COLUMNS_AT_ONCE) {
        let end = right.rows.min(first + COLUMNS_AT_ONCE);
        for row in (0..left.rows).step_by(ROWS_AT_ONCE) {
            // Its lanes are then in the first-level cache.
            if let Some(bias) = bias.as_deref_mut()
                && first == 0
            {
                add_row_sums(simd, steps, left, row, bias);
            }
            let mut column = first;
            while column < end {
                let corner = (row, column);
                column += match (S::WIDE, end - column) {
                    (true, 4..) => add_tiles::<S, 4, 4>(simd, steps, left, right, corner, gradient),
                    (true, 2..) => add_tiles::<S, 8, 2>(simd, steps, left, right, corner, gradient),
                    (false, 2..) => add_tiles::<S, 2, 2>(simd, steps, left, right, corner, gradient),
                    _ => add_tiles::<S, 4, 1>(simd, steps, left, right, corner, gradient),
                };
            }
        }
    }
}

/// Adds to [`ROWS_AT_ONCE`] rows and `COLUMNS` columns from `corner` on, `ROWS` rows at a time; returns `COLUMNS`.
// Loops over the tile count to constants: the compiler unrolls them and keeps the sums in registers, which it does not
// with iterators over arrays.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn add_tiles<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    steps: usize,
    left: Steps,
    right: Steps,
    (corner_row, column): (usize, usize),
    gradient: &mut [f32],
) -> usize {
    for row in (corner_row..corner_row + ROWS_AT_ONCE).step_by(ROWS) {
        let mut sums = [[simd.splat(0.0); COLUMNS]; ROWS];
        for step in 0..steps {
            let left_lanes = &left.lanes[step * left.stride + row..][..ROWS];
            let right_lanes = &right.lanes[step * right.stride + column..][..COLUMNS];
            let mut right_values = [simd.splat(0.0); COLUMNS];
            for j in 0..COLUMNS {
                right_values[j] = simd.load(&right_lanes[j]);
            }
            for i in 0..ROWS {
                let left_value = simd.load(&left_lanes[i]);
                for j in 0..COLUMNS {
                    sums[i][j] = simd.mul_add(left_value, right_values[j], sums[i][j]);
                }
            }
        }
        let mut tile = [simd.splat(0.0); WIDTH];
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                tile[i * COLUMNS + j] = sums[i][j];
            }
        }
        let mut totals = Lane::ZERO;
        simd.store(simd.sums(tile), &mut totals);
        for i in 0..ROWS {
            let entries = &mut gradient[(row + i) * right.rows + column..][..COLUMNS];
            for j in 0..COLUMNS {
                entries[j] += totals.0[i * COLUMNS + j];
            }
        }
    }
    COLUMNS
}

/// Adds the sums of [`ROWS_AT_ONCE`] rows from `row` on, over `steps` time steps and all sequences, to `bias` `[left rows]`.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) fn add_row_sums<S: Simd>(simd: S, steps: usize, left: Steps, row: usize, bias: &mut [f32]) {
    let mut sums = [simd.splat(0.0); ROWS_AT_ONCE];
    for step in 0..steps {
        let lanes = &left.lanes[step * left.stride + row..][..ROWS_AT_ONCE];
        for i in 0..ROWS_AT_ONCE {
            sums[i] = simd.add(sums[i], simd.load(&lanes[i]));
        }
    }
    let entries = &mut bias[row..][..ROWS_AT_ONCE];
    for i in 0..ROWS_AT_ONCE {
        entries[i] += simd.sum(sums[i]);
    }
}
