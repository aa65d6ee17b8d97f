//! A CSV file as a live feed: its rows as canonical readings over real MQTT, QoS 1.
//!
//! [`Feed`] sends readings from anywhere through a [`Publisher`](forecastd_mqtt::Publisher), paced or as fast as acknowledgements allow;
//! [`run`] is the command: it reads the file, connects, feeds, shows progress and sums up.
//!
//! The file is read whole before the first reading goes out: broken rows are named at once, and the end is known.
//!
//! | module | contents |
//! | --- | --- |
//! | `options` | what is replayed, whereto and how fast |
//! | `feed` | readings as messages, paced or as fast as acknowledgements allow |
//! | `broker` | the broker that is replayed to |
//! | `progress` | how far a replay is, as a bar or as lines |

mod broker;
mod feed;
mod options;
mod progress;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use forecastd_core::{StationName, StationNameError};
use forecastd_mqtt::{PublishError, Purpose, Session, SessionError, SettingsError, TopicError};
use forecastd_record::{CsvError, CsvMapping, CsvReader, Overlap, RecordSource, Row};

use broker::{connect, settings, watch};
pub use feed::{Feed, FeedProgress};
pub use options::{Rebase, ReplayOptions, Speed, SpeedError};
pub use progress::ReplayProgress;

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Broken rows that are named; the others are only counted.
const ROWS_NAMED: usize = 20;

/// The station where neither the command line nor the mapping names one.
const DEFAULT_STATION: &str = "jena";

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The CSV file or its mapping cannot be read.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// No reading is left to send.
    #[error("{path}: no reading to send{}", if *skipped > 0 { format!(", {skipped} rows skipped") } else { String::new() })]
    Nothing {
        /// The file, or the first of them.
        path: String,
        /// Rows that could not be sent.
        skipped: u64,
    },
    /// The station's name cannot be.
    #[error(transparent)]
    Station(#[from] StationNameError),
    /// The topic cannot be.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The broker's address cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The session cannot start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No connection to the broker came about, or none any more.
    #[error("no broker at {address}: {reason}")]
    NoBroker {
        /// Where it was looked for.
        address: String,
        /// The last reason.
        reason: String,
    },
    /// User name or password are wrong.
    #[error("{address}: {reason}")]
    Unauthorized {
        /// The broker's address.
        address: String,
        /// What it says.
        reason: String,
    },
    /// The broker refused a reading.
    #[error("broker refuses a reading on {topic}: {reason}")]
    Refused {
        /// The topic of the reading.
        topic: String,
        /// The broker's reason.
        reason: String,
    },
    /// The session ended while readings were on their way.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplaySummary {
    /// Readings, times as in the file.
    pub feed: FeedProgress,
    /// Rows that cannot be read, or hold no value.
    pub skipped: u64,
    /// From the first reading handed over to the last acknowledged.
    pub duration: Duration,
    /// When interrupted: the first reading that is not known to have arrived; `--from` takes it.
    pub go_on_from: Option<Timestamp>,
}

impl ReplaySummary {
    /// Acknowledged readings per second.
    pub fn rate(&self) -> f64 {
        self.feed.acknowledged as f64 / self.duration.as_secs_f64().max(1e-9)
    }
}

impl std::fmt::Display for ReplaySummary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let FeedProgress { sent, acknowledged, first, last } = self.feed;
        write!(
            formatter,
            "{sent} readings sent, {acknowledged} acknowledged, {} rows skipped",
            self.skipped
        )?;
        if let (Some(first), Some(last)) = (first, last) {
            write!(formatter, ", from {first} to {last}")?;
        }
        write!(formatter, ", in {:.1} s ({:.0}/s)", self.duration.as_secs_f64(), self.rate())?;
        if let Some(time) = self.go_on_from {
            write!(formatter, "\ninterrupted; to go on: --from {time}")?;
        }
        Ok(())
    }
}

/// What a file holds for a replay.
struct Content {
    readings: Vec<Row>,
    skipped: u64,
    /// Why, of the first of them.
    named: Vec<String>,
    /// What else is to be said of the files.
    notes: Vec<String>,
}

