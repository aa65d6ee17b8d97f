//! One transaction: the entries of batches as rows.

use std::collections::HashMap;
use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params_from_iter};

use forecastd_core::{Entry, Quantity, StationName};

use crate::error::is_refusal;
use crate::rows::{insert_forecast, station_id, station_number};
use crate::{encoding, legacy, schema};

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Entries that cannot be represented, which were left out.
    pub(crate) refused: usize,
}

/// Writes entries in one transaction, all or none of them; those that cannot be represented are left out and counted.
pub(crate) fn write<'entry>(
    connection: &mut Connection,
    entries: impl IntoIterator<Item = &'entry Entry>,
) -> rusqlite::Result<Written> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let legacy = schema::has_legacy(&transaction)?;
    let mut written = Written { refused: 0 };
    let entries: Vec<&Entry> = entries.into_iter().collect();
    // Of the states of a station, the transaction need hold the last one alone.
    let last_states: HashMap<&StationName, usize> = entries
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| match entry {
            Entry::State { station, .. } => Some((station, index)),
            _ => None,
        })
        .collect();
    for (index, &entry) in entries.iter().enumerate() {
        if let Entry::State { station, .. } = entry
            && last_states.get(station) != Some(&index)
        {
            continue;
        }
        match write_entry(&transaction, entry, legacy) {
            Ok(true) => {}
            Ok(false) => written.refused += 1,
            // It would be refused for ever, and everything after it with it.
            Err(error) if is_refusal(&error) => written.refused += 1,
            Err(error) => return Err(error),
        }
    }
    transaction.commit()?;
    Ok(written)
}

/// A second reading of one time adds what the first did not measure, and replaces what both did.
static INSERT_READING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO stored_reading (station, time{}) VALUES (?, ?{}) ON CONFLICT (station, time) DO UPDATE SET {}",
        schema::columns(", ", ""),
        ", ?".repeat(Quantity::COUNT),
        schema::merge("{key} = coalesce(excluded.{key}, {key})"),
    )
});

/// For each quantity, whether the reading measures it: a row that holds none beyond those goes.
static SUPERSEDE_READINGS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM stored_reading WHERE station = ? AND time > ? AND time < ?{}",
        schema::columns(" AND (? OR ", " IS NULL)")
    )
});

/// Writes one entry; false when it cannot be represented.
fn write_entry(connection: &Connection, entry: &Entry, legacy: bool) -> rusqlite::Result<bool> {
    match entry {
        Entry::Reading { station, time, values, slot_begins } => {
            let station = station_number(connection, station)?;
            let key = [Value::Integer(station), Value::Integer(time.as_second())];
            let mut insert = connection.prepare_cached(&INSERT_READING)?;
            insert.execute(params_from_iter(key.into_iter().chain(encoding::cells(values))))?;
            let mut supersede = connection.prepare_cached(&SUPERSEDE_READINGS)?;
            let range = [station, slot_begins.as_second(), time.as_second()];
            let measured =
                Quantity::ALL.into_iter().map(|quantity| i64::from(values.get(quantity).is_some()));
            supersede.execute(params_from_iter(range.into_iter().chain(measured)))?;
        }
        Entry::Forecast(forecast) => {
            let station = station_number(connection, &forecast.station)?;
            return insert_forecast(connection, "INSERT OR REPLACE", station, forecast);
        }
        Entry::State { station, state, readings_from, forecasts_from, active_at } => {
            let station = station_number(connection, station)?;
            let mut update = connection.prepare_cached(
                "UPDATE station SET state = ?, readings_from = ?, forecasts_from = ?, active_at = ? WHERE id = ?",
            )?;
            let times = [readings_from, forecasts_from, active_at].map(|time| time.as_second());
            update.execute((state, times[0], times[1], times[2], station))?;
        }
        Entry::Experts { station, experts } => {
            let station = station_number(connection, station)?;
            connection
                .prepare_cached("INSERT OR REPLACE INTO experts (station, state) VALUES (?, ?)")?
                .execute((station, experts))?;
        }
        Entry::Forget(station) => {
            connection
                .prepare_cached(
                    "DELETE FROM experts WHERE station IN (SELECT id FROM station WHERE name = ?)",
                )?
                .execute([station.as_str()])?;
            // Its other rows belong to nobody now, which hides them; tidying removes them.
            connection.prepare_cached("DELETE FROM station WHERE name = ?")?.execute([station.as_str()])?;
        }
        Entry::Truncate { station, after, until } => {
            let Some(station) = station_id(connection, station)? else { return Ok(true) };
            let (after, until) = (after.as_second(), until.map_or(i64::MAX, |until| until.as_second()));
            for delete in [
                "DELETE FROM stored_reading WHERE station = ? AND time > ? AND time <= ?",
                "DELETE FROM stored_forecast WHERE station = ? AND origin + issued_after_s > ? \
                 AND origin + issued_after_s <= ?",
            ] {
                connection.prepare_cached(delete)?.execute((station, after, until))?;
            }
            if legacy {
                legacy::truncate(connection, station, after, until)?;
            }
        }
        Entry::Setting { key, value } => {
            let mut replace =
                connection.prepare_cached("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)")?;
            replace.execute((key, value))?;
        }
    }
    Ok(true)
}
