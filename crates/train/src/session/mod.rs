//! What a run works with: the record, where states are kept, what is best so far.

mod export;
mod learning;
mod own;
mod world;

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;

use forecastd_core::Manifest;
use forecastd_core::Quantity;
use forecastd_core::Refit;
use forecastd_core::Site;
use forecastd_core::{Grid, Slot};
use forecastd_core::{WindowSpec, WindowSpecError};
use forecastd_model::onnx;
use forecastd_record::{CsvMapping, DEFAULT_SPLIT, Part, Record, RecordSource, known_quantities};

use crate::baseline::Baseline;
use crate::candidate::{Candidate, CandidateFacts};
use crate::checkpoint::CheckpointPlan;
use crate::dataset::{Dataset, TargetSpec};
use crate::epoch::Ending;
use crate::error::TrainError;
use crate::experiment::{self, Experiment, Method, ReviewRecipe};
use crate::fit::{FitSettings, Fitted, Objective, StopRule, fit};
use crate::imdb::objective::ReviewObjective;
use crate::imdb::reviews::Reviews;
use crate::options::{Protocol, TrainOptions};
use crate::progress::{Observer, TrainingEvent};
use crate::summary::{ExperimentResult, FitRecord, ReviewResult, TrainSummary};
use crate::task::Task;

/// A training run in progress.
pub(super) struct TrainingRun<'a> {
    options: &'a TrainOptions,
    interrupted: &'a AtomicBool,
    observer: &'a mut dyn Observer,
    summary: TrainSummary,
    /// The record read last, with the quantities it keeps.
    record: Option<(Vec<Quantity>, Rc<Record>)>,
    /// The film reviews, once they are read.
    reviews: Option<Rc<Reviews>>,
    /// The network that is best on the validation part so far, if one is wanted.
    candidate: Option<Candidate>,
    /// Whether more than one training is run, each with a checkpoint of its own.
    several: bool,
}

impl<'a> TrainingRun<'a> {
    /// A run that has yet to begin; `several` says whether there is more than one training.
    pub(super) fn new(
        options: &'a TrainOptions,
        interrupted: &'a AtomicBool,
        observer: &'a mut dyn Observer,
        several: bool,
    ) -> TrainingRun<'a> {
        TrainingRun {
            options,
            interrupted,
            observer,
            summary: TrainSummary::default(),
            record: None,
            reviews: None,
            candidate: None,
            several,
        }
    }

    /// The results so far.
    pub(super) fn into_summary(self) -> TrainSummary {
        self.summary
    }
}

