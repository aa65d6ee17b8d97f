//! Log lines that would flood: the first of a kind is said, what follows within a minute is counted and said then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use forecastd_core::StationName;

/// How long a line of one kind stays quiet after it was said.
const QUIET: Duration = Duration::from_secs(60);
/// Kinds that are remembered; a flood of names must not fill the memory.
const MAX_KINDS: usize = 1000;

/// What was said of which kind and station, and when.
#[derive(Debug, Default)]
pub struct RateLimitedLog {
    kinds: HashMap<(&'static str, Option<StationName>), Kind>,
}

#[derive(Debug)]
struct Kind {
    said: Instant,
    unsaid: u64,
}

impl RateLimitedLog {
    /// Whether a line of this kind about this station is to be said at `now`, and how many were not said since the last.
    pub fn say(&mut self, kind: &'static str, station: Option<&StationName>, now: Instant) -> Option<u64> {
        let mut key = (kind, station.cloned());
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&key) {
            self.kinds.retain(|_, kind| now.duration_since(kind.said) < QUIET);
            if self.kinds.len() >= MAX_KINDS {
                key.1 = None;
            }
        }
        match self.kinds.get_mut(&key) {
            None => {
                self.kinds.insert(key, Kind { said: now, unsaid: 0 });
                Some(0)
            }
            Some(kind) if now.duration_since(kind.said) >= QUIET => {
                kind.said = now;
                Some(std::mem::take(&mut kind.unsaid))
            }
            Some(kind) => {
                kind.unsaid += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute_and_station_with_its_count() {
        let mut log = RateLimitedLog::default();
        let start = Instant::now();
        let roof = StationName::new("roof").unwrap();
        assert_eq!(log.say("not_json", Some(&roof), start), Some(0));
        for second in 1..60 {
            assert_eq!(log.say("not_json", Some(&roof), start + Duration::from_secs(second)), None);
        }
        assert_eq!(log.say("no_time", Some(&roof), start), Some(0));
        assert_eq!(log.say("not_json", None, start), Some(0));
        assert_eq!(log.say("not_json", Some(&roof), start + Duration::from_secs(60)), Some(59));
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let mut log = RateLimitedLog::default();
        let now = Instant::now();
        for index in 0..MAX_KINDS * 2 {
            log.say("far_past", Some(&StationName::new(&index.to_string()).unwrap()), now);
        }
        assert!(log.kinds.len() <= MAX_KINDS + 1);
    }
}
