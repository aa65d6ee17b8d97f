//! Verification: each forecast of a station is scored when the hour that it was for has been observed, beside the
//! reference forecasts.
//!
//! A score needs a forecast and a reading in the very slot that it was for; whichever comes last completes it. Every pair
//! is scored once: a lead of a forecast counts as scored exactly when its slot is closed (a later one is open) and has a
//! temperature. A restart finds that out from the history alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::forecast::{Forecast, Source, from_centidegrees, to_centidegrees};
use crate::weather::quantity::Quantity;
use crate::window::grid::Slot;
use crate::window::history::History;
use crate::window::spec::WindowSpec;

/// How fast a rolling score forgets: after so long a score weighs 1/e.
pub const ROLLING_DAYS: i64 = 30;

/// A forecast beside what was observed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Hours.
    pub lead_h: u32,
    /// The hour that it was for.
    pub valid_at: Timestamp,
    /// The observation, °C.
    pub observed_c: f32,
    /// The model's forecast, °C.
    pub model_c: f32,
    /// Whether the observation lay within the interval, where there was one.
    pub within_interval: Option<bool>,
    /// The forecast of persistence, °C.
    pub persistence_c: f32,
    /// The forecast of the same time yesterday, °C, if that was measured.
    pub yesterday_c: Option<f32>,
}

/// Weighted sums over the scores of one lead; each lifetime score weighs 1, each rolling one less with age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadTotals {
    /// Sum of the weights.
    pub weight: f64,
    /// Sum of the model's absolute errors, °C.
    pub model_absolute: f64,
    /// Sum of the model's squared errors, °C².
    pub model_squared: f64,
    /// Sum of the model's errors, forecast minus observation, °C.
    pub model_error: f64,
    /// Sum of persistence's absolute errors, °C.
    pub persistence_absolute: f64,
    /// Weight of the scores that had a same time yesterday.
    pub yesterday_weight: f64,
    /// Sum of its absolute errors, °C.
    pub yesterday_absolute: f64,
    /// Weight of the scores that had an interval.
    pub interval_weight: f64,
    /// Weight of those whose observation lay within it.
    pub interval_hits: f64,
}

impl LeadTotals {
    /// Adds a score of weight 1.
    pub fn add(&mut self, score: &Score) {
        self.add_weighted(score, 1.0);
    }

    fn add_weighted(&mut self, score: &Score, weight: f64) {
        let error = |forecast_c: f32| f64::from(forecast_c) - f64::from(score.observed_c);
        self.weight += weight;
        self.model_absolute += weight * error(score.model_c).abs();
        self.model_squared += weight * error(score.model_c).powi(2);
        self.model_error += weight * error(score.model_c);
        self.persistence_absolute += weight * error(score.persistence_c).abs();
        if let Some(yesterday_c) = score.yesterday_c {
            self.yesterday_weight += weight;
            self.yesterday_absolute += weight * error(yesterday_c).abs();
        }
        if let Some(within) = score.within_interval {
            self.interval_weight += weight;
            self.interval_hits += weight * f64::from(u8::from(within));
        }
    }

    /// Adds `factor` times other sums.
    pub fn add_totals(&mut self, other: &LeadTotals, factor: f64) {
        self.weight += factor * other.weight;
        self.model_absolute += factor * other.model_absolute;
        self.model_squared += factor * other.model_squared;
        self.model_error += factor * other.model_error;
        self.persistence_absolute += factor * other.persistence_absolute;
        self.yesterday_weight += factor * other.yesterday_weight;
        self.yesterday_absolute += factor * other.yesterday_absolute;
        self.interval_weight += factor * other.interval_weight;
        self.interval_hits += factor * other.interval_hits;
    }

    fn scaled(&self, factor: f64) -> LeadTotals {
        let mut scaled = LeadTotals::default();
        scaled.add_totals(self, factor);
        scaled
    }

    /// How many scores these sums are of; a fraction for rolling ones.
    pub fn count(&self) -> f64 {
        self.weight
    }

    /// Mean absolute error of the model, °C; `None` before the first score.
    pub fn mae(&self) -> Option<f64> {
        ratio(self.model_absolute, self.weight)
    }

