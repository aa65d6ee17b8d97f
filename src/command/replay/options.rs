//! What is replayed, whereto and how fast.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use forecastd_mqtt::Password;
use jiff::{SignedDuration, Timestamp};

/// What is replayed, whereto and how fast.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayOptions {
    /// CSV file with the readings; several files, folders of them or patterns ("data/*.csv.gz") are read as one
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub csv: Vec<PathBuf>,
    /// Mapping file that names columns and units; not needed for the Jena format and forecastd's own
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Name of the station [default: the mapping's, else jena]
    #[arg(long, value_name = "NAME")]
    pub station: Option<String>,
    /// Address of the broker: mqtt://USER@HOST:PORT, of which HOST alone is needed; mqtts:// for TLS
    #[arg(long, value_name = "URL", default_value = "mqtt://localhost:1883")]
    pub broker: String,
    /// File with the broker's password [default: the environment's FORECASTD_BROKER_PASSWORD]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The broker's password; never an argument, which every user of the machine could read.
    #[arg(skip)]
    pub password: Option<Password>,
    /// PEM file with the certificates to trust, for mqtts:// [default: those of the operating system]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Topic; {station} stands for the station's name
    #[arg(long, value_name = "TOPIC", default_value = "weather/{station}/reading")]
    pub topic: String,
    /// "max" (as fast as the broker acknowledges) or N: N times as fast as real time
    #[arg(long, value_name = "SPEED", default_value = "max")]
    pub speed: Speed,
    /// First time to send: RFC 3339, or a date (UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub from: Option<Timestamp>,
    /// Last time to send: RFC 3339, or a date (UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub to: Option<Timestamp>,
    /// Shift all times alike, so that the last reading is of the moment in which it is sent
    #[arg(long, value_name = "TO")]
    pub rebase: Option<Rebase>,
    /// Show nothing but errors and the summary
    #[arg(long)]
    pub quiet: bool,
}

/// How fast readings go out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as the broker acknowledges.
    Max,
    /// This many times as fast as real time.
    Times(f64),
}

impl Speed {
    /// How long after the first reading one goes out that lies so far behind it; `None` = at once.
    pub(super) fn wait(self, behind: SignedDuration) -> Option<Duration> {
        let Speed::Times(factor) = self else { return None };
        Duration::try_from_secs_f64(behind.as_secs_f64() / factor).ok()
    }
}

/// A text that is no speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected \"max\" or a number greater than 0")]
pub struct SpeedError;

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Speed, SpeedError> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        match text.parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Times(factor)),
            _ => Err(SpeedError),
        }
    }
}

/// What times are shifted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rebase {
    /// The last reading is of the moment in which it is sent, and none before it is of the future. At speed `max`,
    /// whose end is not known beforehand, that moment is the start.
    ///
    /// The shift is whole seconds and the same for all readings, so distances stay; the time of day does not.
    Now,
}

impl Rebase {
    /// What is to be added to every time of a replay from `first` to `last` that starts at `start`.
    pub fn shift(self, start: Timestamp, first: Timestamp, last: Timestamp, speed: Speed) -> SignedDuration {
        let span = last.duration_since(first);
        let lasts = match speed {
            Speed::Max => SignedDuration::ZERO,
            // Slower than real time, the first reading has to be of now, or later ones would be of the future.
            Speed::Times(factor) => SignedDuration::from_secs_f64(span.as_secs_f64() / factor.max(1.0)),
        };
        SignedDuration::from_secs((start.duration_since(last) + lasts).as_secs())
    }
}

pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| "expected a time such as 2016-01-01T00:00:00Z, or a date".to_owned())
}
