//! The daemon: wires broker, stations, network, journal and metrics; signals, reload, shutdown.
//!
//! | file | noun |
//! | --- | --- |
//! | `mod` | start and end of everything |
//! | `desk` | the one task that all readings and forecasts pass; owns the stations |
//! | `loader` | the model: loading it, and noticing a new file |
//! | `notices` | log lines that would flood, said once and then counted |
//! | `payload` | the JSON of the status and verification topics |

mod desk;
mod loader;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::config::{Config, Fault};
use crate::journal::{Journal, JournalError, JournalObserver, Opened, Restored, Store};
use crate::operations::health::Health;
use crate::operations::metrics::Metrics;
use crate::operations::{descriptors, http, systemd};
use forecastd_core::Readiness;
use forecastd_core::StationName;
use forecastd_core::{Forecast, LeadTotals};
use forecastd_model::{Artefact, ArtefactError, EngineError, InferenceWorker, Runtime, WorkerObserver};
use forecastd_mqtt::{Session, SessionError, SessionStatistics, Status};

use desk::Desk;
use loader::Loader;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The model file is not usable.
    #[error("model {path}: {source}")]
    Model {
        /// Which file.
        path: String,
        /// Why.
        source: ArtefactError,
    },
    /// The engine does not run the model.
    #[error("model {path}: {source}")]
    Network {
        /// Which file.
        path: String,
        /// Why.
        source: EngineError,
    },
    /// The engine cannot be had.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The MQTT settings are not usable.
    #[error("mqtt: {0}")]
    Mqtt(#[from] SessionError),
    /// The HTTP address cannot be had.
    #[error("http.listen {address}: {source}")]
    Listen {
        /// Which address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The system has no threads left.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What the daemon tells those who watch it from within the process.
#[derive(Debug, Clone)]
pub enum Event {
    /// The HTTP server listens there.
    Listening(std::net::SocketAddr),
    /// The broker accepted the session and answered its subscription.
    Connected,
    /// A forecast was issued.
    Issued {
        /// The forecast.
        forecast: Forecast,
        /// Whether the station's window is complete.
        readiness: Readiness,
        /// The scores of the station so far, at the longest lead.
        totals: LeadTotals,
    },
    /// A reading, or a whole message, was not taken.
    Refused {
        /// Of which station, if that is known.
        station: Option<StationName>,
        /// Why.
        reason: &'static str,
    },
}

/// What a caller may bring instead of what the daemon makes itself.
#[derive(Default)]
pub struct Fittings {
    /// A listener for HTTP; else `http.listen` is bound.
    pub http: Option<TcpListener>,
    /// Where events go.
    pub events: Option<mpsc::UnboundedSender<Event>>,
}

/// How long the end may take.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// So long the start waits for the broker before it says that it is ready all the same.
const READY_WITHOUT_BROKER: Duration = Duration::from_secs(5);

/// Runs the daemon until `shutdown` completes; `reload` asks for the model to be loaded anew.
///
/// # Errors
/// [`DaemonError`] when it cannot start. Once it runs, it ends only by `shutdown`.
pub async fn run(
    mut config: Config,
    fittings: Fittings,
    mut reload: mpsc::UnboundedReceiver<()>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let metrics = Arc::new(Metrics::new(config.metrics.station_series_max));
    let health = Arc::new(Health::new());

    let listener = match fittings.http {
        Some(listener) => listener,
        None => TcpListener::bind(config.http.listen)
            .await
            .map_err(|source| DaemonError::Listen { address: config.http.listen.to_string(), source })?,
    };
    if let Ok(address) = listener.local_addr() {
        info!(%address, "http listening");
        if let Some(events) = &fittings.events {
            let _ = events.send(Event::Listening(address));
        }
    }

    let (loader, loaded) = {
        let settings = config.model.clone();
        let load = move || {
            let runtime = Runtime::start(settings.engine, settings.onnxruntime_library.as_deref())?;
            Loader::start(settings, runtime)
        };
        tokio::task::spawn_blocking(load).await.expect("loading a model does not panic")?
    };
    let artefact = Arc::clone(&loaded.artefact);
    info!(model = artefact.id(), engine = loaded.engine.kind().name(), path = %loader.path().display(), "model loaded");
    metrics.model_loaded(&artefact, loaded.engine.kind());
    health.model_loaded();

    let (answers, answered) = mpsc::unbounded_channel();
    let worker = InferenceWorker::start(
        loaded.engine,
        Arc::clone(&artefact),
        Watcher { metrics: Arc::clone(&metrics), health: Arc::clone(&health) },
        move |inference| {
            // The desk is gone only at the very end, when nobody waits for answers.
            let _ = answers.send(inference);
        },
    )
    .map_err(DaemonError::Thread)?;

    let (journal, restored) = {
        let settings = config.journal.clone();
        let spec = artefact.manifest.window.clone();
        let max_lead_h = artefact.manifest.max_lead_h();
        let watcher = Watcher { metrics: Arc::clone(&metrics), health: Arc::clone(&health) };
        let open = move || -> Result<(Option<Journal>, Vec<Restored>), DaemonError> {
            if !settings.enabled {
                return Ok((None, Vec::new()));
            }
            let mut store = Store::new(&settings.path);
            let history_s = spec.history_slots(max_lead_h) as i64 * i64::from(spec.grid_step_s);
            let restored = restore(&mut store, history_s, i64::from(max_lead_h + 1) * 3600, &watcher);
            let journal = Journal::start(store, settings.keep_days, watcher).map_err(DaemonError::Thread)?;
            Ok((Some(journal), restored))
        };
        tokio::task::spawn_blocking(open).await.expect("opening a journal does not panic")?
    };

    if config.mqtt.client_id.is_empty() {
        config.mqtt.client_id = crate::config::new_client_id(&mut rand::rng());
    }
    let status = Status::new(config.topics.status.topic(""));
    let subscriptions = vec![config.topics.reading.filter()];
    let (publisher, inbox, session) = Session::start(&config.mqtt, Some(status), subscriptions)?;
    metrics.watch_session(session.statistics());

    let (http_end, http_ended) = oneshot::channel::<()>();
    let http_connections = descriptors::http_connections(config.http.max_connections);
    if http_connections < config.http.max_connections {
        warn!(
            wanted = config.http.max_connections,
            allowed = http_connections,
            "http.max_connections is more than a quarter of the file descriptors"
        );
    }
    let http_limits = http::Limits { connections: http_connections, ..http::Limits::default() };
    let http_server =
        tokio::spawn(http::serve(listener, Arc::clone(&metrics), Arc::clone(&health), http_limits, async {
            let _ = http_ended.await;
        }));

    let mut desk = Desk::new(
        &config,
        artefact,
        worker,
        journal,
        publisher.clone(),
        Arc::clone(&metrics),
        fittings.events,
    );
    desk.restore(restored);
    let notifier = systemd::Notifier::from_environment();
    let mut ready = Readying { notifier: &notifier, said: false };
    let mut desk_io = desk::Io { inbox, answered };
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let started = tokio::time::Instant::now();
    let (new_models, mut new_model) = mpsc::channel(1);
    loader.watch(new_models);

    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(()) = reload.recv() => {
                info!("reload asked for");
                loader.reload();
            }
            Some(loaded) = new_model.recv() => match loaded {
                Ok(loaded) => desk.exchange(loaded),
                Err(error) => {
                    metrics.model_reload_failed();
                    error!(%error, "new model is not usable, the last one goes on");
                }
            },
            _ = tick.tick() => {
                health.loop_alive();
                broker_health(&session.statistics(), &health);
                desk.tick();
                if started.elapsed() >= READY_WITHOUT_BROKER {
                    ready.say(&desk);
                }
                if ready.said {
                    notifier.status(&desk.summary(session.statistics().is_connected()));
                }
                notifier.watchdog(&health);
            }
            // Last: there may always be a message.
            happened = desk_io.next(&desk) => {
                let is_new = matches!(desk.handle(happened).await, desk::Happened::Connected);
                broker_health(&session.statistics(), &health);
                if is_new {
                    ready.say(&desk);
                }
                health.loop_alive();
            }
        }
    }

    info!("stopping");
    notifier.stopping();
    health.stopping();
    // What is under way is finished: windows in the network, then the journal, whose receipts acknowledge.
    desk.finish(&mut desk_io).await;
    let closed = tokio::task::spawn_blocking(move || drop(desk.into_journal()));
    if tokio::time::timeout(SHUTDOWN, closed).await.is_err() {
        warn!("the journal is slow to close");
    }
    drop(desk_io);
    if !session.stop(SHUTDOWN).await {
        warn!("no clean goodbye to the broker; it will publish the last will");
    }
    let _ = http_end.send(());
    let _ = http_server.await;
    info!("stopped");
    Ok(())
}

