//! One station: window, forecasts and verification as a pure state machine, without I/O and without a clock.
//!
//! [`Station::observe`] takes a reading and says what follows: values dropped, earlier forecasts scored, and either windows
//! for the models or the reference forecast that stands in for them. The models' outputs come back through
//! [`Station::answer`], and the forecast that they make through [`Station::next_completed`]. What a station remembers beyond its readings and forecasts is [`Station::state`]; with readings and
//! forecasts of the journal it makes the same station again ([`Station::restore`]), bit for bit.
//!
//! A station [with experts](Setup::has_experts) forecasts what they say together; then every forecast, also one without a
//! model, waits for those before it, so that experts learn in the order of origins.
//!
//! | file | noun |
//! | --- | --- |
//! | `in_flight` | forecasts that models were asked for, and what they become |
//! | `models` | the models of the station, and the history that serves them all |
//! | `experts` | what its experts forecast together |
//! | `moves` | where it stands, as its payload has it, and what becomes of it when it stands elsewhere |
//! | `character` | what its days are like, and what is odd about them |
//! | `view` | what it shows of itself |

mod character;
mod experts;
mod in_flight;
mod models;
mod moves;
mod view;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::forecast::experts::QUANTILES;
use crate::forecast::quantiles::outward;
use crate::forecast::verification::{Score, Scores, Verification};
use crate::forecast::{Forecast, LeadForecast, Source, from_centidegrees, to_centidegrees};
use crate::intake::screening::{Dropped, Screening};
use crate::intake::{self, Intake};
use crate::journal::{Recall, Restored};
use crate::model::Model;
use crate::model::manifest::Manifest;
use crate::model::outputs;
use crate::weather::place::Place;
use crate::weather::quantity::{Quantity, Values};
use crate::weather::reading::StationName;
use crate::weather::thermodynamics::derive;
use crate::window::grid::Slot;
use crate::window::history::{History, Inserted};
use crate::window::spec::{Missing, Unready};

use character::Character;
pub use character::Oddity;
use experts::StationExperts;
use in_flight::InFlight;
pub use in_flight::{Completed, ModelWindow};
pub use models::Adopted;
use models::empty_history;
use moves::Reported;
pub use moves::Sighting;

/// Why a reading is not taken at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Rejected {
    /// Its time lies ahead of the clock.
    #[error("reading of {time} is {} ahead of the clock{}", humanize(*.ahead), local_time_hint(*.ahead))]
    InFuture {
        /// The reading's time.
        time: Timestamp,
        /// How far ahead.
        ahead: SignedDuration,
    },
    /// Its time lies before everything that is kept.
    #[error("reading of {time} is {} behind the newest, further than history is kept", humanize(*.behind))]
    TooOld {
        /// The reading's time.
        time: Timestamp,
        /// How far behind.
        behind: SignedDuration,
    },
    /// Its time is before there were such stations.
    #[error("reading of {0} is from before {EARLIEST_YEAR}: the station's clock is not set")]
    FarPast(Timestamp),
    /// No value was left after screening.
    #[error("no value of the reading of {time} is plausible, such as {example}")]
    Implausible {
        /// The reading's time.
        time: Timestamp,
        /// One of the values.
        example: String,
    },
}

/// Readings from before this year come from a clock that is not set.
const EARLIEST_YEAR: i16 = 1990;
/// 1990-01-01T00:00:00Z.
const EARLIEST_S: i64 = 631_152_000;

impl Rejected {
    /// Every reason's label, for metrics.
    pub const REASONS: &'static [&'static str] = <Rejected as strum::VariantNames>::VARIANTS;

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        self.into()
    }
}

