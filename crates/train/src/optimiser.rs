//! Optimisers on plain numbers: RMSprop as Keras has it, AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
//!
//! burn's own keep their state by tensor and parameter identity; here it is two vectors, which a checkpoint holds
//! exactly. Keras' RMSprop also adds its ε after the root, which matters for comparison with Keras' figures.

use serde::{Deserialize, Serialize};

/// Which optimiser, and its constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimiserKind {
    /// RMSprop with Keras' constants: ρ 0.9, ε 10⁻⁷.
    RmsProp,
    /// AdamW with β 0.9 and 0.999, ε 10⁻⁸.
    AdamW {
        /// Weight decay, decoupled: the share of each weight that is lost per step and unit of learning rate.
        weight_decay: f32,
    },
}

/// An optimiser with its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimiser {
    kind: OptimiserKind,
    /// The number of steps made, by which running means are corrected.
    pub steps: u64,
    /// Running mean of gradients; empty for RMSprop.
    pub first: Vec<f32>,
    /// Running mean of squared gradients.
    pub second: Vec<f32>,
}

impl Optimiser {
    /// An optimiser for so many parameters.
    pub fn new(kind: OptimiserKind, parameters: usize) -> Optimiser {
        let first = match kind {
            OptimiserKind::RmsProp => Vec::new(),
            OptimiserKind::AdamW { .. } => vec![0.0; parameters],
        };
        Optimiser { kind, steps: 0, first, second: vec![0.0; parameters] }
    }

    /// Moves `values` against `gradients`.
    pub fn step(&mut self, learning_rate: f64, values: &mut [f32], gradients: &[f32]) {
        self.steps += 1;
        match self.kind {
            OptimiserKind::RmsProp => {
                const RHO: f32 = 0.9;
                const EPSILON: f32 = 1e-7;
                let rate = learning_rate as f32;
                for ((value, gradient), second) in values.iter_mut().zip(gradients).zip(&mut self.second) {
                    *second = RHO * *second + (1.0 - RHO) * gradient * gradient;
                    *value -= rate * gradient / (second.sqrt() + EPSILON);
                }
            }
            OptimiserKind::AdamW { weight_decay } => {
                const BETA: (f64, f64) = (0.9, 0.999);
                const EPSILON: f32 = 1e-8;
                let (beta_1, beta_2) = (BETA.0 as f32, BETA.1 as f32);
                let steps = self.steps as i32;
                let rate = (learning_rate / (1.0 - BETA.0.powi(steps))) as f32;
                let root = (1.0 - BETA.1.powi(steps)).sqrt() as f32;
                let kept = 1.0 - learning_rate as f32 * weight_decay;
                let moments = self.first.iter_mut().zip(&mut self.second);
                for ((value, gradient), (first, second)) in values.iter_mut().zip(gradients).zip(moments) {
                    *first = beta_1 * *first + (1.0 - beta_1) * gradient;
                    *second = beta_2 * *second + (1.0 - beta_2) * gradient * gradient;
                    *value = kept * *value - rate * *first / (second.sqrt() / root + EPSILON);
                }
            }
        }
    }
}

/// Scales `gradients` so that their Euclidean norm is at most `limit`; gives the norm before.
pub fn clip_norm(gradients: &mut [f32], limit: f64) -> f64 {
    let norm = gradients.iter().map(|&gradient| f64::from(gradient).powi(2)).sum::<f64>().sqrt();
    if norm > limit {
        let factor = (limit / norm) as f32;
        gradients.iter_mut().for_each(|gradient| *gradient *= factor);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps worked out by hand: g = 2 then −1, learning rate 0.1.
    #[test]
    fn rmsprop_divides_by_the_running_root_mean_square() {
        let mut optimiser = Optimiser::new(OptimiserKind::RmsProp, 1);
        let mut value = [1.0];
        optimiser.step(0.1, &mut value, &[2.0]);
        assert!((value[0] - (1.0 - 0.1 * 2.0 / 0.4_f32.sqrt())).abs() < 1e-6);
        optimiser.step(0.1, &mut value, &[-1.0]);
        let expected = 1.0 - 0.2 / 0.4_f32.sqrt() + 0.1 / 0.46_f32.sqrt();
        assert!((value[0] - expected).abs() < 1e-6);
    }

    /// Adam's first step is the learning rate in the direction of the gradient's sign, whatever its size.
    #[test]
    fn adamw_takes_a_first_step_of_the_learning_rate_and_decays() {
        let mut optimiser = Optimiser::new(OptimiserKind::AdamW { weight_decay: 0.5 }, 2);
        let mut values = [1.0, -3.0];
        optimiser.step(0.01, &mut values, &[100.0, -0.001]);
        assert!((values[0] - (1.0 * 0.995 - 0.01)).abs() < 1e-5);
        assert!((values[1] - (-3.0 * 0.995 + 0.01)).abs() < 1e-5);
    }

    #[test]
    fn long_gradients_are_shortened_and_short_ones_kept() {
        let mut gradients = [3.0, 4.0];
        assert_eq!(clip_norm(&mut gradients, 10.0), 5.0);
        assert_eq!(gradients, [3.0, 4.0]);
        assert_eq!(clip_norm(&mut gradients, 1.0), 5.0);
        assert!((gradients[0] - 0.6).abs() < 1e-6 && (gradients[1] - 0.8).abs() < 1e-6);
    }
}
