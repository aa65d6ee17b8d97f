//! What one expert says of one lead: a temperature, and how far the observation may lie from it.

/// The prior weight of a model, beside the five of the reference experts together: a model is trusted, and one that is wrong
/// loses its weight within days.
pub const MODEL_PRIOR: f32 = 20.0;

/// The prior weight of a model that joins beside the main one: as much as the reference experts together. Until its first
/// hours have come it has no more say than this, however good its file says it is.
pub(crate) const SPECIALIST_PRIOR: f32 = 5.0;

/// The probabilities of the central intervals, from the inner to the outer.
pub const LEVELS: [f32; 3] = [0.5, 0.8, 0.9];

/// The quantiles of a combination, rising: the lower ends of the intervals from the outer to the inner, the median, the
/// upper ends.
pub const QUANTILES: [f32; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

/// Ends of the central intervals of a normal distribution, in standard deviations: quantiles 0.75, 0.9 and 0.95.
pub(super) const NORMAL_ENDS: [f32; 3] = [0.674_489_8, 1.281_551_6, 1.644_853_6];

/// The mean absolute deviation of a normal distribution in standard deviations, √(2/π).
const NORMAL_MAE: f32 = 0.797_884_6;

/// Distances from the point forecast to the ends of the intervals of [`LEVELS`], outward, °C.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Distances {
    /// To the lower ends, from the inner interval to the outer.
    pub below: [f32; 3],
    /// To the upper ends.
    pub above: [f32; 3],
}

impl Distances {
    /// Those of a normal distribution with this mean absolute error.
    pub fn from_mae(mae_c: f32) -> Distances {
        let ends = NORMAL_ENDS.map(|end| end / NORMAL_MAE * mae_c);
        Distances { below: ends, above: ends }
    }

    /// Those of quantiles `(probability, °C)` around a point forecast. Ends that are not among the quantiles lie as those of
    /// a normal distribution lie to the nearest that is; quantiles that cross are put in order.
    ///
    /// `None` unless there is a finite quantile of [`QUANTILES`] on either side.
    pub fn from_quantiles(point_c: f32, quantiles: &[(f32, f32)]) -> Option<Distances> {
        let side = |is_above: bool| {
            let known: [Option<f32>; 3] = std::array::from_fn(|level| {
                let tail = (1.0 - LEVELS[level]) / 2.0;
                let probability = if is_above { 1.0 - tail } else { tail };
                let (_, end_c) = quantiles.iter().find(|(own, _)| (own - probability).abs() < 1e-4)?;
                let distance = if is_above { end_c - point_c } else { point_c - end_c };
                distance.is_finite().then_some(distance.max(0.0))
            });
            let mut ends = [0.0_f32; 3];
            let mut least = 0.0_f32;
            for level in 0..3 {
                let from = (0..3)
                    .filter(|&other| known[other].is_some())
                    .min_by_key(|other| other.abs_diff(level))?;
                let end = known[from]? * NORMAL_ENDS[level] / NORMAL_ENDS[from];
                least = least.max(end);
                ends[level] = least;
            }
            Some(ends)
        };
        Some(Distances { below: side(false)?, above: side(true)? })
    }

    pub(super) fn is_finite(&self) -> bool {
        self.below.iter().chain(&self.above).all(|distance| distance.is_finite() && *distance >= 0.0)
    }
}

/// How far the observation may lie from what an expert says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// The expert's own quantiles.
    Distances(Distances),
    /// The expert gives a point. Until its own errors at the station are known, this is taken for its mean absolute error,
    /// °C.
    TypicalMae(f32),
}

/// What an expert says of one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeadAdvice {
    /// The temperature that the expert expects, °C.
    pub temperature_c: f32,
    /// How far from it the observation may lie.
    pub spread: Spread,
}

/// What an expert says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advice<'a> {
    /// The expert's name, by which its record is kept.
    pub name: &'a str,
    /// Its prior weight, in the ratio to those of the others; positive.
    pub prior: f32,
    /// By lead, in the order of the leads of [`super::Experts`]; an expert is asleep where it says nothing.
    pub leads: &'a [Option<LeadAdvice>],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_a_normal_distribution_follow_from_its_mean_absolute_error() {
        // Standard deviation 2: MAE = 2·√(2/π), quantiles 0.25, 0.1, 0.05 at −1.349, −2.563, −3.290.
        let distances = Distances::from_mae(2.0 * (2.0 / std::f32::consts::PI).sqrt());
        for (distance, expected) in distances.below.iter().zip([1.348_98, 2.563_1, 3.289_71]) {
            assert!((distance - expected).abs() < 1e-4);
        }
        assert_eq!(distances.below, distances.above);
    }

    #[test]
    fn quantiles_that_are_missing_lie_where_a_normal_distribution_has_them() {
        let distances = Distances::from_quantiles(10.0, &[(0.1, 8.0), (0.5, 10.0), (0.9, 13.0)]).unwrap();
        assert_eq!((distances.below[1], distances.above[1]), (2.0, 3.0));
        assert!((distances.below[2] / 2.0 - 1.644_853_6 / 1.281_551_6).abs() < 1e-6);
        assert!((distances.above[0] / 3.0 - 0.674_489_8 / 1.281_551_6).abs() < 1e-6);
        let all: Vec<(f32, f32)> =
            QUANTILES.iter().map(|&probability| (probability, 20.0 * probability)).collect();
        let distances = Distances::from_quantiles(10.0, &all).unwrap();
        for (distance, expected) in distances.above.iter().zip([5.0, 8.0, 9.0]) {
            assert!((distance - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn quantiles_that_cross_are_put_in_order_and_one_side_alone_is_no_interval() {
        let crossed = [(0.05, 9.0), (0.1, 7.0), (0.25, 10.5), (0.75, 11.0), (0.9, 10.0), (0.95, 12.0)];
        let distances = Distances::from_quantiles(10.0, &crossed).unwrap();
        assert_eq!(distances, Distances { below: [0.0, 3.0, 3.0], above: [1.0, 1.0, 2.0] });
        assert_eq!(Distances::from_quantiles(10.0, &[(0.1, 9.0)]), None);
        assert_eq!(Distances::from_quantiles(10.0, &[(0.1, f32::NAN), (0.9, 11.0)]), None);
    }
}
