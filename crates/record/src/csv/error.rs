//! Why a CSV file, its mapping or a row of it cannot be read.

use std::path::PathBuf;

use forecastd_mapping::BindError;

use super::mapping::CsvMappingError;

/// Why a CSV file, or a row of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file cannot be read.
    #[error("{path}", path = .path.display())]
    File {
        /// The file that cannot be read.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// There is no header line.
    #[error("{path}: empty, a header line is needed", path = .0.display())]
    Empty(PathBuf),
    /// The mapping file cannot be understood.
    #[error("mapping {path}", path = .path.display())]
    Mapping {
        /// The mapping file, or the file that it does not fit.
        path: PathBuf,
        /// What is wrong with it.
        source: MappingFault,
    },
    /// The header is none that is known.
    #[error("{path}: header is of no preset; found columns {found}; give a mapping file (--mapping)", path = .path.display())]
    UnknownHeader {
        /// The file with the header.
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
        /// The file with the header.
        path: PathBuf,
        /// The name of the preset that has the header.
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
        /// The file with the columns.
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
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong.
        message: String,
    },
    /// The times are of no form that the mapping names, or of several.
    #[error("{path}: {message}", path = .path.display())]
    Times {
        /// The file with the times.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A column that is needed is not there.
    #[error("{path}: no column {column:?}; found {found}", path = .path.display())]
    MissingColumn {
        /// The file without the column.
        path: PathBuf,
        /// What is missing.
        column: String,
        /// The columns found.
        found: String,
    },
    /// A column that is needed is there more than once.
    #[error("{path}: more than one column {column:?}: which is meant?", path = .path.display())]
    RepeatedColumn {
        /// The file with the column.
        path: PathBuf,
        /// The name that several columns have.
        column: String,
    },
    /// A row that cannot be read.
    #[error("{path}:{line}: {message}", path = .path.display())]
    Row {
        /// The file with the row.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

/// What is wrong with a mapping file.
#[derive(Debug, thiserror::Error)]
pub enum MappingFault {
    /// It cannot be read, as the operating system says.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// It is of another encoding.
    #[error("not UTF-8; save it as such")]
    NotUtf8,
    /// What it says is no mapping for files.
    #[error(transparent)]
    Content(CsvMappingError),
    /// What it says stands between cells cannot.
    #[error("delimiter {0:?} is neither one character such as \";\" nor \"tab\" nor \"blank\"")]
    Delimiter(String),
    /// It does not fit the columns of the file.
    #[error("{fault}; found {found}")]
    Columns {
        /// Why not.
        fault: BindError,
        /// The columns found.
        found: String,
    },
}
