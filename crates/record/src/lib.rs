//! Histories of weather stations: CSV files and how they are understood, what is wrong with them, whole records on a time
//! grid, and a simulated station.

mod csv;
mod files;
mod npz;
mod order;
mod quality;
mod readings;
mod record;
mod simulation;
mod validate;
mod windows;

pub use csv::error::{CsvError, MappingFault};
pub use csv::mapping::{CsvMapping, CsvMappingError};
pub use csv::reader::{CsvReader, OtherColumn, Row, UnreadableValues};
pub use files::RecordSource;
pub use order::WrongClock;
pub use quality::{DroppedValues, Hole, Overlap, QualityReport};
pub use readings::{About, Readings, known_quantities};
pub use record::{DEFAULT_SPLIT, Part, Record, RecordError, RecordFacts, sha256_of};
pub use simulation::{SITE, Simulation};
pub use validate::Suspicion;
pub use windows::{Windows, WindowsError};
