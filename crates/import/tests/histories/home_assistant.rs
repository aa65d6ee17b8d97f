//! Home Assistant's recorder.

use std::path::PathBuf;

use forecastd_core::Quantity;
use forecastd_import::{Entity, Origin};
use forecastd_mapping::Description;
use forecastd_record::Row;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use crate::support::{Place, assert_same, at_sea_level_hpa, message, value, weather};

/// The tables that are read, as `db_schema.py` has them at schema version 41.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id VARCHAR(255));
    CREATE TABLE state_attributes (attributes_id INTEGER PRIMARY KEY, hash BIGINT, shared_attrs TEXT);
    CREATE TABLE states (state_id INTEGER PRIMARY KEY, entity_id CHAR(0), state VARCHAR(255), attributes CHAR(0),
        event_id SMALLINT, last_changed CHAR(0), last_changed_ts FLOAT, last_updated CHAR(0), last_updated_ts FLOAT,
        old_state_id INTEGER, attributes_id INTEGER, context_id CHAR(0), context_user_id CHAR(0),
        context_parent_id CHAR(0), origin_idx SMALLINT, context_id_bin BLOB, context_user_id_bin BLOB,
        context_parent_id_bin BLOB, metadata_id INTEGER);
    CREATE INDEX ix_states_metadata_id_last_updated_ts ON states (metadata_id, last_updated_ts);
    CREATE TABLE statistics_meta (id INTEGER PRIMARY KEY, statistic_id VARCHAR(255), source VARCHAR(32),
        unit_of_measurement VARCHAR(255), has_mean BOOLEAN, has_sum BOOLEAN, name VARCHAR(255));
    CREATE TABLE statistics (id INTEGER PRIMARY KEY, created CHAR(0), created_ts FLOAT, metadata_id INTEGER,
        start CHAR(0), start_ts FLOAT, mean FLOAT, min FLOAT, max FLOAT, last_reset CHAR(0), last_reset_ts FLOAT,
        state FLOAT, sum FLOAT);
    CREATE TABLE recorder_runs (run_id INTEGER PRIMARY KEY);";

const T: &str = "sensor.garden_temperature";
const H: &str = "sensor.garden_humidity";
const P: &str = "sensor.garden_pressure";

fn entities(of: &[(&str, &str)]) -> Vec<Entity> {
    of.iter().map(|(quantity, id)| Entity::parse(&format!("{quantity}={id}")).unwrap()).collect()
}

fn origin(path: PathBuf, entities: Vec<Entity>) -> Origin {
    Origin::HomeAssistant { path, entities, sure: Vec::new() }
}

fn all_entities() -> Vec<Entity> {
    entities(&[("air_temperature", T), ("humidity", H), ("pressure", P)])
}

/// An entity with an id of the recorder, its attributes, and a state for each value.
fn add_states(connection: &Connection, id: i64, entity: &str, unit: &str, states: &[(f64, String)]) {
    connection.execute("INSERT INTO states_meta VALUES (?, ?)", params![id, entity]).unwrap();
    let attributes = serde_json::json!({ "unit_of_measurement": unit, "friendly_name": entity }).to_string();
    connection.execute("INSERT INTO state_attributes VALUES (?, 0, ?)", params![id, attributes]).unwrap();
    for (second, state) in states {
        connection
            .execute(
                "INSERT INTO states (state, last_updated_ts, attributes_id, metadata_id) VALUES (?, ?, ?, ?)",
                params![state, second, id, id],
            )
            .unwrap();
    }
}

fn add_statistics(connection: &Connection, id: i64, entity: &str, unit: &str, means: &[(i64, f64)]) {
    connection
        .execute(
            "INSERT INTO statistics_meta VALUES (?, ?, 'recorder', ?, 1, 0, NULL)",
            params![id, entity, unit],
        )
        .unwrap();
    for (start, mean) in means {
        connection
            .execute(
                "INSERT INTO statistics (metadata_id, start_ts, mean, min, max) VALUES (?, ?, ?, ?, ?)",
                params![id, start, mean, mean - 1.0, mean + 1.0],
            )
            .unwrap();
    }
}

