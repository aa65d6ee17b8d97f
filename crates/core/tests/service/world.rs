//! A world around the service, all in memory: a broker that sends again what was not acknowledged, a journal that forgets what
//! was not committed, a model that can be worked out by hand, a clock that is set.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use forecastd_core::{
    Batch, Effect, Entry, Event, FORMAT_VERSION, Feature, Forecast, Input, Manifest, MissingValues, Model,
    Models, Normalisation, Now, Oddity, Place, Publication, Quantity, Recall, ReducedPressure, Restored,
    Service, Settings, Site, StationName, Target, TargetKind, Token, Values, WindowSpec,
};
use jiff::{SignedDuration, Timestamp};

pub(crate) const HOUR: i64 = 3600;
/// 2020-01-01T00:00:00Z.
pub(crate) const START: i64 = 1_577_836_800;
/// Samples of the window, an hour apart.
pub(crate) const SAMPLES: usize = 4;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

/// A forecast without what the journal does not keep: the quantiles beyond the intervals.
pub(crate) fn without_quantiles(mut forecast: Forecast) -> Forecast {
    forecast.leads.iter_mut().for_each(|lead| lead.quantiles_c = None);
    if let Some(day) = &mut forecast.day_ahead {
        day.lowest.quantiles_c = None;
        day.highest.quantiles_c = None;
    }
    forecast
}

pub(crate) fn name(name: &str) -> StationName {
    StationName::new(name).unwrap()
}

pub(crate) fn weather(temperature_c: f32) -> Values {
    let mut values = Values::NONE;
    values.set(Quantity::AirTemperature, temperature_c);
    values.set(Quantity::AirPressure, 1000.0 + temperature_c);
    values
}

/// A temperature that changes with every reading and stays plausible.
pub(crate) fn temperature(second: i64) -> f32 {
    10.0 + 5.0 * (second as f32 / 86_400.0 * std::f32::consts::TAU).sin()
}

/// A model of hourly samples of temperature and pressure, with a median and an interval for every lead.
pub(crate) fn model(samples: usize) -> Arc<Model> {
    let features =
        vec![Feature::Quantity(Quantity::AirTemperature), Feature::Quantity(Quantity::AirPressure)];
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: "test".to_owned(),
        normalisation: Normalisation { mean: vec![10.0, 1000.0], standard_deviation: vec![5.0, 10.0] },
        window: WindowSpec {
            grid_step_s: 600,
            sample_every_s: 3600,
            samples,
            max_hole_s: 3 * 3600,
            site: Some(Site::new(50.91, 11.57)),
            missing: MissingValues::Refused,
            features,
        },
        target: Target {
            quantity: "air_temperature".to_owned(),
            kind: TargetKind::DifferenceToNewest,
            mean: 0.0,
            standard_deviation: 1.0,
        },
        lead_h: vec![1, 2, 6, 24],
        quantiles: vec![0.1, 0.5, 0.9],
        extremes_h: None,
        ranges: None,
        training: None,
        scores: Vec::new(),
        tool: "test".to_owned(),
        stations: Vec::new(),
        graph_sha256: None,
    };
    manifest.validate().unwrap();
    Arc::new(Model { manifest, id: "test@0".into() })
}

/// A model of temperature alone that looks further back than [`model`], with other leads and without intervals.
pub(crate) fn specialist(id: &str, samples: usize) -> Arc<Model> {
    let Model { mut manifest, .. } = (*model(samples)).clone();
    manifest.name = "own".to_owned();
    manifest.window.features.truncate(1);
    manifest.normalisation = Normalisation { mean: vec![10.0], standard_deviation: vec![5.0] };
    manifest.lead_h = vec![2, 6, 12];
    manifest.quantiles = Vec::new();
    manifest.validate().unwrap();
    Arc::new(Model { manifest, id: id.into() })
}

/// What a specialist answers: for 6 h what is right of a wave of 36 hours around 10 °C, from its value 6 hours ago, as
/// sin(x + 60°) = sin x − sin(x − 60°); for the other leads the change of the last hour.
pub(crate) fn outputs_of_specialist(window: &[f32]) -> Vec<f32> {
    let back = |hours: usize| 5.0 * window[(window.len() - 1).saturating_sub(hours)];
    let last_hour = back(0) - back(1);
    vec![last_hour, -back(6), last_hour]
}

