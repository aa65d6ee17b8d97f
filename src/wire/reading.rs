//! The canonical JSON reading.
//!
//! `{"time":"2020-01-01T00:10:00Z","air_temperature_c":0.71,"air_pressure_hpa":1008.89, …}`: the keys are those of
//! [`Quantity::key`]. Numbers may be strings, with a decimal comma too; `null` and absent keys mean that nothing was
//! measured, and so does a bare `NaN` or `Infinity`, which is no JSON but is often sent. What cannot be read under a
//! key costs that value and no other. Unknown keys are ignored, and said where they are nearly ours.
//!
//! `time` is RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since the Unix epoch.

use std::borrow::Cow;
use std::fmt::{self, Write};

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;

use forecastd_core::{Place, PlaceError, Quantity, ReducedPressure, Site, Values, to_single};
use forecastd_mapping::{TimeSource, parse_json, since_epoch, since_epoch_with_fraction};

use super::near_key::nearest_key;

/// Payloads longer than this are not looked at.
pub const MAX_BYTES: usize = 64 * 1024;

/// What a payload says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// When it was measured.
    pub time: Timestamp,
    /// What was measured, in canonical units; never empty.
    pub values: Values,
    /// The pressure as the message tells it, where that of `values` was brought to the station from it.
    pub reduced_pressure: Option<ReducedPressure>,
    /// Whence the time is.
    pub time_source: TimeSource,
    /// Where a topic has one value: [`forecastd_mapping::Decoded::topic_rank`].
    pub topic_rank: Option<usize>,
    /// Where it was measured: by `latitude_deg` and `longitude_deg`, else by `time_zone`, else by `country`; with `elevation_m`,
    /// where that is there.
    pub place: Option<Place>,
    /// What lacks of a place that the payload says by half.
    pub half_place: Option<HalfPlace>,
    /// Keys of ours whose value cannot be read, with what stands there.
    pub unreadable: Vec<(&'static str, String)>,
    /// Keys that are not ours.
    pub unknown: Vec<String>,
}

/// A place that a payload says by half, so that it counts for nothing: by which of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfPlace {
    /// A latitude without a longitude.
    Latitude,
    /// A longitude without a latitude.
    Longitude,
    /// An elevation alone.
    Elevation,
}

impl HalfPlace {
    /// The key that is there.
    pub fn key(self) -> &'static str {
        match self {
            HalfPlace::Latitude => LATITUDE,
            HalfPlace::Longitude => LONGITUDE,
            HalfPlace::Elevation => ELEVATION,
        }
    }

    /// What is needed beside it.
    pub fn missing(self) -> &'static str {
        match self {
            HalfPlace::Latitude => LONGITUDE,
            HalfPlace::Longitude => LATITUDE,
            HalfPlace::Elevation => "latitude_deg and longitude_deg",
        }
    }
}

impl Decoded {
    /// The unknown keys that are nearly ours, such as `air_temperature_f` or `humidity`, each with the key that may be
    /// meant. Where that one has a value too, the other is taken for another thing: the temperature indoors, say.
    ///
    /// Comparing takes some microseconds for each key: ask once for each station and not for each reading.
    pub fn near_misses(&self) -> impl Iterator<Item = (&str, &'static str)> + '_ {
        let has_value =
            |key: &str| Quantity::from_key(key).is_some_and(|quantity| self.values.get(quantity).is_some());
        let near = self.unknown.iter().filter_map(|key| Some((key.as_str(), nearest_key(key)?)));
        near.filter(move |(_, meant)| !has_value(meant))
    }
}

/// Why a payload is no reading.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    thiserror::Error,
    strum::IntoStaticStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum(serialize_all = "snake_case")]
