//! The journal: readings and forecasts in one SQLite file, written by a thread of its own.
//!
//! Whatever waits is written as one transaction and synced to the disk; then the receipts of its readings are
//! dropped, which is what acknowledges them to the broker. When the disk fails, the daemon goes on in memory:
//! receipts are dropped all the same, entries wait (a bounded number of them) and are written when it is back.
//!
//! Users may open the file with `sqlite3` or Grafana while the daemon runs; the view `forecast_lead` has a row for
//! each lead.

use std::any::Any;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params_from_iter, types::Value};

use forecastd_core::StationName;
use forecastd_core::{Forecast, LeadForecast, Source};
use forecastd_core::{Quantity, Values};

/// Something that is held until an entry is durable, and then dropped.
pub type Receipt = Box<dyn Any + Send>;

/// One thing to write.
pub enum Entry {
    /// A reading, as it was believed.
    Reading {
        /// Whose.
        station: StationName,
        /// When it was measured.
        time: Timestamp,
        /// What was measured.
        values: Values,
        /// Dropped when it is durable, or when the disk has failed.
        receipt: Receipt,
    },
    /// A forecast.
    Forecast(Box<Forecast>),
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite says no.
    #[error("journal {path}: {source}", path = .path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The folder cannot be made.
    #[error("journal {path}: {source}", path = .path.display())]
    Folder {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was written by a later version.
    #[error("journal {path} has schema {found}, this version writes {SCHEMA_VERSION}", path = .path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
    },
}

impl JournalError {
    /// Every reason's label, for metrics.
    pub const REASONS: [&'static str; 6] = ["full", "busy", "corrupt", "schema", "io", "other"];

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        use rusqlite::ErrorCode;
        match self {
            JournalError::Folder { .. } => "io",
            JournalError::Schema { .. } => "schema",
            JournalError::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => "full",
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "busy",
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => "corrupt",
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => "io",
                _ => "other",
            },
        }
    }

    fn is_corrupt(&self) -> bool {
        self.reason() == "corrupt"
    }
}

/// What the journal tells of its work; called on its thread.
pub trait JournalObserver: Send + 'static {
    /// A transaction of so many entries took so long.
    fn committed(&self, entries: usize, duration: Duration);
    /// A transaction failed; so many entries wait, and so many were lost because too many wait.
    fn failed(&self, error: &JournalError, waiting: usize, lost: usize);
}

/// Version of the tables, in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 1;

/// So many entries wait for a disk to come back; the oldest are lost beyond that.
const MAX_WAITING: usize = 100_000;

/// The most entries of one transaction.
const MAX_BATCH: usize = 2000;

/// How often a failing disk is tried again, and an idle one is tidied.
const RETRY: Duration = Duration::from_secs(5);

/// How often old rows are removed.
const TIDY: Duration = Duration::from_secs(3600);

