//! What is published, and what of it has reached the broker.

use std::time::Duration;

use forecastd_core::{Forecast, Input, Publication, StationName};
use forecastd_model::Inference;
use forecastd_mqtt::{Message, Settlement};
use jiff::Timestamp;

use super::Driver;
use crate::daemon::engines::WindowKey;
use crate::wire;

/// A forecast that may not have reached the broker.
pub(super) struct Undelivered {
    /// The message's number.
    pub(super) number: u64,
    pub(super) station: StationName,
    pub(super) origin: Timestamp,
    pub(super) message: Message,
}

/// How long a forecast that is published at `now` says anything: until its last hour is over. When that is over already, a stale
/// one goes at once, and a fresh one, of a record that is played back, stays as long as it is for.
fn lifetime(forecast: &Forecast, is_stale: bool, now: Timestamp) -> Duration {
    const LEAST: Duration = Duration::from_secs(1);
    let Some(last) = forecast.leads.last() else { return LEAST };
    let left = Duration::try_from(last.valid_at.duration_since(now)).unwrap_or_default();
    match left < LEAST && !is_stale {
        true => Duration::from_secs(u64::from(last.lead_h) * 3600),
        false => left.max(LEAST),
    }
}

impl Driver {
    pub(super) fn publish(&mut self, publication: Publication) {
        self.live.publication(&publication);
        let topics = &self.topics;
        let message = |topic: String, payload: String| Message::retained(topic, payload);
        match publication {
            Publication::Forecast { forecast, is_stale } => {
                let topic = topics.forecast.topic(forecast.station.as_str());
                let message = message(topic, wire::forecast::encode(&forecast, is_stale))
                    .expires_in(lifetime(&forecast, is_stale, Timestamp::now()));
                match is_stale {
                    true => drop(self.hand_in(message)),
                    false => self.deliver(forecast.station, forecast.origin, message),
                }
            }
            Publication::Status { station, state, newest_reading, place, model_distance_km, odd, model } => {
                let topic = topics.station_status.topic(station.as_str());
                let payload = wire::status::encode_status(
                    &station,
                    state,
                    newest_reading,
                    place,
                    model_distance_km,
                    &odd,
                    &model,
                );
                self.hand_in(message(topic, payload));
            }
            Publication::Verification { station, model, scores, experts, day_ahead } => {
                let topic = topics.verification.topic(station.as_str());
                let payload = wire::status::encode_verification(
                    &station,
                    &model,
                    &scores,
                    &experts,
                    day_ahead.as_ref(),
                );
                self.hand_in(message(topic, payload));
            }
            Publication::Discovery(discovery) => {
                let payload = wire::discovery::encode(&discovery, topics);
                if let Some(topic) = self.home_assistant.topic(&discovery.station) {
                    self.home_assistant.tells(discovery.station, &payload);
                    self.hand_in(message(topic, payload));
                }
            }
            Publication::WithdrawDiscovery(station) => {
                for topic in self.home_assistant.topics_before(&station) {
                    match self.hand_in(Message::clearing(topic)) {
                        Some(number) => self.last_withdrawal = Some(number),
                        // The next start tries again.
                        None => self.intentions.withdrawn = None,
                    }
                }
            }
            Publication::Clear(station) => {
                self.home_assistant.withdraws(&station);
                // What is on its way and gets lost would be published again, over what is cleared.
                self.lost.retain(|undelivered| undelivered.station != station);
                self.undelivered.retain(|undelivered| undelivered.station != station);
                let own = [&topics.forecast, &topics.station_status, &topics.verification];
                let own = own.map(|template| template.topic(station.as_str()));
                for topic in own.into_iter().chain(self.home_assistant.topic(&station)) {
                    self.hand_in(Message::clearing(topic));
                }
            }
            Publication::GiveUp(station) => {
                self.home_assistant.withdraws(&station);
                let own = [&topics.forecast, &topics.station_status, &topics.verification];
                let own = own.map(|template| template.topic(station.as_str()));
                for topic in own.into_iter().chain(self.home_assistant.topic(&station)) {
                    self.publisher.give_up(&topic);
                }
            }
        }
    }

