//! Every metric, in one place. Names follow the Prometheus documentation's practices; all label values that are
//! known are there from the start with 0.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::Arc;

use forecastd_core::{
    DayScores, Dropped, Forecast, Implausible, Inserted, LeadScores, LeadTotals, Oddity, Quantity, Rejected,
    Score, Scores, Source, Standing, StationName,
};
use forecastd_journal::JournalError;
use forecastd_model::EngineKind;
use forecastd_mqtt::SessionStatistics;
use jiff::SignedDuration;

use crate::wire::api::decimal;
use crate::wire::reading::PayloadError;
use crate::wire::status::STATE_NAMES;

/// Reasons of refusal beyond those of payloads and stations.
const OTHER_REASONS: [&str; 3] = ["unknown_topic", "bad_station", "too_many_stations"];

/// Leads whose errors have a histogram.
const HISTOGRAM_LEADS_H: [u32; 5] = [1, 3, 6, 12, 24];

/// The metrics of one daemon.
pub struct Metrics {
    registry: Registry,
    received: IntCounter,
    taken: IntCounterVec,
    rejected: IntCounterVec,
    dropped: IntCounterVec,
    odd: IntCounterVec,
    unreadable: IntCounterVec,
    stations: IntGauge,
    stations_ready: IntGauge,
    stations_stale: IntGauge,
    stations_without_place: IntGauge,
    stations_elsewhere: IntGauge,
    oldest_reading: IntGauge,
    no_readings: IntGauge,
    clock_behind: IntGauge,
    clock_jumps: IntCounter,
    future_dropped: IntCounter,
    last_reading: GaugeVec,
    temperature: GaugeVec,
    forecast_temperature: GaugeVec,
    forecast_valid: GaugeVec,
    expert_weight: GaugeVec,
    expert_error: GaugeVec,
    /// The experts of each station that have series.
    experts: Mutex<BTreeMap<StationName, BTreeSet<String>>>,
    missing: GaugeVec,
    forecasts: IntCounterVec,
    last_forecast: Gauge,
    forecast_delay: Histogram,
    inference_duration: Histogram,
    inferences: IntCounter,
    inference_failures: IntCounter,
    implausible: IntCounter,
    engine_restarts: IntCounter,
    verified: IntCounterVec,
    absolute_error: HistogramVec,
    mean_absolute_error: GaugeVec,
    skill: GaugeVec,
    coverage: GaugeVec,
    extreme_pinball: GaugeVec,
    extreme_coverage: GaugeVec,
    brier: GaugeVec,
    lifetime_mean_absolute_error: GaugeVec,
    /// As last told; made into gauges at a scrape.
    scores: Mutex<BTreeMap<u32, LeadScores>>,
    /// Hashes of the models in use.
    models: Mutex<BTreeSet<String>>,
    model_info: IntGaugeVec,
    model_reload_failures: IntCounter,
    model_loads: IntCounter,
    journal_entries: IntCounter,
    journal_duration: Histogram,
    journal_failures: IntCounterVec,
    journal_waiting: IntGauge,
    journal_lost: IntCounter,
    journal_size: IntGauge,
    journal_skipped: IntCounter,
    mqtt_connected: IntGauge,
    mqtt_attempts: IntCounter,
    mqtt_connects: IntCounter,
    mqtt_disconnects: IntCounterVec,
    mqtt_subscriptions_refused: IntCounter,
    mqtt_received: IntCounter,
    mqtt_dropped: IntCounterVec,
    mqtt_published: IntCounter,
    mqtt_acknowledged: IntCounter,
    mqtt_in_flight: IntGauge,
    discovery_overwritten: IntCounter,
    forecast_low: GaugeVec,
    forecast_high: GaugeVec,
    forecast_lowest: GaugeVec,
    forecast_highest: GaugeVec,
    frost_probability: GaugeVec,
    station_state: GaugeVec,
    journal_lag: Gauge,
    session: Mutex<Option<Arc<SessionStatistics>>>,
}

