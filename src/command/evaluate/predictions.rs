//! The file of forecasts.

use std::path::{Path, PathBuf};

use forecastd_atomic_file::{self as atomic_file, WriteError};
use forecastd_record::{Part, Record};

use forecastd_report::Case;
use forecastd_report::EvaluateError;

/// The file of forecasts.
pub(super) struct Predictions {
    path: PathBuf,
    writer: csv::Writer<atomic_file::AtomicFile>,
}

impl Predictions {
    pub(super) fn create(path: &Path) -> Result<Predictions, EvaluateError> {
        let failed = |source| WriteError { path: path.to_owned(), source };
        let mut writer = csv::Writer::from_writer(atomic_file::AtomicFile::create(path)?);
        let header = [
            "part",
            "issued_at",
            "valid_at",
            "lead_h",
            "observed_c",
            "model_c",
            "low_c",
            "high_c",
            "persistence_c",
            "yesterday_c",
            "climatology_c",
        ];
        writer.write_record(header).map_err(|error| failed(std::io::Error::other(error)))?;
        Ok(Predictions { path: path.to_owned(), writer })
    }

    pub(super) fn write(&mut self, record: &Record, part: Part, cases: &[Case]) -> Result<(), EvaluateError> {
        let grid = record.history().grid();
        for case in cases {
            let issued_at = grid.time(case.origin);
            let valid_at = grid.time(case.origin + grid.hours_to_slots(case.lead_h));
            let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.5}"));
            let line = [
                part.name().to_owned(),
                issued_at.to_string(),
                valid_at.to_string(),
                case.lead_h.to_string(),
                format!("{:.3}", case.observed_c),
                format!("{:.5}", case.model_c),
                optional(case.interval_c.map(|(low_c, _)| low_c)),
                optional(case.interval_c.map(|(_, high_c)| high_c)),
                format!("{:.3}", case.persistence_c),
                optional(case.yesterday_c),
                optional(case.climatology_c),
            ];
            let path = &self.path;
            self.writer
                .write_record(line)
                .map_err(|error| WriteError { path: path.clone(), source: std::io::Error::other(error) })?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), WriteError> {
        let failed = |source: std::io::Error| WriteError { path: self.path, source };
        let file = self.writer.into_inner().map_err(|error| failed(error.into_error()))?;
        file.commit()
    }
}
