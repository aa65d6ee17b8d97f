//! Verification: each forecast of a station is scored when the hour it spoke of has come, beside the forecasts
//! that cost nothing.
//!
//! A score needs a forecast and a reading in the very slot that it was for; whichever comes last completes it.
//! Every pair is scored once.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::weather::quantity::Quantity;
use crate::window::grid::Slot;
use crate::window::history::History;
use crate::window::spec::WindowSpec;

use super::{Forecast, Source};

/// A forecast checked against what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Hours.
    pub lead_h: u32,
    /// The hour that it was for.
    pub valid_at: Timestamp,
    /// What came, °C.
    pub observed_c: f32,
    /// What the model had said, °C.
    pub model_c: f32,
    /// Whether what came lay within the interval, where there was one.
    pub within_interval: Option<bool>,
    /// What persistence had said, °C.
    pub persistence_c: f32,
    /// What the same time yesterday had said, °C, if it was measured.
    pub yesterday_c: Option<f32>,
}

/// Sums over the scores of one lead.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LeadTotals {
    /// How many forecasts were scored.
    pub count: u64,
    /// Sum of the model's absolute errors, °C.
    pub model_absolute: f64,
    /// Sum of the model's squared errors, °C².
    pub model_squared: f64,
    /// Sum of the model's errors, forecast minus observation, °C.
    pub model_error: f64,
    /// Sum of persistence's absolute errors, °C.
    pub persistence_absolute: f64,
    /// How many scores had a same time yesterday.
    pub yesterday_count: u64,
    /// Sum of its absolute errors, °C.
    pub yesterday_absolute: f64,
    /// How many scores had an interval.
    pub interval_count: u64,
    /// How many outcomes lay within it.
    pub interval_hits: u64,
}

impl LeadTotals {
    /// Adds a score.
    pub fn add(&mut self, score: &Score) {
        let error = |forecast_c: f32| f64::from(forecast_c) - f64::from(score.observed_c);
        self.count += 1;
        self.model_absolute += error(score.model_c).abs();
        self.model_squared += error(score.model_c).powi(2);
        self.model_error += error(score.model_c);
        self.persistence_absolute += error(score.persistence_c).abs();
        if let Some(yesterday_c) = score.yesterday_c {
            self.yesterday_count += 1;
            self.yesterday_absolute += error(yesterday_c).abs();
        }
        if let Some(within) = score.within_interval {
            self.interval_count += 1;
            self.interval_hits += u64::from(within);
        }
    }

    /// Mean absolute error of the model, °C; `None` before the first score.
    pub fn mae(&self) -> Option<f64> {
        (self.count > 0).then(|| self.model_absolute / self.count as f64)
    }

    /// Root mean square error of the model, °C.
    pub fn rmse(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.model_squared / self.count as f64).sqrt())
    }

    /// Mean error of the model, forecast minus observation, °C.
    pub fn bias(&self) -> Option<f64> {
        (self.count > 0).then(|| self.model_error / self.count as f64)
    }

    /// Mean absolute error of persistence, °C, over the same hours.
    pub fn persistence_mae(&self) -> Option<f64> {
        (self.count > 0).then(|| self.persistence_absolute / self.count as f64)
    }

    /// Mean absolute error of the same time yesterday, °C.
    pub fn yesterday_mae(&self) -> Option<f64> {
        (self.yesterday_count > 0).then(|| self.yesterday_absolute / self.yesterday_count as f64)
    }

    /// Skill against persistence: 1 is perfect, 0 no better (Wilks, Statistical Methods in the Atmospheric
    /// Sciences, 4th ed., section 9.1.4).
    pub fn skill(&self) -> Option<f64> {
        let persistence = self.persistence_mae().filter(|&mae| mae > 0.0)?;
        Some(1.0 - self.mae()? / persistence)
    }

    /// The fraction of outcomes within the interval.
    pub fn coverage(&self) -> Option<f64> {
        (self.interval_count > 0).then(|| self.interval_hits as f64 / self.interval_count as f64)
    }
}

/// Sums by lead.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    by_lead: BTreeMap<u32, LeadTotals>,
}

impl Totals {
    /// Adds a score.
    pub fn add(&mut self, score: &Score) {
        self.by_lead.entry(score.lead_h).or_default().add(score);
    }

    /// The sums of one lead.
    pub fn lead(&self, lead_h: u32) -> LeadTotals {
        self.by_lead.get(&lead_h).copied().unwrap_or_default()
    }

    /// The leads with scores, rising, with their sums.
    pub fn leads(&self) -> impl Iterator<Item = (u32, &LeadTotals)> + '_ {
        self.by_lead.iter().map(|(lead_h, totals)| (*lead_h, totals))
    }
}

