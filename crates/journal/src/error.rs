//! Why the journal cannot be used.

use std::path::PathBuf;

use strum::{IntoStaticStr, VariantNames};

use crate::schema::SCHEMA_VERSION;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite cannot do what was asked of it.
    #[error("cannot use journal {path}", path = .path.display())]
    Sqlite {
        /// The journal's file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file or its folder cannot be made, moved or looked at.
    #[error("cannot use journal {path}", path = .path.display())]
    File {
        /// The journal's file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file was written by a later version; it is left alone.
    #[error("journal {path} has schema {found}, this version writes {SCHEMA_VERSION}", path = .path.display())]
    Schema {
        /// The journal's file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
    },
    /// The file is the database of another program; it is left alone.
    #[error("journal {path} is the database of another program: it has a table {table:?}", path = .path.display())]
    Foreign {
        /// The journal's file.
        path: PathBuf,
        /// A table that no journal has.
        table: String,
    },
    /// The file that was opened is no longer the one at its path: it was moved, deleted or replaced.
    #[error("journal {path} was moved or deleted", path = .path.display())]
    Gone {
        /// The path at which the file was opened.
        path: PathBuf,
    },
    /// The disk has not answered for some time, neither that it is written nor that it cannot be.
    #[error("the disk does not answer")]
    Unanswered,
}

/// Why the journal failed, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
enum Reason {
    /// The disk is full.
    Full,
    /// Another process holds the file.
    Busy,
    /// The contents are damaged, or are no database.
    Corrupt,
    /// The tables are of another program, or of a later version of this one.
    Schema,
    /// The file was removed or replaced while it was open.
    Gone,
    /// The operating system does not let the file be opened, read or written.
    Io,
    /// The disk does not answer.
    Hangs,
    /// Whatever else SQLite refuses.
    Other,
}

impl Reason {
    fn from_sqlite(error: &rusqlite::Error) -> Reason {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Reason::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Reason::Busy,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Reason::Corrupt,
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => Reason::Io,
            _ => Reason::Other,
        }
    }

    fn from_error(error: &JournalError) -> Reason {
        match error {
            JournalError::File { .. } => Reason::Io,
            JournalError::Schema { .. } | JournalError::Foreign { .. } => Reason::Schema,
            JournalError::Gone { .. } => Reason::Gone,
            JournalError::Unanswered => Reason::Hangs,
            JournalError::Sqlite { source, .. } => Reason::from_sqlite(source),
        }
    }
}

impl JournalError {
    /// Every reason's label, for metrics.
    pub const REASONS: &'static [&'static str] = <Reason as VariantNames>::VARIANTS;

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        Reason::from_error(self).into()
    }

    /// Whether the contents are damaged, so that only a new file helps.
    pub(crate) fn is_corrupt(&self) -> bool {
        Reason::from_error(self) == Reason::Corrupt
    }
}

/// Whether the contents are damaged.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    Reason::from_sqlite(error) == Reason::Corrupt
}

/// Whether a statement failed because of a part of the file that cannot be read, while others may be.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | SystemIoFailure))
}

/// Whether a statement failed because of what was to be written, so that trying again cannot help.
pub(crate) fn is_refusal(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    matches!(error.sqlite_error_code(), Some(ConstraintViolation | TooBig | TypeMismatch))
}

/// Entries that were not written when the journal was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{entries} entries could not be written to the journal")]
pub struct NotWritten {
    /// The number of entries that are lost.
    pub entries: usize,
}
