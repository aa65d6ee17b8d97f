//! The model's forecasts in the text format of WFRT/verif (github.com/WFRT/verif, `verif/input.py`, class `Text`), beside which it
//! draws and scores those of others.

use std::io::Write;
use std::path::{Path, PathBuf};

use forecastd_atomic_file::{self as atomic_file, WriteError};
use forecastd_core::{Manifest, Site};
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
    /// Begins the file, in which the ends of the model's interval are quantiles.
    pub(super) fn create(path: &Path, site: Site, manifest: &Manifest) -> Result<Verif, EvaluateError> {
        let mut verif = Verif { path: path.to_owned(), file: atomic_file::AtomicFile::create(path)?, site };
        let mut header = "# variable: Temperature\n# units: $^oC$\n\
                          unixtime leadtime location lat lon altitude obs fcst"
            .to_owned();
        if let Some((low, high)) = manifest.interval() {
            let [low, high] = [low, high].map(|position| manifest.quantiles[position]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_testkit::artefact;

    #[test]
    fn of_more_quantiles_the_columns_are_named_by_those_that_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let header = |quantiles: &[f32]| {
            let manifest =
                Manifest { quantiles: quantiles.to_vec(), ..artefact::manifest(artefact::spec(6)) };
            let path = folder.path().join("verif.txt");
            Verif::create(&path, Site::new(50.91, 11.57), &manifest).unwrap().finish().unwrap();
            std::fs::read_to_string(&path).unwrap().lines().last().unwrap().to_owned()
        };
        assert!(header(&[0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]).ends_with(" obs fcst q0.1 q0.9"));
        assert!(header(&[0.05, 0.5, 0.95]).ends_with(" obs fcst q0.05 q0.95"));
        assert!(header(&[]).ends_with(" obs fcst"));
    }
}
