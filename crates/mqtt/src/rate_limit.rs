//! Log lines that anyone on the broker can cause: the first is said, what follows within a minute is counted.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long after a line the next of its kind are counted only.
const QUIET: Duration = Duration::from_secs(60);

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    RefusedPublication,
    OversizedMessage,
}

/// Decides which lines are said. Pure: the time is passed in.
#[derive(Debug, Default)]
pub(crate) struct RateLimitedLog {
    /// By kind: when one was said, and how many were not since.
    said: HashMap<Kind, (Instant, u64)>,
}

impl RateLimitedLog {
    /// Whether a line of this kind is to be said now; if so, how many were left out before it.
    pub(crate) fn admit(&mut self, kind: Kind, now: Instant) -> Option<u64> {
        match self.said.get_mut(&kind) {
            Some((said_at, unsaid)) if now.saturating_duration_since(*said_at) < QUIET => {
                *unsaid += 1;
                None
            }
            entry => {
                let unsaid = entry.map_or(0, |(_, unsaid)| *unsaid);
                self.said.insert(kind, (now, 0));
                Some(unsaid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_kind_is_said_and_the_next_are_counted_for_a_minute() {
        let mut log = RateLimitedLog::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.admit(Kind::RefusedPublication, at(0)), Some(0));
        assert_eq!(log.admit(Kind::RefusedPublication, at(1)), None);
        assert_eq!(log.admit(Kind::OversizedMessage, at(2)), Some(0));
        assert_eq!(log.admit(Kind::RefusedPublication, at(59)), None);
        assert_eq!(log.admit(Kind::RefusedPublication, at(60)), Some(2));
        assert_eq!(log.admit(Kind::RefusedPublication, at(61)), None);
        assert_eq!(log.admit(Kind::RefusedPublication, at(121)), Some(1));
    }
}
