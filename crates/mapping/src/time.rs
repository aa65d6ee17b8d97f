//! How time is written, and what instant that is.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::names::nearest;
use crate::text::{number, shortened};

/// What a text says of the time, before its zone is considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// An instant: the text has an offset, or counts from 1970.
    Instant(Timestamp),
    /// What a clock on a wall showed.
    Civil(DateTime),
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// RFC 3339, ISO 8601 with or without offset, or a count since 1970 whose unit is seen from its size.
    Auto,
    /// RFC 3339.
    Rfc3339,
    /// A count since 1970-01-01T00:00:00Z; so many make a second, or as the size says.
    Epoch(Option<i64>),
    /// A pattern of `strftime`.
    Pattern(String),
}

impl TimeFormat {
    /// Reads `auto`, `rfc3339`, `epoch`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a pattern.
    ///
    /// # Errors
    /// A pattern without date or time of day, or one that is none.
    pub(crate) fn parse(text: &str) -> Result<TimeFormat, String> {
        Ok(match text {
            "auto" => TimeFormat::Auto,
            "rfc3339" | "iso8601" => TimeFormat::Rfc3339,
            "epoch" => TimeFormat::Epoch(None),
            "epoch_s" | "%s" => TimeFormat::Epoch(Some(1)),
            "epoch_ms" => TimeFormat::Epoch(Some(1000)),
            "epoch_us" => TimeFormat::Epoch(Some(1_000_000)),
            "epoch_ns" => TimeFormat::Epoch(Some(1_000_000_000)),
            pattern if pattern.contains('%') => {
                check_pattern(pattern)?;
                TimeFormat::Pattern(pattern.to_owned())
            }
            other => {
                const NAMES: [&str; 7] =
                    ["auto", "rfc3339", "epoch", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"];
                return Err(format!(
                    "time format {other:?} is neither a pattern such as \"%Y-%m-%d %H:%M\" nor one of {}",
                    NAMES.join(", ")
                ));
            }
        })
    }

    /// Whether what it reads is always an instant.
    pub(crate) fn has_offset(&self) -> bool {
        match self {
            TimeFormat::Auto => false,
            TimeFormat::Rfc3339 | TimeFormat::Epoch(_) => true,
            TimeFormat::Pattern(pattern) => {
                ["%z", "%:z", "%::z", "%Q", "%:Q", "%s"].iter().any(|offset| pattern.contains(offset))
            }
        }
    }

    /// What a text is that this format does not read.
    fn hint(&self, text: &str) -> &'static str {
        match auto(text) {
            Some(Written::Instant(_)) if number(text).is_some() && !matches!(self, TimeFormat::Epoch(_)) => {
                "; it looks like a count since 1970: format = \"epoch\""
            }
            Some(_) => "; it looks like ISO 8601: format = \"auto\"",
            None => "",
        }
    }

    /// Reads a time.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(&self, text: &str) -> Result<Written, String> {
        let text = text.trim();
        let read = match self {
            TimeFormat::Auto => auto(text),
            TimeFormat::Rfc3339 => text.parse().ok().map(Written::Instant),
            TimeFormat::Epoch(per_second) => epoch(text, *per_second).map(Written::Instant),
            TimeFormat::Pattern(pattern) => by_pattern(pattern, text),
        };
        read.ok_or_else(|| {
            let shown = shortened(text);
            match self {
                TimeFormat::Auto => format!("time {shown:?} is neither ISO 8601 nor a count since 1970"),
                TimeFormat::Rfc3339 => format!("time {shown:?} is not RFC 3339{}", self.hint(text)),
                TimeFormat::Epoch(_) => format!("time {shown:?} is no count since 1970{}", self.hint(text)),
                TimeFormat::Pattern(pattern) => {
                    format!("time {shown:?} is not of the form {pattern:?}{}", self.hint(text))
                }
            }
        })
    }
}

