//! Messages of other programs: which source's they are, and the parts of readings among them, merged into slots.
//!
//! A part is acknowledged when it is merged: a broker sends only so many messages ahead of their acknowledgements, which go in
//! the order of arrival, and a slot may have hundreds. A kill costs no more than the parts of the slots that are open.

use std::collections::HashMap;

use forecastd_core::{Grid, Input, Merged, Site, SlotMerger, StationName, Token, Values};
use forecastd_mapping::Source;
use jiff::{SignedDuration, Timestamp};

use crate::wire::message::{NotTaken, decode_source};
use crate::wire::reading::Decoded;

/// With more open slots than this, parts are taken as readings: anybody can make up names of stations.
const MAX_OPEN: usize = 10_000;

/// What a source made of a message.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What the service is told.
    pub(super) input: Option<Input>,
    /// The message, where it need not be kept any longer.
    pub(super) acknowledged: Option<Token>,
    /// What the message said.
    pub(super) decoded: Option<(StationName, Decoded)>,
    /// Whether there is no value in it that the source names.
    pub(super) has_no_value: bool,
}

/// Every source, and the slots that are open.
#[derive(Default)]
pub(super) struct Sources {
    sources: Vec<Source>,
    /// A part further ahead of the clock than this opens no slot: the service says what becomes of it.
    max_ahead: SignedDuration,
    open: HashMap<StationName, Open>,
}

/// The open slot of a station.
struct Open {
    merger: SlotMerger,
    /// Where the station last said that it stands.
    site: Option<Site>,
}

impl Sources {
    pub(super) fn new(sources: Vec<Source>, max_ahead: SignedDuration) -> Sources {
        Sources { sources, max_ahead, open: HashMap::new() }
    }

    /// Takes a message that arrived at `now`; `None` when its topic is no source's.
    pub(super) fn take(
        &mut self,
        topic: &str,
        payload: &[u8],
        token: Token,
        now: Timestamp,
        grid: Grid,
    ) -> Option<Taken> {
        let source = self.sources.iter().find(|source| source.has_topic(topic))?;
        let (station, decoded) = match decode_source(source, topic, payload, now) {
            Ok(Some(taken)) => taken,
            Ok(None) => {
                return Some(Taken { acknowledged: Some(token), has_no_value: true, ..Taken::default() });
            }
            Err(NotTaken { station, reason, detail }) => {
                let input = Some(Input::Unreadable { station, reason, detail, token });
                return Some(Taken { input, ..Taken::default() });
            }
        };
        let is_ahead = decoded.time.duration_since(now) > self.max_ahead;
        let has_room = self.open.len() < MAX_OPEN || self.open.contains_key(&station);
        let mut taken = match source.merges() && has_room && !is_ahead {
            true => self.merge(&station, &decoded, token, grid),
            false => Taken {
                input: Some(reading(&station, decoded.time, decoded.values, decoded.site, Some(token))),
                ..Taken::default()
            },
        };
        taken.decoded = Some((station, decoded));
        Some(taken)
    }

    fn merge(&mut self, station: &StationName, decoded: &Decoded, token: Token, grid: Grid) -> Taken {
        let new = || Open { merger: SlotMerger::new(grid), site: None };
        let open = self.open.entry(station.clone()).or_insert_with(new);
        // The slot that this message ends was measured where the messages before it were.
        let of_slot = open.site;
        let site = decoded.site.or(of_slot);
        open.site = site;
        match open.merger.add(decoded.time, &decoded.values) {
            Some(Merged::Late(time, values)) => {
                Taken { input: Some(reading(station, time, values, site, Some(token))), ..Taken::default() }
            }
            Some(Merged::Finished(time, values)) => Taken {
                input: Some(reading(station, time, values, of_slot, None)),
                acknowledged: Some(token),
                ..Taken::default()
            },
            None => Taken { acknowledged: Some(token), ..Taken::default() },
        }
    }

    /// The readings of slots that are over at `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Input> {
        let mut due = Vec::new();
        // What is late for a slot that is forgotten opens it again, and follows with the next tick.
        self.open.retain(|station, open| match open.merger.due(now) {
            Some((time, values)) => {
                due.push(reading(station, time, values, open.site, None));
                false
            }
            None => true,
        });
        due
    }
}