/// [`model`] with the quantiles that are published, and the extremes of the day ahead; for any place.
pub(crate) fn model_with_extremes() -> Arc<Model> {
    let Model { mut manifest, id } = (*model(SAMPLES)).clone();
    manifest.window.site = None;
    manifest.quantiles = forecastd_core::QUANTILES.to_vec();
    manifest.extremes_h = Some(24);
    manifest.validate().unwrap();
    Arc::new(Model { manifest, id })
}

/// What [`model_with_extremes`] answers: for four leads no change, the lowest 4 °C below and the highest 4 °C above the newest
/// temperature, and each a little off by the window's mean; with a quantile every half degree.
pub(crate) fn outputs_with_extremes(window: &[f32]) -> Vec<f32> {
    let mean = window.iter().sum::<f32>() / window.len() as f32;
    let rows = [0.0, 0.0, 0.0, 0.0, -4.0, 4.0];
    let distances = [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5];
    rows.iter().flat_map(|row| distances.map(|distance| row + mean + distance)).collect()
}

/// What the model answers: for each lead of `h` hours the change `mean of the window · h / 10`, ± `h / 10`.
pub(crate) fn outputs(window: &[f32]) -> Vec<f32> {
    let mean = window.iter().sum::<f32>() / window.len() as f32;
    [1.0, 2.0, 6.0, 24.0]
        .iter()
        .flat_map(|lead_h: &f32| [-1.0, 0.0, 1.0].map(|side| (mean * lead_h + side * lead_h) / 10.0))
        .collect()
}

pub(crate) fn settings() -> Settings {
    Settings {
        max_stations: 10,
        max_ahead: SignedDuration::from_secs(300),
        stale_after: SignedDuration::from_hours(2),
        idle_after: Some(SignedDuration::from_hours(30 * 24)),
        has_journal: true,
        places: Default::default(),
        runs_anywhere: false,
        earliest: at(-365 * 24 * HOUR),
        experts: false,
        threshold_c: None,
        discovery: Default::default(),
    }
}

/// The journal: what is durable.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Journal {
    pub(crate) readings: BTreeMap<(StationName, Timestamp), Bits>,
    pub(crate) forecasts: BTreeMap<(StationName, Timestamp), Forecast>,
    pub(crate) states: BTreeMap<StationName, (Vec<u8>, Timestamp, Timestamp)>,
    pub(crate) experts: BTreeMap<StationName, Vec<u8>>,
    /// How often experts were written.
    pub(crate) experts_written: usize,
    /// How often a forecast was written over another one of the same origin with other numbers.
    pub(crate) rewritten: usize,
}

/// Values that compare bit for bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bits(pub(crate) Values);

impl Journal {
    pub(crate) fn apply(&mut self, batch: Batch) {
        for entry in batch.entries {
            match entry {
                Entry::Reading { station, time, values, slot_begins } => {
                    self.readings.retain(|(own, other), kept| {
                        let in_slot = *own == station && *other > slot_begins && *other < time;
                        let is_superseded = kept.0.iter().all(|(quantity, _)| values.get(quantity).is_some());
                        !(in_slot && is_superseded)
                    });
                    let mut merged = values;
                    if let Some(Bits(before)) = self.readings.get(&(station.clone(), time)) {
                        for (quantity, value) in before.iter() {
                            if merged.get(quantity).is_none() {
                                merged.set(quantity, value);
                            }
                        }
                    }
                    self.readings.insert((station, time), Bits(merged));
                }
                Entry::Forecast(forecast) => {
                    self.forecasts.insert((forecast.station.clone(), forecast.origin), *forecast);
                }
                Entry::State { station, state, readings_from, forecasts_from, .. } => {
                    self.states.insert(station, (state, readings_from, forecasts_from));
                }
                Entry::Forget(station) => {
                    self.readings.retain(|(own, _), _| *own != station);
                    self.forecasts.retain(|(own, _), _| *own != station);
                    self.states.remove(&station);
                    self.experts.remove(&station);
                }
                Entry::Experts { station, experts } => {
                    self.experts.insert(station, experts);
                    self.experts_written += 1;
                }
                Entry::Truncate { station, after, until } => {
                    let stays = |time: Timestamp| time <= after || until.is_some_and(|until| time > until);
                    self.readings.retain(|(own, time), _| *own != station || stays(*time));
                    self.forecasts.retain(|(own, time), _| *own != station || stays(*time));
                }
                Entry::Setting { .. } => {}
            }
        }
    }

