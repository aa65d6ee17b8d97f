//! A station's history as CSV: the Jena climate format, forecastd's own, or any other by a [mapping](super::mapping).
//!
//! A row is a line. One that cannot be read is an error of its own with its line; the rows after it are still read.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use forecastd_core::{Quantity, Values};
use forecastd_core::{Site, Unit};

use super::error::CsvError;
use super::fields::Fields;
use super::lines::{Line, Lines, MAX_LINE};
use super::mapping::CsvMapping;

/// What one row says: when, and what was measured.
pub type Row = (Timestamp, Values);

/// Reads a CSV file row by row.
pub struct CsvReader {
    path: PathBuf,
    lines: Lines<Box<dyn std::io::BufRead + Send>>,
    fields: Fields,
    /// How many columns the header has.
    width: usize,
    time_column: usize,
    time_format: Option<String>,
    offset: Offset,
    /// Position, quantity and unit of each column that is read.
    columns: Vec<(usize, Quantity, Option<Unit>)>,
    /// Where the station stands, if the mapping says so.
    site: Option<Site>,
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
        let other = |message: &str| failed(std::io::Error::other(message.to_owned()));
        let metadata = std::fs::metadata(path).map_err(failed)?;
        // A pipe would be waited for; and a file is read twice, once for its hash.
        if !metadata.is_file() {
            return Err(other("not a regular file"));
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut head = Vec::new();
        file.by_ref().take(4096).read_to_end(&mut head).map_err(failed)?;
        // A damaged row has NUL bytes; where the header has them it is because each character has more than one byte.
        let first_line = head.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || first_line.contains(&0) {
            return Err(other("no text: encoded in UTF-16 or UTF-32 or binary; save it as UTF-8"));
        }
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head).to_vec();
        let input = BufReader::with_capacity(1 << 16, std::io::Cursor::new(text).chain(file));
        let mut lines = Lines::new(Box::new(input) as Box<dyn std::io::BufRead + Send>);
        let (mut fields, header) = loop {
            match lines.next_line().map_err(failed)? {
                None => return Err(CsvError::Empty(path.to_owned())),
                Some(Line::TooLong) => return Err(other(&format!("header of more than {MAX_LINE} bytes"))),
                Some(Line::Whole(line)) if line.trim_ascii().is_empty() => {}
                Some(Line::Whole(line)) => {
                    let mut fields = Fields::new(delimiter(line));
                    let header: Vec<String> = match fields.split(line) {
                        Ok(()) => fields.iter().map(|name| decode(name).into_owned()).collect(),
                        Err(message) => return Err(other(&format!("header: {message}"))),
                    };
                    break (fields, header);
                }
            }
        };
        fields.clear();
        if header.iter().all(String::is_empty) {
            return Err(CsvError::Empty(path.to_owned()));
        }
        let is_given = mapping.is_some();
        let detected;
        let mapping = match mapping {
            Some(mapping) => mapping,
            None => {
                detected = known(&header)
                    .ok_or_else(|| CsvError::UnknownHeader { path: path.to_owned(), found: list(&header) })?;
                &detected
            }
        };
        let missing = |column: &str| CsvError::MissingColumn {
            path: path.to_owned(),
            column: column.to_owned(),
            found: list(&header),
        };
        let position = |name: &str| -> Result<Option<usize>, CsvError> {
            let mut positions = (0..header.len()).filter(|&index| header[index] == name);
            let first = positions.next();
            match positions.next() {
                Some(_) => Err(CsvError::RepeatedColumn { path: path.to_owned(), column: name.to_owned() }),
                None => Ok(first),
            }
        };
        let time_column = position(&mapping.time.column)?.ok_or_else(|| missing(&mapping.time.column))?;
        let compiled =
            mapping.compile().map_err(|message| CsvError::Mapping { path: path.to_owned(), message })?;
        let mut columns = Vec::new();
        for (name, quantity, unit) in &compiled.columns {
            match position(name)? {
                Some(index) => columns.push((index, *quantity, *unit)),
                // Known formats have columns that not every file has; who writes a mapping says what is there.
                None if is_given || *quantity == Quantity::AirTemperature => return Err(missing(name)),
                None => {}
            }
        }
        Ok(CsvReader {
            path: path.to_owned(),
            lines,
            fields,
            width: header.len(),
            time_column,
            time_format: mapping.time.format.clone(),
            offset: compiled.offset,
            columns,
            site: mapping.site,
            len: metadata.len(),
        })
    }

    /// The quantities that the file has columns for.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> + '_ {
        self.columns.iter().map(|(_, quantity, _)| *quantity)
    }

    /// Where the station stands, if the mapping says so or the header is that of a station whose place is known.
    pub fn site(&self) -> Option<Site> {
        self.site
    }

    /// How much of the file has been read, from 0 to 1.
    pub fn progress(&self) -> f64 {
        self.lines.position() as f64 / self.len.max(1) as f64
    }

    fn row(&self) -> Result<Row, String> {
        let found = self.fields.iter().count();
        // Cells that are too many and empty are delimiters at the end of the line.
        if found > self.width && self.fields.iter().skip(self.width).any(|cell| !cell.is_empty()) {
            let (width, hint) =
                (self.width, if found >= 2 * self.width - 1 { "; decimal commas?" } else { "" });
            return Err(format!("{found} cells where the header has {width}{hint}"));
        }
        let cell = |index: usize, name: &str| -> Result<&str, String> {
            let bytes = self.fields.get(index).ok_or_else(|| format!("row ends before {name}"))?;
            std::str::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))
        };
        let text = cell(self.time_column, "the time")?;
        let time = self.time(text)?;
        let mut values = Values::NONE;
        for &(index, quantity, unit) in &self.columns {
            let text = cell(index, quantity.name())?;
            if is_missing(text) {
                continue;
            }
            let number: f64 = text.parse().map_err(|_| match text.contains(',') {
                true => format!("{quantity} is {:?}: decimal comma, a point is needed", shortened(text)),
                false => format!("{quantity} is {:?}, not a number", shortened(text)),
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
            return text.parse().map_err(|_| format!("time {:?} is not RFC 3339", shortened(text)));
        };
        let civil = DateTime::strptime(format, text)
            .map_err(|_| format!("time {:?} is not of the form {format:?}", shortened(text)))?;
        self.offset.to_timestamp(civil).map_err(|error| format!("time {text:?}: {error}"))
    }
}