fn states(rows: &[Row], offset_s: f64, of: impl Fn(&Row) -> f64) -> Vec<(f64, String)> {
    rows.iter().map(|row| (row.0.as_second() as f64 + offset_s, of(row).to_string())).collect()
}

/// A recorder with states of everything in the last days, each sensor at its own moment, and unavailable now and then.
fn fill(connection: &Connection, rows: &[Row]) {
    connection.execute_batch("BEGIN").unwrap();
    let mut temperature =
        states(rows, -200.25, |(_, values)| value(values, Quantity::AirTemperature) * 1.8 + 32.0);
    temperature.insert(7, (temperature[6].0 + 1.0, "unavailable".to_owned()));
    temperature.insert(9, (temperature[8].0 + 1.0, "unknown".to_owned()));
    add_states(connection, 3, T, "°F", &temperature);
    add_states(connection, 4, H, "%", &states(rows, -60.0, |row| value(&row.1, Quantity::RelativeHumidity)));
    add_states(connection, 5, P, "hPa", &states(rows, 0.0, |row| value(&row.1, Quantity::AirPressure)));
    connection.execute_batch("COMMIT").unwrap();
}

const TOLERANCES: [(Quantity, f64); 3] =
    [(Quantity::AirTemperature, 1e-4), (Quantity::RelativeHumidity, 1e-4), (Quantity::AirPressure, 1e-3)];

#[test]
fn states_of_several_sensors_become_readings_of_their_slots_in_the_units_that_attributes_say() {
    let place = Place::new();
    let (path, connection) = place.database("home-assistant_v2.db", SCHEMA);
    let rows = weather(40);
    fill(&connection, &rows);
    let summary = place.import(&origin(path, all_entities())).unwrap();
    assert_eq!((summary.rows, summary.empty), (3 * rows.len() as u64 + 2, 2));
    assert_same(&place.held(), &rows, &TOLERANCES);
}

#[test]
fn statistics_stand_for_the_middle_of_their_hour_and_end_where_states_begin() {
    let place = Place::new();
    let (path, connection) = place.database("home-assistant_v2.db", SCHEMA);
    let rows = weather(60);
    let new = &rows[50 * 144..];
    fill(&connection, new);
    // Statistics go on beside states.
    let hours: Vec<&Row> = rows.iter().filter(|(time, _)| time.as_second() % 3600 == 1800).collect();
    let means = |of: &dyn Fn(&Row) -> f64| -> Vec<(i64, f64)> {
        hours.iter().map(|row| (row.0.as_second() - 1800, of(row))).collect()
    };
    add_statistics(&connection, 1, T, "°C", &means(&|row| value(&row.1, Quantity::AirTemperature)));
    add_statistics(&connection, 2, H, "%", &means(&|row| value(&row.1, Quantity::RelativeHumidity)));
    add_statistics(
        &connection,
        6,
        P,
        "inHg",
        &means(&|row| value(&row.1, Quantity::AirPressure) / 33.863_886_4),
    );
    place.import(&origin(path, all_entities())).unwrap();
    let held = place.held();
    // States begin within the last hour before, of which there is no statistic then.
    let first_state = new[0].0 - SignedDuration::from_secs(201);
    let whole_hours = |time: Timestamp| time + SignedDuration::from_secs(1800) <= first_state;
    let of_statistics: Vec<Row> = held.iter().filter(|(time, _)| whole_hours(*time)).copied().collect();
    let of_states: Vec<Row> = held.iter().filter(|(time, _)| *time >= new[0].0).copied().collect();
    let expected: Vec<Row> = hours.into_iter().filter(|(time, _)| whole_hours(*time)).copied().collect();
    assert_eq!(expected.len(), 50 * 24 - 1);
    assert_same(&of_statistics, &expected, &[TOLERANCES[0], TOLERANCES[1], (Quantity::AirPressure, 1e-2)]);
    assert_same(&of_states, new, &TOLERANCES);
}

