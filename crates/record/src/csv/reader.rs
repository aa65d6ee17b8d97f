//! A station's history as CSV: the Jena climate format, forecastd's own, that of a preset, or any other by a
//! [mapping](super::mapping); in one file or several, compressed by gzip or not.
//!
//! A row is a line. One that cannot be read is an error of its own with its line; the rows after it are still read.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use forecastd_core::{Quantity, Site, Values};
use forecastd_mapping::{BindError, Mapping, Table};

use super::error::CsvError;
use super::fields::{Delimiter, Fields};
use super::layout::{self, list};
use super::lines::{Line, Lines, MAX_LINE};
use super::mapping::CsvMapping;
use super::source;
use crate::faults::Overlap;
use crate::files::files;

/// What one row says: when, and what was measured.
pub type Row = (Timestamp, Values);

/// Texts of one quantity that are no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableValues {
    /// Of which quantity: its name.
    pub quantity: &'static str,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: String,
}

/// Reads CSV files row by row, one after the other.
pub struct CsvReader {
    file: OpenFile,
    /// The files that are still to be read.
    next: VecDeque<PathBuf>,
    mapping: Option<Mapping>,
    quantities: Vec<Quantity>,
    site: Option<Site>,
    unreadable: Vec<UnreadableValues>,
    /// How many bytes the files have, and those that are read to the end.
    len: u64,
    done: u64,
    /// Of each file that has been begun, what it covers.
    spans: Vec<Span>,
}

/// What a file covers: from when to when, and of which quantities.
struct Span {
    path: PathBuf,
    times: Option<(Timestamp, Timestamp)>,
    quantities: Vec<Quantity>,
}

impl Span {
    fn new(file: &OpenFile) -> Span {
        Span { path: file.path.clone(), times: None, quantities: file.table.quantities() }
    }

    fn add(&mut self, time: Timestamp) {
        let (first, last) = self.times.get_or_insert((time, time));
        (*first, *last) = ((*first).min(time), (*last).max(time));
    }

    /// What both cover, where they have a quantity in common.
    fn overlap(&self, other: &Span) -> Option<Overlap> {
        let (one, two) = (self.times?, other.times?);
        let (from, to) = (one.0.max(two.0), one.1.min(two.1));
        let is_common = self.quantities.iter().any(|quantity| other.quantities.contains(quantity));
        let name = |path: &Path| {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        // Files that follow each other may share the moment at which they meet.
        (from < to && is_common).then(|| Overlap { files: (name(&self.path), name(&other.path)), from, to })
    }
}

/// One file that is being read.
struct OpenFile {
    path: PathBuf,
    lines: Lines<Box<dyn std::io::BufRead + Send>>,
    fields: Fields,
    delimiter: Delimiter,
    header: Vec<String>,
    table: Table,
    mapping: Mapping,
    /// Columns that the mapping does not read, with their different texts while those are few.
    others: Vec<OtherColumn>,
    position: Arc<AtomicU64>,
    len: u64,
}

/// A column that no one reads: where it says who measured, there may be several stations in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherColumn {
    pub(crate) index: usize,
    /// Its name.
    pub name: String,
    /// Its different texts, while they are few.
    pub texts: BTreeSet<String>,
}

/// A column with more different texts than this says nothing of stations.
const MOST_STATIONS: usize = 50;

impl OpenFile {
    fn open(path: &Path, mapping: Option<&Mapping>, is_part: bool) -> Result<OpenFile, CsvError> {
        let failed = |source| CsvError::File { path: path.to_owned(), source };
        let source = source::open(path).map_err(failed)?;
        let layout = layout::look(path, &source.head, mapping, is_part)?;
        let mut lines = Lines::new(source.text);
        while lines.number() < layout.lines && lines.next_line().map_err(failed)?.is_some() {}
        let found = || list(&layout.header);
        let bound = layout.mapping.bind(&layout.header, &layout.rows, layout.zone.clone());
        let table = bound.map_err(|error| match error {
            BindError::MissingColumn(column) => {
                CsvError::MissingColumn { path: path.to_owned(), column, found: found() }
            }
            BindError::RepeatedColumn(column) => CsvError::RepeatedColumn { path: path.to_owned(), column },
            BindError::Time(message) => CsvError::Times { path: path.to_owned(), message },
            error @ (BindError::NoColumns | BindError::NoTime) => {
                CsvError::Mapping { path: path.to_owned(), message: format!("{error}; found {}", found()) }
            }
        })?;
        let read = table.columns();
        let other = |(index, name): (usize, &String)| OtherColumn {
            index,
            name: name.clone(),
            texts: BTreeSet::new(),
        };
        let others = layout.header.iter().enumerate().filter(|(index, _)| !read.contains(index)).map(other);
        Ok(OpenFile {
            path: path.to_owned(),
            lines,
            fields: Fields::new(layout.delimiter),
            delimiter: layout.delimiter,
            others: others.collect(),
            header: layout.header,
            table,
            mapping: layout.mapping,
            position: source.position,
            len: source.len,
        })
    }