impl TrainingRun<'_> {
    fn note(&mut self, text: &str) {
        self.observer.event(&TrainingEvent::Note { text });
    }

    /// Names the experiments of `--all` that there is no data for.
    pub(super) fn say_what_is_left_out(&mut self) {
        let all = experiment::all();
        let is_review = |experiment: &&Experiment| matches!(experiment.method, Method::Reviews(_));
        if self.options.all && self.options.imdb.is_none() {
            let names: Vec<&str> = all.iter().filter(is_review).map(|experiment| experiment.name).collect();
            self.note(&format!("left out, for want of --imdb: {}", names.join(", ")));
        }
        if self.options.all {
            let alone = all.iter().filter(|experiment| experiment.makes_model_itself());
            let names: Vec<&str> = alone.map(|experiment| experiment.name).collect();
            self.note(&format!("left out, as each makes a model by itself: {}", names.join(", ")));
        }
        if self.options.all && self.options.csv.is_empty() {
            self.note("left out, for want of --csv: all that forecast a temperature");
        }
    }

    /// Ends a run that was interrupted, where the loop of a training does not look.
    fn check_interrupted(&self) -> Result<(), TrainError> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(TrainError::Interrupted(self.options.checkpoint.clone())),
            false => Ok(()),
        }
    }

    /// Runs an experiment with one seed.
    pub(super) fn experiment(&mut self, experiment: &Experiment, seed: u64) -> Result<(), TrainError> {
        self.check_interrupted()?;
        self.observer.event(&TrainingEvent::Experiment { name: experiment.name, seed });
        match &experiment.method {
            Method::Persistence => self.baseline(experiment, |_, _| Ok(Some(Baseline::Persistence))),
            Method::Yesterday => self.baseline(experiment, |_, _| Ok(Some(Baseline::Yesterday))),
            Method::Climatology => self.baseline(experiment, |session, record| {
                Ok(Baseline::climatology(record, session.site(record)?))
            }),
            Method::Ridge(recipe) => self.ridge(experiment, &recipe.clone().with_options(self.options)),
            Method::Network(recipe) => {
                let recipe = recipe.clone().with_options(self.options, seed);
                self.network(experiment, &recipe)
            }
            Method::Pair(recipe) => {
                let recipe = recipe.clone().with_options(self.options, seed);
                self.pair(experiment, &recipe)
            }
            Method::Own(recipe) => self.own(experiment, &recipe.clone().with_options(self.options, seed)),
            Method::World(recipe) => self.world(experiment, &recipe.clone().with_options(self.options, seed)),
            Method::Reviews(recipe) => {
                let recipe = recipe.clone().with_options(self.options, seed);
                self.film_reviews(experiment, &recipe)
            }
        }
    }

    /// The film reviews.
    fn reviews(&mut self, experiment: &Experiment) -> Result<Rc<Reviews>, TrainError> {
        if let Some(reviews) = &self.reviews {
            return Ok(Rc::clone(reviews));
        }
        let path = self.options.imdb.as_ref().ok_or(TrainError::NoReviews(experiment.name))?;
        let reviews = Rc::new(Reviews::read(path)?);
        self.reviews = Some(Rc::clone(&reviews));
        Ok(reviews)
    }

    /// A network on film reviews.
    fn film_reviews(&mut self, experiment: &Experiment, recipe: &ReviewRecipe) -> Result<(), TrainError> {
        let reviews = self.reviews(experiment)?;
        let device = Device::flex().autodiff();
        let objective = ReviewObjective::new(&reviews, &recipe.network, device.clone());
        self.note(&format!(
            "{} reviews to train on, {} to choose by, {} different words",
            objective.train.len(),
            objective.validation.len(),
            objective.distinct_words,
        ));
        let model = recipe.network.init(&device, &mut recipe.fit.initial_generator());
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let plan = self.plan(experiment.name, recipe.fit.seed, "", &format!("{} {settings}", reviews.sha256));
        let fitted = self.fit(&objective, model, &recipe.fit, StopRule::Best, plan)?;
        self.summary.reviews.push(ReviewResult {
            name: experiment.name,
            seed: recipe.fit.seed,
            accuracy: 1.0 - fitted.best.score,
            notebook_accuracy: recipe.notebook_accuracy,
            loss: fitted.best.loss,
            fit: FitRecord::new("", &fitted),
        });
        Ok(())
    }

    /// The record with at least the given quantities.
    fn record(&mut self, quantities: &[Quantity]) -> Result<Rc<Record>, TrainError> {
        if let Some((kept, record)) = &self.record
            && kept == quantities
        {
            return Ok(Rc::clone(record));
        }
        let grid_step_s = self.options.grid_step_s;
        let grid = Grid::new(grid_step_s).ok_or(WindowSpecError::GridStep(grid_step_s))?;
        let record = Rc::new(Record::read(&self.source()?, grid, quantities)?);
        self.check_interrupted()?;
        if self.record.is_none() {
            self.describe(&record);
            let learned = years(&record) * DEFAULT_SPLIT.train;
            self.note(&format!("{learned:.1} years of it are trained on: {}", advice(learned)));
        }
        self.record = Some((quantities.to_vec(), Rc::clone(&record)));
        Ok(record)
    }

    fn source(&self) -> Result<RecordSource, TrainError> {
        if self.options.csv.is_empty() {
            return Err(TrainError::NoCsv);
        }
        let mapping = self.options.mapping.as_deref().map(CsvMapping::read).transpose()?;
        Ok(RecordSource { paths: self.options.csv.clone(), mapping, site: self.options.site() })
    }

    /// The quantities of the file, and those that follow from them.
    fn quantities_of_file(&self) -> Result<Vec<Quantity>, TrainError> {
        Ok(known_quantities(&self.source()?)?)
    }

    fn describe(&mut self, record: &Record) {
        let facts = record.facts();
        let years = years(record);
        let (missing, _) = record.holes(18);
        self.note(&format!(
            "{}: {} readings from {} to {} ({years:.1} years), one every {:.0} min, {:.1} % missing",
            facts.file,
            facts.readings,
            facts.first,
            facts.last,
            record.cadence_s() / 60.0,
            100.0 * missing,
        ));
        if !facts.quality.is_empty() {
            self.note(&facts.quality.to_string());
        }
    }

    fn site(&self, record: &Record) -> Result<Site, TrainError> {
        record.site().ok_or(TrainError::NoSite)
    }

    /// Where the state of a training is kept, if anywhere.
    fn plan(&self, experiment: &str, seed: u64, part: &str, of: &str) -> Option<CheckpointPlan> {
        let mut path = self.options.checkpoint.clone()?.into_os_string();
        if self.several {
            path.push(format!(".{experiment}.{seed}"));
        }
        path.push(part);
        Some(CheckpointPlan {
            path: path.into(),
            resume: self.options.resume,
            fingerprint: format!("{experiment}{part} {of}"),
        })
    }

    /// Trains to a good end.
    fn fit<T: Objective>(
        &mut self,
        objective: &T,
        model: T::Model,
        settings: &FitSettings,
        until: StopRule,
        plan: Option<CheckpointPlan>,
    ) -> Result<Fitted<T::Model>, TrainError> {
        let fitted = fit(objective, model, settings, until, plan.as_ref(), self.interrupted, self.observer)?;
        if fitted.ending == Ending::Interrupted {
            return Err(TrainError::Interrupted(self.options.checkpoint.clone()));
        }
        match until {
            StopRule::Best if fitted.best_epoch == 0 => Err(TrainError::Diverged),
            StopRule::Epoch(epoch) if fitted.best_epoch != epoch => Err(TrainError::RefitDiverged(epoch)),
            _ => Ok(fitted),
        }
    }

    fn result(&mut self, experiment: &Experiment, record: &Record, fitted: Scored) {
        let normalised = fitted.validation_c / temperature_deviation(record);
        self.observer.event(&TrainingEvent::Scored {
            name: experiment.name,
            seed: fitted.seed,
            lead_h: fitted.lead_h,
            validation_c: fitted.validation_c,
            persistence_c: fitted.persistence_c,
            normalised,
        });
        self.summary.results.push(ExperimentResult {
            name: experiment.name,
            seed: fitted.seed,
            leads_h: fitted.lead_h..=fitted.lead_h,
            validation_c: fitted.validation_c,
            validation_normalised: Some(normalised),
            persistence_c: fitted.persistence_c,
            fits: fitted.fits,
        });
    }

    /// Keeps a network, if one is wanted and there was none better on the validation part.
    fn candidate(
        &mut self,
        facts: CandidateFacts,
        model: impl FnOnce() -> onnx::Model,
        on: (&Dataset, &Rc<Record>),
    ) {
        let wanted = self.options.out.is_some() || self.options.report.is_some();
        let is_best = self.candidate.as_ref().is_none_or(|best| facts.skill > best.facts.skill);
        if wanted && is_best {
            self.candidate = Some(Candidate::new(facts, model(), on.0, on.1));
        }
    }

    fn baseline(
        &mut self,
        experiment: &Experiment,
        baseline: impl FnOnce(&Self, &Record) -> Result<Option<Baseline>, TrainError>,
    ) -> Result<(), TrainError> {
        let record = self.record(&[Quantity::AirTemperature])?;
        let lead_h = self.options.protocol.unwrap_or(Protocol::Notebook).lead_h();
        let no_case = || TrainError::NoCase {
            file: record.facts().file.clone(),
            baseline: experiment.name,
            rows: record.rows_within(&record.part(DEFAULT_SPLIT, Part::Validation)).len(),
            lead_h,
        };
        let baseline = baseline(self, &record)?.ok_or_else(no_case)?;
        let errors = baseline.validate(&record, lead_h);
        if errors.count() == 0 {
            return Err(no_case());
        }
        let persistence_c = Baseline::Persistence.validate(&record, lead_h).mae();
        let scored =
            Scored { seed: None, lead_h, validation_c: errors.mae(), persistence_c, fits: Vec::new() };
        self.result(experiment, &record, scored);
        Ok(())
    }

    fn dataset(&mut self, task: &Task, refit: Option<Refit>) -> Result<(Dataset, Rc<Record>), TrainError> {
        let in_file = self.quantities_of_file()?;
        let record = self.record(&task.quantities(&in_file))?;
        let spec = task.window(&record, self.site(&record)?);
        let dataset = self.windows(&record, &spec, &task.target(), refit)?;
        Ok((dataset, record))
    }

    /// Cuts a record into windows, and says how many.
    fn windows(
        &mut self,
        record: &Record,
        spec: &WindowSpec,
        target: &TargetSpec,
        refit: Option<Refit>,
    ) -> Result<Dataset, TrainError> {
        spec.validate()?;
        if self.options.out.is_some() || self.options.report.is_some() {
            // No model file could be made of what is learned, be it for its window alone.
            Manifest::validate_shape(spec, &target.lead_h)?;
        }
        let dataset = Dataset::new(record, spec, DEFAULT_SPLIT, target, refit)?;
        self.check_interrupted()?;
        let (spec, choices) = (dataset.windows.spec(), dataset.validation.len());
        self.note(&format!(
            "{} windows to train on{}, each {} samples of {} features",
            dataset.train.len(),
            if choices > 0 { format!(", {choices} to choose by") } else { String::new() },
            spec.samples,
            spec.features.len(),
        ));
        Ok(dataset)
    }
}

