//! Why a run of the trainer ends without what was asked for.

use std::path::PathBuf;

use forecastd_atomic_file::{SameFileError, WriteError};
use forecastd_core::{ManifestError, StationNameError, WindowSpecError};
use forecastd_journal::JournalError;
use forecastd_model::{ArtefactError, EngineError};
use forecastd_record::CsvError;
use forecastd_record::RecordError;
use forecastd_record::Suspicion;
use forecastd_report::EvaluateError;

use super::checkpoint::CheckpointError;
use super::dataset::DatasetError;
use super::imdb::reviews::ReviewError;
use super::summary::OwnGain;
use super::world::{BaseError, PoolError};

/// Why a run ends without what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// No file was given.
    #[error("no history given: --csv FILE")]
    NoCsv,
    /// No pool of stations was given.
    #[error("{0} learns from many stations: --pool FOLDER")]
    NoPool(&'static str),
    /// The journal cannot be read.
    #[error("journal {path}", path = .path.display())]
    Journal {
        /// The journal's file.
        path: PathBuf,
        /// What the journal says.
        source: JournalError,
    },
    /// There are no readings of the station.
    #[error("journal {path}: no reading of {station}", path = .path.display())]
    NoStation {
        /// The journal's file.
        path: PathBuf,
        /// The name that was asked for.
        station: String,
    },
    /// The readings of the station look as if they were something else than readings of one station, in UTC.
    #[error(
        "journal {path}: {station}: {}; if all is right: train --experiment own --journal {path} --station {station:?} --sure {}",
        .suspicions.iter().map(Suspicion::to_string).collect::<Vec<_>>().join("; "),
        .suspicions.iter().map(|suspicion| suspicion.about).collect::<Vec<_>>().join(","),
        path = .path.display()
    )]
    Suspicious {
        /// Which file.
        path: PathBuf,
        /// Which station.
        station: String,
        /// What looks wrong.
        suspicions: Vec<Suspicion>,
    },
    /// That is no station's name.
    #[error("--station {0:?}: {1}")]
    StationName(String, StationNameError),
    /// No model to go on from was given.
    #[error("{0} goes on from the model for any place: --from FILE")]
    NoBase(&'static str),
    /// The model to go on from cannot be read.
    #[error("--from {path}", path = .path.display())]
    BaseFile {
        /// The file that `--from` names.
        path: PathBuf,
        /// What is wrong with the file.
        source: Box<ArtefactError>,
    },
    /// The model to go on from is another one.
    #[error("--from {path}", path = .path.display())]
    Base {
        /// The file that `--from` names.
        path: PathBuf,
        /// Why that model cannot be gone on from.
        source: Box<BaseError>,
    },
    /// There is not enough history.
    #[error("{days:.0} days of history are too little to train on: at least {needed:.0} are needed{why}")]
    TooLittle {
        /// How many there are.
        days: f64,
        /// How many are needed.
        needed: f64,
        /// What there is of the record, as clauses.
        why: String,
    },
    /// A station's own history adds nothing.
    #[error("not written: {0}; keep that model, or write it all the same with --ship-anyway")]
    NoOwnGain(OwnGain),
    /// There are not enough stations.
    #[error(
        "--pool: {stations} stations make {train} for training, {validation} for validation and {test} for testing, and at least \
         one of each is needed: give more; of those with three months of history, 200 km apart, the first 26 are for testing, \
         and as many for validation"
    )]
    FewStations {
        /// How many there are.
        stations: usize,
        /// Those for training.
        train: usize,
        /// Those for validation.
        validation: usize,
        /// Those for testing.
        test: usize,
    },
    /// No model may look at such windows.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A pool of stations cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
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
    /// Nothing can be trained with a number.
    #[error("{option} {value}: {needed} is needed")]
    Option {
        /// The option as it is typed, with its dashes.
        option: &'static str,
        /// What was given.
        value: String,
        /// What can be.
        needed: String,
    },
    /// A file would be overwritten by another.
    #[error(transparent)]
    SameFile(#[from] SameFileError),
    /// The window cannot be cut.
    #[error(transparent)]
    Window(#[from] WindowSpecError),
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
    #[error("{path}", path = .path.display())]
    File {
        /// The log's file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The training was interrupted.
    #[error("interrupted{}", .0.as_ref().map(|path| format!("; go on with --resume --checkpoint {}", path.display())).unwrap_or_default())]
    Interrupted(Option<PathBuf>),
    /// Nothing was learned at all.
    #[error("the loss was NaN from the beginning: try a lower --learning-rate")]
    Diverged,
    /// What was learned well from a part is not from more.
    #[error(
        "the loss became NaN before epoch {0}, which was the best before: try a lower --learning-rate, or no --refit"
    )]
    RefitDiverged(usize),
    /// Only a network can be written.
    #[error("--out: {0} is no network that can be written to a model file")]
    NotExportable(String),
    /// The report is about a station.
    #[error("--report shows a station's record and forecasts: --csv FILE")]
    ReportWithoutRecord,
    /// Networks that cannot be compared.
    #[error(
        "--out writes the best of several networks, but {experiment} forecasts {lead_h} h ahead and {other} {other_lead_h} \
         h: give experiments of one kind, or --protocol"
    )]
    Incomparable {
        /// The name of one experiment.
        experiment: &'static str,
        /// Its longest lead.
        lead_h: u32,
        /// The name of an experiment whose longest lead is another.
        other: &'static str,
        /// Its longest lead.
        other_lead_h: u32,
    },
    /// A baseline has nothing to be verified by.
    #[error(
        "{file}: no case to verify {baseline} by: the validation part ({rows} rows) has no temperature, after its first \
         240 h, with another {lead_h} h later"
    )]
    NoCase {
        /// The name of the record's file.
        file: String,
        /// The reference forecast that was to be scored.
        baseline: &'static str,
        /// Rows of the validation part.
        rows: usize,
        /// The lead in hours.
        lead_h: u32,
    },
    /// An option that would be passed over in silence.
    #[error("{option} has no effect on the experiment {experiment}")]
    NoEffect {
        /// The option as it is typed, with its dashes.
        option: &'static str,
        /// The name of the experiment.
        experiment: &'static str,
    },
    /// Data that would be passed over in silence.
    #[error("{option} is read by none of the experiments {experiments}")]
    Unread {
        /// The option that names the data.
        option: &'static str,
        /// The names of all experiments of the run.
        experiments: String,
    },
    /// An experiment that makes a model by itself, beside others or several times.
    #[error(
        "{option} with {experiment}, which makes a model by itself: give that experiment alone, with one seed"
    )]
    NotAlone {
        /// The option that names what is written.
        option: &'static str,
        /// The name of the experiment.
        experiment: &'static str,
    },
    /// A linear regression of more terms than it is good for.
    #[error(
        "ridge with {terms} terms would take {gigabytes:.0} GB of memory: fewer --samples are needed, at most {most} terms"
    )]
    RidgeTerms {
        /// How many terms there are.
        terms: usize,
        /// What their products take.
        gigabytes: f64,
        /// How many there may be.
        most: usize,
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
        /// The lead that both are compared at, in hours.
        lead_h: u32,
        /// The reference forecast that is as good.
        baseline: &'static str,
        /// Its mean absolute error.
        baseline_c: f64,
    },
}
