//! A station's history as CSV: the Jena climate format, forecastd's own, that of a preset, or any other by a
//! [mapping](super::mapping); in one file or several, compressed by gzip or not.
//!
//! A row is a line. One that cannot be read is an error of its own with its line; the rows after it are still read.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use forecastd_core::{Quantity, Site, Values};
use forecastd_mapping::{BindError, Mapping, Table};

use super::error::{CsvError, MappingFault};
use super::fields::{Delimiter, Fields};
use super::layout::{self, list};
use super::lines::{Line, Lines, MAX_LINE};
use super::mapping::CsvMapping;
use super::source;
use crate::files::{RecordSource, files};
use crate::quality::Overlap;

/// What one row says: when, and what was measured.
pub type Row = (Timestamp, Values);

/// Texts of one quantity that are no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableValues {
    /// Of which quantity: its name.
    pub quantity: &'static str,
    /// The number of such texts.
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
    elevation: Elevation,
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

/// The station's height, as it is known beside what the mapping says, metres above sea level.
#[derive(Debug, Clone, Copy, Default)]
struct Elevation {
    /// It goes before the mapping's.
    given_m: Option<f64>,
    /// It counts where the mapping says none.
    default_m: Option<f64>,
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
    /// The column's name in the header.
    pub name: String,
    /// Its different texts, while they are few.
    pub texts: BTreeSet<String>,
}

/// A column with more different texts than this says nothing of stations.
const MOST_STATIONS: usize = 50;

impl OpenFile {
    fn open(
        path: &Path,
        mapping: Option<&Mapping>,
        elevation: Elevation,
        is_part: bool,
    ) -> Result<OpenFile, CsvError> {
        let failed = |source| CsvError::File { path: path.to_owned(), source };
        let source = source::open(path).map_err(failed)?;
        let mut layout = layout::look(path, &source.head, mapping, is_part)?;
        layout.mapping = layout.mapping.with_elevation(elevation.given_m).at_elevation(elevation.default_m);
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
            fault @ (BindError::NoColumns | BindError::NoTime) => {
                let source = MappingFault::Columns { fault, found: found() };
                CsvError::Mapping { path: path.to_owned(), source }
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
        CsvReader::open_files(paths, mapping, Elevation::default())
    }

    /// Opens the files of a record. The station stands where the source gives its site, at that elevation; `elevation_m` is its
    /// height, where neither the source nor its mapping says.
    ///
    /// # Errors
    /// As those of [`CsvReader::open_all`].
    pub fn open_source(source: &RecordSource, elevation_m: Option<f64>) -> Result<CsvReader, CsvError> {
        let given_m = source.site.and_then(|site| site.elevation_m);
        let elevation = Elevation { given_m, default_m: elevation_m };
        let mut reader = CsvReader::open_files(&source.files()?, source.mapping.as_ref(), elevation)?;
        reader.site = source.site.or(reader.site);
        Ok(reader)
    }

    fn open_files(
        paths: &[PathBuf],
        mapping: Option<&CsvMapping>,
        elevation: Elevation,
    ) -> Result<CsvReader, CsvError> {
        let mapping = mapping.map(|mapping| mapping.mapping().clone());
        let is_part = paths.len() > 1;
        let open = |path: &PathBuf| OpenFile::open(path, mapping.as_ref(), elevation, is_part);
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
        let unreadable = Vec::new();
        Ok(CsvReader { file, next, mapping, elevation, quantities, site, unreadable, len, done: 0, spans })
    }

    /// The quantities that the files have columns for.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> + '_ {
        self.quantities.iter().copied()
    }

    /// Where the station stands, if that is given, the mapping says so or the header is that of a station whose place is known.
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
        let mut spans: Vec<(usize, &Span)> =
            self.spans.iter().enumerate().filter(|(_, span)| span.times.is_some()).collect();
        spans.sort_by_key(|(_, span)| span.times);
        // Each with the one of those that begin before it that goes on longest, which need not be the one before it.
        let overlap = |index: usize| {
            let (position, span) = spans[index];
            let before = spans[..index].iter().filter_map(|&(other_position, other)| {
                let (one, other) = if other_position < position { (other, span) } else { (span, other) };
                one.overlap(other)
            });
            before.max_by_key(|overlap| overlap.to)
        };
        (0..spans.len()).filter_map(overlap).collect()
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
                    match OpenFile::open(&next, self.mapping.as_ref(), self.elevation, true) {
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
