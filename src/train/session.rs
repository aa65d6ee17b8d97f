//! A run of the trainer: reads the record, runs experiments on it, writes the best model and the report.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;

use crate::formats::csv::{CsvMapping, CsvReader};
use crate::grid::{Grid, Slot};
use crate::model::{Artefact, onnx};
use crate::quantity::{Quantity, Values};
use crate::record::{DEFAULT_SPLIT, Part, Record, RecordSource};
use crate::report::{PartFigures, Report};
use crate::solar::Site;
use crate::thermodynamics;
use crate::whole_file;

use super::baseline::Baseline;
use super::candidate::{Candidate, Draft, check_gain};
use super::dataset::Dataset;
use super::error::TrainError;
use super::experiment::{self, Experiment, Method, PairRecipe, Recipe, ReviewRecipe};
use super::fit::{CheckpointPlan, Ending, FitSettings, Fitted, Task, fit};
use super::graph::GraphBuilder;
use super::imdb::reviews::Reviews;
use super::imdb::task::ReviewTask;
use super::network::Network;
use super::options::{Protocol, TrainOptions};
use super::pair::{self, BranchKind, BranchTask, Pair, PairData};
use super::problem::Problem;
use super::progress::{Event, JsonLines, Observer, Terminal};
use super::ridge::{Ridge, RidgeRecipe};
use super::station::StationTask;
use super::summary::{ExperimentResult, FitRecord, ReviewResult, TrainSummary};

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
    check(options, &experiments)?;
    let seeds = options.seed..options.seed + options.seeds.max(1);
    let mut session = Session {
        options,
        interrupted,
        observer,
        summary: TrainSummary::default(),
        record: None,
        reviews: None,
        candidate: None,
        several: experiments.len() as u64 * options.seeds.max(1) > 1,
    };
    for experiment in &experiments {
        for seed in seeds.clone() {
            session.experiment(experiment, seed)?;
            // There is nothing random in what is not trained.
            if experiment.is_free() {
                break;
            }
        }
    }
    session.finish()?;
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
    let failed = |path: &PathBuf, source| TrainError::File { path: path.clone(), source };
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

/// Refuses, before anything is computed, what cannot come to a good end.
fn check(options: &TrainOptions, experiments: &[Experiment]) -> Result<(), TrainError> {
    if options.out.is_some() && !experiments.iter().any(Experiment::is_exportable) {
        let names: Vec<&str> = experiments.iter().map(|experiment| experiment.name).collect();
        return Err(TrainError::NotExportable(names.join(", ")));
    }
    if options.report.is_some() && options.csv.is_none() {
        return Err(TrainError::ReportWithoutRecord);
    }
    for path in [&options.out, &options.report, &options.checkpoint].into_iter().flatten() {
        whole_file::check(path)?;
    }
    if options.all {
        return Ok(());
    }
    // Beside a network, a baseline may stand that has no use for the network's options.
    let only_free = experiments.iter().all(Experiment::is_free);
    for experiment in experiments.iter().filter(|experiment| only_free || !experiment.is_free()) {
        if let Some(option) = experiment.unheeded(options) {
            return Err(TrainError::NoEffect { option, experiment: experiment.name });
        }
    }
    Ok(())
}

struct Session<'a> {
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

