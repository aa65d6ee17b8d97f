//! One station: window, forecasts and verification as a pure state machine, without I/O and without a clock.
//!
//! [`Station::observe`] takes a reading and says what follows: values dropped, earlier forecasts scored, and either windows
//! for the models or the reference forecast that stands in for them. The models' outputs come back through
//! [`Station::answer`], and the forecast that they make through [`Station::next_completed`]. What a station remembers beyond
//! its readings and forecasts is [`Station::state`]; with readings and forecasts of the journal it makes the same station
//! again ([`Station::restore`]), bit for bit.
//!
//! A station [with experts](Setup::has_experts) forecasts what they say together; then every forecast, also one without a
//! model, waits for those before it, so that experts learn in the order of origins.
//!
//! | module | contents |
//! | --- | --- |
//! | `setup` | how it is set up, apart from its model |
//! | `readiness` | whether its window is complete |
//! | `rejected` | why a reading is not taken at all |
//! | `forecasts` | the forecasts that it makes: the reference, and what the outputs of models mean |
//! | `in_flight` | forecasts that models were asked for, and what they become |
//! | `models` | the models of the station, and the history that serves them all |
//! | `experts` | what its experts forecast together |
//! | `moves` | where it stands, as its payload has it, and what becomes of it when it stands elsewhere |
//! | `character` | what its days are like, and what is odd about them |
//! | `oddity` | what is odd about it, and what of that was said |
//! | `restore` | what it writes into the journal, and how it becomes the same station again |
//! | `future` | what it drops when its clock was ahead, and takes back from the journal |
//! | `view` | what it shows of itself |

mod character;
mod experts;
mod forecasts;
mod future;
mod in_flight;
mod models;
mod moves;
mod oddity;
mod readiness;
mod rejected;
mod restore;
mod setup;
mod view;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::forecast::Forecast;
use crate::forecast::lead_scores::{Score, Scores};
use crate::forecast::verification::Verification;
use crate::intake::screening::{Dropped, Screening};
use crate::intake::{self, Intake};
use crate::model::Model;
use crate::number::to_u32;
use crate::weather::quantity::{Quantity, Values};
use crate::weather::reading::StationName;
use crate::window::grid::Slot;
use crate::window::history::{History, Inserted};

use character::Character;
use experts::StationExperts;
use forecasts::degrees;
use in_flight::InFlight;
pub use in_flight::{Completed, ModelWindow};
pub(crate) use models::Adopted;
use models::empty_history;
use moves::{Elsewhere, Reported};
pub use moves::{ReportedPlace, Sighting};
pub(crate) use oddity::News;
use oddity::Oddities;
pub use oddity::Oddity;
pub use readiness::Readiness;
pub(crate) use rejected::looks_like_local_time;
pub use rejected::{EARLIEST_READING_S, Rejected, humanize};
pub use setup::Setup;

/// What a reading did.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// What it changed.
    pub inserted: Inserted,
    /// Values that were not believed.
    pub dropped: Vec<Dropped>,
    /// The reading as it is kept: what was believed of what was measured, without what was derived.
    pub kept: Values,
    /// Earlier forecasts that were scored.
    pub scores: Vec<Score>,
    /// What is to be done.
    pub next: Next,
}

/// What is to be done after a reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing: the newest window did not change, or there is no temperature yet.
    Nothing,
    /// Models are to be run, each on its normalised window; the number names the forecast in [`Station::answer`].
    Infer(u64, Vec<ModelWindow>),
    /// No model can run yet; the reference forecast stands in for them.
    Reference(Forecast),
}

/// The origin of a forecast, and the predictor that outputs are relative to.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Origin {
    /// The slot that the window ends at.
    slot: Slot,
    /// The time of the newest reading.
    issued_at: Timestamp,
    /// The newest temperature, °C.
    newest_c: f32,
}

