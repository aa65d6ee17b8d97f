use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::legacy::Step;
use crate::tidying::Tidying;
use crate::{JournalError, Opened, Retention, forget, recall};
use forecastd_core::{Below, DayAhead, Extreme};

#[test]
fn what_was_written_is_restored_by_station_from_where_its_state_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/journal.sqlite");
    let mut store = Store::new(&path);
    write(
        &mut store,
        [
            reading("jena", 600, 0.6),
            reading("jena", 1200, 1.25),
            reading("jena", 1800, 15.555_556),
            Entry::Forecast(Box::new(forecast("jena", 600))),
            Entry::Forecast(Box::new(forecast("jena", 1200))),
            Entry::Forecast(Box::new(forecast("jena", 1800))),
            Entry::State {
                station: name("jena"),
                state: vec![1, 2, 3],
                readings_from: at(1200),
                forecasts_from: at(1800),
                active_at: at(1800),
            },
            reading("alp", 600, -3.25),
            Entry::Setting { key: "client_id".to_owned(), value: "x7".to_owned() },
        ],
    );
    drop(store);

    let mut store = Store::new(&path);
    let report = restore(&mut store);
    assert_eq!((report.omitted, report.skipped_rows, report.damaged), (0, 0, None));
    let [alp, jena] = &report.stations[..] else { panic!("two stations: {:?}", report.stations) };
    assert_eq!((&alp.station, &alp.state), (&name("alp"), &None));
    assert_eq!(alp.readings, [(at(600), temperature(-3.25))]);
    assert_eq!(jena.state.as_deref(), Some(&[1, 2, 3][..]));
    assert_eq!(jena.readings, [(at(1200), temperature(1.25)), (at(1800), temperature(15.555_556))]);
    assert_eq!(jena.forecasts, [forecast("jena", 1800)]);
    assert_eq!(store.setting("client_id").unwrap().as_deref(), Some("x7"));
    assert_eq!(store.setting("other").unwrap(), None);
}

#[test]
fn what_is_recalled_while_another_writes_is_what_was_committed_since_the_times_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let wanted = |station: &str, readings_from, forecasts_from| forecastd_core::Recall {
        station: name(station),
        readings_from: at(readings_from),
        forecasts_from: at(forecasts_from),
    };
    assert_eq!(recall(&path, &[wanted("jena", 0, 0)]).unwrap(), []);
    assert!(!path.exists(), "asking makes no file");
    let mut store = Store::new(&path);
    let hours = [600, 1200, 1800];
    write(&mut store, hours.map(|second| reading("jena", second, 1.0)));
    write(&mut store, hours.map(|second| Entry::Forecast(Box::new(forecast("jena", second)))));
    write(&mut store, [reading("alp", 600, 2.0)]);
    let writer = store.connection_for_tests();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM stored_reading").unwrap();
    let found = recall(&path, &[wanted("jena", 1200, 1800), wanted("nobody", 0, 0)]).unwrap();
    let [jena] = &found[..] else { panic!("one station: {found:?}") };
    assert_eq!(jena.readings, [(at(1200), temperature(1.0)), (at(1800), temperature(1.0))]);
    assert_eq!(jena.forecasts, [forecast("jena", 1800)]);
}

#[test]
fn people_read_numbers_by_the_names_and_columns_of_version_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut store = Store::new(&path);
    let mut cold = forecast("jena", 1800);
    cold.leads[1].temperature_c = -327.67;
    cold.leads[0].interval_c = Some((-0.01, 327.67));
    write(
        &mut store,
        [reading("jena", 1800, 0.71), reading("jena", 2400, 15.555_556), Entry::Forecast(Box::new(cold))],
    );
    let connection = Connection::open(&path).unwrap();
    let rows = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
            let cells: Vec<String> = (0..columns)
                .map(|index| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(index)?)))
                .collect::<rusqlite::Result<_>>()?;
            Ok(cells.join(" "))
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(
        rows(
            "SELECT station, time, air_temperature_c, air_pressure_hpa FROM reading WHERE station = 'jena' ORDER BY time"
        ),
        [
            r#"Text("jena") Integer(1800) Real(0.71) Null"#,
            r#"Text("jena") Integer(2400) Real(15.555556) Null"#
        ]
    );
    assert_eq!(
        rows(
            "SELECT station, issued_at, source, model, lead_h, valid_at, temperature_c, low_c, high_c
              FROM forecast_lead ORDER BY lead_h"
        ),
        [
            r#"Text("jena") Integer(1740) Text("model") Text("jena@0") Integer(1) Integer(5400) Real(-1.5) Real(-0.01) Real(327.67)"#,
            r#"Text("jena") Integer(1740) Text("model") Text("jena@0") Integer(24) Integer(88200) Real(-327.67) Null Null"#
        ]
    );
    assert_eq!(
        rows("SELECT station, issued_at, source, model, temperature_c, leads FROM forecast"),
        [
            r#"Text("jena") Integer(1740) Text("model") Text("jena@0") Real(0.71) Text("[[1,-1.5,-0.01,327.67],[24,-327.67]]")"#
        ]
    );
}

