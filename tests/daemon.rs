//! The daemon as its neighbours see it: the real program between a real mosquitto and an HTTP client.
//!
//! The model says `newest temperature + change · lead`, so that every number here can be worked out by hand.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::artefact;
use support::client::{Client, at, reading};
use support::installation::Installation;
use support::mosquitto::{Mosquitto, Options};
use support::patience::until;
use support::scripted_broker;

/// Samples of the model's window: readings must span two hours.
const SAMPLES: usize = 3;
const HOUR: i64 = 60;

/// The temperature that a forecast gives for a lead.
fn lead_c(forecast: &Value, lead_h: u64) -> f64 {
    let leads = forecast["leads"].as_array().unwrap();
    let lead = leads.iter().find(|lead| lead["lead_h"] == lead_h).unwrap();
    lead["temperature_c"].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_up_is_said_openly_and_then_the_model_speaks() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/#"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    assert_eq!(home.text("forecast/status").await, "online");

    // The window has samples at the newest hour and at the two before it.
    home.read("roof", 0, 10.0).await;
    let status = home.json("forecast/roof/status", |_| true).await;
    let model = status["model"].as_str().unwrap().to_owned();
    assert!(model.starts_with("linear@"), "{model}");
    let expected = json!({
        "station": "roof", "state": "warming_up", "missing_hours": 2.0, "missing": "air_temperature",
        "newest_reading": "2020-01-01T00:00:00Z", "model": model,
    });
    assert_eq!(status, expected);
    daemon.reaches("forecastd_station_missing_seconds{station=\"roof\"}", 7200.0).await;
    assert_eq!(daemon.metric("forecastd_stations_ready"), Some(0.0));
    daemon.says(&["warming up", "station=roof", "missing_hours=2"]).await;

    home.read("roof", HOUR, 11.5).await;
    let forecast = home.forecast("roof", HOUR).await;
    assert_eq!((&forecast["source"], &forecast["model"]), (&json!("persistence"), &json!("persistence")));
    assert_eq!(forecast["temperature_c"], 11.5);
    let leads = forecast["leads"].as_array().unwrap();
    assert_eq!(leads.len(), 24);
    for (lead, lead_h) in leads.iter().zip(1..) {
        let valid_at = at(HOUR + lead_h * HOUR).to_string();
        assert_eq!(lead, &json!({"lead_h": lead_h, "valid_at": valid_at, "temperature_c": 11.5}));
    }
    daemon.reaches("forecastd_station_missing_seconds{station=\"roof\"}", 3600.0).await;

    home.read("roof", 2 * HOUR, 9.25).await;
    let forecast = home.forecast("roof", 2 * HOUR).await;
    assert_eq!((&forecast["source"], &forecast["model"]), (&json!("model"), &json!(model)));
    assert_eq!(
        (forecast["temperature_c"].as_f64(), forecast["temperature_24h_c"].as_f64()),
        (Some(9.25), Some(21.25))
    );
    for lead_h in 1..=24 {
        assert_eq!(lead_c(&forecast, lead_h), 9.25 + 0.5 * lead_h as f64);
    }
    daemon.says(&["station is ready", "station=roof"]).await;
    daemon.reaches("forecastd_stations_ready", 1.0).await;
    assert_eq!(daemon.metric("forecastd_station_missing_seconds{station=\"roof\"}"), Some(0.0));
    let series = "forecastd_forecast_temperature_celsius{lead_h=\"6\",station=\"roof\"}";
    daemon.reaches(series, 12.25).await;
    let forecasts = daemon.counts("forecastd_forecasts_total");
    assert_eq!(forecasts, [("source=\"model\"".to_owned(), 1), ("source=\"persistence\"".to_owned(), 2)]);

    // Who comes later finds the newest of everything.
    let kept = Client::retained(&mosquitto, "later", "forecast/roof/temperature").await;
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), forecast);
    let kept = Client::retained(&mosquitto, "later-still", "forecast/roof/status").await;
    let expected = json!({
        "station": "roof", "state": "ready", "newest_reading": "2020-01-01T02:00:00Z", "model": model,
    });
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), expected);
}

