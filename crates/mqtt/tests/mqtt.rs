//! The MQTT session against a real mosquitto, and against a scripted broker for what a real one does not show.

use std::collections::BTreeSet;
use std::time::Duration;

use forecastd_mqtt::{
    Acknowledgements, Backoff, DisconnectReason, Inbox, Message, MqttSettings, News, Password, PublishError,
    Publisher, Purpose, Refusal, Session, SessionEvent, SessionHandle, Status, Ticket,
};
use forecastd_testkit::events::{connected, counted, disconnected, message, next, start, text, text_on};
use forecastd_testkit::mosquitto::{Mosquitto, Options, settings};
use forecastd_testkit::patience::PATIENCE;
use forecastd_testkit::scripted_broker;
use proptest::prelude::*;
use rand::SeedableRng;

/// A client that is connected and subscribed: its own message has come back to it.
async fn observer(mosquitto: &Mosquitto, filters: &[&str]) -> (Publisher, Inbox, SessionHandle) {
    let name = format!("observer-{}", filters.join(""));
    let probe = format!("probe/{}", name.replace(['+', '#'], "_"));
    let mut all = filters.to_vec();
    all.push(&probe);
    let (publisher, mut inbox, handle) = start(&mosquitto.settings(&name), &all);
    connected(&mut inbox).await;
    publisher.publish(Message::new(probe.as_str(), "x")).unwrap();
    text_on(&mut inbox, &probe).await;
    (publisher, inbox, handle)
}

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

/// The numbers of `expected` arrive on `topic`, in order; repetitions do not count.
async fn in_order(inbox: &mut Inbox, topic: &str, numbers: std::ops::Range<u32>) {
    let mut expected = numbers.start;
    while expected < numbers.end {
        let number: u32 = text_on(inbox, topic).await.parse().unwrap();
        assert!(number <= expected, "{number} came before {expected}");
        if number == expected {
            expected += 1;
        }
    }
}

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
async fn readings_that_the_broker_kept_for_us_come_in_order() {
    let mut mosquitto = Mosquitto::start(&Options { persistent: true, ..Options::default() });
    let (_p, mut inbox, handle) = observer(&mosquitto, &["reading"]).await;
    let (publisher, mut sender_inbox, _sender) = start(&mosquitto.settings("station"), &[]);
    connected(&mut sender_inbox).await;
    // Held back, so that nothing is acknowledged.
    publisher.publish(Message::new("reading", "0")).unwrap();
    let held = message(&mut inbox).await;
    for number in 1..30 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
    }
    publisher.wait_settled(30).await.unwrap();
    mosquitto.stop();
    disconnected(&mut sender_inbox).await;
    for number in 30..60 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
    }
    mosquitto.restart();
    publisher.wait_settled(60).await.unwrap();
    // The first message's acknowledgement belongs to a connection that is gone: it must not reach the new one.
    drop(held);
    in_order(&mut inbox, "reading", 1..60).await;
    let statistics = handle.statistics();
    assert_eq!(statistics.sessions_resumed.get(), 1);
    assert!(statistics.redelivered.get() > 0);
    counted(&statistics, |now| now.unacknowledged.get() == 0).await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_to_the_next_process() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (publisher, mut sender_inbox, _sender) = start(&mosquitto.settings("station"), &[]);
    connected(&mut sender_inbox).await;
    let (_p, mut inbox, handle) = observer(&mosquitto, &["reading"]).await;
    for number in 0..5 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
    }
    for _ in 0..2 {
        message(&mut inbox).await.acknowledgement.complete();
    }
    let held = message(&mut inbox).await;
    counted(&handle.statistics(), |now| now.unacknowledged.get() == 3).await;
    // Two were never taken, one is held: none of the three may be acknowledged by the end.
    assert!(handle.stop(PATIENCE).await);
    drop(held);
    assert!(inbox.recv().await.is_none());

    let (publisher, mut inbox, handle) = start(&mosquitto.settings("observer-reading"), &["reading"]);
    assert!(connected(&mut inbox).await, "the broker kept the session");
    for number in 2..5 {
        assert_eq!(text_on(&mut inbox, "reading").await, number.to_string());
    }
    // And on a resumed session a new process can publish.
    let number = publisher.publish(Message::new("reading", "5")).unwrap();
    publisher.wait_settled(number + 1).await.unwrap();
    assert_eq!(text_on(&mut inbox, "reading").await, "5");
    assert!(handle.stop(PATIENCE).await);
}

