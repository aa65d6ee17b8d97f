//! How far clocks of stations are from UTC, where only the arrival of their messages tells.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// Messages that a broker has kept come within this time of a connection.
const BACKLOG: SignedDuration = SignedDuration::from_secs(60);
/// A clock that was set anew shows the same offset still after so long; messages of a backlog come at once, each with another.
const APART: SignedDuration = SignedDuration::from_secs(10);
/// Of so many stations it is remembered: anybody can make up names.
const MOST_STATIONS: usize = 10_000;

/// The offsets that were believed, by station.
///
/// A guess brings a time to its arrival, so that a message which waited for whole hours would be one of now. The offset of a
/// station is therefore only learned from a message that cannot have waited, and held against those that follow.
#[derive(Debug, Default)]
pub struct ClockOffsets {
    /// When the last connection began, if messages may have waited for it.
    resumed: Option<Timestamp>,
    stations: HashMap<String, Clock>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    offset_s: Option<i32>,
    /// Another offset that a message has told since, and when it arrived.
    other: Option<(i32, Timestamp)>,
}

impl ClockOffsets {
    /// A connection begins: what the broker has kept comes now, if our session is present.
    pub fn connected(&mut self, session_present: bool, now: Timestamp) {
        self.resumed = session_present.then_some(now);
    }

    /// Whether the offset that a message was read with is that of its station's clock, and not lateness.
    pub fn is_of_clock(&mut self, station: &str, offset_s: i32, arrival: Timestamp) -> bool {
        let age = |since: Timestamp| arrival.duration_since(since);
        let may_have_waited =
            self.resumed.is_some_and(|resumed| (SignedDuration::ZERO..BACKLOG).contains(&age(resumed)));
        if self.stations.len() >= MOST_STATIONS && !self.stations.contains_key(station) {
            return !may_have_waited;
        }
        let clock = self.stations.entry(station.to_owned()).or_default();
        let is_believed = match (clock.offset_s, clock.other) {
            (Some(known), _) if known == offset_s => true,
            (None, _) if !may_have_waited => true,
            // A clock that was put forward or back tells the same once more.
            (_, Some((other, since))) if other == offset_s => age(since) >= APART,
            _ => {
                clock.other = Some((offset_s, arrival));
                false
            }
        };
        if is_believed {
            *clock = Clock { offset_s: Some(offset_s), other: None };
        }
        is_believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i32 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_612_122 + second).unwrap()
    }

    fn connected() -> ClockOffsets {
        let mut offsets = ClockOffsets::default();
        offsets.connected(true, at(0));
        offsets
    }

    #[test]
    fn messages_that_waited_for_hours_tell_no_offset() {
        let mut offsets = connected();
        // A clock of UTC+1, 5 to 1 hours ago; then it sends again.
        for hours in -4..=0 {
            assert!(!offsets.is_of_clock("roof", hours * HOUR, at(1)), "{hours}");
        }
        assert!(offsets.is_of_clock("roof", HOUR, at(120)));
        offsets.connected(true, at(1000));
        assert!(!offsets.is_of_clock("roof", -HOUR, at(1001)), "after another connection");
        assert!(offsets.is_of_clock("roof", HOUR, at(1001)), "what is known goes on");
        // Another broker's backlog comes at any time.
        for hours in -4..=0 {
            assert!(!offsets.is_of_clock("roof", hours * HOUR, at(9000)), "{hours}");
        }
        assert!(offsets.is_of_clock("roof", HOUR, at(9300)));
    }

    #[test]
    fn a_clock_that_is_put_back_is_believed_at_its_second_message() {
        let mut offsets = connected();
        assert!(offsets.is_of_clock("roof", 2 * HOUR, at(120)));
        assert!(!offsets.is_of_clock("roof", HOUR, at(420)));
        assert!(offsets.is_of_clock("roof", HOUR, at(720)));
        assert!(!offsets.is_of_clock("roof", 2 * HOUR, at(1020)));
        // A connection that breaks every half minute keeps nobody out for good.
        offsets.connected(true, at(2000));
        assert!(!offsets.is_of_clock("yard", HOUR, at(2010)));
        offsets.connected(true, at(2030));
        assert!(offsets.is_of_clock("yard", HOUR, at(2040)));
        // Nothing can have waited for a session that is new.
        offsets.connected(false, at(3000));
        assert!(offsets.is_of_clock("barn", HOUR, at(3001)));
    }
}
