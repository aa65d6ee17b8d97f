//! Times the daemon as a whole, over a real mosquitto on this machine: start to ready, reading in to forecast out, the
//! memory of one station, and a year of readings at full speed.
//!
//! `cargo bench --bench daemon`; the year is replayed if `FORECASTD_DATA` names the folder with
//! `jena_2020_10min.csv`, and ONNX Runtime takes part if `ORT_DYLIB_PATH` names its library.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use forecastd::wire::reading as json;
use forecastd_mqtt::{Inbox, Message, Publisher, Purpose, Session, SessionEvent, SessionHandle};
use forecastd_record::Simulation;
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use jiff::{SignedDuration, Timestamp};

const PROGRAM: &str = env!("CARGO_BIN_EXE_forecastd");
const STARTS: usize = 11;
const READINGS: usize = 2000;
/// Between two readings whose way is timed.
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let library = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    for engine in ["tract", "onnxruntime"] {
        if engine == "onnxruntime" && library.is_none() {
            println!("ONNX Runtime takes part if ORT_DYLIB_PATH names its library");
            continue;
        }
        println!("{engine}");
        starts(engine);
        latency(engine).await;
        year(engine).await;
    }
}

/// The daemon as a child process.
struct Daemon {
    child: Child,
    http_port: u16,
    _folder: tempfile::TempDir,
}

