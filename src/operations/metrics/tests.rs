use forecastd_core::{LeadStanding, Score, Scores, Standing, StationName};

use super::*;

#[test]
fn names_follow_prometheus_practices_and_known_labels_are_there_from_the_start() {
    let metrics = Metrics::new();
    let text = metrics.encode();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(name.starts_with("forecastd_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    for reason in ["not_json", "in_future", "too_many_stations"] {
        assert!(text.contains(&format!("forecastd_readings_rejected_total{{reason=\"{reason}\"}} 0")));
    }
}

#[test]
fn every_model_in_use_is_shown_and_each_counts_once_as_put_into_use() {
    let metrics = Metrics::new();
    let model = |name, sha256| Loaded { name, sha256, engine: EngineKind::Tract };
    metrics.models_in_use(&[model("world", "aa"), model("roof", "bb")]);
    metrics.models_in_use(&[model("world", "aa"), model("roof", "cc")]);
    let text = metrics.encode();
    let shown: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("forecastd_model_info{")).collect();
    let expected =
        [r#"engine="tract",model="roof",sha256="cc"} 1"#, r#"engine="tract",model="world",sha256="aa"} 1"#];
    assert_eq!(shown, expected);
    assert!(text.contains("forecastd_model_loads_total 3\n"));
}

#[test]
fn a_scrape_shows_the_rolling_and_the_lifetime_scores_as_last_told() {
    let metrics = Metrics::new();
    let mut scores = Scores::default();
    for (model_c, persistence_c) in [(1.0, 4.0), (-3.0, 0.0)] {
        let score = Score {
            lead_h: 24,
            valid_at: Timestamp::UNIX_EPOCH,
            observed_c: 0.0,
            model_c,
            within_interval: Some(model_c > 0.0),
            persistence_c,
            yesterday_c: None,
        };
        scores.add(&score);
        metrics.scored(&score, &scores.lead(24));
    }
    let text = metrics.encode();
    for name in ["forecast_mean_absolute_error_celsius", "forecast_lifetime_mean_absolute_error_celsius"] {
        let series = format!("forecastd_{name}{{forecast=\"model\",lead_h=\"24\"}} 2\n");
        assert!(text.contains(&series), "{text}");
    }
    assert!(text.contains("forecastd_forecast_skill_ratio{lead_h=\"24\"} 0\n"));
    assert!(text.contains("forecastd_forecast_interval_coverage_ratio{lead_h=\"24\"} 0.5\n"));
    assert!(text.contains("forecastd_forecasts_verified_total{lead_h=\"24\"} 2\n"));
}

#[test]
fn the_series_of_a_station_go_with_it() {
    let metrics = Metrics::new();
    let name = StationName::new("roof").unwrap();
    metrics.station_reading(&name, Timestamp::UNIX_EPOCH, Some(1.0));
    metrics.station_missing(&name, 60);
    metrics.station_state(&name, "warming_up");
    metrics.station_state(&name, "ready");
    let extreme =
        |temperature_c| forecastd_core::Extreme { temperature_c, interval_c: (0.0, 1.0), quantiles_c: None };
    let forecast = Forecast {
        station: name.clone(),
        issued_at: Timestamp::UNIX_EPOCH,
        origin: Timestamp::UNIX_EPOCH,
        temperature_c: 1.0,
        model: "test@0".to_owned(),
        source: Source::Model,
        leads: vec![forecastd_core::LeadForecast {
            lead_h: 24,
            valid_at: Timestamp::UNIX_EPOCH,
            temperature_c: 2.0,
            interval_c: Some((1.5, 3.5)),
            quantiles_c: None,
        }],
        day_ahead: Some(forecastd_core::DayAhead {
            hours: 24,
            lowest: extreme(-4.0),
            highest: extreme(6.0),
            below: vec![forecastd_core::Below { threshold_c: 0.0, probability: 0.75 }],
        }),
    };
    metrics.station_forecast(&forecast);
    let text = metrics.encode();
    for series in [
        "station_state{state=\"ready\",station=\"roof\"} 1",
        "station_state{state=\"warming_up\",station=\"roof\"} 0",
        "forecast_interval_low_celsius{lead_h=\"24\",station=\"roof\"} 1.5",
        "forecast_interval_high_celsius{lead_h=\"24\",station=\"roof\"} 3.5",
        "forecast_lowest_celsius{station=\"roof\"} -4",
        "forecast_highest_celsius{station=\"roof\"} 6",
        "forecast_frost_probability_ratio{station=\"roof\"} 0.75",
    ] {
        assert!(text.contains(&format!("forecastd_{series}\n")), "{series}: {text}");
    }
    metrics.station_forecast(&Forecast { day_ahead: None, ..forecast });
    assert!(!metrics.encode().contains("forecastd_forecast_lowest_celsius{"));
    metrics.forget_station(&name);
    assert!(!metrics.encode().contains("station=\"roof\""));
}

#[test]
fn leads_that_another_model_does_not_have_lose_their_series() {
    let metrics = Metrics::new();
    let station = StationName::new("roof").unwrap();
    let lead = |lead_h| forecastd_core::LeadForecast {
        lead_h,
        valid_at: Timestamp::UNIX_EPOCH,
        temperature_c: 2.0,
        interval_c: Some((1.5, 3.5)),
        quantiles_c: None,
    };
    let forecast = |leads_h: &[u32]| Forecast {
        station: station.clone(),
        issued_at: Timestamp::UNIX_EPOCH,
        origin: Timestamp::UNIX_EPOCH,
        temperature_c: 1.0,
        model: "test@0".to_owned(),
        source: Source::Model,
        leads: leads_h.iter().copied().map(lead).collect(),
        day_ahead: None,
    };
    let standing = |leads_h: &[u32]| {
        let leads = leads_h.iter().map(|&lead_h| LeadStanding { lead_h, weight: 0.5, mae_c: Some(1.0) });
        Standing { name: "persistence".to_owned(), is_asleep: false, leads: leads.collect() }
    };
    let shown = |lead_h: u32| {
        let (text, label) = (metrics.encode(), format!("lead_h=\"{lead_h}\""));
        text.lines().filter(|line| line.contains(&label) && line.contains("station=\"roof\"")).count()
    };
    metrics.station_forecast(&forecast(&[1, 24]));
    metrics.station_experts(&station, &[standing(&[1, 24])]);
    // Temperature, valid time, both ends of the interval; weight and error.
    assert_eq!((shown(1), shown(24)), (6, 6));
    metrics.station_forecast(&forecast(&[1]));
    metrics.station_experts(&station, &[standing(&[1])]);
    assert_eq!((shown(1), shown(24)), (6, 0));
}
