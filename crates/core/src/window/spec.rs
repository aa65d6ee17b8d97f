//! The model's input window: the one function that makes it, for training and for the daemon.
//!
//! A window ends at a slot `t`; its samples lie at `t − (samples − 1) · sample_every`, …, `t − sample_every`, `t`.
//! Values are physical; normalisation comes after.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::weather::quantity::Quantity;
use crate::weather::site::{Site, SiteError};
use crate::window::feature::{Feature, FeatureContext};
use crate::window::grid::{Grid, Slot};
use crate::window::history::History;

/// How a model's input window is cut from a station's history. Part of the manifest of every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Seconds between two slots of the history.
    pub grid_step_s: u32,
    /// Seconds between two samples of the window.
    pub sample_every_s: u32,
    /// How many samples the window has (the lookback).
    pub samples: usize,
    /// The longest hole, from measurement to measurement, that is filled, in seconds.
    pub max_hole_s: u32,
    /// The one site that the model is for; `None` for a model that is for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// What stands for values that were not measured.
    #[serde(default, skip_serializing_if = "MissingValues::is_refused")]
    pub missing: MissingValues,
    /// The columns of a window, in the order of the network's input.
    pub features: Vec<Feature>,
}

/// What a window holds where something was not measured and cannot be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingValues {
    /// There is no window then.
    #[default]
    Refused,
    /// The feature's mean, which is zero once it is normalised; only the newest temperature must be there. Such a model
    /// was trained with holes, and has [`Feature::Available`] among its features.
    Mean,
}

impl MissingValues {
    fn is_refused(&self) -> bool {
        *self == MissingValues::Refused
    }
}

/// What is wrong with a [`WindowSpec`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WindowSpecError {
    /// The grid's step does not divide an hour.
    #[error("grid_step_s = {0} does not divide an hour")]
    GridStep(u32),
    /// The sampling interval is no multiple of the grid's step.
    #[error("sample_every_s = {0} is no multiple of grid_step_s = {1}")]
    SampleEvery(u32, u32),
    /// The number of samples is out of range.
    #[error("samples = {0} is not between 1 and {max}", max = WindowSpec::MAX_SAMPLES)]
    Samples(usize),
    /// The longest hole is shorter than a step or longer than a day.
    #[error("max_hole_s = {0} is not between grid_step_s and a day")]
    MaxHole(u32),
    /// No feature, or too many.
    #[error("{0} features are not between 1 and {max}", max = WindowSpec::MAX_FEATURES)]
    Features(usize),
    /// To fill the holes of one window could take too long.
    #[error(
        "max_hole_s = {max_hole_s} over {samples} samples × {features} features is too long a hole to fill"
    )]
    Holes {
        /// The longest hole that would be filled, in seconds.
        max_hole_s: u32,
        /// The number of samples in a window.
        samples: usize,
        /// The number of features in a sample.
        features: usize,
    },
    /// The site is not on earth.
    #[error("site: {0}")]
    Site(SiteError),
}

/// Why there is no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unready {
    /// History is missing.
    Missing(Missing),
    /// The model is for any place, and it is not known where the station stands.
    NoPlace,
    /// The model is for one site, so many kilometres away.
    Elsewhere(u32),
}

impl From<Missing> for Unready {
    fn from(missing: Missing) -> Unready {
        Unready::Missing(missing)
    }
}

/// Why no window can be made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} is missing, for another {:.1} h", .quantity.name(), .remaining.as_secs_f64() / 3600.0)]
pub struct Missing {
    /// How long readings must still come without a hole until a window is complete.
    pub remaining: SignedDuration,
    /// The first quantity found missing.
    pub quantity: Quantity,
}

impl WindowSpec {
    /// A model for one site is good for stations within this distance of it, km.
    pub const MAX_DISTANCE_KM: f64 = 50.0;
    /// The most samples a window may have.
    pub const MAX_SAMPLES: usize = 10_000;
    /// The most features a window may have.
    pub const MAX_FEATURES: usize = 256;
    /// The most slots that are looked at to fill the holes of one window: some 20 ms, in the task that all stations share.
    const MAX_VISITS: i64 = 20_000_000;

    /// Checks that windows can be made this way.
    ///
    /// # Errors
    /// The first [`WindowSpecError`] found.
    pub fn validate(&self) -> Result<(), WindowSpecError> {
        if self.grid_step_s == 0 || 3600 % self.grid_step_s != 0 {
            return Err(WindowSpecError::GridStep(self.grid_step_s));
        }
        if self.sample_every_s == 0 || !self.sample_every_s.is_multiple_of(self.grid_step_s) {
            return Err(WindowSpecError::SampleEvery(self.sample_every_s, self.grid_step_s));
        }
        if self.sample_every_s > 86_400 {
            return Err(WindowSpecError::SampleEvery(self.sample_every_s, self.grid_step_s));
        }
        if !(1..=WindowSpec::MAX_SAMPLES).contains(&self.samples) {
            return Err(WindowSpecError::Samples(self.samples));
        }
        if !(self.grid_step_s..=86_400).contains(&self.max_hole_s) {
            return Err(WindowSpecError::MaxHole(self.max_hole_s));
        }
        if !(1..=WindowSpec::MAX_FEATURES).contains(&self.features.len()) {
            return Err(WindowSpecError::Features(self.features.len()));
        }
        self.site.map_or(Ok(()), |site| site.validate()).map_err(WindowSpecError::Site)
    }

