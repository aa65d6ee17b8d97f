//! The service: all stations as one pure state machine. It decides what is journalled, forecast, published, acknowledged and
//! told; a driver does it.
//!
//! | file | noun |
//! | --- | --- |
//! | `mod` | the state machine |
//! | `io` | what goes in and what comes out |
//! | `clock` | whether the clock can be believed |
//! | `discovery` | what Home Assistant is told of the stations, and in which turn |
//! | `view` | what is said of stations to whoever asks |
//!
//! The rules that a restart relies on:
//! - What a reading changes is made durable in one batch with the reading: the state of its station, what is owed for it.
//!   So a process that is killed finds after its restart the station of some moment, whole.
//! - A reading is acknowledged when its batch is durable (or the journal fails, and memory must do).
//! - A forecast that models were asked for and that has not come is owed; it is in the state, and the windows of all models
//!   are asked for again after a restart.
//! - A forecast that may not have reached the broker is published again after a restart.
//! - A reading that changes an older slot waits until its station has nothing in flight, so that a window taken again
//!   after a restart is the same, bit for bit.

mod clock;
mod discovery;
mod io;
mod view;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::forecast::Forecast;
use crate::forecast::day_verification::DayScores;
use crate::forecast::verification::{Score, Scores};
use crate::journal::{Batch, Entry, Restored};
use crate::model::Model;
use crate::model::set::Models;
use crate::station::{
    Adopted, Completed, ModelWindow, Next, Oddity, Readiness, Rejected, Setup, Sighting, Station,
};
use crate::weather::place::{Place, Places};
use crate::weather::quantity::Values;
use crate::weather::reading::StationName;
use crate::weather::site::Site;
use crate::window::history::Inserted;

use clock::ClockWatch;
use discovery::Announcements;
pub use discovery::{Discovery, DiscoverySettings};
pub use io::{Effect, Event, Input, Now, Publication, StationState, Token};
pub use view::{StationList, StationQuery, StationView, VerificationView};

/// The most windows in flight; no reading is accepted while there are.
const MAX_IN_FLIGHT: usize = 256;
/// The most readings that wait for the forecasts of their station.
const MAX_HELD: usize = 64;
/// The most readings that wait for the clock.
const MAX_EARLY: usize = 4096;
/// The most forecasts that wait for the broker to be subscribed to; no reading is accepted while there are.
const MAX_WAITING_FORECASTS: usize = 1024;
/// How often the status of a station is published at least.
const STATUS_EVERY: Duration = Duration::from_secs(3600);
/// Without a message for so long after the subscription, something is wrong with topic or permissions.
const NO_READINGS_AFTER: Duration = Duration::from_secs(15 * 60);
/// All stations are looked at once in so many ticks.
const SWEEP_TICKS: usize = 30;
/// As many stations are looked at with every tick at least.
const SWEEP_LEAST: usize = 200;

/// What the service is told about itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most stations that are served.
    pub max_stations: usize,
    /// How far ahead of the clock a reading may be.
    pub max_ahead: SignedDuration,
    /// A station without a new reading for so long is stale.
    pub stale_after: SignedDuration,
    /// A station without a new reading for so long is served no longer; `None` = never.
    pub idle_after: Option<SignedDuration>,
    /// Where the stations stand.
    pub places: Places,
    /// Whether a model that is for one site may run elsewhere.
    pub runs_anywhere: bool,
    /// Whether there is a journal.
    pub has_journal: bool,
    /// The clock cannot be before this: the day that the program was built.
    pub earliest: Timestamp,
    /// Whether forecasts are what experts say together; else the model or persistence alone forecasts.
    pub experts: bool,
    /// A threshold beside 0 °C of which it is said how likely it becomes colder, °C.
    pub threshold_c: Option<f32>,
    /// Whether Home Assistant is told of the stations.
    pub discovery: DiscoverySettings,
}

/// A station, and what was last published of it.
struct StationEntry {
    station: Station,
    /// State and missing hours as last published, and when.
    published: Option<(StateKind, Option<i64>)>,
    published_at: Duration,
    /// When it last sent something new, in time since the start; before the start it counts as negative.
    active_uptime: i128,
    /// The hour of station time for which verification was last published, or is to be with the next flush.
    verified_hour: i64,
    /// Until when the forecasts are verified whose scores are to be published.
    verified_until: Option<Timestamp>,
    /// Whether the state of the station is to be written with the next batch.
    is_dirty: bool,
    /// Whether only its delivery has changed, which can wait for another reason to write.
    is_delivery_dirty: bool,
    /// Readings that wait for the forecasts in flight.
    held: VecDeque<HeldReading>,
    /// What is odd about it and was said.
    odd: Vec<&'static str>,
}

impl StationEntry {
    /// How the station is now.
    fn state(&self, now: Now, stale_after: SignedDuration) -> StationState {
        let silent_for = now.uptime.as_nanos() as i128 - self.active_uptime;
        match silent_for > stale_after.as_nanos() {
            true => StationState::Stale,
            false => StationState::Fresh(self.station.readiness()),
        }
    }
}