/// Writes a time with the pattern and reads it again: what is lost, the pattern does not have.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let moment = DateTime::constant(2024, 11, 25, 21, 34, 56, 0);
    let zoned = moment.to_zoned_datetime(TimeZone::UTC).map_err(|error| error.to_string())?;
    let no_pattern = |error: jiff::Error| format!("time format {pattern:?}: {error}");
    let text = BrokenDownTime::from(&zoned).to_string(pattern).map_err(no_pattern)?;
    let broken = BrokenDownTime::parse(pattern, &text).map_err(no_pattern)?;
    if broken.timestamp().is_some() {
        return Ok(());
    }
    let date = broken.to_date().map_err(|_| format!("time format {pattern:?} has no date"))?;
    if date != moment.date() {
        return Err(format!("time format {pattern:?} has no whole date"));
    }
    match broken.hour() {
        None => Err(format!(
            "time format {pattern:?} has no time of day; where that is in a column of its own, name both: \
             column = [\"date\", \"time\"]"
        )),
        Some(hour) if hour != 21 && broken.meridiem().is_none() => {
            Err(format!("time format {pattern:?} has hours to twelve without am or pm (%p)"))
        }
        Some(_) => Ok(()),
    }
}

fn by_pattern(pattern: &str, text: &str) -> Option<Written> {
    read_pattern(pattern, text)
        // `12:30a` is half past midnight.
        .or_else(|| {
            let last = text.chars().last()?.to_ascii_lowercase();
            (matches!(last, 'a' | 'p') && pattern.contains("%p"))
                .then(|| read_pattern(pattern, &format!("{text}m")))?
        })
        .or_else(|| end_of_day(text, |text| read_pattern(pattern, text)))
}

fn read_pattern(pattern: &str, text: &str) -> Option<Written> {
    let broken = BrokenDownTime::parse(pattern, text).ok()?;
    if broken.timestamp().is_some() || broken.offset().is_some() {
        return broken.to_timestamp().ok().map(Written::Instant);
    }
    if broken.iana_time_zone().is_some() {
        return broken.to_zoned_datetime().ok().map(|zoned| Written::Instant(zoned.timestamp()));
    }
    broken.to_datetime().ok().map(Written::Civil)
}

/// Reads `24:00` of a day as `00:00` of the next.
fn end_of_day(text: &str, read: impl Fn(&str) -> Option<Written>) -> Option<Written> {
    text.match_indices("24").find_map(|(at, _)| {
        let begun = format!("{}00{}", &text[..at], &text[at + 2..]);
        match read(&begun)? {
            Written::Civil(civil) if civil.time() == jiff::civil::Time::midnight() => {
                civil.checked_add(1.day()).ok().map(Written::Civil)
            }
            Written::Instant(instant) => {
                // The hour was written with an offset, so a day is 24 hours.
                instant.checked_add(SignedDuration::from_hours(24)).ok().map(Written::Instant)
            }
            Written::Civil(_) => None,
        }
    })
}

fn auto(text: &str) -> Option<Written> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(Written::Instant(instant));
    }
    // A date without separators is no count: the year 1973 has nine digits in seconds.
    if number(text).is_some_and(|number| number.abs() >= 1e8) {
        return epoch(text, None).map(Written::Instant);
    }
    civil(text).or_else(|| end_of_day(text, civil))
}

/// ISO 8601 without offset, with `T` or a space, with or without seconds, with `-` or `/` in the date.
fn civil(text: &str) -> Option<Written> {
    let is_date =
        text.len() > 8 && text.as_bytes()[..4].iter().all(u8::is_ascii_digit) && !text.contains('+');
    let text = text.replace('/', "-");
    let has_time = text.contains(':');
    (is_date && has_time).then(|| text.parse::<DateTime>().ok().map(Written::Civil))?
}

/// The magnitude from which a count is not in seconds but in milliseconds, from which in microseconds, and from which in
/// nanoseconds: each is 1973 in the finer unit and the year 5138 in the coarser, and no clock means that.
const FINER_FROM: [i64; 3] = [100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000];

