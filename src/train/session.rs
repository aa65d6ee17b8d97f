//! A run of the trainer: reads the record, runs experiments on it, writes the model.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;

use crate::evaluate::{self, EvaluateError, PartErrors};
use crate::forecast::baseline::Climatology;
use crate::forecast::score::ErrorSum;
use crate::formats::csv::{CsvError, CsvMapping, CsvReader};
use crate::grid::{Grid, Slot};
use crate::model::{
    Artefact, ArtefactError, EngineChoice, EngineError, FORMAT_VERSION, Manifest, Runtime, Training,
    write_atomically,
};
use crate::quantity::{Quantity, Values};
use crate::record::{DEFAULT_SPLIT, Part, Record, RecordError, RecordSource};
use crate::solar::Site;
use crate::thermodynamics;

use super::checkpoint::CheckpointError;
use super::dataset::{Dataset, DatasetError};
use super::experiment::{self, Experiment, Method, PairRecipe, Recipe, ReviewRecipe};
use super::fit::{CheckpointPlan, Ending, fit};
use super::graph::GraphBuilder;
use super::imdb::reviews::{ReviewError, Reviews};
use super::imdb::task::ReviewTask;
use super::network::Network;
use super::options::{Protocol, TrainOptions};
use super::pair::{self, BranchKind, BranchTask, Pair, PairData};
use super::progress::{Event, JsonLines, Observer, Terminal};
use super::station::StationTask;
use super::summary::{ExperimentResult, ReviewResult, TrainSummary};

