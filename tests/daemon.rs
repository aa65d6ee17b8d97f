//! The daemon as its neighbours see it: the real program between a real mosquitto and an HTTP client.
//!
//! The model says `newest temperature + change · lead`, so that every number here can be worked out by hand.

mod support;

use serde_json::{Value, json};
use support::artefact;
use support::client::{Client, at};
use support::installation::Installation;
use support::mosquitto::{Mosquitto, Options};

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
    let forecasts = daemon.counts("forecastd_forecasts_total");
    assert_eq!(forecasts, [("source=\"model\"".to_owned(), 1), ("source=\"persistence\"".to_owned(), 2)]);
    let series = "forecastd_forecast_temperature_celsius{lead_h=\"6\",station=\"roof\"}";
    assert_eq!(daemon.metric(series), Some(12.25));

    // Who comes later finds the newest of everything.
    let kept = Client::retained(&mosquitto, "later", "forecast/roof/temperature").await;
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), forecast);
    let kept = Client::retained(&mosquitto, "later-still", "forecast/roof/status").await;
    let expected = json!({
        "station": "roof", "state": "ready", "newest_reading": "2020-01-01T02:00:00Z", "model": model,
    });
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), expected);
}
