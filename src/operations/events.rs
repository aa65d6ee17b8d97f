//! What happened, told once: as a log line, as metrics, and to whoever watches from within the process.
//!
//! Levels: ERROR when something is lost or a person is needed, WARN when something is unexpected and nothing is lost, INFO
//! for what an operator wants to know.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use forecastd_core::{
    Event, ForNobody, Forecast, LeadTotals, Oddity, Readiness, StationName, StationState, humanize,
};
use forecastd_journal::JournalError;
use forecastd_model::{Artefact, EngineKind};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::RateLimitedLog;
use super::health::Health;
use super::metrics::{Loaded, Metrics};
use super::oddity::explain;
use crate::wire::message::PassedOver;
use crate::wire::reading::Decoded;
use crate::wire::status;

/// What the daemon tells those who watch it from within the process.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The HTTP server listens there.
    Listening(std::net::SocketAddr),
    /// The broker accepted the session and answered its subscription.
    Connected,
    /// A forecast was issued.
    Issued {
        /// The forecast as it is published.
        forecast: Box<Forecast>,
        /// Whether the station's window is complete.
        readiness: Readiness,
        /// The scores of the station since the beginning, at the longest lead.
        lifetime: LeadTotals,
    },
    /// A reading, or a whole message, was not taken.
    Refused {
        /// Of which station, if that is known.
        station: Option<StationName>,
        /// The reason, as the label of the metric.
        reason: &'static str,
    },
}

/// Stations of which it is remembered that their keys were looked at.
const MAX_EXPLAINED: usize = 10_000;

/// Tells what happened.
pub struct Telemetry {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    watcher: Option<mpsc::UnboundedSender<Notice>>,
    log: RateLimitedLog,
    /// Stations with series of their own: the first ones.
    series: HashSet<StationName>,
    series_max: usize,
    /// Stations whose unknown keys were looked at.
    explained: HashSet<StationName>,
    /// Sources of which was said that a message held no value of theirs.
    without_value: HashSet<usize>,
    /// While stations are restored, one line at the end says what one line each would.
    is_restoring: bool,
}

impl Telemetry {
    /// Tells metrics, health, the log and a watcher; at most `series_max` stations get series of their own.
    pub fn new(
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        watcher: Option<mpsc::UnboundedSender<Notice>>,
        series_max: usize,
    ) -> Telemetry {
        Telemetry {
            metrics,
            health,
            watcher,
            log: RateLimitedLog::default(),
            series: HashSet::new(),
            series_max,
            explained: HashSet::new(),
            without_value: HashSet::new(),
            is_restoring: false,
        }
    }

    /// Stations are restored from now on, until [`Event::Restored`].
    pub fn restoring(&mut self) {
        self.is_restoring = true;
    }

    /// Whether the disk did not answer a second ago, whether it does not now, and how many entries wait for it.
    pub fn journal_hangs(&self, before: bool, now: bool, waiting: usize) {
        match (before, now) {
            (false, false) => {}
            (false, true) => {
                let unanswered = JournalError::Unanswered;
                error!(waiting, "journal: {unanswered}; going on in memory");
                self.metrics.journal_failed(unanswered.reason(), waiting, 0);
            }
            (true, true) => self.metrics.journal_waits(waiting),
            (true, false) => info!("journal: the disk answers again"),
        }
    }

    /// A message came that may be a reading.
    pub fn message_received(&self) {
        self.metrics.reading_received();
    }

    /// Tells a watcher something that is no event of the service.
    pub fn notice(&self, notice: Notice) {
        if let Some(watcher) = &self.watcher {
            // Whoever watched may have gone.
            let _ = watcher.send(notice);
        }
    }

    /// A message on a topic of a source, by its position among the sources, held no value that the source names, as many of
    /// other devices do; said once for a source, in case it is the source that is wrong.
    pub fn message_without_value(&mut self, source: usize, topic: &str) {
        self.metrics.message_without_value();
        if self.without_value.insert(source) {
            let topic = topic.chars().take(120).collect::<String>().escape_debug().to_string();
            info!(topic, "message holds no value that its [[source]] names; others like it are counted");
        }
    }

