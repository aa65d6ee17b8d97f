//! A reading: what one station measured at one time.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::weather::quantity::Values;

/// The name of a station: what stands in its MQTT topics, labels and journal.
///
/// 1 to 64 bytes of UTF-8 without `/`, `+`, `#` (they have a meaning in MQTT topics), without control
/// characters and without white space at either end; neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StationName(Arc<str>);

/// Why a text is no station name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StationNameError {
    /// Nothing in it.
    #[error("station name is empty")]
    Empty,
    /// More than [`StationName::MAX_BYTES`].
    #[error("station name has {0} bytes, more than {max}", max = StationName::MAX_BYTES)]
    TooLong(usize),
    /// A character that has a meaning in topics, controls a terminal or cannot be seen.
    #[error("station name holds {0:?}")]
    Character(char),
    /// `.` or `..`, which are steps through folders where an address holds them.
    #[error("station name is \".\" or \"..\"")]
    Step,
}

impl StationName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Takes `name` for a station's name.
    ///
    /// # Errors
    /// [`StationNameError`] when it is empty, too long or holds a character that a name must not hold.
    pub fn new(name: &str) -> Result<StationName, StationNameError> {
        if name.is_empty() {
            return Err(StationNameError::Empty);
        }
        if name.len() > StationName::MAX_BYTES {
            return Err(StationNameError::TooLong(name.len()));
        }
        let forbidden = |character: char| matches!(character, '/' | '+' | '#') || character.is_control();
        if let Some(character) = name.chars().find(|&character| forbidden(character)) {
            return Err(StationNameError::Character(character));
        }
        if matches!(name, "." | "..") {
            return Err(StationNameError::Step);
        }
        if name.trim() != name {
            return Err(StationNameError::Character(' '));
        }
        Ok(StationName(Arc::from(name)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StationName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What one station measured at one time, in canonical units.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Whose reading it is.
    pub station: StationName,
    /// When it was measured.
    pub time: Timestamp,
    /// What was measured; quantities may be missing.
    pub values: Values,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_change_a_topic_are_refused() {
        for (name, error) in [
            ("", StationNameError::Empty),
            ("a/b", StationNameError::Character('/')),
            ("+", StationNameError::Character('+')),
            ("roof#", StationNameError::Character('#')),
            ("a\u{0}b", StationNameError::Character('\u{0}')),
            ("a\nb", StationNameError::Character('\n')),
            (" roof", StationNameError::Character(' ')),
            (".", StationNameError::Step),
            ("..", StationNameError::Step),
        ] {
            assert_eq!(StationName::new(name), Err(error), "{name:?}");
        }
        assert_eq!(StationName::new(&"x".repeat(65)), Err(StationNameError::TooLong(65)));
        assert_eq!(StationName::new("Jena Dach é").unwrap().as_str(), "Jena Dach é");
    }
}
