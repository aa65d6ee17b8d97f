//! Hourly records of many stations: folders of `stations.csv` and `hourly.bin.xz`, and single records beside them.
//!
//! `stations.csv` has a row a station: `id, name, country, group, latitude_deg, longitude_deg, elevation_m, first_unix_s,
//! rows, tmy, step_h, pressure, licence, source`. `hourly.bin.xz` has for each station in that order six columns, each of
//! `rows` little-endian 16-bit integers: air temperature (0.1 °C), pressure (0.1 hPa), relative humidity (1 %), dew point
//! (0.1 °C), wind speed (0.1 m/s), wind from direction (1°). A column holds differences to the value before, wrapping; −32768
//! is missing. The time of row `k` is `first_unix_s + 3600 k`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use forecastd_core::{Grid, History, Quantity, Screening, Site, SiteError, Slot, Values, intake};
use forecastd_record::{
    CsvError, CsvMapping, CsvReader, DEFAULT_SPLIT, Part, Record, RecordError, RecordSource, sha256_of,
};

use super::window::LIVE_STEP_S;

/// What a station's history keeps.
pub(super) const QUANTITIES: [Quantity; 5] = [
    Quantity::AirTemperature,
    Quantity::AirPressure,
    Quantity::DewPointTemperature,
    Quantity::WindSpeed,
    Quantity::WindFromDirection,
];
/// Seconds between two rows of a folder.
const STEP_S: u32 = 3600;
/// The columns of a pool: quantity, and what a unit of the file is in the quantity's own.
const COLUMNS: [(Quantity, f32); 6] = [
    (Quantity::AirTemperature, 0.1),
    (Quantity::AirPressure, 0.1),
    (Quantity::RelativeHumidity, 1.0),
    (Quantity::DewPointTemperature, 0.1),
    (Quantity::WindSpeed, 0.1),
    (Quantity::WindFromDirection, 1.0),
];
const MISSING: i16 = i16::MIN;
/// A typical year is of months of different years; where two meet, so many hours are missing. What lies before such a hole
/// is not what happened before what lies after it.
const SPLICE_H: i64 = 12;
/// Two centuries of hours: more are an error of the list.
const MAX_ROWS: usize = 24 * 366 * 200;

/// The list of a folder's stations, and their numbers.
const FILES: [&str; 2] = ["stations.csv", "hourly.bin.xz"];

/// What a user names as part of a pool.
enum Source<'a> {
    /// A folder of many stations.
    Folder(&'a Path),
    /// The record of one, and how it is to be understood.
    Record(&'a Path, Option<&'a Path>),
}

impl Source<'_> {
    fn parse(text: &str) -> Source<'_> {
        let path = Path::new(text);
        match text.split_once('=') {
            _ if path.is_dir() => Source::Folder(path),
            Some((file, mapping)) => Source::Record(Path::new(file), Some(Path::new(mapping))),
            None => Source::Record(path, None),
        }
    }
}

/// The files that are read of what a user names as part of a pool.
pub(crate) fn pool_files(source: &str) -> Vec<PathBuf> {
    match Source::parse(source) {
        Source::Folder(folder) => FILES.map(|name| folder.join(name)).to_vec(),
        Source::Record(file, mapping) => std::iter::once(file).chain(mapping).map(Path::to_owned).collect(),
    }
}

/// Why a pool cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A file cannot be read.
    #[error("{path}", path = .path.display())]
    File {
        /// The file that cannot be read.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The list of stations cannot be understood.
    #[error("{path}", path = .path.display())]
    Stations {
        /// The list of stations.
        path: PathBuf,
        /// What the reader of CSV says.
        source: csv::Error,
    },
    /// A station stands nowhere.
    #[error("station {id}")]
    Site {
        /// The id of the station.
        id: String,
        /// What is wrong with its position.
        source: SiteError,
    },
    /// There are fewer numbers than the list says.
    #[error("{path}: ends within station {id}", path = .path.display())]
    Short {
        /// The file of numbers.
        path: PathBuf,
        /// The id of the station within which it ends.
        id: String,
    },
    /// There are more numbers than the list says: it is of another file, and who knows whose numbers they are.
    #[error("{path}: goes on after the last station of {list}, which is of another file", path = .path.display(), list = .list.display())]
    Long {
        /// The file of numbers.
        path: PathBuf,
        /// The list of stations beside it.
        list: PathBuf,
    },
    /// A line of the list cannot be true.
    #[error("{path}: station {id}: {message}", path = .path.display())]
    Line {
        /// The list of stations.
        path: PathBuf,
        /// The id of the station on the line.
        id: String,
        /// What cannot be.
        message: String,
    },
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record or its mapping cannot be read.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// It is not known where the station of a record stands.
    #[error("{path}: nothing says where the station stands: give a mapping with the site, as FILE=MAPPING", path = .path.display())]
    NoSite {
        /// The file of the record.
        path: PathBuf,
    },
}

