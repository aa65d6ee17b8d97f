//! The file: opened, moved aside, opened anew; what is done with it is in the modules around.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use forecastd_core::{Batch, Entry, Recall, Restored, StationName};

use crate::error::{JournalError, is_corrupt, is_damage};
use crate::legacy::{self, Step};
use crate::restore::{Reader, RestoreLimits, RestoreReport};
use crate::rows::{station_id, text};
use crate::schema;
use crate::tidying::{Retention, Tidying, tidy};
use crate::transaction::{Written, write};

/// How long a writer waits for another program that holds the file's lock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long [`forget`] waits for the lock.
const FORGET_PATIENCE: Duration = Duration::from_secs(10);

/// The write-ahead log is cut to so many bytes when it has been written back.
const LOG_BYTES: i64 = 16 << 20;

/// Copies of damaged files that are kept, at most.
const MAX_ASIDE: u32 = 100;

/// What opening a store found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// A journal, or no file yet.
    Existing,
    /// The file was damaged and was moved aside; a new one was begun.
    Recreated {
        /// Where the damaged one is.
        aside: PathBuf,
    },
}

/// The SQLite file.
pub struct Store {
    path: PathBuf,
    connection: Option<Connection>,
    /// Device and inode of the file that was opened last, which say whether the one at the path is still the same.
    identity: Option<(u64, u64)>,
}

impl Store {
    /// A store in the file at `path`, which is opened when it is first needed.
    pub fn new(path: &Path) -> Store {
        Store { path: path.to_owned(), connection: None, identity: None }
    }

    /// A store in memory: nothing survives it.
    pub fn in_memory() -> Store {
        Store { path: PathBuf::from(":memory:"), connection: None, identity: None }
    }

    /// The path of the file; `:memory:` for a store in memory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, making it and its tables where they are not there, and brings a file of an earlier version to this
    /// one. A file that is no database is moved aside to `NAME.corrupt`, and a new one is begun.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be opened, or was written by a later version.
    pub fn open(&mut self) -> Result<Opened, JournalError> {
        self.open_or_recreate().map_err(|failure| self.named(failure))
    }

    fn open_or_recreate(&mut self) -> Result<Opened, Failure> {
        match self.connection() {
            Ok(_) => Ok(Opened::Existing),
            Err(Failure::Sqlite(error)) if is_corrupt(&error) => {
                let aside = self.set_aside()?;
                self.connection()?;
                Ok(Opened::Recreated { aside })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads what stations are restored from. Rows that cannot be are skipped; where a part of the file cannot be read, the
    /// file is moved aside and the rest is written to a new one.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be read at all.
    pub fn restore(&mut self, limits: RestoreLimits) -> Result<RestoreReport, JournalError> {
        self.read_all(limits).map_err(|failure| self.named(failure))
    }

    fn read_all(&mut self, limits: RestoreLimits) -> Result<RestoreReport, Failure> {
        let opened = self.open_or_recreate()?;
        let connection = self.connection()?;
        let (mut report, damaged) = match Reader::new(connection, limits).and_then(Reader::restore) {
            Ok(read) => read,
            Err(error) if is_damage(&error) => (RestoreReport::default(), true),
            Err(error) => return Err(error.into()),
        };
        if damaged {
            let settings = all_settings(connection);
            report.damaged = Some(self.set_aside()?);
            salvage(self.connection()?, &report.stations, settings)?;
        } else if let Opened::Recreated { aside } = opened {
            report.damaged = Some(aside);
        }
        Ok(report)
    }

    /// The value of a setting.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be read.
    pub fn setting(&mut self, key: &str) -> Result<Option<String>, JournalError> {
        let value = self.connection().and_then(|connection| {
            let mut statement = connection.prepare_cached("SELECT value FROM setting WHERE key = ?")?;
            let mut rows = statement.query([key])?;
            let row = rows.next()?;
            // Neither blob nor number was written by us.
            Ok(row.map(|row| row.get_ref(0)).transpose()?.and_then(text).map(str::to_owned))
        });
        value.map_err(|failure| self.named(failure))
    }

    /// Makes batches durable in one transaction, all or none of them.
    ///
    /// # Errors
    /// [`JournalError`]; [`JournalError::Gone`] when the file is no longer at its path.
    pub(crate) fn write(&mut self, batches: &[Batch], patience: Duration) -> Result<Written, JournalError> {
        self.check()?;
        let result = self.connection().and_then(|connection| {
            connection.busy_timeout(patience)?;
            Ok(write(connection, batches.iter().flat_map(|batch| &batch.entries))?)
        });
        let written = result.map_err(|error| self.failed(error))?;
        // A file that went away during the transaction holds it no longer.
        self.check()?;
        Ok(written)
    }

    /// Whether the open file is still the one at its path.
    ///
    /// # Errors
    /// [`JournalError::Gone`]; [`JournalError::File`] when that cannot be told.
    pub(crate) fn check(&mut self) -> Result<(), JournalError> {
        if self.identity.is_none() {
            return Ok(());
        }
        match identity(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            Ok(_) => Err(JournalError::Gone { path: self.path.clone() }),
            // Where it cannot be looked at, it may be there all the same.
            Err(source) => Err(JournalError::File { path: self.path.clone(), source }),
        }
    }

    /// Begins anew after the file went away or was found damaged. Says where a damaged one was moved.
    ///
    /// # Errors
    /// [`JournalError`] when that fails too.
    pub(crate) fn recreate(&mut self, error: &JournalError) -> Result<Option<PathBuf>, JournalError> {
        let aside = if error.is_corrupt() {
            Some(self.set_aside().map_err(|failure| self.named(failure))?)
        } else {
            self.let_go();
            None
        };
        match self.connection() {
            Ok(_) => Ok(aside),
            Err(failure) => Err(self.named(failure)),
        }
    }

    /// Does a part of the background work: moves rows of version 1, then removes what is old or belongs to nobody.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn tidy(
        &mut self,
        tidying: &mut Tidying,
        retention: Option<Retention>,
        now_s: i64,
    ) -> Result<Step, JournalError> {
        self.check()?;
        let result = self.connection().and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            match legacy::step(connection)? {
                Step::More => Ok(Step::More),
                Step::Done => Ok(tidy(connection, tidying, retention, now_s)?),
            }
        });
        result.map_err(|error| self.failed(error))
    }

