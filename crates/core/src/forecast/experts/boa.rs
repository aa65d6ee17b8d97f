//! Bernstein online aggregation with a learning rate for each expert: O. Wintenberger, Optimal learning with Bernstein
//! Online Aggregation, Machine Learning 106 (2017) 119–141, with the absolute loss and the gradient trick.
//!
//! For an expert k that said x where the combination said ŷ and y was observed:
//!
//! ```text
//! r = sign(ŷ − y) · (ŷ − x)        the regret of the hour, by the gradient of the loss at ŷ
//! V ← V + 2.2 r²                   1/√V is the learning rate
//! R ← R + r − r²/√V                the regret so far, with the refinement of second order
//! weight ∝ w₀ · exp(R/√V) / √V     w₀ is the prior weight
//! ```
//!
//! An expert with V = 0 has had no hour in which it differed from the combination. It keeps the share of its prior weight
//! among those awake, and the others divide what is left (as in the R package `opera`): this share does not depend on the
//! unit of temperature, which V does.
//!
//! Beyond the paper: an expert that joins others begins with their learning rate, not with that of its own first hour.
//! The factor 1/√V would otherwise favour whoever is new, by the square root of how long the others have been there.

use serde::{Deserialize, Serialize};

use crate::number::to_single;

/// The factor of the squared regret in V, as in `opera` (P. Gaillard, Y. Goude).
const VARIANCE_FACTOR: f64 = 2.2;

/// How an expert has done at one lead, beside the combinations that it was part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Regret {
    /// R, the sum of the corrected regrets, °C.
    regret: f32,
    /// V, °C²; 0 before the expert has differed from a combination.
    variance: f32,
}

impl Regret {
    /// 1/√V, per °C; `None` while V = 0.
    fn rate(&self) -> Option<f64> {
        (self.variance > 0.0).then(|| 1.0 / f64::from(self.variance).sqrt())
    }

    /// ln(w₀ · exp(R/√V) / √V); `None` while V = 0.
    fn exponent(&self, prior: f32) -> Option<f64> {
        let rate = self.rate()?;
        Some(f64::from(self.regret) * rate + (f64::from(prior) * rate).ln())
    }

    /// Whether both sums are numbers that [`Regret::add`] can have made.
    pub(super) fn is_sound(&self) -> bool {
        self.regret.is_finite() && self.variance.is_finite() && self.variance >= 0.0
    }

    /// Adds an hour's regret, °C.
    fn add(&mut self, regret: f64) {
        let variance = f64::from(self.variance) + VARIANCE_FACTOR * regret * regret;
        // The square of a tiny regret may be 0: then there was none.
        if variance > 0.0 {
            self.regret = to_single(f64::from(self.regret) + regret - regret * regret / variance.sqrt());
            self.variance = to_single(variance);
        }
    }
}

/// Replaces `weights` with those of the experts that are awake, given by prior weight and regret. They sum to 1 unless
/// there is no expert.
pub(super) fn weigh(awake: impl Iterator<Item = (f32, Regret)> + Clone, weights: &mut Vec<f64>) {
    weights.clear();
    let (mut all, mut seasoned, mut highest) = (0.0, 0.0, f64::NEG_INFINITY);
    for (prior, regret) in awake.clone() {
        all += f64::from(prior);
        // What stands in the exponent; none while V = 0.
        let exponent = regret.exponent(prior).unwrap_or(f64::NAN);
        if !exponent.is_nan() {
            seasoned += f64::from(prior);
            highest = highest.max(exponent);
        }
        weights.push(exponent);
    }
    let mut sum = 0.0;
    for weight in weights.iter_mut().filter(|exponent| !exponent.is_nan()) {
        // Without the maximum, exp would overflow.
        *weight = (*weight - highest).exp();
        sum += *weight;
    }
    for ((prior, _), weight) in awake.zip(weights) {
        *weight = if weight.is_nan() { f64::from(prior) / all } else { *weight / sum * (seasoned / all) };
    }
}

/// One expert's part in a combination, when its hour has been observed.
pub(super) struct Part<'a> {
    /// What it said, °C.
    pub(super) said_c: f64,
    /// Its prior weight.
    pub(super) prior: f32,
    /// How it has done until now.
    pub(super) regret: &'a mut Regret,
}

