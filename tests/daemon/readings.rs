//! What arrives that is no reading, or one that is late, repeated, impossible or of nobody.

use super::*;

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
        ("no_values", of(noon, "NaN")),
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
        ("bad_value", of(noon, "1e39")),
        ("bad_value", of(noon, "1e999")),
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
        ("not_json", "expected ident at line 1 column 2"),
        ("too_large", "more than 65536"),
        ("no_time", "no \"time\""),
        ("bad_time", "\"time\" is \"soon\""),
        ("bad_value", "\"air_temperature_c\" is \"mild\", not a number"),
        ("no_values", "no value of a known quantity"),
        ("far_past", "1970-01-01T00:00:00Z is from before 1990"),
        ("in_future", "ahead of the clock"),
        ("implausible", "air_temperature = -9999 (out_of_range)"),
    ] {
        let line = daemon.says(&["reading refused", &format!("reason=\"{reason}\"")]).await;
        assert!(line.contains(explanation) && line.contains("station=roof"), "{line}");
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
    daemon.reaches("forecastd_stations", 100.0).await;
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
    // One of readings, two of Home Assistant.
    broker.write(0x90, &[subscribe.body[0], subscribe.body[1], 0, 1, 1, 1]).await;

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
