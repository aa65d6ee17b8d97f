//! The demo: broker, daemon and a replayed station on one machine, with one live line per station.

pub mod broker;
pub mod fetch;

use std::io::{self, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use crate::ModelLocation;
use crate::command::replay::{Feed, Speed};
use crate::config::{Config, Diagnostic};
use crate::daemon::{self, DaemonError, Overrides};
use crate::demo::broker::{Broker, BrokerError};
use crate::operations::events::Notice;
use forecastd_core::{LeadTotals, Source};
use forecastd_core::{Place, Readiness, Site, humanize};
use forecastd_core::{StationName, StationNameError};
use forecastd_mqtt::{MqttSettings, PublishError, Purpose, Session, SessionError, TopicError};
use forecastd_record::{CsvError, CsvMapping, CsvReader, Row};
use forecastd_record::{SITE, Simulation};

/// The daemon has nothing left to do when it issued nothing for so long.
const QUIET: Duration = Duration::from_secs(1);

/// So long the demo's journal keeps everything.
const KEEP_DAYS: u32 = 36_500;

/// What the demo shows.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// CSV file of a station to replay, instead of the Jena record
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Mapping file that names the CSV's columns and units
    #[arg(long, value_name = "FILE", requires = "csv")]
    pub mapping: Option<PathBuf>,
    /// Model file [default: the model that is built in]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// How many times as fast as real time, or "max"; 3600 is an hour each second
    #[arg(long, value_name = "SPEED", default_value = "3600")]
    pub speed: Speed,
    /// Days of the record that are replayed at once, so that there is something to look back on
    #[arg(long, value_name = "DAYS", default_value_t = 40)]
    pub head_start: u16,
    /// End by itself after this time, such as 30s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Use the simulated station, without looking for a record
    #[arg(long, conflicts_with = "csv")]
    pub simulate: bool,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "expected a time such as 30s, 5m or 1h 30m".to_owned())
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The broker does not start.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The daemon does not start.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The CSV cannot be read.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The replay's session does not start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The station's name cannot be.
    #[error(transparent)]
    Station(#[from] StationNameError),
    /// The station's topic cannot be.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The configuration of the demo is at fault.
    #[error("configuration: {0}")]
    Config(Diagnostic),
    /// There is no folder for the time being.
    #[error("temporary folder")]
    Io(#[from] std::io::Error),
    /// The file has nothing to replay.
    #[error("{0}: no reading can be replayed")]
    Nothing(PathBuf),
}

/// Where readings come from.
struct Feedstock {
    station: StationName,
    /// Where the station stands, if that is known.
    site: Option<Site>,
    rows: Box<dyn Iterator<Item = Row> + Send>,
    origin: String,
}

/// Runs the demo until its time is up, the record has ended, or `shutdown` completes.
///
/// # Errors
/// [`DemoError`] when a part does not start.
pub async fn run(options: DemoOptions, shutdown: impl Future<Output = ()>) -> Result<(), DemoError> {
    let no_environment: [(String, String); 0] = [];
    let mut config = Config::load(None, no_environment)
        .map_err(|mut diagnostics| DemoError::Config(diagnostics.remove(0)))?;
    let http = match tokio::net::TcpListener::bind(config.http.listen).await {
        Ok(listener) => listener,
        // A daemon may be there already.
        Err(_) => tokio::net::TcpListener::bind("127.0.0.1:0").await?,
    };
    let address = http.local_addr()?;
    writeln!(stdout(), "page       http://{address}/")?;
    let feedstock = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || feedstock(&options)).await
    };
    let feedstock = feedstock.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let folder = tempfile::Builder::new().prefix("forecastd-demo-").tempdir()?;
    let broker = Broker::start()?;
    writeln!(stdout(), "readings   {}", feedstock.origin)?;
    writeln!(stdout(), "broker     mqtt://{} (embedded, this machine only)", broker.address())?;

    let mqtt = |client_id: &str| MqttSettings {
        host: broker.address().ip().to_string(),
        port: Some(broker.address().port()),
        client_id: client_id.to_owned(),
        ..MqttSettings::default()
    };
    config.mqtt = mqtt("forecastd-demo");
    config.model.path = ModelLocation::from(options.model.clone());
    config.model.folder = None;
    // Nobody is there to be told.
    config.home_assistant.discovery = false;
    config.journal.path = folder.path().join("forecastd.sqlite");
    // A record of years ago is not old.
    (config.journal.keep_days, config.journal.keep_forecasts_days) = (KEEP_DAYS, KEEP_DAYS);
    config.places.default = feedstock.site.map(Place::given);
    if feedstock.site.is_none() {
        writeln!(
            stdout(),
            "place      not known: a mapping with the site lets the model run; reference forecasts until then"
        )?;
    }
    config.stations.max_reading_ahead_s = 3600;
    writeln!(stdout(), "metrics    http://{address}/metrics")?;
    writeln!(stdout(), "model      {}", config.model.path)?;
    writeln!(stdout())?;

    let (events, mut happened) = mpsc::unbounded_channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (_reload, reloads) = mpsc::unbounded_channel();
    let overrides = Overrides { http: Some(http), notices: Some(events) };
    let daemon = daemon::run(config, overrides, reloads, async {
        let _ = stopped.await;
    });
    tokio::pin!(daemon);
    tokio::pin!(shutdown);

    // The daemon first: what is published before it subscribes would be lost.
    let connected = async {
        while let Some(event) = happened.recv().await {
            if matches!(event, Notice::Connected) {
                return;
            }
        }
    };
    tokio::select! {
        ended = &mut daemon => return Ok(ended?),
        () = &mut shutdown => return Ok(()),
        () = connected => {}
    }

    let (publisher, mut inbox, session) = Session::start(&mqtt("forecastd-demo-replay"), Purpose::default())?;
    let feed = |speed| Feed::new(&publisher, &feedstock.station, "weather/{station}/reading", speed);
    let (mut head_start, mut feed) = (feed(Speed::Max)?, feed(options.speed)?);
    let mut rows = feedstock.rows.peekable();
    let days = SignedDuration::from_hours(24 * i64::from(options.head_start));
    let until = rows.peek().and_then(|(first, _)| first.checked_add(days).ok());
    let replay = async {
        let early = std::iter::from_fn(|| rows.next_if(|(time, _)| until.is_some_and(|until| *time < until)));
        head_start.run(early, |_| {}).await?;
        feed.run(rows, |_| {}).await
    };
    tokio::pin!(replay);
    let end = async {
        match options.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut screen = Screen::new()?;
    let mut stop = Some(stop);
    let mut outcome: Option<Result<(), PublishError>> = None;
    loop {
        // What was sent last is still on its way through the daemon when the replay has ended.
        let quiet = async {
            match &outcome {
                Some(_) => tokio::time::sleep(QUIET).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut daemon => {
                screen.summary()?;
                ended?;
                break;
            }
            Some(event) = happened.recv() => screen.show(event)?,
            Some(_) = inbox.recv() => {}
            ended = &mut replay, if outcome.is_none() && stop.is_some() => outcome = Some(ended),
            () = quiet, if stop.is_some() => drop(stop.take()),
            () = &mut end, if stop.is_some() => drop(stop.take()),
            () = &mut shutdown, if stop.is_some() => drop(stop.take()),
        }
    }
    session.stop(Duration::from_secs(2)).await;
    if let Some(Err(error)) = outcome {
        tracing::warn!(%error, "replay ended early");
    }
    Ok(())
}

/// A given file, the Jena record, or the simulation.
fn feedstock(options: &DemoOptions) -> Result<Feedstock, DemoError> {
    if let Some(path) = &options.csv {
        return from_csv(path, options.mapping.as_deref());
    }
    if !options.simulate {
        writeln!(stdout(), "The Jena climate record is looked for; it is downloaded once (13.6 MB).")?;
        let mut shown = 0;
        let is_terminal = stdout().is_terminal();
        let fetched = fetch::fetch(|come, all| {
            let percent = come * 100 / all;
            if is_terminal && percent != shown {
                shown = percent;
                // Where nobody looks any more, the download goes on.
                let _ = write!(stdout(), "\rdownloading {percent} %").and_then(|()| stdout().flush());
            }
        });
        if shown > 0 {
            writeln!(stdout())?;
        }
        match fetched {
            Ok(fetched) => {
                if !fetched.is_known_copy {
                    writeln!(
                        stdout(),
                        "note: structure is right, but it is none of the copies known byte for byte"
                    )?;
                }
                return from_csv(&fetched.path, None);
            }
            Err(error) => writeln!(stdout(), "No record ({error}): a simulated station stands in.")?,
        }
    }
    let year: i64 = 365 * 24;
    let start = Timestamp::now()
        .saturating_sub(SignedDuration::from_hours(2 * year))
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let start = Timestamp::from_second(start.as_second() / 600 * 600).unwrap_or(start);
    Ok(Feedstock {
        station: StationName::new("simulated")?,
        site: Some(SITE),
        rows: Box::new(Simulation::new(start, 1).take_while(|(time, _)| *time <= Timestamp::now())),
        origin: "SIMULATED station (no real weather): seasons, days and fronts, two years up to now"
            .to_owned(),
    })
}

fn from_csv(path: &Path, mapping: Option<&Path>) -> Result<Feedstock, DemoError> {
    let mapping = mapping.map(CsvMapping::read).transpose()?;
    let reader = CsvReader::open(path, mapping.as_ref())?;
    let named = mapping.as_ref().and_then(|mapping| mapping.station.as_deref());
    let station = station_of(path, named, reader.preset())?;
    let site = reader.site();
    let mut rows: Vec<Row> = reader.filter_map(Result::ok).collect();
    rows.sort_by_key(|(time, _)| *time);
    let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else {
        return Err(DemoError::Nothing(path.to_owned()));
    };
    let origin = format!("{} ({} readings, {first} to {last})", path.display(), rows.len());
    Ok(Feedstock { station, site, rows: Box::new(rows.into_iter()), origin })
}

/// The station of a file: as its mapping names it, else that of the Jena record, else by the file's name without what it ends with.
fn station_of(
    path: &Path,
    named: Option<&str>,
    preset: Option<&str>,
) -> Result<StationName, StationNameError> {
    const JENA: &str = "jena";
    const ENDS: [&str; 4] = [".gz", ".csv", ".txt", ".tsv"];
    if let Some(name) = named.or(preset.filter(|preset| *preset == JENA)) {
        return StationName::new(name);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = ENDS.iter().fold(name.as_ref(), |name, end| name.strip_suffix(end).unwrap_or(name));
    // A file may have a name that no station can have.
    StationName::new(stem).or_else(|_| StationName::new("record"))
}

/// The lines that a person watches.
struct Screen {
    is_terminal: bool,
    shown: Option<Instant>,
    last: Option<Line>,
    forecasts: u64,
    refused: u64,
    start: Instant,
}

struct Line {
    text: String,
    station: String,
    totals: LeadTotals,
}

impl Screen {
    fn new() -> io::Result<Screen> {
        let is_terminal = stdout().is_terminal();
        writeln!(
            stdout(),
            "{:<12} {:<16} {:>8} {:>24}   mean absolute error so far, 24 h ahead",
            "station",
            "time (UTC)",
            "now",
            "in 24 h"
        )?;
        Ok(Screen { is_terminal, shown: None, last: None, forecasts: 0, refused: 0, start: Instant::now() })
    }

    fn show(&mut self, event: Notice) -> io::Result<()> {
        match event {
            Notice::Issued { forecast, readiness, lifetime: totals } => {
                self.forecasts += u64::from(forecast.source == Source::Model);
                let time: String =
                    forecast.issued_at.to_string().replace('T', " ").chars().take(16).collect();
                let ahead = match (forecast.source, forecast.at(24)) {
                    (Source::Model, Some(lead)) => match lead.interval_c {
                        Some((low, high)) => {
                            let [celsius, low, high] = [lead.temperature_c, low, high].map(tenths);
                            format!("{celsius:>5} °C ({low} to {high})")
                        }
                        None => format!("{:>5} °C", tenths(lead.temperature_c)),
                    },
                    _ => "(warming up)".to_owned(),
                };
                let errors = match (totals.mae(), totals.persistence_mae(), totals.skill()) {
                    (Some(model), Some(persistence), Some(skill)) => {
                        format!("{model:.2} °C; same as now {persistence:.2} °C; {}", verdict(skill))
                    }
                    _ => match readiness {
                        Readiness::WarmingUp(missing) => {
                            format!("{} of history still missing", humanize(missing.remaining))
                        }
                        _ => "no forecast is a day old yet".to_owned(),
                    },
                };
                let station = forecast.station.to_string();
                let text = format!(
                    "{station:<12} {time:<16} {:>5} °C {ahead:>24}   {errors}",
                    tenths(forecast.temperature_c)
                );
                self.last = Some(Line { text, station, totals });
                self.draw(false)?;
            }
            Notice::Refused { .. } => self.refused += 1,
            Notice::Listening(_) | Notice::Connected => {}
        }
        Ok(())
    }

    /// Draws the newest line: on a terminal in place, elsewhere one now and then.
    fn draw(&mut self, at_once: bool) -> io::Result<()> {
        let every = Duration::from_millis(if self.is_terminal { 80 } else { 2000 });
        if !at_once && self.shown.is_some_and(|shown| shown.elapsed() < every) {
            return Ok(());
        }
        self.shown = Some(Instant::now());
        let Some(line) = &self.last else { return Ok(()) };
        if self.is_terminal {
            // Without wrapping: of a line that is wider than the terminal, each would leave a row behind.
            write!(stdout(), "\r\x1b[2K\x1b[?7l{}\x1b[?7h", line.text)?;
            stdout().flush()?;
        } else {
            writeln!(stdout(), "{}", line.text)?;
        }
        Ok(())
    }

    fn summary(&mut self) -> io::Result<()> {
        self.draw(true)?;
        if self.is_terminal {
            writeln!(stdout())?;
        }
        writeln!(stdout())?;
        writeln!(
            stdout(),
            "{} forecasts of the model in {:.1} s",
            self.forecasts,
            self.start.elapsed().as_secs_f64()
        )?;
        if self.refused > 0 {
            writeln!(stdout(), "{} readings were refused", self.refused)?;
        }
        let Some(Line { station, totals, .. }) = &self.last else { return Ok(()) };
        match (totals.mae(), totals.persistence_mae(), totals.yesterday_mae(), totals.skill()) {
            (Some(mae), Some(persistence), Some(_), Some(skill)) => {
                writeln!(
                    stdout(),
                    "{station}: {} of them were verified 24 hours later.",
                    totals.count() as u64
                )?;
                writeln!(stdout(), "  mean absolute error of the forecast     {mae:.2} °C")?;
                writeln!(stdout(), "  mean absolute error of \"same as now\"    {persistence:.2} °C")?;
                writeln!(stdout(), "  the forecast is {}", verdict(skill))?;
                if let Some(coverage) = totals.coverage() {
                    writeln!(stdout(), "  {:.0} % of outcomes lay within the interval", 100.0 * coverage)?;
                }
            }
            _ => writeln!(stdout(), "{station}: none of them is 24 hours old yet; let it run longer.")?,
        }
        Ok(())
    }
}

/// Skill as a person says it.
fn verdict(skill: f64) -> String {
    let word = if skill < 0.0 { "worse" } else { "better" };
    format!("{:.1} % {word}", 100.0 * skill.abs())
}

/// A temperature to tenths, of which none is a negative zero.
fn tenths(celsius: f32) -> String {
    let text = format!("{celsius:.1}");
    if text == "-0.0" { "0.0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_just_below_zero_is_no_negative_zero() {
        assert_eq!([-0.04, -0.06, 0.04, 12.0].map(tenths), ["0.0", "-0.1", "0.0", "12.0"]);
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["", "s", "30", "-3s", "3 weeks", "nan"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
