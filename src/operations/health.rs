//! Health: proof of progress, for the watchdog and for `/healthz` and `/readyz`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Without a sign of life for so long, a part counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// Signs of life of the daemon's parts.
#[derive(Debug)]
pub struct Health {
    start: Instant,
    /// Milliseconds after `start` of the last sign of life.
    driver: AtomicU64,
    worker: AtomicU64,
    is_model_loaded: AtomicBool,
    is_broker_connected: AtomicBool,
    is_subscription_refused: AtomicBool,
    no_readings: AtomicBool,
    clock_behind: AtomicBool,
    /// Milliseconds after `start` since when the journal has owed an answer, plus 1; 0 when it owes none.
    journal_owes: AtomicU64,
    is_stopping: AtomicBool,
}

impl Health {
    /// Everything alive, nothing ready.
    pub fn new() -> Health {
        Health {
            start: Instant::now(),
            driver: AtomicU64::new(0),
            worker: AtomicU64::new(0),
            is_model_loaded: AtomicBool::new(false),
            is_broker_connected: AtomicBool::new(false),
            is_subscription_refused: AtomicBool::new(false),
            no_readings: AtomicBool::new(false),
            clock_behind: AtomicBool::new(false),
            journal_owes: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Parts that have given no sign of life for so long.
    #[cfg(test)]
    pub(crate) fn silent_for(silence: Duration) -> Health {
        Health { start: Instant::now() - silence, ..Health::new() }
    }

    /// The task that all readings pass has turned.
    pub fn loop_alive(&self) {
        self.driver.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The network's thread has turned.
    pub fn worker_alive(&self) {
        self.worker.store(self.now_ms(), Ordering::Relaxed);
    }

    /// A model runs.
    pub fn model_loaded(&self) {
        self.is_model_loaded.store(true, Ordering::Relaxed);
    }

    /// Whether the broker is connected.
    pub fn set_broker_connected(&self, is_connected: bool) {
        self.is_broker_connected.store(is_connected, Ordering::Relaxed);
    }

    /// Whether the broker refuses a subscription, so that no reading comes.
    pub fn set_subscription_refused(&self, is_refused: bool) {
        self.is_subscription_refused.store(is_refused, Ordering::Relaxed);
    }

    /// Whether no message has come since the subscription, for too long.
    pub fn set_no_readings(&self, says: bool) {
        self.no_readings.store(says, Ordering::Relaxed);
    }

    /// Whether readings wait for the clock.
    pub fn set_clock_behind(&self, is_behind: bool) {
        self.clock_behind.store(is_behind, Ordering::Relaxed);
    }

    /// Since when the journal has owed an answer, if it does.
    pub fn set_journal_owes(&self, since: Option<Instant>) {
        let since =
            since.map_or(0, |since| since.saturating_duration_since(self.start).as_millis() as u64 + 1);
        self.journal_owes.store(since, Ordering::Relaxed);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// What is stuck; empty when all is well.
    pub fn stuck(&self) -> Vec<&'static str> {
        self.stuck_at(self.now_ms())
    }

    /// What is not ready; empty when all is.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let mut reasons = self.stuck();
        if !self.is_model_loaded.load(Ordering::Relaxed) {
            reasons.push("no model is loaded");
        }
        if !self.is_broker_connected.load(Ordering::Relaxed) {
            reasons.push("the broker is not connected");
        } else if self.is_subscription_refused.load(Ordering::Relaxed) {
            reasons.push("the broker refuses a subscription");
        } else if self.no_readings.load(Ordering::Relaxed) {
            reasons.push("no message has come since the subscription");
        }
        if self.clock_behind.load(Ordering::Relaxed) {
            reasons.push("the clock is behind what stations say");
        }
        if self.is_stopping.load(Ordering::Relaxed) {
            reasons.push("stopping");
        }
        reasons
    }

    fn stuck_at(&self, now_ms: u64) -> Vec<&'static str> {
        let is_old = |sign: &AtomicU64| {
            Duration::from_millis(now_ms.saturating_sub(sign.load(Ordering::Relaxed))) > STUCK_AFTER
        };
        let mut stuck = Vec::new();
        if is_old(&self.driver) {
            stuck.push("the task of readings is stuck");
        }
        if is_old(&self.worker) {
            stuck.push("the network is stuck");
        }
        let owes = self.journal_owes.load(Ordering::Relaxed);
        if owes > 0 && Duration::from_millis(now_ms.saturating_sub(owes - 1)) > STUCK_AFTER {
            stuck.push("the journal is stuck");
        }
        stuck
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_without_a_sign_of_life_is_named() {
        let health = Health::new();
        assert!(health.stuck_at(15_000).is_empty());
        health.driver.store(10_000, Ordering::Relaxed);
        assert_eq!(health.stuck_at(15_001), ["the network is stuck"]);
        assert_eq!(health.stuck_at(25_001).len(), 2);
    }

    #[test]
    fn a_journal_that_does_not_answer_is_stuck_and_one_that_owes_nothing_is_not() {
        let health = Health::new();
        health.set_journal_owes(Some(health.start + Duration::from_secs(1)));
        health.driver.store(60_000, Ordering::Relaxed);
        health.worker.store(60_000, Ordering::Relaxed);
        assert!(health.stuck_at(16_000).is_empty());
        assert_eq!(health.stuck_at(16_002), ["the journal is stuck"]);
        health.set_journal_owes(None);
        assert!(health.stuck_at(60_000).is_empty());
    }

    #[test]
    fn ready_is_a_model_and_a_broker() {
        let health = Health::new();
        assert_eq!(health.not_ready().len(), 2);
        health.model_loaded();
        health.set_broker_connected(true);
        assert!(health.not_ready().is_empty());
        health.set_subscription_refused(true);
        assert_eq!(health.not_ready(), ["the broker refuses a subscription"]);
        health.set_subscription_refused(false);
        health.stopping();
        assert_eq!(health.not_ready(), ["stopping"]);
    }
}
