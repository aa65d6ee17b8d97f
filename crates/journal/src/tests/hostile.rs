//! Files that a person, a failing disk or an enemy left.

use std::path::Path;

use rusqlite::Connection;

use super::writer::damage;
use super::*;

/// What a mutation leaves of four stations with five readings and three forecasts each.
struct Hostile {
    what: &'static str,
    how: How,
    /// Stations, readings and forecasts that must be restored, at least.
    left: [usize; 3],
}

enum How {
    /// Statements, with everything that SQLite allows switched on.
    Sql(&'static str),
    /// Something done to the file itself.
    File(fn(&Path)),
}

use How::{File, Sql};

const fn sql(what: &'static str, statements: &'static str, left: [usize; 3]) -> Hostile {
    Hostile { what, how: Sql(statements), left }
}

const fn file(what: &'static str, change: fn(&Path), left: [usize; 3]) -> Hostile {
    Hostile { what, how: File(change), left }
}

const HOSTILE: &[Hostile] = &[
    // Cells of readings.
    sql("text in a value", "UPDATE stored_reading SET air_temperature_c = 'warm' WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("a blob in a value", "UPDATE stored_reading SET air_pressure_hpa = x'00ff' WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("an infinite value", "UPDATE stored_reading SET air_temperature_c = 9e999 WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("a value that nothing has", "UPDATE stored_reading SET air_temperature_c = 9223372036854775807 WHERE station = 1", [4, 15, 12]),
    sql("text for a time", "UPDATE stored_reading SET time = 'noon' WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("a blob for a time", "UPDATE stored_reading SET time = x'01' WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("a broken time", "UPDATE stored_reading SET time = 600.5 WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("a time beyond the calendar", "UPDATE stored_reading SET time = 9223372036854775807 WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("a time before the calendar", "UPDATE stored_reading SET time = -9223372036854775808 WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("the year 9999", "UPDATE stored_reading SET time = 253402000000 WHERE station = 1 AND time = 3000", [4, 19, 12]),
    sql("a time before 1970", "UPDATE stored_reading SET time = -86400 WHERE station = 1 AND time = 600", [4, 19, 12]),
    sql("a reading of nothing", "UPDATE stored_reading SET air_temperature_c = NULL, air_pressure_hpa = NULL WHERE station = 1", [4, 15, 12]),
    sql("text for a station's number", "UPDATE stored_reading SET station = 'jena' WHERE station = 1 AND time = 600", [4, 19, 12]),
    // Forecasts.
    sql("a byte too many", "UPDATE stored_forecast SET leads = leads || x'00' WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("text for leads", "UPDATE stored_forecast SET leads = '[[80000000,1.0]]' WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("a number for leads", "UPDATE stored_forecast SET leads = 1e300 WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("no temperature", "UPDATE stored_forecast SET leads = x'01800080008000' WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("leads that fall", "UPDATE stored_forecast SET leads = x'0200018000800001000180008000' WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("50 MB of leads", "UPDATE stored_forecast SET leads = zeroblob(50000000) WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("leads beyond the end of time", "UPDATE stored_forecast SET origin = 253402207199 WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("issued beyond the end of time", "UPDATE stored_forecast SET issued_after_s = 9223372036854775807 WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("text for the origin", "UPDATE stored_forecast SET origin = 'noon' WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("a model that is not known", "UPDATE stored_forecast SET model = 77 WHERE station = 1 AND origin = 600", [4, 20, 11]),
    sql("a source that is none", "UPDATE model SET source = 'oracle'", [4, 20, 0]),
    sql("an infinite newest temperature", "UPDATE stored_forecast SET temperature_c = -9e999 WHERE station = 1 AND origin = 600", [4, 20, 11]),
    // Stations.
    sql("a blob for a name", "UPDATE station SET name = x'c328' WHERE id = 1", [3, 15, 9]),
    sql("a name that is no UTF-8", "UPDATE station SET name = CAST(x'c328' AS TEXT) WHERE id = 1", [3, 15, 9]),
    sql("a name that changes topics", "UPDATE station SET name = 'a/#' WHERE id = 1", [3, 15, 9]),
    sql("a name of 20 MB", "UPDATE station SET name = CAST(zeroblob(20000000) AS TEXT) WHERE id = 1", [3, 15, 9]),
    sql("text where the readings begin", "UPDATE station SET readings_from = 'always', active_at = x'00' WHERE id = 1", [4, 20, 12]),
    sql("readings from beyond time", "UPDATE station SET readings_from = -9223372036854775808, active_at = 9223372036854775807", [4, 20, 12]),
    sql("a state of 50 MB", "UPDATE station SET state = zeroblob(50000000) WHERE id = 1", [4, 20, 12]),
    sql("text for a state", "UPDATE station SET state = 'all well' WHERE id = 1", [4, 20, 12]),
    // The schema.
    sql("tables for views", "DROP VIEW reading; DROP VIEW forecast; DROP VIEW forecast_lead;
        CREATE TABLE reading (x); CREATE TABLE forecast AS SELECT 1; CREATE TABLE forecast_lead (station)", [4, 20, 12]),
    sql("a view for a table", "ALTER TABLE stored_reading RENAME TO hidden; CREATE VIEW stored_reading AS SELECT * FROM hidden", [4, 0, 12]),
    sql("a table without its key", "DROP TABLE stored_forecast; CREATE TABLE stored_forecast (station, origin, leads)", [4, 20, 0]),
    sql("no table of stations", "DROP TABLE station", [0, 0, 0]),
    sql("no table of models", "DROP TABLE model", [4, 20, 0]),
    sql("no settings", "DROP TABLE setting; DROP VIEW reading", [4, 20, 12]),
    sql("a trigger that refuses", "CREATE TRIGGER no BEFORE INSERT ON stored_reading BEGIN SELECT RAISE(ABORT, 'no'); END", [4, 20, 12]),
    sql("a trigger that deletes", "CREATE TRIGGER gone AFTER UPDATE ON station BEGIN DELETE FROM stored_reading; END", [4, 20, 12]),
    sql("views of nothing", "CREATE VIEW broken AS SELECT * FROM nowhere; DROP VIEW reading;
        CREATE VIEW reading AS SELECT * FROM broken", [4, 20, 12]),
    sql("an older version's number", "PRAGMA user_version = 0", [4, 20, 12]),
    sql("a version below all", "PRAGMA user_version = -5", [4, 20, 12]),
    sql("a station twice", "PRAGMA legacy_alter_table = ON; CREATE TABLE copy AS SELECT * FROM station; DROP TABLE station; ALTER TABLE copy RENAME TO station;
        INSERT INTO station SELECT * FROM station", [4, 20, 12]),
    sql("a waiting table of version 1 that is none", "CREATE TABLE v1_station (x); CREATE TABLE v1_reading (x); CREATE TABLE v1_forecast (x)", [4, 20, 12]),
    // The file.
    file("an empty file", |path| std::fs::write(path, "").unwrap(), [0, 0, 0]),
    file("a file of a few bytes", |path| std::fs::write(path, "SQLite format 3").unwrap(), [0, 0, 0]),
    file("a damaged header", |path| overwrite(path, 0, 100), [0, 0, 0]),
    file("a file cut in the middle", |path| cut(path, 2), [0, 0, 0]),
    file("a file cut within a page", |path| cut(path, 3), [0, 0, 0]),
    file("everything damaged behind the header", |path| damage(path, 4096), [0, 0, 0]),
    file("a log of rubbish beside it", |path| {
        std::fs::write(path.with_extension("sqlite-wal"), "rubbish".repeat(9999)).unwrap();
    }, [4, 20, 12]),
];

fn overwrite(path: &Path, from: usize, length: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let to = (from + length).min(bytes.len());
    bytes[from..to].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, parts: usize) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / parts]).unwrap();
}

/// A file with four stations.
fn good(path: &Path) {
    let mut store = Store::new(path);
    for station in ["alp", "bern", "chur", "davos"] {
        let mut entries: Vec<Entry> = (1..=5).map(|slot| reading(station, slot * 600, 1.5)).collect();
        entries.extend((1..=3).map(|slot| Entry::Forecast(Box::new(forecast(station, slot * 600)))));
        entries.push(state(station, b"state", 600, 3000));
        write(&mut store, entries);
    }
    write(&mut store, [Entry::Setting { key: "client_id".to_owned(), value: "x7".to_owned() }]);
}

fn sizes(report: &RestoreReport) -> [usize; 3] {
    let readings = report.stations.iter().map(|restored| {
        // A time from elsewhere is as good as any.
        restored.readings.iter().filter(|(_, values)| !values.is_empty()).count()
    });
    let forecasts = report.stations.iter().map(|restored| restored.forecasts.len());
    [report.stations.len(), readings.sum(), forecasts.sum()]
}

#[test]
fn no_file_ends_the_program_or_costs_more_than_what_cannot_be_read_of_it() {
    for hostile in HOSTILE {
        let what = hostile.what;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        good(&path);
        match hostile.how {
            Sql(statements) => Connection::open(&path).unwrap().execute_batch(statements).expect(what),
            File(change) => change(&path),
        }
        let mut store = Store::new(&path);
        let report = store.restore(ALL).expect(what);
        let found = sizes(&report);
        assert!(
            found.iter().zip(hostile.left).all(|(&found, left)| found >= left),
            "{what}: {found:?} of {:?}",
            hostile.left
        );
        // Whatever it was, the journal goes on, and so does another restart.
        write(&mut store, [reading("alp", 9000, 2.5), Entry::Forecast(Box::new(forecast("alp", 9000)))]);
        let mut tidying = crate::tidying::Tidying::START;
        let retention = crate::Retention { readings_days: 1, forecasts_days: 1 };
        while store.tidy(&mut tidying, Some(retention), 10_000).expect(what) == crate::legacy::Step::More {}
        drop(store);
        let again = Store::new(&path).restore(ALL).expect(what);
        let alp = again.stations.iter().find(|restored| restored.station == name("alp")).expect(what);
        assert!(alp.readings.contains(&(at(9000), temperature(2.5))), "{what}");
        assert!(alp.forecasts.contains(&forecast("alp", 9000)), "{what}");
    }
}

/// A file with so many stations of so many readings, written back.
fn large(path: &Path, stations: i64, readings: i64) {
    let mut store = Store::new(path);
    for station in 0..stations {
        let station = format!("station {station:03}");
        let mut entries: Vec<Entry> = (1..=readings).map(|slot| reading(&station, slot * 600, 1.5)).collect();
        entries.push(state(&station, b"state", 600, readings * 600));
        write(&mut store, entries);
    }
    write(&mut store, [Entry::Setting { key: "client_id".to_owned(), value: "x7".to_owned() }]);
}

#[test]
fn a_damaged_page_costs_the_rows_on_it_and_the_rest_goes_on_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    large(&path, 50, 200);
    let pages = std::fs::metadata(&path).unwrap().len() as usize / 4096;
    assert!(pages > 40, "{pages} pages");
    overwrite(&path, (pages - 3) * 4096, 4096);

    let mut store = Store::new(&path);
    let report = store.restore(ALL).unwrap();
    assert_eq!(report.damaged, Some(folder.path().join("journal.corrupt")));
    assert_eq!(report.stations.len(), 50);
    let [_, readings, _] = sizes(&report);
    // A page of the tree holds about a hundred readings.
    assert!((9700..10_000).contains(&readings), "{readings} of 10000 readings");
    assert_eq!(store.setting("client_id").unwrap().as_deref(), Some("x7"));
    drop(store);
    let again = Store::new(&path).restore(ALL).unwrap();
    assert_eq!(again.damaged, None);
    let readings_of = |report: &RestoreReport| -> Vec<_> {
        report.stations.iter().map(|restored| (restored.state.clone(), restored.readings.clone())).collect()
    };
    assert!(readings_of(&again) == readings_of(&report), "what could be read is in the new file");
}

#[test]
fn any_one_damaged_page_leaves_a_journal_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound.sqlite");
    large(&sound, 12, 150);
    let bytes = std::fs::read(&sound).unwrap();
    for page in 0..bytes.len() / 4096 {
        for (fill, from) in [(0x00, 0), (0xa5, 0), (0xff, 1), (0x0d, 1)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal.sqlite");
            let mut damaged = bytes.clone();
            damaged[page * 4096 + from..(page + 1) * 4096].fill(fill);
            std::fs::write(&path, damaged).unwrap();
            let mut store = Store::new(&path);
            store.restore(ALL).unwrap_or_else(|error| panic!("page {page} of {fill:#x}: {error:?}"));
            drop(store);
            let mut store = Store::new(&path);
            store.restore(ALL).unwrap_or_else(|error| panic!("page {page} of {fill:#x}, again: {error:?}"));
        }
    }
}
