//! `forecastd listen` against a real mosquitto: what is heard is written as a source that a configuration takes.

use std::path::Path;

use forecastd::command::listen::{self, ListenError, ListenOptions};
use forecastd::config::Config;
use forecastd_core::StationName;
use forecastd_mqtt::{Message, News, Purpose, Session, SessionEvent};
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::patience::PATIENCE;
use tokio::sync::mpsc;

const TASMOTA: &str =
    r#"{"Time":"2026-11-25T14:08:41","BME280":{"Temperature":7.25,"Humidity":81.0},"TempUnit":"C"}"#;

/// A terminal that tells when a topic was shown.
struct Screen {
    text: String,
    awaited: &'static str,
    shown: mpsc::UnboundedSender<()>,
}

impl std::io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text += std::str::from_utf8(bytes).unwrap();
        if self.text.contains(self.awaited) {
            let _ = self.shown.send(());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn config(port: u16) -> Config {
    let environment =
        [("FORECASTD__MQTT__HOST", "127.0.0.1".to_owned()), ("FORECASTD__MQTT__PORT", port.to_string())];
    Config::from_text("", Path::new(""), environment).unwrap()
}

fn options(write: Option<&Path>) -> ListenOptions {
    ListenOptions {
        topic: "#".to_owned(),
        seconds: 3600,
        time_zone: Some("Europe/Berlin".to_owned()),
        elevation_m: None,
        write: write.map(Path::to_owned),
        preset: None,
        station: None,
    }
}

async fn retain(mosquitto: &Mosquitto, messages: &[(&str, &str)]) {
    let (publisher, mut inbox, handle) =
        Session::start(&mosquitto.settings("setup"), Purpose::default()).unwrap();
    while !matches!(inbox.recv().await, Some(SessionEvent::News(News::Subscribed))) {}
    for (topic, payload) in messages {
        let message = Message::retained((*topic).to_owned(), (*payload).to_owned());
        let number = publisher.publish_wait(message).await.unwrap();
        tokio::time::timeout(PATIENCE, publisher.wait_settled(number + 1)).await.unwrap().unwrap();
    }
    handle.stop(PATIENCE).await;
}

/// Listens until the topic `zzz` was shown.
async fn hear(mosquitto: &Mosquitto, options: &ListenOptions) -> (String, Result<(), ListenError>) {
    let (shown, mut seen) = mpsc::unbounded_channel();
    let mut screen = Screen { text: String::new(), awaited: "zzz last", shown };
    let interrupted = async move {
        tokio::time::timeout(PATIENCE, seen.recv()).await.expect("the last topic is shown");
    };
    let result = listen::run(&config(mosquitto.port()), options, &mut screen, interrupted).await;
    (screen.text, result)
}

#[tokio::test]
async fn what_is_heard_is_written_as_a_source_that_a_configuration_takes() {
    let mosquitto = Mosquitto::start(&Options::default());
    retain(&mosquitto, &[("tele/roof/LWT", "Online"), ("tele/roof/SENSOR", TASMOTA), ("zzz", "last")]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forecastd.toml");
    std::fs::write(&path, "[log]\nlevel = \"warn\"\n").unwrap();
    let (text, result) = hear(&mosquitto, &options(Some(&path))).await;
    result.unwrap();
    for part in [
        "tele/roof/SENSOR {\"Time\":\"2026-11-25T14:08:41\"",
        "roof: 1 message on 1 topic, by preset \"tasmota\"",
        "tele/roof/LWT Online (no preset)",
        "written to ",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let config = Config::from_text(&written, folder.path(), [("", ""); 0]).unwrap();
    assert_eq!(config.sources.len(), 1);
    assert_eq!(config.filters(), ["weather/+/reading", "tele/roof/SENSOR"]);
    // A second time it is said that it is there.
    let (text, result) = hear(&mosquitto, &options(Some(&path))).await;
    result.unwrap();
    assert!(text.contains("not written, as ") && text.contains("nothing written\n"), "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
}

/// The first alone was written, and at the second attempt nothing.
#[tokio::test]
async fn every_station_that_is_heard_is_written_once_and_said() {
    let mosquitto = Mosquitto::start(&Options::default());
    retain(&mosquitto, &[("tele/roof/SENSOR", TASMOTA), ("zzz", "last")]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forecastd.toml");
    hear(&mosquitto, &options(Some(&path))).await.1.unwrap();
    let node = ("zigbee2mqtt/shed", r#"{"temperature":7.25,"humidity":81.0,"linkquality":100}"#);
    let mosquitto = Mosquitto::start(&Options::default());
    let messages = [("tele/roof/SENSOR", TASMOTA), ("tele/yard/SENSOR", TASMOTA), node, ("zzz", "last")];
    retain(&mosquitto, &messages).await;
    let (text, result) = hear(&mosquitto, &options(Some(&path))).await;
    result.unwrap();
    for part in [
        "not written, as ",
        ": preset \"tasmota\", station \"roof\", topic \"tele/roof/SENSOR\"\n",
        ": preset \"tasmota\", station \"yard\", topic \"tele/yard/SENSOR\"\n",
        ": preset \"zigbee2mqtt\", station \"shed\", topic \"zigbee2mqtt/shed\"\n",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(text.matches("\nwritten to ").count(), 2, "{text}");
    let written = std::fs::read_to_string(&path).unwrap();
    let config = Config::from_text(&written, folder.path(), [("", ""); 0]).unwrap();
    assert_eq!(config.sources.len(), 3);
    let (text, result) = hear(&mosquitto, &options(Some(&path))).await;
    result.unwrap();
    assert!(text.ends_with("nothing written\n"), "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
}

#[tokio::test]
async fn the_station_has_the_name_that_its_owner_gives_it_and_forecastd_s_own_topics_are_no_station() {
    let mosquitto = Mosquitto::start(&Options::default());
    let own = ("forecast/roof/temperature", r#"{"temperature_c":7.25,"issued_at":"2026-11-25T14:00:00Z"}"#);
    let reading = ("weather/roof/reading", r#"{"time":"2026-11-25T14:00:00Z","air_temperature_c":7.25}"#);
    retain(&mosquitto, &[own, ("tele/roof/SENSOR", TASMOTA), reading, ("zzz", "last")]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forecastd.toml");
    let asked = ListenOptions { station: Some(StationName::new("Dach").unwrap()), ..options(Some(&path)) };
    let (text, result) = hear(&mosquitto, &asked).await;
    result.unwrap();
    assert!(text.contains("forecast/roof/temperature (forecastd's own)"), "{text}");
    assert!(text.contains("weather/roof/reading (read without a source)"), "{text}");
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("station = \"Dach\"\n"), "{written}");
    assert!(written.contains("topic = \"tele/roof/SENSOR\"\n"), "{written}");
    let renamed = ListenOptions { station: Some(StationName::new("Hof").unwrap()), ..options(Some(&path)) };
    let error = hear(&mosquitto, &renamed).await.1.unwrap_err().to_string();
    assert!(error.contains("with the station \"Dach\""), "{error}");
}

/// It was shown as what no preset reads, and nobody learned why.
#[tokio::test]
async fn what_is_nearly_a_reading_is_shown_with_what_is_wrong_with_it() {
    let mosquitto = Mosquitto::start(&Options::default());
    let untimely = TASMOTA.replace("2026-11-25T14:08:41", "yesterday");
    retain(&mosquitto, &[("tele/roof/SENSOR", &untimely), ("zzz", "last")]).await;
    let (text, result) = hear(&mosquitto, &options(None)).await;
    result.unwrap();
    let unread = text.split("2 topics that no preset reads").nth(1).unwrap_or_else(|| panic!("{text}"));
    assert!(unread.contains("yesterday"), "{text}");
    assert!(unread.lines().any(|line| line.starts_with("    ") && line.contains("time")), "{text}");
}

#[tokio::test]
async fn a_preset_that_was_not_heard_is_not_written() {
    let mosquitto = Mosquitto::start(&Options::default());
    retain(&mosquitto, &[("zzz", "last")]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forecastd.toml");
    let asked = ListenOptions { preset: Some("davis".to_owned()), ..options(Some(&path)) };
    let (_, result) = hear(&mosquitto, &asked).await;
    assert_eq!(result.unwrap_err().to_string(), "nothing to write: no message was a reading of davis");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_an_error() {
    let mosquitto = Mosquitto::start(&Options::default());
    let port = mosquitto.port();
    drop(mosquitto);
    let listening = ListenOptions { seconds: 1, ..options(None) };
    let never = std::future::pending();
    let error = listen::run(&config(port), &listening, &mut Vec::new(), never).await.unwrap_err();
    assert!(error.to_string().contains("no broker at mqtt://127.0.0.1"), "{error}");
}