#[tokio::test]
async fn the_broker_keeps_to_the_receive_maximum() {
    let mosquitto = Mosquitto::start(&Options::default());
    let settings = MqttSettings { receive_maximum: 5, ..mosquitto.settings("d") };
    let (publisher, mut inbox, handle) = start(&settings, &["reading"]);
    connected(&mut inbox).await;
    for number in 0..40 {
        publisher.publish(Message::new("reading", number.to_string())).unwrap();
    }
    publisher.wait_settled(40).await.unwrap();
    let mut held = Vec::new();
    for number in 0..40 {
        let incoming = message(&mut inbox).await;
        assert_eq!(text(&incoming), number.to_string());
        held.push(incoming);
        if held.len() == 5 {
            // mosquitto 2.0.11 forgets the limit once the first messages are acknowledged, and goes by its own.
            let first_five = number == 4;
            assert!(!first_five || handle.statistics().unacknowledged.get() == 5);
            // In the wrong order: the last first.
            while let Some(incoming) = held.pop() {
                incoming.acknowledgement.complete();
            }
        }
    }
}

#[tokio::test]
async fn a_payload_of_a_mebibyte_is_dropped_and_counted_and_the_next_one_taken() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (publisher, mut inbox, handle) = observer(&mosquitto, &["reading"]).await;
    publisher.publish(Message::new("reading", vec![b'x'; 1 << 20])).unwrap();
    publisher.publish(Message::new("reading", "small")).unwrap();
    assert_eq!(text_on(&mut inbox, "reading").await, "small");
    let statistics = handle.statistics();
    assert_eq!(statistics.dropped_oversized.get(), 1);
    assert_eq!(statistics.connects.get(), 1);
    counted(&statistics, |now| now.unacknowledged.get() == 0).await;
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
    // mosquitto 2.0.11 closes the connection over it, and the reason it gives before that is often lost.
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

