//! The models that are loaded: the main one, and specialists beside it.
//!
//! The main model serves every station that it can. A specialist serves the stations that it fits, as another of their
//! experts: it need not be trusted.

use std::sync::Arc;

use super::Model;
use super::manifest::Manifest;
use crate::weather::quantity::Quantity;
use crate::weather::reading::StationName;
use crate::weather::site::Site;
use crate::window::history::History;

/// Why a specialist cannot be used beside the main model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecialistError {
    /// It is the main model, or another specialist.
    #[error("it is in use already")]
    Twice,
    /// Its grid is another one than the main model's, which stations are kept on.
    #[error("its grid_step_s is {own_s}, that of the main model {main_s}")]
    Grid {
        /// Its own, in seconds.
        own_s: u32,
        /// The main model's.
        main_s: u32,
    },
    /// It says nothing of the hours that are forecast.
    #[error("none of its leads is one of the main model's")]
    Leads,
    /// The history of a station that serves all models would take too much memory.
    #[error(
        "with the other models the history of a station would take {0} bytes, at most {max} are allowed",
        max = Manifest::MAX_HISTORY_BYTES
    )]
    History(usize),
}

/// The models that are loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    main: Arc<Model>,
    /// By rising id.
    specialists: Vec<Arc<Model>>,
    /// By rising id.
    refused: Vec<(Arc<str>, SpecialistError)>,
}

impl Models {
    /// A station uses so many specialists at most. Its experts have room for twice as many, which those that sleep and the
    /// reference experts share.
    pub const MAX_OF_STATION: usize = 8;

    /// A main model, and those of the specialists that can be used beside it.
    pub fn new(main: Arc<Model>, specialists: impl IntoIterator<Item = Arc<Model>>) -> Models {
        let mut found: Vec<Arc<Model>> = specialists.into_iter().collect();
        found.sort_by(|left, right| left.id.cmp(&right.id));
        let mut models = Models { main, specialists: Vec::new(), refused: Vec::new() };
        for specialist in found {
            match models.examine(&specialist) {
                Ok(()) => models.specialists.push(specialist),
                Err(error) => models.refused.push((Arc::clone(&specialist.id), error)),
            }
        }
        models
    }

    /// Whether one more specialist can be used.
    fn examine(&self, specialist: &Arc<Model>) -> Result<(), SpecialistError> {
        let (own, main) = (&specialist.manifest, &self.main.manifest);
        if std::iter::once(&self.main).chain(&self.specialists).any(|model| model.id == specialist.id) {
            return Err(SpecialistError::Twice);
        }
        let (own_s, main_s) = (own.window.grid_step_s, main.window.grid_step_s);
        if own_s != main_s {
            return Err(SpecialistError::Grid { own_s, main_s });
        }
        if !own.lead_h.iter().any(|lead_h| main.lead_h.contains(lead_h)) {
            return Err(SpecialistError::Leads);
        }
        let (quantities, slots) = history_for(&self.main, self.specialists.iter().chain([specialist]));
        let bytes = slots * quantities.len() * History::BYTES_PER_CELL;
        if bytes > Manifest::MAX_HISTORY_BYTES {
            return Err(SpecialistError::History(bytes));
        }
        Ok(())
    }

    /// The main model.
    pub fn main(&self) -> &Arc<Model> {
        &self.main
    }

    /// The specialists that are used, by rising id.
    pub fn specialists(&self) -> &[Arc<Model>] {
        &self.specialists
    }

    /// The ids of those that are not, rising, and why.
    pub fn refused(&self) -> &[(Arc<str>, SpecialistError)] {
        &self.refused
    }

    /// How many slots the history of a station has at most.
    pub fn history_slots(&self) -> usize {
        history_for(&self.main, self.specialists.iter()).1
    }

    /// The specialists that a station uses, by rising id. Where too many fit, those come first that name it, then those
    /// for one site.
    pub fn of_station(&self, name: &StationName, site: Option<Site>) -> Box<[Arc<Model>]> {
        let mut fitting: Vec<Arc<Model>> =
            self.specialists.iter().filter(|model| model.fits(name, site)).cloned().collect();
        fitting
            .sort_by_key(|model| (model.manifest.stations.is_empty(), model.manifest.window.site.is_none()));
        fitting.truncate(Models::MAX_OF_STATION);
        fitting.sort_by(|left, right| left.id.cmp(&right.id));
        fitting.into()
    }
}

