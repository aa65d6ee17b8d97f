//! How the columns of a CSV file are to be understood.
//!
//! A mapping is a description of `forecastd-mapping` in a file of TOML, of which the part for columns counts:
//!
//! ```toml
//! station = "cambridge"
//! site = { latitude_deg = 52.21, longitude_deg = 0.09 }
//! time = { column = "ds", format = "%Y-%m-%d %H:%M:%S", utc_offset = "+00:00" }
//! [columns]
//! "y" = { quantity = "air_temperature", unit = "0.1 degC" }
//! ```

use std::path::Path;

use forecastd_core::Quantity;
use forecastd_mapping::{Mapping, MappingError};

use super::error::{CsvError, MappingFault};

/// How a CSV file is read.
#[derive(Debug, Clone)]
pub struct CsvMapping {
    /// The station's name, where none is given otherwise.
    pub station: Option<String>,
    mapping: Mapping,
}

/// Why a text is no mapping for files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvMappingError {
    /// It is no mapping at all.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// It names no column of what is to be forecast.
    #[error("no column is air_temperature, which is needed")]
    NoTemperature,
}

impl CsvMapping {
    /// Takes a mapping for files.
    pub fn new(mapping: Mapping) -> CsvMapping {
        CsvMapping { station: mapping.station().map(str::to_owned), mapping }
    }

    /// Reads a mapping from its text.
    ///
    /// # Errors
    /// [`CsvMappingError`], with everything that is wrong with it.
    pub fn parse(text: &str) -> Result<CsvMapping, CsvMappingError> {
        let mapping = Mapping::parse(text)?;
        if !mapping.quantities().contains(&Quantity::AirTemperature) {
            return Err(CsvMappingError::NoTemperature);
        }
        Ok(CsvMapping::new(mapping))
    }

    /// Reads a mapping file.
    ///
    /// # Errors
    /// [`CsvError::Mapping`] when it cannot be read or names what does not exist.
    pub fn read(path: &Path) -> Result<CsvMapping, CsvError> {
        let failed = |source| CsvError::Mapping { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(|error| failed(MappingFault::Unreadable(error)))?;
        let text = String::from_utf8(bytes).map_err(|_| failed(MappingFault::NotUtf8))?;
        CsvMapping::parse(&text).map_err(|error| failed(MappingFault::Content(error)))
    }

    /// How rows become readings, whatever the columns are named.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}