    /// The row that stands in the fields; `None` where the mapping wants nothing of it.
    fn row(&mut self, unreadable: &mut Vec<UnreadableValues>) -> Result<Option<Row>, String> {
        let width = self.header.len();
        let found = self.fields.iter().count();
        // Cells that are too many and empty are delimiters at the end of the line.
        let is_wider = found > width && self.fields.iter().skip(width).any(|cell| !cell.is_empty());
        if is_wider && self.delimiter != Delimiter::Blank {
            let hint = if found >= 2 * width - 1 { "; decimal commas?" } else { "" };
            return Err(format!("{found} cells where the header has {width}{hint}"));
        }
        let fields = &self.fields;
        let cell = |index: usize| -> Option<&str> {
            Some(std::str::from_utf8(fields.get(index)?).unwrap_or("\u{fffd}"))
        };
        let row = match self.table.row(&cell) {
            Ok(None) => return Ok(None),
            Ok(Some(row)) => row,
            // Where files were put one behind the other, the header comes again.
            Err(_) if self.fields.iter().map(source::decode).eq(self.header.iter().cloned()) => {
                return Ok(None);
            }
            Err(error) => {
                let message = error.to_string();
                // In quotes, a comma may also group thousands: only where no comma is between cells it is taken.
                let is_comma = message.contains("not a number") && message.contains(',');
                return Err(if is_comma { format!("{message}: decimal comma?") } else { message });
            }
        };
        for (quantity, text) in row.unreadable {
            match unreadable.iter_mut().find(|known| known.quantity == quantity) {
                Some(known) => known.count += 1,
                None => unreadable.push(UnreadableValues { quantity, count: 1, first: text }),
            }
        }
        for other in &mut self.others {
            if other.texts.len() <= MOST_STATIONS
                && let Some(text) =
                    self.fields.get(other.index).and_then(|text| std::str::from_utf8(text).ok())
                && !text.is_empty()
                && !other.texts.contains(text)
            {
                other.texts.insert(text.to_owned());
            }
        }
        Ok(Some((row.time, row.values)))
    }
}

impl CsvReader {
    /// Opens a file, all files of a folder, or those that a pattern fits; without a mapping, the header must be that of a
    /// preset.
    ///
    /// # Errors
    /// [`CsvError`] when a file cannot be read or lacks the columns.
    pub fn open(path: &Path, mapping: Option<&CsvMapping>) -> Result<CsvReader, CsvError> {
        CsvReader::open_all(&files(path)?, mapping)
    }

    /// Opens files of one station, that are read one after the other.
    ///
    /// # Errors
    /// [`CsvError`] when one cannot be read or lacks the columns, or none has the temperature.
    pub fn open_all(paths: &[PathBuf], mapping: Option<&CsvMapping>) -> Result<CsvReader, CsvError> {
        let mapping = mapping.map(|mapping| mapping.mapping().clone());
        let is_part = paths.len() > 1;
        let open = |path: &PathBuf| OpenFile::open(path, mapping.as_ref(), is_part);
        let first = paths.first().ok_or_else(|| CsvError::EmptyFolder(PathBuf::new()))?;
        let file = open(first)?;
        let (mut quantities, mut site, mut len) = (file.table.quantities(), file.mapping.site(), file.len);
        for path in &paths[1..] {
            let other = open(path)?;
            quantities.extend(other.table.quantities());
            site = site.or(other.mapping.site());
            len += other.len;
        }
        quantities.sort_unstable();
        quantities.dedup();
        if !quantities.contains(&Quantity::AirTemperature) {
            let column = file.mapping.temperature_column().unwrap_or_default();
            return Err(CsvError::MissingColumn { path: first.clone(), column, found: list(&file.header) });
        }
        let next = paths[1..].iter().cloned().collect();
        let spans = vec![Span::new(&file)];
        Ok(CsvReader { file, next, mapping, quantities, site, unreadable: Vec::new(), len, done: 0, spans })
    }

    /// The quantities that the files have columns for.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> + '_ {
        self.quantities.iter().copied()
    }

    /// Where the station stands, if the mapping says so or the header is that of a station whose place is known.
    pub fn site(&self) -> Option<Site> {
        self.site
    }

    /// The name of the preset by which the file is read, if it is one.
    pub fn preset(&self) -> Option<&str> {
        self.file.mapping.name()
    }

    /// Texts that were no values, in the rows read so far.
    pub fn unreadable(&self) -> &[UnreadableValues] {
        &self.unreadable
    }

    /// The mapping of the file that is read.
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.file.mapping
    }

    /// Columns of the file that nobody reads, with their texts where those are few and several.
    pub(crate) fn other_columns(&self) -> impl Iterator<Item = &OtherColumn> {
        self.file.others.iter().filter(|other| (2..=MOST_STATIONS).contains(&other.texts.len()))
    }

    /// Which of the files that were read cover the same time.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let mut spans: Vec<&Span> = self.spans.iter().filter(|span| span.times.is_some()).collect();
        spans.sort_by_key(|span| span.times);
        spans.windows(2).filter_map(|pair| pair[0].overlap(pair[1])).collect()
    }

    /// How much of the files has been read, from 0 to 1.
    pub fn progress(&self) -> f64 {
        let read = self.done + self.file.position.load(Ordering::Relaxed);
        (read as f64 / self.len.max(1) as f64).min(1.0)
    }
}

