//! Waiting for what a session tells.

use std::time::Duration;

use forecastd_mqtt::{
    DisconnectReason, Inbox, Incoming, MqttSettings, News, Publisher, Purpose, Session, SessionEvent,
    SessionHandle, SessionStatistics,
};

use crate::patience::PATIENCE;

/// The next event.
pub async fn next(inbox: &mut Inbox) -> SessionEvent {
    tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("no event came").expect("the session ended")
}

/// The next message; news are passed over.
pub async fn message(inbox: &mut Inbox) -> Incoming {
    loop {
        if let SessionEvent::Message(incoming) = next(inbox).await {
            return incoming;
        }
    }
}

/// The text of the next message on `topic`.
pub async fn text_on(inbox: &mut Inbox, topic: &str) -> String {
    loop {
        let incoming = message(inbox).await;
        if incoming.topic == topic {
            return text(&incoming);
        }
    }
}

/// The payload as text.
pub fn text(incoming: &Incoming) -> String {
    String::from_utf8(incoming.payload.to_vec()).unwrap()
}

/// Waits until the broker has accepted us; gives whether it still had our session.
pub async fn connected(inbox: &mut Inbox) -> bool {
    loop {
        if let SessionEvent::News(News::Connected { session_present }) = next(inbox).await {
            return session_present;
        }
    }
}

/// Waits until the connection is lost; gives why.
pub async fn disconnected(inbox: &mut Inbox) -> DisconnectReason {
    loop {
        if let SessionEvent::News(News::Disconnected { reason, .. }) = next(inbox).await {
            return reason;
        }
    }
}

/// Starts a session that subscribes to `filters`.
pub fn start(settings: &MqttSettings, filters: &[&str]) -> (Publisher, Inbox, SessionHandle) {
    let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
    Session::start(settings, Purpose::subscribing(filters)).unwrap()
}

/// Waits until the counters are as wanted.
pub async fn counted(statistics: &SessionStatistics, holds: impl Fn(&SessionStatistics) -> bool) {
    let waited = async {
        while !holds(statistics) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("still {statistics:#?}"));
}
