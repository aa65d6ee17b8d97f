//! The models of a station, and the history that serves them all.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ModelWindow, Readiness, Station};
use crate::journal::Recall;
use crate::model::Model;
use crate::model::manifest::Manifest;
use crate::model::set;
use crate::number::to_u32;
use crate::weather::quantity::Quantity;
use crate::weather::site::Site;
use crate::window::grid::Slot;
use crate::window::history::History;
use crate::window::spec::Unready;

/// What other models changed for a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adopted {
    /// Nothing: its models are those of before.
    Nothing,
    /// It uses others.
    Models,
    /// It uses others, and they look at more than its history holds.
    MoreHistory,
}

impl Station {
    /// The same station with specialists beside its model, by rising id. Without experts it has no use for them.
    #[must_use]
    pub fn with_specialists(mut self, specialists: Box<[Arc<Model>]>) -> Station {
        self.history = empty_history(&self.model, &specialists);
        self.specialists = specialists;
        self
    }

    /// The specialists that are for this station, by rising id.
    pub fn specialists(&self) -> &[Arc<Model>] {
        &self.specialists
    }

    /// Whether the history holds a quantity.
    pub fn keeps(&self, quantity: Quantity) -> bool {
        self.history.quantities().contains(&quantity)
    }

    /// Uses other models from now on: a main one and specialists, by rising id. History is kept as far as they want the same.
    ///
    /// Nothing may be in flight.
    pub(crate) fn adopt(&mut self, model: Arc<Model>, specialists: Box<[Arc<Model>]>) -> Adopted {
        debug_assert!(self.in_flight.is_empty(), "outputs of other models would come");
        let is_other = self.model.id != model.id;
        let ids =
            |models: &[Arc<Model>]| models.iter().map(|model| Arc::clone(&model.id)).collect::<Vec<_>>();
        if !is_other && ids(&self.specialists) == ids(&specialists) {
            return Adopted::Nothing;
        }
        let (quantities, slots) = set::history_for(&model, specialists.iter());
        let is_same_grid = model.manifest.window.grid() == self.history.grid();
        let is_kept = |quantity: &Quantity| self.history.quantities().contains(quantity);
        let wants_more = !is_same_grid || slots > self.history.capacity() || !quantities.iter().all(is_kept);
        self.history = match is_same_grid {
            true => self.history.reshaped(&quantities, slots),
            false => self.history_on_grid_of(&model.manifest),
        };
        if is_other {
            if !is_same_grid {
                self.verification.forget_pending();
            }
            self.model = model;
            if let Some(experts) = &mut self.experts {
                experts.adopt(&self.model.manifest);
            }
        }
        self.specialists = specialists;
        self.measure_readiness();
        if wants_more { Adopted::MoreHistory } else { Adopted::Models }
    }

    /// What the journal may hold of readings that the models look at and the history does not have; forecasts are known.
    pub fn recall_readings(&self) -> Recall {
        let (station, readings_from) = (self.name.clone(), self.readings_from());
        Recall { station, readings_from, forecasts_from: Timestamp::MAX }
    }

    /// Whether readings older than the oldest one that is known could be looked at.
    pub fn has_room_for_older(&self) -> bool {
        let first = self.readings().next().map(|(time, _)| self.history.grid().slot(time));
        first.zip(self.history.oldest()).is_some_and(|(first, oldest)| first > oldest)
    }

    /// The newest normalised window that another model would be given, if it is complete.
    pub fn window_for(&self, model: &Model) -> Option<Vec<f32>> {
        let history = self.history_on_grid_of(&model.manifest);
        window(&model.manifest, self.site(), &history, history.newest()?).ok()
    }

    /// The history as far as another model looks at it.
    fn history_on_grid_of(&self, manifest: &Manifest) -> History {
        let spec = &manifest.window;
        let slots = spec.history_slots(manifest.max_lead_h());
        let mut history = History::new(spec.grid(), &spec.quantities(), slots);
        for (time, measured, values) in self.history.seconds() {
            history.insert_with_derived(time, &measured, &values);
        }
        history
    }

    /// The windows that end at `slot`, of all models that can run, and how ready that is.
    pub(super) fn windows(&self, slot: Slot) -> (Vec<ModelWindow>, Readiness) {
        let mut windows = Vec::with_capacity(1 + self.specialists.len());
        let own = self.site();
        let main = window(&self.model.manifest, own, &self.history, slot);
        let mut readiness =
            main.as_ref().map_or_else(|unready| Readiness::from(*unready), |_| Readiness::Ready);
        windows.extend(main.ok().map(|window| ModelWindow { model: Arc::clone(&self.model), window }));
        if self.experts.is_some() {
            for model in &self.specialists {
                if let Ok(window) = window(&model.manifest, own, &self.history, slot) {
                    windows.push(ModelWindow { model: Arc::clone(model), window });
                    readiness = Readiness::Ready;
                }
            }
        }
        (windows, readiness)
    }

    /// Over how many hours ahead its forecasts say the lowest and the highest temperature, once a window is complete; `None`
    /// where no model that may run for the station says them.
    pub fn extremes_h(&self) -> Option<u32> {
        let main = Some(&self.model).filter(|model| site(&model.manifest, self.site()).is_ok());
        let specialists = self.experts.iter().flat_map(|_| &self.specialists);
        main.into_iter().chain(specialists).find_map(|model| model.manifest.extremes_h)
    }

    /// Where the station stands, if that is known, and whether a model for one site may run elsewhere.
    fn site(&self) -> (Option<Site>, bool) {
        (self.place().map(|place| place.site), self.setup.runs_anywhere)
    }

    pub(super) fn measure_readiness(&mut self) {
        self.readiness = self.history.newest().map_or(Readiness::Silent, |newest| self.windows(newest).1);
    }
}

/// The site that a model is given of a station at this site, if that is known; a model for one site may run elsewhere or
/// not.
fn site(manifest: &Manifest, (own, runs_anywhere): (Option<Site>, bool)) -> Result<Site, Unready> {
    if let Some(distance_km) = manifest.window.too_far_km(own).filter(|_| !runs_anywhere) {
        return Err(Unready::Elsewhere(to_u32(distance_km)));
    }
    manifest.window.site_for(own).ok_or(Unready::NoPlace)
}

/// The normalised window of a station at this site, if that is known.
fn window(
    manifest: &Manifest,
    station: (Option<Site>, bool),
    history: &History,
    slot: Slot,
) -> Result<Vec<f32>, Unready> {
    let site = site(manifest, station)?;
    let mut window = vec![0.0; manifest.window.len()];
    manifest.window.fill(history, site, slot, &mut window)?;
    manifest.normalisation.apply(&mut window);
    Ok(window)
}

/// A history of nothing for these models.
pub(super) fn empty_history(model: &Arc<Model>, specialists: &[Arc<Model>]) -> History {
    let (quantities, slots) = set::history_for(model, specialists.iter());
    History::new(model.manifest.window.grid(), &quantities, slots)
}
