//! Replays of CSV files against a real mosquitto.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forecastd::command::replay::{Rebase, ReplayError, ReplayOptions, ReplayProgress, Speed, run};
use forecastd::wire::reading as json;
use forecastd_core::Quantity;
use forecastd_mqtt::{Inbox, Incoming, Message, MqttSettings, Purpose, Session, SessionEvent, SessionHandle};
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use jiff::Timestamp;

const PATIENCE: Duration = Duration::from_secs(30);
/// 2020-01-01T00:00:00Z.
const START: i64 = 1_577_836_800;

fn options(csv: &Path, broker: &str) -> ReplayOptions {
    ReplayOptions {
        csv: vec![csv.to_owned()],
        mapping: None,
        station: None,
        broker: broker.to_owned(),
        password_file: None,
        password: None,
        ca_file: None,
        topic: "weather/{station}/reading".to_owned(),
        speed: Speed::Max,
        from: None,
        to: None,
        rebase: None,
        quiet: true,
    }
}

/// A file with a reading every ten minutes, whose temperature is its number, and one broken row.
fn file(folder: &Path, rows: i64) -> PathBuf {
    let path = folder.join("small.csv");
    let mut text = "time,air_temperature_c\n".to_owned();
    for row in 0..rows {
        let time = Timestamp::from_second(START + row * 600).unwrap();
        text.push_str(&format!("{time},{}\n", row % 30));
        if row == 3 {
            text.push_str("2020-01-01T00:35:00Z,warm\n");
        }
    }
    std::fs::write(&path, text).unwrap();
    path
}

async fn message(inbox: &mut Inbox) -> Incoming {
    loop {
        let event = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("nothing came").unwrap();
        if let SessionEvent::Message(incoming) = event {
            return incoming;
        }
    }
}

/// A session whose subscription is seen to work.
async fn subscriber(settings: &MqttSettings) -> (Inbox, SessionHandle) {
    let filters = vec!["weather/+/reading".to_owned(), "probe".to_owned()];
    let (publisher, mut inbox, handle) = Session::start(settings, Purpose::subscribing(filters)).unwrap();
    publisher.publish(Message::new("probe", "x")).unwrap();
    assert_eq!(message(&mut inbox).await.topic, "probe");
    (inbox, handle)
}

/// The number of a reading of [`file`].
fn number(incoming: &Incoming) -> i64 {
    assert_eq!(incoming.topic, "weather/jena/reading");
    let json::Decoded { time, values, .. } = json::decode(&incoming.payload).unwrap();
    let number = (time.as_second() - START) / 600;
    assert_eq!(values.get(Quantity::AirTemperature), Some((number % 30) as f32));
    number
}

#[tokio::test]
async fn every_reading_arrives_once_and_in_order() {
    let mosquitto = Mosquitto::start(&Options::default());
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), 3000);
    let (mut inbox, _handle) = subscriber(&mosquitto.settings("d")).await;
    let replay = tokio::spawn(run(options(&csv, &mosquitto.url()), ReplayProgress::silent(), pending()));
    for expected in 0..3000 {
        assert_eq!(number(&message(&mut inbox).await), expected);
    }
    let summary = replay.await.unwrap().unwrap();
    assert_eq!((summary.feed.sent, summary.feed.acknowledged, summary.skipped), (3000, 3000, 1));
    assert_eq!(summary.go_on_from, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_in_the_middle_loses_and_reorders_nothing() {
    let mut mosquitto = Mosquitto::start(&Options { persistent: true, ..Options::default() });
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), 6000);
    let (mut inbox, _handle) = subscriber(&mosquitto.settings("d")).await;
    let replay = tokio::spawn(run(options(&csv, &mosquitto.url()), ReplayProgress::silent(), pending()));
    let mut expected = 0;
    let mut restarted = None;
    while expected < 6000 {
        let number = number(&message(&mut inbox).await);
        assert!(number <= expected, "{number} came before {expected}");
        expected += i64::from(number == expected);
        if expected == 1000 && restarted.is_none() {
            mosquitto.stop();
            mosquitto.restart();
            restarted = Some(number);
        }
    }
    let summary = replay.await.unwrap().unwrap();
    assert_eq!((summary.feed.sent, summary.feed.acknowledged), (6000, 6000));
}

