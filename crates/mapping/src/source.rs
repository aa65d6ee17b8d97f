//! A source of messages: a mapping, or whichever preset fits, and the topics it listens to.

use serde::Deserialize;
use toml::Spanned;

use crate::auto::Auto;
use crate::description::{Description, OneOrMany, StationRule};
use crate::mapping::{Mapping, MappingError};
use crate::payload::{DecodeError, Decoded, Message};
use crate::place::TopicPattern;

/// The name of what is no preset but the choice among them, message by message.
const AUTO: &str = "auto";

/// A source of messages, as `[[source]]` of a configuration describes it.
#[derive(Debug, Clone)]
pub struct Source {
    decoder: Decoder,
    topics: Vec<TopicPattern>,
    station: Option<String>,
    merges: bool,
    written: Description,
}

#[derive(Debug, Clone)]
enum Decoder {
    Mapping(Box<Mapping>),
    Auto(Box<Auto>),
}

/// What is wrong with a source of a configuration, and the line where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFault {
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Sources are equal when they are written in the same way.
impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        self.written == other.written
    }
}

impl Eq for Source {}

impl Source {
    /// Looks up what a description of messages names; `preset = "auto"` takes whichever preset fits.
    ///
    /// # Errors
    /// [`MappingError`] with every fault, and when no topic is known.
    pub fn new(description: &Description) -> Result<Source, MappingError> {
        let fault = |message: &str| MappingError { faults: vec![message.to_owned()] };
        let is_auto = description.preset.as_deref() == Some(AUTO);
        let (decoder, topics, merges) = if is_auto {
            let zones = description.time.as_ref().map_or(&[][..], OneOrMany::as_slice);
            let zone = zones.first().and_then(|time| time.time_zone.as_deref());
            let auto = Auto::new(zone, description.elevation_m)?;
            let topics = description.topic.as_ref().map_or(&[][..], OneOrMany::as_slice);
            let topics = topics.iter().map(|topic| TopicPattern::parse(topic)).collect();
            (Decoder::Auto(Box::new(auto)), topics, description.merge.unwrap_or(true))
        } else {
            let mapping = Mapping::new(description)?;
            let (topics, merges) = (mapping.topics.clone(), mapping.merges);
            (Decoder::Mapping(Box::new(mapping)), topics, merges)
        };
        if topics.is_empty() {
            return Err(fault("topic is missing"));
        }
        let station = match &description.station {
            Some(StationRule::Name(name)) => Some(name.clone()),
            _ => None,
        };
        Ok(Source { decoder, topics, station, merges, written: description.clone() })
    }

    /// Reads every `[[source]]` of a configuration in TOML; what else stands there is not looked at.
    ///
    /// # Errors
    /// Every fault, with its line.
    pub fn read_all(text: &str) -> Result<Vec<Source>, Vec<SourceFault>> {
        #[derive(Deserialize)]
        struct Configuration {
            #[serde(default)]
            source: Vec<Spanned<Description>>,
        }
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let configuration: Configuration = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line(span.start));
            vec![SourceFault { line, message: crate::description::message_of(&error) }]
        })?;
        let (mut sources, mut faults) = (Vec::new(), Vec::new());
        for description in &configuration.source {
            match Source::new(description.get_ref()) {
                Ok(source) => sources.push(source),
                Err(error) => {
                    let line = Some(line(description.span().start));
                    faults.extend(error.faults.into_iter().map(|message| SourceFault { line, message }));
                }
            }
        }
        if faults.is_empty() { Ok(sources) } else { Err(faults) }
    }

    /// The topic filters to subscribe to.
    pub fn filters(&self) -> Vec<String> {
        let mut filters: Vec<String> = self.topics.iter().map(TopicPattern::filter).collect();
        filters.sort();
        filters.dedup();
        filters
    }

    /// Whether it says where its stations stand, or where in their messages that is said.
    pub fn has_place(&self) -> bool {
        self.written.site.is_some() || self.written.place.is_some()
    }

    /// Whether its messages are parts of readings, to be merged into slots.
    pub fn merges(&self) -> bool {
        self.merges
    }

    /// Whether a message on a topic is its.
    pub fn has_topic(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| pattern.find(topic).is_some())
    }

    /// Reads a message; its station is always known.
    ///
    /// # Errors
    /// [`DecodeError`], the first found.
    pub fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        let found = self.topics.iter().find_map(|pattern| pattern.find(message.topic));
        let of_topic = found.ok_or(DecodeError::OtherTopic)?.map(str::to_owned);
        let mut decoded = match &self.decoder {
            Decoder::Mapping(mapping) => mapping.decode(message)?,
            Decoder::Auto(auto) => auto.decode(message)?,
        };
        decoded.station = match &self.decoder {
            Decoder::Mapping(_) => decoded.station,
            Decoder::Auto(_) => self.station.clone().or(of_topic).or(decoded.station),
        };
        if decoded.station.is_none() {
            return Err(DecodeError::NoStation);
        }
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Quantity;

    const CONFIGURATION: &str = r#"
