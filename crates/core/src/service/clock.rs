//! Whether the clock can be believed.
//!
//! A machine without a battery-backed clock starts in the past. Readings of the present then seem to come from the future,
//! and refusing them would lose them. So what is ahead of the clock is held back, not refused, as long as more speaks against
//! the clock than against the stations:
//! - the clock is before the day that this program was built, or
//! - the clock is before a time that it has shown already (the journal remembers), and a station says so too, or
//! - two stations or more are ahead by what no time zone explains, and no fewer stations are on time.
//!
//! One station that is ahead, or several by a whole time zone, have a wrong clock themselves.
//!
//! A station's newest word counts. What waits for the clock goes on speaking against it, for as long as it waits and its station
//! says nothing else; that it is not ahead any more, as time has passed, says nothing for the clock.
//!
//! A clock that jumps back was ahead before, or is behind now: by an hour set by hand, or after a start without the network's
//! time. Where it had jumped ahead before by as much, it was ahead. Else it is *doubted* for an hour, and where it shows a time before
//! the day of the build, for as long as it does; but within an hour of the start, when the network's time comes, and if it shows no
//! time of before the start, what is later than it was at the start goes at once: no clock but ours has seen that. What stations sent of the time that it has gone back over is neither
//! forgotten nor removed from the journal while it is doubted; it is once the clock has stayed there.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::io::Now;
use super::readings::HeldReading;
use super::{Effect, Event, Service};
use crate::journal::Entry;
use crate::station::Station;
use crate::station::looks_like_local_time;
use crate::weather::reading::StationName;

/// Stations that are remembered as witnesses.
const MAX_WITNESSES: usize = 64;
/// A difference between the wall clock and the time since the start is a jump from here on.
const JUMP: SignedDuration = SignedDuration::from_secs(5);
/// What stations said is forgotten after so long.
const WITNESS_AGE: Duration = Duration::from_secs(3600);
/// A clock that has gone back and stays there for so long is right.
const DOUBTED_FOR: Duration = Duration::from_secs(3600);

/// What speaks for the clock and what against it.
#[derive(Debug)]
pub(super) struct ClockWatch {
    /// The clock cannot be before this.
    earliest: Timestamp,
    /// The latest time that the clock has shown before the start, as far as the journal knows.
    shown_before: Option<Timestamp>,
    /// The latest that it has shown since, before it went back.
    shown_since: Option<Timestamp>,
    /// By station, when it said so last, in time since the start.
    ahead: BTreeMap<StationName, Duration>,
    on_time: BTreeMap<StationName, Duration>,
    last: Option<Now>,
    /// What it showed at the start.
    started: Option<Timestamp>,
    /// By how much the clock has jumped since the start, or since it was last believed, all in all.
    jumped: SignedDuration,
    /// Since when it has been doubted, in time since the start.
    doubted_since: Option<Duration>,
}

impl ClockWatch {
    /// A clock that cannot be before `earliest`.
    pub(super) fn new(earliest: Timestamp) -> ClockWatch {
        ClockWatch {
            earliest,
            shown_before: None,
            shown_since: None,
            ahead: BTreeMap::new(),
            on_time: BTreeMap::new(),
            last: None,
            started: None,
            jumped: SignedDuration::ZERO,
            doubted_since: None,
        }
    }

    /// The clock has shown this time before the start.
    pub(super) fn shown(&mut self, time: Timestamp) {
        self.shown_before = self.shown_before.max(Some(time));
    }

    /// Time has passed. By how much the clock jumped, if it did.
    pub(super) fn tick(&mut self, now: Now) -> Option<SignedDuration> {
        self.started.get_or_insert(now.wall);
        let is_remembered = |said: &Duration| now.uptime.saturating_sub(*said) <= WITNESS_AGE;
        self.ahead.retain(|_, said| is_remembered(said));
        self.on_time.retain(|_, said| is_remembered(said));
        let jump = self.jump(now);
        let last = self.last.replace(now)?;
        let jump = jump?;
        self.ahead.clear();
        self.on_time.clear();
        self.jumped += jump;
        if self.jumped <= -JUMP {
            self.shown_since = self.shown_since.max(Some(last.wall));
            self.doubted_since.get_or_insert(now.uptime);
        } else {
            self.doubted_since = None;
        }
        Some(jump)
    }

    /// By how much the clock has jumped since it was last looked at, if it has.
    fn jump(&self, now: Now) -> Option<SignedDuration> {
        let last = self.last?;
        let passed = SignedDuration::try_from(now.uptime.saturating_sub(last.uptime)).ok()?;
        Some(now.wall.duration_since(last.wall) - passed).filter(|jump| jump.abs() >= JUMP)
    }

    /// What a clock showed at the start that has gone back and was likely ahead since: the network's time comes soon after it.
    pub(super) fn was_ahead_at(&self, now: Now) -> Option<Timestamp> {
        let is_likely = now.uptime < DOUBTED_FOR
            && now.wall >= self.earliest
            && self.shown_before.is_none_or(|shown| now.wall >= shown);
        self.started.filter(|started| is_likely && now.wall < *started)
    }

