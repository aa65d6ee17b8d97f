//! How time is written, and what instant that is.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::text::{number, shortened};

/// What a text says of the time, before its zone is considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
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
    /// A time of RFC 3339, with its offset.
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
}
