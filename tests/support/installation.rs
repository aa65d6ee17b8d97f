//! The real program as a child process, in a folder of its own with model, journal and settings.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use forecastd_atomic_file as atomic_file;
use tempfile::TempDir;

use forecastd_testkit::patience::{PATIENCE, until};

/// What is installed: a model, a place for the journal, settings. It can be started more than once.
pub struct Installation {
    folder: Arc<TempDir>,
    environment: Vec<(String, String)>,
    /// Whether there is a configuration file.
    has_file: bool,
}

impl Installation {
    /// An installation for the broker on `port` of 127.0.0.1, whose model file holds `model`.
    pub fn new(port: u16, model: &[u8]) -> Installation {
        let installation = Installation {
            folder: Arc::new(TempDir::new().unwrap()),
            environment: Vec::new(),
            has_file: false,
        };
        installation.write_model(model);
        let (model_path, journal_path) = (installation.model_path(), installation.journal_path());
        let specialists_path = installation.specialists_path();
        installation
            .set("mqtt.host", "127.0.0.1")
            .set("mqtt.port", port)
            .set("mqtt.client_id", "forecastd")
            .set("mqtt.reconnect_min_s", 0.02)
            .set("mqtt.reconnect_max_s", 0.2)
            .set("model.path", model_path.display())
            .set("model.folder", specialists_path.display())
            .set("model.engine", "tract")
            .set("model.watch_s", 0)
            .set("journal.path", journal_path.display())
            .set("site.latitude_deg", 50.91)
            .set("site.longitude_deg", 11.57)
            // What a forecast is made of is then known: the model, or the newest temperature.
            .set("forecast.experts", false)
            .set("http.listen", "127.0.0.1:0")
    }

    /// Sets a key of the configuration.
    pub fn set(self, key: &str, value: impl Display) -> Installation {
        let name = format!("FORECASTD__{}", key.replace('.', "__").to_uppercase());
        self.environment(&name, value)
    }

    /// Gives it a configuration file.
    pub fn file(mut self, text: &str) -> Installation {
        std::fs::write(self.folder.path().join("forecastd.toml"), text).unwrap();
        self.has_file = true;
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: impl Display) -> Installation {
        self.environment.retain(|(present, _)| present != name);
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// The model's file.
    pub fn model_path(&self) -> PathBuf {
        self.folder.path().join("model.onnx")
    }

    /// The journal's file.
    pub fn journal_path(&self) -> PathBuf {
        self.folder.path().join("journal.sqlite")
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Exchanges the model's file, whole.
    pub fn write_model(&self, bytes: &[u8]) {
        atomic_file::write(&self.model_path(), bytes).unwrap();
    }

    /// Puts a file into the folder of specialists, or exchanges it, whole.
    pub fn write_specialist(&self, name: &str, bytes: &[u8]) {
        let folder = self.specialists_path();
        std::fs::create_dir_all(&folder).unwrap();
        atomic_file::write(&folder.join(name), bytes).unwrap();
    }

    /// Takes a file out of the folder of specialists.
    pub fn remove_specialist(&self, name: &str) {
        std::fs::remove_file(self.specialists_path().join(name)).unwrap();
    }

    /// The folder of specialists.
    pub fn specialists_path(&self) -> PathBuf {
        self.folder.path().join("models.d")
    }

    /// Starts the daemon and waits until it is ready for readings.
    pub async fn start(&self) -> Daemon {
        let daemon = self.start_alone().await;
        daemon.answers("/readyz", 200, "ok\n").await;
        daemon
    }

    /// Starts the daemon and waits until it serves HTTP, with a broker or without.
    pub async fn start_alone(&self) -> Daemon {
        let mut daemon = self.spawn();
        let listens = |line: &String| Some(line.split_once("http listening address=")?.1.parse().unwrap());
        let log = daemon.log.clone();
        daemon.address = until(
            || format!("a daemon that listens: {:#?}", log.lines()),
            || {
                assert!(daemon.child.try_wait().unwrap().is_none(), "it ended: {:#?}", log.lines());
                log.lines().iter().find_map(listens)
            },
        )
        .await;
        daemon
    }

    /// Starts what is to end by itself: how it ended, and what it said.
    pub async fn start_in_vain(&self) -> (ExitStatus, Vec<String>) {
        let mut daemon = self.spawn();
        let status = daemon.ended().await;
        (status, daemon.log.lines())
    }

    fn spawn(&self) -> Daemon {
        // What the environment of the test run says to forecastd, or to its log, is not meant for this one.
        let mut child = Command::new(env!("CARGO_BIN_EXE_forecastd"))
            .arg("run")
            .args(if self.has_file { &["--config", "forecastd.toml"][..] } else { &[] })
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Log::default();
        let written = log.clone();
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                written.0.lock().unwrap().push(line);
            }
        });
        let address = ([127, 0, 0, 1], 0).into();
        Daemon { child, log, reader: Some(reader), address, _folder: Arc::clone(&self.folder) }
    }
}

