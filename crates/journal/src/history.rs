//! What the file holds of a station between two times, for people who look back. It is only read, while another writes: a
//! reader sees the file as it was committed last, and neither waits for the writer nor keeps it waiting.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use forecastd_core::{Forecast, StationName, Values};

use crate::error::JournalError;
use crate::restore::{Reader, RestoreLimits};
use crate::rows::station_id;
use crate::schema;
use crate::store::{PATIENCE, harden};

/// A span of time, both ends included, and how much of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first time.
    pub from: Timestamp,
    /// The last time.
    pub to: Timestamp,
    /// At most so many rows: the latest.
    pub most: usize,
}

impl Span {
    /// The parameters of a query for the latest rows of a station within it.
    pub(crate) fn parameters(self, station: i64) -> (i64, i64, i64, i64) {
        // No table has more rows than that.
        let most = i64::try_from(self.most).unwrap_or(i64::MAX);
        (station, self.from.as_second(), self.to.as_second(), most)
    }
}

/// Reads what a journal holds.
pub struct History {
    path: PathBuf,
    connection: Connection,
}

impl History {
    /// Opens the file for reading; none where there is no file.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be opened, or is not of this version.
    pub fn open(path: &Path) -> Result<Option<History>, JournalError> {
        if !path.exists() {
            return Ok(None);
        }
        let named = |source| JournalError::Sqlite { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(named)?;
        connection.busy_timeout(PATIENCE).map_err(named)?;
        harden(&connection).map_err(named)?;
        let found: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(named)?;
        match found {
            // It is being made.
            0 => Ok(None),
            schema::SCHEMA_VERSION => Ok(Some(History { path: path.to_owned(), connection })),
            _ => Err(JournalError::Schema { path: path.to_owned(), found }),
        }
    }

    /// The readings of a station, by rising time. Rows that cannot be are skipped.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be read.
    pub fn readings(
        &self,
        station: &StationName,
        span: Span,
    ) -> Result<Vec<(Timestamp, Values)>, JournalError> {
        self.read(station, |reader, id| reader.readings_within(id, span))
    }

    /// What is made of the forecasts of a station with origins in the span, by rising origin: the file may hold more than memory
    /// should. Rows that cannot be are skipped.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be read.
    pub fn forecasts<T>(
        &self,
        station: &StationName,
        span: Span,
        make: impl FnMut(Forecast) -> Option<T>,
    ) -> Result<Vec<T>, JournalError> {
        self.read(station, |reader, id| reader.forecasts_within(id, station, span, make))
    }

    fn read<T>(
        &self,
        station: &StationName,
        read: impl FnOnce(&mut Reader<'_>, i64) -> rusqlite::Result<Vec<T>>,
    ) -> Result<Vec<T>, JournalError> {
        let nothing =
            RestoreLimits { max_stations: 0, history_s: 0, forecasts_s: 0, not_after: Timestamp::MAX };
        let found = self.connection.unchecked_transaction().and_then(|_as_of_one_moment| {
            let Some(id) = station_id(&self.connection, station)? else { return Ok(Vec::new()) };
            read(&mut Reader::new(&self.connection, nothing)?, id)
        });
        found.map_err(|source| JournalError::Sqlite { path: self.path.clone(), source })
    }
}
