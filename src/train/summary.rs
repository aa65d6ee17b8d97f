//! What came of a run, and the table that a person reads.

use std::fmt;
use std::path::PathBuf;

use crate::evaluate::PartErrors;

use super::progress::EpochRecord;

/// What came of one experiment with one seed.
#[derive(Debug, Clone)]
pub struct ExperimentResult {
    /// The experiment's name.
    pub name: &'static str,
    /// What random numbers started from.
    pub seed: u64,
    /// Mean absolute error on the validation part at the longest lead, °C.
    pub validation_c: f64,
    /// The same in standard deviations of the training part's temperature, the notebook's unit.
    pub validation_normalised: f64,
    /// The best epoch, for what has epochs.
    pub best_epoch: Option<usize>,
    /// What happened in each epoch.
    pub epochs: Vec<EpochRecord>,
}

/// What came of one experiment on film reviews with one seed.
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
    /// The best epoch.
    pub best_epoch: usize,
    /// What happened in each epoch.
    pub epochs: Vec<EpochRecord>,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct TrainSummary {
    /// By experiment and seed.
    pub results: Vec<ExperimentResult>,
    /// Of experiments on film reviews, by experiment and seed.
    pub reviews: Vec<ReviewResult>,
    /// Errors of the model that was written, on the validation and test parts.
    pub parts: Vec<PartErrors>,
    /// The file that was written.
    pub written: Option<PathBuf>,
}

impl fmt::Display for TrainSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.results.is_empty() {
            writeln!(
                formatter,
                "{:<22} {:>6} {:>10} {:>10} {:>6} {:>9}",
                "experiment", "seed", "MAE °C", "normalised", "epoch", "s/epoch"
            )?;
        }
        for result in &self.results {
            let seconds: f64 = result.epochs.iter().map(|epoch| epoch.seconds).sum();
            let dash = || "-".to_owned();
            writeln!(
                formatter,
                "{:<22} {:>6} {:>10.3} {:>10.4} {:>6} {:>9}",
                result.name,
                result.seed,
                result.validation_c,
                result.validation_normalised,
                result.best_epoch.map_or_else(dash, |epoch| epoch.to_string()),
                if result.epochs.is_empty() {
                    dash()
                } else {
                    format!("{:.1}", seconds / result.epochs.len() as f64)
                },
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
            let seconds: f64 = result.epochs.iter().map(|epoch| epoch.seconds).sum();
            writeln!(
                formatter,
                "{:<24} {:>6} {:>9.4} {:>9.4} {:>7.4} {:>6} {:>9.1}",
                result.name,
                result.seed,
                result.accuracy,
                result.notebook_accuracy,
                result.loss,
                result.best_epoch,
                seconds / result.epochs.len() as f64,
            )?;
        }
        for part in &self.parts {
            if let Some(errors) = part.leads.last() {
                writeln!(
                    formatter,
                    "{:<10} {} h: MAE {:.3} °C, persistence {:.3}, yesterday {:.3}, climatology {:.3}; skill {:.1} %; mean over leads {:.3} °C",
                    part.part.name(),
                    errors.lead_h,
                    errors.model.mae(),
                    errors.persistence.mae(),
                    errors.yesterday.mae(),
                    errors.climatology.mae(),
                    100.0 * errors.model.skill(&errors.persistence),
                    part.mean_mae(),
                )?;
            }
        }
        if let Some(written) = &self.written {
            writeln!(formatter, "written to {}", written.display())?;
        }
        Ok(())
    }
}
