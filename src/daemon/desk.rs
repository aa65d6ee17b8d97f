//! The desk: the one task that every reading and every forecast passes. It owns the stations and decides what is
//! journalled, forecast, published and counted; the work itself is done elsewhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::Event;
use super::loader::Loaded;
use crate::config::{Config, Topics};
use crate::journal::{Entry, Journal, Restored};
use crate::operations::metrics::Metrics;
use crate::operations::notices::Notices;
use crate::wire::{self, status as payload};
use forecastd_core::Inserted;
use forecastd_core::Quantity;
use forecastd_core::StationName;
use forecastd_core::{Forecast, Model, Score};
use forecastd_core::{Issue, Next, Readiness, Station};
use forecastd_model::{Artefact, Inference, InferenceRequest, InferenceWorker};
use forecastd_mqtt::{Inbox, Incoming, PublishError, Publisher, SessionEvent};

/// So many windows may be in the network at once; no message is taken while there are.
const MAX_UNDER_WAY: usize = 256;

/// What a window in the network belongs to.
#[derive(Debug)]
pub struct Key {
    station: StationName,
    issue: Issue,
    arrived: Instant,
}

/// What the desk waits for.
pub struct Io {
    /// From the broker.
    pub inbox: Inbox,
    /// From the network.
    pub answered: mpsc::UnboundedReceiver<Inference<Key>>,
}

/// What came.
pub enum Came {
    /// Something from the broker.
    Session(Option<SessionEvent>),
    /// Something from the network.
    Answer(Option<Inference<Key>>),
}

/// What [`Desk::handle`] noticed that others should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The session is connected and subscribed.
    Connected,
    /// Nothing that concerns others.
    Routine,
}

impl Io {
    /// Waits for the next thing. Answers come before messages, and messages wait while the network is full or a
    /// new model waits for it to be empty.
    pub async fn next(&mut self, desk: &Desk) -> Came {
        let takes_messages = desk.under_way < MAX_UNDER_WAY && desk.waiting_model.is_none();
        tokio::select! {
            biased;
            answer = self.answered.recv() => Came::Answer(answer),
            event = self.inbox.recv(), if takes_messages => Came::Session(event),
        }
    }
}

/// A station, and what was last said of it.
struct Seat {
    station: Station,
    forecast_topic: Arc<str>,
    /// Whether it is among those with metrics of their own.
    has_series: bool,
    /// State and missing hours, as last published.
    said: Option<(bool, Option<i64>)>,
    /// The hour of station time for which verification was last published.
    verified_hour: i64,
}

/// See the head of this file.
pub struct Desk {
    topics: Topics,
    max_stations: usize,
    max_ahead: SignedDuration,
    artefact: Arc<Artefact>,
    model: Arc<Model>,
    worker: InferenceWorker<Key>,
    journal: Option<Journal>,
    publisher: Publisher,
    metrics: Arc<Metrics>,
    events: Option<mpsc::UnboundedSender<Event>>,
    seats: HashMap<StationName, Seat>,
    ready_stations: usize,
    notices: Notices,
    /// Windows in the network.
    under_way: usize,
    /// A model that takes over when nothing is under way.
    waiting_model: Option<Loaded>,
}

impl Desk {
    /// A desk without stations.
    pub fn new(
        config: &Config,
        artefact: Arc<Artefact>,
        worker: InferenceWorker<Key>,
        journal: Option<Journal>,
        publisher: Publisher,
        metrics: Arc<Metrics>,
        events: Option<mpsc::UnboundedSender<Event>>,
    ) -> Desk {
        Desk {
            topics: config.topics.clone(),
            max_stations: config.stations.max,
            max_ahead: SignedDuration::from_secs(config.stations.max_reading_ahead_s as i64),
            model: Arc::new(artefact.description()),
            artefact,
            worker,
            journal,
            publisher,
            metrics,
            events,
            seats: HashMap::new(),
            ready_stations: 0,
            notices: Notices::default(),
            under_way: 0,
            waiting_model: None,
        }
    }

