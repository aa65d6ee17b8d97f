//! Messages of other programs: which source's they are, and the parts of readings among them, merged into slots.
//!
//! A part is acknowledged when the next of its station has come, and the last of a slot when the slot's reading is durable: a
//! broker sends only so many messages ahead of their acknowledgements, and a slot may have hundreds. A kill costs no more
//! than the parts of the slot that is open.

use std::collections::HashMap;

use forecastd_core::{Grid, Input, Site, StationName, Token, Values};
use forecastd_mapping::{Merged, SlotMerger, Source};
use jiff::Timestamp;

use crate::wire::message::{NotTaken, decode_source};
use crate::wire::reading::Decoded;

/// With more open slots than this, parts are taken as readings: anybody can make up names of stations.
const MAX_OPEN: usize = 10_000;

/// What a source made of a message.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What the service is told.
    pub(super) input: Option<Input>,
    /// Messages that need not be kept any longer.
    pub(super) acknowledged: Vec<Token>,
    /// What the message said.
    pub(super) decoded: Option<(StationName, Decoded)>,
    /// Whether there is no value in it that the source names.
    pub(super) has_no_value: bool,
}

/// Every source, and the slots that are open.
#[derive(Default)]
pub(super) struct Sources {
    sources: Vec<Source>,
    open: HashMap<StationName, Open>,
}

/// The open slot of a station, and the message that stands for it.
struct Open {
    merger: SlotMerger,
    held: Option<Token>,
    /// Where the station last said that it stands.
    site: Option<Site>,
}

impl Sources {
    pub(super) fn new(sources: Vec<Source>) -> Sources {
        Sources { sources, open: HashMap::new() }
    }

    /// Which source a topic is of.
    pub(super) fn position(&self, topic: &str) -> Option<usize> {
        self.sources.iter().position(|source| source.has_topic(topic))
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
                return Some(Taken { acknowledged: vec![token], has_no_value: true, ..Taken::default() });
            }
            Err(NotTaken { station, reason, detail }) => {
                let input = Some(Input::Unreadable { station, reason, detail, token });
                return Some(Taken { input, ..Taken::default() });
            }
        };
        let has_room = self.open.len() < MAX_OPEN || self.open.contains_key(&station);
        let mut taken = match source.merges() && has_room {
            true => self.merge(&station, &decoded, token, grid),
            false => Taken {
                input: Some(reading(&station, decoded.time, decoded.values, decoded.site, token)),
                ..Taken::default()
            },
        };
        taken.decoded = Some((station, decoded));
        Some(taken)
    }

    fn merge(&mut self, station: &StationName, decoded: &Decoded, token: Token, grid: Grid) -> Taken {
        let new = || Open { merger: SlotMerger::new(grid), held: None, site: None };
        let open = self.open.entry(station.clone()).or_insert_with(new);
        // The slot that this message ends was measured where the messages before it were.
        let of_slot = open.site;
        let site = decoded.site.or(of_slot);
        open.site = site;
        match open.merger.add(decoded.time, &decoded.values) {
            Some(Merged::Late(time, values)) => {
                Taken { input: Some(reading(station, time, values, site, token)), ..Taken::default() }
            }
            merged => {
                let before = open.held.replace(token);
                match (merged, before) {
                    (Some(Merged::Finished(time, values)), Some(token)) => Taken {
                        input: Some(reading(station, time, values, of_slot, token)),
                        ..Taken::default()
                    },
                    (_, before) => Taken { acknowledged: before.into_iter().collect(), ..Taken::default() },
                }
            }
        }
    }

    /// The readings of slots that are over at `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Input> {
        let mut due = Vec::new();
        for (station, open) in &mut self.open {
            if let Some((time, values)) = open.merger.due(now)
                && let Some(token) = open.held.take()
            {
                due.push(reading(station, time, values, open.site, token));
            }
        }
        // What is late for a slot that is forgotten opens it again, and follows with the next tick.
        self.open.retain(|_, open| open.held.is_some());
        due
    }
}

fn reading(
    station: &StationName,
    time: Timestamp,
    values: Values,
    site: Option<Site>,
    token: Token,
) -> Input {
    Input::Reading { station: station.clone(), time, values, site, token }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Quantity;

    fn sources(merge: bool) -> Sources {
        let text = format!("[[source]]\npreset = \"esphome\"\nmerge = {merge}\n");
        Sources::new(Source::read_all(&text).unwrap())
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-25T{text}Z").parse().unwrap()
    }

    fn take(sources: &mut Sources, name: &str, value: &str, token: Token, now: &str) -> Taken {
        let grid = Grid::new(600).unwrap();
        sources.take(&format!("roof/sensor/{name}/state"), value.as_bytes(), token, at(now), grid).unwrap()
    }

    #[test]
    fn parts_are_merged_and_one_message_is_held_for_each_slot() {
        let mut sources = sources(true);
        let first = take(&mut sources, "temperature", "7.0", 1, "13:02:00");
        assert!(first.input.is_none() && first.acknowledged.is_empty());
        let second = take(&mut sources, "humidity", "80", 2, "13:03:00");
        assert!(second.input.is_none());
        assert_eq!(second.acknowledged, [1]);
        let next = take(&mut sources, "temperature", "9.0", 3, "13:12:00");
        let Some(Input::Reading { station, time, values, token, .. }) = next.input else {
            panic!("no reading")
        };
        assert_eq!((station.as_str(), time, token), ("roof", at("13:03:00"), 2));
        assert_eq!(values.get(Quantity::AirTemperature), Some(7.0));
        assert_eq!(values.get(Quantity::RelativeHumidity), Some(80.0));
        assert!(sources.due(at("13:20:00")).is_empty());
        let due = sources.due(at("13:21:00"));
        assert!(matches!(due.as_slice(), [Input::Reading { token: 3, .. }]), "{due:?}");
        assert!(sources.due(at("13:22:00")).is_empty());
        assert!(sources.open.is_empty(), "a station that is silent takes no room");
    }

    #[test]
    fn a_slot_was_measured_where_its_messages_were() {
        let text = "[[source]]\nmerge = true\ntopic = \"{station}/air\"\n\
                    place = { latitude = \"/lat\", longitude = \"/lon\" }\n\
                    [[source.value]]\nat = \"/t\"\nquantity = \"air_temperature\"\n";
        let mut sources = Sources::new(Source::read_all(text).unwrap());
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
        let due = sources.due(at("13:21:00"));
        let [Input::Reading { site: Some(site), .. }] = &due[..] else { panic!("no place: {due:?}") };
        assert_eq!((site.latitude_deg, site.longitude_deg), (55.2, 6.9));
    }

    #[test]
    fn whole_readings_pass_at_once_and_what_is_none_is_acknowledged_or_said() {
        let mut sources = sources(false);
        let whole = take(&mut sources, "temperature", "7.0", 1, "13:01:00");
        assert!(matches!(whole.input, Some(Input::Reading { token: 1, .. })));
        let other = take(&mut sources, "wifi_signal", "-60", 2, "13:01:01");
        assert!(other.input.is_none() && other.decoded.is_none() && other.has_no_value);
        assert_eq!(other.acknowledged, [2]);
        let wrong = take(&mut sources, "temperature", "warm", 3, "13:01:02");
        assert!(matches!(wrong.input, Some(Input::Unreadable { reason: "bad_value", token: 3, .. })));
        let grid = Grid::new(600).unwrap();
        assert!(sources.take("weather/roof/reading", b"{}", 4, at("13:01:03"), grid).is_none());
    }
}
