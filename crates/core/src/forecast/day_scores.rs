//! How good what is said of days ahead has been: the sums of its scores.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::experts::QUANTILES;
use super::from_centidegrees;
use super::lead_scores::rolling_weight;

/// The most thresholds: frost, and the user's own.
pub(super) const MAX_THRESHOLDS: usize = 2;

/// The interval that is published, 0.1 to 0.9, among [`QUANTILES`].
const INTERVAL: (usize, usize) = (1, 5);

/// How one day ahead was forecast, once it is over.
#[derive(Debug, Clone, PartialEq)]
pub struct DayScore {
    pub(super) over_s: i64,
    pub(super) totals: DayTotals,
}

/// Quantiles in centidegrees.
pub(super) type Kept = [i16; QUANTILES.len()];

/// Weighted sums over the scores of one extreme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ExtremeTotals {
    /// Sum of the weights.
    pub weight: f64,
    /// Sum of the pinball losses, each the mean over the quantiles, °C.
    pub pinball: f64,
    /// The same of the reference.
    pub reference_pinball: f64,
    /// Sum of the absolute errors of the median, °C.
    pub absolute: f64,
    /// Weight of those that lay within the interval of 80 %.
    pub hits: f64,
}

impl ExtremeTotals {
    /// Mean pinball loss over the quantiles, °C; `None` before the first score.
    pub fn pinball_c(&self) -> Option<f64> {
        ratio(self.pinball, self.weight)
    }

    /// The same of the reference.
    pub fn reference_pinball_c(&self) -> Option<f64> {
        ratio(self.reference_pinball, self.weight)
    }

    /// Mean absolute error of the median, °C.
    pub fn mae_c(&self) -> Option<f64> {
        ratio(self.absolute, self.weight)
    }

    /// The empirical coverage of the interval.
    pub fn coverage(&self) -> Option<f64> {
        ratio(self.hits, self.weight)
    }

    pub(super) fn add(&mut self, quantiles: &Kept, reference: &[f64; QUANTILES.len()], observed: i16) {
        let own = quantiles.map(|own| f64::from(from_centidegrees(own)));
        let observed_c = f64::from(from_centidegrees(observed));
        self.weight += 1.0;
        self.pinball += pinball(&own, observed_c);
        self.reference_pinball += pinball(reference, observed_c);
        self.absolute += (own[QUANTILES.len() / 2] - observed_c).abs();
        self.hits += f64::from(u8::from((quantiles[INTERVAL.0]..=quantiles[INTERVAL.1]).contains(&observed)));
    }

    pub(super) fn scale(&mut self, factor: f64) {
        for sum in [
            &mut self.weight,
            &mut self.pinball,
            &mut self.reference_pinball,
            &mut self.absolute,
            &mut self.hits,
        ] {
            *sum *= factor;
        }
    }

    pub(super) fn merge(&mut self, other: &ExtremeTotals, factor: f64) {
        self.weight += factor * other.weight;
        self.pinball += factor * other.pinball;
        self.reference_pinball += factor * other.reference_pinball;
        self.absolute += factor * other.absolute;
        self.hits += factor * other.hits;
    }
}

/// Weighted sums over the scores of one threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct BelowTotals {
    /// The threshold, centidegrees.
    threshold: i16,
    /// Sum of the weights.
    pub weight: f64,
    /// Sum of the Brier scores.
    pub brier: f64,
    /// The same of the reference.
    pub reference_brier: f64,
    /// Weight of the days on which it became colder.
    pub happened: f64,
}

impl BelowTotals {
    /// The threshold, °C.
    pub fn threshold_c(&self) -> f32 {
        from_centidegrees(self.threshold)
    }

    /// Mean Brier score, (probability − outcome)², 0 to 1 (G. W. Brier, Monthly Weather Review 78, 1950, of two classes,
    /// halved, as it is used today); `None` before the first score.
    pub fn brier_score(&self) -> Option<f64> {
        ratio(self.brier, self.weight)
    }

    /// The same of the reference.
    pub fn reference_brier_score(&self) -> Option<f64> {
        ratio(self.reference_brier, self.weight)
    }

    /// How often it became colder.
    pub fn frequency(&self) -> Option<f64> {
        ratio(self.happened, self.weight)
    }

    pub(super) fn merge(&mut self, other: &BelowTotals, factor: f64) {
        self.weight += factor * other.weight;
        self.brier += factor * other.brier;
        self.reference_brier += factor * other.reference_brier;
        self.happened += factor * other.happened;
    }
}

