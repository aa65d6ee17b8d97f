//! How a connection comes about, is lost, and is said to be there.

use forecastd_mqtt::{
    DisconnectReason, Message, MqttSettings, Password, PublishError, Purpose, Session, Status,
};
use forecastd_testkit::events::{connected, disconnected, message, start, text, text_on};
use forecastd_testkit::mosquitto::{Mosquitto, Options, settings};
use forecastd_testkit::patience::PATIENCE;
use forecastd_testkit::scripted_broker;

use super::observer;

#[tokio::test]
async fn online_while_there_offline_when_gone() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (_publisher, mut observer, _handle) = observer(&mosquitto, &["forecast/status"]).await;
    let status = || Purpose { status: Some(Status::new("forecast/status")), ..Purpose::default() };

    // Leaves cleanly: `offline` is its own message, after all that waited.
    let (publisher, _inbox, handle) = Session::start(&mosquitto.settings("d"), status()).unwrap();
    assert_eq!(text_on(&mut observer, "forecast/status").await, "online");
    publisher.publish(Message::new("forecast/status", "last words")).unwrap();
    assert!(handle.stop(PATIENCE).await);
    assert_eq!(text_on(&mut observer, "forecast/status").await, "last words");
    assert_eq!(text_on(&mut observer, "forecast/status").await, "offline");
    assert_eq!(publisher.publish(Message::new("a", "b")), Err(PublishError::Closed));

    // Vanishes: the broker says it, from the last will. Both are retained.
    let (_publisher, _inbox, handle) = Session::start(&mosquitto.settings("d"), status()).unwrap();
    assert_eq!(text_on(&mut observer, "forecast/status").await, "online");
    drop(handle);
    assert_eq!(text_on(&mut observer, "forecast/status").await, "offline");
    let (_publisher, mut late, _handle) = start(&mosquitto.settings("late"), &["forecast/status"]);
    let incoming = message(&mut late).await;
    assert_eq!((text(&incoming).as_str(), incoming.retain), ("offline", true));
}

#[tokio::test]
async fn a_wrong_password_is_named_and_tried_again() {
    let mosquitto = Mosquitto::start(&Options { user: Some(("roof", "right")), ..Options::default() });
    let credentials = |password: &str| MqttSettings {
        username: Some("roof".to_owned()),
        password: Some(Password::from(password.to_owned())),
        ..mosquitto.settings("d")
    };
    let (_publisher, mut inbox, handle) = start(&credentials("wrong"), &[]);
    for _ in 0..3 {
        let reason = disconnected(&mut inbox).await;
        assert!(matches!(reason, DisconnectReason::Unauthorized(_)), "{reason:?}");
        assert!(reason.to_string().contains("password"), "{reason}");
    }
    let statistics = handle.statistics();
    assert!(statistics.disconnects().any(|(label, count)| label == "unauthorized" && count >= 3));
    assert_eq!(statistics.connects.get(), 0);

    let (_publisher, mut inbox, _handle) = start(&credentials("right"), &[]);
    connected(&mut inbox).await;
}

#[tokio::test]
async fn a_password_file_that_is_mended_is_read_again() {
    let mosquitto = Mosquitto::start(&Options { user: Some(("roof", "right")), ..Options::default() });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "wrong\n").unwrap();
    let settings = MqttSettings {
        username: Some("roof".to_owned()),
        password_file: Some(file.path().to_owned()),
        ..mosquitto.settings("d")
    };
    let (_publisher, mut inbox, _handle) = start(&settings, &[]);
    assert_eq!(disconnected(&mut inbox).await.label(), "unauthorized");
    std::fs::remove_file(file.path()).unwrap();
    loop {
        // Attempts with the wrong password may come before.
        let reason = disconnected(&mut inbox).await.to_string();
        if reason.contains("cannot read") {
            assert!(reason.contains("No such file"), "{reason}");
            break;
        }
    }
    std::fs::write(file.path(), "right\n").unwrap();
    connected(&mut inbox).await;
}

#[tokio::test]
async fn no_broker_is_waited_for() {
    let mut mosquitto = Mosquitto::start(&Options::default());
    mosquitto.stop();
    let (publisher, mut inbox, handle) = start(&mosquitto.settings("d"), &["a"]);
    let reason = disconnected(&mut inbox).await;
    assert!(matches!(reason, DisconnectReason::Unreachable(_)), "{reason:?}");
    publisher.publish(Message::new("a", "waited")).unwrap();
    mosquitto.restart();
    assert_eq!(text_on(&mut inbox, "a").await, "waited");
    assert!(handle.statistics().attempts.get() >= 2);
    assert!(handle.stop(PATIENCE).await);
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_left_after_the_time_out() {
    let (listener, port) = scripted_broker::listen().await;
    let settings = MqttSettings { connect_timeout_s: 1, ..settings(port, "d") };
    let (_publisher, mut inbox, _handle) = start(&settings, &[]);
    let (_silent, _) = listener.accept().await.unwrap();
    assert_eq!(disconnected(&mut inbox).await, DisconnectReason::Timeout);
}

#[tokio::test]
async fn what_speaks_no_mqtt_is_an_error_and_no_panic() {
    use tokio::io::AsyncWriteExt;
    let (listener, port) = scripted_broker::listen().await;
    let (_publisher, mut inbox, _handle) = start(&settings(port, "d"), &[]);
    for answer in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b"\x20\xff\xff\xff\xff\xff", b"\x00"] {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(answer).await.unwrap();
        drop(stream);
        let reason = disconnected(&mut inbox).await;
        assert!(!matches!(reason, DisconnectReason::Unauthorized(_)), "{reason:?}");
    }
}

#[tokio::test]
async fn the_reason_that_the_broker_gives_is_passed_on() {
    let (listener, port) = scripted_broker::listen().await;
    let (_publisher, mut inbox, _handle) = start(&settings(port, "same"), &[]);
    // DISCONNECT with reason 0x8E, 0x8B and 0x98.
    for (code, expected) in
        [(0x8e, "session_taken_over"), (0x8b, "server_shutdown"), (0x98, "server_disconnect")]
    {
        let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
        client.write(0xe0, &[code, 0]).await;
        assert_eq!(disconnected(&mut inbox).await.label(), expected);
    }
}

#[tokio::test]
async fn impossible_settings_topics_and_filters_stop_the_start() {
    let good = settings(1, "d");
    assert!(
        Session::start(&MqttSettings { client_id: String::new(), ..good.clone() }, Purpose::default())
            .is_err()
    );
    let wildcard = Purpose { status: Some(Status::new("a/#")), ..Purpose::default() };
    assert!(Session::start(&good, wildcard).is_err());
    assert!(Session::start(&good, Purpose::subscribing(vec!["a/#/b".to_owned()])).is_err());
    let missing = MqttSettings {
        username: Some("u".to_owned()),
        password_file: Some("/nonexistent".into()),
        ..good.clone()
    };
    let error = Session::start(&missing, Purpose::default()).unwrap_err().to_string();
    assert!(error.contains("mqtt.password_file"), "{error}");
    let (publisher, _inbox, handle) = start(&good, &[]);
    assert!(matches!(publisher.publish(Message::new("a/+", "x")), Err(PublishError::Topic(_))));
    assert!(!handle.stop(PATIENCE).await, "no broker was there to be told");
}