    /// Bytes of the file and its write-ahead log.
    pub(crate) fn size(&self) -> u64 {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        length(&self.path) + length(&companion(&self.path, "-wal"))
    }

    #[cfg(test)]
    pub(crate) fn connection_for_tests(&mut self) -> &mut Connection {
        self.connection().unwrap_or_else(|_| panic!("the file can be opened"))
    }

    fn is_in_memory(&self) -> bool {
        self.path == Path::new(":memory:")
    }

    pub(crate) fn connection(&mut self) -> Result<&mut Connection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.path)?;
                self.identity = if self.is_in_memory() { None } else { identity(&self.path)? };
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Gives up the connection after a failure that a new one may not have.
    fn failed(&mut self, failure: Failure) -> JournalError {
        let error = self.named(failure);
        if error.reason() != "busy" && !self.is_in_memory() {
            self.connection = None;
        }
        error
    }

    pub(crate) fn named(&self, failure: Failure) -> JournalError {
        let path = self.path.clone();
        match failure {
            Failure::Sqlite(source) => JournalError::Sqlite { path, source },
            Failure::File(source) => JournalError::File { path, source },
            Failure::Schema(found) => JournalError::Schema { path, found },
            Failure::Foreign(table) => JournalError::Foreign { path, table },
        }
    }

    /// Closes a file that is no longer at its path. What its write-ahead log holds is written back to it, wherever it is now.
    fn let_go(&mut self) {
        self.identity = None;
        if let Some(connection) = self.connection.take() {
            // The file may be gone for good; there is nothing to be done about that.
            let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
        if matches!(identity(&self.path), Ok(None)) {
            for suffix in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(companion(&self.path, suffix));
            }
        }
    }

    /// Moves a damaged file aside, to a name that no file has yet.
    fn set_aside(&mut self) -> Result<PathBuf, Failure> {
        self.connection = None;
        self.identity = None;
        Ok(move_aside(&self.path)?)
    }
}

/// Forgets a station, with or without a daemon that writes to the file. False when the file knows none of that name, or is
/// not there.
///
/// # Errors
/// [`JournalError`] when the file cannot be opened or written.
pub fn forget(path: &Path, station: &StationName) -> Result<bool, JournalError> {
    let mut store = Store::new(path);
    if !is_there(path)? {
        return Ok(false);
    }
    let known = store.connection().and_then(|connection| {
        connection.busy_timeout(FORGET_PATIENCE)?;
        let known = station_id(connection, station)?.is_some();
        if known {
            write(connection, [&Entry::Forget(station.clone())])?;
        }
        while legacy::purge(connection)? == Step::More {}
        let mut tidying = Tidying::START;
        while tidy(connection, &mut tidying, None, 0)? == Step::More {}
        Ok(known)
    });
    known.map_err(|failure| store.named(failure))
}

/// The stations that the file knows, by name, while another program may write to it; none where there is no file.
///
/// # Errors
/// [`JournalError`] when the file cannot be read.
pub fn stations(path: &Path) -> Result<Vec<StationName>, JournalError> {
    if !is_there(path)? {
        return Ok(Vec::new());
    }
    let mut store = Store::new(path);
    let names = store.connection().and_then(|connection| {
        let mut find = connection.prepare("SELECT name FROM station ORDER BY name")?;
        let names = find.query_map([], |row| row.get::<_, String>(0))?;
        Ok(names.collect::<Result<Vec<String>, _>>()?)
    });
    let names = names.map_err(|failure| store.named(failure))?;
    Ok(names.iter().filter_map(|name| StationName::new(name).ok()).collect())
}

