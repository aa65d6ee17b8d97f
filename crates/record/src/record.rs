//! A station's whole record: every reading of a file in one history, checked and completed by the same code as live
//! readings, and its split in time.
//!
//! # Parts
//! The split counts rows, which are slots with a measured temperature: the first [`Split::train`] of them train, the
//! next [`Split::validation`] choose, the rest test. What a forecast is verified against, its targets, lies within one part.
//! The window before it may reach back into the part before: that is the past, which a live station knows too, and no
//! target of a later part is ever seen by training. So the cases of a part are the same for every model, however far
//! its window reaches, and errors of different models are comparable case by case.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::CsvError;
use crate::files::{RecordSource, files};
use crate::order;
use crate::quality::{Hole, QualityReport};
use crate::readings::Readings;
use crate::validate::Suspicion;
use forecastd_core::Screening;
use forecastd_core::Site;
use forecastd_core::WindowSpec;
use forecastd_core::intake;
use forecastd_core::{Grid, Slot};
use forecastd_core::{History, Inserted};
use forecastd_core::{Quantity, Values};
use forecastd_core::{Refit, Split};

/// A record of more slots than this is refused: 150 years of 10 minutes. A wrong year in one row makes such.
const MAX_SLOTS: i64 = 8_000_000;

/// What is known of a record as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordFacts {
    /// Name of the file, without folders.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Readings in it.
    pub readings: u64,
    /// What was wrong with it.
    pub quality: QualityReport,
    /// Time of the first reading.
    pub first: Timestamp,
    /// Time of the last reading.
    pub last: Timestamp,
}

/// A station's whole record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Shared with the windows that are cut from it.
    history: Arc<History>,
    /// Slots with a measured temperature, rising.
    rows: Vec<Slot>,
    facts: RecordFacts,
    site: Option<Site>,
}

/// A part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What networks and statistics are made from.
    Train,
    /// What chooses between them.
    Validation,
    /// What is looked at once, at the end.
    Test,
    /// The whole record, however it is split.
    Whole,
}

impl Part {
    /// The part's name.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
            Part::Whole => "whole",
        }
    }
}

/// Why a file is no record that can be trained on or evaluated.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// No row could be read.
    #[error("{path}: no reading in it{}", .first_broken.as_ref().map(|fault| format!("; first fault: {fault}")).unwrap_or_default(), path = .path.display())]
    NoReading {
        /// The file; of several, the first and the number of the others.
        path: PathBuf,
        /// What is wrong with its first row.
        first_broken: Option<String>,
    },
    /// More rows are broken than not.
    #[error("{path}: {broken} of {rows} rows cannot be read; first fault: {first_broken}", path = .path.display())]
    Broken {
        /// The file; of several, the first and the number of the others.
        path: PathBuf,
        /// How many rows are broken.
        broken: u64,
        /// How many there are.
        rows: u64,
        /// What is wrong with the first.
        first_broken: String,
    },
    /// Columns look as if they were something else than the mapping says.
    #[error(
        "{path}: {}; mend the mapping or the place that is given, or say in a mapping that all is right: sure = [{}]",
        .suspicions.iter().map(Suspicion::to_string).collect::<Vec<_>>().join("; "),
        .suspicions.iter().map(|suspicion| format!("{:?}", suspicion.about)).collect::<Vec<_>>().join(", "),
        path = .path.display()
    )]
    Suspicious {
        /// The file; of several, the first and the number of the others.
        path: PathBuf,
        /// What looks wrong.
        suspicions: Vec<Suspicion>,
    },
    /// There is one reading a day.
    #[error("{path}: one reading a day: daily values, where a forecast by the hour needs readings of every hour or more", path = .path.display())]
    Daily {
        /// The file; of several, the first and the number of the others.
        path: PathBuf,
    },
    /// First and last reading are further apart than any record.
    #[error(
        "{path}: readings from {first} to {last}, more than {MAX_SLOTS} steps of the time grid ({step_s} s); is a time \
         wrong, or the grid too fine?", path = .path.display()
    )]
    Span {
        /// The file; of several, the first and the number of the others.
        path: PathBuf,
        /// The first reading.
        first: Timestamp,
        /// The last reading.
        last: Timestamp,
        /// The time grid's step, seconds.
        step_s: i64,
    },
    /// A quantity that is needed was never measured.
    #[error(
        "{path}: no reading of {quantity}, which the model needs, and it does not follow from what is there{dropped}",
        path = .path.display()
    )]
    MissingQuantity {
        /// The file; of several, the first and the number of the others.
        path: PathBuf,
        /// What is missing.
        quantity: Quantity,
        /// What was dropped of it, as a clause.
        dropped: String,
    },
    /// The temperature is always the same.
    #[error("{path}: air_temperature is {value} °C in all {readings} readings: there is nothing to forecast", path = .path.display())]
    Constant {
        /// The file; of several, the first and the number of the others.
        path: PathBuf,
        /// The temperature of every reading, °C.
        value: f32,
        /// How many readings.
        readings: u64,
    },
}

