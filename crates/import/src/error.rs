//! Why a history cannot be brought in.

use std::path::PathBuf;

use forecastd_core::{Quantity, UnitError};
use forecastd_journal::JournalError;
use forecastd_mapping::{BindError, MappingError, NameError};
use forecastd_record::{CsvError, RecordError};

/// Why a history cannot be brought in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{path}", path = .path.display())]
    File {
        /// The file that cannot be read.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is no database of SQLite.
    #[error("{path} is no SQLite database{}", hint(.meant), path = .path.display())]
    NoDatabase {
        /// The file that was taken for a database.
        path: PathBuf,
        /// What may be meant.
        meant: Option<&'static str>,
    },
    /// The database is not that of the program.
    #[error(
        "{path} is no database of {program}: there is no table {table:?}{}{}",
        found(.tables), hint(.meant), path = .path.display()
    )]
    NoTable {
        /// The file of the database.
        path: PathBuf,
        /// Whose it was to be.
        program: &'static str,
        /// The table that is missing.
        table: &'static str,
        /// Those that are there.
        tables: Vec<String>,
        /// What may be meant.
        meant: Option<&'static str>,
    },
    /// The database is of a version that is not known.
    #[error("{path}: table {table:?} has no column {column:?}: {advice}", path = .path.display())]
    NoColumn {
        /// The file of the database.
        path: PathBuf,
        /// The table without the column.
        table: &'static str,
        /// The column that is missing.
        column: &'static str,
        /// What can be done.
        advice: &'static str,
    },
    /// Another program holds the database.
    #[error(
        "{path} is locked by another program for longer than {waited_s} s; stop it for the import, or import a copy of the file",
        path = .path.display()
    )]
    Locked {
        /// The file of the database.
        path: PathBuf,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
    /// The database cannot be read.
    #[error("{path} cannot be read", path = .path.display())]
    Sqlite {
        /// The file of the database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Rows are of a unit system that does not exist.
    #[error(
        "{path}: usUnits is {found} in {rows} rows; WeeWX has 1 (US), 16 (METRIC) and 17 (METRICWX)",
        path = .path.display()
    )]
    UnitSystem {
        /// The file of the database.
        path: PathBuf,
        /// What stands there.
        found: String,
        /// In how many rows.
        rows: u64,
    },
    /// It is not said which entities are to be read.
    #[error("say which entities: --entity air_temperature=sensor.NAME{}", listed("the file has", .found))]
    NoEntity {
        /// Entities that may be meant, with their units.
        found: Vec<String>,
    },
    /// The file does not know an entity.
    #[error("{path}: no entity {entity:?}{}", listed("the file has", .near), path = .path.display())]
    UnknownEntity {
        /// The file of Home Assistant's recorder.
        path: PathBuf,
        /// The id that was asked for.
        entity: String,
        /// Entities of similar names.
        near: Vec<String>,
    },
    /// An entity's unit is missing, or none of its quantity.
    #[error("{entity}: {fault}")]
    Unit {
        /// The id of the entity.
        entity: String,
        /// What is wrong.
        fault: EntityUnitError,
    },
    /// The mapping names what does not exist.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The mapping does not fit the columns of a table.
    #[error("{path}: {fault}", path = .path.display())]
    Columns {
        /// The file of the database.
        path: PathBuf,
        /// Why not.
        fault: BindError,
    },
    /// The mapping does not fit points, whatever fields these have.
    #[error("{0}")]
    Fields(BindError),
    /// Nothing is said to be what is to be forecast.
    #[error("no {among} is air_temperature, which is needed")]
    NoTemperature {
        /// What one is looked for among: `entity` or `field`.
        among: &'static str,
    },
    /// Two entities are the same quantity.
    #[error("{first} and {second} are both {quantity}: give each station an import of its own")]
    SameQuantity {
        /// What both measure.
        quantity: Quantity,
        /// The id of the entity that was named first.
        first: String,
        /// The id of the other.
        second: String,
    },
    /// A pressure is reduced to sea level, and it is not known how high the station stands.
    #[error("a pressure at sea level needs the station's height: elevation_m of [site] or [station.NAME]")]
    NoElevation,
    /// The entities are there and have never had a value.
    #[error("{path}: no state of them is a number", path = .path.display())]
    NoNumber {
        /// The file of Home Assistant's recorder.
        path: PathBuf,
    },
    /// A file holds more than one series of a quantity.
    #[error(
        "{path}: {quantity} is measured by several: {}; choose with where = {{ {tag} = {first:?} }}, or say in the mapping that \
         all are right: sure = [\"station\"]",
        .texts.join(", "), path = .path.display()
    )]
    SeveralSeries {
        /// The file with the series.
        path: PathBuf,
        /// What they measure.
        quantity: Quantity,
        /// The tag that tells them apart.
        tag: String,
        /// One of its texts.
        first: String,
        /// Every text that the tag has.
        texts: Vec<String>,
    },
    /// Nothing in it is what the mapping names.
    #[error("{path}: {points} points and not one with a field that the mapping names{}", listed("found", .found), path = .path.display())]
    NoField {
        /// The file in line protocol.
        path: PathBuf,
        /// How many points there are.
        points: u64,
        /// Fields that are there.
        found: Vec<String>,
    },
    /// A file of lines cannot be understood.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The readings are nothing to work with.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The journal cannot be written. What was written before is there.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was interrupted before anything was written.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

/// What is wrong with the unit of an entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntityUnitError {
    /// The recorder has none, nor has the mapping.
    #[error("the recorder has no unit for it; say it in a mapping: unit = \"{}\"", .0.unit())]
    Missing(Quantity),
    /// It is not known, or none of the quantity.
    #[error(transparent)]
    Name(NameError),
    /// No value in it can be converted.
    #[error(transparent)]
    Mismatch(UnitError),
}

fn hint(meant: &Option<&'static str>) -> String {
    meant.map(|meant| format!("; {meant}")).unwrap_or_default()
}

fn found(tables: &[String]) -> String {
    const MOST: usize = 8;
    match tables {
        [] => "; it has none".to_owned(),
        few if few.len() <= MOST => format!("; it has {}", few.join(", ")),
        many => format!("; it has {} and {} more", many[..MOST].join(", "), many.len() - MOST),
    }
}

fn listed(what: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; {what} {}", names.join(", ")),
    }
}
