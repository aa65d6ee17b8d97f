//! Brokers that do not do their work, that say strange things, or that speak something else; and the end beside them.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forecastd_mqtt::{
    DisconnectReason, Inbox, Message, MqttSettings, News, PublishError, Purpose, Refusal, Session,
    SessionEvent, Status,
};
use forecastd_testkit::events::{connected, counted, disconnected, message, next, start, text, text_on};
use forecastd_testkit::mosquitto::{Mosquitto, Options, settings};
use forecastd_testkit::patience::PATIENCE;
use forecastd_testkit::scripted_broker::{self, Published};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_broker_that_acknowledges_nothing_is_left_and_gets_everything_again() {
    let (listener, port) = scripted_broker::listen().await;
    let settings =
        MqttSettings { acknowledge_timeout_s: 1, keep_alive_s: 1, publish_window: 2, ..settings(port, "d") };
    let (publisher, mut inbox, handle) = start(&settings, &[]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    for number in 0..4 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
    }
    let ignored = tokio::time::timeout(PATIENCE, client.neglect()).await.expect("the broker is left");
    assert_eq!(payloads(&ignored), ["0", "1"]);
    assert_eq!(disconnected(&mut inbox).await, DisconnectReason::Unacknowledged(Duration::from_secs(1)));
    assert_eq!(publisher.settled(), 0);
    let (mut client, _) = scripted_broker::accept(&listener, true, &[]).await;
    for number in 0..4 {
        let published = client.read_publish().await;
        assert_eq!(published.payload, number.to_string().into_bytes());
        client.acknowledge(&published).await;
    }
    publisher.wait_settled(4).await.unwrap();
    assert!(handle.statistics().disconnects().any(|(label, count)| label == "unacknowledged" && count == 1));
}

fn payloads(packets: &[scripted_broker::Packet]) -> Vec<String> {
    let published = packets.iter().filter(|packet| packet.kind() == 3);
    published.map(|packet| String::from_utf8(Published::parse(packet).payload).unwrap()).collect()
}