#[test]
fn the_file_is_not_for_others_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut store = Store::new(&path);
    write(&mut store, [reading("jena", 600, 1.0)]);
    for file in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{file} has {mode:o}");
    }
}

#[test]
fn a_file_that_another_program_locks_is_restored_from_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    write(&mut Store::new(&path), [reading("jena", 600, 1.0)]);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(restore(&mut Store::new(&path)).stations.len(), 1);
}

#[test]
fn stations_without_a_seat_are_the_ones_that_were_silent_longest_and_are_counted() {
    let mut store = Store::in_memory();
    write(
        &mut store,
        [
            state("old", b"", 0, 100),
            state("new", b"", 0, 300),
            state("next", b"", 0, 200),
            // Without a state the newest reading says when.
            reading("read", 250, 1.0),
        ],
    );
    let report = store.restore(RestoreLimits { max_stations: 2, ..ALL }).unwrap();
    let names: Vec<&str> = report.stations.iter().map(|restored| restored.station.as_str()).collect();
    assert_eq!((&names[..], report.omitted), (&["new", "read"][..], 2));
}

#[test]
fn a_time_far_ahead_hides_no_history_of_a_station_without_state() {
    let mut store = Store::in_memory();
    let now = ALL.not_after.as_second();
    write(
        &mut store,
        [
            reading("jena", now - 600, 1.0),
            reading("jena", now - 7200, 1.0),
            reading("jena", 253_402_000_000, 1.0),
        ],
    );
    let report = store.restore(RestoreLimits { history_s: 3600, ..ALL }).unwrap();
    let times: Vec<i64> = report.stations[0].readings.iter().map(|(time, _)| time.as_second()).collect();
    assert_eq!(times, [now - 600, 253_402_000_000]);
}

#[test]
fn a_forgotten_station_is_gone_at_once_and_its_rows_are_not_another_ones() {
    let mut store = Store::in_memory();
    write(&mut store, [reading("jena", 600, 1.0), Entry::Forecast(Box::new(forecast("jena", 600)))]);
    write(&mut store, [Entry::Forget(name("jena"))]);
    assert_eq!(restore(&mut store).stations, []);
    write(&mut store, [reading("jena", 1200, 2.0)]);
    assert_eq!(restore(&mut store).stations[0].readings, [(at(1200), temperature(2.0))]);
    tidy_all(&mut store, 400, 2000);
    assert_eq!(stored(&mut store), (1, 0), "what belongs to nobody was removed");
}

#[test]
fn a_station_is_forgotten_without_a_daemon_and_beside_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    assert!(!forget(&path, &name("jena")).unwrap(), "no file");
    assert!(!path.exists());
    let mut daemon = Store::new(&path);
    let of_each: Vec<Entry> =
        (0..1500).flat_map(|time| [reading("jena", time, 1.0), reading("alp", time, 1.0)]).collect();
    write(&mut daemon, of_each);
    assert!(!forget(&path, &name("rome")).unwrap());
    assert!(forget(&path, &name("jena")).unwrap());
    assert_eq!(stored(&mut daemon), (1500, 0), "rows of the other station stay");
    // The daemon still runs and writes on.
    write(&mut daemon, [reading("jena", 9000, 2.0)]);
    let report = restore(&mut daemon);
    assert_eq!(report.stations[1].readings, [(at(9000), temperature(2.0))]);
}