impl Iterator for CsvReader {
    type Item = Result<Row, CsvError>;

    fn next(&mut self) -> Option<Result<Row, CsvError>> {
        loop {
            let split = match self.lines.next_line() {
                Ok(None) => return None,
                Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => continue,
                Ok(Some(Line::Whole(line))) => self.fields.split(line),
                Ok(Some(Line::TooLong)) => Err(format!("more than {MAX_LINE} bytes in a line")),
                Err(error) => {
                    // A disk that fails would fail for ever: end after this error.
                    self.lines = Lines::new(Box::new(std::io::empty()));
                    return Some(Err(CsvError::File { path: self.path.clone(), source: error }));
                }
            };
            // A row of delimiters alone is one of spreadsheets.
            if split.is_ok() && self.fields.iter().all(<[u8]>::is_empty) {
                continue;
            }
            let row = split.and_then(|()| self.row());
            let line = self.lines.number();
            return Some(row.map_err(|message| CsvError::Row { path: self.path.clone(), line, message }));
        }
    }
}

/// The mapping of a header that is known.
fn known(header: &[String]) -> Option<CsvMapping> {
    let has = |name: &String| header.contains(name);
    let jena = CsvMapping::jena();
    if has(&jena.time.column) {
        return Some(jena);
    }
    // Many files have a column called `time`.
    let canonical = CsvMapping::canonical();
    (has(&canonical.time.column) && canonical.columns.keys().any(has)).then_some(canonical)
}

/// Whether a cell says that nothing was measured.
fn is_missing(text: &str) -> bool {
    const MARKS: [&str; 9] = ["", "na", "n/a", "nan", "null", "none", "-", "--", "---"];
    MARKS.iter().any(|mark| text.eq_ignore_ascii_case(mark))
}

/// What stands between the columns of a header: what is in it most often.
fn delimiter(header: &[u8]) -> u8 {
    let count = |delimiter: u8| header.iter().filter(|&&byte| byte == delimiter).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|&byte| (count(byte), byte == b',')).unwrap_or(b',')
}

/// A name in UTF-8, or else in Latin-1, as the Jena station's own files have it, where µ and ° are: each byte is its code
/// point.
fn decode(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(name) => Cow::Borrowed(name),
        Err(_) => Cow::Owned(name.iter().copied().map(char::from).collect()),
    }
}

/// A text for a message: not more of it than a person reads.
fn shortened(text: &str) -> Cow<'_, str> {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}\u{2026}", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The columns of a header for a message.
fn list(header: &[String]) -> String {
    const MOST: usize = 30;
    let mut names: Vec<String> =
        header.iter().take(MOST).map(|name| format!("{:?}", shortened(name))).collect();
    if header.len() > MOST {
        names.push(format!("and {} more", header.len() - MOST));
    }
    names.join(", ")
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
        // What the system says of a file is the error's source.
        let with_source = |error: CsvError| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let reader = CsvReader::open(&path, mapping).map_err(with_source)?;
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
    fn a_line_is_a_row_and_a_row_has_no_more_cells_than_the_header() {
        let text = "Date Time,T (degC)\n\
                    01.01.2009 00:10:00,\"1\n\
                    01.01.2009 00:20:00,2\n\
                    01.01.2009 00:30:00,3,5\n\
                    01.01.2009 00:40:00,N/A,,\n";
        let rows = read(text, None).unwrap();
        assert_eq!(rows.len(), 4);
        assert!(rows[0].as_ref().unwrap_err().contains(":2: a quote is not closed"));
        let nul = read("Date Time,T (degC)\n\0\0\0\n01.01.2009 00:20:00,2\n", None).unwrap();
        assert!(nul[0].is_err() && nul[1].is_ok(), "a damaged row costs itself");
        assert_eq!(rows[1].as_ref().unwrap().1.get(Quantity::AirTemperature), Some(2.0));
        assert!(
            rows[2].as_ref().unwrap_err().contains(":4: 3 cells where the header has 2; decimal commas?")
        );
        assert_eq!(rows[3].as_ref().unwrap().1.get(Quantity::AirTemperature), None);
        let twice = read("Date Time,T (degC),T (degC)\n", None).unwrap_err();
        assert!(twice.contains("more than one column \"T (degC)\""), "{twice}");
        let unknown = read("time,y\n2009-01-01T00:00:00Z,1\n", None).unwrap_err();
        assert!(unknown.contains("give a mapping file"), "{unknown}");
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

        let time = "time = { column = \"ds\" }\n";
        for (text, message) in [
            ("[columns\ny = { quantity = \"air_temperature\" }", "unclosed table"),
            ("[columns]\ny = { quantity = \"air_pressure\" }", "no column is air_temperature"),
            (
                "[columns]\na = { quantity = \"air_temperature\" }\nb = { quantity = \"air_temperature\" }",
                "\"a\" and \"b\" are both air_temperature",
            ),
        ] {
            std::fs::write(&path, format!("{time}{text}")).unwrap();
            let error = CsvMapping::read(&path).unwrap_err().to_string();
            assert!(error.contains(message) && !error.contains(['\n', '^']), "{error}");
        }
    }
}
