//! What arrives on a broker, what each preset makes of it, and the `[[source]]` for it: what a new user runs first.

mod append;
mod findings;
mod heard;
mod own;
mod statestream;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Config;
use append::{Appended, append};
use findings::{Findings, NoChoice, Suggestions};
use forecastd_core::StationName;
use forecastd_mapping::{Auto, DecodeError, Message};
use forecastd_mqtt::{DisconnectReason, News, Purpose, Session, SessionError, SessionEvent};
use own::OwnTopics;

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// What is listened to.
#[derive(Debug, Clone, clap::Args)]
pub struct ListenOptions {
    /// The topic filter
    #[arg(long, default_value = "#", value_name = "FILTER")]
    pub topic: String,
    /// How long, in seconds; an interrupt ends it sooner
    #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// The zone of local times, as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Height of the station above the sea in metres, for pressure that is reduced to sea level
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub elevation_m: Option<f64>,
    /// Append the `[[source]]` of every station, or of --preset and --station, to this configuration file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// The preset to write
    #[arg(long, value_name = "NAME", requires = "write")]
    pub preset: Option<String>,
    /// The one station to write, where several are heard; a name for it, where there is one
    #[arg(long, value_name = "NAME", requires = "write", value_parser = station_name)]
    pub station: Option<StationName>,
}

fn station_name(text: &str) -> Result<StationName, String> {
    StationName::new(text).map_err(|error| error.to_string())
}

/// Why nothing can be listened to, or written.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The zone is none.
    #[error("{0}")]
    Zone(forecastd_mapping::MappingError),
    /// The session cannot start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No connection came about.
    #[error("no broker at {address}: {reason}")]
    NoBroker {
        /// Where it was looked for.
        address: String,
        /// The last reason.
        reason: DisconnectReason,
    },
    /// Nothing that was asked for was heard.
    #[error("nothing to write: no message was a reading of {0}")]
    NothingToWrite(String),
    /// Several stations were heard, and none has the name that is wanted.
    #[error("no station {wanted:?} was heard, and several could be given the name: {}; listen to one of them with --topic", .heard.join(", "))]
    Several {
        /// The name that was asked for.
        wanted: String,
        /// The stations that were heard.
        heard: Vec<String>,
    },
    /// The file gives the same messages to another station.
    #[error("{path} has a [[source]] for these messages, with the station {station:?}: change the name there", path = .path.display())]
    Other {
        /// The configuration file that was to be added to.
        path: PathBuf,
        /// The station there.
        station: String,
    },
    /// The file cannot be written.
    #[error("{path}", path = .path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The output is gone.
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

