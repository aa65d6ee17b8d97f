//! Readings that are refused, by reason, and databases that others hold.

use forecastd_core::Quantity;
use forecastd_import::{Destination, Origin, read, write};
use forecastd_record::Row;
use jiff::SignedDuration;
use rusqlite::Connection;

use crate::support::{NOW, Place, START_S, at, grid, weather};
use crate::weewx::{SCHEMA, insert};

#[test]
fn every_refusal_is_counted_by_its_reason_with_the_first_and_the_rest_comes_in() {
    let place = Place::new();
    let (path, connection) = place.database("weewx.sdb", SCHEMA);
    let mut rows = weather(400);
    let whole = rows.len();
    // A clock that was reset, one that was ahead for an hour, and a thermometer that was broken for a moment.
    let wrong: Vec<Row> = (0..3).map(|index| (at(600 * index), rows[index as usize].1)).collect();
    let ahead: Vec<Row> = (1..=2).map(|hour| (NOW + SignedDuration::from_hours(hour), rows[0].1)).collect();
    for quantity in Quantity::ALL {
        if rows[500].1.get(quantity).is_some() {
            rows[500].1.set(quantity, 9000.0);
        }
    }
    for part in [&rows, &wrong, &ahead] {
        insert(&connection, part, |_| 17);
    }
    let origin = Origin::Weewx { path, mapping: None };
    let history = read(&origin, grid(), None, &mut ()).unwrap();
    let journal = place.journal();
    let destination =
        Destination { keep: SignedDuration::from_hours(24 * 100), ..place.destination(&journal) };
    let summary = write(&history, &destination, &mut ()).unwrap();
    let count = |reason: &str| {
        summary.refused.iter().find(|refused| refused.reason == reason).map_or(0, |refused| refused.count)
    };
    assert_eq!(count("wrong_clock"), 3, "{summary}");
    assert_eq!(count("in_future"), 2, "{summary}");
    assert_eq!(count("older_than_kept") as usize, whole - 100 * 144 - 1, "{summary}");
    assert_eq!(summary.imported.written as usize, 100 * 144 + 1);
    assert_eq!(place.held()[0].0, rows[whole - 100 * 144 - 1].0);
    let said = summary.to_string();
    assert!(said.contains("ahead of the clock") && said.contains("journal.keep_days = 100 days"), "{said}");
}

#[test]
fn a_reading_of_which_nothing_can_be_believed_is_refused_and_single_values_are_dropped() {
    let place = Place::new();
    let (path, connection) = place.database("weewx.sdb", SCHEMA);
    let mut rows = weather(40);
    let nothing = rows[700].1;
    for (quantity, _) in nothing.iter() {
        rows[700].1.set(quantity, 9000.0);
    }
    rows[800].1.set(Quantity::AirTemperature, -80.0);
    insert(&connection, &rows, |_| 17);
    let summary = place.import(&Origin::Weewx { path, mapping: None }).unwrap();
    assert_eq!(summary.imported.written as usize, rows.len() - 1);
    let refused = &summary.refused[0];
    assert_eq!((refused.reason, refused.count), ("implausible", 1));
    let held = place.held();
    let lacking: Vec<_> =
        held.iter().filter(|(_, values)| values.get(Quantity::AirTemperature).is_none()).collect();
    assert_eq!(lacking.len(), 1, "the spike is gone, and what was measured beside it stands");
    assert_eq!(lacking[0].0, at(START_S + 600 * 800));
}

#[test]
fn a_database_that_its_owner_holds_is_waited_for_and_then_said_to_be_locked() {
    let place = Place::new();
    let (path, connection) = place.database("weewx.sdb", SCHEMA);
    insert(&connection, &weather(2), |_| 17);
    let owner = Connection::open(&path).unwrap();
    owner.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let error = place.import(&Origin::Weewx { path, mapping: None }).unwrap_err().to_string();
    assert!(error.contains("is locked by another program") && error.contains("import a copy"), "{error}");
}
