//! One station: window, model and verification as a pure state machine, without I/O and without a clock.
//!
//! [`Station::observe`] takes a reading and the time of its arrival and says what follows: values dropped, earlier
//! forecasts scored, and either a window for the network or the baseline forecast that stands in for it. The
//! network's answer comes back through [`Station::complete`].

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::forecast::verification::{Score, Verification};
use crate::forecast::{Forecast, LeadForecast, Source};
use crate::intake::screening::{Dropped, Screening};
use crate::model::Model;
use crate::model::manifest::Manifest;
use crate::weather::quantity::{Quantity, Values};
use crate::weather::reading::StationName;
use crate::weather::thermodynamics::derive;
use crate::window::grid::Slot;
use crate::window::history::{History, Inserted};
use crate::window::spec::{Missing, WindowSpec};

/// Why a reading is not taken at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Its time lies ahead of the clock.
    #[error("reading of {time} is {} ahead of the clock", rough(*.ahead))]
    InFuture {
        /// The reading's time.
        time: Timestamp,
        /// How far ahead.
        ahead: SignedDuration,
    },
    /// Its time lies before everything that is kept.
    #[error("reading of {time} is {} behind the newest, further than history is kept", rough(*.behind))]
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
    NoPlausibleValue {
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
    pub const REASONS: [&'static str; 4] = ["in_future", "too_old", "far_past", "implausible"];

    /// The reason as a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejected::InFuture { .. } => "in_future",
            Rejected::TooOld { .. } => "too_old",
            Rejected::FarPast(_) => "far_past",
            Rejected::NoPlausibleValue { .. } => "implausible",
        }
    }
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
    /// The network is to be run on a window.
    Infer(Issue, Vec<f32>),
    /// The network cannot run yet; the baseline stands in for it.
    Baseline(Forecast),
}

/// What a window was taken for; comes back with the network's outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Issue {
    /// The slot that the window ends at.
    pub slot: Slot,
    /// The time of the newest reading.
    pub issued_at: Timestamp,
    /// The newest temperature, °C.
    pub newest_c: f32,
}

/// A forecast as it is published, and what was scored at once because its hours had come already.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The forecast.
    pub forecast: Forecast,
    /// Scores.
    pub scores: Vec<Score>,
}

/// Whether a station's window is complete.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Readiness {
    /// No reading yet.
    Silent,
    /// History is missing.
    WarmingUp(Missing),
    /// The network can run.
    Ready,
}

/// One station.
pub struct Station {
    name: StationName,
    model: Arc<Model>,
    history: History,
    screening: Screening,
    verification: Verification,
    readiness: Readiness,
    /// Time and values of the newest reading taken.
    newest: Option<(Timestamp, Values)>,
    /// How far ahead of the clock a reading may be.
    max_ahead: SignedDuration,
}

impl Station {
    /// A station of which nothing is known yet.
    pub fn new(name: StationName, model: Arc<Model>, max_ahead: SignedDuration) -> Station {
        let history = empty_history(&model.manifest);
        Station {
            name,
            model,
            history,
            screening: Screening::default(),
            verification: Verification::default(),
            readiness: Readiness::Silent,
            newest: None,
            max_ahead,
        }
    }

    /// The station's name.
    pub fn name(&self) -> &StationName {
        &self.name
    }

    /// Whether the window is complete.
    pub fn readiness(&self) -> Readiness {
        self.readiness
    }

    /// Time and values of the newest reading.
    pub fn newest(&self) -> Option<(Timestamp, Values)> {
        self.newest
    }

    /// The verification of the station's forecasts.
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// Takes what was measured at `time` and arrived at `now`.
    ///
    /// # Errors
    /// [`Rejected`] when nothing of it is taken; the station is then as it was.
    pub fn observe(
        &mut self,
        time: Timestamp,
        measured: Values,
        now: Timestamp,
    ) -> Result<Observed, Rejected> {
        let ahead = time.duration_since(now);
        if ahead > self.max_ahead {
            return Err(Rejected::InFuture { time, ahead });
        }
        let before = self.history.newest();
        let (inserted, dropped, kept) = self.take(time, measured)?;
        let mut scores = Vec::new();
        match inserted {
            Inserted::Newest(_) => {
                // What the newest slot held is final now that a later one has opened.
                if let Some(closed) = before {
                    scores = self.verification.observed(closed, &self.model.manifest.window, &self.history);
                }
                self.forget_old_forecasts();
            }
            Inserted::Late(slot) => {
                scores = self.verification.observed(slot, &self.model.manifest.window, &self.history);
            }
            Inserted::Refreshed(_) | Inserted::Unchanged(_) | Inserted::TooOld(_) => {}
        }
        let next = match inserted {
            Inserted::Newest(slot) | Inserted::Refreshed(slot) => self.issue(slot),
            _ => Next::Nothing,
        };
        Ok(Observed { inserted, dropped, kept, scores, next })
    }