/// The model says +0.5 °C an hour. The hours' temperatures 10, 11, 12, 14, 13, 16 and a last one that closes them give
/// forecasts at the hours 2 (12 °C), 3 (14 °C) and 4 (13 °C); a reading counts when a later one has come.
///
/// | lead | model's errors | persistence's errors |
/// | --- | --- | --- |
/// | 1 h | 12.5 − 14, 14.5 − 13, 13.5 − 16 | 12 − 14, 14 − 13, 13 − 16 |
/// | 2 h | 13 − 13, 15 − 16 | 12 − 13, 14 − 16 |
/// | 3 h | 13.5 − 16 | 12 − 16 |
#[tokio::test(flavor = "multi_thread")]
async fn forecasts_whose_hour_has_come_are_scored_beside_persistence() {
    let mosquitto = Mosquitto::start(&Options::default());
    let filters = ["forecast/+/temperature", "forecast/+/verification"];
    let mut home = Client::connect(&mosquitto, "home", &filters).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    for (hour, temperature_c) in (0..6).zip([10.0, 11.0, 12.0, 14.0, 13.0, 16.0]) {
        home.read("roof", hour * HOUR, temperature_c).await;
        // As in life: the network answers before the next hour comes.
        home.forecast("roof", hour * HOUR).await;
    }
    home.read("roof", 6 * HOUR, 15.0).await;
    let at_hour_5 = at(5 * HOUR).to_string();
    let verification =
        home.json("forecast/roof/verification", |found| found["verified_until"] == at_hour_5).await;
    let expected = json!({
        "lead_h": 1, "forecasts": 3, "mae_c": 1.833, "rmse_c": 1.893, "bias_c": -0.833, "persistence_mae_c": 2.0,
        "yesterday_mae_c": null, "skill": 0.083,
    });
    assert_eq!(verification["leads"][0], expected);

    let scrape = daemon.scrape();
    let close = |series: &str, expected: f64| {
        let found = daemon.metric(series).unwrap_or_else(|| panic!("no {series} in {scrape}"));
        assert!((found - expected).abs() < 1e-6, "{series} is {found}, not {expected}");
    };
    for (lead_h, count, model, persistence) in
        [(1, 3.0, 5.5 / 3.0, 6.0 / 3.0), (2, 2.0, 0.5, 1.5), (3, 1.0, 2.5, 4.0)]
    {
        close(&format!("forecastd_forecasts_verified_total{{lead_h=\"{lead_h}\"}}"), count);
        let mae = |of: &str| {
            format!("forecastd_forecast_mean_absolute_error_celsius{{forecast=\"{of}\",lead_h=\"{lead_h}\"}}")
        };
        close(&mae("model"), model);
        close(&mae("persistence"), persistence);
        close(&format!("forecastd_forecast_skill_ratio{{lead_h=\"{lead_h}\"}}"), 1.0 - model / persistence);
        assert_eq!(daemon.metric(&mae("yesterday")), None);
    }
    // Of the three errors 1.5, 1.5 and 2.5 °C at one hour, two are at most 2 °C.
    close("forecastd_forecast_absolute_error_celsius_bucket{forecast=\"model\",lead_h=\"1\",le=\"2\"}", 2.0);
    assert_eq!(daemon.metric("forecastd_forecasts_verified_total{lead_h=\"4\"}"), None);
}

/// A temperature that rises by 0.125 °C an hour, and a model that says 0.5: after `lead` hours the model is wrong by
/// 0.375 · lead, persistence by 0.125 · lead, and yesterday by 24 · 0.125 = 3 °C.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_forecasts_is_scored_at_every_lead() {
    let mosquitto = Mosquitto::start(&Options::default());
    let home = Client::connect(&mosquitto, "home", &[]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    // The first forecast is of hour 2, its last hour is 26, and hour 27 closes that.
    for hour in 0..=27 {
        home.read("roof", hour * HOUR, 10.0 + 0.125 * hour as f64).await;
    }
    daemon.reaches("forecastd_forecasts_verified_total{lead_h=\"24\"}", 1.0).await;
    for lead_h in 1..=24 {
        let mae = |of: &str| {
            let series = "forecastd_forecast_mean_absolute_error_celsius";
            daemon.metric(&format!("{series}{{forecast=\"{of}\",lead_h=\"{lead_h}\"}}"))
        };
        assert_eq!(mae("model"), Some(0.375 * f64::from(lead_h)));
        assert_eq!(mae("persistence"), Some(0.125 * f64::from(lead_h)));
        // Hours before 24 have no yesterday; hours 24 to 26 have one, and every lead has forecasts for them.
        assert_eq!(mae("yesterday"), Some(3.0));
        let count = daemon.metric(&format!("forecastd_forecasts_verified_total{{lead_h=\"{lead_h}\"}}"));
        assert_eq!(count, Some(f64::from(25 - lead_h)));
    }
}

