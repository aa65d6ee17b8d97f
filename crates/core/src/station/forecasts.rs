//! The forecasts that a station makes: the reference, and what the models' outputs mean.

use std::time::Duration;

use super::{Next, Origin, Station};
use crate::forecast::experts::QUANTILES;
use crate::forecast::lead_scores::Score;
use crate::forecast::quantiles::outward;
use crate::forecast::{Forecast, LeadForecast, Source, from_centidegrees, to_centidegrees};
use crate::model::manifest::Manifest;
use crate::model::outputs;
use crate::weather::quantity::Quantity;
use crate::window::grid::Slot;

/// What the model's outputs `[lead]` or `[lead, quantile]` mean in °C; `None` when one is no temperature that a thermometer
/// shows.
pub(super) fn degrees(manifest: &Manifest, origin: &Origin, outputs: &[f32]) -> Option<Vec<LeadForecast>> {
    if outputs.len() != manifest.outputs() {
        return None;
    }
    let (lowest, highest) = Quantity::AirTemperature.plausible_range();
    // A forecast may go beyond what was ever measured, not beyond what can be.
    let plausible = lowest - MARGIN_C..=highest + MARGIN_C;
    let judge = |temperature_c: f32| {
        plausible.contains(&temperature_c).then(|| to_centidegrees(temperature_c).map(from_centidegrees))?
    };
    let degrees_of = |own: &[f32]| -> Option<[f32; QUANTILES.len()]> {
        let own = own.iter().map(|&output| judge(manifest.target.temperature_c(output, origin.newest_c)));
        outward(&manifest.quantiles, &own.collect::<Option<Vec<f32>>>()?)
    };
    let own = outputs.chunks_exact(manifest.quantiles.len().max(1));
    let leads = outputs::decode_outputs(manifest, origin.newest_c, outputs).zip(own).map(|(decoded, own)| {
        let interval_c = match decoded.interval_c {
            Some((low, high)) => Some((judge(low)?, judge(high)?)),
            None => None,
        };
        Some(LeadForecast {
            lead_h: decoded.lead_h,
            valid_at: manifest.window.valid_at(origin.slot, decoded.lead_h).1,
            temperature_c: judge(decoded.temperature_c)?,
            interval_c,
            quantiles_c: degrees_of(own),
        })
    });
    leads.collect()
}

/// How far the ends of an interval may lie beyond what was ever measured, °C.
const MARGIN_C: f32 = 20.0;

impl Station {
    /// Takes the windows that end at `slot`, or makes the reference forecast if there is none.
    pub(super) fn ask(&mut self, slot: Slot, arrived: Option<Duration>) -> Next {
        let spec = &self.model.manifest.window;
        let issued_at = self.newest.map_or_else(|| spec.grid().time(slot), |(time, _)| time);
        let newest_c = spec.newest(&self.history, slot, Quantity::AirTemperature);
        let (windows, readiness) = self.windows(slot);
        self.readiness = readiness;
        // A temperature that was never measured leaves no window complete.
        let Some(newest_c) = newest_c else { return Next::Nothing };
        let origin = Origin { slot, issued_at, newest_c };
        if !windows.is_empty() {
            return Next::Infer(self.asked(origin, arrived, &windows), windows);
        }
        if self.experts.is_some() {
            self.asked(origin, arrived, &[]);
            let completed = self.next_completed();
            return completed.map_or(Next::Nothing, |completed| Next::Reference(completed.forecast));
        }
        let forecast = self.reference_forecast(&origin);
        self.issued(&forecast);
        Next::Reference(forecast)
    }

    /// Persistence, as the reference forecast.
    pub(super) fn reference_forecast(&self, origin: &Origin) -> Forecast {
        let manifest = &self.model.manifest;
        let temperature_c = to_centidegrees(origin.newest_c).map_or(origin.newest_c, from_centidegrees);
        let leads = manifest.lead_h.iter().map(|&lead_h| LeadForecast {
            lead_h,
            valid_at: manifest.window.valid_at(origin.slot, lead_h).1,
            temperature_c,
            interval_c: None,
            quantiles_c: None,
        });
        self.forecast(origin, Source::Persistence, leads.collect())
    }

    pub(super) fn forecast(&self, origin: &Origin, source: Source, leads: Vec<LeadForecast>) -> Forecast {
        Forecast {
            station: self.name.clone(),
            issued_at: origin.issued_at,
            origin: self.history.grid().time(origin.slot),
            temperature_c: origin.newest_c,
            model: match source {
                Source::Model => self.model.id.to_string(),
                Source::Persistence | Source::Reference => source.name().to_owned(),
            },
            source,
            leads,
            day_ahead: None,
        }
    }

    pub(super) fn issued(&mut self, forecast: &Forecast) {
        self.undelivered.push_back(forecast.origin);
        self.keep_newest(forecast);
    }

    /// Keeps a forecast if none is newer.
    pub(super) fn keep_newest(&mut self, forecast: &Forecast) {
        let is_newer = |newest: &Forecast| newest.origin <= forecast.origin;
        if self.newest_forecast.as_ref().is_none_or(is_newer) {
            self.newest_forecast = Some(forecast.clone());
        }
    }

    /// Scores a forecast for hours that have been observed already, and remembers it.
    pub(super) fn completed(
        &mut self,
        origin: &Origin,
        forecast: &Forecast,
        is_superseded: bool,
    ) -> Vec<Score> {
        let spec = &self.model.manifest.window;
        let scores = match is_superseded {
            true => Vec::new(),
            false => self.verification.issued(origin.slot, forecast, spec, &self.history),
        };
        self.issued(forecast);
        scores
    }
}
