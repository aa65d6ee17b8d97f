//! One thing that is wrong with a configuration.

use std::fmt;

/// One thing that is wrong with a configuration: where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The dotted key (`mqtt.port`) or the environment variable; empty when the file cannot be read as TOML.
    pub key: String,
    /// The line in the file, counted from 1; none for what comes from the environment.
    pub line: Option<usize>,
    /// What is wrong, with the value.
    pub message: String,
}

impl Diagnostic {
    /// A fault of the file as such.
    pub(super) fn of_file(line: Option<usize>, message: String) -> Diagnostic {
        Diagnostic { key: String::new(), line, message }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(formatter, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(formatter, "{}: ", self.key)?;
        }
        formatter.write_str(&self.message)
    }
}
