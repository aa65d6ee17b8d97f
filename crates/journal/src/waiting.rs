//! Batches that are not durable yet.

use std::collections::VecDeque;
use std::time::Instant;

use forecastd_core::{Batch, Entry};

/// The most entries that wait for a disk to come back; the oldest are lost beyond that.
pub(crate) const MAX_WAITING: usize = 100_000;

/// The most entries of one transaction, unless a single batch has more.
const MAX_BATCH: usize = 2000;

/// Batches that are not durable, in the order in which they came.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) batches: VecDeque<Batch>,
    /// When each was handed in.
    pub(super) since: VecDeque<Instant>,
    pub(super) entries: usize,
    /// How many batches, from the front, were answered as being in memory only.
    pub(super) answered: usize,
    /// Entries of the others.
    pub(super) unanswered_entries: usize,
}

impl Waiting {
    pub(super) fn push(&mut self, since: Instant, batch: Batch) {
        self.entries += batch.entries.len();
        self.unanswered_entries += batch.entries.len();
        self.since.push_back(since);
        self.batches.push_back(batch);
    }

    /// How many batches fit into one transaction, and the id of the last.
    pub(super) fn next(&self) -> Option<(usize, u64)> {
        let mut entries = 0;
        let mut next = None;
        for (index, batch) in self.batches.iter().enumerate() {
            entries += batch.entries.len();
            if next.is_some() && entries > MAX_BATCH {
                break;
            }
            next = Some((index + 1, batch.id));
        }
        next
    }

    /// Removes so many batches; says how many entries they had, and whether a station is forgotten in them.
    pub(super) fn remove(&mut self, batches: usize) -> (usize, bool) {
        let (mut entries, mut forgets) = (0, false);
        for batch in self.batches.drain(..batches) {
            entries += batch.entries.len();
            forgets |= batch.entries.iter().any(|entry| matches!(entry, Entry::Forget(_)));
            self.since.pop_front();
            match self.answered.checked_sub(1) {
                Some(answered) => self.answered = answered,
                None => self.unanswered_entries -= batch.entries.len(),
            }
        }
        self.entries -= entries;
        (entries, forgets)
    }

    /// Takes every batch as answered, and loses the oldest beyond the bound. Says how many entries were lost.
    pub(super) fn answer(&mut self) -> usize {
        self.answered = self.batches.len();
        self.unanswered_entries = 0;
        let mut lost = 0;
        while self.entries > MAX_WAITING && self.batches.len() > 1 {
            lost += self.remove(1).0;
        }
        lost
    }
}
