//! Where a history is, and how it is read.

use std::path::PathBuf;

use forecastd_mapping::Description;
use forecastd_record::{Readings, RecordSource, Row};
use jiff::Timestamp;

use forecastd_core::{Grid, OpenSlot, ReducedPressure, Values};

use crate::{Entity, ImportError, home_assistant, influx, weewx};

/// Where a history is.
#[derive(Debug, Clone)]
pub enum Origin {
    /// WeeWX' database, `weewx.sdb`.
    Weewx {
        /// The SQLite file that WeeWX writes.
        path: PathBuf,
        /// How its columns are to be understood, where that is not the preset `weewx-archive`.
        mapping: Option<Description>,
    },
    /// CSV files, read with a mapping or by their header.
    Csv(RecordSource),
    /// Home Assistant's recorder, `home-assistant_v2.db`.
    HomeAssistant {
        /// The SQLite file that the recorder writes.
        path: PathBuf,
        /// What is read.
        entities: Vec<Entity>,
        /// What looks wrong and is right: names of quantities, `time`.
        sure: Vec<String>,
    },
    /// Points of InfluxDB's line protocol, in files that may be compressed by gzip.
    Influx {
        /// The files that hold the points.
        paths: Vec<PathBuf>,
        /// Which fields are which quantities.
        mapping: Description,
    },
}

/// Hears how far an import is, and says whether it is to go on.
pub trait ImportProgress {
    /// So much of the history has been read, from 0 to 1.
    fn reading(&mut self, share: f64) -> bool;

    /// So many readings of so many have been written, up to the reading of this time.
    fn writing(&mut self, written: u64, of: u64, time: Timestamp) -> bool;
}

/// Hears nothing, and always goes on.
impl ImportProgress for () {
    fn reading(&mut self, _: f64) -> bool {
        true
    }

    fn writing(&mut self, _: u64, _: u64, _: Timestamp) -> bool {
        true
    }
}

/// A history that has been read.
#[derive(Debug, Clone)]
pub struct History {
    /// Its readings, by time, and what was wrong with them.
    pub readings: Readings,
    /// Rows, states or points that were looked at.
    pub rows: u64,
    /// Those that hold no value.
    pub empty: u64,
}

/// Reads a history. Messages of several sensors, and those that come every few seconds, are merged into the slots of `grid`, as
/// those of a live station are. `elevation_m` is the station's height, which brings pressure at sea level back to it, where
/// the history itself does not say.
///
/// # Errors
/// [`ImportError`] when it cannot be read, or looks wrong as a whole; [`ImportError::Interrupted`] when `progress` says so.
pub fn read(
    origin: &Origin,
    grid: Grid,
    elevation_m: Option<f64>,
    progress: &mut dyn ImportProgress,
) -> Result<History, ImportError> {
    match origin {
        Origin::Weewx { path, mapping } => weewx::read(path, mapping.as_ref(), elevation_m, progress),
        Origin::HomeAssistant { path, entities, sure } => {
            home_assistant::read(path, entities, sure, grid, elevation_m, progress)
        }
        Origin::Influx { paths, mapping } => influx::read(paths, mapping, grid, elevation_m, progress),
        Origin::Csv(source) => {
            let mut goes_on = true;
            let mut readings = Readings::read_with(source, elevation_m, &mut |share| {
                goes_on = progress.reading(share);
                goes_on
            })?;
            if !goes_on {
                return Err(ImportError::Interrupted);
            }
            let rows =
                readings.rows.len() as u64 + readings.quality.broken + readings.quality.wrong_clock.count;
            let before = readings.rows.len();
            readings.rows.retain(|(_, values)| !values.is_empty());
            let empty = (before - readings.rows.len()) as u64;
            if source.mapping.as_ref().is_some_and(|mapping| mapping.mapping().merges()) {
                let parts = readings.rows.into_iter().map(|(time, values)| (time, values, None));
                readings.rows = merged(parts, grid);
            }
            Ok(History { readings, rows, empty })
        }
    }
}

/// A part of a reading: when, what was measured, and the pressure where it is told as another than that at the station.
pub(crate) type Part = (Timestamp, Values, Option<ReducedPressure>);

/// Merges sorted parts into one reading for each slot.
pub(crate) fn merged(parts: impl IntoIterator<Item = Part>, grid: Grid) -> Vec<Row> {
    let mut open: Option<OpenSlot> = None;
    let mut all = Vec::new();
    for (time, values, reduced_pressure) in parts {
        let ended = open.take_if(|open| open.place(time).is_gt());
        all.extend(ended.map(|mut slot| slot.reading()));
        open.get_or_insert_with(|| OpenSlot::new(grid, time)).add(time, &values, reduced_pressure);
    }
    all.extend(open.map(|mut slot| slot.reading()));
    all
}