/// A broker that is slow to acknowledge is at fault, not the message: it is never given up.
#[tokio::test]
async fn a_message_is_not_given_up_over_a_broker_that_acknowledges_nothing() {
    let (listener, port) = scripted_broker::listen().await;
    let settings = MqttSettings { acknowledge_timeout_s: 1, ..settings(port, "d") };
    let (publisher, _inbox, handle) = start(&settings, &[]);
    publisher.publish(Message::retained("state", "1")).unwrap();
    publisher.publish(Message::new("reading", "2")).unwrap();
    for _ in 0..7 {
        let (mut client, _) = scripted_broker::accept(&listener, true, &[]).await;
        let ignored = tokio::time::timeout(PATIENCE, client.neglect()).await.expect("the broker is left");
        assert_eq!(payloads(&ignored), ["1", "2"]);
    }
    assert_eq!(handle.statistics().publications_refused.get(), 0);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_the_subscription_is_left() {
    let (listener, port) = scripted_broker::listen().await;
    let settings = MqttSettings { connect_timeout_s: 1, keep_alive_s: 1, ..settings(port, "d") };
    let (_publisher, mut inbox, handle) = start(&settings, &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    let ignored = tokio::time::timeout(PATIENCE, client.neglect()).await.expect("the broker is left");
    assert_eq!(ignored[0].kind(), 8);
    assert_eq!(disconnected(&mut inbox).await, DisconnectReason::NotSubscribed(Duration::from_secs(1)));
    assert!(!handle.statistics().is_connected());
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    client.grant(1).await;
    counted(&handle.statistics(), |now| now.is_connected()).await;
}

#[tokio::test]
async fn the_end_comes_in_time_beside_a_broker_that_acknowledges_nothing() {
    let (listener, port) = scripted_broker::listen().await;
    let settings = MqttSettings { publish_window: 1, publish_queue: 2, ..settings(port, "d") };
    let purpose = Purpose { status: Some(Status::new("status")), ..Purpose::default() };
    let (publisher, mut inbox, handle) = Session::start(&settings, purpose).unwrap();
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    connected(&mut inbox).await;
    for number in 0..9 {
        publisher.publish(Message::retained("state", number.to_string())).unwrap();
    }
    assert_eq!(client.read_publish().await.topic, "status");
    let neglected = tokio::spawn(async move { client.neglect().await });
    let stopped = tokio::time::timeout(PATIENCE, handle.stop(Duration::from_millis(300))).await;
    assert_eq!(stopped, Ok(false), "the broker was not told, and the end came all the same");
    assert_eq!(publisher.publish(Message::retained("state", "late")), Err(PublishError::Closed));
    assert_eq!(publisher.wait_settled(9).await, Err(PublishError::Closed));
    assert_eq!(publisher.settled(), 0);
    neglected.await.unwrap();
}

#[tokio::test]
async fn what_falls_at_the_end_is_not_acknowledged() {
    let (listener, port) = scripted_broker::listen().await;
    let (publisher, mut inbox, handle) = start(&settings(port, "d"), &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    client.grant(1).await;
    // Keeps the end waiting.
    publisher.publish(Message::new("state", "x")).unwrap();
    client.read_publish().await;
    for identifier in 1..=4 {
        client.publish("reading", identifier, b"x").await;
    }
    let [first, second, third, fourth] = [
        message(&mut inbox).await,
        message(&mut inbox).await,
        message(&mut inbox).await,
        message(&mut inbox).await,
    ];
    first.acknowledgement.complete();
    let stopping = handle.stop(Duration::from_millis(300));
    tokio::pin!(stopping);
    tokio::select! {
        biased;
        _ = &mut stopping => panic!("the broker has not acknowledged"),
        () = std::future::ready(()) => {}
    }
    // Completed during the end: it may go. Dropped during the end, and after it: they may not.
    second.acknowledgement.complete();
    drop(third);
    let neglected = tokio::spawn(async move { client.neglect().await });
    stopping.await;
    drop(fourth);
    let acknowledged: Vec<u8> = neglected
        .await
        .unwrap()
        .iter()
        .filter(|packet| packet.kind() == 4)
        .map(|packet| packet.body[1])
        .collect();
    assert_eq!(acknowledged, [1, 2]);
}

#[tokio::test]
async fn what_is_abandoned_is_delivered_again() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (sender, mut sender_inbox, _sender) = start(&mosquitto.settings("station"), &[]);
    connected(&mut sender_inbox).await;
    let (_p, mut inbox, handle) = start(&mosquitto.settings("d"), &["reading"]);
    counted(&handle.statistics(), |now| now.is_connected()).await;
    for number in 0..3 {
        sender.publish(Message::new("reading", number.to_string())).unwrap();
    }
    message(&mut inbox).await.acknowledgement.complete();
    message(&mut inbox).await.acknowledgement.abandon();
    // Held back by the one before it: acknowledgements go out in order.
    message(&mut inbox).await.acknowledgement.complete();
    counted(&handle.statistics(), |now| now.unacknowledged.get() == 2).await;
    assert!(handle.stop(PATIENCE).await);
    let (_p, mut inbox, _handle) = start(&mosquitto.settings("d"), &["reading"]);
    for number in 1..3 {
        let again = message(&mut inbox).await;
        assert_eq!(text(&again), number.to_string());
    }
}

#[tokio::test]
async fn a_broker_that_refuses_mqtt_5_is_named() {
    let (listener, port) = scripted_broker::listen().await;
    let (_publisher, mut inbox, _handle) = start(&settings(port, "d"), &[]);
    let (mut stream, _) = listener.accept().await.unwrap();
    // CONNACK with reason 0x84, unsupported protocol version.
    stream.write_all(b"\x20\x03\x00\x84\x00").await.unwrap();
    let reason = disconnected(&mut inbox).await;
    assert!(matches!(reason, DisconnectReason::ProtocolVersion(_)), "{reason:?}");
    assert!(reason.is_permanent() && reason.to_string().contains("mqtt 5"), "{reason}");
}

/// What the session takes to be behind its lost connections, once it does.
async fn likely(inbox: &mut Inbox) -> &'static str {
    loop {
        if let SessionEvent::News(News::Disconnected { likely: Some(likely), .. }) = next(inbox).await {
            return likely;
        }
    }
}

/// A broker of MQTT 3.1.1 closes over our CONNECT at once, or answers in its own way before.
#[tokio::test]
async fn a_broker_that_closes_instead_of_accepting_is_asked_for_its_version() {
    for answer in [b"".as_slice(), b"\x20\x02\x00\x01"] {
        let (listener, port) = scripted_broker::listen().await;
        let broker = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // The whole CONNECT: a connection closed with unread bytes is reset.
                let mut connect = [0; 512];
                let _ = stream.read(&mut connect).await;
                let _ = stream.write_all(answer).await;
            }
        });
        let (_publisher, mut inbox, _handle) = start(&settings(port, "d"), &[]);
        let likely = likely(&mut inbox).await;
        assert!(likely.contains("mqtt 5"), "{likely}");
        broker.abort();
    }
}

