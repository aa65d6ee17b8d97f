//! `forecastd import` as a user runs it: killed in the middle and run again; and what a real daemon makes of a history of
//! years when it starts.

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use forecastd_core::Quantity;
use forecastd_record::Simulation;
use forecastd_testkit::artefact;
use forecastd_testkit::client::{Client, at};
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::patience::until;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use support::installation::Installation;

/// Samples of the model's window: readings must span two hours.
const SAMPLES: usize = 3;

/// A CSV file of readings every ten minutes, from so many days before `end` on, the last ten minutes before it.
fn csv(folder: &Path, name: &str, days: i64, end: Timestamp) -> PathBuf {
    let start = end - SignedDuration::from_hours(24 * days);
    let mut text = "time,air_temperature_c,air_pressure_hpa,relative_humidity_pct\n".to_owned();
    for (time, values) in Simulation::new(start, 5).take_while(|(time, _)| *time < end) {
        let [temperature, pressure, humidity] =
            [Quantity::AirTemperature, Quantity::AirPressure, Quantity::RelativeHumidity]
                .map(|quantity| values.get(quantity).unwrap());
        let _ = writeln!(text, "{time},{temperature:.2},{pressure:.2},{humidity:.1}");
    }
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// `forecastd import` for an installation and its journal, or another one.
fn import(installation: &Installation, journal: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forecastd"));
    command
        .env_clear()
        .env("FORECASTD__MODEL__PATH", installation.model_path())
        .env("FORECASTD__JOURNAL__PATH", journal)
        .arg("import")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// How many rows a table of the journal has; none before the journal is there.
fn count(journal: &Path, table: &str) -> i64 {
    let Ok(connection) = Connection::open_with_flags(journal, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
    else {
        return 0;
    };
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap_or(0)
}

/// Every reading of the journal, as text.
fn readings(journal: &Path) -> Vec<String> {
    let connection = Connection::open(journal).unwrap();
    let mut select = connection
        .prepare(
            "SELECT station || ' ' || time || ' ' || air_temperature_c || ' ' || air_pressure_hpa || ' ' ||
                 relative_humidity_pct FROM reading ORDER BY station, time",
        )
        .unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_in_the_middle_and_run_again_leaves_the_rows_of_one_that_was_not() {
    let installation = Installation::new(1, &artefact::trend_file(SAMPLES, 0.5));
    let folder = installation.folder();
    let file = csv(folder, "years.csv", 700, at(0));
    let arguments = ["csv", file.to_str().unwrap(), "--station", "roof"];
    let whole = folder.join("whole.sqlite");
    let first = said(&import(&installation, &whole, &arguments).output().unwrap());
    assert!(first.starts_with("roof: 100800 rows read, 100800 readings"), "{first}");
    assert!(first.contains(": 100800 written, 0 there already"), "{first}");
    assert!(first.contains("[station.\"roof\"]\nlatitude_deg = …"), "the place is asked for: {first}");

    let journal = installation.journal_path();
    let mut child = import(&installation, &journal, &arguments).spawn().unwrap();
    until(
        || format!("rows in the journal: {}", count(&journal, "stored_reading")),
        || (count(&journal, "stored_reading") > 0).then_some(()),
    )
    .await;
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed before its end");
    let kept = count(&journal, "stored_reading");
    assert!((1..100_800).contains(&kept) && kept % 500 == 0, "whole transactions: {kept}");

    let again = said(&import(&installation, &journal, &arguments).output().unwrap());
    assert!(again.contains(&format!(": {} written, {kept} there already", 100_800 - kept)), "{again}");
    assert!(readings(&journal) == readings(&whole));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_owes_no_forecast_for_years_that_were_imported_and_has_the_window_at_once() {
    let mosquitto = Mosquitto::start(&Options::default());
    let filters = ["forecast/+/temperature", "forecast/+/status"];
    let mut home = Client::connect(&mosquitto, "home", &filters).await;
    // The clock of this test stands at 2020.
    let installation =
        Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5)).set("stations.idle_days", 0);
    let journal = installation.journal_path();
    let recent = csv(installation.folder(), "recent.csv", 400, at(0));
    let run = |file: &Path| {
        let arguments = ["csv", file.to_str().unwrap(), "--station", "roof", "--quiet"];
        said(&import(&installation, &journal, &arguments).output().unwrap())
    };
    run(&recent);
    assert_eq!(count(&journal, "stored_reading"), 400 * 144);

    let mut daemon = installation.start().await;
    daemon.says(&["restored from the journal", "stations=1", "owed=0", "undelivered=0"]).await;
    home.read("roof", 0, 10.0).await;
    let forecast = home.forecast("roof", 0).await;
    assert_eq!(forecast["source"], "model", "the window was restored: no hour of warming up");
    assert_eq!(daemon.counts("forecastd_forecasts_total"), [("source=\"model\"".to_owned(), 1)]);
    // Older years come in beside the daemon that runs.
    let older = csv(installation.folder(), "older.csv", 300, at(0) - SignedDuration::from_hours(24 * 500));
    run(&older);
    daemon.signal("TERM");
    daemon.ended().await;
    assert_eq!(count(&journal, "stored_reading"), 700 * 144 + 1);
    assert_eq!(count(&journal, "stored_forecast"), 1);

    let mut daemon = installation.start().await;
    daemon.says(&["restored from the journal", "stations=1", "owed=0", "undelivered=0"]).await;
    home.read("roof", 10, 11.0).await;
    assert_eq!(home.forecast("roof", 10).await["source"], "model");
    assert_eq!(daemon.counts("forecastd_forecasts_total"), [("source=\"model\"".to_owned(), 1)]);
    daemon.signal("TERM");
    daemon.ended().await;
    assert_eq!(
        count(&journal, "stored_forecast"),
        2,
        "one for each live reading, and none for what was imported"
    );
}

#[test]
fn what_cannot_be_imported_is_said_in_one_line_and_nothing_is_made() {
    let installation = Installation::new(1, &artefact::trend_file(SAMPLES, 0.5));
    let journal = installation.folder().join("none/journal.sqlite");
    let file = installation.folder().join("readings.csv");
    std::fs::write(&file, "time,air_temperature_c\n2024-01-01T00:00:00Z,1\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, message) in [
        (&["csv", file, "--station", "a/b"][..], "station \"a/b\": station name holds '/'"),
        (&["csv", file], "which station is not said: --station NAME"),
        (&["csv", "none*.csv", "--station", "roof"], "none*.csv: no file fits it"),
        (&["weewx", file, "--station", "roof"], "is no SQLite database; is it a CSV file?"),
        (
            &["influx", file, "--station", "roof"],
            "which fields are which quantities is not said: --mapping FILE",
        ),
        (
            &["influx", file, "--station", "roof", "--mapping", "none.toml"],
            "mapping none.toml: No such file or directory",
        ),
        (&["influx", file, "--station", "roof", "--mapping", file], &format!("mapping {file}: line 1: ")),
    ] {
        let output = import(&installation, &journal, arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("error: ") && error.contains(message), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!journal.exists());
    }
}
