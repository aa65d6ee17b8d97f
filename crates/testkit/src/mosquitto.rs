//! A real mosquitto as a child process, on a free port, with its own folder.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use forecastd_mqtt::{MqttSettings, Seconds};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
/// Between finding a port free and listening on it another test may take it.
const TRIES: usize = 5;

/// How a broker is to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// User and password that it asks for; without them anyone may come.
    pub user: Option<(&'static str, &'static str)>,
    /// Whether it keeps sessions and messages over a clean restart.
    pub persistent: bool,
    /// Further lines of its configuration.
    pub lines: &'static [&'static str],
}

/// A running (or stopped) mosquitto. It ends with this value.
pub struct Mosquitto {
    child: Option<Child>,
    port: u16,
    folder: TempDir,
}

/// The path of `program`, which Debian keeps outside the path of an ordinary user.
pub fn find(program: &str) -> String {
    let here = |folder: &Path| folder.join(program).is_file();
    let on_path = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|f| here(&f)));
    let sbin = Path::new("/usr/sbin");
    match (on_path, here(sbin)) {
        (true, _) => program.to_owned(),
        (false, true) => sbin.join(program).display().to_string(),
        (false, false) => panic!(
            "{program} is not installed, and this test needs it: sudo apt-get install -y mosquitto mosquitto-clients prometheus"
        ),
    }
}

impl Mosquitto {
    /// Starts a broker on a free port and waits until it listens.
    pub fn start(options: &Options) -> Mosquitto {
        (0..TRIES).find_map(|_| Mosquitto::try_start(options)).expect("a port that stays free")
    }

    /// Starts one; none when another program has taken one of its ports meanwhile.
    pub fn try_start(options: &Options) -> Option<Mosquitto> {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let path = folder.path().display().to_string();
        let mut configuration = String::from("user root\nset_tcp_nodelay true\nmax_queued_messages 0\n");
        writeln!(configuration, "listener {port} 127.0.0.1").unwrap();
        match options.user {
            None => configuration.push_str("allow_anonymous true\n"),
            Some((user, password)) => {
                let file = format!("{path}/passwords");
                let made = Command::new(find("mosquitto_passwd"))
                    .args(["-b", "-c", &file, user, password])
                    .stderr(Stdio::null())
                    .status();
                assert!(made.unwrap().success());
                writeln!(configuration, "allow_anonymous false\npassword_file {file}").unwrap();
            }
        }
        if options.persistent {
            writeln!(configuration, "persistence true\npersistence_location {path}/").unwrap();
        }
        for line in options.lines {
            writeln!(configuration, "{line}").unwrap();
        }
        std::fs::write(folder.path().join("mosquitto.conf"), configuration).unwrap();
        let mut mosquitto = Mosquitto { child: None, port, folder };
        match mosquitto.try_restart() {
            Ok(()) => Some(mosquitto),
            Err(heard) if heard.iter().any(|line| line.contains("Address already in use")) => None,
            Err(heard) => panic!("mosquitto does not start: {heard:#?}"),
        }
    }

    /// Starts it again after [`Mosquitto::kill`] or [`Mosquitto::stop`], and waits until it listens.
    pub fn restart(&mut self) {
        if let Err(heard) = self.try_restart() {
            panic!("mosquitto does not start: {heard:#?}");
        }
    }

    fn try_restart(&mut self) -> Result<(), Vec<String>> {
        self.end("TERM");
        let mut child = Command::new(find("mosquitto"))
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (said, listen) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                // The receiver goes away once the broker runs; the log is read on, so that the pipe never fills.
                let _ = said.send(line);
            }
        });
        self.child = Some(child);
        let mut heard = Vec::new();
        loop {
            match listen.recv_timeout(PATIENCE) {
                Ok(line) if line.ends_with("running") => {
                    self.wait_for_an_answer();
                    return Ok(());
                }
                Ok(line) => heard.push(line),
                Err(_) => return Err(heard),
            }
        }
    }

    /// It says that it runs before it does: a SIGTERM that comes in between is lost. An answer proves it.
    fn wait_for_an_answer(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test").unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("mosquitto does not answer");
        assert_eq!(answer[0], 0x20);
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.end("KILL");
    }

    /// Ends it cleanly; a persistent one keeps sessions and messages.
    pub fn stop(&mut self) {
        self.end("TERM");
    }

    fn end(&mut self, signal: &str) {
        let Some(mut child) = self.child.take() else { return };
        let id = child.id().to_string();
        let _ = Command::new("kill").args(["-s", signal, &id]).stderr(Stdio::null()).status();
        let _ = child.wait();
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as a client's settings take it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Settings for a client of it, named `client_id`, that comes back quickly.
    pub fn settings(&self, client_id: &str) -> MqttSettings {
        settings(self.port, client_id)
    }
}

/// Settings for a client, named `client_id`, of a broker on 127.0.0.1, that comes back quickly.
pub fn settings(port: u16, client_id: &str) -> MqttSettings {
    MqttSettings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        client_id: client_id.to_owned(),
        reconnect_min_s: Seconds(Duration::from_millis(20)),
        reconnect_max_s: Seconds(Duration::from_millis(200)),
        ..MqttSettings::default()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.end("KILL");
    }
}
