//! What is read from the file at the start.
//!
//! A row that cannot be (text where a number belongs, a time beyond the end of time, leads that do not rise) is skipped and
//! counted. A page that cannot be read costs the rows that it holds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use forecastd_core::{Forecast, Recall, Restored, StationName, Values};

use crate::encoding::{self, LEAD_BYTES, MAX_DAY_AHEAD_BYTES, MAX_LEADS};
use crate::error::is_damage;
use crate::history::Span;
use crate::rows::{Rows, integer, source, station_id, text, timestamp};
use crate::{legacy, schema};

/// The largest state of a station that is read, in bytes.
const MAX_STATE_BYTES: usize = 1 << 20;

/// How much is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreLimits {
    /// At most so many stations, the most recently active first.
    pub max_stations: usize,
    /// Seconds of readings before the newest, for a station whose state does not say from when on.
    pub history_s: i64,
    /// Seconds of forecasts before the newest reading, for a station whose state does not say from when on.
    pub forecasts_s: i64,
    /// The latest time that a right clock can have written. Later rows are restored as well, as it may be our clock that is
    /// wrong; but the newest reading, from which the two spans count, is looked for at or before it first.
    pub not_after: Timestamp,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RestoreReport {
    /// What each station is restored from, by rising name.
    pub stations: Vec<Restored>,
    /// Stations beyond [`RestoreLimits::max_stations`]; their rows stay in the file.
    pub omitted: usize,
    /// Rows that cannot be, which were skipped.
    pub skipped_rows: u64,
    /// Where the file was moved because a part of it cannot be read. What could be read is in a new file.
    pub damaged: Option<PathBuf>,
}

/// Reads through one connection.
pub(crate) struct Reader<'file> {
    connection: &'file Connection,
    limits: RestoreLimits,
    legacy: bool,
    skipped: u64,
    damaged: bool,
}

/// A station as its row has it.
struct StoredStation {
    id: i64,
    name: StationName,
    readings_from: i64,
    forecasts_from: i64,
    active_at: i64,
}

/// In which order rows are read.
#[derive(Clone, Copy)]
enum Order {
    Rising,
    Falling,
}

static RISING_READINGS: LazyLock<String> = LazyLock::new(|| readings_sql("ASC"));
static FALLING_READINGS: LazyLock<String> = LazyLock::new(|| readings_sql("DESC"));
static RISING_FORECASTS: LazyLock<String> = LazyLock::new(|| forecasts_sql("ASC"));
static FALLING_FORECASTS: LazyLock<String> = LazyLock::new(|| forecasts_sql("DESC"));
static LATEST_READINGS: LazyLock<String> = LazyLock::new(|| latest(&FALLING_READINGS, "time"));
static LATEST_FORECASTS: LazyLock<String> = LazyLock::new(|| latest(&FALLING_FORECASTS, "f.origin"));

/// The query up to a second time, and at most so many rows of it.
fn latest(falling: &str, time: &str) -> String {
    falling.replace(" ORDER BY", &format!(" AND {time} <= ? ORDER BY")) + " LIMIT ?"
}

fn readings_sql(order: &str) -> String {
    let columns = schema::columns(", ", "");
    format!("SELECT time{columns} FROM stored_reading WHERE station = ? AND time >= ? ORDER BY time {order}")
}

fn forecasts_sql(order: &str) -> String {
    format!(
        "SELECT f.origin, f.issued_after_s, f.temperature_c,
             CASE WHEN length(f.leads) <= {} THEN f.leads END, m.source, m.name,
             CASE WHEN length(f.day_ahead) <= {MAX_DAY_AHEAD_BYTES} THEN f.day_ahead END
         FROM stored_forecast AS f LEFT JOIN model AS m ON m.id = f.model
         WHERE f.station = ? AND f.origin >= ? ORDER BY f.origin {order}",
        LEAD_BYTES * MAX_LEADS
    )
}

/// A row of the table `station`.
type StationRow = (i64, StationName, [Option<i64>; 3]);

