//! What was wrong with a record as it was read, for a person: rows, order, values.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use forecastd_core::Quantity;
use forecastd_core::{Dropped, Implausible};

use crate::csv::reader::UnreadableValues;
use crate::order::WrongClock;

/// Values of one quantity that were dropped for one reason.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedValues {
    /// Of which quantity.
    pub quantity: Quantity,
    /// Which check the values did not pass.
    pub reason: Implausible,
    /// The number of values dropped.
    pub count: u64,
    /// The first of them, in the canonical unit, and when it was measured.
    pub first: (f32, Timestamp),
}

/// Two files that cover the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Their names, of the one that is read first and of the other.
    pub files: (String, String),
    /// From when on both have readings.
    pub from: Timestamp,
    /// The time up to which both have readings.
    pub to: Timestamp,
}

impl fmt::Display for Overlap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overlap { files: (one, other), from, to } = self;
        write!(
            formatter,
            "{one} and {other} overlap from {from} to {to}: of two values of one time that of {other} stands, which is read later"
        )
    }
}

/// A stretch without a temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The time of the last temperature before it.
    pub from: Timestamp,
    /// The time of the first after it.
    pub until: Timestamp,
}

impl Hole {
    /// Shorter ones are not named: there are many.
    pub const LONG: SignedDuration = SignedDuration::from_hours(7 * 24);

    pub(crate) fn is_long(&self) -> bool {
        self.length() > Hole::LONG
    }

    fn length(&self) -> SignedDuration {
        self.until.duration_since(self.from)
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.length().as_hours() as f64 / 24.0;
        write!(formatter, "no temperature for {days:.0} days, from {} to {}", self.from, self.until)
    }
}

/// What was wrong with a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QualityReport {
    /// Readings that there were.
    pub readings: u64,
    /// Rows that could not be read.
    pub broken: u64,
    /// What is wrong with the first of them.
    pub first_broken: Option<String>,
    /// Readings older than one before them in the file.
    pub unsorted: u64,
    /// Readings of a slot that had one already.
    pub repeated: u64,
    /// Files that cover the same time.
    pub overlaps: Vec<Overlap>,
    /// Readings that were left out, as their clock was wrong.
    pub wrong_clock: WrongClock,
    /// Texts that are no values, by quantity; the other values of their rows are kept.
    pub unreadable: Vec<UnreadableValues>,
    /// Values that could not be true, by quantity and reason.
    pub dropped: Vec<DroppedValues>,
    /// Stretches without a temperature that are longer than [`Hole::LONG`], in the order of time.
    pub holes: Vec<Hole>,
}

impl QualityReport {
    /// Counts a value that was dropped from the reading of `time`.
    pub fn drop_value(&mut self, time: Timestamp, dropped: Dropped) {
        let Dropped { quantity, value, reason } = dropped;
        let same = |known: &&mut DroppedValues| known.quantity == quantity && known.reason == reason;
        match self.dropped.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => self.dropped.push(DroppedValues { quantity, reason, count: 1, first: (value, time) }),
        }
    }

    /// Whether there was nothing.
    pub fn is_empty(&self) -> bool {
        self.broken + self.unsorted + self.repeated + self.wrong_clock.count == 0
            && self.overlaps.is_empty()
            && self.dropped.is_empty()
            && self.unreadable.is_empty()
            && self.holes.is_empty()
    }

    /// The long stretches without a temperature, as clauses: the longest of them, and how many there are beside those.
    pub fn of_holes(&self) -> Vec<String> {
        const MOST: usize = 3;
        let mut longest: Vec<&Hole> = self.holes.iter().collect();
        longest.sort_by_key(|hole| std::cmp::Reverse(hole.length()));
        let others = longest.split_off(longest.len().min(MOST)).len();
        longest.sort_by_key(|hole| hole.from);
        let mut clauses: Vec<String> = longest.into_iter().map(Hole::to_string).collect();
        if others > 0 {
            clauses.push(format!("{others} more such holes of more than a week"));
        }
        clauses
    }

    /// What was dropped of one quantity, as a clause for a message; empty if nothing was.
    pub fn of_quantity(&self, quantity: Quantity) -> String {
        let of_quantity = |dropped: &&DroppedValues| dropped.quantity == quantity;
        let clauses: Vec<String> = self
            .dropped
            .iter()
            .filter(of_quantity)
            .map(|dropped| format!("; {}", Described { dropped, readings: self.readings }))
            .collect();
        clauses.concat()
    }

    /// Rows that cannot be read, and what was dropped of quantities of which hardly anything is left, as clauses for a
    /// message that says that there is not enough; empty if there is nothing of the kind.
    pub fn of_most(&self) -> String {
        let is_most = |dropped: &&DroppedValues| dropped.count * 2 > self.readings;
        let clause = |dropped| format!("; {}", Described { dropped, readings: self.readings });
        let mut clauses: String = self.dropped.iter().filter(is_most).map(clause).collect();
        if let Some(first) = &self.first_broken {
            clauses += &format!("; {} rows cannot be read, the first: {first}", self.broken);
        }
        clauses
    }
}