/// What the daemon wrote to standard error, line by line.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A daemon. It is killed with this value; if it ever ran, each line of its log must then stand alone.
pub struct Daemon {
    child: Child,
    log: Log,
    reader: Option<JoinHandle<()>>,
    address: SocketAddr,
    /// Stays as long as the daemon does.
    _folder: Arc<TempDir>,
}

impl Daemon {
    /// Where it serves HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Status and body of an HTTP answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (header, body) = answer.split_once("\r\n\r\n").unwrap();
        (header.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A connection of HTTP on which nothing has been asked.
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// `/metrics`.
    pub fn scrape(&self) -> String {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        body
    }

    /// The value of `series`, such as `forecastd_stations` or `forecastd_forecasts_total{source="model"}`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.scrape();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().unwrap())
    }

    /// The values of one counter that are not 0, by what stands between the braces.
    pub fn counts(&self, name: &str) -> Vec<(String, u64)> {
        let text = self.scrape();
        let series = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        let counts = series.map(|line| {
            let (labels, value) = line.rsplit_once("} ").unwrap();
            (labels.to_owned(), value.parse().unwrap())
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Waits until `series` has this value.
    pub async fn reaches(&self, series: &str, value: f64) {
        until(
            || format!("{series} {value}; it is {:?}; {:#?}", self.metric(series), self.log()),
            || (self.metric(series) == Some(value)).then_some(()),
        )
        .await;
    }

    /// Waits until so many readings, good or not, were received.
    pub async fn receives(&self, messages: u32) {
        self.reaches("forecastd_readings_received_total", f64::from(messages)).await;
    }

    /// Waits until `path` answers so.
    pub async fn answers(&self, path: &str, status: u16, body: &str) {
        let expected = (status, body.to_owned());
        until(|| format!("{path}: {:?}", self.get(path)), || (self.get(path) == expected).then_some(()))
            .await;
    }

    /// What it logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The one line of the log that holds all `parts`, as soon as there is one.
    ///
    /// # Panics
    /// When there are several.
    pub async fn says(&self, parts: &[&str]) -> String {
        self.says_times(1, parts).await.remove(0)
    }

    /// The lines of the log that hold all `parts`, as soon as there are so many.
    ///
    /// # Panics
    /// When there are more.
    pub async fn says_times(&self, times: usize, parts: &[&str]) -> Vec<String> {
        let holds = |line: &String| parts.iter().all(|part| line.contains(part));
        let lines = || self.log().into_iter().filter(holds).collect::<Vec<_>>();
        let what = || format!("{times} lines with {parts:?}: {:#?}", self.log());
        let found = until(what, || Some(lines()).filter(|lines| lines.len() >= times)).await;
        assert_eq!(found.len(), times, "said too often: {found:#?}");
        found
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let log = self.log.clone();
        let what = || format!("the end: {:#?}", log.lines());
        let status = until(what, || self.child.try_wait().unwrap()).await;
        self.read_log_to_the_end();
        status
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        self.signal("KILL");
        self.ended().await;
    }

    fn read_log_to_the_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.read_log_to_the_end();
        let has_run = self.address.port() != 0;
        if !has_run || std::thread::panicking() {
            return;
        }
        for line in self.log() {
            let begins_with_a_time = line.starts_with("20") && line.contains("Z ");
            assert!(begins_with_a_time, "not a line of its own: {line:?}");
        }
    }
}