/// As of a computer without a clock of its own, before the first answer of a time server.
#[test]
fn a_state_of_1970_does_not_hide_the_statistics() {
    let place = Place::new();
    let (path, connection) = place.database("home-assistant_v2.db", SCHEMA);
    let rows = weather(4);
    let hours: Vec<(i64, f64)> = rows
        .iter()
        .filter(|(time, _)| time.as_second() % 3600 == 1800)
        .map(|row| (row.0.as_second() - 1800, value(&row.1, Quantity::AirTemperature)))
        .collect();
    add_states(&connection, 1, T, "°C", &[(100.5, "7.0".to_owned())]);
    add_statistics(&connection, 1, T, "°C", &hours);
    let entities = entities(&[("air_temperature", T)]);
    let summary = place.import(&origin(path, entities)).unwrap();
    assert_eq!(summary.imported.written, hours.len() as u64);
}

#[test]
fn pressure_at_sea_level_comes_back_to_the_station_with_the_temperature_of_its_slot() {
    let place = Place::new();
    let (path, connection) = place.database("home-assistant_v2.db", SCHEMA);
    let rows = weather(40);
    fill(&connection, &rows);
    add_states(&connection, 9, "sensor.qff", "hPa", &states(&rows, -10.0, at_sea_level_hpa));
    let mut wanted = all_entities();
    wanted[2] = entities(&[("air_pressure_at_mean_sea_level", "sensor.qff")]).remove(0);
    place.import(&origin(path, wanted)).unwrap();
    let pressures = [(Quantity::AirPressure, 0.01)];
    let shifted: Vec<Row> =
        rows.iter().map(|(time, values)| (*time - SignedDuration::from_secs(10), *values)).collect();
    assert_same(&place.held(), &shifted, &pressures);
}

#[test]
fn what_is_not_said_or_not_there_is_asked_with_what_the_file_has() {
    let place = Place::new();
    let (path, connection) = place.database("home-assistant_v2.db", SCHEMA);
    fill(&connection, &weather(3));
    add_statistics(&connection, 1, T, "°C", &[]);
    add_statistics(&connection, 2, "sensor.energy", "kWh", &[]);
    add_states(&connection, 11, "sensor.strange", "furlong", &[(1.0, "3".to_owned())]);
    let refused = |path: &PathBuf, wanted: Vec<Entity>| {
        message(&place.import(&origin(path.clone(), wanted)).unwrap_err())
    };
    let text = refused(&path, vec![]);
    assert!(
        text.contains("--entity air_temperature=sensor.NAME; the file has sensor.garden_temperature (°C)")
            && !text.contains("energy"),
        "{text}"
    );
    let text = refused(&path, entities(&[("air_temperature", "sensor.gardn_temperature")]));
    assert!(
        text.contains("no entity \"sensor.gardn_temperature\"; the file has sensor.garden_temperature"),
        "{text}"
    );
    let text = refused(&path, entities(&[("air_temperature", "sensor.strange")]));
    assert!(text.starts_with("sensor.strange: unknown unit \"furlong\" of air_temperature"), "{text}");
    let text = refused(&path, entities(&[("air_temperature", T), ("temperature", "sensor.other")]));
    assert!(text.contains("are both air_temperature"), "{text}");
    let text = refused(&path, entities(&[("humidity", H)]));
    assert!(text.contains("no entity is air_temperature"), "{text}");
    let (old, _) = place.database(
        "old.db",
        "CREATE TABLE states (state_id INTEGER, entity_id TEXT, state TEXT, last_updated DATETIME);
         CREATE TABLE statistics (id INTEGER);",
    );
    assert!(refused(&old, all_entities()).contains("of a Home Assistant before 2023.4"));
    let (weewx, _) = place.database("weewx.sdb", "CREATE TABLE archive (dateTime INTEGER);");
    assert!(refused(&weewx, all_entities()).contains("it is WeeWX': forecastd import weewx"));
}

