//! Verification of the extremes ahead: what was said of the lowest and the highest temperature, and how likely frost was, is
//! scored when the hours are over, beside what the station's own last days let expect.
//!
//! The first forecast of each hour counts, whatever the cadence, as for the experts. The hours are looked at one by one as
//! they come, so that nothing is needed of a history but its newest hour; a day of which an hour was not observed is not
//! scored. The reference is the station's own: the empirical quantiles of its extremes, one a day, of up to
//! [`REFERENCE_DAYS`] days that were over at the origin, and how many of these were below the threshold.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::day_ahead::{DayAhead, Extreme, from_thousandths, to_thousandths};
use super::day_scores::{DayScore, DayScores, DayTotals, Kept, MAX_THRESHOLDS};
use super::experts::QUANTILES;
use super::{from_centidegrees, to_centidegrees};

/// The most days that the reference looks at.
const REFERENCE_DAYS: usize = 30;

/// The fewest days that it needs. Without so many, nothing is scored: all numbers are over the same days.
const LEAST_DAYS: usize = 5;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

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
    /// One of which nothing is known but the scores of before.
    pub fn with_scores(scores: DayScores) -> DayVerification {
        DayVerification { scores, ..DayVerification::default() }
    }

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

    /// How good what was said of the days that are over has been, since the beginning and lately.
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

/// The quantiles of a sample, linear between its members (definition 7 of R. J. Hyndman and Y. Fan, The American
/// Statistician 50, 1996), °C; the sample is not empty.
#[expect(clippy::cast_possible_truncation, reason = "an index of the sample")]
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
