//! Another program's database: opened for reading alone, a page of rows at a time, so that its owner is held up by none.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::ImportError;

/// How long the owner of the database is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rows that are read under one lock.
pub(crate) const PAGE: i64 = 10_000;

/// What every database of SQLite begins with (sqlite.org/fileformat.html, 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A database that is only read.
pub(crate) struct Database {
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
}

impl Database {
    /// Opens the database at `path`, which is to be that of `program`; `meant` is said where it is none at all.
    pub(crate) fn open(path: &Path, meant: Option<&'static str>) -> Result<Database, ImportError> {
        let failed = |source| ImportError::File { path: path.to_owned(), source };
        // Opening a pipe would wait for a writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(ImportError::NoDatabase { path: path.to_owned(), meant });
        }
        let mut head = Vec::new();
        File::open(path).map_err(failed)?.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(failed)?;
        if head != MAGIC {
            return Err(ImportError::NoDatabase { path: path.to_owned(), meant });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            Ok(connection)
        });
        let connection = opened.map_err(|source| ImportError::Sqlite { path: path.to_owned(), source })?;
        Ok(Database { path: path.to_owned(), connection })
    }

    /// Refuses a database without a table.
    pub(crate) fn require(
        &self,
        program: &'static str,
        table: &'static str,
        meant: impl Fn(&[String]) -> Option<&'static str>,
    ) -> Result<(), ImportError> {
        let tables = self.tables()?;
        if tables.iter().any(|known| known == table) {
            return Ok(());
        }
        let meant = meant(&tables);
        Err(ImportError::NoTable { path: self.path.clone(), program, table, tables, meant })
    }

    /// The names of the tables.
    pub(crate) fn tables(&self) -> Result<Vec<String>, ImportError> {
        let sql =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        self.tried(|connection| {
            let mut statement = connection.prepare(sql)?;
            let names = statement.query_map([], |row| row.get::<_, String>(0))?;
            names.collect()
        })
    }

    /// The columns of a table, in their order.
    pub(crate) fn columns(&self, table: &str) -> Result<Vec<String>, ImportError> {
        self.tried(|connection| {
            let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?)")?;
            let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
            names.collect()
        })
    }

    /// Asks the database; what it cannot do is said of its file.
    pub(crate) fn tried<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ImportError> {
        ask(&self.connection).map_err(|source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                ImportError::Locked { path: self.path.clone(), waited_s: PATIENCE.as_secs() }
            }
            Some(ErrorCode::NotADatabase) => ImportError::NoDatabase { path: self.path.clone(), meant: None },
            _ => ImportError::Sqlite { path: self.path.clone(), source },
        })
    }
}
