//! A real Prometheus with the shipped configuration scrapes a real daemon: the rules load and work, and every panel of the
//! shipped dashboards has something to show.

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use forecastd_testkit::client::Client;
use forecastd_testkit::mosquitto::{Mosquitto, Options, find};
use forecastd_testkit::patience::{PATIENCE, until};
use serde_json::Value;
use support::installation::{Daemon, Installation};
use tempfile::TempDir;

const HOUR: i64 = 60;

/// Queries of the dashboards that may have no answer, by panel and query, and why.
const MAY_BE_EMPTY: [(&str, &str, &str); 5] = [
    ("Alerts", "A", "nothing fires while all is well"),
    ("Most still missing", "A", "empty when every window is complete"),
    ("Observed, and what was forecast a day before", "B", "offset 24h: the test is not a day old"),
    ("Observed, and what was forecast a day before", "C", "offset 24h"),
    ("Observed, and what was forecast a day before", "D", "offset 24h"),
];

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// Prometheus with the shipped configuration, that looks every second. It ends with this value.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    async fn start(target: &str) -> Prometheus {
        let folder = TempDir::new().unwrap();
        let configuration = std::fs::read_to_string(shipped("prometheus.yml")).unwrap();
        assert!(configuration.contains("forecastd:9752") && configuration.contains("15s"));
        let configuration = configuration.replace("forecastd:9752", target).replace("15s", "1s");
        std::fs::write(folder.path().join("prometheus.yml"), configuration).unwrap();
        std::fs::copy(shipped("alerts.yml"), folder.path().join("alerts.yml")).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new(find("prometheus"))
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Prometheus { child, port, _folder: folder };
        let is_ready = || prometheus.get("/-/ready").is_some_and(|answer| answer.contains(" 200 "));
        until(|| "Prometheus that is ready".to_owned(), || is_ready().then_some(())).await;
        prometheus
    }

    /// A whole HTTP answer; `None` while nobody listens.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The `data` of an answer of the HTTP API.
    fn api(&self, path: &str) -> Value {
        let answer = self.get(path).expect("Prometheus answers");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!(body["status"], "success", "{path}: {body}");
        body["data"].clone()
    }

    /// The series that answer a query now, by labels and value.
    fn query(&self, query: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.api(&format!("/api/v1/query?query={encoded}"));
        let series = data["result"].as_array().unwrap().iter().map(|series| {
            let labels = serde_json::from_value(series["metric"].clone()).unwrap();
            (labels, series["value"][1].as_str().unwrap().parse().unwrap())
        });
        series.collect()
    }

    /// Waits until a query is answered with one series of this value.
    async fn reaches(&self, query: &str, value: f64) {
        let answer = || self.query(query);
        let is_it = || matches!(answer().as_slice(), [(_, found)] if *found == value);
        until(|| format!("{query} = {value}; it is {:?}", answer()), || is_it().then_some(())).await;
    }

    /// Waits until it has looked so many times more.
    async fn looks(&self, times: u64) {
        let count =
            || self.query("count_over_time(up{job=\"forecastd\"}[1h])").first().map_or(0.0, |(_, n)| *n);
        let wanted = count() + times as f64;
        until(|| format!("{wanted} looks; there were {}", count()), || (count() >= wanted).then_some(()))
            .await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon with the shipped model, and a station that has sent readings for a day and a half.
async fn observed(mosquitto: &Mosquitto) -> (Daemon, Client) {
    let model = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx")).unwrap();
    let installation = Installation::new(mosquitto.port(), &model).set("forecast.experts", true);
    let daemon = installation.start().await;
    let home = Client::connect(mosquitto, "home", &[]).await;
    for hour in 0..36 {
        feed(&home, hour).await;
    }
    daemon.reaches("forecastd_forecasts_total{source=\"model\"}", 36.0).await;
    (daemon, home)
}

async fn feed(home: &Client, hour: i64) {
    let of_day = (hour as f64 - 9.0) / 24.0 * std::f64::consts::TAU;
    home.read("roof", hour * HOUR, 8.0 + 0.05 * hour as f64 + 5.0 * of_day.sin()).await;
}

/// Every query of a dashboard: of its panels, its annotations and its variables.
fn queries(board: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((text(&panel["title"]), text(&target["refId"]), text(&target["expr"])));
        }
    }
    for annotation in board["annotations"]["list"].as_array().unwrap() {
        found.push((text(&annotation["name"]), "annotation".to_owned(), text(&annotation["expr"])));
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        let definition = text(&variable["definition"]);
        if let Some(of) = definition.strip_prefix("label_values(").and_then(|rest| rest.split_once(',')) {
            found.push((text(&variable["name"]), "variable".to_owned(), of.0.to_owned()));
        }
    }
    found
}

