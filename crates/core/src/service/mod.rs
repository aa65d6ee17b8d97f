//! The service: all stations as one pure state machine. It decides what is journalled, forecast, published, acknowledged and
//! told; a driver does it.
//!
//! | module | contents |
//! | --- | --- |
//! | `mod` | the state machine |
//! | `io` | what goes in and what comes out |
//! | `readings` | what becomes of a reading |
//! | `parts` | what becomes of a reading that comes in parts |
//! | `forecasts` | what becomes of a forecast |
//! | `batch` | what is collected for the journal, and acknowledged once it is durable |
//! | `restore` | stations as the journal holds them |
//! | `entry` | a station that is served, and what was last published of it |
//! | `stations` | which stations are served, and what is published of how they are |
//! | `models` | which models they use, and when those change |
//! | `clock` | whether the clock can be believed |
//! | `discovery` | what Home Assistant is told of the stations, and in which turn |
//! | `view` | what is said of stations to whoever asks |
//!
//! The rules that a restart relies on:
//! - What a reading changes is made durable in one batch with the reading: the state of its station, what is owed for it.
//!   So a process that is killed finds after its restart the station of some moment, whole.
//! - A reading is acknowledged when its batch is durable (or the journal fails, and memory must do); a part of one when it is
//!   merged.
//! - A forecast that models were asked for and that has not come is owed; it is in the state, and the windows of all models
//!   are asked for again after a restart.
//! - A forecast that may not have reached the broker is published again after a restart.
//! - A reading that changes an older slot waits until its station has nothing in flight, so that a window taken again
//!   after a restart is the same, bit for bit.

mod batch;
mod clock;
mod discovery;
mod entry;
mod forecasts;
mod io;
mod models;
mod parts;
mod readings;
mod restore;
mod stations;
mod view;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::forecast::Forecast;
use crate::forecast::day_scores::DayScores;
use crate::forecast::lead_scores::Scores;
use crate::journal::Entry;
use crate::model::Model;
use crate::model::set::Models;
use crate::weather::place::Places;
use crate::weather::reading::StationName;

use clock::ClockWatch;
use discovery::Announcements;
pub use discovery::{Discovery, DiscoverySettings};
use entry::{StateKind, StationEntry};
use forecasts::publish_forecast;
pub use io::{Effect, Event, ForNobody, Input, Now, Publication, StationState, Token};
use parts::{Part, Parts};
use readings::{HeldReading, whole_seconds};
use restore::RestoreCount;
pub use view::{StationList, StationQuery, StationView, VerificationView};

/// The most windows in flight; no reading is accepted while there are.
const MAX_IN_FLIGHT: usize = 256;
/// The most readings that wait for the forecasts of their station.
const MAX_HELD: usize = 64;
/// The most readings that wait for the clock.
const MAX_EARLY: usize = 4096;
/// The most forecasts that wait for the broker to be subscribed to; no reading is accepted while there are.
const MAX_WAITING_FORECASTS: usize = 1024;
/// Without a message for so long after the subscription, something is wrong with topic or permissions.
const NO_READINGS_AFTER: Duration = Duration::from_secs(15 * 60);

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