/// The handle of the journal's thread. Dropping it writes what waits and ends the thread.
pub struct Journal {
    entries: Option<mpsc::Sender<Entry>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Starts writing to a store.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(store: Store, keep_days: u32, observer: impl JournalObserver) -> std::io::Result<Journal> {
        let (entries, queue) = mpsc::channel();
        let mut writer =
            Writer { store, keep_days, observer, waiting: VecDeque::new(), tidied: Instant::now() };
        let thread =
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&queue))?;
        Ok(Journal { entries: Some(entries), thread: Some(thread) })
    }

    /// Queues an entry.
    pub fn write(&self, entry: Entry) {
        if let Some(entries) = &self.entries {
            // The thread ends only after this handle is gone.
            let _ = entries.send(entry);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.entries = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writer<O> {
    store: Store,
    keep_days: u32,
    observer: O,
    waiting: VecDeque<Entry>,
    tidied: Instant,
}

impl<O: JournalObserver> Writer<O> {
    fn run(&mut self, queue: &mpsc::Receiver<Entry>) {
        loop {
            let ended = match queue.recv_timeout(RETRY) {
                Ok(entry) => {
                    self.waiting.push_back(entry);
                    while self.waiting.len() < MAX_BATCH
                        && let Ok(entry) = queue.try_recv()
                    {
                        self.waiting.push_back(entry);
                    }
                    false
                }
                Err(mpsc::RecvTimeoutError::Timeout) => false,
                Err(mpsc::RecvTimeoutError::Disconnected) => true,
            };
            self.commit();
            if self.tidied.elapsed() > TIDY {
                self.tidied = Instant::now();
                if let Err(error) = self.store.tidy(self.keep_days) {
                    self.observer.failed(&error, self.waiting.len(), 0);
                }
            }
            if ended {
                return;
            }
        }
    }

    fn commit(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let started = Instant::now();
        match self.store.write(self.waiting.make_contiguous()) {
            Ok(()) => {
                self.observer.committed(self.waiting.len(), started.elapsed());
                // Dropping the entries drops their receipts.
                self.waiting.clear();
            }
            Err(error) => {
                for entry in &mut self.waiting {
                    if let Entry::Reading { receipt, .. } = entry {
                        *receipt = Box::new(());
                    }
                }
                let lost = self.waiting.len().saturating_sub(MAX_WAITING);
                self.waiting.drain(..lost);
                self.observer.failed(&error, self.waiting.len(), lost);
            }
        }
    }
}

/// The SQLite file.
pub struct Store {
    path: PathBuf,
    connection: Option<Connection>,
}

/// What a station is restored from.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Whose.
    pub station: StationName,
    /// Readings by rising time.
    pub readings: Vec<(Timestamp, Values)>,
    /// Forecasts by rising time of issue.
    pub forecasts: Vec<Forecast>,
}

impl Store {
    /// A store in the file at `path`, which is opened when it is first needed.
    pub fn new(path: &Path) -> Store {
        Store { path: path.to_owned(), connection: None }
    }

    /// A store in memory: nothing survives the process.
    pub fn in_memory() -> Store {
        Store { path: PathBuf::from(":memory:"), connection: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, making it and its tables where they are not there. A file that is no database is moved
    /// aside to `NAME.corrupt`, and a new one is begun.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be opened.
    pub fn open(&mut self) -> Result<Opened, JournalError> {
        match self.connection() {
            Ok(_) => Ok(Opened::AsItWas),
            Err(error) if error.is_corrupt() => {
                self.connection = None;
                let aside = self.path.with_extension("corrupt");
                let moved = std::fs::rename(&self.path, &aside);
                moved.map_err(|source| JournalError::Folder { path: self.path.clone(), source })?;
                for suffix in ["-wal", "-shm"] {
                    let mut companion = self.path.clone().into_os_string();
                    companion.push(suffix);
                    let _ = std::fs::remove_file(companion);
                }
                self.connection()?;
                Ok(Opened::Anew { aside })
            }
            Err(error) => Err(error),
        }
    }

    /// Every station in the store, with its readings of the last `history_s` seconds before its newest one and
    /// the forecasts issued within the last `forecasts_s`.
    ///
    /// # Errors
    /// [`JournalError`] when the store cannot be read.
    pub fn restore(&mut self, history_s: i64, forecasts_s: i64) -> Result<Vec<Restored>, JournalError> {
        let path = self.path.clone();
        let connection = self.connection()?;
        restore(connection, history_s, forecasts_s).map_err(|source| JournalError::Sqlite { path, source })
    }

    fn write(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let path = self.path.clone();
        let connection = self.connection()?;
        let result = write(connection, entries);
        result.map_err(|source| {
            // A connection that failed is opened anew: the file may have been moved, or the disk changed.
            self.connection = None;
            JournalError::Sqlite { path, source }
        })
    }

    /// Removes what is more than `keep_days` older than the newest reading of its station.
    fn tidy(&mut self, keep_days: u32) -> Result<(), JournalError> {
        let path = self.path.clone();
        let connection = self.connection()?;
        tidy(connection, i64::from(keep_days) * 86_400)
            .map_err(|source| JournalError::Sqlite { path, source })
    }

    fn connection(&mut self) -> Result<&mut Connection, JournalError> {
        if self.connection.is_none() {
            self.connection = Some(connect(&self.path)?);
        }
        Ok(self.connection.as_mut().expect("a connection was just made"))
    }
}

/// Forgets a station, with or without a daemon that writes to the file. False when the file knows none of that name, or is
/// not there.
///
/// # Errors
/// [`JournalError`] when the file cannot be opened or written.
pub fn forget(path: &Path, station: &StationName) -> Result<bool, JournalError> {
    if !path.exists() {
        return Ok(false);
    }
    let mut connection = connect(path)?;
    let mut remove = || -> rusqlite::Result<usize> {
        let transaction = connection.transaction()?;
        let mut rows = 0;
        for table in ["reading", "forecast"] {
            rows += transaction
                .execute(&format!("DELETE FROM {table} WHERE station = ?1"), [station.as_str()])?;
        }
        transaction.commit()?;
        Ok(rows)
    };
    let rows = remove();
    rows.map(|rows| rows > 0).map_err(|source| JournalError::Sqlite { path: path.to_owned(), source })
}

/// What opening a store found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// A database, or none yet.
    AsItWas,
    /// The file was no database and was moved aside.
    Anew {
        /// Where to.
        aside: PathBuf,
    },
}

fn connect(path: &Path) -> Result<Connection, JournalError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|source| JournalError::Folder { path: path.to_owned(), source })?;
    }
    let failed = |source| JournalError::Sqlite { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(2)).map_err(failed)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found > SCHEMA_VERSION {
        return Err(JournalError::Schema { path: path.to_owned(), found });
    }
    let columns: String = Quantity::ALL.iter().map(|quantity| format!(", {} REAL", quantity.key())).collect();
    let schema = format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         BEGIN;
         CREATE TABLE IF NOT EXISTS reading (
             station TEXT NOT NULL, time INTEGER NOT NULL{columns},
             PRIMARY KEY (station, time)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS forecast (
             station TEXT NOT NULL, issued_at INTEGER NOT NULL, source TEXT NOT NULL, model TEXT NOT NULL,
             temperature_c REAL NOT NULL, leads TEXT NOT NULL,
             PRIMARY KEY (station, issued_at)) WITHOUT ROWID;
         CREATE VIEW IF NOT EXISTS forecast_lead AS
             SELECT station, issued_at, source, model,
                    json_extract(value, '$[0]') AS lead_h,
                    issued_at + 3600 * json_extract(value, '$[0]') AS valid_at,
                    json_extract(value, '$[1]') AS temperature_c,
                    json_extract(value, '$[2]') AS low_c,
                    json_extract(value, '$[3]') AS high_c
             FROM forecast, json_each(forecast.leads);
         PRAGMA user_version = {SCHEMA_VERSION};
         COMMIT;"
    );
    connection.execute_batch(&schema).map_err(failed)?;
    Ok(connection)
}

