//! What arrives on the topic of readings: a reading, or the wish that a station be forgotten.

use forecastd_core::{Quantity, StationName};
use forecastd_mapping::{DecodeError, Message, Source};
use jiff::Timestamp;

use super::reading::{self, Decoded};
use crate::config::TopicTemplate;

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A reading.
    Reading {
        /// Whose.
        station: StationName,
        /// What was measured, and what could not be read of it.
        decoded: Decoded,
    },
    /// An empty retained message: the station is to be forgotten.
    Forget(StationName),
}

/// Why a message says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct NotTaken {
    /// Whose it is, if that is known.
    pub station: Option<StationName>,
    /// Why, as a metric's label.
    pub reason: &'static str,
    /// Why, as a person reads it.
    pub detail: String,
}

/// Takes a message apart that arrived on `topic`.
///
/// # Errors
/// [`NotTaken`] when it is no reading of a station.
pub fn decode(
    template: &TopicTemplate,
    topic: &str,
    payload: &[u8],
    retain: bool,
) -> Result<Received, NotTaken> {
    let shown = || topic.chars().take(120).collect::<String>().escape_debug().to_string();
    let not_taken = |station, reason, detail| NotTaken { station, reason, detail };
    let Some(level) = template.station(topic) else {
        return Err(not_taken(None, "unknown_topic", format!("{}: no station's topic", shown())));
    };
    let station = StationName::new(level)
        .map_err(|error| not_taken(None, "bad_station", format!("{}: {error}", shown())))?;
    if payload.is_empty() && retain {
        return Ok(Received::Forget(station));
    }
    match reading::decode(payload) {
        Ok(decoded) => Ok(Received::Reading { station, decoded }),
        Err(error) => Err(not_taken(Some(station), error.reason(), error.to_string())),
    }
}

