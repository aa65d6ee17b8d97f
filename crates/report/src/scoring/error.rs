//! Why a model cannot be evaluated.

use std::path::PathBuf;

use forecastd_atomic_file::{SameFileError, WriteError};
use forecastd_core::SiteError;
use forecastd_model::{ArtefactError, EngineError};
use forecastd_record::CsvError;
use forecastd_record::RecordError;
use jiff::Timestamp;

use super::others::OtherForecastsError;

/// Why a model cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The model cannot be read.
    #[error("model {path}", path = .path.display())]
    Model {
        /// The model's file.
        path: PathBuf,
        /// What is wrong with the file.
        source: ArtefactError,
    },
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The mapping cannot be read.
    #[error(transparent)]
    Mapping(#[from] CsvError),
    /// The network does not run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is nothing to forecast from.
    #[error(
        "{file}: no complete window of {window_h:.0} h in the {part} part; {missing:.0} % of its rows are missing and \
         the longest stretch without a hole of more than {max_hole_h:.0} h is {longest_h:.0} h{quality}"
    )]
    NoWindow {
        /// The name of the record's file.
        file: String,
        /// The part that has no window.
        part: &'static str,
        /// The window's length.
        window_h: f64,
        /// Percent of rows that are missing.
        missing: f64,
        /// The longest hole that is filled.
        max_hole_h: f64,
        /// The longest stretch without a longer one.
        longest_h: f64,
        /// What is wrong with the file, as a clause.
        quality: String,
    },
    /// A specialist looks at another time grid than the main model.
    #[error(
        "{model} looks at a grid of {specialist_s} s, the main model at one of {main_s} s: both are needed alike"
    )]
    OtherGrid {
        /// The specialist's name.
        model: String,
        /// Its step, seconds.
        specialist_s: u32,
        /// The main model's step, seconds.
        main_s: u32,
    },
    /// The model is for any site, and the record does not say which its is.
    #[error(
        "{file}: the model is for any place, and nothing says where this station stands: give --latitude and --longitude, or a mapping with the site"
    )]
    NoSite {
        /// The name of the record's file.
        file: String,
    },
    /// Nothing of the file is left to evaluate the models on.
    #[error(
        "{file}: {models} may have been trained on all of it; evaluate on readings that are new, or see the scores before that \
         with forecastd inspect"
    )]
    TrainedOn {
        /// The name of the record's file.
        file: String,
        /// The models' names.
        models: String,
    },
    /// A model is given more than once: as one expert it cannot have two weights.
    #[error("{model} is given more than once")]
    Twice {
        /// The model's name and hash.
        model: String,
    },
    /// A walked record has no forecast that can be verified.
    #[error(
        "{file}: none of its forecasts could be verified: in what may be evaluated there is none that the models made and \
         whose hour was observed"
    )]
    NoCase {
        /// The name of the record's file.
        file: String,
    },
    /// The site that was given is not on earth.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The forecasts of others cannot be read.
    #[error("forecasts {path}", path = .path.display())]
    OthersFile {
        /// The file with the forecasts.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file holds no forecasts that can be compared.
    #[error("forecasts {path}", path = .path.display())]
    Others {
        /// The file with the forecasts.
        path: PathBuf,
        /// What is wrong with its content.
        source: OtherForecastsError,
    },
    /// None of the forecasts is of a case.
    #[error(
        "forecasts {path}: none of {given} is one that the model makes too and that was observed, such as the first, issued at \
         {first_issued_at} for {first_valid_at}; the record is evaluated from {from} to {to}",
        path = .path.display()
    )]
    OthersUnmatched {
        /// The file with the forecasts.
        path: PathBuf,
        /// How many forecasts there are.
        given: usize,
        /// When the first was issued.
        first_issued_at: Timestamp,
        /// For when it is.
        first_valid_at: Timestamp,
        /// The first time of issue that is evaluated.
        from: Timestamp,
        /// The last time of issue that is evaluated.
        to: Timestamp,
    },
    /// Two of the files are one.
    #[error(transparent)]
    SameFile(#[from] SameFileError),
    /// The forecasts or the report cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