    /// Takes a reading from the journal: like [`Station::observe`], but nothing is scored or forecast.
    pub fn restore_reading(&mut self, time: Timestamp, measured: Values) {
        // What was journalled was taken once; what is refused now lies before the window.
        let _ = self.take(time, measured);
    }

    /// Takes a forecast from the journal, so that it can still be verified.
    pub fn restore_forecast(&mut self, forecast: &Forecast) {
        let slot = self.history.grid().slot(forecast.issued_at);
        self.verification.issued_restored(slot, forecast);
    }

    /// Ends the restoration: what lies before the newest reading was scored before the restart.
    pub fn restored(&mut self) {
        let Some(newest) = self.history.newest() else { return };
        self.verification.mark_scored_until(newest - 1, &self.model.manifest.window);
        self.forget_old_forecasts();
        let mut window = vec![0.0; self.model.manifest.window.len()];
        self.readiness = match self.model.manifest.window.fill(&self.history, newest, &mut window) {
            Ok(()) => Readiness::Ready,
            Err(missing) => Readiness::WarmingUp(missing),
        };
    }

    /// Turns the network's outputs into the forecast that they mean.
    pub fn complete(&mut self, issue: &Issue, outputs: &[f32]) -> Completed {
        let forecast = self.forecast_of(issue, outputs);
        let spec = &self.model.manifest.window;
        let scores = self.verification.issued(issue.slot, &forecast, spec, &self.history);
        Completed { forecast, scores }
    }

    /// The forecast that stands in when the network failed on a window.
    pub fn persistence(&self, issue: &Issue) -> Forecast {
        let manifest = &self.model.manifest;
        let leads = manifest
            .lead_h
            .iter()
            .map(|&lead_h| LeadForecast {
                lead_h,
                valid_at: manifest.window.valid_at(issue.slot, lead_h).1,
                temperature_c: issue.newest_c,
                interval_c: None,
            })
            .collect();
        Forecast {
            station: self.name.clone(),
            issued_at: issue.issued_at,
            origin: manifest.window.grid().time(issue.slot),
            temperature_c: issue.newest_c,
            model: Source::Persistence.name().to_owned(),
            source: Source::Persistence,
            leads,
        }
    }

    /// Uses another model from now on. History is kept as far as the new model's window wants the same.
    pub fn adopt(&mut self, model: Arc<Model>) {
        let mut history = empty_history(&model.manifest);
        if let (Some(oldest), Some(newest)) = (self.history.oldest(), self.history.newest()) {
            for slot in oldest..=newest {
                let mut values = Values::NONE;
                for &quantity in self.history.quantities() {
                    values.set(quantity, self.history.value(slot, quantity));
                }
                if !values.is_empty() {
                    derive(&mut values);
                    history.insert(self.history.grid().time(slot), &values);
                }
            }
        }
        let same_grid = model.manifest.window.grid() == self.history.grid();
        if !same_grid {
            // Forecasts wait by slot of a grid that is no more.
            self.verification = Verification::default();
        }
        self.history = history;
        self.model = model;
    }

    /// Screens a reading, derives what follows, and puts it into the history.
    fn take(
        &mut self,
        time: Timestamp,
        mut values: Values,
    ) -> Result<(Inserted, Vec<Dropped>, Values), Rejected> {
        if time.as_second() < EARLIEST_S {
            return Err(Rejected::FarPast(time));
        }
        let slot = self.history.grid().slot(time);
        if let (Some(oldest), Some((newest, _))) = (self.history.oldest(), self.newest)
            && slot < oldest
        {
            return Err(Rejected::TooOld { time, behind: newest.duration_since(time) });
        }
        let dropped = self.screening.screen(time, &mut values);
        if values.is_empty() {
            let example = dropped.first().map_or_else(String::new, |dropped| {
                format!("{} = {} ({})", dropped.quantity, dropped.value, dropped.reason.label())
            });
            return Err(Rejected::NoPlausibleValue { time, example });
        }
        let kept = values;
        derive(&mut values);
        let inserted = self.history.insert(time, &values);
        if self.newest.is_none_or(|(newest, _)| time >= newest) {
            self.newest = Some((time, values));
        }
        Ok((inserted, dropped, kept))
    }

