//! The order of a record in time, and readings whose clock was wrong.

use forecastd_core::EARLIEST_READING_S;
use jiff::{SignedDuration, Timestamp};

use crate::Row;

/// Readings before this are of a clock that is not set, unless the record is one of decades; live ones are refused.
const EARLIEST: Timestamp = Timestamp::constant(EARLIEST_READING_S, 0);
/// How far ahead of now a reading may be.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// Readings that are so far from all others, and so few, are of a clock that was reset.
const FAR: SignedDuration = SignedDuration::from_hours(365 * 24);
const FEW: f64 = 0.05;

/// Readings that were left out for their time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrongClock {
    /// The number of readings left out.
    pub count: u64,
    /// The earliest of them.
    pub first: Option<Timestamp>,
    /// The latest of them.
    pub last: Option<Timestamp>,
}

/// How many readings are older than one before them.
pub(crate) fn unsorted(readings: &[Row]) -> u64 {
    let mut newest = Timestamp::MIN;
    let is_older = |(time, _): &&Row| {
        let is_older = *time < newest;
        newest = newest.max(*time);
        is_older
    };
    readings.iter().filter(is_older).count() as u64
}

/// Sorts readings by time, those of one time as they came, and leaves out those whose clock was wrong: before 1990 where those
/// are few or more than a year from the others, ahead of `now`, or a few that are more than a year from all others at either end.
pub(crate) fn sort(readings: &mut Vec<Row>, now: Timestamp) -> WrongClock {
    readings.sort_by_key(|(time, _)| *time);
    let latest = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
    let early = readings.partition_point(|(time, _)| *time < EARLIEST);
    let few = (readings.len() as f64 * FEW) as usize;
    let time = |index: usize| readings[index].0;
    let is_far = |index: usize| time(index).duration_since(time(index - 1)) > FAR;
    // A record that goes on from before 1990 without a gap is an old one.
    let is_unset = early <= few || early < readings.len() && is_far(early);
    let mut begin = if is_unset { early } else { 0 };
    let mut end = readings.partition_point(|(time, _)| *time <= latest).max(begin);
    // The last of the gaps that leave few readings before them, and the first of those that leave few after.
    if let Some(gap) = (begin + 1..end.min(begin + few + 1)).rev().find(|&index| is_far(index)) {
        begin = gap;
    }
    if let Some(gap) = ((begin + 1).max(end.saturating_sub(few))..end).find(|&index| is_far(index)) {
        end = gap;
    }
    // Where nothing would be left, it is left for a person to see.
    if begin >= end {
        return WrongClock::default();
    }
    let left_out = || readings[..begin].iter().chain(&readings[end..]).map(|(time, _)| *time);
    let wrong =
        WrongClock { count: left_out().count() as u64, first: left_out().min(), last: left_out().max() };
    readings.truncate(end);
    readings.drain(..begin);
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Values;

    fn rows(times: &[&str]) -> Vec<Row> {
        times.iter().map(|time| (format!("{time}T00:00:00Z").parse().unwrap(), Values::NONE)).collect()
    }

    fn year(start: &str) -> Vec<Row> {
        let start: Timestamp = start.parse().unwrap();
        (0..365).map(|day| (start + SignedDuration::from_hours(24 * day), Values::NONE)).collect()
    }

    const NOW: Timestamp = Timestamp::constant(1_795_612_121, 0);

    #[test]
    fn rows_of_a_clock_that_was_reset_are_left_out() {
        for (others, count) in [
            (&["1970-01-01", "1970-01-02"][..], 2),
            (&["2000-01-01", "2000-01-02"][..], 2),
            (&["2031-01-10"][..], 1),
            (&["2099-01-01", "1970-01-01", "2000-01-01"][..], 3),
        ] {
            let mut readings = year("2024-01-01T00:00:00Z");
            for row in rows(others) {
                readings.insert(100, row);
            }
            let wrong = sort(&mut readings, NOW);
            assert_eq!(wrong.count, count, "{others:?}");
            assert_eq!(readings.len(), 365);
            assert_eq!(readings[0].0.to_string(), "2024-01-01T00:00:00Z");
        }
    }

    #[test]
    fn a_record_with_a_long_gap_is_kept_whole() {
        let mut readings = [year("2015-01-01T00:00:00Z"), year("2020-01-01T00:00:00Z")].concat();
        assert_eq!(sort(&mut readings, NOW), WrongClock::default());
        assert_eq!(readings.len(), 730);
    }

    #[test]
    fn a_record_of_decades_is_kept_from_its_beginning() {
        let years = |first: i16, last: i16| -> Vec<Row> {
            (first..=last).flat_map(|year_| year(&format!("{year_}-01-01T00:00:00Z"))).collect()
        };
        let mut readings = years(1951, 2024);
        let count = readings.len();
        assert_eq!(sort(&mut readings, NOW), WrongClock::default());
        assert_eq!(readings.len(), count);
        let mut ended = years(1951, 1980);
        assert_eq!(sort(&mut ended, NOW), WrongClock::default());
        assert_eq!(ended.len(), 30 * 365);
        // Many of a clock that was not set for long, but far from the others.
        let mut reset = [years(1970, 1970), years(2023, 2024)].concat();
        assert_eq!(sort(&mut reset, NOW).count, 365);
        assert_eq!(reset.len(), 730);
    }

    #[test]
    fn a_file_of_wrong_times_alone_is_left_as_it_is() {
        let mut readings = rows(&["1970-01-02", "1970-01-01"]);
        assert_eq!(sort(&mut readings, NOW), WrongClock::default());
        assert_eq!(unsorted(&rows(&["1970-01-02", "1970-01-01"])), 1);
        assert_eq!(readings[0].0.to_string(), "1970-01-01T00:00:00Z");
    }
}