/// Whether a time so far ahead of the clock looks like local time that was marked as UTC: a whole number of half hours,
/// up to the widest offset there is.
pub(crate) fn looks_like_local_time(ahead: SignedDuration) -> bool {
    const HALF_HOUR_S: i64 = 1800;
    const WIDEST_S: i64 = 14 * 3600;
    // A reading is a little old when it arrives, so that it is ahead by a little less than the offset.
    const BELOW_S: i64 = 180;
    const ABOVE_S: i64 = 60;
    let ahead_s = ahead.as_secs();
    let distance_s = (ahead_s + HALF_HOUR_S / 2).rem_euclid(HALF_HOUR_S) - HALF_HOUR_S / 2;
    (HALF_HOUR_S - BELOW_S..=WIDEST_S + ABOVE_S).contains(&ahead_s)
        && (-BELOW_S..=ABOVE_S).contains(&distance_s)
}

fn local_time_hint(ahead: SignedDuration) -> &'static str {
    if looks_like_local_time(ahead) { ": is the station's clock in local time?" } else { "" }
}

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

/// Whether a station's window is complete.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Readiness {
    /// No reading yet.
    Silent,
    /// History is missing.
    WarmingUp(Missing),
    /// The model can run.
    Ready,
    /// The model is for any place, and it is not known where the station stands.
    NoPlace,
    /// The model is for one site, so many kilometres away.
    Elsewhere(u32),
}

impl From<Unready> for Readiness {
    fn from(unready: Unready) -> Readiness {
        match unready {
            Unready::Missing(missing) => Readiness::WarmingUp(missing),
            Unready::NoPlace => Readiness::NoPlace,
            Unready::Elsewhere(distance_km) => Readiness::Elsewhere(distance_km),
        }
    }
}

/// How a station is set up, apart from its model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Setup {
    /// Where it stands, as the configuration says. What its payload has counts where this is rough.
    pub place: Option<Place>,
    /// Whether a model that is for one site may run elsewhere.
    pub runs_anywhere: bool,
    /// Whether forecasts are what experts say together; else the model or persistence alone forecasts.
    pub has_experts: bool,
    /// A threshold beside 0 °C of which it is said how likely it becomes colder, °C.
    pub threshold_c: Option<f32>,
}

impl Setup {
    /// The thresholds of which it is said how likely it becomes colder, °C: frost, and the user's own.
    fn thresholds_c(self) -> impl Iterator<Item = f32> {
        std::iter::once(FROST_C).chain(self.threshold_c)
    }
}

/// Below this it is frost, °C.
const FROST_C: f32 = 0.0;

/// One station.
#[derive(Debug, Clone)]
pub struct Station {
    name: StationName,
    setup: Setup,
    /// Where its payload says that it stands.
    reported: Option<Reported>,
    character: Character,
    /// What was found to be odd since it was last taken.
    oddities: Vec<Oddity>,
    /// The main model.
    model: Arc<Model>,
    /// Those beside it that are for this station, by rising id.
    specialists: Box<[Arc<Model>]>,
    history: History,
    screening: Screening,
    verification: Verification,
    readiness: Readiness,
    /// Time and temperature of the newest reading taken.
    newest: Option<(Timestamp, Option<f32>)>,
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
    /// Up to which slot forecasts were scored before readings of the future were dropped, until the journal has answered.
    scored_until: Option<Slot>,
}

/// What [`Station::state`] writes. Times are whole seconds since the Unix epoch: readings have no finer ones.
#[derive(Serialize, Deserialize)]
struct State {
    screening: Screening,
    scores: Scores,
    newest_s: Option<i64>,
    /// Origins of forecasts that are owed: slot, second of issue, newest temperature.
    owed: Vec<(Slot, i64, f32)>,
    grid_step_s: u32,
    delivered_until_s: Option<i64>,
    active_at_s: i64,
}

/// The format of [`State`], its first byte.
const STATE_FORMAT: u8 = 1;

