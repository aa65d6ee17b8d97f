//! The end, while everything that the daemon waits for hangs at once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;

/// A library whose `fdatasync` and `fsync` do not return while the file named by `HANG` exists: a disk that does not
/// answer. The program finds it first, by `LD_PRELOAD`.
const HANGING_DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static int call(const char *name, int file) {
    const char *hang = getenv("HANG");
    while (hang && access(hang, F_OK) == 0) usleep(10000);
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(file);
}
int fdatasync(int file) { return call("fdatasync", file); }
int fsync(int file) { return call("fsync", file); }
"#;

fn hanging_disk(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("disk.c"), folder.join("disk.so"));
    std::fs::write(&source, HANGING_DISK).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success());
    library
}

/// The time that the unit leaves to the end before systemd kills.
fn stop_timeout() -> Duration {
    let unit = include_str!("../../systemd/forecastd.service");
    let seconds = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    Duration::from_secs(seconds.parse().unwrap())
}

/// A broker that acknowledges nothing, a disk that does not sync, an engine that stands still, a model and a specialist
/// whose files are never read to their end, and HTTP clients that neither ask nor go.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_comes_while_broker_disk_engine_models_and_clients_hang_at_once() {
    let (listener, port) = scripted_broker::listen().await;
    let installation = Installation::new(port, &artefact::trend_file(SAMPLES, 0.5));
    let (library, hang) = (hanging_disk(installation.folder()), installation.folder().join("the disk hangs"));
    let installation = installation
        .environment("LD_PRELOAD", library.display())
        .environment("HANG", hang.display())
        .set("forecast.experts", true);
    installation.write_specialist("roof.onnx", &artefact::specialist_file("roof", &["roof"], SAMPLES, 0.25));
    let mut daemon = installation.start_alone().await;
    let (mut broker, _) = scripted_broker::accept(&listener, false, &[]).await;
    broker.grant(3).await;
    daemon.answers("/readyz", 200, "ok\n").await;
    for number in 1..=3 {
        let payload = reading(i64::from(number) * HOUR, 10.0).to_string();
        broker.publish("weather/roof/reading", number, payload.as_bytes()).await;
        // Acknowledged when it is durable: until here the disk answers.
        broker.read_kind(4).await;
    }

    std::fs::write(&hang, "").unwrap();
    let engines = hostile::engines_of(daemon.id());
    assert_eq!(engines.len(), 2, "the model's and the specialist's");
    for engine in engines {
        assert!(Command::new("kill").args(["-s", "STOP", &engine.to_string()]).status().unwrap().success());
    }
    for path in [installation.model_path(), installation.specialists_path().join("other.onnx")] {
        let _ = std::fs::remove_file(&path);
        mkfifoat(CWD, &path, Mode::RUSR).unwrap();
    }
    daemon.signal("HUP");
    for number in 4..=300 {
        let payload = reading(i64::from(number) * HOUR, 10.0).to_string();
        broker.publish("weather/roof/reading", number, payload.as_bytes()).await;
    }
    let _clients: Vec<_> = (0..10).map(|_| daemon.connect()).collect();
    daemon.says(&["reload asked for"]).await;
    let received = || daemon.metric("forecastd_readings_received_total").unwrap();
    until(|| "a reading that cannot be durable".to_owned(), || (received() >= 4.0).then_some(())).await;

    let neglected = tokio::spawn(async move { broker.neglect().await });
    daemon.signal("TERM");
    let ended = tokio::time::timeout(stop_timeout(), daemon.ended()).await;
    let status = ended.expect("systemd would have killed it");
    assert_eq!(status.code(), Some(0), "{:#?}", daemon.log());
    let acknowledged = neglected.await.unwrap().iter().filter(|packet| packet.kind() == 4).count();
    assert_eq!(acknowledged, 0, "a reading that is not durable is not acknowledged");
    daemon.says(&["the journal did not end in time"]).await;
    daemon.says(&["stopped"]).await;
}

/// Readings were acknowledged from memory without a word, and without a bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_is_said_and_so_is_that_it_answers_again() {
    let mosquitto = Mosquitto::start(&Options::default());
    let home = Client::connect(&mosquitto, "home", &[]).await;
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let (library, hang) = (hanging_disk(installation.folder()), installation.folder().join("the disk hangs"));
    let installation =
        installation.environment("LD_PRELOAD", library.display()).environment("HANG", hang.display());
    let daemon = installation.start().await;
    home.publish("weather/roof/reading", reading(0, 10.0).to_string()).await;
    daemon.reaches("forecastd_journal_lag_seconds", 0.0).await;
    std::fs::write(&hang, "").unwrap();
    home.publish("weather/roof/reading", reading(HOUR, 10.0).to_string()).await;
    daemon.says(&["the disk does not answer; going on in memory"]).await;
    daemon.reaches("forecastd_journal_failures_total{reason=\"hangs\"}", 1.0).await;
    std::fs::remove_file(&hang).unwrap();
    daemon.says(&["the disk answers again"]).await;
    daemon.reaches("forecastd_journal_entries_waiting", 0.0).await;
}

/// Where a slot ends meanwhile, it is taken then: the journal holds the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_takes_what_is_merged_of_a_slot_that_is_open() {
    let mosquitto = Mosquitto::start(&Options::default());
    let home = Client::connect(&mosquitto, "home", &[]).await;
    let source = "[[source]]\ntopic = \"yard/{station}\"\nmerge = true\n\
                  [[source.value]]\nat = \"/t\"\nquantity = \"air_temperature\"\n";
    let installation = Installation::new(mosquitto.port(), &artefact::trend_file(SAMPLES, 0.5));
    let installation = installation.file(source);
    let mut daemon = installation.start().await;
    home.publish("yard/roof", r#"{"t":7.25}"#).await;
    daemon.receives(1).await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await.code(), Some(0), "{:#?}", daemon.log());
    let journal = rusqlite::Connection::open(installation.journal_path()).unwrap();
    let select = "SELECT air_temperature_c FROM reading WHERE station = 'roof'";
    let kept: f64 = journal.query_row(select, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 7.25);
}
