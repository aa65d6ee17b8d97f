//! One value: from its text to the canonical unit.

use forecastd_core::{Quantity, Unit};

use crate::mapping::Value;
use crate::measured::Measured;
use crate::text::{Text, compass_point, is_calm, is_missing, number};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// A value in the canonical unit.
    Value(f32),
    /// The text says that nothing was measured.
    Missing,
    /// Neither.
    Unreadable,
}

impl Value {
    /// Reads the text of the value; `also_missing` stands for missing in every place.
    pub(crate) fn read(&self, text: &str, unit: Option<Unit>, also_missing: &[Text]) -> Outcome {
        let is_named_missing =
            |text: &str| self.missing.iter().chain(also_missing).any(|missing| missing.is(text));
        let mut text = text.trim();
        if is_named_missing(text) {
            return Outcome::Missing;
        }
        if let Some(part) = self.part {
            match text.split(',').nth(part - 1) {
                Some(part) if is_named_missing(part) => return Outcome::Missing,
                Some(part) => text = part.trim(),
                None if is_missing(text) => return Outcome::Missing,
                None => return Outcome::Unreadable,
            }
        }
        if let Some(number) = number(text) {
            return match self.measured.to_canonical(unit, number * self.scale) {
                Ok(value) => Outcome::Value(value),
                Err(_) => Outcome::Unreadable,
            };
        }
        match self.measured {
            _ if is_missing(text) => Outcome::Missing,
            Measured::Quantity(Quantity::WindFromDirection) => match compass_point(text) {
                Some(degrees) => Outcome::Value(degrees as f32),
                // Without wind, or with one from everywhere, there is no direction.
                None if is_calm(text) || text.eq_ignore_ascii_case("vrb") => Outcome::Missing,
                None => Outcome::Unreadable,
            },
            Measured::Quantity(Quantity::WindSpeed | Quantity::WindSpeedOfGust) if is_calm(text) => {
                Outcome::Value(0.0)
            }
            _ => Outcome::Unreadable,
        }
    }
}