#[strum_discriminants(
    name(PayloadFault),
    vis(pub(crate)),
    derive(strum::IntoStaticStr),
    strum(serialize_all = "snake_case")
)]
pub enum PayloadError {
    /// Nothing in it.
    #[error("payload is empty")]
    Empty,
    /// Longer than [`MAX_BYTES`].
    #[error("payload has {0} bytes, more than {MAX_BYTES}")]
    TooLarge(usize),
    /// The payload is not UTF-8 from this byte on.
    #[error("payload is not UTF-8 from byte {0}")]
    NotUtf8(usize),
    /// Not JSON, or no object.
    #[error("payload is no JSON object: {0}")]
    NotJson(String),
    /// The object has no key `time`.
    #[error("payload has no \"time\"{}", .instead.as_ref().map(|key| format!(" (it has {key:?})")).unwrap_or_default())]
    NoTime {
        /// A key that looks as if it were meant for it.
        instead: Option<String>,
    },
    /// A time that cannot be read.
    #[error("\"time\" is {found}, {fault}")]
    BadTime {
        /// What stands there.
        found: String,
        /// What is wrong with it.
        fault: TimeFault,
    },
    /// Values under keys of ours, and not one that can be read.
    #[error("{key:?} is {found}, not a number")]
    BadValue {
        /// The first of the keys.
        key: &'static str,
        /// What stands there.
        found: String,
    },
    /// Not one value of a known quantity.
    #[error("payload has no value of a known quantity, such as \"air_temperature_c\"{}", did_you_mean(.near_miss.as_ref()))]
    NoValues {
        /// A key that is nearly ours, and the one that may be meant.
        near_miss: Option<(String, &'static str)>,
    },
}

/// What is wrong with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFault {
    /// A date and a time of day that no place on earth is given for.
    NoOffset,
    /// A text of no such form, or a number that is no time.
    NoTime,
}

impl fmt::Display for TimeFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TimeFault::NoOffset => "which has no offset from UTC: \"Z\" or one such as \"+01:00\" is needed",
            TimeFault::NoTime => "neither RFC 3339 nor seconds since 1970",
        })
    }
}

fn did_you_mean(near_miss: Option<&(String, &'static str)>) -> String {
    near_miss.map(|(key, meant)| format!("; {key:?} is no key, did you mean {meant:?}?")).unwrap_or_default()
}

impl PayloadError {
    /// Every reason's label, for metrics.
    pub const REASONS: &'static [&'static str] = <PayloadError as strum::VariantNames>::VARIANTS;

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        self.into()
    }
}

/// Reads a payload: when it was measured, and what.
///
/// # Errors
/// [`PayloadError`], the first found. One value that cannot be read is no error while there is another that can.
pub fn decode(payload: &[u8]) -> Result<Decoded, PayloadError> {
    if payload.is_empty() {
        return Err(PayloadError::Empty);
    }
    if payload.len() > MAX_BYTES {
        return Err(PayloadError::TooLarge(payload.len()));
    }
    let text = std::str::from_utf8(payload).map_err(|error| PayloadError::NotUtf8(error.valid_up_to()))?;
    let object = match parse(text)? {
        Value::Object(object) => object,
        other => return Err(PayloadError::NotJson(format!("it is a JSON {}", kind(&other)))),
    };
    let time = object.get("time").ok_or_else(|| PayloadError::NoTime {
        instead: object.keys().find(|key| is_like_time(key)).map(|key| shorten(key).into_owned()),
    })?;
    let time = decode_time(time)
        .map_err(|fault| PayloadError::BadTime { found: shorten(&time.to_string()).into_owned(), fault })?;
    let (mut values, mut unreadable, mut unknown) = (Values::NONE, Vec::new(), Vec::new());
    let mut said = Vec::new();
    for (key, value) in object {
        match Quantity::from_key(&key) {
            None if key == "time" => {}
            None if PLACE_KEYS.contains(&key.as_str()) => said.push((key, value)),
            None => unknown.push(key),
            // WeeWX writes None where Python has none: the direction of a calm.
            Some(_) if value.is_null() || value == "None" => {}
            Some(quantity) => match number(&value) {
                Some(number) => values.set(quantity, to_single(number)),
                None => unreadable.push((quantity.key(), shorten(&value.to_string()).into_owned())),
            },
        }
    }
    if !values.is_empty() {
        let (place, half_place) = place(&said, &mut unreadable);
        let (time_source, topic_rank) = (TimeSource::Payload, None);
        let reduced_pressure = None;
        return Ok(Decoded {
            time,
            values,
            reduced_pressure,
            time_source,
            topic_rank,
            place,
            half_place,
            unreadable,
            unknown,
        });
    }
    match unreadable.into_iter().next() {
        Some((key, found)) => Err(PayloadError::BadValue { key, found }),
        None => {
            let near_miss = |key: &String| Some((shorten(key).into_owned(), nearest_key(key)?));
            Err(PayloadError::NoValues { near_miss: unknown.iter().find_map(near_miss) })
        }
    }
}

/// Where a payload says that it was measured.
const PLACE_KEYS: [&str; 5] = [LATITUDE, LONGITUDE, ELEVATION, TIME_ZONE, COUNTRY];
const LATITUDE: &str = "latitude_deg";
const LONGITUDE: &str = "longitude_deg";
const ELEVATION: &str = "elevation_m";
const TIME_ZONE: &str = "time_zone";
const COUNTRY: &str = "country";

