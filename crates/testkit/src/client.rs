//! A client of the broker: a station that publishes readings, or a home that shows forecasts.

use bytes::Bytes;
use forecastd_mqtt::{Inbox, Incoming, Message, Publisher, Purpose, Session, SessionEvent, SessionHandle};
use jiff::Timestamp;
use serde_json::Value;

use crate::mosquitto::Mosquitto;
use crate::patience::PATIENCE;

/// The second of 2020-01-01T00:00:00Z since the Unix epoch.
pub const START_S: i64 = 1_577_836_800;

/// The time so many minutes after 2020-01-01T00:00:00Z.
pub fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(START_S + minute * 60).unwrap()
}

/// A reading so many minutes after 2020-01-01T00:00:00Z. The pressure is never the same twice, as in nature.
pub fn reading(minute: i64, temperature_c: f64) -> String {
    let pressure_hpa = 1000.0 + minute.rem_euclid(1000) as f64 / 100.0;
    let time = at(minute);
    format!(r#"{{"time":"{time}","air_temperature_c":{temperature_c},"air_pressure_hpa":{pressure_hpa}}}"#)
}

/// A connected client.
pub struct Client {
    publisher: Publisher,
    inbox: Inbox,
    _handle: SessionHandle,
}

impl Client {
    /// Connects and subscribes; its own message has come back when this returns. What was retained may have come
    /// before it, and is passed over: see [`Client::retained`].
    pub async fn connect(mosquitto: &Mosquitto, name: &str, filters: &[&str]) -> Client {
        let probe = format!("probe/{name}");
        let filters = filters.iter().copied().chain([probe.as_str()]).map(str::to_owned).collect();
        let (publisher, inbox, handle) =
            Session::start(&mosquitto.settings(name), Purpose::subscribing(filters)).unwrap();
        let mut client = Client { publisher, inbox, _handle: handle };
        client.publish(&probe, "x").await;
        client.text(&probe).await;
        client
    }

    /// What the broker keeps for `topic`.
    pub async fn retained(mosquitto: &Mosquitto, name: &str, topic: &str) -> String {
        let settings = mosquitto.settings(name);
        let (publisher, inbox, handle) =
            Session::start(&settings, Purpose::subscribing(vec![topic.to_owned()])).unwrap();
        let mut client = Client { publisher, inbox, _handle: handle };
        loop {
            let incoming = client.message().await;
            if incoming.retain {
                return String::from_utf8(incoming.payload.to_vec()).unwrap();
            }
        }
    }

    /// Publishes and waits until the broker has it.
    pub async fn publish(&self, topic: &str, payload: impl Into<Bytes>) {
        let number = self.publisher.publish_wait(Message::new(topic, payload)).await.unwrap();
        let settled = tokio::time::timeout(PATIENCE, self.publisher.wait_settled(number + 1)).await;
        settled.expect("the broker takes the message").unwrap();
    }

    /// Publishes a retained message and waits until the broker has it.
    pub async fn publish_retained(&self, topic: &str, payload: impl Into<Bytes>) {
        let number = self.publisher.publish_wait(Message::retained(topic, payload)).await.unwrap();
        let settled = tokio::time::timeout(PATIENCE, self.publisher.wait_settled(number + 1)).await;
        settled.expect("the broker takes the message").unwrap();
    }

    /// Has the broker hand out an empty retained message, as whoever forgets a station does.
    pub async fn clear(&self, topic: &str) {
        self.publisher.publish_wait(Message::clearing(topic)).await.unwrap();
    }

    /// Publishes as soon as there is room, and does not wait for the broker.
    pub async fn hand_in(&self, topic: &str, payload: impl Into<Bytes>) {
        self.publisher.publish_wait(Message::new(topic, payload)).await.unwrap();
    }

    /// Publishes a reading of a station, with the topic of the default configuration.
    pub async fn read(&self, station: &str, minute: i64, temperature_c: f64) {
        self.publish(&format!("weather/{station}/reading"), reading(minute, temperature_c)).await;
    }

    /// The next message.
    pub async fn message(&mut self) -> Incoming {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.inbox.recv()).await.expect("no message came");
            if let SessionEvent::Message(incoming) = event.expect("the session goes on") {
                return incoming;
            }
        }
    }

    /// The next message on `topic` that is `wanted`; others are passed over.
    pub async fn json(&mut self, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let incoming = self.message().await;
            if incoming.topic == topic {
                let value = serde_json::from_slice(&incoming.payload).unwrap();
                if wanted(&value) {
                    return value;
                }
            }
        }
    }

    /// The next text on `topic`.
    pub async fn text(&mut self, topic: &str) -> String {
        loop {
            let incoming = self.message().await;
            if incoming.topic == topic {
                return String::from_utf8(incoming.payload.to_vec()).unwrap();
            }
        }
    }

    /// The forecast of `station` that knows the reading of `minute` as its newest.
    pub async fn forecast(&mut self, station: &str, minute: i64) -> Value {
        let issued_at = at(minute).to_string();
        self.json(&format!("forecast/{station}/temperature"), |forecast| forecast["issued_at"] == issued_at)
            .await
    }
}
