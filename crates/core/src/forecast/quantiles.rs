//! What quantiles say of a threshold, and quantiles that cross put in order.

use super::experts::QUANTILES;

/// Puts quantiles in order: one that lies beyond a neighbour nearer to the median is moved there, so that they rise and the
/// median, at the position `median`, stays.
pub(crate) fn move_outward(values: &mut [f32], median: usize) {
    for level in (0..median).rev() {
        values[level] = values[level].min(values[level + 1]);
    }
    for level in median + 1..values.len() {
        values[level] = values[level].max(values[level - 1]);
    }
}

/// The quantiles of [`QUANTILES`] among `values`, which are quantiles at the levels `levels`; `None` unless all are there.
pub(crate) fn published(levels: &[f32], values: &[f32]) -> Option<[f32; QUANTILES.len()]> {
    let mut own = [0.0; QUANTILES.len()];
    for (own, wanted) in own.iter_mut().zip(QUANTILES) {
        let level = levels.iter().position(|level| (level - wanted).abs() < 1e-4)?;
        *own = *values.get(level)?;
    }
    Some(own)
}

/// The probability that a quantity is below `threshold`, when its quantiles at the levels `levels` (rising, within 0 to 1)
/// are `values` (in the same order, rising).
///
/// Between two quantiles the probability is linear; beyond the outermost the density falls off exponentially, from what it is
/// beside them. `None` without two quantiles.
pub fn probability_below(levels: &[f32], values: &[f32], threshold: f32) -> Option<f32> {
    let last = levels.len().min(values.len()).checked_sub(1).filter(|&last| last > 0)?;
    // A tail of the mass p that joins a segment of the mass d over the width w without a step has the scale p·w/d.
    let tail = |mass: f32, inner: usize, outer: usize, distance: f32| {
        let width = (values[inner] - values[outer]).abs();
        let scale = mass * width / (levels[inner] - levels[outer]).abs();
        if scale > 0.0 { mass * (-distance / scale).exp() } else { 0.0 }
    };
    if threshold < values[0] {
        return Some(tail(levels[0], 1, 0, values[0] - threshold));
    }
    if threshold >= values[last] {
        return Some(1.0 - tail(1.0 - levels[last], last - 1, last, threshold - values[last]));
    }
    let above = values[..=last].partition_point(|&value| value <= threshold);
    let (low, high) = (values[above - 1], values[above]);
    let share = (threshold - low) / (high - low);
    Some(levels[above - 1] + share * (levels[above] - levels[above - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEVELS: [f32; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

    #[test]
    fn a_quantile_has_the_probability_of_its_level() {
        let values = [-3.0, -2.0, -0.5, 1.0, 2.0, 4.0, 5.0];
        for (level, value) in LEVELS.iter().zip(values) {
            let found = probability_below(&LEVELS, &values, value).unwrap();
            assert!((found - level).abs() < 1e-6, "{level}: {found}");
        }
        // Half way between the quartile and the median.
        assert_eq!(probability_below(&LEVELS, &values, 0.25), Some(0.375));
        // One width of 1 °C that holds as much as the tail: e-fold.
        let below = probability_below(&LEVELS, &values, -4.0).unwrap();
        assert!((below - 0.05 / std::f32::consts::E).abs() < 1e-6);
    }

    #[test]
    fn quantiles_that_cross_are_moved_to_their_neighbour_and_the_median_stays() {
        let mut crossed = [-1.0, -3.0, 1.0, 0.5, 0.0, 4.0, 3.0];
        move_outward(&mut crossed, 3);
        assert_eq!(crossed, [-3.0, -3.0, 0.5, 0.5, 0.5, 4.0, 4.0]);
    }

    #[test]
    fn the_quantiles_that_are_published_are_found_among_others() {
        let five = [0.1, 0.25, 0.5, 0.75, 0.9];
        assert_eq!(published(&five, &[0.0; 5]), None, "two are not there");
        let more = [0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];
        assert_eq!(
            published(&more, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
            Some([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
        );
    }

    proptest! {
        #[test]
        fn probabilities_rise_with_the_threshold_and_stay_within_0_and_1(
            steps in prop::collection::vec(0.0_f32..5.0, 7),
            thresholds in prop::collection::vec(-40.0_f32..40.0, 2..20),
        ) {
            let mut value = -10.0;
            let values: Vec<f32> = steps.iter().map(|step| { value += step; value }).collect();
            let mut thresholds = thresholds;
            thresholds.sort_by(f32::total_cmp);
            let mut before = 0.0;
            for threshold in thresholds {
                let probability = probability_below(&LEVELS, &values, threshold).unwrap();
                prop_assert!((0.0..=1.0).contains(&probability));
                prop_assert!(probability >= before - 1e-6);
                before = probability;
            }
        }
    }
}
