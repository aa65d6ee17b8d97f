//! A topic template: an MQTT topic in which `{station}` stands for one level, the station's name.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The placeholder of a station's name.
const STATION: &str = "{station}";
/// The prefix of a shared subscription (MQTT 5, section 4.8.2): `$share/GROUP/`.
const SHARE: &str = "$share/";
/// The longest topic in MQTT, in bytes.
const MAX_BYTES: usize = 65_535;

/// An MQTT topic in which `{station}` may stand for one whole level.
///
/// It is the filter to subscribe with, the topic to publish to, and takes the station's name out of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TopicTemplate {
    topic: String,
}

/// Why a text is no topic template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicTemplateError {
    /// Nothing in it.
    #[error("must not be empty")]
    Empty,
    /// Longer than a topic may be.
    #[error("has {0} bytes, more than {MAX_BYTES}")]
    TooLong(usize),
    /// It holds `+` or `#`.
    #[error("holds the wildcard {0:?}; {{station}} stands for the level that differs")]
    Wildcard(char),
    /// A control character.
    #[error("holds the control character {0:?}")]
    Control(char),
    /// `{station}` with something beside it in its level, or misspelt.
    #[error("{0:?} must be {{station}} and a whole level between two slashes")]
    Placeholder(String),
    /// `{station}` more than once.
    #[error("holds {{station}} more than once")]
    Repeated,
    /// It is a shared subscription, `$share/GROUP/TOPIC`.
    #[error(
        "is a shared subscription, which deals the readings of one station out to several daemons, so that none has its \
         whole window; give each daemon topics of its own, such as weather/p1/{{station}}/reading"
    )]
    Shared,
    /// Topics with `$` are the broker's own.
    #[error("topics that begin with $ are the broker's own")]
    Dollar,
}

impl TopicTemplate {
    /// Whether it holds `{station}`.
    pub fn has_station(&self) -> bool {
        self.levels().any(|level| level == STATION)
    }

    /// The filter to subscribe with: `weather/+/reading`.
    pub fn filter(&self) -> String {
        self.topic.replacen(STATION, "+", 1)
    }

    /// The topic of one station.
    pub fn topic(&self, station: &str) -> String {
        self.topic.replacen(STATION, station, 1)
    }

    /// The level of `topic` that stands where `{station}` is; none if the topic does not match.
    pub fn station<'topic>(&self, topic: &'topic str) -> Option<&'topic str> {
        let (before, after) = self.topic.split_once(STATION)?;
        let level = topic.strip_prefix(before)?.strip_suffix(after)?;
        (!level.contains('/')).then_some(level)
    }

    /// Whether some topic matches both templates.
    pub fn collides_with(&self, other: &TopicTemplate) -> bool {
        self.levels().count() == other.levels().count()
            && self
                .levels()
                .zip(other.levels())
                .all(|(left, right)| left == right || left == STATION || right == STATION)
    }

    fn levels(&self) -> impl Iterator<Item = &str> {
        self.topic.split('/')
    }
}

impl FromStr for TopicTemplate {
    type Err = TopicTemplateError;

    fn from_str(text: &str) -> Result<TopicTemplate, TopicTemplateError> {
        if text.is_empty() {
            return Err(TopicTemplateError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(TopicTemplateError::TooLong(text.len()));
        }
        if let Some(wildcard) = text.chars().find(|character| matches!(character, '+' | '#')) {
            return Err(TopicTemplateError::Wildcard(wildcard));
        }
        if let Some(control) = text.chars().find(|character| character.is_control()) {
            return Err(TopicTemplateError::Control(control));
        }
        if text.starts_with(SHARE) {
            return Err(TopicTemplateError::Shared);
        }
        if text.starts_with('$') {
            return Err(TopicTemplateError::Dollar);
        }
        let mut stations = 0;
        for level in text.split('/') {
            if level == STATION {
                stations += 1;
            } else if level.contains(['{', '}']) {
                return Err(TopicTemplateError::Placeholder(level.to_owned()));
            }
        }
        if stations > 1 {
            return Err(TopicTemplateError::Repeated);
        }
        Ok(TopicTemplate { topic: text.to_owned() })
    }
}

impl TryFrom<String> for TopicTemplate {
    type Error = TopicTemplateError;

    fn try_from(text: String) -> Result<TopicTemplate, TopicTemplateError> {
        text.parse()
    }
}

/// The template as it was written.
impl fmt::Display for TopicTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> TopicTemplate {
        text.parse().unwrap()
    }

    #[test]
    fn a_station_goes_into_a_topic_and_comes_out_of_it() {
        let reading = template("weather/{station}/reading");
        assert_eq!(reading.filter(), "weather/+/reading");
        assert_eq!(reading.topic("jena"), "weather/jena/reading");
        assert_eq!(reading.station("weather/jena/reading"), Some("jena"));
        assert_eq!(reading.station("weather//reading"), Some(""));
        for other in
            ["weather/a/b/reading", "weather/jena/readings", "other/jena/reading", "weather/reading", ""]
        {
            assert_eq!(reading.station(other), None, "{other:?}");
        }
        assert_eq!(template("{station}").station("jena"), Some("jena"));
        assert_eq!(template("{station}").station("a/b"), None);
    }

    /// It would deal the readings of one station out to several daemons.
    #[test]
    fn a_shared_subscription_is_refused_with_the_reason_and_what_to_do() {
        let error = "$share/blue/weather/{station}/reading".parse::<TopicTemplate>().unwrap_err();
        assert_eq!(error, TopicTemplateError::Shared);
        let message = error.to_string();
        for part in ["readings of one station", "several daemons", "weather/p1/{station}/reading"] {
            assert!(message.contains(part), "{message}");
        }
        let parted = template("weather/p3/{station}/reading");
        assert_eq!(parted.filter(), "weather/p3/+/reading");
        assert_eq!(parted.station("weather/p3/roof/reading"), Some("roof"));
        assert_eq!(parted.station("weather/p4/roof/reading"), None);
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<TopicTemplate>().unwrap_err();
        assert_eq!(error(""), TopicTemplateError::Empty);
        assert_eq!(error("weather/+/reading"), TopicTemplateError::Wildcard('+'));
        assert_eq!(error("weather/{station}/#"), TopicTemplateError::Wildcard('#'));
        assert_eq!(error("weather/\0"), TopicTemplateError::Control('\0'));
        assert_eq!(error("weather/x{station}/r"), TopicTemplateError::Placeholder("x{station}".to_owned()));
        assert_eq!(error("weather/{Station}/r"), TopicTemplateError::Placeholder("{Station}".to_owned()));
        assert_eq!(error("{station}/{station}"), TopicTemplateError::Repeated);
        assert_eq!(error("$SYS/{station}"), TopicTemplateError::Dollar);
        assert_eq!(error(&"x".repeat(65_536)), TopicTemplateError::TooLong(65_536));
    }

    #[test]
    fn templates_collide_when_one_topic_matches_both() {
        let collide = |left: &str, right: &str| template(left).collides_with(&template(right));
        assert!(collide("forecast/{station}", "forecast/status"));
        assert!(collide("{station}/reading", "weather/{station}"));
        assert!(!collide("forecast/{station}/status", "forecast/status"));
        assert!(!collide("a/{station}/b", "a/{station}/c"));
    }
}
