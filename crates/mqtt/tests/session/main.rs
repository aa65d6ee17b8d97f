//! The MQTT session against a real mosquitto, and against a scripted broker for what a real one does not show.

mod connection;
mod properties;
mod publishing;
mod receiving;
mod subscriptions;

use forecastd_mqtt::{Inbox, Message, Publisher, SessionHandle};
use forecastd_testkit::events::{connected, start, text_on};
use forecastd_testkit::mosquitto::Mosquitto;

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