/// What a start would stumble over beyond the keys of the configuration: files that are not there or not usable.
pub fn check(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault =
        |key: &str, message: String| faults.push(Fault { key: key.to_owned(), line: None, message });
    if let Err(error) = Artefact::read(&config.model.path) {
        fault("model.path", format!("{}: {error}", config.model.path.display()));
    }
    if let Some(library) = &config.model.onnxruntime_library
        && !library.is_file()
    {
        fault("model.onnxruntime_library", format!("{}: no such file", library.display()));
    }
    if let Some(ca_file) = &config.mqtt.ca_file
        && !ca_file.is_file()
    {
        fault("mqtt.ca_file", format!("{}: no such file", ca_file.display()));
    }
    faults.extend(crate::config::password_faults(&config.mqtt));
    faults
}

/// Tells what the session knows of the broker.
fn broker_health(statistics: &SessionStatistics, health: &Health) {
    health.set_broker_connected(statistics.is_connected());
    health.set_subscription_refused(statistics.subscriptions_refused_now.get() > 0);
}

/// Says once that the daemon is ready.
struct Readying<'a> {
    notifier: &'a systemd::Notifier,
    said: bool,
}

impl Readying<'_> {
    fn say(&mut self, desk: &Desk) {
        if !self.said {
            self.said = true;
            self.notifier.ready();
            info!(stations = desk.stations(), "ready");
        }
    }
}