    /// Root mean square error of the model, °C.
    pub fn rmse(&self) -> Option<f64> {
        ratio(self.model_squared, self.weight).map(f64::sqrt)
    }

    /// Mean error of the model, forecast minus observation, °C.
    pub fn bias(&self) -> Option<f64> {
        ratio(self.model_error, self.weight)
    }

    /// Mean absolute error of persistence, °C, over the same hours.
    pub fn persistence_mae(&self) -> Option<f64> {
        ratio(self.persistence_absolute, self.weight)
    }

    /// Mean absolute error of the same time yesterday, °C.
    pub fn yesterday_mae(&self) -> Option<f64> {
        ratio(self.yesterday_absolute, self.yesterday_weight)
    }

    /// Skill against persistence: 1 is perfect, 0 no better (Wilks, Statistical Methods in the Atmospheric
    /// Sciences, 4th ed., section 9.1.4).
    pub fn skill(&self) -> Option<f64> {
        let persistence = self.persistence_mae().filter(|&mae| mae > 0.0)?;
        Some(1.0 - self.mae()? / persistence)
    }

    /// The empirical coverage of the interval: the fraction of observations within it.
    pub fn coverage(&self) -> Option<f64> {
        ratio(self.interval_hits, self.interval_weight)
    }
}

fn ratio(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

/// How good one lead has been: since the beginning, and lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadScores {
    /// Over all scores.
    pub lifetime: LeadTotals,
    /// Weighted by exp(−age / [`ROLLING_DAYS`]), age counted from the newest score of the lead.
    pub rolling: LeadTotals,
    /// Second of the newest score's hour.
    newest_s: i64,
}

impl LeadScores {
    /// Adds a score.
    fn add(&mut self, score: &Score) {
        self.lifetime.add(score);
        let time_s = score.valid_at.as_second();
        if self.rolling.weight == 0.0 {
            self.newest_s = time_s;
        }
        self.age_until(time_s);
        self.rolling.add_weighted(score, rolling_weight(self.newest_s - time_s));
    }

    /// Adds the scores of another station at the same lead.
    fn merge(&mut self, other: &LeadScores) {
        self.lifetime.add_totals(&other.lifetime, 1.0);
        if self.rolling.weight == 0.0 {
            self.newest_s = other.newest_s;
        }
        self.age_until(other.newest_s);
        self.rolling.add_totals(&other.rolling, rolling_weight(self.newest_s - other.newest_s));
    }

    fn age_until(&mut self, time_s: i64) {
        if time_s > self.newest_s {
            self.rolling = self.rolling.scaled(rolling_weight(time_s - self.newest_s));
            self.newest_s = time_s;
        }
    }
}

/// The weight of a rolling score of some age, in seconds.
pub(crate) fn rolling_weight(age_s: i64) -> f64 {
    (-(age_s as f64) / (ROLLING_DAYS * 86_400) as f64).exp()
}

/// Scores by lead.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// By rising lead.
    by_lead: Vec<(u16, LeadScores)>,
}

impl Scores {
    /// Adds a score.
    pub fn add(&mut self, score: &Score) {
        if let Ok(lead_h) = u16::try_from(score.lead_h) {
            self.entry(lead_h).add(score);
        }
    }

    /// Adds the scores of another station.
    pub fn merge(&mut self, other: &Scores) {
        for (lead_h, scores) in &other.by_lead {
            self.entry(*lead_h).merge(scores);
        }
    }

    fn entry(&mut self, lead_h: u16) -> &mut LeadScores {
        let index = match self.by_lead.binary_search_by_key(&lead_h, |(lead_h, _)| *lead_h) {
            Ok(index) => index,
            Err(index) => {
                self.by_lead.insert(index, (lead_h, LeadScores::default()));
                index
            }
        };
        &mut self.by_lead[index].1
    }

    /// The scores of one lead.
    pub fn lead(&self, lead_h: u32) -> LeadScores {
        let found = self.by_lead.iter().find(|(own, _)| u32::from(*own) == lead_h);
        found.map(|(_, scores)| *scores).unwrap_or_default()
    }

    /// The leads with scores, rising.
    pub fn leads(&self) -> impl Iterator<Item = (u32, &LeadScores)> + '_ {
        self.by_lead.iter().map(|(lead_h, scores)| (u32::from(*lead_h), scores))
    }

    /// Whether there is no score yet.
    pub fn is_empty(&self) -> bool {
        self.by_lead.is_empty()
    }
}

