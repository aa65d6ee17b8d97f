//! What arrives on the topic of readings: a reading, or the wish that a station be forgotten.

use forecastd_core::StationName;

use super::reading::{self, Decoded};
use crate::config::TopicTemplate;

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A reading.
    Reading {
        /// Whose.
        station: StationName,
        /// What was measured, and what could not be read of it.
        decoded: Decoded,
    },
    /// An empty retained message: the station is to be forgotten.
    Forget(StationName),
}

/// Why a message says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct NotTaken {
    /// Whose it is, if that is known.
    pub station: Option<StationName>,
    /// Why, as a metric's label.
    pub reason: &'static str,
    /// Why, as a person reads it.
    pub detail: String,
}

/// Takes a message apart that arrived on `topic`.
///
/// # Errors
/// [`NotTaken`] when it is no reading of a station.
pub fn decode(
    template: &TopicTemplate,
    topic: &str,
    payload: &[u8],
    retain: bool,
) -> Result<Received, NotTaken> {
    let shown = || topic.chars().take(120).collect::<String>().escape_debug().to_string();
    let not_taken = |station, reason, detail| NotTaken { station, reason, detail };
    let Some(level) = template.station(topic) else {
        return Err(not_taken(None, "unknown_topic", format!("{}: no station's topic", shown())));
    };
    let station = StationName::new(level)
        .map_err(|error| not_taken(None, "bad_station", format!("{}: {error}", shown())))?;
    if payload.is_empty() && retain {
        return Ok(Received::Forget(station));
    }
    match reading::decode(payload) {
        Ok(decoded) => Ok(Received::Reading { station, decoded }),
        Err(error) => Err(not_taken(Some(station), error.reason(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_retained_message_forgets_and_an_empty_one_alone_is_refused() {
        let template: TopicTemplate = "weather/{station}/reading".parse().unwrap();
        let roof = StationName::new("roof").unwrap();
        let decode = |topic: &str, payload: &[u8], retain| decode(&template, topic, payload, retain);
        assert_eq!(decode("weather/roof/reading", b"", true), Ok(Received::Forget(roof.clone())));
        let refused = decode("weather/roof/reading", b"", false).unwrap_err();
        assert_eq!((refused.station, refused.reason), (Some(roof), "empty"));
        assert_eq!(decode("weather/a\n/reading", b"", true).unwrap_err().reason, "bad_station");
        assert_eq!(
            decode("else\u{1b}where", b"", true).unwrap_err().detail,
            "else\\u{1b}where: no station's topic"
        );
    }
}