/// Listens for a time or until `interrupted`: prints a line for each topic as it comes, then what was heard of each station, and
/// writes the source that was chosen.
///
/// # Errors
/// [`ListenError`] when there is no broker, or the file cannot be written.
pub async fn run(
    config: &Config,
    options: &ListenOptions,
    output: &mut impl Write,
    interrupted: impl Future<Output = ()>,
) -> Result<(), ListenError> {
    let auto = Auto::new(options.time_zone.as_deref(), options.elevation_m).map_err(ListenError::Zone)?;
    let mut settings = config.mqtt.clone();
    settings.client_id = format!("forecastd-listen-{:08x}", rand::random::<u32>());
    // Nothing is to be kept for this client.
    settings.session_expiry_s = 1;
    let address = settings.address();
    let purpose = Purpose::subscribing(vec![options.topic.clone()]);
    let (_publisher, mut inbox, handle) = Session::start(&settings, purpose)?;
    writeln!(output, "listening to {:?} at {address} for {} s", options.topic, options.seconds)?;
    let mut findings = Findings::default();
    let own_topics = OwnTopics::new(config);
    let (mut was_connected, mut is_interrupted, mut lost) = (false, false, None);
    let end = tokio::time::sleep(Duration::from_secs(u64::from(options.seconds)));
    tokio::pin!(end, interrupted);
    loop {
        let event = tokio::select! {
            biased;
            () = &mut interrupted => {
                is_interrupted = true;
                break;
            }
            () = &mut end => break,
            event = inbox.recv() => event,
        };
        match event {
            None => break,
            Some(SessionEvent::Message(message)) => {
                let (topic, payload) = (message.topic.as_str(), &message.payload[..]);
                let heard = Message { topic, payload, arrival: Timestamp::now() };
                let line = match own_topics.find(topic) {
                    Some(own) => findings.add_own(topic, own),
                    None => {
                        let candidates = auto.candidates(&heard);
                        // What is no reading by its topic or its keys is no fault.
                        let fault = auto.decode(&heard).err().filter(|fault| {
                            candidates.is_empty()
                                && matches!(fault, DecodeError::BadTime(_) | DecodeError::BadValue { .. })
                        });
                        findings.add(&heard, candidates, fault.map(|fault| fault.to_string()))
                    }
                };
                if let Some(line) = line {
                    writeln!(output, "{line}")?;
                }
                message.acknowledgement.complete();
            }
            Some(SessionEvent::News(News::Subscribed)) => was_connected = true,
            Some(SessionEvent::News(News::Disconnected { reason, .. })) => {
                if reason.is_permanent() {
                    return Err(ListenError::NoBroker { address, reason });
                }
                lost = Some(reason);
            }
            Some(SessionEvent::News(_)) => {}
        }
    }
    handle.stop(GOODBYE).await;
    if !was_connected && !is_interrupted {
        // A broker that does not answer at all has given no reason yet.
        return Err(ListenError::NoBroker { address, reason: lost.unwrap_or(DisconnectReason::Timeout) });
    }
    findings.print(options.time_zone.as_deref(), options.elevation_m, output)?;
    match &options.write {
        Some(path) => write_sources(&findings, options, path, output),
        None => Ok(()),
    }
}

/// Writes the sources that are suggested, or the one of the station that is named, and says of each what became of it.
fn write_sources(
    findings: &Findings,
    options: &ListenOptions,
    path: &Path,
    output: &mut impl Write,
) -> Result<(), ListenError> {
    let (preset, station) = (options.preset.as_deref(), options.station.as_ref().map(StationName::as_str));
    let found = match station {
        Some(_) => findings
            .choose(preset, station)
            .map(|one| Suggestions { chosen: vec![one], left_out: Vec::new() }),
        None => findings.suggestions(preset),
    };
    let Suggestions { chosen, left_out } = found.map_err(|reason| match (reason, station) {
        (NoChoice::Several(heard), Some(wanted)) => ListenError::Several { wanted: wanted.to_owned(), heard },
        _ => ListenError::NothingToWrite(preset.unwrap_or("any preset").to_owned()),
    })?;
    let source = |heard| findings.source(heard, options.time_zone.as_deref(), options.elevation_m);
    let sources: Vec<String> = chosen.iter().map(source).collect();
    let appended =
        append(path, &sources).map_err(|source| ListenError::Write { path: path.to_owned(), source })?;
    let file = path.display();
    writeln!(output)?;
    for (heard, appended) in chosen.iter().zip(&appended) {
        let words = heard.words();
        match appended {
            Appended::Written => writeln!(output, "written to {file}: {words}")?,
            Appended::StandsThere => writeln!(output, "not written, as {file} has it: {words}")?,
            Appended::Other(name) if station.is_some() => {
                return Err(ListenError::Other { path: path.to_owned(), station: name.clone() });
            }
            Appended::Other(name) => writeln!(
                output,
                "left out: {words}: {file} has a [[source]] for these messages, with the station {name:?}"
            )?,
            Appended::Partly(further) => writeln!(
                output,
                "left out: {words}: {file} has a [[source]] for some of them; add to its topics {further:?}"
            )?,
        }
    }
    for (heard, reason) in left_out {
        writeln!(output, "left out: {}: {reason}", heard.words())?;
    }
    if !appended.contains(&Appended::Written) {
        writeln!(output, "nothing written")?;
    }
    Ok(())
}
