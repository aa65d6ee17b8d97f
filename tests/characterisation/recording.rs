//! What is recorded of a life: topics, payloads, the journal, a scrape.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use forecastd_core::Quantity;
use forecastd_testkit::client::{Client, at};
use forecastd_testkit::mosquitto::Mosquitto;
use rusqlite::types::Value as Cell;
use sha2::{Digest, Sha256};

use super::life::Home;
use super::{DAY, FORECAST, STATUS, STEP};

/// Every topic with the number of its messages, and what the broker keeps for it.
pub(super) async fn topics(mosquitto: &Mosquitto, home: &Home) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (topic, _) in &home.messages {
        *counts.entry(topic).or_default() += 1;
    }
    let mut text = String::new();
    for (number, (topic, count)) in counts.into_iter().enumerate() {
        let retained = Client::retained(mosquitto, &format!("late-{number}"), topic).await;
        // What has been verified is said once for all hours of a burst: how often depends on how fast readings come.
        let count = if topic.ends_with("/verification") { "some".to_owned() } else { count.to_string() };
        writeln!(text, "{topic}: {count} messages, retained:\n{retained}\n").unwrap();
    }
    text
}

/// Some payloads in full. Which verifications there are depends on how fast readings come; the last is retained.
pub(super) fn payloads(home: &Home) -> String {
    let mut text = String::new();
    let mut show = |what: &str, payload: &str| writeln!(text, "{what}:\n{payload}\n").unwrap();
    let forecasts = home.of(FORECAST);
    let of_minute = |minute: i64| {
        let issued_at = format!("\"issued_at\":\"{}\"", at(minute));
        *forecasts.iter().find(|payload| payload.contains(&issued_at)).unwrap()
    };
    show("the first forecast", forecasts[0]);
    show("the last of the warm-up", of_minute(710));
    show("the first of the model", of_minute(720));
    show("of a reading without temperature", of_minute(1600));
    show("of a reading whose temperature leapt", of_minute(1700));
    show("of a reading at five minutes past", of_minute(2005));
    show("of the next full ten minutes", of_minute(2010));
    show("of numbers in strings", of_minute(2200));
    show("after a hole", of_minute(2740));
    show("the last", forecasts.last().unwrap());
    for (number, status) in (1..).zip(home.of(STATUS)) {
        show(&format!("status {number}"), status);
    }
    text
}

fn cell(cell: Cell) -> String {
    match cell {
        Cell::Null => "-".to_owned(),
        Cell::Integer(integer) => integer.to_string(),
        Cell::Real(real) => real.to_string(),
        Cell::Text(text) => text,
        Cell::Blob(bytes) => format!("{bytes:02x?}"),
    }
}

/// The rows that a statement gives, with the names of their columns.
fn rows(journal: &rusqlite::Connection, statement: &str) -> (String, Vec<String>) {
    let mut statement = journal.prepare(statement).unwrap();
    let header = statement.column_names().collect::<Vec<_>>().join(" | ");
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| {
            let cells: Result<Vec<String>, _> =
                (0..columns).map(|column| row.get(column).map(cell)).collect();
            Ok(cells?.join(" | "))
        })
        .unwrap();
    (header, rows.map(Result::unwrap).collect())
}

