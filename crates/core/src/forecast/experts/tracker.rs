//! Quantile trackers: how wide intervals must be so that they hold what they say.
//!
//! The P term of conformal PID control (A. N. Angelopoulos, E. J. Candès, R. J. Tibshirani, Conformal PID Control for Time
//! Series Prediction, NeurIPS 2023, arXiv:2307.16895): for a score s of which the interval shall hold 1 − α,
//!
//! ```text
//! q ← q + η · (miss − α)           miss = 1 where s > q, else 0
//! ```
//!
//! Here s is the logarithm of how far the observation lies beyond the point forecast on one side, in multiples of the
//! distance that the experts expect there. So η is scaled to the errors, a summer's and a winter's alike, and a width that
//! is wrong by a factor of ten is mended within days to two weeks. An observation on the other side of the point forecast is no miss, so that
//! an interval always holds the point; what is biased is mended by taking the bias off, not here.
//!
//! The paper bounds the difference between empirical coverage and 1 − α over T hours by (b + η)/(η T), with
//! b the range of q.

use serde::{Deserialize, Serialize};

use super::advice::{Distances, LEVELS};

/// η at a lead of one hour: the distance grows by a factor of exp(η (1 − α)) with a miss and shrinks by exp(−η α) with a hit.
const HOURLY_RATE: f32 = 0.05;

/// η at a lead. Forecasts that overlap miss together, up to as many in a row as the lead has hours: the longer the lead, the
/// less an hour says, and the later. With a larger η, widths swing, and the pinball loss grows; with a smaller one, coverage
/// over a month strays farther.
fn rate(lead_h: u16) -> f32 {
    HOURLY_RATE / f32::from(lead_h.max(1)).sqrt()
}

/// The most that a distance is stretched or compressed by: exp(±3), a factor of twenty.
const MAX_LOGARITHM: f32 = 3.0;

/// The least expected distance, °C; no thermometer tells less.
const LEAST_DISTANCE_C: f32 = 0.05;

/// The trackers of one lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Trackers {
    /// q for the lower ends of the intervals of [`LEVELS`].
    below: [f32; 3],
    /// q for the upper ends.
    above: [f32; 3],
}

impl Trackers {
    /// The distances that hold what they say, from those that are expected. Those of an outer interval are no shorter than
    /// those of an inner one.
    pub(super) fn calibrate(&self, expected: &Distances) -> Distances {
        let side = |logarithms: &[f32; 3], expected: &[f32; 3]| {
            let mut longest = 0.0_f32;
            std::array::from_fn(|level| {
                longest = longest.max(reach(logarithms[level], expected[level]));
                longest
            })
        };
        Distances { below: side(&self.below, &expected.below), above: side(&self.above, &expected.above) }
    }

    /// Learns that the observation was `error_c` above the point forecast, °C, of this lead, around which `issued` were the
    /// distances.
    ///
    /// What counts as a miss is one of the interval as it was issued, however long ago: so it is the coverage of what was
    /// issued that tends to what it says.
    pub(super) fn learn(&mut self, issued: &Distances, error_c: f32, lead_h: u16) {
        let rate = rate(lead_h);
        for (level, probability) in LEVELS.iter().enumerate() {
            let tail = (1.0 - probability) / 2.0;
            let step = |logarithm: &mut f32, issued: f32, outward_c: f32| {
                let miss = if outward_c > issued { 1.0 } else { 0.0 };
                *logarithm = (*logarithm + rate * (miss - tail)).clamp(-MAX_LOGARITHM, MAX_LOGARITHM);
            };
            step(&mut self.below[level], issued.below[level], -error_c);
            step(&mut self.above[level], issued.above[level], error_c);
        }
    }

    /// Whether these are numbers that [`Trackers::learn`] can have made.
    pub(super) fn is_sound(&self) -> bool {
        self.below.iter().chain(&self.above).all(|logarithm| logarithm.abs() <= MAX_LOGARITHM)
    }
}

