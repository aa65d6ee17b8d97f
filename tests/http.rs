//! The HTTP server as Prometheus, a load balancer and a stranger see it.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forecastd::http::{self, Limits, Live, Providers};
use forecastd::operations::health::Health;
use forecastd::operations::metrics::Metrics;
use forecastd_core::Implausible;
use forecastd_core::Inserted;
use forecastd_core::Quantity;
use forecastd_core::StationName;
use forecastd_core::{Dropped, Forecast, LeadForecast, Score, Scores, Source};
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
    task: JoinHandle<()>,
}

/// Status, header in lower case, body.
type Answer = (u16, String, String);

async fn start() -> Running {
    start_within(Limits::default()).await
}

async fn start_within(limits: Limits) -> Running {
    // Nobody owns stations here: whoever asks for them is told that the daemon is starting or ending.
    let (questions, _) = http::questions();
    start_asking(limits, questions).await
}

async fn start_asking(limits: Limits, questions: http::Questions) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let metrics = Arc::new(Metrics::new());
    let health = Arc::new(Health::new());
    let providers = Providers {
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        questions,
        live: Live::default().listening(),
        journal: None,
    };
    let task = tokio::spawn(http::serve(listener, providers, limits, async {
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
    let (quantity, reason) = (Quantity::WindSpeed, Implausible::OutOfRange);
    metrics.value_dropped(&Dropped { quantity, value: -9999.0, reason });
    metrics.stations(1, 1, 0, SignedDuration::from_secs(60));
    metrics.station_reading(&station, issued_at, Some(-0.5));
    metrics.station_missing(&station, 0);
    let lead = |lead_h: u32| LeadForecast {
        lead_h,
        valid_at: issued_at + SignedDuration::from_hours(i64::from(lead_h)),
        temperature_c: 3.0,
        interval_c: None,
        quantiles_c: None,
    };
    let forecast = Forecast {
        station,
        issued_at,
        origin: issued_at,
        temperature_c: -0.5,
        model: "test".to_owned(),
        source: Source::Model,
        leads: (1..=24).map(lead).collect(),
        day_ahead: None,
    };
    metrics.station_forecast(&forecast);
    metrics.forecast_issued(&forecast, Some(Duration::from_millis(1)));
    metrics.inference(1, Duration::from_micros(200));
    let mut scores = Scores::default();
    for lead_h in 1..=24 {
        let score = Score {
            lead_h,
            valid_at: issued_at,
            observed_c: 1.0,
            model_c: 2.0,
            within_interval: None,
            persistence_c: 5.0,
            yesterday_c: Some(3.0),
        };
        scores.add(&score);
        metrics.scored(&score, &scores.lead(lead_h));
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
    for path in ["/", "/page/main.js", "/api/v1/stations"] {
        assert_eq!(server.request("POST", path).await.0, 405, "{path}");
    }
    let (status, header, body) = server.request("GET", "/api/v1/stations").await;
    assert!(status == 503 && header.contains("retry-after: 10"), "{header}");
    assert!(body.contains("the daemon is starting or ending"), "{body}");
    assert_eq!(server.request("GET", "/api/v1/elsewhere").await.0, 404);
    assert_eq!(server.request("GET", "/favicon.ico").await.0, 404);
    assert_eq!(server.request("GET", "/metrics/../etc/passwd").await.0, 404);
}

#[tokio::test]
async fn the_server_ends_when_told_and_frees_its_port() {
    let server = start().await;
    assert_eq!(server.request("GET", "/healthz").await.0, 200);
    server.stop.send(()).unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), server.task).await;
    end.expect("ended in time").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_browser_is_told_what_it_may_do_and_asks_for_a_file_that_it_has_in_vain() {
    let server = start().await;
    let mut tags = Vec::new();
    for path in ["/", "/?station=roof", "/page/main.js", "/page/style.css", "/page/icon.svg"] {
        let (status, header, body) = server.request("GET", path).await;
        assert!(status == 200 && !body.is_empty(), "{path}");
        assert!(
            header.contains("content-security-policy: default-src 'none'; script-src 'self'"),
            "{header}"
        );
        assert!(!header.contains("unsafe"), "{header}");
        assert!(header.contains("x-content-type-options: nosniff"), "{header}");
        assert!(header.contains("cache-control: no-cache"), "{header}");
        let tag = header.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        tags.push(tag.to_owned());
    }
    tags.dedup();
    let [tag] = &tags[..] else { panic!("files of one version: {tags:?}") };
    // The header was read in lower case.
    let tag = tag.replacen("w/", "W/", 1);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET /page/main.js HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 304") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(server.request("GET", "/metrics").await.1.contains("x-content-type-options: nosniff"));
}

/// Limits of an hour, of which a test shortens the one it is about.
fn patient() -> Limits {
    let hour = Duration::from_secs(3600);
    Limits { connections: 64, head: hour, response: hour, write: hour, shutdown: hour }
}

/// Reads until the server closes the connection; the clock is paused, so that this takes no time.
async fn closed(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    let day = Duration::from_secs(86_400);
    // A connection that is cut off may end in an error; it has ended all the same.
    let _ = tokio::time::timeout(day, stream.read_to_end(&mut rest))
        .await
        .expect("the server closes the connection");
    String::from_utf8(rest).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_its_header_drop_by_drop_is_cut_off() {
    let head = Duration::from_secs(10);
    let server = start_within(Limits { head, ..patient() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let (mut read, mut write) = stream.split();
    let drops = async {
        let _ = write.write_all(b"GET /healthz HTTP/1.1\r\n").await;
        while write.write_all(b"X-Drop: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    };
    let mut rest = Vec::new();
    let end = async {
        let _ = read.read_to_end(&mut rest).await;
    };
    let begin = tokio::time::Instant::now();
    tokio::select! { () = drops => {}, () = end => {} }
    assert!(begin.elapsed() < Duration::from_secs(60), "still open after {:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_before_its_first_request_and_after_it() {
    let server = start_within(Limits { head: Duration::from_secs(10), ..patient() }).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(closed(silent).await, "");
    let mut once = TcpStream::connect(server.address).await.unwrap();
    once.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = closed(once).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answer_is_cut_off() {
    let server = start_within(Limits { write: Duration::from_secs(10), ..patient() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    // Answers fill the buffers of both sides, then the server takes no more requests, and then it gives up.
    let ask = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    let day = Duration::from_secs(86_400);
    tokio::time::timeout(day, ask).await.expect("the server closes the connection");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_long_and_one_of_too_many_fields_are_refused() {
    let server = start_within(patient()).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(64 << 10));
    let many: String = (0..200).map(|index| format!("X-{index}: 1\r\n")).collect();
    for fields in [long, many] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        // The server need not have read all of it when it answers.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 431");
    }
}

/// Routes read no body, so that one that never comes costs nothing.
#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_holds_up_neither_the_answer_nor_the_end() {
    let server = start_within(patient()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx")
        .await
        .unwrap();
    let answer = closed(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_bound_wait_until_one_of_those_that_are_served_ends() {
    // Kept, and never answered.
    let (questions, mut asked) = http::questions();
    let server = start_asking(Limits { connections: 2, ..patient() }, questions).await;
    let request = b"GET /api/v1/stations HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (mut first, mut second) = (
        TcpStream::connect(server.address).await.unwrap(),
        TcpStream::connect(server.address).await.unwrap(),
    );
    first.write_all(request).await.unwrap();
    second.write_all(request).await.unwrap();
    let _both = (asked.recv().await.unwrap(), asked.recv().await.unwrap());
    let third = server.request("GET", "/healthz");
    tokio::pin!(third);
    let minutes = Duration::from_secs(30 * 60);
    assert!(tokio::time::timeout(minutes, &mut third).await.is_err(), "more connections than the bound");
    drop(first);
    assert_eq!(third.await.0, 200);
    drop(second);
}

/// Sixty-four of them kept the page and the metrics from everybody for ten seconds, and again and again.
#[tokio::test]
async fn a_neighbour_who_sends_half_of_many_heads_keeps_nobody_out() {
    let server = start_within(patient()).await;
    let mut neighbours = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow").await.unwrap();
        neighbours.push(stream);
    }
    // Nothing of theirs ends by itself within an hour.
    for path in ["/healthz", "/metrics", "/"] {
        assert_eq!(server.request("GET", path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn clients_between_two_requests_make_room_for_one_who_asks() {
    let server = start_within(Limits { connections: 4, ..patient() }).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "answered");
        }
        idle.push(stream);
    }
    assert_eq!(server.request("GET", "/healthz").await.0, 200);
}

#[tokio::test]
async fn who_asks_at_the_root_of_the_api_is_told_its_endpoints() {
    let server = start().await;
    for path in ["/api/v1", "/api/v1/"] {
        let (status, header, body) = server.request("GET", path).await;
        assert_eq!(status, 200, "{path}");
        assert!(header.contains("content-type: application/json"), "{header}");
        let index: serde_json::Value = serde_json::from_str(&body).unwrap();
        let description = server.request("GET", index["description"].as_str().unwrap()).await.2;
        let description: serde_json::Value = serde_json::from_str(&description).unwrap();
        let endpoints = index["endpoints"].as_object().unwrap();
        assert_eq!(endpoints.len(), description["paths"].as_object().unwrap().len());
        for (endpoint, summary) in endpoints {
            assert!(summary.as_str().is_some_and(|summary| !summary.is_empty()), "{endpoint}");
            // Nobody owns stations here; what is no route is 404 at once.
            if !endpoint.contains('{') {
                assert_ne!(server.request("GET", endpoint).await.0, 404, "{endpoint}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_gzip_gets_the_same_in_fewer_bytes() {
    let server = start().await;
    populate(&server.metrics);
    for path in ["/page/main.js", "/page/style.css", "/metrics", "/api/v1/openapi.json"] {
        let (_, plain_header, plain) = server.request("GET", path).await;
        assert!(plain_header.contains("vary: accept-encoding"), "{plain_header}");
        assert!(!plain_header.contains("content-encoding"), "{plain_header}");
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let header = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        assert!(header.contains("content-encoding: gzip"), "{header}");
        let length: usize =
            header.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        assert_eq!(length, answer.len() - end, "{path}");
        assert!(length < plain.len(), "{path}: {length} of {}", plain.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&answer[end..]).read_to_string(&mut text).unwrap();
        if path != "/metrics" {
            assert_eq!(text, plain, "{path}");
        }
        assert!(text.len() >= plain.len() / 2, "{path}");
    }
    // Too short to be worth it.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request =
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nok\n") && !answer.contains("gzip"), "{answer}");
}

#[tokio::test]
async fn numbers_in_metrics_have_the_digits_that_were_measured() {
    let server = start().await;
    let station = StationName::new("roof").unwrap();
    server.metrics.station_reading(&station, Timestamp::UNIX_EPOCH, Some(12.3));
    let (_, _, body) = server.request("GET", "/metrics").await;
    assert!(body.lines().any(|line| line.ends_with("{station=\"roof\"} 12.3")), "{body}");
}

/// Eight hundred idle connections stayed for ever, and each held a descriptor.
#[tokio::test(start_paused = true)]
async fn many_idle_connections_keep_nobody_out_for_longer_than_the_limit() {
    let server = start_within(Limits { head: Duration::from_secs(10), ..Limits::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let begin = tokio::time::Instant::now();
    assert_eq!(server.request("GET", "/healthz").await.0, 200);
    // 200 connections are four rounds of 64.
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_does_not_hold_up_the_end() {
    let server = start_within(Limits { shutdown: Duration::from_secs(1), ..patient() }).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    idle.read_exact(&mut status).await.unwrap();
    server.stop.send(()).unwrap();
    let minute = Duration::from_secs(60);
    tokio::time::timeout(minute, server.task).await.expect("ended in time").unwrap();
    closed(slow).await;
    closed(idle).await;
}
