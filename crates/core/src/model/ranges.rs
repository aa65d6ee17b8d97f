//! What a model has seen in its training, and what lies outside.

use serde::{Deserialize, Serialize};

/// What a model was trained on: the lowest and the highest of each measure. A measure that is not there bounds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// Daily means of air temperature, °C.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<(f32, f32)>,
    /// Daily means of air pressure at the station, hPa.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure_hpa: Option<(f32, f32)>,
    /// Latitudes of the stations, degrees north.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude_deg: Option<(f32, f32)>,
    /// Mean differences of the warmest and the coldest hour of the days of a station, °C.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_range_c: Option<(f32, f32)>,
}

/// What ranges are of.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Measure {
    /// The mean temperature of a day, °C.
    Temperature,
    /// The mean pressure of a day, hPa.
    Pressure,
    /// The latitude, degrees north.
    Latitude,
    /// The difference of the warmest and the coldest hour of a day, in the mean, °C.
    DailyRange,
}

impl Measure {
    /// The word in logs and payloads.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its unit, with a space before it where one is written.
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Temperature | Measure::DailyRange => " °C",
            Measure::Pressure => " hPa",
            Measure::Latitude => "°",
        }
    }
}

impl Ranges {
    /// The range of a measure, if it is known.
    pub fn of(&self, measure: Measure) -> Option<(f32, f32)> {
        match measure {
            Measure::Temperature => self.temperature_c,
            Measure::Pressure => self.pressure_hpa,
            Measure::Latitude => self.latitude_deg,
            Measure::DailyRange => self.daily_range_c,
        }
    }

    /// The range that a value lies outside of, if it does.
    pub fn outside(&self, measure: Measure, value: f32) -> Option<(f32, f32)> {
        self.of(measure).filter(|(low, high)| value < *low || value > *high)
    }

    /// Whether every range has an end that is not before its beginning, and is of numbers.
    pub fn is_sound(&self) -> bool {
        let known = [self.temperature_c, self.pressure_hpa, self.latitude_deg, self.daily_range_c];
        known.into_iter().flatten().all(|(low, high)| low.is_finite() && high.is_finite() && low <= high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_within_and_what_is_not_known_bounds_nothing() {
        let ranges = Ranges { latitude_deg: Some((-36.0, 83.0)), ..Ranges::default() };
        assert_eq!(ranges.outside(Measure::Latitude, -36.0), None);
        assert_eq!(ranges.outside(Measure::Latitude, -36.5), Some((-36.0, 83.0)));
        assert_eq!(ranges.outside(Measure::Pressure, 1.0), None);
        assert!(ranges.is_sound());
        assert!(!Ranges { pressure_hpa: Some((2.0, 1.0)), ..ranges }.is_sound());
        assert!(!Ranges { pressure_hpa: Some((f32::NAN, 1.0)), ..ranges }.is_sound());
    }
}