/// See the head of this file.
pub struct Service {
    settings: Settings,
    models: Models,
    /// Models that take over when nothing is in flight.
    waiting_models: Option<Models>,
    stations: HashMap<StationName, StationEntry>,
    /// Those that are not served because they were silent for too long; what the journal holds of one is read when it comes
    /// again.
    silent: BTreeSet<StationName>,
    /// The order in which stations are looked at.
    sweep: VecDeque<StationName>,
    in_flight: usize,
    /// The number of the first forecast of a new station: behind those of stations that are served no longer, whose answers
    /// may still come.
    first_number: u64,
    held: usize,
    clock: ClockWatch,
    clock_is_behind: bool,
    /// Readings that wait for the clock.
    early: VecDeque<HeldReading>,
    parts: Parts,
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
            silent: BTreeSet::new(),
            sweep: VecDeque::new(),
            in_flight: 0,
            first_number: 0,
            held: 0,
            clock_is_behind: false,
            early: VecDeque::new(),
            parts: Parts::default(),
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
            Input::Reading { station, time, values, place, token } => {
                self.message_came(effects);
                let time = whole_seconds(time);
                let (token, arrived, part) = (Some(token), now.uptime, None);
                let reading = HeldReading { station, time, values, place, token, arrived, part };
                self.reading(now, reading, effects);
            }
            Input::Part { station, time, is_timed_by_arrival, values, reduced_pressure, place, token } => {
                self.message_came(effects);
                let time = whole_seconds(time);
                let part = Some(Part { reduced_pressure, is_timed_by_arrival });
                let (token, arrived) = (Some(token), now.uptime);
                let reading = HeldReading { station, time, values, place, token, arrived, part };
                self.reading(now, reading, effects);
            }
            Input::WithoutValue { token } => {
                self.message_came(effects);
                self.tokens.push(token);
            }
            Input::Unreadable { station, reason, detail, token } => {
                self.message_came(effects);
                self.refuse(station, reason, detail, Some(token), effects);
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
            Input::Recalled(restored) => self.recalled(now, restored, effects),
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
            Input::NotHandedIn { station, origin } => {
                if let Some(entry) = self.stations.get_mut(&station) {
                    entry.station.forecast_not_handed_in(origin);
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
            Input::CloseSlot => self.close_slot(now, effects),
            Input::Tick => self.tick(now, effects),
            Input::Ending => self.close_all_slots(now, effects),
        }
    }

    /// Whether readings are accepted now; else they stay unread, and the broker keeps them.
    pub fn accepts_readings(&self) -> bool {
        // What waited for a clock that is right now comes first.
        let early_have_room =
            if self.clock_is_behind { self.early.len() < MAX_EARLY } else { self.early.is_empty() };
        self.has_room() && early_have_room
    }

    /// Whether there is room for what follows from another reading.
    fn has_room(&self) -> bool {
        self.in_flight < MAX_IN_FLIGHT
            && self.waiting_models.is_none()
            && self.held < MAX_HELD
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

    /// Whether what Home Assistant was told of stations by an earlier run is still to be taken back.
    pub fn waits_to_withdraw(&self) -> bool {
        self.announcements.waits_to_withdraw()
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

    fn subscribed(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.subscribed_at = Some(now.uptime);
        self.has_message = false;
        self.is_subscribed = true;
        effects.extend(self.undelivered.drain(..).map(publish_forecast));
        // Behind those that are fresh: also stations that have fallen silent while the broker or the daemon was away.
        for name in &self.sweep {
            let Some(entry) = self.stations.get_mut(name) else { continue };
            entry.is_marked_stale = false;
            effects.extend(entry.mark_stale());
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Some(jump) = self.clock.tick(now) {
            let is_doubted = self.clock.is_doubted(now);
            effects.push(Effect::Emit(Event::ClockJumped { by: jump, is_doubted }));
            if jump > SignedDuration::ZERO {
                self.take_future_left(now, effects);
            }
            if !is_doubted {
                self.drop_all_future(now, effects);
            } else if let Some(started) = self.clock.was_ahead_at(now) {
                self.drop_all_after(now, started, effects);
            }
        } else if self.clock.is_believed_again(now) {
            self.drop_all_future(now, effects);
        }
        self.look_at_the_clock(now, effects);
        self.parts.tick(now.wall);
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
        let has_foreign_model = |entry: &&StationEntry| {
            let is_ready = entry.published.is_some_and(|(kind, _)| kind == StateKind::Ready);
            is_ready && self.settings.runs_anywhere && entry.station.model_distance_km().is_some()
        };
        let foreign_model = self.stations.values().filter(has_foreign_model).count();
        effects.push(Effect::Emit(Event::Stations {
            known: self.stations.len(),
            ready: self.ready,
            stale: self.stale,
            without_place: of_kind(StateKind::NoPlace),
            elsewhere: of_kind(StateKind::Elsewhere),
            foreign_model,
            oldest: SignedDuration::from_nanos_i128(oldest.max(0)),
        }));
    }
}
