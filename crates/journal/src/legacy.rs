//! What version 1 wrote, read where it lies and moved bit by bit.
//!
//! The step from version 1 leaves its rows in `v1_reading` and `v1_forecast`, and its stations, by number, in `v1_station`.
//! Views and restoration read both old and new rows. The writer moves a chunk whenever it has nothing else to do; a row
//! that was written anew meanwhile stays as it is. Leads are rounded to hundredths of a degree.

use jiff::Timestamp;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params_from_iter};

use forecastd_core::{Forecast, LeadForecast, Quantity, StationName, Values, to_single};

use crate::encoding::{self, lead, rising};
use crate::rows::{Rows, insert_forecast, integer, source, text, timestamp};
use crate::schema;

/// Rows of one step.
const CHUNK: usize = 500;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more to do.
    More,
    /// Nothing is left.
    Done,
}

/// Readings of a station since `from` that have not been moved yet.
pub(crate) fn readings(
    connection: &Connection,
    station: i64,
    from: i64,
    rows: &mut Rows<(Timestamp, Values)>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT r.time{} FROM v1_station AS v JOIN v1_reading AS r ON r.station = v.name
         WHERE v.station = ? AND r.time >= ? ORDER BY r.time",
        schema::columns(", r.", "")
    ))?;
    rows.take(statement.query((station, from))?, reading)
}

/// Forecasts of a station since `from` that have not been moved yet.
pub(crate) fn forecasts(
    connection: &Connection,
    station: i64,
    name: &StationName,
    from: i64,
    rows: &mut Rows<Forecast>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT f.issued_at, f.source, f.model, f.temperature_c, f.leads
         FROM v1_station AS v JOIN v1_forecast AS f ON f.station = v.name
         WHERE v.station = ? AND f.issued_at >= ? ORDER BY f.issued_at",
    )?;
    rows.take(statement.query((station, from))?, |row| forecast(row, name))
}

fn reading(row: &Row<'_>) -> rusqlite::Result<Option<(Timestamp, Values)>> {
    let Some(time) = timestamp(row.get_ref(0)?) else { return Ok(None) };
    let cells = (1..).map_while(|index| row.get_ref(index).ok()).map(number);
    Ok(encoding::values(cells).map(|values| (time, values)))
}

/// A number as version 1 wrote it.
fn number(cell: ValueRef<'_>) -> Option<Option<f32>> {
    match cell {
        ValueRef::Null => Some(None),
        ValueRef::Integer(value) => Some(Some(value as f32)),
        ValueRef::Real(value) => Some(Some(to_single(value))),
        ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}

fn forecast(row: &Row<'_>, station: &StationName) -> rusqlite::Result<Option<Forecast>> {
    let cells = (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?, row.get_ref(4)?);
    let decoded = || {
        let origin = timestamp(cells.0)?;
        let temperature_c = number(cells.3)??;
        Some(Forecast {
            station: station.clone(),
            // Version 1 counts leads from the newest reading.
            issued_at: origin,
            origin,
            temperature_c: temperature_c.is_finite().then_some(temperature_c)?,
            model: text(cells.2)?.to_owned(),
            source: source(text(cells.1)?)?,
            leads: leads(text(cells.4)?, origin)?,
            day_ahead: None,
        })
    };
    Ok(decoded())
}

/// Leads as version 1 wrote them: `[[lead_h, temperature_c, low_c, high_c], …]`, the last two only where there is an
/// interval.
#[expect(clippy::cast_possible_truncation, reason = "at most 255")]
fn leads(json: &str, origin: Timestamp) -> Option<Vec<LeadForecast>> {
    let rows: Vec<Vec<f64>> = serde_json::from_str(json).ok()?;
    let leads: Vec<LeadForecast> = rows
        .iter()
        .map(|row| {
            let (&lead_h, &temperature_c) = (row.first()?, row.get(1)?);
            let whole = (0.0..=255.0).contains(&lead_h) && lead_h.fract() == 0.0;
            let interval_c = match (row.get(2), row.get(3)) {
                (Some(&low), Some(&high)) => Some((to_single(low), to_single(high))),
                _ => None,
            };
            lead(whole.then_some(lead_h as u32)?, to_single(temperature_c), interval_c, origin)
        })
        .collect::<Option<_>>()?;
    let leads = rising(leads)?;
    // What comes back is what the new row holds.
    encoding::decode_leads(&encoding::encode_leads(&leads)?, origin)
}

/// The time of a station's newest row that has not been moved, not later than `until`.
pub(crate) fn newest(connection: &Connection, station: i64, until: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT r.time FROM v1_station AS v JOIN v1_reading AS r ON r.station = v.name
         WHERE v.station = ? AND r.time <= ? ORDER BY r.time DESC LIMIT 1",
    )?;
    Ok(statement.query_row((station, until), |row| Ok(integer(row.get_ref(0)?))).optional()?.flatten())
}

