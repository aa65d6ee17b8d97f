//! Who may publish and see what: `deploy/mosquitto-acl.conf` in a real mosquitto.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forecastd_mqtt::{
    Inbox, Message, MqttSettings, News, Publisher, Purpose, Refusal, Session, SessionEvent, SessionHandle,
};
use forecastd_testkit::mosquitto::{Mosquitto, Options, find};
use tempfile::TempDir;

/// What the broker's answer is waited for. It is no measure of speed: what comes later never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The users of the shipped file, and one of the test's own who may do everything.
const USERS: [&str; 7] =
    ["roof", "garden", "forecastd", "dashboard", "homeassistant", "operator", "everybody"];

/// So many have logged in: no two have the same client id.
static LOGINS: AtomicU32 = AtomicU32::new(0);

/// A broker with the shipped access list.
struct Broker {
    mosquitto: Mosquitto,
    _folder: TempDir,
}

impl Broker {
    fn start() -> Broker {
        let folder = TempDir::new().unwrap();
        let passwords = folder.path().join("passwords");
        for (index, user) in USERS.iter().enumerate() {
            let mut command = Command::new(find("mosquitto_passwd"));
            command.arg("-b").args((index == 0).then_some("-c")).arg(&passwords).args([user, user]);
            assert!(command.stderr(Stdio::null()).status().unwrap().success());
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/mosquitto-acl.conf");
        let mut access = std::fs::read_to_string(shipped).unwrap();
        access.push_str("\nuser everybody\ntopic readwrite #\ntopic read $SYS/#\n");
        let access_file = folder.path().join("access");
        std::fs::write(&access_file, access).unwrap();
        let lines = [
            "allow_anonymous false".to_owned(),
            // With 0, as usual in tests, mosquitto 2.0.11 closes the connection instead of refusing a message.
            "max_queued_messages 1000".to_owned(),
            format!("password_file {}", passwords.display()),
            format!("acl_file {}", access_file.display()),
        ];
        let lines = lines.map(|line| -> &'static str { line.leak() });
        let mosquitto = Mosquitto::start(&Options { lines: lines.to_vec().leak(), ..Options::default() });
        Broker { mosquitto, _folder: folder }
    }

    async fn login(&self, user: &str, filters: &[&str]) -> Login {
        let settings = MqttSettings {
            username: Some(user.to_owned()),
            password: Some(user.to_owned().into()),
            ..self.mosquitto.settings(&format!("{user}-{}", LOGINS.fetch_add(1, Ordering::Relaxed)))
        };
        let filters: Vec<String> = filters.iter().copied().map(str::to_owned).collect();
        let is_subscriber = !filters.is_empty();
        let (publisher, inbox, _handle) = Session::start(&settings, Purpose::subscribing(filters)).unwrap();
        let mut login = Login { publisher, inbox, _handle };
        while is_subscriber && !matches!(login.next().await, SessionEvent::News(News::Subscribed)) {}
        login
    }

    /// Whether a message that `user` publishes on `topic` is taken by the broker and reaches who may see everything.
    async fn takes(&self, user: &str, topic: &str) -> bool {
        let mut witness = self
            .login("everybody", &["weather/#", "forecast/#", "homeassistant/#", "$SYS/broker/log/#", "end"])
            .await;
        let mut publisher = self.login(user, &[]).await;
        let number = publisher.publisher.publish_wait(Message::new(topic, "test")).await.unwrap();
        publisher.settled(number).await;
        let refused = publisher.refusals(topic);
        let number = witness.publisher.publish_wait(Message::new("end", "end")).await.unwrap();
        witness.settled(number).await;
        let seen = witness.topics_until("end").await.iter().any(|seen| seen == topic);
        assert_ne!(seen, refused, "{user} on {topic}: what is not refused arrives, and nothing else");
        seen
    }

    /// Whether `user`, subscribed to `filter`, gets a message on `topic`.
    async fn shows(&self, user: &str, filter: &str, topic: &str, own: &str) -> bool {
        // What the user may see in any case comes after what it may not.
        let mut reader = self.login(user, &[filter, own]).await;
        let writer = self.login("everybody", &[]).await;
        if !topic.starts_with('$') {
            let number = writer.publisher.publish_wait(Message::new(topic, "test")).await.unwrap();
            writer.settled(number).await;
        }
        let number = writer.publisher.publish_wait(Message::new(own, "end")).await.unwrap();
        writer.settled(number).await;
        reader.topics_until(own).await.iter().any(|seen| seen == topic)
    }
}

struct Login {
    publisher: Publisher,
    inbox: Inbox,
    _handle: SessionHandle,
}

impl Login {
    async fn next(&mut self) -> SessionEvent {
        let event =
            tokio::time::timeout(PATIENCE, self.inbox.recv()).await.expect("the broker says something");
        let event = event.expect("the session goes on");
        if let SessionEvent::News(News::Disconnected { reason, .. }) = &event {
            panic!("login failed: {reason}");
        }
        event
    }

    async fn settled(&self, number: u64) {
        let settled = tokio::time::timeout(PATIENCE, self.publisher.wait_settled(number + 1)).await;
        settled.expect("the broker answers").unwrap();
    }

    /// Whether the broker has refused a publication on `topic`.
    fn refusals(&mut self, topic: &str) -> bool {
        let mut found = false;
        while let Some(event) = self.inbox.try_recv() {
            found |= matches!(&event, SessionEvent::News(News::Refused(Refusal::Publication { topic: of, .. })) if of == topic);
        }
        found
    }

    /// The topics of all messages up to the one on `last`.
    async fn topics_until(&mut self, last: &str) -> Vec<String> {
        let mut topics = Vec::new();
        while topics.last().is_none_or(|topic| topic != last) {
            if let SessionEvent::Message(message) = self.next().await {
                topics.push(message.topic);
            }
        }
        topics
    }
}

#[tokio::test]
async fn a_station_publishes_its_own_readings_and_nothing_else() {
    let broker = Broker::start();
    assert!(broker.takes("roof", "weather/roof/reading").await);
    assert!(broker.takes("garden", "weather/garden/reading").await);
    for topic in [
        "weather/garden/reading",
        "weather/roof",
        "weather/roof/reading/more",
        "forecast/roof/temperature",
        "forecast/roof/status",
        "forecast/status",
        "homeassistant/sensor/roof/config",
    ] {
        assert!(!broker.takes("roof", topic).await, "{topic}");
    }
}

#[tokio::test]
async fn a_station_sees_nothing() {
    let broker = Broker::start();
    // Its own readings it could not see either: a topic for the end is needed, which only this user has.
    let mut reader = broker.login("roof", &["#", "$SYS/#"]).await;
    let writer = broker.login("everybody", &["end"]).await;
    for topic in ["weather/garden/reading", "weather/roof/reading", "forecast/roof/temperature", "end"] {
        let number = writer.publisher.publish_wait(Message::new(topic, "test")).await.unwrap();
        writer.settled(number).await;
    }
    // The broker answers in order: what it had for this client has come before the acknowledgement.
    let number = reader.publisher.publish_wait(Message::new("weather/roof/reading", "test")).await.unwrap();
    reader.settled(number).await;
    while let Some(event) = reader.inbox.try_recv() {
        assert!(!matches!(event, SessionEvent::Message(_)), "{event:?}");
    }
}

#[tokio::test]
async fn the_daemon_publishes_forecasts_and_nothing_else() {
    let broker = Broker::start();
    for topic in [
        "forecast/roof/temperature",
        "forecast/roof/status",
        "forecast/roof/verification",
        "forecast/status",
        "homeassistant/device/forecastd/roof/config",
    ] {
        assert!(broker.takes("forecastd", topic).await, "{topic}");
    }
    for topic in [
        "weather/roof/reading",
        "weather/forecastd/reading",
        "forecast/roof/other",
        "homeassistant/device/other/roof/config",
        "homeassistant/status",
        "other",
    ] {
        assert!(!broker.takes("forecastd", topic).await, "{topic}");
    }
}

#[tokio::test]
async fn the_daemon_sees_readings_and_nothing_else() {
    let broker = Broker::start();
    let own = "weather/last/reading";
    assert!(broker.shows("forecastd", "weather/+/reading", "weather/roof/reading", own).await);
    for topic in ["weather/roof/command", "forecast/roof/temperature", "other", "$SYS/broker/version"] {
        let filter = if topic.starts_with('$') { "$SYS/#" } else { "#" };
        assert!(!broker.shows("forecastd", filter, topic, own).await, "{topic}");
    }
    assert!(broker.shows("everybody", "$SYS/#", "$SYS/broker/version", "end").await, "there is such a topic");
}

#[tokio::test]
async fn a_dashboard_sees_forecasts_and_changes_nothing() {
    let broker = Broker::start();
    let own = "forecast/last/temperature";
    for topic in ["forecast/roof/temperature", "forecast/roof/status", "forecast/status"] {
        assert!(broker.shows("dashboard", "forecast/#", topic, own).await, "{topic}");
    }
    assert!(!broker.shows("dashboard", "#", "weather/roof/reading", own).await);
    for topic in ["forecast/roof/temperature", "weather/roof/reading", "weather/dashboard/reading"] {
        assert!(!broker.takes("dashboard", topic).await, "{topic}");
    }
}

#[tokio::test]
async fn home_assistant_is_told_of_stations_and_may_say_that_it_has_started() {
    let broker = Broker::start();
    let own = "forecast/last/temperature";
    for topic in ["homeassistant/device/forecastd/roof/config", "forecast/roof/temperature"] {
        assert!(broker.shows("homeassistant", "#", topic, own).await, "{topic}");
    }
    assert!(broker.takes("homeassistant", "homeassistant/status").await);
    assert!(
        broker
            .shows("forecastd", "homeassistant/status", "homeassistant/status", "weather/last/reading")
            .await
    );
    for topic in ["forecast/roof/temperature", "weather/roof/reading", "weather/homeassistant/reading"] {
        assert!(!broker.takes("homeassistant", topic).await, "{topic}");
    }
}

#[tokio::test]
async fn an_operator_may_empty_the_topics_of_a_station() {
    let broker = Broker::start();
    for topic in [
        "weather/roof/reading",
        "forecast/roof/temperature",
        "forecast/roof/status",
        "forecast/roof/verification",
    ] {
        assert!(broker.takes("operator", topic).await, "{topic}");
    }
    assert!(!broker.takes("operator", "forecast/status").await);
}

#[tokio::test]
async fn nobody_comes_in_without_a_name() {
    let broker = Broker::start();
    let (_publisher, mut inbox, _handle) =
        Session::start(&broker.mosquitto.settings("stranger"), Purpose::default()).unwrap();
    let event = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("the broker says something");
    assert!(matches!(event, Some(SessionEvent::News(News::Disconnected { .. }))), "{event:?}");
}