/// The calibrated distance, °C.
fn reach(logarithm: f32, expected: f32) -> f32 {
    expected.max(LEAST_DISTANCE_C) * logarithm.exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Coverage of the three intervals over the second half of errors drawn by `draw`.
    fn coverage(expected: &Distances, hours: usize, mut draw: impl FnMut(usize) -> f32) -> [f64; 3] {
        let mut trackers = Trackers::default();
        let mut hits = [0; 3];
        for hour in 0..2 * hours {
            let error_c = draw(hour);
            let ends = trackers.calibrate(expected);
            if hour >= hours {
                for (level, hits) in hits.iter_mut().enumerate() {
                    *hits += usize::from(-ends.below[level] <= error_c && error_c <= ends.above[level]);
                }
            }
            trackers.learn(&ends, error_c, 4);
        }
        hits.map(|hits| hits as f64 / hours as f64)
    }

    #[test]
    fn a_miss_and_a_hit_move_the_ends_by_what_the_formula_says() {
        let expected = Distances { below: [1.0, 2.0, 3.0], above: [1.0, 2.0, 3.0] };
        let mut trackers = Trackers::default();
        trackers.learn(&expected, 2.5, 4);
        let ends = trackers.calibrate(&expected);
        // η is 0.05/√4. Above: beyond the first and the second end, within the third. Below: no miss anywhere.
        let (missed, hit) = (|tail: f32| (0.025 * (1.0 - tail)).exp(), |tail: f32| (-0.025 * tail).exp());
        let above = [1.0 * missed(0.25), 2.0 * missed(0.1), 3.0 * hit(0.05)];
        let below = [1.0 * hit(0.25), 2.0 * hit(0.1), 3.0 * hit(0.05)];
        for level in 0..3 {
            assert!((ends.above[level] - above[level]).abs() < 1e-5);
            assert!((ends.below[level] - below[level]).abs() < 1e-5);
        }
    }

    #[test]
    fn intervals_hold_what_they_say_whatever_the_errors_and_the_expected_width() {
        let mut random = rand_pcg::Pcg64::seed_from_u64(7);
        for (scale, skew, expected_c) in [(1.0, 0.0, 1.0), (3.0, 0.3, 0.4), (0.3, 0.0, 1.0)] {
            let expected = Distances::from_mae(expected_c);
            let draw = |_| scale * (random.random::<f32>() + random.random::<f32>() - 1.0) + skew;
            for (share, level) in coverage(&expected, 2000, draw).iter().zip(LEVELS) {
                assert!((share - f64::from(level)).abs() < 0.02, "{share} is not {level} at {scale}, {skew}");
            }
        }
    }

    #[test]
    fn intervals_hold_what_they_say_through_a_year_whose_errors_double() {
        let mut random = rand_pcg::Pcg64::seed_from_u64(8);
        let draw = |hour: usize| {
            let season = 1.5 + (hour as f32 / 1400.0).sin();
            season * (random.random::<f32>() - random.random::<f32>())
        };
        for (share, level) in coverage(&Distances::from_mae(0.5), 8760, draw).iter().zip(LEVELS) {
            assert!((share - f64::from(level)).abs() < 0.02, "{share} is not {level}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_never_cross(
            errors in prop::collection::vec(-40.0_f32..40.0, 0..300),
            expected in prop::array::uniform3(0.0_f32..12.0),
        ) {
            let expected = Distances { below: expected, above: [0.3, 0.1, 0.2] };
            let mut trackers = Trackers::default();
            for error_c in errors {
                let ends = trackers.calibrate(&expected);
                trackers.learn(&ends, error_c, 4);
                prop_assert!(trackers.is_sound());
                let ends = trackers.calibrate(&expected);
                prop_assert!(ends.is_finite());
                for side in [ends.below, ends.above] {
                    prop_assert!(side[0] > 0.0 && side[0] <= side[1] && side[1] <= side[2]);
                }
            }
        }
    }
}