fn write(connection: &mut Connection, entries: &[Entry]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let keys: Vec<&str> = Quantity::ALL.iter().map(|quantity| quantity.key()).collect();
        // A second reading of one time adds what the first did not measure.
        let updates: Vec<String> =
            keys.iter().map(|key| format!("{key} = coalesce(excluded.{key}, {key})")).collect();
        let insert_reading = format!(
            "INSERT INTO reading (station, time, {}) VALUES (?, ?{}) ON CONFLICT DO UPDATE SET {}",
            keys.join(", "),
            ", ?".repeat(keys.len()),
            updates.join(", ")
        );
        let mut reading_statement = transaction.prepare_cached(&insert_reading)?;
        let mut forecast_statement = transaction.prepare_cached(
            "INSERT OR REPLACE INTO forecast (station, issued_at, source, model, temperature_c, leads)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        for entry in entries {
            match entry {
                Entry::Reading { station, time, values, receipt: _ } => {
                    let head = [Value::Text(station.as_str().to_owned()), Value::Integer(time.as_second())];
                    let cells = Quantity::ALL.iter().map(|&quantity| match values.get(quantity) {
                        Some(value) => Value::Real(decimal(value)),
                        None => Value::Null,
                    });
                    reading_statement.execute(params_from_iter(head.into_iter().chain(cells)))?;
                }
                Entry::Forecast(forecast) => {
                    forecast_statement.execute((
                        forecast.station.as_str(),
                        forecast.issued_at.as_second(),
                        forecast.source.name(),
                        &forecast.model,
                        decimal(forecast.temperature_c),
                        encode_leads(&forecast.leads),
                    ))?;
                }
            }
        }
    }
    transaction.commit()
}

/// The number that has the same shortest decimal digits, so that a table shows 0.71 and not 0.7099999785423279.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

fn encode_leads(leads: &[LeadForecast]) -> String {
    use std::fmt::Write;
    let mut json = String::with_capacity(leads.len() * 28 + 2);
    for lead in leads {
        json.push(if json.is_empty() { '[' } else { ',' });
        // Writing to a string cannot fail.
        let _ = match lead.interval_c {
            Some((low, high)) => write!(json, "[{},{},{low},{high}]", lead.lead_h, lead.temperature_c),
            None => write!(json, "[{},{}]", lead.lead_h, lead.temperature_c),
        };
    }
    json.push(']');
    json
}

