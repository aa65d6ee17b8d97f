//! Messages of other programs: what the service is told of them.

use forecastd_core::{Input, Places, Quantity, StationName, Token};
use forecastd_mapping::Source;
use jiff::Timestamp;

use crate::wire::message::{NotTaken, decode_source};
use crate::wire::reading::Decoded;

/// What a source made of a message.
#[derive(Debug)]
pub(super) struct Taken {
    /// What the service is told.
    pub(super) input: Input,
    /// What the message said.
    pub(super) decoded: Option<(StationName, Decoded)>,
}

/// What a message that arrived at `now` is to the source whose topic it is on; a `retained` one may be of any time.
pub(super) fn take(
    source: &Source,
    topic: &str,
    payload: &[u8],
    retained: bool,
    token: Token,
    now: Timestamp,
    places: &Places,
) -> Taken {
    let (station, decoded) = match decode_source(source, topic, payload, retained, now, places) {
        Ok(Some(taken)) => taken,
        Ok(None) => return Taken { input: Input::WithoutValue { token }, decoded: None },
        Err(NotTaken { station, reason, detail }) => {
            return Taken { input: Input::Unreadable { station, reason, detail, token }, decoded: None };
        }
    };
    let (name, time, values, place) = (station.clone(), decoded.time, decoded.values, decoded.place);
    let input = match source.merges() {
        true => {
            let reduced_pressure = decoded.reduced_pressure;
            let mut values = values;
            if reduced_pressure.is_some() {
                // It is brought to the station with what the whole slot knows of the air there.
                values.remove(Quantity::AirPressure);
            }
            Input::Part { station: name, time, values, reduced_pressure, place, token }
        }
        false => Input::Reading { station: name, time, values, place, token },
    };
    Taken { input, decoded: Some((station, decoded)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(merge: bool, name: &str, value: &str) -> Taken {
        let text = format!("[[source]]\npreset = \"esphome\"\nmerge = {merge}\n");
        let source = Source::read_all(&text).unwrap().remove(0);
        let now = "2026-11-25T13:01:00Z".parse().unwrap();
        super::take(&source, name, value.as_bytes(), false, 1, now, &Places::default())
    }

    #[test]
    fn a_message_is_a_reading_a_part_of_one_nothing_or_unreadable() {
        let temperature = "roof/sensor/temperature/state";
        let whole = take(false, temperature, "7.0");
        assert!(matches!(whole.input, Input::Reading { token: 1, .. }), "{whole:?}");
        let part = take(true, temperature, "7.0");
        assert!(matches!(part.input, Input::Part { token: 1, .. }), "{part:?}");
        assert!(part.decoded.is_some_and(|(station, _)| station.as_str() == "roof"));
        let other = take(true, "roof/sensor/wifi_signal/state", "-60");
        assert!(
            matches!(other.input, Input::WithoutValue { token: 1 }) && other.decoded.is_none(),
            "{other:?}"
        );
        let wrong = take(true, temperature, "warm");
        assert!(matches!(wrong.input, Input::Unreadable { reason: "bad_value", token: 1, .. }), "{wrong:?}");
    }
}
