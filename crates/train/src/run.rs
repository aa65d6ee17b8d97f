//! A run of the trainer, from the options to the results.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::error::TrainError;
use super::experiment::{self, Experiment, Method};
use super::options::TrainOptions;
use super::progress::{JsonLines, Observer, Terminal, TrainingEvent};
use super::session::TrainingRun;
use super::summary::TrainSummary;

/// Runs what the options say. An experiment is the best network unless others are named.
///
/// # Errors
/// [`TrainError`], the first met.
pub fn run(
    options: &TrainOptions,
    interrupted: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<TrainSummary, TrainError> {
    let result = run_all(options, interrupted, observer);
    if let Err(error) = &result {
        observer.event(&TrainingEvent::Failed { message: &error.to_string() });
    }
    result
}

fn run_all(
    options: &TrainOptions,
    interrupted: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<TrainSummary, TrainError> {
    let experiments = chosen(options)?;
    options.check()?;
    check(options, &experiments)?;
    let seeds = options.seed..options.seed + options.seeds;
    let several = experiments.len() as u64 * options.seeds > 1;
    let mut run = TrainingRun::new(options, interrupted, observer, several);
    run.say_what_is_left_out();
    for experiment in &experiments {
        for seed in seeds.clone() {
            run.experiment(experiment, seed)?;
            // There is nothing random in what is not trained.
            if experiment.is_free() {
                break;
            }
        }
    }
    run.finish()?;
    Ok(run.into_summary())
}

/// Runs what the options say, shows the progress in the terminal and prints the results.
///
/// # Errors
/// [`TrainError`], the first met.
pub fn run_on_terminal(options: &TrainOptions, interrupted: &AtomicBool) -> Result<(), TrainError> {
    if options.list {
        let line = |experiment: Experiment| format!("{:<24} {}\n", experiment.name, experiment.about);
        let list: String = experiment::all().into_iter().map(line).collect();
        return print(&list);
    }
    // Before the log is opened, which is written to even when a run is refused.
    options.check()?;
    let failed = |path: &PathBuf, source| TrainError::File { path: path.clone(), source };
    let log = options.log.as_ref().map(|path| JsonLines::open(path).map_err(|error| failed(path, error)));
    let terminal = (!options.quiet).then(Terminal::default);
    let mut observer = (terminal, log.transpose()?);
    let summary = run(options, interrupted, &mut observer)?;
    print(&summary.to_string())
}

fn print(text: &str) -> Result<(), TrainError> {
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|source| TrainError::File { path: "standard output".into(), source })
}

fn chosen(options: &TrainOptions) -> Result<Vec<Experiment>, TrainError> {
    if options.all {
        // All that there is data for and that can stand beside others.
        let has_data = |experiment: &Experiment| match experiment.method {
            Method::Reviews(_) => options.imdb.is_some(),
            Method::World(_) | Method::Own(_) => false,
            _ => !options.csv.is_empty(),
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
    let names = || experiments.iter().map(|experiment| experiment.name).collect::<Vec<_>>().join(", ");
    for (option, is_given) in [
        ("--csv", !options.csv.is_empty()),
        ("--journal", options.journal.is_some()),
        ("--from", options.from.is_some()),
        ("--pool", !options.pool.is_empty()),
        ("--imdb", options.imdb.is_some()),
    ] {
        if is_given && !experiments.iter().any(|experiment| experiment.reads().contains(&option)) {
            return Err(TrainError::Unread { option, experiments: names() });
        }
    }
    let alone = experiments.iter().find(|experiment| experiment.makes_model_itself());
    if let Some(alone) = alone.filter(|_| experiments.len() as u64 * options.seeds > 1) {
        let written = [("--out", options.out.is_some()), ("--report", options.report.is_some())];
        if let Some((option, _)) = written.into_iter().find(|(_, is_given)| *is_given) {
            return Err(TrainError::NotAlone { option, experiment: alone.name });
        }
    }
    if options.out.is_some()
        && !experiments.iter().any(|experiment| experiment.exported_lead_h(options).is_some())
    {
        return Err(TrainError::NotExportable(names()));
    }
    if options.report.is_some() && options.csv.is_empty() && options.pool.is_empty() {
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
        if let Some(option) = experiment.ignored_option(options) {
            return Err(TrainError::NoEffect { option, experiment: experiment.name });
        }
    }
    Ok(())
}
