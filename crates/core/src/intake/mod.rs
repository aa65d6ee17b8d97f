//! What is believed of a reading, and what follows from it: the one way by which measurements enter a history, of a live
//! station and of a record alike. A network is trained on what passed here, so it sees the same when it is deployed.

pub(crate) mod leap;
mod levels;
pub(crate) mod merge;
pub(crate) mod resolution;
pub(crate) mod screening;

use jiff::Timestamp;

use crate::intake::screening::{Dropped, Screening};
use crate::weather::quantity::Values;
use crate::weather::thermodynamics::derive;
use crate::window::history::{History, Inserted};

/// What remains of a reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    /// What was measured and is believed: what a journal keeps. Empty when nothing is believed.
    pub kept: Values,
    /// The same with everything that follows from it alone.
    pub derived: Values,
    /// What was measured and is not believed.
    pub dropped: Vec<Dropped>,
}

/// Screens what was measured at `time`, and derives what follows from what is left.
///
/// `screening` remembers what [`Screening::screen`] says, whether anything is left or not: the values of a reading that
/// is refused as a whole count too, as a new level of a sensor would otherwise never be believed.
pub fn take(screening: &mut Screening, time: Timestamp, measured: Values) -> Intake {
    let mut kept = measured;
    let dropped = screening.screen(time, &mut kept);
    let mut derived = kept;
    derive(&mut derived);
    Intake { kept, derived, dropped }
}

/// Puts what was measured at `time` and is believed into a history, with what follows from it and from what was measured
/// `before` in the same second: however many readings bring what one second has, it is one reading. Gives that.
pub fn insert(history: &mut History, time: Timestamp, before: Values, kept: &Values) -> (Inserted, Values) {
    let mut measured = before;
    for (quantity, value) in kept.iter() {
        measured.set(quantity, value);
    }
    let mut values = measured;
    derive(&mut values);
    (history.insert_with_derived(time, &measured, &values), measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::screening::Implausible;
    use crate::weather::quantity::Quantity;

    #[test]
    fn what_is_not_believed_is_neither_kept_nor_derived_from() {
        let mut measured = Values::NONE;
        measured.set(Quantity::AirTemperature, 10.0);
        measured.set(Quantity::AirPressure, -9999.0);
        measured.set(Quantity::RelativeHumidity, 50.0);
        let intake = take(&mut Screening::default(), Timestamp::UNIX_EPOCH, measured);
        assert_eq!(intake.dropped.len(), 1);
        assert_eq!(intake.dropped[0].reason, Implausible::OutOfRange);
        let quantities: Vec<Quantity> = intake.kept.iter().map(|(quantity, _)| quantity).collect();
        assert_eq!(quantities, [Quantity::AirTemperature, Quantity::RelativeHumidity]);
        // Psychrometric tables give 0.1 °C for 10 °C at 50 %; density would need the pressure.
        assert!((intake.derived.get(Quantity::DewPointTemperature).unwrap() - 0.1).abs() < 0.06);
        assert_eq!(intake.derived.get(Quantity::AirDensity), None);
    }

    #[test]
    fn of_a_reading_with_nothing_to_believe_nothing_is_kept() {
        let mut measured = Values::NONE;
        measured.set(Quantity::AirTemperature, 999.0);
        let mut screening = Screening::default();
        let intake = take(&mut screening, Timestamp::UNIX_EPOCH, measured);
        assert!(intake.kept.is_empty() && intake.derived.is_empty());
        assert_eq!(screening, Screening::default(), "a value out of range is not remembered");
    }
}
