//! What the program does today, recorded: three days of one station through the real daemon, `inspect` and `evaluate` on
//! the shipped model, and the trainer's file.
//!
//! These are no requirements. A snapshot that changes is a change that somebody outside can see: it is meant and then
//! reviewed (`cargo insta review`, or `INSTA_UPDATE=always`), or it is a mistake. Whatever the clock, the machine or the
//! version decides is left out.
//!
//! What `evaluate` says of the real records is ignored where nobody asks for it: see `forecastd_testkit::needed`.

#[path = "../support/mod.rs"]
mod support;

mod life;
mod recording;
#[cfg(feature = "train")]
mod trainer;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use forecastd_testkit::artefact;
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::needed;
use support::installation::Installation;

use life::{Home, settle, specials};
use recording::{journal, payloads, redacted, scores, topics};

/// Samples of the model's window, one an hour: it is complete after half a day.
const SAMPLES: usize = 13;
/// What the model adds for each hour, and how far its interval reaches.
const CHANGE_C: f32 = 0.1;
const HALF_WIDTH_C: f32 = 2.5;

const STATION: &str = "roof";
const READING: &str = "weather/roof/reading";
const FORECAST: &str = "forecast/roof/temperature";
const STATUS: &str = "forecast/roof/status";
const VERIFICATION: &str = "forecast/roof/verification";

/// Minutes from one reading to the next.
const STEP: i64 = 10;
const DAY: i64 = 1440;

/// Compares with the snapshot of that name.
fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_snapshot_path("../snapshots");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn installation(mosquitto: &Mosquitto) -> Installation {
    let model = artefact::trend_file_with_interval(SAMPLES, CHANGE_C, HALF_WIDTH_C);
    Installation::new(mosquitto.port(), &model)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_days_of_a_station_are_as_recorded() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Home::connect(&mosquitto).await;
    let installation = installation(&mosquitto);
    let mut daemon = installation.start().await;
    home.until("forecast/status", "online").await;
    home.live_through(0..=3 * DAY - STEP, &specials()).await;
    settle(&daemon, home.of(FORECAST).len()).await;
    // Counted every second.
    daemon.reaches("forecastd_stations_ready", 1.0).await;

    let scrape = daemon.scrape();
    let mut http = String::new();
    for path in ["/healthz", "/readyz", "/elsewhere"] {
        let (status, body) = daemon.get(path);
        writeln!(http, "{path}: {status}\n{body}").unwrap();
    }
    daemon.signal("TERM");
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0));
    home.until("forecast/status", "offline").await;

    compare("topics", &topics(&mosquitto, &home).await);
    compare("payloads", &payloads(&home));
    compare("journal", &journal(&installation.journal_path()));
    compare("metrics", &redacted(&scrape));
    compare("http", &http);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_restart_is_as_recorded() {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut home = Home::connect(&mosquitto).await;
    let installation = installation(&mosquitto);
    let mut daemon = installation.start().await;
    let nothing_special = BTreeMap::new();
    let restart_at = 2 * DAY + 720;
    home.live_through(0..=restart_at, &nothing_special).await;
    settle(&daemon, home.of(FORECAST).len()).await;
    let mut text = format!("scores before the restart:\n{}\n", scores(&daemon.scrape()));
    writeln!(text, "verification:\n{}\n", home.of(VERIFICATION).last().unwrap()).unwrap();
    daemon.signal("TERM");
    daemon.ended().await;
    home.until("forecast/status", "offline").await;

    let daemon = installation.start().await;
    home.until("forecast/status", "online").await;
    let before = home.messages.len();
    writeln!(text, "scores after the start:\n{}", scores(&daemon.scrape())).unwrap();
    let series = ["forecastd_last_reading_timestamp_seconds", "forecastd_air_temperature_celsius"];
    for series in series.map(|name| format!("{name}{{station=\"{STATION}\"}}")) {
        writeln!(text, "{series} {:?}", daemon.metric(&series)).unwrap();
    }
    home.live_through(restart_at + STEP..=restart_at + 60, &nothing_special).await;
    let after = Home { client: home.client, messages: home.messages.split_off(before) };
    settle(&daemon, after.of(FORECAST).len()).await;
    writeln!(text, "\nmessages after the start, of an hour:").unwrap();
    for topic in [FORECAST, STATUS, VERIFICATION] {
        writeln!(text, "{topic}: {}", after.of(topic).len()).unwrap();
    }
    writeln!(text, "\nscores an hour later:\n{}", scores(&daemon.scrape())).unwrap();
    writeln!(text, "verification:\n{}", after.of(VERIFICATION).last().unwrap()).unwrap();
    compare("restart", &text);
}

/// What the program says, with its exit code.
fn said(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_forecastd"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let mut said = format!("exit code {}\n\n{}", output.status.code().unwrap(), text(output.stdout));
    if !output.stderr.is_empty() {
        write!(said, "\nstandard error:\n{}", text(output.stderr)).unwrap();
    }
    said
}

#[test]
fn what_inspect_says_of_the_shipped_model_is_as_recorded() {
    compare("inspect", &said(&["inspect", "models/jena.onnx"]));
}

/// The figures are those of tract. They have three digits, so that another instruction set changes hardly any.
fn evaluated(name: &str, file: &str) {
    let path = needed::record(file);
    let arguments =
        ["evaluate", "--model", "models/jena.onnx", "--engine", "tract", "--csv", path.to_str().unwrap()];
    compare(name, &said(&arguments));
}

#[test]
#[ignore = "needs the real records: FORECASTD_DATA"]
fn the_scores_of_the_shipped_model_on_its_test_part_are_as_recorded() {
    evaluated("evaluate_hourly", "jena_2009_2016_hourly.csv");
}

#[test]
#[ignore = "needs the real records: FORECASTD_DATA"]
fn the_scores_of_the_shipped_model_on_2020_are_as_recorded() {
    evaluated("evaluate_2020", "jena_2020_10min.csv");
}
