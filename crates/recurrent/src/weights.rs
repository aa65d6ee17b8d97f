//! Weight matrices, packed for products with the lanes of one time step.

use super::cell::SUMS;
use super::simd::{Lane, Simd};

/// Units are padded to a multiple of this.
pub(crate) const PADDING: usize = 8;

/// Units whose gates are computed together.
pub(crate) const GROUP: usize = 4;

/// Rows of a [`Transposed`] matrix that are multiplied together.
const PANEL: usize = 16;

/// `rows` rounded up to a multiple of [`PADDING`].
pub(crate) const fn padded(rows: usize) -> usize {
    rows.next_multiple_of(PADDING)
}

/// A weight matrix in the layout of ONNX, `[gates · units, columns]`: gates one after the other, each with one row per
/// unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateMatrix<'a> {
    values: &'a [f32],
    units: usize,
    columns: usize,
}

impl<'a> GateMatrix<'a> {
    /// # Panics
    /// If `values` has another length than the sizes say.
    pub(crate) fn new(values: &'a [f32], gates: usize, units: usize, columns: usize) -> Self {
        assert_eq!(values.len(), gates * units * columns);
        Self { values, units, columns }
    }

    fn row(&self, gate: usize, unit: usize) -> &'a [f32] {
        &self.values[(gate * self.units + unit) * self.columns..][..self.columns]
    }
}

/// What is added to the [`SUMS`] of every unit whatever the input: one row of padded units per sum.
#[derive(Clone, Debug)]
pub(crate) struct Biases {
    rows: usize,
    values: Vec<f32>,
}

impl Biases {
    /// `bias(sum, unit)` tells each of them. Those of units beyond the last are zero.
    pub(crate) fn new(units: usize, bias: impl Fn(usize, usize) -> f32) -> Self {
        let rows = padded(units);
        let entry = |index: usize| if index % rows < units { bias(index / rows, index % rows) } else { 0.0 };
        Self { rows, values: (0..SUMS * rows).map(entry).collect() }
    }

    /// Those of `UNITS` units from `first` on.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    pub(crate) fn load<S: Simd, const UNITS: usize>(&self, simd: S, first: usize) -> [[S::V; UNITS]; SUMS] {
        let mut sums = [[simd.splat(0.0); UNITS]; SUMS];
        for sum in 0..SUMS {
            for unit in 0..UNITS {
                sums[sum][unit] = simd.splat(self.values[sum * self.rows + first + unit]);
            }
        }
        sums
    }
}

/// A weight matrix for the forward pass: of each group of units, column after column, the weights of `GATES` gates.
#[derive(Clone, Debug)]
pub(crate) struct GatePanels<const GATES: usize> {
    columns: usize,
    weights: Vec<[[f32; GROUP]; GATES]>,
}

impl<const GATES: usize> GatePanels<GATES> {
    /// Packs the gates `order` of `matrix`, each multiplied by its factor. Units beyond the last have zero weights.
    pub(crate) fn new(matrix: GateMatrix, order: [usize; GATES], factors: [f32; GATES]) -> Self {
        let columns = matrix.columns;
        let mut weights = vec![[[0.0; GROUP]; GATES]; padded(matrix.units) / GROUP * columns];
        for unit in 0..matrix.units {
            let group = &mut weights[unit / GROUP * columns..][..columns];
            for (place, (gate, factor)) in order.into_iter().zip(factors).enumerate() {
                for (entry, &weight) in group.iter_mut().zip(matrix.row(gate, unit)) {
                    entry[place][unit % GROUP] = factor * weight;
                }
            }
        }
        Self { columns, weights }
    }

    /// `sums[gate][unit] += matrix · right` for `SUMMED` gates from place `first_gate` on and `UNITS` units from
    /// `first_unit` on, which belong to one group. `right` has one lane per column from `first_column` on.
    // Loops that count to constants: the compiler unrolls them and keeps the sums in registers, which it does not with
    // iterators over arrays.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    pub(crate) fn multiply_add<S: Simd, const SUMMED: usize, const UNITS: usize>(
        &self,
        simd: S,
        first_gate: usize,
        first_unit: usize,
        first_column: usize,
        right: &[Lane],
        sums: &mut [[S::V; UNITS]; SUMMED],
    ) {
        let weights = &self.weights[first_unit / GROUP * self.columns + first_column..][..right.len()];
        let offset = first_unit % GROUP;
        // The caller's array may be in memory, this one is in registers.
        let mut totals = *sums;
        for (weights, lane) in weights.iter().zip(right) {
            let value = simd.load(lane);
            for gate in 0..SUMMED {
                for unit in 0..UNITS {
                    let weight = simd.splat(weights[first_gate + gate][offset + unit]);
                    totals[gate][unit] = simd.mul_add(weight, value, totals[gate][unit]);
                }
            }
        }
        *sums = totals;
    }
}

/// A transposed weight matrix for the backward pass: panels of rows, column after column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transposed {
    rows: usize,
    columns: usize,
    weights: Vec<[f32; PANEL]>,
}

impl Transposed {
    /// Packs the gates `order` of `matrix`: one row per column of `matrix`, and one column per gate and padded unit.
    pub(crate) fn new(matrix: GateMatrix, order: &[usize]) -> Self {
        let (rows, units) = (matrix.columns, padded(matrix.units));
        let columns = order.len() * units;
        let mut weights = vec![[0.0; PANEL]; rows.div_ceil(PANEL) * columns];
        for (place, &gate) in order.iter().enumerate() {
            for unit in 0..matrix.units {
                let column = place * units + unit;
                for (panel, values) in matrix.row(gate, unit).chunks(PANEL).enumerate() {
                    weights[panel * columns + column][..values.len()].copy_from_slice(values);
                }
            }
        }
        Self { rows: padded(rows), columns, weights }
    }

    /// `out += matrix · right`, where `right` has one lane per column and `out` one per padded row.
    #[inline(always)]
    pub(crate) fn multiply_add<S: Simd>(&self, simd: S, right: &[Lane], out: &mut [Lane]) {
        debug_assert_eq!(right.len(), self.columns);
        debug_assert_eq!(out.len(), self.rows);
        for (panel, out) in self.weights.chunks_exact(self.columns).zip(out.chunks_mut(PANEL)) {
            if S::WIDE && out.len() == PANEL {
                multiply_rows::<S, PANEL>(simd, panel, 0, right, out);
            } else if S::WIDE {
                multiply_rows::<S, PADDING>(simd, panel, 0, right, out);
            } else {
                for (index, out) in out.chunks_exact_mut(4).enumerate() {
                    multiply_rows::<S, 4>(simd, panel, index * 4, right, out);
                }
            }
        }
    }
}

#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn multiply_rows<S: Simd, const ROWS: usize>(
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