#[test]
fn a_mapping_names_entities_as_columns() {
    let text = format!("[columns]\n\"{T}\" = {{ quantity = \"air_temperature\", unit = \"degF\" }}\n");
    let of = Entity::all_of(&Description::parse(&text).unwrap()).unwrap();
    assert_eq!(of.len(), 1);
    assert_eq!((of[0].id.as_str(), of[0].unit.as_deref()), (T, Some("degF")));
    let wrong = Description::parse("[columns]\nx = { quantity = \"warmth\" }\n").unwrap();
    let error = Entity::all_of(&wrong).unwrap_err().to_string();
    assert!(error.starts_with("x: unknown quantity \"warmth\""), "{error}");
    let column = |rest: &str| format!("[columns]\nx = {{ quantity = \"air_temperature\", {rest} }}\n");
    for (text, begins) in [
        (column("scale = 0.1"), "x: scale says nothing"),
        (column("missing = [-999]"), "x: missing says nothing"),
        (column("where = { a = 1 }"), "x: where says nothing"),
        (format!("missing = [-999]\n{}", column("unit = \"K\"")), "missing says nothing"),
        (format!("where = {{ a = 1 }}\n{}", column("unit = \"K\"")), "where says nothing"),
    ] {
        let error = Entity::all_of(&Description::parse(&text).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with(begins), "{error}");
    }
}

#[test]
fn a_state_that_does_not_change_lasts_until_the_next_and_two_hours_at_most() {
    let place = Place::new();
    let (path, connection) = place.database("home-assistant_v2.db", SCHEMA);
    let rows = weather(3);
    add_states(&connection, 3, T, "°C", &states(&rows, 0.0, |row| value(&row.1, Quantity::AirTemperature)));
    let begin = rows[0].0.as_second() as f64;
    let hours = |hours: f64, state: &str| (begin + 3600.0 * hours, state.to_owned());
    // Fog for an hour and a half, a sensor that was away, and one that said nothing for five hours.
    let humidity =
        [hours(0.0, "100"), hours(1.5, "90"), hours(2.0, "unavailable"), hours(4.0, "80"), hours(9.0, "70")];
    add_states(&connection, 4, H, "%", &humidity);
    let wanted = entities(&[("air_temperature", T), ("humidity", H)]);
    place.import(&origin(path, wanted)).unwrap();
    let held = place.held();
    let at = |hours: f64| {
        let time = begin + 3600.0 * hours;
        let row = held.iter().find(|(at, _)| at.as_second() as f64 == time).unwrap();
        row.1.get(Quantity::RelativeHumidity)
    };
    for (hours, humidity) in [
        (1.0, Some(100.0)),
        (1.5, Some(90.0)),
        (11.0 / 6.0, Some(90.0)),
        (2.5, None),
        (4.0, Some(80.0)),
        (6.0, Some(80.0)),
        (6.5, None),
        (9.0, Some(70.0)),
        (9.5, None),
    ] {
        assert_eq!(at(hours), humidity, "after {hours} h");
    }
}

#[test]
fn what_a_mapping_is_sure_of_is_taken_though_it_looks_wrong() {
    let place = Place::new();
    let (path, connection) = place.database("home-assistant_v2.db", SCHEMA);
    let rows = weather(40);
    add_states(&connection, 3, T, "°C", &states(&rows, 0.0, |row| value(&row.1, Quantity::AirTemperature)));
    let share = |row: &Row| value(&row.1, Quantity::RelativeHumidity) / 100.0;
    add_states(&connection, 4, H, "%", &states(&rows, 0.0, share));
    let wanted = entities(&[("air_temperature", T), ("humidity", H)]);
    let asked = message(&place.import(&origin(path.clone(), wanted.clone())).unwrap_err());
    assert!(asked.contains("sure = ["), "{asked}");
    let sure = vec!["humidity".to_owned()];
    let summary = place.import(&Origin::HomeAssistant { path, entities: wanted, sure }).unwrap();
    assert_eq!(summary.rows, 2 * rows.len() as u64);
}
