//! What the journal is asked for again while the daemon runs, on a thread where that may wait.

use std::path::PathBuf;

use forecastd_core::{Recall, Restored};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::chain;

/// As many stations are read at once, so that their histories are not all in memory twice.
const AT_ONCE: usize = 500;

/// Asks the journal's file, for some stations at a time.
pub(super) struct Recaller {
    /// The file, if there is a journal.
    path: Option<PathBuf>,
    wanted: Vec<Recall>,
    is_busy: bool,
    found: mpsc::UnboundedSender<Vec<Restored>>,
}

impl Recaller {
    /// One that asks the file at `path`; what is found goes to `found`.
    pub(super) fn new(path: Option<PathBuf>, found: mpsc::UnboundedSender<Vec<Restored>>) -> Recaller {
        Recaller { path, wanted: Vec::new(), is_busy: false, found }
    }

    /// Asks for more, now or when what was asked before is there. Never waits.
    pub(super) fn ask(&mut self, recall: Recall) {
        if self.path.is_some() {
            self.wanted.push(recall);
            self.start();
        }
    }

    /// Asks again for what could not be asked for.
    pub(super) fn tick(&mut self) {
        self.start();
    }

    /// What was asked for has been found, or cannot be.
    pub(super) fn answered(&mut self) {
        self.is_busy = false;
        self.start();
    }

    fn start(&mut self) {
        let Some(path) = self.path.clone().filter(|_| !self.is_busy && !self.wanted.is_empty()) else {
            return;
        };
        let at_once: Vec<Recall> = self.wanted.iter().take(AT_ONCE).cloned().collect();
        let count = at_once.len();
        let found = self.found.clone();
        let read = move || {
            let restored = forecastd_journal::recall(&path, &at_once).unwrap_or_else(|error| {
                warn!(error = chain(&error), "history cannot be read again: the stations warm up anew");
                Vec::new()
            });
            // The driver is gone only at the very end.
            let _ = found.send(restored);
        };
        // A thread of its own: one that hangs with its disk does not hold up the end of the runtime.
        match std::thread::Builder::new().name("journal-recall".to_owned()).spawn(read) {
            Ok(_) => {
                self.is_busy = true;
                self.wanted.drain(..count);
            }
            // They go on waiting.
            Err(error) => debug!(%error, "history cannot be read again now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forecastd_core::{Batch, Entry, Quantity, StationName, Values};
    use forecastd_journal::{Journal, Retention, Store};
    use jiff::Timestamp;

    use super::*;

    /// An observer that does nothing.
    struct Deaf;

    impl forecastd_journal::Observer for Deaf {
        fn committed(&self, _: u64, _: usize, _: Duration) {}
        fn failed(&self, _: &forecastd_journal::JournalError, _: u64, _: usize, _: usize) {}
        fn recreated(&self) {}
        fn size(&self, _: u64) {}
    }

    #[tokio::test]
    async fn everything_that_is_asked_for_is_read_some_stations_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let names: Vec<StationName> =
            (0..2 * AT_ONCE + 1).map(|number| StationName::new(&format!("s{number}")).unwrap()).collect();
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, 3.0);
        let time = Timestamp::UNIX_EPOCH;
        let reading = |station: &StationName| Entry::Reading {
            station: station.clone(),
            time,
            values,
            slot_begins: time,
        };
        let retention = Retention { readings_days: 1, forecasts_days: 1 };
        let journal = Journal::start(Store::new(&path), retention, Deaf).unwrap();
        journal.write(Batch { id: 1, entries: names.iter().map(reading).collect() });
        journal.close(Duration::from_secs(60)).unwrap();

        let (found, mut answers) = mpsc::unbounded_channel();
        let mut recaller = Recaller::new(Some(path), found);
        for station in &names {
            recaller.ask(Recall { station: station.clone(), readings_from: time, forecasts_from: time });
        }
        let mut recalled = Vec::new();
        while recalled.len() < names.len() {
            let restored = answers.recv().await.unwrap();
            assert!(restored.len() <= AT_ONCE && restored.iter().all(|own| own.readings == [(time, values)]));
            recalled.extend(restored.into_iter().map(|restored| restored.station));
            recaller.answered();
        }
        assert_eq!(recalled, names);
        assert!(answers.try_recv().is_err());
    }
}
