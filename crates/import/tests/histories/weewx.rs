//! WeeWX' table `archive`.

use std::path::PathBuf;

use forecastd_core::Quantity;
use forecastd_import::Origin;
use forecastd_mapping::Description;
use forecastd_record::Row;
use rusqlite::{Connection, params};

use crate::support::{Place, assert_same, message, value, weather};

/// The columns that are read, and some of the others, as `wview_extended.py` has them.
pub(crate) const SCHEMA: &str = "CREATE TABLE archive (dateTime INTEGER NOT NULL PRIMARY KEY, usUnits INTEGER NOT NULL,
     interval INTEGER NOT NULL, altimeter REAL, appTemp REAL, barometer REAL, dewpoint REAL, extraTemp1 REAL, inTemp REAL,
     outHumidity REAL, outTemp REAL, pressure REAL, rain REAL, windDir REAL, windGust REAL, windGustDir REAL, windSpeed REAL);
     CREATE TABLE archive_day_outTemp (dateTime INTEGER NOT NULL UNIQUE PRIMARY KEY, min REAL, mintime INTEGER);";

/// Converts to the units of a system: °C, hPa and m/s to those of US (1), METRIC (16) or METRICWX (17), by the definitions of
/// the foot, the mile and the inch of mercury.
pub(crate) fn in_units(system: i64, celsius: f64, hectopascal: f64, metre_per_second: f64) -> [f64; 3] {
    match system {
        1 => [celsius * 9.0 / 5.0 + 32.0, hectopascal / 33.863_886_4, metre_per_second * 3600.0 / 1609.344],
        16 => [celsius, hectopascal, metre_per_second * 3.6],
        _ => [celsius, hectopascal, metre_per_second],
    }
}

