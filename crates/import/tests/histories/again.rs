//! An import that is broken off and run again, and one beside a daemon that writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forecastd_core::{Batch, Entry, Quantity, Values};
use forecastd_import::{ImportError, ImportProgress, Origin, read, write};
use forecastd_journal::{Journal, JournalError, Observer, Retention, Store};
use jiff::Timestamp;

use crate::support::{Place, START_S, at, grid, weather};
use crate::weewx::{SCHEMA, insert};

/// Ends after so many calls.
struct EndsAfter {
    reading: u32,
    writing: u32,
}

impl ImportProgress for EndsAfter {
    fn reading(&mut self, _: f64) -> bool {
        self.reading = self.reading.saturating_sub(1);
        self.reading > 0
    }

    fn writing(&mut self, _: u64, _: u64, _: Timestamp) -> bool {
        self.writing = self.writing.saturating_sub(1);
        self.writing > 0
    }
}

fn archive(place: &Place, days: usize) -> Origin {
    let (path, connection) = place.database("weewx.sdb", SCHEMA);
    insert(&connection, &weather(days), |_| 1);
    Origin::Weewx { path, mapping: None }
}

#[test]
fn an_import_that_is_broken_off_anywhere_and_run_again_leaves_what_one_run_leaves() {
    let whole = Place::new();
    let origin = archive(&whole, 100);
    let all = whole.import(&origin).unwrap();
    assert_eq!(all.imported.written, 100 * 144);

    let broken = Place::new();
    let origin = archive(&broken, 100);
    let early = broken.import_with(&origin, &mut EndsAfter { reading: 1, writing: 0 });
    assert!(matches!(early, Err(ImportError::Interrupted)), "{early:?}");
    assert!(broken.held().is_empty());
    for written in [1, 3, 8] {
        let part = broken.import_with(&origin, &mut EndsAfter { reading: 100, writing: written }).unwrap();
        assert!(part.is_interrupted && part.to_string().contains("run it again"), "{part}");
        assert_eq!(broken.held().len(), 500 * written as usize);
    }
    let rest = broken.import(&origin).unwrap();
    assert_eq!((rest.imported.present, rest.imported.written), (4000, 100 * 144 - 4000));
    assert!(broken.held() == whole.held());
    let once_more = broken.import(&origin).unwrap();
    assert_eq!((once_more.imported.present, once_more.imported.written), (100 * 144, 0));
    assert!(broken.held() == whole.held());
}

/// Hears what a journal of a daemon says.
struct Listener(std::sync::mpsc::Sender<Result<u64, String>>);

impl Observer for Listener {
    fn committed(&self, id: u64, _: usize, _: Duration) {
        let _ = self.0.send(Ok(id));
    }
    fn failed(&self, error: &JournalError, _: u64, _: usize, _: usize) {
        let _ = self.0.send(Err(error.to_string()));
    }
    fn recreated(&self) {}
    fn size(&self, _: u64) {}
}

#[test]
fn a_daemon_that_writes_meanwhile_loses_nothing_and_what_it_took_stands() {
    let place = Place::new();
    let origin = archive(&place, 60);
    let history = read(&origin, grid(), None, &mut ()).unwrap();
    let (sender, heard) = std::sync::mpsc::channel();
    let retention = Retention { readings_days: 3650, forecasts_days: 60 };
    let journal = Journal::start(Store::new(&place.journal()), retention, Listener(sender)).unwrap();
    let live = |slot: i64| {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, 33.25);
        Entry::Reading {
            station: place.station.clone(),
            time: at(START_S + 600 * slot),
            values,
            slot_begins: at(START_S + 600 * slot - 540),
        }
    };
    journal.write(Batch { id: 1, entries: vec![live(10)] });
    assert_eq!(heard.recv().unwrap(), Ok(1));

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let importer = scope.spawn(|| {
            let summary = write(&history, &place.destination(&place.journal()), &mut ());
            done.store(true, Ordering::Release);
            summary
        });
        // As a daemon that takes a reading whenever the one before is durable.
        let mut id = 1;
        while !done.load(Ordering::Acquire) {
            id += 1;
            journal.write(Batch { id, entries: vec![live(100_000 + id as i64)] });
            assert_eq!(heard.recv().unwrap(), Ok(id), "the import held the journal for too long");
        }
        let summary = importer.join().unwrap().unwrap();
        assert_eq!(summary.imported.written, 60 * 144 - 1, "{summary}");
        assert_eq!(summary.imported.completed, 1, "the live reading lacks what the archive has");
        let held = place.held();
        assert_eq!(held.iter().filter(|(time, _)| *time < at(START_S + 600 * 100_000)).count(), 60 * 144);
        let tenth = held.iter().find(|(time, _)| *time == at(START_S + 6000)).unwrap();
        assert_eq!(tenth.1.get(Quantity::AirTemperature), Some(33.25));
        assert!(tenth.1.get(Quantity::AirPressure).is_some());
        assert_eq!(
            held.iter().filter(|(time, _)| *time > at(START_S + 600 * 100_000)).count() as u64,
            id - 1
        );
    });
    journal.close(Duration::from_secs(60)).unwrap();
}
