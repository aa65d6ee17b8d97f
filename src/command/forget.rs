//! Forgets a station that was renamed or retired: its retained topics at the broker and its rows in the journal.
//!
//! A daemon that runs forgets it, too: to it, an empty retained message on the station's reading topic says so. It is often the
//! first to remove the rows, so that the journal is looked into before anything is emptied.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::config::Config;
use crate::wire::discovery::object_id;
use forecastd_core::StationName;
use forecastd_mqtt::{
    DisconnectReason, Inbox, Message, News, PublishError, Publisher, Purpose, Refusal, Session, SessionError,
    SessionEvent,
};

/// How long a broker that is away is waited for, and then its answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often a connection that is lost in the middle is tried anew.
const TRIES: u32 = 3;

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a station is not forgotten. What was done before is named by [`ForgetError::Journal`] alone; all steps can be
/// repeated.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError<E: std::error::Error + 'static> {
    /// The session cannot start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No connection came about, or no answer came.
    #[error("no broker at {address}: {reason}")]
    NoBroker {
        /// Where it was looked for.
        address: String,
        /// The last reason.
        reason: String,
    },
    /// The broker does not let this user empty a topic.
    #[error("broker refuses to empty {topic}: {reason}; the user needs the right to write there")]
    Refused {
        /// The topic that was to be emptied.
        topic: String,
        /// The broker's reason.
        reason: String,
    },
    /// A topic cannot be, or the session ended.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The topics are empty; the rows remain.
    #[error("topics are emptied, but the journal {path} still has the station", path = .path.display())]
    Journal {
        /// The journal's file.
        path: PathBuf,
        /// What the journal says.
        source: E,
    },
}

/// What was done to forget a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The station that is forgotten.
    pub station: StationName,
    /// The broker's address.
    pub broker: String,
    /// Topics emptied: the one of readings first, then what is published for the station.
    pub emptied: Vec<String>,
    /// Of these, the ones that were seen to hold something. A user who may not read them sees none.
    pub held: Vec<String>,
    /// The journal's file and what became of the station's rows; none when the configuration has no journal.
    pub journal: Option<(PathBuf, Rows)>,
    /// Whether the configuration has a `[[source]]`, which may be where the station comes from.
    pub has_sources: bool,
}

/// What became of a station's rows in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// They were removed.
    Removed,
    /// They were there before, and a daemon that runs was quicker in removing them.
    RemovedByDaemon,
    /// There were none.
    None,
}

impl Forgotten {
    /// Whether broker or journal knew the station.
    pub fn was_known(&self) -> bool {
        !self.held.is_empty() || self.journal.as_ref().is_some_and(|(_, rows)| *rows != Rows::None)
    }
}

/// For a person: one line for each thing that was done.
impl fmt::Display for Forgotten {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forgotten { station, broker, emptied, held, journal, has_sources } = self;
        writeln!(formatter, "emptied at {broker}:")?;
        for topic in emptied {
            let note = if held.contains(topic) { "" } else { "  (nothing was seen there)" };
            writeln!(formatter, "  {topic}{note}")?;
        }
        match journal {
            Some((path, Rows::Removed)) => {
                writeln!(formatter, "removed from the journal {}", path.display())?
            }
            Some((path, Rows::RemovedByDaemon)) => {
                writeln!(formatter, "removed from the journal {} by the daemon that runs", path.display())?;
            }
            Some((path, Rows::None)) => writeln!(formatter, "not in the journal {}", path.display())?,
            None => writeln!(formatter, "there is no journal")?,
        }
        if self.was_known() {
            write!(
                formatter,
                "{station} is forgotten; a daemon that runs forgets it now, and one that does not, later"
            )?;
            match has_sources {
                true => write!(
                    formatter,
                    "\nwhere a [[source]] of the configuration still hears it, its next message brings it back"
                ),
                false => Ok(()),
            }
        } else {
            write!(
                formatter,
                "nothing is forgotten: neither broker nor journal knew a station {:?}",
                station.as_str()
            )
        }
    }
}