    /// A topic has one value, and another topic is read for its quantity; said once for a topic.
    pub fn topic_passed_over(&mut self, station: &StationName, topic: &str, passed_over: &PassedOver) {
        self.metrics.message_without_value();
        let PassedOver { quantity, read, is_first } = passed_over;
        if *is_first {
            let shown = |topic: &str| topic.chars().take(120).collect::<String>().escape_debug().to_string();
            let (topic, read) = (shown(topic), shown(read));
            info!(%station, %quantity, topic, read, "topic is not read: of several with one quantity of a station one is");
        }
    }

    /// A reading was decoded: values that could not be read, and keys that are nearly ours, which are explained once for a
    /// station.
    pub fn decoded(&mut self, station: &StationName, decoded: &Decoded) {
        for (key, value) in &decoded.unreadable {
            self.metrics.value_unreadable(key);
            if let Some(unsaid) = self.log.say("unreadable", Some(station), Instant::now()) {
                warn!(%station, key, value, unsaid, "value cannot be; the others are taken");
            }
        }
        if decoded.unknown.is_empty() && decoded.half_place.is_none()
            || self.explained.contains(station)
            || self.explained.len() >= MAX_EXPLAINED
        {
            return;
        }
        self.explained.insert(station.clone());
        if let Some(half) = decoded.half_place {
            let (key, missing) = (half.key(), half.missing());
            warn!(%station, key, missing, "half a place says nothing of where the station stands; more is needed beside it");
        }
        for (key, meant) in decoded.near_misses() {
            let key = key.escape_debug().to_string();
            warn!(%station, key, "key is not known and is not looked at; did you mean {meant}?");
        }
    }

    /// These models are in use from now on, the main one first.
    pub fn models_in_use(&self, models: &[(Arc<Artefact>, EngineKind)]) {
        let labels = models.iter().map(|(artefact, engine)| Loaded {
            name: &artefact.manifest.name,
            sha256: &artefact.sha256,
            engine: *engine,
        });
        self.metrics.models_in_use(&labels.collect::<Vec<_>>());
    }

    /// A message was not published.
    pub fn not_published(&mut self, error: &dyn std::error::Error) {
        if let Some(unsaid) = self.log.say("publish", None, Instant::now()) {
            error!(%error, unsaid, "message not published");
        }
    }

