//! What is published, and what of it has reached the broker.

use std::time::Duration;

use forecastd_core::{Input, Publication, StationName};
use forecastd_model::Inference;
use forecastd_mqtt::{Message, Settlement};

use super::Driver;
use crate::daemon::engines::WindowKey;
use crate::wire;

/// A forecast that may not have reached the broker.
pub(super) struct Undelivered {
    /// The message's number.
    pub(super) number: u64,
    pub(super) station: StationName,
    pub(super) message: Message,
}

impl Driver {
    pub(super) fn publish(&mut self, publication: Publication) {
        self.live.publication(&publication);
        let topics = &self.topics;
        let message = |topic: String, payload: String| Message::retained(topic, payload);
        match publication {
            Publication::Forecast { forecast, is_stale } => {
                let topic = topics.forecast.topic(forecast.station.as_str());
                let leads_h = forecast.leads.last().map_or(0, |lead| u64::from(lead.lead_h));
                let message = message(topic, wire::forecast::encode(&forecast, is_stale))
                    // When its last hour is over it says nothing any more.
                    .expires_in(Duration::from_secs(leads_h * 3600));
                match is_stale {
                    true => drop(self.hand_in(message)),
                    false => self.deliver(forecast.station, message),
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
            Publication::Verification { station, model, verified_until, scores, experts, day_ahead } => {
                let topic = topics.verification.topic(station.as_str());
                let payload = wire::status::encode_verification(
                    &station,
                    &model,
                    verified_until,
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
                if let Some(topic) = self.home_assistant.topic_before(&station) {
                    self.hand_in(Message::clearing(topic));
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
        }
    }

    /// Hands a forecast over, and remembers it until the broker has it.
    pub(super) fn deliver(&mut self, station: StationName, message: Message) {
        if let Some(number) = self.hand_in(message.clone()) {
            self.undelivered.push_back(Undelivered { number, station, message });
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
