//! What the value of each key must be, beyond its type.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use forecastd_core::Site;

use super::topic::{TopicTemplate, TopicTemplateError};

/// What the value of a key must be.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// A number in this range.
    Within(RangeInclusive<i64>),
    /// A number of seconds in this range, whole or not.
    Seconds(RangeInclusive<f64>),
    /// A number in this range, whole or not, or `nan` where it is not known.
    Measure(RangeInclusive<f64>),
    /// A text with something in it.
    NotEmpty,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An address and a port.
    Listen,
    /// A topic template with `{station}`.
    ByStation,
    /// A topic without `{station}`.
    WithoutStation,
}

/// The rule of every key that has one.
static RULES: [(&str, Rule); 40] = [
    ("mqtt.host", Rule::NotEmpty),
    ("mqtt.port", Rule::Within(0..=65_535)),
    ("mqtt.keep_alive_s", Rule::Within(1..=65_535)),
    ("mqtt.session_expiry_s", Rule::Within(1..=4_294_967_295)),
    ("mqtt.receive_maximum", Rule::Within(1..=65_535)),
    // The upper bound stays below the longest packet that MQTT can say, 268,435,455 bytes (section 1.5.5).
    ("mqtt.max_packet_bytes", Rule::Within(1024..=268_000_000)),
    ("mqtt.connect_timeout_s", Rule::Within(1..=3600)),
    ("mqtt.acknowledge_timeout_s", Rule::Within(1..=3600)),
    ("mqtt.transport", Rule::OneOf(&["tcp", "websocket"])),
    ("mqtt.websocket_path", Rule::NotEmpty),
    ("mqtt.reconnect_min_s", Rule::Seconds(0.001..=3600.0)),
    ("mqtt.reconnect_max_s", Rule::Seconds(0.001..=86_400.0)),
    ("mqtt.publish_queue", Rule::Within(1..=1_000_000)),
    ("mqtt.publish_window", Rule::Within(1..=65_535)),
    ("mqtt.retained_topics", Rule::Within(1..=10_000_000)),
    ("topics.reading", Rule::ByStation),
    ("topics.forecast", Rule::ByStation),
    ("topics.station_status", Rule::ByStation),
    ("topics.verification", Rule::ByStation),
    ("topics.status", Rule::WithoutStation),
    ("site.latitude_deg", Rule::Measure(-90.0..=90.0)),
    ("site.longitude_deg", Rule::Measure(-180.0..=180.0)),
    ("site.elevation_m", Rule::Measure(Site::ELEVATIONS_M)),
    ("forecast.threshold_c", Rule::Measure(-60.0..=60.0)),
    ("model.engine", Rule::OneOf(&["auto", "tract", "onnxruntime"])),
    // Each has a process of its own.
    ("model.specialists_max", Rule::Within(1..=1000)),
    ("model.watch_s", Rule::Within(0..=86_400)),
    ("stations.max", Rule::Within(1..=1_000_000)),
    ("stations.stale_after_s", Rule::Within(60..=31_536_000)),
    ("stations.idle_days", Rule::Within(0..=36_500)),
    ("stations.max_reading_ahead_s", Rule::Within(0..=604_800)),
    ("journal.keep_days", Rule::Within(1..=36_500)),
    ("journal.keep_forecasts_days", Rule::Within(1..=36_500)),
    ("http.listen", Rule::Listen),
    // Each holds a descriptor and up to some 100 KiB.
    ("http.max_connections", Rule::Within(1..=4096)),
    ("home_assistant.prefix", Rule::NotEmpty),
    ("home_assistant.stations_max", Rule::Within(1..=1_000_000)),
    ("metrics.station_series_max", Rule::Within(0..=10_000)),
    ("log.level", Rule::OneOf(&["error", "warn", "info", "debug", "trace"])),
    ("log.format", Rule::OneOf(&["text", "json"])),
];

/// Every key that has a rule.
#[cfg(test)]
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(key, _)| *key)
}

impl Rule {
    /// Whether the number need not be whole.
    pub(super) fn allows_fractions(&self) -> bool {
        matches!(self, Rule::Seconds(_) | Rule::Measure(_))
    }

    /// The rule of the key `section.name`, if it has one.
    pub(super) fn find(key: &str) -> Option<&'static Rule> {
        RULES.iter().find(|(ruled, _)| *ruled == key).map(|(_, rule)| rule)
    }

    /// What is wrong with a whole number.
    pub(super) fn validate_integer(&self, number: i64) -> Option<String> {
        match self {
            Rule::Within(range) if !range.contains(&number) => {
                Some(format!("{number} is not between {} and {}", range.start(), range.end()))
            }
            // Numbers that the conversion rounds are far outside any range of seconds.
            Rule::Seconds(_) | Rule::Measure(_) => self.validate_float(number as f64),
            _ => None,
        }
    }

    /// What is wrong with a number that need not be whole.
    pub(super) fn validate_float(&self, number: f64) -> Option<String> {
        match self {
            Rule::Seconds(range) if !range.contains(&number) => {
                Some(format!("{number} is not between {} and {}", range.start(), range.end()))
            }
            Rule::Measure(range) if !number.is_nan() && !range.contains(&number) => {
                Some(format!("{number} is not between {} and {}", range.start(), range.end()))
            }
            _ => None,
        }
    }

    /// What is wrong with a text.
    pub(super) fn validate_text(&self, text: &str) -> Option<String> {
        match self {
            Rule::Within(_) | Rule::Seconds(_) | Rule::Measure(_) => None,
            Rule::NotEmpty => text.trim().is_empty().then(|| "must not be empty".to_owned()),
            Rule::OneOf(words) => (!words.contains(&text)).then(|| {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("{text:?} is none of {}", words.join(", "))
            }),
            Rule::Listen => text.parse::<SocketAddr>().is_err().then(|| {
                format!("{text:?} is no address and port such as \"127.0.0.1:9752\" or \"[::1]:9752\"")
            }),
            Rule::ByStation | Rule::WithoutStation => {
                self.validate_topic(text.parse()).map(|message| match text {
                    "" => message,
                    text => format!("{text:?}: {message}"),
                })
            }
        }
    }

    fn validate_topic(&self, template: Result<TopicTemplate, TopicTemplateError>) -> Option<String> {
        let template = match template {
            Ok(template) => template,
            Err(error) => return Some(error.to_string()),
        };
        let by_station = !matches!(self, Rule::WithoutStation);
        match (by_station, template.has_station()) {
            (true, false) => Some("must hold {station}".to_owned()),
            (false, true) => Some("must not hold {station}".to_owned()),
            _ => None,
        }
    }
}
