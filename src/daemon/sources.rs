//! Messages of other programs: what the service is told of them.

use forecastd_core::{Input, Places, Quantity, StationName, Token};
use forecastd_mapping::{Choice, ChosenTopics, ClockOffsets, Source, TimeSource};
use jiff::Timestamp;

use crate::wire::message::{NotTaken, PassedOver, decode_source};
use crate::wire::reading::{Decoded, PayloadFault};

/// What a source made of a message.
#[derive(Debug)]
pub(super) struct Taken {
    /// What the service is told.
    pub(super) input: Input,
    /// What the message said.
    pub(super) decoded: Option<(StationName, Decoded)>,
    /// Why that is not looked at.
    pub(super) passed_over: Option<PassedOver>,
}

/// Reads messages of other programs, by what is known of their stations and topics.
#[derive(Debug, Default)]
pub(super) struct SourceReader {
    /// Where stations stand, by the configuration.
    places: Places,
    offsets: ClockOffsets,
    topics: ChosenTopics,
}

impl SourceReader {
    pub(super) fn new(places: Places) -> SourceReader {
        SourceReader { places, ..SourceReader::default() }
    }

    /// The broker is connected from `now` on, and sends what it has kept in a session that is still present.
    pub(super) fn connected(&mut self, session_present: bool, now: Timestamp) {
        self.offsets.connected(session_present, now);
    }

    /// What a message that arrived at `now` is to the source whose topic it is on; a `retained` one may be of any time.
    pub(super) fn take(
        &mut self,
        source: &Source,
        topic: &str,
        payload: &[u8],
        retained: bool,
        token: Token,
        now: Timestamp,
    ) -> Taken {
        let without = |input| Taken { input, decoded: None, passed_over: None };
        let (station, decoded) = match decode_source(source, topic, payload, retained, now, &self.places) {
            Ok(Some(taken)) => taken,
            Ok(None) => return without(Input::WithoutValue { token }),
            Err(NotTaken { station, reason, detail }) => {
                return without(Input::Unreadable { station, reason, detail, token });
            }
        };
        if let TimeSource::Guessed { offset_s } = decoded.time_source
            && !self.offsets.is_of_clock(station.as_str(), offset_s, now)
        {
            let reason = PayloadFault::BadTime.into();
            let detail =
                "time has no offset from UTC, and the message may have waited for hours: set time_zone";
            let (station, detail) = (Some(station), detail.to_owned());
            return without(Input::Unreadable { station, reason, detail, token });
        }
        if let Some(passed_over) = self.passed_over(&station, &decoded, topic) {
            let input = Input::WithoutValue { token };
            return Taken { input, decoded: Some((station, decoded)), passed_over: Some(passed_over) };
        }
        Taken {
            input: input(source, &station, &decoded, token),
            decoded: Some((station, decoded)),
            passed_over: None,
        }
    }

    /// Whether another topic is read instead of this one.
    fn passed_over(&mut self, station: &StationName, decoded: &Decoded, topic: &str) -> Option<PassedOver> {
        let (quantity, _) = decoded.values.iter().next()?;
        match self.topics.choose(station.as_str(), quantity, decoded.topic_rank?, topic) {
            Choice::Read => None,
            Choice::PassedOver { read, is_first } => Some(PassedOver { quantity, read, is_first }),
        }
    }
}

fn input(source: &Source, station: &StationName, decoded: &Decoded, token: Token) -> Input {
    let (station, time, mut values, place) = (station.clone(), decoded.time, decoded.values, decoded.place);
    match source.merges() {
        true => {
            let reduced_pressure = decoded.reduced_pressure;
            if reduced_pressure.is_some() {
                // It is brought to the station with what the whole slot knows of the air there.
                values.remove(Quantity::AirPressure);
            }
            let is_timed_by_arrival = decoded.time_source == TimeSource::Arrival;
            Input::Part { station, time, is_timed_by_arrival, values, reduced_pressure, place, token }
        }
        false => Input::Reading { station, time, values, place, token },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(merge: bool, name: &str, value: &str) -> Taken {
        let text = format!("[[source]]\npreset = \"esphome\"\nmerge = {merge}\n");
        let source = Source::read_all(&text).unwrap().remove(0);
        let now = "2026-11-25T13:01:00Z".parse().unwrap();
        SourceReader::default().take(&source, name, value.as_bytes(), false, 1, now)
    }

    #[test]
    fn a_message_is_a_reading_a_part_of_one_nothing_or_unreadable() {
        let temperature = "roof/sensor/temperature/state";
        let whole = take(false, temperature, "7.0");
        assert!(matches!(whole.input, Input::Reading { token: 1, .. }), "{whole:?}");
        let part = take(true, temperature, "7.0");
        assert!(matches!(part.input, Input::Part { token: 1, is_timed_by_arrival: true, .. }), "{part:?}");
        assert!(part.decoded.is_some_and(|(station, _)| station.as_str() == "roof"));
        let other = take(true, "roof/sensor/wifi_signal/state", "-60");
        assert!(
            matches!(other.input, Input::WithoutValue { token: 1 }) && other.decoded.is_none(),
            "{other:?}"
        );
        let wrong = take(true, temperature, "warm");
        assert!(matches!(wrong.input, Input::Unreadable { reason: "bad_value", token: 1, .. }), "{wrong:?}");
    }

    #[test]
    fn a_message_that_may_have_waited_with_the_time_of_a_clock_of_unknown_zone_is_refused() {
        let source = Source::read_all("[[source]]\npreset = \"tasmota\"\n").unwrap().remove(0);
        let mut reader = SourceReader::default();
        let connected: Timestamp = "2026-11-25T13:00:00Z".parse().unwrap();
        reader.connected(true, connected);
        let mut take = |second: i64, time: &str| {
            let payload =
                format!(r#"{{"Time":"2026-11-25T{time}","BME280":{{"Temperature":7.2}},"TempUnit":"C"}}"#);
            let now = Timestamp::from_second(connected.as_second() + second).unwrap();
            match reader.take(&source, "tele/roof/SENSOR", payload.as_bytes(), false, 1, now).input {
                Input::Reading { time, .. } => Ok(time.to_string()),
                Input::Unreadable { reason, .. } => Err(reason),
                other => panic!("{other:?}"),
            }
        };
        // The clock is that of UTC+1; of 11:00 UTC, by it, the hour is 12.
        assert_eq!(take(1, "12:00:00"), Err("bad_time"));
        assert_eq!(take(120, "14:02:00"), Ok("2026-11-25T13:02:00Z".to_owned()));
        assert_eq!(take(121, "12:02:00"), Err("bad_time"), "from another broker that kept it");
        assert_eq!(take(180, "14:03:00"), Ok("2026-11-25T13:03:00Z".to_owned()));
    }

    #[test]
    fn of_the_topics_with_one_quantity_of_a_station_the_best_is_read() {
        let source = Source::read_all("[[source]]\npreset = \"esphome\"\n").unwrap().remove(0);
        let now = "2026-11-25T13:01:00Z".parse().unwrap();
        let mut reader = SourceReader::default();
        let mut is_read = |name: &str| {
            let taken = reader.take(&source, &format!("node/sensor/{name}/state"), b"7", false, 1, now);
            matches!(taken.input, Input::Part { .. })
        };
        assert!(is_read("shed_temperature") && is_read("outdoor_temperature") && is_read("outdoor_humidity"));
        assert!(!is_read("shed_temperature") && is_read("outdoor_temperature") && !is_read("humidity"));
    }
}
