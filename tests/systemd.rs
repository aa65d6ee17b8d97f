//! What the service manager hears from the real program, over a real datagram socket.

mod support;

use std::os::unix::net::UnixDatagram;

use forecastd_testkit::artefact;
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::patience::until;
use forecastd_testkit::scripted_broker;
use support::installation::Installation;
use tempfile::TempDir;

/// The service manager's end of the socket.
struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new() -> Manager {
        let folder = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Manager { folder, socket, heard: Vec::new() }
    }

    /// What systemd puts into `NOTIFY_SOCKET`.
    fn address(&self) -> String {
        self.folder.path().join("notify").display().to_string()
    }

    /// Everything that was said so far, message by message.
    fn heard(&mut self) -> &[String] {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        &self.heard
    }

    /// Waits until `message` was said so many times.
    async fn hears(&mut self, message: &str, times: usize) {
        let mut count = || self.heard().iter().filter(|heard| *heard == message).count();
        until(|| format!("{message:?}"), || (count() >= times).then_some(())).await;
    }
}

fn status(broker: &str) -> String {
    let model = artefact::trend(3, 0.5).id();
    format!("STATUS=0 stations, 0 ready; model {model}; broker {broker}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_comes_first_then_how_it_goes_and_stopping_last() {
    let mut manager = Manager::new();
    let mosquitto = Mosquitto::start(&Options::default());
    let mut daemon = Installation::new(mosquitto.port(), &artefact::trend_file(3, 0.5))
        .environment("NOTIFY_SOCKET", manager.address())
        .start()
        .await;
    manager.hears(&status("connected"), 3).await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code(), Some(0));
    let heard = manager.heard();
    assert_eq!((heard[0].as_str(), heard[heard.len() - 1].as_str()), ("READY=1\n", "STOPPING=1\n"));
    // Nobody asked for the watchdog.
    let between = &heard[1..heard.len() - 1];
    assert!(between.iter().all(|message| message.starts_with("STATUS=")), "{between:?}");
}

/// A unit that waits for its broker for ever would fail to start for the wrong reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_does_not_hold_up_the_start() {
    let mut manager = Manager::new();
    let mut mosquitto = Mosquitto::start(&Options::default());
    mosquitto.stop();
    let _daemon = Installation::new(mosquitto.port(), &artefact::trend_file(3, 0.5))
        .environment("NOTIFY_SOCKET", manager.address())
        .start_alone()
        .await;
    manager.hears(&status("away"), 1).await;
    assert_eq!(manager.heard()[0], "READY=1\n");
    mosquitto.restart();
    manager.hears(&status("connected"), 1).await;
    assert_eq!(manager.heard().iter().filter(|heard| *heard == "READY=1\n").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_daemon_feeds_the_watchdog_that_asked_for_it() {
    let mut manager = Manager::new();
    let mosquitto = Mosquitto::start(&Options::default());
    let _daemon = Installation::new(mosquitto.port(), &artefact::trend_file(3, 0.5))
        .environment("NOTIFY_SOCKET", manager.address())
        .environment("WATCHDOG_USEC", 2_000_000)
        .start()
        .await;
    manager.hears("WATCHDOG=1\n", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_that_is_gone_is_no_reason_to_fail() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut daemon = Installation::new(mosquitto.port(), &artefact::trend_file(3, 0.5))
        .environment("NOTIFY_SOCKET", "/nonexistent/notify")
        .environment("WATCHDOG_USEC", 2_000_000)
        .start()
        .await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code(), Some(0));
}

/// Messages that take the daemon longer to refuse than to receive: it never runs out of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_holds_up_neither_the_watchdog_nor_reloads_nor_the_end() {
    let mut manager = Manager::new();
    let (listener, port) = scripted_broker::listen().await;
    let mut daemon = Installation::new(port, &artefact::trend_file(3, 0.5))
        .environment("NOTIFY_SOCKET", manager.address())
        .environment("WATCHDOG_USEC", 2_000_000)
        .start_alone()
        .await;
    let (mut broker, _) = scripted_broker::accept(&listener, false, &[]).await;
    let subscribe = broker.read_kind(8).await;
    broker.write(0x90, &[subscribe.body[0], subscribe.body[1], 0, 1, 1, 1]).await;
    let many_numbers = format!("[{}0]", "1.5,".repeat(10_000));
    tokio::spawn(async move { broker.flood("weather/roof/reading", many_numbers.as_bytes()).await });
    let dropped = || daemon.metric("forecastd_mqtt_messages_dropped_total{reason=\"overflow\"}").unwrap();
    until(|| "more messages than can be handled".to_owned(), || (dropped() > 0.0).then_some(())).await;

    let fed_so_far = manager.heard().iter().filter(|heard| *heard == "WATCHDOG=1\n").count();
    manager.hears("WATCHDOG=1\n", fed_so_far + 3).await;
    daemon.signal("HUP");
    daemon.says(&["model is the same as before"]).await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code(), Some(0));
}
