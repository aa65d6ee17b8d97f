//! Normalisation: each feature minus its mean over the training part, divided by its standard deviation.

use serde::{Deserialize, Serialize};

use crate::number::to_single;

/// Mean and standard deviation of each feature, in the feature's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Mean of each feature.
    pub mean: Vec<f32>,
    /// Standard deviation of each feature; never zero.
    pub standard_deviation: Vec<f32>,
}

impl Normalisation {
    /// Statistics of `rows`, each of `features` numbers; rows with a NaN are left out. A feature that does not
    /// vary gets the standard deviation 1. `None` when there is no whole row.
    pub fn fit(rows: &[f32], features: usize) -> Option<Normalisation> {
        let whole = || rows.chunks_exact(features).filter(|row| row.iter().all(|value| value.is_finite()));
        let count = whole().count() as f64;
        if count == 0.0 {
            return None;
        }
        let mut mean = vec![0.0_f64; features];
        for row in whole() {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += f64::from(*value) / count;
            }
        }
        let mut variance = vec![0.0_f64; features];
        for row in whole() {
            for ((variance, mean), value) in variance.iter_mut().zip(&mean).zip(row) {
                *variance += (f64::from(*value) - mean).powi(2) / count;
            }
        }
        let deviation = |variance: f64| if variance > 1e-12 { to_single(variance.sqrt()) } else { 1.0 };
        Some(Normalisation {
            mean: mean.into_iter().map(to_single).collect(),
            standard_deviation: variance.into_iter().map(deviation).collect(),
        })
    }

    /// Normalises rows of features in place. A value that is missing, NaN, becomes zero: the mean.
    pub fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len()) {
            for ((value, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.standard_deviation) {
                *value = if value.is_nan() { 0.0 } else { (*value - mean) / deviation };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_the_population_s_and_rows_with_holes_do_not_count() {
        let rows = [1.0, 5.0, 3.0, 5.0, f32::NAN, 9.0, 5.0, 5.0];
        let normalisation = Normalisation::fit(&rows, 2).unwrap();
        assert_eq!(normalisation.mean, [3.0, 5.0]);
        let deviation = (8.0_f32 / 3.0).sqrt();
        assert!((normalisation.standard_deviation[0] - deviation).abs() < 1e-6);
        assert_eq!(normalisation.standard_deviation[1], 1.0);
        let mut row = [3.0 + deviation, 7.0];
        normalisation.apply(&mut row);
        assert!((row[0] - 1.0).abs() < 1e-6);
        assert_eq!(row[1], 2.0);
        let mut missing = [f32::NAN, 5.0];
        normalisation.apply(&mut missing);
        assert_eq!(missing, [0.0, 0.0]);
        assert_eq!(Normalisation::fit(&[f32::NAN], 1), None);
    }
}
