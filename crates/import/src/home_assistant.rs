//! Home Assistant's recorder: states of the last days, each when it changed, and hourly statistics of all years before.
//!
//! Source: github.com/home-assistant/core, `homeassistant/components/recorder/db_schema.py`, schema version 41 (`states` with
//! `metadata_id` and `last_updated_ts`, `states_meta`, `state_attributes`, `statistics` with `start_ts`, `statistics_meta`).
//!
//! A state lasts until the next, two hours at most: one that does not change is not written again.
//!
//! A statistic is the mean of an hour and stands for its middle; of a gust it is the highest. Of an entity, statistics count
//! up to the first hour of which there are states.

use std::collections::HashMap;
use std::path::Path;

use forecastd_core::{EARLIEST_READING_S, Grid, Quantity, Unit};
use forecastd_mapping::{Measured, is_missing, number, quantity, unit};
use forecastd_record::{About, Readings};
use jiff::Timestamp;

use crate::partials::Partials;
use crate::sqlite::{Database, PAGE};
use crate::{Entity, EntityUnitError, History, ImportError, ImportProgress};

const PROGRAM: &str = "Home Assistant";
const HOUR_S: i64 = 3600;
/// A state is taken to last so long, in seconds, where no other ends it: longer, a sensor may have died without a word.
const CARRIED_ON_S: i64 = 2 * HOUR_S;
/// Entities that are named in a message, at most.
const MOST_NAMED: usize = 12;
/// Names at least so similar are suggested, from 0 to 1.
const SIMILAR: f64 = 0.7;

/// Reads states and statistics of entities; `sure` names what looks wrong and is right.
pub(crate) fn read(
    path: &Path,
    entities: &[Entity],
    sure: &[String],
    grid: Grid,
    elevation_m: Option<f64>,
    progress: &mut dyn ImportProgress,
) -> Result<History, ImportError> {
    let database = Database::open(path, None)?;
    check_schema(&database)?;
    if entities.is_empty() {
        return Err(ImportError::NoEntity { found: candidates(&database)? });
    }
    check_entities(entities)?;
    let is_reduced = entities.iter().any(|entity| entity.measured.reduction().is_some());
    if is_reduced && elevation_m.is_none() {
        return Err(ImportError::NoElevation);
    }
    let mut found = Found::default();
    let all = entities.len() as f64;
    for (index, entity) in entities.iter().enumerate() {
        let mut tell = |share: f64| progress.reading((index as f64 + share) / all);
        let is_known = found.states(&database, entity, grid, &mut tell)?;
        let has_statistics = found.statistics(&database, entity, &mut tell)?;
        if !is_known && !has_statistics {
            let near = near(&database, &entity.id)?;
            return Err(ImportError::UnknownEntity {
                path: path.to_owned(),
                entity: entity.id.clone(),
                near,
            });
        }
    }
    let Found { partials, looked_at, empty, .. } = found;
    if partials.len() == 0 {
        return Err(ImportError::NoNumber { path: path.to_owned() });
    }
    let rows = partials.merge(grid, elevation_m);
    let is_sure = |what: &str| {
        let is_it = |name: &String| name == what || quantity(name).is_ok_and(|known| known.name() == what);
        sure.iter().any(is_it)
    };
    let about = About { path, site: None, elevation_m, others: &[], is_sure: &is_sure };
    Ok(History { readings: Readings::validated(rows, &about)?, rows: looked_at, empty })
}

fn check_schema(database: &Database) -> Result<(), ImportError> {
    const OLD: &str =
        "the database is of a Home Assistant before 2023.4; start a newer one on it once, which converts it";
    let meant = |tables: &[String]| {
        let is_weewx = tables.iter().any(|table| table == "archive");
        is_weewx.then_some("it is WeeWX': forecastd import weewx")
    };
    database.require(PROGRAM, "states", meant)?;
    database.require(PROGRAM, "statistics", meant)?;
    for (table, column) in [
        ("states", "metadata_id"),
        ("states", "last_updated_ts"),
        ("states_meta", "entity_id"),
        ("state_attributes", "shared_attrs"),
        ("statistics", "start_ts"),
        ("statistics_meta", "unit_of_measurement"),
    ] {
        if !database.columns(table)?.iter().any(|known| known == column) {
            return Err(ImportError::NoColumn { path: database.path.clone(), table, column, advice: OLD });
        }
    }
    Ok(())
}

fn check_entities(entities: &[Entity]) -> Result<(), ImportError> {
    for (index, entity) in entities.iter().enumerate() {
        let quantity = entity.measured.quantity();
        let same = entities[..index].iter().find(|other| other.measured.quantity() == quantity);
        if let Some(other) = same {
            return Err(ImportError::SameQuantity {
                quantity,
                first: other.id.clone(),
                second: entity.id.clone(),
            });
        }
    }
    if !entities.iter().any(|entity| entity.measured == Measured::Quantity(Quantity::AirTemperature)) {
        return Err(ImportError::NoTemperature { among: "entity" });
    }
    Ok(())
}