/// The place of a payload, if it is on earth, and what lacks of one that is said by half; what cannot be read of it is
/// unreadable.
fn place(
    said: &[(String, Value)],
    unreadable: &mut Vec<(&'static str, String)>,
) -> (Option<Place>, Option<HalfPlace>) {
    let find = |name: &str| said.iter().find(|(key, value)| key == name && !value.is_null());
    let mut read = |name: &'static str| {
        let (_, value) = find(name)?;
        let number = number(value);
        if number.is_none() {
            unreadable.push((name, shorten(&value.to_string()).into_owned()));
        }
        number
    };
    let [latitude_deg, longitude_deg, elevation_m] = [LATITUDE, LONGITUDE, ELEVATION].map(&mut read);
    if let Some((latitude_deg, longitude_deg)) = latitude_deg.zip(longitude_deg) {
        let (site, faults) = Site::reported(latitude_deg, longitude_deg, elevation_m);
        unreadable.extend(faults);
        if site.is_some() {
            return (site.map(Place::from_payload), None);
        }
    }
    let mut rough = |name: &'static str, of: fn(&str) -> Result<Place, PlaceError>| {
        let (_, value) = find(name)?;
        let text = value.as_str().map(str::trim);
        if text == Some("") {
            return None;
        }
        let place = text
            .ok_or_else(|| shorten(&value.to_string()).into_owned())
            .and_then(|text| of(text).map_err(|error| shorten(&error.to_string()).into_owned()));
        place.map_err(|found| unreadable.push((name, found))).ok()
    };
    let rough = rough(TIME_ZONE, Place::of_time_zone).or_else(|| rough(COUNTRY, Place::of_country));
    if let Some(mut place) = rough {
        place.site.elevation_m = elevation_m.filter(|elevation_m| {
            let fault = Site::validate_elevation(*elevation_m).err();
            unreadable.extend(fault.map(|error| (error.key(), error.to_string())));
            fault.is_none()
        });
        return (Some(place), None);
    }
    let has = |name: &str| find(name).is_some();
    let half = match (has(LATITUDE), has(LONGITUDE), has(ELEVATION)) {
        (true, false, _) => Some(HalfPlace::Latitude),
        (false, true, _) => Some(HalfPlace::Longitude),
        (false, false, true) => Some(HalfPlace::Elevation),
        (true, true, _) | (false, false, false) => None,
    };
    (None, half)
}

/// Writes a reading as [`decode`] reads it, with the shortest digits that give the same values again.
pub fn encode(time: Timestamp, values: &Values) -> String {
    let mut json = format!("{{\"time\":\"{time}\"");
    for (quantity, value) in values.iter().filter(|(_, value)| value.is_finite()) {
        // Writing to a string cannot fail.
        let _ = write!(json, ",\"{}\":{value}", quantity.key());
    }
    json.push('}');
    json
}

/// Parses JSON; a bare `NaN` in it is `null`.
fn parse(text: &str) -> Result<Value, PayloadError> {
    parse_json(text).map_err(|error| PayloadError::NotJson(error.to_string()))
}

/// A finite number, as a number or in a string; there with a decimal comma too.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().filter(|number| to_single(*number).is_finite()),
        Value::String(text) => forecastd_mapping::number(text),
        _ => None,
    }
}

fn decode_time(value: &Value) -> Result<Timestamp, TimeFault> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            if let Ok(time) = text.parse::<Timestamp>() {
                return Ok(time);
            }
            let of_epoch = match text.parse() {
                Ok(integer) => since_epoch(integer, None),
                Err(_) => text.parse().ok().and_then(|count| since_epoch_with_fraction(count, None)),
            };
            let is_civil = || text.parse::<DateTime>().is_ok();
            of_epoch.ok_or_else(|| if is_civil() { TimeFault::NoOffset } else { TimeFault::NoTime })
        }
        Value::Number(number) => match number.as_i64() {
            Some(integer) => since_epoch(integer, None),
            None => number.as_f64().and_then(|count| since_epoch_with_fraction(count, None)),
        }
        .ok_or(TimeFault::NoTime),
        _ => Err(TimeFault::NoTime),
    }
}

/// Whether a key looks as if the time of the measurement stood under it.
fn is_like_time(key: &str) -> bool {
    const LIKE_TIME: [&str; 9] =
        ["time", "timestamp", "datetime", "dateutc", "date", "ts", "utc", "measured_at", "observed_at"];
    LIKE_TIME.iter().any(|like| key.eq_ignore_ascii_case(like))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What stands in a payload, short enough for a log line.
fn shorten(text: &str) -> Cow<'_, str> {
    const MAX_CHARACTERS: usize = 40;
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests;