    /// Tells an event of the service.
    pub fn emit(&mut self, event: Event) {
        match event {
            Event::ReadingTaken { inserted, .. } => self.metrics.reading_taken(&inserted),
            Event::NewestReading { station, time, temperature_c } => {
                if self.has_series(&station) {
                    self.metrics.station_reading(&station, time, temperature_c);
                }
            }
            Event::StationOdd { station, oddity } => self.station_odd(&station, oddity),
            Event::ReadingRefused { station, reason, detail } => {
                self.metrics.reading_rejected(reason);
                // Names beyond stations.max have no end.
                let told_apart = station.as_ref().filter(|_| reason != "too_many_stations");
                if let Some(unsaid) = self.log.say(reason, told_apart, Instant::now()) {
                    let station = station.as_ref().map(tracing::field::display);
                    warn!(station, reason, error = %detail, unsaid, "reading refused");
                }
                self.notice(Notice::Refused { station, reason });
            }
            Event::ValueDropped { station, dropped } => {
                self.metrics.value_dropped(&dropped);
                let reason = dropped.reason.label();
                if let Some(unsaid) = self.log.say(reason, Some(&station), Instant::now()) {
                    let (quantity, value) = (dropped.quantity, dropped.value);
                    warn!(%station, %quantity, value, reason, unsaid, "value dropped");
                }
            }
            Event::ExpertsStand { station, experts } => {
                if self.has_series(&station) {
                    self.metrics.station_experts(&station, &experts);
                }
            }
            Event::Scored { score, scores } => self.metrics.scored(&score, &scores),
            Event::DaysScored(scores) => self.metrics.days_scored(&scores),
            Event::ScoresRestored(scores) => self.metrics.scores_restored(&scores),
            Event::ForecastIssued { forecast, readiness, lifetime, delay } => {
                self.metrics.forecast_issued(&forecast, delay);
                if self.has_series(&forecast.station) {
                    self.metrics.station_forecast(&forecast);
                }
                if self.watcher.is_some() {
                    self.notice(Notice::Issued { forecast, readiness, lifetime });
                }
            }
            Event::InferenceFailed { station, model, error } => {
                self.metrics.inference_failed();
                if let Some(unsaid) = self.log.say("inference", None, Instant::now()) {
                    error!(%station, %model, error, unsaid, "no forecast of the model, others instead");
                }
            }
            Event::ForecastImplausible { station, model } => {
                self.metrics.forecast_implausible();
                if let Some(unsaid) = self.log.say("implausible_forecast", Some(&station), Instant::now()) {
                    error!(%station, %model, unsaid, "outputs of the model are no temperatures, others instead");
                }
            }
            Event::StateChanged { station, state, is_news, model_distance_km } => {
                self.state_changed(&station, state, is_news, model_distance_km);
            }
            Event::Stations { known, ready, stale, without_place, elsewhere, foreign_model, oldest } => {
                self.metrics.stations_without_model(without_place, elsewhere);
                self.metrics.stations_foreign_model(foreign_model);
                self.metrics.stations(known, ready, stale, oldest);
            }
            Event::Restored { stations, ready, stale, owed, undelivered, omitted } => {
                self.is_restoring = false;
                if stations > 0 {
                    info!(stations, ready, stale, owed, undelivered, "restored from the journal");
                }
                if omitted > 0 {
                    warn!(
                        omitted,
                        "stations are not served: stations.max are, or they have been silent for longer than \
                         stations.idle_days"
                    );
                }
            }
            Event::Forgotten(station) => {
                self.drop_series(&station);
                info!(%station, "station forgotten");
            }
            Event::StationGivenUp(station) => {
                self.drop_series(&station);
                info!(%station, "station has been silent for longer than stations.idle_days: not served any more");
            }
            Event::SpecialistJoined { model, stations, for_nobody } => match for_nobody {
                None => {
                    info!(%model, stations, "specialist joins the experts of the stations that it is for")
                }
                Some(ForNobody::NotNamed) => {
                    warn!(%model, "specialist is for none of the stations: it names others");
                }
                Some(ForNobody::Elsewhere(distance_km)) => warn!(
                    %model, distance_km,
                    "specialist is for none of the stations: its site is too far from the nearest of them"
                ),
                Some(ForNobody::Crowded) => {
                    warn!(%model, "specialist is for none of the stations: each uses as many others as it can");
                }
            },
            Event::SpecialistLeft { model } => info!(%model, "specialist is not used any more"),
            Event::SpecialistRefused { model, error } => {
                error!(%model, error = %error, "specialist cannot be used beside the main model");
            }
            Event::ModelSwitched { old, new } => info!(%old, %new, "model exchanged"),
            Event::ClockJumped { by, is_doubted } => {
                self.metrics.clock_jumped();
                let seconds = by.as_secs_f64();
                match is_doubted {
                    true => warn!(
                        seconds,
                        "clock jumped back: what is newer is kept for an hour, and dropped if the clock stays there"
                    ),
                    false => warn!(seconds, "clock jumped"),
                }
            }
            Event::ClockBehind { is_behind, by, waiting } => {
                self.metrics.clock_behind(is_behind);
                self.health.set_clock_behind(is_behind);
                match is_behind {
                    true => error!(
                        by = humanize(by),
                        "clock is behind what stations say: their readings wait, not acknowledged, until it is right"
                    ),
                    false => info!(waiting, "readings that waited for the clock are looked at again"),
                }
            }
            Event::FutureDropped { station, newest } => {
                self.metrics.future_dropped();
                if let Some(unsaid) = self.log.say("future", None, Instant::now()) {
                    warn!(%station, %newest, unsaid, "readings of the future dropped: a clock was ahead");
                }
            }
            Event::NoReadings(says) => {
                self.metrics.no_readings(says);
                self.health.set_no_readings(says);
                match says {
                    true => warn!(
                        "no message has come since the subscription, for a quarter of an hour: are topics.reading and \
                         the broker's permissions right, and do stations send?"
                    ),
                    false => info!("messages come"),
                }
            }
            Event::HomeAssistantStarted { stations } => {
                // Anybody can say so, as often as he likes.
                if let Some(unsaid) = self.log.say("home_assistant", None, Instant::now()) {
                    info!(stations, unsaid, "home assistant has started: it is told of the stations again");
                }
            }
            Event::DiscoveryFull { announced } => warn!(
                announced,
                "there are more stations than home_assistant.stations_max: the others are served, and Home Assistant is \
                 not told of them"
            ),
            Event::DiscoveryRefused => warn!(
                "the broker does not take what Home Assistant is to be told: it is told nothing until the next start; \
                 let this user write to the topics of home_assistant.prefix, or set home_assistant.discovery = false"
            ),
            Event::DiscoveryOverwritten { station, by } => {
                self.metrics.discovery_overwritten();
                if let Some(unsaid) = self.log.say("discovery", Some(&station), Instant::now()) {
                    warn!(
                        %station, by, unsaid,
                        "another program tells Home Assistant of a station with this name: give one of the two another \
                         name, or another home_assistant.prefix"
                    );
                }
            }
        }
    }

