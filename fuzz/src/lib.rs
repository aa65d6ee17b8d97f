//! Everything of forecastd that decodes what strangers send: one function for each, which takes any bytes and must return.
//!
//! libFuzzer drives them through the binaries in `fuzz_targets/` (`fuzz/run TARGET SECONDS`, on stable Rust); the tests of
//! this crate run the corpora and simple mutations of them, so that what was found once stays mended.
//!
//! Panics are faults, and so are hangs and memory out of proportion, which libFuzzer's own limits find.

mod database;
#[cfg(feature = "train")]
mod training;

use std::path::{Path, PathBuf};
use std::time::Duration;

use forecastd::config::{Config, TopicTemplate};
use forecastd::wire;
use forecastd_core::StationName;
use forecastd_mapping::{Message, Source};
use forecastd_model::Artefact;
use forecastd_mqtt::{MqttSettings, News, Purpose, Session, SessionEvent, check_filter, check_topic};
use forecastd_record::{CsvMapping, CsvReader};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub use database::journal;
#[cfg(feature = "train")]
pub use training::checkpoint;

/// What stands between the parts of an input that has two.
const SEPARATOR: &[u8] = b"\n---\n";

/// A reading as it comes over MQTT. What is taken is written and taken again as the same.
pub fn payload(data: &[u8]) {
    if let Ok(wire::reading::Decoded { time, values, .. }) = wire::reading::decode(data) {
        let written = wire::reading::encode(time, &values);
        let again = wire::reading::decode(written.as_bytes());
        let again = again.ok().map(|decoded| (decoded.time, decoded.values));
        assert_eq!(again, Some((time, values)), "{written}");
    }
}

/// Sources of a configuration, and below a line of three dashes a topic and, on the lines after it, a payload.
pub fn source(data: &[u8]) {
    let (sources, message) = parts(data);
    let end = message.iter().position(|byte| *byte == b'\n').unwrap_or(message.len());
    let topic = String::from_utf8_lossy(&message[..end]).into_owned();
    let payload = &message[(end + 1).min(message.len())..];
    let arrival = Timestamp::UNIX_EPOCH;
    for source in Source::read_all(&String::from_utf8_lossy(sources)).unwrap_or_default() {
        for filter in source.filters() {
            let _ = check_filter(&filter);
        }
        if let Ok(decoded) = source.decode(&Message { topic: &topic, payload, arrival }) {
            assert!(source.has_topic(&topic) && decoded.station.is_some() && !decoded.values.is_empty());
        }
    }
}

/// A topic template of the configuration, and below it a topic that comes from the broker.
pub fn topic(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (template, topic) = text.split_once('\n').unwrap_or((&text, "weather/roof/reading"));
    let _ = (check_topic(topic), check_filter(topic));
    if let Ok(template) = template.parse::<TopicTemplate>() {
        assert!(check_filter(&template.filter()).is_ok(), "{template}");
        assert!(template.collides_with(&template));
        if let Some(station) = template.station(topic) {
            assert_eq!(template.topic(station), topic);
            let _ = StationName::new(station);
        }
    }
}

/// A mapping file, and below a line of three dashes a CSV file.
pub fn csv_mapping(data: &[u8]) {
    let (mapping, csv) = parts(data);
    let folder = folder();
    let (mapping_path, csv_path) = (folder.path().join("mapping.toml"), folder.path().join("record.csv"));
    write(&mapping_path, mapping);
    write(&csv_path, csv);
    let mapping = CsvMapping::read(&mapping_path).ok();
    for mapping in [None, mapping.as_ref()] {
        if let Ok(reader) = CsvReader::open(&csv_path, mapping) {
            // Each row is a line.
            assert!(reader.count() <= csv.len() + 1);
        }
    }
}

/// A model file: ONNX with the manifest inside.
pub fn onnx_manifest(data: &[u8]) {
    let _ = Artefact::parse(data);
}

/// A configuration file, and below a line of three dashes the environment, a variable a line.
pub fn configuration(data: &[u8]) {
    let (file, environment) = parts(data);
    let (file, environment) = (String::from_utf8_lossy(file), String::from_utf8_lossy(environment));
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    match Config::from_text(&file, Path::new("/etc/forecastd"), variables) {
        Ok(_) => {}
        Err(diagnostics) => assert!(!diagnostics.is_empty()),
    }
}

/// What a broker sends: from its first byte on, or after it has accepted session and subscription.
pub fn mqtt_packets(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime for one thread").block_on(broker(first & 1 == 1, stream));
}

/// CONNACK of MQTT 5 without properties, and SUBACK for the first packet identifier at QoS 1.
const ACCEPTED: &[u8] = b"\x20\x03\x00\x00\x00\x90\x04\x00\x01\x00\x01";

async fn broker(accepts: bool, stream: &[u8]) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let settings = MqttSettings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        client_id: "fuzz".to_owned(),
        ..MqttSettings::default()
    };
    let filters = vec!["weather/+/reading".to_owned()];
    let (_publisher, mut inbox, _handle) =
        Session::start(&settings, Purpose::subscribing(filters)).expect("good settings");
    let (mut client, _) = listener.accept().await.expect("the session connects");
    // Two short writes would wait for each other's acknowledgement.
    let _ = client.set_nodelay(true);
    let mut connect = [0; 1024];
    let _ = client.read(&mut connect).await;
    if accepts {
        let _ = client.write_all(ACCEPTED).await;
    }
    let _ = client.write_all(stream).await;
    let _ = client.shutdown().await;
    // The clock is paused: a session that waits takes no time here.
    let minutes = Duration::from_secs(600);
    let heard = async {
        while let Some(event) = inbox.recv().await {
            if matches!(event, SessionEvent::News(News::Disconnected { .. })) {
                return;
            }
        }
    };
    tokio::time::timeout(minutes, heard).await.expect("a connection that the broker has closed ends");
}

fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    at.map_or((data, &[]), |at| (&data[..at], &data[at + SEPARATOR.len()..]))
}

/// A folder in memory, where there is such a place.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    TempDir::new_in(place).expect("a folder for the time being")
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file in a new folder");
}
