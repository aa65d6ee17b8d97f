use rusqlite::{Connection, params};

use super::*;
use crate::forget;
use crate::legacy::Step;
use crate::tidying::Tidying;

/// What version 1 made of a new file, but for the columns of its quantities.
const VERSION_1: &str = "
    PRAGMA journal_mode = WAL;
    BEGIN;
    CREATE TABLE IF NOT EXISTS reading (
        station TEXT NOT NULL, time INTEGER NOT NULL{columns},
        PRIMARY KEY (station, time)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS forecast (
        station TEXT NOT NULL, issued_at INTEGER NOT NULL, source TEXT NOT NULL, model TEXT NOT NULL,
        temperature_c REAL NOT NULL, leads TEXT NOT NULL,
        PRIMARY KEY (station, issued_at)) WITHOUT ROWID;
    CREATE VIEW IF NOT EXISTS forecast_lead AS
        SELECT station, issued_at, source, model,
               json_extract(value, '$[0]') AS lead_h,
               issued_at + 3600 * json_extract(value, '$[0]') AS valid_at,
               json_extract(value, '$[1]') AS temperature_c,
               json_extract(value, '$[2]') AS low_c,
               json_extract(value, '$[3]') AS high_c
        FROM forecast, json_each(forecast.leads);
    PRAGMA user_version = 1;
    COMMIT;";

pub(super) fn version_1(path: &std::path::Path, without: &[Quantity]) -> Connection {
    let columns: String = Quantity::ALL
        .iter()
        .filter(|quantity| !without.contains(quantity))
        .map(|quantity| format!(", {} REAL", quantity.key()))
        .collect();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(&VERSION_1.replace("{columns}", &columns)).unwrap();
    connection
}

pub(super) fn fill(connection: &Connection, station: &str, times: std::ops::Range<i64>) {
    connection.execute_batch("BEGIN").unwrap();
    for time in times.map(|slot| slot * 600) {
        connection
            .execute(
                "INSERT INTO reading (station, time, air_temperature_c, air_pressure_hpa) VALUES (?, ?, ?, ?)",
                params![station, time, 15.555_556, (time % 50_000) as f64 / 100.0 + 500.0],
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO forecast VALUES (?, ?, 'model', 'jena@0', 0.71, '[[1,-1.5,-2.25,2.5],[24,3.07]]')",
                params![station, time],
            )
            .unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
}

/// Every row of a query as text.
fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> =
            (0..columns).map(|index| format!("{:?}", row.get_ref(index).unwrap())).collect();
        all.push(cells.join(" "));
    }
    all
}

const SEEN: [&str; 3] = [
    "SELECT * FROM reading ORDER BY station, time",
    "SELECT station, issued_at, source, model, temperature_c FROM forecast ORDER BY station, issued_at",
    "SELECT station, issued_at, source, model, lead_h, valid_at, temperature_c, low_c, high_c FROM forecast_lead
     ORDER BY station, issued_at, lead_h",
];

fn seen(path: &std::path::Path) -> Vec<Vec<String>> {
    let connection = Connection::open(path).unwrap();
    SEEN.iter().map(|sql| rows(&connection, sql)).collect()
}

fn move_all(store: &mut Store) {
    let mut tidying = Tidying::START;
    while store.tidy(&mut tidying, None, 0).unwrap() == Step::More {}
}

