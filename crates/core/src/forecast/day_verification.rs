//! Verification of the extremes ahead: what was said of the lowest and the highest temperature, and how likely frost was, is
//! scored when the hours are over, beside what the station's own last days let expect.
//!
//! The first forecast of each hour counts, whatever the cadence, as for the experts. The hours are looked at one by one as
//! they come, so that nothing is needed of a history but its newest hour; a day of which an hour was not observed is not
//! scored. The reference is the station's own: the empirical quantiles of its extremes, one a day, of up to
//! [`REFERENCE_DAYS`] days that were over at the origin, and how many of these were below the threshold.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::day_ahead::{DayAhead, Extreme, from_thousandths, to_thousandths};
use super::experts::QUANTILES;
use super::verification::rolling_weight;
use super::{from_centidegrees, to_centidegrees};

/// The most days that the reference looks at.
const REFERENCE_DAYS: usize = 30;

/// The fewest days that it needs. Without so many, nothing is scored: all numbers are over the same days.
const LEAST_DAYS: usize = 5;

/// The most thresholds: frost, and the user's own.
const MAX_THRESHOLDS: usize = 2;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

/// The interval that is published, 0.1 to 0.9, among [`QUANTILES`].
const INTERVAL: (usize, usize) = (1, 5);

/// Quantiles in centidegrees.
type Kept = [i16; QUANTILES.len()];

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

    fn add(&mut self, quantiles: &Kept, reference: &[f64; QUANTILES.len()], observed: i16) {
        let own = quantiles.map(|own| f64::from(from_centidegrees(own)));
        let observed_c = f64::from(from_centidegrees(observed));
        self.weight += 1.0;
        self.pinball += pinball(&own, observed_c);
        self.reference_pinball += pinball(reference, observed_c);
        self.absolute += (own[QUANTILES.len() / 2] - observed_c).abs();
        self.hits += f64::from(u8::from((quantiles[INTERVAL.0]..=quantiles[INTERVAL.1]).contains(&observed)));
    }

    fn scale(&mut self, factor: f64) {
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

    fn merge(&mut self, other: &ExtremeTotals, factor: f64) {
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

    fn merge(&mut self, other: &BelowTotals, factor: f64) {
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
    fn scale(&mut self, factor: f64) {
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

    fn merge(&mut self, other: &DayTotals, factor: f64) {
        self.lowest.merge(&other.lowest, factor);
        self.highest.merge(&other.highest, factor);
        for own in &other.below {
            self.below(own.threshold).merge(own, factor);
        }
    }

    /// The sums of a threshold. Where there are too many, the one of before that is not frost gives way.
    fn below(&mut self, threshold: i16) -> &mut BelowTotals {
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
    /// Weighted by exp(−age / [`ROLLING_DAYS`](super::verification::ROLLING_DAYS)), age counted from the newest score.
    pub rolling: DayTotals,
    /// Second at which the newest day that was scored was over.
    newest_s: i64,
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

    fn age_until(&mut self, time_s: i64) {
        if self.is_empty() {
            self.newest_s = time_s;
        }
        if time_s > self.newest_s {
            self.rolling.scale(rolling_weight(time_s - self.newest_s));
            self.newest_s = time_s;
        }
    }

    fn is_sound(&self) -> bool {
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

fn ratio(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

/// How one day ahead was forecast, once it is over.
#[derive(Debug, Clone, PartialEq)]
pub struct DayScore {
    over_s: i64,
    totals: DayTotals,
}

/// A day ahead that waits for its hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pending {
    origin_s: i64,
    hours: u8,
    /// Hours that were looked at.
    seen: u8,
    lowest: Kept,
    highest: Kept,
    /// Threshold in centidegrees, probability in thousandths.
    below: Vec<(i16, u16)>,
    /// Of the hours that were looked at, centidegrees.
    observed: (i16, i16),
}

impl Pending {
    fn new(origin_s: i64, day: &DayAhead) -> Option<Pending> {
        let kept = |extreme: &Extreme| -> Option<Kept> {
            let mut kept = [0; QUANTILES.len()];
            for (kept, quantile_c) in kept.iter_mut().zip(extreme.quantiles_c?) {
                *kept = to_centidegrees(quantile_c)?;
            }
            Some(kept)
        };
        let below = day.below.iter().take(MAX_THRESHOLDS);
        let below =
            below.map(|own| Some((to_centidegrees(own.threshold_c)?, to_thousandths(own.probability))));
        Some(Pending {
            origin_s,
            hours: u8::try_from(day.hours).ok().filter(|hours| *hours > 0)?,
            seen: 0,
            lowest: kept(&day.lowest)?,
            highest: kept(&day.highest)?,
            below: below.collect::<Option<_>>()?,
            observed: (i16::MAX, i16::MIN),
        })
    }

    fn over_s(&self) -> i64 {
        self.origin_s + i64::from(self.hours) * HOUR_S
    }

    /// The next hour to be looked at.
    fn next_s(&self) -> i64 {
        self.origin_s + (i64::from(self.seen) + 1) * HOUR_S
    }
}

/// The verification of what is said of the hours ahead of one station.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DayVerification {
    /// By rising origin, one an hour.
    pending: Vec<Pending>,
    /// When each was over, the lowest and the highest in centidegrees: one a day, by rising time.
    days: Vec<(i64, i16, i16)>,
    scores: DayScores,
}

impl DayVerification {
    /// Looks at every hour before `origin` that something was said of; `observed` gives the temperature of a time, where one
    /// was measured. To be called before [`DayVerification::issued`] for the same origin. Gives what is over.
    pub fn learn_until(
        &mut self,
        origin: Timestamp,
        observed: impl Fn(Timestamp) -> Option<f32>,
    ) -> Vec<DayScore> {
        let before_s = origin.as_second();
        if !self.is_due(origin) {
            return Vec::new();
        }
        let temperature = |second: i64| to_centidegrees(observed(Timestamp::from_second(second).ok()?)?);
        self.pending.retain_mut(|day| {
            while day.seen < day.hours && day.next_s() < before_s {
                let Some(observed) = temperature(day.next_s()) else { return false };
                day.observed = (day.observed.0.min(observed), day.observed.1.max(observed));
                day.seen += 1;
            }
            true
        });
        let over = self.pending.iter().take_while(|day| day.seen == day.hours).count();
        let over: Vec<Pending> = self.pending.drain(..over).collect();
        over.iter().filter_map(|day| self.over(day)).collect()
    }

    /// Scores a day that is over, and remembers it for the reference.
    fn over(&mut self, day: &Pending) -> Option<DayScore> {
        let over_s = day.over_s();
        let score = self.score(day);
        if self.days.last().is_none_or(|(last_s, ..)| over_s - last_s >= DAY_S) {
            self.days.push((over_s, day.observed.0, day.observed.1));
            let excess = self.days.len().saturating_sub(REFERENCE_DAYS + 1);
            self.days.drain(..excess);
        }
        let score = score?;
        self.scores.add(&score);
        Some(score)
    }

    fn score(&self, day: &Pending) -> Option<DayScore> {
        // What was over at the origin could have been known then.
        let known: Vec<&(i64, i16, i16)> =
            self.days.iter().filter(|(over_s, ..)| *over_s <= day.origin_s).collect();
        if known.len() < LEAST_DAYS {
            return None;
        }
        let mut totals = DayTotals::default();
        let lows = empirical_quantiles(known.iter().map(|day| day.1));
        let highs = empirical_quantiles(known.iter().map(|day| day.2));
        totals.lowest.add(&day.lowest, &lows, day.observed.0);
        totals.highest.add(&day.highest, &highs, day.observed.1);
        for &(threshold, thousandths) in &day.below {
            let outcome = f64::from(u8::from(day.observed.0 < threshold));
            let probability = f64::from(from_thousandths(thousandths));
            let colder = known.iter().filter(|day| day.1 < threshold).count();
            // The estimate of R. Krichevsky and V. Trofimov (1981): never certain.
            let usual = (colder as f64 + 0.5) / (known.len() as f64 + 1.0);
            let below = totals.below(threshold);
            below.weight = 1.0;
            below.brier = (probability - outcome).powi(2);
            below.reference_brier = (usual - outcome).powi(2);
            below.happened = outcome;
        }
        Some(DayScore { over_s: day.over_s(), totals })
    }

    /// Keeps what is said at `origin` until its hours are over, if it is the first of its hour, or one that is made again.
    /// Without all quantiles nothing is kept. Whether it is.
    pub fn issued(&mut self, origin: Timestamp, day: &DayAhead) -> bool {
        let origin_s = origin.as_second();
        let wants = self
            .pending
            .last()
            .is_none_or(|last| last.origin_s == origin_s || hour_of(origin_s) > hour_of(last.origin_s));
        let Some(own) = Pending::new(origin_s, day).filter(|_| wants) else { return false };
        self.pending.pop_if(|last| last.origin_s == origin_s);
        self.pending.push(own);
        true
    }

    /// Whether [`DayVerification::learn_until`] looks at hours: with the first forecast of an hour, where something waits.
    pub fn is_due(&self, origin: Timestamp) -> bool {
        self.pending.last().is_some_and(|last| hour_of(origin.as_second()) > hour_of(last.origin_s))
    }

    /// The scores.
    pub fn scores(&self) -> &DayScores {
        &self.scores
    }

    /// Forgets what was said or observed after a time: a clock was ahead.
    pub fn drop_after(&mut self, limit: Timestamp) {
        let limit_s = limit.as_second();
        self.pending.retain(|day| day.origin_s + i64::from(day.seen) * HOUR_S <= limit_s);
        self.days.retain(|(over_s, ..)| *over_s <= limit_s);
    }

    /// Whether this is what [`DayVerification::learn_until`] and [`DayVerification::issued`] can have made.
    pub(crate) fn is_sound(&self) -> bool {
        let is_time = |second: i64| Timestamp::from_second(second).is_ok();
        let is_whole = |day: &Pending| {
            is_time(day.origin_s)
                && is_time(day.over_s())
                && day.seen <= day.hours
                && day.below.len() <= MAX_THRESHOLDS
        };
        self.pending.iter().all(is_whole)
            && self.pending.is_sorted_by(|left, right| hour_of(left.origin_s) < hour_of(right.origin_s))
            && self.days.iter().all(|(over_s, ..)| is_time(*over_s))
            && self.days.len() <= REFERENCE_DAYS + 1
            && self.scores.is_sound()
    }
}

fn hour_of(second: i64) -> i64 {
    second.div_euclid(HOUR_S)
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

/// The quantiles of a sample, linear between its members (definition 7 of R. J. Hyndman and Y. Fan, The American
/// Statistician 50, 1996), °C; the sample is not empty.
fn empirical_quantiles(sample: impl Iterator<Item = i16>) -> [f64; QUANTILES.len()] {
    let mut sorted: Vec<i16> = sample.collect();
    sorted.sort_unstable();
    let value = |index: usize| f64::from(from_centidegrees(sorted[index.min(sorted.len() - 1)]));
    QUANTILES.map(|level| {
        let at = f64::from(level) * (sorted.len() - 1) as f64;
        let below = at.floor() as usize;
        value(below) + (at - at.floor()) * (value(below + 1) - value(below))
    })
}

#[cfg(test)]
mod tests {
    use super::super::day_ahead::Below;
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_600_000_000 / DAY_S * DAY_S + hour * HOUR_S).unwrap()
    }

    fn hour(time: Timestamp) -> i64 {
        (time.as_second() - at(0).as_second()) / HOUR_S
    }

    /// Between −1 and 1 °C over the day, and 10 °C warmer after `warm_from` hours.
    fn temperature(hour: i64, warm_from: i64) -> f32 {
        let step = if hour >= warm_from { 10.0 } else { 0.0 };
        step + (hour as f32 / 24.0 * std::f32::consts::TAU).sin()
    }

    fn said(lowest_c: f32, highest_c: f32, frost: f32) -> DayAhead {
        let extreme = |temperature_c: f32| Extreme {
            temperature_c,
            interval_c: (temperature_c - 1.0, temperature_c + 1.0),
            quantiles_c: Some(
                [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5].map(|distance| temperature_c + distance),
            ),
        };
        DayAhead {
            hours: 24,
            lowest: extreme(lowest_c),
            highest: extreme(highest_c),
            below: vec![Below { threshold_c: 0.0, probability: frost }],
        }
    }

    /// So many hours of a station that says the truth, but for `shift_c`.
    fn walk(hours: i64, every_s: i64, shift_c: f32, frost: f32) -> (DayVerification, Vec<DayScore>) {
        let mut verification = DayVerification::default();
        let mut scores = Vec::new();
        for second in (0..hours * HOUR_S).step_by(every_s as usize) {
            let origin = at(0) + jiff::SignedDuration::from_secs(second);
            scores.extend(verification.learn_until(origin, |time| Some(temperature(hour(time), i64::MAX))));
            verification.issued(origin, &said(-1.0 + shift_c, 1.0 + shift_c, frost));
        }
        (verification, scores)
    }

    #[test]
    fn a_day_is_scored_when_its_hours_are_over_and_five_days_before_it_are_known() {
        // The first day is over after 24 hours and learned from with the forecast an hour later, the fifth of the reference
        // four days on; the first day that began after that is over a day later.
        let (_, scores) = walk(6 * 24 + 1, HOUR_S, 0.0, 0.5);
        assert_eq!(scores.len(), 0);
        let (verification, scores) = walk(6 * 24 + 2, HOUR_S, 0.0, 0.5);
        assert_eq!(scores.len(), 1);
        let DayTotals { lowest, highest, below } = &verification.scores().rolling;
        assert_eq!((lowest.coverage(), highest.mae_c()), (Some(1.0), Some(0.0)));
        // Quantiles that lie 1.5, 1, 0.5 °C on either side of what is observed: twice (0.05·1.5 + 0.1·1 + 0.25·0.5) / 7.
        let expected = 2.0 * (0.05 * 1.5 + 0.1 + 0.25 * 0.5) / 7.0;
        assert!((lowest.pinball_c().unwrap() - expected).abs() < 1e-6, "{lowest:?}");
        // Every day had the same extremes, and frost: 5 of 5 days, of which the estimate is 5.5/6.
        assert_eq!(lowest.reference_pinball_c(), Some(0.0));
        assert!((below[0].brier_score().unwrap() - 0.25).abs() < 1e-9);
        assert!((below[0].reference_brier_score().unwrap() - (0.5_f64 / 6.0).powi(2)).abs() < 1e-9);
        assert_eq!((below[0].threshold_c(), below[0].frequency()), (0.0, Some(1.0)));
    }

    #[test]
    fn one_forecast_an_hour_counts_whatever_the_cadence() {
        let (hourly, scores) = walk(10 * 24, HOUR_S, 0.7, 0.9);
        let (often, same) = walk(10 * 24, 600, 0.7, 0.9);
        assert_eq!(scores, same);
        assert_eq!(hourly.scores(), often.scores());
        assert!(hourly.pending.len() <= 25);
    }

    #[test]
    fn what_is_off_by_more_than_the_interval_is_a_miss_and_costs_more_than_the_reference() {
        let (verification, _) = walk(20 * 24, HOUR_S, 3.0, 0.0);
        let DayTotals { lowest, below, .. } = &verification.scores().rolling;
        assert_eq!(lowest.coverage(), Some(0.0));
        assert!(lowest.pinball_c() > lowest.reference_pinball_c());
        assert_eq!(below[0].brier_score(), Some(1.0), "frost was called impossible and came every day");
    }

    #[test]
    fn a_day_with_an_hour_that_was_not_observed_is_not_scored_and_the_next_ones_are() {
        let mut verification = DayVerification::default();
        let mut scores = 0;
        for hours in 0..12 * 24 {
            let observed = |time| (hour(time) != 8 * 24).then(|| temperature(hour(time), i64::MAX));
            scores += verification.learn_until(at(hours), observed).len();
            verification.issued(at(hours), &said(-1.0, 1.0, 1.0));
        }
        let (_, whole) = walk(12 * 24, HOUR_S, 0.0, 1.0);
        assert_eq!(scores, whole.len() - 24, "the hour belongs to the days ahead of 24 forecasts");
    }

    #[test]
    fn what_is_written_and_read_goes_on_bit_for_bit() {
        let (mut verification, _) = walk(9 * 24 + 7, HOUR_S, 0.3, 0.4);
        let bytes = postcard::to_allocvec(&verification).unwrap();
        assert!(bytes.len() < 3000, "{} bytes", bytes.len());
        let mut again: DayVerification = postcard::from_bytes(&bytes).unwrap();
        assert!(again.is_sound());
        for hours in 9 * 24 + 7..12 * 24 {
            for one in [&mut verification, &mut again] {
                one.learn_until(at(hours), |time| Some(temperature(hour(time), 10 * 24)));
                one.issued(at(hours), &said(-1.0, 1.0, 0.25));
            }
        }
        assert_eq!(verification, again);
    }

    #[test]
    fn what_was_said_by_a_clock_that_was_ahead_is_forgotten() {
        let (mut verification, _) = walk(9 * 24, HOUR_S, 0.0, 1.0);
        verification.drop_after(at(8 * 24));
        assert!(verification.pending.iter().all(|day| day.origin_s <= at(8 * 24).as_second()));
        assert!(verification.is_sound());
    }

    #[test]
    fn scores_of_two_stations_together_weigh_what_their_age_says() {
        let (early, _) = walk(8 * 24, HOUR_S, 0.0, 1.0);
        let (late, _) = walk(20 * 24, HOUR_S, 0.0, 1.0);
        let mut both = DayScores::default();
        both.merge(early.scores());
        both.merge(late.scores());
        let weight = |scores: &DayScores| scores.rolling.lowest.weight;
        let age_s = (late.scores.newest_s - early.scores.newest_s) as f64;
        let expected = weight(late.scores()) + weight(early.scores()) * (-age_s / (30.0 * 86_400.0)).exp();
        assert!((weight(&both) - expected).abs() < 1e-9);
        assert_eq!(
            both.lifetime.lowest.weight,
            early.scores.lifetime.lowest.weight + late.scores.lifetime.lowest.weight
        );
    }
}