    /// How many stations there are.
    pub fn stations(&self) -> usize {
        self.seats.len()
    }

    /// One line for `systemctl status`.
    pub fn summary(&self, is_connected: bool) -> String {
        format!(
            "{} stations, {} ready; model {}; broker {}",
            self.seats.len(),
            self.ready_stations,
            self.artefact.id(),
            if is_connected { "connected" } else { "away" }
        )
    }

    /// Puts stations back to where they were before a restart.
    pub fn restore(&mut self, restored: Vec<Restored>) {
        let (mut readings, mut stations) = (0, 0);
        for Restored { station: name, readings: own, forecasts } in restored {
            let Some(seat) = self.seat(&name) else { break };
            readings += own.len();
            stations += 1;
            for (time, values) in own {
                seat.station.restore_reading(time, values);
            }
            for forecast in &forecasts {
                seat.station.restore_forecast(forecast);
            }
            seat.station.restored();
            self.say_status(&name);
        }
        if stations > 0 {
            info!(stations, ready = self.ready_stations, readings, "restored from the journal");
        }
    }

    /// Handles what came.
    pub async fn handle(&mut self, came: Came) -> Happened {
        match came {
            Came::Session(Some(event)) => return self.session_event(event).await,
            Came::Answer(Some(inference)) => self.answer(inference).await,
            // Session and worker end after the desk.
            Came::Session(None) | Came::Answer(None) => std::future::pending().await,
        }
        Happened::Routine
    }

    /// Takes a new model, as soon as nothing is under way with the old one.
    pub fn exchange(&mut self, loaded: Loaded) {
        self.waiting_model = Some(loaded);
        self.exchange_if_idle();
    }

    /// Brings up to date what changes without readings.
    pub fn tick(&mut self) {
        self.metrics.stations(self.seats.len(), self.ready_stations);
    }

    /// Waits for everything that is under way, for a bounded time.
    pub async fn finish(&mut self, io: &mut Io) {
        let deadline = tokio::time::Instant::now() + super::SHUTDOWN;
        while self.under_way > 0 {
            match tokio::time::timeout_at(deadline, io.answered.recv()).await {
                Ok(Some(inference)) => self.answer(inference).await,
                Ok(None) | Err(_) => break,
            }
        }
    }

    /// Ends the desk; what is left is the journal, which writes what waits when it is dropped.
    pub fn into_journal(self) -> Option<Journal> {
        self.journal
    }

    async fn session_event(&mut self, event: SessionEvent) -> Happened {
        match event {
            // Readings that are published before the broker has our subscription never come.
            SessionEvent::Subscribed => {
                self.tell(|| Event::Connected);
                return Happened::Connected;
            }
            // The session has logged and counted these.
            SessionEvent::Connected { .. } | SessionEvent::Disconnected { .. } | SessionEvent::Refused(_) => {
            }
            SessionEvent::Message(incoming) => self.message(incoming).await,
        }
        Happened::Routine
    }

