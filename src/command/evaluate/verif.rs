//! The model's forecasts in the text format of WFRT/verif (github.com/WFRT/verif, `verif/input.py`, class `Text`), beside which it
//! draws and scores those of others.

use std::io::Write;
use std::path::{Path, PathBuf};

use forecastd_atomic_file::{self as atomic_file, WriteError};
use forecastd_core::Site;
use forecastd_record::Record;
use forecastd_report::{Case, EvaluateError};

/// What verif takes for a missing value.
const MISSING: &str = "-999";
/// The number of the station: there is one.
const LOCATION: u32 = 0;

/// A file that is being written.
pub(super) struct Verif {
    path: PathBuf,
    file: atomic_file::AtomicFile,
    site: Site,
}

impl Verif {
    /// Begins the file. `quantiles` are those of the model, of which the lowest and the highest are written.
    pub(super) fn create(path: &Path, site: Site, quantiles: &[f32]) -> Result<Verif, EvaluateError> {
        let mut verif = Verif { path: path.to_owned(), file: atomic_file::AtomicFile::create(path)?, site };
        let mut header = "# variable: Temperature\n# units: $^oC$\n\
                          unixtime leadtime location lat lon altitude obs fcst"
            .to_owned();
        if let [low, .., high] = quantiles {
            header += &format!(" q{low} q{high}");
        }
        verif.line(&header)?;
        Ok(verif)
    }

    /// Writes the cases of a part.
    pub(super) fn write(&mut self, record: &Record, cases: &[Case]) -> Result<(), EvaluateError> {
        let grid = record.history().grid();
        let Site { latitude_deg, longitude_deg, elevation_m } = self.site;
        let altitude = elevation_m.map_or(MISSING.to_owned(), |elevation| elevation.to_string());
        for case in cases {
            let unixtime = grid.time(case.origin).as_second();
            let mut line = format!(
                "{unixtime} {} {LOCATION} {latitude_deg} {longitude_deg} {altitude} {:.3} {:.5}",
                case.lead_h, case.observed_c, case.model_c
            );
            if let Some((low_c, high_c)) = case.interval_c {
                line += &format!(" {low_c:.5} {high_c:.5}");
            }
            self.line(&line)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), WriteError> {
        self.file.commit()
    }

    fn line(&mut self, line: &str) -> Result<(), EvaluateError> {
        let path = &self.path;
        writeln!(self.file, "{line}").map_err(|source| WriteError { path: path.clone(), source }.into())
    }
}
