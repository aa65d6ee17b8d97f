//! A CSV file as a live feed: its rows as canonical readings over real MQTT, QoS 1.
//!
//! [`Feed`] sends readings from anywhere through a [`Publisher`], paced or as fast as acknowledgements allow;
//! [`run`] is the command: it reads the file, connects, feeds, shows progress and sums up.
//!
//! The file is read whole before the first reading goes out: broken rows are named at once, and the end is known.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use crate::wire;
use forecastd_core::{StationName, StationNameError};
use forecastd_mqtt::{
    DisconnectReason, Inbox, Message, MqttSettings, News, Password, PublishError, Publisher, Purpose,
    Refusal, Session, SessionError, SessionEvent, SettingsError, TopicError, check_topic,
};
use forecastd_record::{CsvError, CsvMapping, CsvReader, Overlap, RecordSource, Row};

/// How long a broker that is away is waited for, before the first reading and in the middle.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Broken rows that are named; the others are only counted.
const ROWS_NAMED: usize = 20;

/// The station where neither the command line nor the mapping names one.
const DEFAULT_STATION: &str = "jena";

/// Stands for the station's name in a topic.
const STATION: &str = "{station}";

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

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        match text.parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Times(factor)),
            _ => Err("expected \"max\" or a number greater than 0".to_owned()),
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

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| "expected a time such as 2016-01-01T00:00:00Z, or a date".to_owned())
}

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
        /// The broker.
        address: String,
        /// What it says.
        reason: String,
    },
    /// The broker refused a reading.
    #[error("broker refuses a reading on {topic}: {reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's reason.
        reason: String,
    },
    /// The session ended while readings were on their way.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// How far a feed has come.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeedProgress {
    /// Readings handed to the broker.
    pub sent: u64,
    /// Of these, the ones it acknowledged.
    pub acknowledged: u64,
    /// The first time sent, as in the source.
    pub first: Option<Timestamp>,
    /// The last time sent, as in the source.
    pub last: Option<Timestamp>,
}

/// Sends one station's readings through a publisher.
///
/// It outlives its [`Feed::run`], which may be cancelled: what was sent and acknowledged stays known.
#[derive(Debug)]
pub struct Feed {
    publisher: Publisher,
    topic: Arc<str>,
    speed: Speed,
    shift: SignedDuration,
    progress: FeedProgress,
    /// Sent and not acknowledged: number and time.
    pending: VecDeque<(u64, Timestamp)>,
    /// The reading that goes out next.
    next: Option<Timestamp>,
}

/// Readings sent between two looks at the acknowledgements.
const LOOK_EVERY: usize = 64;

impl Feed {
    /// A feed for `station`; `{station}` in `topic` stands for its name.
    ///
    /// # Errors
    /// [`TopicError`] when that is no topic.
    pub fn new(
        publisher: &Publisher,
        station: &StationName,
        topic: &str,
        speed: Speed,
    ) -> Result<Feed, TopicError> {
        let topic = topic.replace(STATION, station.as_str());
        check_topic(&topic)?;
        Ok(Feed {
            publisher: publisher.clone(),
            topic: Arc::from(topic),
            speed,
            shift: SignedDuration::ZERO,
            progress: FeedProgress::default(),
            pending: VecDeque::new(),
            next: None,
        })
    }

    /// Adds `shift` to the time of every reading.
    #[must_use]
    pub fn shifted(mut self, shift: SignedDuration) -> Feed {
        self.shift = shift;
        self
    }

    /// Sends the readings and waits until the broker has acknowledged the last. `observe` is called after each.
    ///
    /// Paced, a reading goes out when its distance to the first has passed, divided by the speed; one whose
    /// time lies before the first's goes out at once.
    ///
    /// # Errors
    /// [`PublishError::Closed`] when the session ends before.
    pub async fn run(
        &mut self,
        readings: impl IntoIterator<Item = Row>,
        mut observe: impl FnMut(&FeedProgress),
    ) -> Result<(), PublishError> {
        let start = Instant::now();
        let mut origin = None;
        for (time, values) in readings {
            self.next = Some(time);
            let origin = *origin.get_or_insert(time);
            if let Speed::Times(factor) = self.speed {
                let seconds = time.duration_since(origin).as_secs_f64() / factor;
                if let Ok(wait) = Duration::try_from_secs_f64(seconds) {
                    sleep_until(start + wait).await;
                }
            }
            let shifted = time.saturating_add(self.shift).unwrap_or(time);
            let payload = wire::reading::encode(shifted, &values);
            let number = self.publisher.publish_wait(Message::new(Arc::clone(&self.topic), payload)).await?;
            self.pending.push_back((number, time));
            self.next = None;
            self.progress.sent += 1;
            self.progress.first.get_or_insert(time);
            self.progress.last = Some(time);
            if self.pending.len().is_multiple_of(LOOK_EVERY) {
                self.look();
            }
            observe(&self.progress);
        }
        while let Some(&(number, _)) = self.pending.front() {
            self.publisher.wait_settled(number + 1).await?;
            self.look();
            observe(&self.progress);
        }
        Ok(())
    }

