//! What arrives on the topic of readings: a reading, or the wish that a station be forgotten.

use forecastd_core::{Place, Places, Quantity, StationName};
use forecastd_mapping::{DecodeError, Message, Source, TimeSource};
use jiff::Timestamp;

use super::reading::{self, Decoded, PayloadFault};
use crate::config::TopicTemplate;

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A reading, and what of it could not be read.
    Reading {
        /// The station that the topic names.
        station: StationName,
        /// What was measured, and what could not be read of it.
        decoded: Box<Decoded>,
    },
    /// An empty retained message: the station is to be forgotten.
    Forget(StationName),
}

/// What can be wrong with a message beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum MessageFault {
    /// Its topic is no station's.
    UnknownTopic,
    /// The station is not named, or has a name that cannot be.
    BadStation,
    /// It was retained before, and does not say when it was measured.
    Retained,
}

impl MessageFault {
    /// Every reason's label, for metrics.
    pub const REASONS: &'static [&'static str] = <MessageFault as strum::VariantNames>::VARIANTS;
}

/// Why a message of another program is refused, as a metric's label; `None` where it is none that a source is there for.
fn reason(error: &DecodeError) -> Option<&'static str> {
    match error {
        DecodeError::NotWanted(_) | DecodeError::NoValues | DecodeError::OtherTopic => None,
        DecodeError::Empty => Some(PayloadFault::Empty.into()),
        DecodeError::TooLarge(_) => Some(PayloadFault::TooLarge.into()),
        DecodeError::NotUtf8(_) => Some(PayloadFault::NotUtf8.into()),
        DecodeError::BadTime(_) => Some(PayloadFault::BadTime.into()),
        DecodeError::BadValue { .. } => Some(PayloadFault::BadValue.into()),
        DecodeError::NoStation => Some(MessageFault::BadStation.into()),
    }
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

/// A topic of a source that is not read, as another has the same quantity of its station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Which quantity.
    pub quantity: Quantity,
    /// The topic that is read.
    pub read: String,
    /// Whether this one was not passed over before.
    pub is_first: bool,
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
    let not_taken = |fault: MessageFault, detail| NotTaken { station: None, reason: fault.into(), detail };
    let Some(level) = template.station(topic) else {
        return Err(not_taken(MessageFault::UnknownTopic, format!("{}: no station's topic", shown())));
    };
    let station = StationName::new(level)
        .map_err(|error| not_taken(MessageFault::BadStation, format!("{}: {error}", shown())))?;
    if payload.is_empty() && retain {
        return Ok(Received::Forget(station));
    }
    match reading::decode(payload) {
        Ok(decoded) => Ok(Received::Reading { station, decoded: Box::new(decoded) }),
        Err(error) => {
            Err(NotTaken { station: Some(station), reason: error.reason(), detail: error.to_string() })
        }
    }
}

