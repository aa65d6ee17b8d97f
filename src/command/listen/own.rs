//! Topics of forecastd itself, which no source is needed for.

use crate::config::Config;
use crate::config::TopicTemplate;

/// What forecastd does with one of its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// It publishes there.
    Published,
    /// It reads what stands there without a source.
    Read,
}

/// The topics of a configuration.
#[derive(Debug)]
pub(super) struct OwnTopics {
    reading: TopicTemplate,
    published: Vec<TopicTemplate>,
}

impl OwnTopics {
    pub(super) fn new(config: &Config) -> OwnTopics {
        let topics = &config.topics;
        let published = [&topics.forecast, &topics.station_status, &topics.verification, &topics.status];
        let discovery = config.home_assistant.topics().map(|topics| topics.config);
        OwnTopics {
            reading: topics.reading.clone(),
            published: published.into_iter().cloned().chain(discovery).collect(),
        }
    }

    /// Whose a topic is; none where it is a stranger's.
    pub(super) fn find(&self, topic: &str) -> Option<Own> {
        let is_of = |template: &TopicTemplate| {
            if template.has_station() {
                template.station(topic).is_some()
            } else {
                template.filter() == topic
            }
        };
        if self.published.iter().any(is_of) {
            return Some(Own::Published);
        }
        is_of(&self.reading).then_some(Own::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_forecastd_publishes_and_what_it_reads_by_itself_is_its_own() {
        let config = Config::from_text("", Path::new(""), [("", ""); 0]).unwrap();
        let own = OwnTopics::new(&config);
        for published in [
            "forecast/roof/temperature",
            "forecast/roof/status",
            "forecast/roof/verification",
            "forecast/status",
            "homeassistant/device/forecastd/roof/config",
        ] {
            assert_eq!(own.find(published), Some(Own::Published), "{published}");
        }
        assert_eq!(own.find("weather/roof/reading"), Some(Own::Read));
        for other in ["tele/roof/SENSOR", "forecast/roof/other", "homeassistant/sensor/x/config"] {
            assert_eq!(own.find(other), None, "{other}");
        }
    }
}
