//! A station's experts: what it asks of them, and what they forecast together.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::in_flight::Asked;
use super::{Origin, Station};
use crate::forecast::day_ahead::DayAhead;
use crate::forecast::day_scores::{DayScore, DayScores};
use crate::forecast::day_verification::DayVerification;
use crate::forecast::experts::{
    Advice, Combination, Distances, Experts, LeadAdvice, MODEL_PRIOR, References, SPECIALIST_PRIOR, Spread,
    Standing,
};
use crate::forecast::{Forecast, LeadForecast, Source};
use crate::model::Model;
use crate::model::manifest::Manifest;
use crate::model::outputs;
use crate::weather::quantity::Quantity;
use crate::window::history::History;
use crate::window::spec::WindowSpec;

/// The central interval that is published.
const PUBLISHED_LEVEL: f32 = 0.8;

/// Observations are learned from and told to the reference experts as far back as this. A history keeps as much behind an
/// origin whatever came after it, as long as its forecast is in flight: readings run no more than a day ahead of the oldest
/// ([`Station::must_wait`]), and it has room for two ([`WindowSpec::history_slots`]).
const REACH: SignedDuration = SignedDuration::from_hours(24);

/// The experts of a station, and whether they are to be written.
#[derive(Debug, Clone)]
pub(super) struct StationExperts {
    experts: Experts,
    days: DayVerification,
    /// Scores of days ahead that were not taken yet.
    day_scores: Vec<DayScore>,
    has_changed: bool,
}

/// What is written: the experts as they write themselves, and the verification of the days ahead.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    experts: &'a [u8],
    days: Cow<'a, DayVerification>,
}

/// The first byte of [`Written`]; what an earlier version wrote begins with the experts' own, which is another.
const FORMAT: u8 = 2;

impl StationExperts {
    pub(super) fn new(manifest: &Manifest) -> StationExperts {
        StationExperts::from_parts(Experts::new(&manifest.lead_h), DayVerification::default())
    }

    /// From what was written; as new where nothing usable was.
    pub(super) fn restore(manifest: &Manifest, written: Option<&[u8]>) -> StationExperts {
        let Some(mut station) = written.and_then(StationExperts::decode) else {
            return StationExperts::new(manifest);
        };
        station.adopt(manifest);
        station
    }

    fn from_parts(experts: Experts, days: DayVerification) -> StationExperts {
        StationExperts { experts, days, day_scores: Vec::new(), has_changed: false }
    }

    fn encode(&self) -> Vec<u8> {
        let written = Written { experts: &self.experts.encode(), days: Cow::Borrowed(&self.days) };
        postcard::to_extend(&written, vec![FORMAT]).expect("numbers in vectors can be written")
    }

