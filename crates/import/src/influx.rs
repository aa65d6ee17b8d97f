//! Points of InfluxDB as readings: a field, by its name or by `measurement.field`, is a column of the mapping; tags and the
//! measurement are columns that `where` may ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use forecastd_core::{Grid, Quantity};
use forecastd_mapping::{Column, Description, Mapping, OneOrMany, Table, TimeRule};
use forecastd_record::{About, QualityReport, Readings, RecordSource, UnreadableValues};

use crate::line_protocol::{Point, parse};
use crate::partials::Partials;
use crate::{History, ImportError, ImportProgress};

/// The column of the time.
const TIME: &str = "time";
/// The column of the measurement's name.
const MEASUREMENT: &str = "measurement";
/// Points between two looks at the progress.
const LOOK_EVERY: u64 = 10_000;
/// Lines longer than this are no points.
const MAX_LINE: u64 = 1 << 20;
/// Fields that are named in a message, at most.
const MOST_NAMED: usize = 12;

/// Reads files of points.
pub(crate) fn read(
    paths: &[PathBuf],
    description: &Description,
    grid: Grid,
    elevation_m: Option<f64>,
    progress: &mut dyn ImportProgress,
) -> Result<History, ImportError> {
    let files = RecordSource { paths: paths.to_vec(), ..RecordSource::default() }.files()?;
    let mut description = description.clone();
    description.elevation_m = description.elevation_m.or(elevation_m);
    let has_column = |rule: &TimeRule| rule.column.is_some();
    if !description.time.as_ref().is_some_and(|time| time.as_slice().iter().any(has_column)) {
        // Nanoseconds, or whatever the size of the number says.
        description.time = Some(OneOrMany::One(TimeRule {
            column: Some(OneOrMany::One(Column::Name(TIME.to_owned()))),
            format: Some(OneOrMany::One("epoch".to_owned())),
            ..TimeRule::default()
        }));
    }
    let mapping = Mapping::new(&description)?;
    if !mapping.quantities().contains(&Quantity::AirTemperature) {
        return Err(ImportError::NoTemperature { among: "field" });
    }
    let header = header(&description);
    let table = mapping.bind(&header, &[], None).map_err(ImportError::Fields)?;
    let asked = asked(&description);
    let mut points = Points { header, asked, table, found: Found::default() };
    let all: u64 =
        files.iter().map(|file| std::fs::metadata(file).map_or(0, |metadata| metadata.len())).sum();
    let mut done = 0;
    for path in &files {
        points.read(path, &mut |read| progress.reading((done + read) as f64 / all.max(1) as f64))?;
        done += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    }
    let first = files.first().map_or(Path::new(""), PathBuf::as_path);
    let is_sure = |what: &str| mapping.is_sure_of(what);
    let Found { partials, points, empty, broken, first_broken, unreadable, series, fields } = points.found;
    if !is_sure("station") {
        check_series(first, &series)?;
    }
    if partials.len() == 0 {
        let found = fields.into_iter().take(MOST_NAMED).collect();
        return Err(ImportError::NoField { path: first.to_owned(), points, found });
    }
    let rows = partials.merge(grid, mapping.elevation_m());
    let about = About {
        path: first,
        site: mapping.site(),
        elevation_m: mapping.elevation_m(),
        others: &[],
        is_sure: &is_sure,
    };
    let mut readings = Readings::validated(rows, &about)?;
    readings.station = mapping.station().map(str::to_owned);
    readings.quality = QualityReport { broken, first_broken, unreadable, ..readings.quality };
    Ok(History { readings, rows: points, empty })
}

/// Every name that a description asks for: of fields, tags, the measurement and the time.
fn header(description: &Description) -> Vec<String> {
    let mut names = BTreeSet::from([MEASUREMENT.to_owned()]);
    let times = description.time.as_ref().map_or(&[][..], OneOrMany::as_slice);
    let of_times = times.iter().filter_map(|time| time.column.as_ref()).flat_map(OneOrMany::as_slice);
    let columns = of_times.chain(description.values.iter().filter_map(|value| value.column.as_ref()));
    names.extend(columns.filter_map(|column| match column {
        Column::Name(name) => Some(name.clone()),
        Column::Position(_) => None,
    }));
    names.extend(description.columns.keys().cloned());
    names.extend(asked(description));
    names.into_iter().collect()
}

/// The names that conditions ask for.
fn asked(description: &Description) -> BTreeSet<String> {
    let rules = description.values.iter().chain(description.columns.values());
    let conditions = rules.map(|rule| &rule.only).chain([&description.only]);
    conditions.flat_map(|only| only.keys().cloned()).collect()
}

struct Points {
    header: Vec<String>,
    asked: BTreeSet<String>,
    table: Table,
    found: Found,
}

#[derive(Default)]
struct Found {
    partials: Partials,
    points: u64,
    empty: u64,
    broken: u64,
    first_broken: Option<String>,
    unreadable: Vec<UnreadableValues>,
    /// By quantity and tag that nobody asks for, its texts.
    series: BTreeMap<(Quantity, String), BTreeSet<String>>,
    /// Fields that are there, while nothing that is read is.
    fields: BTreeSet<String>,
}

