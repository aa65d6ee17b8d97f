//! A station's experts: what it asks of them, and what they forecast together.

use jiff::{SignedDuration, Timestamp};

use super::{Completed, InFlight, Origin, Station};
use crate::forecast::experts::{
    Advice, Combination, Distances, Experts, LeadAdvice, MODEL_PRIOR, References, Spread, Standing,
};
use crate::forecast::{Forecast, LeadForecast, Source};
use crate::model::manifest::Manifest;
use crate::model::outputs;
use crate::weather::quantity::Quantity;
use crate::window::history::History;
use crate::window::spec::WindowSpec;

/// The central interval that is published.
const PUBLISHED_LEVEL: f32 = 0.8;

/// Observations are learned from and told to the reference experts as far back as this. A history keeps as much behind an
/// origin whatever came after it, as long as its forecast is in flight.
const REACH: SignedDuration = SignedDuration::from_hours(24);

/// The experts of a station, and whether they are to be written.
#[derive(Debug, Clone)]
pub(super) struct StationExperts {
    experts: Experts,
    has_changed: bool,
}

impl StationExperts {
    pub(super) fn new(manifest: &Manifest) -> StationExperts {
        StationExperts { experts: Experts::new(&manifest.lead_h), has_changed: false }
    }

    /// From what was written; as new where nothing usable was.
    pub(super) fn restore(manifest: &Manifest, written: Option<&[u8]>) -> StationExperts {
        let Some(experts) = written.and_then(Experts::decode) else { return StationExperts::new(manifest) };
        let mut station = StationExperts { experts, has_changed: false };
        station.adopt(manifest);
        station
    }

    /// Goes on with the leads of another model.
    pub(super) fn adopt(&mut self, manifest: &Manifest) {
        let before = self.experts.lead_h().collect::<Vec<_>>();
        self.experts.set_leads(&manifest.lead_h);
        self.has_changed |= !self.experts.lead_h().eq(before);
    }

    /// Forgets what was said after a time: a clock was ahead.
    pub(super) fn drop_after(&mut self, limit: Timestamp) {
        self.experts.drop_after(limit);
        self.has_changed = true;
    }

    /// Learns from the hours before an origin, and combines what the experts say at it. It is kept until its hours have come
    /// unless it `is_superseded`.
    fn combine(
        &mut self,
        origin: &Origin,
        history: &History,
        spec: &WindowSpec,
        model: Option<Advice<'_>>,
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
        let advices: Vec<Advice<'_>> = references.advices().into_iter().chain(model).collect();
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

    /// What [`Station::restore`] needs of the experts, if that has changed since it was last taken.
    pub fn take_changed_experts(&mut self) -> Option<Vec<u8>> {
        let own = self.experts.as_mut()?;
        std::mem::take(&mut own.has_changed).then(|| own.experts.encode())
    }

    /// The experts are to be written again, as they are.
    pub fn mark_experts_changed(&mut self) {
        if let Some(own) = &mut self.experts {
            own.has_changed = true;
        }
    }

    /// The next forecast that goes without the model, when all before it have come; `None` when there is no such.
    pub fn complete_unasked(&mut self) -> Option<Completed> {
        let &InFlight { origin, arrived, .. } = self.in_flight.front().filter(|first| !first.is_asked)?;
        self.in_flight.pop_front();
        let is_superseded = self.in_flight.iter().any(|asked| asked.origin.slot == origin.slot);
        let forecast = self.combined_forecast(&origin, None, is_superseded);
        let scores = self.completed(&origin, &forecast, is_superseded);
        Some(Completed { forecast, scores, arrived, is_implausible: false })
    }

    /// What the experts say together, the model among them where it gave `outputs`; persistence where there are no experts.
    pub(super) fn combined_forecast(
        &mut self,
        origin: &Origin,
        outputs: Option<&[f32]>,
        is_superseded: bool,
    ) -> Forecast {
        let manifest = &self.model.manifest;
        let leads = outputs.map(|outputs| model_leads(manifest, origin.newest_c, outputs));
        let model = leads.as_deref().map(|leads| Advice { name: &self.model.id, prior: MODEL_PRIOR, leads });
        let Some(own) = &mut self.experts else { return self.reference_forecast(origin) };
        let combination = own.combine(origin, &self.history, &manifest.window, model, is_superseded);
        let leads = combination.leads().map(|combined| LeadForecast {
            lead_h: combined.lead_h,
            valid_at: manifest.window.valid_at(origin.slot, combined.lead_h).1,
            temperature_c: combined.temperature_c,
            interval_c: combined.interval_c(PUBLISHED_LEVEL),
        });
        let source = if model.is_some() { Source::Model } else { Source::Reference };
        self.forecast(origin, source, leads.collect())
    }
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
