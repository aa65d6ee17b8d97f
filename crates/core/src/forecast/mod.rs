//! Forecasts: what is published, the reference forecasts, and how each is verified.

pub(crate) mod baseline;
pub(crate) mod cholesky;
pub(crate) mod day_ahead;
pub(crate) mod day_scores;
pub(crate) mod day_verification;
pub(crate) mod experts;
pub(crate) mod lead_scores;
pub(crate) mod past;
pub(crate) mod quantiles;
pub(crate) mod score;
pub(crate) mod verification;

use jiff::Timestamp;

use day_ahead::DayAhead;
use experts::QUANTILES;

use crate::number::{to_i16, to_single};
use crate::weather::reading::StationName;

/// Where a forecast's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The model; with experts, it and the others together.
    Model,
    /// The newest temperature, as long as the model cannot run.
    Persistence,
    /// The reference experts together, as long as the model cannot run.
    Reference,
}

impl Source {
    /// Every source, among which one is found by its name.
    pub const ALL: [Source; 3] = [Source::Model, Source::Persistence, Source::Reference];

    /// The word in payloads, metrics and the journal.
    pub fn name(self) -> &'static str {
        match self {
            Source::Model => "model",
            Source::Persistence => "persistence",
            Source::Reference => "reference",
        }
    }
}

/// The temperature at one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeadForecast {
    /// Hours from the forecast's origin.
    pub lead_h: u32,
    /// When it is for.
    pub valid_at: Timestamp,
    /// °C, in whole centidegrees.
    pub temperature_c: f32,
    /// Lower and upper end of the interval in °C, where there is one; in whole centidegrees. Experts give the central
    /// interval of 80 %.
    pub interval_c: Option<(f32, f32)>,
    /// The quantiles of [`QUANTILES`], rising, °C, in whole centidegrees; the one in the middle is the temperature. `None`
    /// where a forecast says less, as one that was read from the journal, which keeps the interval alone.
    pub quantiles_c: Option<[f32; QUANTILES.len()]>,
}

/// A forecast of one station's temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The station that the forecast is for.
    pub station: StationName,
    /// The time of the newest reading it knows.
    pub issued_at: Timestamp,
    /// The grid time that leads are counted from: the end of the window.
    pub origin: Timestamp,
    /// The newest temperature, °C.
    pub temperature_c: f32,
    /// Name and version of the model, or the name of the source.
    pub model: String,
    /// Where the numbers come from.
    pub source: Source,
    /// By lead, rising.
    pub leads: Vec<LeadForecast>,
    /// The lowest and the highest temperature ahead, where the model forecasts them.
    pub day_ahead: Option<DayAhead>,
}

impl Forecast {
    /// The forecast for one lead.
    pub fn at(&self, lead_h: u32) -> Option<&LeadForecast> {
        self.leads.iter().find(|lead| lead.lead_h == lead_h)
    }
}

/// A temperature in whole centidegrees: what is published, stored and verified are then the same number.
///
/// `None` where it does not fit 16 bits, which no temperature of the atmosphere misses.
pub fn to_centidegrees(temperature_c: f32) -> Option<i16> {
    let centidegrees = (f64::from(temperature_c) * 100.0).round();
    // i16::MIN marks an absent value.
    let fits = centidegrees > f64::from(i16::MIN) && centidegrees <= f64::from(i16::MAX);
    fits.then(|| to_i16(centidegrees))
}

/// The temperature in °C that a number of centidegrees means.
pub fn from_centidegrees(centidegrees: i16) -> f32 {
    to_single(f64::from(centidegrees) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_centidegree_survives_being_a_float() {
        for centidegrees in i16::MIN + 1..=i16::MAX {
            assert_eq!(to_centidegrees(from_centidegrees(centidegrees)), Some(centidegrees));
        }
        assert_eq!(to_centidegrees(-0.001), Some(0));
        for impossible in [f32::NAN, f32::INFINITY, -327.68, 5012.0] {
            assert_eq!(to_centidegrees(impossible), None);
        }
    }
}