/// A query as Grafana would send it.
fn filled_in(query: &str) -> String {
    let filled = query
        .replace("$station", "roof")
        .replace("$instance", ".+")
        .replace("$__rate_interval", "1m")
        // That a model is in use since, not before: the annotation looks back further than the test is old.
        .replace("offset 2m", "offset 1h");
    assert!(!filled.contains('$'), "{filled}");
    filled
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_the_dashboards_has_something_to_show() {
    let mosquitto = Mosquitto::start(&Options::default());
    let (daemon, home) = observed(&mosquitto).await;
    let prometheus = Prometheus::start(&daemon.address().to_string()).await;
    prometheus.reaches("up{job=\"forecastd\"}", 1.0).await;
    // Rates are of what happens between two looks.
    for hour in 36..40 {
        feed(&home, hour).await;
        prometheus.looks(1).await;
    }
    prometheus.reaches("sum(forecastd_forecasts_total{source=\"model\"})", 40.0).await;
    prometheus.looks(1).await;

    let mut empty = Vec::new();
    let mut answered = BTreeSet::new();
    for name in ["owner", "operator"] {
        let board = std::fs::read(shipped("grafana/dashboards").join(format!("{name}.json"))).unwrap();
        for (panel, query, expression) in queries(&serde_json::from_slice(&board).unwrap()) {
            let series = prometheus.query(&filled_in(&expression));
            let has_value = series.iter().any(|(_, value)| !value.is_nan());
            let may_be_empty = MAY_BE_EMPTY.iter().any(|(of, number, _)| (*of, *number) == (&panel, &query));
            if !has_value && !may_be_empty {
                empty.push(format!("{name}: {panel} {query}: {expression}"));
            }
            answered.insert((panel, query));
        }
    }
    assert!(empty.is_empty(), "{empty:#?}");
    assert!(answered.len() > 60, "{}", answered.len());
    for (panel, query, _) in MAY_BE_EMPTY {
        assert!(answered.contains(&(panel.to_owned(), query.to_owned())), "{panel} {query} is not there");
    }
    // The numbers are those of the daemon.
    let now_c = prometheus.query("forecastd_air_temperature_celsius{station=\"roof\"}")[0].1;
    assert_eq!(daemon.metric("forecastd_air_temperature_celsius{station=\"roof\"}"), Some(now_c));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_loads_and_an_alert_is_raised_when_the_broker_goes() {
    let mut mosquitto = Mosquitto::start(&Options::default());
    let daemon =
        Installation::new(mosquitto.port(), &forecastd_testkit::artefact::trend_file(3, 0.5)).start().await;
    let prometheus = Prometheus::start(&daemon.address().to_string()).await;
    prometheus.reaches("up{job=\"forecastd\"}", 1.0).await;
    prometheus.reaches("forecastd_mqtt_connected", 1.0).await;

    let rules = || {
        let groups = prometheus.api("/api/v1/rules");
        let rules = groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap().clone());
        rules.collect::<Vec<Value>>()
    };
    let are_good = || rules().iter().all(|rule| rule["health"] == "ok");
    until(|| format!("rules that were evaluated: {:#?}", rules()), || are_good().then_some(())).await;
    let alerts = std::fs::read_to_string(shipped("alerts.yml")).unwrap();
    let names: BTreeSet<String> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned)).collect();
    let loaded: BTreeSet<String> =
        rules().iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(loaded, names);
    let raised = || prometheus.query("ALERTS{alertname=\"ForecastdBrokerLost\"}");
    assert_eq!(raised(), [], "the broker is there");

    mosquitto.kill();
    until(|| format!("an alert: {:?}", raised()), || (!raised().is_empty()).then_some(())).await;
    let (labels, _) = raised().remove(0);
    assert_eq!((labels["alertstate"].as_str(), labels["severity"].as_str()), ("pending", "critical"));
}