impl Station {
    /// A station of which nothing is known yet.
    pub fn new(name: StationName, model: Arc<Model>) -> Station {
        Station {
            name,
            setup: Setup::default(),
            reported: None,
            character: Character::default(),
            oddities: Vec::new(),
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
        self.model.manifest.window.too_far_km(own).map(|distance_km| distance_km.round() as u32)
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
        self.newest
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
        if time.as_second() < EARLIEST_S {
            return Err(Rejected::FarPast(time));
        }
        let slot = self.history.grid().slot(time);
        if let (Some(oldest), Some((newest, _))) = (self.history.oldest(), self.newest)
            && (slot < oldest || self.is_of_another_place(time))
        {
            return Err(Rejected::TooOld { time, behind: newest.duration_since(time) });
        }
        let Intake { kept, derived, dropped } = intake::take(&mut self.screening, time, measured);
        if kept.is_empty() {
            let example = dropped.first().map_or_else(String::new, |dropped| {
                format!("{} = {} ({})", dropped.quantity, dropped.value, dropped.reason.label())
            });
            return Err(Rejected::Implausible { time, example });
        }
        // What the newest slot held is final when a later one opens, which may push it out of the history.
        let closed = self.history.newest().filter(|newest| *newest < slot);
        let mut scores = closed.map_or_else(Vec::new, |closed| self.verify(closed));
        let inserted = self.insert(time, derived);
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

    /// Scores a forecast for hours that have been observed already, and remembers it.
    fn completed(&mut self, origin: &Origin, forecast: &Forecast, is_superseded: bool) -> Vec<Score> {
        let spec = &self.model.manifest.window;
        let is_own = forecast.model == *self.model.id;
        let scores = match is_superseded {
            true => Vec::new(),
            false => self.verification.issued(origin.slot, forecast, is_own, spec, &self.history),
        };
        self.issued(forecast);
        scores
    }

    /// The oldest of the forecasts that were published and had not reached the broker has.
    pub fn forecast_delivered(&mut self) {
        self.delivered = self.delivered.max(self.undelivered.pop_front());
    }

    /// Forecasts up to this origin have reached the broker, in the version that counts.
    fn delivered_until(&self) -> Option<Timestamp> {
        match self.undelivered.iter().min() {
            // A forecast may be made again for an origin of which an earlier version was delivered.
            Some(&oldest) => {
                self.delivered.map(|delivered| delivered.min(oldest - SignedDuration::from_secs(1)))
            }
            None => self.delivered,
        }
    }

    /// Drops everything later than `limit`: it was measured by a clock that was ahead, or seen by one. Whether there was
    /// anything.
    pub fn drop_after(&mut self, limit: Timestamp) -> bool {
        let Some((newest, _)) = self.newest.filter(|(newest, _)| *newest > limit) else { return false };
        let grid = self.history.grid();
        // The slot of the limit may hold later readings too: it goes.
        let last = grid.slot(limit) - 1;
        self.history.truncate(last);
        self.verification.forget_after(last);
        self.in_flight.retain(|asked| asked.origin.slot <= last);
        self.screening.forget_after(limit);
        if let Some(experts) = &mut self.experts {
            experts.drop_after(limit);
        }
        self.newest = self.history.newest().map(|slot| {
            let temperature = self.history.value(slot, Quantity::AirTemperature);
            (grid.time(slot).min(newest), (!temperature.is_nan()).then_some(temperature))
        });
        self.newest_forecast = None;
        // What is left was closed by what is not.
        self.scored_until = self.history.newest();
        self.delivered = self.delivered.min(Some(limit));
        self.measure_readiness();
        true
    }

    /// What the journal may hold of the time up to `limit` that a clock which was ahead has pushed out of the history.
    pub fn recall(&self, limit: Timestamp) -> Recall {
        let grid = self.history.grid();
        let last = grid.slot(limit);
        let leads = grid.hours_to_slots(i64::from(self.model.manifest.max_lead_h()) + 1);
        let since = |slot| {
            let time = grid.time(slot);
            self.moved_at().map_or(time, |moved_at| time.max(moved_at))
        };
        Recall {
            station: self.name.clone(),
            readings_from: since(last - self.history.capacity() as i64),
            forecasts_from: since(last - leads),
        }
    }

    /// Takes back what the journal held; what is known by now stays as it is. Says which of the forecasts that are back have
    /// been scored, for hours that were observed since readings of the future were dropped.
    pub fn recalled(&mut self, restored: &Restored, limit: Timestamp) -> Vec<Score> {
        let grid = self.history.grid();
        let readings = restored.readings.iter().filter(|(time, _)| *time <= limit);
        let since = self.readings().next().map_or(Slot::MAX, |(time, _)| grid.slot(time));
        let before = readings.clone().map(|(time, _)| grid.slot(*time)).filter(|slot| *slot < since).max();
        // Where only readings were asked for, the answer about forecasts may still come.
        let dropped_until = if restored.forecasts.is_empty() { None } else { self.scored_until.take() };
        let scored_until = dropped_until.or(before).unwrap_or(Slot::MIN);
        for (time, values) in readings {
            let mut derived = *values;
            derive(&mut derived);
            self.insert(*time, derived);
        }
        let mut scores = Vec::new();
        let forecasts = restored.forecasts.iter().filter(|forecast| forecast.issued_at <= limit);
        for forecast in forecasts {
            let slot = grid.slot(forecast.origin);
            let is_in_flight = self.in_flight.iter().any(|asked| asked.origin.slot == slot);
            if !is_in_flight && !self.verification.is_pending(slot) {
                self.restore_pending(slot, forecast, scored_until);
                let spec = &self.model.manifest.window;
                scores.extend(self.verification.score_observed(slot, spec, &self.history));
            }
        }
        self.forget_old_forecasts();
        self.measure_readiness();
        scores
    }

    fn restore_pending(&mut self, slot: Slot, forecast: &Forecast, scored_until: Slot) {
        let is_own = forecast.model == *self.model.id;
        let spec = &self.model.manifest.window;
        self.verification.restore(slot, forecast, is_own, scored_until, spec, &self.history);
    }

    /// The forecasts in memory: those of the model in use that wait for their hours, and the newest one.
    pub fn forecasts(&self) -> impl Iterator<Item = Forecast> + '_ {
        let pending = self.verification.own_pending().map(|(slot, issued_after_s, newest_c, leads)| {
            let issued_at = self.history.grid().time(slot) + SignedDuration::from_secs(issued_after_s);
            let leads = leads.map(|(lead_h, temperature_c, interval_c)| LeadForecast {
                lead_h,
                valid_at: self.model.manifest.window.valid_at(slot, lead_h).1,
                temperature_c,
                interval_c,
                quantiles_c: None,
            });
            self.forecast(&Origin { slot, issued_at, newest_c }, Source::Model, leads.collect())
        });
        pending.chain(self.newest_forecast.clone())
    }

    /// What the journal must hold for [`Station::restore`] beyond readings and forecasts.
    pub fn state(&self) -> Vec<u8> {
        let mut owed: Vec<(Slot, i64, f32)> = Vec::new();
        for InFlight { origin, .. } in &self.in_flight {
            // A window that was taken again for the same slot stands for both.
            owed.retain(|(slot, ..)| *slot != origin.slot);
            owed.push((origin.slot, origin.issued_at.as_second(), origin.newest_c));
        }
        let state = State {
            screening: self.screening.clone(),
            scores: self.scores().clone(),
            newest_s: self.newest.map(|(time, _)| time.as_second()),
            owed,
            grid_step_s: self.model.manifest.window.grid_step_s,
            delivered_until_s: self.delivered_until().map(Timestamp::as_second),
            active_at_s: self.active_at.as_second(),
        };
        let bytes = vec![STATE_FORMAT];
        let own = (self.reported, self.character);
        let written = postcard::to_extend(&state, bytes).and_then(|bytes| postcard::to_extend(&own, bytes));
        written.expect("numbers in vectors can be written")
    }

    /// What the history holds, slot by slot.
    pub fn readings(&self) -> impl Iterator<Item = (Timestamp, Values)> + '_ {
        let slots = self.history.oldest().zip(self.history.newest()).map(|(oldest, newest)| oldest..=newest);
        slots.into_iter().flatten().filter_map(|slot| {
            let mut values = Values::NONE;
            for &quantity in self.history.quantities() {
                values.set(quantity, self.history.value(slot, quantity));
            }
            (!values.is_empty()).then(|| (self.history.grid().time(slot), values))
        })
    }