impl Session<'_> {
    fn note(&mut self, text: &str) {
        self.observer.event(&Event::Note { text });
    }

    fn experiment(&mut self, experiment: &Experiment, seed: u64) -> Result<(), TrainError> {
        self.observer.event(&Event::Experiment { name: experiment.name, seed });
        match &experiment.method {
            Method::Persistence => self.baseline(experiment, |_, _| Some(Baseline::Persistence)),
            Method::Yesterday => self.baseline(experiment, |_, _| Some(Baseline::Yesterday)),
            Method::Climatology => self.baseline(experiment, |session, record| {
                session.site(record).ok().and_then(|site| Baseline::climatology(record, site))
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
        let task = ReviewTask::new(&reviews, &recipe.network, device.clone());
        self.note(&format!(
            "{} reviews to learn from, {} to choose by, {} different words",
            task.train.len(),
            task.validation.len(),
            task.distinct_words,
        ));
        let model = recipe.network.init(&device, &mut recipe.fit.initial_generator());
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let plan = self.plan(experiment, recipe.fit.seed, "", &format!("{} {settings}", reviews.sha256));
        let fitted = self.fit(&task, model, &recipe.fit, plan)?;
        self.summary.reviews.push(ReviewResult {
            name: experiment.name,
            seed: recipe.fit.seed,
            accuracy: 1.0 - fitted.best.score,
            notebook_accuracy: recipe.notebook_accuracy,
            loss: fitted.best.loss,
            fit: FitRecord::of("", &fitted),
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
        let grid = Grid::new(grid_step_s)
            .filter(|_| 3600 % grid_step_s == 0)
            .ok_or(TrainError::GridStep(grid_step_s))?;
        let record = Rc::new(Record::read(&self.source()?, grid, quantities)?);
        if self.record.is_none() {
            self.describe(&record);
        }
        self.record = Some((quantities.to_vec(), Rc::clone(&record)));
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

    /// Where the state of a training is kept, if anywhere.
    fn plan(&self, experiment: &Experiment, seed: u64, part: &str, of: &str) -> Option<CheckpointPlan> {
        let mut path = self.options.checkpoint.clone()?.into_os_string();
        if self.several {
            path.push(format!(".{}.{seed}", experiment.name));
        }
        path.push(part);
        Some(CheckpointPlan {
            path: path.into(),
            resume: self.options.resume,
            fingerprint: format!("{}{part} {of}", experiment.name),
        })
    }

    /// Trains to a good end.
    fn fit<T: Task>(
        &mut self,
        task: &T,
        model: T::Model,
        settings: &FitSettings,
        plan: Option<CheckpointPlan>,
    ) -> Result<Fitted<T::Model>, TrainError> {
        let fitted = fit(task, model, settings, plan.as_ref(), self.interrupted, self.observer)?;
        if fitted.ending == Ending::Interrupted {
            return Err(TrainError::Interrupted(self.options.checkpoint.clone()));
        }
        if fitted.best_epoch == 0 {
            return Err(TrainError::Diverged);
        }
        Ok(fitted)
    }

    fn result(&mut self, experiment: &Experiment, record: &Record, fitted: Scored) {
        let normalised = fitted.validation_c / temperature_deviation(record);
        self.observer.event(&Event::Scored {
            name: experiment.name,
            seed: fitted.seed,
            lead_h: fitted.lead_h,
            validation_c: fitted.validation_c,
            normalised,
        });
        self.summary.results.push(ExperimentResult {
            name: experiment.name,
            seed: fitted.seed,
            lead_h: fitted.lead_h,
            validation_c: fitted.validation_c,
            validation_normalised: normalised,
            fits: fitted.fits,
        });
    }

    /// Keeps a network, if one is wanted and there was none better on the validation part.
    fn candidate(&mut self, draft: Draft, model: impl FnOnce() -> onnx::Model, on: (&Dataset, &Rc<Record>)) {
        let wanted = self.options.out.is_some() || self.options.report.is_some();
        let best = self.candidate.as_ref().map_or(f64::INFINITY, |best| best.draft.validation_c);
        if wanted && draft.validation_c < best {
            self.candidate = Some(Candidate::new(draft, model(), on.0, on.1));
        }
    }

    fn baseline(
        &mut self,
        experiment: &Experiment,
        baseline: impl FnOnce(&Self, &Record) -> Option<Baseline>,
    ) -> Result<(), TrainError> {
        let record = self.record(&[Quantity::AirTemperature])?;
        let lead_h = self.options.protocol.unwrap_or(Protocol::Notebook).lead_h();
        let baseline = baseline(self, &record).ok_or(TrainError::NoSite)?;
        let validation_c = baseline.validate(&record, lead_h).mae();
        self.result(experiment, &record, Scored { seed: None, lead_h, validation_c, fits: Vec::new() });
        Ok(())
    }

    fn dataset(&mut self, problem: &Problem) -> Result<(Dataset, Rc<Record>), TrainError> {
        let in_file = self.quantities_of_file()?;
        let record = self.record(&problem.quantities(&in_file))?;
        let spec = problem.window(&record, self.site(&record)?);
        let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &problem.target(), None)?;
        self.note(&format!(
            "{} windows to learn from, {} to choose by, each {} samples of {} features",
            dataset.train.len(),
            dataset.validation.len(),
            spec.samples,
            spec.features.len(),
        ));
        Ok((dataset, record))
    }

    fn ridge(&mut self, experiment: &Experiment, recipe: &RidgeRecipe) -> Result<(), TrainError> {
        let (dataset, record) = self.dataset(&recipe.problem)?;
        let ridge = Ridge::fit(&dataset, &recipe.penalties).ok_or(TrainError::Ridge)?;
        self.note(&format!("a penalty of {} per example is best", ridge.penalty));
        let (validation_c, lead_h) = (ridge.validation.score, recipe.problem.protocol.lead_h());
        self.result(experiment, &record, Scored { seed: None, lead_h, validation_c, fits: Vec::new() });
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let draft =
            Draft { experiment: experiment.name, seed: 0, settings, quantiles: Vec::new(), validation_c };
        self.candidate(draft, || export(&ridge.network, &dataset), (&dataset, &record));
        Ok(())
    }

    fn network(&mut self, experiment: &Experiment, recipe: &Recipe) -> Result<(), TrainError> {
        let (dataset, record) = self.dataset(&recipe.problem)?;
        let device = Device::flex().autodiff();
        let task = StationTask::new(&dataset, device.clone());
        let spec = dataset.windows.spec();
        let model = recipe.network.init(
            [spec.samples, spec.features.len()],
            dataset.lead_h.len(),
            &device,
            &mut recipe.fit.initial_generator(),
        );
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let of = format!("{} {settings}", record.facts().sha256);
        let (seed, lead_h) = (recipe.fit.seed, recipe.problem.protocol.lead_h());
        let plan = self.plan(experiment, seed, "", &of);
        let fitted = self.fit(&task, model, &recipe.fit, plan)?;
        let validation_c = fitted.best.score;
        let fits = vec![FitRecord::of("", &fitted)];
        self.result(experiment, &record, Scored { seed: Some(seed), lead_h, validation_c, fits });
        let draft =
            Draft { experiment: experiment.name, seed, settings, quantiles: Vec::new(), validation_c };
        self.candidate(draft, || export(&fitted.model, &dataset), (&dataset, &record));
        Ok(())
    }

    /// Trains both branches of the network that is shipped, one after the other.
    fn pair(&mut self, experiment: &Experiment, recipe: &PairRecipe) -> Result<(), TrainError> {
        let record = self.record(&recipe.quantities())?;
        let spec = recipe.window(&record, self.site(&record)?);
        let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &recipe.target(), None)?;
        let data = PairData::new(&dataset, &record);
        self.note(&format!(
            "{} windows to learn from, {} to choose by",
            dataset.train.len(),
            dataset.validation.len()
        ));
        let settings = serde_json::to_value(recipe).unwrap_or_default();
        let of = format!("{} {settings}", record.facts().sha256);
        let seed = recipe.dense.seed;
        let device = Device::flex().autodiff();
        let task = BranchTask::new(&data, &recipe.network, device.clone());
        let mut fits = Vec::new();
        let mut branch = |name, kind, fitting: &FitSettings| {
            self.note(&format!("the {name} branch"));
            let branch = data.branch(kind, &recipe.network, &device, &mut fitting.initial_generator());
            let plan = self.plan(experiment, seed, &format!(".{name}"), &of);
            let fitted = self.fit(&task, branch, fitting, plan)?;
            fits.push(FitRecord::of(name, &fitted));
            Ok::<_, TrainError>(fitted.model)
        };
        let dense = branch("dense", BranchKind::Dense, &recipe.dense)?;
        let recurrent = branch("recurrent", BranchKind::Recurrent, &recipe.recurrent)?;
        let pair = Pair::new(&data, dense, recurrent);
        let validation_c = pair.validation.score;
        self.result(
            experiment,
            &record,
            Scored { seed: Some(seed), lead_h: Protocol::Aligned.lead_h(), validation_c, fits },
        );
        let quantiles = pair::QUANTILES.to_vec();
        let draft = Draft { experiment: experiment.name, seed, settings, quantiles, validation_c };
        self.candidate(draft, || pair.export(&dataset), (&dataset, &record));
        Ok(())
    }

    /// Scores the best network, writes it if it is good for anything, and writes the report.
    fn finish(&mut self) -> Result<(), TrainError> {
        let candidate = self.candidate.take();
        let mut figures = Vec::new();
        let shipped = match &candidate {
            Some(candidate) => self.ship(candidate, &mut figures),
            None => Ok(()),
        };
        // A model that is refused is one that its user wants to look at.
        if let Some(path) = &self.options.report {
            let record = candidate.as_ref().map(|candidate| Rc::clone(&candidate.record));
            let record = record.or_else(|| self.record.as_ref().map(|(_, record)| Rc::clone(record)));
            let mut report = Report::new(record.as_deref());
            if let Some(record) = &record {
                report.mark_parts(record);
            }
            if let Some(candidate) = &candidate {
                report.describe_model(self.name(candidate));
            }
            report.experiments = self.summary.results.iter().map(ExperimentResult::report).collect();
            report.experiments.extend(self.summary.reviews.iter().map(ReviewResult::report));
            report.parts = figures;
            whole_file::write(path, report.to_string().as_bytes())?;
            self.summary.report = Some(path.clone());
        }
        shipped
    }

    /// The model's name: what the user says, the file's, or the experiment's.
    fn name(&self, candidate: &Candidate) -> String {
        let stem = self.options.out.as_ref().and_then(|out| out.file_stem());
        let stem = stem.map(|stem| stem.to_string_lossy().into_owned());
        self.options.name.clone().or(stem).unwrap_or_else(|| candidate.draft.experiment.to_owned())
    }

    fn ship(&mut self, candidate: &Candidate, figures: &mut Vec<PartFigures>) -> Result<(), TrainError> {
        let quantiles = &candidate.draft.quantiles;
        let mut part = |part: Part| {
            let cases = candidate.cases(part)?;
            let errors = candidate.errors(part, &cases);
            figures.push(PartFigures::of(
                &candidate.record,
                candidate.window.site,
                &errors,
                &cases,
                quantiles,
            ));
            Ok::<_, TrainError>(errors)
        };
        let validation = part(Part::Validation)?;
        let Some(out) = &self.options.out else { return Ok(()) };
        if !self.options.ship_anyway {
            check_gain(&validation)?;
        }
        // The test part is looked at for the model that is shipped alone.
        let test = part(Part::Test)?;
        let manifest = candidate.manifest(&self.name(candidate), vec![validation.scores(), test.scores()]);
        self.summary.parts = vec![validation, test];
        whole_file::write(out, &Artefact::assemble(candidate.model.clone(), &manifest)?)?;
        self.summary.written = Some(out.clone());
        Ok(())
    }
}

/// What came of an experiment, but for what its record tells.
struct Scored {
    seed: Option<u64>,
    lead_h: u32,
    validation_c: f64,
    fits: Vec<FitRecord>,
}

/// The network as a graph that gives what the manifest's target describes.
fn export(network: &Network, dataset: &Dataset) -> onnx::Model {
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
