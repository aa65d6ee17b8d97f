//! What is published: nothing is lost, refused or held back without a word.

use std::collections::BTreeSet;
use std::time::Duration;

use forecastd_mqtt::{
    Message, MqttSettings, News, PublishError, Purpose, Refusal, Session, SessionEvent, Status,
};
use forecastd_testkit::events::{connected, counted, disconnected, message, next, start, text, text_on};
use forecastd_testkit::mosquitto::{Mosquitto, Options, settings};
use forecastd_testkit::patience::PATIENCE;
use forecastd_testkit::scripted_broker;

use super::observer;

#[tokio::test]
async fn a_broker_that_was_killed_and_comes_back_loses_nothing_of_ours() {
    // Without persistence: it has forgotten sessions, subscriptions and retained messages.
    let mut mosquitto = Mosquitto::start(&Options::default());
    let purpose =
        Purpose { status: Some(Status::new("status")), ..Purpose::subscribing(vec!["reading".to_owned()]) };
    let (publisher, mut inbox, handle) = Session::start(&mosquitto.settings("d"), purpose).unwrap();
    publisher.publish(Message::new("reading", "first")).unwrap();
    assert_eq!(text_on(&mut inbox, "reading").await, "first");
    for number in 0..50 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
        publisher.publish(Message::retained("state", number.to_string())).unwrap();
    }
    publisher.wait_settled(101).await.unwrap();
    mosquitto.kill();
    disconnected(&mut inbox).await;
    for number in 50..100 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
        publisher.publish(Message::retained("state", number.to_string())).unwrap();
    }
    mosquitto.restart();
    let session_present = connected(&mut inbox).await;
    assert!(!session_present);
    // Resubscribed: what is published now comes back.
    let mut expected = 50;
    while expected < 100 {
        let number: u32 = text_on(&mut inbox, "reading").await.parse().unwrap();
        assert_eq!(number, expected);
        expected += 1;
    }
    // Republished: who comes now finds the newest state and that we are there.
    publisher.wait_settled(201).await.unwrap();
    let (_publisher, mut late, _late_handle) = start(&mosquitto.settings("late"), &["state", "status"]);
    let mut found = BTreeSet::new();
    while found.len() < 2 {
        let incoming = message(&mut late).await;
        assert!(incoming.retain);
        found.insert(format!("{}={}", incoming.topic, text(&incoming)));
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["state=99", "status=online"]);
    assert_eq!(handle.statistics().publications_replaced.get(), 49);
}

#[tokio::test]
async fn a_payload_that_the_broker_does_not_take_is_refused_and_the_connection_kept() {
    let mosquitto = Mosquitto::start(&Options { lines: &["max_packet_size 20000"], ..Options::default() });
    let (publisher, mut inbox, handle) = observer(&mosquitto, &["state"]).await;
    publisher.publish(Message::retained("state", vec![b'x'; 30_000])).unwrap();
    loop {
        if let SessionEvent::News(News::Refused(refusal)) = next(&mut inbox).await {
            assert!(
                matches!(&refusal, Refusal::Publication { topic, .. } if topic == "state"),
                "{refusal:?}"
            );
            break;
        }
    }
    publisher.publish(Message::retained("state", "small")).unwrap();
    assert_eq!(text_on(&mut inbox, "state").await, "small");
    assert_eq!(handle.statistics().connects.get(), 1);
}

#[tokio::test]
async fn a_refused_publication_is_told_and_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("acl");
    std::fs::write(&list, "topic read #\ntopic write allowed/#\ntopic write probe/#\n").unwrap();
    let line: &'static str = Box::leak(format!("acl_file {}", list.display()).into_boxed_str());
    let lines: &'static [&'static str] = Box::leak(Box::new([line]));
    let mosquitto = Mosquitto::start(&Options { lines, ..Options::default() });
    let (publisher, mut inbox, handle) = observer(&mosquitto, &["allowed/+"]).await;
    publisher.publish(Message::retained("forbidden/state", "1")).unwrap();
    publisher.publish(Message::retained("allowed/state", "2")).unwrap();
    // mosquitto 2.0.11 closes the connection over it.
    let mut missing = BTreeSet::from(["forbidden/state", "allowed/state"]);
    while !missing.is_empty() {
        match next(&mut inbox).await {
            SessionEvent::News(News::Refused(Refusal::Publication { topic, .. })) => {
                assert!(missing.remove(topic.as_str()))
            }
            SessionEvent::Message(incoming) => drop(missing.remove(incoming.topic.as_str())),
            _ => {}
        }
    }
    let statistics = handle.statistics();
    assert_eq!(statistics.publications_refused.get(), 1);
    // It is over: the next message goes through on a connection that lasts.
    let connects = statistics.connects.get();
    publisher.publish(Message::retained("allowed/last", "3")).unwrap();
    assert_eq!(text_on(&mut inbox, "allowed/last").await, "3");
    assert!(statistics.connects.get() <= connects + 1);
}

