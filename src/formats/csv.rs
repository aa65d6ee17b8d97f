//! A station's history as CSV: the Jena climate format, forecastd's own, or any other by a mapping file.
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
//!
//! A row that cannot be read is an error of its own with its line; the rows after it are still read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::Deserialize;

use crate::quantity::{Quantity, Values};
use crate::solar::Site;
use crate::units::Unit;

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

/// Why a CSV file, or a row of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = .path.display())]
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
    #[error(
        "{path}: header is neither of the Jena climate data set nor forecastd's; found columns {found}; \
         give a mapping file (--mapping)", path = .path.display()
    )]
    UnknownHeader {
        /// Which file.
        path: PathBuf,
        /// The columns found.
        found: String,
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

/// The Jena station (Max Planck Institute for Biogeochemistry, Jena).
pub const JENA_SITE: Site = Site { latitude_deg: 50.91, longitude_deg: 11.57 };

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
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let file = config::File::from_str(&text, config::FileFormat::Toml);
        // Column names hold characters that a path of keys cannot, so the table is taken whole.
        let mapping: CsvMapping = config::Config::builder()
            .add_source(file)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| failed(error.to_string()))?;
        mapping.compile().map_err(failed)?;
        Ok(mapping)
    }

    /// Looks up what the mapping names.
    fn compile(&self) -> Result<Compiled, String> {
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
        Ok(Compiled { offset, columns })
    }
}

/// A mapping with its names looked up.
struct Compiled {
    offset: Offset,
    columns: Vec<(String, Quantity, Option<Unit>)>,
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

/// What one row says: when, and what was measured.
pub type Row = (Timestamp, Values);

/// Reads a CSV file row by row.
pub struct CsvReader {
    path: PathBuf,
    reader: ::csv::Reader<Box<dyn Read + Send>>,
    record: ::csv::ByteRecord,
    time_column: usize,
    time_format: Option<String>,
    offset: Offset,
    /// Position, quantity and unit of each column that is read.
    columns: Vec<(usize, Quantity, Option<Unit>)>,
    /// How many bytes the file has, for progress.
    len: u64,
}

impl CsvReader {
    /// Opens a file; without a mapping, the header must be one that is known.
    ///
    /// # Errors
    /// [`CsvError`] when the file cannot be read or lacks the columns.
    pub fn open(path: &Path, mapping: Option<&CsvMapping>) -> Result<CsvReader, CsvError> {
        let failed = |source| CsvError::File { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut head = vec![0; 4096];
        let filled = read_up_to(&mut file, &mut head).map_err(failed)?;
        head.truncate(filled);
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let skipped = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            let source = std::io::Error::other("encoded in UTF-16; save it as UTF-8");
            return Err(failed(source));
        }
        let first_line = head[skipped..].split(|&byte| byte == b'\n').next().unwrap_or_default();
        let count = |delimiter: u8| first_line.iter().filter(|&&byte| byte == delimiter).count();
        let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|&byte| (count(byte), byte == b','));
        let rest = std::io::Cursor::new(head[skipped..].to_vec()).chain(file);
        let input: Box<dyn Read + Send> = Box::new(BufReader::with_capacity(1 << 16, rest));
        let mut reader = ::csv::ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or(b','))
            .trim(::csv::Trim::All)
            .flexible(true)
            .from_reader(input);
        let header: Vec<String> = reader
            .byte_headers()
            .map_err(|error| failed(std::io::Error::other(error)))?
            .iter()
            .map(|name| match std::str::from_utf8(name) {
                Ok(name) => name.to_owned(),
                // Latin-1, as the Jena station's own files are, where µ and ° are: each byte is its code point.
                Err(_) => name.iter().copied().map(char::from).collect(),
            })
            .collect();
        if header.iter().all(String::is_empty) {
            return Err(CsvError::Empty(path.to_owned()));
        }
        let found = || header.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let is_given = mapping.is_some();
        let detected;
        let mapping = match mapping {
            Some(mapping) => mapping,
            None => {
                detected = [CsvMapping::jena(), CsvMapping::canonical()]
                    .into_iter()
                    .find(|known| header.contains(&known.time.column))
                    .ok_or_else(|| CsvError::UnknownHeader { path: path.to_owned(), found: found() })?;
                &detected
            }
        };
        let missing = |column: &str| CsvError::MissingColumn {
            path: path.to_owned(),
            column: column.to_owned(),
            found: found(),
        };
        let position = |name: &str| header.iter().position(|column| column == name);
        let time_column = position(&mapping.time.column).ok_or_else(|| missing(&mapping.time.column))?;
        let compiled =
            mapping.compile().map_err(|message| CsvError::Mapping { path: path.to_owned(), message })?;
        let temperature = compiled
            .columns
            .iter()
            .find(|(_, quantity, _)| *quantity == Quantity::AirTemperature)
            .ok_or_else(|| missing("air_temperature"))?;
        if position(&temperature.0).is_none() {
            return Err(missing(&temperature.0));
        }
        // Known formats have columns that not every file has; who writes a mapping says what is there.
        if is_given
            && let Some((name, ..)) = compiled.columns.iter().find(|(name, ..)| position(name).is_none())
        {
            return Err(missing(name));
        }
        let columns = compiled
            .columns
            .iter()
            .filter_map(|(name, quantity, unit)| Some((position(name)?, *quantity, *unit)))
            .collect();
        Ok(CsvReader {
            path: path.to_owned(),
            reader,
            record: ::csv::ByteRecord::new(),
            time_column,
            time_format: mapping.time.format.clone(),
            offset: compiled.offset,
            columns,
            len,
        })
    }

    /// The quantities that the file has columns for.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> + '_ {
        self.columns.iter().map(|(_, quantity, _)| *quantity)
    }

    /// How much of the file has been read, from 0 to 1.
    pub fn progress(&self) -> f64 {
        self.reader.position().byte() as f64 / self.len.max(1) as f64
    }

    fn row(&self) -> Result<Row, String> {
        let cell = |index: usize, name: &str| -> Result<&str, String> {
            let bytes = self.record.get(index).ok_or_else(|| format!("row ends before {name}"))?;
            std::str::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))
        };
        let text = cell(self.time_column, "the time")?;
        let time = self.time(text)?;
        let mut values = Values::NONE;
        for &(index, quantity, unit) in &self.columns {
            let text = cell(index, quantity.name())?;
            if matches!(text, "" | "NA" | "NaN" | "nan" | "null" | "-" | "---") {
                continue;
            }
            let number: f64 = text.parse().map_err(|_| match text.contains(',') {
                true => format!("{quantity} is {text:?}: decimal comma, a point is needed"),
                false => format!("{quantity} is {text:?}, not a number"),
            })?;
            let value = match unit {
                Some(unit) => unit.to_canonical(quantity, number).map_err(|error| error.to_string())?,
                None => number as f32,
            };
            values.set(quantity, value);
        }
        Ok((time, values))
    }

    fn time(&self, text: &str) -> Result<Timestamp, String> {
        let Some(format) = &self.time_format else {
            return text.parse().map_err(|_| format!("time {text:?} is not RFC 3339"));
        };
        let civil = DateTime::strptime(format, text)
            .map_err(|_| format!("time {text:?} is not of the form {format:?}"))?;
        self.offset.to_timestamp(civil).map_err(|error| format!("time {text:?}: {error}"))
    }
}