fn decode_leads(json: &str, issued_at: Timestamp) -> Option<Vec<LeadForecast>> {
    let rows: Vec<Vec<f64>> = serde_json::from_str(json).ok()?;
    rows.iter()
        .map(|row| {
            let lead_h = *row.first()? as u32;
            Some(LeadForecast {
                lead_h,
                valid_at: issued_at + jiff::SignedDuration::from_hours(i64::from(lead_h)),
                temperature_c: *row.get(1)? as f32,
                interval_c: match (row.get(2), row.get(3)) {
                    (Some(&low), Some(&high)) => Some((low as f32, high as f32)),
                    _ => None,
                },
            })
        })
        .collect()
}

fn restore(connection: &Connection, history_s: i64, forecasts_s: i64) -> rusqlite::Result<Vec<Restored>> {
    let mut restored = Vec::new();
    let keys: Vec<&str> = Quantity::ALL.iter().map(|quantity| quantity.key()).collect();
    let mut readings_statement = connection.prepare(&format!(
        "SELECT time, {} FROM reading WHERE station = ? AND time >= ? ORDER BY time",
        keys.join(", ")
    ))?;
    let mut forecasts_statement = connection.prepare(
        "SELECT issued_at, source, model, temperature_c, leads FROM forecast
         WHERE station = ? AND issued_at >= ? ORDER BY issued_at",
    )?;
    for (name, newest) in stations(connection)? {
        // A name that is no longer allowed belongs to nobody.
        let Ok(station) = StationName::new(&name) else { continue };
        let readings = readings_statement
            .query_map((&name, newest - history_s), |row| {
                let mut values = Values::NONE;
                for (index, quantity) in Quantity::ALL.into_iter().enumerate() {
                    if let Some(value) = row.get::<_, Option<f64>>(index + 1)? {
                        values.set(quantity, value as f32);
                    }
                }
                Ok((row.get::<_, i64>(0)?, values))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?
            .into_iter()
            .filter_map(|(second, values)| Some((Timestamp::from_second(second).ok()?, values)))
            .collect();
        let forecasts = forecasts_statement
            .query_map((&name, newest - forecasts_s), |row| {
                let row: (i64, String, String, f64, String) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                Ok(row)
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?
            .into_iter()
            .filter_map(|(second, source, model, temperature_c, leads)| {
                let issued_at = Timestamp::from_second(second).ok()?;
                let source = [Source::Model, Source::Persistence]
                    .into_iter()
                    .find(|candidate| candidate.name() == source)?;
                let leads = decode_leads(&leads, issued_at)?;
                let temperature_c = temperature_c as f32;
                Some(Forecast { station: station.clone(), issued_at, temperature_c, model, source, leads })
            })
            .collect();
        restored.push(Restored { station, readings, forecasts });
    }
    Ok(restored)
}

/// Every station with the time of its newest reading, without a scan of the table: one step of the primary key's
/// index for each.
fn stations(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut next = connection.prepare("SELECT min(station) FROM reading WHERE station > ?")?;
    let mut newest = connection.prepare("SELECT max(time) FROM reading WHERE station = ?")?;
    let mut stations = Vec::new();
    let mut last = String::new();
    while let Some(name) =
        next.query_row([&last], |row| row.get::<_, Option<String>>(0)).optional()?.flatten()
    {
        let time = newest.query_row([&name], |row| row.get(0))?;
        last.clone_from(&name);
        stations.push((name, time));
    }
    Ok(stations)
}

fn tidy(connection: &Connection, keep_s: i64) -> rusqlite::Result<()> {
    for (name, newest) in stations(connection)? {
        connection.execute("DELETE FROM reading WHERE station = ? AND time < ?", (&name, newest - keep_s))?;
        connection
            .execute("DELETE FROM forecast WHERE station = ? AND issued_at < ?", (&name, newest - keep_s))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Recorder(mpsc::Sender<Result<usize, (String, usize, usize)>>);

    impl JournalObserver for Recorder {
        fn committed(&self, entries: usize, _: Duration) {
            let _ = self.0.send(Ok(entries));
        }

        fn failed(&self, error: &JournalError, waiting: usize, lost: usize) {
            let _ = self.0.send(Err((error.reason().to_owned(), waiting, lost)));
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn temperature(value: f32) -> Values {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, value);
        values
    }

    fn reading(station: &str, second: i64, value: f32, receipt: Receipt) -> Entry {
        let station = StationName::new(station).unwrap();
        Entry::Reading { station, time: at(second), values: temperature(value), receipt }
    }

    fn forecast(station: &str, second: i64) -> Forecast {
        let lead = |lead_h: u32, interval_c| LeadForecast {
            lead_h,
            valid_at: at(second + 3600 * i64::from(lead_h)),
            temperature_c: 1.5,
            interval_c,
        };
        Forecast {
            station: StationName::new(station).unwrap(),
            issued_at: at(second),
            temperature_c: 0.71,
            model: "jena@0".to_owned(),
            source: Source::Model,
            leads: vec![lead(1, Some((0.5, 2.5))), lead(24, None)],
        }
    }

    #[test]
    fn what_was_written_is_restored_by_station_as_far_back_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/journal.sqlite");
        let (sender, events) = mpsc::channel();
        let journal = Journal::start(Store::new(&path), 400, Recorder(sender)).unwrap();
        for second in [600, 1200, 1800] {
            journal.write(reading("jena", second, second as f32 / 1000.0, Box::new(())));
        }
        journal.write(reading("jena", 1800, 9.5, Box::new(())));
        journal.write(reading("alp", 600, -3.25, Box::new(())));
        journal.write(Entry::Forecast(Box::new(forecast("jena", 1800))));
        drop(journal);
        assert_eq!(events.iter().map(Result::unwrap).sum::<usize>(), 6);

        let restored = Store::new(&path).restore(600, 0).unwrap();
        assert_eq!(restored.len(), 2);
        assert_eq!(restored[0].readings, [(at(600), temperature(-3.25))]);
        assert_eq!(restored[1].readings, [(at(1200), temperature(1.2)), (at(1800), temperature(9.5))]);
        assert_eq!(restored[1].forecasts, [forecast("jena", 1800)]);

        let connection = Connection::open(&path).unwrap();
        let (valid_at, high): (i64, f64) = connection
            .query_row("SELECT valid_at, high_c FROM forecast_lead WHERE lead_h = 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!((valid_at, high), (5400, 2.5));
    }

    #[test]
    fn a_receipt_is_held_until_the_reading_is_durable() {
        struct Probe(mpsc::Sender<i64>, PathBuf);
        impl Drop for Probe {
            fn drop(&mut self) {
                let rows = Connection::open(&self.1)
                    .and_then(|connection| {
                        connection.query_row("SELECT count(*) FROM reading", [], |row| row.get(0))
                    })
                    .unwrap_or(0);
                let _ = self.0.send(rows);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let (sender, dropped) = mpsc::channel();
        let journal = Journal::start(Store::new(&path), 400, Recorder(mpsc::channel().0)).unwrap();
        journal.write(reading("jena", 600, 1.0, Box::new(Probe(sender, path.clone()))));
        assert_eq!(dropped.recv().unwrap(), 1, "the row is there when the receipt goes");
    }

    #[test]
    fn a_disk_that_fails_releases_receipts_and_what_waits_is_written_when_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("blocked");
        std::fs::write(&blocked, "a file where a folder is needed").unwrap();
        let path = blocked.join("journal.sqlite");
        let (sender, events) = mpsc::channel();
        let journal = Journal::start(Store::new(&path), 400, Recorder(sender)).unwrap();
        let (receipt, released) = mpsc::channel::<()>();
        journal.write(reading("jena", 600, 1.0, Box::new(receipt)));
        assert_eq!(events.recv().unwrap(), Err(("io".to_owned(), 1, 0)));
        assert!(released.recv().is_err(), "the sender was dropped");
        std::fs::remove_file(&blocked).unwrap();
        journal.write(reading("jena", 1200, 2.0, Box::new(())));
        assert_eq!(events.recv().unwrap(), Ok(2));
        drop(journal);
        assert_eq!(Store::new(&path).restore(3600, 0).unwrap()[0].readings.len(), 2);
    }

    #[test]
    fn a_file_that_is_no_database_is_moved_aside_and_one_of_a_later_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        std::fs::write(&path, "definitely not a database".repeat(1000)).unwrap();
        let aside = folder.path().join("journal.corrupt");
        assert_eq!(Store::new(&path).open().unwrap(), Opened::Anew { aside: aside.clone() });
        assert!(aside.exists());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert_eq!(Store::new(&path).open().unwrap_err().reason(), "schema");
    }

    #[test]
    fn old_rows_are_removed_by_the_newest_of_their_own_station() {
        let mut store = Store::in_memory();
        let day = 86_400;
        store
            .write(&[
                reading("a", 0, 1.0, Box::new(())),
                reading("a", 3 * day, 1.0, Box::new(())),
                reading("b", 0, 1.0, Box::new(())),
            ])
            .unwrap();
        store.tidy(2).unwrap();
        let kept: Vec<usize> =
            store.restore(100 * day, 0).unwrap().iter().map(|restored| restored.readings.len()).collect();
        assert_eq!(kept, [1, 1]);
    }
}