    /// What [`StationExperts::encode`] wrote, or an earlier version, which knew no days; `None` for anything else.
    fn decode(bytes: &[u8]) -> Option<StationExperts> {
        let Some((&FORMAT, rest)) = bytes.split_first() else {
            return Some(StationExperts::from_parts(Experts::decode(bytes)?, DayVerification::default()));
        };
        let (written, rest): (Written<'_>, &[u8]) = postcard::take_from_bytes(rest).ok()?;
        let is_sound = rest.is_empty() && written.days.is_sound();
        let experts = Experts::decode(written.experts).filter(|_| is_sound)?;
        Some(StationExperts::from_parts(experts, written.days.into_owned()))
    }

    /// Goes on with the leads of another model.
    pub(super) fn adopt(&mut self, manifest: &Manifest) {
        let before = self.experts.lead_h().collect::<Vec<_>>();
        self.experts.set_leads(&manifest.lead_h);
        self.has_changed |= !self.experts.lead_h().eq(before);
    }

    /// Forgets what is of a place, where the station stands elsewhere now; scores stay.
    pub(super) fn forget_place(&mut self, manifest: &Manifest) {
        self.experts = Experts::new(&manifest.lead_h);
        self.days = DayVerification::with_scores(self.days.scores().clone());
        self.has_changed = true;
    }

    /// Forgets what was said after a time: a clock was ahead.
    pub(super) fn drop_after(&mut self, limit: Timestamp) {
        self.experts.drop_after(limit);
        self.days.drop_after(limit);
        self.has_changed = true;
    }

    /// Scores the days ahead that are over at an origin, and keeps what is said of the next one until it is, unless it
    /// `is_superseded`.
    fn verify_day(
        &mut self,
        origin: &Origin,
        history: &History,
        spec: &WindowSpec,
        day: Option<&DayAhead>,
        is_superseded: bool,
    ) {
        let time = history.grid().time(origin.slot);
        let max_hole = spec.max_hole_slots().min(history.grid().slots_per_hour());
        let observed = |at: Timestamp| {
            let slot = history.grid().slot(at);
            let value = history.filled(slot, Quantity::AirTemperature, origin.slot, max_hole);
            (at >= time - REACH && !value.is_nan()).then_some(value)
        };
        self.has_changed |= self.days.is_due(time);
        self.day_scores.extend(self.days.learn_until(time, observed));
        if let Some(day) = day.filter(|_| !is_superseded) {
            self.has_changed |= self.days.issued(time, day);
        }
    }

    /// Learns from the hours before an origin, and combines what the experts say at it. It is kept until its hours have come
    /// unless it `is_superseded`.
    fn combine(
        &mut self,
        origin: &Origin,
        history: &History,
        spec: &WindowSpec,
        models: &[Advice<'_>],
        is_superseded: bool,
    ) -> Combination {
        let time = history.grid().time(origin.slot);
        let observed = |at: Timestamp| {
            let slot = history.grid().slot(at);
            let value = history.value(slot, Quantity::AirTemperature);
            (at >= time - REACH && !value.is_nan()).then_some(value)
        };
        self.has_changed |= self.experts.learn_until(time, observed);
        let max_hole = spec.max_hole_slots().min(history.grid().slots_per_hour());
        let before = |at: Timestamp| {
            let slot = history.grid().slot(at);
            let value = history.filled(slot, Quantity::AirTemperature, origin.slot, max_hole);
            (at >= time - REACH && !value.is_nan()).then_some(value)
        };
        let lead_h: Vec<u32> = self.experts.lead_h().collect();
        let references = References::new(&lead_h, time, origin.newest_c, before);
        let advices: Vec<Advice<'_>> =
            references.advices().into_iter().chain(models.iter().copied()).collect();
        let combination = self.experts.combine(time, &advices);
        if !is_superseded {
            self.has_changed |= self.experts.issued(&combination);
        }
        combination
    }
}

impl Station {
    /// How the station's experts stand, by rising name; empty without experts.
    pub fn expert_standings(&self) -> Vec<Standing> {
        self.experts.as_ref().map_or_else(Vec::new, |own| own.experts.standings())
    }

    /// How good what was said of the days ahead has been; `None` before the first that is over.
    pub fn day_scores(&self) -> Option<&DayScores> {
        self.experts.as_ref().map(|own| own.days.scores()).filter(|scores| !scores.is_empty())
    }

    /// The scores of days ahead that came since they were last taken.
    pub fn take_day_scores(&mut self) -> Vec<DayScore> {
        self.experts.as_mut().map_or_else(Vec::new, |own| std::mem::take(&mut own.day_scores))
    }

    /// Scores the days ahead that are over, and keeps what is said of the next one.
    pub(super) fn verify_day(&mut self, origin: &Origin, day: Option<&DayAhead>, is_superseded: bool) {
        let spec = &self.model.manifest.window;
        if let Some(own) = &mut self.experts {
            own.verify_day(origin, &self.history, spec, day, is_superseded);
        }
    }

    /// What [`Station::restore`] needs of the experts, if that has changed since it was last taken.
    pub fn take_changed_experts(&mut self) -> Option<Vec<u8>> {
        let own = self.experts.as_mut()?;
        std::mem::take(&mut own.has_changed).then(|| own.encode())
    }

    /// The experts are to be written again, as they are.
    pub fn mark_experts_changed(&mut self) {
        if let Some(own) = &mut self.experts {
            own.has_changed = true;
        }
    }

    /// What the experts say together, those of the `asked` models among them that gave outputs; persistence where there are
    /// no experts.
    pub(super) fn combined_forecast(
        &mut self,
        origin: &Origin,
        asked: &[Asked],
        is_superseded: bool,
    ) -> Forecast {
        let manifest = &self.model.manifest;
        let said: Vec<(&Model, Vec<Option<LeadAdvice>>)> = asked
            .iter()
            .filter_map(|asked| {
                let own = &asked.model.manifest;
                let leads = model_leads(own, origin.newest_c, asked.outputs()?);
                Some((&*asked.model, at_leads(&manifest.lead_h, &own.lead_h, leads)))
            })
            .collect();
        let models: Vec<Advice<'_>> = said
            .iter()
            .map(|(model, leads)| {
                let prior = if model.id == self.model.id { MODEL_PRIOR } else { SPECIALIST_PRIOR };
                Advice { name: &model.id, prior, leads }
            })
            .collect();
        let Some(own) = &mut self.experts else { return self.reference_forecast(origin) };
        let combination = own.combine(origin, &self.history, &manifest.window, &models, is_superseded);
        let leads = combination.leads().map(|combined| LeadForecast {
            lead_h: combined.lead_h,
            valid_at: manifest.window.valid_at(origin.slot, combined.lead_h).1,
            temperature_c: combined.temperature_c,
            interval_c: combined.interval_c(PUBLISHED_LEVEL),
            quantiles_c: Some(combined.quantiles_c),
        });
        // The first is the main model, if it can run.
        match said.first() {
            None => self.forecast(origin, Source::Reference, leads.collect()),
            Some((model, _)) => Forecast {
                model: model.id.to_string(),
                ..self.forecast(origin, Source::Model, leads.collect())
            },
        }
    }
}

/// What is said of the leads that are `wanted`, of what is said of others; `None` where nothing is.
fn at_leads(wanted: &[u32], lead_h: &[u32], mut said: Vec<Option<LeadAdvice>>) -> Vec<Option<LeadAdvice>> {
    if wanted == lead_h {
        return said;
    }
    let at = |wanted: &u32| lead_h.binary_search(wanted).ok().and_then(|lead| said.get_mut(lead)?.take());
    wanted.iter().map(at).collect()
}

/// A model's outputs `[lead]` or `[lead, quantile]` as what an expert says, by lead.
fn model_leads(manifest: &Manifest, newest_c: f32, outputs: &[f32]) -> Vec<Option<LeadAdvice>> {
    let quantiles = manifest.quantiles.len().max(1);
    let decoded = outputs::decode_outputs(manifest, newest_c, outputs);
    let leads = decoded.zip(outputs.chunks_exact(quantiles)).map(|(decoded, own)| {
        let ends = manifest.quantiles.iter().zip(own);
        let ends =
            ends.map(|(&quantile, &output)| (quantile, manifest.target.temperature_c(output, newest_c)));
        let distances = Distances::from_quantiles(decoded.temperature_c, &ends.collect::<Vec<_>>());
        let spread = distances.map_or(Spread::TypicalMae(POINT_MAE_C), Spread::Distances);
        Some(LeadAdvice { temperature_c: decoded.temperature_c, spread })
    });
    leads.collect()
}

/// The typical error of a model without quantiles until its own is known, °C.
const POINT_MAE_C: f32 = 2.0;