/// A forecast that waits for its hours, in centidegrees.
#[derive(Debug, Clone, PartialEq)]
struct Pending {
    persistence_c: f32,
    /// Seconds from its origin to its issue.
    issued_after_s: i16,
    /// Whether the model in use made it.
    is_own: bool,
    leads: Box<[PendingLead]>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct PendingLead {
    lead_h: u8,
    is_scored: bool,
    temperature: i16,
    low: i16,
    high: i16,
}

/// Lead in hours, temperature, and lower and upper end of the interval.
pub(crate) type PendingDegrees = (u32, f32, Option<(f32, f32)>);

/// Marks an interval that is absent.
const ABSENT: i16 = i16::MIN;

/// The verification of one station.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verification {
    pending: BTreeMap<Slot, Pending>,
    scores: Scores,
}

impl Verification {
    /// A verification that goes on with the scores of before.
    pub fn with_scores(scores: Scores) -> Verification {
        Verification { pending: BTreeMap::new(), scores }
    }

    /// Remembers a forecast issued at a slot, by the model in use or not, and scores it for the hours that have been observed already. It replaces an
    /// earlier forecast of the same slot; leads of that which were scored are not scored again. Persistence is
    /// not remembered: it is what the others are scored beside.
    pub fn issued(
        &mut self,
        slot: Slot,
        forecast: &Forecast,
        is_own: bool,
        spec: &WindowSpec,
        history: &History,
    ) -> Vec<Score> {
        if forecast.source == Source::Persistence {
            return Vec::new();
        }
        let before = self.pending.remove(&slot);
        let was_scored = |lead_h: u8| {
            let leads = before.as_ref().map_or(&[][..], |before| &before.leads);
            leads.iter().any(|lead| lead.lead_h == lead_h && lead.is_scored)
        };
        self.pending.extend(pending(forecast, is_own, was_scored).map(|pending| (slot, pending)));
        self.score_observed(slot, spec, history)
    }

    /// Scores a forecast for the hours that have been observed already.
    pub fn score_observed(&mut self, slot: Slot, spec: &WindowSpec, history: &History) -> Vec<Score> {
        let Some(newest) = history.newest() else { return Vec::new() };
        let leads = self.pending.get(&slot).map_or(&[][..], |pending| &pending.leads);
        let valid =
            |lead: &PendingLead| (u32::from(lead.lead_h), spec.valid_at(slot, u32::from(lead.lead_h)).0);
        // The newest slot may still change: it is scored when a later one opens.
        let observed: Vec<(u32, Slot)> =
            leads.iter().map(valid).filter(|(_, valid)| *valid < newest).collect();
        let scores =
            observed.into_iter().filter_map(|(lead_h, valid)| self.score(slot, lead_h, valid, spec, history));
        scores.collect()
    }

    /// Remembers a forecast that was issued before, by the model in use or not. It was scored for what was observed up to the
    /// slot `scored_until`.
    pub fn restore(
        &mut self,
        slot: Slot,
        forecast: &Forecast,
        is_own: bool,
        scored_until: Slot,
        spec: &WindowSpec,
        history: &History,
    ) {
        if forecast.source == Source::Persistence {
            return;
        }
        let was_scored = |lead_h: u8| {
            let (valid, _) = spec.valid_at(slot, u32::from(lead_h));
            valid <= scored_until && !history.value(valid, Quantity::AirTemperature).is_nan()
        };
        self.pending.extend(pending(forecast, is_own, was_scored).map(|pending| (slot, pending)));
    }

    /// Whether the forecast of a slot waits for its hours.
    pub fn is_pending(&self, slot: Slot) -> bool {
        self.pending.contains_key(&slot)
    }

