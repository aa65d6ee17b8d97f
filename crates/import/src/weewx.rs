//! WeeWX' database: the table `archive`, with a row for each archive interval, `dateTime` in seconds since 1970 at its end, and
//! `usUnits`, the unit system of the row: 1 (US), 16 (METRIC) or 17 (METRICWX).
//!
//! Source: github.com/weewx/weewx, `src/weewx/schemas/wview_extended.py`; the units of each system stand in
//! `src/weewx/units.py`, and in the preset `weewx-archive`, by which a row is read.

use std::path::Path;

use forecastd_mapping::{Description, Mapping, Table};
use forecastd_record::{About, QualityReport, Readings, Row, UnreadableValues};
use rusqlite::types::ValueRef;

use crate::sqlite::{Database, PAGE};
use crate::{History, ImportError, ImportProgress};

const TABLE: &str = "archive";
const PRESET: &str = "weewx-archive";

/// Reads a database. Without a mapping its columns are those of the preset.
pub(crate) fn read(
    path: &Path,
    mapping: Option<&Description>,
    elevation_m: Option<f64>,
    progress: &mut dyn ImportProgress,
) -> Result<History, ImportError> {
    let database = Database::open(path, Some("is it a CSV file? forecastd import csv"))?;
    database.require("WeeWX", TABLE, |tables| {
        let is_recorder = tables.iter().any(|table| table == "states_meta" || table == "recorder_runs");
        is_recorder.then_some("it is Home Assistant's: forecastd import home-assistant")
    })?;
    check_unit_systems(&database)?;
    let mut description = mapping.cloned().unwrap_or_default();
    description.preset.get_or_insert_with(|| PRESET.to_owned());
    description.elevation_m = description.elevation_m.or(elevation_m);
    let mapping = Mapping::new(&description)?;
    let header = database.columns(TABLE)?;
    let mut table = mapping
        .bind(&header, &[], None)
        .map_err(|fault| ImportError::Columns { path: path.to_owned(), fault })?;
    let all: u64 = database.tried(|connection| {
        connection.query_row("SELECT count(*) FROM archive", [], |row| row.get::<_, i64>(0))
    })? as u64;
    let mut found = Found::default();
    let mut offset = (f64::MIN, i64::MIN);
    loop {
        let page = page(&database, offset)?;
        let Some(last) = page.last() else { break };
        offset = last.0;
        for (_, cells) in &page {
            found.add(&mut table, cells);
        }
        if !progress.reading(found.looked_at as f64 / all.max(1) as f64) {
            return Err(ImportError::Interrupted);
        }
    }
    let is_sure = |what: &str| mapping.is_sure_of(what);
    let about = About {
        path,
        site: mapping.site(),
        elevation_m: mapping.elevation_m(),
        others: &[],
        is_sure: &is_sure,
    };
    let mut readings = Readings::validated(found.rows, &about)?;
    readings.station = mapping.station().map(str::to_owned);
    readings.quality = QualityReport {
        broken: found.broken,
        first_broken: found.first_broken,
        unreadable: found.unreadable,
        ..readings.quality
    };
    Ok(History { readings, rows: found.looked_at, empty: found.empty })
}

#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    looked_at: u64,
    empty: u64,
    broken: u64,
    first_broken: Option<String>,
    unreadable: Vec<UnreadableValues>,
}

impl Found {
    fn add(&mut self, table: &mut Table, cells: &[String]) {
        self.looked_at += 1;
        match table.row(&|index| cells.get(index).map(String::as_str)) {
            Ok(Some(row)) => {
                for (quantity, text) in row.unreadable {
                    match self.unreadable.iter_mut().find(|known| known.quantity == quantity) {
                        Some(known) => known.count += 1,
                        None => {
                            self.unreadable.push(UnreadableValues { quantity, count: 1, first: text });
                        }
                    }
                }
                match row.values.is_empty() {
                    true => self.empty += 1,
                    false => self.rows.push((row.time, row.values)),
                }
            }
            // The mapping's conditions leave nothing of it.
            Ok(None) => self.empty += 1,
            Err(error) => {
                self.broken += 1;
                self.first_broken.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Refuses rows of a unit system that does not exist: their values could not be understood.
fn check_unit_systems(database: &Database) -> Result<(), ImportError> {
    for (table, column) in [(TABLE, "dateTime"), (TABLE, "usUnits")] {
        if !database.columns(table)?.iter().any(|known| known.eq_ignore_ascii_case(column)) {
            let advice = "is it WeeWX' archive?";
            return Err(ImportError::NoColumn { path: database.path.clone(), table, column, advice });
        }
    }
    let unknown = database.tried(|connection| {
        let mut statement = connection.prepare(
            "SELECT coalesce(CAST(usUnits AS TEXT), 'missing'), count(*) FROM archive
             WHERE usUnits IS NULL OR usUnits NOT IN (1, 16, 17) GROUP BY usUnits LIMIT 1",
        )?;
        let mut rows = statement.query([])?;
        Ok(match rows.next()? {
            Some(row) => Some((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64)),
            None => None,
        })
    })?;
    match unknown {
        Some((found, rows)) => Err(ImportError::UnitSystem { path: database.path.clone(), found, rows }),
        None => Ok(()),
    }
}

/// Where a row stands: its time, and its number where several have the same.
type Offset = (f64, i64);

/// The next rows by time, each with its cells as text.
fn page(database: &Database, (time, number): Offset) -> Result<Vec<(Offset, Vec<String>)>, ImportError> {
    database.tried(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT CAST(dateTime AS REAL), rowid, * FROM archive
             WHERE typeof(dateTime) IN ('integer', 'real') AND (dateTime, rowid) > (?, ?)
             ORDER BY dateTime, rowid LIMIT ?",
        )?;
        let width = statement.column_count();
        let mut rows = statement.query((time, number, PAGE))?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (2..width).map(|column| row.get_ref(column).map(text)).collect::<Result<_, _>>()?;
            page.push(((row.get(0)?, row.get(1)?), cells));
        }
        Ok(page)
    })
}

fn text(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Null | ValueRef::Blob(_) => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