/// Reads what a restart needs. A journal that cannot be read is no reason not to start.
fn restore(store: &mut Store, history_s: i64, forecasts_s: i64, watcher: &Watcher) -> Vec<Restored> {
    match store.open() {
        Ok(Opened::AsItWas) => {}
        Ok(Opened::Anew { aside }) => {
            error!(path = %store.path().display(), aside = %aside.display(), "journal was no database: moved aside, a new one begun");
        }
        Err(error) => {
            watcher.failed(&error, 0, 0);
            return Vec::new();
        }
    }
    match store.restore(history_s, forecasts_s) {
        Ok(restored) => restored,
        Err(error) => {
            watcher.failed(&error, 0, 0);
            Vec::new()
        }
    }
}

/// Tells metrics and health what the threads do.
struct Watcher {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl WorkerObserver for Watcher {
    fn batch(&self, size: usize, duration: Duration) {
        self.metrics.inference(size, duration);
    }

    fn alive(&self) {
        self.health.worker_alive();
    }
}

impl JournalObserver for Watcher {
    fn committed(&self, entries: usize, duration: Duration) {
        if self.metrics.journal_committed(entries, duration) {
            info!("journal works again");
        }
    }

    fn failed(&self, error: &JournalError, waiting: usize, lost: usize) {
        let first = self.metrics.journal_failed(error.reason(), waiting, lost);
        if first || lost > 0 {
            error!(%error, waiting, lost, "journal fails; going on in memory");
        }
    }
}
