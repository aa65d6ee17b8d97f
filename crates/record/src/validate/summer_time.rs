//! Whether the times are those of clocks that are put forward and back: an hour that comes twice in autumn, one that never
//! comes in spring.

use forecastd_core::Values;
use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::{Evidence, Suspicion};

/// No clock on earth is further from UTC than this; so far from Sunday, 02:00, its change may seem to be.
const FURTHEST: SignedDuration = SignedDuration::from_hours(15);
/// With more holes than this nothing follows from one of an hour.
const MOST_GAPS: usize = 5;

pub(super) fn validate(record: &Evidence<'_>) -> Option<Suspicion> {
    let twice = twice(record.readings);
    let (what, time) = match twice {
        Some(time) => ("comes twice", time),
        None => ("is missing", missing(record.readings)?),
    };
    let day = Offset::UTC.to_datetime(time).date();
    let message = format!(
        "an hour {what} on {day}, when clocks change: is this civil time with summer time (time_zone = \"Europe/Berlin\")?"
    );
    Some(Suspicion { about: "time", message })
}

/// When an hour comes twice, where all times that come twice with other values are of nights in which clocks are put back.
fn twice(readings: &[(Timestamp, Values)]) -> Option<Timestamp> {
    let is_twice = |pair: &&[(Timestamp, Values)]| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1;
    let times: Vec<Timestamp> = readings.windows(2).filter(is_twice).map(|pair| pair[0].0).collect();
    let first = *times.first()?;
    let is_back = |time: &Timestamp| is_near(*time, &[(10, Nth::Last), (11, Nth::First), (4, Nth::First)]);
    let step = usual_step(readings)?;
    // Of a night, an hour comes twice and no more.
    let nights = times.chunk_by(|one, next| next.duration_since(*one) < SignedDuration::from_hours(24));
    let is_an_hour = |night: &[Timestamp]| {
        let last = night[night.len() - 1];
        last.duration_since(night[0]) < SignedDuration::from_hours(1)
            && night.len() as i64 * step.as_secs() >= 1800
    };
    (times.iter().all(is_back) && nights.into_iter().all(is_an_hour)).then_some(first)
}

/// When an hour is missing, where a record with few holes has one of an hour in every night in which clocks are put forward.
fn missing(readings: &[(Timestamp, Values)]) -> Option<Timestamp> {
    let step = usual_step(readings)?;
    let hour = SignedDuration::from_hours(1);
    let gaps = readings.windows(2).filter(|pair| pair[1].0.duration_since(pair[0].0) >= step + hour / 2);
    let gaps: Vec<(Timestamp, SignedDuration)> =
        gaps.map(|pair| (pair[0].0, pair[1].0.duration_since(pair[0].0) - step)).collect();
    let is_forward = |time: Timestamp| is_near(time, &[(3, Nth::Last), (3, Nth::Second), (10, Nth::First)]);
    let of_an_hour = gaps.iter().filter(|(_, missing)| (*missing - hour).abs() <= step / 2);
    let forward: Vec<Timestamp> =
        of_an_hour.map(|(time, _)| *time).filter(|time| is_forward(*time)).collect();
    let others = gaps.len() - forward.len();
    // A hole of an hour in such a night may be chance; where readings come by the hour, it may be one lost reading.
    let few = others <= MOST_GAPS.min(forward.len()) && step <= hour / 2;
    (few && !forward.is_empty()).then(|| forward[0])
}

fn usual_step(readings: &[(Timestamp, Values)]) -> Option<SignedDuration> {
    let mut steps: Vec<SignedDuration> = readings
        .windows(2)
        .map(|pair| pair[1].0.duration_since(pair[0].0))
        .filter(|step| step.is_positive())
        .collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied()
}

/// Which Sunday of a month.
#[derive(Clone, Copy)]
enum Nth {
    First,
    Second,
    Last,
}

/// Whether a time is near 02:00 of one of these Sundays, in some zone.
fn is_near(time: Timestamp, sundays: &[(i8, Nth)]) -> bool {
    let year = Offset::UTC.to_datetime(time).year();
    sundays.iter().filter_map(|(month, nth)| sunday(year, *month, *nth)).any(|sunday| {
        let change = Offset::UTC.to_timestamp(sunday.at(2, 0, 0, 0));
        change.is_ok_and(|change| change.duration_since(time).abs() <= FURTHEST)
    })
}

fn sunday(year: i16, month: i8, nth: Nth) -> Option<Date> {
    let number = match nth {
        Nth::First => 1,
        Nth::Second => 2,
        Nth::Last => -1,
    };
    Date::new(year, month, 1).ok()?.nth_weekday_of_month(number, Weekday::Sunday).ok()
}