#[derive(Debug)]
struct HeldReading {
    station: StationName,
    time: Timestamp,
    values: Values,
    site: Option<Site>,
    token: Token,
    arrived: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StateKind {
    Silent,
    WarmingUp,
    Ready,
    NoPlace,
    Elsewhere,
    Stale,
}

fn kind(state: StationState) -> StateKind {
    match state {
        StationState::Stale => StateKind::Stale,
        StationState::Fresh(Readiness::Silent) => StateKind::Silent,
        StationState::Fresh(Readiness::WarmingUp(_)) => StateKind::WarmingUp,
        StationState::Fresh(Readiness::Ready) => StateKind::Ready,
        StationState::Fresh(Readiness::NoPlace) => StateKind::NoPlace,
        StationState::Fresh(Readiness::Elsewhere(_)) => StateKind::Elsewhere,
    }
}

/// See the head of this file.
pub struct Service {
    settings: Settings,
    models: Models,
    /// Models that take over when nothing is in flight.
    waiting_models: Option<Models>,
    stations: HashMap<StationName, StationEntry>,
    /// The order in which stations are looked at.
    sweep: VecDeque<StationName>,
    in_flight: usize,
    held: usize,
    clock: ClockWatch,
    clock_is_behind: bool,
    /// Readings that wait for the clock.
    early: VecDeque<HeldReading>,
    /// Entries of the batch that is being collected.
    entries: Vec<Entry>,
    /// Stations whose state is to be written with it.
    dirty: Vec<StationName>,
    /// Stations whose scores are to be published with it: once, however many hours a burst is of.
    verified: Vec<StationName>,
    /// Messages to acknowledge once it is durable.
    tokens: Vec<Token>,
    next_batch: u64,
    /// Batches handed to the journal, with what to acknowledge once they are durable.
    uncommitted: VecDeque<(u64, Vec<Token>)>,
    /// Forecasts that wait for the broker: those that may not have been delivered before the start, and those that are
    /// made while it is away.
    undelivered: Vec<Forecast>,
    is_subscribed: bool,
    subscribed_at: Option<Duration>,
    /// Whether a message has come since the subscription.
    has_message: bool,
    says_no_readings: bool,
    /// The scores of all stations together.
    scores: Scores,
    day_scores: DayScores,
    ready: usize,
    stale: usize,
    restored: RestoreCount,
    announcements: Announcements,
}

#[derive(Debug, Default)]
struct RestoreCount {
    stations: usize,
    owed: usize,
    undelivered: usize,
    omitted: usize,
}

impl Service {
    /// A service without stations.
    pub fn new(settings: Settings, models: Models) -> Service {
        Service {
            clock: ClockWatch::new(settings.earliest),
            announcements: Announcements::new(settings.discovery),
            settings,
            models,
            waiting_models: None,
            stations: HashMap::new(),
            sweep: VecDeque::new(),
            in_flight: 0,
            held: 0,
            clock_is_behind: false,
            early: VecDeque::new(),
            entries: Vec::new(),
            dirty: Vec::new(),
            verified: Vec::new(),
            tokens: Vec::new(),
            // 0 is for what the daemon itself has to keep.
            next_batch: 1,
            uncommitted: VecDeque::new(),
            undelivered: Vec::new(),
            is_subscribed: false,
            subscribed_at: None,
            has_message: false,
            says_no_readings: false,
            scores: Scores::default(),
            day_scores: DayScores::default(),
            ready: 0,
            stale: 0,
            restored: RestoreCount::default(),
        }
    }

