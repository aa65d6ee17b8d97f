//! `forecastd forget` against a real mosquitto and a real journal.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

use forecastd::command::forget::{self, ForgetError, Forgotten};
use forecastd::config::Config;
use forecastd_core::StationName;
use forecastd_mqtt::{Message, News, Purpose, Session, SessionEvent};
use forecastd_testkit::client::Client;
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::patience::PATIENCE;

fn config(port: u16, journal: &Path) -> Config {
    let environment = [
        ("FORECASTD__MQTT__HOST", "127.0.0.1".to_owned()),
        ("FORECASTD__MQTT__PORT", port.to_string()),
        ("FORECASTD__JOURNAL__PATH", journal.display().to_string()),
    ];
    Config::from_text("", Path::new(""), environment).unwrap()
}

/// Publishes a retained message.
async fn retain(mosquitto: &Mosquitto, topic: &str) {
    let (publisher, mut inbox, handle) =
        Session::start(&mosquitto.settings("setup"), Purpose::default()).unwrap();
    // Before the broker is there, a retained message is kept and counts as settled.
    while !matches!(inbox.recv().await, Some(SessionEvent::News(News::Subscribed))) {}
    let number = publisher.publish_wait(Message::retained(topic.to_owned(), "x")).await.unwrap();
    tokio::time::timeout(PATIENCE, publisher.wait_settled(number + 1)).await.unwrap().unwrap();
    handle.stop(PATIENCE).await;
}

/// The topics under which the broker retains something, up to `last`, which must.
async fn retained(mosquitto: &Mosquitto, last: &str) -> Vec<String> {
    let (_publisher, mut inbox, _handle) =
        Session::start(&mosquitto.settings("look"), Purpose::subscribing(vec!["#".to_owned()])).unwrap();
    let mut topics = Vec::new();
    while !topics.iter().any(|topic| topic == last) {
        let event = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("no message came").unwrap();
        if let SessionEvent::Message(message) = event {
            topics.push(message.topic);
        }
    }
    topics
}

/// Forgets a station of which the journal has rows before anything is done, and then when they are to be removed.
async fn forget(
    config: &Config,
    station: &str,
    rows: (bool, bool),
) -> Result<Forgotten, ForgetError<Infallible>> {
    let expected = config.journal.path.clone();
    let station = StationName::new(station).unwrap();
    let of = station.clone();
    let has_rows = move |_: &Path, _: &StationName| Ok(rows.0);
    let forget_rows = move |path: &Path, station: &StationName| {
        assert_eq!((path, station), (expected.as_path(), &of));
        Ok(rows.1)
    };
    forget::run(config, &station, has_rows, forget_rows).await
}

#[tokio::test]
async fn a_stations_topics_are_emptied_and_those_of_its_neighbours_are_not() {
    let mosquitto = Mosquitto::start(&Options::default());
    let discovery = "homeassistant/device/forecastd/roof/config";
    // Topics are given out in the order of their names; the last proves that all were.
    for topic in
        ["forecast/roof/status", "forecast/roof/temperature", "forecast/roofs/status", discovery, "zzz"]
    {
        retain(&mosquitto, topic).await;
    }
    let mut daemon = Client::connect(&mosquitto, "daemon", &["weather/+/reading"]).await;
    let forgotten =
        forget(&config(mosquitto.port(), Path::new("/j.sqlite")), "roof", (true, true)).await.unwrap();

    let told = daemon.message().await;
    assert_eq!((told.topic.as_str(), told.payload.as_ref()), ("weather/roof/reading", b"".as_slice()));
    assert!(forgotten.was_known());
    let mut held = forgotten.held.clone();
    held.sort();
    assert_eq!(held, ["forecast/roof/status", "forecast/roof/temperature", discovery]);
    let text = forgotten.to_string();
    assert!(text.contains("  forecast/roof/verification  (nothing was seen there)\n"), "{text}");
    assert!(text.contains("removed from the journal /j.sqlite\nroof is forgotten"), "{text}");
    let mut left = retained(&mosquitto, "zzz").await;
    left.sort();
    assert_eq!(left, ["forecast/roofs/status", "zzz"]);
}

#[tokio::test]
async fn a_station_that_nobody_knows_is_said_to_be_unknown() {
    let mosquitto = Mosquitto::start(&Options::default());
    let config = config(mosquitto.port(), Path::new("/j.sqlite"));
    let forgotten = forget(&config, "rof", (false, false)).await.unwrap();
    assert!(!forgotten.was_known());
    let text = forgotten.to_string();
    assert!(text.ends_with("neither broker nor journal knew a station \"rof\""), "{text}");
    // The journal alone may know it.
    assert!(forget(&config, "roof", (true, true)).await.unwrap().was_known());
}

/// It was said to be "not in the journal", and unknown where nothing was retained.
#[tokio::test]
async fn rows_that_a_daemon_was_quicker_to_remove_are_said_to_be_removed() {
    let mosquitto = Mosquitto::start(&Options::default());
    let config = config(mosquitto.port(), Path::new("/j.sqlite"));
    let forgotten = forget(&config, "roof", (true, false)).await.unwrap();
    assert!(forgotten.was_known());
    let text = forgotten.to_string();
    assert!(
        text.contains("removed from the journal /j.sqlite by the daemon that runs\nroof is forgotten"),
        "{text}"
    );
}

/// Nothing is known before, and nothing may be removed.
fn absent(_: &Path, _: &StationName) -> Result<bool, Infallible> {
    Ok(false)
}

fn untouched(_: &Path, _: &StationName) -> Result<bool, Infallible> {
    panic!("the journal was touched")
}

#[tokio::test]
async fn a_broker_that_refuses_leaves_the_journal_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("acl");
    std::fs::write(&list, "topic read #\n").unwrap();
    let line: &'static str = format!("acl_file {}", list.display()).leak();
    // With 0, as usual in tests, mosquitto 2.0.11 closes the connection instead of refusing a message.
    let lines: &'static [&'static str] = vec![line, "max_queued_messages 1000"].leak();
    let mosquitto = Mosquitto::start(&Options { lines, ..Options::default() });
    let config = config(mosquitto.port(), Path::new("/j.sqlite"));
    let station = StationName::new("roof").unwrap();
    let error = forget::run(&config, &station, absent, untouched).await.unwrap_err();
    assert!(
        matches!(&error, ForgetError::Refused { topic, .. } if topic == "weather/roof/reading"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_leaves_the_journal_as_it_is() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = config(port, Path::new("/j.sqlite"));
    let station = StationName::new("roof").unwrap();
    let error = forget::run(&config, &station, absent, untouched).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("no broker at mqtt://127.0.0.1:{port}: ")), "{error}");
}

#[tokio::test]
async fn the_command_says_what_it_did() {
    let mosquitto = Mosquitto::start(&Options::default());
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_forecastd"))
        .args(["forget", "roof"])
        .env("FORECASTD__MQTT__HOST", "127.0.0.1")
        .env("FORECASTD__MQTT__PORT", mosquitto.port().to_string())
        .env("FORECASTD__JOURNAL__PATH", folder.path().join("journal.sqlite"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("weather/roof/reading"), "{said}");
    assert!(said.ends_with("neither broker nor journal knew a station \"roof\"\n"), "{said}");
    let refused = Command::new(env!("CARGO_BIN_EXE_forecastd")).args(["forget", "a/b"]).output().unwrap();
    assert!(!refused.status.success());
}