/// A model in use.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// Its name.
    pub name: &'a str,
    /// SHA-256 of its file.
    pub sha256: &'a str,
    /// What runs it.
    pub engine: EngineKind,
}

/// Registers with a fresh registry, where no name can be taken twice.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("a metric's name and labels are valid");
        self.0.register(Box::new(collector.clone())).expect("a metric's name is used once");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(format!("forecastd_{name}"), help))
    }

    fn counters(&self, name: &str, help: &str, label: &str, values: &[&str]) -> IntCounterVec {
        let counters =
            self.register(IntCounterVec::new(Opts::new(format!("forecastd_{name}"), help), &[label]));
        for value in values {
            counters.with_label_values(&[*value]);
        }
        counters
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(format!("forecastd_{name}"), help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(format!("forecastd_{name}"), help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let options = HistogramOpts::new(format!("forecastd_{name}"), help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options))
    }
}

impl Metrics {
    /// Fresh metrics.
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let make = Maker(&registry);
        let rejections: Vec<&str> =
            PayloadError::REASONS.iter().chain(Rejected::REASONS).chain(&OTHER_REASONS).copied().collect();
        let build = make.register(IntGaugeVec::new(
            Opts::new("forecastd_build_info", "Version of this program; always 1."),
            &["version"],
        ));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        // Memory, processor time, descriptors and start of this process, as Linux accounts for them.
        #[cfg(target_os = "linux")]
        if let Err(error) =
            registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
        {
            tracing::error!(%error, "no metrics of the process");
        }
        let dropped = make.register(IntCounterVec::new(
            Opts::new("forecastd_values_dropped_total", "Values of readings that were not believed."),
            &["quantity", "reason"],
        ));
        for quantity in Quantity::ALL {
            for reason in Implausible::ALL {
                dropped.with_label_values(&[quantity.name(), reason.label()]);
            }
        }
        let absolute_error = make.register(HistogramVec::new(
            HistogramOpts::new(
                "forecastd_forecast_absolute_error_celsius",
                "Absolute errors of forecasts whose hour has come.",
            )
            .buckets(vec![0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0]),
            &["forecast", "lead_h"],
        ));
        for lead_h in HISTOGRAM_LEADS_H {
            for forecast in ["model", "persistence", "yesterday"] {
                absolute_error.with_label_values(&[forecast, &lead_h.to_string()]);
            }
        }
        let durations = [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 0.1, 1.0];
        let disconnects = forecastd_mqtt::DisconnectReason::LABELS;
        Metrics {
            received: make.counter("readings_received_total", "Messages taken from the broker as readings."),
            taken: make.counters(
                "readings_taken_total",
                "Readings taken, by what they changed.",
                "outcome",
                &["newest", "refreshed", "late", "unchanged"],
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
                "Values of readings that are no numbers.",
                "quantity",
                &Quantity::ALL.map(Quantity::name),
            ),
            stations_stale: make.gauge(
                "stations_stale",
                "Stations that have sent nothing new for longer than stations.stale_after_s.",
            ),
            stations_without_place: make.gauge(
                "stations_without_place",
                "Stations of which it is not known where they stand, as the model must know.",
            ),
            stations_elsewhere: make.gauge(
                "stations_elsewhere",
                "Stations that stand elsewhere than the one site that the model is for.",
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
                "Stations about which something is odd, counted once each, moves each time.",
                "reason",
                Oddity::NAMES,
            ),
            future_dropped: make.counter(
                "stations_future_dropped_total",
                "Stations whose newest readings were dropped because they lay in the future.",
            ),
            stations: make.gauge("stations", "Stations known."),
            stations_ready: make.gauge("stations_ready", "Stations whose window is complete."),
            last_reading: make.gauges(
                "last_reading_timestamp_seconds",
                "Time of a station's newest reading.",
                &["station"],
            ),
            temperature: make.gauges(
                "air_temperature_celsius",
                "A station's newest temperature.",
                &["station"],
            ),
            forecast_temperature: make.gauges(
                "forecast_temperature_celsius",
                "A station's newest forecast.",
                &["station", "lead_h"],
            ),
            forecast_valid: make.gauges(
                "forecast_valid_timestamp_seconds",
                "The time that a station's newest forecast is for.",
                &["station", "lead_h"],
            ),
            expert_weight: make.gauges(
                "station_expert_weight_ratio",
                "How much an expert counts in a station's forecast, of 1.",
                &["station", "expert", "lead_h"],
            ),
            expert_error: make.gauges(
                "station_expert_mean_absolute_error_celsius",
                "Mean absolute error of an expert at a station over the last 30 days.",
                &["station", "expert", "lead_h"],
            ),
            experts: Mutex::new(BTreeMap::new()),
            missing: make.gauges(
                "station_missing_seconds",
                "How long readings must still come until a station's window is complete.",
                &["station"],
            ),
            forecasts: make.counters(
                "forecasts_total",
                "Forecasts issued, by what they come from.",
                "source",
                &["model", "persistence", "reference"],
            ),
            last_forecast: make.register(Gauge::new(
                "forecastd_last_forecast_timestamp_seconds",
                "When the last forecast was issued.",
            )),
            forecast_delay: make.histogram(
                "forecast_delay_seconds",
                "From the arrival of a reading to its forecast on the way out.",
                &durations,
            ),
            inference_duration: make.histogram(
                "inference_duration_seconds",
                "Time of one run of the network, of one window or a batch.",
                &durations,
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
            verified: make.counters(
                "forecasts_verified_total",
                "Forecasts scored against observations, by lead.",
                "lead_h",
                &[],
            ),
            absolute_error,
            mean_absolute_error: make.gauges(
                "forecast_mean_absolute_error_celsius",
                "Mean absolute error of the forecasts scored lately, each weighing exp(-age / 30 days).",
                &["forecast", "lead_h"],
            ),
            skill: make.gauges(
                "forecast_skill_ratio",
                "1 - MAE of the model / MAE of persistence, of the forecasts scored lately.",
                &["lead_h"],
            ),
            coverage: make.gauges(
                "forecast_interval_coverage_ratio",
                "Fraction of the observations scored lately that lay within the interval.",
                &["lead_h"],
            ),
            extreme_pinball: make.gauges(
                "forecast_extreme_pinball_loss_celsius",
                "Mean pinball loss of the quantiles of the lowest and the highest temperature ahead, and of the station's own \
                 last days, scored lately.",
                &["extreme", "forecast"],
            ),
            extreme_coverage: make.gauges(
                "forecast_extreme_coverage_ratio",
                "Fraction of the lowest and highest temperatures scored lately that lay within the interval of 80 %.",
                &["extreme"],
            ),
            brier: make.gauges(
                "forecast_brier_score_ratio",
                "Mean Brier score of the probability of frost, or of becoming colder than forecast.threshold_c, and of the \
                 station's own frequency, scored lately.",
                &["event", "forecast"],
            ),
            lifetime_mean_absolute_error: make.gauges(
                "forecast_lifetime_mean_absolute_error_celsius",
                "Mean absolute error of all forecasts that were ever scored.",
                &["forecast", "lead_h"],
            ),
            scores: Mutex::new(BTreeMap::new()),
            models: Mutex::new(BTreeSet::new()),
            model_info: make.register(IntGaugeVec::new(
                Opts::new("forecastd_model_info", "The models in use; always 1."),
                &["model", "engine", "sha256"],
            )),
            model_reload_failures: make
                .counter("model_reload_failures_total", "New models that were not usable."),
            model_loads: make.counter("model_loads_total", "Models put into use."),
            journal_entries: make
                .counter("journal_entries_written_total", "Readings and forecasts made durable."),
            journal_duration: make.histogram(
                "journal_commit_duration_seconds",
                "Time of one transaction, synced to the disk.",
                &durations,
            ),
            journal_failures: make.counters(
                "journal_failures_total",
                "Transactions that failed.",
                "reason",
                &JournalError::REASONS,
            ),
            journal_waiting: make.gauge("journal_entries_waiting", "Entries that wait for a failing disk."),
            journal_lost: make.counter("journal_entries_lost_total", "Entries lost because too many waited."),
            journal_size: make
                .gauge("journal_size_bytes", "Size of the journal's file and its write-ahead log."),
            journal_skipped: make.counter(
                "journal_rows_skipped_total",
                "Rows of the journal that cannot be and were skipped.",
            ),
            mqtt_connected: make.gauge("mqtt_connected", "1 while the broker is connected."),
            mqtt_attempts: make
                .counter("mqtt_connection_attempts_total", "Attempts to connect to the broker."),
            mqtt_connects: make.counter("mqtt_connections_total", "Connections that the broker accepted."),
            mqtt_disconnects: make.counters(
                "mqtt_disconnections_total",
                "Connections lost and attempts failed.",
                "reason",
                &disconnects,
            ),
            mqtt_subscriptions_refused: make
                .counter("mqtt_subscriptions_refused_total", "Subscriptions that the broker refused."),
            mqtt_received: make.counter("mqtt_messages_received_total", "Messages that arrived."),
            mqtt_dropped: make.counters(
                "mqtt_messages_dropped_total",
                "Messages dropped in either direction.",
                "reason",
                &["overflow", "oversized", "bad_topic", "queue_full", "refused", "expired"],
            ),
            mqtt_published: make
                .counter("mqtt_messages_published_total", "Messages handed in for publication."),
            mqtt_acknowledged: make.counter(
                "mqtt_messages_acknowledged_total",
                "Published messages that the broker acknowledged.",
            ),
            mqtt_in_flight: make
                .gauge("mqtt_messages_in_flight", "Messages that wait to be sent or acknowledged."),
            discovery_overwritten: make.counter(
                "discovery_overwritten_total",
                "Messages by which another program told Home Assistant something under the id of a station.",
            ),
            forecast_low: make.gauges(
                "forecast_interval_low_celsius",
                "The lower end of the interval of a station's newest forecast.",
                &["station", "lead_h"],
            ),
            forecast_high: make.gauges(
                "forecast_interval_high_celsius",
                "The upper end of the interval of a station's newest forecast.",
                &["station", "lead_h"],
            ),
            forecast_lowest: make.gauges(
                "forecast_lowest_celsius",
                "The lowest temperature of the next day of a station's newest forecast.",
                &["station"],
            ),
            forecast_highest: make.gauges(
                "forecast_highest_celsius",
                "The highest temperature of the next day of a station's newest forecast.",
                &["station"],
            ),
            frost_probability: make.gauges(
                "forecast_frost_probability_ratio",
                "How likely the next day of a station's newest forecast has frost, of 1.",
                &["station"],
            ),
            station_state: make.gauges(
                "station_state",
                "How a station is: 1 for the state that it is in, 0 for the others.",
                &["station", "state"],
            ),
            journal_lag: make.register(Gauge::new(
                "forecastd_journal_lag_seconds",
                "For how long the oldest entry that is not durable has waited for the disk.",
            )),
            session: Mutex::new(None),
            registry,
        }
    }