/// A stretch of a station's history that no splice runs through.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    /// What was measured.
    pub(crate) history: History,
    /// The slots that a window may end at: temperature was measured.
    pub(crate) origins: Vec<Slot>,
}

/// A station of the pool: where it stands, and its history.
#[derive(Debug, Clone)]
pub(crate) struct PoolStation {
    /// The id that manifests and messages name it by.
    pub(crate) id: String,
    /// The name, for people.
    pub(crate) name: String,
    /// The group of records that it belongs to.
    pub(crate) group: String,
    /// Where it stands.
    pub(crate) site: Site,
    /// Hours between two observations: what lies between them was interpolated by those who made the file.
    pub(crate) step_h: i64,
    /// Whether it is a record that a user names, and not one of a folder.
    pub(crate) is_named: bool,
    /// The history, in stretches that no splice runs through.
    pub(crate) segments: Vec<Segment>,
}

/// What a station is not trained on: a stretch of time near a place that is evaluated on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Embargo {
    /// The middle of the area.
    pub(crate) site: Site,
    /// How near, km.
    pub(crate) within_km: f64,
    /// From when, seconds since the epoch.
    pub(crate) from_s: i64,
    /// Until when, seconds since the epoch.
    pub(crate) until_s: i64,
}

/// A record among the pool that somebody may want to evaluate the model on.
#[derive(Debug, Clone)]
pub(crate) struct NamedRecord {
    /// Name of the file.
    pub(crate) file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Where the station stands.
    pub(crate) site: Site,
    /// The first reading that may train.
    pub(crate) first: Timestamp,
    /// The last reading that may train.
    pub(crate) last: Timestamp,
}

/// The stations that a model for any place is trained, chosen and evaluated on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    /// The stations, in the order in which they were read.
    pub(crate) stations: Vec<PoolStation>,
    /// Records named by the user.
    pub(crate) records: Vec<NamedRecord>,
    /// Names and hashes of all files.
    pub(crate) files: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    name: String,
    group: String,
    latitude_deg: f64,
    longitude_deg: f64,
    elevation_m: Option<f64>,
    first_unix_s: i64,
    rows: usize,
    tmy: u8,
    step_h: i64,
}

impl Row {
    /// Refuses what no station can have.
    fn check(&self) -> Result<(), String> {
        if !(1..=24).contains(&self.step_h) {
            return Err(format!("step_h {} is not within 1 to 24", self.step_h));
        }
        if self.rows > MAX_ROWS {
            return Err(format!("{} rows, at most {MAX_ROWS} are read", self.rows));
        }
        let last_s = self.first_unix_s.checked_add(self.rows as i64 * i64::from(STEP_S));
        let is_time = |second| Timestamp::from_second(second).is_ok();
        match last_s.is_some_and(is_time) && is_time(self.first_unix_s) {
            true => Ok(()),
            false => Err(format!("first_unix_s {} is no time", self.first_unix_s)),
        }
    }
}

impl Pool {
    /// Reads folders of many stations, and files of single ones (`FILE` or `FILE=MAPPING`), of which the training part alone.
    ///
    /// # Errors
    /// [`PoolError`], the first met.
    pub(crate) fn read(sources: &[String], embargoes: &[Embargo]) -> Result<Pool, PoolError> {
        let mut pool = Pool::default();
        for source in sources {
            match Source::parse(source) {
                Source::Folder(folder) => pool.add_folder(folder, embargoes)?,
                Source::Record(file, mapping) => pool.add_record(file, mapping)?,
            }
        }
        Ok(pool)
    }

