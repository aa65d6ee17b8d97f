//! The results of a run, and the table that a person reads.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use forecastd_report as report;
use forecastd_report::PartErrors;

use super::epoch::EpochRecord;
use super::fit::Fitted;

/// The result of one experiment with one seed.
#[derive(Debug, Clone)]
pub struct ExperimentResult {
    /// The experiment's name.
    pub name: &'static str,
    /// What random numbers started from, where there are any.
    pub seed: Option<u64>,
    /// The leads that the error is of, hours: the longest alone, or all.
    pub leads_h: RangeInclusive<u32>,
    /// Mean absolute error at these leads on what the network is chosen by: the validation part, validation stations, or blocks
    /// that were left out; °C.
    pub validation_c: f64,
    /// The same in standard deviations of the training part's temperature, the notebook's unit, where there is one such part.
    pub validation_normalised: Option<f64>,
    /// That of persistence in the same cases, °C.
    pub persistence_c: f64,
    /// Its trainings: none of a baseline, two of a pair.
    pub fits: Vec<FitRecord>,
}

/// A training that was run to its end.
#[derive(Debug, Clone)]
pub struct FitRecord {
    /// Which of several networks was trained; empty for the only one.
    pub name: &'static str,
    /// The best epoch.
    pub best_epoch: usize,
    /// What happened in each epoch.
    pub epochs: Vec<EpochRecord>,
}

impl FitRecord {
    /// The record of a training.
    pub fn new<M>(name: &'static str, fitted: &Fitted<M>) -> FitRecord {
        FitRecord { name, best_epoch: fitted.best_epoch, epochs: fitted.epochs.clone() }
    }

    fn seconds_per_epoch(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum::<f64>() / self.epochs.len() as f64
    }

    fn report(&self) -> report::TrainingCurve {
        report::TrainingCurve {
            name: self.name.to_owned(),
            best_epoch: self.best_epoch,
            loss: self.epochs.iter().map(|epoch| epoch.loss).collect(),
            validation_loss: self
                .epochs
                .iter()
                .map(|epoch| epoch.validation.map_or(f64::NAN, |validation| validation.loss))
                .collect(),
        }
    }
}

impl ExperimentResult {
    /// The leads in words.
    fn leads(&self) -> String {
        let (first, last) = (self.leads_h.start(), self.leads_h.end());
        if first == last { format!("{last} h") } else { format!("{first}-{last} h") }
    }

    /// What a report shows of it.
    pub(super) fn report(&self) -> report::Experiment {
        let normalised =
            self.validation_normalised.map_or_else(String::new, |value| format!(" ({value:.4} normalised)"));
        report::Experiment {
            name: self.name.to_owned(),
            seed: self.seed,
            score: format!("{:.3} °C at {}{normalised}", self.validation_c, self.leads()),
            trainings: self.fits.iter().map(FitRecord::report).collect(),
        }
    }
}

impl ReviewResult {
    /// What a report shows of it.
    pub(super) fn report(&self) -> report::Experiment {
        report::Experiment {
            name: self.name.to_owned(),
            seed: Some(self.seed),
            score: format!("accuracy {:.4}", self.accuracy),
            trainings: vec![self.fit.report()],
        }
    }
}

/// The result of one experiment on film reviews with one seed.
#[derive(Debug, Clone)]
pub struct ReviewResult {
    /// The experiment's name.
    pub name: &'static str,
    /// What random numbers started from.
    pub seed: u64,
    /// The share of the validation part that is taken for what it is, in the best epoch.
    pub accuracy: f64,
    /// The same of the notebook's network.
    pub notebook_accuracy: f64,
    /// Mean binary cross-entropy on the validation part, in the best epoch.
    pub loss: f64,
    /// How its network was trained.
    pub fit: FitRecord,
}

/// What a station's own history adds to the model for any place, on blocks of it that were left out in turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnGain {
    /// Mean absolute error over all leads, °C.
    pub own_c: f64,
    /// That of the model for any place, °C.
    pub world_c: f64,
    /// That of the same time yesterday, °C; NaN where that is never known.
    pub yesterday_c: f64,
    /// Blocks on which it is better.
    pub better: usize,
    /// The number of blocks that were left out in turn.
    pub blocks: usize,
}

impl OwnGain {
    /// Whether it is worth having: better than the model for any place in the mean, and on most of the blocks that it was not
    /// trained on; and better than a reference forecast, the same time yesterday.
    pub(crate) fn is_gain(&self) -> bool {
        let beats_yesterday = self.yesterday_c.is_nan() || self.own_c < self.yesterday_c;
        self.own_c < self.world_c && 2 * self.better > self.blocks && beats_yesterday
    }
}

/// The gain as a clause of a sentence, with the errors of both.
impl fmt::Display for OwnGain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OwnGain { own_c, world_c, yesterday_c, better, blocks } = self;
        let saved = 100.0 * (1.0 - own_c / world_c);
        let (share, word) = (saved.abs(), if saved < 0.0 { "more" } else { "less" });
        write!(
            formatter,
            "on blocks of its history that were left out it errs by {own_c:.3} °C over all leads, {share:.1} % {word} than the \
             model for any place ({world_c:.3} °C), and is better on {better} of {blocks}"
        )?;
        if own_c >= yesterday_c {
            write!(formatter, "; to say the same as at that time yesterday errs by {yesterday_c:.3} °C")?;
        }
        Ok(())
    }
}