    /// Counts what was acknowledged since the last look.
    fn look(&mut self) {
        let settled = self.publisher.settled();
        while self.pending.front().is_some_and(|(number, _)| *number < settled) {
            self.pending.pop_front();
            self.progress.acknowledged += 1;
        }
    }

    /// How far it has come.
    pub fn progress(&mut self) -> FeedProgress {
        self.look();
        self.progress
    }

    /// The first reading, by its time in the source, that is not known to have arrived.
    pub fn first_unacknowledged(&mut self) -> Option<Timestamp> {
        self.look();
        self.pending.front().map(|(_, time)| *time).or(self.next)
    }
}

/// Where progress is shown.
#[derive(Debug)]
pub struct Progress {
    shown: Shown,
    last_line: Instant,
}

#[derive(Debug)]
enum Shown {
    Nowhere,
    Lines,
    Bar(ProgressBar),
}

/// Time between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Shows nothing.
    pub fn silent() -> Progress {
        Progress { shown: Shown::Nowhere, last_line: Instant::now() }
    }

    /// A bar on a terminal, else a line now and then, both on standard error; nothing if `quiet`.
    pub fn standard(quiet: bool) -> Progress {
        let shown = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nowhere,
            (false, false) => Shown::Lines,
            (false, true) => {
                let style =
                    ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {per_sec}  {eta} left");
                Shown::Bar(
                    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
                )
            }
        };
        Progress { shown, last_line: Instant::now() }
    }

    fn begin(&self, readings: u64) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_length(readings);
            bar.reset();
        }
    }

    fn say(&self, line: &str) {
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Lines => eprintln!("{line}"),
            Shown::Bar(bar) => bar.suspend(|| eprintln!("{line}")),
        }
    }

    fn observe(&mut self, progress: &FeedProgress, readings: u64, started: Instant) {
        let reached = progress.last.unwrap_or_default();
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Bar(bar) => {
                bar.set_position(progress.sent);
                if progress.sent.is_multiple_of(64) || self.last_line.elapsed() > Duration::from_millis(200) {
                    bar.set_message(reached.to_string());
                    self.last_line = Instant::now();
                }
            }
            Shown::Lines if self.last_line.elapsed() >= LINE_EVERY => {
                let rate = progress.sent as f64 / started.elapsed().as_secs_f64();
                let left = readings.saturating_sub(progress.sent) as f64 / rate.max(1e-9);
                eprintln!(
                    "{} of {readings} readings, at {reached}, {rate:.0}/s, {left:.0} s left",
                    progress.sent
                );
                self.last_line = Instant::now();
            }
            Shown::Lines => {}
        }
    }

    fn end(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Readings, times as in the file.
    pub feed: FeedProgress,
    /// Rows that cannot be read, or hold no value.
    pub skipped: u64,
    /// From the first reading handed over to the last acknowledged.
    pub duration: Duration,
    /// When interrupted: the first reading that is not known to have arrived; `--from` takes it.
    pub go_on_from: Option<Timestamp>,
}

impl Summary {
    /// Acknowledged readings per second.
    pub fn rate(&self) -> f64 {
        self.feed.acknowledged as f64 / self.duration.as_secs_f64().max(1e-9)
    }
}

