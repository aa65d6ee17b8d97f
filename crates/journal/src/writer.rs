//! The thread that writes.
//!
//! Whatever waits becomes one transaction, but a batch is never split. While the disk fails, every batch is answered at once
//! as being in memory only; a bounded number of entries is kept and tried again by a timer that backs off.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use forecastd_core::Batch;

use crate::error::{JournalError, NotWritten};
use crate::legacy::Step;
use crate::store::{PATIENCE, Store};
use crate::tidying::{Retention, Tidying};
use crate::transaction::Written;
use crate::waiting::{MAX_WAITING, Waiting};

/// With this number of entries not answered yet, there is no room for more.
const MAX_OUTSTANDING: usize = 10_000;

/// When things are done.
#[derive(Debug, Clone, Copy)]
struct Timing {
    /// The first wait before a failing disk is tried again; it doubles from then on.
    retry: Duration,
    /// The longest wait.
    retry_max: Duration,
    /// Between two rounds of tidying.
    tidy: Duration,
    /// Between two steps of one round.
    step: Duration,
    /// Between two looks at the file's size.
    size: Duration,
}

impl Timing {
    const DEFAULT: Timing = Timing {
        retry: Duration::from_secs(1),
        retry_max: Duration::from_secs(30),
        tidy: Duration::from_secs(3600),
        step: Duration::from_millis(20),
        size: Duration::from_secs(60),
    };
}

/// How long a disk that fails already is waited for when it is locked.
const RETRY_PATIENCE: Duration = Duration::from_millis(250);

/// Hears of the journal's work, on its thread.
pub trait Observer: Send + 'static {
    /// Batches up to this id are durable. The last transaction, of this number of entries, took this long.
    fn committed(&self, up_to: u64, entries: usize, duration: Duration);

    /// A transaction failed, or batches arrived while the disk fails. Batches up to this id are only in memory now; so many
    /// entries wait for the disk, and so many were lost now because too many waited.
    fn failed(&self, error: &JournalError, up_to: u64, waiting: usize, lost: usize);

    /// The file was moved, deleted or found damaged while running and was opened anew: what it held is not there any more.
    fn recreated(&self);

    /// Bytes of the file and its write-ahead log.
    fn size(&self, bytes: u64);

    /// A damaged file was moved to `aside`; [`Observer::recreated`] follows.
    fn set_aside(&self, _aside: &Path) {}

    /// Entries were left out of the transaction that is committed next, as their values do not fit.
    fn refused(&self, _entries: usize) {}

    /// Old rows could not be removed, or rows of version 1 not moved; that is tried again in an hour.
    fn tidy_failed(&self, _error: &JournalError) {}
}

/// What the thread writes to.
trait Disk: Send + 'static {
    fn write(&mut self, batches: &[Batch], patience: Duration) -> Result<Written, JournalError>;
    fn check(&mut self) -> Result<(), JournalError>;
    fn recreate(&mut self, error: &JournalError) -> Result<Option<PathBuf>, JournalError>;
    fn tidy(&mut self, tidying: &mut Tidying, retention: Retention) -> Result<Step, JournalError>;
    fn size(&self) -> u64;
}

impl Disk for Store {
    fn write(&mut self, batches: &[Batch], patience: Duration) -> Result<Written, JournalError> {
        Store::write(self, batches, patience)
    }

    fn check(&mut self) -> Result<(), JournalError> {
        Store::check(self)
    }

    fn recreate(&mut self, error: &JournalError) -> Result<Option<PathBuf>, JournalError> {
        Store::recreate(self, error)
    }

