//! How far a quantity can move between two readings.

use serde::{Deserialize, Serialize};

use crate::weather::quantity::Quantity;

/// So many values in a row that agree with each other are believed, however far they leapt: a sensor was exchanged or
/// moved.
pub(crate) const LEAPS_BELIEVED: u8 = 3;

/// After a silence of this length any plausible value can follow.
const SILENCE_S: i64 = 24 * 3600;

/// The last of the values that were refused as leaps since the last one that was believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RefusedLeap {
    /// The value that was refused, in the canonical unit of its quantity.
    pub(crate) value: f32,
    /// When it was measured, in seconds since 1970.
    pub(crate) at: i64,
    /// How many in a row agree with each other, this one included.
    pub(crate) count: u8,
}

/// Whether a change by `difference` within `interval_s` seconds is more than the atmosphere moves.
///
/// The limit is that of an hour for every shorter interval, as the sharpest changes take minutes; it grows with every
/// hour more, and after a day there is none.
///
/// Temperature: the sharpest change on record is the föhn of Spearfish, South Dakota, of 1943 (27 K in minutes), the
/// largest within a day that of Loma, Montana, of 1972 (57 K). Pressure: below 20 hPa within an hour, tornado passages
/// aside; about 90 hPa within a day where a typhoon passes.
pub(crate) fn is_leap(quantity: Quantity, interval_s: i64, difference: f32) -> bool {
    let (within_hour, each_hour_more) = match quantity {
        Quantity::AirTemperature | Quantity::DewPointTemperature => (30.0, 2.0),
        Quantity::AirPressure => (25.0, 3.0),
        _ => return false,
    };
    if interval_s >= SILENCE_S {
        return false;
    }
    let hours_more = (interval_s - 3600).max(0) as f32 / 3600.0;
    difference.abs() > within_hour + each_hour_more * hours_more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_the_interval_and_ends_with_a_day_of_silence() {
        let leaps =
            |hours: f64, kelvin: f32| is_leap(Quantity::AirTemperature, (hours * 3600.0) as i64, kelvin);
        // Spearfish in two minutes, Loma within a day.
        assert!(!leaps(0.03, 27.0) && !leaps(23.9, 57.0));
        assert!(leaps(0.03, 31.0) && leaps(1.0, -31.0) && leaps(1.01, 45.0) && leaps(3.0, 45.0));
        assert!(leaps(23.9, 80.0) && !leaps(24.0, 149.0));
        assert!(is_leap(Quantity::AirPressure, 7200, 200.0) && !is_leap(Quantity::AirPressure, 86_399, 90.0));
        assert!(!is_leap(Quantity::WindSpeed, 1, 80.0), "gusts leap");
    }
}