impl<'file> Reader<'file> {
    pub(crate) fn new(
        connection: &'file Connection,
        limits: RestoreLimits,
    ) -> rusqlite::Result<Reader<'file>> {
        let legacy = schema::has_legacy(connection)?;
        Ok(Reader { connection, limits, legacy, skipped: 0, damaged: false })
    }

    /// Reads everything within the limits as of one moment, and says whether a part of the file could not be read.
    pub(crate) fn restore(mut self) -> rusqlite::Result<(RestoreReport, bool)> {
        // Ended when it is dropped.
        let _one_lock_for_all = self.connection.unchecked_transaction()?;
        let mut candidates = self.candidates()?;
        // Ties by name, so that the same file always restores the same stations.
        candidates.sort_by(|one, other| (other.active_at, &one.name).cmp(&(one.active_at, &other.name)));
        let omitted = candidates.len().saturating_sub(self.limits.max_stations);
        candidates.truncate(self.limits.max_stations);
        // In the order in which their rows lie in the file.
        candidates.sort_by_key(|stored| stored.id);
        let mut stations = Vec::with_capacity(candidates.len());
        for stored in candidates {
            stations.push(self.station(stored)?);
        }
        stations.sort_by(|one, other| one.station.cmp(&other.station));
        let report = RestoreReport { stations, omitted, skipped_rows: self.skipped, damaged: None };
        Ok((report, self.damaged))
    }

    /// Reads what is asked for, of the stations that are known.
    pub(crate) fn recall(mut self, wanted: &[Recall]) -> rusqlite::Result<Vec<Restored>> {
        let _one_lock_for_all = self.connection.unchecked_transaction()?;
        let mut found = Vec::new();
        for Recall { station, readings_from, forecasts_from } in wanted {
            let Some(id) = station_id(self.connection, station)? else { continue };
            found.push(self.station(StoredStation {
                id,
                name: station.clone(),
                readings_from: readings_from.as_second(),
                forecasts_from: forecasts_from.as_second(),
                active_at: i64::MIN,
            })?);
        }
        Ok(found)
    }

    fn candidates(&mut self) -> rusqlite::Result<Vec<StoredStation>> {
        let mut names: BTreeMap<StationName, (i64, [Option<i64>; 3])> = BTreeMap::new();
        for (id, name, times) in self.station_rows()? {
            // A name that stands twice is the one that is written to: the first.
            if let std::collections::btree_map::Entry::Vacant(vacant) = names.entry(name) {
                vacant.insert((id, times));
            } else {
                self.skipped += 1;
            }
        }
        let mut candidates = Vec::with_capacity(names.len());
        for (name, (id, [readings_from, forecasts_from, active_at])) in names {
            let newest = match (readings_from, forecasts_from, active_at) {
                (Some(_), Some(_), Some(_)) => None,
                _ => self.newest(id)?,
            };
            let span = |from: Option<i64>, span: i64| {
                from.or_else(|| newest.map(|newest| newest.saturating_sub(span))).unwrap_or(i64::MIN)
            };
            candidates.push(StoredStation {
                id,
                name,
                readings_from: span(readings_from, self.limits.history_s),
                forecasts_from: span(forecasts_from, self.limits.forecasts_s),
                active_at: active_at.or(newest).unwrap_or(i64::MIN).min(self.limits.not_after.as_second()),
            });
        }
        Ok(candidates)
    }

    fn station_rows(&mut self) -> rusqlite::Result<Vec<StationRow>> {
        let mut all = Rows::default();
        let columns =
            "id, CASE WHEN octet_length(name) <= 64 THEN name END, readings_from, forecasts_from, active_at";
        let result = self
            .connection
            .prepare(&format!("SELECT {columns} FROM station ORDER BY id"))
            .and_then(|mut statement| all.take(statement.query([])?, station_row));
        if self.hurt(result)? {
            // The index of names holds names and numbers as well.
            let known: std::collections::HashSet<i64> = all.kept.iter().map(|(id, ..)| *id).collect();
            let mut more = Rows::default();
            let result = self
                .connection
                .prepare("SELECT id, name, NULL, NULL, NULL FROM station ORDER BY name")
                .and_then(|mut statement| more.take(statement.query([])?, station_row));
            // An index that is damaged too ends what can be known.
            self.hurt(result)?;
            all.kept.extend(more.kept.into_iter().filter(|(id, ..)| !known.contains(id)));
        }
        self.skipped += all.skipped;
        Ok(all.kept)
    }

    /// The time of a station's newest reading: at or before the latest right time, or else at all.
    fn newest(&mut self, station: i64) -> rusqlite::Result<Option<i64>> {
        for until in [self.limits.not_after, Timestamp::MAX] {
            let until = until.as_second();
            let result = self.newest_until(station, until);
            match result {
                Ok(Some(newest)) => return Ok(Some(newest)),
                Ok(None) => {}
                Err(error) => {
                    self.hurt(Err(error))?;
                }
            }
        }
        Ok(None)
    }

    fn newest_until(&self, station: i64, until: i64) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT time FROM stored_reading WHERE station = ? AND time <= ? ORDER BY time DESC LIMIT 1",
        )?;
        let mut rows = statement.query((station, until))?;
        let new = rows.next()?.map(|row| row.get_ref(0).map(integer)).transpose()?.flatten();
        let old = if self.legacy { legacy::newest(self.connection, station, until)? } else { None };
        Ok(new.max(old))
    }

    fn station(&mut self, stored: StoredStation) -> rusqlite::Result<Restored> {
        let state = self.state(stored.id);
        let state = self.sound(state)?.flatten();
        let experts = self.experts(stored.id);
        let experts = self.sound(experts)?.flatten();

        let mut readings = Rows::default();
        let result = self.readings(&stored, Order::Rising, &mut readings);
        if self.hurt(result)? {
            // The page that cannot be read is met from the other side as well, so that it alone is lost.
            let mut later = Rows::default();
            let result = self.readings(&stored, Order::Falling, &mut later);
            self.hurt(result)?;
            readings.kept = merge_readings(readings.kept, later.kept);
        }
        let mut forecasts = Rows::default();
        let result = self.forecasts(&stored, Order::Rising, &mut forecasts);
        if self.hurt(result)? {
            let mut later = Rows::default();
            let result = self.forecasts(&stored, Order::Falling, &mut later);
            self.hurt(result)?;
            forecasts.kept = merge_forecasts(forecasts.kept, later.kept);
        }
        self.skipped += readings.skipped + forecasts.skipped;
        let (mut readings, mut forecasts) = (readings.kept, forecasts.kept);

        if self.legacy {
            let mut old = Rows::default();
            let result = legacy::readings(self.connection, stored.id, stored.readings_from, &mut old);
            self.hurt(result)?;
            self.skipped += old.skipped;
            readings = merge_readings(old.kept, readings);
            let mut old = Rows::default();
            let (id, from) = (stored.id, stored.forecasts_from);
            let result = legacy::forecasts(self.connection, id, &stored.name, from, &mut old);
            self.hurt(result)?;
            self.skipped += old.skipped;
            forecasts = merge_forecasts(old.kept, forecasts);
        }
        Ok(Restored { station: stored.name, state, experts, readings, forecasts })
    }

    fn state(&mut self, station: i64) -> rusqlite::Result<Option<Vec<u8>>> {
        self.state_in("station", "id", station)
    }

    fn experts(&mut self, station: i64) -> rusqlite::Result<Option<Vec<u8>>> {
        self.state_in("experts", "station", station)
    }

    fn state_in(&mut self, table: &str, key: &str, station: i64) -> rusqlite::Result<Option<Vec<u8>>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT state IS NULL, CASE WHEN length(state) <= {MAX_STATE_BYTES} THEN state END
             FROM {table} WHERE {key} = ?"
        ))?;
        let mut rows = statement.query([station])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let absent: bool = row.get(0)?;
        match row.get_ref(1)? {
            ValueRef::Blob(state) => Ok(Some(state.to_vec())),
            _ => {
                self.skipped += u64::from(!absent);
                Ok(None)
            }
        }
    }

    fn readings(
        &self,
        stored: &StoredStation,
        order: Order,
        rows: &mut Rows<(Timestamp, Values)>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(match order {
            Order::Rising => &RISING_READINGS,
            Order::Falling => &FALLING_READINGS,
        })?;
        rows.take(statement.query((stored.id, stored.readings_from))?, reading)
    }

    fn forecasts(
        &self,
        stored: &StoredStation,
        order: Order,
        rows: &mut Rows<Forecast>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(match order {
            Order::Rising => &RISING_FORECASTS,
            Order::Falling => &FALLING_FORECASTS,
        })?;
        let query = statement.query((stored.id, stored.forecasts_from))?;
        rows.take(query, |row| forecast(row, &stored.name))
    }

    /// The latest readings within a span, by rising time.
    pub(crate) fn readings_within(
        &mut self,
        station: i64,
        span: Span,
    ) -> rusqlite::Result<Vec<(Timestamp, Values)>> {
        let mut rows = Rows::default();
        let mut statement = self.connection.prepare_cached(&LATEST_READINGS)?;
        rows.take(statement.query(span.parameters(station))?, reading)?;
        rows.kept.reverse();
        let mut readings = rows.kept;
        if self.legacy {
            let mut old = Rows::default();
            legacy::readings(self.connection, station, span.from.as_second(), &mut old)?;
            old.kept.retain(|(time, _)| *time <= span.to);
            readings = merge_readings(old.kept, readings);
            readings.drain(..readings.len().saturating_sub(span.most));
        }
        Ok(readings)
    }

    /// What is made of the latest forecasts with origins within a span, by rising origin. One at a time is held.
    pub(crate) fn forecasts_within<T>(
        &mut self,
        station: i64,
        name: &StationName,
        span: Span,
        mut make: impl FnMut(Forecast) -> Option<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(&LATEST_FORECASTS)?;
        let query = statement.query(span.parameters(station))?;
        if self.legacy {
            let (mut new, mut old) = (Rows::default(), Rows::default());
            new.take(query, |row| forecast(row, name))?;
            legacy::forecasts(self.connection, station, name, span.from.as_second(), &mut old)?;
            old.kept.retain(|forecast| forecast.origin <= span.to);
            let mut forecasts = merge_forecasts(old.kept, new.kept);
            forecasts.drain(..forecasts.len().saturating_sub(span.most));
            return Ok(forecasts.into_iter().filter_map(make).collect());
        }
        let mut rows = Rows::default();
        rows.take(query, |row| Ok(forecast(row, name)?.and_then(&mut make)))?;
        rows.kept.reverse();
        Ok(rows.kept)
    }

    /// The value, or `None` where it cannot be read.
    fn sound<T>(&mut self, result: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.hurt(Err(error)).map(|_| None),
        }
    }

    /// Whether it failed because of damage, which is remembered; any other error is passed on.
    fn hurt(&mut self, result: rusqlite::Result<()>) -> rusqlite::Result<bool> {
        match result {
            Ok(()) => Ok(false),
            Err(error) if is_damage(&error) => {
                self.damaged = true;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}

fn station_row(row: &Row<'_>) -> rusqlite::Result<Option<StationRow>> {
    let name = text(row.get_ref(1)?).and_then(|name| StationName::new(name).ok());
    let (Some(id), Some(name)) = (integer(row.get_ref(0)?), name) else { return Ok(None) };
    // A time that cannot be is as good as none.
    let time = |index| -> rusqlite::Result<Option<i64>> {
        Ok(timestamp(row.get_ref(index)?).map(Timestamp::as_second))
    };
    Ok(Some((id, name, [time(2)?, time(3)?, time(4)?])))
}

fn reading(row: &Row<'_>) -> rusqlite::Result<Option<(Timestamp, Values)>> {
    let Some(time) = timestamp(row.get_ref(0)?) else { return Ok(None) };
    let cells = (1..).map_while(|index| row.get_ref(index).ok()).map(encoding::from_cell);
    Ok(encoding::values(cells).map(|values| (time, values)))
}

fn forecast(row: &Row<'_>, station: &StationName) -> rusqlite::Result<Option<Forecast>> {
    let cells = (
        row.get_ref(0)?,
        row.get_ref(1)?,
        row.get_ref(2)?,
        row.get_ref(3)?,
        row.get_ref(4)?,
        row.get_ref(5)?,
        row.get_ref(6)?,
    );
    let decoded = || {
        let origin = timestamp(cells.0)?;
        let issued_at = Timestamp::from_second(origin.as_second().checked_add(integer(cells.1)?)?).ok()?;
        let temperature_c = encoding::from_cell(cells.2)??;
        let ValueRef::Blob(leads) = cells.3 else { return None };
        Some(Forecast {
            station: station.clone(),
            issued_at,
            origin,
            temperature_c: temperature_c.is_finite().then_some(temperature_c)?,
            model: text(cells.5)?.to_owned(),
            source: source(text(cells.4)?)?,
            leads: encoding::decode_leads(leads, origin)?,
            // What cannot be read of the extremes costs the extremes.
            day_ahead: match cells.6 {
                ValueRef::Blob(day_ahead) => encoding::decode_day_ahead(day_ahead),
                _ => None,
            },
        })
    };
    Ok(decoded())
}

fn merge_readings(old: Vec<(Timestamp, Values)>, new: Vec<(Timestamp, Values)>) -> Vec<(Timestamp, Values)> {
    let mut merged: BTreeMap<Timestamp, Values> = old.into_iter().collect();
    for (time, values) in new {
        let row = merged.entry(time).or_insert(Values::NONE);
        for (quantity, value) in values.iter() {
            row.set(quantity, value);
        }
    }
    merged.into_iter().collect()
}

fn merge_forecasts(old: Vec<Forecast>, new: Vec<Forecast>) -> Vec<Forecast> {
    let merged: BTreeMap<Timestamp, Forecast> =
        old.into_iter().chain(new).map(|forecast| (forecast.origin, forecast)).collect();
    merged.into_values().collect()
}