    /// From when on a restart needs readings.
    pub fn readings_from(&self) -> Timestamp {
        let newest = self.history.newest().unwrap_or(0);
        let oldest_window = self.in_flight.front().map_or(newest, |asked| asked.origin.slot);
        let oldest = self.history.grid().time(oldest_window.min(newest) - self.history.capacity() as i64);
        self.moved_at().map_or(oldest, |moved_at| oldest.max(moved_at))
    }

    /// From which origin on a restart needs forecasts.
    pub fn forecasts_from(&self) -> Timestamp {
        let grid = self.history.grid();
        let newest = self.history.newest().unwrap_or(0);
        let pending = self.verification.oldest_pending().unwrap_or(newest).min(newest);
        let pending_from = grid.time(pending);
        // What was never delivered is published after a restart, as far back as that helps anybody.
        let undelivered_from = self.undelivered.iter().min().copied().unwrap_or(pending_from);
        let oldest = pending_from.min(undelivered_from).max(grid.time(newest - MAX_UNDELIVERED));
        self.moved_at().map_or(oldest, |moved_at| oldest.max(moved_at))
    }

    /// Makes a station again from what the journal held. Readings and forecasts later than `limit` are left out: a clock was
    /// ahead. Says what is to be done then: windows that were owed, and forecasts that may not have been delivered.
    pub fn restore(
        model: Arc<Model>,
        specialists: Box<[Arc<Model>]>,
        setup: Setup,
        restored: &Restored,
        limit: Timestamp,
    ) -> (Station, Vec<Next>, Vec<Forecast>) {
        let mut station = Station::new(restored.station.clone(), model).with_specialists(specialists);
        station.setup = setup;
        if setup.has_experts {
            let experts = StationExperts::restore(&station.model.manifest, restored.experts.as_deref());
            station.experts = Some(Box::new(experts));
        }
        let state = restored.state.as_deref().and_then(read_state);
        let mut owed: VecDeque<Origin> = VecDeque::new();
        if let Some((state, reported, character)) = state {
            (station.reported, station.character) = (reported, character);
            station.screening = state.screening;
            station.verification = Verification::with_scores(state.scores);
            let second = |second: i64| Timestamp::from_second(second).ok();
            station.delivered = state.delivered_until_s.and_then(second);
            station.active_at = second(state.active_at_s).unwrap_or(Timestamp::UNIX_EPOCH);
            if state.grid_step_s == station.model.manifest.window.grid_step_s {
                let origins = state.owed.into_iter().filter_map(|(slot, issued_at_s, newest_c)| {
                    Some(Origin { slot, issued_at: second(issued_at_s)?, newest_c })
                });
                owed.extend(origins.filter(|origin| origin.issued_at <= limit));
            }
        } else {
            // A journal of before there were states: its readings were believed once.
            for (time, values) in restored.readings.iter().filter(|(time, _)| *time <= limit) {
                let mut values = *values;
                station.screening.screen(*time, &mut values);
            }
            station.active_at = restored.readings.last().map_or(Timestamp::UNIX_EPOCH, |(time, _)| *time);
            station.delivered = restored.forecasts.last().map(|forecast| forecast.origin);
        }
        let mut next = Vec::new();
        owed.make_contiguous().sort_by_key(|origin| origin.slot);
        for (time, values) in restored.readings.iter().filter(|(time, _)| *time <= limit) {
            let slot = station.history.grid().slot(*time);
            while let Some(origin) = owed.front().copied().filter(|origin| origin.slot < slot) {
                owed.pop_front();
                next.extend(station.ask_again(origin));
            }
            let mut derived = *values;
            derive(&mut derived);
            station.insert(*time, derived);
        }
        for origin in owed {
            next.extend(station.ask_again(origin));
        }
        while let Some(Completed { forecast, .. }) = station.next_completed() {
            next.push(Next::Reference(forecast));
        }
        let mut undelivered = Vec::new();
        let forecasts = restored.forecasts.iter().filter(|forecast| forecast.issued_at <= limit);
        for forecast in forecasts {
            let slot = station.history.grid().slot(forecast.origin);
            if station.in_flight.iter().all(|asked| asked.origin.slot != slot) {
                // The newest slot was still open.
                let scored_until = station.history.newest().map_or(Slot::MIN, |newest| newest - 1);
                station.restore_pending(slot, forecast, scored_until);
            }
            if station.delivered.is_none_or(|until| forecast.origin > until) {
                station.undelivered.push_back(forecast.origin);
                undelivered.push(forecast.clone());
            }
            station.newest_forecast = Some(forecast.clone());
        }
        station.forget_old_forecasts();
        station.measure_readiness();
        if restored.readings.iter().any(|(time, _)| *time > limit) {
            station.screening.forget_after(limit);
            if let Some(experts) = &mut station.experts {
                experts.drop_after(limit);
            }
        }
        (station, next, undelivered)
    }