#[test]
fn old_rows_are_removed_by_the_newest_of_their_own_station_but_never_what_a_restart_needs() {
    let day = 86_400;
    let mut store = Store::in_memory();
    write(
        &mut store,
        [
            reading("a", 0, 1.0),
            reading("a", 3 * day, 1.0),
            Entry::Forecast(Box::new(forecast("a", 0))),
            Entry::Forecast(Box::new(forecast("a", 2 * day))),
            reading("b", 0, 1.0),
            // A row of the year 9999 makes nothing old.
            reading("c", 0, 1.0),
            reading("c", 253_402_000_000, 1.0),
            reading("d", 0, 1.0),
            reading("d", 9 * day, 1.0),
            state("d", b"", 0, 9 * day),
        ],
    );
    tidy_all(&mut store, 2, 10 * day);
    let kept: Vec<(usize, usize)> = restore(&mut store)
        .stations
        .iter()
        .map(|restored| (restored.readings.len(), restored.forecasts.len()))
        .collect();
    assert_eq!(kept, [(1, 1), (1, 0), (2, 0), (2, 0)]);
}

#[test]
fn many_old_rows_are_removed_in_small_steps() {
    let mut store = Store::in_memory();
    let all: Vec<Entry> = (0..3500).map(|time| reading("a", time, 1.0)).collect();
    write(&mut store, all);
    write(&mut store, [reading("a", 86_400 * 10, 1.0)]);
    assert_eq!(tidy_all(&mut store, 2, 86_400 * 10), 4);
    assert_eq!(stored(&mut store), (1, 0));
}

#[test]
fn a_forecast_that_does_not_fit_is_refused_and_keeps_nothing_else_out() {
    let mut store = Store::in_memory();
    let mut absurd = forecast("jena", 600);
    absurd.leads[0].temperature_c = 5012.0;
    let entries = vec![Entry::Forecast(Box::new(absurd)), reading("jena", 600, 1.0)];
    assert_eq!(store.write(&[Batch { id: 1, entries }], PATIENCE).unwrap().refused, 1);
    let restored = &restore(&mut store).stations[0];
    assert_eq!((restored.readings.len(), restored.forecasts.len()), (1, 0));
}

#[test]
fn a_file_that_is_no_database_is_moved_aside_again_and_again_without_losing_any() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    for aside in ["journal.corrupt", "journal.corrupt-2", "journal.corrupt-3"] {
        let rubbish = format!("definitely not a database, {aside}").repeat(1000);
        std::fs::write(&path, &rubbish).unwrap();
        let aside = folder.path().join(aside);
        assert_eq!(Store::new(&path).open().unwrap(), Opened::Recreated { aside: aside.clone() });
        assert_eq!(std::fs::read_to_string(aside).unwrap(), rubbish);
    }
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x); PRAGMA user_version = 99").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::new(&path).open().unwrap_err();
    assert_eq!(error.reason(), "schema");
    assert!(error.to_string().ends_with("has schema 99, this version writes 3"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_was_moved_or_deleted_is_noticed_and_a_moved_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("journal.sqlite"), folder.path().join("moved.sqlite"));
    let mut store = Store::new(&path);
    write(&mut store, [reading("jena", 600, 1.0)]);
    std::fs::rename(&path, &moved).unwrap();
    let again = [Batch { id: 2, entries: vec![reading("jena", 1200, 2.0)] }];
    let gone = store.write(&again, PATIENCE).unwrap_err();
    assert_eq!(gone.reason(), "gone");
    assert_eq!(store.recreate(&gone).unwrap(), None);
    store.write(&again, PATIENCE).unwrap();
    assert_eq!(restore(&mut store).stations[0].readings, [(at(1200), temperature(2.0))]);
    assert_eq!(restore(&mut Store::new(&moved)).stations[0].readings, [(at(600), temperature(1.0))]);

    std::fs::remove_file(&path).unwrap();
    let gone = store.write(&again, PATIENCE).unwrap_err();
    store.recreate(&gone).unwrap();
    store.write(&again, PATIENCE).unwrap();
    drop(store);
    assert_eq!(restore(&mut Store::new(&path)).stations[0].readings, [(at(1200), temperature(2.0))]);
}