impl Record {
    /// Reads a file into a history of `grid` that keeps `quantities`.
    ///
    /// Rows that cannot be read are left out and counted, as payloads of a live station are.
    ///
    /// # Errors
    /// [`RecordError`] when the file cannot be read, or is nothing to work with.
    pub fn read(source: &RecordSource, grid: Grid, quantities: &[Quantity]) -> Result<Record, RecordError> {
        Record::read_requiring(source, grid, quantities, quantities)
    }

    /// Reads a file into a history that the windows of a model can be cut from.
    ///
    /// # Errors
    /// As those of [`Record::read`]; a quantity may be missing that the model does not need.
    pub fn read_for(source: &RecordSource, spec: &WindowSpec) -> Result<Record, RecordError> {
        Record::read_requiring(source, spec.grid(), &spec.quantities(), &spec.required_quantities())
    }

    fn read_requiring(
        source: &RecordSource,
        grid: Grid,
        quantities: &[Quantity],
        required: &[Quantity],
    ) -> Result<Record, RecordError> {
        let files = source.files()?;
        let label = source.label();
        let path = label.as_path();
        let sha256 =
            sha256_of_all(&files).map_err(|error| CsvError::File { path: path.to_owned(), source: error })?;
        let mut record = Record::from_validated(path, &Readings::read(source)?, grid, quantities, required)?;
        (record.facts.file, record.facts.sha256) = (source.name(), sha256);
        Ok(record)
    }

    /// Puts readings that were validated ([`Readings::validated`]) into a history of `grid` that keeps `quantities`; messages name
    /// `path`.
    ///
    /// # Errors
    /// [`RecordError`] when they are nothing to work with, or there is none of a quantity of `required`.
    pub fn from_validated(
        path: &Path,
        readings: &Readings,
        grid: Grid,
        quantities: &[Quantity],
        required: &[Quantity],
    ) -> Result<Record, RecordError> {
        let Readings { rows, site, quality: read, .. } = readings;
        let mut record =
            Record::from_readings(rows, grid, quantities).ok_or_else(|| span_error(path, rows, grid))?;
        let quality = &mut record.facts.quality;
        *quality = QualityReport {
            readings: quality.readings,
            repeated: quality.repeated,
            dropped: std::mem::take(&mut quality.dropped),
            holes: std::mem::take(&mut quality.holes),
            ..read.clone()
        };
        record.check(path, rows, required)?;
        Ok(record.at_site(*site))
    }