#[tokio::test]
async fn a_flood_of_garbage_does_not_stop_the_ingest() {
    // Far more than the window, every one of them dropped on the floor: each must give its slot back.
    let mosquitto = Mosquitto::start(&Options::default());
    let settings = MqttSettings { receive_maximum: 10, ..mosquitto.settings("d") };
    let (own, mut inbox, handle) = start(&settings, &["reading"]);
    own.publish(Message::new("reading", "x")).unwrap();
    text_on(&mut inbox, "reading").await;
    let (publisher, mut sender_inbox, _sender) = start(&mosquitto.settings("station"), &[]);
    connected(&mut sender_inbox).await;
    let sender = tokio::spawn(async move {
        for _ in 0..3000 {
            publisher.publish_wait(Message::new("reading", vec![0xff, 0x00, b'{'])).await.unwrap();
        }
        publisher.publish_wait(Message::new("reading", "{}")).await.unwrap();
    });
    let mut garbage = 0;
    loop {
        let incoming = message(&mut inbox).await;
        if incoming.payload.as_ref() == b"{}" {
            break;
        }
        garbage += 1;
        drop(incoming);
    }
    sender.await.unwrap();
    assert_eq!(garbage, 3000);
    counted(&handle.statistics(), |now| now.unacknowledged.get() == 0).await;
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
async fn acknowledgements_go_out_in_the_order_of_arrival() {
    let (listener, port) = scripted_broker::listen().await;
    let (_publisher, mut inbox, _handle) = start(&settings(port, "d"), &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    let subscribe = client.read_kind(8).await;
    client.write(0x90, &[subscribe.body[0], subscribe.body[1], 0, 1]).await;
    for identifier in [7, 3, 9, 1] {
        client.publish("reading", identifier, b"{}").await;
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(message(&mut inbox).await.acknowledgement);
    }
    for index in [3, 1, 1, 0] {
        held.remove(index).complete();
    }
    for identifier in [7_u16, 3, 9, 1] {
        let acknowledgement = client.read_kind(4).await;
        assert_eq!(acknowledgement.body[..2], identifier.to_be_bytes());
    }
}

#[tokio::test]
async fn an_acknowledgement_of_an_older_connection_is_dropped() {
    let (listener, port) = scripted_broker::listen().await;
    let (_publisher, mut inbox, handle) = start(&settings(port, "d"), &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    client.publish("reading", 5, b"old").await;
    client.publish("reading", 6, b"old and not taken").await;
    let old = message(&mut inbox).await;
    drop(client);
    // The session is resumed: 6 is forgotten, for it comes again.
    let (mut client, connect) = scripted_broker::accept(&listener, true, &[]).await;
    counted(&handle.statistics(), |now| now.connects.get() == 2).await;
    assert_eq!(connect.body[7] & 0b10, 0, "clean start must not be set");
    old.acknowledgement.complete();
    client.publish("reading", 5, b"new").await;
    let new = message(&mut inbox).await;
    assert_eq!(text(&new), "new");
    client.publish("reading", 8, b"newer").await;
    let newer = message(&mut inbox).await;
    newer.acknowledgement.complete();
    new.acknowledgement.complete();
    for identifier in [5_u16, 8] {
        let acknowledgement = client.read_kind(4).await;
        assert_eq!(acknowledgement.body[..2], identifier.to_be_bytes());
    }
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
async fn what_a_broker_sends_beyond_all_room_comes_again_on_a_new_connection() {
    let (listener, port) = scripted_broker::listen().await;
    let (_publisher, mut inbox, handle) = start(&settings(port, "d"), &["reading"]);
    let (mut client, _) = scripted_broker::accept(&listener, false, &[]).await;
    // Nobody takes them. Room is for 32 MiB.
    let payload = vec![b'x'; 60_000];
    let count = u16::try_from((32 << 20) / payload.len() + 1).unwrap();
    for identifier in 1..=count {
        client.publish("reading", identifier, &payload).await;
    }
    assert!(client.is_closed().await);
    let (mut client, _) = scripted_broker::accept(&listener, true, &[]).await;
    counted(&handle.statistics(), |now| now.connects.get() == 2).await;
    assert_eq!(handle.statistics().dropped_overflow.get(), 0, "none may be acknowledged unread");
    let taken = tokio::spawn(async move {
        for _ in 1..=count {
            message(&mut inbox).await.acknowledgement.complete();
        }
        inbox
    });
    for identifier in 1..=count {
        client.publish("reading", identifier, &payload).await;
    }
    for identifier in 1..=count {
        assert_eq!(client.read_kind(4).await.body[..2], identifier.to_be_bytes());
    }
    taken.await.unwrap();
    let overruns = handle.statistics().disconnects().find(|(label, _)| *label == "overrun");
    assert_eq!(overruns, Some(("overrun", 1)));
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
async fn a_subscription_that_is_no_longer_wanted_is_given_up() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (_p, mut inbox, handle) = start(&mosquitto.settings("d"), &["old/+", "kept/+"]);
    connected(&mut inbox).await;
    counted(&handle.statistics(), |now| now.is_connected()).await;
    assert!(handle.stop(PATIENCE).await);
    let (sender, mut sender_inbox, _sender) = start(&mosquitto.settings("station"), &[]);
    connected(&mut sender_inbox).await;

    // Without being told, the broker goes on with it.
    let (_p, mut inbox, handle) = start(&mosquitto.settings("d"), &["new/+", "kept/+"]);
    assert!(connected(&mut inbox).await);
    counted(&handle.statistics(), |now| now.is_connected()).await;
    sender.publish(Message::new("old/a", "1")).unwrap();
    assert_eq!(text_on(&mut inbox, "old/a").await, "1");
    assert!(handle.stop(PATIENCE).await);

    // What is wanted is never given up.
    let obsolete = ["old/+", "kept/+", "not a # filter"].map(str::to_owned).to_vec();
    let wanted = ["new/+", "kept/+"].map(str::to_owned).to_vec();
    let purpose = Purpose { obsolete, ..Purpose::subscribing(wanted) };
    let (_p, mut inbox, handle) = Session::start(&mosquitto.settings("d"), purpose).unwrap();
    while !matches!(next(&mut inbox).await, SessionEvent::News(News::Subscribed)) {}
    for topic in ["old/a", "kept/a", "new/a"] {
        sender.publish(Message::new(topic, "2")).unwrap();
    }
    assert_eq!(message(&mut inbox).await.topic, "kept/a");
    assert_eq!(message(&mut inbox).await.topic, "new/a");
    assert_eq!(handle.statistics().sessions_resumed.get(), 1);
}

/// Others say something now; what stands there from before, and what we say ourselves, is not heard.
#[tokio::test]
async fn a_live_subscription_hears_what_others_say_and_nothing_that_was_retained_or_is_our_own() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (other, mut other_inbox, _other) = start(&mosquitto.settings("other"), &["live/seen"]);
    connected(&mut other_inbox).await;
    let number = other.publish(Message::retained("live/old", "1")).unwrap();
    other.wait_settled(number + 1).await.unwrap();

    let live = vec!["live/+".to_owned()];
    let purpose = Purpose { live, ..Purpose::subscribing(vec!["end".to_owned()]) };
    let (own, mut inbox, _handle) = Session::start(&mosquitto.settings("own"), purpose).unwrap();
    while !matches!(next(&mut inbox).await, SessionEvent::News(News::Subscribed)) {}
    let number = own.publish(Message::retained("live/own", "2")).unwrap();
    own.wait_settled(number + 1).await.unwrap();
    other.publish(Message::new("live/now", "3")).unwrap();
    other.publish(Message::new("end", "4")).unwrap();
    assert_eq!(text_on(&mut inbox, "live/now").await, "3");
    assert_eq!(message(&mut inbox).await.topic, "end");
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

proptest! {
    /// Whatever the order of completion: packets go out in the order of arrival, each once, none before it is
    /// completed, and all in the end.
    #[test]
    fn packets_go_out_in_the_order_of_arrival(steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>()), 0..400)) {
        let mut acknowledgements = Acknowledgements::default();
        let mut open: Vec<(u32, Ticket)> = Vec::new();
        let mut stale: Vec<Ticket> = Vec::new();
        let mut completed = BTreeSet::new();
        let mut arrived = 0_u32;
        let mut next_out = 0_u32;
        for (step, which) in steps {
            match step {
                0 | 1 => {
                    open.push((arrived, acknowledgements.arrived(arrived)));
                    arrived += 1;
                }
                2 if !open.is_empty() => {
                    let (number, ticket) = open.swap_remove(which.index(open.len()));
                    completed.insert(number);
                    acknowledgements.complete(ticket);
                    // a second time, and those of older connections: no effect
                    acknowledgements.complete(ticket);
                    if !stale.is_empty() {
                        acknowledgements.complete(stale[which.index(stale.len())]);
                    }
                }
                3 if which.index(10) == 0 => {
                    acknowledgements.begin_generation();
                    stale.extend(open.drain(..).map(|(_, ticket)| ticket));
                    completed.clear();
                    next_out = arrived;
                }
                _ => {}
            }
            while let Some(packet) = acknowledgements.next_ready() {
                prop_assert_eq!(packet, next_out);
                prop_assert!(completed.contains(&packet));
                next_out += 1;
            }
            prop_assert_eq!(acknowledgements.owed() as u32, arrived - next_out);
        }
        for (_, ticket) in open {
            acknowledgements.complete(ticket);
        }
        while acknowledgements.next_ready().is_some() {
            next_out += 1;
        }
        prop_assert_eq!(next_out, arrived);
    }

    /// The n-th wait lies between 0 and min(longest, shortest · 2ⁿ), and success begins again.
    #[test]
    fn waits_stay_under_their_ceiling(seed: u64, shortest_ms in 1_u64..5000, longest_ms in 1_u64..600_000, failures in 0_u32..80) {
        let shortest = Duration::from_millis(shortest_ms);
        let longest = Duration::from_millis(longest_ms.max(shortest_ms));
        let mut backoff = Backoff::new(shortest, Duration::from_millis(longest_ms));
        let mut chance = rand_pcg::Pcg64::seed_from_u64(seed);
        for failure in 0..failures {
            let ceiling_ms = (shortest_ms as f64 * 2_f64.powi(failure as i32)).min(longest.as_millis() as f64);
            let wait = backoff.next_wait(&mut chance);
            prop_assert!(wait.as_secs_f64() * 1000.0 <= ceiling_ms * 1.000_001);
        }
        prop_assert_eq!(backoff.failures(), failures);
        backoff.succeeded();
        prop_assert_eq!(backoff.ceiling(), shortest);
    }
}

/// Full jitter spreads evenly: the mean wait is half the ceiling, and every tenth of it is used.
#[test]
fn waits_are_spread_over_the_whole_range() {
    let mut chance = rand_pcg::Pcg64::seed_from_u64(7);
    let mut tenths = [0_u32; 10];
    let mut sum = 0.0;
    for _ in 0..10_000 {
        let wait = Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).next_wait(&mut chance);
        sum += wait.as_secs_f64();
        tenths[((wait.as_secs_f64() * 10.0) as usize).min(9)] += 1;
    }
    assert!((sum / 10_000.0 - 0.5).abs() < 0.01, "{sum}");
    assert!(tenths.iter().all(|&count| (900..1100).contains(&count)), "{tenths:?}");
}
