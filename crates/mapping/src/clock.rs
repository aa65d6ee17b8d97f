//! Clocks on a wall: zones, offsets, and the instant at which a clock showed a time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::names::nearest;

/// Reads a time zone: an IANA name, `UTC`, `Z`, or an offset such as `+01:00`.
///
/// # Errors
/// A name that is none, with those that may be meant.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("z") || name.eq_ignore_ascii_case("gmt")
    {
        return Ok(TimeZone::UTC);
    }
    if name.starts_with(['+', '-']) {
        return offset(name).map(TimeZone::fixed);
    }
    TimeZone::get(name).map_err(|_| {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let mut near: Vec<(f64, &String)> = names
            .iter()
            .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()), known))
            .collect();
        near.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
        let best: Vec<String> = near.iter().take(3).map(|(_, name)| format!("{name:?}")).collect();
        format!("unknown time zone {name:?}; near are {}", best.join(", "))
    })
}

/// Reads an offset from UTC.
///
/// # Errors
/// Another form than `+01:00`.
pub(crate) fn offset(text: &str) -> Result<Offset, String> {
    let parse = || {
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = text[1..].split_once(':')?;
        let digits = |text: &str| {
            let is_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_digits.then(|| text.parse::<i32>().ok())?
        };
        let (hours, minutes) = (digits(hours)?, digits(minutes)?);
        // No place on earth is further from UTC than 14 hours.
        (hours <= 14 && minutes < 60)
            .then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok())?
    };
    parse().ok_or_else(|| {
        let hint = if zone_name_like(text) { "; the name of a zone stands under time_zone" } else { "" };
        format!("utc_offset {text:?} is not of the form +01:00{hint}")
    })
}

fn zone_name_like(text: &str) -> bool {
    text.contains('/') || !nearest(text, [("UTC", "UTC"), ("Europe", "Europe")].into_iter()).is_empty()
}

/// A wall clock in a zone, read one time after the other: of the two hours that have the same name when summer time
/// ends, the order of the readings tells which is meant.
#[derive(Debug, Clone)]
pub(crate) struct WallClock {
    zone: TimeZone,
    /// The time read last, and the one before that was another.
    last: Option<Timestamp>,
    before: Option<Timestamp>,
    /// Whether several readings in a row may have the same time.
    may_repeat: bool,
}

impl WallClock {
    /// A clock in `zone`; `may_repeat` where several rows of one time are usual, one for each sensor.
    pub(crate) fn new(zone: TimeZone, may_repeat: bool) -> WallClock {
        WallClock { zone, last: None, before: None, may_repeat }
    }

    /// The instant at which the clock showed `civil`.
    ///
    /// # Errors
    /// When the clock never showed it: summer time began.
    pub(crate) fn read(&mut self, civil: DateTime) -> Result<Timestamp, String> {
        let failed = |error: jiff::Error| format!("time {civil}: {error}");
        let at = |offset: Offset| offset.to_timestamp(civil).map_err(failed);
        let instant = match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset)?,
            AmbiguousOffset::Gap { .. } => {
                let name = self.zone.iana_name().unwrap_or("the zone");
                return Err(format!("time {civil} does not exist in {name}: clocks were put forward"));
            }
            AmbiguousOffset::Fold { before, after } => self.choose(at(before)?, at(after)?),
        };
        if self.last != Some(instant) {
            self.before = self.last;
            self.last = Some(instant);
        }
        Ok(instant)
    }

    /// The same for a single reading that arrived at `arrival`: of two hours of one name, the one that is nearer to it.
    ///
    /// # Errors
    /// When the clock never showed it.
    pub(crate) fn read_near(&mut self, civil: DateTime, arrival: Timestamp) -> Result<Timestamp, String> {
        if let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(civil).offset() {
            let instants = [before, after].into_iter().filter_map(|offset| offset.to_timestamp(civil).ok());
            let distance = |instant: &Timestamp| arrival.duration_since(*instant).abs();
            if let Some(nearest) = instants.min_by_key(distance) {
                return Ok(nearest);
            }
        }
        self.read(civil)
    }

    fn choose(&self, earlier: Timestamp, later: Timestamp) -> Timestamp {
        let Some(last) = self.last else { return earlier };
        let is_falling = self.before.is_some_and(|before| before > last);
        let follows = |time: Timestamp| match is_falling {
            true => time < last || self.may_repeat && time == last,
            false => time > last || self.may_repeat && time == last,
        };
        let (first, second) = if is_falling { (later, earlier) } else { (earlier, later) };
        if follows(first) || !follows(second) { first } else { second }
    }
}

/// How far a clock of a station may be from the arrival of its message where its zone has to be guessed.
const GUESS_WITHIN_S: i64 = 120;

/// The offsets from UTC that clocks of the world show and that are no whole hours, in minutes: Marquesas, Newfoundland in winter
/// and summer, Iran, Afghanistan, India, Nepal, Myanmar, Eucla, Central Australia in winter and summer, Chatham in both.
///
/// Source: IANA time zone database 2025b, zones as they are since 2019.
const BROKEN_OFFSETS_MIN: [i64; 13] = [-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825];