#[test]
fn a_file_of_version_1_reads_the_same_before_and_after_its_rows_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let old = version_1(&path, &[]);
    fill(&old, "jena", 0..700);
    fill(&old, "alp", 100..110);
    drop(old);
    let before = seen(&path);
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [710, 710, 1420]);

    let mut store = Store::new(&path);
    let limits = RestoreLimits { history_s: 3000, forecasts_s: 600, ..ALL };
    let unmoved = store.restore(limits).unwrap();
    assert_eq!(unmoved.skipped_rows, 0);
    let sizes = |report: &RestoreReport| -> Vec<(usize, usize)> {
        report.stations.iter().map(|restored| (restored.readings.len(), restored.forecasts.len())).collect()
    };
    assert_eq!(sizes(&unmoved), [(6, 2), (6, 2)]);
    let jena = &unmoved.stations[1];
    let newest = jena.readings.last().unwrap();
    assert_eq!(newest.0, at(699 * 600));
    assert_eq!(newest.1.get(Quantity::AirTemperature), Some(15.555_556));
    let lead = |lead_h: u32, temperature_c, interval_c| LeadForecast {
        lead_h,
        valid_at: at(699 * 600 + 3600 * i64::from(lead_h)),
        temperature_c,
        interval_c,
        quantiles_c: None,
    };
    assert_eq!(jena.forecasts[1].leads, [lead(1, -1.5, Some((-2.25, 2.5))), lead(24, 3.07, None)]);
    assert_eq!(seen(&path), before, "nothing is moved yet");

    move_all(&mut store);
    assert_eq!(seen(&path), before, "everything is moved");
    assert_eq!(store.restore(limits).unwrap(), unmoved);
    let left = rows(store.connection_for_tests(), "SELECT name FROM sqlite_schema WHERE name LIKE 'v1%'");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_of_an_earlier_version_that_knew_fewer_quantities_is_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fill(&version_1(&path, &[Quantity::AirDensity, Quantity::WindSpeedOfGust]), "jena", 0..3);
    let mut store = Store::new(&path);
    let mut values = temperature(1.0);
    values.set(Quantity::AirDensity, 1234.5);
    write(
        &mut store,
        [Entry::Reading { station: name("jena"), time: at(1800), values, slot_begins: at(1200) }],
    );
    assert_eq!(restore(&mut store).stations[0].readings.len(), 4);
    move_all(&mut store);
    let restored = restore(&mut store);
    assert_eq!(restored.stations[0].readings.len(), 4);
    assert_eq!(restored.stations[0].readings[3], (at(1800), values));
}

#[test]
fn a_column_that_a_later_quantity_needs_is_added_to_a_file_of_this_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut store = Store::new(&path);
    write(&mut store, [reading("jena", 600, 1.0)]);
    store
        .connection_for_tests()
        .execute_batch("DROP VIEW reading; ALTER TABLE stored_reading DROP COLUMN air_density_g_m3")
        .unwrap();
    drop(store);
    let mut store = Store::new(&path);
    write(&mut store, [reading("jena", 1200, 2.0)]);
    assert_eq!(restore(&mut store).stations[0].readings.len(), 2);
}

#[test]
fn what_is_written_anew_while_old_rows_wait_wins_over_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fill(&version_1(&path, &[]), "jena", 0..4);
    let mut store = Store::new(&path);
    let renewed = Forecast { issued_at: at(600), ..forecast("jena", 600) };
    write(
        &mut store,
        [
            reading("jena", 600, -7.0),
            Entry::Forecast(Box::new(renewed.clone())),
            Entry::Truncate { station: name("jena"), after: at(1200), until: None },
        ],
    );
    let unmoved = restore(&mut store);
    let jena = &unmoved.stations[0];
    assert_eq!(jena.readings.len(), 3);
    assert_eq!(jena.readings[1].1.get(Quantity::AirTemperature), Some(-7.0), "the new value");
    assert_eq!(
        jena.readings[1].1.get(Quantity::AirPressure),
        Some(506.0),
        "and what only the old one measured"
    );
    assert_eq!(jena.forecasts[1], renewed);
    move_all(&mut store);
    assert_eq!(restore(&mut store), unmoved);
}

#[test]
fn a_station_that_is_forgotten_while_its_old_rows_wait_stays_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let old = version_1(&path, &[]);
    fill(&old, "jena", 0..600);
    fill(&old, "alp", 0..2);
    drop(old);
    let mut store = Store::new(&path);
    write(&mut store, [Entry::Forget(name("jena")), reading("jena", 600, -7.0)]);
    let expected = [(at(600), temperature(-7.0))];
    assert_eq!(restore(&mut store).stations[1].readings, expected);
    move_all(&mut store);
    assert_eq!(restore(&mut store).stations[1].readings, expected);
    assert_eq!(restore(&mut store).stations[0].readings.len(), 2);

    let other = folder.path().join("other.sqlite");
    fill(&version_1(&other, &[]), "jena", 0..600);
    assert!(forget(&other, &name("jena")).unwrap());
    let left = rows(&Connection::open(&other).unwrap(), "SELECT * FROM v1_reading");
    assert!(left.is_empty(), "the command removes the rows themselves");
}