    /// Checks that the holes of a window are filled in time.
    ///
    /// # Errors
    /// [`WindowSpecError::Holes`].
    pub(crate) fn validate_holes(&self) -> Result<(), WindowSpecError> {
        // Each value, and where a window is refused each slot of it, may lie in a hole that is walked through.
        let (samples, features) = (self.samples, self.features.len());
        let values = (samples as i64).max(self.span_slots() + 1).saturating_mul(features as i64);
        match values.saturating_mul(self.max_hole_slots()) > WindowSpec::MAX_VISITS {
            true => Err(WindowSpecError::Holes { max_hole_s: self.max_hole_s, samples, features }),
            false => Ok(()),
        }
    }

    /// The time grid of the history that windows are cut from.
    ///
    /// # Panics
    /// If the specification was not validated.
    pub fn grid(&self) -> Grid {
        Grid::new(self.grid_step_s).expect("the grid step of a validated specification")
    }

    /// The quantities that the history must keep, each once; air temperature always, for the target.
    pub fn quantities(&self) -> Vec<Quantity> {
        let mut quantities = vec![Quantity::AirTemperature];
        for quantity in self.features.iter().flat_map(|feature| feature.quantities()) {
            if !quantities.contains(quantity) {
                quantities.push(*quantity);
            }
        }
        quantities
    }

    /// The quantities of those that a station must measure for a window.
    pub fn required_quantities(&self) -> Vec<Quantity> {
        match self.missing {
            MissingValues::Refused => self.quantities(),
            MissingValues::Mean => vec![Quantity::AirTemperature],
        }
    }

    /// How many numbers a window has: samples × features.
    pub fn len(&self) -> usize {
        self.samples * self.features.len()
    }

    /// Whether a window would have no numbers; never true of a validated specification.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots from the earliest slot that a window looks at to its end.
    pub fn span_slots(&self) -> i64 {
        let reach_s = self.features.iter().map(|feature| feature.reach_s()).max().unwrap_or(0);
        let span_s = (self.samples as i64 - 1) * i64::from(self.sample_every_s) + i64::from(reach_s);
        span_s / i64::from(self.grid_step_s)
    }

