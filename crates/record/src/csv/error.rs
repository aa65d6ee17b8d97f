//! Why a CSV file, its mapping or a row of it cannot be read.

use std::path::PathBuf;

/// Why a CSV file, or a row of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file cannot be read.
    #[error("{path}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no header line.
    #[error("{path}: empty, a header line is needed", path = .0.display())]
    Empty(PathBuf),
    /// The mapping file cannot be understood.
    #[error("mapping {path}: {message}", path = .path.display())]
    Mapping {
        /// Which.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The header is none that is known.
    #[error("{path}: header is of no preset; found columns {found}; give a mapping file (--mapping)", path = .path.display())]
    UnknownHeader {
        /// Which file.
        path: PathBuf,
        /// The columns found.
        found: String,
    },
    /// The header is that of a preset which needs to be told something.
    #[error(
        "{path}: this is {preset:?} ({title}): {message}; give a mapping file (--mapping) with preset = {preset:?}",
        path = .path.display()
    )]
    Preset {
        /// Which file.
        path: PathBuf,
        /// The preset.
        preset: &'static str,
        /// What it is for.
        title: &'static str,
        /// What is needed.
        message: String,
    },
    /// The columns are those of daily values.
    #[error(
        "{path}: these are daily values ({found}), one a day; a forecast by the hour needs readings of every hour or more",
        path = .path.display()
    )]
    Daily {
        /// Which file.
        path: PathBuf,
        /// The columns found.
        found: String,
    },
    /// There is no file in a folder.
    #[error("{path}: no file in it", path = .0.display())]
    EmptyFolder(PathBuf),
    /// A pattern of files cannot be read, or fits none.
    #[error("{pattern}: {message}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        message: String,
    },
    /// The times are of no form that the mapping names, or of several.
    #[error("{path}: {message}", path = .path.display())]
    Times {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A column that is needed is not there.
    #[error("{path}: no column {column:?}; found {found}", path = .path.display())]
    MissingColumn {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        column: String,
        /// The columns found.
        found: String,
    },
    /// A column that is needed is there more than once.
    #[error("{path}: more than one column {column:?}: which is meant?", path = .path.display())]
    RepeatedColumn {
        /// Which file.
        path: PathBuf,
        /// Its name.
        column: String,
    },
    /// A row that cannot be read.
    #[error("{path}:{line}: {message}", path = .path.display())]
    Row {
        /// Which file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
}
