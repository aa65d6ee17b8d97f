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
use forecastd_mapping::Mapping;

use super::error::CsvError;

/// How a CSV file is read.
#[derive(Debug, Clone)]
pub struct CsvMapping {
    /// The station's name, where none is given otherwise.
    pub station: Option<String>,
    mapping: Mapping,
}

impl CsvMapping {
    /// Takes a mapping for files.
    pub fn new(mapping: Mapping) -> CsvMapping {
        CsvMapping { station: mapping.station().map(str::to_owned), mapping }
    }

    /// Reads a mapping from its text.
    ///
    /// # Errors
    /// What is wrong with it: all in one line.
    pub fn parse(text: &str) -> Result<CsvMapping, String> {
        let mapping = Mapping::parse(text).map_err(|error| error.to_string())?;
        if !mapping.quantities().contains(&Quantity::AirTemperature) {
            return Err("no column is air_temperature, which is needed".to_owned());
        }
        Ok(CsvMapping::new(mapping))
    }

    /// Reads a mapping file.
    ///
    /// # Errors
    /// [`CsvError::Mapping`] when it cannot be read or names what does not exist.
    pub fn read(path: &Path) -> Result<CsvMapping, CsvError> {
        let failed = |message: String| CsvError::Mapping { path: path.to_owned(), message };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("not UTF-8; save it as such".to_owned()))?;
        CsvMapping::parse(&text).map_err(failed)
    }

    /// How rows become readings, whatever the columns are named.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}