#[test]
fn rows_of_version_1_that_cannot_be_are_skipped_and_the_others_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let old = version_1(&path, &[]);
    fill(&old, "jena", 0..4);
    old.execute_batch(
        "UPDATE forecast SET leads = '[[80000000,1.0]]' WHERE issued_at = 0;
         UPDATE forecast SET leads = 'no json' WHERE issued_at = 600;
         UPDATE reading SET air_temperature_c = 'warm' WHERE time = 0;
         UPDATE reading SET time = 'noon' WHERE time = 600;
         INSERT INTO reading (station, time, air_temperature_c) VALUES (x'ff00', 600, 1.0), ('a/b', 600, 1.0);
         INSERT INTO reading (station, time, air_temperature_c) VALUES (CAST(x'ff' AS TEXT), 600, 1.0)",
    )
    .unwrap();
    drop(old);
    let mut store = Store::new(&path);
    let report = restore(&mut store);
    assert_eq!((report.stations[0].readings.len(), report.stations[0].forecasts.len()), (2, 2));
    assert_eq!(report.skipped_rows, 6, "two readings, two forecasts, two names");
    move_all(&mut store);
    assert_eq!(restore(&mut store).stations, report.stations);
}

/// The leads of a BLOB with their hours, as version 2 wrote all of them.
fn with_hours(leads: &[LeadForecast]) -> Vec<u8> {
    let cents = |value: f32| ((f64::from(value) * 100.0).round() as i16).to_be_bytes();
    let ends = |lead: &LeadForecast| match lead.interval_c {
        Some((low_c, high_c)) => [cents(low_c), cents(high_c)],
        None => [[0x80, 0]; 2],
    };
    let rows = leads.iter().map(|lead| (lead.lead_h as u8, cents(lead.temperature_c), ends(lead)));
    rows.flat_map(|(lead_h, point, ends)| [&[lead_h][..], &point, ends.as_flattened()].concat()).collect()
}

#[test]
fn forecasts_that_version_2_wrote_with_the_hours_of_their_leads_stay_and_are_read_beside_shorter_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let hourly = |origin: i64| {
        let leads = (1..=24_u32).map(|lead_h| LeadForecast {
            lead_h,
            valid_at: at(origin + 3600 * i64::from(lead_h)),
            temperature_c: lead_h as f32 / 4.0 - 2.0,
            interval_c: (lead_h != 7).then_some((-3.25, lead_h as f32)),
            quantiles_c: None,
        });
        Forecast { leads: leads.collect(), ..forecast("jena", origin) }
    };
    let mut store = Store::new(&path);
    write(&mut store, [600, 1200].map(|origin| Entry::Forecast(Box::new(hourly(origin)))));
    write(&mut store, [Entry::Forecast(Box::new(forecast("jena", 1800)))]);
    let (before, seen_before) = (restore(&mut store), seen(&path));
    drop(store);

    let old = Connection::open(&path).unwrap();
    let blob = with_hours(&hourly(600).leads);
    assert_eq!(blob.len(), 168);
    assert_eq!(old.execute("UPDATE stored_forecast SET leads = ? WHERE origin = 600", [&blob]).unwrap(), 1);
    old.execute_batch("DROP VIEW forecast; DROP VIEW forecast_lead; PRAGMA user_version = 2").unwrap();
    drop(old);
    let mut store = Store::new(&path);
    assert_eq!(restore(&mut store), before, "the same, whichever version wrote it");
    assert_eq!(seen(&path), seen_before);
    let lengths =
        rows(store.connection_for_tests(), "SELECT length(leads) FROM stored_forecast ORDER BY origin");
    assert_eq!(lengths, ["Integer(168)", "Integer(145)", "Integer(14)"]);
    let version = rows(store.connection_for_tests(), "PRAGMA user_version");
    assert_eq!(version, ["Integer(3)"]);
}

#[test]
fn a_file_from_before_there_were_experts_takes_them_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let written = [
        reading("jena", 600, -7.0),
        Entry::Forecast(Box::new(forecast("jena", 600))),
        state("jena", b"state", 0, 600),
        Entry::Experts { station: name("jena"), experts: b"experts".to_vec() },
    ];
    let mut store = Store::new(&path);
    write(&mut store, &written[..3]);
    let before = restore(&mut store);
    drop(store);
    Connection::open(&path).unwrap().execute_batch("DROP TABLE experts").unwrap();
    let mut store = Store::new(&path);
    assert_eq!(restore(&mut store).stations, before.stations);
    assert_eq!(before.stations[0].experts, None);
    write(&mut store, &written[3..]);
    let after = restore(&mut store);
    assert_eq!(after.stations[0].experts.as_deref(), Some(&b"experts"[..]));
    assert_eq!(after.stations[0].forecasts, before.stations[0].forecasts);

    write(&mut store, [Entry::Forget(name("jena")), reading("jena", 1200, 1.0)]);
    assert_eq!(restore(&mut store).stations[0].experts, None, "what is forgotten is forgotten");
    assert!(rows(&Connection::open(&path).unwrap(), "SELECT * FROM experts").is_empty());
}
