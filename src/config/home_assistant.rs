//! `[home_assistant]`: whether Home Assistant is told of the stations, and where.

use serde::Deserialize;

use super::settings::Topics;
use super::topic::{TopicTemplate, TopicTemplateError};

/// The level of discovery topics that holds what this program says, and nobody else.
const NODE: &str = "forecastd";

/// `[home_assistant]`: what Home Assistant is told, so that it shows the stations without being set up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeAssistantSettings {
    /// Whether it is told.
    pub discovery: bool,
    /// What its discovery topics begin with.
    pub prefix: String,
    /// Of so many stations at most.
    pub stations_max: usize,
}

/// The topics by which Home Assistant and this program know of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryTopics {
    /// Where Home Assistant says that it has started: `online`.
    pub birth: String,
    /// Where it is told of a device; `{station}` stands for the object id.
    pub config: TopicTemplate,
}

impl DiscoveryTopics {
    /// The topics under a prefix.
    ///
    /// # Errors
    /// [`TopicTemplateError`] when they cannot be topics.
    pub fn new(prefix: &str) -> Result<DiscoveryTopics, TopicTemplateError> {
        let config = format!("{prefix}/device/{NODE}/{{station}}/config").parse()?;
        Ok(DiscoveryTopics { birth: format!("{prefix}/status"), config })
    }

    /// The filters of what others say there.
    pub fn filters(&self) -> Vec<String> {
        vec![self.birth.clone(), self.config.filter()]
    }
}

impl HomeAssistantSettings {
    /// What is wrong with the prefix beside the other topics.
    pub(super) fn contradictions(&self, topics: &Topics) -> Vec<String> {
        let prefix = &self.prefix;
        if prefix.ends_with('/') || prefix.contains(['{', '}']) {
            return vec![format!("{prefix:?} must be a topic without a slash at its end and without braces")];
        }
        let own = match DiscoveryTopics::new(prefix) {
            Ok(own) => own,
            Err(error) => return vec![format!("{prefix:?}: {error}")],
        };
        let birth: Option<TopicTemplate> = own.birth.parse().ok();
        let own: Vec<TopicTemplate> = birth.into_iter().chain([own.config]).collect();
        let topics = topics.by_key();
        let pairs = topics.iter().flat_map(|topic| own.iter().map(move |own| (own, topic)));
        let collisions = pairs.filter(|(own, (_, template))| own.collides_with(template));
        let said = |(own, (key, template)): (&TopicTemplate, &(&str, &TopicTemplate))| {
            format!("its topic \"{own}\" and topics.{key} \"{template}\" can be the same topic")
        };
        collisions.map(said).collect()
    }

    /// The topics, where Home Assistant is told.
    pub fn topics(&self) -> Option<DiscoveryTopics> {
        let topics = DiscoveryTopics::new(&self.prefix).ok();
        topics.filter(|_| self.discovery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_topics_are_those_that_home_assistant_documents() {
        let topics = DiscoveryTopics::new("homeassistant").unwrap();
        assert_eq!(topics.birth, "homeassistant/status");
        assert_eq!(topics.config.topic("roof"), "homeassistant/device/forecastd/roof/config");
        assert_eq!(topics.filters(), ["homeassistant/status", "homeassistant/device/forecastd/+/config"]);
        assert_eq!(DiscoveryTopics::new("home/+").unwrap_err(), TopicTemplateError::Wildcard('+'));
        assert_eq!(DiscoveryTopics::new("$SYS").unwrap_err(), TopicTemplateError::Dollar);
    }
}