    pub(crate) fn restored(&self) -> Vec<Restored> {
        let names: BTreeSet<StationName> = self.readings.keys().map(|(name, _)| name.clone()).collect();
        let restored = names.into_iter().filter_map(|station| {
            let state = self.states.get(&station);
            let (readings_from, forecasts_from) = state
                .map_or((Timestamp::MIN, Timestamp::MIN), |(_, readings, forecasts)| (*readings, *forecasts));
            self.restored_since(&station, readings_from, forecasts_from)
        });
        restored.collect()
    }

    fn restored_since(
        &self,
        station: &StationName,
        readings_from: Timestamp,
        forecasts_from: Timestamp,
    ) -> Option<Restored> {
        let readings =
            self.readings.iter().filter(|((own, time), _)| own == station && *time >= readings_from);
        let forecasts =
            self.forecasts.iter().filter(|((own, time), _)| own == station && *time >= forecasts_from);
        let restored = Restored {
            station: station.clone(),
            readings: readings.map(|((_, time), values)| (*time, values.0)).collect(),
            forecasts: forecasts.map(|(_, forecast)| forecast.clone()).collect(),
            state: self.states.get(station).map(|(state, ..)| state.clone()),
            experts: self.experts.get(station).cloned(),
        };
        let is_known = self.readings.keys().any(|(own, _)| own == station);
        is_known.then_some(restored)
    }
}

/// A message on its way from the broker.
#[derive(Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) station: StationName,
    pub(crate) time: Timestamp,
    pub(crate) values: Values,
}

/// In one line, so that a feed can be read.
impl std::fmt::Debug for Message {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values: Vec<f32> = self.values.iter().map(|(_, value)| value).collect();
        write!(formatter, "{} {} {values:?}", self.station, self.time.as_second() - START)
    }
}

