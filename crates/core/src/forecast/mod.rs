//! Forecasts: what is published, the forecasts that cost nothing, and how each is checked against what came.

pub(crate) mod baseline;
pub(crate) mod cholesky;

pub(crate) mod score;
pub(crate) mod verification;

use jiff::Timestamp;

/// Where a forecast's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The network.
    Model,
    /// The newest temperature, as long as the network cannot run.
    Persistence,
}

impl Source {
    /// The word in payloads, metrics and the journal.
    pub fn name(self) -> &'static str {
        match self {
            Source::Model => "model",
            Source::Persistence => "persistence",
        }
    }
}

/// The temperature at one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeadForecast {
    /// Hours from the newest reading.
    pub lead_h: u32,
    /// When it is for.
    pub valid_at: Timestamp,
    /// °C.
    pub temperature_c: f32,
    /// Lower and upper end of the interval in °C, where the model gives one.
    pub interval_c: Option<(f32, f32)>,
}

/// A forecast of one station's temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The station.
    pub station: crate::weather::reading::StationName,
    /// The time of the newest reading it knows.
    pub issued_at: Timestamp,
    /// The grid time that leads are counted from: the end of the window.
    pub origin: Timestamp,
    /// The newest temperature, °C.
    pub temperature_c: f32,
    /// Name and version of the model, or `persistence`.
    pub model: String,
    /// Where the numbers come from.
    pub source: Source,
    /// By lead, rising.
    pub leads: Vec<LeadForecast>,
}

impl Forecast {
    /// The forecast for one lead.
    pub fn at(&self, lead_h: u32) -> Option<&LeadForecast> {
        self.leads.iter().find(|lead| lead.lead_h == lead_h)
    }
}
