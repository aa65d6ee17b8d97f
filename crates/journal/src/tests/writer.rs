use std::path::{Path, PathBuf};
use std::sync::mpsc;

use rusqlite::Connection;

use super::*;
use crate::{Journal, JournalError, Observer, Retention};

#[derive(Debug, PartialEq)]
enum Event {
    Committed { up_to: u64, entries: usize },
    Failed { reason: &'static str, up_to: u64, waiting: usize, lost: usize },
    Aside(PathBuf),
    Recreated,
}

struct Recorder(mpsc::Sender<Event>);

impl Observer for Recorder {
    fn committed(&self, up_to: u64, entries: usize, _: Duration) {
        let _ = self.0.send(Event::Committed { up_to, entries });
    }

    fn failed(&self, error: &JournalError, up_to: u64, waiting: usize, lost: usize) {
        let _ = self.0.send(Event::Failed { reason: error.reason(), up_to, waiting, lost });
    }

    fn recreated(&self) {
        let _ = self.0.send(Event::Recreated);
    }

    fn set_aside(&self, aside: &Path) {
        let _ = self.0.send(Event::Aside(aside.to_owned()));
    }

    fn size(&self, _: u64) {}
}

const RETENTION: Retention = Retention { readings_days: 400, forecasts_days: 400 };

fn start(path: &Path) -> (Journal, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel();
    (Journal::start(Store::new(path), RETENTION, Recorder(sender)).unwrap(), events)
}

fn batch(id: u64, seconds: std::ops::Range<i64>) -> Batch {
    Batch { id, entries: seconds.map(|second| reading("jena", second, 1.0)).collect() }
}

fn readings(path: &Path) -> usize {
    restore(&mut Store::new(path)).stations.iter().map(|restored| restored.readings.len()).sum()
}

/// Waits until everything up to this id is answered, and says what happened.
fn until(events: &mpsc::Receiver<Event>, id: u64) -> Vec<Event> {
    let mut happened = Vec::new();
    loop {
        let event = events.recv_timeout(PATIENCE).expect("an answer comes");
        let reached = match event {
            Event::Committed { up_to, .. } | Event::Failed { up_to, .. } => up_to >= id,
            Event::Aside(_) | Event::Recreated => false,
        };
        happened.push(event);
        if reached {
            return happened;
        }
    }
}

/// Waits until a transaction up to this id was committed.
fn until_committed(events: &mpsc::Receiver<Event>, id: u64) {
    loop {
        let event = events.recv_timeout(PATIENCE).expect("the disk is tried again");
        if matches!(event, Event::Committed { up_to, .. } if up_to >= id) {
            return;
        }
    }
}

#[test]
fn batches_are_answered_in_order_when_they_are_durable_and_the_rest_is_written_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let (journal, events) = start(&path);
    for id in 0..10 {
        journal.write(batch(id, id as i64 * 300..(id as i64 + 1) * 300));
    }
    journal.write(batch(10, 0..0));
    journal.close(PATIENCE).unwrap();
    assert_eq!(readings(&path), 3000);
    let (mut last, mut all) = (None, 0);
    for event in events.try_iter() {
        let Event::Committed { up_to, entries } = event else { panic!("{event:?}") };
        assert!(Some(up_to) > last, "ids rise");
        assert!(entries <= 2000, "{entries} entries in one transaction");
        (last, all) = (Some(up_to), all + entries);
    }
    assert_eq!((last, all), (Some(10), 3000));
}

#[test]
fn a_batch_is_never_split_however_large() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let (journal, events) = start(&path);
    journal.write(batch(7, 0..5000));
    assert_eq!(until(&events, 7), [Event::Committed { up_to: 7, entries: 5000 }]);
    assert!(journal.has_room());
    assert_eq!(journal.outstanding_since(), None);
}

#[test]
fn a_locked_file_leaves_nobody_waiting_and_is_written_when_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let (journal, events) = start(&path);
    journal.write(batch(0, 0..1));
    until(&events, 0);

    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for id in 1..=5000 {
        journal.write(batch(id, id as i64..id as i64 + 1));
    }
    let happened = until(&events, 5000);
    assert!(
        happened.iter().all(|event| matches!(event, Event::Failed { reason: "busy", lost: 0, .. })),
        "{happened:?}"
    );
    // One attempt answers for everything that came meanwhile, and what comes later is answered without an attempt.
    assert!(happened.len() < 2500, "{} answers", happened.len());
    assert!(journal.has_room());
    journal.write(batch(5001, 5001..5002));
    let happened = until(&events, 5001);
    assert!(
        matches!(happened.last(), Some(Event::Failed { up_to: 5001, waiting: 5001, .. })),
        "{happened:?}"
    );
    assert_eq!(journal.outstanding_since(), None, "nobody waits");

    other.execute_batch("COMMIT").unwrap();
    until_committed(&events, 5001);
    journal.close(PATIENCE).unwrap();
    assert_eq!(readings(&path), 5002);
}

