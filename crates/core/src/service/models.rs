//! Which models the stations use, and when those change.

use std::sync::Arc;

use super::{Discovery, Effect, Event, ForNobody, Now, Service, Settings};
use crate::model::Model;
use crate::model::set::Models;
use crate::number::to_u32;
use crate::station::{Adopted, Setup};
use crate::weather::place::Place;
use crate::weather::reading::StationName;

impl Service {
    /// The newest windows of some stations, at most so many, as another model would be given them: one behind the other. It can
    /// be tried on them before it is used. A model that names stations is tried on theirs.
    pub fn sample_windows(&self, model: &Model, most: usize) -> Vec<f32> {
        let named = || self.sweep.iter().filter(|name| model.names(name));
        let step = named().count().div_ceil(most.max(1)).max(1);
        let sample = named().step_by(step).filter_map(|name| self.stations.get(name));
        sample.filter_map(|entry| entry.station.window_for(model)).flatten().collect()
    }

    pub(super) fn setup(&self, station: &StationName) -> Setup {
        let Settings { places, runs_anywhere, experts, threshold_c, .. } = &self.settings;
        Setup {
            place: places.of(station),
            runs_anywhere: *runs_anywhere,
            has_experts: *experts,
            threshold_c: *threshold_c,
        }
    }

    /// The specialists that a station uses where it stands: none without experts.
    pub(super) fn specialists(&self, station: &StationName, place: Option<Place>) -> Box<[Arc<Model>]> {
        let site = place.map(|place| place.site);
        if self.settings.experts { self.models.of_station(station, site) } else { Box::default() }
    }

    /// Uses the models that wait, when nothing is in flight for those before.
    pub(super) fn switch_if_idle(&mut self, now: Now, effects: &mut Vec<Effect>) {
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
    pub(super) fn tell_specialists(&self, before: Option<&Models>, effects: &mut Vec<Effect>) {
        let uses = |models: &[Arc<Model>], model: &Arc<Model>| models.iter().any(|own| own.id == model.id);
        let old = before.map_or(&[][..], Models::specialists);
        let left = old.iter().filter(|model| !uses(self.models.specialists(), model));
        effects
            .extend(left.map(|model| Effect::Emit(Event::SpecialistLeft { model: Arc::clone(&model.id) })));
        for model in self.models.specialists().iter().filter(|model| !uses(old, model)) {
            let stations =
                self.stations.values().filter(|entry| uses(entry.station.specialists(), model)).count();
            let for_nobody = (stations == 0).then(|| self.for_nobody(model)).flatten();
            let model = Arc::clone(&model.id);
            effects.push(Effect::Emit(Event::SpecialistJoined { model, stations, for_nobody }));
        }
        let said = |refused| before.is_some_and(|before| before.refused().contains(refused));
        for (model, error) in self.models.refused().iter().filter(|refused| !said(refused)) {
            let (model, error) = (Arc::clone(model), error.clone());
            effects.push(Effect::Emit(Event::SpecialistRefused { model, error }));
        }
    }

    /// Why no station uses a specialist; `None` where none is served, or no experts are asked.
    fn for_nobody(&self, model: &Model) -> Option<ForNobody> {
        let is_asked = self.settings.experts && !self.stations.is_empty();
        let named = self.stations.iter().filter(|(name, _)| is_asked && model.names(name));
        let sites = named.map(|(_, entry)| entry.station.place().map(|place| place.site));
        let distances_km: Vec<Option<f64>> =
            sites.map(|site| model.manifest.window.too_far_km(site)).collect();
        if distances_km.is_empty() {
            return is_asked.then_some(ForNobody::NotNamed);
        }
        let nearest_km = distances_km.into_iter().reduce(|one, other| Some(one?.min(other?))).flatten();
        Some(nearest_km.map_or(ForNobody::Crowded, |nearest_km| ForNobody::Elsewhere(to_u32(nearest_km))))
    }
}