/// Takes a message of another program apart, by the source whose topic it is on; `None` where it is none that the source is
/// there for: a battery, another sensor. One that the broker has `retained`, if it sends such, must say its time, with its zone: else
/// it would be of the time at which it arrives again, however old it is. A pressure at sea level is brought to the station by the elevation
/// that source, `places` or message say.
///
/// # Errors
/// [`NotTaken`] when it should be a reading and is none.
pub fn decode_source(
    source: &Source,
    topic: &str,
    payload: &[u8],
    retained: bool,
    arrival: Timestamp,
    places: &Places,
) -> Result<Option<(StationName, Decoded)>, NotTaken> {
    let shown = || topic.chars().take(120).collect::<String>().escape_debug().to_string();
    let elevation_of = |station: Option<&str>| {
        let station = StationName::new(station.unwrap_or_default()).ok()?;
        places.of(&station)?.site.elevation_m
    };
    let decoded = match source.decode_with(&Message { topic, payload, arrival }, &elevation_of) {
        Ok(decoded) => decoded,
        Err(error) => {
            let Some(reason) = reason(&error) else { return Ok(None) };
            return Err(NotTaken { station: None, reason, detail: format!("{}: {error}", shown()) });
        }
    };
    if retained && decoded.time_source != TimeSource::Payload {
        let detail = format!("{}: retained before, and does not say when it was measured", shown());
        return Err(NotTaken { station: None, reason: MessageFault::Retained.into(), detail });
    }
    let name = decoded.station.as_deref().unwrap_or_default();
    let station = StationName::new(name).map_err(|error| {
        let detail = format!("{}: {error}", shown());
        NotTaken { station: None, reason: MessageFault::BadStation.into(), detail }
    })?;
    // Metrics and log know values by the keys of the canonical reading.
    let key = |name: &'static str| name.parse::<Quantity>().map_or(name, Quantity::key);
    let unreadable = decoded.unreadable.into_iter().map(|(name, text)| (key(name), text)).collect();
    let forecastd_mapping::Decoded { time_source, topic_rank, .. } = decoded;
    let forecastd_mapping::Decoded { time, values, reduced_pressure, site, .. } = decoded;
    let place = site.map(Place::from_payload);
    let (half_place, unknown) = (None, Vec::new());
    let decoded = Decoded {
        time,
        values,
        reduced_pressure,
        time_source,
        topic_rank,
        place,
        half_place,
        unreadable,
        unknown,
    };
    Ok(Some((station, decoded)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Site;
    use std::collections::HashMap;

    #[test]
    fn a_message_of_another_program_is_a_reading_or_none_of_ours_or_says_why_not() {
        let sources = "[[source]]\npreset = \"tasmota\"\ntime = { time_zone = \"UTC\" }\n";
        let source = Source::read_all(sources).unwrap().remove(0);
        let arrival: Timestamp = "2026-11-25T13:08:42Z".parse().unwrap();
        let decode = |topic: &str, payload: &str| {
            decode_source(&source, topic, payload.as_bytes(), false, arrival, &Places::default())
        };
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
    fn each_fault_of_a_message_is_counted_under_the_label_that_metrics_have() {
        let text = String::new;
        for (error, label) in [
            (DecodeError::OtherTopic, None),
            (DecodeError::NotWanted(text()), None),
            (DecodeError::NoValues, None),
            (DecodeError::Empty, Some("empty")),
            (DecodeError::TooLarge(1), Some("too_large")),
            (DecodeError::NotUtf8(1), Some("not_utf8")),
            (DecodeError::BadTime(text()), Some("bad_time")),
            (DecodeError::BadValue { quantity: "air_temperature", found: text() }, Some("bad_value")),
            (DecodeError::NoStation, Some("bad_station")),
        ] {
            assert_eq!(reason(&error), label, "{error}");
        }
        assert_eq!(MessageFault::REASONS, ["unknown_topic", "bad_station", "retained"]);
    }

    #[test]
    fn a_message_that_was_retained_must_say_its_time() {
        let source = "[[source]]\ntopic = \"{station}\"\ntime = { at = \"/time\" }\n\
                      [[source.value]]\nat = \"/t\"\nquantity = \"air_temperature\"\n";
        let source = Source::read_all(source).unwrap().remove(0);
        let arrival: Timestamp = "2026-11-25T13:08:42Z".parse().unwrap();
        let decode = |payload: &str, retained| {
            decode_source(&source, "roof", payload.as_bytes(), retained, arrival, &Places::default())
                .map(|taken| taken.map(|(_, decoded)| decoded.time))
                .map_err(|error| error.reason)
        };
        assert_eq!(decode(r#"{"t":7}"#, false), Ok(Some(arrival)));
        assert_eq!(decode(r#"{"t":7}"#, true), Err("retained"));
        // Of two hours ago, by a clock of UTC+1: it would be of now.
        let local = r#"{"t":7,"time":"2026-11-25T12:08:42"}"#;
        assert_eq!(decode(local, false), Ok(Some(arrival)));
        assert_eq!(decode(local, true), Err("retained"));
        let said = "2026-11-25T08:00:00Z";
        let payload = format!(r#"{{"t":7,"time":"{said}"}}"#);
        assert_eq!(decode(&payload, true), Ok(Some(said.parse().unwrap())));
    }

    #[test]
    fn a_pressure_at_sea_level_is_brought_to_the_elevation_that_is_known_of_the_station() {
        let arrival: Timestamp = "2026-11-25T13:08:42Z".parse().unwrap();
        let here = |elevation_m| Place::given(Site::new(50.0, 11.0).at_elevation(elevation_m));
        let valley = StationName::new("valley").unwrap();
        let places = Places { default: Some(here(500.0)), stations: HashMap::from([(valley, here(1000.0))]) };
        let pressure = |head: &str, topic: &str, payload: &str, places: &Places| {
            let text = format!("[[source]]\n{head}\n");
            let source = Source::read_all(&text).unwrap().remove(0);
            let taken = decode_source(&source, topic, payload.as_bytes(), false, arrival, places).unwrap();
            taken.and_then(|(_, decoded)| decoded.values.get(Quantity::AirPressure))
        };
        let plain = |head: &str, payload: &str, topic: &str, places: &Places| {
            let values = "[[source.value]]\nat = \"/t\"\nquantity = \"air_temperature\"\n[[source.value]]\n\
                          at = \"/p\"\nquantity = \"air_pressure_at_mean_sea_level\"";
            pressure(&format!("topic = \"{{station}}\"\n{head}\n{values}"), topic, payload, places)
        };
        let payload = r#"{"t":15,"p":1013.25,"height":1000}"#;
        // The standard atmosphere, some degrees colder there, has 954.61 hPa at 500 m and 898.74 hPa at 1,000 m.
        let [at_500, at_1000] = [954.61, 898.74];
        let is = |found: Option<f32>, hpa: f32| found.is_some_and(|found| (found - hpa).abs() < 2.5);
        let found = plain("", payload, "roof", &places);
        assert!(is(found, at_500), "of [site]: {found:?}");
        let found = plain("", payload, "valley", &places);
        assert!(is(found, at_1000), "of [station.valley]: {found:?}");
        let found = plain("elevation_m = 500", payload, "valley", &places);
        assert!(is(found, at_500), "of the source: {found:?}");
        let reported = "place = { latitude = \"/lat\", longitude = \"/lon\", elevation = \"/height\" }";
        let with_place = r#"{"t":15,"p":1013.25,"lat":50,"lon":11,"height":1000}"#;
        let found = plain(reported, with_place, "roof", &Places::default());
        assert!(is(found, at_1000), "of the message: {found:?}");
        let found = plain(reported, with_place, "roof", &places);
        assert!(is(found, at_500), "of the configuration, which goes before it: {found:?}");
        assert_eq!(plain("", payload, "roof", &Places::default()), None);
        // The preset that a message fits is found message by message.
        let ecowitt = "PASSKEY=A&stationtype=GW2000A&dateutc=2026-11-25+13:08:41&tempf=59&baromrelin=29.921";
        let found =
            pressure("preset = \"auto\"\ntopic = \"home/{station}\"", "home/valley", ecowitt, &places);
        assert!(is(found, at_1000), "by auto: {found:?}");
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
                decode_source(&source, "buoys/a", payload.as_bytes(), false, arrival, &Places::default())
                    .unwrap()
                    .unwrap();
            let place = decoded
                .place
                .map(|Place { site, .. }| (site.latitude_deg, site.longitude_deg, site.elevation_m));
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