/// Empties the station's topics at the broker of `config`, then removes its rows from the journal with `forget_rows`, which
/// is given the journal's file and says whether it knew the station. `has_rows` says so before anything is done, as a daemon
/// that runs may remove them in between.
///
/// # Errors
/// [`ForgetError`]; the rows remain when the broker is away or refuses, so that nothing is half forgotten without a word.
pub async fn run<E: std::error::Error + Send + 'static>(
    config: &Config,
    station: &StationName,
    has_rows: impl FnOnce(&Path, &StationName) -> Result<bool, E> + Send + 'static,
    forget_rows: impl FnOnce(&Path, &StationName) -> Result<bool, E> + Send + 'static,
) -> Result<Forgotten, ForgetError<E>> {
    let name = station.as_str();
    let topics = &config.topics;
    let reading = topics.reading.topic(name);
    let outputs =
        [&topics.forecast, &topics.station_status, &topics.verification].map(|topic| topic.topic(name));
    let discovery = config.home_assistant.topics();
    let discovery = discovery.map(|discovery| discovery.config.topic(&object_id(station)));
    let outputs: Vec<String> = outputs.into_iter().chain(discovery).collect();

    // What is wrong with the file is said when rows are to be removed.
    let had_rows = with_journal(config, station, has_rows).await.is_some_and(|rows| rows.unwrap_or(false));
    let mut settings = config.mqtt.clone();
    settings.client_id = format!("forecastd-forget-{:08x}", rand::random::<u32>());
    // Nothing is to be kept for this client.
    settings.session_expiry_s = 1;
    let broker = settings.address();
    let (publisher, mut inbox, handle) = Session::start(&settings, Purpose::subscribing(outputs.clone()))?;
    let mut emptied = vec![reading];
    emptied.extend(outputs);
    let mut held = Vec::new();
    let mut tries = 1;
    loop {
        connect(&mut inbox, &broker, &mut held).await?;
        match empty(&publisher, &mut inbox, &emptied, &mut held).await? {
            Emptied::All => break,
            Emptied::Lost(reason) if tries == TRIES => {
                return Err(ForgetError::NoBroker { address: broker, reason: reason.to_string() });
            }
            Emptied::Lost(_) => tries += 1,
        }
    }
    handle.stop(GOODBYE).await;

    let path = config.journal.path.clone();
    let journal = match with_journal(config, station, forget_rows).await {
        None => None,
        Some(Err(source)) => return Err(ForgetError::Journal { path, source }),
        Some(Ok(true)) => Some((path, Rows::Removed)),
        Some(Ok(false)) if had_rows => Some((path, Rows::RemovedByDaemon)),
        Some(Ok(false)) => Some((path, Rows::None)),
    };
    let has_sources = !config.sources.is_empty();
    Ok(Forgotten { station: station.clone(), broker, emptied, held, journal, has_sources })
}

/// Does something with the journal's file, in a thread where that may take its time; `None` where there is no journal.
async fn with_journal<Done: Send + 'static>(
    config: &Config,
    station: &StationName,
    work: impl FnOnce(&Path, &StationName) -> Done + Send + 'static,
) -> Option<Done> {
    if !config.journal.enabled {
        return None;
    }
    let (path, station) = (config.journal.path.clone(), station.clone());
    let done = tokio::task::spawn_blocking(move || work(&path, &station)).await;
    Some(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))
}

/// How emptying came out.
enum Emptied {
    /// The broker has taken every message.
    All,
    /// The connection was lost meanwhile, so that nobody knows what it has taken.
    Lost(DisconnectReason),
}

/// Publishes an empty retained message on every topic, and adds the topics that the broker had retained something for to
/// `held`.
async fn empty<E: std::error::Error + 'static>(
    publisher: &Publisher,
    inbox: &mut Inbox,
    topics: &[String],
    held: &mut Vec<String>,
) -> Result<Emptied, ForgetError<E>> {
    let mut number = 0;
    for topic in topics {
        number = publisher.publish_wait(Message::clearing(topic.as_str())).await?;
    }
    let Ok(settled) = timeout(PATIENCE, publisher.wait_settled(number + 1)).await else {
        return Ok(Emptied::Lost(DisconnectReason::Timeout));
    };
    settled?;
    // What the broker had retained came before it acknowledged what was published after the subscription.
    while let Some(event) = inbox.try_recv() {
        match event {
            SessionEvent::News(News::Refused(Refusal::Publication { topic, reason })) => {
                return Err(ForgetError::Refused { topic, reason });
            }
            SessionEvent::News(News::Disconnected { reason, .. }) => return Ok(Emptied::Lost(reason)),
            event => note(event, held),
        }
    }
    Ok(Emptied::All)
}

/// Adds the topic of a message that was retained.
fn note(event: SessionEvent, held: &mut Vec<String>) {
    if let SessionEvent::Message(message) = event
        && message.retain
        && !message.payload.is_empty()
    {
        held.push(message.topic);
    }
}

/// Waits until the broker has answered the subscription. What it retains comes before or after its answer.
async fn connect<E: std::error::Error + 'static>(
    inbox: &mut Inbox,
    address: &str,
    held: &mut Vec<String>,
) -> Result<(), ForgetError<E>> {
    let mut last = DisconnectReason::Timeout;
    let no_broker = |reason: &DisconnectReason| ForgetError::NoBroker {
        address: address.to_owned(),
        reason: reason.to_string(),
    };
    let subscribed = timeout(PATIENCE, async {
        while let Some(event) = inbox.recv().await {
            match event {
                SessionEvent::News(News::Subscribed) => return Ok(()),
                SessionEvent::News(News::Refused(Refusal::Publication { topic, reason })) => {
                    return Err(ForgetError::Refused { topic, reason });
                }
                SessionEvent::News(News::Disconnected { reason, .. }) => {
                    if reason.is_permanent() {
                        return Err(no_broker(&reason));
                    }
                    last = reason;
                }
                event => note(event, held),
            }
        }
        Err(ForgetError::Publish(PublishError::Closed))
    });
    match subscribed.await {
        Ok(result) => result,
        Err(_) => Err(no_broker(&last)),
    }
}