/// The results of a run.
#[derive(Debug, Clone, Default)]
pub struct TrainSummary {
    /// By experiment and seed.
    pub results: Vec<ExperimentResult>,
    /// Of experiments on film reviews, by experiment and seed.
    pub reviews: Vec<ReviewResult>,
    /// Errors of the model that was written, on the validation and test parts.
    pub parts: Vec<PartErrors>,
    /// What a station's own history adds, where that was tried.
    pub own: Option<OwnGain>,
    /// The model file that was written.
    pub written: Option<PathBuf>,
    /// The report that was written.
    pub report: Option<PathBuf>,
}

impl fmt::Display for TrainSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.results.is_empty() {
            writeln!(
                formatter,
                "{:<22} {:>6} {:>7} {:>8} {:>10} {:>11} {:>7} {:>8} {:>11}",
                "experiment",
                "seed",
                "lead",
                "MAE °C",
                "normalised",
                "persistence",
                "gain",
                "epoch",
                "s/epoch"
            )?;
        }
        for result in &self.results {
            let dash = || "-".to_owned();
            let epochs: Vec<String> = result.fits.iter().map(|fit| fit.best_epoch.to_string()).collect();
            let seconds: Vec<String> =
                result.fits.iter().map(|fit| format!("{:.1}", fit.seconds_per_epoch())).collect();
            let joined = |values: Vec<String>| if values.is_empty() { dash() } else { values.join(" + ") };
            writeln!(
                formatter,
                "{:<22} {:>6} {:>7} {:>8.3} {:>10} {:>11.3} {:>5.1} % {:>8} {:>11}",
                result.name,
                result.seed.map_or_else(dash, |seed| seed.to_string()),
                result.leads(),
                result.validation_c,
                result.validation_normalised.map_or_else(dash, |value| format!("{value:.4}")),
                result.persistence_c,
                100.0 * (1.0 - result.validation_c / result.persistence_c),
                joined(epochs),
                joined(seconds),
            )?;
        }
        if !self.reviews.is_empty() {
            writeln!(
                formatter,
                "{:<24} {:>6} {:>9} {:>9} {:>7} {:>6} {:>9}",
                "experiment", "seed", "accuracy", "notebook", "loss", "epoch", "s/epoch"
            )?;
        }
        for result in &self.reviews {
            writeln!(
                formatter,
                "{:<24} {:>6} {:>9.4} {:>9.4} {:>7.4} {:>6} {:>9.1}",
                result.name,
                result.seed,
                result.accuracy,
                result.notebook_accuracy,
                result.loss,
                result.fit.best_epoch,
                result.fit.seconds_per_epoch(),
            )?;
        }
        for part in &self.parts {
            if let Some(errors) = part.leads.last() {
                writeln!(
                    formatter,
                    "{:<10} {} h: MAE {:.3} °C, persistence {:.3}, yesterday {:.3}, climatology {:.3}; skill {:.1} %; mean over leads {:.3} °C{}",
                    part.part.name(),
                    errors.lead_h,
                    errors.model.mae(),
                    errors.persistence.mae(),
                    errors.yesterday.mae(),
                    errors.climatology.mae(),
                    100.0 * errors.model.skill(&errors.persistence),
                    part.mean_mae(),
                    if part.before_refit { " (before the refit)" } else { "" },
                )?;
            }
        }
        if let Some(own) = &self.own {
            writeln!(formatter, "{own}")?;
        }
        if let Some(written) = &self.written {
            writeln!(formatter, "written to {}", written.display())?;
        }
        if let Some(report) = &self.report {
            writeln!(formatter, "pictures in {}", report.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(leads_h: RangeInclusive<u32>, validation_normalised: Option<f64>) -> ExperimentResult {
        ExperimentResult {
            name: "world",
            seed: Some(1),
            leads_h,
            validation_c: 1.5,
            validation_normalised,
            persistence_c: 3.0,
            fits: Vec::new(),
        }
    }

    #[test]
    fn what_the_same_time_yesterday_does_better_is_no_gain() {
        let gain = |yesterday_c| OwnGain { own_c: 1.06, world_c: 1.20, yesterday_c, better: 6, blocks: 6 };
        assert!(gain(2.3).is_gain());
        assert!(!gain(2.3).to_string().contains("yesterday"), "{}", gain(2.3));
        assert!(!gain(0.64).is_gain());
        assert!(gain(0.64).to_string().ends_with("yesterday errs by 0.640 °C"), "{}", gain(0.64));
        assert!(gain(f64::NAN).is_gain(), "it is not known");
    }

    #[test]
    fn a_mean_over_leads_is_not_said_to_be_of_the_longest() {
        let results = vec![result(1..=24, None), result(24..=24, Some(0.25))];
        let scores: Vec<String> = results.iter().map(|result| result.report().score).collect();
        assert_eq!(scores, ["1.500 °C at 1-24 h", "1.500 °C at 24 h (0.2500 normalised)"]);
        let table = TrainSummary { results, ..TrainSummary::default() }.to_string();
        let cells = |line: usize| table.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(cells(1), ["world", "1", "1-24", "h", "1.500", "-", "3.000", "50.0", "%", "-", "-"]);
        assert_eq!(cells(2)[2..6], ["24", "h", "1.500", "0.2500"]);
        let widths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "columns stand below each other: {table}");
    }
}
