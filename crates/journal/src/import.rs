//! Readings of another program's history, brought into the file beside a daemon that may be writing to it.
//!
//! A slot of the grid keeps what its history cells hold. So of an imported reading only that is written which no reading of
//! its slot in the file has measured: what the daemon took stands, and the same history comes in a second time without a
//! difference.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params_from_iter};

use forecastd_core::{Quantity, StationName, Values};

use crate::encoding;
use crate::error::JournalError;
use crate::legacy::{self, Step};
use crate::rows::{station_id, station_number};
use crate::schema;
use crate::store::Store;

/// How long an import waits for a daemon that writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reading to bring in, and the slot of the time grid that it stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImportReading {
    /// When it was measured, in whole seconds.
    pub time: Timestamp,
    /// What was measured and believed.
    pub values: Values,
    /// The last time that belongs to the slot before.
    pub slot_begins: Timestamp,
    /// The last time that belongs to its slot.
    pub slot_ends: Timestamp,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Readings of slots of which the file had none.
    pub written: u64,
    /// Readings that added quantities to a slot.
    pub completed: u64,
    /// Readings of slots that had everything already.
    pub present: u64,
}

impl std::ops::AddAssign for Imported {
    fn add_assign(&mut self, other: Imported) {
        self.written += other.written;
        self.completed += other.completed;
        self.present += other.present;
    }
}

/// Brings readings of one station into the file.
pub struct Importer {
    store: Store,
    station: StationName,
}

impl Importer {
    /// Opens the file, making it where it is not there; what an earlier version wrote is brought to this one first. A file
    /// that is no journal is left as it is.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be opened or written.
    pub fn open(path: &Path, station: &StationName) -> Result<Importer, JournalError> {
        let mut store = Store::new(path);
        let moved = store.connection().and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            // Rows that still wait to be moved would not be seen.
            while legacy::step(connection)? == Step::More {}
            Ok(())
        });
        moved.map_err(|failure| store.named(failure))?;
        Ok(Importer { store, station: station.clone() })
    }

    /// The time of the newest reading that the file has of the station, no later than `until`.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be read.
    pub fn newest(&mut self, until: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        let station = &self.station;
        let newest = self.store.connection().and_then(|connection| {
            let Some(id) = station_id(connection, station)? else { return Ok(None) };
            let mut find = connection
                .prepare_cached("SELECT max(time) FROM stored_reading WHERE station = ? AND time <= ?")?;
            Ok(find.query_row((id, until.as_second()), |row| row.get::<_, Option<i64>>(0))?)
        });
        let newest = newest.map_err(|failure| self.store.named(failure))?;
        Ok(newest.and_then(|second| Timestamp::from_second(second).ok()))
    }

    /// Writes readings in one transaction, all or none of them.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be written, is held by another program for too long, or is gone.
    pub fn write(&mut self, readings: &[ImportReading]) -> Result<Imported, JournalError> {
        self.store.check()?;
        let station = &self.station;
        let written = self.store.connection().and_then(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let number = station_number(&transaction, station)?;
            let mut imported = Imported::default();
            for reading in readings {
                imported += write_reading(&transaction, number, reading)?;
            }
            transaction.commit()?;
            Ok(imported)
        });
        let written = written.map_err(|failure| self.store.named(failure))?;
        self.store.check()?;
        Ok(written)
    }
}

fn write_reading(
    connection: &Connection,
    station: i64,
    reading: &ImportReading,
) -> rusqlite::Result<Imported> {
    let mut missing = reading.values;
    let mut is_known = false;
    {
        let mut find = connection.prepare_cached(&format!(
            "SELECT {} FROM stored_reading WHERE station = ? AND time > ? AND time <= ?",
            schema::columns(", ", " IS NOT NULL").trim_start_matches(", ")
        ))?;
        let mut rows =
            find.query((station, reading.slot_begins.as_second(), reading.slot_ends.as_second()))?;
        while let Some(row) = rows.next()? {
            is_known = true;
            for (column, quantity) in Quantity::ALL.into_iter().enumerate() {
                if row.get::<_, bool>(column)? {
                    missing.remove(quantity);
                }
            }
        }
    }
    if missing.is_empty() {
        return Ok(Imported { present: 1, ..Imported::default() });
    }
    // A row of the same time, which lacks these quantities, is completed.
    let sql = format!(
        "INSERT INTO stored_reading (station, time{}) VALUES (?, ?{}) ON CONFLICT (station, time) DO UPDATE SET {}",
        schema::columns(", ", ""),
        ", ?".repeat(Quantity::COUNT),
        schema::merge("{key} = coalesce({key}, excluded.{key})"),
    );
    let key = [Value::Integer(station), Value::Integer(reading.time.as_second())];
    connection
        .prepare_cached(&sql)?
        .execute(params_from_iter(key.into_iter().chain(encoding::cells(&missing))))?;
    Ok(match is_known {
        true => Imported { completed: 1, ..Imported::default() },
        false => Imported { written: 1, ..Imported::default() },
    })
}