/// Takes a message of another program apart, by the source whose topic it is on; `None` where it is none that the source is
/// there for: a battery, another sensor.
///
/// # Errors
/// [`NotTaken`] when it should be a reading and is none.
pub fn decode_source(
    source: &Source,
    topic: &str,
    payload: &[u8],
    arrival: Timestamp,
) -> Result<Option<(StationName, Decoded)>, NotTaken> {
    let shown = || topic.chars().take(120).collect::<String>().escape_debug().to_string();
    let decoded = match source.decode(&Message { topic, payload, arrival }) {
        Ok(decoded) => decoded,
        Err(DecodeError::NotWanted(_) | DecodeError::NoValues | DecodeError::OtherTopic) => return Ok(None),
        Err(error) => {
            let reason = match error {
                DecodeError::TooLarge(_) => "too_large",
                DecodeError::NotUtf8(_) => "not_utf8",
                DecodeError::BadTime(_) => "bad_time",
                DecodeError::BadValue { .. } => "bad_value",
                DecodeError::NoStation => "bad_station",
                _ => "empty",
            };
            return Err(NotTaken { station: None, reason, detail: format!("{}: {error}", shown()) });
        }
    };
    let name = decoded.station.as_deref().unwrap_or_default();
    let station = StationName::new(name).map_err(|error| {
        let detail = format!("{}: {error}", shown());
        NotTaken { station: None, reason: "bad_station", detail }
    })?;
    // Metrics and log know values by the keys of the canonical reading.
    let key = |name: &'static str| name.parse::<Quantity>().map_or(name, Quantity::key);
    let unreadable = decoded.unreadable.into_iter().map(|(name, text)| (key(name), text)).collect();
    let (time, values, site) = (decoded.time, decoded.values, decoded.site);
    let decoded = Decoded { time, values, site, unreadable, unknown: Vec::new() };
    Ok(Some((station, decoded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_another_program_is_a_reading_or_none_of_ours_or_says_why_not() {
        let sources = "[[source]]\npreset = \"tasmota\"\ntime = { time_zone = \"UTC\" }\n";
        let source = Source::read_all(sources).unwrap().remove(0);
        let arrival: Timestamp = "2026-11-25T13:08:42Z".parse().unwrap();
        let decode = |topic: &str, payload: &str| decode_source(&source, topic, payload.as_bytes(), arrival);
        let reading =
            r#"{"Time":"2026-11-25T13:08:41","BME280":{"Temperature":7.2,"Humidity":"wet"},"TempUnit":"C"}"#;
        let (station, decoded) = decode("tele/roof/SENSOR", reading).unwrap().unwrap();
        assert_eq!((station.as_str(), decoded.time.to_string().as_str()), ("roof", "2026-11-25T13:08:41Z"));
        assert_eq!(decoded.unreadable, [("relative_humidity_pct", "wet".to_owned())]);
        assert_eq!(
            decode("tele/plug/SENSOR", r#"{"Time":"2026-11-25T13:08:41","ENERGY":{"Power":3}}"#),
            Ok(None)
        );
        let no_time =
            decode("tele/roof/SENSOR", r#"{"Time":"today","DS18B20":{"Temperature":1},"TempUnit":"C"}"#);
        assert_eq!(no_time.unwrap_err().reason, "bad_time");
        let no_station = decode("tele/ro of/SENSOR", reading).unwrap().unwrap().0;
        assert_eq!(no_station.as_str(), "ro of");
        assert_eq!(decode("tele//SENSOR", reading).unwrap_err().reason, "bad_station");
    }

    #[test]
    fn a_source_says_where_its_station_stands_or_why_that_cannot_be() {
        let source = "[[source]]\ntopic = \"buoys/{station}\"\nsite = { latitude_deg = 1.5, longitude_deg = 2.5 }\n\
                      place = { latitude = \"/at/1\", longitude = \"/at/0\", elevation = \"/at/2\" }\n\
                      [[source.value]]\nat = \"/t\"\nquantity = \"air_temperature\"\n";
        let source = Source::read_all(source).unwrap().remove(0);
        let arrival: Timestamp = "2026-11-25T13:08:42Z".parse().unwrap();
        let decode = |payload: &str| {
            let (_, decoded) =
                decode_source(&source, "buoys/a", payload.as_bytes(), arrival).unwrap().unwrap();
            let place = decoded.site.map(|site| (site.latitude_deg, site.longitude_deg, site.elevation_m));
            (place, decoded.unreadable.len())
        };
        let of_the_description = Some((1.5, 2.5, None));
        assert_eq!(decode(r#"{"t":7,"at":[7.9,"54.2",4]}"#), (Some((54.2, 7.9, Some(4.0))), 0));
        assert_eq!(decode(r#"{"t":7,"at":[7.9,54.2]}"#), (Some((54.2, 7.9, None)), 0));
        // No place, half of one.
        for payload in [r#"{"t":7}"#, r#"{"t":7,"at":[7.9,null]}"#] {
            assert_eq!(decode(payload), (of_the_description, 0), "{payload}");
        }
        // A height that cannot be costs itself alone.
        assert_eq!(decode(r#"{"t":7,"at":[7.9,54.2,99999]}"#), (Some((54.2, 7.9, None)), 1));
        // Not on earth, not a number, no reception.
        for payload in
            [r#"{"t":7,"at":[7.9,154.2]}"#, r#"{"t":7,"at":["east",54.2]}"#, r#"{"t":7,"at":[0,0.0,0]}"#]
        {
            assert_eq!(decode(payload), (of_the_description, 1), "{payload}");
        }
    }

    #[test]
    fn an_empty_retained_message_forgets_and_an_empty_one_alone_is_refused() {
        let template: TopicTemplate = "weather/{station}/reading".parse().unwrap();
        let roof = StationName::new("roof").unwrap();
        let decode = |topic: &str, payload: &[u8], retain| decode(&template, topic, payload, retain);
        assert_eq!(decode("weather/roof/reading", b"", true), Ok(Received::Forget(roof.clone())));
        let refused = decode("weather/roof/reading", b"", false).unwrap_err();
        assert_eq!((refused.station, refused.reason), (Some(roof), "empty"));
        assert_eq!(decode("weather/a\n/reading", b"", true).unwrap_err().reason, "bad_station");
        assert_eq!(
            decode("else\u{1b}where", b"", true).unwrap_err().detail,
            "else\\u{1b}where: no station's topic"
        );
    }
}
