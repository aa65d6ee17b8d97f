//! Messages of other programs, by `[[source]]`.

use super::*;

const SOURCES: &str = r#"
[[source]]
preset = "tasmota"
time = { time_zone = "Europe/Berlin" }

[[source]]
preset = "rtl_433"
station = "garden"
where = { model = "Made-Up" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_tasmota_becomes_a_forecast_of_its_station() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let daemon = installation.file(SOURCES).start().await;
    // 2020-01-01T00:00:00Z is an hour later in Berlin; the topic of readings is still listened to.
    let payload =
        r#"{"Time":"2020-01-01T01:00:00","BME280":{"Temperature":40.1,"Humidity":"wet"},"TempUnit":"F"}"#;
    home.publish("tele/roof/SENSOR", payload).await;
    assert_eq!(home.forecast("roof", 0).await["temperature_c"], 4.5);
    home.read("barn", 0, 5.5).await;
    assert_eq!(home.forecast("barn", 0).await["temperature_c"], 5.5);
    daemon.says(&["value cannot be", "station=roof", "key=\"relative_humidity_pct\""]).await;
    home.publish("tele/roof/SENSOR", r#"{"Time":"today","BME280":{"Temperature":40.1},"TempUnit":"F"}"#)
        .await;
    let refused = daemon.says(&["reading refused", "reason=\"bad_time\""]).await;
    assert!(refused.contains("tele/roof/SENSOR"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_reading_become_one_of_their_slot() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let daemon = installation.file(SOURCES).start().await;
    let part = |minute: i64, model: &str, temperature: f64| {
        let time = at(minute).as_second();
        format!(r#"{{"time":"{time}","model":"{model}","id":7,"temperature_C":{temperature}}}"#)
    };
    // The tyre of a car is another model; the slot of 00:10 has two parts, that of 00:20 one.
    for (minute, model, temperature) in
        [(2, "Made-Up", 4.0), (3, "Toyota", 40.0), (10, "Made-Up", 5.0), (20, "Made-Up", 7.0)]
    {
        home.publish("rtl_433/pi/events", part(minute, model, temperature)).await;
    }
    assert_eq!(home.forecast("garden", 10).await["temperature_c"], 4.5);
    // The slot of 2020 is over for long; its own reading follows with the next tick.
    assert_eq!(home.forecast("garden", 20).await["temperature_c"], 7.0);
    assert!(daemon.counts("forecastd_readings_rejected_total").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_with_a_wide_topic_leaves_forecastds_own_readings_alone() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Client::connect(&mosquitto, "home", &["forecast/+/temperature"]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let _daemon = installation.file("[[source]]\npreset = \"weewx\"\n").start().await;
    home.read("roof", 0, 5.5).await;
    assert_eq!(home.forecast("roof", 0).await["temperature_c"], 5.5);
}