#[test]
fn a_file_that_cannot_be_looked_at_is_not_taken_for_one_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("journal.sqlite"), folder.path().join("aside"));
    let mut store = Store::new(&path);
    write(&mut store, [reading("jena", 600, 1.0)]);
    std::fs::rename(&path, &aside).unwrap();
    // A link to itself is there, and leads nowhere.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let batch = [Batch { id: 2, entries: vec![reading("jena", 1200, 2.0)] }];
    assert_eq!(store.write(&batch, PATIENCE).unwrap_err().reason(), "io");
    assert!(matches!(forget(&path, &name("jena")), Err(JournalError::File { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    store.write(&batch, PATIENCE).unwrap();
    assert_eq!(restore(&mut store).stations[0].readings.len(), 2);
}

/// Tidies until there is nothing left to do, and says in how many steps.
fn tidy_all(store: &mut Store, days: u32, now_s: i64) -> usize {
    let retention = Retention { readings_days: days, forecasts_days: days };
    let mut tidying = Tidying::START;
    let mut steps = 1;
    while store.tidy(&mut tidying, Some(retention), now_s).unwrap() == Step::More {
        steps += 1;
    }
    steps
}

/// Rows of the tables of readings and forecasts, visible or not.
fn stored(store: &mut Store) -> (i64, i64) {
    let connection = store.connection_for_tests();
    let count = |table: &str| {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    (count("stored_reading"), count("stored_forecast"))
}

/// What the journal means, in memory.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    stations: BTreeMap<StationName, ModelStation>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct ModelStation {
    state: Option<(Vec<u8>, Timestamp, Timestamp)>,
    experts: Option<Vec<u8>>,
    readings: BTreeMap<Timestamp, Values>,
    forecasts: BTreeMap<Timestamp, Forecast>,
}

impl Model {
    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Reading { station, time, values, slot_begins } => {
                let own = self.stations.entry(station.clone()).or_default();
                own.readings.retain(|&other, held| {
                    let superseded = held.iter().all(|(quantity, _)| values.get(quantity).is_some());
                    !(other > *slot_begins && other < *time && superseded)
                });
                let row = own.readings.entry(*time).or_insert(Values::NONE);
                for (quantity, value) in values.iter() {
                    row.set(quantity, value);
                }
            }
            Entry::Forecast(forecast) => {
                let own = self.stations.entry(forecast.station.clone()).or_default();
                own.forecasts.insert(forecast.origin, (**forecast).clone());
            }
            Entry::State { station, state, readings_from, forecasts_from, .. } => {
                let own = self.stations.entry(station.clone()).or_default();
                own.state = Some((state.clone(), *readings_from, *forecasts_from));
            }
            Entry::Experts { station, experts } => {
                self.stations.entry(station.clone()).or_default().experts = Some(experts.clone());
            }
            Entry::Forget(station) => {
                self.stations.remove(station);
            }
            Entry::Truncate { station, after, until } => {
                if let Some(own) = self.stations.get_mut(station) {
                    let stays = |time: Timestamp| time <= *after || until.is_some_and(|until| time > until);
                    own.readings.retain(|time, _| stays(*time));
                    own.forecasts.retain(|_, forecast| stays(forecast.issued_at));
                }
            }
            Entry::Setting { .. } => {}
        }
    }

    fn restored(&self) -> Vec<forecastd_core::Restored> {
        self.stations
            .iter()
            .map(|(station, own)| {
                let (readings_from, forecasts_from) = own
                    .state
                    .as_ref()
                    .map_or((Timestamp::MIN, Timestamp::MIN), |&(_, one, other)| (one, other));
                forecastd_core::Restored {
                    station: station.clone(),
                    state: own.state.as_ref().map(|(state, ..)| state.clone()),
                    experts: own.experts.clone(),
                    readings: own
                        .readings
                        .range(readings_from..)
                        .map(|(&time, &values)| (time, values))
                        .collect(),
                    forecasts: own
                        .forecasts
                        .range(forecasts_from..)
                        .map(|(_, forecast)| forecast.clone())
                        .collect(),
                }
            })
            .collect()
    }
}

fn day_ahead(temperature_c: f32) -> DayAhead {
    let extreme = |cents: f32| {
        let degrees = |cents: f32| (f64::from(cents.round()) / 100.0) as f32;
        Extreme {
            temperature_c: degrees(cents),
            interval_c: (degrees(cents - 150.0), degrees(cents + 80.0)),
            quantiles_c: None,
        }
    };
    let probability = forecastd_core::from_thousandths((temperature_c.abs() * 10.0) as u16);
    DayAhead {
        hours: 24,
        lowest: extreme(temperature_c * 90.0),
        highest: extreme(temperature_c * 100.0 + 500.0),
        below: vec![Below { threshold_c: 0.0, probability }],
    }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let station = prop::sample::select(vec!["a", "b", "ß c"]).prop_map(name);
    let second = (0_i64..40).prop_map(|second| at(second * 60));
    let value = prop_oneof![(-4000_i32..4000).prop_map(|cents| cents as f32 / 100.0), -40.0_f32..40.0];
    let values = vec((prop::sample::select(Quantity::ALL[..4].to_vec()), value), 1..4).prop_map(|cells| {
        let mut values = Values::NONE;
        for (quantity, value) in cells {
            let (low, high) = quantity.plausible_range();
            values.set(quantity, value.clamp(low, high));
        }
        values
    });
    let lead = (-3000_i16..3000, prop::option::of((0_i16..200, 0_i16..200)));
    let forecast =
        (station.clone(), second.clone(), -600_i64..60, -40.0_f32..40.0, any::<bool>(), vec(lead, 0..4))
            .prop_map(|(station, origin, offset, temperature_c, model, leads)| {
                let degrees = |cents: i16| (f64::from(cents) / 100.0) as f32;
                let leads = (1..).zip(leads).map(|(lead_h, (cents, interval))| LeadForecast {
                    lead_h,
                    valid_at: origin + jiff::SignedDuration::from_hours(i64::from(lead_h)),
                    temperature_c: degrees(cents),
                    interval_c: interval
                        .map(|(below, above)| (degrees(cents - below), degrees(cents + above))),
                    quantiles_c: None,
                });
                Entry::Forecast(Box::new(Forecast {
                    station,
                    issued_at: origin + jiff::SignedDuration::from_secs(offset),
                    origin,
                    temperature_c,
                    model: if model { "jena@1" } else { "persistence" }.to_owned(),
                    source: if model { Source::Model } else { Source::Persistence },
                    leads: leads.collect(),
                    day_ahead: model.then(|| day_ahead(temperature_c)),
                }))
            });
    prop_oneof![
        12 => (station.clone(), second.clone(), values, 0_i64..600).prop_map(|(station, time, values, back)| {
            let slot_begins = time - jiff::SignedDuration::from_secs(back);
            Entry::Reading { station, time, values, slot_begins }
        }),
        8 => forecast,
        2 => (station.clone(), vec(any::<u8>(), 0..5), second.clone(), second.clone(), second.clone()).prop_map(
            |(station, state, readings_from, forecasts_from, active_at)| Entry::State {
                station, state, readings_from, forecasts_from, active_at
            }
        ),
        1 => (station.clone(), vec(any::<u8>(), 0..5))
            .prop_map(|(station, experts)| Entry::Experts { station, experts }),
        1 => station.clone().prop_map(Entry::Forget),
        1 => (station, second.clone(), proptest::option::of(second))
            .prop_map(|(station, after, until)| Entry::Truncate { station, after, until }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_restored_is_what_the_same_entries_leave_in_memory(
        batches in vec((vec(any_entry(), 0..12), any::<bool>()), 1..12),
    ) {
        let mut store = Store::in_memory();
        let mut model = Model::default();
        for (id, (entries, tidies)) in (1..).zip(batches) {
            entries.iter().for_each(|entry| model.apply(entry));
            prop_assert_eq!(store.write(&[Batch { id, entries }], PATIENCE).unwrap().refused, 0);
            if tidies {
                // Nothing is old yet, so that tidying changes nothing that can be seen.
                tidy_all(&mut store, 400, 10_000);
            }
        }
        prop_assert_eq!(restore(&mut store).stations, model.restored());
    }
}

#[test]
fn the_database_of_another_program_is_no_journal_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weewx.sdb");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE archive (dateTime INTEGER PRIMARY KEY)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let error = Store::new(&path).open().map(|_| ()).unwrap_err();
    assert!(matches!(&error, JournalError::Foreign { table, .. } if table == "archive"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