/// Adds an hour of which the combination said `combined_c` and of which `observed_c` was observed, for those that were part
/// of it.
pub(super) fn learn(parts: &mut [Part<'_>], combined_c: f64, observed_c: f64) {
    // At the kink of the loss, 0 is a gradient too: nobody could have done better.
    let gradient = if combined_c == observed_c { 0.0 } else { (combined_c - observed_c).signum() };
    let common_variance = common_variance(parts);
    for part in parts {
        let regret = gradient * (combined_c - part.said_c);
        if regret != 0.0 {
            if let Some(variance) = common_variance.filter(|_| part.regret.variance == 0.0) {
                part.regret.variance = to_single(variance);
            }
            part.regret.add(regret);
        }
    }
}

/// The V of the mean learning rate, by weight, of those with V > 0; `None` if there is none.
fn common_variance(parts: &[Part<'_>]) -> Option<f64> {
    if parts.iter().all(|part| part.regret.variance > 0.0) {
        return None;
    }
    let seasoned = parts.iter().filter(|part| part.regret.variance > 0.0);
    let mut weights = Vec::new();
    weigh(seasoned.clone().map(|part| (part.prior, *part.regret)), &mut weights);
    let rates = seasoned.filter_map(|part| part.regret.rate());
    let rate: f64 = rates.zip(&weights).map(|(rate, weight)| rate * weight).sum();
    (rate > 0.0).then(|| 1.0 / (rate * rate))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn weights_of(experts: &[(f32, Regret)]) -> Vec<f64> {
        let mut weights = Vec::new();
        weigh(experts.iter().copied(), &mut weights);
        weights
    }

    /// Runs hours of what experts said (absent where asleep) and what was observed; gives the weights before each hour and
    /// the combinations.
    fn run(priors: &[f32], hours: &[(Vec<Option<f64>>, f64)]) -> (Vec<Vec<f64>>, Vec<f64>, Vec<Regret>) {
        let mut regrets = vec![Regret::default(); priors.len()];
        let (mut all_weights, mut combined) = (Vec::new(), Vec::new());
        for (said, observed_c) in hours {
            let awake: Vec<usize> = (0..priors.len()).filter(|&expert| said[expert].is_some()).collect();
            let of_awake: Vec<_> = awake.iter().map(|&expert| (priors[expert], regrets[expert])).collect();
            let weights = weights_of(&of_awake);
            let said_c = |expert: usize| said[expert].unwrap();
            let combined_c =
                awake.iter().zip(&weights).map(|(&expert, weight)| weight * said_c(expert)).sum();
            let mut parts: Vec<Part<'_>> = Vec::new();
            for (expert, regret) in regrets.iter_mut().enumerate() {
                if let Some(said_c) = said[expert] {
                    parts.push(Part { said_c, prior: priors[expert], regret });
                }
            }
            learn(&mut parts, combined_c, *observed_c);
            all_weights.push(weights);
            combined.push(combined_c);
        }
        (all_weights, combined, regrets)
    }

    #[derive(Deserialize)]
    struct Fixture {
        priors: Vec<f32>,
        hours: Vec<FixtureHour>,
    }

    #[derive(Deserialize)]
    struct FixtureHour {
        said: Vec<f64>,
        observed: f64,
        weights: Vec<f64>,
        combined: f64,
    }

    /// `fixtures/boa.py` computes the formulas in the head of this file with decimals of 50 digits.
    #[test]
    fn weights_and_combinations_are_those_of_an_independent_implementation() {
        let fixture: Fixture = serde_json::from_str(include_str!("fixtures/boa.json")).unwrap();
        let hours: Vec<_> = fixture
            .hours
            .iter()
            .map(|hour| (hour.said.iter().copied().map(Some).collect(), hour.observed))
            .collect();
        let (weights, combined, _) = run(&fixture.priors, &hours);
        assert!(fixture.hours.len() >= 100);
        for (index, hour) in fixture.hours.iter().enumerate() {
            assert!((combined[index] - hour.combined).abs() < 1e-4, "hour {index}");
            for (weight, expected) in weights[index].iter().zip(&hour.weights) {
                // R and V are kept in single precision.
                assert!((weight - expected).abs() < 1e-4, "hour {index}: {weight} is not {expected}");
            }
        }
    }

    /// By hand: priors 1 and 3, the first says 0, the second 4, 4 is observed. ŷ = 3 and sign(ŷ − y) = −1, so r₁ = −3 and
    /// r₂ = 1; √V = √2.2·|r|, R/√V = ±1/√2.2 − 1/2.2.
    #[test]
    fn one_hour_moves_the_weights_as_calculated_by_hand() {
        let hour = (vec![Some(0.0), Some(4.0)], 4.0);
        let (weights, combined, _) = run(&[1.0, 3.0], &[hour.clone(), hour]);
        assert_eq!(weights[0], [0.25, 0.75]);
        assert_eq!(combined[0], 3.0);
        let gain = 1.0 / 2.2_f64.sqrt();
        let first = 1.0 / 3.0 * (-gain - 1.0 / 2.2).exp();
        let second = 3.0 * (gain - 1.0 / 2.2).exp();
        assert!((weights[1][0] - first / (first + second)).abs() < 1e-6);
    }

    #[test]
    fn an_expert_that_never_differed_keeps_the_share_of_its_prior_weight() {
        // The third says nothing but what the combination says, whatever the others do.
        let mut regrets = [Regret::default(); 2];
        for _ in 0..20 {
            regrets[0].add(0.5);
            regrets[1].add(-0.5);
        }
        let weights = weights_of(&[(1.0, regrets[0]), (1.0, regrets[1]), (2.0, Regret::default())]);
        assert_eq!(weights[2], 0.5);
        assert!(weights[0] > 0.49 && weights[1] < 0.01);
    }

    #[test]
    fn a_new_expert_does_not_take_over_with_its_first_hour() {
        let hour = |newcomer: Option<f64>, index: usize| {
            let observed_c = [1.0, -1.0, 0.5][index % 3];
            (vec![Some(observed_c + 0.4), Some(observed_c - 1.2), newcomer], observed_c)
        };
        let mut hours: Vec<_> = (0..3000).map(|index| hour(None, index)).collect();
        // Close to the combination at first, so that its own V would be tiny, and then far off.
        hours.push(hour(Some(1.401), 3000));
        hours.push(hour(Some(-6.0), 3001));
        let (weights, combined, _) = run(&[1.0, 1.0, 0.5], &hours);
        let last = weights.last().unwrap();
        // Its prior weight is a fifth; with its own V of 2.2·10⁻⁶ it would have all.
        assert!(last[2] < 0.4, "{last:?}");
        assert!((combined[3001] - hours[3001].1).abs() < 2.5);
    }

    #[test]
    fn the_combination_of_a_good_and_a_bad_expert_comes_to_the_good_one_and_back() {
        let hours: Vec<_> = (0..2000)
            .map(|index| {
                let noise = [0.3, -0.2, 0.1, -0.25][index % 4];
                let (good, bad) = if index < 1000 { (noise, 3.0) } else { (-3.0, noise) };
                (vec![Some(good), Some(bad)], 0.0)
            })
            .collect();
        let (weights, ..) = run(&[1.0, 1.0], &hours);
        assert!(weights[999][0] > 0.9, "{:?}", weights[999]);
        assert!(weights[1999][1] > 0.8, "{:?}", weights[1999]);
    }

    proptest! {
        #[test]
        fn weights_are_a_distribution_whatever_was_learned(
            experts in prop::collection::vec(
                (0.001_f32..1000.0, -1e5_f32..1e5, prop_oneof![Just(0.0_f32), 1e-30_f32..1e8]), 1..8,
            )
        ) {
            let experts: Vec<_> = experts
                .into_iter()
                .map(|(prior, regret, variance)| (prior, Regret { regret, variance }))
                .collect();
            let weights = weights_of(&experts);
            prop_assert!(weights.iter().all(|weight| (0.0..=1.0 + 1e-12).contains(weight)));
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }

        /// With the learning rate 1/√V, the regret is at most √V · (ln(1/w₀) + c) and what the refinement took off:
        /// Σ r²/√V ≤ 2/2.2 · √V. c is for learning rates that change.
        #[test]
        fn the_mean_loss_of_the_combination_is_at_most_that_of_the_best_expert_and_a_little(
            said in prop::collection::vec(prop::collection::vec(-8.0_f64..8.0, 4), 400),
            offsets in prop::collection::vec(-4.0_f64..4.0, 4),
            seed in prop::collection::vec(-10.0_f64..10.0, 400),
        ) {
            let hours: Vec<_> = said
                .iter()
                .zip(&seed)
                .map(|(said, observed)| {
                    let said = said.iter().zip(&offsets);
                    (said.map(|(said, offset)| Some(observed + said * offset.abs() / 4.0 + offset)).collect(), *observed)
                })
                .collect();
            let (_, combined, regrets) = run(&[1.0; 4], &hours);
            let loss: f64 = combined.iter().zip(&hours).map(|(combined, (_, observed))| (combined - observed).abs()).sum();
            for expert in 0..4 {
                let of_expert: f64 = hours.iter().map(|(said, observed)| (said[expert].unwrap() - observed).abs()).sum();
                let deviation = f64::from(regrets[expert].variance).sqrt();
                let allowed = deviation * (4.0_f64.ln() + 2.0 / 2.2 + 0.5);
                prop_assert!(loss - of_expert <= allowed, "{} > {allowed}", loss - of_expert);
            }
        }

        #[test]
        fn the_order_of_experts_does_not_matter(
            said in prop::collection::vec((prop::collection::vec(-8.0_f64..8.0, 3), -8.0_f64..8.0), 1..60),
        ) {
            let hours: Vec<_> =
                said.iter().map(|(said, observed)| (said.iter().copied().map(Some).collect(), *observed)).collect();
            let reversed: Vec<_> = said
                .iter()
                .map(|(said, observed)| (said.iter().rev().copied().map(Some).collect(), *observed))
                .collect();
            let (_, combined, _) = run(&[1.0, 2.0, 5.0], &hours);
            let (_, again, _) = run(&[5.0, 2.0, 1.0], &reversed);
            for (left, right) in combined.iter().zip(&again) {
                prop_assert!((left - right).abs() < 1e-3);
            }
        }
    }
}