pub(crate) fn insert(connection: &Connection, rows: &[Row], system: impl Fn(usize) -> i64) {
    connection.execute_batch("BEGIN").unwrap();
    for (index, (time, values)) in rows.iter().enumerate() {
        let system = system(index);
        let [temperature, pressure, wind] = in_units(
            system,
            value(values, Quantity::AirTemperature),
            value(values, Quantity::AirPressure),
            value(values, Quantity::WindSpeed),
        );
        connection
            .execute(
                "INSERT INTO archive (dateTime, usUnits, interval, outTemp, pressure, outHumidity, windSpeed, windDir, rain)
                 VALUES (?, ?, 10, ?, ?, ?, ?, ?, 0.0)",
                params![
                    time.as_second(),
                    system,
                    temperature,
                    pressure,
                    value(values, Quantity::RelativeHumidity),
                    wind,
                    values.get(Quantity::WindFromDirection),
                ],
            )
            .unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
}

fn origin(path: PathBuf) -> Origin {
    Origin::Weewx { path, mapping: None }
}

pub(crate) const TOLERANCES: [(Quantity, f64); 4] = [
    (Quantity::AirTemperature, 1e-4),
    (Quantity::AirPressure, 1e-2),
    (Quantity::RelativeHumidity, 1e-4),
    (Quantity::WindSpeed, 1e-4),
];

#[test]
fn an_archive_whose_unit_system_was_changed_comes_in_as_it_was_measured() {
    let place = Place::new();
    let (path, connection) = place.database("weewx.sdb", SCHEMA);
    let rows = weather(120);
    let third = rows.len() / 3;
    insert(&connection, &rows, |index| [1, 16, 17][(index / third).min(2)]);
    let summary = place.import(&origin(path)).unwrap();
    assert_eq!((summary.rows, summary.imported.written), (rows.len() as u64, rows.len() as u64));
    assert!(summary.refused.is_empty(), "{summary}");
    assert_same(&place.held(), &rows, &TOLERANCES);
}

#[test]
fn rows_every_five_minutes_leave_one_reading_for_each_slot_the_last() {
    let place = Place::new();
    let (path, connection) = place.database("weewx.sdb", SCHEMA);
    let rows = weather(40);
    insert(&connection, &rows, |_| 17);
    // Between two rows of a slot's end, one in its middle that is a little warmer.
    let between: Vec<Row> = rows
        .iter()
        .map(|(time, values)| {
            let mut values = *values;
            values.set(Quantity::AirTemperature, values.get(Quantity::AirTemperature).unwrap() + 0.3);
            (*time - jiff::SignedDuration::from_secs(300), values)
        })
        .collect();
    insert(&connection, &between, |_| 17);
    let summary = place.import(&origin(path)).unwrap();
    assert_eq!((summary.rows, summary.readings()), (2 * rows.len() as u64, rows.len() as u64));
    assert_same(&place.held(), &rows, &TOLERANCES);
}

#[test]
fn a_mapping_takes_other_columns_of_the_archive() {
    let place = Place::new();
    let (path, connection) = place.database("weewx.sdb", SCHEMA);
    let rows = weather(40);
    insert(&connection, &rows, |_| 1);
    // The good thermometer is on a channel of its own, and the one of the console stands in the sun.
    connection.execute_batch("UPDATE archive SET extraTemp1 = outTemp, outTemp = outTemp + 9").unwrap();
    let text = "preset = \"weewx-archive\"\n[[value]]\nquantity = \"air_temperature\"\ncolumn = \"extraTemp1\"\n\
                unit = { at = \"usUnits\", is = { \"1\" = \"degF\", \"16\" = \"degC\", \"17\" = \"degC\" } }\n";
    let mapping = Some(Description::parse(text).unwrap());
    place.import(&Origin::Weewx { path, mapping }).unwrap();
    assert_same(&place.held(), &rows, &TOLERANCES[..1]);
}

#[test]
fn what_is_no_archive_of_weewx_is_refused_with_what_it_is() {
    let place = Place::new();
    let refused = |path: PathBuf| message(&place.import(&origin(path)).unwrap_err());
    let text = refused(place.write("archive.csv", "dateTime,usUnits,outTemp\n"));
    assert!(
        text.ends_with("archive.csv is no SQLite database; is it a CSV file? forecastd import csv"),
        "{text}"
    );
    let text = refused(place.path("not there.sdb"));
    assert!(text.contains("not there.sdb: No such file"), "{text}");
    let (other, _) = place.database("other.db", "CREATE TABLE states (a); CREATE TABLE states_meta (a);");
    let text = refused(other);
    assert!(
        text.contains("there is no table \"archive\"; it has states, states_meta; it is Home Assistant's"),
        "{text}"
    );
    let (old, _) = place.database("old.sdb", "CREATE TABLE archive (dateTime INTEGER, outTemp REAL);");
    assert!(refused(old).contains("has no column \"usUnits\""));
    let (strange, connection) = place.database("strange.sdb", SCHEMA);
    insert(&connection, &weather(2), |index| if index == 3 { 2 } else { 17 });
    let text = refused(strange);
    assert!(
        text.contains("usUnits is 2 in 1 rows; WeeWX has 1 (US), 16 (METRIC) and 17 (METRICWX)"),
        "{text}"
    );
    let (empty, _) = place.database("empty.sdb", SCHEMA);
    assert!(refused(empty).contains("no reading in it"));
    let mut bytes = std::fs::read(place.path("strange.sdb")).unwrap();
    bytes[100..].iter_mut().for_each(|byte| *byte = 0xa5);
    let text = refused(place.write("damaged.sdb", bytes));
    assert!(text.contains("damaged.sdb"), "{text}");
    assert!(place.held().is_empty(), "nothing came in");
}

/// WeeWX' own column holds whole seconds; a copy made by another program need not.
#[test]
fn an_archive_with_parts_of_seconds_and_rows_of_one_time_is_read_to_its_end() {
    let place = Place::new();
    let schema = SCHEMA.replace("INTEGER NOT NULL PRIMARY KEY, usUnits", "REAL, usUnits");
    let (path, connection) = place.database("weewx.sdb", &schema);
    let rows = weather(20);
    insert(&connection, &rows, |_| 17);
    insert(&connection, &rows, |_| 17);
    connection.execute("UPDATE archive SET dateTime = dateTime - 0.5", []).unwrap();
    let summary = place.import(&origin(path)).unwrap();
    assert_eq!((summary.rows, summary.readings()), (2 * rows.len() as u64, rows.len() as u64));
}