/// What is known of one station: its history, what its experts have learned, and its forecasts in flight.
#[derive(Debug, Clone)]
pub struct Station {
    name: StationName,
    setup: Setup,
    /// Where its payload says that it stands.
    reported: Option<Reported>,
    /// Where the newest readings say that it stands, while that is not believed.
    elsewhere: Option<Elsewhere>,
    character: Character,
    oddities: Oddities,
    /// The latitude by which they were found.
    oddities_latitude_deg: Option<f64>,
    /// The main model.
    model: Arc<Model>,
    /// Those beside it that are for this station, by rising id.
    specialists: Box<[Arc<Model>]>,
    history: History,
    screening: Screening,
    verification: Verification,
    readiness: Readiness,
    /// The newest second that was measured in, and what was, by whichever number of readings.
    newest: Option<(Timestamp, Values)>,
    /// By rising number.
    in_flight: VecDeque<InFlight>,
    next_number: u64,
    /// The newest forecast.
    newest_forecast: Option<Forecast>,
    /// Origins of forecasts that were published and may not have reached the broker, in the order of publication.
    undelivered: VecDeque<Timestamp>,
    /// The newest origin of those that have.
    delivered: Option<Timestamp>,
    /// When the last reading arrived that brought something new.
    active_at: Timestamp,
    /// Those whose combination is forecast; `None` where the model or persistence alone is.
    experts: Option<Box<StationExperts>>,
    /// Up to which slot forecasts were scored before readings of the future were dropped or left out, until the journal has
    /// answered.
    scored_until: Option<Slot>,
}

impl Station {
    /// A station of which nothing is known yet.
    pub fn new(name: StationName, model: Arc<Model>) -> Station {
        Station {
            name,
            setup: Setup::default(),
            reported: None,
            elsewhere: None,
            character: Character::default(),
            oddities: Oddities::default(),
            oddities_latitude_deg: None,
            history: empty_history(&model, &[]),
            model,
            specialists: Box::default(),
            screening: Screening::default(),
            verification: Verification::default(),
            readiness: Readiness::Silent,
            newest: None,
            in_flight: VecDeque::new(),
            next_number: 0,
            newest_forecast: None,
            undelivered: VecDeque::new(),
            delivered: None,
            active_at: Timestamp::UNIX_EPOCH,
            experts: None,
            scored_until: None,
        }
    }

    /// The same station, whose forecasts are numbered from here on: an answer for one that had its name before it is not taken
    /// for its own.
    #[must_use]
    pub fn numbered_from(mut self, number: u64) -> Station {
        self.next_number = number;
        self
    }

    /// The number of its next forecast.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The same station, set up otherwise; with experts of which nothing is known yet.
    #[must_use]
    pub fn set_up(mut self, setup: Setup) -> Station {
        self.setup = setup;
        self.experts = setup.has_experts.then(|| Box::new(StationExperts::new(&self.model.manifest)));
        self
    }

    /// How far away the one site is that the main model is for, where it runs or would run elsewhere, km.
    pub fn model_distance_km(&self) -> Option<u32> {
        let own = self.place().map(|place| place.site);
        self.model.manifest.window.too_far_km(own).map(to_u32)
    }

    /// The station's name.
    pub fn name(&self) -> &StationName {
        &self.name
    }

    /// Whether the window is complete.
    pub fn readiness(&self) -> Readiness {
        self.readiness
    }

    /// Time and temperature of the newest reading.
    pub fn newest(&self) -> Option<(Timestamp, Option<f32>)> {
        self.newest.map(|(time, values)| (time, values.get(Quantity::AirTemperature)))
    }

    /// The newest forecast.
    pub fn newest_forecast(&self) -> Option<&Forecast> {
        self.newest_forecast.as_ref()
    }

    /// The scores of the station's forecasts.
    pub fn scores(&self) -> &Scores {
        self.verification.scores()
    }

    /// When the last reading arrived that brought something new, by the clock of then.
    pub fn active_at(&self) -> Timestamp {
        self.active_at
    }

    /// How many forecasts were asked for and have not come yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether a reading of `time` must wait for the forecasts in flight.
    ///
    /// One that changes an older slot could change what their windows are made of, were they to be made again after a
    /// restart; one that is far ahead of the oldest of them would push the hours that they are verified by out of the
    /// history.
    pub fn must_wait(&self, time: Timestamp) -> bool {
        let Some(oldest) = self.in_flight.front() else { return false };
        let grid = self.history.grid();
        self.history.is_behind(time) || grid.slot(time) - oldest.origin.slot > 24 * grid.slots_per_hour()
    }

