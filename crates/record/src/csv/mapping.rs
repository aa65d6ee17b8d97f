//! How the columns of a CSV file are to be understood.
//!
//! A mapping names the columns, their quantities and units, and how time is written:
//!
//! ```toml
//! station = "cambridge"
//! site = { latitude_deg = 52.21, longitude_deg = 0.09 }
//! time = { column = "ds", format = "%Y-%m-%d %H:%M:%S", utc_offset = "+00:00" }
//! [columns]
//! "y" = { quantity = "air_temperature", unit = "0.1 degC" }
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::Offset;
use serde::Deserialize;

use forecastd_core::Quantity;
use forecastd_core::Site;
use forecastd_core::Unit;

use super::error::CsvError;

/// How a CSV file is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvMapping {
    /// The station's name, where none is given otherwise.
    #[serde(default)]
    pub station: Option<String>,
    /// Where the station stands.
    #[serde(default)]
    pub site: Option<Site>,
    /// The column of time.
    pub time: TimeColumn,
    /// The columns of quantities, by their name in the header.
    pub columns: BTreeMap<String, QuantityColumn>,
}

/// How time is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeColumn {
    /// Name in the header.
    pub column: String,
    /// `strftime` pattern; absent for RFC 3339.
    #[serde(default)]
    pub format: Option<String>,
    /// Offset of the written time from UTC, `+01:00`; ignored for RFC 3339.
    #[serde(default = "utc")]
    pub utc_offset: String,
}

fn utc() -> String {
    "+00:00".to_owned()
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantityColumn {
    /// CF standard name.
    pub quantity: String,
    /// Unit, by a name that [`crate::units`] knows; absent for the canonical unit.
    #[serde(default)]
    pub unit: Option<String>,
}

/// The Jena station (Max Planck Institute for Biogeochemistry, Jena).
pub const JENA_SITE: Site = Site::new(50.91, 11.57);

/// Columns of the Jena climate data set.
const JENA_COLUMNS: [(&str, Quantity); 14] = [
    ("p (mbar)", Quantity::AirPressure),
    ("T (degC)", Quantity::AirTemperature),
    ("Tpot (K)", Quantity::AirPotentialTemperature),
    ("Tdew (degC)", Quantity::DewPointTemperature),
    ("rh (%)", Quantity::RelativeHumidity),
    ("VPmax (mbar)", Quantity::SaturationVaporPressure),
    ("VPact (mbar)", Quantity::VaporPressure),
    ("VPdef (mbar)", Quantity::VaporPressureDeficit),
    ("sh (g/kg)", Quantity::SpecificHumidity),
    ("H2OC (mmol/mol)", Quantity::WaterVaporMoleFraction),
    ("rho (g/m**3)", Quantity::AirDensity),
    ("wv (m/s)", Quantity::WindSpeed),
    ("max. wv (m/s)", Quantity::WindSpeedOfGust),
    ("wd (deg)", Quantity::WindFromDirection),
];

impl CsvMapping {
    /// The Jena climate data set: station time is local standard time without daylight saving, UTC+1.
    pub fn jena() -> CsvMapping {
        let column = |quantity: Quantity| QuantityColumn { quantity: quantity.name().to_owned(), unit: None };
        CsvMapping {
            station: Some("jena".to_owned()),
            site: Some(JENA_SITE),
            time: TimeColumn {
                column: "Date Time".to_owned(),
                format: Some("%d.%m.%Y %H:%M:%S".to_owned()),
                utc_offset: "+01:00".to_owned(),
            },
            columns: JENA_COLUMNS.map(|(name, quantity)| (name.to_owned(), column(quantity))).into(),
        }
    }

    /// forecastd's own format: `time` in RFC 3339 and the keys of the canonical JSON reading.
    pub fn canonical() -> CsvMapping {
        let column = |quantity: Quantity| QuantityColumn { quantity: quantity.name().to_owned(), unit: None };
        CsvMapping {
            station: None,
            site: None,
            time: TimeColumn { column: "time".to_owned(), format: None, utc_offset: utc() },
            columns: Quantity::ALL.map(|quantity| (quantity.key().to_owned(), column(quantity))).into(),
        }
    }

    /// Reads a mapping file.
    ///
    /// # Errors
    /// [`CsvError::Mapping`] when it cannot be read or names what does not exist.
    pub fn read(path: &Path) -> Result<CsvMapping, CsvError> {
        let failed = |message: String| CsvError::Mapping { path: path.to_owned(), message };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("not UTF-8; save it as such".to_owned()))?;
        let file = config::File::from_str(&text, config::FileFormat::Toml);
        // Column names hold characters that a path of keys cannot, so the table is taken whole.
        let mapping: CsvMapping = config::Config::builder()
            .add_source(file)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| failed(in_one_line(&error.to_string())))?;
        mapping.compile().map_err(failed)?;
        Ok(mapping)
    }

    /// Looks up what the mapping names.
    pub(super) fn compile(&self) -> Result<Compiled, String> {
        let offset: jiff::tz::Offset = parse_offset(&self.time.utc_offset)
            .ok_or_else(|| format!("utc_offset {:?} is not of the form +01:00", self.time.utc_offset))?;
        let mut columns = Vec::new();
        for (name, column) in &self.columns {
            let quantity: Quantity = column.quantity.parse().map_err(|error| format!("{name:?}: {error}"))?;
            let unit = column.unit.as_deref().map(str::parse::<Unit>).transpose();
            let unit = unit.map_err(|error| format!("{name:?}: {error}"))?;
            if let Some(unit) = unit {
                unit.to_canonical(quantity, 0.0).map_err(|error| format!("{name:?}: {error}"))?;
            }
            columns.push((name.clone(), quantity, unit));
        }
        for (index, (name, quantity, _)) in columns.iter().enumerate() {
            if let Some((other, ..)) = columns[..index].iter().find(|(_, other, _)| other == quantity) {
                return Err(format!("{other:?} and {name:?} are both {quantity}"));
            }
        }
        if columns.iter().all(|(_, quantity, _)| *quantity != Quantity::AirTemperature) {
            return Err("no column is air_temperature, which is needed".to_owned());
        }
        Ok(Compiled { offset, columns })
    }
}

/// A mapping with its names looked up.
pub(super) struct Compiled {
    pub offset: Offset,
    pub columns: Vec<(String, Quantity, Option<Unit>)>,
}

/// The message of a syntax error without the picture of the line that comes with it.
fn in_one_line(message: &str) -> String {
    // The picture is the line behind its number and a bar, and a caret below it.
    let is_said = |line: &&str| !line.contains('|') && !line.is_empty();
    message.lines().map(str::trim).filter(is_said).collect::<Vec<_>>().join(": ")
}

fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
    Offset::from_seconds(sign * seconds).ok()
}