    /// The forecasts of the model in use that wait for their hours: slot of the origin, seconds from there to the issue,
    /// newest temperature, and its leads with their intervals; °C.
    pub fn own_pending(
        &self,
    ) -> impl Iterator<Item = (Slot, i64, f32, impl Iterator<Item = PendingDegrees>)> {
        let own = self.pending.iter().filter(|(_, pending)| pending.is_own);
        own.map(|(slot, pending)| {
            let leads = pending.leads.iter().map(|lead| {
                let has_interval = lead.low != ABSENT && lead.high != ABSENT;
                let interval = (from_centidegrees(lead.low), from_centidegrees(lead.high));
                (
                    u32::from(lead.lead_h),
                    from_centidegrees(lead.temperature),
                    has_interval.then_some(interval),
                )
            });
            (*slot, i64::from(pending.issued_after_s), pending.persistence_c, leads)
        })
    }

    /// Another model is in use from now on.
    pub fn disown_pending(&mut self) {
        self.pending.values_mut().for_each(|pending| pending.is_own = false);
    }

    /// Scores every forecast for a slot whose reading is now final.
    pub fn observed(&mut self, valid: Slot, spec: &WindowSpec, history: &History) -> Vec<Score> {
        let slots_per_hour = spec.grid().slots_per_hour();
        let issues: Vec<(Slot, u32)> = self
            .pending
            .range(..valid)
            .filter(|(slot, _)| (valid - **slot) % slots_per_hour == 0)
            .filter_map(|(slot, _)| Some((*slot, u32::try_from((valid - slot) / slots_per_hour).ok()?)))
            .collect();
        issues
            .into_iter()
            .filter_map(|(slot, lead_h)| self.score(slot, lead_h, valid, spec, history))
            .collect()
    }

    /// Forgets the forecast of a slot for which another one is being made.
    pub fn supersede(&mut self, slot: Slot) {
        self.pending.remove(&slot);
    }

    /// Forgets forecasts issued before `oldest`.
    pub fn forget_before(&mut self, oldest: Slot) {
        if self.pending.first_key_value().is_some_and(|(slot, _)| *slot < oldest) {
            self.pending = self.pending.split_off(&oldest);
        }
    }

    /// Forgets forecasts issued after `newest`.
    pub fn forget_after(&mut self, newest: Slot) {
        self.pending.split_off(&(newest + 1));
    }

    /// Forgets every forecast that waits, keeping the scores: the grid of slots is another now.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// The slot of the oldest forecast that waits for an hour.
    pub fn oldest_pending(&self) -> Option<Slot> {
        self.pending.first_key_value().map(|(slot, _)| *slot)
    }

    /// The scores by lead.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    fn score(
        &mut self,
        issued: Slot,
        lead_h: u32,
        valid: Slot,
        spec: &WindowSpec,
        history: &History,
    ) -> Option<Score> {
        let temperature = |slot| {
            let value = history.value(slot, Quantity::AirTemperature);
            (!value.is_nan()).then_some(value)
        };
        let observed_c = temperature(valid)?;
        let pending = self.pending.get_mut(&issued)?;
        let persistence_c = pending.persistence_c;
        let lead =
            pending.leads.iter_mut().find(|lead| u32::from(lead.lead_h) == lead_h && !lead.is_scored)?;
        lead.is_scored = true;
        let has_interval = lead.low != ABSENT && lead.high != ABSENT;
        let interval = from_centidegrees(lead.low)..=from_centidegrees(lead.high);
        // For leads beyond a day, yesterday's value would not have been known when the forecast was issued.
        let days_back = i64::from(lead_h.div_ceil(24));
        let score = Score {
            lead_h,
            valid_at: spec.grid().time(valid),
            observed_c,
            model_c: from_centidegrees(lead.temperature),
            within_interval: has_interval.then(|| interval.contains(&observed_c)),
            persistence_c,
            yesterday_c: temperature(valid - days_back * 24 * spec.grid().slots_per_hour()),
        };
        self.scores.add(&score);
        Some(score)
    }
}

