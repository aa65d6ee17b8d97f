//! What is issued, from the first reading on, and how it is scored.

use super::*;

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
        "newest_reading": "2020-01-01T00:00:00Z", "place": {"latitude_deg": 50.91, "longitude_deg": 11.57, "precision": "given"}, "model": model,
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
        "station": "roof", "state": "ready", "newest_reading": "2020-01-01T02:00:00Z", "place": {"latitude_deg": 50.91, "longitude_deg": 11.57, "precision": "given"}, "model": model,
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
        // Errors of -1.5, 1.5 and -2.5 °C, an hour apart, each weighing exp(-age / 720 h).
        "lead_h": 1, "forecasts": 3, "mae_c": 1.834, "rmse_c": 1.893, "bias_c": -0.834, "persistence_mae_c": 2.0,
        "yesterday_mae_c": null, "skill": 0.083, "lifetime_mae_c": 1.833, "lifetime_skill": 0.083,
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
            format!(
                "forecastd_forecast_lifetime_mean_absolute_error_celsius{{forecast=\"{of}\",lead_h=\"{lead_h}\"}}"
            )
        };
        close(&mae("model"), model);
        close(&mae("persistence"), persistence);
        // The rolling score of a few hours is nearly that of the lifetime.
        let skill = daemon.metric(&format!("forecastd_forecast_skill_ratio{{lead_h=\"{lead_h}\"}}")).unwrap();
        assert!((skill - (1.0 - model / persistence)).abs() < 0.002, "{skill}");
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
            let series = "forecastd_forecast_lifetime_mean_absolute_error_celsius";
            daemon.metric(&format!("{series}{{forecast=\"{of}\",lead_h=\"{lead_h}\"}}"))
        };
        // Forecasts are published and verified in whole centidegrees.
        let model = mae("model").unwrap();
        assert!((model - 0.375 * f64::from(lead_h)).abs() <= 0.005 + 1e-5, "lead {lead_h}: {model}");
        assert_eq!(mae("persistence"), Some(0.125 * f64::from(lead_h)));
        // Hours before 24 have no yesterday; hours 24 to 26 have one, and every lead has forecasts for them.
        assert_eq!(mae("yesterday"), Some(3.0));
        let count = daemon.metric(&format!("forecastd_forecasts_verified_total{{lead_h=\"{lead_h}\"}}"));
        assert_eq!(count, Some(f64::from(25 - lead_h)));
    }
}