    /// Where a station that is restored stands.
    pub fn restored_place(setup: Setup, restored: &Restored) -> Option<Place> {
        let reported = restored.state.as_deref().and_then(read_state).and_then(|(_, reported, _)| reported);
        moves::place(setup.place, reported)
    }

    /// Puts a reading, with what follows from it, into the history.
    fn insert(&mut self, time: Timestamp, values: Values) -> Inserted {
        let inserted = self.history.insert(time, &values);
        if self.newest.is_none_or(|(newest, _)| time >= newest) {
            self.newest = Some((time, values.get(Quantity::AirTemperature)));
        }
        inserted
    }

    /// Takes the windows that end at `slot`, or makes the reference forecast if there is none.
    fn ask(&mut self, slot: Slot, arrived: Option<Duration>) -> Next {
        let spec = &self.model.manifest.window;
        let issued_at = self.newest.map_or_else(|| spec.grid().time(slot), |(time, _)| time);
        let newest_c = spec.newest(&self.history, slot, Quantity::AirTemperature);
        let (windows, readiness) = self.windows(slot);
        self.readiness = readiness;
        // A temperature that was never measured leaves no window complete.
        let Some(newest_c) = newest_c else { return Next::Nothing };
        let origin = Origin { slot, issued_at, newest_c };
        if !windows.is_empty() {
            return Next::Infer(self.asked(origin, arrived, &windows), windows);
        }
        if self.experts.is_some() {
            self.asked(origin, arrived, &[]);
            let completed = self.next_completed();
            return completed.map_or(Next::Nothing, |completed| Next::Reference(completed.forecast));
        }
        let forecast = self.reference_forecast(&origin);
        self.issued(&forecast);
        Next::Reference(forecast)
    }

