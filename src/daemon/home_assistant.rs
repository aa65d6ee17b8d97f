//! The topics on which Home Assistant is told of stations, and what is heard there.

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
        /// Which.
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
    pub(super) before: Option<DiscoveryTopics>,
}

impl HomeAssistant {
    /// Where it is told of a station.
    pub(super) fn topic(&self, station: &StationName) -> Option<String> {
        self.topics.as_ref().map(|topics| topics.config.topic(&discovery::object_id(station)))
    }

    /// Where it was told of a station before.
    pub(super) fn topic_before(&self, station: &StationName) -> Option<String> {
        self.before.as_ref().map(|topics| topics.config.topic(&discovery::object_id(station)))
    }

    /// Whether it is told of a station on this topic.
    pub(super) fn is_own(&self, topic: &str) -> bool {
        self.topics.as_ref().is_some_and(|topics| topics.config.station(topic).is_some())
    }

    /// What a message says that is on one of its topics; `None` for one that is not. Messages of this session do not come
    /// back, so one on a station's topic is another program's.
    pub(super) fn listen(&self, topic: &str, payload: &[u8]) -> Option<Said> {
        let topics = self.topics.as_ref()?;
        if topic == topics.birth {
            return Some(if payload == BIRTH { Said::Started } else { Said::Nothing });
        }
        let station = discovery::station(topics.config.station(topic)?);
        Some(match station {
            // A person who removes a device in Home Assistant has it say nothing under the id.
            Some(station) if !payload.is_empty() => {
                Said::Overwritten { station, by: discovery::describe(payload) }
            }
            _ => Said::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_a_stranger_and_a_removal_are_told_apart() {
        let topics = DiscoveryTopics::new("homeassistant").ok();
        let home_assistant = HomeAssistant { topics, before: None };
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
        assert_eq!(listen(&topic, ""), Some(Said::Nothing));
        assert_eq!(listen("weather/roof/reading", "{}"), None);
        assert_eq!(HomeAssistant::default().listen("homeassistant/status", b"online"), None);
    }
}
