//! What one preset reads of one station, and the source for it.

use std::collections::BTreeMap;

use forecastd_core::{Quantity, Values};
use forecastd_mapping::{Message, Preset, Source, TimeSource};

/// With more topics than this, a source listens to a pattern of them.
const TOPICS_NAMED: usize = 12;

/// What one preset reads of one station.
#[derive(Clone)]
pub(super) struct Heard {
    pub(super) preset: &'static Preset,
    pub(super) station: String,
    /// All of them, where one source is for several stations that come on the same topics.
    pub(super) stations: Vec<String>,
    /// Whether payload or topic say the station's name by the preset.
    pub(super) is_named: bool,
    pub(super) messages: u64,
    pub(super) topics: Vec<String>,
    /// The quantity of each topic that carries one value, and the last message on it.
    pub(super) single: BTreeMap<String, (Quantity, Vec<u8>)>,
    pub(super) values: Values,
    pub(super) example: String,
    pub(super) time_source: TimeSource,
    /// How often this preset reads more than any other.
    pub(super) best: u64,
}

/// A text of a stranger as a string of TOML: a string of JSON is one, but for the control character DEL.
pub(super) fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    serde_json::Value::from(text).to_string()
}

fn several_names(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

impl Heard {
    /// Whether a source for the one gets messages of the other: a topic is that of both, or the one has so many that its source
    /// listens to the preset's pattern.
    pub(super) fn meets(&self, other: &Heard) -> bool {
        let has_pattern = |heard: &Heard| heard.topics.len() > TOPICS_NAMED;
        let is_preset = self.preset.name == other.preset.name;
        (is_preset && (has_pattern(self) || has_pattern(other)))
            || self.topics.iter().any(|topic| other.topics.contains(topic))
    }

    /// Takes another station of the same preset into the source.
    pub(super) fn join(&mut self, other: &Heard) {
        if self.stations.is_empty() {
            self.stations.push(self.station.clone());
        }
        self.stations.push(other.station.clone());
        self.topics.extend(
            other.topics.iter().filter(|topic| !self.topics.contains(topic)).cloned().collect::<Vec<_>>(),
        );
        self.single.extend(other.single.clone());
    }

    /// Preset, stations and topics in a few words.
    pub(super) fn words(&self) -> String {
        let topics = match self.topics.as_slice() {
            [one] => format!("topic {}", quoted(one)),
            several if several.len() <= TOPICS_NAMED => format!("topics {}", several_names(several)),
            several => format!("{} topics", several.len()),
        };
        let stations = match self.stations.as_slice() {
            [] => format!("station {}", quoted(&self.station)),
            several => format!("stations {}", several_names(several)),
        };
        format!("preset {:?}, {stations}, {topics}", self.preset.name)
    }

    /// The values as a source reads them.
    pub(super) fn values_by(&self, source: &str) -> Values {
        let mut values = self.values;
        let sources = Source::read_all(source).unwrap_or_default();
        for (topic, (_, payload)) in &self.single {
            let message = Message { topic, payload, arrival: jiff::Timestamp::UNIX_EPOCH };
            let decoded = sources.first().and_then(|source| source.decode(&message).ok());
            for (quantity, value) in decoded.iter().flat_map(|decoded| decoded.values.iter()) {
                values.set(quantity, value);
            }
        }
        values
    }

    /// The source for it with the units of the preset.
    pub(super) fn source(&self, time_zone: Option<&str>, elevation_m: Option<f64>) -> String {
        let mut lines = vec!["[[source]]".to_owned(), format!("preset = {}", quoted(self.preset.name))];
        if self.topics.len() <= TOPICS_NAMED {
            let mut topics: Vec<String> = self.topics.iter().map(|topic| quoted(topic)).collect();
            topics.sort();
            lines.push(match topics.as_slice() {
                [one] => format!("topic = {one}"),
                several => format!("topic = [{}]", several.join(", ")),
            });
        }
        match self.stations.as_slice() {
            [] => lines.push(format!("station = {}", quoted(&self.station))),
            several => lines.push(format!("# The payload names the station: {}", several_names(several))),
        }
        match (self.time_source, time_zone) {
            (TimeSource::Arrival, _) => {}
            (_, Some(zone)) if self.preset.has_local_times() => {
                lines.push(format!("time = {{ time_zone = {} }}", quoted(zone)));
            }
            (TimeSource::Guessed { .. }, _) => {
                lines.push(
                    "# Times have no offset; set the station's zone, or the arrival tells it.".to_owned(),
                );
                lines.push("# time = { time_zone = \"Europe/Berlin\" }".to_owned());
            }
            (TimeSource::Payload, _) => {}
        }
        if let Some(elevation) = elevation_m {
            lines.push(format!("elevation_m = {elevation}"));
        }
        lines.join("\n") + "\n"
    }
}

/// The level of a topic that names a station where nothing else does: before the last.
pub(super) fn last_but_one(topic: &str) -> String {
    let levels: Vec<&str> = topic.split('/').filter(|level| !level.is_empty()).collect();
    levels
        .get(levels.len().saturating_sub(2))
        .map_or_else(|| "station".to_owned(), |level| (*level).to_owned())
}
