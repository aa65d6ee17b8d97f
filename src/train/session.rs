//! A run of the trainer: reads the record, runs experiments on it, writes the best model and the report.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;

use crate::evaluate::PartErrors;
use crate::formats::csv::{CsvMapping, CsvReader};
use crate::grid::{Grid, Slot};
use crate::model::{Artefact, Refit, onnx};
use crate::quantity::{Quantity, Values};
use crate::record::{DEFAULT_SPLIT, Part, Record, RecordSource};
use crate::report::{PartFigures, Report};
use crate::solar::Site;
use crate::thermodynamics;
use crate::whole_file;
use crate::window::{WindowSpec, WindowSpecError};

use super::baseline::Baseline;
use super::candidate::{Candidate, Chosen, Draft, check_gain};
use super::dataset::{Dataset, TargetSpec};
use super::error::TrainError;
use super::experiment::{self, Experiment, Method, PairRecipe, Recipe, ReviewRecipe};
use super::fit::{CheckpointPlan, Ending, FitSettings, Fitted, Task, Until, fit};
use super::graph::GraphBuilder;
use super::imdb::reviews::Reviews;
use super::imdb::task::ReviewTask;
use super::interval::Distances;
use super::network::Network;
use super::options::{self, Protocol, TrainOptions};
use super::pair::{self, Branch, BranchKind, BranchTask, Pair, PairData};
use super::problem::Problem;
use super::progress::{Event, JsonLines, Observer, Terminal};
use super::ridge::{self, Ridge, RidgeRecipe};
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
    options.check()?;
    check(options, &experiments)?;
    let seeds = options.seed..options.seed + options.seeds;
    let mut session = Session {
        options,
        interrupted,
        observer,
        summary: TrainSummary::default(),
        record: None,
        reviews: None,
        candidate: None,
        several: experiments.len() as u64 * options.seeds > 1,
    };
    session.say_what_is_left_out();
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
    if options.out.is_some()
        && !experiments.iter().any(|experiment| experiment.exported_lead_h(options).is_some())
    {
        let names: Vec<&str> = experiments.iter().map(|experiment| experiment.name).collect();
        return Err(TrainError::NotExportable(names.join(", ")));
    }
    if options.report.is_some() && options.csv.is_none() {
        return Err(TrainError::ReportWithoutRecord);
    }
    if options.out.is_some() {
        let leads = experiments
            .iter()
            .filter_map(|experiment| Some((experiment.name, experiment.exported_lead_h(options)?)));
        let leads: Vec<(&'static str, u32)> = leads.collect();
        if let Some(&(other, other_lead_h)) = leads.iter().find(|(_, lead_h)| *lead_h != leads[0].1) {
            let (experiment, lead_h) = leads[0];
            return Err(TrainError::Incomparable { experiment, lead_h, other, other_lead_h });
        }
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

/// Into how many blocks of time a record is cut that the interval is fitted to block by block.
const BLOCKS: usize = 4;

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

    /// Names the experiments of `--all` that there is no data for.
    fn say_what_is_left_out(&mut self) {
        let all = experiment::all();
        let is_review = |experiment: &&Experiment| matches!(experiment.method, Method::Reviews(_));
        if self.options.all && self.options.imdb.is_none() {
            let names: Vec<&str> = all.iter().filter(is_review).map(|experiment| experiment.name).collect();
            self.note(&format!("left out, for want of --imdb: {}", names.join(", ")));
        }
        if self.options.all && self.options.csv.is_none() {
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

    fn experiment(&mut self, experiment: &Experiment, seed: u64) -> Result<(), TrainError> {
        self.check_interrupted()?;
        self.observer.event(&Event::Experiment { name: experiment.name, seed });
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
        let plan = self.plan(experiment.name, recipe.fit.seed, "", &format!("{} {settings}", reviews.sha256));
        let fitted = self.fit(&task, model, &recipe.fit, Until::Best, plan)?;
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
        let grid = Grid::new(grid_step_s).ok_or(WindowSpecError::GridStep(grid_step_s))?;
        let record = Rc::new(Record::read(&self.source()?, grid, quantities)?);
        self.check_interrupted()?;
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
    fn fit<T: Task>(
        &mut self,
        task: &T,
        model: T::Model,
        settings: &FitSettings,
        until: Until,
        plan: Option<CheckpointPlan>,
    ) -> Result<Fitted<T::Model>, TrainError> {
        let fitted = fit(task, model, settings, until, plan.as_ref(), self.interrupted, self.observer)?;
        if fitted.ending == Ending::Interrupted {
            return Err(TrainError::Interrupted(self.options.checkpoint.clone()));
        }
        match until {
            Until::Best if fitted.best_epoch == 0 => Err(TrainError::Diverged),
            Until::Epoch(epoch) if fitted.best_epoch != epoch => Err(TrainError::RefitDiverged(epoch)),
            _ => Ok(fitted),
        }
    }

    fn result(&mut self, experiment: &Experiment, record: &Record, fitted: Scored) {
        let normalised = fitted.validation_c / temperature_deviation(record);
        self.observer.event(&Event::Scored {
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
            lead_h: fitted.lead_h,
            validation_c: fitted.validation_c,
            validation_normalised: normalised,
            persistence_c: fitted.persistence_c,
            fits: fitted.fits,
        });
    }

    /// Keeps a network, if one is wanted and there was none better on the validation part.
    fn candidate(&mut self, draft: Draft, model: impl FnOnce() -> onnx::Model, on: (&Dataset, &Rc<Record>)) {
        let wanted = self.options.out.is_some() || self.options.report.is_some();
        let best = self.candidate.as_ref().map_or(f64::NEG_INFINITY, |best| best.draft.skill);
        if wanted && draft.skill > best {
            self.candidate = Some(Candidate::new(draft, model(), on.0, on.1));
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

    fn dataset(
        &mut self,
        problem: &Problem,
        refit: Option<Refit>,
    ) -> Result<(Dataset, Rc<Record>), TrainError> {
        let in_file = self.quantities_of_file()?;
        let record = self.record(&problem.quantities(&in_file))?;
        let spec = problem.window(&record, self.site(&record)?);
        let dataset = self.windows(&record, &spec, &problem.target(), refit)?;
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
        let dataset = Dataset::new(record, spec, DEFAULT_SPLIT, target, refit)?;
        self.check_interrupted()?;
        let (spec, choices) = (dataset.windows.spec(), dataset.validation.len());
        self.note(&format!(
            "{} windows to learn from{}, each {} samples of {} features",
            dataset.train.len(),
            if choices > 0 { format!(", {choices} to choose by") } else { String::new() },
            spec.samples,
            spec.features.len(),
        ));
        Ok(dataset)
    }

    fn ridge(&mut self, experiment: &Experiment, recipe: &RidgeRecipe) -> Result<(), TrainError> {
        let (dataset, record) = self.dataset(&recipe.problem, None)?;
        let terms = ridge::terms(dataset.windows.spec()).len();
        if terms > ridge::MOST_TERMS {
            let matrices = rayon::current_num_threads() + 2;
            let gigabytes = (matrices * terms * terms * size_of::<f64>()) as f64 / 1e9;
            return Err(TrainError::RidgeTerms { terms, gigabytes, most: ridge::MOST_TERMS });
        }
        let ridge = Ridge::fit(&dataset, &recipe.penalties).ok_or(TrainError::Ridge)?;
        self.check_interrupted()?;
        self.note(&format!("a penalty of {} per example is best", ridge.penalty));
        let (validation_c, lead_h) = (ridge.validation.score, recipe.problem.protocol.lead_h());
        let persistence_c = dataset.persistence_c();
        let scored = Scored { seed: None, lead_h, validation_c, persistence_c, fits: Vec::new() };
        self.result(experiment, &record, scored);
        let draft = Draft {
            experiment: experiment.name,
            seed: 0,
            settings: serde_json::to_value(recipe).unwrap_or_default(),
            quantiles: Vec::new(),
            chosen: Chosen::Ridge { recipe: recipe.clone(), penalty: ridge.penalty },
            skill: 1.0 - validation_c / persistence_c,
        };
        self.candidate(draft, || export(&ridge.network, &dataset), (&dataset, &record));
        Ok(())
    }

    fn network(&mut self, experiment: &Experiment, recipe: &Recipe) -> Result<(), TrainError> {
        let trained = self.train_network(experiment.name, recipe, None, Until::Best)?;
        let (dataset, record, fitted) = (&trained.dataset, &trained.record, &trained.trained);
        let (seed, lead_h) = (recipe.fit.seed, recipe.problem.protocol.lead_h());
        let (validation_c, persistence_c) = (fitted.best.score, dataset.persistence_c());
        let fits = vec![FitRecord::of("", fitted)];
        self.result(
            experiment,
            record,
            Scored { seed: Some(seed), lead_h, validation_c, persistence_c, fits },
        );
        let draft = Draft {
            experiment: experiment.name,
            seed,
            settings: serde_json::to_value(recipe).unwrap_or_default(),
            quantiles: Vec::new(),
            chosen: Chosen::Network { recipe: recipe.clone(), epoch: fitted.best_epoch },
            skill: 1.0 - validation_c / persistence_c,
        };
        self.candidate(draft, || export(&fitted.model, dataset), (dataset, record));
        Ok(())
    }

    fn train_network(
        &mut self,
        experiment: &str,
        recipe: &Recipe,
        refit: Option<Refit>,
        until: Until,
    ) -> Result<Trained<Fitted<Network>>, TrainError> {
        let (dataset, record) = self.dataset(&recipe.problem, refit)?;
        let device = Device::flex().autodiff();
        let task = StationTask::new(&dataset, device.clone());
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
        let fitted = self.fit(&task, model, &recipe.fit, until, plan)?;
        Ok(Trained { dataset, record, trained: fitted })
    }

    fn pair(&mut self, experiment: &Experiment, recipe: &PairRecipe) -> Result<(), TrainError> {
        let (dataset, record) = self.pair_dataset(recipe, None)?;
        let data = PairData::new(&dataset, &record);
        let of = fingerprint(&record, recipe, &dataset, None);
        let (branches, fits) = self.branches(experiment.name, recipe, &data, [Until::Best; 2], "", &of)?;
        let (pair, validation) = Pair::calibrated(&data, branches);
        let (seed, lead_h) = (recipe.dense.seed, Protocol::Aligned.lead_h());
        let (validation_c, persistence_c) = (validation.score, dataset.persistence_c());
        let draft = Draft {
            experiment: experiment.name,
            seed,
            settings: serde_json::to_value(recipe).unwrap_or_default(),
            quantiles: pair::QUANTILES.to_vec(),
            chosen: Chosen::Pair {
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
        self.candidate(draft, || pair.export(&dataset), (&dataset, &record));
        Ok(())
    }

    fn pair_dataset(
        &mut self,
        recipe: &PairRecipe,
        refit: Option<Refit>,
    ) -> Result<(Dataset, Rc<Record>), TrainError> {
        let record = self.record(&recipe.quantities())?;
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
        until: [Until; 2],
        part: &str,
        of: &str,
    ) -> Result<([Branch; 2], [FitRecord; 2]), TrainError> {
        self.check_interrupted()?;
        let device = Device::flex().autodiff();
        let task = BranchTask::new(data, &recipe.network, device.clone());
        let mut branch = |name, kind, fitting: &FitSettings, until| {
            self.note(&format!("the {name} branch"));
            let branch = data.branch(kind, &recipe.network, &device, &mut fitting.initial_generator());
            let plan = self.plan(experiment, fitting.seed, &format!(".{name}{part}"), of);
            let fitted = self.fit(&task, branch, fitting, until, plan)?;
            Ok::<_, TrainError>((FitRecord::of(name, &fitted), fitted.model))
        };
        let (dense_fit, dense) = branch("dense", BranchKind::Dense, &recipe.dense, until[0])?;
        let (recurrent_fit, recurrent) =
            branch("recurrent", BranchKind::Recurrent, &recipe.recurrent, until[1])?;
        Ok(([dense, recurrent], [dense_fit, recurrent_fit]))
    }

    /// Learns both branches once more, for so many epochs. No part is left that the interval could be fitted to, so blocks
    /// of what is learned from are left out in turn, and the interval fits what networks without them forecast for them.
    fn refit_pair(
        &mut self,
        experiment: &str,
        recipe: &PairRecipe,
        epochs: [usize; 2],
        refit: Refit,
    ) -> Result<(Dataset, Rc<Record>, onnx::Model), TrainError> {
        let (dataset, record) = self.pair_dataset(recipe, Some(refit))?;
        let of = fingerprint(&record, recipe, &dataset, Some(refit));
        let until = epochs.map(Until::Epoch);
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
            data.judge(&branches, &mut distances);
        }
        self.note("with all of it");
        let data = PairData::new(&dataset, &record);
        let (branches, _) = self.branches(experiment, recipe, &data, until, ".refit", &of)?;
        let pair = Pair::new(&data, branches, distances.stretch(pair::COVERAGE));
        let model = pair.export(&dataset);
        drop(data);
        Ok((dataset, record, model))
    }

    /// Learns a chosen network once more, from more of the record.
    fn refit(&mut self, candidate: &Candidate, refit: Refit) -> Result<Candidate, TrainError> {
        let draft = &candidate.draft;
        let from = match refit {
            Refit::Validation => "training and validation parts",
            Refit::Whole => "the whole record",
        };
        self.note(&format!("{}, once more, from {from}", draft.experiment));
        let (dataset, record, model) = match &draft.chosen {
            Chosen::Ridge { recipe, penalty } => {
                let (dataset, record) = self.dataset(&recipe.problem, Some(refit))?;
                let network = Ridge::with_penalty(&dataset, *penalty).ok_or(TrainError::Ridge)?;
                let model = export(&network, &dataset);
                (dataset, record, model)
            }
            Chosen::Network { recipe, epoch } => {
                let until = Until::Epoch(*epoch);
                let trained = self.train_network(draft.experiment, recipe, Some(refit), until)?;
                let model = export(&trained.trained.model, &trained.dataset);
                (trained.dataset, trained.record, model)
            }
            Chosen::Pair { recipe, epochs } => self.refit_pair(draft.experiment, recipe, *epochs, refit)?,
        };
        Ok(Candidate::new(draft.clone(), model, &dataset, &record).refitted(refit))
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
                let refit = self.options.refit.filter(|_| shipped.is_ok());
                report.mark_parts(record, DEFAULT_SPLIT, refit);
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
        let stem = self.options.out.as_deref().and_then(options::stem);
        self.options.name.clone().or(stem).unwrap_or_else(|| candidate.draft.experiment.to_owned())
    }

    /// Scores a network on a part of its record.
    fn score(
        &mut self,
        candidate: &Candidate,
        part: Part,
        before_refit: bool,
        figures: &mut Vec<PartFigures>,
    ) -> Result<PartErrors, TrainError> {
        self.check_interrupted()?;
        let cases = candidate.cases(part)?;
        let errors = PartErrors { before_refit, ..candidate.errors(part, &cases) };
        let quantiles = &candidate.draft.quantiles;
        figures.push(PartFigures::of(&candidate.record, candidate.window.site, &errors, &cases, quantiles));
        Ok(errors)
    }

    fn ship(&mut self, chosen: &Candidate, figures: &mut Vec<PartFigures>) -> Result<(), TrainError> {
        let refit = self.options.refit;
        let validation = self.score(chosen, Part::Validation, refit.is_some(), figures)?;
        let Some(out) = &self.options.out else { return Ok(()) };
        if !self.options.ship_anyway {
            check_gain(&validation)?;
        }
        let refitted = refit.map(|refit| self.refit(chosen, refit)).transpose()?;
        let shipped = refitted.as_ref().unwrap_or(chosen);
        // The test part is looked at for the model that is shipped alone, unless that has learned from it.
        let knows_test = refit == Some(Refit::Whole);
        let judged = if knows_test { chosen } else { shipped };
        let test = self.score(judged, Part::Test, knows_test, figures)?;
        let manifest = shipped.manifest(&self.name(shipped), vec![validation.scores(), test.scores()]);
        self.summary.parts = vec![validation, test];
        whole_file::write(out, &Artefact::assemble(shipped.model.clone(), &manifest)?)?;
        self.summary.written = Some(out.clone());
        Ok(())
    }
}

/// What came of a training, with what was learned from.
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

/// What came of an experiment, but for what its record tells.
struct Scored {
    seed: Option<u64>,
    lead_h: u32,
    validation_c: f64,
    persistence_c: f64,
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