    async fn message(&mut self, incoming: Incoming) {
        let arrived = Instant::now();
        self.metrics.reading_received();
        let Incoming { topic, payload, acknowledgement, .. } = incoming;
        let Some(level) = self.topics.reading.station(&topic) else {
            return self.refuse(None, "unknown_topic", &topic, &"no station's topic");
        };
        let name = match StationName::new(level) {
            Ok(name) => name,
            Err(error) => return self.refuse(None, "bad_station", &topic, &error),
        };
        let wire::reading::Decoded { time, values, .. } = match wire::reading::decode(&payload) {
            Ok(decoded) => decoded,
            Err(error) => return self.refuse(Some(name), error.reason(), &topic, &error),
        };
        let max_stations = self.max_stations;
        let Some(seat) = self.seat(&name) else {
            let error = format!("stations.max = {max_stations} stations are served already");
            return self.refuse(Some(name), "too_many_stations", &topic, &error);
        };
        let observed = match seat.station.observe(time, values, Timestamp::now()) {
            Ok(observed) => observed,
            Err(error) => return self.refuse(Some(name), error.reason(), &topic, &error),
        };
        self.metrics.reading_taken(&observed.inserted);
        for dropped in &observed.dropped {
            self.metrics.value_dropped(dropped.quantity, dropped.reason);
            let kind = dropped.reason.label();
            if let Some(unsaid) = self.notices.say(kind, arrived) {
                warn!(station = %name, quantity = %dropped.quantity, value = dropped.value, reason = kind, unsaid,
                    "value dropped");
            }
        }
        if !matches!(observed.inserted, Inserted::Unchanged(_))
            && let Some(journal) = &self.journal
        {
            let receipt = Box::new(acknowledgement);
            journal.write(Entry::Reading { station: name.clone(), time, values: observed.kept, receipt });
        }
        self.scored(&name, &observed.scores);
        match observed.next {
            Next::Nothing => {}
            Next::Infer(issue, window) => {
                self.under_way += 1;
                self.worker
                    .infer(InferenceRequest { key: Key { station: name.clone(), issue, arrived }, window });
            }
            Next::Baseline(forecast) => self.publish_forecast(forecast, arrived).await,
        }
        self.newest_reading(&name);
        self.say_status(&name);
    }

    async fn answer(&mut self, inference: Inference<Key>) {
        self.under_way -= 1;
        let Inference { key: Key { station: name, issue, arrived }, outputs } = inference;
        if let Some(seat) = self.seats.get_mut(&name) {
            let (forecast, scores) = match outputs {
                Ok(outputs) => {
                    let completed = seat.station.complete(&issue, &outputs);
                    (completed.forecast, completed.scores)
                }
                Err(error) => {
                    self.metrics.inference_failed();
                    if let Some(unsaid) = self.notices.say("inference", arrived) {
                        error!(station = %name, %error, unsaid, "no forecast of the model, persistence instead");
                    }
                    (seat.station.persistence(&issue), Vec::new())
                }
            };
            self.scored(&name, &scores);
            self.publish_forecast(forecast, arrived).await;
        }
        self.exchange_if_idle();
    }

    async fn publish_forecast(&mut self, forecast: Forecast, arrived: Instant) {
        let Some(seat) = self.seats.get(&forecast.station) else { return };
        let topic = Arc::clone(&seat.forecast_topic);
        let payload = wire::forecast::encode(&forecast);
        let published = self.publisher.publish_wait(topic, payload, true).await;
        self.published(published.map(|_| ()));
        self.metrics.forecast_issued(&forecast, arrived.elapsed());
        if let Some(seat) = self.seats.get(&forecast.station) {
            if seat.has_series {
                self.metrics.station_forecast(&forecast);
            }
            let readiness = seat.station.readiness();
            let max_lead_h = self.artefact.manifest.max_lead_h();
            let totals = seat.station.verification().totals().lead(max_lead_h);
            self.tell(|| Event::Issued { forecast: forecast.clone(), readiness, totals });
        }
        if let Some(journal) = &self.journal {
            journal.write(Entry::Forecast(Box::new(forecast)));
        }
    }

    /// Counts scores, and publishes the sums once an hour of station time.
    fn scored(&mut self, name: &StationName, scores: &[Score]) {
        let Some(last) = scores.last() else { return };
        for score in scores {
            self.metrics.scored(score);
        }
        let Some(seat) = self.seats.get_mut(name) else { return };
        let hour = last.valid_at.as_second().div_euclid(3600);
        if seat.verified_hour == hour {
            return;
        }
        seat.verified_hour = hour;
        let totals = seat.station.verification().totals();
        let payload = payload::verification(name, &self.artefact.id(), last.valid_at, totals);
        let published = self.publisher.publish(self.topics.verification.topic(name.as_str()), payload, true);
        self.published(published.map(|_| ()));
    }

    fn newest_reading(&mut self, name: &StationName) {
        let Some(seat) = self.seats.get(name) else { return };
        if let (true, Some((time, values))) = (seat.has_series, seat.station.newest()) {
            self.metrics.station_reading(name, time, values.get(Quantity::AirTemperature));
        }
    }

