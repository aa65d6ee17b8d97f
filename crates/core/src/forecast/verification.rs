//! Verification: each forecast of a station is scored when the hour that it was for has been observed, beside the
//! reference forecasts.
//!
//! A score needs a forecast and a reading in the very slot that it was for; whichever comes last completes it. Every pair
//! is scored once: a lead of a forecast counts as scored exactly when its slot is closed (a later one is open) and has a
//! temperature. A restart finds that out from the history alone.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lead_scores::{Score, Scores};
use crate::forecast::{Forecast, Source, from_centidegrees, to_centidegrees};
use crate::weather::quantity::Quantity;
use crate::window::grid::Slot;
use crate::window::history::History;
use crate::window::spec::WindowSpec;

/// A forecast that waits for its hours, in centidegrees.
#[derive(Debug, Clone, PartialEq)]
struct Pending {
    persistence_c: f32,
    /// Seconds from its origin to its issue.
    issued_after_s: i16,
    source: Source,
    /// Name and version of the model, or the name of the source.
    model: Arc<str>,
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

/// A forecast that waits for its hours, as it was made.
pub(crate) struct Waiting<'a> {
    /// The slot of its origin.
    pub(crate) slot: Slot,
    /// Seconds from there to its issue.
    pub(crate) issued_after_s: i64,
    /// The newest temperature, °C.
    pub(crate) persistence_c: f32,
    pub(crate) source: Source,
    /// Name and version of the model, or the name of the source.
    pub(crate) model: &'a str,
    leads: &'a [PendingLead],
}

impl Waiting<'_> {
    /// Lead in hours, temperature, and lower and upper end of the interval, °C.
    pub(crate) fn leads(&self) -> impl Iterator<Item = (u32, f32, Option<(f32, f32)>)> {
        self.leads.iter().map(|lead| {
            let has_interval = lead.low != ABSENT && lead.high != ABSENT;
            let interval = (from_centidegrees(lead.low), from_centidegrees(lead.high));
            (u32::from(lead.lead_h), from_centidegrees(lead.temperature), has_interval.then_some(interval))
        })
    }
}

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

    /// Remembers a forecast issued at a slot, and scores it for the hours that have been observed already. It replaces an
    /// earlier forecast of the same slot; leads of that which were scored are not scored again. Persistence is
    /// not remembered: it is what the others are scored beside.
    pub fn issued(
        &mut self,
        slot: Slot,
        forecast: &Forecast,
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
        let model = self.shared_name(&forecast.model);
        self.pending.extend(pending(forecast, model, was_scored).map(|pending| (slot, pending)));
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

    /// Remembers a forecast that was issued before. It was scored for what was observed up to the slot `scored_until`.
    pub fn restore(
        &mut self,
        slot: Slot,
        forecast: &Forecast,
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
        let model = self.shared_name(&forecast.model);
        self.pending.extend(pending(forecast, model, was_scored).map(|pending| (slot, pending)));
    }

    /// The name of a model, the one of the newest forecast that waits if it is the same: there are very many.
    fn shared_name(&self, model: &str) -> Arc<str> {
        let newest = self.pending.last_key_value().map(|(_, newest)| &newest.model);
        newest.filter(|newest| ***newest == *model).map_or_else(|| Arc::from(model), Arc::clone)
    }

    /// Whether the forecast of a slot waits for its hours.
    pub fn is_pending(&self, slot: Slot) -> bool {
        self.pending.contains_key(&slot)
    }

    /// The forecasts that wait for their hours, by rising origin.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Waiting<'_>> {
        self.pending.iter().map(|(&slot, pending)| Waiting {
            slot,
            issued_after_s: i64::from(pending.issued_after_s),
            persistence_c: pending.persistence_c,
            source: pending.source,
            model: &pending.model,
            leads: &pending.leads,
        })
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

/// Leads that do not fit are not verified: the manifest bounds leads to 240 h, and degrees are checked before. Nor is a
/// forecast that was issued hours from its origin: a slot reaches at most an hour back, so that none of ours is.
fn pending(forecast: &Forecast, model: Arc<str>, was_scored: impl Fn(u8) -> bool) -> Option<Pending> {
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
        source: forecast.source,
        model,
        leads: leads.collect(),
    })
}
