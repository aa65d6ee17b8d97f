//! A trained network that could be exported: its graph, all that its manifest says, and what it takes to refit it.

use std::rc::Rc;

use forecastd_core::Climatology;
use forecastd_core::WindowSpec;
use forecastd_core::{FORMAT_VERSION, Manifest, Normalisation, PROGRAM, PartScores, Refit, Target, Training};
use forecastd_model::{Artefact, EngineChoice, Runtime, onnx};
use forecastd_record::{DEFAULT_SPLIT, Part, Record};
use forecastd_report::{self, Case, Fan, PartErrors};

use super::dataset::Dataset;
use super::error::TrainError;
use super::experiment::{PairRecipe, Recipe};
use super::ridge::RidgeRecipe;

/// What was chosen by the validation part, so that the network can be refitted without it.
#[derive(Debug, Clone)]
pub(super) enum CandidateRecipe {
    Ridge { recipe: RidgeRecipe, penalty: f64 },
    Network { recipe: Recipe, epoch: usize },
    Pair { recipe: PairRecipe, epochs: [usize; 2] },
}

/// What is said of a network beside its data.
#[derive(Debug, Clone)]
pub(super) struct CandidateFacts {
    pub experiment: &'static str,
    pub seed: u64,
    pub settings: serde_json::Value,
    pub quantiles: Vec<f32>,
    pub recipe: CandidateRecipe,
    /// How much smaller than persistence's its mean absolute error is at the longest lead, on the validation part.
    pub skill: f64,
}

/// A network that could be exported.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub facts: CandidateFacts,
    pub model: onnx::Model,
    pub record: Rc<Record>,
    pub window: WindowSpec,
    /// What it was trained on beside the training part.
    refit: Option<Refit>,
    normalisation: Normalisation,
    target: Target,
    lead_h: Vec<u32>,
}

impl Candidate {
    pub(crate) fn new(
        facts: CandidateFacts,
        model: onnx::Model,
        dataset: &Dataset,
        record: &Rc<Record>,
    ) -> Candidate {
        Candidate {
            facts,
            model,
            record: Rc::clone(record),
            window: dataset.windows.spec().clone(),
            refit: None,
            normalisation: dataset.windows.normalisation().clone(),
            target: dataset.target.clone(),
            lead_h: dataset.lead_h.clone(),
        }
    }

    /// What it was trained on beside the training part.
    pub(crate) fn refit(&self) -> Option<Refit> {
        self.refit
    }

    /// The same, trained on more than the training part.
    pub(crate) fn refitted(self, refit: Refit) -> Candidate {
        Candidate { refit: Some(refit), ..self }
    }

    /// The manifest of a model of that name and scores.
    pub(crate) fn manifest(&self, name: &str, scores: Vec<PartScores>) -> Manifest {
        let (record, facts) = (self.record.facts(), &self.facts);
        let rows = self.record.rows_within(&self.record.learned(DEFAULT_SPLIT, self.refit));
        Manifest {
            format_version: FORMAT_VERSION,
            name: name.to_owned(),
            window: self.window.clone(),
            normalisation: self.normalisation.clone(),
            target: self.target.clone(),
            lead_h: self.lead_h.clone(),
            quantiles: facts.quantiles.clone(),
            extremes_h: None,
            ranges: None,
            training: Some(Training {
                file: record.file.clone(),
                sha256: record.sha256.clone(),
                rows: record.readings,
                first: record.first,
                last: record.last,
                split: DEFAULT_SPLIT,
                refit: self.refit,
                seed: facts.seed,
                experiment: facts.experiment.to_owned(),
                settings: facts.settings.clone(),
                records: Vec::new(),
                climatology: self
                    .window
                    .site
                    .and_then(|site| Climatology::fit(self.record.history(), site, rows)),
            }),
            scores,
            tool: format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION")),
            stations: Vec::new(),
            graph_sha256: None,
        }
    }

    /// Every forecast of a part of the record, by the engine that is built in, and one of them to show.
    pub(crate) fn cases(&self, part: Part) -> Result<(Vec<Case>, Option<Fan>), TrainError> {
        let file = Artefact::assemble(self.model.clone(), &self.manifest(self.facts.experiment, Vec::new()))?;
        let artefact = Artefact::parse(&file)?;
        let runtime = Runtime::start(EngineChoice::Tract, None)?;
        let slots = self.record.part(DEFAULT_SPLIT, part);
        let cases = forecastd_report::cases(&artefact, &self.record, part, &slots, &runtime)?;
        let fan = Fan::typical(&artefact, &self.record, &cases, &runtime)?;
        Ok((cases, fan))
    }

    /// Sums up cases of a part.
    pub(crate) fn errors(&self, part: Part, cases: &[Case]) -> PartErrors {
        PartErrors::new(&self.record, part, &self.lead_h, cases)
    }
}

/// Refuses a model that is no better at its longest lead than a reference forecast.
pub(super) fn check_gain(validation: &PartErrors) -> Result<(), TrainError> {
    let Some(errors) = validation.leads.last() else { return Ok(()) };
    let baselines = [
        ("persistence", errors.persistence),
        ("the same time yesterday", errors.yesterday),
        ("climatology", errors.climatology),
    ];
    for (baseline, sum) in baselines {
        // A reference that was not measured has no error to compare with.
        if errors.model.mae() >= sum.mae() {
            let (model_c, baseline_c) = (errors.model.mae(), sum.mae());
            return Err(TrainError::NoGain { model_c, lead_h: errors.lead_h, baseline, baseline_c });
        }
    }
    Ok(())
}