/// Sums over the scores of days ahead.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DayTotals {
    /// Of the lowest temperature.
    pub lowest: ExtremeTotals,
    /// Of the highest.
    pub highest: ExtremeTotals,
    /// By threshold, in the order in which they were said.
    pub below: Vec<BelowTotals>,
}

impl DayTotals {
    pub(super) fn scale(&mut self, factor: f64) {
        self.lowest.scale(factor);
        self.highest.scale(factor);
        for below in &mut self.below {
            let before = std::mem::replace(
                below,
                BelowTotals { threshold: below.threshold, ..BelowTotals::default() },
            );
            below.merge(&before, factor);
        }
    }

    pub(super) fn merge(&mut self, other: &DayTotals, factor: f64) {
        self.lowest.merge(&other.lowest, factor);
        self.highest.merge(&other.highest, factor);
        for own in &other.below {
            self.below(own.threshold).merge(own, factor);
        }
    }

    /// The sums of a threshold. Where there are too many, the one of before that is not frost gives way.
    pub(super) fn below(&mut self, threshold: i16) -> &mut BelowTotals {
        let index = match self.below.iter().position(|below| below.threshold == threshold) {
            Some(index) => index,
            None => {
                if self.below.len() >= MAX_THRESHOLDS {
                    let other = self.below.iter().position(|below| below.threshold != 0).unwrap_or(0);
                    self.below.remove(other);
                }
                self.below.push(BelowTotals { threshold, ..BelowTotals::default() });
                self.below.len() - 1
            }
        };
        &mut self.below[index]
    }
}

/// How good what was said of the hours ahead has been: since the beginning, and lately.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DayScores {
    /// Over all scores.
    pub lifetime: DayTotals,
    /// Weighted by exp(−age / [`ROLLING_DAYS`](super::lead_scores::ROLLING_DAYS)), age counted from the newest score.
    pub rolling: DayTotals,
    /// Second at which the newest day that was scored was over.
    pub(super) newest_s: i64,
}

impl DayScores {
    /// Whether there is no score yet.
    pub fn is_empty(&self) -> bool {
        self.lifetime.lowest.weight == 0.0
    }

    /// Adds a score.
    pub fn add(&mut self, score: &DayScore) {
        self.age_until(score.over_s);
        // Days are scored in the order in which they end, but for those of other stations.
        let weight = rolling_weight(self.newest_s - score.over_s);
        self.lifetime.merge(&score.totals, 1.0);
        self.rolling.merge(&score.totals, weight);
    }

    /// Adds the scores of another station.
    pub fn merge(&mut self, other: &DayScores) {
        if other.is_empty() {
            return;
        }
        self.age_until(other.newest_s);
        self.lifetime.merge(&other.lifetime, 1.0);
        self.rolling.merge(&other.rolling, rolling_weight(self.newest_s - other.newest_s));
    }

    pub(super) fn age_until(&mut self, time_s: i64) {
        if self.is_empty() {
            self.newest_s = time_s;
        }
        if time_s > self.newest_s {
            self.rolling.scale(rolling_weight(time_s - self.newest_s));
            self.newest_s = time_s;
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        let totals = [&self.lifetime, &self.rolling];
        totals.iter().all(|totals| {
            let sums = [&totals.lowest, &totals.highest];
            let extremes = sums.iter().all(|sums| {
                [sums.weight, sums.pinball, sums.reference_pinball, sums.absolute, sums.hits]
                    .iter()
                    .all(is_sum)
            });
            let below = totals.below.iter().all(|below| {
                [below.weight, below.brier, below.reference_brier, below.happened].iter().all(is_sum)
            });
            extremes && below && totals.below.len() <= MAX_THRESHOLDS
        }) && Timestamp::from_second(self.newest_s).is_ok()
    }
}

fn is_sum(sum: &f64) -> bool {
    sum.is_finite() && *sum >= 0.0
}

pub(super) fn ratio(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

/// The mean over [`QUANTILES`] of the pinball loss max(τ (y − q), (τ − 1) (y − q)) (R. Koenker and G. Bassett, Econometrica 46,
/// 1978), °C.
fn pinball(quantiles: &[f64; QUANTILES.len()], observed_c: f64) -> f64 {
    let losses = QUANTILES.iter().zip(quantiles).map(|(&level, quantile)| {
        let beyond = observed_c - quantile;
        (f64::from(level) * beyond).max((f64::from(level) - 1.0) * beyond)
    });
    losses.sum::<f64>() / QUANTILES.len() as f64
}
