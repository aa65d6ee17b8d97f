//! One value: from its text to the canonical unit.

use forecastd_core::{Quantity, Unit};

use crate::mapping::{UnitSource, Value};
use crate::measured::Measured;
use crate::names;
use crate::text::{Text, compass_point, is_calm, is_missing, number, shortened};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// A value in the canonical unit.
    Value(f32),
    /// The text says that nothing was measured.
    Missing,
    /// The text is no value, nor a mark for a missing one.
    Unreadable,
}

/// The unit of a value, by what is said beside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StatedUnit {
    /// This, or the canonical one.
    Known(Option<Unit>),
    /// A unit should stand beside it, and there is none.
    Missing,
    /// What stands beside it is no unit that is known.
    Unknown(String),
}

impl Value {
    /// The unit that `text`, from where the rule says that it stands, is the name of.
    pub(crate) fn unit_by(&self, text: Option<&str>) -> StatedUnit {
        let UnitSource::At { is, .. } = &self.unit else { return StatedUnit::Known(None) };
        let Some(text) = text.map(str::trim).filter(|text| !is_missing(text)) else {
            return StatedUnit::Missing;
        };
        let unit = match is.is_empty() {
            true => names::unit(text, self.measured).ok(),
            false => {
                is.iter().find(|(known, _)| Text::Text((*known).clone()).is(text)).map(|(_, unit)| *unit)
            }
        };
        unit.map_or_else(|| StatedUnit::Unknown(text.to_owned()), |unit| StatedUnit::Known(Some(unit)))
    }

    /// What is said of a value in a unit that is not known: nothing where none was measured.
    pub(crate) fn in_unknown_unit(
        &self,
        text: &str,
        unit: &str,
        also_missing: &[Text],
    ) -> Option<(&'static str, String)> {
        (self.read(text, None, also_missing) != Outcome::Missing)
            .then(|| (self.measured.name(), shortened(&format!("{} in unit {unit}", text.trim()))))
    }

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