#[derive(Default)]
struct Found {
    partials: Partials,
    looked_at: u64,
    empty: u64,
    /// By entity, the first second of which there is a state.
    first_states: HashMap<String, i64>,
}

/// A state that lasts until the next.
struct Held {
    second: i64,
    unit: Unit,
    value: f64,
}

/// A row of `states`: id, time, state, and attributes as JSON.
type State = (i64, f64, Option<String>, Option<String>);

impl Found {
    /// Whether the recorder knows states of the entity.
    fn states(
        &mut self,
        database: &Database,
        entity: &Entity,
        grid: Grid,
        tell: &mut dyn FnMut(f64) -> bool,
    ) -> Result<bool, ImportError> {
        let id =
            metadata_id(database, "SELECT metadata_id FROM states_meta WHERE entity_id = ?", &entity.id)?;
        let Some((id, ())) = id else { return Ok(false) };
        let all: i64 = database.tried(|connection| {
            connection.query_row("SELECT count(*) FROM states WHERE metadata_id = ?", [id], |row| row.get(0))
        })?;
        let mut units: HashMap<String, Unit> = HashMap::new();
        let (mut time, mut state_id, mut looked_at) = (f64::MIN, i64::MIN, 0_i64);
        let mut before: Option<Held> = None;
        loop {
            let page = states(database, id, time, state_id)?;
            let Some((last_id, last_time, ..)) = page.last() else { return Ok(true) };
            (state_id, time) = (*last_id, *last_time);
            for (_, time, state, attributes) in &page {
                self.looked_at += 1;
                let state = state.as_deref().unwrap_or_default();
                let second = time.floor() as i64;
                if let Some(held) = before.take() {
                    self.carry_on(&held, second, entity, grid)?;
                }
                let Some(value) = number(state).filter(|_| !is_missing(state)) else {
                    self.empty += 1;
                    continue;
                };
                let name = entity.unit.clone().or_else(|| attributes.as_deref().and_then(unit_of));
                let unit = known_unit(&mut units, entity, name)?;
                before = Some(Held { second, unit, value });
                // One of a clock that had not been set yet says nothing of where the states begin.
                if second >= EARLIEST_READING_S {
                    self.first_states.entry(entity.id.clone()).or_insert(second);
                }
                self.add(second, entity, unit, value)?;
            }
            looked_at += page.len() as i64;
            if !tell(0.5 * looked_at as f64 / all.max(1) as f64) {
                return Err(ImportError::Interrupted);
            }
        }
    }

    /// Adds a state to the slots between that in which it began and that in which it ended, at `end`: the recorder keeps what
    /// changes, and a calm night or a fog has no other state.
    fn carry_on(&mut self, held: &Held, end: i64, entity: &Entity, grid: Grid) -> Result<(), ImportError> {
        let of = |second| Timestamp::from_second(second).map(|time| grid.slot(time)).ok();
        let last = held.second.saturating_add(CARRIED_ON_S);
        let (Some(first), Some(end), Some(last)) = (of(held.second), of(end), of(last)) else {
            return Ok(());
        };
        for slot in first + 1..end.min(last + 1) {
            self.add(grid.time(slot).as_second(), entity, held.unit, held.value)?;
        }
        Ok(())
    }

    /// Whether the recorder knows statistics of the entity.
    fn statistics(
        &mut self,
        database: &Database,
        entity: &Entity,
        tell: &mut dyn FnMut(f64) -> bool,
    ) -> Result<bool, ImportError> {
        let id = metadata_id(
            database,
            "SELECT id, unit_of_measurement FROM statistics_meta WHERE statistic_id = ?",
            &entity.id,
        )?;
        let Some((id, name)): Option<(i64, Option<String>)> = id else { return Ok(false) };
        if entity.measured == Measured::Quantity(Quantity::WindFromDirection) && !is_circular(database, id)? {
            // The mean of 350° and 10° is not 180°.
            return Ok(true);
        }
        let unit = known_unit(&mut HashMap::new(), entity, entity.unit.clone().or(name))?;
        let first_state = self.first_states.get(&entity.id).copied().unwrap_or(i64::MAX);
        let is_gust = entity.measured == Measured::Quantity(Quantity::WindSpeedOfGust);
        let mut after = f64::MIN;
        loop {
            let page: Vec<(f64, Option<f64>, Option<f64>)> = database.tried(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT start_ts, mean, max FROM statistics
                     WHERE metadata_id = ? AND start_ts > ? AND start_ts + 3600 <= ? ORDER BY start_ts LIMIT ?",
                )?;
                let rows = statement.query_map((id, after, first_state, PAGE), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
                rows.collect()
            })?;
            let Some((last, ..)) = page.last() else { return Ok(true) };
            after = *last;
            for (start, mean, highest) in &page {
                self.looked_at += 1;
                let Some(value) = (if is_gust { *highest } else { *mean }) else {
                    self.empty += 1;
                    continue;
                };
                self.add(start.floor() as i64 + HOUR_S / 2, entity, unit, value)?;
            }
            if !tell(0.75) {
                return Err(ImportError::Interrupted);
            }
        }
    }

    fn add(&mut self, second: i64, entity: &Entity, unit: Unit, value: f64) -> Result<(), ImportError> {
        let canonical = entity.measured.to_canonical(Some(unit), value);
        let canonical = canonical.map_err(|error| ImportError::Unit {
            entity: entity.id.clone(),
            fault: EntityUnitError::Mismatch(error),
        })?;
        let measured = entity.measured;
        self.partials.add(second, measured.quantity(), measured.reduction(), canonical);
        Ok(())
    }
}

