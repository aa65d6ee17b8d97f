//! What the program does today, recorded: three days of one station through the real daemon, `inspect` and `evaluate` on
//! the shipped model, and the trainer's file.
//!
//! These are no requirements. A snapshot that changes is a change that somebody outside can see: it is meant and then
//! reviewed (`cargo insta review`, or `INSTA_UPDATE=always`), or it is a mistake. Whatever the clock, the machine or the
//! version decides is left out.
//!
//! What `evaluate` says of the real records is ignored where nobody asks for it: see `forecastd_testkit::needed`.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use forecastd_core::Quantity;
use forecastd_testkit::artefact;
use forecastd_testkit::client::{Client, at};
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::needed;
use forecastd_testkit::patience::until;
use rusqlite::types::Value as Cell;
use sha2::{Digest, Sha256};
use support::installation::{Daemon, Installation};

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

/// Minutes.
const STEP: i64 = 10;
const DAY: i64 = 1440;

/// Compares with the snapshot of that name.
fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

// --- An invented station -------------------------------------------------------------------------------------------

/// The weather so many minutes after the start: key and value, to the hundredth.
fn weather(minute: i64) -> [(&'static str, f64); 4] {
    let wave =
        |period_min: f64, phase: f64| (std::f64::consts::TAU * (minute as f64 / period_min + phase)).sin();
    let (day, front, gust) = (wave(1440.0, -0.375), wave(5200.0, 0.1), wave(47.0, 0.0));
    [
        ("air_temperature_c", 8.0 + 5.0 * day - 2.0 * front + 0.15 * gust),
        ("air_pressure_hpa", 1005.0 + 7.0 * front + 0.2 * wave(230.0, 0.3)),
        ("relative_humidity_pct", 70.0 - 18.0 * day + 0.5 * gust),
        ("wind_speed_m_s", 2.5 + 1.2 * day + 0.4 * gust),
    ]
    .map(|(key, value)| (key, (value * 100.0).round() / 100.0))
}

/// The payload of a reading of `minute`, with some values replaced.
fn payload(minute: i64, replaced: &[(&str, f64)]) -> String {
    let mut payload = format!("{{\"time\":\"{}\"", at(minute));
    for (key, value) in weather(minute) {
        let other = replaced.iter().find(|(name, _)| *name == key);
        write!(payload, ",\"{key}\":{}", other.map_or(value, |(_, other)| *other)).unwrap();
    }
    payload + "}"
}

/// What is sent beside or instead of a reading every ten minutes.
enum Special {
    /// This instead of the reading of the minute, for which a forecast follows all the same.
    Instead(String),
    /// Nothing in this minute.
    Silence,
    /// After the reading of the minute, a message to a topic that no forecast follows.
    Besides(&'static str, Vec<u8>),
    /// After the reading of the minute, a reading of another one, for which a forecast follows.
    And(i64),
}

fn specials() -> BTreeMap<i64, Vec<Special>> {
    use Special::{And, Besides, Instead, Silence};
    let besides = |payload: &str| Besides(READING, payload.as_bytes().to_vec());
    let sentinel = -9999.0;
    let mut specials: BTreeMap<i64, Vec<Special>> = [
        // A reading that comes half an hour late, and one that comes twice.
        (1450, vec![Silence]),
        (1480, vec![besides(&payload(1450, &[]))]),
        (1500, vec![besides(&payload(1500, &[]))]),
        // A quantity that the first message of the time did not have, and the model does not use.
        (1520, vec![besides(&format!("{{\"time\":\"{}\",\"wind_gust_m_s\":5.25}}", at(1520)))]),
        // One value that cannot be, all values that cannot be, and a leap.
        (1600, vec![Instead(payload(1600, &[("air_temperature_c", sentinel)]))]),
        (1650, vec![besides(&format!("{{\"time\":\"{}\",\"air_temperature_c\":-9999}}", at(1655)))]),
        (1700, vec![Instead(payload(1700, &[("air_temperature_c", 48.5)]))]),
        // What is no reading.
        (
            1800,
            vec![
                besides(""),
                besides("temperature=3"),
                besides("[]"),
                Besides(READING, b"\xff\xfe".to_vec()),
                besides("{\"air_temperature_c\":3}"),
                besides("{\"time\":\"yesterday\",\"air_temperature_c\":3}"),
                besides(&format!("{{\"time\":\"{}\",\"battery\":3}}", at(1805))),
            ],
        ),
        // One value that cannot be read beside good ones.
        (
            1850,
            vec![besides(&format!(
                "{{\"time\":\"{}\",\"air_temperature_c\":3,\"wind_speed_m_s\":\"unavailable\"}}",
                at(1855)
            ))],
        ),
        // A name that no station can have.
        (
            1900,
            vec![Besides(
                "weather/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/reading",
                payload(1900, &[]).into_bytes(),
            )],
        ),
        // Of the future, from before anything that is kept, from a clock that is not set.
        (
            1950,
            vec![
                besides("{\"time\":\"2100-01-01T00:00:00Z\",\"air_temperature_c\":3}"),
                besides(&format!("{{\"time\":\"{}\",\"air_temperature_c\":3}}", at(-20 * DAY))),
                besides("{\"time\":0,\"air_temperature_c\":3}"),
            ],
        ),
        // Another reading within ten minutes.
        (2000, vec![And(2005)]),
        // Numbers in strings, nulls, unknown keys, seconds since 1970.
        (
            2200,
            vec![Instead(format!(
                "{{\"time\":{},\"air_temperature_c\":\"7.5\",\"air_pressure_hpa\":1003.21,\"dew_point_c\":null,\
                 \"battery\":{{\"ok\":true}}}}",
                at(2200).as_second()
            ))],
        ),
    ]
    .into();
    // A hole of four hours, longer than is filled.
    for minute in (2510..2740).step_by(STEP as usize) {
        specials.insert(minute, vec![Silence]);
    }
    specials
}

/// A subscriber that keeps all messages, and publishes in order.
struct Home {
    client: Client,
    messages: Vec<(String, String)>,
}

impl Home {
    async fn connect(mosquitto: &Mosquitto) -> Home {
        Home { client: Client::connect(mosquitto, "home", &["forecast/#"]).await, messages: Vec::new() }
    }

    /// Keeps messages until one on `topic` holds `part`.
    async fn until(&mut self, topic: &str, part: &str) {
        loop {
            let incoming = self.client.message().await;
            let payload = String::from_utf8(incoming.payload.to_vec()).unwrap();
            let is_wanted = incoming.topic == topic && payload.contains(part);
            self.messages.push((incoming.topic, payload));
            if is_wanted {
                return;
            }
        }
    }

    /// Publishes a reading of `minute` and waits for its forecast.
    async fn read(&mut self, minute: i64, payload: String) {
        self.client.publish(READING, payload).await;
        self.until(FORECAST, &format!("\"issued_at\":\"{}\"", at(minute))).await;
    }

    /// Sends the readings of `minutes` with what is special about them.
    async fn live_through(
        &mut self,
        minutes: std::ops::RangeInclusive<i64>,
        specials: &BTreeMap<i64, Vec<Special>>,
    ) {
        for minute in minutes.step_by(STEP as usize) {
            let special = specials.get(&minute).map_or(&[][..], Vec::as_slice);
            match special.first() {
                Some(Special::Silence) => {}
                Some(Special::Instead(payload)) => self.read(minute, payload.clone()).await,
                _ => self.read(minute, payload(minute, &[])).await,
            }
            for special in special {
                match special {
                    Special::Besides(topic, payload) => self.client.publish(topic, payload.clone()).await,
                    Special::And(minute) => self.read(*minute, payload(*minute, &[])).await,
                    Special::Instead(_) | Special::Silence => {}
                }
            }
        }
    }

    /// The payloads on a topic, in order.
    fn of(&self, topic: &str) -> Vec<&str> {
        self.messages.iter().filter(|(own, _)| own == topic).map(|(_, payload)| payload.as_str()).collect()
    }
}

/// Waits until everything is written and acknowledged, of a daemon that has issued so many forecasts.
async fn settle(daemon: &Daemon, forecasts: usize) {
    let sum = |name: &str, left_out: &str| -> u64 {
        let counts = daemon.counts(name).into_iter().filter(|(labels, _)| !labels.contains(left_out));
        counts.map(|(_, count)| count).sum()
    };
    // A forecast is counted after it was handed in, and so may be seen before.
    let issued = || sum("forecastd_forecasts_total", "nothing") == forecasts as u64;
    until(|| format!("{forecasts} forecasts"), || issued().then_some(())).await;
    let readings = sum("forecastd_readings_taken_total", "unchanged");
    let entries = (readings + forecasts as u64) as f64;
    let written = || daemon.metric("forecastd_journal_entries_written_total").unwrap();
    until(|| format!("{entries} entries; {}", written()), || (written() >= entries).then_some(())).await;
    // What else may be written is none of this: it must only be over.
    let mut before = written();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = written();
        if now == before {
            break;
        }
        before = now;
    }
    daemon.reaches("forecastd_mqtt_messages_in_flight", 0.0).await;
}

// --- What is recorded ----------------------------------------------------------------------------------------------

/// Every topic with the number of its messages, and what the broker keeps for it.
async fn topics(mosquitto: &Mosquitto, home: &Home) -> String {
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
fn payloads(home: &Home) -> String {
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
fn journal(path: &Path) -> String {
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

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A scrape without what clock, machine and version decide: names, help, types, labels, and all other values.
fn redacted(scrape: &str) -> String {
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
fn scores(scrape: &str) -> String {
    let names = [
        "forecastd_forecasts_verified_total",
        "forecastd_forecast_mean_absolute_error_celsius",
        "forecastd_forecast_skill_ratio",
    ];
    let lines = scrape.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
    lines.map(|line| format!("{line}\n")).collect()
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

// --- The command line ----------------------------------------------------------------------------------------------

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

// --- The trainer ---------------------------------------------------------------------------------------------------

#[cfg(feature = "train")]
mod trainer {
    use super::*;
    use forecastd::wire::reading as json;
    use forecastd_model::Artefact;
    use forecastd_record::Simulation;

    /// Four months of the simulated station, every hour, in forecastd's own format.
    fn simulated(folder: &Path) -> PathBuf {
        let keys = [
            "air_temperature_c",
            "air_pressure_hpa",
            "relative_humidity_pct",
            "dew_point_c",
            "wind_speed_m_s",
        ];
        let mut text = format!("time,{}\n", keys.join(","));
        for (time, values) in Simulation::new(at(0), 7).step_by(6).take(3000) {
            let reading: serde_json::Value = serde_json::from_str(&json::encode(time, &values)).unwrap();
            let cells: Vec<String> = keys.iter().map(|&key| reading[key].to_string()).collect();
            writeln!(text, "{time},{}", cells.join(",")).unwrap();
        }
        let path = folder.join("simulated.csv");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The instruction set that the trainer's kernels choose, on which the last digit of a sum depends.
    fn instruction_set() -> &'static str {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return "x86_64_avx512f";
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return "x86_64_avx2_fma";
            }
        }
        std::env::consts::ARCH
    }

    /// Two runs give the same file; and where a hash was recorded for this instruction set, it is the one of today.
    #[test]
    fn the_trainers_file_is_as_recorded_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let csv = simulated(folder.path());
        let train = |out: &str| {
            let out = folder.path().join(out);
            let paths = [csv.to_str().unwrap(), out.to_str().unwrap()];
            let place = ["--latitude", "50.91", "--longitude", "11.57"];
            let size =
                ["--epochs", "1", "--steps", "8", "--batch", "32", "--seed", "5", "--refit", "validation"];
            let arguments = [
                &[
                    "train",
                    "--csv",
                    paths[0],
                    "--out",
                    paths[1],
                    "--experiment",
                    "station-pair",
                    "--name",
                    "same",
                ][..],
                &["--ship-anyway", "--quiet"],
                &place,
                &size,
            ];
            let said = said(&arguments.concat());
            assert!(said.starts_with("exit code 0"), "{said}");
            std::fs::read(&out).unwrap()
        };
        let file = train("first.onnx");
        assert!(file == train("second.onnx"), "two runs give two files");

        let artefact = Artefact::parse(&file).unwrap();
        let model = artefact.model();
        let graph = model.graph.as_ref().unwrap();
        let mut text = format!("{} bytes\nnodes:\n", file.len());
        for node in &graph.node {
            writeln!(text, "{} {:?} -> {:?}", node.op_type, node.input, node.output).unwrap();
        }
        text.push_str("constants:\n");
        for tensor in &graph.initializer {
            writeln!(text, "{} {:?}", tensor.name, tensor.dims).unwrap();
        }
        compare("train_graph", &text);

        let name = format!("train_sha256_{}", instruction_set());
        let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
        let is_recorded = snapshots.join(format!("characterisation__trainer__{name}.snap")).exists();
        let is_recording = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
        if is_recorded || is_recording {
            let manifest = serde_json::to_string_pretty(&artefact.manifest).unwrap();
            compare(&name, &format!("SHA-256 of the file: {}\n\nmanifest:\n{manifest}", artefact.sha256));
        } else {
            eprintln!("NOT RUN: no hash is recorded for {}; two runs were compared", instruction_set());
        }
    }
}
