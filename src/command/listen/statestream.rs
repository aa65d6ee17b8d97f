//! What tells Home Assistant's Statestream from ESPHome, whose topics look alike, and the units that it publishes.
//!
//! Both have `BASE/sensor/NAME/state` with the state alone. Statestream can publish attributes and times beside it
//! (`publish_attributes`, `publish_timestamps`), and what no ESPHome node has: the sun, persons, zones.
//! Source: home-assistant.io, integration `mqtt_statestream`.

use std::collections::{BTreeMap, BTreeSet};

/// More bases and more units than this are not kept.
const MOST: usize = 2000;

/// The bases that Home Assistant's documentation and ours use; no ESPHome node is called so.
const USUAL_BASES: [&str; 2] = ["homeassistant", "statestream"];

/// What stands on topics beside the state.
const ATTRIBUTES: [&str; 6] =
    ["unit_of_measurement", "last_updated", "last_changed", "friendly_name", "device_class", "state_class"];

/// Domains of Home Assistant that no ESPHome node has.
const DOMAINS: [&str; 8] =
    ["sun", "person", "zone", "weather", "automation", "device_tracker", "input_number", "input_boolean"];

/// Bases of Statestream that were heard, and the units of what is below them.
#[derive(Debug, Default)]
pub(super) struct Statestreams {
    bases: BTreeSet<String>,
    /// By the topic of the state.
    units: BTreeMap<String, String>,
}

impl Statestreams {
    /// Looks at a message; true for one that only Statestream publishes beside a state.
    pub(super) fn look_at(&mut self, topic: &str, payload: &[u8]) -> bool {
        let mut levels = topic.rsplitn(4, '/');
        let (Some(last), Some(entity), Some(domain), Some(base)) =
            (levels.next(), levels.next(), levels.next(), levels.next())
        else {
            return false;
        };
        let is_attribute = ATTRIBUTES.contains(&last);
        let is_state = last == "state" && (USUAL_BASES.contains(&base) || DOMAINS.contains(&domain));
        if !(is_attribute || is_state) || self.bases.len() >= MOST || self.units.len() >= MOST {
            return is_attribute;
        }
        self.bases.insert(base.to_owned());
        if last == "unit_of_measurement" {
            // JSON, in which a degree sign may be escaped.
            let text = serde_json::from_slice(payload)
                .unwrap_or_else(|_| String::from_utf8_lossy(payload).trim().to_owned());
            self.units.insert(format!("{base}/{domain}/{entity}/state"), text);
        }
        is_attribute
    }

    /// Whether Statestream publishes below a base.
    pub(super) fn has(&self, base: &str) -> bool {
        self.bases.contains(base)
    }

    /// The unit of the state on a topic, where it was published.
    pub(super) fn unit(&self, topic: &str) -> Option<&str> {
        self.units.get(topic).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(messages: &[(&str, &str)]) -> Statestreams {
        let mut heard = Statestreams::default();
        for (topic, payload) in messages {
            heard.look_at(topic, payload.as_bytes());
        }
        heard
    }

    #[test]
    fn attributes_the_sun_and_the_usual_base_tell_statestream_from_esphome() {
        assert!(heard(&[("ha/sensor/roof_temp/friendly_name", "\"Roof\"")]).has("ha"));
        assert!(heard(&[("ha/sun/sun/state", "below_horizon")]).has("ha"));
        assert!(heard(&[("homeassistant/sensor/roof_temp/state", "7.2")]).has("homeassistant"));
        let node = [
            ("node/sensor/temperature/state", "7.2"),
            ("node/switch/relay/state", "ON"),
            ("node/status", "online"),
            ("homeassistant/sensor/node_temperature/config", "{}"),
            ("state", "1"),
        ];
        assert!(heard(&node).bases.is_empty());
    }

    #[test]
    fn units_are_texts_of_json_or_plain() {
        let heard = heard(&[
            ("ha/sensor/a/unit_of_measurement", r#""\u00b0F""#),
            ("ha/sensor/b/unit_of_measurement", "inHg"),
        ]);
        assert_eq!(heard.unit("ha/sensor/a/state"), Some("°F"));
        assert_eq!(heard.unit("ha/sensor/b/state"), Some("inHg"));
        assert_eq!(heard.unit("ha/sensor/c/state"), None);
    }
}
