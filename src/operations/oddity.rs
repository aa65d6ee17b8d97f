//! What a person reads of what is odd about a station: in the log, and of a record that is walked.

use std::borrow::Cow;

use forecastd_core::{Measure, Oddity};

/// What is odd, and what may be the cause.
pub fn explain(oddity: &Oddity) -> Cow<'static, str> {
    Cow::Borrowed(match *oddity {
        Oddity::Clock { .. } => {
            "the daily wave of temperature has its maximum at an hour of solar time at which it has it nowhere (12.7 to \
             16.4 h): is a sign of latitude_deg or longitude_deg wrong, or their order, or the station's clock?"
        }
        Oddity::SeaLevelPressure { .. } => {
            "the pressure is that of the sea's level, not of the station's: is it reduced, or elevation_m wrong?"
        }
        Oddity::OutsideTraining { measure, value, low, high } => {
            let hint = match measure {
                Measure::DailyRange if value > high => "; is the thermometer in the sun?",
                Measure::Latitude => "; are latitude_deg and longitude_deg in the right order?",
                _ => "",
            };
            let (name, unit) = (measure.name(), measure.unit());
            return Cow::Owned(format!(
                "{name} {value:.1}{unit} is outside of what the model was trained on, {low:.1} to {high:.1}{unit}: the \
                 experts find out what it is worth here{hint}"
            ));
        }
        Oddity::WholeDegrees => {
            "the temperature comes in whole degrees: forecasts are scored to no better than half of one; is it rounded on its \
             way?"
        }
        Oddity::PlaceDiffers { .. } => "the payload gives another place than the configuration, which counts",
        Oddity::Moved { .. } => {
            "the station stands elsewhere, as its payload says: its history and experts were of the place before and begin \
             anew; do two stations share the name?"
        }
    })
}

/// The numbers that the explanation does not hold, as the log has them.
pub fn numbers(oddity: &Oddity) -> Option<String> {
    match *oddity {
        Oddity::Clock { peak_h } => Some(format!("peak_h={peak_h:.1}")),
        Oddity::SeaLevelPressure { mean_hpa, expected_hpa } => {
            Some(format!("mean_hpa={mean_hpa:.1} expected_hpa={expected_hpa:.1}"))
        }
        Oddity::PlaceDiffers { distance_km } | Oddity::Moved { distance_km } => {
            Some(format!("distance_km={distance_km}"))
        }
        Oddity::OutsideTraining { .. } | Oddity::WholeDegrees => None,
    }
}