    fn add_folder(&mut self, folder: &Path, embargoes: &[Embargo]) -> Result<(), PoolError> {
        let [list, numbers] = FILES.map(|name| folder.join(name));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PoolError::File { path, source }
        };
        let file = File::open(&numbers).map_err(failed(&numbers))?;
        let mut decoder = liblzma::read::XzDecoder::new(BufReader::new(file));
        let stations = |source| PoolError::Stations { path: list.clone(), source };
        let mut reader = csv::Reader::from_path(&list).map_err(stations)?;
        for row in reader.deserialize() {
            let row: Row = row.map_err(stations)?;
            if let Err(message) = row.check() {
                return Err(PoolError::Line { path: list, id: row.id, message });
            }
            let mut columns = Vec::with_capacity(COLUMNS.len());
            for _ in COLUMNS {
                let column = read_column(&mut decoder, row.rows);
                columns.push(column.map_err(|source| match source.kind() {
                    std::io::ErrorKind::UnexpectedEof => {
                        PoolError::Short { path: numbers.clone(), id: row.id.clone() }
                    }
                    _ => PoolError::File { path: numbers.clone(), source },
                })?);
            }
            self.stations.push(station(row, &columns, embargoes)?);
        }
        if decoder.read(&mut [0]).map_err(failed(&numbers))? > 0 {
            return Err(PoolError::Long { path: numbers, list });
        }
        for path in [&list, &numbers] {
            let name = format!(
                "{}/{}",
                folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default(),
                path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()
            );
            self.files.push((name, sha256_of(path).map_err(failed(path))?));
        }
        Ok(())
    }

    fn add_record(&mut self, file: &Path, mapping: Option<&Path>) -> Result<(), PoolError> {
        if let Some(path) = mapping {
            // Another mapping makes other windows of the same file.
            let failed = |source| PoolError::File { path: path.to_owned(), source };
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.files.push((name, sha256_of(path).map_err(failed)?));
        }
        let mapping = mapping.map(CsvMapping::read).transpose()?;
        let reader = CsvReader::open(file, mapping.as_ref())?;
        let measured = reader.quantities();
        let mut known = Values::NONE;
        for quantity in measured {
            known.set(quantity, if quantity == Quantity::AirTemperature { 10.0 } else { 50.0 });
        }
        let keeps_humidity = known.get(Quantity::RelativeHumidity).is_some();
        let keep = |quantity: &Quantity| {
            known.get(*quantity).is_some() || (*quantity == Quantity::DewPointTemperature && keeps_humidity)
        };
        let quantities: Vec<Quantity> = QUANTITIES.into_iter().filter(keep).collect();
        let source = RecordSource::new(file, mapping);
        // Its readings may be of any minute, and the sun is that of the minute.
        let grid = Grid::new(LIVE_STEP_S).expect("ten minutes are a step of a grid");
        let record = Record::read(&source, grid, &quantities)?;
        let site = record.site().ok_or_else(|| PoolError::NoSite { path: file.to_owned() })?;
        // Chosen by the validation part as other networks are, it may not learn from that either.
        let slots = record.part(DEFAULT_SPLIT, Part::Train);
        let rows = record.rows_within(&slots);
        let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let mut history = History::new(grid, &QUANTITIES, (last - first + 1) as usize);
        for slot in first..=last {
            let mut values = Values::NONE;
            for &quantity in &quantities {
                values.set(quantity, record.history().value(slot, quantity));
            }
            if !values.is_empty() {
                history.insert(grid.time(slot), &values);
            }
        }
        let facts = record.facts();
        self.files.push((facts.file.clone(), facts.sha256.clone()));
        self.records.push(NamedRecord {
            file: facts.file.clone(),
            sha256: facts.sha256.clone(),
            site,
            first: grid.time(first),
            last: grid.time(last),
        });
        self.stations.push(PoolStation {
            id: facts.file.clone(),
            name: facts.file.clone(),
            group: "record".to_owned(),
            site,
            step_h: 1,
            is_named: true,
            segments: vec![Segment { history, origins: rows.to_vec() }],
        });
        Ok(())
    }

    /// One hash for all files.
    pub(crate) fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        self.files.iter().for_each(|(_, hash)| hasher.update(hash.as_bytes()));
        hex::encode(hasher.finalize())
    }

    /// The first and the last time of all.
    pub(crate) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let segments = || self.stations.iter().flat_map(|station| &station.segments);
        let time =
            |segment: &Segment, slot: Option<&Slot>| slot.map(|&slot| segment.history.grid().time(slot));
        let first = segments().filter_map(|segment| time(segment, segment.origins.first())).min()?;
        let last = segments().filter_map(|segment| time(segment, segment.origins.last())).max()?;
        Some((first, last))
    }
}