/// A window in flight.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) station: StationName,
    pub(crate) number: u64,
    pub(crate) model: Arc<str>,
    pub(crate) window: Vec<f32>,
}

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) settings: Settings,
    /// The models in use, which a restart finds.
    pub(crate) models: Models,
    pub(crate) now: Now,
    /// Messages that the broker has not delivered, or delivers again.
    pub(crate) broker: VecDeque<Message>,
    /// Delivered and not acknowledged.
    pub(crate) unacknowledged: BTreeMap<Token, Message>,
    next_token: Token,
    pub(crate) windows: VecDeque<Window>,
    pub(crate) uncommitted: VecDeque<Batch>,
    /// What the journal was asked for again.
    pub(crate) recalls: VecDeque<Recall>,
    pub(crate) journal: Journal,
    /// Handed over for publication and not acknowledged by the broker.
    pub(crate) outbox: VecDeque<Publication>,
    /// What the broker has seen.
    pub(crate) published: Vec<Publication>,
    pub(crate) events: Vec<Event>,
    pub(crate) is_subscribed: bool,
    /// Where messages that are delivered from now on say that they were measured.
    pub(crate) site: Option<Site>,
    /// Where they say it by a time zone or a country instead.
    pub(crate) rough: Option<Place>,
    /// Whether messages that are delivered from now on are parts of readings.
    pub(crate) is_in_parts: bool,
    /// Whether these have no time but that of their arrival.
    pub(crate) is_timed_by_arrival: bool,
    /// What parts that are delivered from now on say of a pressure that is not the one at the station.
    pub(crate) reduced_pressure: Option<ReducedPressure>,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(settings(), model(SAMPLES))
    }

    /// With experts, and the model for any place at a place.
    pub(crate) fn at_a_place(place: Option<Place>) -> World {
        let mut settings = Settings { experts: true, ..settings() };
        settings.places.default = place;
        World::with(settings, model_with_extremes())
    }

    /// What was said to be odd.
    pub(crate) fn oddities(&self) -> Vec<Oddity> {
        let odd = self.events.iter().filter_map(|event| match event {
            Event::StationOdd { oddity, .. } => Some(*oddity),
            _ => None,
        });
        odd.collect()
    }

    pub(crate) fn with(settings: Settings, models: impl Into<Models>) -> World {
        let models = models.into();
        let mut world = World {
            service: Service::new(settings.clone(), models.clone()),
            settings,
            models,
            now: Now { wall: at(0), uptime: Duration::ZERO },
            broker: VecDeque::new(),
            unacknowledged: BTreeMap::new(),
            next_token: 0,
            windows: VecDeque::new(),
            uncommitted: VecDeque::new(),
            recalls: VecDeque::new(),
            journal: Journal::default(),
            outbox: VecDeque::new(),
            published: Vec::new(),
            events: Vec::new(),
            is_subscribed: false,
            site: None,
            rough: None,
            is_in_parts: false,
            is_timed_by_arrival: false,
            reduced_pressure: None,
        };
        world.subscribe();
        world
    }

    pub(crate) fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.service.handle(self.now, input, &mut effects);
        self.carry_out(effects);
    }

    pub(crate) fn flush(&mut self) {
        let mut effects = Vec::new();
        self.service.flush(&mut effects);
        self.carry_out(effects);
    }

    /// The last batch of a clean end, made durable.
    pub(crate) fn flush_all(&mut self) {
        let mut effects = Vec::new();
        self.service.flush_all(&mut effects);
        self.carry_out(effects);
        while self.commit() {}
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Acknowledge(token) => {
                    self.unacknowledged.remove(&token).expect("each message is acknowledged once");
                }
                Effect::Journal(batch) => self.uncommitted.push_back(batch),
                Effect::Recall(recall) => self.recalls.push_back(recall),
                Effect::Infer { station, number, model, window } => {
                    self.windows.push_back(Window { station, number, model, window });
                }
                Effect::Publish(publication) => self.outbox.push_back(publication),
                Effect::SwitchModels(models) => self.models = models,
                Effect::Emit(event) => self.events.push(event),
            }
        }
    }

    pub(crate) fn subscribe(&mut self) {
        self.is_subscribed = true;
        self.input(Input::Subscribed);
    }

    /// The connection to the broker is lost: it sends again what was not acknowledged, once it is there.
    pub(crate) fn disconnect(&mut self) {
        self.is_subscribed = false;
        self.input(Input::Disconnected);
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now.wall += SignedDuration::from_secs(seconds);
        self.now.uptime += Duration::from_secs(seconds as u64);
    }

    pub(crate) fn tick(&mut self) {
        self.input(Input::Tick);
    }

    /// The clock is set by so much, and no time passes.
    pub(crate) fn jump(&mut self, seconds: i64) {
        self.tick();
        self.now.wall += SignedDuration::from_secs(seconds);
        self.tick();
    }

    /// The next message of the broker arrives, if readings are accepted.
    pub(crate) fn deliver(&mut self) -> bool {
        if !self.is_subscribed || !self.service.accepts_readings() {
            return false;
        }
        let Some(message) = self.broker.pop_front() else { return false };
        let token = self.next_token;
        self.next_token += 1;
        self.unacknowledged.insert(token, message.clone());
        let Message { station, time, values } = message;
        let place = self.rough.or(self.site.map(Place::from_payload));
        self.input(match self.is_in_parts {
            true => {
                let (reduced_pressure, is_timed_by_arrival) =
                    (self.reduced_pressure, self.is_timed_by_arrival);
                Input::Part { station, time, is_timed_by_arrival, values, reduced_pressure, place, token }
            }
            false => Input::Reading { station, time, values, place, token },
        });
        true
    }

    /// A slot that is over is closed, if readings are accepted.
    pub(crate) fn close_slot(&mut self) -> bool {
        let can = self.service.waits_to_close_slots() && self.service.accepts_readings();
        if can {
            self.input(Input::CloseSlot);
        }
        can
    }

    /// An orderly end, as the driver makes it.
    pub(crate) fn end(&mut self) {
        self.input(Input::Ending);
        while self.answer() {}
        self.flush_all();
    }

    /// The oldest window is answered.
    pub(crate) fn answer(&mut self) -> bool {
        let oldest = self.windows.pop_front();
        oldest.map(|window| self.answer_window(window)).is_some()
    }

    /// The oldest window of a specialist is answered: models wait for no other.
    pub(crate) fn answer_specialist(&mut self) -> bool {
        let index = self.windows.iter().position(|window| window.model != self.models.main().id);
        let window = index.and_then(|index| self.windows.remove(index));
        window.map(|window| self.answer_window(window)).is_some()
    }

    fn answer_window(&mut self, window: Window) {
        let is_main = window.model == self.models.main().id;
        let has_extremes = self.models.main().manifest.extremes_h.is_some();
        let outputs = match (is_main, has_extremes) {
            (true, true) => outputs_with_extremes(&window.window),
            (true, false) => outputs(&window.window),
            (false, _) => outputs_of_specialist(&window.window),
        };
        self.answer_with(window, Ok(outputs));
    }

    /// A window is answered with this.
    pub(crate) fn answer_with(&mut self, window: Window, outputs: Result<Vec<f32>, String>) {
        let Window { station, number, model, .. } = window;
        self.input(Input::Inferred { station, number, model, outputs });
    }

    /// Other specialists stand beside the main model from now on.
    pub(crate) fn load_specialists(&mut self, specialists: impl IntoIterator<Item = Arc<Model>>) {
        let models = Models::new(Arc::clone(self.models.main()), specialists);
        self.input(Input::ModelsLoaded(models));
    }

    /// The journal commits the oldest batch.
    pub(crate) fn commit(&mut self) -> bool {
        let Some(batch) = self.uncommitted.pop_front() else { return false };
        let id = batch.id;
        self.journal.apply(batch);
        self.input(Input::Committed(id));
        true
    }

    /// The journal answers the oldest question.
    pub(crate) fn recall(&mut self) -> bool {
        let Some(Recall { station, readings_from, forecasts_from }) = self.recalls.pop_front() else {
            return false;
        };
        if let Some(mut restored) = self.journal.restored_since(&station, readings_from, forecasts_from) {
            restored.state = None;
            self.input(Input::Recalled(Box::new(restored)));
        }
        true
    }

    /// The broker acknowledges the oldest publication.
    pub(crate) fn settle(&mut self) -> bool {
        if !self.is_subscribed {
            return false;
        }
        let Some(publication) = self.outbox.pop_front() else { return false };
        let delivered = match &publication {
            Publication::Forecast { forecast, is_stale: false } => Some(forecast.station.clone()),
            _ => None,
        };
        self.published.push(publication);
        if let Some(station) = delivered {
            self.input(Input::Delivered(station));
        }
        true
    }

    /// Everything that can happen by itself happens.
    pub(crate) fn settle_all(&mut self) {
        loop {
            let mut has_happened = false;
            while self.answer() || self.settle() || self.recall() || self.close_slot() || self.deliver() {
                has_happened = true;
            }
            self.flush();
            while self.commit() {
                has_happened = true;
            }
            if !has_happened {
                return;
            }
        }
    }

    /// A reading is sent and everything that follows happens.
    pub(crate) fn send(&mut self, station: &str, time: Timestamp, values: Values) {
        self.broker.push_back(Message { station: name(station), time, values });
        self.settle_all();
    }

    /// A reading arrives at the time at which it is measured.
    pub(crate) fn reading(&mut self, station: &str, second: i64, temperature_c: f32) {
        let ahead = at(second).duration_since(self.now.wall).as_secs();
        self.pass(ahead.max(0));
        self.send(station, at(second), weather(temperature_c));
    }

    /// The process is killed and started again: what was not durable is gone, what was not acknowledged comes again.
    pub(crate) fn kill(&mut self) {
        let again: Vec<Message> = std::mem::take(&mut self.unacknowledged).into_values().collect();
        for message in again.into_iter().rev() {
            self.broker.push_front(message);
        }
        self.windows.clear();
        self.uncommitted.clear();
        self.recalls.clear();
        self.outbox.clear();
        self.is_subscribed = false;
        self.service = Service::new(self.settings.clone(), self.models.clone());
        self.now.uptime = Duration::ZERO;
        for restored in self.journal.restored() {
            self.input(Input::Restored(Box::new(restored)));
        }
        self.input(Input::RestoreEnded { omitted: 0 });
    }

    /// The forecasts that the broker has seen, each once.
    pub(crate) fn published_forecasts(&self) -> Vec<Forecast> {
        let mut forecasts: Vec<Forecast> = Vec::new();
        for publication in &self.published {
            if let Publication::Forecast { forecast, is_stale: false } = publication
                && !forecasts.contains(forecast)
            {
                forecasts.push((**forecast).clone());
            }
        }
        forecasts
            .sort_by(|left, right| (&left.station, left.issued_at).cmp(&(&right.station, right.issued_at)));
        forecasts
    }

    /// The newest message of a kind for a station, which is what stands on its topic.
    pub(crate) fn retained<'a, T>(&'a self, pick: impl Fn(&'a Publication) -> Option<T>) -> Option<T> {
        self.published.iter().rev().find_map(pick)
    }
}