impl Daemon {
    fn start(engine: &str, mosquitto: &Mosquitto) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let http_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx");
        let configuration = format!(
            "[mqtt]\nport = {}\n[http]\nlisten = \"127.0.0.1:{http_port}\"\n[site]\nlatitude_deg = 50.91\n\
             longitude_deg = 11.57\n[model]\npath = {model:?}\nengine = \
             \"{engine}\"\n[journal]\npath = {:?}\n",
            mosquitto.port(),
            folder.path().join("journal.db"),
        );
        let path = folder.path().join("forecastd.toml");
        std::fs::write(&path, configuration).unwrap();
        let child = Command::new(PROGRAM)
            .args(["run", "--config"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Daemon { child, http_port, _folder: folder }
    }

    /// Status and body.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (header, body) = answer.split_once("\r\n\r\n")?;
        Some((header.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn wait_until_ready(&self) {
        let begin = Instant::now();
        while self.get("/readyz").is_none_or(|(status, _)| status != 200) {
            assert!(begin.elapsed() < PATIENCE, "the daemon does not become ready");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The sum over the series of a metric whose labels hold `label`.
    fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, body) = self.get("/metrics").expect("metrics are served");
        let of_name = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
        };
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        body.lines().filter(of_name).filter_map(value).sum()
    }

    fn resident_mib(&self) -> f64 {
        self.metric("process_resident_memory_bytes", "") / f64::from(1 << 20)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the start of the process until `/readyz` says so: model loaded, journal open, session accepted.
fn starts(engine: &str) {
    let mosquitto = Mosquitto::start(&Options::default());
    let mut times: Vec<f64> = (0..STARTS)
        .map(|_| {
            let begin = Instant::now();
            let daemon = Daemon::start(engine, &mosquitto);
            daemon.wait_until_ready();
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "  start to ready         median {:.0} ms, slowest {:.0} ms of {STARTS}",
        times[STARTS / 2],
        times[STARTS - 1]
    );
}

async fn client(mosquitto: &Mosquitto, filter: &str) -> (Publisher, Inbox, SessionHandle) {
    let filters = vec![filter.to_owned(), "probe".to_owned()];
    let (publisher, mut inbox, handle) =
        Session::start(&mosquitto.settings("observer"), Purpose::subscribing(filters)).unwrap();
    publisher.publish(Message::new("probe", "x")).unwrap();
    while message(&mut inbox).await.0 != "probe" {}
    (publisher, inbox, handle)
}

/// Topic and payload of the next message.
async fn message(inbox: &mut Inbox) -> (String, Vec<u8>) {
    loop {
        let event = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("no message came").unwrap();
        if let SessionEvent::Message(incoming) = event {
            return (incoming.topic, incoming.payload.to_vec());
        }
    }
}

/// From publishing a reading until the forecast issued with it arrives, both over the broker.
async fn latency(engine: &str) {
    let mosquitto = Mosquitto::start(&Options::default());
    let daemon = Daemon::start(engine, &mosquitto);
    daemon.wait_until_ready();
    let (publisher, mut inbox, _session) = client(&mosquitto, "forecast/roof/temperature").await;
    let history = 600;
    let begin = Timestamp::now() - SignedDuration::from_secs(600 * (history + READINGS as i64));
    let begin = Timestamp::from_second(begin.as_second() / 600 * 600).unwrap();
    let mut rows = Simulation::new(begin, 1);
    for _ in 0..history {
        let (time, values) = rows.next().unwrap();
        publisher
            .publish_wait(Message::new("weather/roof/reading", json::encode(time, &values)))
            .await
            .unwrap();
        message(&mut inbox).await;
    }
    let mut sent = HashMap::new();
    let mut times = Vec::new();
    for _ in 0..READINGS {
        let (time, values) = rows.next().unwrap();
        let payload = json::encode(time, &values);
        sent.insert(time, Instant::now());
        publisher.publish(Message::new("weather/roof/reading", payload)).unwrap();
        let (_, forecast) = message(&mut inbox).await;
        let forecast: serde_json::Value = serde_json::from_slice(&forecast).unwrap();
        assert_eq!(forecast["source"], "model");
        let issued_at: Timestamp = forecast["issued_at"].as_str().unwrap().parse().unwrap();
        times.push(
            sent.remove(&issued_at).expect("a forecast for each reading").elapsed().as_secs_f64() * 1e3,
        );
        tokio::time::sleep(PAUSE).await;
    }
    times.sort_by(f64::total_cmp);
    println!(
        "  reading to forecast    median {:.2} ms, p99 {:.2} ms, slowest {:.2} ms of {READINGS}",
        times[READINGS / 2],
        times[READINGS * 99 / 100],
        times[READINGS - 1]
    );
    println!("  one station resident   {:.0} MiB", daemon.resident_mib());
}

/// A year at full speed.
async fn year(engine: &str) {
    let Some(folder) = std::env::var_os("FORECASTD_DATA").map(PathBuf::from) else {
        println!("  FORECASTD_DATA does not name the folder with jena_2020_10min.csv: no year is replayed");
        return;
    };
    let csv = folder.join("jena_2020_10min.csv");
    let mosquitto = Mosquitto::start(&Options::default());
    let daemon = Daemon::start(engine, &mosquitto);
    daemon.wait_until_ready();
    let begin = Instant::now();
    let replay = Command::new(PROGRAM)
        .args([
            "replay",
            "--quiet",
            "--speed",
            "max",
            "--station",
            "jena",
            "--broker",
            &mosquitto.url(),
            "--csv",
        ])
        .arg(&csv)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(replay.success(), "the replay failed");
    let mut issued = 0.0;
    let mut taken = Instant::now();
    let mut resident_mib = 0.0_f64;
    // Over when nothing more comes.
    while taken.elapsed() < Duration::from_secs(1) {
        let now = daemon.metric("forecastd_forecasts_total", "");
        resident_mib = resident_mib.max(daemon.resident_mib());
        if now > issued {
            (issued, taken) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = |forecast: &str| {
        let labels = format!("{{forecast=\"{forecast}\",lead_h=\"24\"}}");
        daemon.metric("forecastd_forecast_mean_absolute_error_celsius", &labels)
    };
    println!(
        "  year of 2020           {issued} forecasts in {:.1} s, at most {resident_mib:.0} MiB; 24 h ahead MAE {:.3} °C, \
         persistence {:.3} °C",
        (taken - begin).as_secs_f64(),
        error("model"),
        error("persistence"),
    );
}
