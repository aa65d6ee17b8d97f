//! What is subscribed to beside the topics of readings.

use forecastd_mqtt::{Message, News, Purpose, Session, SessionEvent};
use forecastd_testkit::events::{connected, counted, message, next, start, text_on};
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::patience::PATIENCE;

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
async fn a_subscription_to_what_others_say_hears_nothing_that_was_retained_or_is_our_own() {
    let end = || Purpose::subscribing(vec!["end".to_owned()]);
    let live = vec!["live/+".to_owned()];
    only_what_others_say_is_heard(Purpose { live: live.clone(), ..end() }).await;
    only_what_others_say_is_heard(Purpose { of_others: live, ..end() }).await;
}

async fn only_what_others_say_is_heard(purpose: Purpose) {
    let mosquitto = Mosquitto::start(&Options::default());
    let (other, mut other_inbox, _other) = start(&mosquitto.settings("other"), &["live/seen"]);
    connected(&mut other_inbox).await;
    let number = other.publish(Message::retained("live/old", "1")).unwrap();
    other.wait_settled(number + 1).await.unwrap();

    let (own, mut inbox, _handle) = Session::start(&mosquitto.settings("own"), purpose).unwrap();
    while !matches!(next(&mut inbox).await, SessionEvent::News(News::Subscribed)) {}
    let number = own.publish(Message::retained("live/own", "2")).unwrap();
    own.wait_settled(number + 1).await.unwrap();
    other.publish(Message::new("live/now", "3")).unwrap();
    other.publish(Message::new("end", "4")).unwrap();
    assert_eq!(text_on(&mut inbox, "live/now").await, "3");
    assert_eq!(message(&mut inbox).await.topic, "end");
}