    /// Whether what lies ahead of the clock may be right, as the clock may be behind.
    pub(super) fn is_doubted(&self, now: Now) -> bool {
        let jump = self.jump(now).unwrap_or_default();
        let jumps_back = jump < SignedDuration::ZERO && self.jumped + jump <= -JUMP;
        now.wall < self.earliest || jumps_back || self.doubted_since.is_some_and(|since| !is_over(since, now))
    }

    /// Whether it has gone back and stayed there, which is said once.
    pub(super) fn is_believed_again(&mut self, now: Now) -> bool {
        let is_believed =
            now.wall >= self.earliest && self.doubted_since.is_some_and(|since| is_over(since, now));
        if is_believed {
            self.doubted_since = None;
            self.jumped = SignedDuration::ZERO;
        }
        is_believed
    }

    /// Whether a clock that has shown a later time before the start has not been believed yet.
    pub(super) fn is_before_its_past(&self, now: Now, tolerance: SignedDuration) -> bool {
        self.has_shown_later(now.wall, tolerance)
    }

    fn has_shown_later(&self, wall: Timestamp, tolerance: SignedDuration) -> bool {
        let shown = self.shown_before.max(self.shown_since);
        shown.is_some_and(|shown| shown.duration_since(wall) > tolerance)
    }

    /// A station sent a reading that is not ahead of the clock, at this time since the start.
    pub(super) fn on_time(&mut self, station: &StationName, uptime: Duration) {
        remember(&mut self.on_time, station, uptime);
        self.ahead.remove(station);
    }

    /// A station sent a reading that is `ahead` of the clock, at this time since the start.
    pub(super) fn ahead(&mut self, station: &StationName, ahead: SignedDuration, uptime: Duration) {
        if !looks_like_local_time(ahead) {
            remember(&mut self.ahead, station, uptime);
        }
        self.on_time.remove(station);
    }

    /// A reading of a station waits and is still `ahead` of the clock.
    fn waits(&mut self, station: &StationName, ahead: SignedDuration, uptime: Duration) {
        if !self.on_time.contains_key(station) {
            self.ahead(station, ahead, uptime);
        }
    }

    /// Whether the clock is behind, as far as can be told; asked when something is ahead of it.
    pub(super) fn is_behind(&self, wall: Timestamp, tolerance: SignedDuration) -> bool {
        wall < self.earliest
            || (self.has_shown_later(wall, tolerance) && self.on_time.is_empty())
            || (self.ahead.len() >= 2 && self.ahead.len() > self.on_time.len())
    }
}

fn is_over(doubted_since: Duration, now: Now) -> bool {
    now.uptime.saturating_sub(doubted_since) >= DOUBTED_FOR
}

fn remember(witnesses: &mut BTreeMap<StationName, Duration>, station: &StationName, uptime: Duration) {
    if let Some(said) = witnesses.get_mut(station) {
        *said = uptime;
    } else if witnesses.len() < MAX_WITNESSES {
        witnesses.insert(station.clone(), uptime);
    }
}

pub(super) fn drop_future(
    station: &mut Station,
    limit: Timestamp,
    entries: &mut Vec<Entry>,
    effects: &mut Vec<Effect>,
) -> bool {
    let Some((newest, _)) = station.newest() else { return false };
    if !station.drop_after(limit) {
        return false;
    }
    let name = station.name().clone();
    entries.push(Entry::Truncate { station: name.clone(), after: limit, until: None });
    effects.push(Effect::Recall(station.recall(limit)));
    effects.push(Effect::Emit(Event::FutureDropped { station: name, newest }));
    true
}

impl Service {
    /// A clock that was ahead and is right now leaves stations whose newest reading lies in the future.
    pub(super) fn drop_all_future(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.drop_all_after(now, now.wall + self.settings.max_ahead, effects);
    }

    /// Drops what is later than `limit`, of every station.
    pub(super) fn drop_all_after(&mut self, now: Now, limit: Timestamp, effects: &mut Vec<Effect>) {
        self.parts.drop_after(limit, effects);
        let mut changed = Vec::new();
        for (name, entry) in &mut self.stations {
            if drop_future(&mut entry.station, limit, &mut self.entries, effects) {
                changed.push(name.clone());
            }
        }
        for name in changed {
            self.mark_dirty(&name);
            self.update_state(now, &name, true, effects);
        }
    }