impl std::fmt::Display for Summary {
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
    let source = RecordSource { paths: options.csv.clone(), mapping: None };
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
    mut progress: Progress,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, ReplayError> {
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
        let path = RecordSource { paths: options.csv, mapping: None }.name();
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
            return Ok(Summary {
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
    Ok(Summary { feed: feed.progress(), skipped: content.skipped, duration, go_on_from })
}

/// How the broker is reached. The password is that of the file, else of the environment, else of the address.
fn settings(options: &ReplayOptions) -> Result<MqttSettings, SettingsError> {
    let mut settings = MqttSettings::from_address(&options.broker)?;
    if settings.password.is_some() {
        warn!(
            "the password in --broker can be read by every user of this machine; --password-file or \
             FORECASTD_BROKER_PASSWORD keep it"
        );
    }
    if options.password_file.is_some() {
        (settings.password, settings.password_file) = (None, options.password_file.clone());
    } else if options.password.is_some() && settings.username.is_some() {
        settings.password = options.password.clone();
    }
    settings.ca_file = options.ca_file.clone();
    Ok(settings)
}

/// Waits for the first connection.
async fn connect(inbox: &mut Inbox, address: &str) -> Result<(), ReplayError> {
    let mut last = DisconnectReason::Timeout;
    let connected = timeout(PATIENCE, async {
        while let Some(event) = inbox.recv().await {
            match event {
                SessionEvent::News(News::Connected { .. }) => return Ok(()),
                SessionEvent::News(News::Disconnected { reason, .. }) => {
                    if reason.is_permanent() {
                        return Err(hopeless(address, &reason));
                    }
                    last = reason;
                }
                SessionEvent::News(News::Subscribed | News::Refused(_)) | SessionEvent::Message(_) => {}
            }
        }
        Err(ReplayError::Publish(PublishError::Closed))
    });
    match connected.await {
        Ok(result) => result,
        Err(_) => Err(hopeless(address, &last)),
    }
}

fn hopeless(address: &str, reason: &DisconnectReason) -> ReplayError {
    let (address, text) = (address.to_owned(), reason.to_string());
    match reason {
        DisconnectReason::Unauthorized(_) => ReplayError::Unauthorized { address, reason: text },
        _ => ReplayError::NoBroker { address, reason: text },
    }
}

/// Watches the connection; returns when there is no hope left.
async fn watch(inbox: &mut Inbox, address: &str) -> ReplayError {
    loop {
        match inbox.recv().await {
            None => return PublishError::Closed.into(),
            Some(SessionEvent::News(News::Disconnected { .. })) => {
                if let Err(error) = connect(inbox, address).await {
                    return error;
                }
            }
            Some(SessionEvent::News(News::Refused(Refusal::Publication { topic, reason }))) => {
                return ReplayError::Refused { topic, reason };
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        replay: ReplayOptions,
    }

    fn options(arguments: &[&str]) -> ReplayOptions {
        let always = ["replay", "--csv", "x.csv"];
        Arguments::parse_from(always.iter().chain(arguments)).replay
    }

    #[test]
    fn the_password_is_the_files_else_the_environments_else_the_addresss() {
        let mut asked = options(&["--broker", "mqtt://roof:argument@h"]);
        let password = |asked: &ReplayOptions| {
            settings(asked).unwrap().resolve_password().unwrap().map(|password| password.reveal().to_owned())
        };
        assert_eq!(password(&asked).as_deref(), Some("argument"));
        asked.password = Some("environment".to_owned().into());
        assert_eq!(password(&asked).as_deref(), Some("environment"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "file\n").unwrap();
        asked.password_file = Some(file.path().to_owned());
        assert_eq!(password(&asked).as_deref(), Some("file"));
        // A broker without users is not troubled with the password of another.
        asked = ReplayOptions { password: Some("environment".to_owned().into()), ..options(&[]) };
        assert_eq!(password(&asked), None);
    }

    #[test]
    fn no_argument_takes_a_password_and_certificates_can_be_given() {
        let refused = Arguments::try_parse_from(["replay", "--csv", "x.csv", "--password", "x"]);
        assert!(refused.is_err());
        let asked = options(&["--broker", "mqtts://h", "--ca-file", "ca.pem"]);
        assert_eq!(settings(&asked).unwrap().ca_file.as_deref(), Some(std::path::Path::new("ca.pem")));
    }

    #[test]
    fn speeds_and_times_are_read() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("600".parse(), Ok(Speed::Times(600.0)));
        for bad in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
        assert_eq!(parse_time("2016-01-01").unwrap().to_string(), "2016-01-01T00:00:00Z");
        assert_eq!(parse_time("2016-01-01T01:00:00+01:00").unwrap().to_string(), "2016-01-01T00:00:00Z");
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn the_last_reading_is_of_the_moment_in_which_it_is_sent() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let (start, first, last) = (second(1_000_000), second(0), second(36_000));
        let shifted = |time: Timestamp, speed| time + Rebase::Now.shift(start, first, last, speed);
        assert_eq!(shifted(last, Speed::Max), start);
        assert_eq!(shifted(last, Speed::Times(10.0)), second(1_003_600));
        assert_eq!(shifted(first, Speed::Times(0.5)), start);
    }
}