impl Iterator for CsvReader {
    type Item = Result<Row, CsvError>;

    fn next(&mut self) -> Option<Result<Row, CsvError>> {
        loop {
            let file = &mut self.file;
            let split = match file.lines.next_line() {
                Ok(None) => {
                    let next = self.next.pop_front()?;
                    self.done += self.file.len;
                    match OpenFile::open(&next, self.mapping.as_ref(), true) {
                        Ok(file) => {
                            self.spans.push(Span::new(&file));
                            self.file = file;
                        }
                        Err(error) => return Some(Err(error)),
                    }
                    continue;
                }
                Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => continue,
                // A comment among the rows.
                Ok(Some(Line::Whole(line))) if line.trim_ascii_start().starts_with(b"#") => continue,
                Ok(Some(Line::Whole(line))) => file.fields.split(line),
                Ok(Some(Line::TooLong)) => Err(format!("more than {MAX_LINE} bytes in a line")),
                Err(error) => {
                    // A disk that fails would fail for ever: end after this error.
                    file.lines = Lines::new(Box::new(std::io::empty()));
                    self.next.clear();
                    return Some(Err(CsvError::File { path: file.path.clone(), source: error }));
                }
            };
            // A row of delimiters alone is one of spreadsheets.
            if split.is_ok() && file.fields.iter().all(<[u8]>::is_empty) {
                continue;
            }
            let row = split.and_then(|()| file.row(&mut self.unreadable));
            let line = file.lines.number();
            match row {
                Ok(None) => {}
                Ok(Some(row)) => {
                    if let Some(span) = self.spans.last_mut() {
                        span.add(row.0);
                    }
                    return Some(Ok(row));
                }
                Err(message) => return Some(Err(CsvError::Row { path: file.path.clone(), line, message })),
            }
        }
    }
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
    fn a_broken_row_is_named_by_its_line_and_a_broken_value_costs_itself() {
        let text = "Date Time,T (degC),rh (%)\n\
                    01.01.2009 00:10:00,1,50\n\
                    01.01.2009 00:20:00,warm,50\n\
                    32.01.2009 00:30:00,1,50\n\
                    01.01.2009 00:40:00,1\n\
                    01.01.2009 00:50:00,warm,\n\
                    01.01.2009 01:00:00,,50\n";
        let rows = read(text, None).unwrap();
        assert!(rows[0].is_ok());
        let temperature = |row: usize| rows[row].clone().unwrap().1.get(Quantity::AirTemperature);
        let humidity = |row: usize| rows[row].clone().unwrap().1.get(Quantity::RelativeHumidity);
        assert_eq!((temperature(1), humidity(1)), (None, Some(50.0)));
        for (row, line, fault) in
            [(2, 4, "32.01.2009"), (3, 5, "row ends"), (4, 6, "air_temperature is \"warm\", not a number")]
        {
            let error = rows[row].clone().unwrap_err();
            assert!(error.contains(&format!("record.csv:{line}: ")) && error.contains(fault), "{error}");
        }
        assert_eq!((temperature(5), humidity(5)), (None, Some(50.0)));
    }

    #[test]
    fn texts_that_are_no_values_are_counted_with_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        let text = "Date Time,T (degC),rh (%)\n01.01.2009 00:10:00,1,wet\n01.01.2009 00:20:00,2,dry\n";
        std::fs::write(&path, text).unwrap();
        let mut reader = CsvReader::open(&path, None).unwrap();
        assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 2);
        let expected = UnreadableValues { quantity: "relative_humidity", count: 2, first: "wet".to_owned() };
        assert_eq!(reader.unreadable(), [expected]);
        assert!((reader.progress() - 1.0).abs() < 1e-9);
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
        let text = "Date Time,p (mbar),T (degC)\n01.01.2009 00:10:00,996.52,-8.02\n";
        let mapping = |pressure: &str| {
            let time = "time = { column = \"Date Time\", format = \"%d.%m.%Y %H:%M:%S\" }";
            let columns = format!(
                "\"T (degC)\".quantity = \"air_temperature\"\n\"{pressure}\".quantity = \"air_pressure\""
            );
            CsvMapping::parse(&format!("{time}\n[columns]\n{columns}\n")).unwrap()
        };
        assert_eq!(read(text, Some(&mapping("p (mbar)"))).unwrap().len(), 1);
        let error = read(text, Some(&mapping("pressure"))).unwrap_err();
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