    /// Takes windows once more that were asked for before a restart.
    fn ask_again(&mut self, origin: Origin) -> Option<Next> {
        let (windows, _) = self.windows(origin.slot);
        if windows.is_empty() {
            // The models are others, or readings were lost with a disk.
            if self.experts.is_some() {
                self.asked(origin, None, &[]);
                return None;
            }
            let forecast = self.reference_forecast(&origin);
            self.issued(&forecast);
            return Some(Next::Reference(forecast));
        }
        Some(Next::Infer(self.asked(origin, None, &windows), windows))
    }

    fn verify(&mut self, slot: Slot) -> Vec<Score> {
        self.verification.observed(slot, &self.model.manifest.window, &self.history)
    }

    /// Persistence, as the reference forecast.
    fn reference_forecast(&self, origin: &Origin) -> Forecast {
        let manifest = &self.model.manifest;
        let temperature_c = to_centidegrees(origin.newest_c).map_or(origin.newest_c, from_centidegrees);
        let leads = manifest.lead_h.iter().map(|&lead_h| LeadForecast {
            lead_h,
            valid_at: manifest.window.valid_at(origin.slot, lead_h).1,
            temperature_c,
            interval_c: None,
            quantiles_c: None,
        });
        self.forecast(origin, Source::Persistence, leads.collect())
    }

