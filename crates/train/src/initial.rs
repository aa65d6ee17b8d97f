//! Initial weights as Keras draws them.

use rand::Rng;
use rand_pcg::Pcg64;

/// Uniform in `±√(6 / (rows + columns))` (Glorot and Bengio 2010, equation 16, over all gates together as Keras does).
pub fn glorot_uniform(rows: usize, columns: usize, generator: &mut Pcg64) -> Vec<f32> {
    let limit = (6.0 / (rows + columns) as f64).sqrt();
    (0..rows * columns).map(|_| generator.random_range(-limit..limit) as f32).collect()
}

/// A matrix `[rows, columns]` with orthonormal columns, `rows ≥ columns`, uniformly distributed among all such (Saxe et
/// al. 2014): normally distributed columns, orthogonalised one after the other by the modified Gram-Schmidt process, twice.
pub fn orthogonal(rows: usize, columns: usize, generator: &mut Pcg64) -> Vec<f32> {
    assert!(rows >= columns, "{rows} rows cannot have {columns} orthonormal columns");
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(columns);
    while basis.len() < columns {
        let mut column: Vec<f64> = (0..rows).map(|_| standard_normal(generator)).collect();
        for _ in 0..2 {
            for other in &basis {
                let along: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let length = column.iter().map(|a| a * a).sum::<f64>().sqrt();
        // Draws that (almost) lie in the span of the others are so unlikely that a new draw changes nothing.
        if length > 1e-6 {
            column.iter_mut().for_each(|a| *a /= length);
            basis.push(column);
        }
    }
    let entry = |index: usize| basis[index % columns][index / columns] as f32;
    (0..rows * columns).map(entry).collect()
}

/// Box and Muller 1958.
fn standard_normal(generator: &mut Pcg64) -> f64 {
    let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * generator.random::<f64>()).cos()
}