    /// Hands a forecast over, and remembers it until the broker has it.
    pub(super) fn deliver(&mut self, station: StationName, origin: Timestamp, message: Message) {
        match self.hand_in(message.clone()) {
            Some(number) => {
                self.undelivered.push_back(Undelivered { number, station, origin, message });
            }
            None => self.handle(Input::NotHandedIn { station, origin }),
        }
    }

    fn hand_in(&mut self, message: Message) -> Option<u64> {
        match self.publisher.publish(message) {
            Ok(number) => Some(number),
            Err(error) => {
                self.telemetry.not_published(&error);
                None
            }
        }
    }

    /// Writes that what Home Assistant was told before is taken back, once it is.
    pub(super) fn look_at_withdrawals(&mut self) {
        let is_settled = || self.last_withdrawal.is_none_or(|number| self.publisher.settled() > number);
        if self.intentions.withdrawn.is_some() && !self.service.waits_to_withdraw() && is_settled() {
            let done = self.intentions.withdrawn.take();
            self.write_done(done);
        }
    }

    pub(super) fn answered(&mut self, inference: Inference<WindowKey>) {
        let Inference { key: WindowKey { station, number, model }, outputs } = inference;
        let outputs = outputs.map_err(|error| error.to_string());
        self.handle(Input::Inferred { station, number, model, outputs });
    }

    /// What has reached the broker by now. The news of a lost connection stands behind messages, and the session may be on its
    /// next one: then what is settled may stand for forecasts that it has replaced, and these are lost.
    pub(super) fn look_at_deliveries(&mut self) {
        let Settlement { settled, connection, since, settled_before } = self.publisher.settlement();
        if self.undelivered.front().is_some_and(|undelivered| undelivered.number < since) {
            // More than one lost connection that was not looked at says nothing of the first.
            if connection - self.connection <= 1 {
                self.delivered(settled_before.min(since));
            }
            let lost = self.undelivered.partition_point(|undelivered| undelivered.number < since);
            self.lost.extend(self.undelivered.drain(..lost));
        }
        self.connection = connection;
        self.delivered(settled);
    }

    /// Messages with lower numbers than `settled` have reached the broker.
    fn delivered(&mut self, settled: u64) {
        while self.undelivered.front().is_some_and(|undelivered| undelivered.number < settled) {
            let Some(Undelivered { station, .. }) = self.undelivered.pop_front() else { return };
            self.handle(Input::Delivered(station));
        }
    }
}

#[cfg(test)]
mod tests {
    use forecastd_core::{LeadForecast, Source};
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_forecast_expires_with_its_last_hour_whenever_it_is_published() {
        let origin: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let lead = |lead_h: u32| LeadForecast {
            lead_h,
            valid_at: origin + SignedDuration::from_hours(lead_h.into()),
            temperature_c: 1.0,
            interval_c: None,
            quantiles_c: None,
        };
        let forecast = Forecast {
            station: StationName::new("roof").unwrap(),
            issued_at: origin,
            origin,
            temperature_c: 1.0,
            model: "persistence".to_owned(),
            source: Source::Persistence,
            leads: vec![lead(1), lead(24)],
            day_ahead: None,
        };
        let seconds = |is_stale: bool, after_s: i64| {
            lifetime(&forecast, is_stale, origin + SignedDuration::from_secs(after_s)).as_secs()
        };
        assert_eq!((seconds(false, 0), seconds(false, 20 * 3600)), (24 * 3600, 4 * 3600));
        assert_eq!((seconds(true, 20 * 3600), seconds(true, 24 * 3600 + 1)), (4 * 3600, 1));
        // Its hours were over before it was made: a record is played back.
        assert_eq!(seconds(false, 400 * 24 * 3600), 24 * 3600);
        assert_eq!(lifetime(&Forecast { leads: Vec::new(), ..forecast }, false, origin).as_secs(), 1);
    }
}
