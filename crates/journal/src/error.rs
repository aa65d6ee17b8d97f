//! Why the journal cannot be used.

use std::path::PathBuf;

use crate::schema::SCHEMA_VERSION;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite refuses.
    #[error("cannot use journal {path}", path = .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file or its folder cannot be made, moved or looked at.
    #[error("cannot use journal {path}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was written by a later version; it is left alone.
    #[error("journal {path} has schema {found}, this version writes {SCHEMA_VERSION}", path = .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
    },
    /// The file is the database of another program; it is left alone.
    #[error("journal {path} is the database of another program: it has a table {table:?}", path = .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// A table that no journal has.
        table: String,
    },
    /// The file that was opened is no longer the one at its path: it was moved, deleted or replaced.
    #[error("journal {path} was moved or deleted", path = .path.display())]
    Gone {
        /// The path.
        path: PathBuf,
    },
}

impl JournalError {
    /// Every reason's label, for metrics.
    pub const REASONS: [&'static str; 7] = ["full", "busy", "corrupt", "schema", "gone", "io", "other"];

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            JournalError::File { .. } => "io",
            JournalError::Schema { .. } | JournalError::Foreign { .. } => "schema",
            JournalError::Gone { .. } => "gone",
            JournalError::Sqlite { source, .. } => reason(source),
        }
    }

    /// Whether the contents are damaged, so that only a new file helps.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.reason() == "corrupt"
    }
}

fn reason(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "full",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "busy",
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => "corrupt",
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => "io",
        _ => "other",
    }
}

/// Whether the contents are damaged.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    reason(error) == "corrupt"
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
    /// How many.
    pub entries: usize,
}