    /// Handles what happened. Effects are to be carried out in their order.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Reading { station, time, values, site, token } => {
                self.message_came(effects);
                let time = whole_seconds(time);
                let reading = HeldReading { station, time, values, site, token, arrived: now.uptime };
                self.reading(now, reading, effects);
            }
            Input::Unreadable { station, reason, detail, token } => {
                self.message_came(effects);
                self.refuse(station, reason, detail, token, effects);
            }
            Input::Forget { station, token } => {
                self.message_came(effects);
                self.forget(station, token, effects);
            }
            Input::Inferred { station, number, model, outputs } => {
                self.inferred(now, &station, number, model, outputs, effects);
            }
            Input::ModelsLoaded(models) => {
                self.waiting_models = Some(models);
                self.switch_if_idle(now, effects);
            }
            Input::Restored(restored) => self.restore(now, &restored, effects),
            Input::RestoreEnded { omitted } => self.restore_ended(omitted, effects),
            Input::Recalled(restored) => self.recalled(now, &restored, effects),
            Input::Committed(id) | Input::JournalFailed(id) => self.acknowledge(id, effects),
            Input::JournalRecreated => self.journal_again(),
            Input::Subscribed => self.subscribed(now, effects),
            Input::Disconnected => {
                self.subscribed_at = None;
                self.is_subscribed = false;
            }
            Input::Delivered(station) => {
                if let Some(entry) = self.stations.get_mut(&station) {
                    entry.station.forecast_delivered();
                    entry.is_delivery_dirty = true;
                }
            }
            Input::HomeAssistantStarted => {
                let stations = self.announcements.again();
                effects.push(Effect::Emit(Event::HomeAssistantStarted { stations }));
            }
            Input::Discover => self.discover(effects),
            Input::DiscoveryRefused => {
                if self.announcements.refused() {
                    effects.push(Effect::Emit(Event::DiscoveryRefused));
                }
            }
            Input::DiscoveryOverwritten { station, by } => {
                if self.announcements.has_announced(&station) {
                    effects.push(Effect::Emit(Event::DiscoveryOverwritten { station, by }));
                }
            }
            Input::Tick => self.tick(now, effects),
        }
    }

    /// Whether readings are accepted now; else they stay unread, and the broker keeps them.
    pub fn accepts_readings(&self) -> bool {
        self.in_flight < MAX_IN_FLIGHT
            && self.waiting_models.is_none()
            && self.held < MAX_HELD
            && self.early.len() < MAX_EARLY
            && self.undelivered.len() < MAX_WAITING_FORECASTS
    }

    /// Whether forecasts wait until the broker is subscribed to.
    pub fn waits_for_broker(&self) -> bool {
        !self.is_subscribed
    }

    /// Whether Home Assistant is to be told of stations: with [`Input::Discover`], when there is room.
    pub fn waits_to_discover(&self) -> bool {
        self.is_subscribed && self.announcements.waits()
    }

    /// How many windows are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many stations are served.
    pub fn stations(&self) -> usize {
        self.stations.len()
    }

    /// How many of them have a complete window and are not stale.
    pub fn ready_stations(&self) -> usize {
        self.ready
    }

    /// The main model in use.
    pub fn model(&self) -> &Arc<Model> {
        self.models.main()
    }

    /// The models in use.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// The newest windows of some stations, at most so many, as another model would be given them: one behind the other. It can
    /// be tried on them before it is used. A model that names stations is tried on theirs.
    pub fn sample_windows(&self, model: &Model, most: usize) -> Vec<f32> {
        let named = || self.sweep.iter().filter(|name| model.names(name));
        let step = named().count().div_ceil(most.max(1)).max(1);
        let sample = named().step_by(step).filter_map(|name| self.stations.get(name));
        sample.filter_map(|entry| entry.station.window_for(model)).flatten().collect()
    }

    /// Hands what was collected to the journal as one batch, and publishes what need not be said for every reading. To be
    /// called when nothing waits to be handled, and now and then while something always does.
    pub fn flush(&mut self, effects: &mut Vec<Effect>) {
        self.publish_verified(effects);
        for name in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.stations.get_mut(&name) else { continue };
            if std::mem::take(&mut entry.is_dirty) {
                entry.is_delivery_dirty = false;
                self.entries.push(state_entry(&entry.station));
                let experts = entry.station.take_changed_experts();
                self.entries.extend(experts.map(|experts| Entry::Experts { station: name, experts }));
            }
        }
        if self.entries.is_empty() {
            // A message that is delivered again may be of a reading that is on its way to the disk: it is acknowledged with
            // that, not before.
            match self.uncommitted.back_mut() {
                Some((_, tokens)) => tokens.append(&mut self.tokens),
                None => effects.extend(self.tokens.drain(..).map(Effect::Acknowledge)),
            }
            return;
        }
        let entries = std::mem::take(&mut self.entries);
        let tokens = std::mem::take(&mut self.tokens);
        if !self.settings.has_journal {
            effects.extend(tokens.into_iter().map(Effect::Acknowledge));
            return;
        }
        let id = self.next_batch;
        self.next_batch += 1;
        self.uncommitted.push_back((id, tokens));
        effects.push(Effect::Journal(Batch { id, entries }));
    }

    /// The last batch, at the end: also what could wait until now.
    pub fn flush_all(&mut self, effects: &mut Vec<Effect>) {
        let waiting =
            self.stations.iter_mut().filter(|(_, entry)| entry.is_delivery_dirty && !entry.is_dirty);
        for (name, entry) in waiting {
            entry.is_dirty = true;
            self.dirty.push(name.clone());
        }
        self.flush(effects);
    }

    fn setup(&self, station: &StationName) -> Setup {
        let Settings { places, runs_anywhere, experts, threshold_c, .. } = &self.settings;
        Setup {
            place: places.of(station),
            runs_anywhere: *runs_anywhere,
            has_experts: *experts,
            threshold_c: *threshold_c,
        }
    }

    /// The specialists that a station uses where it stands: none without experts.
    fn specialists(&self, station: &StationName, place: Option<Place>) -> Box<[Arc<Model>]> {
        let site = place.map(|place| place.site);
        if self.settings.experts { self.models.of_station(station, site) } else { Box::default() }
    }

    fn message_came(&mut self, effects: &mut Vec<Effect>) {
        self.has_message = true;
        if std::mem::take(&mut self.says_no_readings) {
            effects.push(Effect::Emit(Event::NoReadings(false)));
        }
    }

    fn reading(&mut self, now: Now, reading: HeldReading, effects: &mut Vec<Effect>) {
        let ahead = reading.time.duration_since(now.wall);
        if ahead > self.settings.max_ahead {
            self.clock.ahead(&reading.station, ahead);
            if self.clock.is_behind(now.wall, self.settings.max_ahead) {
                self.early.push_back(reading);
                if !std::mem::replace(&mut self.clock_is_behind, true) {
                    let waiting = self.early.len();
                    effects.push(Effect::Emit(Event::ClockBehind { is_behind: true, by: ahead, waiting }));
                }
                return;
            }
            let error = Rejected::InFuture { time: reading.time, ahead };
            return self.refuse(
                Some(reading.station),
                error.reason(),
                error.to_string(),
                reading.token,
                effects,
            );
        }
        self.clock.on_time(&reading.station);
        if let Some(entry) = self.stations.get_mut(&reading.station)
            && (!entry.held.is_empty() || must_wait(&entry.station, &reading))
        {
            self.held += 1;
            entry.held.push_back(reading);
            return;
        }
        self.take(now, reading, effects);
    }

    /// Takes a reading that waits for nothing any more.
    fn take(&mut self, now: Now, reading: HeldReading, effects: &mut Vec<Effect>) {
        let HeldReading { station: name, time, values, site, token, arrived } = reading;
        let max_stations = self.settings.max_stations;
        let is_full = self.stations.len() >= max_stations;
        let limit = now.wall + self.settings.max_ahead;
        // A name is served from its first good reading on.
        let mut unserved = None;
        let (station, is_known) = match self.stations.get_mut(&name) {
            Some(entry) => (&mut entry.station, true),
            None if is_full => {
                let detail = format!("stations.max = {max_stations} stations are served already");
                return self.refuse(Some(name), "too_many_stations", detail, token, effects);
            }
            None => {
                let setup = self.setup(&name);
                let station = Station::new(name.clone(), Arc::clone(self.models.main()))
                    .set_up(setup)
                    .with_specialists(self.specialists(&name, setup.place));
                (unserved.insert(station), false)
            }
        };
        if is_known {
            drop_future(station, limit, &mut self.entries, effects);
        }
        if let Some(site) = site
            && station.sighted(time, Some(site)) != Sighting::Nothing
        {
            station.sight(time, site);
            let specialists = match self.settings.experts {
                true => self.models.of_station(&name, station.place().map(|place| place.site)),
                false => Box::default(),
            };
            if station.adopt(Arc::clone(self.models.main()), specialists) == Adopted::MoreHistory {
                effects.push(Effect::Recall(station.recall_readings()));
            }
        }
        let observed = match station.observe(time, values, now.wall, arrived) {
            Ok(observed) => observed,
            Err(error) => {
                let (reason, detail) = (error.reason(), error.to_string());
                // Screening remembers what it did not believe, and that must be durable before the broker forgets it.
                self.mark_dirty(&name);
                return self.refuse(Some(name), reason, detail, token, effects);
            }
        };
        // The history keeps what the models look at; the journal keeps all that was measured.
        let has_more = observed.kept.iter().any(|(quantity, _)| !station.keeps(quantity));
        let slot_begins = {
            let grid = self.models.main().manifest.window.grid();
            grid.slot_begins(grid.slot(time))
        };
        if let Some(station) = unserved {
            self.serve(now, station);
        }
        let is_news = !matches!(observed.inserted, Inserted::Unchanged(_) | Inserted::TooOld(_));
        if is_news && let Some(entry) = self.stations.get_mut(&name) {
            entry.active_uptime = now.uptime.as_nanos() as i128;
        }
        if is_news || has_more {
            let station = name.clone();
            self.entries.push(Entry::Reading { station, time, values: observed.kept, slot_begins });
        }
        if is_news || !observed.dropped.is_empty() {
            self.mark_dirty(&name);
        }
        self.tokens.push(token);
        effects
            .push(Effect::Emit(Event::ReadingTaken { station: name.clone(), inserted: observed.inserted }));
        for dropped in observed.dropped {
            effects.push(Effect::Emit(Event::ValueDropped { station: name.clone(), dropped }));
        }
        self.scored(&name, &observed.scores, effects);
        match observed.next {
            Next::Nothing => {}
            Next::Infer(number, windows) => self.infer(&name, number, windows, effects),
            Next::Reference(forecast) => {
                let delay = now.uptime.checked_sub(arrived);
                self.issue(forecast, delay, effects);
            }
        }
        self.say_newest(&name, effects);
        let is_odd = self.say_oddities(&name, effects);
        self.update_state(now, &name, is_odd, effects);
    }

    /// Says what is odd about a station, each thing once, but for its moves; whether there was anything.
    fn say_oddities(&mut self, name: &StationName, effects: &mut Vec<Effect>) -> bool {
        let Some(entry) = self.stations.get_mut(name) else { return false };
        let before = effects.len();
        for oddity in entry.station.take_oddities() {
            let is_known = entry.odd.contains(&oddity.name());
            if !is_known {
                entry.odd.push(oddity.name());
            }
            if !is_known || matches!(oddity, Oddity::Moved { .. }) {
                effects.push(Effect::Emit(Event::StationOdd { station: name.clone(), oddity }));
            }
        }
        effects.len() > before
    }

    /// Has models run for a forecast.
    fn infer(
        &mut self,
        name: &StationName,
        number: u64,
        windows: Vec<ModelWindow>,
        effects: &mut Vec<Effect>,
    ) {
        self.in_flight += windows.len();
        effects.extend(windows.into_iter().map(|ModelWindow { model, window }| Effect::Infer {
            station: name.clone(),
            number,
            model: Arc::clone(&model.id),
            window,
        }));
    }

    fn inferred(
        &mut self,
        now: Now,
        name: &StationName,
        number: u64,
        model: Arc<str>,
        outputs: Result<Vec<f32>, String>,
        effects: &mut Vec<Effect>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let (outputs, error) = match outputs {
            Ok(outputs) => (Some(outputs), None),
            Err(error) => (None, Some(error)),
        };
        let answered =
            self.stations.get_mut(name).and_then(|entry| entry.station.answer(number, &model, outputs));
        // A station that was forgotten meanwhile wants no forecast.
        if let Some(is_plausible) = answered {
            let station = name.clone();
            if let Some(error) = error {
                effects.push(Effect::Emit(Event::InferenceFailed { station, model, error }));
            } else if !is_plausible {
                effects.push(Effect::Emit(Event::ForecastImplausible { station, model }));
            }
            self.issue_completed(now, name, effects);
            self.release_held(now, name, effects);
        }
        self.switch_if_idle(now, effects);
    }

    /// Issues the forecasts that wait for no model any more, in the order of origins.
    fn issue_completed(&mut self, now: Now, name: &StationName, effects: &mut Vec<Effect>) {
        while let Some(Completed { forecast, scores, arrived }) =
            self.stations.get_mut(name).and_then(|entry| entry.station.next_completed())
        {
            self.mark_dirty(name);
            self.scored(name, &scores, effects);
            let delay = arrived.and_then(|arrived| now.uptime.checked_sub(arrived));
            self.issue(forecast, delay, effects);
        }
    }

    /// Takes the readings of a station that waited for its forecasts, as far as they need not wait any more.
    fn release_held(&mut self, now: Now, name: &StationName, effects: &mut Vec<Effect>) {
        loop {
            let Some(entry) = self.stations.get_mut(name) else { return };
            let can_go = entry.held.front().is_some_and(|reading| !must_wait(&entry.station, reading));
            if !can_go {
                return;
            }
            let Some(reading) = entry.held.pop_front() else { return };
            self.held -= 1;
            self.take(now, reading, effects);
        }
    }

    /// Publishes and journals a forecast.
    fn issue(&mut self, forecast: Forecast, delay: Option<Duration>, effects: &mut Vec<Effect>) {
        if let Some(entry) = self.stations.get_mut(&forecast.station) {
            let day_scores = entry.station.take_day_scores();
            day_scores.iter().for_each(|score| self.day_scores.add(score));
            if !day_scores.is_empty() {
                effects.push(Effect::Emit(Event::DaysScored(self.day_scores.clone())));
            }
            let longest_h = self.models.main().manifest.max_lead_h();
            effects.push(Effect::Emit(Event::ForecastIssued {
                forecast: Box::new(forecast.clone()),
                readiness: entry.station.readiness(),
                lifetime: entry.station.scores().lead(longest_h).lifetime,
                delay,
            }));
        }
        if self.is_subscribed {
            effects.push(publish_forecast(forecast.clone()));
        } else {
            self.undelivered.push(forecast.clone());
        }
        self.entries.push(Entry::Forecast(Box::new(forecast)));
    }

    /// Counts scores, and has the sums published once an hour of station time.
    fn scored(&mut self, name: &StationName, scores: &[Score], effects: &mut Vec<Effect>) {
        let Some(last) = scores.last() else { return };
        let Some(entry) = self.stations.get_mut(name) else { return };
        for score in scores {
            self.scores.add(score);
            let scores = self.scores.lead(score.lead_h);
            effects.push(Effect::Emit(Event::Scored { score: *score, scores }));
        }
        let hour = last.valid_at.as_second().div_euclid(3600);
        if entry.verified_hour != hour {
            entry.verified_hour = hour;
            if entry.verified_until.replace(last.valid_at).is_none() {
                self.verified.push(name.clone());
            }
        }
    }

    fn publish_verified(&mut self, effects: &mut Vec<Effect>) {
        for name in std::mem::take(&mut self.verified) {
            let Some(entry) = self.stations.get_mut(&name) else { continue };
            let Some(verified_until) = entry.verified_until.take() else { continue };
            let experts = entry.station.expert_standings();
            if !experts.is_empty() {
                let (station, experts) = (name.clone(), experts.clone());
                effects.push(Effect::Emit(Event::ExpertsStand { station, experts }));
            }
            effects.push(Effect::Publish(Publication::Verification {
                station: name,
                model: Arc::clone(&self.models.main().id),
                verified_until,
                scores: entry.station.scores().clone(),
                experts,
                day_ahead: entry.station.day_scores().cloned(),
            }));
        }
    }

    fn say_newest(&self, name: &StationName, effects: &mut Vec<Effect>) {
        let newest = self.stations.get(name).and_then(|entry| entry.station.newest());
        if let Some((time, temperature_c)) = newest {
            effects.push(Effect::Emit(Event::NewestReading { station: name.clone(), time, temperature_c }));
        }
    }

    /// Works out how a station is, and publishes that when it has changed, when another hour of history is there, when an
    /// hour has passed, or when it `must` be said.
    fn update_state(&mut self, now: Now, name: &StationName, must: bool, effects: &mut Vec<Effect>) {
        let Some(entry) = self.stations.get_mut(name) else { return };
        let state = entry.state(now, self.settings.stale_after);
        let is_stale = state == StationState::Stale;
        let missing_hours = match state {
            StationState::Fresh(Readiness::WarmingUp(missing)) => {
                Some((missing.remaining.as_secs() + 3599) / 3600)
            }
            _ => None,
        };
        let before = entry.published;
        let is_due = now.uptime.saturating_sub(entry.published_at) >= STATUS_EVERY;
        let said = Some((kind(state), missing_hours));
        if before == said && !is_due && !must {
            return;
        }
        entry.published = said;
        entry.published_at = now.uptime;
        let kind_before = before.map(|(kind, _)| kind);
        let is_news = kind_before != Some(kind(state));
        if is_news {
            let count = |of: StateKind| usize::from(kind(state) == of);
            let count_before = |of: StateKind| usize::from(kind_before == Some(of));
            self.ready = self.ready + count(StateKind::Ready) - count_before(StateKind::Ready);
            self.stale = self.stale + count(StateKind::Stale) - count_before(StateKind::Stale);
        }
        let model_distance_km = entry.station.model_distance_km();
        if before != said {
            let station = name.clone();
            effects.push(Effect::Emit(Event::StateChanged { station, state, is_news, model_distance_km }));
        }
        let turned_stale = is_news && is_stale && self.is_subscribed;
        if let Some(forecast) = entry.station.newest_forecast().filter(|_| turned_stale) {
            let forecast = Box::new(forecast.clone());
            effects.push(Effect::Publish(Publication::Forecast { forecast, is_stale: true }));
        }
        effects.push(Effect::Publish(Publication::Status {
            station: name.clone(),
            state,
            newest_reading: entry.station.newest().map(|(time, _)| time),
            place: entry.station.place(),
            model_distance_km,
            odd: entry.odd.clone(),
            model: Arc::clone(&self.models.main().id),
        }));
    }

    /// A message that is not taken would never be: it is counted, said, and acknowledged with what is on its way to the disk.
    fn refuse(
        &mut self,
        station: Option<StationName>,
        reason: &'static str,
        detail: String,
        token: Token,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Emit(Event::ReadingRefused { station, reason, detail }));
        self.tokens.push(token);
    }

    fn forget(&mut self, name: StationName, token: Option<Token>, effects: &mut Vec<Effect>) {
        self.remove(&name, effects);
        let early = std::mem::take(&mut self.early);
        for reading in early {
            if reading.station == name {
                effects.push(Effect::Acknowledge(reading.token));
            } else {
                self.early.push_back(reading);
            }
        }
        self.undelivered.retain(|forecast| forecast.station != name);
        self.entries.push(Entry::Forget(name.clone()));
        self.tokens.extend(token);
        effects.push(Effect::Publish(Publication::Clear(name.clone())));
        effects.push(Effect::Emit(Event::Forgotten(name)));
    }

    /// Serves a station no longer.
    fn remove(&mut self, name: &StationName, effects: &mut Vec<Effect>) {
        let Some(entry) = self.stations.remove(name) else { return };
        match entry.published.map(|(kind, _)| kind) {
            Some(StateKind::Ready) => self.ready -= 1,
            Some(StateKind::Stale) => self.stale -= 1,
            _ => {}
        }
        self.announcements.gone(name);
        self.held -= entry.held.len();
        effects.extend(entry.held.iter().map(|reading| Effect::Acknowledge(reading.token)));
        // Its windows may still be in flight; their answers find no station.
        self.sweep.retain(|other| other != name);
    }

    fn serve(&mut self, now: Now, station: Station) {
        let name = station.name().clone();
        let entry = StationEntry {
            station,
            published: None,
            published_at: now.uptime,
            active_uptime: now.uptime.as_nanos() as i128,
            verified_hour: i64::MIN,
            verified_until: None,
            is_dirty: false,
            is_delivery_dirty: false,
            held: VecDeque::new(),
            odd: Vec::new(),
        };
        self.sweep.push_back(name.clone());
        self.announcements.wanted(&name);
        self.stations.insert(name, entry);
    }

    /// Tells Home Assistant of some of the stations that wait for it.
    fn discover(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_subscribed {
            return;
        }
        let publications = self.announcements.next(|name| {
            let entry = self.stations.get(name)?;
            Some(Discovery::new(&entry.station, self.models.main(), self.settings.stale_after))
        });
        effects.extend(publications.into_iter().map(Effect::Publish));
        if let Some(announced) = self.announcements.is_full_now() {
            effects.push(Effect::Emit(Event::DiscoveryFull { announced }));
        }
    }

    fn mark_dirty(&mut self, name: &StationName) {
        if let Some(entry) = self.stations.get_mut(name)
            && !std::mem::replace(&mut entry.is_dirty, true)
        {
            self.dirty.push(name.clone());
        }
    }

    fn acknowledge(&mut self, up_to: u64, effects: &mut Vec<Effect>) {
        while self.uncommitted.front().is_some_and(|(id, _)| *id <= up_to) {
            let Some((_, tokens)) = self.uncommitted.pop_front() else { return };
            effects.extend(tokens.into_iter().map(Effect::Acknowledge));
        }
    }

    /// The journal was begun anew: all that memory holds is written again.
    fn journal_again(&mut self) {
        let undelivered = self.undelivered.iter().cloned();
        self.entries.extend(undelivered.map(|forecast| Entry::Forecast(Box::new(forecast))));
        for (name, entry) in &mut self.stations {
            entry.station.mark_experts_changed();
            if !std::mem::replace(&mut entry.is_dirty, true) {
                self.dirty.push(name.clone());
            }
            self.entries.extend(entry.station.readings().map(|(time, values)| Entry::Reading {
                station: name.clone(),
                time,
                values,
                slot_begins: time,
            }));
            let forecasts = entry.station.forecasts();
            self.entries.extend(forecasts.map(|forecast| Entry::Forecast(Box::new(forecast))));
        }
    }

    /// A station whose history a clock that was ahead had pushed out takes it back.
    fn recalled(&mut self, now: Now, restored: &Restored, effects: &mut Vec<Effect>) {
        let limit = now.wall + self.settings.max_ahead;
        let Some(entry) = self.stations.get_mut(&restored.station) else { return };
        let scores = entry.station.recalled(restored, limit);
        self.mark_dirty(&restored.station);
        self.scored(&restored.station, &scores, effects);
        self.update_state(now, &restored.station, true, effects);
    }

    fn subscribed(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.subscribed_at = Some(now.uptime);
        self.has_message = false;
        self.is_subscribed = true;
        effects.extend(self.undelivered.drain(..).map(publish_forecast));
    }

    fn restore(&mut self, now: Now, restored: &Restored, effects: &mut Vec<Effect>) {
        let limit = now.wall + self.settings.max_ahead;
        let setup = self.setup(&restored.station);
        let place = Station::restored_place(setup, restored);
        let specialists = self.specialists(&restored.station, place);
        let has_specialists = !specialists.is_empty();
        let main = Arc::clone(self.models.main());
        let (mut station, next, undelivered) = Station::restore(main, specialists, setup, restored, limit);
        let name = station.name().clone();
        self.clock.shown(station.active_at());
        if let Some((newest, _)) = restored.readings.last().filter(|(time, _)| *time > limit) {
            effects.push(Effect::Emit(Event::FutureDropped { station: name.clone(), newest: *newest }));
        }
        let inactive = now.wall.duration_since(station.active_at()).max(SignedDuration::ZERO);
        let is_idle = self.settings.idle_after.is_some_and(|idle_after| inactive > idle_after);
        if self.stations.len() >= self.settings.max_stations || is_idle {
            self.restored.omitted += 1;
            return;
        }
        if self.stations.contains_key(&name) {
            return;
        }
        self.restored.stations += 1;
        self.announcements.restored(&name);
        // A specialist that came while the service was not there may look further back than was read.
        if has_specialists && station.has_room_for_older() {
            effects.push(Effect::Recall(station.recall_readings()));
        }
        self.scores.merge(station.scores());
        // Those that came of what was owed are among them.
        station.take_day_scores();
        station.day_scores().into_iter().for_each(|scores| self.day_scores.merge(scores));
        self.serve(now, station);
        if let Some(entry) = self.stations.get_mut(&name) {
            entry.active_uptime = now.uptime.as_nanos() as i128 - inactive.as_nanos();
        }
        self.restored.undelivered += undelivered.len();
        self.undelivered.extend(undelivered);
        for next in next {
            self.restored.owed += 1;
            self.mark_dirty(&name);
            match next {
                Next::Infer(number, windows) => self.infer(&name, number, windows, effects),
                Next::Reference(forecast) => self.issue(forecast, None, effects),
                Next::Nothing => {}
            }
        }
        self.say_newest(&name, effects);
        self.update_state(now, &name, true, effects);
    }

    fn restore_ended(&mut self, omitted: usize, effects: &mut Vec<Effect>) {
        let RestoreCount { stations, owed, undelivered, omitted: own } = std::mem::take(&mut self.restored);
        effects.push(Effect::Emit(Event::ScoresRestored(self.scores.clone())));
        if !self.day_scores.is_empty() {
            effects.push(Effect::Emit(Event::DaysScored(self.day_scores.clone())));
        }
        effects.push(Effect::Emit(Event::Restored {
            stations,
            ready: self.ready,
            stale: self.stale,
            owed,
            undelivered,
            omitted: omitted + own,
        }));
        self.tell_specialists(None, effects);
    }

    /// Uses the models that wait, when nothing is in flight for those before.
    fn switch_if_idle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.in_flight > 0 {
            return;
        }
        let Some(models) = self.waiting_models.take() else { return };
        effects.push(Effect::SwitchModels(models.clone()));
        let before = std::mem::replace(&mut self.models, models);
        let (old, new) = (Arc::clone(&before.main().id), Arc::clone(&self.models.main().id));
        if old != new {
            effects.push(Effect::Emit(Event::ModelSwitched { old, new }));
        }
        let names: Vec<StationName> = self.stations.keys().cloned().collect();
        for name in names {
            let place = self.stations.get(&name).and_then(|entry| entry.station.place());
            let specialists = self.specialists(&name, place);
            let Some(entry) = self.stations.get_mut(&name) else { continue };
            match entry.station.adopt(Arc::clone(self.models.main()), specialists) {
                Adopted::Nothing => continue,
                Adopted::Models => {}
                Adopted::MoreHistory => effects.push(Effect::Recall(entry.station.recall_readings())),
            }
            self.mark_dirty(&name);
            self.update_state(now, &name, true, effects);
            if let Some(entry) = self.stations.get(&name) {
                let told = Discovery::new(&entry.station, self.models.main(), self.settings.stale_after);
                self.announcements.changed(&told);
            }
        }
        self.tell_specialists(Some(&before), effects);
    }

    /// Tells which specialists are used, and which are not and why, as far as that is another than before.
    fn tell_specialists(&self, before: Option<&Models>, effects: &mut Vec<Effect>) {
        let uses = |models: &[Arc<Model>], model: &Arc<Model>| models.iter().any(|own| own.id == model.id);
        let old = before.map_or(&[][..], Models::specialists);
        let left = old.iter().filter(|model| !uses(self.models.specialists(), model));
        effects
            .extend(left.map(|model| Effect::Emit(Event::SpecialistLeft { model: Arc::clone(&model.id) })));
        for model in self.models.specialists().iter().filter(|model| !uses(old, model)) {
            let stations =
                self.stations.values().filter(|entry| uses(entry.station.specialists(), model)).count();
            effects.push(Effect::Emit(Event::SpecialistJoined { model: Arc::clone(&model.id), stations }));
        }
        let said = |refused| before.is_some_and(|before| before.refused().contains(refused));
        for (model, error) in self.models.refused().iter().filter(|refused| !said(refused)) {
            let (model, error) = (Arc::clone(model), error.clone());
            effects.push(Effect::Emit(Event::SpecialistRefused { model, error }));
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Some(jump) = self.clock.tick(now) {
            effects.push(Effect::Emit(Event::ClockJumped(jump)));
            self.drop_all_future(now, effects);
        }
        self.look_at_the_clock(now, effects);
        if let Some(since) = self.subscribed_at
            && !self.has_message
            && !self.says_no_readings
            && now.uptime.saturating_sub(since) >= NO_READINGS_AFTER
        {
            self.says_no_readings = true;
            effects.push(Effect::Emit(Event::NoReadings(true)));
        }
        self.sweep(now, effects);
        let oldest = self.stations.values().map(|entry| now.uptime.as_nanos() as i128 - entry.active_uptime);
        let oldest = oldest.max().unwrap_or(0);
        let of_kind = |wanted: StateKind| {
            let is_wanted = |entry: &&StationEntry| entry.published.is_some_and(|(kind, _)| kind == wanted);
            self.stations.values().filter(is_wanted).count()
        };
        effects.push(Effect::Emit(Event::Stations {
            known: self.stations.len(),
            ready: self.ready,
            stale: self.stale,
            without_place: of_kind(StateKind::NoPlace),
            elsewhere: of_kind(StateKind::Elsewhere),
            oldest: SignedDuration::from_nanos_i128(oldest.max(0)),
        }));
    }

    /// A clock that was ahead and is right now leaves stations whose newest reading lies in the future.
    fn drop_all_future(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let limit = now.wall + self.settings.max_ahead;
        let mut changed = Vec::new();
        for (name, entry) in &mut self.stations {
            if drop_future(&mut entry.station, limit, &mut self.entries, effects) {
                changed.push(name.clone());
            }
        }
        for name in changed {
            self.mark_dirty(&name);
            self.update_state(now, &name, true, effects);
        }
    }

    /// Takes the readings that waited for the clock, when it is right, or refuses them, when the stations were wrong.
    fn look_at_the_clock(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(first) = self.early.front() else { return };
        let ahead = first.time.duration_since(now.wall);
        let is_ahead = ahead > self.settings.max_ahead;
        if is_ahead && self.clock.is_behind(now.wall, self.settings.max_ahead) {
            return;
        }
        self.clock_is_behind = false;
        let early = std::mem::take(&mut self.early);
        let waiting = early.len();
        effects.push(Effect::Emit(Event::ClockBehind { is_behind: false, by: ahead, waiting }));
        for reading in early {
            self.reading(now, reading, effects);
        }
    }

    /// Looks at some of the stations: who has become stale, whose status is due, who is served no longer.
    fn sweep(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let count = (self.sweep.len() / SWEEP_TICKS).max(SWEEP_LEAST).min(self.sweep.len());
        for _ in 0..count {
            let Some(name) = self.sweep.pop_front() else { return };
            let Some(entry) = self.stations.get(&name) else { continue };
            let silent_for = now.uptime.as_nanos() as i128 - entry.active_uptime;
            let is_idle = self.settings.idle_after.is_some_and(|after| silent_for > after.as_nanos());
            if is_idle && entry.station.in_flight() == 0 && entry.held.is_empty() {
                self.remove(&name, effects);
                effects.push(Effect::Emit(Event::SeatGivenUp(name)));
                continue;
            }
            self.sweep.push_back(name.clone());
            self.update_state(now, &name, false, effects);
        }
    }
}