    /// Takes what was measured at `time`, a whole second, and arrived at `now`, which is `arrived` after the start.
    ///
    /// # Errors
    /// [`Rejected`] when nothing of it is taken. The station is then as it was, but for the screening, which remembers
    /// values that it did not believe.
    pub fn observe(
        &mut self,
        time: Timestamp,
        measured: Values,
        now: Timestamp,
        arrived: Duration,
    ) -> Result<Observed, Rejected> {
        if time.as_second() < EARLIEST_READING_S {
            return Err(Rejected::FarPast(time));
        }
        let slot = self.history.grid().slot(time);
        if let (Some(oldest), Some((newest, _))) = (self.history.oldest(), self.newest)
            && (slot < oldest || self.is_of_another_place(time))
        {
            return Err(Rejected::TooOld { time, behind: newest.duration_since(time) });
        }
        let Intake { kept, dropped, .. } = intake::take(&mut self.screening, time, measured);
        if kept.is_empty() {
            let example = dropped.first().map_or_else(String::new, |dropped| {
                format!("{} = {} ({})", dropped.quantity, dropped.value, dropped.reason.label())
            });
            return Err(Rejected::Implausible { time, example });
        }
        self.believe_of_this_place(time);
        // What the newest slot held is final when a later one opens, which may push it out of the history.
        let closed = self.history.newest().filter(|newest| *newest < slot);
        let mut scores = closed.map_or_else(Vec::new, |closed| self.verify(closed));
        let inserted = self.insert(time, kept);
        match inserted {
            Inserted::Newest(_) => self.forget_old_forecasts(),
            Inserted::Late(slot) => scores = self.verify(slot),
            Inserted::Refreshed(_) | Inserted::Unchanged(_) | Inserted::TooOld(_) => {}
        }
        if !matches!(inserted, Inserted::Unchanged(_) | Inserted::TooOld(_)) {
            self.active_at = now;
        }
        self.look_at_days();
        let next = match inserted {
            Inserted::Newest(slot) | Inserted::Refreshed(slot) => self.ask(slot, Some(arrived)),
            _ => Next::Nothing,
        };
        Ok(Observed { inserted, dropped, kept, scores, next })
    }

    /// The oldest of the forecasts that were published and had not reached the broker has.
    pub fn forecast_delivered(&mut self) {
        self.delivered = self.delivered.max(self.undelivered.pop_front());
    }

    /// The forecast of an origin that was published does not reach the broker, and is not waited for.
    pub fn forecast_not_handed_in(&mut self, origin: Timestamp) {
        if let Some(index) = self.undelivered.iter().position(|own| *own == origin) {
            self.undelivered.remove(index);
        }
    }

    /// Puts what was measured at `time` into the history, beside what else was measured in that second: the journal holds it as
    /// one reading, too.
    fn insert(&mut self, time: Timestamp, measured: Values) -> Inserted {
        let before = self.measured_at(time);
        let (inserted, second) = intake::insert(&mut self.history, time, before, &measured);
        if self.newest.is_none_or(|(newest, _)| time >= newest) {
            self.newest = Some((time, second));
        }
        inserted
    }

    /// What is known of what was measured in a second.
    fn measured_at(&self, time: Timestamp) -> Values {
        let newest = self.newest.filter(|(newest, _)| *newest == time);
        newest.map_or_else(|| self.history.measured_at(time), |(_, values)| values)
    }

    fn verify(&mut self, slot: Slot) -> Vec<Score> {
        self.verification.observed(slot, &self.model.manifest.window, &self.history)
    }

    fn forget_old_forecasts(&mut self) {
        if let Some(newest) = self.history.newest() {
            let manifest = &self.model.manifest;
            // An hour more, for readings that come late.
            let kept_h = i64::from(manifest.max_lead_h()) + 1;
            self.verification.forget_before(newest - kept_h * self.history.grid().slots_per_hour());
        }
    }
}
