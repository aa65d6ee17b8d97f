//! The model for any place: trained on many stations, evaluated at others, written with its card.

use burn::tensor::Device;

use forecastd_atomic_file as atomic_file;
use forecastd_core::{LeadScore, Manifest, PartScores, Site, Split, TrainedRecord, Training};
use forecastd_model::{Artefact, EngineChoice, Runtime};
use forecastd_report::finite;

use super::TrainingRun;
use crate::error::TrainError;
use crate::experiment::{Experiment, WorldRecipe};
use crate::fit::{Objective, StopRule};
use crate::options;
use crate::summary::{ExperimentResult, FitRecord};
use crate::world::{
    Condition, Cutter, Embargo, LIVE_STEP_S, Network, Pool, Role, StationScores, WorldObjective,
    WorldSettings, assign, card, evaluate, joined, manifest, ranges, usable,
};

/// Where and when the specialists are evaluated: stations nearby do not tell what the weather was then. Jena's test part
/// and its year 2020, Cambridge's test part.
const EMBARGOES: [Embargo; 3] = [
    Embargo {
        site: Site::new(50.91, 11.57),
        within_km: 600.0,
        from_s: 1_412_121_600,
        until_s: 1_483_228_800,
    },
    Embargo {
        site: Site::new(50.91, 11.57),
        within_km: 1500.0,
        from_s: 1_577_836_800,
        until_s: 1_609_459_200,
    },
    Embargo { site: Site::new(52.21, 0.09), within_km: 250.0, from_s: 1_483_228_800, until_s: 1_609_459_200 },
];

impl TrainingRun<'_> {
    /// Trains on a pool of stations, and evaluates at others.
    pub(super) fn world(&mut self, experiment: &Experiment, recipe: &WorldRecipe) -> Result<(), TrainError> {
        if self.options.pool.is_empty() {
            return Err(TrainError::NoPool(experiment.name));
        }
        let pool = Pool::read(&self.options.pool, &EMBARGOES)?;
        self.check_interrupted()?;
        let roles = assign(&pool.stations);
        let [train, validation, test] = usable(&pool.stations, &roles);
        if train == 0 || validation == 0 || test == 0 {
            return Err(TrainError::FewStations { stations: pool.stations.len(), train, validation, test });
        }
        let cutter = Cutter::new(&pool, &roles);
        self.note(&format!(
            "{} stations, {} to learn from with {} windows",
            pool.stations.len(),
            cutter.stations(),
            cutter.origins()
        ));
        let device = Device::flex().autodiff();
        let objective = WorldObjective::new(cutter, &roles, &recipe.network, device.clone());
        self.note(&format!("{} windows of validation stations", objective.validation_windows()));
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let of = format!("{} {settings}", pool.sha256());
        let WorldSettings { hidden, units, recurrent_hidden, dropout, .. } = &recipe.network;
        let parts =
            [("dense", 0, hidden, &recipe.dense), ("recurrent", *units, recurrent_hidden, &recipe.recurrent)];
        let (mut members, mut fits) = (Vec::new(), Vec::new());
        for (name, units, hidden, fit) in parts {
            self.note(&format!("the {name} network"));
            let network = Network::new(units, hidden, *dropout, &device, &mut fit.initial_generator());
            let plan = self.plan(experiment.name, fit.seed, &format!(".{name}"), &of);
            let fitted = self.fit(&objective, network, fit, StopRule::Best, plan)?;
            fits.push(FitRecord::new(name, &fitted));
            members.push(fitted.model);
        }
        let network = joined(&members);
        let validation = objective.validate(&network);
        self.note(&format!("their mean: {:.4} °C at the validation stations", validation.score));

        let model = network.export(&objective.scaling);
        let draft =
            Artefact::assemble(model.clone(), &self.world_manifest(&pool, &roles, recipe, Vec::new()))?;
        let runtime = Runtime::start(EngineChoice::Tract, None)?;
        // The test stations are looked at for a model that is kept, and not while one is searched for.
        let is_kept = self.options.out.is_some() || self.options.report.is_some();
        let (role, by) = match is_kept {
            true => (Role::Test, "the test stations"),
            false => (Role::Validation, "the validation stations"),
        };
        self.note(by);
        let artefact = Artefact::parse(&draft)?;
        let evaluated = evaluate(&artefact, objective.cutter(), &roles, role, &runtime)?;
        let Some((_, whole)) = evaluated.first() else { return Ok(()) };
        self.note(&format!(
            "there it errs by {:.3} °C over all leads, persistence by {:.3} °C",
            mean(whole, StationScores::mae_c),
            mean(whole, |scores| scores.persistence_c()[0])
        ));
        self.summary.results.push(ExperimentResult {
            name: experiment.name,
            seed: Some(recipe.dense.seed),
            leads_h: 1..=24,
            validation_c: validation.score,
            validation_normalised: None,
            persistence_c: objective.persistence_c(),
            fits,
        });
        if let Some(out) = &self.options.out {
            let manifest = self.world_manifest(&pool, &roles, recipe, vec![scores(&evaluated)]);
            atomic_file::write(out, &Artefact::assemble(model, &manifest)?)?;
            self.summary.written = Some(out.clone());
        }
        if let Some(report) = &self.options.report {
            atomic_file::write(report, card(&pool, &roles, &evaluated).as_bytes())?;
            self.summary.report = Some(report.clone());
        }
        Ok(())
    }

    fn world_manifest(
        &self,
        pool: &Pool,
        roles: &[Role],
        recipe: &WorldRecipe,
        scores: Vec<PartScores>,
    ) -> Manifest {
        let stem = self.options.out.as_deref().and_then(options::stem);
        let name = self.options.name.clone().or(stem).unwrap_or_else(|| "world".to_owned());
        let of_role = |role: Role| {
            let of_role = pool.stations.iter().zip(roles).filter(move |(_, own)| **own == role);
            of_role.map(|(station, _)| station)
        };
        let ids = |role: Role| -> Vec<&str> { of_role(role).map(|station| station.id.as_str()).collect() };
        let mut settings = serde_json::to_value(recipe).unwrap_or_default();
        settings["validation_stations"] = serde_json::json!(ids(Role::Validation));
        settings["test_stations"] = serde_json::json!(ids(Role::Test));
        settings["files"] = serde_json::json!(pool.files);
        let training = pool.span().map(|(first, last)| Training {
            file: pool.files.iter().map(|(file, _)| file.as_str()).collect::<Vec<_>>().join(" + "),
            sha256: pool.sha256(),
            rows: pool.stations.iter().map(|station| station.origins() as u64).sum(),
            first,
            last,
            split: Split { train: 1.0, validation: 0.0 },
            refit: None,
            seed: recipe.dense.seed,
            experiment: "world".to_owned(),
            settings,
            climatology: None,
            records: pool
                .records
                .iter()
                .map(|record| TrainedRecord {
                    file: record.file.clone(),
                    sha256: record.sha256.clone(),
                    site: record.site,
                    first: record.first,
                    last: record.last,
                })
                .collect(),
        });
        Manifest {
            ranges: Some(ranges(of_role(Role::Train))),
            training,
            scores,
            ..manifest(&name, LIVE_STEP_S)
        }
    }
}

