//! Histories of other programs, brought in beside what is there.

use rusqlite::Connection;

use super::*;
use crate::{ImportReading, Imported, Importer};

/// A reading for the slot of ten minutes that ends at `slot` · 600 s, with what was measured.
fn imported(second: i64, values: Values) -> ImportReading {
    let slot = (second + 599) / 600;
    ImportReading { time: at(second), values, slot_begins: at((slot - 1) * 600), slot_ends: at(slot * 600) }
}

fn with_humidity(temperature_c: f32, humidity_pct: f32) -> Values {
    let mut values = temperature(temperature_c);
    values.set(Quantity::RelativeHumidity, humidity_pct);
    values
}

/// Every row of the table of readings: time, temperature and humidity in hundredths.
fn rows(path: &std::path::Path) -> Vec<(i64, Option<i64>, Option<i64>)> {
    let connection = Connection::open(path).unwrap();
    let mut select = connection
        .prepare("SELECT time, air_temperature_c, relative_humidity_pct FROM stored_reading ORDER BY time")
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn what_the_daemon_took_stands_and_only_what_a_slot_lacks_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut store = Store::new(&path);
    store.write(&[Batch { id: 1, entries: vec![reading("jena", 1190, 5.0)] }], PATIENCE).unwrap();

    let mut importer = Importer::open(&path, &name("jena")).unwrap();
    assert_eq!(importer.newest(at(5000)).unwrap(), Some(at(1190)));
    let batch = [
        imported(600, temperature(4.0)),
        imported(1200, with_humidity(9.0, 80.0)),
        imported(1800, temperature(6.0)),
    ];
    let first = importer.write(&batch).unwrap();
    assert_eq!(first, Imported { written: 2, completed: 1, present: 0 });
    let expected =
        [(600, Some(400), None), (1190, Some(500), None), (1200, None, Some(8000)), (1800, Some(600), None)];
    assert_eq!(rows(&path), expected);

    // Once more, by another process, and nothing is different.
    let again = Importer::open(&path, &name("jena")).unwrap().write(&batch).unwrap();
    assert_eq!(again, Imported { written: 0, completed: 0, present: 3 });
    assert_eq!(rows(&path), expected);
}

#[test]
fn a_row_of_the_very_time_is_completed_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut importer = Importer::open(&path, &name("jena")).unwrap();
    importer.write(&[imported(600, temperature(4.0))]).unwrap();
    importer.write(&[imported(600, with_humidity(7.0, 81.0))]).unwrap();
    assert_eq!(rows(&path), [(600, Some(400), Some(8100))]);
}

#[test]
fn an_import_begins_when_the_rows_of_an_earlier_version_have_been_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    // More than one step moves.
    super::migration::fill(&super::migration::version_1(&path, &[]), "jena", 0..1300);
    let mut importer = Importer::open(&path, &name("jena")).unwrap();
    let newest = importer.newest(Timestamp::MAX).unwrap().unwrap();
    let known = imported(newest.as_second(), temperature(1.0));
    assert_eq!(importer.write(&[known]).unwrap().present, 1);
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let text = "this is no database, but some text that is longer than the header of one ".repeat(10);
    std::fs::write(&path, &text).unwrap();
    let error = Importer::open(&path, &name("jena")).map(|_| ()).unwrap_err();
    assert_eq!(error.reason(), "corrupt");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