    /// Puts readings into a history in the order of time, those of one time as they are given: whether a value leaps is seen
    /// from the one before it. `None` when there is none or they span more than a record can.
    pub fn from_readings(
        readings: &[(Timestamp, Values)],
        grid: Grid,
        quantities: &[Quantity],
    ) -> Option<Record> {
        let unsorted = order::unsorted(readings);
        let mut in_order = Cow::Borrowed(readings);
        if unsorted > 0 {
            in_order.to_mut().sort_by_key(|(time, _)| *time);
        }
        let readings = in_order.as_ref();
        let times = || readings.iter().map(|(time, _)| *time);
        let (first, last) = (times().min()?, times().max()?);
        let slots = grid.slot(last) - grid.slot(first) + 1;
        if slots > MAX_SLOTS {
            return None;
        }
        let mut history = History::new(grid, quantities, slots as usize);
        // The newest slot first, so that no reading of an unsorted file is too old for the buffer.
        history.insert(last, &Values::NONE);
        let mut screening = Screening::default();
        let mut quality =
            QualityReport { readings: readings.len() as u64, unsorted, ..QualityReport::default() };
        let mut second: Option<(Timestamp, Values)> = None;
        let mut seen = vec![false; slots as usize];
        for (time, values) in readings {
            let intake = intake::take(&mut screening, *time, *values);
            for dropped in intake.dropped {
                quality.drop_value(*time, dropped);
            }
            let before = second.filter(|(newest, _)| newest == time).map_or(Values::NONE, |(_, own)| own);
            let (inserted, own) = intake::insert(&mut history, *time, before, &intake.kept);
            second = Some((*time, own));
            debug_assert!(!matches!(inserted, Inserted::TooOld(_)), "the history spans all readings");
            let seen = &mut seen[(grid.slot(*time) - grid.slot(first)) as usize];
            quality.repeated += u64::from(std::mem::replace(seen, true));
        }
        let rows: Vec<Slot> = (grid.slot(first)..=grid.slot(last))
            .filter(|&slot| !history.value(slot, Quantity::AirTemperature).is_nan())
            .collect();
        quality.holes = holes(&rows, grid);
        let facts = RecordFacts {
            file: String::new(),
            sha256: String::new(),
            readings: readings.len() as u64,
            quality,
            first,
            last,
        };
        Some(Record { history: Arc::new(history), rows, facts, site: None })
    }

    fn check(
        &self,
        path: &Path,
        readings: &[(Timestamp, Values)],
        required: &[Quantity],
    ) -> Result<(), RecordError> {
        let mut temperatures = readings.iter().filter_map(|(_, values)| values.get(Quantity::AirTemperature));
        if let Some(value) = temperatures.next()
            && readings.len() > 1
            && temperatures.all(|other| other == value)
        {
            let readings = readings.len() as u64;
            return Err(RecordError::Constant { path: path.to_owned(), value, readings });
        }
        for &quantity in required {
            let slots = self.first_slot()..=self.last_slot();
            if slots.into_iter().all(|slot| self.history.value(slot, quantity).is_nan()) {
                let dropped = self.facts.quality.of_quantity(quantity);
                return Err(RecordError::MissingQuantity { path: path.to_owned(), quantity, dropped });
            }
        }
        Ok(())
    }

    /// The readings on the time grid, shared with the windows that are cut from them.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// What is known of the record as a whole.
    pub fn facts(&self) -> &RecordFacts {
        &self.facts
    }

    /// Where the station stands, where that was given, or the file or its mapping says.
    pub fn site(&self) -> Option<Site> {
        self.site
    }

    /// The same record by another name than its file's.
    #[must_use]
    pub fn called(mut self, name: &str) -> Record {
        self.facts.file = name.to_owned();
        self
    }

    /// The same record with another site, or none, of which nothing is checked: what is given beside files stands in
    /// [`RecordSource::site`], and is.
    #[must_use]
    pub fn at_site(self, site: Option<Site>) -> Record {
        Record { site, ..self }
    }

    /// Slots with a measured temperature, rising.
    pub fn rows(&self) -> &[Slot] {
        &self.rows
    }

    fn first_slot(&self) -> Slot {
        self.history.grid().slot(self.facts.first)
    }

    fn last_slot(&self) -> Slot {
        self.history.grid().slot(self.facts.last)
    }

    /// The slots of a part.
    pub fn part(&self, split: Split, part: Part) -> Range<Slot> {
        let end = self.last_slot() + 1;
        let at = |fraction: f64| {
            let row = (self.rows.len() as f64 * fraction).round() as usize;
            self.rows.get(row).copied().unwrap_or(end)
        };
        let (validation, test) = (at(split.train), at(split.train + split.validation));
        match part {
            Part::Train => self.first_slot()..validation,
            Part::Validation => validation..test,
            Part::Test => test..end,
            Part::Whole => self.first_slot()..end,
        }
    }

