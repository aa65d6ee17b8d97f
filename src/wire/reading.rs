//! The canonical JSON reading.
//!
//! `{"time":"2020-01-01T00:10:00Z","air_temperature_c":0.71,"air_pressure_hpa":1008.89, …}`: the keys are those of
//! [`Quantity::key`]. Numbers may be strings; `null` and absent keys mean that nothing was measured; unknown keys
//! are ignored. `time` is RFC 3339 or seconds (or milliseconds) since the Unix epoch.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value;

use forecastd_core::{Quantity, Values};

/// Payloads longer than this are not looked at.
pub const MAX_BYTES: usize = 64 * 1024;

/// Why a payload is no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Nothing in it.
    #[error("payload is empty")]
    Empty,
    /// Longer than [`MAX_BYTES`].
    #[error("payload has {0} bytes, more than {MAX_BYTES}")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("payload is not UTF-8 from byte {0}")]
    NotUtf8(usize),
    /// Not JSON.
    #[error("payload is not JSON: {0}")]
    NotJson(String),
    /// JSON, but no object.
    #[error("payload is a JSON {0}, not an object")]
    NotObject(&'static str),
    /// No time.
    #[error("payload has no \"time\"")]
    NoTime,
    /// A time that cannot be read.
    #[error("\"time\" is {0}, neither RFC 3339 nor seconds since 1970")]
    BadTime(String),
    /// A value that is no number.
    #[error("{key:?} is {found}, not a number")]
    BadValue {
        /// Its key.
        key: &'static str,
        /// What stands there.
        found: String,
    },
    /// Not one known quantity.
    #[error("payload has no known quantity, such as \"air_temperature_c\"")]
    NoValues,
}

impl PayloadError {
    /// Every reason's label, for metrics.
    pub const REASONS: [&'static str; 8] =
        ["empty", "too_large", "not_utf8", "not_json", "no_time", "bad_time", "bad_value", "no_values"];

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            PayloadError::Empty => "empty",
            PayloadError::TooLarge(_) => "too_large",
            PayloadError::NotUtf8(_) => "not_utf8",
            PayloadError::NotJson(_) | PayloadError::NotObject(_) => "not_json",
            PayloadError::NoTime => "no_time",
            PayloadError::BadTime(_) => "bad_time",
            PayloadError::BadValue { .. } => "bad_value",
            PayloadError::NoValues => "no_values",
        }
    }
}

/// Reads a payload: when it was measured, and what.
///
/// # Errors
/// [`PayloadError`], the first found.
pub fn decode(payload: &[u8]) -> Result<(Timestamp, Values), PayloadError> {
    if payload.is_empty() {
        return Err(PayloadError::Empty);
    }
    if payload.len() > MAX_BYTES {
        return Err(PayloadError::TooLarge(payload.len()));
    }
    let text = std::str::from_utf8(payload).map_err(|error| PayloadError::NotUtf8(error.valid_up_to()))?;
    let value: Value =
        serde_json::from_str(text).map_err(|error| PayloadError::NotJson(error.to_string()))?;
    let Value::Object(object) = value else { return Err(PayloadError::NotObject(kind(&value))) };
    let time = object.get("time").ok_or(PayloadError::NoTime)?;
    let time = decode_time(time).ok_or_else(|| PayloadError::BadTime(shorten(time)))?;
    let mut values = Values::NONE;
    for quantity in Quantity::ALL {
        let key = quantity.key();
        match object.get(key) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let number =
                    number(value).ok_or_else(|| PayloadError::BadValue { key, found: shorten(value) })?;
                values.set(quantity, number as f32);
            }
        }
    }
    if values.is_empty() {
        return Err(PayloadError::NoValues);
    }
    Ok((time, values))
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