/// Payloads that are no readings, with the reason that each is refused for.
fn bad_payloads() -> Vec<(&'static str, Vec<u8>)> {
    let of =
        |time: &str, value: &str| format!(r#"{{"time":{time},"air_temperature_c":{value}}}"#).into_bytes();
    let noon = "\"2020-01-01T12:00:00Z\"";
    let beside = |key: &str| format!(r#"{{"time":{noon},"air_temperature_c":1,"x":{key}}}"#).into_bytes();
    let deep = "[".repeat(20_000) + &"]".repeat(20_000);
    let tomorrow = (jiff::Timestamp::now().as_second() + 86_400).to_string();
    vec![
        ("empty", b"".to_vec()),
        ("not_utf8", b"{\"time\":0,\"air_temperature_c\":1,\"name\":\"\xff\"}".to_vec()),
        ("not_json", b"temperature=3.5".to_vec()),
        ("not_json", of(noon, "1")[..20].to_vec()),
        ("not_json", of(noon, "NaN")),
        ("not_json", of(noon, "1e999")),
        ("not_json", b"[1,2,3]".to_vec()),
        ("not_json", beside(&deep)),
        ("too_large", beside(&format!("\"{}\"", "x".repeat(70_000)))),
        ("no_time", b"{\"air_temperature_c\":1}".to_vec()),
        ("no_time", of(noon, "1").to_ascii_uppercase()),
        ("bad_time", of("\"soon\"", "1")),
        ("bad_time", of("null", "1")),
        ("bad_time", of("1e300", "1")),
        ("bad_value", of(noon, "\"mild\"")),
        ("bad_value", of(noon, "\"NaN\"")),
        ("bad_value", of(noon, "\"-inf\"")),
        ("bad_value", of(noon, "true")),
        ("bad_value", of(noon, "[1]")),
        ("no_values", of(noon, "null")),
        ("no_values", format!("{{\"time\":{noon}}}").into_bytes()),
        ("far_past", of("0", "1")),
        ("far_past", of("\"1850-01-01T00:00:00Z\"", "1")),
        ("in_future", of(&tomorrow, "1")),
        ("in_future", of("\"9999-12-30T00:00:00Z\"", "1")),
        ("implausible", of(noon, "-9999")),
        // Finite as JSON, infinite as what a sensor could measure.
        ("implausible", of(noon, "1e39")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_reading_is_counted_by_its_reason_and_explained_once() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    let mut expected = BTreeMap::new();
    let mut sent = 0;
    for (reason, payload) in bad_payloads() {
        home.publish("weather/roof/reading", payload).await;
        *expected.entry(format!("reason=\"{reason}\"")).or_insert(0) += 1;
        sent += 1;
    }
    daemon.receives(sent).await;
    // Each is counted a moment after it is received; a good reading comes after all of them.
    home.read("roof", 0, 4.5).await;
    assert_eq!(home.forecast("roof", 0).await["temperature_c"], 4.5);
    let counted: BTreeMap<String, u64> =
        daemon.counts("forecastd_readings_rejected_total").into_iter().collect();
    assert_eq!(counted, expected);
    for (reason, explanation) in [
        ("empty", "payload is empty"),
        ("not_utf8", "not UTF-8 from byte 40"),
        ("not_json", "not JSON: expected ident at line 1 column 2"),
        ("too_large", "more than 65536"),
        ("no_time", "no \"time\""),
        ("bad_time", "\"time\" is \"soon\""),
        ("bad_value", "\"air_temperature_c\" is \"mild\", not a number"),
        ("no_values", "no known quantity"),
        ("far_past", "1970-01-01T00:00:00Z is from before 1990"),
        ("in_future", "ahead of the clock"),
        ("implausible", "air_temperature = -9999 (out_of_range)"),
    ] {
        let line = daemon.says(&["reading refused", &format!("reason=\"{reason}\"")]).await;
        assert!(line.contains(explanation) && line.contains("weather/roof/reading"), "{line}");
    }
    assert_eq!(daemon.metric("forecastd_readings_taken_total{outcome=\"newest\"}"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_mebibyte_is_dropped_before_anyone_looks_at_it() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    home.publish("weather/roof/reading", vec![b'x'; 1 << 20]).await;
    home.read("roof", 0, 4.5).await;
    assert_eq!(home.forecast("roof", 0).await["temperature_c"], 4.5);
    assert_eq!(daemon.metric("forecastd_mqtt_messages_dropped_total{reason=\"oversized\"}"), Some(1.0));
    assert_eq!(daemon.metric("forecastd_readings_received_total"), Some(1.0));
    let line = daemon.says(&["larger than mqtt.max_packet_bytes"]).await;
    assert!(line.contains("1048576") && line.contains("weather/roof/reading"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_is_dropped_and_the_others_stay() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    let time = at(0);
    let payload = format!(
        r#"{{"time":"{time}","air_temperature_c":"4.5","air_pressure_hpa":-9999,"relative_humidity_pct":null}}"#
    );
    home.publish("weather/roof/reading", payload).await;
    assert_eq!(home.forecast("roof", 0).await["temperature_c"], 4.5);
    // Ten minutes later the thermometer jumps by 40 K; there is no other value, so nothing is left of the reading.
    let payload = format!(r#"{{"time":"{}","air_temperature_c":44.5}}"#, at(10));
    home.publish("weather/roof/reading", payload).await;
    daemon.reaches("forecastd_readings_rejected_total{reason=\"implausible\"}", 1.0).await;
    let dropped = daemon.counts("forecastd_values_dropped_total");
    assert_eq!(dropped, [("quantity=\"air_pressure\",reason=\"out_of_range\"".to_owned(), 1)]);
    daemon.says(&["value dropped", "station=roof", "air_pressure", "value=-9999", "out_of_range"]).await;
    daemon.says(&["reading refused", "air_temperature = 44.5 (leap)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_come_twice_or_late_or_in_disorder_find_their_place() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    for (hour, temperature_c) in (0..).zip([10.0, 11.0, 12.0]) {
        home.read("roof", hour * HOUR, temperature_c).await;
    }
    assert_eq!(home.forecast("roof", 2 * HOUR).await["source"], "model");

    // Twice: no forecast again.
    home.read("roof", 2 * HOUR, 12.0).await;
    home.read("roof", HOUR, 11.0).await;
    daemon.reaches("forecastd_readings_taken_total{outcome=\"unchanged\"}", 2.0).await;
    assert_eq!(daemon.metric("forecastd_forecasts_total{source=\"model\"}"), Some(1.0));

    // Hour 4 before hour 3: the hole is bridged, and the late one is what the forecast of hour 2 is scored against.
    home.read("roof", 4 * HOUR, 14.0).await;
    assert_eq!(lead_c(&home.forecast("roof", 4 * HOUR).await, 2), 15.0);
    assert_eq!(daemon.metric("forecastd_forecasts_verified_total{lead_h=\"1\"}"), None);
    home.read("roof", 3 * HOUR, 13.0).await;
    daemon.reaches("forecastd_forecasts_verified_total{lead_h=\"1\"}", 1.0).await;
    let mae = "forecastd_forecast_mean_absolute_error_celsius{forecast=\"model\",lead_h=\"1\"}";
    assert_eq!(daemon.metric(mae), Some(0.5));

    // A minute later, in the same slot of ten minutes: a better reading of it, and a forecast from that.
    home.read("roof", 4 * HOUR + 1, 14.5).await;
    assert_eq!(lead_c(&home.forecast("roof", 4 * HOUR + 1).await, 2), 15.5);
    // Before the grid time of the slot: what is there is nearer to it.
    home.read("roof", 4 * HOUR - 5, 9.0).await;
    // 40 hours back is within the two days that are kept, 60 hours back is not.
    home.read("roof", 4 * HOUR - 40 * HOUR, 8.0).await;
    home.read("roof", 4 * HOUR - 60 * HOUR, 8.0).await;
    daemon.reaches("forecastd_readings_rejected_total{reason=\"too_old\"}", 1.0).await;
    daemon.says(&["reading refused", "too_old", "is 2 d behind the newest"]).await;
    let taken: BTreeMap<String, u64> = daemon.counts("forecastd_readings_taken_total").into_iter().collect();
    let expected = [("newest", 4), ("refreshed", 1), ("late", 2), ("unchanged", 3)];
    assert_eq!(taken, expected.map(|(outcome, count)| (format!("outcome=\"{outcome}\""), count)).into());
    let forecasts = daemon.counts("forecastd_forecasts_total");
    assert_eq!(forecasts, [("source=\"model\"".to_owned(), 3), ("source=\"persistence\"".to_owned(), 2)]);
}

/// The model fills holes of three hours. After a longer one the window must fill again, for two hours.
#[tokio::test(flavor = "multi_thread")]
async fn short_holes_are_bridged_and_long_ones_begin_a_warm_up_that_is_said() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home =
        Client::connect(&mosquitto, "home", &["forecast/+/temperature", "forecast/+/status"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    let ready = "forecastd_stations_ready";
    let day = 24;
    for hour in [0, 1, 2] {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    assert_eq!(home.forecast("roof", 2 * HOUR).await["source"], "model");
    // Without hour 3, then without 5 and 6.
    for hour in [4, 7] {
        home.read("roof", hour * HOUR, 10.0).await;
        assert_eq!(home.forecast("roof", hour * HOUR).await["source"], "model", "hour {hour}");
    }
    // A hole of four hours, of a day, of a month.
    let mut hour = 7;
    for (warm_up, hole_h) in (1..).zip([4, day, 30 * day]) {
        hour += hole_h;
        for missing_h in [2.0, 1.0] {
            home.read("roof", hour * HOUR, 10.0).await;
            let forecast = home.forecast("roof", hour * HOUR).await;
            assert_eq!((&forecast["source"], lead_c(&forecast, 24)), (&json!("persistence"), 10.0));
            let status = home.json("forecast/roof/status", |status| status["state"] == "warming_up").await;
            assert_eq!(status["missing_hours"], missing_h);
            daemon.reaches(ready, 0.0).await;
            hour += 1;
        }
        home.read("roof", hour * HOUR, 10.0).await;
        let forecast = home.forecast("roof", hour * HOUR).await;
        assert_eq!((&forecast["source"], lead_c(&forecast, 24)), (&json!("model"), 22.0));
        daemon.reaches(ready, 1.0).await;
        // One line for each, the first hours among them.
        daemon.says_times(1 + warm_up, &["station is warming up", "missing_hours=2"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_names_fill_neither_memory_nor_metrics() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/station-7/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5))
        .set("stations.max", 100)
        .set("metrics.station_series_max", 10)
        .start()
        .await;
    for number in 0..10_000 {
        home.hand_in(&format!("weather/station-{number}/reading"), reading(0, 3.0)).await;
    }
    daemon.receives(10_000).await;
    // Who was there first is still served.
    home.read("station-7", HOUR, 5.0).await;
    assert_eq!(home.forecast("station-7", HOUR).await["temperature_c"], 5.0);
    assert_eq!(daemon.metric("forecastd_stations"), Some(100.0));
    let refused = daemon.counts("forecastd_readings_rejected_total");
    assert_eq!(refused, [("reason=\"too_many_stations\"".to_owned(), 9900)]);
    daemon.says(&["reading refused", "stations.max = 100"]).await;
    let scrape = daemon.scrape();
    let labelled: BTreeSet<&str> = scrape
        .lines()
        .filter_map(|line| line.split_once("station=\"")?.1.split_once('"'))
        .map(|(station, _)| station)
        .collect();
    let first: Vec<String> = (0..10).map(|number| format!("station-{number}")).collect();
    assert_eq!(labelled, first.iter().map(String::as_str).collect());
    assert_eq!(daemon.get("/healthz").0, 200);
}

/// mosquitto lets nobody publish some of these; another broker may.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_station_can_have_and_topics_of_none_are_refused() {
    let (listener, port) = scripted_broker::listen().await;
    let daemon = Installation::new(port, &artefact::trend_file(SAMPLES, 0.5)).start_alone().await;
    let (mut broker, _) = scripted_broker::accept(&listener, false, &[]).await;
    let subscribe = broker.read_kind(8).await;
    broker.write(0x90, &[subscribe.body[0], subscribe.body[1], 0, 1]).await;

    let long = format!("weather/{}/reading", "x".repeat(65));
    let topics = [
        ("weather//reading", "bad_station"),
        ("weather/a\u{1b}[2Jb/reading", "bad_station"),
        ("weather/a\nb/reading", "bad_station"),
        ("weather/ roof/reading", "bad_station"),
        (long.as_str(), "bad_station"),
        ("weather/a/b/reading", "unknown_topic"),
        ("weather/roof", "unknown_topic"),
        ("$SYS/uptime", "unknown_topic"),
    ];
    for (identifier, (topic, _)) in (1..).zip(topics) {
        broker.publish(topic, identifier, reading(0, 3.0).as_bytes()).await;
        // Nobody waits for a reading that can never be one: the broker must not send it again.
        assert_eq!(broker.read_kind(4).await.body[..2], identifier.to_be_bytes(), "{topic:?}");
    }
    broker.publish("weather/roof \"north\" é/reading", 99, reading(0, 3.0).as_bytes()).await;
    assert_eq!(broker.read_kind(4).await.body[..2], [0, 99]);
    let refused: BTreeMap<String, u64> =
        daemon.counts("forecastd_readings_rejected_total").into_iter().collect();
    let expected = [("bad_station", 5), ("unknown_topic", 3)];
    assert_eq!(refused, expected.map(|(reason, count)| (format!("reason=\"{reason}\""), count)).into());
    daemon.says(&["reading refused", "bad_station", "station name is empty"]).await;
    daemon.says(&["reading refused", "unknown_topic", "weather/a/b/reading"]).await;
    let series = "forecastd_air_temperature_celsius{station=\"roof \\\"north\\\" é\"}";
    daemon.reaches(series, 3.0).await;

    // A wildcard in a message's topic breaks the protocol (MQTT 5, section 3.3.2.1).
    broker.publish("weather/+/reading", 100, reading(HOUR, 3.0).as_bytes()).await;
    assert!(broker.is_closed().await);
    scripted_broker::accept(&listener, false, &[]).await;
    assert_eq!(daemon.metric("forecastd_mqtt_disconnections_total{reason=\"protocol\"}"), Some(1.0));
    daemon.says(&["no connection to the broker", "protocol error"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_file_that_is_exchanged_is_used_from_the_next_forecast_on() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation =
        Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).set("model.watch_s", 1);
    let daemon = installation.start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    let before = home.forecast("roof", 2 * HOUR).await;
    assert_eq!(lead_c(&before, 24), 22.0);

    // The file's watcher finds it.
    installation.write_model(&artefact::trend_file(SAMPLES, -0.25));
    daemon.reaches("forecastd_model_loads_total", 2.0).await;
    daemon.says(&["model exchanged", before["model"].as_str().unwrap()]).await;
    home.read("roof", 3 * HOUR, 10.0).await;
    let after = home.forecast("roof", 3 * HOUR).await;
    assert_eq!((lead_c(&after, 24), &after["source"]), (4.0, &json!("model")));
    assert_ne!(after["model"], before["model"]);
    let sha256 = daemon.counts("forecastd_model_info");
    assert_eq!(sha256.len(), 1, "the old model is no longer in use: {sha256:?}");
    let (_, short) = after["model"].as_str().unwrap().split_once('@').unwrap();
    assert!(sha256[0].0.contains(&format!("sha256=\"{short}")), "{sha256:?}");

    // A longer window needs an hour more than was ever read: that is said, not hidden.
    installation.write_model(&artefact::trend_file(5, 1.0));
    daemon.reaches("forecastd_model_loads_total", 3.0).await;
    home.read("roof", 3 * HOUR + 10, 10.0).await;
    assert_eq!(home.forecast("roof", 3 * HOUR + 10).await["source"], "persistence");
    home.read("roof", 4 * HOUR + 10, 10.0).await;
    assert_eq!(lead_c(&home.forecast("roof", 4 * HOUR + 10).await, 24), 34.0);
    assert_eq!(daemon.metric("forecastd_model_reload_failures_total"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_file_that_is_broken_leaves_the_last_model_at_work() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let good = artefact::trend_file(SAMPLES, 0.5);
    let installation = Installation::new(mosquitto.port(), &good);
    let daemon = installation.start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    let model = home.forecast("roof", 2 * HOUR).await["model"].clone();
    let mut hour = 2;
    let file = installation.model_path().display().to_string();
    let broken = artefact::broken_files();
    for (failures, (name, bytes, explanation)) in (1..).zip(&broken) {
        installation.write_model(bytes);
        daemon.signal("HUP");
        daemon.reaches("forecastd_model_reload_failures_total", f64::from(failures)).await;
        let lines =
            daemon.says_times(failures as usize, &["new model is not usable, the last one goes on"]).await;
        let line = lines.last().unwrap();
        assert!(
            line.contains("ERROR") && line.contains(&file) && line.contains(explanation),
            "{name}: {line}"
        );

        hour += 1;
        home.read("roof", hour * HOUR, 10.0).await;
        let forecast = home.forecast("roof", hour * HOUR).await;
        assert_eq!((&forecast["model"], lead_c(&forecast, 24)), (&model, 22.0), "{name}");
    }
    std::fs::remove_file(installation.model_path()).unwrap();
    daemon.signal("HUP");
    daemon.reaches("forecastd_model_reload_failures_total", broken.len() as f64 + 1.0).await;
    daemon.says(&["new model is not usable", &file, "No such file"]).await;

    installation.write_model(&artefact::trend_file(SAMPLES, 1.0));
    daemon.signal("HUP");
    daemon.reaches("forecastd_model_loads_total", 2.0).await;
    home.read("roof", (hour + 1) * HOUR, 10.0).await;
    assert_eq!(lead_c(&home.forecast("roof", (hour + 1) * HOUR).await, 24), 34.0);
    let answered = daemon.get("/readyz");
    assert_eq!(answered, (200, "ok\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_broken_model_file_ends_with_one_line_that_names_it() {
    let library = std::env::var("FORECASTD_TEST_ONNXRUNTIME").ok();
    if library.is_none() {
        eprintln!("skipped with ONNX Runtime: FORECASTD_TEST_ONNXRUNTIME names no library");
    }
    let engines = [Some("tract"), library.is_some().then_some("onnxruntime")];
    let files = artefact::broken_files();
    let cases = engines.iter().flatten().flat_map(|engine| files.iter().map(move |file| (engine, file)));
    for (engine, (name, bytes, explanation)) in cases {
        let installation = Installation::new(1, bytes)
            .set("model.engine", engine)
            .set("model.onnxruntime_library", library.as_deref().unwrap_or_default());
        let (status, log) = installation.start_in_vain().await;
        assert_eq!(status.code(), Some(1), "{name}");
        let errors: Vec<&String> = log.iter().filter(|line| !line.contains(" INFO ")).collect();
        let [line] = errors.as_slice() else { panic!("{name}: {log:#?}") };
        let file = installation.model_path().display().to_string();
        assert!(line.starts_with("error: model ") && line.contains(&file), "{name}: {line}");
        assert!(line.contains(explanation), "{name}: {line}");
        assert_eq!(line.matches(&file).count(), 1, "named once: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_model_file_ends_with_one_line_that_names_it() {
    let installation = Installation::new(1, b"");
    std::fs::remove_file(installation.model_path()).unwrap();
    let (status, log) = installation.start_in_vain().await;
    assert_eq!(status.code(), Some(1));
    let errors: Vec<&String> = log.iter().filter(|line| !line.contains(" INFO ")).collect();
    let file = installation.model_path().display().to_string();
    assert_eq!(errors, [&format!("error: model {file}: No such file or directory (os error 2)")]);
}

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
    // 0x87: not authorized.
    broker.write(0x90, &[subscribe.body[0], subscribe.body[1], 0, 0x87]).await;
    daemon.reaches("forecastd_mqtt_subscriptions_refused_total", 1.0).await;
    daemon.says(&["ERROR", "broker refuses a subscription", "weather/+/reading", "NotAuthorized"]).await;
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

/// The broker keeps the session over the daemon's death: what was not acknowledged comes again. What was is in the
/// journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_costs_no_reading_and_no_warm_up() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let mut daemon = installation.start().await;
    let readings = 500_i64;
    let temperature = |number: i64| (number % 20) as f64;
    for number in 0..readings {
        home.hand_in("weather/roof/reading", reading(10 * number, temperature(number))).await;
        if number == 200 {
            let written = || daemon.metric("forecastd_journal_entries_written_total").unwrap();
            // At least half of them readings, and thirteen fill the window.
            until(|| "50 entries".to_owned(), || (written() >= 50.0).then_some(())).await;
            daemon.kill().await;
        }
    }
    let daemon = installation.start_alone().await;
    // Before anything new can have come: the station is there, its window full.
    daemon.says(&["restored from the journal", "stations=1", "ready=1"]).await;
    let newest = home.forecast("roof", 10 * (readings - 1)).await;
    assert_eq!((&newest["source"], lead_c(&newest, 24)), (&json!("model"), 19.0 + 12.0));
    assert_eq!(daemon.metric("forecastd_forecasts_total{source=\"persistence\"}"), Some(0.0));
    assert!(!daemon.log().iter().any(|line| line.contains("warming up")), "{:#?}", daemon.log());

    let journal = rusqlite::Connection::open(installation.journal_path()).unwrap();
    let select = "SELECT time, air_temperature_c FROM reading WHERE station = 'roof' ORDER BY time";
    let rows = || -> Vec<(i64, f64)> {
        let mut statement = journal.prepare(select).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let expected: Vec<(i64, f64)> =
        (0..readings).map(|number| (at(10 * number).as_second(), temperature(number))).collect();
    until(|| format!("all readings; {} are there", rows().len()), || (rows() == expected).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_end_says_offline_and_the_next_start_goes_on_where_it_was() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/#"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let mut daemon = installation.start().await;
    // Forecasts of the hours 2 (12 °C) and 3 (14 °C).
    for (hour, temperature_c) in (0..).zip([10.0, 11.0, 12.0, 14.0]) {
        home.read("roof", hour * HOUR, temperature_c).await;
    }
    home.forecast("roof", 3 * HOUR).await;
    daemon.signal("TERM");
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(home.text("forecast/status").await, "offline");
    assert_eq!(Client::retained(&mosquitto, "later", "forecast/status").await, "offline");
    assert!(daemon.log().last().unwrap().contains("stopped"), "{:#?}", daemon.log());

    // Read while nobody was there; the broker keeps it.
    home.read("roof", 4 * HOUR, 13.0).await;
    let daemon = installation.start().await;
    assert_eq!(home.text("forecast/status").await, "online");
    let forecast = home.forecast("roof", 4 * HOUR).await;
    assert_eq!((&forecast["source"], lead_c(&forecast, 1)), (&json!("model"), 13.5));
    home.read("roof", 5 * HOUR, 16.0).await;
    home.forecast("roof", 5 * HOUR).await;
    // Forecasts from before the end are scored: at one hour 12.5 - 14 and 14.5 - 13, at two hours 13 - 13.
    for (lead_h, count, model_mae) in [(1, 2.0, 1.5), (2, 1.0, 0.0)] {
        daemon.reaches(&format!("forecastd_forecasts_verified_total{{lead_h=\"{lead_h}\"}}"), count).await;
        let series = "forecastd_forecast_mean_absolute_error_celsius";
        let mae = daemon.metric(&format!("{series}{{forecast=\"model\",lead_h=\"{lead_h}\"}}"));
        assert_eq!(mae, Some(model_mae));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_no_database_is_moved_aside_and_a_new_one_begun() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let rubbish = "this was a journal once, before the disk went bad".repeat(100);
    std::fs::write(installation.journal_path(), &rubbish).unwrap();
    let daemon = installation.start().await;
    daemon.says(&["ERROR", "journal was no database", "journal.corrupt"]).await;
    home.read("roof", 0, 10.0).await;
    home.forecast("roof", 0).await;
    // A reading and a forecast.
    daemon.reaches("forecastd_journal_entries_written_total", 2.0).await;
    let aside = installation.journal_path().with_extension("corrupt");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), rubbish);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_is_counted_and_forecasts_go_on() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    // A folder stands where the file should be; permissions would not stop a test that runs as root.
    std::fs::create_dir(installation.journal_path()).unwrap();
    let daemon = installation.start().await;
    for hour in 0..=2 {
        home.read("roof", hour * HOUR, 10.0).await;
    }
    assert_eq!(home.forecast("roof", 2 * HOUR).await["source"], "model");
    let failures = || daemon.metric("forecastd_journal_failures_total{reason=\"io\"}").unwrap();
    until(|| "failures".to_owned(), || (failures() >= 2.0).then_some(())).await;
    daemon.says(&["ERROR", "journal fails; going on in memory", "journal.sqlite"]).await;
    // Three readings and three forecasts.
    daemon.reaches("forecastd_journal_entries_waiting", 6.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_of_the_running_daemon_satisfies_promtool() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let daemon = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).start().await;
    let station = r#"roof "north" \ é"#;
    for hour in 0..=4 {
        home.read(station, hour * HOUR, 10.0 + hour as f64).await;
        home.forecast(station, hour * HOUR).await;
    }
    home.publish("weather/roof/reading", "no reading").await;
    daemon.reaches("forecastd_readings_rejected_total{reason=\"not_json\"}", 1.0).await;
    let scrape = daemon.scrape();
    assert!(scrape.contains(r#"{lead_h="24",station="roof \"north\" \\ é"} 26"#), "{scrape}");

    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: promtool is not installed (Debian: apt-get install prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}");
}