    fn tidy(&mut self, tidying: &mut Tidying, retention: Retention) -> Result<Step, JournalError> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Store::tidy(self, tidying, Some(retention), i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    fn size(&self) -> u64 {
        Store::size(self)
    }
}

/// The handle of the journal's thread.
///
/// Dropping it lets the thread write what waits and end, without waiting for it; [`Journal::close`] waits.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Starts writing to a store.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(store: Store, retention: Retention, observer: impl Observer) -> io::Result<Journal> {
        Journal::start_on(store, retention, observer, Timing::DEFAULT)
    }

    fn start_on(
        disk: impl Disk,
        retention: Retention,
        observer: impl Observer,
        timing: Timing,
    ) -> io::Result<Journal> {
        let shared = Arc::new(Shared::default());
        let now = Instant::now();
        let writer = Writer {
            shared: Arc::clone(&shared),
            disk,
            retention,
            observer,
            timing,
            waiting: Waiting::default(),
            failing: None,
            tidying: Tidying::START,
            tidy_at: now + timing.step,
            size_at: now,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        Ok(Journal { shared, thread: Some(thread) })
    }

    /// Whether fewer than a bound of entries are without an answer. A journal that fails answers at once, so that there is
    /// room; memory is bounded then by losing the oldest entries.
    pub fn has_room(&self) -> bool {
        self.outstanding() < MAX_OUTSTANDING
    }

    /// Whether more may wait in memory for a disk that does not answer: as many as wait for one that fails, of which the oldest
    /// are lost beyond that; of a disk that hangs nobody knows which it has taken.
    pub fn has_room_in_memory(&self) -> bool {
        self.outstanding() < MAX_WAITING
    }

    /// Entries without an answer.
    pub fn outstanding(&self) -> usize {
        let state = self.shared.lock();
        state.queued_entries + state.taken_entries
    }

    /// Hands in a batch. Never waits for the disk.
    pub fn write(&self, batch: Batch) {
        let mut state = self.shared.lock();
        state.queued_entries += batch.entries.len();
        state.queue.push_back((Instant::now(), batch));
        drop(state);
        self.shared.changed.notify_all();
    }

    /// When the oldest batch without an answer was handed in: long ago means that the disk hangs.
    pub fn outstanding_since(&self) -> Option<Instant> {
        let state = self.shared.lock();
        state.taken_since.or_else(|| state.queue.front().map(|&(since, _)| since))
    }

    /// Writes what waits and ends the thread, within a time that holds even when the disk hangs.
    ///
    /// # Errors
    /// [`NotWritten`] when entries could not be written, or not within that time.
    pub fn close(mut self, within: Duration) -> Result<(), NotWritten> {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.changed.notify_all();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, within, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let entries = state.queued_entries + state.unwritten_entries;
        let ended = state.ended;
        drop(state);
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            let _ = thread.join();
        }
        if entries == 0 { Ok(()) } else { Err(NotWritten { entries }) }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
    }
}

/// What the handle and the thread share. The lock is never held over I/O.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Instant, Batch)>,
    /// Entries in the queue.
    queued_entries: usize,
    /// When the oldest batch was handed in that the thread has taken and not answered.
    taken_since: Option<Instant>,
    /// Entries that the thread has taken and not answered.
    taken_entries: usize,
    /// Entries that the thread has taken and not written, answered or not.
    unwritten_entries: usize,
    closing: bool,
    ended: bool,
}