    /// Publishes whether a station is ready, when that has changed or another hour of history is there.
    fn say_status(&mut self, name: &StationName) {
        let Some(seat) = self.seats.get_mut(name) else { return };
        let readiness = seat.station.readiness();
        let is_ready = readiness == Readiness::Ready;
        let missing_hours = payload::missing_hours(readiness);
        let now = Some((is_ready, missing_hours.map(|hours| hours.ceil() as i64)));
        if seat.said == now {
            return;
        }
        let was_ready = seat.said.is_some_and(|(is_ready, _)| is_ready);
        let is_first = seat.said.is_none();
        seat.said = now;
        if is_ready != was_ready {
            self.ready_stations = if is_ready { self.ready_stations + 1 } else { self.ready_stations - 1 };
        }
        let missing_s = match readiness {
            Readiness::WarmingUp(missing) => missing.remaining.as_secs(),
            Readiness::Silent | Readiness::Ready => 0,
        };
        if seat.has_series {
            self.metrics.station_missing(name, missing_s);
        }
        let newest = seat.station.newest().map(|(time, _)| time);
        match readiness {
            Readiness::Ready => info!(station = %name, "station is ready"),
            Readiness::WarmingUp(missing) if is_first || was_ready => info!(
                station = %name, missing_hours, quantity = %missing.quantity,
                "station is warming up, persistence is published meanwhile"
            ),
            Readiness::WarmingUp(_) => debug!(station = %name, missing_hours, "station is warming up"),
            Readiness::Silent => {}
        }
        let payload = payload::status(name, readiness, newest, &self.artefact.id());
        let published =
            self.publisher.publish(self.topics.station_status.topic(name.as_str()), payload, true);
        self.published(published.map(|_| ()));
        self.metrics.stations(self.seats.len(), self.ready_stations);
    }

    /// Counts and explains what is not taken. Its acknowledgement has gone with it: a message that cannot be read
    /// would never be readable.
    fn refuse(
        &mut self,
        station: Option<StationName>,
        reason: &'static str,
        topic: &str,
        error: &dyn std::fmt::Display,
    ) {
        self.metrics.reading_rejected(reason);
        if let Some(unsaid) = self.notices.say(reason, Instant::now()) {
            let topic: String = topic.chars().take(120).collect();
            warn!(topic = topic.escape_debug().to_string(), reason, %error, unsaid, "reading refused");
        }
        self.tell(|| Event::Refused { station, reason });
    }

    fn published(&mut self, result: Result<(), PublishError>) {
        if let Err(error) = result
            && let Some(unsaid) = self.notices.say("publish", Instant::now())
        {
            error!(%error, unsaid, "message not published");
        }
    }

    fn exchange_if_idle(&mut self) {
        if self.under_way > 0 {
            return;
        }
        let Some(Loaded { artefact, engine }) = self.waiting_model.take() else { return };
        info!(old = self.artefact.id(), new = artefact.id(), "model exchanged");
        self.metrics.model_loaded(&artefact, engine.kind());
        self.worker.exchange(engine, Arc::clone(&artefact));
        let model = Arc::new(artefact.description());
        for seat in self.seats.values_mut() {
            seat.station.adopt(Arc::clone(&model));
        }
        self.artefact = artefact;
        self.model = model;
    }

    /// The seat of a station, made if there is room.
    fn seat(&mut self, name: &StationName) -> Option<&mut Seat> {
        if !self.seats.contains_key(name) {
            if self.seats.len() >= self.max_stations {
                return None;
            }
            let seat = Seat {
                station: Station::new(name.clone(), Arc::clone(&self.model), self.max_ahead),
                forecast_topic: Arc::from(self.topics.forecast.topic(name.as_str())),
                has_series: self.metrics.admit_station(name),
                said: None,
                verified_hour: i64::MIN,
            };
            self.seats.insert(name.clone(), seat);
        }
        self.seats.get_mut(name)
    }

    fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = &self.events {
            // Whoever watched may have gone.
            let _ = events.send(event());
        }
    }
}