/// Reads again what the file holds of some stations, while another one writes to it. Stations that it does not know are left
/// out.
///
/// # Errors
/// [`JournalError`] when the file cannot be read.
pub fn recall(path: &Path, wanted: &[Recall]) -> Result<Vec<Restored>, JournalError> {
    if !is_there(path)? {
        return Ok(Vec::new());
    }
    let mut store = Store::new(path);
    // What is asked for is all that is read.
    let limits =
        RestoreLimits { max_stations: 0, history_s: 0, forecasts_s: 0, not_after: jiff::Timestamp::MAX };
    let found = store
        .connection()
        .and_then(|connection| Ok(Reader::new(connection, limits).and_then(|reader| reader.recall(wanted))?));
    found.map_err(|failure| store.named(failure))
}

/// A [`JournalError`] that does not know its file yet.
pub(crate) enum Failure {
    Sqlite(rusqlite::Error),
    File(io::Error),
    Schema(i64),
    Foreign(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Sqlite(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::File(error)
    }
}

/// Device and inode of a file; `None` when there is none.
///
/// # Errors
/// When it cannot be told whether there is one.
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_there(path: &Path) -> Result<bool, JournalError> {
    let found = identity(path).map_err(|source| JournalError::File { path: path.to_owned(), source })?;
    Ok(found.is_some())
}

/// The path with something after it, as SQLite names what it keeps beside a file.
fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut companion = OsString::from(path);
    companion.push(suffix);
    companion.into()
}

/// Moves a file and its write-ahead log to `NAME.corrupt`, or `NAME.corrupt-2` and so on where that is taken.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..=MAX_ASIDE {
        let extension = if number == 1 { "corrupt".to_owned() } else { format!("corrupt-{number}") };
        let aside = path.with_extension(extension);
        match OpenOptions::new().write(true).create_new(true).open(&aside) {
            // The name is ours: what is renamed over is the empty file just made.
            Ok(_) => std::fs::rename(path, &aside)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        // Without its log the file is as it was when the log was last written back.
        let _ = std::fs::rename(companion(path, "-wal"), companion(&aside, "-wal"));
        let _ = std::fs::remove_file(companion(path, "-shm"));
        return Ok(aside);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{MAX_ASIDE} damaged files lie beside it")))
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let in_memory = path == Path::new(":memory:");
    let mut connection = if in_memory {
        Connection::open_in_memory()?
    } else {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        create(path)?;
        Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?
    };
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(64);
    harden(&connection)?;
    // Otherwise every new value of a parameter has its statement planned anew, in case the plan would be another.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > schema::SCHEMA_VERSION {
        return Err(Failure::Schema(found));
    }
    if let Some(table) = schema::foreign_table(&connection, found)? {
        return Err(Failure::Foreign(table));
    }
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if !in_memory && mode != "wal" {
        connection.pragma_update(None, "journal_mode", "wal")?;
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    schema::prepare(&mut connection)?;
    Ok(connection)
}

/// Whatever a file brings along, it runs nothing.
pub(crate) fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "cell_size_check", true)
}

/// Makes an empty file that others cannot read, unless there is one.
fn create(path: &Path) -> io::Result<()> {
    let made: io::Result<File> = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn all_settings(connection: &Connection) -> Vec<Entry> {
    let mut settings = Vec::new();
    // What can be read of a damaged file is taken, and the rest is gone.
    let _ = connection.prepare("SELECT key, value FROM setting").and_then(|mut statement| {
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let (Some(key), Some(value)) = (text(row.get_ref(0)?), text(row.get_ref(1)?)) {
                settings.push(Entry::Setting { key: key.to_owned(), value: value.to_owned() });
            }
        }
        Ok(())
    });
    settings
}

/// Writes what could be read of a damaged file.
fn salvage(connection: &mut Connection, stations: &[Restored], settings: Vec<Entry>) -> rusqlite::Result<()> {
    let mut entries = settings;
    for restored in stations {
        let station = &restored.station;
        for &(time, values) in &restored.readings {
            entries.push(Entry::Reading { station: station.clone(), time, values, slot_begins: time });
        }
        entries.extend(restored.forecasts.iter().map(|forecast| Entry::Forecast(Box::new(forecast.clone()))));
        if let Some(state) = &restored.state {
            let readings = &restored.readings;
            let readings_from = readings.first().map_or(Timestamp::MIN, |&(time, _)| time);
            let forecasts_from = restored.forecasts.first().map_or(readings_from, |forecast| forecast.origin);
            let active_at = readings.last().map_or(Timestamp::MIN, |&(time, _)| time);
            let (station, state) = (station.clone(), state.clone());
            entries.push(Entry::State { station, state, readings_from, forecasts_from, active_at });
        }
        if let Some(experts) = &restored.experts {
            entries.push(Entry::Experts { station: station.clone(), experts: experts.clone() });
        }
    }
    write(connection, &entries).map(|_| ())
}
