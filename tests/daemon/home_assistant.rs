//! What Home Assistant hears: it is a client of the broker that says `online`, and looks at what is retained.

use super::*;

const CONFIG: &str = "homeassistant/device/forecastd/roof/config";

/// What the broker keeps for a topic, as JSON.
async fn retained(mosquitto: &Mosquitto, name: &str, topic: &str) -> Value {
    serde_json::from_str(&Client::retained(mosquitto, name, topic).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_is_announced_with_its_first_reading_again_at_every_birth_and_no_more_once_forgotten() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["homeassistant/#"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    home.read("roof", 0, 10.0).await;
    let first = home.json(CONFIG, |_| true).await;
    assert_eq!(first["components"]["temperature_ahead"]["state_topic"], "forecast/roof/temperature");
    assert_eq!(first["components"]["lowest"], json!({"platform": "sensor"}), "the model says no extremes");
    assert_eq!(first["availability_topic"], "forecast/status");
    assert_eq!(retained(&mosquitto, "late", CONFIG).await, first);

    home.publish("homeassistant/status", "online").await;
    assert_eq!(home.json(CONFIG, |_| true).await, first);
    // Neither the birth nor what it published itself counts as a reading.
    assert_eq!(daemon.metric("forecastd_readings_received_total"), Some(1.0));

    home.publish_retained("weather/roof/reading", "").await;
    assert_eq!(home.text(CONFIG).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_under_the_same_id_is_said_and_counted_and_not_fought() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["homeassistant/#"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    home.read("roof", 0, 10.0).await;
    home.json(CONFIG, |_| true).await;
    let other = r#"{"origin":{"name":"forecastd"},"components":{"a":{"state_topic":"garden/forecast"}}}"#;
    home.publish(CONFIG, other).await;
    home.publish("homeassistant/device/forecastd/elsewhere/config", other).await;
    daemon.reaches("forecastd_discovery_overwritten_total", 1.0).await;
    daemon.says(&["another program tells Home Assistant", "station=roof", "garden/forecast"]).await;
    assert_eq!(home.text(CONFIG).await, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_nothing_is_announced_and_what_was_is_taken_back() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["homeassistant/#"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let mut daemon = installation.start().await;
    home.read("roof", 0, 10.0).await;
    home.json(CONFIG, |_| true).await;
    daemon.signal("TERM");
    daemon.ended().await;

    let off = installation.set("home_assistant.discovery", false);
    let daemon = off.start().await;
    assert_eq!(home.text(CONFIG).await, "");
    home.publish("homeassistant/status", "online").await;
    home.read("garden", 0, 10.0).await;
    daemon.reaches("forecastd_stations", 2.0).await;
    drop(daemon);

    // Under another prefix all are there again.
    let on = off.set("home_assistant.discovery", true).set("home_assistant.prefix", "ha");
    let mut elsewhere = Client::connect(&mosquitto, "elsewhere", &["ha/#", "homeassistant/#"]).await;
    let _daemon = on.start().await;
    for station in ["garden", "roof"] {
        elsewhere.json(&format!("ha/device/forecastd/{station}/config"), |_| true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_announced_is_taken_back_though_the_broker_was_away_at_first() {
    let mut mosquitto = Mosquitto::start(&Options { persistent: true, ..Options::default() });
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let mut daemon = installation.start().await;
    let mut home = Client::connect(&mosquitto, "home", &["homeassistant/#"]).await;
    home.read("roof", 0, 10.0).await;
    home.json(CONFIG, |_| true).await;
    daemon.signal("TERM");
    daemon.ended().await;

    mosquitto.stop();
    let off = installation.set("home_assistant.discovery", false);
    let mut daemon = off.start_alone().await;
    daemon.answers("/readyz", 503, "the broker is not connected\n").await;
    daemon.signal("TERM");
    daemon.ended().await;

    mosquitto.restart();
    retained(&mosquitto, "before", CONFIG).await;
    let mut home = Client::connect(&mosquitto, "home-again", &["homeassistant/#"]).await;
    let _daemon = off.start().await;
    assert_eq!(home.text(CONFIG).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_no_discovery_loses_no_forecast_and_is_asked_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("acl");
    std::fs::write(&list, "topic readwrite weather/#\ntopic readwrite forecast/#\ntopic readwrite probe/#\n")
        .unwrap();
    let line: &'static str = format!("acl_file {}", list.display()).leak();
    // With 0, as usual in tests, mosquitto 2.0.11 closes the connection instead of refusing a message.
    let lines: &'static [&'static str] = vec![line, "max_queued_messages 1000"].leak();
    let mosquitto = Mosquitto::start(&Options { lines, ..Options::default() });
    let mut home = Client::connect(&mosquitto, "home", &["forecast/#"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    home.read("roof", 0, 10.0).await;
    home.forecast("roof", 0).await;
    daemon.says(&["the broker does not take what Home Assistant is to be told"]).await;
    for minute in 1..4 {
        home.read("garden", minute, 10.0).await;
        home.forecast("garden", minute).await;
    }
    assert_eq!(daemon.metric("forecastd_mqtt_messages_dropped_total{reason=\"refused\"}"), Some(1.0));
    assert_eq!(daemon.metric("forecastd_mqtt_connections_total"), Some(1.0));
}