    /// A message came that may be a reading.
    pub fn reading_received(&self) {
        self.received.inc();
    }

    /// A reading was taken.
    pub fn reading_taken(&self, inserted: &Inserted) {
        let outcome = match inserted {
            Inserted::Newest(_) => "newest",
            Inserted::Refreshed(_) => "refreshed",
            Inserted::Late(_) => "late",
            Inserted::Unchanged(_) | Inserted::TooOld(_) => "unchanged",
        };
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

    /// A value is no number.
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

    /// A station's newest reading.
    pub fn station_reading(&self, name: &StationName, time: Timestamp, temperature_c: Option<f32>) {
        self.last_reading.with_label_values(&[name.as_str()]).set(time.as_second() as f64);
        if let Some(temperature_c) = temperature_c {
            self.temperature.with_label_values(&[name.as_str()]).set(decimal(temperature_c));
        }
    }

    /// How much history a station still lacks.
    pub fn station_missing(&self, name: &StationName, seconds: i64) {
        self.missing.with_label_values(&[name.as_str()]).set(seconds as f64);
    }

    /// A station's newest forecast, at the leads that have histograms.
    pub fn station_forecast(&self, forecast: &Forecast) {
        for lead in forecast.leads.iter().filter(|lead| HISTOGRAM_LEADS_H.contains(&lead.lead_h)) {
            let lead_h = lead.lead_h.to_string();
            let labels = [forecast.station.as_str(), &lead_h];
            self.forecast_temperature.with_label_values(&labels).set(decimal(lead.temperature_c));
            self.forecast_valid.with_label_values(&labels).set(lead.valid_at.as_second() as f64);
            set_or_remove(&self.forecast_low, &labels, lead.interval_c.map(|(low_c, _)| low_c));
            set_or_remove(&self.forecast_high, &labels, lead.interval_c.map(|(_, high_c)| high_c));
        }
        let station = [forecast.station.as_str()];
        let day = forecast.day_ahead.as_ref();
        set_or_remove(&self.forecast_lowest, &station, day.map(|day| day.lowest.temperature_c));
        set_or_remove(&self.forecast_highest, &station, day.map(|day| day.highest.temperature_c));
        let frost = day.and_then(|day| day.below.iter().find(|below| below.threshold_c == 0.0));
        set_or_remove(&self.frost_probability, &station, frost.map(|below| below.probability));
    }

    /// A station is in this state.
    pub fn station_state(&self, name: &StationName, state: &str) {
        for known in STATE_NAMES {
            let is_it = f64::from(u8::from(known == state));
            self.station_state.with_label_values(&[name.as_str(), known]).set(is_it);
        }
    }

    /// For how long the journal has owed an answer.
    pub fn journal_lags(&self, lag: Duration) {
        self.journal_lag.set(lag.as_secs_f64());
    }

    /// How a station's experts stand, at the leads that have histograms. Those that are not there any more lose their series.
    pub fn station_experts(&self, name: &StationName, experts: &[Standing]) {
        let names: BTreeSet<String> = experts.iter().map(|expert| expert.name.clone()).collect();
        let before = lock(&self.experts).insert(name.clone(), names.clone()).unwrap_or_default();
        before.difference(&names).for_each(|gone| self.forget_expert(name, gone));
        for expert in experts {
            for lead in expert.leads.iter().filter(|lead| HISTOGRAM_LEADS_H.contains(&lead.lead_h)) {
                let lead_h = lead.lead_h.to_string();
                let labels = [name.as_str(), expert.name.as_str(), lead_h.as_str()];
                self.expert_weight.with_label_values(&labels).set(decimal(lead.weight));
                if let Some(mae_c) = lead.mae_c {
                    self.expert_error.with_label_values(&labels).set(decimal(mae_c));
                }
            }
        }
    }

    fn forget_expert(&self, name: &StationName, expert: &str) {
        for lead_h in HISTOGRAM_LEADS_H {
            let labels = [name.as_str(), expert, &lead_h.to_string()];
            let _ = self.expert_weight.remove_label_values(&labels);
            let _ = self.expert_error.remove_label_values(&labels);
        }
    }

    /// A station is gone, and its series with it.
    pub fn forget_station(&self, name: &StationName) {
        let of_station = [
            &self.last_reading,
            &self.temperature,
            &self.missing,
            &self.forecast_lowest,
            &self.forecast_highest,
            &self.frost_probability,
        ];
        for gauges in of_station {
            let _ = gauges.remove_label_values(&[name.as_str()]);
        }
        for state in STATE_NAMES {
            let _ = self.station_state.remove_label_values(&[name.as_str(), state]);
        }
        let experts = lock(&self.experts).remove(name).unwrap_or_default();
        experts.iter().for_each(|expert| self.forget_expert(name, expert));
        for lead_h in HISTOGRAM_LEADS_H {
            let labels = [name.as_str(), &lead_h.to_string()];
            let _ = self.forecast_temperature.remove_label_values(&labels);
            for gauges in [&self.forecast_valid, &self.forecast_low, &self.forecast_high] {
                let _ = gauges.remove_label_values(&labels);
            }
        }
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

    /// A forecast was scored; these are the scores of all stations at its lead.
    pub fn scored(&self, score: &Score, scores: &LeadScores) {
        lock(&self.scores).insert(score.lead_h, *scores);
        if HISTOGRAM_LEADS_H.contains(&score.lead_h) {
            let lead_h = score.lead_h.to_string();
            let observe = |forecast: &str, forecast_c: f32| {
                let error = f64::from((forecast_c - score.observed_c).abs());
                self.absolute_error.with_label_values(&[forecast, &lead_h]).observe(error);
            };
            observe("model", score.model_c);
            observe("persistence", score.persistence_c);
            if let Some(yesterday_c) = score.yesterday_c {
                observe("yesterday", yesterday_c);
            }
        }
    }

    /// What was said of days ahead was scored; these are the scores of all stations.
    pub fn days_scored(&self, scores: &DayScores) {
        let rolling = &scores.rolling;
        let set = |gauges: &GaugeVec, labels: &[&str], value: Option<f64>| {
            if let Some(value) = value {
                gauges.with_label_values(labels).set(value);
            }
        };
        for (extreme, totals) in [("lowest", &rolling.lowest), ("highest", &rolling.highest)] {
            set(&self.extreme_pinball, &[extreme, "model"], totals.pinball_c());
            set(&self.extreme_pinball, &[extreme, "own_days"], totals.reference_pinball_c());
            set(&self.extreme_coverage, &[extreme], totals.coverage());
        }
        for below in &rolling.below {
            let event = if below.threshold_c() == 0.0 { "frost" } else { "below_threshold" };
            set(&self.brier, &[event, "model"], below.brier_score());
            set(&self.brier, &[event, "own_days"], below.reference_brier_score());
        }
    }

    /// The scores of all stations were restored.
    pub fn scores_restored(&self, scores: &Scores) {
        lock(&self.scores).extend(scores.leads().map(|(lead_h, scores)| (lead_h, *scores)));
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

    /// The journal wrote entries.
    pub fn journal_committed(&self, entries: usize, duration: Duration) {
        self.journal_entries.inc_by(entries as u64);
        self.journal_duration.observe(duration.as_secs_f64());
        self.journal_waiting.set(0);
    }

    /// The journal failed.
    pub fn journal_failed(&self, reason: &str, waiting: usize, lost: usize) {
        self.journal_failures.with_label_values(&[reason]).inc();
        self.journal_waiting.set(waiting as i64);
        self.journal_lost.inc_by(lost as u64);
    }

    /// The journal is so large.
    pub fn journal_size(&self, bytes: u64) {
        self.journal_size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Rows of the journal cannot be.
    pub fn journal_rows_skipped(&self, rows: u64) {
        self.journal_skipped.inc_by(rows);
    }

    /// Another program told Home Assistant something under the id of a station.
    pub fn discovery_overwritten(&self) {
        self.discovery_overwritten.inc();
    }

    /// Whose counters are shown.
    pub fn watch_session(&self, statistics: Arc<SessionStatistics>) {
        *lock(&self.session) = Some(statistics);
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

    fn collect_session(&self) {
        let session = lock(&self.session);
        let Some(statistics) = &*session else { return };
        let bring = |counter: &IntCounter, value: u64| counter.inc_by(value.saturating_sub(counter.get()));
        self.mqtt_connected.set(i64::from(statistics.is_connected()));
        bring(&self.mqtt_attempts, statistics.attempts.get());
        bring(&self.mqtt_connects, statistics.connects.get());
        for (reason, count) in statistics.disconnects() {
            bring(&self.mqtt_disconnects.with_label_values(&[reason]), count);
        }
        bring(&self.mqtt_subscriptions_refused, statistics.subscriptions_refused.get());
        bring(&self.mqtt_received, statistics.received.get());
        for (reason, count) in [
            ("overflow", &statistics.dropped_overflow),
            ("oversized", &statistics.dropped_oversized),
            ("bad_topic", &statistics.dropped_topic),
            ("queue_full", &statistics.publications_dropped),
            ("refused", &statistics.publications_refused),
            ("expired", &statistics.publications_expired),
        ] {
            bring(&self.mqtt_dropped.with_label_values(&[reason]), count.get());
        }
        bring(&self.mqtt_published, statistics.published.get());
        bring(&self.mqtt_acknowledged, statistics.publications_acknowledged.get());
        self.mqtt_in_flight.set(statistics.in_flight.get() as i64);
    }

    fn collect_scores(&self) {
        for (lead_h, scores) in lock(&self.scores).iter() {
            let lead_h = lead_h.to_string();
            let verified = self.verified.with_label_values(&[&lead_h]);
            verified.inc_by((scores.lifetime.count() as u64).saturating_sub(verified.get()));
            let set = |gauges: &GaugeVec, totals: &LeadTotals| {
                for (forecast, mae) in [
                    ("model", totals.mae()),
                    ("persistence", totals.persistence_mae()),
                    ("yesterday", totals.yesterday_mae()),
                ] {
                    if let Some(mae) = mae {
                        gauges.with_label_values(&[forecast, &lead_h]).set(mae);
                    }
                }
            };
            set(&self.mean_absolute_error, &scores.rolling);
            set(&self.lifetime_mean_absolute_error, &scores.lifetime);
            for (gauges, ratio) in
                [(&self.skill, scores.rolling.skill()), (&self.coverage, scores.rolling.coverage())]
            {
                if let Some(ratio) = ratio {
                    gauges.with_label_values(&[&lead_h]).set(ratio);
                }
            }
        }
    }
}

/// Sets a series, or takes it away where the newest forecast does not say it: else the one before would seem to.
fn set_or_remove(gauges: &GaugeVec, labels: &[&str], value: Option<f32>) {
    match value {
        Some(value) => gauges.with_label_values(labels).set(decimal(value)),
        // It may not be there.
        None => drop(gauges.remove_label_values(labels)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus_practices_and_known_labels_are_there_from_the_start() {
        let metrics = Metrics::new();
        let text = metrics.encode();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(name.starts_with("forecastd_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
        for reason in ["not_json", "in_future", "too_many_stations"] {
            assert!(text.contains(&format!("forecastd_readings_rejected_total{{reason=\"{reason}\"}} 0")));
        }
    }

    #[test]
    fn every_model_in_use_is_shown_and_each_counts_once_as_put_into_use() {
        let metrics = Metrics::new();
        let model = |name, sha256| Loaded { name, sha256, engine: EngineKind::Tract };
        metrics.models_in_use(&[model("world", "aa"), model("roof", "bb")]);
        metrics.models_in_use(&[model("world", "aa"), model("roof", "cc")]);
        let text = metrics.encode();
        let shown: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("forecastd_model_info{")).collect();
        let expected = [
            r#"engine="tract",model="roof",sha256="cc"} 1"#,
            r#"engine="tract",model="world",sha256="aa"} 1"#,
        ];
        assert_eq!(shown, expected);
        assert!(text.contains("forecastd_model_loads_total 3\n"));
    }

    #[test]
    fn a_scrape_shows_the_rolling_and_the_lifetime_scores_as_last_told() {
        let metrics = Metrics::new();
        let mut scores = Scores::default();
        for (model_c, persistence_c) in [(1.0, 4.0), (-3.0, 0.0)] {
            let score = Score {
                lead_h: 24,
                valid_at: Timestamp::UNIX_EPOCH,
                observed_c: 0.0,
                model_c,
                within_interval: Some(model_c > 0.0),
                persistence_c,
                yesterday_c: None,
            };
            scores.add(&score);
            metrics.scored(&score, &scores.lead(24));
        }
        let text = metrics.encode();
        for name in ["forecast_mean_absolute_error_celsius", "forecast_lifetime_mean_absolute_error_celsius"]
        {
            let series = format!("forecastd_{name}{{forecast=\"model\",lead_h=\"24\"}} 2\n");
            assert!(text.contains(&series), "{text}");
        }
        assert!(text.contains("forecastd_forecast_skill_ratio{lead_h=\"24\"} 0\n"));
        assert!(text.contains("forecastd_forecast_interval_coverage_ratio{lead_h=\"24\"} 0.5\n"));
        assert!(text.contains("forecastd_forecasts_verified_total{lead_h=\"24\"} 2\n"));
    }

    #[test]
    fn the_series_of_a_station_go_with_it() {
        let metrics = Metrics::new();
        let name = StationName::new("roof").unwrap();
        metrics.station_reading(&name, Timestamp::UNIX_EPOCH, Some(1.0));
        metrics.station_missing(&name, 60);
        metrics.station_state(&name, "warming_up");
        metrics.station_state(&name, "ready");
        let extreme = |temperature_c| forecastd_core::Extreme {
            temperature_c,
            interval_c: (0.0, 1.0),
            quantiles_c: None,
        };
        let forecast = Forecast {
            station: name.clone(),
            issued_at: Timestamp::UNIX_EPOCH,
            origin: Timestamp::UNIX_EPOCH,
            temperature_c: 1.0,
            model: "test@0".to_owned(),
            source: Source::Model,
            leads: vec![forecastd_core::LeadForecast {
                lead_h: 24,
                valid_at: Timestamp::UNIX_EPOCH,
                temperature_c: 2.0,
                interval_c: Some((1.5, 3.5)),
                quantiles_c: None,
            }],
            day_ahead: Some(forecastd_core::DayAhead {
                hours: 24,
                lowest: extreme(-4.0),
                highest: extreme(6.0),
                below: vec![forecastd_core::Below { threshold_c: 0.0, probability: 0.75 }],
            }),
        };
        metrics.station_forecast(&forecast);
        let text = metrics.encode();
        for series in [
            "station_state{state=\"ready\",station=\"roof\"} 1",
            "station_state{state=\"warming_up\",station=\"roof\"} 0",
            "forecast_interval_low_celsius{lead_h=\"24\",station=\"roof\"} 1.5",
            "forecast_interval_high_celsius{lead_h=\"24\",station=\"roof\"} 3.5",
            "forecast_lowest_celsius{station=\"roof\"} -4",
            "forecast_highest_celsius{station=\"roof\"} 6",
            "forecast_frost_probability_ratio{station=\"roof\"} 0.75",
        ] {
            assert!(text.contains(&format!("forecastd_{series}\n")), "{series}: {text}");
        }
        metrics.station_forecast(&Forecast { day_ahead: None, ..forecast });
        assert!(!metrics.encode().contains("forecastd_forecast_lowest_celsius{"));
        metrics.forget_station(&name);
        assert!(!metrics.encode().contains("station=\"roof\""));
    }
}