fn mean(scores: &[StationScores], of: impl Fn(&StationScores) -> f64) -> f64 {
    let values = scores.iter().map(of).filter(|value| value.is_finite());
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// What the manifest keeps of the evaluation: means over stations, by lead.
fn scores(evaluated: &[(Condition, Vec<StationScores>)]) -> PartScores {
    let whole = evaluated.first().map(|(_, scores)| scores.as_slice()).unwrap_or_default();
    let leads = (1..=24).map(|lead_h: u32| {
        let row = lead_h as usize - 1;
        let per = |sum: f64, count: u64| sum / count as f64;
        LeadScore {
            lead_h,
            mae: mean(whole, |scores| per(scores.rows[row].error, scores.rows[row].count)),
            rmse: mean(whole, |scores| per(scores.rows[row].squared, scores.rows[row].count).sqrt()),
            persistence_mae: mean(whole, |scores| per(scores.rows[row].persistence, scores.rows[row].count)),
            yesterday_mae: finite(mean(whole, |scores| {
                per(scores.rows[row].yesterday, scores.rows[row].yesterday_count)
            })),
            climatology_mae: None,
            coverage: finite(mean(whole, |scores| {
                per(scores.rows[row].covered as f64, scores.rows[row].count)
            })),
        }
    });
    // Stations that observe every third hour say nothing of the leads between.
    let leads = leads.filter(|lead| lead.mae.is_finite());
    PartScores {
        part: "stations never seen".to_owned(),
        before_refit: false,
        forecasts: whole.iter().map(|scores| scores.rows[23].count).sum(),
        leads: leads.collect(),
    }
}
