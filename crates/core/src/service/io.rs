//! What goes into the service and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::discovery::Discovery;
use crate::forecast::Forecast;
use crate::forecast::day_scores::DayScores;
use crate::forecast::experts::Standing;
use crate::forecast::lead_scores::{LeadScores, LeadTotals, Score, Scores};
use crate::intake::screening::Dropped;
use crate::journal::{Batch, Recall, Restored};
use crate::model::set::{Models, SpecialistError};
use crate::station::{Oddity, Readiness};
use crate::weather::place::Place;
use crate::weather::pressure::ReducedPressure;
use crate::weather::quantity::Values;
use crate::weather::reading::StationName;
use crate::window::history::Inserted;

/// The time at which an input is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// What the clock on the wall shows; it can jump.
    pub wall: Timestamp,
    /// The time since the start, which only rises.
    pub uptime: Duration,
}

/// Names a message that is to be acknowledged; rising in the order of arrival.
pub type Token = u64;

/// What happens to the service.
#[derive(Debug)]
pub enum Input {
    /// A reading arrived.
    Reading {
        /// The station that measured it.
        station: StationName,
        /// When it was measured.
        time: Timestamp,
        /// What was measured.
        values: Values,
        /// Where it was measured, if the message says so.
        place: Option<Place>,
        /// What acknowledges it.
        token: Token,
    },
    /// A part of a reading arrived, or one of many of its slot: they are merged.
    Part {
        /// The station that the part is of.
        station: StationName,
        /// When it was measured.
        time: Timestamp,
        /// Whether that is when it arrived, as its message does not say.
        is_timed_by_arrival: bool,
        /// What was measured.
        values: Values,
        /// The pressure, where it is told as another than that at the station.
        reduced_pressure: Option<ReducedPressure>,
        /// Where it was measured, if the message says so.
        place: Option<Place>,
        /// What acknowledges it.
        token: Token,
    },
    /// A message arrived that is none of ours: it holds no value that its source names.
    WithoutValue {
        /// What acknowledges it.
        token: Token,
    },
    /// A message arrived that is no reading.
    Unreadable {
        /// Whose, if that is known.
        station: Option<StationName>,
        /// Why, as a metric's label.
        reason: &'static str,
        /// Why, as a person reads it.
        detail: String,
        /// What acknowledges it.
        token: Token,
    },
    /// The station is to be forgotten.
    Forget {
        /// The station to forget.
        station: StationName,
        /// What acknowledges the message that asked for it, if one did.
        token: Option<Token>,
    },
    /// A model's answer to [`Effect::Infer`].
    Inferred {
        /// Whose window it was.
        station: StationName,
        /// The forecast's number.
        number: u64,
        /// The model's id.
        model: Arc<str>,
        /// The outputs, or why there are none.
        outputs: Result<Vec<f32>, String>,
    },
    /// Other models are ready to be used; taken by [`Effect::SwitchModels`] as soon as nothing is in flight.
    ModelsLoaded(Models),
    /// A station as the journal held it.
    Restored(Box<Restored>),
    /// All stations have been restored; so many are not served.
    RestoreEnded {
        /// Stations beyond those that are served.
        omitted: usize,
    },
    /// The journal's answer to [`Effect::Recall`].
    Recalled(Box<Restored>),
    /// The journal has made every batch up to this one durable.
    Committed(u64),
    /// The journal fails; every batch up to this one is only in memory.
    JournalFailed(u64),
    /// The journal was begun anew: what it held before is not there.
    JournalRecreated,
    /// The broker is subscribed to: readings come, and publications go out.
    Subscribed,
    /// The connection to the broker was lost.
    Disconnected,
    /// Another forecast of the station has reached the broker, in the order of publication. A stale one does not count.
    Delivered(StationName),
    /// A forecast could not be handed over for publication, and does not reach the broker.
    NotHandedIn {
        /// The station that the forecast was for.
        station: StationName,
        /// The origin of the forecast.
        origin: Timestamp,
    },
    /// Home Assistant has started, and wants to be told of all stations again.
    HomeAssistantStarted,
    /// There is room to tell Home Assistant of some stations that wait for it.
    Discover,
    /// The broker does not take what Home Assistant is to be told.
    DiscoveryRefused,
    /// Somebody else told Home Assistant something under the id of a station.
    DiscoveryOverwritten {
        /// The station whose id was used.
        station: StationName,
        /// What it says.
        by: String,
    },
    /// There is room for the reading of a slot that is over.
    CloseSlot,
    /// Time has passed: once a second.
    Tick,
    /// Nothing more will arrive: what has been merged of slots that are not over is taken as it is.
    Ending,
}

