//! How to reach the broker, and how much to hold.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

/// A password. It is never shown: not in logs, not in errors, not by `{:?}`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Password(password)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

/// What carries MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MqttTransport {
    /// A TCP connection, with TLS where the settings say so.
    #[default]
    Tcp,
    /// A WebSocket (MQTT 5, section 6), with TLS where the settings say so.
    Websocket,
}

/// How to reach the broker, and how much to hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttSettings {
    /// Name or address of the broker.
    pub host: String,
    /// Port of the broker: 1883, with TLS 8883, by WebSocket 80 and 443, unless it says otherwise.
    #[serde(deserialize_with = "none_if_zero")]
    pub port: Option<u16>,
    /// Whether to speak TLS.
    pub tls: bool,
    /// PEM file with the certificates that vouch for the broker; without it, the system's.
    #[serde(deserialize_with = "none_if_empty")]
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate chain that proves to the broker who we are, ours first.
    #[serde(deserialize_with = "none_if_empty")]
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file with the private key of `client_certificate_file`.
    #[serde(deserialize_with = "none_if_empty")]
    pub client_key_file: Option<PathBuf>,
    /// What carries MQTT.
    pub transport: MqttTransport,
    /// Path of the WebSocket at the broker.
    pub websocket_path: String,
    /// The user name that the broker knows us by; none where it asks for none.
    #[serde(deserialize_with = "none_if_empty")]
    pub username: Option<String>,
    /// Password. Better in `password_file`, or as the systemd credential `mqtt-password`.
    #[serde(deserialize_with = "none_if_empty")]
    pub password: Option<Password>,
    /// File that holds the password; white space at its end does not count.
    #[serde(deserialize_with = "none_if_empty")]
    pub password_file: Option<PathBuf>,
    /// Under this name the broker keeps our session. It must not change between starts, and no other client of
    /// the broker may have it.
    pub client_id: String,
    /// Seconds without traffic after which the connection is probed.
    pub keep_alive_s: u16,
    /// Seconds for which the broker keeps our session, and readings for us, while we are away.
    pub session_expiry_s: u32,
    /// Messages that the broker may send ahead of our acknowledgements.
    pub receive_maximum: u16,
    /// Largest payload that is looked at, in bytes. Larger ones are acknowledged, counted and dropped.
    pub max_packet_bytes: u32,
    /// Seconds that an attempt to connect may take, and the broker's answer to our subscriptions after it.
    pub connect_timeout_s: u64,
    /// Seconds that the broker may take to acknowledge a publication. After that the connection is given up, and what
    /// was not acknowledged goes out again on the next one.
    pub acknowledge_timeout_s: u64,
    /// Seconds: ceiling of the first wait between attempts to connect.
    pub reconnect_min_s: Seconds,
    /// Seconds: ceiling that the waits grow to.
    pub reconnect_max_s: Seconds,
    /// Messages that may wait for publication before there is no room ([`crate::Publisher::has_room`]); retained ones
    /// go beyond it.
    pub publish_queue: usize,
    /// Messages that may be sent ahead of the broker's acknowledgements; the broker may allow fewer.
    pub publish_window: u16,
    /// Topics whose newest retained message is kept, to be published again on every connection; more if the user of the
    /// session needs more ([`crate::Purpose`]).
    pub retained_topics: usize,
}

/// In a configuration, 0 stands for "the usual port".
fn none_if_zero<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    Ok(Option::<u16>::deserialize(deserializer)?.filter(|port| *port != 0))
}

/// In a configuration, an empty text stands for "none".
fn none_if_empty<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: From<String>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(T::from))
}

/// A time span given as a number of seconds, whole or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds)
            .map(Seconds)
            .map_err(|_| serde::de::Error::custom(format!("{seconds} is no number of seconds")))
    }
}

/// The broker is told to keep larger packets to itself. Up to here they are taken, to be counted.
const LARGEST_PACKET_BYTES: u32 = 4 << 20;

/// Directory of systemd's credentials, and the credential's name there.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
const PASSWORD_CREDENTIAL: &str = "mqtt-password";

impl Default for MqttSettings {
    fn default() -> Self {
        MqttSettings {
            host: "localhost".to_owned(),
            port: None,
            tls: false,
            ca_file: None,
            client_certificate_file: None,
            client_key_file: None,
            transport: MqttTransport::Tcp,
            websocket_path: "/mqtt".to_owned(),
            username: None,
            password: None,
            password_file: None,
            client_id: "forecastd".to_owned(),
            keep_alive_s: 30,
            session_expiry_s: 7 * 86_400,
            receive_maximum: 256,
            max_packet_bytes: 256 << 10,
            connect_timeout_s: 10,
            acknowledge_timeout_s: 30,
            reconnect_min_s: Seconds(Duration::from_secs(1)),
            reconnect_max_s: Seconds(Duration::from_secs(60)),
            publish_queue: 1024,
            publish_window: 128,
            retained_topics: 65_536,
        }
    }
}