fn reading(
    station: &StationName,
    time: Timestamp,
    values: Values,
    site: Option<Site>,
    token: Option<Token>,
) -> Input {
    Input::Reading { station: station.clone(), time, values, site, token }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Quantity;

    fn sources(merge: bool) -> Sources {
        let text = format!("[[source]]\npreset = \"esphome\"\nmerge = {merge}\n");
        Sources::new(Source::read_all(&text).unwrap(), SignedDuration::from_mins(5))
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-25T{text}Z").parse().unwrap()
    }

    fn take(sources: &mut Sources, name: &str, value: &str, token: Token, now: &str) -> Taken {
        let grid = Grid::new(600).unwrap();
        sources.take(&format!("roof/sensor/{name}/state"), value.as_bytes(), token, at(now), grid).unwrap()
    }

    #[test]
    fn parts_are_merged_and_no_message_is_held_until_the_next() {
        let mut sources = sources(true);
        let first = take(&mut sources, "temperature", "7.0", 1, "13:02:00");
        assert!(first.input.is_none());
        assert_eq!(first.acknowledged, Some(1));
        let second = take(&mut sources, "humidity", "80", 2, "13:03:00");
        assert!(second.input.is_none());
        assert_eq!(second.acknowledged, Some(2));
        let next = take(&mut sources, "temperature", "9.0", 3, "13:12:00");
        assert_eq!(next.acknowledged, Some(3));
        let Some(Input::Reading { station, time, values, token, .. }) = next.input else {
            panic!("no reading")
        };
        assert_eq!((station.as_str(), time, token), ("roof", at("13:03:00"), None));
        assert_eq!(values.get(Quantity::AirTemperature), Some(7.0));
        assert_eq!(values.get(Quantity::RelativeHumidity), Some(80.0));
        assert!(sources.due(at("13:21:00")).is_empty());
        let due = sources.due(at("13:21:01"));
        assert!(matches!(due.as_slice(), [Input::Reading { token: None, .. }]), "{due:?}");
        assert!(sources.due(at("13:22:00")).is_empty());
        assert!(sources.open.is_empty(), "a station that is silent takes no room");
    }

    #[test]
    fn a_part_far_ahead_of_the_clock_is_for_the_service_to_judge_and_opens_no_slot() {
        let text = "[[source]]\nmerge = true\ntopic = \"{station}/air\"\ntime = { at = \"/at\" }\n\
                    [[source.value]]\nat = \"/t\"\nquantity = \"air_temperature\"\n";
        let mut sources = Sources::new(Source::read_all(text).unwrap(), SignedDuration::from_mins(5));
        let grid = Grid::new(600).unwrap();
        let mut take = |payload: &str, token: Token| {
            sources.take("roof/air", payload.as_bytes(), token, at("13:02:00"), grid).unwrap()
        };
        let ahead = take(r#"{"t":7,"at":"2099-01-01T00:00:00Z"}"#, 1);
        assert!(matches!(ahead.input, Some(Input::Reading { token: Some(1), .. })), "{ahead:?}");
        let right = take(r#"{"t":7,"at":"2026-11-25T13:02:00Z"}"#, 2);
        assert!(right.input.is_none() && right.acknowledged == Some(2), "{right:?}");
    }

    #[test]
    fn a_slot_was_measured_where_its_messages_were() {
        let text = "[[source]]\nmerge = true\ntopic = \"{station}/air\"\n\
                    place = { latitude = \"/lat\", longitude = \"/lon\" }\n\
                    [[source.value]]\nat = \"/t\"\nquantity = \"air_temperature\"\n";
        let mut sources = Sources::new(Source::read_all(text).unwrap(), SignedDuration::ZERO);
        let grid = Grid::new(600).unwrap();
        let mut take = |payload: &str, token: Token, now: &str| {
            sources.take("buoy/air", payload.as_bytes(), token, at(now), grid).unwrap().input
        };
        assert!(take(r#"{"t":7,"lat":54.2,"lon":7.9}"#, 1, "13:02:00").is_none());
        assert!(take(r#"{"t":8}"#, 2, "13:04:00").is_none());
        // It has drifted away by the next slot.
        let next = take(r#"{"t":9,"lat":55.2,"lon":6.9}"#, 3, "13:12:00");
        let Some(Input::Reading { site: Some(site), .. }) = next else { panic!("no place: {next:?}") };
        assert_eq!((site.latitude_deg, site.longitude_deg), (54.2, 7.9));
        let due = sources.due(at("13:21:01"));
        let [Input::Reading { site: Some(site), .. }] = &due[..] else { panic!("no place: {due:?}") };
        assert_eq!((site.latitude_deg, site.longitude_deg), (55.2, 6.9));
    }

    #[test]
    fn whole_readings_pass_at_once_and_what_is_none_is_acknowledged_or_said() {
        let mut sources = sources(false);
        let whole = take(&mut sources, "temperature", "7.0", 1, "13:01:00");
        assert!(matches!(whole.input, Some(Input::Reading { token: Some(1), .. })));
        let other = take(&mut sources, "wifi_signal", "-60", 2, "13:01:01");
        assert!(other.input.is_none() && other.decoded.is_none() && other.has_no_value);
        assert_eq!(other.acknowledged, Some(2));
        let wrong = take(&mut sources, "temperature", "warm", 3, "13:01:02");
        assert!(matches!(wrong.input, Some(Input::Unreadable { reason: "bad_value", token: 3, .. })));
        let grid = Grid::new(600).unwrap();
        assert!(sources.take("weather/roof/reading", b"{}", 4, at("13:01:03"), grid).is_none());
    }
}