/// Leads that do not fit are not verified: the manifest bounds leads to 240 h, and degrees are judged before. Nor is a
/// forecast that was issued hours from its origin: a slot reaches at most an hour back, so that none of ours is.
fn pending(forecast: &Forecast, is_own: bool, was_scored: impl Fn(u8) -> bool) -> Option<Pending> {
    let leads = forecast.leads.iter().filter_map(|lead| {
        let lead_h = u8::try_from(lead.lead_h).ok()?;
        let end = |temperature_c: Option<f32>| temperature_c.and_then(to_centidegrees).unwrap_or(ABSENT);
        Some(PendingLead {
            lead_h,
            is_scored: was_scored(lead_h),
            temperature: to_centidegrees(lead.temperature_c)?,
            low: end(lead.interval_c.map(|(low, _)| low)),
            high: end(lead.interval_c.map(|(_, high)| high)),
        })
    });
    let issued_after_s = forecast.issued_at.as_second() - forecast.origin.as_second();
    Some(Pending {
        persistence_c: forecast.temperature_c,
        issued_after_s: i16::try_from(issued_after_s).ok()?,
        is_own,
        leads: leads.collect(),
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::forecast::LeadForecast;
    use crate::weather::reading::StationName;
    use crate::window::feature::Feature;
    use crate::window::spec::MissingValues;

    fn score(day: i64, model_c: f32) -> Score {
        Score {
            lead_h: 24,
            valid_at: Timestamp::from_second(day * 86_400).unwrap(),
            observed_c: 0.0,
            model_c,
            within_interval: Some(model_c < 2.0),
            persistence_c: 2.0,
            yesterday_c: None,
        }
    }

    #[test]
    fn a_drift_shows_in_the_rolling_score_and_hides_in_the_lifetime_one() {
        let mut scores = Scores::default();
        for day in 0..300 {
            scores.add(&score(day, 1.0));
        }
        for day in 300..360 {
            scores.add(&score(day, 3.0));
        }
        let lead = scores.lead(24);
        assert_eq!(lead.lifetime.count(), 360.0);
        assert!((lead.lifetime.mae().unwrap() - (300.0 + 180.0) / 360.0).abs() < 1e-9);
        // Geometric sums: the last 60 days weigh (1 − q⁶⁰) of the whole, q = exp(−1/30).
        let recent = 1.0 - (-2.0_f64).exp();
        let expected = 1.0 + 2.0 * recent;
        assert!((lead.rolling.mae().unwrap() - expected).abs() < 1e-4, "{:?}", lead.rolling.mae());
        assert!(lead.rolling.skill().unwrap() < 0.0 && lead.lifetime.skill().unwrap() > 0.3);
        assert!((lead.rolling.coverage().unwrap() - (1.0 - recent)).abs() < 1e-4);
    }

    #[test]
    fn a_forecast_that_was_not_issued_near_its_origin_is_not_verified() {
        let spec = WindowSpec {
            grid_step_s: 600,
            sample_every_s: 3600,
            samples: 1,
            max_hole_s: 600,
            site: None,
            missing: MissingValues::Refused,
            features: vec![Feature::Quantity(Quantity::AirTemperature)],
        };
        let history = History::new(spec.grid(), &spec.quantities(), spec.history_slots(24));
        // As a row of the journal may say that somebody else wrote.
        let issued_after = |after_s: i64| {
            let origin = Timestamp::UNIX_EPOCH;
            let lead = LeadForecast {
                lead_h: 24,
                valid_at: origin + SignedDuration::from_hours(24),
                temperature_c: 1.0,
                interval_c: None,
                quantiles_c: None,
            };
            let forecast = Forecast {
                station: StationName::new("roof").unwrap(),
                issued_at: origin + SignedDuration::from_secs(after_s),
                origin,
                temperature_c: 0.0,
                model: "test@0".to_owned(),
                source: Source::Model,
                leads: vec![lead],
                day_ahead: None,
            };
            let mut verification = Verification::default();
            verification.restore(0, &forecast, true, Slot::MIN, &spec, &history);
            verification.own_pending().map(|(_, after_s, ..)| after_s).collect::<Vec<_>>()
        };
        assert_eq!(issued_after(-3600), [-3600]);
        assert_eq!(issued_after(40_000), [0_i64; 0]);
    }

    #[test]
    fn a_score_that_comes_late_weighs_what_its_age_says() {
        let mut in_order = Scores::default();
        let mut late = Scores::default();
        for day in [1, 2, 3] {
            in_order.add(&score(day, day as f32));
        }
        for day in [1, 3, 2] {
            late.add(&score(day, day as f32));
        }
        let mae = |scores: &Scores| scores.lead(24).rolling.mae().unwrap();
        assert!((mae(&in_order) - mae(&late)).abs() < 1e-12);
    }
}
