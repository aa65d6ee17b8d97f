//! A station's weather, a journal, and what is read back from it.

use std::path::{Path, PathBuf};

use forecastd_core::{Grid, Quantity, Recall, StationName, Values, thermodynamics};
use forecastd_import::{
    Destination, History, ImportError, ImportProgress, ImportSummary, Origin, read, write,
};
use forecastd_record::{Row, Simulation};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tempfile::TempDir;

/// 2024-03-01T00:00:00Z.
pub(crate) const START_S: i64 = 1_709_251_200;
/// Some days later than any reading.
pub(crate) const NOW: Timestamp = Timestamp::constant(START_S + 400 * 86_400, 0);
pub(crate) const HEIGHT_M: f64 = 155.0;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What a station of no real weather measured: a reading every ten minutes.
pub(crate) fn weather(days: usize) -> Vec<Row> {
    Simulation::new(at(START_S), 7).take(days * 144).collect()
}

pub(crate) fn value(values: &Values, quantity: Quantity) -> f64 {
    f64::from(values.get(quantity).unwrap())
}

/// A folder with a journal, and files of other programs.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) station: StationName,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { folder: TempDir::new().unwrap(), station: StationName::new("garden").unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A database of another program.
    pub(crate) fn database(&self, name: &str, sql: &str) -> (PathBuf, Connection) {
        let path = self.path(name);
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "synchronous", "off").unwrap();
        connection.execute_batch(sql).unwrap();
        (path, connection)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path("journal.sqlite")
    }

    pub(crate) fn destination<'a>(&'a self, journal: &'a Path) -> Destination<'a> {
        Destination {
            journal,
            station: &self.station,
            grid: grid(),
            keep: SignedDuration::from_hours(24 * 3650),
            max_ahead: SignedDuration::from_secs(300),
            now: NOW,
        }
    }

    pub(crate) fn import(&self, origin: &Origin) -> Result<ImportSummary, ImportError> {
        self.import_with(origin, &mut ())
    }

    pub(crate) fn import_with(
        &self,
        origin: &Origin,
        progress: &mut dyn ImportProgress,
    ) -> Result<ImportSummary, ImportError> {
        let history: History = read(origin, grid(), Some(HEIGHT_M), progress)?;
        write(&history, &self.destination(&self.journal()), progress)
    }

    /// What the journal holds of the station.
    pub(crate) fn held(&self) -> Vec<Row> {
        let wanted = Recall {
            station: self.station.clone(),
            readings_from: Timestamp::MIN,
            forecasts_from: Timestamp::MAX,
        };
        let found = forecastd_journal::recall(&self.journal(), &[wanted]).unwrap();
        found.into_iter().next().map(|restored| restored.readings).unwrap_or_default()
    }
}

pub(crate) fn grid() -> Grid {
    Grid::new(600).unwrap()
}

/// The message of an error, with those of its sources.
pub(crate) fn message(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", message(source)),
        None => error.to_string(),
    }
}

/// Compares what is held to what was measured, quantity by quantity.
pub(crate) fn assert_same(held: &[Row], measured: &[Row], tolerances: &[(Quantity, f64)]) {
    assert_eq!(held.len(), measured.len());
    for ((time, values), (expected_time, expected)) in held.iter().zip(measured) {
        assert_eq!(time, expected_time);
        for &(quantity, tolerance) in tolerances {
            let (found, expected) = (value(values, quantity), value(expected, quantity));
            assert!((found - expected).abs() <= tolerance, "{quantity} at {time}: {found}, not {expected}");
        }
    }
}

/// The pressure of a reading at sea level: the reduction of WMO-No. 8, applied the other way round than in the program.
pub(crate) fn at_sea_level_hpa(row: &Row) -> f64 {
    let temperature = value(&row.1, Quantity::AirTemperature);
    let vapor = thermodynamics::saturation_vapor_pressure_hpa(temperature)
        * value(&row.1, Quantity::RelativeHumidity)
        / 100.0;
    let column = temperature + 273.15 + 0.0065 * HEIGHT_M / 2.0 + 0.12 * vapor;
    value(&row.1, Quantity::AirPressure) * (9.806_65 * HEIGHT_M / (287.05 * column)).exp()
}
