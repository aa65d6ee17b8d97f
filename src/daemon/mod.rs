//! The daemon: wires broker, stations, model, journal and metrics; signals, reload, shutdown.
//!
//! | module | contents |
//! | --- | --- |
//! | `mod` | start and end of everything |
//! | `driver` | brings the service what happens and carries out what it wants |
//! | `engines` | what runs the models |
//! | `home_assistant` | the topics on which Home Assistant is told of stations, and what is heard there |
//! | `loader` | the main model: loading it, and noticing a new file |
//! | `folder` | the specialists: loading them, and noticing files that come, change and go |
//! | `memory` | what a start reads from the journal |
//! | `intentions` | what is pending at the broker, and is written into the journal once it is done |
//! | `recall` | what the journal is asked for again while the daemon runs |
//! | `observers` | what the threads tell metrics, health and log |
//! | `sources` | messages of other programs, and the parts of readings among them |

mod driver;
mod engines;
mod folder;
mod home_assistant;
mod intentions;
mod loader;
mod memory;
mod observers;
mod recall;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use forecastd_core::{DiscoverySettings, Measure, Place, Service, Settings};
use forecastd_journal::Journal;
use forecastd_model::{ArtefactError, EngineError, EngineProgram};
use forecastd_mqtt::{Purpose, Session, SessionError, SessionStatistics, Status};
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::config::{Config, Diagnostic, DiscoveryTopics};
use crate::error_chain::chain;
use crate::http::{self, Providers};
use crate::operations::events::{Notice, Telemetry};
use crate::operations::health::Health;
use crate::operations::metrics::Metrics;
use crate::operations::{descriptors, systemd};

