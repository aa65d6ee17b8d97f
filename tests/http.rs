//! The HTTP server as Prometheus, a load balancer and a stranger see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forecastd::operations::health::Health;
use forecastd::operations::http;
use forecastd::operations::metrics::Metrics;
use forecastd_core::Implausible;
use forecastd_core::Inserted;
use forecastd_core::Quantity;
use forecastd_core::StationName;
use forecastd_core::{Forecast, LeadForecast, Score, Source};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Status, header in lower case, body.
type Answer = (u16, String, String);

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let metrics = Arc::new(Metrics::new(2));
    let health = Arc::new(Health::new());
    let task = tokio::spawn(http::serve(listener, Arc::clone(&metrics), Arc::clone(&health), async {
        let _ = stopped.await;
    }));
    Running { address, metrics, health, stop, task }
}

impl Running {
    async fn request(&self, method: &str, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (header, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = header.split(' ').nth(1).unwrap().parse().unwrap();
        (status, header.to_lowercase(), body.to_owned())
    }
}

/// Gives every metric with labels a series.
fn populate(metrics: &Metrics) {
    // A name that would break the text format if it were not escaped.
    let station = StationName::new("roof \"north\" \\ 1").unwrap();
    let issued_at = Timestamp::from_second(1_577_880_600).unwrap();
    metrics.reading_received();
    metrics.reading_taken(&Inserted::Newest(0));
    metrics.reading_rejected("not_json");
    metrics.value_dropped(Quantity::WindSpeed, Implausible::OutOfRange);
    metrics.stations(1, 1);
    assert!(metrics.admit_station(&station));
    metrics.station_reading(&station, issued_at, Some(-0.5));
    metrics.station_missing(&station, 0);
    let lead = |lead_h: u32| LeadForecast {
        lead_h,
        valid_at: issued_at + SignedDuration::from_hours(i64::from(lead_h)),
        temperature_c: 3.0,
        interval_c: None,
    };
    let forecast = Forecast {
        station,
        issued_at,
        temperature_c: -0.5,
        model: "test".to_owned(),
        source: Source::Model,
        leads: (1..=24).map(lead).collect(),
    };
    metrics.station_forecast(&forecast);
    metrics.forecast_issued(&forecast, Duration::from_millis(1));
    metrics.inference(1, Duration::from_micros(200));
    for lead_h in 1..=24 {
        metrics.scored(&Score {
            lead_h,
            valid_at: issued_at,
            observed_c: 1.0,
            model_c: 2.0,
            within_interval: None,
            persistence_c: 5.0,
            yesterday_c: Some(3.0),
        });
    }
    metrics.journal_committed(3, Duration::from_millis(2));
}

#[tokio::test]
async fn a_live_scrape_satisfies_promtool() {
    let server = start().await;
    populate(&server.metrics);
    let (status, header, body) = server.request("GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(header.contains("content-type: text/plain; version=0.0.4"), "{header}");
    assert!(body.contains("forecastd_forecast_skill_ratio{lead_h=\"24\"} 0.75\n"), "{body}");
    forecastd_testkit::promtool::check(&body);
}

#[tokio::test]
async fn readiness_says_what_is_missing_until_nothing_is() {
    let server = start().await;
    let (status, _, body) = server.request("GET", "/healthz").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    let (status, _, body) = server.request("GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "no model is loaded\nthe broker is not connected\n"));
    server.health.model_loaded();
    server.health.set_broker_connected(true);
    let (status, _, body) = server.request("GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    server.health.stopping();
    let (status, _, body) = server.request("GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "stopping\n"));
    assert_eq!(server.request("GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = start().await;
    let (status, _, body) = server.request("GET", "/").await;
    assert_eq!(status, 200);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert!(body.contains(path), "{body}");
        let (status, header, _) = server.request("POST", path).await;
        assert_eq!(status, 405, "{path}");
        assert!(header.contains("allow: get,head"), "{header}");
        let (status, _, body) = server.request("HEAD", path).await;
        assert!(matches!(status, 200 | 503) && body.is_empty(), "{path}");
    }
    assert_eq!(server.request("GET", "/favicon.ico").await.0, 404);
    assert_eq!(server.request("GET", "/metrics/../etc/passwd").await.0, 404);
}

#[tokio::test]
async fn the_server_ends_when_told_and_frees_its_port() {
    let server = start().await;
    assert_eq!(server.request("GET", "/healthz").await.0, 200);
    server.stop.send(()).unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), server.task).await;
    end.expect("ended in time").unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
