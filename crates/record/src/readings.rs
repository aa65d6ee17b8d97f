//! The readings of a record before they are put on a time grid: sorted, of a right clock, and validated as a whole.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use forecastd_core::{Quantity, Site, Values, thermodynamics};

use crate::csv::reader::OtherColumn;
use crate::files::RecordSource;
use crate::quality::QualityReport;
use crate::validate::{Evidence, validate};
use crate::{CsvError, CsvReader, RecordError, Row, order};

/// Readings of one station, by time.
#[derive(Debug, Clone)]
pub struct Readings {
    /// The readings with their times, rising.
    pub rows: Vec<Row>,
    /// Where the station stands, where what was read says it.
    pub site: Option<Site>,
    /// The station's name, where what was read says it.
    pub station: Option<String>,
    /// What was wrong as they were read. Readings of one slot and values that cannot be are not among it yet.
    pub quality: QualityReport,
}

/// What is known of readings beside themselves, to validate them by.
pub struct About<'a> {
    /// What messages name: the file.
    pub path: &'a Path,
    /// Where the station stands, if that is known.
    pub site: Option<Site>,
    /// Its height above the sea in metres, if that is known.
    pub elevation_m: Option<f64>,
    /// Columns that nobody reads, with their texts.
    pub others: &'a [OtherColumn],
    /// Whether something that looks wrong is right.
    pub is_sure: &'a dyn Fn(&str) -> bool,
}

impl Readings {
    /// Reads files.
    ///
    /// Rows that cannot be read are left out and counted, as payloads of a live station are.
    ///
    /// # Errors
    /// [`RecordError`] when a file cannot be read, or is nothing to work with.
    pub fn read(source: &RecordSource) -> Result<Readings, RecordError> {
        Readings::read_with(source, None, &mut |_| true)
    }

    /// Reads files, and says after some rows how much of them has been read, from 0 to 1; ends early, with what was read so
    /// far, when that is answered by false. `elevation_m` is the station's height, where neither the source nor its mapping says.
    ///
    /// # Errors
    /// As those of [`Readings::read`].
    pub fn read_with(
        source: &RecordSource,
        elevation_m: Option<f64>,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Readings, RecordError> {
        const LOOK_EVERY: usize = 10_000;
        let path: PathBuf = source.label();
        let mut reader = CsvReader::open_source(source, elevation_m)?;
        let site = reader.site();
        let mut rows = Vec::new();
        let (mut broken, mut first_broken) = (0_u64, None);
        while let Some(row) = reader.next() {
            match row {
                Ok(reading) => rows.push(reading),
                // What comes after a failure of the disk is not known.
                Err(error @ CsvError::File { .. }) => return Err(error.into()),
                Err(error) => {
                    broken += 1;
                    first_broken.get_or_insert_with(|| error.to_string());
                }
            }
            if rows.len().is_multiple_of(LOOK_EVERY) && !progress(reader.progress()) {
                break;
            }
        }
        let count = rows.len() as u64 + broken;
        if rows.is_empty() {
            return Err(RecordError::NoReading { path, first_broken });
        }
        if let Some(first_broken) = first_broken.as_ref().filter(|_| broken * 2 > count) {
            let first_broken = first_broken.clone();
            return Err(RecordError::Broken { path, broken, rows: count, first_broken });
        }
        let others: Vec<_> = reader.other_columns().cloned().collect();
        let about = About {
            path: &path,
            site,
            elevation_m: reader.mapping().elevation_m(),
            others: &others,
            is_sure: &|what| reader.mapping().is_sure_of(what),
        };
        let mut readings = Readings::validated(rows, &about)?;
        let quality = &mut readings.quality;
        (quality.broken, quality.first_broken) = (broken, first_broken);
        quality.unreadable = reader.unreadable().to_vec();
        quality.overlaps = reader.overlaps();
        readings.station = source.mapping.as_ref().and_then(|mapping| mapping.station.clone());
        Ok(readings)
    }

    /// Sorts readings, leaves out those whose clock was wrong, and validates the others as a whole.
    ///
    /// # Errors
    /// [`RecordError`] when there is none, when they come once a day, or look wrong.
    pub fn validated(mut rows: Vec<Row>, about: &About<'_>) -> Result<Readings, RecordError> {
        let path = about.path;
        if rows.is_empty() {
            return Err(RecordError::NoReading { path: path.to_owned(), first_broken: None });
        }
        let unsorted = order::unsorted(&rows);
        let wrong_clock = order::sort(&mut rows, Timestamp::now());
        if is_daily(&rows) {
            return Err(RecordError::Daily { path: path.to_owned() });
        }
        let About { site, elevation_m, others, .. } = *about;
        let mut suspicions = validate(&Evidence { readings: &rows, site, elevation_m, others });
        suspicions.retain(|suspicion| !(about.is_sure)(suspicion.about));
        if !suspicions.is_empty() {
            return Err(RecordError::Suspicious { path: path.to_owned(), suspicions });
        }
        let quality = QualityReport { unsorted, wrong_clock, ..QualityReport::default() };
        Ok(Readings { rows, site, station: None, quality })
    }
}

/// The quantities that files have columns for, and those that follow from them.
///
/// # Errors
/// [`CsvError`] when a file cannot be read or lacks the columns.
pub fn known_quantities(source: &RecordSource) -> Result<Vec<Quantity>, CsvError> {
    let reader = CsvReader::open_source(source, None)?;
    let mut values = Values::NONE;
    for quantity in reader.quantities() {
        let (low, high) = quantity.plausible_range();
        let usual = if quantity == Quantity::AirTemperature { 10.0 } else { low + (high - low) / 2.0 };
        values.set(quantity, usual);
    }
    thermodynamics::derive(&mut values);
    Ok(values.iter().map(|(quantity, _)| quantity).collect())
}

/// Whether sorted readings come once a day.
fn is_daily(readings: &[Row]) -> bool {
    const ENOUGH: usize = 5;
    let distance = |pair: &[Row]| pair[1].0.duration_since(pair[0].0).as_secs();
    let mut distances: Vec<i64> =
        readings.windows(2).map(distance).filter(|distance| *distance > 0).collect();
    distances.sort_unstable();
    readings.len() >= ENOUGH && distances.get(distances.len() / 2).is_some_and(|median| *median >= 20 * 3600)
}
