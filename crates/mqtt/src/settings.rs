//! How to reach the broker, and how much to hold.

use std::fmt;
use std::path::PathBuf;
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

/// How to reach the broker, and how much to hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttSettings {
    /// Name or address of the broker.
    pub host: String,
    /// Port of the broker: 1883, with TLS 8883, unless it says otherwise.
    #[serde(deserialize_with = "none_if_zero")]
    pub port: Option<u16>,
    /// Whether to speak TLS.
    pub tls: bool,
    /// PEM file with the certificates that vouch for the broker; without it, the system's.
    #[serde(deserialize_with = "none_if_empty")]
    pub ca_file: Option<PathBuf>,
    /// User name.
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
    /// Seconds that an attempt to connect may take.
    pub connect_timeout_s: u64,
    /// Seconds: ceiling of the first wait between attempts to connect.
    pub reconnect_min_s: Seconds,
    /// Seconds: ceiling that the waits grow to.
    pub reconnect_max_s: Seconds,
    /// Messages that may wait for publication before publishers have to wait.
    pub publish_queue: usize,
    /// Messages that may be sent ahead of the broker's acknowledgements; the broker may allow fewer.
    pub publish_window: u16,
    /// Topics whose newest retained message is kept, to be published again on every connection.
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
            username: None,
            password: None,
            password_file: None,
            client_id: "forecastd".to_owned(),
            keep_alive_s: 30,
            session_expiry_s: 7 * 86_400,
            receive_maximum: 256,
            max_packet_bytes: 256 << 10,
            connect_timeout_s: 10,
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
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("mqtt.{key}: cannot read {}: {source}", path.display())]
    File {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not the address of a broker.
    #[error(
        "broker address {address:?}: {reason}; expected mqtt://[user[:password]@]host[:port] or mqtts://…"
    )]
    Address {
        /// The address, without the password.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl MqttSettings {
    /// Settings for the broker at `address`: `mqtt://[user[:password]@]host[:port]`, or `mqtts://` for TLS; everything
    /// else as by default. `host` and `host:port` alone will do.
    ///
    /// # Errors
    /// [`SettingsError::Address`] when it is none; the password does not appear in it.
    pub fn from_address(address: &str) -> Result<MqttSettings, SettingsError> {
        let with_scheme =
            if address.contains("://") { address.to_owned() } else { format!("mqtt://{address}") };
        let fault = |reason: String| SettingsError::Address { address: hide_password(address), reason };
        let url = Url::parse(&with_scheme).map_err(|error| fault(error.to_string().to_lowercase()))?;
        let tls = match url.scheme() {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" | "tls" => true,
            other => return Err(fault(format!("unknown scheme {other:?}"))),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
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
        Ok(MqttSettings { host, port: url.port(), tls, username, password, ..MqttSettings::default() })
    }

    /// The port: the one given, or the usual one.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 8883 } else { 1883 })
    }

    /// The address, for a person; without user and password.
    pub fn address(&self) -> String {
        format!("{}://{}:{}", if self.tls { "mqtts" } else { "mqtt" }, self.host, self.port())
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
        demand(self.port != Some(0), "port", "must not be 0");
        demand(
            !self.client_id.is_empty() && self.client_id.len() <= usize::from(u16::MAX),
            "client_id",
            "must have 1 to 65535 bytes: the broker keeps the session by it",
        );
        demand(self.ca_file.is_none() || self.tls, "ca_file", "has no meaning without tls = true");
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
    /// [`SettingsError::File`] when a file named by the settings cannot be read.
    pub fn resolve_password(&self) -> Result<Option<Password>, SettingsError> {
        if let Some(password) = &self.password {
            return Ok(Some(password.clone()));
        }
        let credential = || {
            let directory = std::env::var_os(CREDENTIALS_DIRECTORY)?;
            let path = PathBuf::from(directory).join(PASSWORD_CREDENTIAL);
            path.exists().then_some(path)
        };
        let named = self.password_file.clone();
        let Some(path) = named.or_else(|| self.username.as_ref().and_then(|_| credential())) else {
            return Ok(None);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Password(text.trim_end().to_owned()))),
            Err(source) => Err(SettingsError::File { key: "password_file", path, source }),
        }
    }
}

/// `address` without its password.
fn hide_password(address: &str) -> String {
    let authority = address.find("://").map_or(0, |at| at + 3);
    let Some(at) = address[authority..].rfind('@') else {
        return address.to_owned();
    };
    match address[authority..authority + at].find(':') {
        Some(colon) => {
            format!("{}:(hidden){}", &address[..authority + colon], &address[authority + at..])
        }
        None => address.to_owned(),
    }
}

/// Undoes percent-encoding.
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
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let settings = MqttSettings::from_address("mqtts://roof:p%40ss%3A@broker.example:8884").unwrap();
        assert_eq!(settings.host, "broker.example");
        assert_eq!(settings.port(), 8884);
        assert!(settings.tls);
        assert_eq!(settings.username.as_deref(), Some("roof"));
        assert_eq!(settings.password.as_ref().map(Password::reveal), Some("p@ss:"));

        for (address, port, tls) in [
            ("mqtt://h", 1883, false),
            ("mqtts://h", 8883, true),
            ("h", 1883, false),
            ("h:1884", 1884, false),
            ("mqtt://h/", 1883, false),
        ] {
            let settings = MqttSettings::from_address(address).unwrap();
            assert_eq!(
                (settings.host.as_str(), settings.port(), settings.tls),
                ("h", port, tls),
                "{address}"
            );
        }
        assert_eq!(MqttSettings::from_address("mqtt://[::1]:1883").unwrap().host, "[::1]");
    }

    #[test]
    fn a_broken_address_is_named_without_its_password() {
        for address in
            ["http://u:secret@h", "mqtt://u:secret@h:99999", "mqtt://u:secret@", "mqtt://u:secret@h/x"]
        {
            let error = MqttSettings::from_address(address).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains("(hidden)"), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let settings = MqttSettings::from_address("mqtt://u:secret@h").unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn the_defaults_have_no_fault_and_every_fault_is_listed() {
        assert!(MqttSettings::default().faults().is_empty());
        let settings: MqttSettings = serde_json::from_str(
            r#"{"host":"","port":0,"client_id":"","password":"x","receive_maximum":0,"reconnect_min_s":5,"reconnect_max_s":0.5}"#,
        )
        .unwrap();
        let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 5, "{faults:#?}");
        assert_eq!(settings.port(), 1883, "0 is the usual port");
        assert!(serde_json::from_str::<MqttSettings>(r#"{"hots":"x"}"#).is_err());
    }

    #[test]
    fn the_password_comes_from_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let mut settings =
            MqttSettings { password_file: Some(file.path().to_owned()), ..MqttSettings::default() };
        assert_eq!(settings.resolve_password().unwrap().unwrap().reveal(), "hunter2");
        settings.password_file = Some("/nonexistent/password".into());
        let error = settings.resolve_password().unwrap_err().to_string();
        assert!(error.starts_with("mqtt.password_file: cannot read /nonexistent/password"), "{error}");
    }
}