fn epoch(text: &str, per_second: Option<i64>) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(count) => since_epoch(count, per_second),
        Err(_) => since_epoch_with_fraction(text.parse().ok()?, per_second),
    }
}

/// The instant that is `count` after 1970, in a unit of which `per_second` make a second, or that the size tells.
pub fn since_epoch(count: i64, per_second: Option<i64>) -> Option<Timestamp> {
    let per_second = per_second.unwrap_or_else(|| {
        let finer = FINER_FROM.iter().filter(|from| count.unsigned_abs() >= from.unsigned_abs()).count();
        1000_i64.pow(finer as u32)
    });
    let nanoseconds = i128::from(count) * i128::from(1_000_000_000 / per_second);
    Timestamp::from_nanosecond(nanoseconds).ok()
}

/// The same for a number with a fraction, which has no more than the digits of a double: milliseconds are kept.
pub fn since_epoch_with_fraction(count: f64, per_second: Option<i64>) -> Option<Timestamp> {
    let per_second = per_second.unwrap_or_else(|| {
        let finer = FINER_FROM.iter().filter(|&&from| count.abs() >= from as f64).count();
        1000_i64.pow(finer as u32)
    });
    let milliseconds = (count / per_second as f64 * 1000.0).round();
    // No time is further from 1970 than 3.8e14 ms.
    (milliseconds.abs() < 1e15).then(|| Timestamp::from_millisecond(milliseconds as i64).ok())?
}

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
pub struct WallClock {
    zone: TimeZone,
    /// The time read last, and the one before that was another.
    last: Option<Timestamp>,
    before: Option<Timestamp>,
    /// Whether several readings in a row may have the same time.
    may_repeat: bool,
}

impl WallClock {
    /// A clock in `zone`; `may_repeat` where several rows of one time are usual, one for each sensor.
    pub fn new(zone: TimeZone, may_repeat: bool) -> WallClock {
        WallClock { zone, last: None, before: None, may_repeat }
    }

