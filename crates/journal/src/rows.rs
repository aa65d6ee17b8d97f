//! Rows of the tables: how they are taken from a query, whatever they hold, and the numbers that stand in them for stations
//! and models.

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use forecastd_core::{Forecast, Source, StationName};

use crate::encoding;

/// Rows that could be read, and a count of those that could not.
pub(crate) struct Rows<T> {
    pub(crate) kept: Vec<T>,
    pub(crate) skipped: u64,
}

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows { kept: Vec::new(), skipped: 0 }
    }
}

impl<T> Rows<T> {
    /// Takes every row of a query. What was read before an error is kept.
    pub(crate) fn take(
        &mut self,
        mut rows: rusqlite::Rows<'_>,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> rusqlite::Result<()> {
        while let Some(row) = rows.next()? {
            match read(row)? {
                Some(value) => self.kept.push(value),
                None => self.skipped += 1,
            }
        }
        Ok(())
    }
}

/// A cell as a whole number.
pub(crate) fn integer(cell: ValueRef<'_>) -> Option<i64> {
    match cell {
        ValueRef::Integer(number) => Some(number),
        _ => None,
    }
}

/// A cell of seconds since the Unix epoch as a time within the calendar.
pub(crate) fn timestamp(cell: ValueRef<'_>) -> Option<Timestamp> {
    Timestamp::from_second(integer(cell)?).ok()
}

/// A cell as text.
pub(crate) fn text<'row>(cell: ValueRef<'row>) -> Option<&'row str> {
    match cell {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// The source with this name.
pub(crate) fn source(name: &str) -> Option<Source> {
    Source::ALL.into_iter().find(|source| source.name() == name)
}

/// Writes a forecast; false when a temperature or lead does not fit.
pub(crate) fn insert_forecast(
    connection: &Connection,
    verb: &str,
    station: i64,
    forecast: &Forecast,
) -> rusqlite::Result<bool> {
    let Some(leads) = encoding::encode_leads(&forecast.leads) else { return Ok(false) };
    let model = model_number(connection, forecast.source.name(), &forecast.model)?;
    let mut insert = connection.prepare_cached(&format!(
        "{verb} INTO stored_forecast (station, origin, issued_after_s, model, temperature_c, leads, day_ahead)
         VALUES (?, ?, ?, ?, ?, ?, ?)"
    ))?;
    let origin = forecast.origin.as_second();
    let issued_after_s = forecast.issued_at.as_second() - origin;
    insert.execute((
        station,
        origin,
        issued_after_s,
        model,
        encoding::cell(Some(forecast.temperature_c)),
        leads,
        forecast.day_ahead.as_ref().and_then(encoding::encode_day_ahead),
    ))?;
    Ok(true)
}

/// The number of a station, if it has one.
pub(crate) fn station_id(connection: &Connection, name: &StationName) -> rusqlite::Result<Option<i64>> {
    let mut find = connection.prepare_cached("SELECT id FROM station WHERE name = ? ORDER BY id LIMIT 1")?;
    find.query_row([name.as_str()], |row| row.get(0)).optional()
}

/// The number of a station, given now if it has none. It is looked up each time, as another program may have made it
/// forgotten.
pub(crate) fn station_number(connection: &Connection, name: &StationName) -> rusqlite::Result<i64> {
    if let Some(id) = station_id(connection, name)? {
        return Ok(id);
    }
    connection.prepare_cached("INSERT INTO station (name) VALUES (?)")?.insert([name.as_str()])
}

fn model_number(connection: &Connection, source: &str, name: &str) -> rusqlite::Result<i64> {
    let mut find = connection
        .prepare_cached("SELECT id FROM model WHERE source = ? AND name = ? ORDER BY id LIMIT 1")?;
    if let Some(id) = find.query_row((source, name), |row| row.get(0)).optional()? {
        return Ok(id);
    }
    connection.prepare_cached("INSERT INTO model (source, name) VALUES (?, ?)")?.insert((source, name))
}
