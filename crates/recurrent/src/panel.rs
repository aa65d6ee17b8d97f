//! Products of a weight matrix with the lanes of one time step, and the gradient of such a matrix.

use super::simd::{Lane, Simd};

/// Rows of a weight matrix that are multiplied together.
pub(crate) const PANEL: usize = 8;

/// Rows and columns of a tile of a weight gradient.
const TILE: usize = 4;

/// `rows` rounded up to whole panels.
pub(crate) const fn padded(rows: usize) -> usize {
    rows.next_multiple_of(PANEL)
}

/// Distance between time steps that hold `rows` lanes each. An odd number of cache lines: with a power of two all
/// steps would fall into the same few sets of the cache.
pub(crate) const fn stride(rows: usize) -> usize {
    rows | 1
}

/// A weight matrix `[rows, columns]`, stored as panels of eight rows, column after column.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    columns: usize,
    weights: Vec<[f32; PANEL]>,
}

impl Panels {
    /// A matrix with `rows` (whole panels) and `columns`; `weight(row, column)` tells its entries.
    pub(crate) fn new(rows: usize, columns: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        assert_eq!(rows % PANEL, 0, "rows must be whole panels");
        let mut weights = Vec::with_capacity(rows / PANEL * columns);
        for panel in 0..rows / PANEL {
            for column in 0..columns {
                weights.push(std::array::from_fn(|row| weight(panel * PANEL + row, column)));
            }
        }
        Self { columns, weights }
    }

    /// `out += matrix · right`, where `right` has one lane per column and `out` one per row.
    #[inline(always)]
    pub(crate) fn multiply_add<S: Simd>(&self, simd: S, right: &[Lane], out: &mut [Lane]) {
        self.multiply_add_rows(simd, 0, right, out);
    }

    /// Like [`multiply_add`](Self::multiply_add) with the rows from `first_row` on, as many as `out` has lanes.
    #[inline(always)]
    pub(crate) fn multiply_add_rows<S: Simd>(
        &self,
        simd: S,
        first_row: usize,
        right: &[Lane],
        out: &mut [Lane],
    ) {
        debug_assert_eq!(first_row % PANEL, 0);
        debug_assert_eq!(right.len(), self.columns);
        let weights = &self.weights[first_row / PANEL * self.columns..];
        let panels = weights.chunks_exact(self.columns);
        for (panel, out) in panels.zip(out.chunks_exact_mut(PANEL)) {
            if S::WIDE {
                multiply_panel::<S, 8>(simd, panel, 0, right, out);
            } else {
                multiply_panel::<S, 4>(simd, panel, 0, right, &mut out[..4]);
                multiply_panel::<S, 4>(simd, panel, 4, right, &mut out[4..]);
            }
        }
    }
}

#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn multiply_panel<S: Simd, const ROWS: usize>(
    simd: S,
    panel: &[[f32; PANEL]],
    first: usize,
    right: &[Lane],
    out: &mut [Lane],
) {
    let out = &mut out[..ROWS];
    let mut sums = [simd.splat(0.0); ROWS];
    for row in 0..ROWS {
        sums[row] = simd.load(&out[row]);
    }
    for (weights, lane) in panel.iter().zip(right) {
        let value = simd.load(lane);
        for row in 0..ROWS {
            sums[row] = simd.mul_add(simd.splat(weights[first + row]), value, sums[row]);
        }
    }
    for row in 0..ROWS {
        simd.store(sums[row], &mut out[row]);
    }
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

/// Adds `Σ left · rightᵀ` over `steps` time steps and all sequences to `gradient` `[left rows, right rows]`.
#[inline(always)]
pub(crate) fn add_outer_products<S: Simd>(
    simd: S,
    steps: usize,
    left: Steps,
    right: Steps,
    gradient: &mut [f32],
) {
    debug_assert_eq!(left.rows % TILE, 0);
    for row in (0..left.rows).step_by(TILE) {
        let mut column = 0;
        while column < right.rows {
            let corner = (row, column);
            if S::WIDE && column + 4 <= right.rows {
                add_tile::<S, 4>(simd, steps, left, right, corner, gradient);
                column += 4;
            } else if column + 2 <= right.rows {
                add_tile::<S, 2>(simd, steps, left, right, corner, gradient);
                column += 2;
            } else {
                add_tile::<S, 1>(simd, steps, left, right, corner, gradient);
                column += 1;
            }
        }
    }
}

// Loops over the tile count to constants: the compiler unrolls them and keeps the sums in registers, which it does not
// with iterators over arrays.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn add_tile<S: Simd, const COLUMNS: usize>(
    simd: S,
    steps: usize,
    left: Steps,
    right: Steps,
    (row, column): (usize, usize),
    gradient: &mut [f32],
) {
    let mut sums = [[simd.splat(0.0); COLUMNS]; TILE];
    for step in 0..steps {
        let left_lanes = &left.lanes[step * left.stride + row..][..TILE];
        let right_lanes = &right.lanes[step * right.stride + column..][..COLUMNS];
        let mut right_values = [simd.splat(0.0); COLUMNS];
        for j in 0..COLUMNS {
            right_values[j] = simd.load(&right_lanes[j]);
        }
        for i in 0..TILE {
            let left_value = simd.load(&left_lanes[i]);
            for j in 0..COLUMNS {
                sums[i][j] = simd.mul_add(left_value, right_values[j], sums[i][j]);
            }
        }
    }
    for i in 0..TILE {
        let entries = &mut gradient[(row + i) * right.rows + column..][..COLUMNS];
        for j in 0..COLUMNS {
            entries[j] += simd.sum(sums[i][j]);
        }
    }
}

/// Adds the sum of every row over `steps` time steps and all sequences to `gradient`: the gradient of a bias.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) fn add_row_sums<S: Simd>(simd: S, steps: usize, left: Steps, gradient: &mut [f32]) {
    for row in (0..left.rows).step_by(TILE) {
        let mut sums = [simd.splat(0.0); TILE];
        for step in 0..steps {
            let lanes = &left.lanes[step * left.stride + row..][..TILE];
            for i in 0..TILE {
                sums[i] = simd.add(sums[i], simd.load(&lanes[i]));
            }
        }
        let entries = &mut gradient[row..][..TILE];
        for i in 0..TILE {
            entries[i] += simd.sum(sums[i]);
        }
    }
}