impl State {
    /// Shows what the thread holds.
    fn show(&mut self, waiting: &Waiting) {
        self.taken_since = waiting.since.get(waiting.answered).copied();
        self.taken_entries = waiting.unanswered_entries;
        self.unwritten_entries = waiting.entries;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the thread has ended, however it ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

/// A disk that fails.
struct Failing {
    error: JournalError,
    retry_at: Instant,
    wait: Duration,
}

struct Writer<D, O> {
    shared: Arc<Shared>,
    disk: D,
    retention: Retention,
    observer: O,
    timing: Timing,
    waiting: Waiting,
    failing: Option<Failing>,
    /// Where the round of tidying is in progress.
    tidying: Tidying,
    tidy_at: Instant,
    size_at: Instant,
}

impl<D: Disk, O: Observer> Writer<D, O> {
    fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.shared));
        loop {
            let (arrived, closing) = self.take(self.deadline());
            let now = Instant::now();
            let waits_to_retry = self.failing.as_ref().is_some_and(|failing| now < failing.retry_at);
            if waits_to_retry && !closing {
                if arrived {
                    self.answer_failed();
                }
            } else if let Some((batches, up_to)) = self.waiting.next() {
                self.commit(batches, up_to);
            }
            if closing {
                if self.failing.is_some() || self.waiting.batches.is_empty() {
                    return;
                }
                continue;
            }
            if self.failing.is_none() && now >= self.tidy_at {
                self.tidy();
            }
            if now >= self.size_at {
                self.look();
            }
        }
    }

    /// Until when there is nothing to do; `None` when there is something now.
    fn deadline(&self) -> Option<Instant> {
        match &self.failing {
            Some(failing) => Some(failing.retry_at.min(self.size_at)),
            None if self.waiting.batches.is_empty() => Some(self.tidy_at.min(self.size_at)),
            None => None,
        }
    }

    /// Waits for batches, the end or the deadline, and takes what is there. Says whether batches arrived, and whether this
    /// is the end.
    fn take(&mut self, deadline: Option<Instant>) -> (bool, bool) {
        let mut state = self.shared.lock();
        if let Some(deadline) = deadline {
            let wait = deadline.saturating_duration_since(Instant::now());
            (state, _) = self
                .shared
                .changed
                .wait_timeout_while(state, wait, |state| state.queue.is_empty() && !state.closing)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let arrived = !state.queue.is_empty();
        for (since, batch) in state.queue.drain(..) {
            self.waiting.push(since, batch);
        }
        state.queued_entries = 0;
        state.show(&self.waiting);
        (arrived, state.closing)
    }

    fn commit(&mut self, batches: usize, up_to: u64) {
        let started = Instant::now();
        match self.write(batches) {
            Ok(written) => {
                let (entries, forgets) = self.waiting.remove(batches);
                self.failing = None;
                self.shared.lock().show(&self.waiting);
                if forgets {
                    self.tidying = Tidying::START;
                    self.tidy_at = Instant::now();
                }
                if written.refused > 0 {
                    self.observer.refused(written.refused);
                }
                self.observer.committed(up_to, entries, started.elapsed());
            }
            Err(error) => {
                let wait = self.failing.take().map_or(self.timing.retry, |failing| failing.wait * 2);
                let wait = wait.min(self.timing.retry_max);
                self.failing = Some(Failing { error, retry_at: Instant::now() + wait, wait });
                // What arrived during the attempt is answered with it.
                self.take(None);
                self.answer_failed();
            }
        }
    }

    /// Writes so many batches; to a new file, where the old one is gone or damaged.
    fn write(&mut self, batches: usize) -> Result<Written, JournalError> {
        let patience = if self.failing.is_some() { RETRY_PATIENCE } else { PATIENCE };
        match self.disk.write(&self.waiting.batches.make_contiguous()[..batches], patience) {
            Err(error) if needs_a_new_file(&error) => {
                self.recreate(&error)?;
                self.disk.write(&self.waiting.batches.make_contiguous()[..batches], patience)
            }
            result => result,
        }
    }

    fn recreate(&mut self, error: &JournalError) -> Result<(), JournalError> {
        if let Some(aside) = self.disk.recreate(error)? {
            self.observer.set_aside(&aside);
        }
        self.observer.recreated();
        Ok(())
    }

    /// Says that everything which waits is only in memory.
    fn answer_failed(&mut self) {
        let Some(up_to) = self.waiting.batches.back().map(|batch| batch.id) else { return };
        let lost = self.waiting.answer();
        self.shared.lock().show(&self.waiting);
        if let Some(failing) = &self.failing {
            self.observer.failed(&failing.error, up_to, self.waiting.entries, lost);
        }
    }

    fn tidy(&mut self) {
        let started = Instant::now();
        let result = match self.disk.tidy(&mut self.tidying, self.retention) {
            Err(error) if needs_a_new_file(&error) => self.recreate(&error).map(|()| Step::Done),
            result => result,
        };
        match result {
            Ok(Step::More) => {
                // Half of the time belongs to others.
                self.tidy_at = Instant::now() + self.timing.step.max(started.elapsed());
                return;
            }
            Ok(Step::Done) => self.look(),
            Err(error) => self.observer.tidy_failed(&error),
        }
        self.tidying = Tidying::START;
        self.tidy_at = Instant::now() + self.timing.tidy;
    }

    /// Looks at the file: whether it is there, and how large it is.
    fn look(&mut self) {
        self.size_at = Instant::now() + self.timing.size;
        if self.failing.is_none()
            && let Err(error) = self.disk.check()
        {
            // A file that cannot be made again is a failure of the next transaction.
            let _ = self.recreate(&error);
        }
        self.observer.size(self.disk.size());
    }
}

/// Whether the file that was written to is of no use any more.
fn needs_a_new_file(error: &JournalError) -> bool {
    error.is_corrupt() || matches!(error, JournalError::Gone { .. })
}
