//! Products of a weight matrix with the lanes of one time step, and the gradient of such a matrix.

use super::simd::{Lane, Simd};

/// Rows of a weight matrix that are multiplied together.
pub const PANEL: usize = 8;

/// Rows and columns of a tile of a weight gradient.
const TILE: usize = 4;

/// `rows` rounded up to whole panels.
pub const fn padded(rows: usize) -> usize {
    rows.next_multiple_of(PANEL)
}

/// Distance between time steps that hold `rows` lanes each. An odd number of cache lines: with a power of two all
/// steps would fall into the same few sets of the cache.
pub const fn stride(rows: usize) -> usize {
    rows | 1
}

/// A weight matrix `[rows, columns]`, stored as panels of eight rows, column after column.
#[derive(Clone, Debug)]
pub struct Panels {
    columns: usize,
    weights: Vec<[f32; PANEL]>,
}

impl Panels {
    /// A matrix with `rows` (whole panels) and `columns`; `weight(row, column)` tells its entries.
    pub fn new(rows: usize, columns: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
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
    pub fn multiply_add<S: Simd>(&self, simd: S, right: &[Lane], out: &mut [Lane]) {
        self.multiply_add_rows(simd, 0, right, out);
    }

    /// Like [`multiply_add`](Self::multiply_add) with the rows from `first_row` on, as many as `out` has lanes.
    #[inline(always)]
    pub fn multiply_add_rows<S: Simd>(&self, simd: S, first_row: usize, right: &[Lane], out: &mut [Lane]) {
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

#[inline(always)]
fn multiply_panel<S: Simd, const ROWS: usize>(
    simd: S,
    panel: &[[f32; PANEL]],
    first: usize,
    right: &[Lane],
    out: &mut [Lane],
) {
    let mut sums: [S::V; ROWS] = std::array::from_fn(|row| simd.load(&out[row]));
    for (weights, lane) in panel.iter().zip(right) {
        let value = simd.load(lane);
        for row in 0..ROWS {
            sums[row] = simd.mul_add(simd.splat(weights[first + row]), value, sums[row]);
        }
    }
    for (sum, lane) in sums.into_iter().zip(out) {
        simd.store(sum, lane);
    }
}

/// Lanes of consecutive time steps: `rows` of every step, `stride` lanes apart.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    lanes: &'a [Lane],
    stride: usize,
    rows: usize,
}

impl<'a> Steps<'a> {
    /// The `rows` lanes at the start of each `stride` lanes.
    pub fn new(lanes: &'a [Lane], stride: usize, rows: usize) -> Self {
        Self { lanes, stride, rows }
    }
}

/// Adds `Σ left · rightᵀ` over `steps` time steps and all sequences to `gradient` `[left rows, right rows]`.
#[inline(always)]
pub fn add_outer_products<S: Simd>(simd: S, steps: usize, left: Steps, right: Steps, gradient: &mut [f32]) {
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
        let right_values: [S::V; COLUMNS] = std::array::from_fn(|i| simd.load(&right_lanes[i]));
        for (sums, left_lane) in sums.iter_mut().zip(left_lanes) {
            let left_value = simd.load(left_lane);
            for (sum, right_value) in sums.iter_mut().zip(right_values) {
                *sum = simd.mul_add(left_value, right_value, *sum);
            }
        }
    }
    for (tile_row, sums) in sums.into_iter().enumerate() {
        let start = (row + tile_row) * right.rows + column;
        for (sum, entry) in sums.into_iter().zip(&mut gradient[start..start + COLUMNS]) {
            *entry += simd.sum(sum);
        }
    }
}

/// Adds the sum of every row over `steps` time steps and all sequences to `gradient`: the gradient of a bias.
#[inline(always)]
pub fn add_row_sums<S: Simd>(simd: S, steps: usize, left: Steps, gradient: &mut [f32]) {
    for row in (0..left.rows).step_by(TILE) {
        let mut sums = [simd.splat(0.0); TILE];
        for step in 0..steps {
            let lanes = &left.lanes[step * left.stride + row..][..TILE];
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                *sum = simd.add(*sum, simd.load(lane));
            }
        }
        for (sum, entry) in sums.into_iter().zip(&mut gradient[row..row + TILE]) {
            *entry += simd.sum(sum);
        }
    }
}