/// A finite number, as a number or in a string.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn decode_time(value: &Value) -> Option<Timestamp> {
    if let Value::String(text) = value
        && let Ok(time) = text.trim().parse::<Timestamp>()
    {
        return Some(time);
    }
    /// The year 5138 in seconds, 1973 in milliseconds: no clock means the one and says the other.
    const MILLISECONDS_FROM: f64 = 1e11;
    let seconds = number(value)?;
    let seconds = if seconds.abs() >= MILLISECONDS_FROM { seconds / 1000.0 } else { seconds };
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
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
fn shorten(value: &Value) -> String {
    const MAX_CHARACTERS: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_canonical_reading_is_read() {
        let payload =
            br#"{"time":"2020-01-01T00:10:00Z","air_temperature_c":0.71,"air_pressure_hpa":"1008.89",
            "wind_gust_m_s":null,"battery":{"ok":true}}"#;
        let (time, values) = decode(payload).unwrap();
        assert_eq!(time.as_second(), 1_577_837_400);
        assert_eq!(values.get(Quantity::AirTemperature), Some(0.71));
        assert_eq!(values.get(Quantity::AirPressure), Some(1008.89));
        assert_eq!(values.get(Quantity::WindSpeedOfGust), None);
    }

    #[test]
    fn times_are_read_in_every_form() {
        for time in
            ["1577837400", "\"1577837400\"", "1577837400.0", "1577837400000", "\"2020-01-01T01:10:00+01:00\""]
        {
            let payload = format!("{{\"time\":{time},\"air_temperature_c\":1}}");
            assert_eq!(decode(payload.as_bytes()).unwrap().0.as_second(), 1_577_837_400, "{time}");
        }
    }

    #[test]
    fn every_fault_has_its_reason() {
        let deep = format!("{}1{}", "[".repeat(2000), "]".repeat(2000));
        let cases: Vec<(&[u8], &str)> = vec![
            (b"", "empty"),
            (b"\xff\xfe", "not_utf8"),
            (b"temperature=3", "not_json"),
            (b"{\"time\":", "not_json"),
            (b"3.5", "not_json"),
            (b"[]", "not_json"),
            (deep.as_bytes(), "not_json"),
            (b"{\"air_temperature_c\":1}", "no_time"),
            (b"{\"time\":null,\"air_temperature_c\":1}", "bad_time"),
            (b"{\"time\":\"yesterday\",\"air_temperature_c\":1}", "bad_time"),
            (b"{\"time\":1e300,\"air_temperature_c\":1}", "bad_time"),
            (b"{\"time\":0,\"air_temperature_c\":\"NaN\"}", "bad_value"),
            (b"{\"time\":0,\"air_temperature_c\":\"inf\"}", "bad_value"),
            (b"{\"time\":0,\"air_temperature_c\":NaN}", "not_json"),
            (b"{\"time\":0,\"air_temperature_c\":true}", "bad_value"),
            (b"{\"time\":0,\"air_temperature_c\":{\"value\":1}}", "bad_value"),
            (b"{\"time\":0,\"air_temperature_c\":null}", "no_values"),
            (b"{\"time\":0}", "no_values"),
        ];
        for (payload, reason) in cases {
            let error = decode(payload).unwrap_err();
            assert_eq!(error.reason(), reason, "{error}");
            assert!(PayloadError::REASONS.contains(&error.reason()));
        }
        assert_eq!(decode(&vec![b' '; 1 << 20]).unwrap_err().reason(), "too_large");
    }

    proptest! {
        #[test]
        fn a_reading_survives_writing_and_reading(
            second in -2_000_000_000_i64..4_000_000_000,
            numbers in prop::collection::vec(prop::option::of(-1e4_f32..1e4), Quantity::COUNT),
        ) {
            let mut values = Values::NONE;
            for (quantity, number) in Quantity::ALL.into_iter().zip(numbers) {
                if let Some(number) = number {
                    values.set(quantity, number);
                }
            }
            let time = Timestamp::from_second(second).unwrap();
            match decode(encode(time, &values).as_bytes()) {
                Ok(decoded) => prop_assert_eq!(decoded, (time, values)),
                Err(error) => prop_assert!(values.is_empty() && error == PayloadError::NoValues),
            }
        }

        #[test]
        fn no_payload_makes_the_decoder_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&payload);
        }
    }
}
