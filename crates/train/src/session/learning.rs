//! Training: each kind of network by its recipe, and refitting the chosen one on later weather.

use std::rc::Rc;

use burn::tensor::Device;

use forecastd_core::Quantity;
use forecastd_core::Refit;
use forecastd_core::Slot;
use forecastd_model::{Artefact, onnx};
use forecastd_record::{Record, RecordError};

use super::{Scored, TrainingRun};
use crate::candidate::{Candidate, CandidateFacts, CandidateRecipe};
use crate::dataset::Dataset;
use crate::error::TrainError;
use crate::experiment::{Experiment, PairRecipe, Recipe};
use crate::fit::{FitSettings, Fitted, StopRule};
use crate::graph::GraphBuilder;
use crate::interval::Distances;
use crate::network::Network;
use crate::options::Protocol;
use crate::pair::{self, Branch, BranchKind, BranchObjective, Pair, PairData};
use crate::ridge::{self, Ridge, RidgeRecipe};
use crate::station::StationObjective;
use crate::summary::FitRecord;

/// Into how many blocks of time a record is cut that the interval is fitted to block by block.
const BLOCKS: usize = 4;

impl TrainingRun<'_> {
    pub(super) fn ridge(&mut self, experiment: &Experiment, recipe: &RidgeRecipe) -> Result<(), TrainError> {
        let (dataset, record) = self.dataset(&recipe.task, None)?;
        let terms = ridge::terms(dataset.windows.spec()).len();
        if terms > ridge::MOST_TERMS {
            let matrices = rayon::current_num_threads() + 2;
            let gigabytes = (matrices * terms * terms * size_of::<f64>()) as f64 / 1e9;
            return Err(TrainError::RidgeTerms { terms, gigabytes, most: ridge::MOST_TERMS });
        }
        let ridge = Ridge::fit(&dataset, &recipe.penalties).ok_or(TrainError::Ridge)?;
        self.check_interrupted()?;
        self.note(&format!("a penalty of {} per example is best", ridge.penalty));
        let (validation_c, lead_h) = (ridge.validation.score, recipe.task.protocol.lead_h());
        let persistence_c = dataset.persistence_c();
        let scored = Scored { seed: None, lead_h, validation_c, persistence_c, fits: Vec::new() };
        self.result(experiment, &record, scored);
        let facts = CandidateFacts {
            experiment: experiment.name,
            seed: 0,
            settings: serde_json::to_value(recipe).unwrap_or_default(),
            quantiles: Vec::new(),
            recipe: CandidateRecipe::Ridge { recipe: recipe.clone(), penalty: ridge.penalty },
            skill: 1.0 - validation_c / persistence_c,
        };
        self.candidate(facts, || export(&ridge.network, &dataset), (&dataset, &record));
        Ok(())
    }

    pub(super) fn network(&mut self, experiment: &Experiment, recipe: &Recipe) -> Result<(), TrainError> {
        let trained = self.train_network(experiment.name, recipe, None, StopRule::Best)?;
        let (dataset, record, fitted) = (&trained.dataset, &trained.record, &trained.trained);
        let (seed, lead_h) = (recipe.fit.seed, recipe.task.protocol.lead_h());
        let (validation_c, persistence_c) = (fitted.best.score, dataset.persistence_c());
        let fits = vec![FitRecord::new("", fitted)];
        self.result(
            experiment,
            record,
            Scored { seed: Some(seed), lead_h, validation_c, persistence_c, fits },
        );
        let facts = CandidateFacts {
            experiment: experiment.name,
            seed,
            settings: serde_json::to_value(recipe).unwrap_or_default(),
            quantiles: Vec::new(),
            recipe: CandidateRecipe::Network { recipe: recipe.clone(), epoch: fitted.best_epoch },
            skill: 1.0 - validation_c / persistence_c,
        };
        self.candidate(facts, || export(&fitted.model, dataset), (dataset, record));
        Ok(())
    }

    fn train_network(
        &mut self,
        experiment: &str,
        recipe: &Recipe,
        refit: Option<Refit>,
        until: StopRule,
    ) -> Result<Trained<Fitted<Network>>, TrainError> {
        let (dataset, record) = self.dataset(&recipe.task, refit)?;
        let device = Device::flex().autodiff();
        let objective = StationObjective::new(&dataset, device.clone());
        let spec = dataset.windows.spec();
        let model = recipe.network.init(
            [spec.samples, spec.features.len()],
            dataset.lead_h.len(),
            &device,
            &mut recipe.fit.initial_generator(),
        );
        let of = fingerprint(&record, recipe, &dataset, refit);
        let part = if refit.is_some() { ".refit" } else { "" };
        let plan = self.plan(experiment, recipe.fit.seed, part, &of);
        let fitted = self.fit(&objective, model, &recipe.fit, until, plan)?;
        Ok(Trained { dataset, record, trained: fitted })
    }

    pub(super) fn pair(&mut self, experiment: &Experiment, recipe: &PairRecipe) -> Result<(), TrainError> {
        let (dataset, record) = self.pair_dataset(recipe, None)?;
        let data = PairData::new(&dataset, &record);
        let of = fingerprint(&record, recipe, &dataset, None);
        let (branches, fits) = self.branches(experiment.name, recipe, &data, [StopRule::Best; 2], "", &of)?;
        let (pair, validation) = Pair::calibrated(&data, branches);
        let (seed, lead_h) = (recipe.dense.seed, Protocol::Aligned.lead_h());
        let (validation_c, persistence_c) = (validation.score, dataset.persistence_c());
        let facts = CandidateFacts {
            experiment: experiment.name,
            seed,
            settings: serde_json::to_value(recipe).unwrap_or_default(),
            quantiles: pair::QUANTILES.to_vec(),
            recipe: CandidateRecipe::Pair {
                recipe: recipe.clone(),
                epochs: fits.each_ref().map(|fit| fit.best_epoch),
            },
            skill: 1.0 - validation_c / persistence_c,
        };
        let fits = fits.to_vec();
        self.result(
            experiment,
            &record,
            Scored { seed: Some(seed), lead_h, validation_c, persistence_c, fits },
        );
        self.candidate(facts, || pair.export(&dataset), (&dataset, &record));
        Ok(())
    }

    /// The record with the wind's direction, if nearly every reading has one: it is worth a hundredth of the error, but a
    /// window that lacks it cannot be used.
    fn pair_record(&mut self, recipe: &PairRecipe, is_first: bool) -> Result<Rc<Record>, TrainError> {
        const NEARLY_EVERY: f64 = 0.95;
        let without = recipe.quantities(false);
        if !self.quantities_of_file()?.contains(&Quantity::WindFromDirection) {
            return self.record(&without);
        }
        let record = match self.record(&recipe.quantities(true)) {
            Err(TrainError::Record(RecordError::MissingQuantity {
                quantity: Quantity::WindFromDirection,
                ..
            })) => return self.record(&without),
            record => record?,
        };
        let has_vector = |slot: &Slot| {
            let value = |quantity| record.history().value(*slot, quantity);
            value(Quantity::WindSpeed) == 0.0 || !value(Quantity::WindFromDirection).is_nan()
        };
        let share = record.rows().iter().filter(|slot| has_vector(slot)).count() as f64
            / record.rows().len().max(1) as f64;
        let is_used = share >= NEARLY_EVERY;
        if is_first {
            self.note(&match is_used {
                true => "with the wind's direction, which the station must go on to send".to_owned(),
                false => format!(
                    "the wind's direction is left out, as only {:.0} % of the readings have it",
                    100.0 * share
                ),
            });
        }
        if !is_used {
            return self.record(&without);
        }
        Ok(record)
    }

    fn pair_dataset(
        &mut self,
        recipe: &PairRecipe,
        refit: Option<Refit>,
    ) -> Result<(Dataset, Rc<Record>), TrainError> {
        let record = self.pair_record(recipe, refit.is_none())?;
        let spec = recipe.window(&record, self.site(&record)?);
        let dataset = self.windows(&record, &spec, &recipe.target(), refit)?;
        Ok((dataset, record))
    }

    /// Trains both branches of the network that is shipped, one after the other.
    fn branches(
        &mut self,
        experiment: &str,
        recipe: &PairRecipe,
        data: &PairData,
        until: [StopRule; 2],
        part: &str,
        of: &str,
    ) -> Result<([Branch; 2], [FitRecord; 2]), TrainError> {
        self.check_interrupted()?;
        let device = Device::flex().autodiff();
        let objective = BranchObjective::new(data, &recipe.network, device.clone());
        let mut branch = |name, kind, fitting: &FitSettings, until| {
            self.note(&format!("the {name} branch"));
            let branch = data.branch(kind, &recipe.network, &device, &mut fitting.initial_generator());
            let plan = self.plan(experiment, fitting.seed, &format!(".{name}{part}"), of);
            let fitted = self.fit(&objective, branch, fitting, until, plan)?;
            Ok::<_, TrainError>((FitRecord::new(name, &fitted), fitted.model))
        };
        let (dense_fit, dense) = branch("dense", BranchKind::Dense, &recipe.dense, until[0])?;
        let (recurrent_fit, recurrent) =
            branch("recurrent", BranchKind::Recurrent, &recipe.recurrent, until[1])?;
        Ok(([dense, recurrent], [dense_fit, recurrent_fit]))
    }

    /// Learns both branches once more, for so many epochs. No part is left that the interval could be fitted to, so blocks
    /// of what is trained on are left out in turn, and the interval fits what networks without them forecast for them.
    fn refit_pair(
        &mut self,
        experiment: &str,
        recipe: &PairRecipe,
        epochs: [usize; 2],
        refit: Refit,
    ) -> Result<(Dataset, Rc<Record>, onnx::Model), TrainError> {
        let (dataset, record) = self.pair_dataset(recipe, Some(refit))?;
        let of = fingerprint(&record, recipe, &dataset, Some(refit));
        let until = epochs.map(StopRule::Epoch);
        let mut distances = Distances::none(dataset.lead_h.len());
        for block in 0..BLOCKS {
            self.note(&format!("without block {} of {BLOCKS}, for the interval", block + 1));
            let rest = dataset.without_block(block, BLOCKS);
            if rest.train.is_empty() || rest.validation.is_empty() {
                continue;
            }
            let data = PairData::new(&rest, &record);
            let part = format!(".refit.{}", block + 1);
            let (branches, _) = self.branches(experiment, recipe, &data, until, &part, &of)?;
            data.verify(&branches, &mut distances);
        }
        self.note("with all of it");
        let data = PairData::new(&dataset, &record);
        let (branches, _) = self.branches(experiment, recipe, &data, until, ".refit", &of)?;
        let pair = Pair::new(&data, branches, distances.half_width_factors(pair::COVERAGE));
        let model = pair.export(&dataset);
        drop(data);
        Ok((dataset, record, model))
    }

    /// Refits a chosen network on more of the record.
    pub(super) fn refit(&mut self, candidate: &Candidate, refit: Refit) -> Result<Candidate, TrainError> {
        let facts = &candidate.facts;
        let from = match refit {
            Refit::Validation => "training and validation parts",
            Refit::Whole => "the whole record",
        };
        self.note(&format!("{}, refitted on {from}", facts.experiment));
        let (dataset, record, model) = match &facts.recipe {
            CandidateRecipe::Ridge { recipe, penalty } => {
                let (dataset, record) = self.dataset(&recipe.task, Some(refit))?;
                let network = Ridge::with_penalty(&dataset, *penalty).ok_or(TrainError::Ridge)?;
                let model = export(&network, &dataset);
                (dataset, record, model)
            }
            CandidateRecipe::Network { recipe, epoch } => {
                let until = StopRule::Epoch(*epoch);
                let trained = self.train_network(facts.experiment, recipe, Some(refit), until)?;
                let model = export(&trained.trained.model, &trained.dataset);
                (trained.dataset, trained.record, model)
            }
            CandidateRecipe::Pair { recipe, epochs } => {
                self.refit_pair(facts.experiment, recipe, *epochs, refit)?
            }
        };
        Ok(Candidate::new(facts.clone(), model, &dataset, &record).refitted(refit))
    }
}

/// A trained network, with what it was trained on.
struct Trained<T> {
    dataset: Dataset,
    record: Rc<Record>,
    trained: T,
}

/// What a training is of: the data as they were understood, all settings, and how far it learns.
fn fingerprint(
    record: &Record,
    recipe: &impl serde::Serialize,
    dataset: &Dataset,
    refit: Option<Refit>,
) -> String {
    let of = serde_json::json!({
        "file": record.facts().sha256,
        "recipe": recipe,
        "window": dataset.windows.spec(),
        "normalisation": dataset.windows.normalisation(),
        "target": dataset.target,
        "scale": dataset.scale,
        "examples": [dataset.train.len(), dataset.validation.len()],
        "refit": refit,
    });
    of.to_string()
}

/// The network as a graph that gives what the manifest's target describes.
fn export(network: &Network, dataset: &Dataset) -> onnx::Model {
    let spec = dataset.windows.spec();
    let mut graph = GraphBuilder::new();
    let output = network.export(&mut graph, Artefact::INPUT, &dataset.scale);
    graph.finish(&output, [spec.samples, spec.features.len()], &[dataset.lead_h.len()])
}