/// Whether a reading must wait for the forecasts in flight; also one from elsewhere, for which the station may have other
/// models.
fn must_wait(station: &Station, reading: &HeldReading) -> bool {
    let stands_elsewhere = || station.sighted(reading.time, reading.site) != Sighting::Nothing;
    station.must_wait(reading.time) || station.in_flight() > 0 && stands_elsewhere()
}

fn drop_future(
    station: &mut Station,
    limit: Timestamp,
    entries: &mut Vec<Entry>,
    effects: &mut Vec<Effect>,
) -> bool {
    let Some((newest, _)) = station.newest() else { return false };
    if !station.drop_after(limit) {
        return false;
    }
    let name = station.name().clone();
    entries.push(Entry::Truncate { station: name.clone(), after: limit });
    effects.push(Effect::Recall(station.recall(limit)));
    effects.push(Effect::Emit(Event::FutureDropped { station: name, newest }));
    true
}

fn publish_forecast(forecast: Forecast) -> Effect {
    Effect::Publish(Publication::Forecast { forecast: Box::new(forecast), is_stale: false })
}

fn state_entry(station: &Station) -> Entry {
    Entry::State {
        station: station.name().clone(),
        state: station.state(),
        readings_from: station.readings_from(),
        forecasts_from: station.forecasts_from(),
        active_at: station.active_at(),
    }
}

/// Readings have no finer times than seconds: the journal and the history keep no others.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