/// What the service wants done. Nothing of it may be waited for.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The message may be acknowledged.
    Acknowledge(Token),
    /// The batch is to be made durable.
    Journal(Batch),
    /// The journal is to be asked for what it holds of a station; nothing waits for the answer, and there is none where
    /// there is no journal or it cannot be read.
    Recall(Recall),
    /// A model is to be run on a window. One forecast may need several.
    Infer {
        /// The station that the forecast is for.
        station: StationName,
        /// Names the forecast in the answer.
        number: u64,
        /// The model's id.
        model: Arc<str>,
        /// The normalised window `[sample, feature]`.
        window: Vec<f32>,
    },
    /// A message is to be published, retained.
    Publish(Publication),
    /// Windows from now on are for these models.
    SwitchModels(Models),
    /// Something happened that others may want to know.
    Emit(Event),
}

/// What is published for a station.
#[derive(Debug, Clone, PartialEq)]
pub enum Publication {
    /// A forecast; once more, as stale, where the station falls silent after it.
    Forecast {
        /// The forecast to publish.
        forecast: Box<Forecast>,
        /// Whether the station has been silent since, for too long.
        is_stale: bool,
    },
    /// How the station is.
    Status {
        /// The station that the status is of.
        station: StationName,
        /// Whether its window is complete, or it has been silent for too long.
        state: StationState,
        /// The time of its newest reading.
        newest_reading: Option<Timestamp>,
        /// Where it stands, if that is known.
        place: Option<Place>,
        /// How far away the one site is that the model is for, where the station stands elsewhere, km.
        model_distance_km: Option<u32>,
        /// What is odd about it, as words.
        odd: Vec<&'static str>,
        /// The main model.
        model: Arc<str>,
    },
    /// How good the station's forecasts have been.
    Verification {
        /// The station that the scores are of.
        station: StationName,
        /// The main model.
        model: Arc<str>,
        /// The scores by lead.
        scores: Scores,
        /// How its experts stand, by rising name; empty without experts.
        experts: Vec<Standing>,
        /// How good what was said of the days ahead has been, once one is over.
        day_ahead: Option<DayScores>,
    },
    /// What Home Assistant is told of the station.
    Discovery(Discovery),
    /// What Home Assistant was told of the station by an earlier run is to be cleared.
    WithdrawDiscovery(StationName),
    /// All that stands on the station's topics is to be cleared.
    Clear(StationName),
    /// Nothing more is published for the station: what stands on its topics stays, and need not be kept any longer.
    GiveUp(StationName),
}

/// How a station is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StationState {
    /// Whether its window is complete.
    Fresh(Readiness),
    /// It has sent nothing new for too long.
    Stale,
}