#[tokio::test]
async fn every_reading_arrives_at_a_pace_too() {
    let mosquitto = Mosquitto::start(&Options::default());
    let folder = tempfile::tempdir().unwrap();
    // Ten minutes in 50 ms.
    let speed = Speed::Times(12_000.0);
    let paced = ReplayOptions { speed, ..options(&file(folder.path(), 11), &mosquitto.url()) };
    let summary = run(paced, ReplayProgress::silent(), pending()).await.unwrap();
    assert_eq!(summary.feed.acknowledged, 11);
}

#[tokio::test]
async fn an_interruption_says_where_to_go_on_and_a_part_is_shifted_to_now() {
    let mosquitto = Mosquitto::start(&Options::default());
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), 100);
    let (mut inbox, _handle) = subscriber(&mosquitto.settings("d")).await;
    // The second reading would go out after ten minutes.
    let paced = ReplayOptions { speed: Speed::Times(1.0), ..options(&csv, &mosquitto.url()) };
    let (shutdown, asked) = tokio::sync::oneshot::channel::<()>();
    let replay = tokio::spawn(run(paced, ReplayProgress::silent(), async {
        let _ = asked.await;
    }));
    message(&mut inbox).await;
    shutdown.send(()).unwrap();
    let summary = replay.await.unwrap().unwrap();
    assert_eq!((summary.feed.sent, summary.feed.acknowledged), (1, 1));
    assert!(summary.to_string().ends_with("to go on: --from 2020-01-01T00:10:00Z"), "{summary}");

    let rest = ReplayOptions {
        from: summary.go_on_from,
        to: Some("2020-01-01T00:30:00Z".parse().unwrap()),
        rebase: Some(Rebase::Now),
        ..options(&csv, &mosquitto.url())
    };
    let summary = run(rest, ReplayProgress::silent(), pending()).await.unwrap();
    assert_eq!(summary.feed.acknowledged, 3);
    let mut ages = Vec::new();
    for _ in 0..3 {
        let time = json::decode(&message(&mut inbox).await.payload).unwrap().time;
        ages.push((Timestamp::now().duration_since(time).as_secs() + 300) / 600);
    }
    assert_eq!(ages, [2, 1, 0], "in tens of minutes");
}

#[tokio::test]
async fn a_wrong_password_no_broker_and_a_forbidden_topic_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), 3);
    let mut mosquitto = Mosquitto::start(&Options { user: Some(("roof", "right")), ..Options::default() });
    let address = mosquitto.url().replace("mqtt://", "mqtt://roof:wrong@");
    let error = run(options(&csv, &address), ReplayProgress::silent(), pending()).await.unwrap_err();
    assert!(matches!(error, ReplayError::Unauthorized { .. }), "{error}");
    assert!(!error.to_string().contains("wrong@"), "{error}");
    mosquitto.kill();
    let error = run(options(&csv, &address), ReplayProgress::silent(), pending()).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("no broker at {}: ", mosquitto.url())), "{error}");

    let list = folder.path().join("acl");
    std::fs::write(&list, "topic read #\n").unwrap();
    let line: &'static str = Box::leak(format!("acl_file {}", list.display()).into_boxed_str());
    let lines: &'static [&'static str] = Box::leak(Box::new([line]));
    let mosquitto = Mosquitto::start(&Options { lines, ..Options::default() });
    let error = run(options(&csv, &mosquitto.url()), ReplayProgress::silent(), pending()).await.unwrap_err();
    assert!(error.to_string().contains("weather/jena/reading"), "{error}");
}
