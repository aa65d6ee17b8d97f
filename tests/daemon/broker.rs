//! A broker that is not there, dies, or refuses; and a start that cannot be.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_the_daemon_waits_says_so_and_connects_when_there_is_one() {
    let mut mosquitto = Mosquitto::start(&Options::default());
    mosquitto.stop();
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start_alone().await;
    daemon.answers("/healthz", 200, "ok\n").await;
    daemon.answers("/readyz", 503, "the broker is not connected\n").await;
    let failures = || daemon.metric("forecastd_mqtt_disconnections_total{reason=\"unreachable\"}").unwrap();
    until(|| "a second attempt".to_owned(), || (failures() >= 2.0).then_some(())).await;
    assert_eq!(daemon.metric("forecastd_mqtt_connected"), Some(0.0));
    let parts = ["WARN", "no connection to the broker", &mosquitto.url(), "cannot be reached", "attempts=1 "];
    daemon.says(&parts).await;

    mosquitto.restart();
    daemon.answers("/readyz", 200, "ok\n").await;
    assert_eq!(daemon.metric("forecastd_mqtt_connected"), Some(1.0));
    assert_eq!(daemon.metric("forecastd_mqtt_connections_total"), Some(1.0));
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    home.read("roof", 0, 10.0).await;
    assert_eq!(home.forecast("roof", 0).await["temperature_c"], 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_listened_to_any_more_is_given_up_though_the_broker_was_away_at_first() {
    let mut mosquitto = Mosquitto::start(&Options { persistent: true, ..Options::default() });
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let mut daemon = installation.start().await;
    daemon.signal("TERM");
    daemon.ended().await;

    // A start with another topic that never meets the broker.
    mosquitto.stop();
    let installation = installation.set("topics.reading", "sensors/{station}/air");
    let mut daemon = installation.start_alone().await;
    daemon.answers("/readyz", 503, "the broker is not connected\n").await;
    daemon.signal("TERM");
    daemon.ended().await;

    mosquitto.restart();
    let daemon = installation.start().await;
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    home.read("roof", 0, 10.0).await;
    home.publish("sensors/roof/air", reading(0, 11.0)).await;
    assert_eq!(home.forecast("roof", 0).await["temperature_c"], 11.0);
    assert_eq!(daemon.metric("forecastd_readings_received_total"), Some(1.0));
}

/// A broker that was killed has forgotten its sessions and all that was retained.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_broker_was_killed_everything_stands_there_again() {
    let mut mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    let forecast = home.forecast("roof", 2 * HOUR).await;
    assert_eq!(forecast["source"], "model");

    mosquitto.kill();
    daemon.answers("/readyz", 503, "the broker is not connected\n").await;
    daemon.answers("/healthz", 200, "ok\n").await;
    mosquitto.restart();
    daemon.answers("/readyz", 200, "ok\n").await;
    daemon.says(&["WARN", "no connection to the broker", "connection lost"]).await;
    assert_eq!(daemon.metric("forecastd_mqtt_disconnections_total{reason=\"closed\"}"), Some(1.0));
    // Nothing was read meanwhile; what is retained comes from the daemon's memory.
    let topics = ["forecast/status", "forecast/roof/status", "forecast/roof/temperature"];
    let mut kept = Vec::new();
    for (name, topic) in ["first", "second", "third"].into_iter().zip(topics) {
        kept.push(Client::retained(&mosquitto, name, topic).await);
    }
    assert_eq!(kept[0], "online");
    assert_eq!(serde_json::from_str::<Value>(&kept[1]).unwrap()["state"], "ready");
    assert_eq!(serde_json::from_str::<Value>(&kept[2]).unwrap(), forecast);
    // And readings come again.
    home.read("roof", 3 * HOUR, 11.0).await;
    assert_eq!(home.forecast("roof", 3 * HOUR).await["source"], "model");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_under_load_costs_no_reading() {
    let mut mosquitto = Mosquitto::start(&Options { persistent: true, ..Options::default() });
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    let readings = 600;
    for number in 0..readings {
        home.hand_in("weather/roof/reading", reading(10 * number, (number % 20) as f64)).await;
        if number == readings / 2 {
            mosquitto.stop();
            mosquitto.restart();
        }
    }
    let newest = home.forecast("roof", 10 * (readings - 1)).await;
    assert_eq!(newest["temperature_c"], 19.0);
    // Readings may come twice; each opened its slot of ten minutes once.
    daemon.reaches("forecastd_readings_taken_total{outcome=\"newest\"}", readings as f64).await;
    assert_eq!(daemon.metric("forecastd_readings_taken_total{outcome=\"late\"}"), Some(0.0));
    assert_eq!(daemon.metric("forecastd_mqtt_connections_total"), Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_counted_and_named_and_never_shown() {
    let mosquitto = Mosquitto::start(&Options { user: Some(("roof", "right")), ..Options::default() });
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5))
        .set("mqtt.username", "roof")
        .set("mqtt.password", "secret-but-wrong")
        .start_alone()
        .await;
    let failures = || daemon.metric("forecastd_mqtt_disconnections_total{reason=\"unauthorized\"}").unwrap();
    until(|| "a second attempt".to_owned(), || (failures() >= 2.0).then_some(())).await;
    daemon.answers("/readyz", 503, "the broker is not connected\n").await;
    daemon
        .says(&["ERROR", "no connection to the broker", "refuses user name or password", "attempts=1 "])
        .await;
    let text = daemon.log().join("\n") + &daemon.scrape();
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_the_broker_refuses_is_counted_and_named() {
    let (listener, port) = scripted_broker::listen().await;
    let daemon = Installation::new(port, &artefact::trend_file(SAMPLES, 0.5)).start_alone().await;
    let (mut broker, _) = scripted_broker::accept(&listener, false, &[]).await;
    let subscribe = broker.read_kind(8).await;
    // 0x87: not authorized. The others are of Home Assistant.
    broker.write(0x90, &[subscribe.body[0], subscribe.body[1], 0, 0x87, 1, 1]).await;
    daemon.reaches("forecastd_mqtt_subscriptions_refused_total", 1.0).await;
    daemon.says(&["ERROR", "broker refuses a subscription", "weather/+/reading", "NotAuthorized"]).await;
    daemon.answers("/readyz", 503, "the broker refuses a subscription\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lets_nobody_listen_to_home_assistant_is_no_broker_that_is_missing_something() {
    let (listener, port) = scripted_broker::listen().await;
    let daemon = Installation::new(port, &artefact::trend_file(SAMPLES, 0.5)).start_alone().await;
    let (mut broker, _) = scripted_broker::accept(&listener, false, &[]).await;
    let subscribe = broker.read_kind(8).await;
    broker.write(0x90, &[subscribe.body[0], subscribe.body[1], 0, 1, 0x87, 0x87]).await;
    daemon.says(&["WARN", "can be done without", "filter=\"homeassistant/status\"", "NotAuthorized"]).await;
    daemon.says(&["WARN", "can be done without", "homeassistant/device/forecastd/+/config"]).await;
    daemon.answers("/readyz", 200, "ok\n").await;
    assert_eq!(daemon.metric("forecastd_mqtt_subscriptions_refused_total"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_http_port_ends_the_start_with_one_line() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let installation = Installation::new(1, &artefact::trend_file(SAMPLES, 0.5)).set("http.listen", address);
    let (status, log) = installation.start_in_vain().await;
    assert_eq!(status.code(), Some(1));
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(log[0].starts_with(&format!("error: http.listen {address}: Address already in use")), "{log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_configuration_ends_the_start_with_every_fault() {
    let installation = Installation::new(1, &artefact::trend_file(SAMPLES, 0.5))
        .set("mqtt.port", "many")
        .set("stations.max", 0)
        .set("mqtt.hots", "broker");
    let (status, log) = installation.start_in_vain().await;
    assert_eq!(status.code(), Some(1));
    for key in ["FORECASTD__MQTT__PORT", "FORECASTD__STATIONS__MAX", "FORECASTD__MQTT__HOTS"] {
        assert_eq!(log.iter().filter(|line| line.contains(key)).count(), 1, "{key}: {log:#?}");
    }
    assert_eq!(log.last().unwrap(), "3 faults");
}