#[test]
fn a_full_disk_goes_on_in_memory_loses_the_oldest_beyond_a_bound_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let mut store = Store::new(&path);
    // The pages that stand, and none more.
    store.connection_for_tests().execute_batch("PRAGMA max_page_count = 1").unwrap();
    let (sender, events) = mpsc::channel();
    let journal = Journal::start(store, RETENTION, Recorder(sender)).unwrap();
    // A connection that failed is opened anew, which lifts the limit: so the first attempt alone fails.
    let batches: Vec<Batch> = (0..12).map(|id| batch(id, id as i64 * 9000..(id as i64 + 1) * 9000)).collect();
    batches.into_iter().for_each(|batch| journal.write(batch));
    let happened = until(&events, 11);
    let lost: usize = happened
        .iter()
        .map(|event| match event {
            Event::Failed { reason: "full", lost, waiting, .. } if *waiting <= 100_000 => *lost,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(lost, 9000, "108,000 entries, of which 100,000 may wait");
    until_committed(&events, 11);
    journal.close(PATIENCE).unwrap();
    assert_eq!(readings(&path), 99_000);
}

#[test]
fn what_could_not_be_written_at_the_end_is_said_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let (journal, events) = start(&path);
    journal.write(batch(0, 0..1));
    until(&events, 0);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for id in 1..=40 {
        journal.write(batch(id, id as i64..id as i64 + 1));
    }
    assert_eq!(journal.close(PATIENCE).unwrap_err().entries, 40);
    assert_eq!(readings(&path), 1);
}

#[test]
fn a_disk_that_is_not_there_yet_is_found_later() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("blocked");
    std::fs::write(&blocked, "a file where a folder is needed").unwrap();
    let path = blocked.join("journal.sqlite");
    let (journal, events) = start(&path);
    journal.write(batch(0, 0..1));
    assert_eq!(until(&events, 0), [Event::Failed { reason: "io", up_to: 0, waiting: 1, lost: 0 }]);
    std::fs::remove_file(&blocked).unwrap();
    journal.write(batch(1, 1..2));
    until_committed(&events, 1);
    journal.close(PATIENCE).unwrap();
    assert_eq!(readings(&path), 2);
}

#[test]
fn a_file_that_is_deleted_or_moved_while_running_is_begun_anew_and_the_batch_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("journal.sqlite"), folder.path().join("moved.sqlite"));
    let (journal, events) = start(&path);
    journal.write(batch(0, 0..1));
    until(&events, 0);
    std::fs::rename(&path, &moved).unwrap();
    journal.write(batch(1, 1..3));
    assert_eq!(until(&events, 1), [Event::Recreated, Event::Committed { up_to: 1, entries: 2 }]);
    assert_eq!((readings(&moved), readings(&path)), (1, 2));
    std::fs::remove_file(&path).unwrap();
    journal.write(batch(2, 3..6));
    assert_eq!(until(&events, 2), [Event::Recreated, Event::Committed { up_to: 2, entries: 3 }]);
    journal.close(PATIENCE).unwrap();
    assert_eq!(readings(&path), 3);
}

#[test]
fn a_file_that_is_damaged_while_running_is_moved_aside_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let (journal, events) = start(&path);
    journal.write(batch(0, 0..1000));
    until(&events, 0);
    // Another program writes the log back and over the tables.
    Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    damage(&path, 4096);
    // What the writer still has in its cache is sound; it reads the file again after another program has written.
    let _ = Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2");
    journal.write(batch(1, 2000..2003));
    let aside = folder.path().join("journal.corrupt");
    assert_eq!(
        until(&events, 1),
        [Event::Aside(aside), Event::Recreated, Event::Committed { up_to: 1, entries: 3 }]
    );
    journal.close(PATIENCE).unwrap();
    assert_eq!(readings(&path), 3);
}

#[test]
fn a_committed_batch_survives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let (journal, events) = start(&path);
    for id in 0..20 {
        journal.write(batch(id, id as i64 * 10..(id as i64 + 1) * 10));
        until(&events, id);
        // What a kill leaves is what the files hold now.
        let left = folder.path().join(format!("left-{id}.sqlite"));
        std::fs::copy(&path, &left).unwrap();
        std::fs::copy(folder.path().join("journal.sqlite-wal"), left.with_extension("sqlite-wal")).unwrap();
        assert_eq!(readings(&left), (id as usize + 1) * 10);
    }
    drop(journal);
}

/// Overwrites everything from an offset on.
pub(super) fn damage(path: &Path, from: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xa5; (length - from) as usize], from).unwrap();
}
