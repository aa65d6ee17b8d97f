//! How long to wait before the next attempt to connect.
//!
//! Exponential with *full jitter*: the n-th wait is drawn evenly from 0 to `min(longest, shortest · 2ⁿ)`, so that
//! many clients that lost the same broker do not come back in step (M. Brooker, "Exponential Backoff And Jitter",
//! AWS Architecture Blog, 2015).

use std::time::Duration;

use rand::Rng;

/// The waits between attempts to connect. Pure: chance is passed in.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// The first ceiling.
    shortest: Duration,
    /// The ceiling that is never passed.
    longest: Duration,
    /// Attempts that failed since the last success.
    failures: u32,
}

impl Backoff {
    /// Waits whose ceiling grows from `shortest` to `longest` (at least `shortest`).
    pub fn new(shortest: Duration, longest: Duration) -> Backoff {
        Backoff { shortest, longest: longest.max(shortest), failures: 0 }
    }

    /// The most that the next wait can be.
    pub fn ceiling(&self) -> Duration {
        let factor = 2_u32.checked_pow(self.failures).unwrap_or(u32::MAX);
        self.shortest.saturating_mul(factor).min(self.longest)
    }

    /// Counts a failure and draws the wait that follows it.
    pub fn next_wait(&mut self, chance: &mut impl Rng) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(chance.random::<f64>())
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Begins again with the shortest ceiling: a connection has proved stable.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}
