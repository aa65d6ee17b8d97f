//! The topics on which Home Assistant is told of stations, and what is heard there.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use forecastd_core::StationName;

use crate::config::DiscoveryTopics;
use crate::wire::discovery;

/// What Home Assistant says when it has started.
const BIRTH: &[u8] = b"online";

/// What was heard on a topic of Home Assistant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It has started.
    Started,
    /// Another program told it something under the id of a station.
    Overwritten {
        /// The station whose id was used.
        station: StationName,
        /// What the program calls itself, and what it tells of.
        by: String,
    },
    /// Nothing that changes anything.
    Nothing,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct HomeAssistant {
    /// Where it is told, if it is.
    pub(super) topics: Option<DiscoveryTopics>,
    /// Where it was told before and is not any more.
    pub(super) before: Vec<DiscoveryTopics>,
    /// What was told last of each station, as a hash: a broker that does not know the option "no local" of MQTT 5 sends it
    /// back.
    told: HashMap<StationName, u64>,
}

impl HomeAssistant {
    /// Tells on these topics; takes back what was told on the topics of before.
    pub(super) fn new(topics: Option<DiscoveryTopics>, before: Vec<DiscoveryTopics>) -> HomeAssistant {
        HomeAssistant { topics, before, told: HashMap::new() }
    }

    /// Takes note of what is told of a station.
    pub(super) fn tells(&mut self, station: StationName, payload: &str) {
        self.told.insert(station, hash(payload.as_bytes()));
    }

    /// Takes note that nothing is told of a station any more.
    pub(super) fn withdraws(&mut self, station: &StationName) {
        self.told.remove(station);
    }

    /// Where it is told of a station.
    pub(super) fn topic(&self, station: &StationName) -> Option<String> {
        self.topics.as_ref().map(|topics| topics.config.topic(&discovery::object_id(station)))
    }

    /// Where it was told of a station before.
    pub(super) fn topics_before(&self, station: &StationName) -> Vec<String> {
        self.before.iter().map(|topics| topics.config.topic(&discovery::object_id(station))).collect()
    }

    /// Whether it is told of a station on this topic.
    pub(super) fn is_own(&self, topic: &str) -> bool {
        self.topics.as_ref().is_some_and(|topics| topics.config.station(topic).is_some())
    }

    /// What a message says that is on one of its topics; `None` for one that is not. One on a station's topic that is not
    /// what was told there last is another program's.
    pub(super) fn listen(&self, topic: &str, payload: &[u8]) -> Option<Said> {
        let topics = self.topics.as_ref()?;
        if topic == topics.birth {
            return Some(if payload == BIRTH { Said::Started } else { Said::Nothing });
        }
        let station = discovery::station(topics.config.station(topic)?);
        Some(match station {
            Some(station) if self.told.get(&station) == Some(&hash(payload)) => Said::Nothing,
            // A person who removes a device in Home Assistant has it say nothing under the id.
            Some(station) if !payload.is_empty() => {
                Said::Overwritten { station, by: discovery::describe(payload) }
            }
            _ => Said::Nothing,
        })
    }
}

fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_a_stranger_and_a_removal_are_told_apart() {
        let topics = DiscoveryTopics::new("homeassistant").ok();
        let mut home_assistant = HomeAssistant::new(topics, Vec::new());
        home_assistant.tells(StationName::new("roof").unwrap(), "{\"own\":1}");
        let listen = |topic: &str, payload: &str| home_assistant.listen(topic, payload.as_bytes());
        assert_eq!(listen("homeassistant/status", "online"), Some(Said::Started));
        assert_eq!(listen("homeassistant/status", "offline"), Some(Said::Nothing));
        let station = StationName::new("roof north").unwrap();
        let topic = home_assistant.topic(&station).unwrap();
        assert_eq!(topic, "homeassistant/device/forecastd/roof-20north/config");
        assert!(home_assistant.is_own(&topic));
        let by = r#""other" with the state topic "x/y""#.to_owned();
        let other = r#"{"origin":{"name":"other"},"state_topic":"x/y"}"#;
        assert_eq!(listen(&topic, other), Some(Said::Overwritten { station, by }));
        // From a broker that sends back what it is sent.
        let own = "homeassistant/device/forecastd/roof/config";
        assert_eq!(listen(own, "{\"own\":1}"), Some(Said::Nothing));
        assert!(matches!(listen(own, "{\"own\":2}"), Some(Said::Overwritten { .. })));
        assert_eq!(listen(&topic, ""), Some(Said::Nothing));
        assert_eq!(listen("weather/roof/reading", "{}"), None);
        assert_eq!(HomeAssistant::default().listen("homeassistant/status", b"online"), None);
    }
}
