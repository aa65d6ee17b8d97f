//! What is old, or belongs to nobody, is removed a little at a time.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::legacy::Step;
use crate::rows::integer;

/// Rows that one step of tidying removes, at most.
const TIDY_ROWS: usize = 1000;

/// Stations that one step of tidying looks at, at most.
const TIDY_STATIONS: usize = 100;

/// A newest row further ahead of the clock than this does not make the others old.
const TIDY_AHEAD_S: i64 = 86_400;

/// How long rows are kept, counted back from the newest reading of their station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days of readings.
    pub readings_days: u32,
    /// Days of forecasts.
    pub forecasts_days: u32,
}

/// Where tidying is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tidying {
    after: i64,
}

impl Tidying {
    /// Before the first station.
    pub(crate) const START: Tidying = Tidying { after: i64::MIN };
}

/// Removes what is old, and what belongs to a forgotten station, of the next stations. Without a retention nothing is old.
pub(crate) fn tidy(
    connection: &mut Connection,
    tidying: &mut Tidying,
    retention: Option<Retention>,
    now_s: i64,
) -> rusqlite::Result<Step> {
    // Looking needs no lock.
    let mut removals = Vec::new();
    let mut looked = *tidying;
    let mut step = Step::More;
    for _ in 0..TIDY_STATIONS {
        let Some(station) = next_station(connection, looked.after)? else {
            step = Step::Done;
            break;
        };
        looked.after = station;
        let [readings, forecasts] = ends(connection, station, retention, now_s)?;
        for (table, time, before) in
            [("stored_reading", "time", readings), ("stored_forecast", "origin", forecasts)]
        {
            let mut find = connection
                .prepare_cached(&format!("SELECT 1 FROM {table} WHERE station = ? AND {time} < ? LIMIT 1"))?;
            if find.exists((station, before))? {
                removals.push((station, table, time, before));
            }
        }
    }
    if removals.is_empty() {
        *tidying = looked;
        return Ok(step);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut left = TIDY_ROWS;
    for (station, table, time, before) in removals {
        let removed = transaction
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE station = ?1 AND {time} IN (
                     SELECT {time} FROM {table} WHERE station = ?1 AND {time} < ?2 ORDER BY {time} LIMIT ?3)"
            ))?
            .execute((station, before, left as i64))?;
        left = left.saturating_sub(removed);
        if left == 0 {
            // The same stations once more.
            transaction.commit()?;
            return Ok(Step::More);
        }
    }
    transaction.commit()?;
    *tidying = looked;
    Ok(step)
}

/// The next number that has rows, with or without a station.
fn next_station(connection: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    let mut next: Option<i64> = None;
    for table in ["stored_reading", "stored_forecast"] {
        let mut find =
            connection.prepare_cached(&format!("SELECT min(station) FROM {table} WHERE station > ?"))?;
        let found = find.query_row([after], |row| row.get_ref(0).map(integer))?;
        next = match (next, found) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(next)
}

/// Before which time readings and forecasts of a station are to go.
fn ends(
    connection: &Connection,
    station: i64,
    retention: Option<Retention>,
    now_s: i64,
) -> rusqlite::Result<[i64; 2]> {
    let mut find =
        connection.prepare_cached("SELECT readings_from, forecasts_from FROM station WHERE id = ?")?;
    let needed =
        find.query_row([station], |row| Ok([row.get_ref(0).map(integer)?, row.get_ref(1).map(integer)?]));
    let Some(needed) = needed.optional()? else { return Ok([i64::MAX; 2]) };
    let mut find =
        connection.prepare_cached("SELECT max(time) FROM stored_reading WHERE station = ? AND time <= ?")?;
    let newest =
        find.query_row((station, now_s.saturating_add(TIDY_AHEAD_S)), |row| row.get_ref(0).map(integer))?;
    let (Some(newest), Some(retention)) = (newest, retention) else { return Ok([i64::MIN; 2]) };
    let end = |days: u32, needed: Option<i64>| {
        let end = newest.saturating_sub(i64::from(days) * 86_400);
        // What a restart needs stays, whatever the retention says.
        needed.map_or(end, |needed| end.min(needed))
    };
    Ok([end(retention.readings_days, needed[0]), end(retention.forecasts_days, needed[1])])
}