    fn forecast(&self, origin: &Origin, source: Source, leads: Vec<LeadForecast>) -> Forecast {
        Forecast {
            station: self.name.clone(),
            issued_at: origin.issued_at,
            origin: self.history.grid().time(origin.slot),
            temperature_c: origin.newest_c,
            model: match source {
                Source::Model => self.model.id.to_string(),
                Source::Persistence | Source::Reference => source.name().to_owned(),
            },
            source,
            leads,
            day_ahead: None,
        }
    }

    fn issued(&mut self, forecast: &Forecast) {
        self.undelivered.push_back(forecast.origin);
        let is_newer = |newest: &Forecast| newest.origin <= forecast.origin;
        if self.newest_forecast.as_ref().is_none_or(is_newer) {
            self.newest_forecast = Some(forecast.clone());
        }
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

/// Forecasts of one station that are published after a restart because they may not have been delivered, in slots of the grid.
const MAX_UNDELIVERED: i64 = 10_000;

/// What an earlier version wrote ends after the state, and knew neither a reported place nor what days are like.
fn read_state(bytes: &[u8]) -> Option<(State, Option<Reported>, Character)> {
    let (&format, state) = bytes.split_first()?;
    if format != STATE_FORMAT {
        return None;
    }
    let (state, rest) = postcard::take_from_bytes(state).ok()?;
    let (reported, character): (Option<Reported>, Character) = postcard::from_bytes(rest).unwrap_or_default();
    Some((state, reported.filter(Reported::is_sound), character))
}

/// What the model's outputs `[lead]` or `[lead, quantile]` mean in °C; `None` when one is no temperature that a thermometer
/// shows.
fn degrees(manifest: &Manifest, origin: &Origin, outputs: &[f32]) -> Option<Vec<LeadForecast>> {
    if outputs.len() != manifest.outputs() {
        return None;
    }
    let (lowest, highest) = Quantity::AirTemperature.plausible_range();
    // A forecast may go beyond what was ever measured, not beyond what can be.
    let plausible = lowest - MARGIN_C..=highest + MARGIN_C;
    let judge = |temperature_c: f32| {
        plausible.contains(&temperature_c).then(|| to_centidegrees(temperature_c).map(from_centidegrees))?
    };
    let degrees_of = |own: &[f32]| -> Option<[f32; QUANTILES.len()]> {
        let own = own.iter().map(|&output| judge(manifest.target.temperature_c(output, origin.newest_c)));
        outward(&manifest.quantiles, &own.collect::<Option<Vec<f32>>>()?)
    };
    let own = outputs.chunks_exact(manifest.quantiles.len().max(1));
    let leads = outputs::decode_outputs(manifest, origin.newest_c, outputs).zip(own).map(|(decoded, own)| {
        let interval_c = match decoded.interval_c {
            Some((low, high)) => Some((judge(low)?, judge(high)?)),
            None => None,
        };
        Some(LeadForecast {
            lead_h: decoded.lead_h,
            valid_at: manifest.window.valid_at(origin.slot, decoded.lead_h).1,
            temperature_c: judge(decoded.temperature_c)?,
            interval_c,
            quantiles_c: degrees_of(own),
        })
    });
    leads.collect()
}

/// How far the ends of an interval may lie beyond what was ever measured, °C.
const MARGIN_C: f32 = 20.0;

/// A duration as a person says it: `3 min`, `5 h`, `12 d`.
pub fn humanize(duration: SignedDuration) -> String {
    let minutes = duration.as_secs().abs() / 60;
    match minutes {
        0 => format!("{} s", duration.as_secs().abs()),
        1..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}