impl Iterator for CsvReader {
    type Item = Result<Row, CsvError>;

    fn next(&mut self) -> Option<Result<Row, CsvError>> {
        let row_error = |path: &Path, line, message| CsvError::Row { path: path.to_owned(), line, message };
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return None,
                Ok(true) if self.record.iter().all(<[u8]>::is_empty) => {}
                Ok(true) => {
                    let line = self.record.position().map_or(0, ::csv::Position::line);
                    return Some(self.row().map_err(|message| row_error(&self.path, line, message)));
                }
                Err(error) => {
                    let line = error.position().map_or(0, ::csv::Position::line);
                    let is_io = error.is_io_error();
                    let failed = row_error(&self.path, line, error.to_string());
                    if is_io {
                        // A disk that fails would fail for ever: end after this error.
                        self.reader = ::csv::ReaderBuilder::new().from_reader(Box::new(std::io::empty()));
                    }
                    return Some(Err(failed));
                }
            }
        }
    }
}

/// Fills `buffer` as far as the file goes.
fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        text: impl AsRef<[u8]>,
        mapping: Option<&CsvMapping>,
    ) -> Result<Vec<Result<Row, String>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        std::fs::write(&path, text).unwrap();
        let reader = CsvReader::open(&path, mapping).map_err(|error| error.to_string())?;
        Ok(reader.map(|row| row.map_err(|error| error.to_string())).collect())
    }

    #[test]
    fn jena_rows_are_read_whatever_the_quotes_ends_of_line_and_trailing_zeros() {
        let quoted = "\"Date Time\",\"p (mbar)\",\"T (degC)\"\r\n01.01.2009 00:10:00,996.52,-8.02\r\n";
        let plain = "\u{feff}Date Time,p (mbar),T (degC)\n01.01.2009 00:10:00,996.520,-8.020\n\n";
        let semicolons = "Date Time;p (mbar);T (degC)\n01.01.2009 00:10:00;996.52;-8.02";
        for text in [quoted, plain, semicolons] {
            let rows = read(text, None).unwrap();
            let (time, values) = rows[0].clone().unwrap();
            assert_eq!(time.to_string(), "2008-12-31T23:10:00Z", "station time is UTC+1");
            assert_eq!(values.get(Quantity::AirTemperature), Some(-8.02));
            assert_eq!(values.get(Quantity::AirPressure), Some(996.52));
            assert_eq!(rows.len(), 1);
        }
    }

    #[test]
    fn a_broken_row_is_named_by_its_line_and_the_next_is_read() {
        let text = "Date Time,T (degC),rh (%)\n\
                    01.01.2009 00:10:00,1,50\n\
                    01.01.2009 00:20:00,warm,50\n\
                    32.01.2009 00:30:00,1,50\n\
                    01.01.2009 00:40:00,1\n\
                    01.01.2009 00:50:00,\"1,5\",50\n\
                    01.01.2009 01:00:00,,50\n";
        let rows = read(text, None).unwrap();
        assert!(rows[0].is_ok());
        for (row, line, fault) in [
            (1, 3, "\"warm\", not a number"),
            (2, 4, "32.01.2009"),
            (3, 5, "row ends"),
            (4, 6, "decimal comma"),
        ] {
            let error = rows[row].clone().unwrap_err();
            assert!(error.contains(&format!("record.csv:{line}: ")) && error.contains(fault), "{error}");
        }
        let (_, values) = rows[5].clone().unwrap();
        assert_eq!(values.get(Quantity::AirTemperature), None);
        assert_eq!(values.get(Quantity::RelativeHumidity), Some(50.0));
    }

    #[test]
    fn files_that_cannot_be_read_say_what_is_needed() {
        assert!(read("", None).unwrap_err().contains("a header line is needed"));
        assert!(read("a,b\n1,2\n", None).unwrap_err().contains("\"a\", \"b\"; give a mapping file"));
        let no_temperature = read("Date Time,p (mbar)\n", None).unwrap_err();
        assert!(no_temperature.contains("no column \"T (degC)\"; found \"Date Time\""), "{no_temperature}");
        assert!(read(b"\xff\xfeD\0", None).unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn a_header_in_latin_1_is_read() {
        // As in the files of the Jena station itself: µ is one byte.
        let text = b"Date Time,max. PAR (\xb5mol/m\xb2/s),T (degC)\n01.01.2009 00:10:00,1,-8.02\n";
        let rows = read(text, None).unwrap();
        assert_eq!(rows[0].as_ref().unwrap().1.get(Quantity::AirTemperature), Some(-8.02));
    }

    #[test]
    fn a_column_that_a_mapping_names_and_the_file_lacks_is_said() {
        let mut mapping = CsvMapping::jena();
        let text = "Date Time,p (mbar),T (degC)\n01.01.2009 00:10:00,996.52,-8.02\n";
        mapping.columns.retain(|name, _| ["p (mbar)", "T (degC)"].contains(&name.as_str()));
        assert_eq!(read(text, Some(&mapping)).unwrap().len(), 1);
        let pressure = mapping.columns.remove("p (mbar)").unwrap();
        mapping.columns.insert("pressure".to_owned(), pressure);
        let error = read(text, Some(&mapping)).unwrap_err();
        assert!(error.contains("no column \"pressure\"; found \"Date Time\", \"p (mbar)\""), "{error}");
    }

    #[test]
    fn a_mapping_file_gives_names_units_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mapping.toml");
        let mapping = r#"
            station = "cambridge"
            site = { latitude_deg = 52.21, longitude_deg = 0.09 }
            time = { column = "ds", format = "%Y-%m-%d %H:%M:%S" }
            [columns]
            y = { quantity = "air_temperature", unit = "0.1 degC" }
            "dew.point" = { quantity = "dew_point_temperature", unit = "0.1 degC" }
            "wind.speed.mean" = { quantity = "wind_speed", unit = "0.1 knot" }
        "#;
        std::fs::write(&path, mapping).unwrap();
        let mapping = CsvMapping::read(&path).unwrap();
        let text = "\"ds\",\"y\",\"dew.point\",\"wind.speed.mean\"\n2008-08-01 08:30:00,186,128,123\n";
        let rows = read(text, Some(&mapping)).unwrap();
        let (time, values) = rows[0].clone().unwrap();
        assert_eq!(time.to_string(), "2008-08-01T08:30:00Z");
        assert_eq!(values.get(Quantity::AirTemperature), Some(18.6));
        assert_eq!(values.get(Quantity::DewPointTemperature), Some(12.8));
        assert!((values.get(Quantity::WindSpeed).unwrap() - 6.3277).abs() < 1e-3);

        std::fs::write(&path, "time = { column = \"ds\" }\n[columns]\ny = { quantity = \"warmth\" }")
            .unwrap();
        let error = CsvMapping::read(&path).unwrap_err().to_string();
        assert!(error.contains("unknown quantity \"warmth\""), "{error}");
    }
}