    /// Makes the window that ends at `slot`, or the baseline if there is none.
    fn issue(&mut self, slot: Slot) -> Next {
        let spec = &self.model.manifest.window;
        let issued_at = self.newest.map_or_else(|| spec.grid().time(slot), |(time, _)| time);
        let newest_c = spec.newest(&self.history, slot, Quantity::AirTemperature);
        let mut window = vec![0.0; spec.len()];
        match (spec.fill(&self.history, slot, &mut window), newest_c) {
            (Ok(()), Some(newest_c)) => {
                self.readiness = Readiness::Ready;
                self.model.manifest.normalisation.apply(&mut window);
                Next::Infer(Issue { slot, issued_at, newest_c }, window)
            }
            (Err(missing), Some(newest_c)) => {
                self.readiness = Readiness::WarmingUp(missing);
                Next::Baseline(self.persistence(&Issue { slot, issued_at, newest_c }))
            }
            (missing, None) => {
                // A temperature that was never measured leaves no window complete, so there is an error.
                self.readiness = missing.map_or_else(Readiness::WarmingUp, |()| Readiness::Ready);
                Next::Nothing
            }
        }
    }

    fn forecast_of(&self, issue: &Issue, outputs: &[f32]) -> Forecast {
        let manifest = &self.model.manifest;
        Forecast {
            station: self.name.clone(),
            issued_at: issue.issued_at,
            origin: manifest.window.grid().time(issue.slot),
            temperature_c: issue.newest_c,
            model: self.model.id.to_string(),
            source: Source::Model,
            leads: lead_forecasts(manifest, issue, outputs),
        }
    }

    fn forget_old_forecasts(&mut self) {
        if let Some(newest) = self.history.newest() {
            let manifest = &self.model.manifest;
            let steps_per_hour = i64::from(3600 / manifest.window.grid_step_s);
            // An hour more, for readings that come late.
            let kept_h = i64::from(manifest.max_lead_h()) + 1;
            self.verification.forget(newest - kept_h * steps_per_hour);
        }
    }
}

/// What the network's outputs `[lead]` or `[lead, quantile]` mean in °C.
///
/// The point forecast is the median; the interval is from the lowest to the highest quantile, put in order if the
/// network crossed them.
pub fn lead_forecasts(manifest: &Manifest, issue: &Issue, outputs: &[f32]) -> Vec<LeadForecast> {
    let quantiles = manifest.quantiles.len().max(1);
    let median = manifest.quantiles.iter().position(|&quantile| quantile == 0.5).unwrap_or(0);
    let temperature = |output: f32| manifest.target.temperature_c(output, issue.newest_c);
    manifest
        .lead_h
        .iter()
        .zip(outputs.chunks_exact(quantiles))
        .map(|(&lead_h, own)| {
            let temperature_c = temperature(own[median]);
            let (first, last) = (temperature(own[0]), temperature(own[quantiles - 1]));
            let interval_c = (quantiles > 1)
                .then(|| (first.min(last).min(temperature_c), last.max(first).max(temperature_c)));
            LeadForecast {
                lead_h,
                valid_at: manifest.window.valid_at(issue.slot, lead_h).1,
                temperature_c,
                interval_c,
            }
        })
        .collect()
}

fn empty_history(manifest: &Manifest) -> History {
    let spec: &WindowSpec = &manifest.window;
    History::new(spec.grid(), &spec.quantities(), spec.history_slots(manifest.max_lead_h()))
}

/// A duration as a person says it: `3 min`, `5 h`, `12 d`.
pub fn rough(duration: SignedDuration) -> String {
    let minutes = duration.as_secs().abs() / 60;
    match minutes {
        0 => format!("{} s", duration.as_secs().abs()),
        1..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}