impl PoolStation {
    /// How many windows may end here.
    pub(crate) fn origins(&self) -> usize {
        self.segments.iter().map(|segment| segment.origins.len()).sum()
    }
}

/// The grid of a folder's stations.
pub(super) fn hourly() -> Grid {
    Grid::new(STEP_S).expect("an hour is a step of a grid")
}

fn read_column(reader: &mut impl Read, rows: usize) -> std::io::Result<Vec<i16>> {
    let mut bytes = vec![0; rows * 2];
    reader.read_exact(&mut bytes)?;
    let mut value = 0_i16;
    let (pairs, _) = bytes.as_chunks::<2>();
    Ok(pairs
        .iter()
        .map(|&pair| {
            value = value.wrapping_add(i16::from_le_bytes(pair));
            value
        })
        .collect())
}

fn station(row: Row, columns: &[Vec<i16>], embargoes: &[Embargo]) -> Result<PoolStation, PoolError> {
    let site = Site { elevation_m: row.elevation_m, ..Site::new(row.latitude_deg, row.longitude_deg) };
    site.validate().map_err(|source| PoolError::Site { id: row.id.clone(), source })?;
    let near: Vec<&Embargo> =
        embargoes.iter().filter(|embargo| embargo.site.distance_km(&site) <= embargo.within_km).collect();
    let is_embargoed =
        |second: i64| near.iter().any(|embargo| (embargo.from_s..embargo.until_s).contains(&second));
    // What is believed of it, as of a live station.
    let mut screening = Screening::default();
    let mut readings: Vec<(Timestamp, Values)> = Vec::with_capacity(row.rows);
    for index in 0..row.rows {
        let second = row.first_unix_s + index as i64 * i64::from(STEP_S);
        let mut values = Values::NONE;
        for ((quantity, unit), column) in COLUMNS.iter().zip(columns) {
            if column[index] != MISSING {
                values.set(*quantity, f32::from(column[index]) * unit);
            }
        }
        let Ok(time) = Timestamp::from_second(second) else { continue };
        if !values.is_empty() && !is_embargoed(second) {
            readings.push((time, intake::take(&mut screening, time, values).derived));
        }
    }
    let is_spliced = row.tmy != 0;
    let mut segments = Vec::new();
    let mut begin = 0;
    for index in 0..=readings.len() {
        let is_end = index == readings.len();
        let is_splice = !is_end && is_spliced && index > begin && {
            let hole = readings[index].0.as_second() - readings[index - 1].0.as_second();
            hole > SPLICE_H * i64::from(STEP_S)
        };
        if is_end || is_splice {
            segments.extend(segment(&readings[begin..index], row.step_h));
            begin = index;
        }
    }
    Ok(PoolStation {
        id: row.id,
        name: row.name,
        group: row.group,
        site,
        step_h: row.step_h,
        is_named: false,
        segments,
    })
}

fn segment(readings: &[(Timestamp, Values)], step_h: i64) -> Option<Segment> {
    let grid = hourly();
    let (first, last) = (grid.slot(readings.first()?.0), grid.slot(readings.last()?.0));
    let mut history = History::new(grid, &QUANTITIES, (last - first + 1) as usize);
    for (time, values) in readings {
        history.insert(*time, values);
    }
    let origins = (first..=last)
        .filter(|slot| slot % step_h == 0 && !history.value(*slot, Quantity::AirTemperature).is_nan())
        .collect();
    Some(Segment { history, origins })
}

#[cfg(test)]
mod tests;