/// Why a run ends without what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// No file was given.
    #[error("no history given: --csv FILE")]
    NoCsv,
    /// No film reviews were given.
    #[error("{0} learns from the Large Movie Review Dataset: --imdb PATH")]
    NoReviews(&'static str),
    /// The film reviews cannot be read.
    #[error(transparent)]
    Reviews(#[from] ReviewError),
    /// There is no such experiment.
    #[error("no experiment {name:?}; there are {known}")]
    UnknownExperiment {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The grid is none.
    #[error("--grid-step-s {0} does not divide an hour")]
    GridStep(u32),
    /// Where the station stands is not known.
    #[error("where the station stands is not known: give --latitude and --longitude, or site in the mapping")]
    NoSite,
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The file or mapping cannot be read.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The record cannot be trained on.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model cannot be written.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// The model cannot be evaluated.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The engine does not run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log cannot be written.
    #[error("{path}: {source}", path = .path.display())]
    Log {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The training was interrupted.
    #[error("interrupted{}", .0.as_ref().map(|path| format!("; go on with --resume --checkpoint {}", path.display())).unwrap_or_default())]
    Interrupted(Option<PathBuf>),
    /// Nothing was learned at all.
    #[error("the loss was no number from the beginning: try a lower --learning-rate")]
    Diverged,
    /// Only a network can be written.
    #[error("{0} is no network that can be written to a model file")]
    NotExportable(String),
    /// The model is of no use.
    #[error(
        "not written: on the validation part the model errs by {model_c:.3} °C at {lead_h} h, {baseline} by \
         {baseline_c:.3} °C; --ship-anyway writes it all the same"
    )]
    NoGain {
        /// Mean absolute error of the model.
        model_c: f64,
        /// The lead.
        lead_h: u32,
        /// What costs nothing and is as good.
        baseline: &'static str,
        /// Its mean absolute error.
        baseline_c: f64,
    },
}

/// Runs what the options say. An experiment is the best network unless others are named.
///
/// # Errors
/// [`TrainError`], the first met.
pub fn run(
    options: &TrainOptions,
    interrupted: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<TrainSummary, TrainError> {
    let experiments = chosen(options)?;
    let summary = TrainSummary::default();
    let mut session = Session { options, interrupted, observer, summary, record: None, reviews: None };
    for experiment in &experiments {
        for seed in options.seed..options.seed + options.seeds.max(1) {
            session.experiment(experiment, seed)?;
        }
    }
    Ok(session.summary)
}

/// Runs what the options say, shows how it goes in the terminal and prints what came of it.
///
/// # Errors
/// [`TrainError`], the first met.
pub fn run_on_terminal(options: &TrainOptions, interrupted: &AtomicBool) -> Result<(), TrainError> {
    if options.list {
        for experiment in experiment::all() {
            println!("{:<24} {}", experiment.name, experiment.about);
        }
        return Ok(());
    }
    let failed = |path: &PathBuf, source| TrainError::Log { path: path.clone(), source };
    let log = options.log.as_ref().map(|path| JsonLines::open(path).map_err(|error| failed(path, error)));
    let terminal = (!options.quiet).then(Terminal::default);
    let mut observer = (terminal, log.transpose()?);
    let summary = run(options, interrupted, &mut observer)?;
    print!("{summary}");
    Ok(())
}

fn chosen(options: &TrainOptions) -> Result<Vec<Experiment>, TrainError> {
    if options.all {
        // All that there is data for.
        let has_data = |experiment: &Experiment| match experiment.method {
            Method::Reviews(_) => options.imdb.is_some(),
            _ => options.csv.is_some(),
        };
        return Ok(experiment::all().into_iter().filter(has_data).collect());
    }
    let default = [experiment::DEFAULT.to_owned()];
    let names = if options.experiment.is_empty() { &default[..] } else { &options.experiment[..] };
    let find = |name: &String| {
        experiment::by_name(name).ok_or_else(|| {
            let known: Vec<&str> = experiment::all().iter().map(|experiment| experiment.name).collect();
            TrainError::UnknownExperiment { name: name.clone(), known: known.join(", ") }
        })
    };
    names.iter().map(find).collect()
}

struct Session<'a> {
    options: &'a TrainOptions,
    interrupted: &'a AtomicBool,
    observer: &'a mut dyn Observer,
    summary: TrainSummary,
    /// The record read last, with the quantities it keeps.
    record: Option<(Vec<Quantity>, Record)>,
    /// The film reviews, once they are read.
    reviews: Option<Rc<Reviews>>,
}

impl Session<'_> {
    fn note(&mut self, text: &str) {
        self.observer.event(&Event::Note { text });
    }

    fn experiment(&mut self, experiment: &Experiment, seed: u64) -> Result<(), TrainError> {
        self.observer.event(&Event::Experiment { name: experiment.name, seed });
        match &experiment.method {
            Method::Persistence | Method::Yesterday | Method::Climatology => self.baseline(experiment),
            Method::Network(recipe) => {
                let recipe = recipe.clone().with_options(self.options, seed);
                self.network(experiment, &recipe)
            }
            Method::Pair(recipe) => {
                let recipe = recipe.clone().with_options(self.options, seed);
                self.pair(experiment, &recipe)
            }
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
        if self.options.out.is_some() {
            return Err(TrainError::NotExportable(experiment.name.to_owned()));
        }
        let reviews = self.reviews(experiment)?;
        let device = Device::flex().autodiff();
        let task = ReviewTask::new(&reviews, &recipe.network, device.clone());
        self.note(&format!(
            "{} reviews to learn from, {} to choose by, {} different words",
            task.train.len(),
            task.validation.len(),
            task.distinct_words,
        ));
        let model = recipe.network.init(&device, &mut recipe.fit.initial_generator());
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let plan = self.options.checkpoint.as_ref().map(|path| CheckpointPlan {
            path: path.clone(),
            resume: self.options.resume,
            fingerprint: format!("{} {} {settings}", experiment.name, reviews.sha256),
        });
        let fitted = fit(&task, model, &recipe.fit, plan.as_ref(), self.interrupted, self.observer)?;
        if fitted.ending == Ending::Interrupted {
            return Err(TrainError::Interrupted(self.options.checkpoint.clone()));
        }
        if fitted.best_epoch == 0 {
            return Err(TrainError::Diverged);
        }
        self.summary.reviews.push(ReviewResult {
            name: experiment.name,
            seed: recipe.fit.seed,
            accuracy: 1.0 - fitted.best.score,
            notebook_accuracy: recipe.notebook_accuracy,
            loss: fitted.best.loss,
            best_epoch: fitted.best_epoch,
            epochs: fitted.epochs,
        });
        Ok(())
    }

    /// The record with at least the given quantities.
    fn record(&mut self, quantities: &[Quantity]) -> Result<Record, TrainError> {
        if let Some((kept, record)) = &self.record
            && kept == quantities
        {
            return Ok(record.clone());
        }
        let grid_step_s = self.options.grid_step_s;
        let grid = Grid::new(grid_step_s)
            .filter(|_| 3600 % grid_step_s == 0)
            .ok_or(TrainError::GridStep(grid_step_s))?;
        let record = Record::read(&self.source()?, grid, quantities)?;
        self.describe(&record);
        self.record = Some((quantities.to_vec(), record.clone()));
        Ok(record)
    }

    fn source(&self) -> Result<RecordSource, TrainError> {
        let path = self.options.csv.clone().ok_or(TrainError::NoCsv)?;
        let mapping = self.options.mapping.as_deref().map(CsvMapping::read).transpose()?;
        Ok(RecordSource { path, mapping })
    }

    /// The quantities of the file, and those that follow from them.
    fn quantities_of_file(&self) -> Result<Vec<Quantity>, TrainError> {
        let source = self.source()?;
        let reader = CsvReader::open(&source.path, source.mapping.as_ref())?;
        let mut values = Values::NONE;
        for quantity in reader.quantities() {
            let (low, high) = quantity.plausible_range();
            values.set(
                quantity,
                if quantity == Quantity::AirTemperature { 10.0 } else { low + (high - low) / 2.0 },
            );
        }
        thermodynamics::derive(&mut values);
        Ok(values.iter().map(|(quantity, _)| quantity).collect())
    }

    fn describe(&mut self, record: &Record) {
        let facts = record.facts();
        let years = (facts.last.as_second() - facts.first.as_second()) as f64 / (365.2425 * 86_400.0);
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
        let mut faults = Vec::new();
        let mut fault = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        };
        fault(facts.broken, "rows that cannot be read");
        fault(facts.unsorted, "readings out of order");
        fault(facts.repeated, "readings of a time slot that had one");
        fault(facts.dropped, "implausible values dropped");
        if !faults.is_empty() {
            let first =
                facts.first_broken.as_ref().map(|first| format!("; the first: {first}")).unwrap_or_default();
            self.note(&format!("{}{first}", faults.join(", ")));
        }
        if years * DEFAULT_SPLIT.train < 1.0 {
            self.note(
                "less than a year of it is for training: seasons cannot be learned from that, expect little until \
                 there are two years or more",
            );
        }
    }

    fn site(&self, record: &Record) -> Result<Site, TrainError> {
        match (self.options.latitude, self.options.longitude) {
            (Some(latitude_deg), Some(longitude_deg)) => Ok(Site { latitude_deg, longitude_deg }),
            _ => record.site().ok_or(TrainError::NoSite),
        }
    }

    /// A forecast that costs nothing, over the cases that a network of the notebook is validated on.
    fn baseline(&mut self, experiment: &Experiment) -> Result<(), TrainError> {
        if self.options.out.is_some() {
            return Err(TrainError::NotExportable(experiment.name.to_owned()));
        }
        let record = self.record(&[Quantity::AirTemperature])?;
        let train = record.part(DEFAULT_SPLIT, Part::Train);
        let validation = record.part(DEFAULT_SPLIT, Part::Validation);
        let lead_h = match self.options.protocol {
            Some(Protocol::Aligned) => 24,
            Some(Protocol::Notebook) | None => 25,
        };
        let climatology = match experiment.method {
            Method::Climatology => {
                let site = self.site(&record)?;
                Climatology::fit(record.history(), site, record.rows_within(&train)).map(|fit| (site, fit))
            }
            _ => None,
        };
        let history = record.history();
        let temperature = |slot: Slot| f64::from(history.value(slot, Quantity::AirTemperature));
        let window = 239 * 3600 / history.grid().step_s();
        let mut errors = ErrorSum::default();
        for &origin in record.rows_within(&(validation.start + window..validation.end)) {
            let observed_c = f64::from(record.target(origin, lead_h, &validation));
            let valid = origin + i64::from(lead_h) * 3600 / history.grid().step_s();
            let forecast_c = match (&experiment.method, &climatology) {
                (Method::Yesterday, _) => {
                    temperature(crate::forecast::baseline::same_time_yesterday(history, origin, lead_h))
                }
                (Method::Climatology, Some((site, fit))) => {
                    fit.temperature_c(*site, history.grid().time(valid))
                }
                _ => temperature(origin),
            };
            if !observed_c.is_nan() && !forecast_c.is_nan() {
                errors.add(forecast_c, observed_c);
            }
        }
        self.summary.results.push(ExperimentResult {
            name: experiment.name,
            seed: 0,
            validation_c: errors.mae(),
            validation_normalised: errors.mae() / temperature_deviation(&record),
            best_epoch: None,
            epochs: Vec::new(),
        });
        Ok(())
    }

    fn network(&mut self, experiment: &Experiment, recipe: &Recipe) -> Result<(), TrainError> {
        let in_file = self.quantities_of_file()?;
        let record = self.record(&recipe.quantities(&in_file))?;
        let site = self.site(&record)?;
        let spec = recipe.window(&record, site);
        let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &recipe.target(), None)?;
        self.note(&format!(
            "{} windows to learn from, {} to choose by, each {} samples of {} features",
            dataset.train.len(),
            dataset.validation.len(),
            spec.samples,
            spec.features.len(),
        ));
        let device = Device::flex().autodiff();
        let task = StationTask::new(&dataset, device.clone());
        let model = recipe.network.init(
            [spec.samples, spec.features.len()],
            dataset.lead_h.len(),
            &device,
            &mut recipe.fit.initial_generator(),
        );
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let plan = self.options.checkpoint.as_ref().map(|path| CheckpointPlan {
            path: path.clone(),
            resume: self.options.resume,
            fingerprint: format!("{} {} {settings}", experiment.name, record.facts().sha256),
        });
        let fitted = fit(&task, model, &recipe.fit, plan.as_ref(), self.interrupted, self.observer)?;
        if fitted.ending == Ending::Interrupted {
            return Err(TrainError::Interrupted(self.options.checkpoint.clone()));
        }
        if fitted.best_epoch == 0 {
            return Err(TrainError::Diverged);
        }
        self.summary.results.push(ExperimentResult {
            name: experiment.name,
            seed: recipe.fit.seed,
            validation_c: fitted.best.score,
            validation_normalised: fitted.best.score / temperature_deviation(&record),
            best_epoch: Some(fitted.best_epoch),
            epochs: fitted.epochs,
        });
        if let Some(out) = self.options.out.clone() {
            let model = export(&fitted.model, &dataset);
            let manifest =
                Draft { experiment: experiment.name, seed: recipe.fit.seed, settings, quantiles: Vec::new() };
            self.ship(&out, model, manifest, &dataset, &record)?;
        }
        Ok(())
    }

    /// Trains both branches of the network that is shipped, one after the other.
    fn pair(&mut self, experiment: &Experiment, recipe: &PairRecipe) -> Result<(), TrainError> {
        let record = self.record(&recipe.quantities())?;
        let site = self.site(&record)?;
        let spec = recipe.window(&record, site);
        let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &recipe.target(), None)?;
        let data = PairData::new(&dataset, &record);
        self.note(&format!(
            "{} windows to learn from, {} to choose by",
            dataset.train.len(),
            dataset.validation.len()
        ));
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let device = Device::flex().autodiff();
        let task = BranchTask::new(&data, &recipe.network, device.clone());
        let mut branches = Vec::new();
        let mut epochs = Vec::new();
        for (name, kind, fitting) in [
            ("dense", BranchKind::Dense, &recipe.dense),
            ("recurrent", BranchKind::Recurrent, &recipe.recurrent),
        ] {
            self.note(&format!("the {name} branch"));
            let branch = data.branch(kind, &recipe.network, &device, &mut fitting.initial_generator());
            let plan = self.options.checkpoint.as_ref().map(|path| {
                let mut path = path.clone().into_os_string();
                path.push(format!(".{name}"));
                let sha256 = &record.facts().sha256;
                CheckpointPlan {
                    path: path.into(),
                    resume: self.options.resume,
                    fingerprint: format!("{} {name} {sha256} {settings}", experiment.name),
                }
            });
            let fitted = fit(&task, branch, fitting, plan.as_ref(), self.interrupted, self.observer)?;
            if fitted.ending == Ending::Interrupted {
                return Err(TrainError::Interrupted(self.options.checkpoint.clone()));
            }
            if fitted.best_epoch == 0 {
                return Err(TrainError::Diverged);
            }
            branches.push(fitted.model);
            epochs.extend(fitted.epochs);
        }
        let (Some(recurrent), Some(dense)) = (branches.pop(), branches.pop()) else {
            return Err(TrainError::Diverged);
        };
        let pair = Pair::new(&data, dense, recurrent);
        self.summary.results.push(ExperimentResult {
            name: experiment.name,
            seed: recipe.dense.seed,
            validation_c: pair.validation.score,
            validation_normalised: pair.validation.score / temperature_deviation(&record),
            best_epoch: None,
            epochs,
        });
        if let Some(out) = self.options.out.clone() {
            let draft = Draft {
                experiment: experiment.name,
                seed: recipe.dense.seed,
                settings,
                quantiles: pair::QUANTILES.to_vec(),
            };
            self.ship(&out, pair.export(&dataset), draft, &dataset, &record)?;
        }
        Ok(())
    }

    /// Scores a model and writes it, if it is good for anything.
    fn ship(
        &mut self,
        out: &std::path::Path,
        model: crate::model::onnx::Model,
        draft: Draft,
        dataset: &Dataset,
        record: &Record,
    ) -> Result<(), TrainError> {
        let spec = dataset.windows.spec();
        let facts = record.facts();
        let train = record.part(DEFAULT_SPLIT, Part::Train);
        let stem = out.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            name: self.options.name.clone().unwrap_or(stem),
            window: spec.clone(),
            normalisation: dataset.windows.normalisation().clone(),
            target: dataset.target.clone(),
            lead_h: dataset.lead_h.clone(),
            quantiles: draft.quantiles,
            training: Some(Training {
                file: facts.file.clone(),
                sha256: facts.sha256.clone(),
                rows: facts.readings,
                first: facts.first,
                last: facts.last,
                split: DEFAULT_SPLIT,
                seed: draft.seed,
                experiment: draft.experiment.to_owned(),
                settings: draft.settings,
                climatology: Climatology::fit(record.history(), spec.site, record.rows_within(&train)),
            }),
            scores: Vec::new(),
            tool: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
        };
        let artefact = Artefact::parse(&Artefact::assemble(model.clone(), &manifest)?)?;
        let runtime = Runtime::start(EngineChoice::Tract, None)?;
        let errors = |part: Part| -> Result<PartErrors, TrainError> {
            let slots = record.part(DEFAULT_SPLIT, part);
            let cases = evaluate::cases(&artefact, record, part, &slots, &runtime)?;
            Ok(PartErrors::of(record, part, &manifest.lead_h, &cases))
        };
        let validation = errors(Part::Validation)?;
        if !self.options.ship_anyway {
            check_gain(&validation)?;
        }
        let test = errors(Part::Test)?;
        manifest.scores = vec![validation.scores(), test.scores()];
        self.summary.parts = vec![validation, test];
        write_atomically(out, &Artefact::assemble(model, &manifest)?)?;
        self.summary.written = Some(out.to_owned());
        Ok(())
    }
}

/// What a manifest says beside the data.
struct Draft {
    experiment: &'static str,
    seed: u64,
    settings: serde_json::Value,
    quantiles: Vec<f32>,
}

/// Refuses a model that is no better at its longest lead than what costs nothing.
fn check_gain(validation: &PartErrors) -> Result<(), TrainError> {
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

/// The network as a graph that gives what the manifest's target describes.
fn export(network: &Network, dataset: &Dataset) -> crate::model::onnx::Model {
    let spec = dataset.windows.spec();
    let mut graph = GraphBuilder::new();
    let output = network.export(&mut graph, Artefact::INPUT, &dataset.scale);
    graph.finish(&output, [spec.samples, spec.features.len()], &[dataset.lead_h.len()])
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