    fn station_odd(&mut self, station: &StationName, oddity: Oddity) {
        self.metrics.station_odd(&oddity);
        let Some(unsaid) = self.log.say(oddity.subject(), Some(station), Instant::now()) else { return };
        let what = explain(&oddity);
        match oddity {
            Oddity::Clock { peak_h } => warn!(%station, peak_h, unsaid, "{what}"),
            Oddity::SeaLevelPressure { mean_hpa, expected_hpa } => {
                warn!(%station, mean_hpa, expected_hpa, unsaid, "{what}");
            }
            Oddity::OutsideTraining { .. } | Oddity::WholeDegrees => warn!(%station, unsaid, "{what}"),
            Oddity::PlaceDiffers { distance_km } | Oddity::Moved { distance_km } => {
                warn!(%station, distance_km, unsaid, "{what}");
            }
        }
    }

    fn state_changed(
        &mut self,
        station: &StationName,
        state: StationState,
        is_news: bool,
        model_distance_km: Option<u32>,
    ) {
        let missing = match state {
            StationState::Fresh(Readiness::WarmingUp(missing)) => Some(missing),
            _ => None,
        };
        if self.has_series(station) {
            let seconds = missing.map_or(0, |missing| missing.remaining.as_secs());
            self.metrics.station_missing(station, seconds);
            self.metrics.station_state(station, status::state_name(state));
        }
        if self.is_restoring {
            return;
        }
        let missing_hours = missing.and_then(|missing| status::missing_hours(Readiness::WarmingUp(missing)));
        match state {
            StationState::Fresh(Readiness::Ready) => match model_distance_km {
                None => info!(%station, "station is ready"),
                Some(distance_km) => warn!(
                    %station, distance_km,
                    "station is ready, with a model that is for another site, as model.anywhere says"
                ),
            },
            StationState::Fresh(Readiness::WarmingUp(missing)) if is_news => info!(
                %station, missing_hours, quantity = %missing.quantity,
                "station is warming up, reference forecasts are published meanwhile"
            ),
            StationState::Fresh(Readiness::WarmingUp(_)) => {
                debug!(%station, missing_hours, "station is warming up");
            }
            StationState::Stale => {
                warn!(%station, "station has sent nothing new for longer than stations.stale_after_s");
            }
            StationState::Fresh(Readiness::NoPlace) if is_news => warn!(
                %station,
                "it is not known where the station stands: give [station.{station}] or [site] a latitude_deg and \
                 longitude_deg, or a time_zone; reference forecasts are published meanwhile"
            ),
            StationState::Fresh(Readiness::Elsewhere(distance_km)) if is_news => warn!(
                %station, distance_km,
                "the model is for one site, and the station is elsewhere: reference forecasts are published; \
                 model.anywhere = true runs it all the same"
            ),
            StationState::Fresh(Readiness::Silent | Readiness::NoPlace | Readiness::Elsewhere(_)) => {}
        }
    }

    /// Whether a station has series of its own: the first ones have.
    fn has_series(&mut self, station: &StationName) -> bool {
        self.series.contains(station)
            || (self.series.len() < self.series_max && self.series.insert(station.clone()))
    }

    fn drop_series(&mut self, station: &StationName) {
        if self.series.remove(station) {
            self.metrics.forget_station(station);
        }
    }
}