/// As mosquitto 2.0.11 does: the reason came, and was forgotten over the end of the connection; the message was sent
/// again on five more.
#[tokio::test]
async fn what_a_broker_answers_before_it_closes_the_connection_is_heard() {
    let (listener, port) = scripted_broker::listen().await;
    let (publisher, mut inbox, _handle) = start(&settings(port, "d"), &[]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    publisher.publish(Message::new("forbidden/state", "1")).unwrap();
    publisher.publish(Message::new("allowed/state", "2")).unwrap();
    let (forbidden, allowed) = (client.read_publish().await, client.read_publish().await);
    client.acknowledge(&allowed).await;
    client.refuse(&forbidden, 0x87).await;
    drop(client);
    loop {
        match next(&mut inbox).await {
            SessionEvent::News(News::Refused(Refusal::Publication { topic, reason })) => {
                assert_eq!((topic.as_str(), reason.as_str()), ("forbidden/state", "NotAuthorized"));
                break;
            }
            SessionEvent::News(News::Disconnected { reason, .. }) => panic!("first: {reason}"),
            _ => {}
        }
    }
    publisher.wait_settled(2).await.unwrap();
}

#[tokio::test]
async fn a_session_that_the_broker_lost_keeps_what_was_not_taken() {
    let (listener, port) = scripted_broker::listen().await;
    let (_publisher, mut inbox, handle) = start(&settings(port, "d"), &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    client.publish("reading", 1, b"first").await;
    client.publish("reading", 2, b"second").await;
    counted(&handle.statistics(), |now| now.received.get() == 2).await;
    drop(client);
    let (_client, _) = scripted_broker::accept(&listener, false, &[]).await;
    counted(&handle.statistics(), |now| now.connects.get() == 2).await;
    assert_eq!(text_on(&mut inbox, "reading").await, "first");
    assert_eq!(text_on(&mut inbox, "reading").await, "second");
}

#[tokio::test]
async fn messages_are_not_sent_ahead_of_what_the_broker_allows() {
    // CONNACK with receive maximum 2 (property 0x21).
    let (listener, port) = scripted_broker::listen().await;
    let (publisher, _inbox, _handle) = start(&settings(port, "d"), &[]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[0x21, 0, 2]).await;
    for number in 0..6 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
    }
    let mut identifiers = Vec::new();
    for expected in 0..6_u32 {
        let packet = client.read().await;
        assert_eq!(packet.kind(), 3);
        assert_eq!(packet.body.last().copied(), Some(b'0' + expected as u8));
        identifiers.push([packet.body[9], packet.body[10]]);
        if identifiers.len() == 2 {
            assert_eq!(publisher.settled(), u64::from(expected) - 1);
            for identifier in identifiers.drain(..) {
                client.write(0x40, &identifier).await;
            }
        }
    }
    publisher.wait_settled(6).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_holds_back_who_waits_and_refuses_who_does_not() {
    let (listener, port) = scripted_broker::listen().await;
    let settings = MqttSettings { publish_queue: 3, publish_window: 1, ..settings(port, "d") };
    let (publisher, _inbox, handle) = start(&settings, &[]);
    for number in 0..3 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
    }
    assert_eq!(publisher.publish(Message::new("reading", "3")), Err(PublishError::Full));
    assert_eq!(handle.statistics().publications_dropped.get(), 1);
    let waiting = publisher.publish_wait(Message::new("reading", "3"));
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut waiting).await.is_err());
    // A state does not wait for a broker that is away.
    publisher.publish_wait(Message::retained("state", "1")).await.unwrap();
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    let state = client.read().await;
    assert_eq!((state.kind(), state.body.last()), (3, Some(&b'1')));
    client.write(0x40, &state.body[7..9]).await;
    tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn while_the_broker_is_there_every_state_finds_room_and_has_room_tells_when_to_slow_down() {
    let (listener, port) = scripted_broker::listen().await;
    let settings = MqttSettings { publish_queue: 2, publish_window: 1, ..settings(port, "d") };
    let (publisher, mut inbox, _handle) = start(&settings, &[]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    connected(&mut inbox).await;
    publisher.room().await.unwrap();
    // The first is on its way, two fill the queue, two are beyond it.
    publisher.publish(Message::retained("state", "0")).unwrap();
    let first = client.read_publish().await;
    for number in 1..5 {
        assert_eq!(publisher.has_room(), number < 3);
        assert_eq!(publisher.publish(Message::retained("state", number.to_string())), Ok(number));
    }
    let room = publisher.room();
    tokio::pin!(room);
    tokio::select! {
        biased;
        _ = &mut room => panic!("there is no room"),
        () = std::future::ready(()) => {}
    }
    client.acknowledge(&first).await;
    for number in 1..5 {
        let published = client.read_publish().await;
        assert_eq!(published.payload, number.to_string().into_bytes());
        if number == 4 {
            assert!(publisher.has_room());
        }
        client.acknowledge(&published).await;
    }
    room.await.unwrap();
    assert_eq!(publisher.wait_settled(5).await, Ok(5));
}

#[tokio::test]
async fn as_many_topics_are_kept_as_the_user_of_the_session_needs_and_one_more_is_refused_at_once() {
    let mut mosquitto = Mosquitto::start(&Options::default());
    mosquitto.stop();
    let settings = MqttSettings { retained_topics: 1, publish_queue: 1, ..mosquitto.settings("d") };
    let (publisher, mut inbox, handle) =
        Session::start(&settings, Purpose { retained_topics: 3, ..Purpose::default() }).unwrap();
    disconnected(&mut inbox).await;
    for topic in ["a", "b", "c", "a"] {
        publisher.publish(Message::retained(topic, "1")).unwrap();
    }
    assert_eq!(publisher.publish(Message::retained("d", "1")), Err(PublishError::TooManyTopics));
    let waited = publisher.publish_wait(Message::retained("d", "1")).await;
    assert_eq!(waited, Err(PublishError::TooManyTopics));
    assert_eq!(handle.statistics().publications_dropped.get(), 2);
    assert_eq!(publisher.settled(), 0, "the broker has none of them");
    mosquitto.restart();
    publisher.wait_settled(4).await.unwrap();
}

#[tokio::test]
async fn the_broker_is_told_how_long_a_message_is_of_use() {
    let (listener, port) = scripted_broker::listen().await;
    let (publisher, mut inbox, handle) = start(&settings(port, "d"), &[]);
    let expired = Message::new("reading", "late").expires_in(Duration::ZERO);
    publisher.publish(expired).unwrap();
    publisher.publish(Message::retained("state", "late").expires_in(Duration::ZERO)).unwrap();
    publisher.publish(Message::retained("state", "fresh").expires_in(Duration::from_secs(90))).unwrap();
    publisher.publish(Message::new("reading", "lasting")).unwrap();
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    connected(&mut inbox).await;
    let fresh = client.read_publish().await;
    assert_eq!((fresh.topic.as_str(), fresh.payload.as_slice()), ("state", b"fresh".as_slice()));
    let [0x02, seconds @ ..] = fresh.properties.as_slice() else { panic!("{:?}", fresh.properties) };
    let seconds = u32::from_be_bytes(seconds.try_into().unwrap());
    assert!((1..=90).contains(&seconds), "{seconds}");
    let lasting = client.read_publish().await;
    assert_eq!(
        (lasting.payload.as_slice(), lasting.properties.as_slice()),
        (b"lasting".as_slice(), [].as_slice())
    );
    client.acknowledge(&fresh).await;
    client.acknowledge(&lasting).await;
    publisher.wait_settled(4).await.unwrap();
    assert_eq!(handle.statistics().publications_expired.get(), 1, "the other was replaced");
}

#[tokio::test]
async fn a_cleared_topic_is_gone_at_the_broker_and_does_not_come_back() {
    // Without persistence: what a restart brings back comes from us.
    let mut mosquitto = Mosquitto::start(&Options::default());
    let (publisher, mut inbox, _handle) = start(&mosquitto.settings("d"), &[]);
    for topic in ["forecast/old", "forecast/new"] {
        publisher.publish(Message::retained(topic, "1")).unwrap();
    }
    let number = publisher.publish(Message::clearing("forecast/old")).unwrap();
    publisher.wait_settled(number + 1).await.unwrap();
    assert_eq!(retained_under(&mosquitto, "forecast/+").await, ["forecast/new"]);
    mosquitto.kill();
    disconnected(&mut inbox).await;
    mosquitto.restart();
    connected(&mut inbox).await;
    publisher.publish(Message::clearing("forecast/gone before")).unwrap();
    let number = publisher.publish(Message::new("reading", "x")).unwrap();
    publisher.wait_settled(number + 1).await.unwrap();
    assert_eq!(retained_under(&mosquitto, "forecast/+").await, ["forecast/new"]);
}

/// The topics for which the broker keeps something.
async fn retained_under(mosquitto: &Mosquitto, filter: &str) -> Vec<String> {
    let id = format!("looker-{:08x}", rand::random::<u32>());
    let (publisher, mut inbox, _handle) = start(&mosquitto.settings(&id), &[filter, &id]);
    publisher.publish(Message::new(id.as_str(), "x")).unwrap();
    let mut topics = Vec::new();
    loop {
        let incoming = message(&mut inbox).await;
        if incoming.topic == id {
            return topics;
        }
        assert!(incoming.retain && !incoming.payload.is_empty());
        topics.push(incoming.topic);
    }
}

#[tokio::test]
async fn a_state_that_is_taken_back_is_seen_as_such() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (publisher, mut inbox, _handle) = observer(&mosquitto, &["reading"]).await;
    for sent in
        [Message::new("reading", "1"), Message::retained("reading", "2"), Message::clearing("reading")]
    {
        publisher.publish(sent).unwrap();
    }
    for expected in [("1", false), ("2", true), ("", true)] {
        let incoming = message(&mut inbox).await;
        assert_eq!((text(&incoming).as_str(), incoming.retain), expected);
    }
}
