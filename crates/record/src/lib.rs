//! Histories of weather stations: CSV files and how they are understood, what is wrong with them, whole records on a time
//! grid, and a simulated station.

mod csv;
mod faults;
mod record;
mod simulation;

pub use csv::error::CsvError;
pub use csv::mapping::{CsvMapping, JENA_SITE, QuantityColumn, TimeColumn};
pub use csv::reader::{CsvReader, Row};
pub use faults::{DroppedValues, Faults};
pub use record::{DEFAULT_SPLIT, Part, Record, RecordError, RecordFacts, RecordSource, sha256_of};
pub use simulation::{SITE, Simulation};
