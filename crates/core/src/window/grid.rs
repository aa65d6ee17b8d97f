//! The time grid on which readings are kept: evenly spaced slots, counted from the Unix epoch.

use jiff::{SignedDuration, Timestamp};

/// The number of a slot: its grid time is `slot · step` seconds after the Unix epoch.
pub type Slot = i64;

const SECONDS_PER_HOUR: i64 = 3600;

/// A grid of time slots.
///
/// A slot stands for its grid time and takes the readings that came since the previous grid time, so that the
/// last reading of a slot is what a sensor showed at the grid time. A tenth of a step of grace lets a reading
/// that is a little late still find the slot it was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    step_s: i64,
}

impl Grid {
    /// The coarsest grid, in seconds.
    pub const MAX_STEP_S: u32 = 21_600;

    /// A grid of `step_s` seconds; `None` unless `1 <= step_s <= MAX_STEP_S`.
    pub fn new(step_s: u32) -> Option<Grid> {
        (1..=Grid::MAX_STEP_S).contains(&step_s).then_some(Grid { step_s: i64::from(step_s) })
    }

    /// Seconds between two slots.
    pub fn step_s(self) -> i64 {
        self.step_s
    }

    /// The latest time that belongs to the slot before `slot`.
    pub fn slot_begins(self, slot: Slot) -> Timestamp {
        let second = (slot.saturating_sub(1)).saturating_mul(self.step_s).saturating_add(self.step_s / 10);
        let end = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_second(second).unwrap_or(end)
    }

    /// The slot that a reading of `time` belongs to.
    pub fn slot(self, time: Timestamp) -> Slot {
        let grace = self.step_s / 10;
        let shifted = time.as_second() - grace;
        shifted.div_euclid(self.step_s) + i64::from(shifted.rem_euclid(self.step_s) != 0)
    }

    /// The time that a slot stands for; the ends of time where a slot lies beyond them.
    pub fn time(self, slot: Slot) -> Timestamp {
        let second = slot.saturating_mul(self.step_s);
        let end = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_second(second).unwrap_or(end)
    }

    /// How many slots a number of seconds spans; `None` when that is no whole number.
    pub fn slots(self, seconds: u32) -> Option<i64> {
        let seconds = i64::from(seconds);
        (seconds % self.step_s == 0).then_some(seconds / self.step_s)
    }

    /// How many slots a number of hours spans, rounded towards zero where the step does not divide them.
    pub fn hours_to_slots(self, hours: impl Into<i64>) -> i64 {
        hours.into().saturating_mul(SECONDS_PER_HOUR) / self.step_s
    }

    /// How many slots an hour has; 0 where the step is longer.
    pub fn slots_per_hour(self) -> i64 {
        SECONDS_PER_HOUR / self.step_s
    }

    /// The duration of a number of slots.
    pub fn duration(self, slots: i64) -> SignedDuration {
        SignedDuration::from_secs(slots.saturating_mul(self.step_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot_time(step_s: u32, time: &str) -> String {
        let grid = Grid::new(step_s).unwrap();
        grid.time(grid.slot(time.parse().unwrap())).to_string()
    }

    #[test]
    fn a_slot_takes_what_came_since_the_one_before() {
        for (time, slot) in [
            ("2020-01-01T00:10:00Z", "2020-01-01T00:10:00Z"),
            ("2020-01-01T00:11:00Z", "2020-01-01T00:10:00Z"),
            ("2020-01-01T00:11:01Z", "2020-01-01T00:20:00Z"),
            ("2020-01-01T00:19:59Z", "2020-01-01T00:20:00Z"),
            ("1969-12-31T23:55:00Z", "1970-01-01T00:00:00Z"),
            ("1969-12-31T23:51:00Z", "1969-12-31T23:50:00Z"),
        ] {
            assert_eq!(slot_time(600, time), slot, "{time}");
        }
        assert_eq!(Grid::new(0), None);
    }

    #[test]
    fn hours_are_counted_in_slots_of_any_length() {
        let ten_minutes = Grid::new(600).unwrap();
        assert_eq!(ten_minutes.hours_to_slots(24_u32), 144);
        assert_eq!(ten_minutes.hours_to_slots(-2_i64), -12);
        assert_eq!(ten_minutes.slots_per_hour(), 6);
        let six_hours = Grid::new(21_600).unwrap();
        assert_eq!(six_hours.hours_to_slots(24_u32), 4);
        assert_eq!(six_hours.hours_to_slots(u32::MAX), i64::from(u32::MAX) / 6);
    }

    #[test]
    fn slots_beyond_the_ends_of_time_do_not_panic() {
        let grid = Grid::new(600).unwrap();
        assert_eq!(grid.time(i64::MAX), Timestamp::MAX);
        assert_eq!(grid.time(i64::MIN), Timestamp::MIN);
        grid.slot(Timestamp::MIN);
        grid.slot(Timestamp::MAX);
    }
}