    /// Removes from the journal what a restart did not take of it, as it is of a time that is still to come: as that time comes,
    /// up to each reading that was measured since the restart; and all that is left once the clock is believed. So a clock that
    /// is behind costs no more of the journal than the time for which it is.
    pub(super) fn remove_future_left(&mut self, now: Now, name: &StationName, time: Timestamp) {
        let is_doubted = self.clock.is_doubted(now);
        let Some(entry) = self.stations.get_mut(name) else { return };
        let Some(left) = &mut entry.future_left else { return };
        // As the clock dates the restart now: where it has jumped since, it was wrong then.
        let passed =
            SignedDuration::try_from(now.uptime.saturating_sub(left.restarted_at)).unwrap_or_default();
        let Ok(restart) = now.wall.checked_sub(passed) else { return };
        if time < restart {
            return;
        }
        let after = left.removed_until.unwrap_or(restart + self.settings.max_ahead);
        let is_believed = !is_doubted && is_over(left.restarted_at, now);
        let until = Some(time).filter(|_| !is_believed);
        if until.is_none_or(|until| until > after) {
            left.removed_until = Some(time.max(after));
            self.entries.push(Entry::Truncate { station: name.clone(), after, until });
        }
        if is_believed {
            entry.future_left = None;
        }
    }

    /// A clock that was behind at the start has jumped: what a restart did not take, as it seemed to be of the future, is taken.
    pub(super) fn take_future_left(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.clock.is_before_its_past(now, self.settings.max_ahead) {
            return;
        }
        for entry in self.stations.values_mut().filter(|entry| entry.future_left.is_some()) {
            entry.future_left = None;
            effects.push(Effect::Recall(entry.station.recall_readings()));
        }
    }

    /// Takes of the readings that wait for the clock those that are not ahead of it any more, as many as there is room for.
    /// When the clock turns out to be right, the others are refused: their stations were wrong.
    pub(super) fn look_at_the_clock(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.early.is_empty() && !self.clock_is_behind {
            return;
        }
        let max_ahead = self.settings.max_ahead;
        let ahead_of_clock = |reading: &HeldReading| reading.time.duration_since(now.wall);
        for reading in &self.early {
            let ahead = ahead_of_clock(reading);
            if ahead > max_ahead {
                self.clock.waits(&reading.station, ahead, now.uptime);
            }
        }
        let is_behind = self.clock.is_behind(now.wall, max_ahead);
        if self.clock_is_behind && !is_behind {
            self.clock_is_behind = false;
            let by = self.early.front().map_or(SignedDuration::ZERO, ahead_of_clock);
            let waiting = self.early.len();
            effects.push(Effect::Emit(Event::ClockBehind { is_behind, by, waiting }));
        }
        for reading in std::mem::take(&mut self.early) {
            let ahead = ahead_of_clock(&reading);
            match ahead > max_ahead {
                true if is_behind => self.early.push_back(reading),
                true => self.refuse_ahead(reading, ahead, effects),
                false if self.has_room() => self.admit(now, reading, effects),
                false => self.early.push_back(reading),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: SignedDuration = SignedDuration::from_secs(300);

    fn watch() -> ClockWatch {
        ClockWatch::new(at(1000))
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn name(name: &str) -> StationName {
        StationName::new(name).unwrap()
    }

    #[test]
    fn one_station_that_is_ahead_is_wrong_and_two_are_right() {
        let mut watch = watch();
        watch.ahead(&name("a"), SignedDuration::from_mins(26 * 60 + 7), Duration::ZERO);
        assert!(!watch.is_behind(at(2000), TOLERANCE));
        watch.ahead(&name("b"), SignedDuration::from_mins(26 * 60 + 9), Duration::ZERO);
        assert!(watch.is_behind(at(2000), TOLERANCE));
        watch.on_time(&name("c"), Duration::ZERO);
        watch.on_time(&name("d"), Duration::ZERO);
        assert!(!watch.is_behind(at(2000), TOLERANCE), "as many are on time");
    }

    #[test]
    fn stations_in_local_time_do_not_speak_against_the_clock() {
        let mut watch = watch();
        for station in ["a", "b", "c"] {
            watch.ahead(&name(station), SignedDuration::from_secs(3600 - 20), Duration::ZERO);
        }
        assert!(!watch.is_behind(at(2000), TOLERANCE));
    }

    #[test]
    fn a_clock_before_its_own_past_is_behind_until_a_station_is_on_time() {
        let mut watch = watch();
        watch.shown(at(2024));
        assert!(watch.is_behind(at(2000), TOLERANCE));
        assert!(!watch.is_behind(at(2024), TOLERANCE));
        watch.on_time(&name("a"), Duration::ZERO);
        assert!(!watch.is_behind(at(2000), TOLERANCE), "it was ahead before, and was corrected");
        assert!(watch.is_behind(at(999), TOLERANCE), "before this program was built");
    }

    #[test]
    fn a_jump_is_what_the_time_since_the_start_does_not_explain() {
        let mut watch = watch();
        let now = |second: i64, uptime| Now {
            wall: Timestamp::from_second(second).unwrap(),
            uptime: Duration::from_secs(uptime),
        };
        assert_eq!(watch.tick(now(7_200_000, 1)), None);
        assert_eq!(watch.tick(now(7_200_010, 11)), None);
        assert_eq!(watch.tick(now(7_200_002, 12)), Some(SignedDuration::from_secs(-9)));
        assert_eq!(watch.tick(now(7_200_003, 13)), None);
    }
}
