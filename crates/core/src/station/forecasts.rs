//! The forecasts that a station makes: the reference, and what the models' outputs mean.

use std::time::Duration;

use super::{Next, Origin, Station};
use crate::forecast::lead_scores::Score;
use crate::forecast::{Forecast, LeadForecast, Source, from_centidegrees, to_centidegrees};
use crate::model::manifest::Manifest;
use crate::model::outputs::{are_temperatures, decode_outputs};
use crate::weather::quantity::Quantity;
use crate::window::grid::Slot;

/// What the model's outputs `[lead]` or `[lead, quantile]` mean in °C; `None` when one of them, the extremes' among them, is no
/// temperature that a thermometer shows.
pub(super) fn degrees(manifest: &Manifest, origin: &Origin, outputs: &[f32]) -> Option<Vec<LeadForecast>> {
    if outputs.len() != manifest.outputs() || !are_temperatures(manifest, origin.newest_c, outputs) {
        return None;
    }
    let rounded =
        |temperature_c: f32| to_centidegrees(temperature_c).map_or(temperature_c, from_centidegrees);
    let leads = decode_outputs(manifest, origin.newest_c, outputs).map(|decoded| LeadForecast {
        lead_h: decoded.lead_h,
        valid_at: manifest.window.valid_at(origin.slot, decoded.lead_h).1,
        temperature_c: rounded(decoded.temperature_c),
        interval_c: decoded.interval_c.map(|(low_c, high_c)| (rounded(low_c), rounded(high_c))),
        quantiles_c: decoded.quantiles_c.map(|own| own.map(rounded)),
    });
    Some(leads.collect())
}

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
