//! Three days of an invented station, and the subscriber that lives through them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::support::installation::Daemon;
use forecastd_testkit::client::{Client, at};
use forecastd_testkit::mosquitto::Mosquitto;
use forecastd_testkit::patience::until;

use super::{DAY, FORECAST, READING, STEP};

/// The weather so many minutes after the start: key and value, to the hundredth.
fn weather(minute: i64) -> [(&'static str, f64); 4] {
    let wave =
        |period_min: f64, phase: f64| (std::f64::consts::TAU * (minute as f64 / period_min + phase)).sin();
    let (day, front, gust) = (wave(1440.0, -0.375), wave(5200.0, 0.1), wave(47.0, 0.0));
    [
        ("air_temperature_c", 8.0 + 5.0 * day - 2.0 * front + 0.15 * gust),
        ("air_pressure_hpa", 1005.0 + 7.0 * front + 0.2 * wave(230.0, 0.3)),
        ("relative_humidity_pct", 70.0 - 18.0 * day + 0.5 * gust),
        ("wind_speed_m_s", 2.5 + 1.2 * day + 0.4 * gust),
    ]
    .map(|(key, value)| (key, (value * 100.0).round() / 100.0))
}

/// The payload of a reading of `minute`, with some values replaced.
fn payload(minute: i64, replaced: &[(&str, f64)]) -> String {
    let mut payload = format!("{{\"time\":\"{}\"", at(minute));
    for (key, value) in weather(minute) {
        let other = replaced.iter().find(|(name, _)| *name == key);
        write!(payload, ",\"{key}\":{}", other.map_or(value, |(_, other)| *other)).unwrap();
    }
    payload + "}"
}

/// What is sent beside or instead of a reading every ten minutes.
pub(super) enum Special {
    /// This instead of the reading of the minute, for which a forecast follows all the same.
    Instead(String),
    /// Nothing in this minute.
    Silence,
    /// After the reading of the minute, a message to a topic that no forecast follows.
    Besides(&'static str, Vec<u8>),
    /// After the reading of the minute, a reading of another one, for which a forecast follows.
    And(i64),
}

pub(super) fn specials() -> BTreeMap<i64, Vec<Special>> {
    use Special::{And, Besides, Instead, Silence};
    let besides = |payload: &str| Besides(READING, payload.as_bytes().to_vec());
    let sentinel = -9999.0;
    let mut specials: BTreeMap<i64, Vec<Special>> = [
        // A reading that comes half an hour late, and one that comes twice.
        (1450, vec![Silence]),
        (1480, vec![besides(&payload(1450, &[]))]),
        (1500, vec![besides(&payload(1500, &[]))]),
        // A quantity that the first message of the time did not have, and the model does not use.
        (1520, vec![besides(&format!("{{\"time\":\"{}\",\"wind_gust_m_s\":5.25}}", at(1520)))]),
        // One value that cannot be, all values that cannot be, and a leap.
        (1600, vec![Instead(payload(1600, &[("air_temperature_c", sentinel)]))]),
        (1650, vec![besides(&format!("{{\"time\":\"{}\",\"air_temperature_c\":-9999}}", at(1655)))]),
        (1700, vec![Instead(payload(1700, &[("air_temperature_c", 48.5)]))]),
        // What is no reading.
        (
            1800,
            vec![
                besides(""),
                besides("temperature=3"),
                besides("[]"),
                Besides(READING, b"\xff\xfe".to_vec()),
                besides("{\"air_temperature_c\":3}"),
                besides("{\"time\":\"yesterday\",\"air_temperature_c\":3}"),
                besides(&format!("{{\"time\":\"{}\",\"battery\":3}}", at(1805))),
            ],
        ),
        // One value that cannot be read beside good ones.
        (
            1850,
            vec![besides(&format!(
                "{{\"time\":\"{}\",\"air_temperature_c\":3,\"wind_speed_m_s\":\"unavailable\"}}",
                at(1855)
            ))],
        ),
        // A name that no station can have.
        (
            1900,
            vec![Besides(
                "weather/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/reading",
                payload(1900, &[]).into_bytes(),
            )],
        ),
        // Of the future, from before anything that is kept, from a clock that is not set.
        (
            1950,
            vec![
                besides("{\"time\":\"2100-01-01T00:00:00Z\",\"air_temperature_c\":3}"),
                besides(&format!("{{\"time\":\"{}\",\"air_temperature_c\":3}}", at(-20 * DAY))),
                besides("{\"time\":0,\"air_temperature_c\":3}"),
            ],
        ),
        // Another reading within ten minutes.
        (2000, vec![And(2005)]),
        // Numbers in strings, nulls, unknown keys, seconds since 1970.
        (
            2200,
            vec![Instead(format!(
                "{{\"time\":{},\"air_temperature_c\":\"7.5\",\"air_pressure_hpa\":1003.21,\"dew_point_c\":null,\
                 \"battery\":{{\"ok\":true}}}}",
                at(2200).as_second()
            ))],
        ),
    ]
    .into();
    // A hole of four hours, longer than is filled.
    for minute in (2510..2740).step_by(STEP as usize) {
        specials.insert(minute, vec![Silence]);
    }
    specials
}

/// A subscriber that keeps all messages, and publishes in order.
pub(super) struct Home {
    pub(super) client: Client,
    pub(super) messages: Vec<(String, String)>,
}

impl Home {
    pub(super) async fn connect(mosquitto: &Mosquitto) -> Home {
        Home { client: Client::connect(mosquitto, "home", &["forecast/#"]).await, messages: Vec::new() }
    }

    /// Keeps messages until one on `topic` holds `part`.
    pub(super) async fn until(&mut self, topic: &str, part: &str) {
        loop {
            let incoming = self.client.message().await;
            let payload = String::from_utf8(incoming.payload.to_vec()).unwrap();
            let is_wanted = incoming.topic == topic && payload.contains(part);
            self.messages.push((incoming.topic, payload));
            if is_wanted {
                return;
            }
        }
    }

    /// Publishes a reading of `minute` and waits for its forecast.
    pub(super) async fn read(&mut self, minute: i64, payload: String) {
        self.client.publish(READING, payload).await;
        self.until(FORECAST, &format!("\"issued_at\":\"{}\"", at(minute))).await;
    }

    /// Sends the readings of `minutes` with what is special about them.
    pub(super) async fn live_through(
        &mut self,
        minutes: std::ops::RangeInclusive<i64>,
        specials: &BTreeMap<i64, Vec<Special>>,
    ) {
        for minute in minutes.step_by(STEP as usize) {
            let special = specials.get(&minute).map_or(&[][..], Vec::as_slice);
            match special.first() {
                Some(Special::Silence) => {}
                Some(Special::Instead(payload)) => self.read(minute, payload.clone()).await,
                _ => self.read(minute, payload(minute, &[])).await,
            }
            for special in special {
                match special {
                    Special::Besides(topic, payload) => self.client.publish(topic, payload.clone()).await,
                    Special::And(minute) => self.read(*minute, payload(*minute, &[])).await,
                    Special::Instead(_) | Special::Silence => {}
                }
            }
        }
    }

    /// The payloads on a topic, in order.
    pub(super) fn of(&self, topic: &str) -> Vec<&str> {
        self.messages.iter().filter(|(own, _)| own == topic).map(|(_, payload)| payload.as_str()).collect()
    }
}

/// Waits until everything is written and acknowledged, of a daemon that has issued so many forecasts.
pub(super) async fn settle(daemon: &Daemon, forecasts: usize) {
    let sum = |name: &str, left_out: &str| -> u64 {
        let counts = daemon.counts(name).into_iter().filter(|(labels, _)| !labels.contains(left_out));
        counts.map(|(_, count)| count).sum()
    };
    // A forecast is counted after it was handed in, and so may be seen before.
    let issued = || sum("forecastd_forecasts_total", "nothing") == forecasts as u64;
    until(|| format!("{forecasts} forecasts"), || issued().then_some(())).await;
    let readings = sum("forecastd_readings_taken_total", "unchanged");
    let entries = (readings + forecasts as u64) as f64;
    let written = || daemon.metric("forecastd_journal_entries_written_total").unwrap();
    until(|| format!("{entries} entries; {}", written()), || (written() >= entries).then_some(())).await;
    // What else may be written is none of this: it must only be over.
    let mut before = written();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = written();
        if now == before {
            break;
        }
        before = now;
    }
    daemon.reaches("forecastd_mqtt_messages_in_flight", 0.0).await;
}
