//! Every metric, in one place. Names follow the Prometheus documentation's practices; all label values that are
//! known are there from the start with 0.
//!
//! | module | contents |
//! | --- | --- |
//! | `maker` | what registers metrics by their names |
//! | `station_series` | the series that every station has of its own |
//! | `scores` | how good the forecasts of all stations have been |
//! | `journal` | what the journal has made durable |
//! | `session` | the session with the broker |

mod journal;
mod maker;
#[cfg(target_os = "linux")]
mod process;
mod scores;
mod session;
mod station_series;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{
    Encoder, Gauge, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use forecastd_core::{Dropped, Forecast, Implausible, Inserted, Oddity, Quantity, Rejected, Source};
use forecastd_model::EngineKind;
use jiff::SignedDuration;

use crate::wire::message::MessageFault;
use crate::wire::reading::PayloadError;

use journal::JournalMetrics;
use maker::Maker;
use scores::ScoreMetrics;
use session::SessionMetrics;
use station_series::StationSeries;

/// What a reading that was taken has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum Outcome {
    Newest,
    Refreshed,
    Late,
    Unchanged,
}

impl From<&Inserted> for Outcome {
    fn from(inserted: &Inserted) -> Outcome {
        match inserted {
            Inserted::Newest(_) => Outcome::Newest,
            Inserted::Refreshed(_) => Outcome::Refreshed,
            Inserted::Late(_) => Outcome::Late,
            Inserted::Unchanged(_) | Inserted::TooOld(_) => Outcome::Unchanged,
        }
    }
}

/// Leads whose errors have a histogram.
const HISTOGRAM_LEADS_H: [u32; 5] = [1, 3, 6, 12, 24];

/// Buckets of durations, s.
const DURATIONS_S: [f64; 12] = [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 0.1, 1.0];

/// The metrics of one daemon.
pub struct Metrics {
    registry: Registry,
    received: IntCounter,
    taken: IntCounterVec,
    rejected: IntCounterVec,
    dropped: IntCounterVec,
    odd: IntCounterVec,
    unreadable: IntCounterVec,
    without_value: IntCounter,
    stations: IntGauge,
    stations_ready: IntGauge,
    stations_stale: IntGauge,
    stations_without_place: IntGauge,
    stations_elsewhere: IntGauge,
    stations_foreign_model: IntGauge,
    oldest_reading: IntGauge,
    no_readings: IntGauge,
    clock_behind: IntGauge,
    clock_jumps: IntCounter,
    future_dropped: IntCounter,
    forecasts: IntCounterVec,
    last_forecast: Gauge,
    forecast_delay: Histogram,
    inference_duration: Histogram,
    inferences: IntCounter,
    inference_failures: IntCounter,
    implausible: IntCounter,
    engine_restarts: IntCounter,
    /// Hashes of the models in use.
    models: Mutex<BTreeSet<String>>,
    model_info: IntGaugeVec,
    model_reload_failures: IntCounter,
    model_loads: IntCounter,
    discovery_overwritten: IntCounter,
    series: StationSeries,
    scores: ScoreMetrics,
    session: SessionMetrics,
    journal: JournalMetrics,
}

/// A model in use.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// The model's name in the manifest.
    pub name: &'a str,
    /// SHA-256 of its file.
    pub sha256: &'a str,
    /// What runs it.
    pub engine: EngineKind,
}

