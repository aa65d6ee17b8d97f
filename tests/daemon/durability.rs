//! Ends, clean and not, and what the next start knows.

use super::*;

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
        let series = "forecastd_forecast_lifetime_mean_absolute_error_celsius";
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
    daemon.says(&["ERROR", "journal is damaged", "journal.corrupt"]).await;
    home.read("roof", 0, 10.0).await;
    home.forecast("roof", 0).await;
    // A reading, a forecast and the state of the station at the least.
    let written = || daemon.metric("forecastd_journal_entries_written_total").unwrap();
    until(|| "three entries".to_owned(), || (written() >= 3.0).then_some(())).await;
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
    // Three readings, three forecasts and the state of the station at the least.
    let waiting = || daemon.metric("forecastd_journal_entries_waiting").unwrap();
    until(|| "seven entries".to_owned(), || (waiting() >= 7.0).then_some(())).await;
}
