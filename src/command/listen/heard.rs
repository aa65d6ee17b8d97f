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
    /// Topics that carry one value.
    pub(super) single: BTreeMap<String, Single>,
    pub(super) values: Values,
    pub(super) example: String,
    pub(super) time_source: TimeSource,
    /// How often this preset reads more than any other.
    pub(super) best: u64,
}

/// What a topic with one value carries.
#[derive(Clone)]
pub(super) struct Single {
    pub(super) quantity: Quantity,
    /// The last message.
    pub(super) payload: Vec<u8>,
    /// The station, and how late the preset names the topic, where it is the topic that says which quantity it is.
    pub(super) rank: Option<(String, usize)>,
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

    /// Topics that are not read, each with its quantity and the topic that is read for it, as a daemon chooses.
    pub(super) fn passed_over(&self) -> BTreeMap<&str, (Quantity, &str)> {
        let mut best: BTreeMap<(&str, Quantity), (usize, &str)> = BTreeMap::new();
        let ranked = || {
            self.single.iter().filter_map(|(topic, single)| {
                let (station, rank) = single.rank.as_ref()?;
                Some(((station.as_str(), single.quantity), (*rank, topic.as_str())))
            })
        };
        for (key, place) in ranked() {
            let known = best.entry(key).or_insert(place);
            *known = place.min(*known);
        }
        let passed_over = ranked().filter_map(|(key, (_, topic))| {
            let (_, read) = best.get(&key).filter(|(_, read)| *read != topic)?;
            Some((topic, (key.1, *read)))
        });
        passed_over.collect()
    }

    /// The values as a source reads them.
    pub(super) fn values_by(&self, source: &str) -> Values {
        let mut values = self.values;
        let sources = Source::read_all(source).unwrap_or_default();
        let passed_over = self.passed_over();
        let read = self.single.iter().filter(|(topic, _)| !passed_over.contains_key(topic.as_str()));
        for (topic, Single { payload, .. }) in read {
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
        let passed_over = self.passed_over();
        if self.topics.len() <= TOPICS_NAMED {
            let read = self.topics.iter().filter(|topic| !passed_over.contains_key(topic.as_str()));
            let mut topics: Vec<String> = read.map(|topic| quoted(topic)).collect();
            topics.sort();
            lines.push(match topics.as_slice() {
                [one] => format!("topic = {one}"),
                several => format!("topic = [{}]", several.join(", ")),
            });
        }
        for (topic, (quantity, read)) in &passed_over {
            lines.push(format!("# Not read: {}, as {} has the {quantity}", quoted(topic), quoted(read)));
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