/// The instant at which a station's clock showed `civil`, in a zone that nobody gave: the one whose offset is that of a zone and
/// brings it to the arrival of the message, within two minutes. Then that offset, in seconds.
///
/// # Errors
/// When no offset does: the message took longer, or the clock is wrong.
pub(crate) fn near_arrival(civil: DateTime, arrival: Timestamp) -> Result<(Timestamp, i32), String> {
    const QUARTER_S: i64 = 900;
    let as_utc = Offset::UTC.to_datetime(arrival);
    let difference = civil.duration_since(as_utc).as_secs();
    let offset = (difference as f64 / QUARTER_S as f64).round() as i64 * QUARTER_S;
    let is_shown = match offset % 3600 {
        0 => (-12 * 3600..=14 * 3600).contains(&offset),
        _ => BROKEN_OFFSETS_MIN.contains(&(offset / 60)),
    };
    let within = is_shown && (difference - offset).abs() <= GUESS_WITHIN_S;
    let instant = || {
        let offset_s = i32::try_from(offset).ok()?;
        Some((Offset::from_seconds(offset_s).ok()?.to_timestamp(civil).ok()?, offset_s))
    };
    within.then(instant).flatten().ok_or_else(|| {
        format!("time {civil} has no offset from UTC, and no zone brings it to the arrival: set time_zone")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_offsets_that_are_none_are_named_with_the_nearest() {
        assert!(zone("Europe/Berlin").is_ok() && zone("+05:30").is_ok() && zone("UTC").is_ok());
        assert!(zone("Europe/Berlín").unwrap_err().contains("\"Europe/Berlin\""));
        for text in ["+1193047:00", "+-5:00", "+1:-30", "+1:00", "+15:00", "+01:60", "01:00", ""] {
            assert!(offset(text).is_err(), "{text}");
        }
        assert!(offset("Europe/Berlin").unwrap_err().contains("under time_zone"));
        assert_eq!(offset("-03:30").unwrap().seconds(), -12_600);
    }

    fn clock(times: &[&str], may_repeat: bool) -> Vec<String> {
        let mut clock = WallClock::new(zone("Europe/Berlin").unwrap(), may_repeat);
        let read = |time: &&str| {
            let civil: DateTime = format!("2024-10-27T{time}").parse().unwrap();
            clock.read(civil).unwrap().to_string()[11..16].to_owned()
        };
        times.iter().map(read).collect()
    }

    #[test]
    fn the_repeated_hour_is_told_apart_by_the_order_of_the_readings() {
        // Summer time of Europe ends on 2024-10-27 at 03:00, 01:00 UTC, when clocks are put back to 02:00.
        let rising = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"];
        assert_eq!(clock(&rising, false), ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00"]);
        let falling = ["03:30", "03:00", "02:30", "02:00", "02:30", "02:00", "01:30"];
        assert_eq!(clock(&falling, false), ["02:30", "02:00", "01:30", "01:00", "00:30", "00:00", "23:30"]);
        assert_eq!(clock(&["01:00", "02:00", "02:00", "03:00"], false), ["23:00", "00:00", "01:00", "02:00"]);
        let long = ["02:00", "02:00", "02:30", "02:30", "02:00", "02:00"];
        assert_eq!(clock(&long, true), ["00:00", "00:00", "00:30", "00:30", "01:00", "01:00"]);
    }

    #[test]
    fn an_hour_that_no_clock_showed_is_refused() {
        let mut clock = WallClock::new(zone("Europe/Berlin").unwrap(), false);
        let error = clock.read("2024-03-31T02:30:00".parse().unwrap()).unwrap_err();
        assert!(error.contains("does not exist in Europe/Berlin"), "{error}");
    }

    #[test]
    fn a_time_without_zone_is_brought_to_the_arrival_or_refused() {
        let arrival: Timestamp = "2026-11-25T13:08:42Z".parse().unwrap();
        let near =
            |civil: &str| near_arrival(civil.parse().unwrap(), arrival).map(|(time, _)| time.to_string());
        assert_eq!(near("2026-11-25T14:08:41").unwrap(), "2026-11-25T13:08:41Z");
        assert_eq!(near("2026-11-25T18:53:50").unwrap(), "2026-11-25T13:08:50Z");
        assert_eq!(near("2026-11-25T03:08:00").unwrap(), "2026-11-25T13:08:00Z");
        assert!(near("2026-11-25T13:00:00").unwrap_err().contains("set time_zone"));
        assert!(near("2026-11-26T13:08:42").unwrap_err().contains("set time_zone"));
        // In UTC+1 with a delay of a quarter, half and three quarters of an hour: no zone is so far from UTC.
        for late in ["2026-11-25T13:53:42", "2026-11-25T13:38:42", "2026-11-25T13:23:42"] {
            assert!(near(late).unwrap_err().contains("set time_zone"), "{late}");
        }
    }

    #[test]
    fn the_offsets_that_are_no_whole_hours_are_those_of_the_zones() {
        let mut offsets = std::collections::BTreeSet::new();
        for name in jiff::tz::db().available() {
            let zone = TimeZone::get(name.as_str()).unwrap();
            for instant in ["2025-01-15T00:00:00Z", "2025-07-15T00:00:00Z"] {
                let offset = zone.to_offset(instant.parse().unwrap()).seconds();
                offsets.extend((offset % 3600 != 0).then_some(i64::from(offset) / 60));
            }
        }
        let known: std::collections::BTreeSet<i64> = BROKEN_OFFSETS_MIN.into_iter().collect();
        assert!(offsets.is_subset(&known), "{offsets:?}");
        // Iran had summer time until 2022, and Afghanistan's offset is the same.
        assert_eq!(offsets, known);
    }
}