/// Why a specialist is for none of the stations that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForNobody {
    /// It names stations, and none of these.
    NotNamed,
    /// It is for a site so many kilometres from the nearest one.
    Elsewhere(u32),
    /// Where it could be used, as many others are as a station uses.
    Crowded,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A reading was taken.
    ReadingTaken {
        /// The station that measured it.
        station: StationName,
        /// What it changed.
        inserted: Inserted,
    },
    /// How a station's experts stand, once an hour.
    ExpertsStand {
        /// The station that the experts are of.
        station: StationName,
        /// By rising name.
        experts: Vec<Standing>,
    },
    /// The newest reading of a station.
    NewestReading {
        /// The station that measured it.
        station: StationName,
        /// When it was measured.
        time: Timestamp,
        /// Its temperature, °C.
        temperature_c: Option<f32>,
    },
    /// Something is odd about a station, as was not said of it before.
    StationOdd {
        /// The station that is odd.
        station: StationName,
        /// What was found to be odd, with the numbers that show it.
        oddity: Oddity,
    },
    /// A message was not taken.
    ReadingRefused {
        /// Whose, if that is known.
        station: Option<StationName>,
        /// Why, as a metric's label.
        reason: &'static str,
        /// Why, as a person reads it.
        detail: String,
    },
    /// A value was not believed.
    ValueDropped {
        /// The station that sent the value.
        station: StationName,
        /// The value with its quantity, and which check it did not pass.
        dropped: Dropped,
    },
    /// A forecast was scored.
    Scored {
        /// The forecast of one lead beside what was observed.
        score: Score,
        /// The scores of all stations together at its lead.
        scores: LeadScores,
    },
    /// The scores of all stations together, as they were restored.
    ScoresRestored(Scores),
    /// What was said of a day ahead was scored: the scores of all stations together, also as they were restored.
    DaysScored(DayScores),
    /// A forecast was issued.
    ForecastIssued {
        /// The forecast as it is published.
        forecast: Box<Forecast>,
        /// Whether the station's window is complete.
        readiness: Readiness,
        /// The station's scores since the beginning at the longest lead.
        lifetime: LeadTotals,
        /// From the arrival of the reading; none for what was owed from before a restart.
        delay: Option<Duration>,
    },
    /// A model gave no outputs for a window.
    InferenceFailed {
        /// The station that the window is of.
        station: StationName,
        /// The model's id.
        model: Arc<str>,
        /// What the engine says.
        error: String,
    },
    /// A model gave numbers that are no temperatures.
    ForecastImplausible {
        /// The station that the outputs are for.
        station: StationName,
        /// The model's id.
        model: Arc<str>,
    },
    /// A station is in another state than before.
    StateChanged {
        /// The station that has changed.
        station: StationName,
        /// The state that it is in now.
        state: StationState,
        /// Whether the state is of another kind than before, rather than another hour of it.
        is_news: bool,
        /// How far away the one site is that the model is for, where the station stands elsewhere, km.
        model_distance_km: Option<u32>,
    },
    /// How many stations are in which state, and the age of the readings.
    Stations {
        /// Stations that are served.
        known: usize,
        /// Of these, those whose window is complete.
        ready: usize,
        /// Of these, those that are stale.
        stale: usize,
        /// Of these, those of which it is not known where they stand, as the model must know.
        without_place: usize,
        /// Of these, those that the model is not for.
        elsewhere: usize,
        /// Of those that are ready, those that the model is not for and forecasts all the same.
        foreign_model: usize,
        /// The longest time since a station sent something new.
        oldest: SignedDuration,
    },
    /// Stations were restored from the journal.
    Restored {
        /// The number of stations restored.
        stations: usize,
        /// Of these, those whose window is complete.
        ready: usize,
        /// Of these, those that are stale.
        stale: usize,
        /// Forecasts that were owed.
        owed: usize,
        /// Forecasts that may not have been delivered.
        undelivered: usize,
        /// Stations that are not served.
        omitted: usize,
    },
    /// The station was forgotten because somebody asked for it.
    Forgotten(StationName),
    /// The station has been silent for so long that others may be served instead.
    StationGivenUp(StationName),
    /// A specialist is in use beside the main model.
    SpecialistJoined {
        /// The specialist's id.
        model: Arc<str>,
        /// Of the stations that are served now, so many it is for.
        stations: usize,
        /// Why it is for none, where some are served.
        for_nobody: Option<ForNobody>,
    },
    /// A specialist is not in use any more.
    SpecialistLeft {
        /// The specialist's id.
        model: Arc<str>,
    },
    /// A specialist cannot be used beside the main model.
    SpecialistRefused {
        /// The specialist's id.
        model: Arc<str>,
        /// What of the specialist does not fit the main model.
        error: SpecialistError,
    },
    /// The main model is another than before.
    ModelSwitched {
        /// The one before.
        old: Arc<str>,
        /// The one now.
        new: Arc<str>,
    },
    /// The clock jumped.
    ClockJumped {
        /// By so much, forwards or backwards.
        by: SignedDuration,
        /// Whether it may be behind now: what is newer than it is kept for an hour.
        is_doubted: bool,
    },
    /// Whether the clock is behind what several stations say; nothing of theirs is acknowledged meanwhile.
    ClockBehind {
        /// Whether it is.
        is_behind: bool,
        /// By how much, as the first station says.
        by: SignedDuration,
        /// How many readings wait for the clock.
        waiting: usize,
    },
    /// Readings and forecasts of a station lay in the future and were dropped: a clock was ahead.
    FutureDropped {
        /// The station whose readings and forecasts were dropped.
        station: StationName,
        /// The time of its newest reading until then.
        newest: Timestamp,
    },
    /// Whether no message has come since the subscription, for too long.
    NoReadings(bool),
    /// Home Assistant has started, and is told of so many stations again.
    HomeAssistantStarted {
        /// The number of stations that Home Assistant is told of again.
        stations: usize,
    },
    /// There are more stations than Home Assistant is told of.
    DiscoveryFull {
        /// Of so many it is.
        announced: usize,
    },
    /// The broker does not take what Home Assistant is to be told: it is not told anything any more.
    DiscoveryRefused,
    /// Somebody else told Home Assistant something under the id of a station.
    DiscoveryOverwritten {
        /// The station whose id was used.
        station: StationName,
        /// What it says.
        by: String,
    },
}