/// What the journal holds, as the table `reading` and the view `forecast_lead` show it.
pub(super) fn journal(path: &Path) -> String {
    let journal = rusqlite::Connection::open(path).unwrap();
    let mut text = String::new();
    let mut show = |what: &str, statement: &str| {
        let (header, rows) = rows(&journal, statement);
        writeln!(text, "{what}:\n{header}\n{}\n", rows.join("\n")).unwrap();
    };
    show(
        "tables and views",
        "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name",
    );
    show("number of readings", "SELECT count(*) AS readings FROM reading");
    // The first, late, twice, with a gust afterwards, without temperature, with a leap, with a value that cannot be read,
    // at five minutes past, with numbers in strings, the last.
    let minutes = [0, 1450, 1500, 1520, 1600, 1700, 1855, 2005, 2200, 3 * DAY - STEP];
    let times = minutes.map(|minute| at(minute).as_second().to_string()).join(", ");
    show("some readings", &format!("SELECT * FROM reading WHERE time IN ({times}) ORDER BY time"));
    let by_source =
        "SELECT source, model, count(DISTINCT issued_at) AS forecasts, count(*) AS leads FROM forecast_lead
         GROUP BY source, model ORDER BY source";
    show("number of forecasts", by_source);
    for (what, minute) in [("a forecast of the warm-up", 710), ("a forecast of the model", 3 * DAY - STEP)] {
        let leads = "SELECT * FROM forecast_lead WHERE lead_h IN (1, 2, 24)";
        show(what, &format!("{leads} AND issued_at = {} ORDER BY lead_h", at(minute).as_second()));
    }
    let within_ten_minutes = format!(
        "SELECT issued_at, lead_h, valid_at, temperature_c, low_c, high_c FROM forecast_lead
         WHERE issued_at BETWEEN {} AND {} AND lead_h = 1 ORDER BY issued_at",
        at(2001).as_second(),
        at(2010).as_second()
    );
    show("forecasts of one slot of the grid", &within_ten_minutes);
    let quantities = Quantity::ALL.map(Quantity::key).join(", ");
    for (what, statement) in [
        ("readings", format!("SELECT station, time, {quantities} FROM reading ORDER BY station, time")),
        (
            "leads",
            "SELECT station, issued_at, source, model, lead_h, valid_at, temperature_c, low_c, high_c
             FROM forecast_lead ORDER BY station, issued_at, lead_h"
                .to_owned(),
        ),
    ] {
        let all = rows(&journal, &statement).1.join("\n");
        writeln!(text, "SHA-256 of all {what} as text: {}", sha256(all.as_bytes())).unwrap();
    }
    text
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A scrape without what clock, machine and version decide: names, help, types, labels, and all other values.
pub(super) fn redacted(scrape: &str) -> String {
    let durations = [
        "forecastd_forecast_delay_seconds",
        "forecastd_inference_duration_seconds",
        "forecastd_journal_commit_duration_seconds",
    ];
    let mut text = String::new();
    for line in scrape.lines() {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let of_duration = durations.iter().any(|name| series.starts_with(name));
        // How many transactions and batches there were depends on how fast disk and model are.
        let by_timing = ["forecastd_journal_commit", "forecastd_inference"];
        let is_count = series.ends_with("_count") && !by_timing.iter().any(|name| series.starts_with(name));
        let is_left_out = (of_duration && !is_count)
            || series.starts_with("process_")
            || series == "forecastd_last_forecast_timestamp_seconds"
            || series.starts_with("forecastd_journal_entries_written")
            || series.starts_with("forecastd_mqtt_messages_published")
            || series.starts_with("forecastd_mqtt_messages_acknowledged")
            // A status may be on its way again after all has settled.
            || series.starts_with("forecastd_mqtt_messages_in_flight")
            || series.starts_with("forecastd_journal_size")
            || series.starts_with("forecastd_journal_lag")
            || series.starts_with("forecastd_oldest_reading_age");
        if line.starts_with('#') {
            writeln!(text, "{line}").unwrap();
        } else if series.starts_with("forecastd_build_info") {
            writeln!(text, "forecastd_build_info{{version=\"[redacted]\"}} 1").unwrap();
        } else if is_left_out {
            writeln!(text, "{series} [redacted]").unwrap();
        } else {
            writeln!(text, "{line}").unwrap();
        }
    }
    text
}

/// The lines of a scrape that say how good the forecasts were.
pub(super) fn scores(scrape: &str) -> String {
    let names = [
        "forecastd_forecasts_verified_total",
        "forecastd_forecast_mean_absolute_error_celsius",
        "forecastd_forecast_skill_ratio",
    ];
    let lines = scrape.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
    lines.map(|line| format!("{line}\n")).collect()
}