#[tokio::test]
async fn two_clients_of_one_id_are_told_apart_from_a_broker_that_closes() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (_p, mut one, _one) = start(&mosquitto.settings("same"), &[]);
    let (_p, mut other, _other) = start(&mosquitto.settings("same"), &[]);
    for inbox in [&mut one, &mut other] {
        let likely = likely(inbox).await;
        assert!(likely.contains("client_id"), "{likely}");
    }
}

/// A reason string property (0x1f) that forges a log line, and is long.
fn forged() -> Vec<u8> {
    let text = format!("full\n2026-01-01 ERROR all is lost \u{1b}[2J{}", "x".repeat(10_000));
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let property = [[0x1f].as_slice(), &length, text.as_bytes()].concat();
    // A variable byte integer of two bytes.
    [&[(property.len() % 128) as u8 | 0x80, (property.len() / 128) as u8], property.as_slice()].concat()
}

fn assert_harmless(text: &str) {
    assert!(text.contains("full") && !text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() < 400, "{} characters", text.chars().count());
}

#[tokio::test]
async fn what_a_broker_writes_is_escaped_and_cut_short() {
    let (listener, port) = scripted_broker::listen().await;
    let (publisher, mut inbox, _handle) = start(&settings(port, "d"), &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    let subscribe = client.read_kind(8).await;
    client.write(0x90, &[&subscribe.body[..2], &forged(), &[0x87]].concat()).await;
    publisher.publish(Message::new("state", "1")).unwrap();
    let published = client.read_publish().await;
    client.write(0x40, &[&published.identifier.to_be_bytes(), [0x97].as_slice(), &forged()].concat()).await;
    let mut refusals = 0;
    while refusals < 2 {
        match next(&mut inbox).await {
            SessionEvent::News(News::Refused(
                Refusal::Subscription { reason, .. } | Refusal::Publication { reason, .. },
            )) => {
                assert_harmless(&reason);
                refusals += 1;
            }
            SessionEvent::News(News::Disconnected { reason, .. }) => panic!("{reason}"),
            _ => {}
        }
    }
    client.write(0xe0, &[&[0x97], forged().as_slice()].concat()).await;
    let reason = disconnected(&mut inbox).await;
    assert_eq!(reason.label(), "server_disconnect");
    assert_harmless(&reason.to_string());
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Lines that hold `text`.
    fn count(&self, text: &str) -> usize {
        let log = self.0.lock().unwrap();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count()
    }
}

#[tokio::test]
async fn what_is_refused_again_and_again_is_logged_once_and_counted() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let (listener, port) = scripted_broker::listen().await;
    let settings = MqttSettings { max_packet_bytes: 1024, ..settings(port, "d") };
    let (publisher, mut inbox, handle) = start(&settings, &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    client.grant(1).await;
    for number in 0..20 {
        publisher.publish(Message::new("forbidden", number.to_string())).unwrap();
        let published = client.read_publish().await;
        // Not authorized.
        client.write(0x40, &[&published.identifier.to_be_bytes(), [0x87, 0].as_slice()].concat()).await;
        client.publish("reading", number + 1, &[b'x'; 2000]).await;
    }
    client.publish("reading", 99, b"small").await;
    assert_eq!(text_on(&mut inbox, "reading").await, "small");
    publisher.wait_settled(20).await.unwrap();
    let statistics = handle.statistics();
    assert_eq!((statistics.publications_refused.get(), statistics.dropped_oversized.get()), (20, 20));
    assert_eq!(log.count("broker refuses a message"), 1);
    assert_eq!(log.count("larger than mqtt.max_packet_bytes"), 1);
}