[mqtt]
host = "broker"

[[source]]
preset = "tasmota"
time = { time_zone = "Europe/Berlin" }

[[source]]
preset = "auto"
topic = "home/{station}/weather/#"

[[source]]
topic = "yard/raw"
station = "yard"
[[source.value]]
at = "/t"
quantity = "temperature"
unit = "degF"
"#;

    fn decode(sources: &[Source], topic: &str, payload: &str) -> Option<(String, f32)> {
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let message = Message { topic, payload: payload.as_bytes(), arrival };
        let source = sources.iter().find(|source| source.has_topic(topic))?;
        let decoded = source.decode(&message).ok()?;
        Some((decoded.station.unwrap(), decoded.values.get(Quantity::AirTemperature)?))
    }

    #[test]
    fn the_sources_of_a_configuration_read_their_topics() {
        let sources = Source::read_all(CONFIGURATION).unwrap();
        assert_eq!(sources.len(), 3);
        let filters: Vec<String> = sources.iter().flat_map(Source::filters).collect();
        assert_eq!(filters, ["tele/+/SENSOR", "home/+/weather/#", "yard/raw"]);
        let tasmota = r#"{"Time":"2026-11-25T08:00:00","BME280":{"Temperature":7.25},"TempUnit":"C"}"#;
        assert_eq!(decode(&sources, "tele/roof/SENSOR", tasmota), Some(("roof".to_owned(), 7.25)));
        let weewx = r#"{"dateTime":"1795612121","usUnits":"16","outTemp_C":"4.5"}"#;
        assert_eq!(decode(&sources, "home/barn/weather/loop", weewx), Some(("barn".to_owned(), 4.5)));
        assert_eq!(decode(&sources, "yard/raw", "{\"t\":50}"), Some(("yard".to_owned(), 10.0)));
        assert_eq!(decode(&sources, "elsewhere", "{\"t\":50}"), None);
    }

    #[test]
    fn every_fault_of_a_source_has_its_line() {
        let faults = Source::read_all(
            "[mqtt]\nhost = \"x\"\n[[source]]\npreset = \"tasmotta\"\n[[source]]\npreset = \"auto\"\n",
        )
        .unwrap_err();
        let shown: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}", fault.line.unwrap(), fault.message)).collect();
        assert_eq!(
            shown,
            ["3: unknown preset \"tasmotta\"; did you mean \"tasmota\"?", "5: topic is missing"]
        );
        let faults = Source::read_all("[[source]]\ntopic = \"a\"\ntimezone = \"UTC\"\n").unwrap_err();
        assert_eq!(faults[0].line, Some(3));
        assert!(
            faults[0].message.contains("did you mean \"time_zone\" under [time]?"),
            "{}",
            faults[0].message
        );
    }

    #[test]
    fn a_station_that_nobody_names_is_an_error() {
        let source = Source::new(&Description {
            preset: Some("auto".to_owned()),
            topic: Some(OneOrMany::One("a/b".to_owned())),
            ..Description::default()
        })
        .unwrap();
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let payload = br#"{"time":1795612121,"air_temperature_c":1}"#;
        let error = source.decode(&Message { topic: "a/b", payload, arrival }).unwrap_err();
        assert_eq!(error, DecodeError::NoStation);
        assert!(source.merges());
    }
}
