//! What Prometheus sees.

use super::*;

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
    forecastd_testkit::promtool::check(&scrape);
}
