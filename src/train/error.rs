//! Why a run of the trainer ends without what was asked for.

use std::path::PathBuf;

use crate::evaluate::EvaluateError;
use crate::formats::csv::CsvError;
use crate::model::{ArtefactError, EngineError};
use crate::record::RecordError;
use crate::whole_file::WriteError;

use super::checkpoint::CheckpointError;
use super::dataset::DatasetError;
use super::imdb::reviews::ReviewError;

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
    /// The model, the report or a checkpoint cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The log cannot be written.
    #[error("{path}: {source}", path = .path.display())]
    File {
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
    #[error("--out: {0} is no network that can be written to a model file")]
    NotExportable(String),
    /// The report is about a station.
    #[error("--report shows a station's record and forecasts: --csv FILE")]
    ReportWithoutRecord,
    /// An option that would be passed over in silence.
    #[error("{option} has no effect on the experiment {experiment}")]
    NoEffect {
        /// The option.
        option: &'static str,
        /// The experiment.
        experiment: &'static str,
    },
    /// A linear regression that cannot be solved.
    #[error("the ridge regression has no solution: no window of the training part has all of its targets")]
    Ridge,
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