/// How many years a record spans.
fn years(record: &Record) -> f64 {
    let facts = record.facts();
    (facts.last.as_second() - facts.first.as_second()) as f64 / (365.2425 * 86_400.0)
}

/// What so many years of a station's readings are good for, by what was measured at Jena (`models/README.md`).
fn advice(learned_years: f64) -> String {
    const OF_ITS_OWN: &str = "a model of its own, which from 5.7 years at Jena had 2.21 °C at 24 h in 2020, the model for any place \
                              as well";
    if learned_years < JENA_OWN_YEARS {
        format!(
            "too little for {OF_ITS_OWN}, and better used by --experiment own, which adds it to that one: there {JENA_GAIN}"
        )
    } else {
        format!("enough for {OF_ITS_OWN}")
    }
}

/// What its own history added to the model for any place at Jena (`models/README.md`).
const JENA_GAIN: &str = "half a year gained nothing (-0.9 to 0.6 %), one 0.0 to 0.8 %, two 0.9 to 1.2 %";

/// The years that the model of its own at Jena was trained on: 300,000 of 420,551 rows of eight years.
const JENA_OWN_YEARS: f64 = 5.7;

/// The result of an experiment, without what its record tells.
struct Scored {
    seed: Option<u64>,
    lead_h: u32,
    validation_c: f64,
    persistence_c: f64,
    fits: Vec<FitRecord>,
}

/// Standard deviation of the training part's temperatures, °C.
fn temperature_deviation(record: &Record) -> f64 {
    let train = record.part(DEFAULT_SPLIT, Part::Train);
    let history = record.history();
    let rows = record.rows_within(&train);
    let temperature = |&row: &Slot| f64::from(history.value(row, Quantity::AirTemperature));
    let mean = rows.iter().map(temperature).sum::<f64>() / rows.len() as f64;
    (rows.iter().map(|row| (temperature(row) - mean).powi(2)).sum::<f64>() / rows.len() as f64).sqrt()
}
