//! What happens, told to those who listen: what is published over MQTT, as it is there, and readings.

use std::sync::Arc;

use forecastd_core::{Event, Publication, StationName};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::wire;

/// A listener that is so many changes behind has lost some, and is told so.
const CHANGES: usize = 1024;

/// What kind of change it is; also the name of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Kind {
    /// The newest reading is another.
    Reading,
    /// The newest forecast is another.
    Forecast,
    /// The station is in another state, or an hour has passed.
    Status,
    /// The scores are others.
    Verification,
    /// The station is not served any more.
    Gone,
}

/// A change of one station.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) station: StationName,
    pub(super) kind: Kind,
    /// JSON, in one line.
    pub(super) data: Arc<str>,
}

/// Tells what happens; nothing is written for nobody. Those who listen hear the end when it is dropped.
#[derive(Debug)]
pub struct Live(broadcast::Sender<Change>);

/// Where one can listen. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Listening(broadcast::WeakSender<Change>);

impl Listening {
    /// Whoever listens hears of what happens from now on; none when nothing will.
    pub(super) fn listen(&self) -> Option<broadcast::Receiver<Change>> {
        self.0.upgrade().map(|sender| sender.subscribe())
    }
}

#[derive(Serialize)]
struct Reading<'a> {
    station: &'a str,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    air_temperature_c: Option<f64>,
}

#[derive(Serialize)]
struct Gone<'a> {
    station: &'a str,
}

impl Default for Live {
    fn default() -> Live {
        Live(broadcast::Sender::new(CHANGES))
    }
}

impl Live {
    /// Where one can listen.
    pub fn listening(&self) -> Listening {
        Listening(self.0.downgrade())
    }

    /// Tells clients of an event that changes what they show.
    pub fn event(&self, event: &Event) {
        if self.0.receiver_count() == 0 {
            return;
        }
        match event {
            Event::NewestReading { station, time, temperature_c } => {
                let reading = Reading {
                    station: station.as_str(),
                    time: *time,
                    air_temperature_c: temperature_c.map(wire::forecast::round_to_centidegrees),
                };
                self.tell(station, Kind::Reading, json(&reading));
            }
            Event::ForecastIssued { forecast, .. } => {
                self.tell(&forecast.station, Kind::Forecast, wire::forecast::encode(forecast, false));
            }
            Event::Forgotten(station) | Event::StationGivenUp(station) => {
                self.tell(station, Kind::Gone, json(&Gone { station: station.as_str() }));
            }
            _ => {}
        }
    }

    /// Something is published, whether the broker is there or not.
    pub fn publication(&self, publication: &Publication) {
        if self.0.receiver_count() == 0 {
            return;
        }
        match publication {
            // A fresh one was told when it was issued.
            Publication::Forecast { is_stale: false, .. }
            | Publication::Clear(_)
            | Publication::GiveUp(_)
            | Publication::Discovery(_)
            | Publication::WithdrawDiscovery(_) => {}
            Publication::Forecast { forecast, is_stale: true } => {
                self.tell(&forecast.station, Kind::Forecast, wire::forecast::encode(forecast, true));
            }
            Publication::Status { station, state, newest_reading, place, model_distance_km, odd, model } => {
                let status = wire::status::encode_status(
                    station,
                    *state,
                    *newest_reading,
                    *place,
                    *model_distance_km,
                    odd,
                    model,
                );
                self.tell(station, Kind::Status, status);
            }
            Publication::Verification { station, model, scores, experts, day_ahead } => {
                let verification =
                    wire::status::encode_verification(station, model, scores, experts, day_ahead.as_ref());
                self.tell(station, Kind::Verification, verification);
            }
        }
    }

    fn tell(&self, station: &StationName, kind: Kind, data: String) {
        // Whoever listened may have gone.
        let _ = self.0.send(Change { station: station.clone(), kind, data: data.into() });
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and finite numbers are JSON")
}