    /// The instant at which the clock showed `civil`.
    ///
    /// # Errors
    /// When the clock never showed it: summer time began.
    pub fn read(&mut self, civil: DateTime) -> Result<Timestamp, String> {
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

/// The instant at which a station's clock showed `civil`, in a zone that nobody gave: the one whose offset, in whole quarters
/// of an hour, brings it to the arrival of the message, within two minutes.
///
/// # Errors
/// When no offset does: the message was under way for longer, or the clock is wrong.
pub(crate) fn near_arrival(civil: DateTime, arrival: Timestamp) -> Result<Timestamp, String> {
    const QUARTER_S: i64 = 900;
    let as_utc = Offset::UTC.to_datetime(arrival);
    let difference = civil.duration_since(as_utc).as_secs();
    let offset = (difference as f64 / QUARTER_S as f64).round() as i64 * QUARTER_S;
    let within = (-12 * 3600..=14 * 3600).contains(&offset) && (difference - offset).abs() <= GUESS_WITHIN_S;
    let instant = || Offset::from_seconds(i32::try_from(offset).ok()?).ok()?.to_timestamp(civil).ok();
    within.then(instant).flatten().ok_or_else(|| {
        format!("time {civil} has no offset from UTC, and no zone brings it to the arrival: set time_zone")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Result<String, String> {
        match TimeFormat::parse(format)?.read(text)? {
            Written::Instant(instant) => Ok(instant.to_string()),
            Written::Civil(civil) => Ok(civil.to_string()),
        }
    }

    #[test]
    fn times_are_read_in_every_form() {
        for (format, text, expected) in [
            ("auto", "2024-03-25T01:00:00+01:00", "2024-03-25T00:00:00Z"),
            ("auto", "2024-03-25 01:00:00.5Z", "2024-03-25T01:00:00.5Z"),
            ("auto", "2024-03-25 01:00", "2024-03-25T01:00:00"),
            ("auto", "2024/3/25 1:00", "unreadable"),
            ("auto", "2024/03/25 01:00:07", "2024-03-25T01:00:07"),
            ("auto", "2024-03-24T24:00:00", "2024-03-25T00:00:00"),
            ("auto", "1711324800", "2024-03-25T00:00:00Z"),
            ("auto", "1711324800.0", "2024-03-25T00:00:00Z"),
            ("auto", "1711324800123", "2024-03-25T00:00:00.123Z"),
            ("auto", "1711324800123456", "2024-03-25T00:00:00.123456Z"),
            ("auto", "1711324800123456789", "2024-03-25T00:00:00.123456789Z"),
            ("auto", "20240325", "unreadable"),
            ("auto", "2024-03-25", "unreadable"),
            ("epoch_s", "0", "1970-01-01T00:00:00Z"),
            ("%s", "1704845100", "2024-01-10T00:05:00Z"),
            ("epoch_ms", "1000", "1970-01-01T00:00:01Z"),
            ("epoch_us", "1000", "1970-01-01T00:00:00.001Z"),
            ("epoch_ns", "1000", "1970-01-01T00:00:00.000001Z"),
            ("rfc3339", "2024-03-25T01:00:00Z", "2024-03-25T01:00:00Z"),
            ("%Y-%m-%d %H:%M:%S%.f %z", "2024-03-25 01:00:00.000 +0100", "2024-03-25T00:00:00Z"),
            ("%Y %m %d %H", "2024 1 1 8", "2024-01-01T08:00:00"),
            ("%Y%m%d %H", "20240124 24", "2024-01-25T00:00:00"),
            ("%Y%m%d%H", "2024012424", "2024-01-25T00:00:00"),
            ("%d/%m/%Y %H:%M", "24/12/2024 24:00", "2024-12-25T00:00:00"),
            ("%d/%m/%Y %H:%M", "24/12/2024 24:01", "unreadable"),
            ("%m/%d/%y %I:%M %p", "1/01/14 12:30 AM", "2014-01-01T00:30:00"),
            ("%m/%d/%y %I:%M%p", "1/01/14 12:30p", "2014-01-01T12:30:00"),
        ] {
            let found = read(format, text).unwrap_or_else(|_| "unreadable".to_owned());
            assert_eq!(found, expected, "{text:?} as {format:?}");
        }
    }

    #[test]
    fn a_pattern_needs_a_date_and_a_time_of_day() {
        let fault = |pattern: &str| TimeFormat::parse(pattern).unwrap_err();
        assert!(fault("%H:%M").contains("has no date"), "{}", fault("%H:%M"));
        assert!(fault("%Y").contains("has no date"), "{}", fault("%Y"));
        assert!(fault("%Y%m%d").contains("has no time of day"), "{}", fault("%Y%m%d"));
        assert!(fault("%Y%m%d %I:%M").contains("without am or pm"), "{}", fault("%Y%m%d %I:%M"));
        assert!(fault("ISO").contains("neither a pattern"), "{}", fault("ISO"));
        assert!(TimeFormat::parse("%d.%m.%Y %H:%M:%S").is_ok() && TimeFormat::parse("%j %Y %H").is_ok());
    }

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
        let near = |civil: &str| near_arrival(civil.parse().unwrap(), arrival).map(|time| time.to_string());
        assert_eq!(near("2026-11-25T14:08:41").unwrap(), "2026-11-25T13:08:41Z");
        assert_eq!(near("2026-11-25T18:53:50").unwrap(), "2026-11-25T13:08:50Z");
        assert_eq!(near("2026-11-25T03:08:00").unwrap(), "2026-11-25T13:08:00Z");
        assert!(near("2026-11-25T13:00:00").unwrap_err().contains("set time_zone"));
        assert!(near("2026-11-26T13:08:42").unwrap_err().contains("set time_zone"));
    }
}