    /// How many slots a live station's history must keep for windows and verification over `lead_h` hours: the
    /// window with what fills holes at its beginning, and an hour more than two days, or than a day and the longest lead: a
    /// day before an origin for the reference forecasts, and what may come before its forecast is complete.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a manifest whose history is larger than memory is refused"
    )]
    pub fn history_slots(&self, lead_h: u32) -> usize {
        let grid = self.grid();
        let window = self.span_slots() + self.max_hole_slots() + grid.slots_per_hour();
        let verification = grid.hours_to_slots(i64::from(lead_h.max(24)) + 25);
        window.max(verification) as usize + 1
    }

    /// The site that features are computed with for a station: the station's, as the sun is that over the station wherever the
    /// model is for; the model's where the station's is not known. An elevation that is not known is the model's nearby.
    /// `None` for a model that is for any site, when it is not known where the station stands.
    pub fn site_for(&self, station: Option<Site>) -> Option<Site> {
        let Some(own) = station else { return self.site };
        let nearby = self.site.filter(|_| self.too_far_km(station).is_none());
        let elevation_m = own.elevation_m.or_else(|| nearby?.elevation_m);
        Some(Site { elevation_m, ..own })
    }

    /// How far away the one site that the model is for is from a station, km, where that is too far for it.
    pub fn too_far_km(&self, station: Option<Site>) -> Option<f64> {
        let distance_km = self.site?.distance_km(&station?);
        (distance_km > WindowSpec::MAX_DISTANCE_KM).then_some(distance_km)
    }

    /// Writes the window that ends at `end` of a station at `site` into `window`: sample by sample from the oldest to the
    /// newest, in each the features in order. Where missing values are the mean, they are NaN, which
    /// [`Normalisation::apply`](crate::Normalisation::apply) takes for it.
    ///
    /// # Errors
    /// [`Missing`] when something that cannot be filled was not measured; the contents of `window` are then unspecified.
    ///
    /// # Panics
    /// If `window` has not [`WindowSpec::len`] numbers.
    pub fn fill(&self, history: &History, site: Site, end: Slot, window: &mut [f32]) -> Result<(), Missing> {
        self.fill_where(history, site, end, |_| true, window)
    }

    /// Like [`WindowSpec::fill`], for those of the window's numbers of which `is_needed` says so by their position; the others
    /// stay as they are. For training, which cuts windows by the million and looks at some of their numbers.
    ///
    /// # Errors
    /// As [`WindowSpec::fill`], for what is needed.
    ///
    /// # Panics
    /// If `window` has not [`WindowSpec::len`] numbers.
    pub fn fill_where(
        &self,
        history: &History,
        site: Site,
        end: Slot,
        is_needed: impl Fn(usize) -> bool,
        window: &mut [f32],
    ) -> Result<(), Missing> {
        assert_eq!(window.len(), self.len(), "room for one window");
        let may_be_missing = self.missing == MissingValues::Mean;
        if may_be_missing && self.newest(history, end, Quantity::AirTemperature).is_none() {
            let remaining = history.grid().duration(1);
            return Err(Missing { remaining, quantity: Quantity::AirTemperature });
        }
        let context = self.context(site, end);
        let sample_slots = i64::from(self.sample_every_s / self.grid_step_s);
        let grid = history.grid();
        // Several features look at the same quantity, each at its sample and some at the newest: each is filled once.
        let mut at_end = Filled::new(history, end, &context);
        for (index, row) in window.chunks_exact_mut(self.features.len()).enumerate() {
            let slot = end - (self.samples - 1 - index) as i64 * sample_slots;
            let mut at_slot = Filled::new(history, slot, &context);
            let first = index * self.features.len();
            let of_sample = self.features.iter().zip(row).enumerate();
            for (_, (feature, value)) in of_sample.filter(|(column, _)| is_needed(first + column)) {
                *value = feature.value_of(grid, slot, &context, |wanted, quantity| match wanted {
                    _ if wanted == end => at_end.value(quantity),
                    _ if wanted == slot => at_slot.value(quantity),
                    _ => history.filled(wanted, quantity, end, context.max_hole),
                });
                if value.is_nan() && !may_be_missing {
                    return Err(self.missing(history, end));
                }
            }
        }
        Ok(())
    }

    /// The newest value of a quantity at `end`, measured or held over a hole no longer than is filled.
    pub fn newest(&self, history: &History, end: Slot, quantity: Quantity) -> Option<f32> {
        let value = history.filled(end, quantity, end, self.max_hole_slots());
        (!value.is_nan()).then_some(value)
    }

    /// The row of features at one slot, as a window of a station at `site` ending at `end` has it. Values that were not
    /// measured and cannot be filled are NaN.
    pub fn row(&self, history: &History, site: Site, slot: Slot, end: Slot, row: &mut [f32]) {
        let context = self.context(site, end);
        for (feature, value) in self.features.iter().zip(row) {
            *value = feature.value(history, slot, &context);
        }
    }

    fn context(&self, site: Site, end: Slot) -> FeatureContext {
        FeatureContext { site, end, max_hole: self.max_hole_slots() }
    }

    /// The longest hole that is filled, in slots.
    pub fn max_hole_slots(&self) -> i64 {
        i64::from(self.max_hole_s / self.grid_step_s)
    }

    /// Finds the latest slot that spoils the window ending at `end`, and how long until it has left.
    fn missing(&self, history: &History, end: Slot) -> Missing {
        let span = self.span_slots();
        let max_hole = self.max_hole_slots();
        // The history serves other models too, whose quantities are not missed here.
        let quantities = self.quantities();
        for slot in (end - span..=end).rev() {
            for &quantity in &quantities {
                // A calm needs no direction.
                let is_calm = quantity == Quantity::WindFromDirection
                    && history.filled(slot, Quantity::WindSpeed, end, max_hole) == 0.0;
                if !is_calm && history.filled(slot, quantity, end, max_hole).is_nan() {
                    let remaining = slot + 1 + span - end;
                    return Missing { remaining: history.grid().duration(remaining), quantity };
                }
            }
        }
        // Every measurement is there, so a feature has no value for another reason: dew point of dry air, say.
        Missing { remaining: history.grid().duration(1), quantity: Quantity::AirTemperature }
    }

    /// When a forecast of `lead_h` hours from a window ending at `end` is for.
    pub fn valid_at(&self, end: Slot, lead_h: u32) -> (Slot, Timestamp) {
        let valid = end + self.grid().hours_to_slots(lead_h);
        (valid, self.grid().time(valid))
    }
}

/// The quantities at one slot, each filled when it is first asked for.
struct Filled<'a> {
    history: &'a History,
    slot: Slot,
    end: Slot,
    max_hole: i64,
    known: [Option<f32>; Quantity::COUNT],
}

impl<'a> Filled<'a> {
    fn new(history: &'a History, slot: Slot, context: &FeatureContext) -> Filled<'a> {
        Filled { history, slot, end: context.end, max_hole: context.max_hole, known: [None; Quantity::COUNT] }
    }

    fn value(&mut self, quantity: Quantity) -> f32 {
        *self.known[quantity.index()]
            .get_or_insert_with(|| self.history.filled(self.slot, quantity, self.end, self.max_hole))
    }
}
