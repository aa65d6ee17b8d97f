//! A source of messages: a mapping, or whichever preset fits, and the topics it listens to.

use serde::Deserialize;
use toml::Spanned;

use crate::auto::Auto;
use crate::description::{Description, OneOrMany, StationRule, TableRule, TimeRule};
use crate::mapping::{Mapping, MappingError, patterns, place_faults};
use crate::payload::{DecodeError, Decoded, ElevationOf, Message};
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
            let mut faults = unused_by_auto(description);
            faults.extend(place_faults(description));
            let topics = patterns(description.topic.as_ref(), &mut faults);
            let rules = description.time.as_ref().map_or(&[][..], OneOrMany::as_slice);
            let zone =
                rules.first().and_then(|time| time.time_zone.as_deref().or(time.utc_offset.as_deref()));
            let of_site = description.site.and_then(|site| site.elevation_m);
            match Auto::new(zone, description.elevation_m.or(of_site)) {
                Ok(auto) if faults.is_empty() => {
                    (Decoder::Auto(Box::new(auto)), topics, description.merge.unwrap_or(true))
                }
                made => {
                    // An elevation that cannot be was said of the description already.
                    let further = made.err().into_iter().flat_map(|error| error.faults);
                    let further: Vec<String> = further.filter(|fault| !faults.contains(fault)).collect();
                    faults.extend(further);
                    return Err(MappingError { faults });
                }
            }
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

    /// Whether every message of another is its too, so that the other hears nothing where this one is asked first.
    pub fn hides(&self, other: &Source) -> bool {
        other.topics.iter().all(|topic| self.topics.iter().any(|own| own.covers(topic)))
    }

    /// Whether a message may be its and another's.
    pub fn meets(&self, other: &Source) -> bool {
        other.topics.iter().any(|topic| self.topics.iter().any(|own| own.meets(topic)))
    }

    /// Its preset, where it has one.
    pub fn preset(&self) -> Option<&str> {
        self.written.preset.as_deref()
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
        self.decode_with(message, &|_| None)
    }

    /// Like [`Source::decode`]. A pressure that was reduced to sea level is brought back by the elevation of the description,
    /// else by what `elevation_of` says of the station, else by the message's.
    ///
    /// # Errors
    /// As [`Source::decode`].
    pub fn decode_with(
        &self,
        message: &Message<'_>,
        elevation_of: ElevationOf<'_>,
    ) -> Result<Decoded, DecodeError> {
        let found = self.topics.iter().find_map(|pattern| pattern.find(message.topic));
        let of_topic = found.ok_or(DecodeError::OtherTopic)?.map(str::to_owned);
        let mut decoded = match &self.decoder {
            Decoder::Mapping(mapping) => mapping.decode_with(message, elevation_of)?,
            Decoder::Auto(auto) => {
                let own = self.station.as_deref().or(of_topic.as_deref());
                auto.decode_with(message, &|named| elevation_of(own.or(named)))?
            }
        };
        if let Decoder::Auto(_) = &self.decoder {
            decoded.station = self.station.clone().or(of_topic).or(decoded.station);
            decoded.site = decoded.site.or(self.written.site);
        }
        if decoded.station.is_none() {
            return Err(DecodeError::NoStation);
        }
        Ok(decoded)
    }
}

/// What stands in a description and says nothing where the preset is found message by message.
fn unused_by_auto(description: &Description) -> Vec<String> {
    let rules = description.time.as_ref().map_or(&[][..], OneOrMany::as_slice);
    let is_zone = |rule: &TimeRule| {
        let TimeRule { column, at, format, utc_offset, time_zone } = rule;
        column.is_none() && at.is_none() && format.is_none() && (utc_offset.is_none() || time_zone.is_none())
    };
    let unused = [
        ("station = { at = … }", matches!(description.station, Some(StationRule::At { .. }))),
        ("place", description.place.is_some()),
        ("time, but for a time_zone,", rules.len() > 1 || !rules.iter().all(is_zone)),
        ("missing", !description.missing.is_empty()),
        ("where", !description.only.is_empty()),
        ("[source.columns]", !description.columns.is_empty()),
        ("[[source.value]]", !description.values.is_empty()),
        ("sure", !description.sure.is_empty()),
        ("table", description.table != TableRule::default()),
    ];
    let fault = |key: &str| format!("{key} says nothing beside preset = \"{AUTO}\": name the preset");
    unused.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| fault(key)).collect()
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
    fn auto_takes_the_place_of_its_source_and_refuses_what_it_does_not_use() {
        let auto = "[[source]]\npreset = \"auto\"\ntopic = \"home/{station}/weather/#\"\n";
        let site = "site = { latitude_deg = 50, longitude_deg = 11, elevation_m = 500 }\n";
        let sources =
            Source::read_all(&format!("{auto}{site}time = {{ utc_offset = \"+01:00\" }}\n")).unwrap();
        let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
        let payload =
            br#"{"dateTime":"1795612121","usUnits":"16","outTemp_C":"11.75","barometer_mbar":"1013.25"}"#;
        let decoded = sources[0].decode(&Message { topic: "home/a/weather/loop", payload, arrival }).unwrap();
        assert_eq!(decoded.site.map(|site| (site.latitude_deg, site.longitude_deg)), Some((50.0, 11.0)));
        // The standard atmosphere has 11.75 °C and 954.6 hPa at 500 m.
        let pressure = decoded.values.get(Quantity::AirPressure).unwrap();
        assert!((pressure - 954.6).abs() < 0.2, "{pressure}");
        for (addition, begins) in [
            ("station = { at = \"/model\" }", "station = { at = … } says nothing"),
            ("place = { latitude = \"/a\", longitude = \"/o\" }", "place says nothing"),
            ("missing = [-999]", "missing says nothing"),
            ("where = { model = \"x\" }", "where says nothing"),
            ("sure = [\"time\"]", "sure says nothing"),
            ("time = { at = \"/t\" }", "time, but for a time_zone, says nothing"),
            ("[[source.value]]\nat = \"/t\"\nquantity = \"temperature\"", "[[source.value]] says nothing"),
            ("elevation_m = 10000", "elevation_m = 10000"),
            ("site = { latitude_deg = 91, longitude_deg = 0 }", "site: latitude_deg = 91"),
        ] {
            let faults = Source::read_all(&format!("{auto}{addition}\n")).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].message.starts_with(begins), "{faults:?}");
        }
        let twice = auto.replace("weather/#", "{station}");
        assert!(Source::read_all(&twice).unwrap_err()[0].message.contains("more than once"));
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