fn read(options: &ReplayOptions, mapping: Option<&CsvMapping>) -> Result<Content, CsvError> {
    let mut content = Content { readings: Vec::new(), skipped: 0, named: Vec::new(), notes: Vec::new() };
    let source = RecordSource { paths: options.csv.clone(), ..RecordSource::default() };
    let mut reader = CsvReader::open_all(&source.files()?, mapping)?;
    for row in reader.by_ref() {
        let fault = match row {
            Ok((time, _)) if options.from.is_some_and(|from| time < from) => continue,
            Ok((time, _)) if options.to.is_some_and(|to| time > to) => continue,
            Ok((time, values)) if values.is_empty() => {
                format!("{}: reading of {time} holds no value", source.name())
            }
            Ok(reading) => {
                content.readings.push(reading);
                continue;
            }
            Err(error @ CsvError::File { .. }) => return Err(error),
            Err(error) => error.to_string(),
        };
        content.skipped += 1;
        if content.named.len() < ROWS_NAMED {
            content.named.push(fault);
        }
    }
    // A live station sends what is new after what is old, in whatever order a file has it.
    content.readings.sort_by_key(|(time, _)| *time);
    content.notes = reader.overlaps().iter().map(Overlap::to_string).collect();
    Ok(content)
}

/// Replays a file until its end or `shutdown`.
///
/// # Errors
/// [`ReplayError`]; rows that cannot be read are none: they are named, counted and skipped.
pub async fn run(
    options: ReplayOptions,
    mut progress: ReplayProgress,
    shutdown: impl Future<Output = ()>,
) -> Result<ReplaySummary, ReplayError> {
    let mut settings = settings(&options)?;
    let mapping = options.mapping.as_deref().map(CsvMapping::read).transpose()?;
    let named =
        options.station.as_deref().or(mapping.as_ref().and_then(|mapping| mapping.station.as_deref()));
    let station = StationName::new(named.unwrap_or(DEFAULT_STATION))?;
    let content = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || read(&options, mapping.as_ref())).await
    };
    let content = content.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    for note in &content.notes {
        progress.say(&format!("note: {note}"));
    }
    for fault in &content.named {
        progress.say(&format!("skipped: {fault}"));
    }
    if content.skipped > ROWS_NAMED as u64 {
        progress.say(&format!("skipped: {} more rows", content.skipped - ROWS_NAMED as u64));
    }
    let (Some(&(first, _)), Some(last)) =
        (content.readings.first(), content.readings.iter().map(|(time, _)| *time).max())
    else {
        let path = RecordSource { paths: options.csv, ..RecordSource::default() }.name();
        return Err(ReplayError::Nothing { path, skipped: content.skipped });
    };
    let readings = content.readings.len() as u64;

    settings.client_id = format!("forecastd-replay-{:08x}", rand::random::<u32>());
    settings.session_expiry_s = 60;
    let address = settings.address();
    let (publisher, mut inbox, handle) = Session::start(&settings, Purpose::default())?;
    let mut feed = Feed::new(&publisher, &station, &options.topic, options.speed)?;
    tokio::pin!(shutdown);
    let connected = tokio::select! {
        connected = connect(&mut inbox, &address) => connected,
        () = &mut shutdown => {
            return Ok(ReplaySummary {
                feed: FeedProgress::default(),
                skipped: content.skipped,
                duration: Duration::ZERO,
                go_on_from: Some(first),
            });
        }
    };
    connected?;
    if let Some(rebase) = options.rebase {
        feed = feed.shifted(rebase.shift(Timestamp::now(), first, last, options.speed));
    }
    progress.begin(readings);
    let started = Instant::now();
    let outcome = tokio::select! {
        outcome = feed.run(content.readings, |state| progress.observe(state, readings, started)) => {
            outcome.map(|()| false).map_err(ReplayError::from)
        }
        error = watch(&mut inbox, &address) => Err(error),
        () = &mut shutdown => Ok(true),
    };
    let duration = started.elapsed();
    progress.end();
    let interrupted = match outcome {
        Ok(interrupted) => interrupted,
        Err(error) => {
            if let Some(time) = feed.first_unacknowledged() {
                progress.say(&format!("to go on: --from {time}"));
            }
            return Err(error);
        }
    };
    // After an interruption, what is on its way may still arrive while the session says goodbye.
    handle.stop(GOODBYE).await;
    let go_on_from = if interrupted { feed.first_unacknowledged() } else { None };
    Ok(ReplaySummary { feed: feed.progress(), skipped: content.skipped, duration, go_on_from })
}