    /// The slots that a model was trained on.
    pub fn learned(&self, split: Split, refit: Option<Refit>) -> Range<Slot> {
        let last = match refit {
            None => Part::Train,
            Some(Refit::Validation) => Part::Validation,
            Some(Refit::Whole) => Part::Whole,
        };
        self.first_slot()..self.part(split, last).end
    }

    /// The rows within `slots`.
    pub fn rows_within(&self, slots: &Range<Slot>) -> &[Slot] {
        let from = self.rows.partition_point(|&row| row < slots.start);
        let to = self.rows.partition_point(|&row| row < slots.end);
        &self.rows[from..to.max(from)]
    }

    /// The temperature measured `lead_h` hours after `origin`, if it was and lies within `slots`; else NaN.
    pub fn target(&self, origin: Slot, lead_h: u32, slots: &Range<Slot>) -> f32 {
        let valid = origin + self.history.grid().hours_to_slots(lead_h);
        if !slots.contains(&valid) {
            return f32::NAN;
        }
        self.history.value(valid, Quantity::AirTemperature)
    }

    /// The most frequent distance of rows, in seconds; the shorter of two that are as frequent.
    pub fn cadence_s(&self) -> f64 {
        let mut distances: Vec<i64> = self.rows.windows(2).map(|pair| pair[1] - pair[0]).collect();
        distances.sort_unstable();
        let (mut usual, mut times) = (0, 0);
        for same in distances.chunk_by(|a, b| a == b) {
            if same.len() > times {
                (usual, times) = (same[0], same.len());
            }
        }
        (usual * self.history.grid().step_s()) as f64
    }

    /// The share of rows that are missing, were readings to come at the usual distance; and the longest stretch
    /// without a hole of more than `max_hole` slots, in hours.
    pub fn holes(&self, max_hole: i64) -> (f64, f64) {
        let step_s = self.history.grid().step_s() as f64;
        let span_s = (self.last_slot() - self.first_slot()) as f64 * step_s;
        let expected = span_s / self.cadence_s().max(step_s) + 1.0;
        let missing = (1.0 - self.rows.len() as f64 / expected).max(0.0);
        let (mut longest, mut since) = (0, self.rows.first().copied().unwrap_or(0));
        for pair in self.rows.windows(2) {
            if pair[1] - pair[0] > max_hole {
                since = pair[1];
            }
            longest = longest.max(pair[1] - since);
        }
        (missing, longest as f64 * step_s / 3600.0)
    }
}

/// The default split: what the first 200,000 and the next 100,000 of the 420,551 rows of the Jena climate data set are
/// to the whole.
pub const DEFAULT_SPLIT: Split = Split { train: 200_000.0 / 420_551.0, validation: 100_000.0 / 420_551.0 };

/// The long stretches without a row.
fn holes(rows: &[Slot], grid: Grid) -> Vec<Hole> {
    let between = rows.windows(2).map(|pair| Hole { from: grid.time(pair[0]), until: grid.time(pair[1]) });
    between.filter(Hole::is_long).collect()
}

fn span_error(path: &Path, readings: &[(Timestamp, Values)], grid: Grid) -> RecordError {
    let times = || readings.iter().map(|(time, _)| *time);
    let first = times().min().unwrap_or(Timestamp::MIN);
    let last = times().max().unwrap_or(Timestamp::MAX);
    RecordError::Span { path: path.to_owned(), first, last, step_s: grid.step_s() }
}

/// SHA-256 of a file, hexadecimal; of a folder, that of its files one behind the other.
///
/// # Errors
/// When a file cannot be read.
pub fn sha256_of(path: &Path) -> std::io::Result<String> {
    sha256_of_all(&files(path).map_err(std::io::Error::other)?)
}

/// SHA-256 of files one behind the other, hexadecimal.
fn sha256_of_all(paths: &[PathBuf]) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for path in paths {
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
    }
    Ok(hex::encode(hasher.finalize()))
}
