//! The result of an import, in numbers.

use std::fmt;

use forecastd_core::Dropped;
use forecastd_journal::Imported;
use forecastd_record::QualityReport;
use jiff::Timestamp;

/// Readings that were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, as the label of the daemon's metric.
    pub reason: &'static str,
    /// The number of readings refused.
    pub count: u64,
    /// The first of them, for a person.
    pub first: String,
}

/// The result of an import, in numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportSummary {
    /// Rows, states or points that were read.
    pub rows: u64,
    /// Those without a value.
    pub empty: u64,
    /// Readings of whole slots, by what became of them.
    pub imported: Imported,
    /// The first and the last of them.
    pub span: Option<(Timestamp, Timestamp)>,
    /// What was refused.
    pub refused: Vec<Refused>,
    /// What was wrong with the history, and values that were not believed.
    pub quality: QualityReport,
    /// Whether it was broken off.
    pub is_interrupted: bool,
}

impl ImportSummary {
    pub(crate) fn refuse(&mut self, reason: &'static str, count: u64, first: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        match self.refused.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.count += count,
            None => self.refused.push(Refused { reason, count, first: first() }),
        }
    }

    pub(crate) fn drop_values(&mut self, time: Timestamp, dropped: Vec<Dropped>) {
        for dropped in dropped {
            self.quality.drop_value(time, dropped);
        }
    }

    /// Readings of whole slots.
    pub fn readings(&self) -> u64 {
        self.imported.written + self.imported.completed + self.imported.present
    }
}

/// For a person: a line for each thing that there is to say.
impl fmt::Display for ImportSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Imported { written, completed, present } = self.imported;
        write!(formatter, "{} rows read, {} readings", self.rows, self.readings())?;
        if let Some((first, last)) = self.span {
            write!(formatter, " from {first} to {last}")?;
        }
        write!(formatter, ": {written} written")?;
        if completed > 0 {
            write!(formatter, ", {completed} completed what was there")?;
        }
        write!(formatter, ", {present} there already")?;
        if self.empty > 0 {
            write!(formatter, "\nwithout a value: {}", self.empty)?;
        }
        for Refused { reason, count, first } in &self.refused {
            write!(formatter, "\nrefused ({reason}): {count}, the first: {first}")?;
        }
        if !self.quality.is_empty() {
            write!(formatter, "\nnote: {}", self.quality)?;
        }
        if self.is_interrupted {
            write!(formatter, "\ninterrupted; run it again to go on: nothing is written twice")?;
        }
        Ok(())
    }
}