/// What is wrong with the settings of the connection to the broker.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value that cannot be.
    #[error("mqtt.{key}: {reason}")]
    Value {
        /// The key's name below `[mqtt]`.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("mqtt.{key}: cannot read {}", path.display())]
    File {
        /// The key that names the file.
        key: &'static str,
        /// The file that the key names.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that does not hold a password.
    #[error("mqtt.password_file: {} {reason}", path.display())]
    PasswordFile {
        /// The file that `mqtt.password_file` names.
        path: PathBuf,
        /// What is wrong with its content.
        reason: &'static str,
    },
    /// Not the address of a broker.
    #[error(
        "broker address {address:?}: {reason}; expected mqtt://[user[:password]@]host[:port], mqtts://… or ws[s]://…[/path]"
    )]
    Address {
        /// The address, without the password.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What works, and is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsWarning {
    /// A secret in a file that every user of the machine can read.
    #[error("mqtt.{key}: {} can be read by others; chmod o-r", path.display())]
    ReadableByOthers {
        /// The key that names the file.
        key: &'static str,
        /// The file that the key names.
        path: PathBuf,
    },
}

impl MqttSettings {
    /// Settings for the broker at `address`: `mqtt://[user[:password]@]host[:port]`, `mqtts://` for TLS, `ws://` and
    /// `wss://` for WebSockets, with a path; everything else as by default. `host` and `host:port` alone will do.
    ///
    /// # Errors
    /// [`SettingsError::Address`] when it is none; the password does not appear in it.
    pub fn from_address(address: &str) -> Result<MqttSettings, SettingsError> {
        let with_scheme =
            if address.contains("://") { address.to_owned() } else { format!("mqtt://{address}") };
        let fault = |reason: String| SettingsError::Address { address: hide_password(address), reason };
        let url = Url::parse(&with_scheme).map_err(|error| fault(error.to_string().to_lowercase()))?;
        let (transport, tls) = match url.scheme() {
            "mqtt" | "tcp" => (MqttTransport::Tcp, false),
            "mqtts" | "ssl" | "tls" => (MqttTransport::Tcp, true),
            "ws" => (MqttTransport::Websocket, false),
            "wss" => (MqttTransport::Websocket, true),
            other => return Err(fault(format!("unknown scheme {other:?}"))),
        };
        let has_path = !matches!(url.path(), "" | "/");
        if has_path && transport == MqttTransport::Tcp || url.query().is_some() || url.fragment().is_some() {
            return Err(fault("a broker has no path".to_owned()));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| fault("no host".to_owned()))?;
        let host = decode(host).map_err(&fault)?;
        let text = |part: &str| decode(part).map_err(&fault);
        let username = match url.username() {
            "" => None,
            name => Some(text(name)?),
        };
        let password = url.password().map(text).transpose()?.map(Password);
        let mut settings = MqttSettings {
            host,
            port: url.port(),
            tls,
            transport,
            username,
            password,
            ..MqttSettings::default()
        };
        if has_path {
            settings.websocket_path = url.path().to_owned();
        }
        Ok(settings)
    }

