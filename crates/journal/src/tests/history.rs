use super::*;
use crate::{History, Span};

fn span(from: i64, to: i64, most: usize) -> Span {
    Span { from: at(from), to: at(to), most }
}

fn origins(forecasts: &[Forecast]) -> Vec<i64> {
    forecasts.iter().map(|forecast| forecast.origin.as_second()).collect()
}

#[test]
fn what_lies_between_two_times_is_read_by_rising_time_and_the_latest_of_it_when_there_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut store = Store::new(&path);
    let seconds = [600, 1200, 1800, 2400, 3000];
    write(&mut store, seconds.map(|second| reading("jena", second, second as f32 / 100.0)));
    write(&mut store, seconds.map(|second| Entry::Forecast(Box::new(forecast("jena", second)))));
    write(&mut store, [reading("alp", 1200, -3.0)]);

    let history = History::open(&path).unwrap().unwrap();
    let jena = name("jena");
    let found = history.readings(&jena, span(1200, 2400, 100)).unwrap();
    let expected = [1200, 1800, 2400].map(|second| (at(second), temperature(second as f32 / 100.0)));
    assert_eq!(found, expected);
    assert_eq!(history.readings(&jena, span(0, 9999, 2)).unwrap()[0].0, at(2400));
    let found = history.forecasts(&jena, span(1200, 2400, 100), Some).unwrap();
    assert_eq!(found, [1200, 1800, 2400].map(|origin| forecast("jena", origin)));
    assert_eq!(origins(&history.forecasts(&jena, span(0, 2999, 2), Some).unwrap()), [1800, 2400]);
    assert_eq!(history.readings(&jena, span(2400, 1200, 100)).unwrap(), []);
    assert_eq!(history.forecasts(&name("alp"), span(0, 9999, 100), Some).unwrap(), []);
    assert_eq!(history.readings(&name("nobody"), span(0, 9999, 100)).unwrap(), []);
}

#[test]
fn a_reader_sees_what_was_committed_and_keeps_no_writer_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    assert!(History::open(&path).unwrap().is_none(), "there is no file");
    assert!(!path.exists(), "and looking made none");
    let mut store = Store::new(&path);
    write(&mut store, [reading("jena", 600, 1.0)]);
    let history = History::open(&path).unwrap().unwrap();
    let all = span(0, 9999, 100);
    assert_eq!(history.readings(&name("jena"), all).unwrap().len(), 1);
    // The reader is still open.
    write(&mut store, [reading("jena", 1200, 2.0)]);
    assert_eq!(history.readings(&name("jena"), all).unwrap().len(), 2);
    let writer = store.connection_for_tests();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM stored_reading").unwrap();
    assert_eq!(history.readings(&name("jena"), all).unwrap().len(), 2);
}

#[test]
fn a_file_that_is_no_journal_or_a_later_one_is_an_error_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    std::fs::write(&path, "no database, though long enough to be looked at as one".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(History::open(&path).err().map(|error| error.reason()), Some("corrupt"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_file(&path).unwrap();
    let mut store = Store::new(&path);
    write(&mut store, [reading("jena", 600, 1.0)]);
    store.connection_for_tests().pragma_update(None, "user_version", 99).unwrap();
    assert_eq!(History::open(&path).err().map(|error| error.reason()), Some("schema"));
}
