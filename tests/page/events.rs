//! What is told by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use forecastd_testkit::patience::{PATIENCE, until};
use serde_json::{Value, json};

use crate::world::{CHANGE_C, World};

/// A client that listens.
struct Listener(BufReader<TcpStream>);

impl Listener {
    /// Status and, if that is 200, who listens.
    fn connect(address: SocketAddr, path: &str) -> (u16, Listener) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut listener = Listener(BufReader::new(stream));
        let status = listener.line();
        while !listener.line().is_empty() {}
        (status.split(' ').nth(1).unwrap().parse().unwrap(), listener)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection ended");
        line.trim_end().to_owned()
    }

    /// The next event of a kind; others are passed over.
    fn event(&mut self, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let wanted = format!("event: {kind}");
        let began = Instant::now();
        loop {
            // Signs of life come all the time.
            assert!(began.elapsed() < PATIENCE, "{wanted} never came");
            if self.line() == wanted {
                let data = self.line();
                let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                if is_wanted(&data) {
                    return data;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_to_a_station_hears_of_its_readings_and_forecasts_and_of_no_other() {
    let world = World::start().await;
    world.fill("roof", 4, |_| 10.0).await;
    let (status, mut listener) = Listener::connect(world.daemon.address(), "/api/v1/events?station=roof");
    assert_eq!(status, 200);
    let later = world.now + jiff::SignedDuration::from_mins(10);
    // The clock may not be there yet: a reading may be a little ahead of it.
    let time = later.min(jiff::Timestamp::now());
    world.read("cellar", time, 1.0).await;
    world.read("roof", time, 11.0).await;
    let listened = tokio::task::spawn_blocking(move || {
        let reading = listener.event("reading", |_| true);
        let forecast = listener.event("forecast", |forecast| forecast["temperature_c"] == 11.0);
        (reading, forecast)
    });
    let (reading, forecast) = listened.await.unwrap();
    assert_eq!((&reading["station"], &reading["air_temperature_c"]), (&json!("roof"), &json!(11.0)));
    assert_eq!(forecast["station"], "roof");
    assert_eq!(forecast["temperature_24h_c"], 11.0 + 24.0 * CHANGE_C);
    assert_eq!(world.json("/api/v1/stations/roof")["forecast"], forecast);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_is_forgotten_is_said_to_be_gone() {
    let world = World::start().await;
    world.fill("roof", 0, |_| 10.0).await;
    let (_, mut listener) = Listener::connect(world.daemon.address(), "/api/v1/events");
    world.home.clear("weather/roof/reading").await;
    let gone = tokio::task::spawn_blocking(move || listener.event("gone", |_| true)).await.unwrap();
    assert_eq!(gone, json!({"station": "roof"}));
    assert_eq!(world.daemon.get("/api/v1/stations/roof").0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_half_of_the_connections_listen_and_the_others_are_served() {
    let world = World::start_with(|installation| installation.set("http.max_connections", 6)).await;
    let address = world.daemon.address();
    let listeners: Vec<Listener> = (0..3)
        .map(|_| {
            let (status, listener) = Listener::connect(address, "/api/v1/events");
            assert_eq!(status, 200);
            listener
        })
        .collect();
    let (status, body) = world.daemon.get("/api/v1/events");
    assert!(status == 503 && body.contains("as many clients as"), "{body}");
    assert_eq!(world.daemon.get("/healthz").0, 200);
    drop(listeners);
    // A client that has gone is found out when there is something to say.
    let again = || {
        let (status, listener) = Listener::connect(address, "/api/v1/events");
        (status == 200).then_some(listener)
    };
    let what = || "a seat among the listeners".to_owned();
    world.read("roof", world.now, 1.0).await;
    drop(until(what, again).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_does_not_hold_up_the_end() {
    let mut world = World::start().await;
    let (_, mut listener) = Listener::connect(world.daemon.address(), "/api/v1/events");
    world.daemon.signal("TERM");
    assert!(world.daemon.ended().await.success());
    let mut rest = String::new();
    // It ends, whether with its last chunk or without.
    let _ = listener.0.read_to_string(&mut rest);
    assert!(!rest.contains("event:"), "{rest}");
}