/// Dropped values, and how many readings there were.
struct Described<'a> {
    dropped: &'a DroppedValues,
    readings: u64,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DroppedValues { quantity, reason, count, first: (value, time) } = *self.dropped;
        let unit = quantity.unit();
        write!(formatter, "{count} value{} of {quantity} dropped, ", if count == 1 { "" } else { "s" })?;
        match reason {
            Implausible::OutOfRange => {
                let (low, high) = quantity.plausible_range();
                write!(formatter, "outside of {low} to {high} {unit}")?;
            }
            Implausible::Leap => write!(formatter, "too far from the value before")?,
            Implausible::Frozen => write!(formatter, "the same for more than a day")?,
        }
        write!(formatter, ", the first {value} {unit} at {time}")?;
        if reason == Implausible::OutOfRange && count * 2 > self.readings {
            write!(formatter, ": is the unit right?")?;
        }
        Ok(())
    }
}

impl fmt::Display for QualityReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clauses = Vec::new();
        let mut clause = |count: u64, what: &str| {
            if count > 0 {
                let plural = if count == 1 { "" } else { "s" };
                clauses.push(format!("{count} reading{plural} {what}"));
            }
        };
        clause(self.unsorted, "out of order");
        clause(self.repeated, "of a time slot that had one");
        clauses.extend(self.overlaps.iter().map(Overlap::to_string));
        if let WrongClock { count: count @ 1.., first: Some(first), last: Some(last) } = self.wrong_clock {
            clauses.push(format!("{count} readings left out, their clock was wrong ({first} to {last})"));
        }
        let readings = self.readings;
        for UnreadableValues { quantity, count, first } in &self.unreadable {
            clauses.push(format!("{count} values of {quantity} that are no numbers, the first {first:?}"));
        }
        clauses.extend(self.dropped.iter().map(|dropped| Described { dropped, readings }.to_string()));
        clauses.extend(self.of_holes());
        if self.broken > 0 {
            let first = self.first_broken.as_deref().unwrap_or_default();
            clauses.push(format!("{} rows that cannot be read, the first: {first}", self.broken));
        }
        formatter.write_str(&clauses.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_said_with_the_first_of_it_and_what_it_should_be() {
        let time: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
        let mut quality = QualityReport { readings: 3, repeated: 2, ..QualityReport::default() };
        assert!(QualityReport::default().is_empty() && !quality.is_empty());
        for value in [281.5, 282.0] {
            let reason = Implausible::OutOfRange;
            quality.drop_value(time, Dropped { quantity: Quantity::AirTemperature, value, reason });
        }
        let frozen = Dropped { quantity: Quantity::AirPressure, value: 1013.0, reason: Implausible::Frozen };
        quality.drop_value(time, frozen);
        let temperature = "2 values of air_temperature dropped, outside of -90 to 60 °C, the first 281.5 °C at \
                           2020-01-01T00:00:00Z: is the unit right?";
        let pressure = "1 value of air_pressure dropped, the same for more than a day, the first 1013 hPa at \
                        2020-01-01T00:00:00Z";
        assert_eq!(
            quality.to_string(),
            format!("2 readings of a time slot that had one; {temperature}; {pressure}")
        );
        assert_eq!(quality.of_quantity(Quantity::AirPressure), format!("; {pressure}"));
        assert_eq!(quality.of_quantity(Quantity::WindSpeed), "");
        assert_eq!(quality.of_most(), format!("; {temperature}"));
        (quality.broken, quality.first_broken) = (4, Some("x.csv:2: why".to_owned()));
        assert_eq!(
            quality.of_most(),
            format!("; {temperature}; 4 rows cannot be read, the first: x.csv:2: why")
        );
    }
}
