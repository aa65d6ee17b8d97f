//! How wide an interval must be: stretched about the median, by lead, until it holds the share of outcomes that it should
//! (split conformal prediction). The score of an outcome is its distance from the median in half-widths of its side, which
//! is that of Kivaranovic, Johnson and Leeb 2020 (arXiv:1905.10634), called CQR-m by Sesia and Candès 2020
//! (arXiv:1909.05433), and one more than it; conformalised quantile regression itself (Romano et al. 2019,
//! arXiv:1905.03222) adds the same to every interval instead. What outcomes are compared with must not have been learned
//! from them; where several networks, each kept from a block of the record, are asked for their block, all blocks count
//! together (cross-conformal prediction; Vovk 2015, doi:10.1007/s10472-013-9368-4).

/// The lowest quantile, the median and the highest of a forecast.
pub(crate) type Quantiles = [f32; 3];

/// By lead, how far outcomes lay from the median, in units of the interval's own half-width on that side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Distances(Vec<Vec<f32>>);

impl Distances {
    /// None, for so many leads.
    pub(crate) fn none(leads: usize) -> Distances {
        Distances(vec![Vec::new(); leads])
    }

    /// Adds an outcome that was forecast.
    pub(crate) fn add(&mut self, lead: usize, [low, median, high]: Quantiles, outcome: f32) {
        // An interval without width could never be stretched far enough.
        const THIN: f32 = 1e-3;
        let below = (median - outcome) / (median - low).max(THIN);
        let above = (outcome - median) / (high - median).max(THIN);
        self.0[lead].push(below.max(above));
    }

    /// By lead, what half-widths must be multiplied with for the interval to hold `coverage` of the outcomes to come: of
    /// `n` distances the ⌈(n + 1) · coverage⌉-th smallest, so that the share is held on average whatever `n` is. With so
    /// few that none is that far, the farthest; 1 where there was none.
    pub(crate) fn half_width_factors(mut self, coverage: f64) -> Vec<f32> {
        let of_lead = |distances: &mut Vec<f32>| {
            distances.sort_unstable_by(f32::total_cmp);
            let rank = rank_to_cover(distances.len(), coverage).min(distances.len());
            let farthest_held = rank.checked_sub(1).and_then(|index| distances.get(index));
            farthest_held.copied().unwrap_or(1.0).max(0.1)
        };
        self.0.iter_mut().map(of_lead).collect()
    }
}

/// The finite-sample rank of split conformal prediction: ⌈(n + 1) · coverage⌉, counted from 1.
fn rank_to_cover(n: usize, coverage: f64) -> usize {
    // 0.8 is a little more than four fifths, which must not cost a rank where the product is whole.
    const ROUNDING: f64 = 1e-9;
    ((n + 1) as f64 * coverage - ROUNDING).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64;

    /// Outcomes between −1 and 1, uniformly, and an interval that is too narrow below and far too wide above.
    fn coverage(stretch: f32, generator: &mut Pcg64) -> f64 {
        let held = (0..20_000).filter(|_| {
            let outcome: f32 = generator.random_range(-1.0..1.0);
            (-0.25 * stretch..=2.0 * stretch).contains(&outcome)
        });
        held.count() as f64 / 20_000.0
    }

    #[test]
    fn the_interval_holds_its_share_of_what_it_has_not_seen() {
        let mut generator = Pcg64::seed_from_u64(1);
        let mut distances = Distances::none(2);
        for _ in 0..20_000 {
            distances.add(1, [-0.25, 0.0, 2.0], generator.random_range(-1.0..1.0));
        }
        let stretch = distances.half_width_factors(0.8);
        assert_eq!(stretch[0], 1.0, "nothing is known of the first lead");
        let share = coverage(stretch[1], &mut generator);
        // Two samples of 20,000, each with a standard error of 0.003.
        assert!((share - 0.8).abs() < 0.017, "{share}");
        assert!((coverage(1.0, &mut generator) - 0.8).abs() > 0.1, "as it was it did not");
    }

    #[test]
    fn the_rank_is_that_of_one_outcome_more() {
        for (n, rank) in
            [(0, 1), (1, 2), (3, 4), (4, 4), (5, 5), (8, 8), (9, 8), (99, 80), (100, 81), (20_000, 16_001)]
        {
            assert_eq!(rank_to_cover(n, 0.8), rank, "{n}");
        }
    }

    #[test]
    fn nine_distances_hold_four_fifths_with_the_eighth_and_three_with_the_farthest() {
        let stretch = |count: u8| {
            let mut distances = Distances::none(1);
            (1..=count).for_each(|outcome| distances.add(0, [-1.0, 0.0, 1.0], f32::from(outcome)));
            distances.half_width_factors(0.8)[0]
        };
        assert_eq!(stretch(9), 8.0);
        assert_eq!(stretch(3), 3.0);
    }

    #[test]
    fn an_interval_without_width_gives_a_number() {
        let mut distances = Distances::none(1);
        distances.add(0, [0.0, 0.0, 0.0], 1.0);
        assert!(distances.half_width_factors(0.8)[0].is_finite());
    }
}