/// Counts the bytes of a file that were read, whatever is made of them.
struct Counted<R> {
    inner: R,
    count: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

impl Points {
    fn read(&mut self, path: &Path, tell: &mut dyn FnMut(u64) -> bool) -> Result<(), ImportError> {
        let failed = |source| ImportError::File { path: path.to_owned(), source };
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "it is no regular file",
            )));
        }
        let count = std::rc::Rc::default();
        let file = Counted { inner: File::open(path).map_err(failed)?, count: std::rc::Rc::clone(&count) };
        let mut file = BufReader::new(file);
        let is_gzip = file.fill_buf().map_err(failed)?.starts_with(b"\x1f\x8b");
        let mut text: Box<dyn BufRead> =
            if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            number += 1;
            if text.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)? == 0 {
                return Ok(());
            }
            let is_whole = line.ends_with(b"\n") || line.len() < MAX_LINE as usize;
            let parsed = match is_whole {
                true => std::str::from_utf8(&line).map_err(|_| "not UTF-8".to_owned()).and_then(parse),
                false => {
                    // What follows of it is no point of its own.
                    text.skip_until(b'\n').map_err(failed)?;
                    Err(format!("more than {MAX_LINE} bytes in a line"))
                }
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(point)) => self.add(path, number, &point),
                Err(message) => {
                    self.found.points += 1;
                    self.broken(path, number, &message);
                }
            }
            if number.is_multiple_of(LOOK_EVERY) && !tell(count.get()) {
                return Err(ImportError::Interrupted);
            }
        }
    }

    fn broken(&mut self, path: &Path, number: u64, message: &str) {
        self.found.broken += 1;
        self.found.first_broken.get_or_insert_with(|| format!("{}:{number}: {message}", path.display()));
    }

    fn add(&mut self, path: &Path, number: u64, point: &Point<'_>) {
        self.found.points += 1;
        let cells: Vec<&str> = self.header.iter().map(|name| cell(point, name)).collect();
        let row = match self.table.row(&|index| cells.get(index).copied()) {
            Ok(Some(row)) => row,
            Ok(None) => {
                self.found.empty += 1;
                return self.note_fields(point);
            }
            // A point of other fields needs no time.
            Err(_) if point.time.is_none() => {
                return self.broken(path, number, "no time: the clock of the server would have counted");
            }
            Err(error) => return self.broken(path, number, &error.to_string()),
        };
        for (quantity, text) in row.unreadable {
            match self.found.unreadable.iter_mut().find(|known| known.quantity == quantity) {
                Some(known) => known.count += 1,
                None => self.found.unreadable.push(UnreadableValues { quantity, count: 1, first: text }),
            }
        }
        if row.values.is_empty() {
            self.found.empty += 1;
            return self.note_fields(point);
        }
        let second = row.time.as_second();
        for (quantity, value) in row.values.iter() {
            self.note_series(point, quantity);
            match row.reduced_pressure.filter(|_| quantity == Quantity::AirPressure) {
                Some(told) => self.found.partials.add(second, quantity, Some(told.reduction), told.hpa),
                None => self.found.partials.add(second, quantity, None, value),
            }
        }
    }

    /// Tags that nobody asks for tell series apart.
    fn note_series(&mut self, point: &Point<'_>, quantity: Quantity) {
        const MOST_TEXTS: usize = 5;
        for (tag, text) in point.tags.iter().filter(|(tag, _)| !self.asked.contains(tag.as_ref())) {
            let texts = self.found.series.entry((quantity, tag.to_string())).or_default();
            if texts.len() < MOST_TEXTS && !texts.contains(text.as_ref()) {
                texts.insert(text.to_string());
            }
        }
    }

    fn note_fields(&mut self, point: &Point<'_>) {
        if self.found.partials.len() == 0 && self.found.fields.len() < MOST_NAMED {
            let fields = point.fields.iter().map(|(field, _)| format!("{}.{field}", point.measurement));
            self.found.fields.extend(fields);
        }
    }
}

/// Whether a column's name is that of a field: its own, or with the measurement before it.
fn is_named(point: &Point<'_>, field: &str, name: &str) -> bool {
    name == field
        || name.strip_prefix(point.measurement.as_ref()).and_then(|rest| rest.strip_prefix('.'))
            == Some(field)
}

/// What a point has under a name; empty where it has nothing.
fn cell<'a>(point: &'a Point<'_>, name: &str) -> &'a str {
    if name == TIME {
        return point.time.unwrap_or_default();
    }
    if name == MEASUREMENT {
        return &point.measurement;
    }
    let of_tag = point.tags.iter().find(|(tag, _)| tag == name);
    let of_field = || point.fields.iter().find(|(field, _)| is_named(point, field, name));
    of_tag.or_else(of_field).map_or("", |(_, value)| value.as_ref())
}

fn check_series(
    path: &Path,
    series: &BTreeMap<(Quantity, String), BTreeSet<String>>,
) -> Result<(), ImportError> {
    let several = series.iter().find(|(_, texts)| texts.len() > 1);
    let Some(((quantity, tag), texts)) = several else { return Ok(()) };
    let first = texts.first().cloned().unwrap_or_default();
    let texts = texts.iter().map(|text| format!("{tag} = {text:?}")).collect();
    Err(ImportError::SeveralSeries {
        path: path.to_owned(),
        quantity: *quantity,
        tag: tag.clone(),
        first,
        texts,
    })
}