use driver::{Driver, Inputs, Turn};
use engines::Engines;
use folder::{Changes, Folder};
use loader::Loader;
use memory::Memory;
use observers::{JournalWatch, WorkerWatch};
use recall::Recaller;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The model file is not usable.
    #[error("model {path}")]
    Model {
        /// The model's file, or the model that is built in.
        path: String,
        /// What is wrong with the file.
        source: ArtefactError,
    },
    /// The engine does not run the model.
    #[error("model {path}")]
    Network {
        /// The model's file, or the model that is built in.
        path: String,
        /// What the engine says.
        source: EngineError,
    },
    /// The folder of specialists cannot be read.
    #[error("model.folder {path}")]
    Folder {
        /// The folder that `model.folder` names.
        path: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// There are more specialists than are used.
    #[error("model.specialists_max is {most}: {surplus} files of the folder are not used: {files}")]
    TooManySpecialists {
        /// How many are not.
        surplus: usize,
        /// How many there may be.
        most: usize,
        /// Which, by name.
        files: String,
    },
    /// The engine cannot be had.
    #[error(transparent)]
    Engine(EngineError),
    /// The MQTT settings are not usable.
    #[error("mqtt")]
    Mqtt(#[from] SessionError),
    /// The HTTP address cannot be had.
    #[error("http.listen {address}")]
    Listen {
        /// The address and port of `http.listen`.
        address: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The system has no threads left.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// What a caller may bring instead of what the daemon makes itself.
#[derive(Default)]
pub struct Overrides {
    /// A listener for HTTP; else `http.listen` is bound.
    pub http: Option<TcpListener>,
    /// Where notices go, one for every forecast and more. The channel has no bound: what is not received stays in memory.
    pub notices: Option<mpsc::UnboundedSender<Notice>>,
}

/// No clock shows a time before this version was written: 2026-11-01.
const EARLIEST: Timestamp = Timestamp::constant(1_793_491_200, 0);

/// How long forecasts in flight are waited for at the end, then the journal, then the broker: together less than what
/// anybody gives a process that was told to end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
const JOURNAL_TIMEOUT: Duration = Duration::from_secs(3);
const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

/// So long the start waits for the broker before it says that it is ready all the same.
const READY_WITHOUT_BROKER: Duration = Duration::from_secs(5);

/// A new model is tried on the windows of so many stations at most.
const TRIED_WINDOWS: usize = 64;

/// Topics that a station's retained messages stand on.
const TOPICS_OF_STATION: usize = 4;

/// Runs the daemon until `shutdown` completes; `reload` asks for the model to be loaded anew.
///
/// Each network runs in a process of its own, which is the calling program started once more with the single argument `engine`:
/// its `main` must answer that with [`forecastd_model::serve_engine`] before anything else, as `examples/embed_the_daemon.rs` does.
///
/// # Errors
/// [`DaemonError`] when it cannot start. Once it runs, it ends only by `shutdown`.
pub async fn run(
    config: Config,
    overrides: Overrides,
    mut reload: mpsc::UnboundedReceiver<()>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let metrics = Arc::new(Metrics::new());
    let health = Arc::new(Health::new());
    let telemetry = Telemetry::new(
        Arc::clone(&metrics),
        Arc::clone(&health),
        overrides.notices,
        config.metrics.station_series_max,
    );

    let listener = listen(overrides.http, &config).await?;
    if let Ok(address) = listener.local_addr() {
        info!(%address, "http listening");
        telemetry.notice(Notice::Listening(address));
    }

    let (mut loader, loaded) = Loader::start(&config.model, EngineProgram::itself()).await?;
    let model = loaded.artefact.id();
    info!(model, engine = loaded.engine.kind().name(), path = %loader.location(), "model loaded");
    let options = loader::engine_options(&config.model, EngineProgram::itself());
    let (mut folder, found) = Folder::start(&config.model, config.forecast.experts, options).await;
    tell_failed(&found, &metrics);
    health.model_loaded();

    let (answered, answers) = mpsc::unbounded_channel();
    let (found_unusable, mut unusable_models) = mpsc::unbounded_channel();
    let worker_watch = WorkerWatch {
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        unusable: found_unusable,
        specialist: None,
    };
    let mut engines = Engines::start(loaded, answered, worker_watch).map_err(DaemonError::Thread)?;
    engines.change(found);
    let models = engines.models();
    telemetry.models_in_use(&engines.in_use(&models));

    let (told, journal_news) = mpsc::unbounded_channel();
    let journal_watch = JournalWatch::new(Arc::clone(&metrics), told);
    let memory = Memory::read(&config, &models, journal_watch).await.map_err(DaemonError::Thread)?;
    let Memory { journal, restored, client_id, obsolete, withdrawn, intentions } = memory;
    let told_before: Vec<DiscoveryTopics> =
        withdrawn.iter().filter_map(|prefix| DiscoveryTopics::new(prefix).ok()).collect();

    let mut mqtt = config.mqtt.clone();
    mqtt.client_id = client_id;
    let purpose = Purpose {
        status: Some(Status::new(config.topics.status.topic(""))),
        subscriptions: vec![config.topics.reading.filter()],
        // What they retain may be of any time: most of their messages do not say when they were measured.
        of_others: config.source_filters(),
        live: config.live_filters(),
        obsolete,
        retained_topics: TOPICS_OF_STATION * config.stations.max + 1,
    };
    let (publisher, inbox, session) = Session::start(&mqtt, purpose)?;
    metrics.watch_session(session.statistics());

    let settings = service_settings(&config, journal.as_ref(), !told_before.is_empty());
    let service = Service::new(settings, models);
    let (found, recalled) = mpsc::unbounded_channel();
    let recaller = Recaller::new(journal.is_some().then(|| config.journal.path.clone()), found);
    let mut driver =
        Driver::new(service, telemetry, config.topics.clone(), publisher, journal, recaller, engines);
    driver.listen_to(config.sources.clone(), config.places.clone());
    driver.tell_home_assistant(config.home_assistant.topics(), told_before);
    driver.intends(intentions);
    let (questions, asked) = http::questions();
    let providers = Providers {
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        questions,
        live: driver.live().listening(),
        journal: config.journal.enabled.then(|| config.journal.path.clone()),
    };
    let (http_end, http_ended) = oneshot::channel::<()>();
    let http_server = tokio::spawn(http::serve(listener, providers, http_limits(&config), async move {
        let _ = http_ended.await;
    }));
    driver.restore(restored).await;
    let mut ready = ReadyNotifier { notifier: systemd::Notifier::from_environment(), has_said: false };
    let mut inputs = Inputs { inbox, answers, journal: journal_news, recalled, questions: asked };
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let started = tokio::time::Instant::now();
    let (new_models, mut new_model) = mpsc::channel(1);
    let (want_windows, mut windows_wanted) = mpsc::channel(1);
    let (changed, mut specialists_changed) = mpsc::channel(1);
    folder.watch(changed, want_windows.clone());
    loader.watch(new_models, want_windows);

    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(()) = reload.recv() => {
                info!("reload asked for");
                loader.reload();
                folder.reload();
            }
            Some(sha256) = unusable_models.recv() => {
                loader.model_unusable(&sha256);
                folder.model_unusable(&sha256);
            }
            Some(wanted) = windows_wanted.recv() => {
                let model = wanted.artefact.description();
                // Who asked may be gone.
                let _ = wanted.answer.send(driver.service().sample_windows(&model, TRIED_WINDOWS));
            }
            Some(loaded) = new_model.recv() => match loaded {
                Ok(loaded) => driver.model_loaded(loaded),
                Err(error) => {
                    metrics.model_reload_failed();
                    error!(error = chain(&error), "new model is not usable, the last one goes on");
                }
            },
            Some(changes) = specialists_changed.recv() => {
                tell_failed(&changes, &metrics);
                driver.specialists_changed(changes);
            }
            _ = tick.tick() => {
                driver.tick(session.statistics().is_connected());
                tell_health(&health, &metrics, &driver, &session.statistics());
                if started.elapsed() >= READY_WITHOUT_BROKER {
                    ready.say(driver.service());
                }
                if ready.has_said {
                    ready.notifier.status(&summary(driver.service(), session.statistics().is_connected()));
                }
                ready.notifier.watchdog(&health);
            }
            // Last: there may always be a message.
            happened = driver.turn(&mut inputs) => {
                tell_health(&health, &metrics, &driver, &session.statistics());
                if happened == Turn::Subscribed {
                    ready.say(driver.service());
                }
                // Whom this task has woken may have to wait for its thread: in a flood it would never have to wait itself.
                tokio::task::yield_now().await;
            }
        }
    }

    info!("stopping");
    ready.notifier.stopping();
    health.stopping();
    driver.finish(&mut inputs, tokio::time::Instant::now() + FINISH_TIMEOUT).await;
    if let Err(not_written) = driver.close_journal(&mut inputs, JOURNAL_TIMEOUT).await {
        error!(entries = not_written.entries, "the journal did not end in time: not written");
    }
    if !session.stop(SESSION_TIMEOUT).await {
        warn!("no clean goodbye to the broker; it will publish the last will");
    }
    // What was not acknowledged until now is not: the broker delivers it again.
    drop(driver);
    drop(inputs);
    let _ = http_end.send(());
    let _ = tokio::time::timeout(Duration::from_secs(1), http_server).await;
    info!("stopped");
    Ok(())
}

async fn listen(given: Option<TcpListener>, config: &Config) -> Result<TcpListener, DaemonError> {
    match given {
        Some(listener) => Ok(listener),
        None => TcpListener::bind(config.http.listen)
            .await
            .map_err(|source| DaemonError::Listen { address: config.http.listen.to_string(), source }),
    }
}

/// Says which specialists are not usable.
fn tell_failed(changes: &Changes, metrics: &Metrics) {
    for error in &changes.failed {
        metrics.model_reload_failed();
        error!(error = chain(error), "specialist is not usable, the other models go on");
    }
}

/// The limits of HTTP, with descriptors kept back for broker and journal.
fn http_limits(config: &Config) -> http::Limits {
    let wanted = config.http.max_connections;
    let allowed = descriptors::http_connections(wanted);
    if allowed < wanted {
        warn!(wanted, allowed, "http.max_connections is more than a quarter of the file descriptors");
    }
    http::Limits { connections: allowed, ..http::Limits::default() }
}

fn service_settings(config: &Config, journal: Option<&Journal>, withdraws_discovery: bool) -> Settings {
    let stations = &config.stations;
    let idle_after = SignedDuration::from_hours(24 * i64::from(stations.idle_days));
    Settings {
        max_stations: stations.max,
        max_ahead: SignedDuration::from_secs(stations.max_reading_ahead_s as i64),
        stale_after: SignedDuration::from_secs(stations.stale_after_s as i64),
        idle_after: (stations.idle_days > 0).then_some(idle_after),
        places: config.places.clone(),
        runs_anywhere: config.model.anywhere,
        has_journal: journal.is_some(),
        earliest: EARLIEST,
        experts: config.forecast.experts,
        threshold_c: config.forecast.threshold_c.map(|threshold_c| threshold_c as f32),
        discovery: DiscoverySettings {
            stations_max: config.home_assistant.topics().map_or(0, |_| config.home_assistant.stations_max),
            withdraws: withdraws_discovery,
        },
    }
}

/// One line for `systemctl status`.
fn summary(service: &Service, is_connected: bool) -> String {
    format!(
        "{} stations, {} ready; model {}; broker {}",
        service.stations(),
        service.ready_stations(),
        service.model().id,
        if is_connected { "connected" } else { "away" }
    )
}

/// What is found where everything is tried that a start would do, but for the broker.
#[derive(Debug, Default)]
pub struct Checked {
    /// What keeps the daemon from starting.
    pub diagnostics: Vec<Diagnostic>,
    /// What does not, and works otherwise than whoever wrote the configuration may expect.
    pub warnings: Vec<String>,
}

/// Tries a configuration that is good as a text: models, engine, files.
pub fn check(config: &Config) -> Checked {
    let mut checked = Checked { diagnostics: Vec::new(), warnings: config.warnings() };
    let diagnostic = |key: &str, message: String| Diagnostic { key: key.to_owned(), line: None, message };
    let (main, specialists) = loader::check(&config.model, config.forecast.experts, EngineProgram::itself());
    checked.diagnostics.extend(main.map(|(key, message)| diagnostic(key, message)));
    if let Some(ca_file) = &config.mqtt.ca_file
        && !ca_file.is_file()
    {
        checked.diagnostics.push(diagnostic("mqtt.ca_file", format!("{}: no such file", ca_file.display())));
    }
    checked.diagnostics.extend(crate::config::password_diagnostics(&config.mqtt));
    checked.warnings.extend(doubts(config));
    // The daemon goes on without them, and takes them once they are usable.
    checked.warnings.extend(specialists.into_iter().map(|(key, message)| format!("{key}: {message}")));
    checked
}

/// What is doubtful about places that a configuration without faults gives, for its model: those beyond all latitudes that it
/// was trained at.
fn doubts(config: &Config) -> Vec<String> {
    let Ok(artefact) = config.model.path.read() else { return Vec::new() };
    let Some(ranges) = artefact.manifest.ranges else { return Vec::new() };
    let doubt = |(key, place): (String, &Place)| {
        let latitude_deg = place.site.latitude_deg;
        let (low, high) = ranges.outside(Measure::Latitude, latitude_deg as f32)?;
        Some(format!(
            "{key}: latitude {latitude_deg:.1}° is outside of what the model was trained on, {low:.1}° to {high:.1}°: the \
             experts find out what it is worth there; are latitude_deg and longitude_deg in the right order?"
        ))
    };
    let own = config.places.stations.iter().map(|(name, place)| (format!("station.{name}"), place));
    let default = config.places.default.iter().map(|place| ("site".to_owned(), place));
    let mut doubts: Vec<String> = default.chain(own).filter_map(doubt).collect();
    doubts.sort_unstable();
    doubts
}

/// Tells the signs of life of this turn.
fn tell_health(health: &Health, metrics: &Metrics, driver: &Driver, statistics: &SessionStatistics) {
    health.loop_alive();
    metrics.journal_lags(driver.journal_owes_since().map_or(Duration::ZERO, |since| since.elapsed()));
    health.set_journal_owes(driver.journal_owes_since());
    health.set_broker_connected(statistics.is_connected());
    health.set_subscription_refused(statistics.subscriptions_refused_now.get() > 0);
}

/// Says once that the daemon is ready.
struct ReadyNotifier {
    notifier: systemd::Notifier,
    has_said: bool,
}

impl ReadyNotifier {
    fn say(&mut self, service: &Service) {
        if !self.has_said {
            self.has_said = true;
            self.notifier.ready();
            info!(stations = service.stations(), "ready");
        }
    }
}
