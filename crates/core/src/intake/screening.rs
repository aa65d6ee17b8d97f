//! Checks each value of a reading before it is believed: range, sentinel, leap, freeze.
//!
//! Values are dropped by quantity, not by reading. The trainer screens a record with the same code, so that the
//! network learns from what it will see.

use jiff::Timestamp;

use crate::weather::quantity::{Quantity, Values};

/// Why a value was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Implausible {
    /// Outside the range of the quantity; sentinels such as −9999 are.
    OutOfRange,
    /// Further from the value before than the atmosphere moves in the time between.
    Leap,
    /// The same value to the last bit for so long that the sensor must have frozen.
    Frozen,
}

impl Implausible {
    /// Every reason.
    pub const ALL: [Implausible; 3] = [Implausible::OutOfRange, Implausible::Leap, Implausible::Frozen];

    /// The reason as a metric's label and a log's field.
    pub fn label(self) -> &'static str {
        match self {
            Implausible::OutOfRange => "out_of_range",
            Implausible::Leap => "leap",
            Implausible::Frozen => "frozen",
        }
    }
}

/// A value that was dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropped {
    /// Of which quantity.
    pub quantity: Quantity,
    /// The value, in the canonical unit.
    pub value: f32,
    /// Why.
    pub reason: Implausible,
}

/// Readings that far apart say nothing about a leap.
const LEAP_INTERVAL_S: i64 = 3600;
/// So many values in a row that agree with each other are believed, however far they leapt: a sensor was
/// exchanged or moved.
const LEAPS_BELIEVED: u8 = 3;
/// Readings of one unchanged value over so long a time are a frozen sensor's.
const FREEZE_S: i64 = 24 * 3600;
/// And there must be at least so many of them.
const FREEZE_READINGS: u32 = 24;

/// The largest change within [`LEAP_INTERVAL_S`] that is believed.
///
/// Temperature: the sharpest hourly changes on record are föhn breaks of about 25 K (Spearfish, South Dakota,
/// 1943); pressure: tornado passages aside, below 20 hPa.
fn leap_limit(quantity: Quantity) -> Option<f32> {
    match quantity {
        Quantity::AirTemperature | Quantity::DewPointTemperature => Some(30.0),
        Quantity::AirPressure => Some(25.0),
        _ => None,
    }
}

/// Whether a quantity cannot stay the same to the last digit for a day. Humidity stays at 100 % in fog and wind
/// at 0 in calm; pressure and temperature never rest.
fn can_freeze(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::AirTemperature | Quantity::AirPressure)
}

/// What is remembered of one quantity.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Past {
    /// The last value believed.
    value: f32,
    /// When it was measured.
    time: Timestamp,
    /// Since when the value has been the same.
    same_since: Timestamp,
    /// How often it came in a row.
    repeats: u32,
    /// How many values in a row were refused as leaps.
    leaps: u8,
    /// The last value refused as a leap.
    leapt_to: f32,
}

/// The screening of one station's readings.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Screening {
    past: [Option<Past>; Quantity::COUNT],
}

impl Screening {
    /// Drops from `values`, measured at `time`, what cannot be true; returns what was dropped.
    ///
    /// A reading older than the newest is only checked for its range.
    pub fn screen(&mut self, time: Timestamp, values: &mut Values) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        for quantity in Quantity::ALL {
            let Some(value) = values.get(quantity) else { continue };
            if let Some(reason) = self.judge(quantity, time, value) {
                values.remove(quantity);
                dropped.push(Dropped { quantity, value, reason });
            }
        }
        dropped
    }

    /// Forgets what was measured after `limit`: a clock was ahead.
    pub fn forget_after(&mut self, limit: Timestamp) {
        for past in &mut self.past {
            *past = past.filter(|past| past.time <= limit);
        }
    }

    fn judge(&mut self, quantity: Quantity, time: Timestamp, value: f32) -> Option<Implausible> {
        if !quantity.is_plausible(value) {
            return Some(Implausible::OutOfRange);
        }
        let past = &mut self.past[quantity.index()];
        let fresh = Past { value, time, same_since: time, repeats: 1, leaps: 0, leapt_to: f32::NAN };
        let Some(past) = past else {
            *past = Some(fresh);
            return None;
        };
        if time <= past.time {
            return None;
        }
        if let Some(limit) = leap_limit(quantity) {
            let interval_s = time.as_second() - past.time.as_second();
            let leaps = interval_s <= LEAP_INTERVAL_S && (value - past.value).abs() > limit;
            let agrees = (value - past.leapt_to).abs() <= limit;
            if leaps {
                past.leaps = if agrees { past.leaps + 1 } else { 1 };
                past.leapt_to = value;
                if past.leaps < LEAPS_BELIEVED {
                    return Some(Implausible::Leap);
                }
            }
        }
        if value.to_bits() != past.value.to_bits() {
            *past = fresh;
            return None;
        }
        past.time = time;
        past.repeats += 1;
        let same_s = time.as_second() - past.same_since.as_second();
        let frozen = can_freeze(quantity) && same_s >= FREEZE_S && past.repeats >= FREEZE_READINGS;
        frozen.then_some(Implausible::Frozen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(screening: &mut Screening, minute: i64, quantity: Quantity, value: f32) -> Option<Implausible> {
        let mut values = Values::NONE;
        values.set(quantity, value);
        let dropped = screening.screen(Timestamp::from_second(minute * 60).unwrap(), &mut values);
        assert_eq!(values.get(quantity).is_none(), !dropped.is_empty());
        dropped.first().map(|dropped| dropped.reason)
    }

    #[test]
    fn a_sentinel_is_dropped_and_the_other_quantities_stay() {
        let mut values = Values::NONE;
        values.set(Quantity::WindSpeed, -9999.0);
        values.set(Quantity::AirTemperature, 4.0);
        let dropped = Screening::default().screen(Timestamp::UNIX_EPOCH, &mut values);
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0].reason, Implausible::OutOfRange);
        assert_eq!(values.get(Quantity::AirTemperature), Some(4.0));
    }

    #[test]
    fn a_spike_is_dropped_but_a_new_level_is_believed_at_the_third_reading() {
        let t = Quantity::AirTemperature;
        let mut screening = Screening::default();
        assert_eq!(screen(&mut screening, 0, t, 10.0), None);
        assert_eq!(screen(&mut screening, 10, t, 55.0), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 20, t, 10.1), None);
        assert_eq!(screen(&mut screening, 30, t, -30.0), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 40, t, -30.1), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 50, t, -30.2), None);
        assert_eq!(screen(&mut screening, 60, t, -30.3), None);
        // After a long silence any value can follow.
        assert_eq!(screen(&mut screening, 60 + 24 * 60, t, 20.0), None);
    }

    #[test]
    fn a_frozen_thermometer_is_noticed_after_a_day_and_fog_is_not() {
        let mut screening = Screening::default();
        for hour in 0..24 {
            assert_eq!(screen(&mut screening, hour * 60, Quantity::AirTemperature, 3.2), None);
            assert_eq!(screen(&mut screening, hour * 60, Quantity::RelativeHumidity, 100.0), None);
        }
        let frozen = screen(&mut screening, 24 * 60, Quantity::AirTemperature, 3.2);
        assert_eq!(frozen, Some(Implausible::Frozen));
        assert_eq!(screen(&mut screening, 24 * 60, Quantity::RelativeHumidity, 100.0), None);
        assert_eq!(screen(&mut screening, 25 * 60, Quantity::AirTemperature, 3.3), None);
    }
}