impl From<Arc<Model>> for Models {
    fn from(main: Arc<Model>) -> Models {
        Models::new(main, [])
    }
}

impl Model {
    /// Whether the model, as a specialist, is for a station: for its site, or for any place; and for its name, if it names
    /// stations.
    pub fn fits(&self, name: &StationName, site: Option<Site>) -> bool {
        self.manifest.window.too_far_km(site).is_none() && self.names(name)
    }

    /// Whether it names a station, or none.
    pub(crate) fn names(&self, name: &StationName) -> bool {
        let stations = &self.manifest.stations;
        stations.is_empty() || stations.iter().any(|own| own == name.as_str())
    }
}

/// The quantities and the number of slots of one history that serves a main model and specialists: all that any of them
/// looks at, as far as any of them reaches.
pub(crate) fn history_for<'a>(
    main: &'a Arc<Model>,
    specialists: impl Iterator<Item = &'a Arc<Model>>,
) -> (Vec<Quantity>, usize) {
    let Manifest { window, .. } = &main.manifest;
    let mut quantities = window.quantities();
    let mut slots = window.history_slots(main.manifest.max_lead_h());
    for specialist in specialists {
        let Manifest { window, .. } = &specialist.manifest;
        slots = slots.max(window.history_slots(main.manifest.max_lead_h()));
        for quantity in window.quantities() {
            if !quantities.contains(&quantity) {
                quantities.push(quantity);
            }
        }
    }
    (quantities, slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::FORMAT_VERSION;
    use crate::model::normalisation::Normalisation;
    use crate::model::target::{Target, TargetKind};
    use crate::window::feature::Feature;
    use crate::window::spec::{MissingValues, WindowSpec};

    fn model(id: &str, change: impl FnOnce(&mut Manifest)) -> Arc<Model> {
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            name: "test".to_owned(),
            window: WindowSpec {
                grid_step_s: 600,
                sample_every_s: 3600,
                samples: 24,
                max_hole_s: 3600,
                site: None,
                missing: MissingValues::Refused,
                features: vec![Feature::Quantity(Quantity::AirTemperature)],
            },
            normalisation: Normalisation { mean: vec![0.0], standard_deviation: vec![1.0] },
            target: Target {
                quantity: "air_temperature".to_owned(),
                kind: TargetKind::Value,
                mean: 0.0,
                standard_deviation: 1.0,
            },
            lead_h: vec![6, 24],
            quantiles: Vec::new(),
            extremes_h: None,
            ranges: None,
            training: None,
            scores: Vec::new(),
            tool: "test".to_owned(),
            stations: Vec::new(),
            graph_sha256: None,
        };
        change(&mut manifest);
        manifest.validate().unwrap();
        Arc::new(Model { manifest, id: id.into() })
    }

    fn main() -> Arc<Model> {
        model("main@0", |_| {})
    }

    fn ids(models: &[Arc<Model>]) -> Vec<&str> {
        models.iter().map(|model| &*model.id).collect()
    }

    fn name(name: &str) -> StationName {
        StationName::new(name).unwrap()
    }

    #[test]
    fn a_specialist_serves_the_stations_at_its_site_that_it_names() {
        let (jena, denver) = (Site::new(50.91, 11.57), Site::new(39.74, -104.98));
        let of_roof =
            model("roof@0", |manifest| manifest.stations = vec!["roof".to_owned(), "yard".to_owned()]);
        let of_jena = model("jena@0", |manifest| manifest.window.site = Some(jena));
        let of_both = model("both@0", |manifest| {
            manifest.window.site = Some(jena);
            manifest.stations = vec!["roof".to_owned()];
        });
        let of_all = model("all@0", |_| {});
        let models = Models::new(main(), [of_roof, of_jena, of_both, of_all]);
        assert_eq!(ids(models.specialists()), ["all@0", "both@0", "jena@0", "roof@0"]);
        let fitting = |station, site| models.of_station(&name(station), site);
        assert_eq!(ids(&fitting("roof", Some(jena))), ["all@0", "both@0", "jena@0", "roof@0"]);
        assert_eq!(ids(&fitting("alp", Some(jena))), ["all@0", "jena@0"]);
        assert_eq!(ids(&fitting("yard", Some(denver))), ["all@0", "roof@0"]);
    }

    #[test]
    fn of_too_many_those_come_first_that_name_the_station() {
        let for_all = (0..20).map(|index| model(&format!("all@{index:02}"), |_| {}));
        let own = model("own@0", |manifest| manifest.stations = vec!["roof".to_owned()]);
        let site = Site::new(1.0, 2.0);
        let near = model("near@0", |manifest| manifest.window.site = Some(site));
        let models = Models::new(main(), for_all.chain([own, near]));
        let found = models.of_station(&name("roof"), Some(site));
        let expected = ["all@00", "all@01", "all@02", "all@03", "all@04", "all@05", "near@0", "own@0"];
        assert_eq!(ids(&found), expected);
    }

    #[test]
    fn what_cannot_be_used_beside_the_main_model_is_refused_with_the_reason() {
        let finer = model("finer@0", |manifest| manifest.window.grid_step_s = 300);
        let later = model("later@0", |manifest| manifest.lead_h = vec![1, 12]);
        let good = model("good@0", |_| {});
        let models = Models::new(main(), [finer, later, Arc::clone(&good), good, main()]);
        assert_eq!(ids(models.specialists()), ["good@0"]);
        let refused: Vec<(&str, String)> =
            models.refused().iter().map(|(id, error)| (&**id, error.to_string())).collect();
        let expected = [
            ("finer@0", "its grid_step_s is 300, that of the main model 600"),
            ("good@0", "it is in use already"),
            ("later@0", "none of its leads is one of the main model's"),
            ("main@0", "it is in use already"),
        ];
        assert_eq!(refused, expected.map(|(id, error)| (id, error.to_owned())));
    }

    #[test]
    fn a_long_reach_and_many_quantities_are_not_kept_together_without_bound() {
        // 2,000 days every ten minutes are 288,000 slots of 6 bytes for each quantity.
        let long = model("long@0", |manifest| {
            manifest.window.samples = 2000;
            manifest.window.sample_every_s = 86_400;
        });
        let wide = model("wide@0", |manifest| {
            let quantities = [
                Quantity::AirTemperature,
                Quantity::AirPressure,
                Quantity::RelativeHumidity,
                Quantity::WindSpeed,
            ];
            manifest.window.features = quantities.map(Feature::Quantity).to_vec();
            manifest.normalisation = Normalisation { mean: vec![0.0; 4], standard_deviation: vec![1.0; 4] };
        });
        let models = Models::new(main(), [Arc::clone(&long), Arc::clone(&wide)]);
        assert_eq!(ids(models.specialists()), ["long@0"]);
        let slots = long.manifest.window.history_slots(24);
        assert_eq!(models.refused(), [("wide@0".into(), SpecialistError::History(slots * 4 * 6))]);
        assert_eq!(ids(Models::new(main(), [wide]).specialists()), ["wide@0"]);
    }

    #[test]
    fn one_history_serves_all_models() {
        let long = model("long@0", |manifest| manifest.window.samples = 240);
        let wide = model("wide@0", |manifest| {
            manifest.window.features =
                vec![Feature::Quantity(Quantity::AirPressure), Feature::Quantity(Quantity::AirTemperature)];
            manifest.normalisation = Normalisation { mean: vec![0.0; 2], standard_deviation: vec![1.0; 2] };
        });
        let (quantities, slots) = history_for(&main(), [&long, &wide].into_iter());
        assert_eq!(quantities, [Quantity::AirTemperature, Quantity::AirPressure]);
        assert_eq!(slots, long.manifest.window.history_slots(24));
        assert_eq!(history_for(&main(), std::iter::empty()).1, main().manifest.window.history_slots(24));
    }
}