/// Removes rows of a station that lie after `after` and have not been moved.
pub(crate) fn truncate(
    connection: &Connection,
    station: i64,
    after: i64,
    until: i64,
) -> rusqlite::Result<()> {
    for (table, time) in [("v1_reading", "time"), ("v1_forecast", "issued_at")] {
        let mut statement = connection.prepare_cached(&format!(
            "DELETE FROM {table} WHERE station = (SELECT name FROM v1_station WHERE station = ?) AND {time} > ? AND {time} <= ?"
        ))?;
        statement.execute((station, after, until))?;
    }
    Ok(())
}

/// Drops a chunk of a forgotten station.
pub(crate) fn purge(connection: &mut Connection) -> rusqlite::Result<Step> {
    if !schema::has_legacy(connection)? {
        return Ok(Step::Done);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let forgotten = transaction
        .query_row(
            "SELECT v.station FROM v1_station AS v LEFT JOIN station AS s ON s.id = v.station WHERE s.id IS NULL LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let Some(station) = forgotten else { return Ok(Step::Done) };
    let dropped = delete_chunk(&transaction, "v1_reading", "time", station)?
        + delete_chunk(&transaction, "v1_forecast", "issued_at", station)?;
    if dropped == 0 {
        transaction.execute("DELETE FROM v1_station WHERE station = ?", [station])?;
    }
    transaction.commit()?;
    Ok(Step::More)
}

/// Moves a chunk in a transaction of its own; what cannot be read, or belongs to a forgotten station, is dropped.
pub(crate) fn step(connection: &mut Connection) -> rusqlite::Result<Step> {
    if !schema::has_legacy(connection)? {
        return Ok(Step::Done);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let next = transaction
        .query_row(
            "SELECT v.station, s.name FROM v1_station AS v LEFT JOIN station AS s ON s.id = v.station
             ORDER BY v.station LIMIT 1",
            [],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    text(row.get_ref(1)?).and_then(|name| StationName::new(name).ok()),
                ))
            },
        )
        .optional()?;
    let Some((station, name)) = next else {
        schema::drop_legacy(&transaction)?;
        transaction.commit()?;
        return Ok(Step::Done);
    };
    let mut moved = move_readings(&transaction, station, name.is_some())?;
    if moved < CHUNK {
        moved += move_forecasts(&transaction, station, name.as_ref())?;
    }
    if moved == 0 {
        transaction.execute("DELETE FROM v1_station WHERE station = ?", [station])?;
    }
    transaction.commit()?;
    Ok(Step::More)
}

fn move_readings(connection: &Connection, station: i64, keep: bool) -> rusqlite::Result<usize> {
    let mut rows = Rows::default();
    if keep {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT r.time{} FROM v1_station AS v JOIN v1_reading AS r ON r.station = v.name
             WHERE v.station = ? ORDER BY r.time LIMIT {CHUNK}",
            schema::columns(", r.", "")
        ))?;
        rows.take(statement.query([station])?, reading)?;
    }
    // A row that was written anew is younger: it only gains what it lacks.
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO stored_reading (station, time{}) VALUES (?, ?{}) ON CONFLICT (station, time) DO UPDATE SET {}",
        schema::columns(", ", ""),
        ", ?".repeat(Quantity::COUNT),
        schema::merge("{key} = coalesce({key}, excluded.{key})"),
    ))?;
    for (time, values) in rows.kept {
        let head = [Value::Integer(station), Value::Integer(time.as_second())];
        insert.execute(params_from_iter(head.into_iter().chain(encoding::cells(&values))))?;
    }
    delete_chunk(connection, "v1_reading", "time", station)
}

fn move_forecasts(
    connection: &Connection,
    station: i64,
    name: Option<&StationName>,
) -> rusqlite::Result<usize> {
    let mut rows = Rows::default();
    if let Some(name) = name {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT f.issued_at, f.source, f.model, f.temperature_c, f.leads
             FROM v1_station AS v JOIN v1_forecast AS f ON f.station = v.name
             WHERE v.station = ? ORDER BY f.issued_at LIMIT {CHUNK}"
        ))?;
        rows.take(statement.query([station])?, |row| forecast(row, name))?;
    }
    for forecast in &rows.kept {
        insert_forecast(connection, "INSERT OR IGNORE", station, forecast)?;
    }
    delete_chunk(connection, "v1_forecast", "issued_at", station)
}

fn delete_chunk(connection: &Connection, table: &str, time: &str, station: i64) -> rusqlite::Result<usize> {
    let mut delete = connection.prepare_cached(&format!(
        "DELETE FROM {table} WHERE (station, {time}) IN (
             SELECT r.station, r.{time} FROM v1_station AS v JOIN {table} AS r ON r.station = v.name
             WHERE v.station = ? ORDER BY r.{time} LIMIT {CHUNK})"
    ))?;
    delete.execute([station])
}