    /// The port: the one given, or the usual one.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match (self.transport, self.tls) {
            (MqttTransport::Tcp, false) => 1883,
            (MqttTransport::Tcp, true) => 8883,
            (MqttTransport::Websocket, false) => 80,
            (MqttTransport::Websocket, true) => 443,
        })
    }

    /// The address, for a person; without user and password.
    pub fn address(&self) -> String {
        let (scheme, path) = match (self.transport, self.tls) {
            (MqttTransport::Tcp, false) => ("mqtt", ""),
            (MqttTransport::Tcp, true) => ("mqtts", ""),
            (MqttTransport::Websocket, false) => ("ws", self.websocket_path.as_str()),
            (MqttTransport::Websocket, true) => ("wss", self.websocket_path.as_str()),
        };
        format!("{scheme}://{}:{}{path}", self.host, self.port())
    }

    /// How long the broker may take to accept us, and to answer our subscriptions.
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_s)
    }

    /// How long the broker may take to acknowledge a publication.
    pub(crate) fn acknowledge_timeout(&self) -> Duration {
        Duration::from_secs(self.acknowledge_timeout_s)
    }

    /// The largest packet that the broker is allowed to send us.
    pub(crate) fn largest_packet_bytes(&self) -> u32 {
        LARGEST_PACKET_BYTES.max(self.max_packet_bytes.saturating_add(1 << 17))
    }

    /// Every fault of the values, file contents not among them.
    pub fn faults(&self) -> Vec<SettingsError> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, key: &'static str, reason: &str| {
            if !holds {
                faults.push(SettingsError::Value { key, reason: reason.to_owned() });
            }
        };
        demand(!self.host.trim().is_empty(), "host", "must not be empty");
        // The value is not shown: a password may stand in it.
        demand(
            !self.host.contains("://")
                && !self.host.contains(['@', '/'])
                && !self.host.contains(char::is_whitespace),
            "host",
            "must be a name or an address alone; port, tls, username and password_file have keys of their own",
        );
        demand(self.port != Some(0), "port", "must not be 0");
        demand(
            !self.client_id.is_empty() && self.client_id.len() <= usize::from(u16::MAX),
            "client_id",
            "must have 1 to 65535 bytes: the broker keeps the session by it",
        );
        demand(self.ca_file.is_none() || self.tls, "ca_file", "has no meaning without tls = true");
        demand(
            self.client_certificate_file.is_none() || self.tls,
            "client_certificate_file",
            "has no meaning without tls = true",
        );
        demand(
            self.client_certificate_file.is_some() || self.client_key_file.is_none(),
            "client_certificate_file",
            "is missing beside client_key_file",
        );
        demand(
            self.client_key_file.is_some() || self.client_certificate_file.is_none(),
            "client_key_file",
            "is missing beside client_certificate_file",
        );
        demand(
            self.websocket_path.starts_with('/')
                && self.websocket_path.chars().all(|character| character.is_ascii_graphic())
                && !self.websocket_path.contains(['?', '#']),
            "websocket_path",
            "must begin with / and hold no white space, ? nor #",
        );
        demand(
            self.password.is_none() || self.password_file.is_none(),
            "password",
            "give it or password_file, not both",
        );
        demand(
            (self.password.is_none() && self.password_file.is_none()) || self.username.is_some(),
            "username",
            "is missing beside the password",
        );
        demand(self.session_expiry_s > 0, "session_expiry_s", "must be at least 1");
        demand(self.receive_maximum > 0, "receive_maximum", "must be at least 1");
        demand(self.max_packet_bytes >= 1024, "max_packet_bytes", "must be at least 1024");
        demand(self.max_packet_bytes <= 268_000_000, "max_packet_bytes", "must be at most 268000000");
        demand(self.connect_timeout_s > 0, "connect_timeout_s", "must be at least 1");
        demand(self.connect_timeout_s <= 3600, "connect_timeout_s", "must be at most 3600");
        demand(self.acknowledge_timeout_s > 0, "acknowledge_timeout_s", "must be at least 1");
        demand(self.acknowledge_timeout_s <= 3600, "acknowledge_timeout_s", "must be at most 3600");
        demand(self.reconnect_min_s.0 > Duration::ZERO, "reconnect_min_s", "must be more than 0");
        demand(
            self.reconnect_max_s >= self.reconnect_min_s,
            "reconnect_max_s",
            "must be at least reconnect_min_s",
        );
        demand(self.publish_queue > 0, "publish_queue", "must be at least 1");
        demand(self.publish_window > 0, "publish_window", "must be at least 1");
        faults
    }

    /// The password: the one given, or the content of `password_file`, or systemd's credential `mqtt-password`.
    ///
    /// It is read again for every connection, so that a new one needs no restart.
    ///
    /// # Errors
    /// [`SettingsError::File`] when a file named by the settings cannot be read, and [`SettingsError::PasswordFile`] when
    /// it is empty or has more than one line.
    pub fn resolve_password(&self) -> Result<Option<Password>, SettingsError> {
        if let Some(password) = &self.password {
            return Ok(Some(password.clone()));
        }
        let Some(path) = self.effective_password_file() else {
            return Ok(None);
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(SettingsError::File { key: "password_file", path, source }),
        };
        match text.trim_end() {
            "" => Err(SettingsError::PasswordFile { path, reason: "is empty" }),
            password if password.contains(['\n', '\r']) => {
                Err(SettingsError::PasswordFile { path, reason: "has more than one line" })
            }
            password => Ok(Some(Password(password.to_owned()))),
        }
    }

    /// `password_file`, or systemd's credential.
    fn effective_password_file(&self) -> Option<PathBuf> {
        let credential = || {
            let directory = std::env::var_os(CREDENTIALS_DIRECTORY)?;
            let path = PathBuf::from(directory).join(PASSWORD_CREDENTIAL);
            path.exists().then_some(path)
        };
        self.password_file.clone().or_else(|| self.username.as_ref().and_then(|_| credential()))
    }

    /// What works, and is not as it should be: files with secrets that every user of the machine can read.
    pub fn warnings(&self) -> Vec<SettingsWarning> {
        let password_file = self.effective_password_file().filter(|_| self.password.is_none());
        let secrets = [("password_file", password_file), ("client_key_file", self.client_key_file.clone())];
        let named = secrets.into_iter().filter_map(|(key, path)| Some((key, path?)));
        named
            .filter(|(_, path)| is_open_to_others(path))
            .map(|(key, path)| SettingsWarning::ReadableByOthers { key, path })
            .collect()
    }
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o006 != 0)
}

/// Elsewhere a file's mode does not tell.
#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

/// `address` without what stands before its host: what looks like a user name may be a password.
fn hide_password(address: &str) -> String {
    let authority = address.find("://").map_or(0, |at| at + 3);
    match address[authority..].rfind('@') {
        Some(at) => format!("{}(hidden){}", &address[..authority], &address[authority + at..]),
        None => address.to_owned(),
    }
}

/// Undoes percent-encoding, as addresses have it: `%40` is `@`.
fn decode(text: &str) -> Result<String, String> {
    let bad = || "broken percent-encoding".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(bad);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| bad())?);
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests;