/// A type that one more column makes a row of.
trait Rest: Sized {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self>;
}

impl Rest for () {
    fn read(_: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        Ok(())
    }
}

impl Rest for Option<String> {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<String>> {
        row.get(1)
    }
}

fn metadata_id<T: Rest>(
    database: &Database,
    sql: &str,
    entity: &str,
) -> Result<Option<(i64, T)>, ImportError> {
    database.tried(|connection| {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([entity])?;
        Ok(match rows.next()? {
            Some(row) => Some((row.get(0)?, T::read(row)?)),
            None => None,
        })
    })
}

fn states(database: &Database, id: i64, time: f64, state_id: i64) -> Result<Vec<State>, ImportError> {
    database.tried(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT s.state_id, s.last_updated_ts, s.state, a.shared_attrs
             FROM states AS s LEFT JOIN state_attributes AS a ON a.attributes_id = s.attributes_id
             WHERE s.metadata_id = ?1 AND s.last_updated_ts >= ?2
               AND (s.last_updated_ts > ?2 OR s.state_id > ?3)
             ORDER BY s.last_updated_ts, s.state_id LIMIT ?4",
        )?;
        let rows = statement.query_map((id, time, state_id, PAGE), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect()
    })
}

/// Whether a statistic is the mean of directions: `mean_type` is 2 then, in databases that have it.
fn is_circular(database: &Database, id: i64) -> Result<bool, ImportError> {
    const CIRCULAR: i64 = 2;
    if !database.columns("statistics_meta")?.iter().any(|column| column == "mean_type") {
        return Ok(false);
    }
    database.tried(|connection| {
        let kind: Option<i64> =
            connection
                .query_row("SELECT mean_type FROM statistics_meta WHERE id = ?", [id], |row| row.get(0))?;
        Ok(kind == Some(CIRCULAR))
    })
}

fn unit_of(attributes: &str) -> Option<String> {
    let attributes: serde_json::Value = serde_json::from_str(attributes).ok()?;
    Some(attributes.get("unit_of_measurement")?.as_str()?.to_owned())
}

fn known_unit(
    units: &mut HashMap<String, Unit>,
    entity: &Entity,
    name: Option<String>,
) -> Result<Unit, ImportError> {
    let failed = |fault| ImportError::Unit { entity: entity.id.clone(), fault };
    let Some(name) = name else {
        return Err(failed(EntityUnitError::Missing(entity.measured.quantity())));
    };
    if let Some(unit) = units.get(&name) {
        return Ok(*unit);
    }
    let known = unit(&name, entity.measured).map_err(|error| failed(EntityUnitError::Name(error)))?;
    units.insert(name, known);
    Ok(known)
}

/// Entities whose unit is one of weather, with it.
fn candidates(database: &Database) -> Result<Vec<String>, ImportError> {
    const UNITS: [&str; 12] = ["°C", "°F", "K", "%", "hPa", "mbar", "inHg", "m/s", "km/h", "mph", "kn", "°"];
    let all: Vec<(String, Option<String>)> = database.tried(|connection| {
        let mut statement = connection
            .prepare("SELECT statistic_id, unit_of_measurement FROM statistics_meta ORDER BY statistic_id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    })?;
    let weather = all.into_iter().filter_map(|(id, unit)| {
        let unit = unit.filter(|unit| UNITS.contains(&unit.as_str()))?;
        Some(format!("{id} ({unit})"))
    });
    Ok(some_of(weather.collect()))
}

fn near(database: &Database, entity: &str) -> Result<Vec<String>, ImportError> {
    let mut all: Vec<String> = database.tried(|connection| {
        let mut statement =
            connection.prepare("SELECT entity_id FROM states_meta WHERE entity_id IS NOT NULL")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    })?;
    all.retain(|known| strsim::jaro_winkler(known, entity) >= SIMILAR);
    all.sort_by(|one, other| {
        strsim::jaro_winkler(other, entity).total_cmp(&strsim::jaro_winkler(one, entity)).then(one.cmp(other))
    });
    Ok(some_of(all))
}

fn some_of(mut names: Vec<String>) -> Vec<String> {
    if names.len() > MOST_NAMED {
        let more = names.len() - MOST_NAMED;
        names.truncate(MOST_NAMED);
        names.push(format!("and {more} more"));
    }
    names
}
