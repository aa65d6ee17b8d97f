//! Log lines that would flood: the first of a kind is said, what follows within a minute is counted and said then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a kind of notice stays quiet after it was said.
const QUIET: Duration = Duration::from_secs(60);

/// What was said of which kind, and when.
#[derive(Debug, Default)]
pub struct Notices {
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Debug)]
struct Kind {
    said: Instant,
    since: u64,
}

impl Notices {
    /// Whether a notice of this kind is to be said at `now`, and how many were not said since the last.
    pub fn say(&mut self, kind: &'static str, now: Instant) -> Option<u64> {
        match self.kinds.get_mut(kind) {
            None => {
                self.kinds.insert(kind, Kind { said: now, since: 0 });
                Some(0)
            }
            Some(kind) if now.duration_since(kind.said) >= QUIET => {
                kind.said = now;
                Some(std::mem::take(&mut kind.since))
            }
            Some(kind) => {
                kind.since += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute_with_its_count() {
        let mut notices = Notices::default();
        let start = Instant::now();
        assert_eq!(notices.say("not_json", start), Some(0));
        for second in 1..60 {
            assert_eq!(notices.say("not_json", start + Duration::from_secs(second)), None);
        }
        assert_eq!(notices.say("no_time", start), Some(0));
        assert_eq!(notices.say("not_json", start + Duration::from_secs(60)), Some(59));
    }
}
