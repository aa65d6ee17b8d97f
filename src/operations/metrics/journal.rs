//! What the journal has made durable, and what it could not.

use std::time::Duration;

use forecastd_journal::JournalError;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge};

use super::{DURATIONS_S, Maker, Metrics};

/// What the journal has made durable, and what it could not.
pub(super) struct JournalMetrics {
    entries: IntCounter,
    duration: Histogram,
    failures: IntCounterVec,
    waiting: IntGauge,
    lost: IntCounter,
    size: IntGauge,
    skipped: IntCounter,
    lag: Gauge,
}

impl JournalMetrics {
    pub(super) fn new(make: &Maker<'_>) -> JournalMetrics {
        JournalMetrics {
            entries: make.counter(
                "journal_entries_written_total",
                "Entries made durable: readings, forecasts, states of stations and what else is journalled.",
            ),
            duration: make.histogram(
                "journal_commit_duration_seconds",
                "Time of one transaction, synced to the disk.",
                &DURATIONS_S,
            ),
            failures: make.counters(
                "journal_failures_total",
                "Transactions that failed, or were not answered.",
                "reason",
                JournalError::REASONS,
            ),
            waiting: make.gauge(
                "journal_entries_waiting",
                "Entries that wait for a disk that fails or does not answer.",
            ),
            lost: make.counter("journal_entries_lost_total", "Entries lost because too many waited."),
            size: make.gauge("journal_size_bytes", "Size of the journal's file and its write-ahead log."),
            skipped: make.counter(
                "journal_rows_skipped_total",
                "Rows of the journal that hold impossible values and were skipped.",
            ),
            lag: make.register(Gauge::new(
                "forecastd_journal_lag_seconds",
                "For how long the oldest entry that is not durable has waited for the disk.",
            )),
        }
    }
}

impl Metrics {
    /// The journal wrote entries.
    pub fn journal_committed(&self, entries: usize, duration: Duration) {
        self.journal.entries.inc_by(entries as u64);
        self.journal.duration.observe(duration.as_secs_f64());
        self.journal.waiting.set(0);
    }

    /// How many entries wait for the disk.
    pub fn journal_waits(&self, waiting: usize) {
        self.journal.waiting.set(waiting as i64);
    }

    /// The journal failed.
    pub fn journal_failed(&self, reason: &str, waiting: usize, lost: usize) {
        self.journal.failures.with_label_values(&[reason]).inc();
        self.journal.waiting.set(waiting as i64);
        self.journal.lost.inc_by(lost as u64);
    }

    /// The journal is so large.
    pub fn journal_size(&self, bytes: u64) {
        self.journal.size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts rows of the journal that hold impossible values.
    pub fn journal_rows_skipped(&self, rows: u64) {
        self.journal.skipped.inc_by(rows);
    }

    /// For how long the journal has owed an answer.
    pub fn journal_lags(&self, lag: Duration) {
        self.journal.lag.set(lag.as_secs_f64());
    }
}