/// A forecast that waits for its hours.
#[derive(Debug, Clone)]
struct Pending {
    persistence_c: f32,
    leads: Vec<PendingLead>,
}

#[derive(Debug, Clone, Copy)]
struct PendingLead {
    lead_h: u16,
    temperature_c: f32,
    low_c: f32,
    high_c: f32,
    scored: bool,
}

/// The verification of one station.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    pending: BTreeMap<Slot, Pending>,
    totals: Totals,
}

impl Verification {
    /// Remembers a forecast issued at a slot, and scores it for the hours that have come already. A forecast of
    /// the same slot before it is replaced, with what was scored staying so. Forecasts that are no model's are
    /// not remembered.
    pub fn issued(
        &mut self,
        slot: Slot,
        forecast: &Forecast,
        spec: &WindowSpec,
        history: &History,
    ) -> Vec<Score> {
        if forecast.source != Source::Model {
            return Vec::new();
        }
        let scored_before = |lead_h: u32| {
            let before = self.pending.get(&slot)?;
            before.leads.iter().find(|lead| u32::from(lead.lead_h) == lead_h).map(|lead| lead.scored)
        };
        let pending = pending_of(forecast, |lead_h| scored_before(lead_h).unwrap_or(false));
        self.pending.insert(slot, pending);
        let Some(newest) = history.newest() else { return Vec::new() };
        let mut scores = Vec::new();
        for lead in &forecast.leads {
            let (valid, _) = spec.valid_at(slot, lead.lead_h);
            // The newest slot may still change: it is scored when a later one opens.
            if valid < newest {
                scores.extend(self.score(slot, lead.lead_h, valid, spec, history));
            }
        }
        scores
    }

    /// Remembers a forecast that was issued before a restart.
    pub fn issued_restored(&mut self, slot: Slot, forecast: &Forecast) {
        if forecast.source == Source::Model {
            self.pending.insert(slot, pending_of(forecast, |_| false));
        }
    }

    /// Scores every forecast that spoke of a slot, whose reading is now final.
    pub fn observed(&mut self, valid: Slot, spec: &WindowSpec, history: &History) -> Vec<Score> {
        let steps_per_hour = i64::from(3600 / spec.grid_step_s);
        let issues: Vec<(Slot, u32)> = self
            .pending
            .range(..valid)
            .filter(|(slot, _)| (valid - **slot) % steps_per_hour == 0)
            .map(|(slot, _)| (*slot, ((valid - slot) / steps_per_hour) as u32))
            .collect();
        issues
            .into_iter()
            .filter_map(|(slot, lead_h)| self.score(slot, lead_h, valid, spec, history))
            .collect()
    }

    /// Forgets forecasts all of whose hours lie before `oldest`.
    pub fn forget(&mut self, oldest: Slot) {
        self.pending = self.pending.split_off(&oldest);
    }

    /// Marks every hour up to `slot` as scored: after a restart, what was scored before it is not scored again.
    pub fn mark_scored_until(&mut self, slot: Slot, spec: &WindowSpec) {
        for (issued, pending) in &mut self.pending {
            for lead in &mut pending.leads {
                lead.scored |= spec.valid_at(*issued, u32::from(lead.lead_h)).0 <= slot;
            }
        }
    }

    /// The sums of all scores.
    pub fn totals(&self) -> &Totals {
        &self.totals
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
        let lead = pending.leads.iter_mut().find(|lead| u32::from(lead.lead_h) == lead_h && !lead.scored)?;
        lead.scored = true;
        let has_interval = !lead.low_c.is_nan() && !lead.high_c.is_nan();
        let steps_per_day = i64::from(86_400 / spec.grid_step_s);
        // For leads beyond a day, yesterday's value would not have been known when the forecast was issued.
        let days_back = i64::from(lead_h.div_ceil(24));
        let score = Score {
            lead_h,
            valid_at: spec.grid().time(valid),
            observed_c,
            model_c: lead.temperature_c,
            within_interval: has_interval.then(|| (lead.low_c..=lead.high_c).contains(&observed_c)),
            persistence_c,
            yesterday_c: temperature(valid - days_back * steps_per_day),
        };
        self.totals.add(&score);
        Some(score)
    }
}

fn pending_of(forecast: &Forecast, scored: impl Fn(u32) -> bool) -> Pending {
    let leads = forecast
        .leads
        .iter()
        .map(|lead| {
            let (low_c, high_c) = lead.interval_c.unwrap_or((f32::NAN, f32::NAN));
            PendingLead {
                lead_h: lead.lead_h as u16,
                temperature_c: lead.temperature_c,
                low_c,
                high_c,
                scored: scored(lead.lead_h),
            }
        })
        .collect();
    Pending { persistence_c: forecast.temperature_c, leads }
}