impl Metrics {
    /// Registers every metric, in a registry of its own.
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let make = Maker(&registry);
        let rejections: Vec<&str> =
            [PayloadError::REASONS, MessageFault::REASONS, Rejected::REASONS].concat();
        let build = make.register(IntGaugeVec::new(
            Opts::new("forecastd_build_info", "Version of this program; always 1."),
            &["version"],
        ));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        // Memory, processor time, descriptors and start of this process, as Linux accounts for them.
        #[cfg(target_os = "linux")]
        if let Err(error) = process::Process::new().and_then(|process| registry.register(Box::new(process))) {
            tracing::error!(%error, "no metrics of the process");
        }
        let dropped = make.register(IntCounterVec::new(
            Opts::new(
                "forecastd_values_dropped_total",
                "Values of readings that were dropped as implausible.",
            ),
            &["quantity", "reason"],
        ));
        for quantity in Quantity::ALL {
            for reason in Implausible::ALL {
                dropped.with_label_values(&[quantity.name(), reason.label()]);
            }
        }
        Metrics {
            received: make.counter(
                "readings_received_total",
                "Messages that arrived on the topics of readings and sources.",
            ),
            taken: make.counters(
                "readings_taken_total",
                "Readings taken, by what they changed.",
                "outcome",
                <Outcome as strum::VariantNames>::VARIANTS,
            ),
            rejected: make.counters(
                "readings_rejected_total",
                "Messages that were not taken as readings.",
                "reason",
                &rejections,
            ),
            dropped,
            unreadable: make.counters(
                "values_unreadable_total",
                "Values of readings that are not numbers, and invalid places.",
                "quantity",
                &Quantity::ALL.map(Quantity::name),
            ),
            without_value: make.counter(
                "messages_without_value_total",
                "Messages on the topics of a [[source]] that hold no value which it names, or one for which another topic is read.",
            ),
            stations_stale: make.gauge(
                "stations_stale",
                "Stations that have sent nothing new for longer than stations.stale_after_s.",
            ),
            stations_without_place: make
                .gauge("stations_without_place", "Stations whose place is not known, which the model needs."),
            stations_elsewhere: make.gauge(
                "stations_elsewhere",
                "Stations that stand elsewhere than the one site that the model is for, which does not run for them.",
            ),
            stations_foreign_model: make.gauge(
                "stations_foreign_model",
                "Stations whose forecasts a model for another site makes, as model.anywhere wants.",
            ),
            oldest_reading: make.gauge(
                "oldest_reading_age_seconds",
                "The longest time for which a station has sent nothing new.",
            ),
            no_readings: make.gauge(
                "no_readings_since_subscription",
                "1 while no message has come since the subscription, for a quarter of an hour or longer.",
            ),
            clock_behind: make.gauge(
                "clock_behind",
                "1 while the clock is behind what stations say, and their readings wait.",
            ),
            clock_jumps: make.counter("clock_jumps_total", "Jumps of the clock."),
            odd: make.counters(
                "stations_odd_total",
                "Oddities found, by kind: each once per station, moves every time.",
                "reason",
                Oddity::NAMES,
            ),
            future_dropped: make.counter(
                "stations_future_dropped_total",
                "Stations whose newest readings were dropped because they lay in the future.",
            ),
            stations: make.gauge("stations", "Stations known."),
            stations_ready: make.gauge("stations_ready", "Stations that the model runs for."),
            forecasts: make.counters(
                "forecasts_total",
                "Forecasts made, by source: model, persistence or reference.",
                "source",
                &Source::ALL.map(Source::name),
            ),
            last_forecast: make.register(Gauge::new(
                "forecastd_last_forecast_timestamp_seconds",
                "When the last forecast was issued.",
            )),
            forecast_delay: make.histogram(
                "forecast_delay_seconds",
                "From the arrival of a reading to its forecast on the way out.",
                &DURATIONS_S,
            ),
            inference_duration: make.histogram(
                "inference_duration_seconds",
                "Time of one run of the network, of one window or a batch.",
                &DURATIONS_S,
            ),
            inferences: make.counter("inferences_total", "Windows given to the network."),
            inference_failures: make
                .counter("inference_failures_total", "Windows that the network failed on."),
            implausible: make.counter(
                "forecasts_implausible_total",
                "Outputs of the model that are no temperatures; reference forecasts were published instead.",
            ),
            engine_restarts: make
                .counter("engine_restarts_total", "Times that the engine ended and was started again."),
            models: Mutex::new(BTreeSet::new()),
            model_info: make.register(IntGaugeVec::new(
                Opts::new("forecastd_model_info", "The models in use; always 1."),
                &["model", "engine", "sha256"],
            )),
            model_reload_failures: make
                .counter("model_reload_failures_total", "New models that were not usable."),
            model_loads: make.counter("model_loads_total", "Models put into use."),
            discovery_overwritten: make.counter(
                "discovery_overwritten_total",
                "Messages by which another program told Home Assistant something under the id of a station.",
            ),
            series: StationSeries::new(&make),
            scores: ScoreMetrics::new(&make),
            session: SessionMetrics::new(&make),
            journal: JournalMetrics::new(&make),
            registry,
        }
    }

    /// A message came that may be a reading.
    pub fn reading_received(&self) {
        self.received.inc();
    }

    /// A reading was taken.
    pub fn reading_taken(&self, inserted: &Inserted) {
        let outcome: &str = Outcome::from(inserted).into();
        self.taken.with_label_values(&[outcome]).inc();
    }

    /// A message was not taken.
    pub fn reading_rejected(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// Something is odd about a station that was not said before.
    pub fn station_odd(&self, oddity: &Oddity) {
        self.odd.with_label_values(&[oddity.name()]).inc();
    }

    /// A value was not believed.
    pub fn value_dropped(&self, dropped: &Dropped) {
        self.dropped.with_label_values(&[dropped.quantity.name(), dropped.reason.label()]).inc();
    }

    /// A message on a topic of a source held no value that the source names.
    pub fn message_without_value(&self) {
        self.without_value.inc();
    }

    /// A value of a reading cannot be.
    pub fn value_unreadable(&self, key: &str) {
        let quantity = Quantity::from_key(key).map_or("unknown", Quantity::name);
        self.unreadable.with_label_values(&[quantity]).inc();
    }

    /// How many stations there are, and for how long the most silent one has been silent.
    pub fn stations(&self, known: usize, ready: usize, stale: usize, oldest: SignedDuration) {
        self.stations.set(known as i64);
        self.stations_ready.set(ready as i64);
        self.stations_stale.set(stale as i64);
        self.oldest_reading.set(oldest.as_secs().max(0));
    }

    /// How many stations the model cannot run for, or is not for.
    pub fn stations_without_model(&self, without_place: usize, elsewhere: usize) {
        self.stations_without_place.set(without_place as i64);
        self.stations_elsewhere.set(elsewhere as i64);
    }

    /// How many stations a model for another site forecasts.
    pub fn stations_foreign_model(&self, stations: usize) {
        self.stations_foreign_model.set(stations as i64);
    }

    /// A forecast went out, so long after its reading arrived.
    pub fn forecast_issued(&self, forecast: &Forecast, delay: Option<Duration>) {
        self.forecasts.with_label_values(&[forecast.source.name()]).inc();
        self.last_forecast.set(Timestamp::now().as_second() as f64);
        if let (Source::Model, Some(delay)) = (forecast.source, delay) {
            self.forecast_delay.observe(delay.as_secs_f64());
        }
    }

    /// The model ran.
    pub fn inference(&self, windows: usize, duration: Duration) {
        self.inferences.inc_by(windows as u64);
        self.inference_duration.observe(duration.as_secs_f64());
    }

    /// The model failed on a window.
    pub fn inference_failed(&self) {
        self.inference_failures.inc();
    }

    /// The model gave numbers that are no temperatures.
    pub fn forecast_implausible(&self) {
        self.implausible.inc();
    }

    /// The engine ended and is started again.
    pub fn engine_restarted(&self) {
        self.engine_restarts.inc();
    }

    /// Whether no message has come since the subscription.
    pub fn no_readings(&self, says: bool) {
        self.no_readings.set(i64::from(says));
    }

    /// Whether readings wait for the clock.
    pub fn clock_behind(&self, is_behind: bool) {
        self.clock_behind.set(i64::from(is_behind));
    }

    /// The clock jumped.
    pub fn clock_jumped(&self) {
        self.clock_jumps.inc();
    }

    /// A station's readings lay in the future.
    pub fn future_dropped(&self) {
        self.future_dropped.inc();
    }

    /// These models are in use from now on.
    pub fn models_in_use(&self, models: &[Loaded<'_>]) {
        let mut before = lock(&self.models);
        let now: BTreeSet<String> = models.iter().map(|model| model.sha256.to_owned()).collect();
        self.model_loads.inc_by(now.difference(&before).count() as u64);
        *before = now;
        self.model_info.reset();
        for Loaded { name, sha256, engine } in models {
            self.model_info.with_label_values(&[name, engine.name(), sha256]).set(1);
        }
    }

    /// A new model was not usable.
    pub fn model_reload_failed(&self) {
        self.model_reload_failures.inc();
    }

    /// Another program told Home Assistant something under the id of a station.
    pub fn discovery_overwritten(&self) {
        self.discovery_overwritten.inc();
    }

    /// Everything in Prometheus' text format 0.0.4.
    pub fn encode(&self) -> String {
        self.collect_session();
        self.collect_scores();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

/// What is guarded stays sound when a holder panics: numbers.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
