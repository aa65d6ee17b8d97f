//! What a user can say about a training.

use std::path::{Path, PathBuf};

use clap::{Args, FromArgMatches};

use forecastd_atomic_file::{self as atomic_file, SameFileError};
use forecastd_core::{Manifest, Refit, Site};
use forecastd_record::RecordSource;

use super::error::TrainError;
use super::network::CellKind;
use super::world::pool_files;

/// Seconds between two slots of the time grid where nothing else is said.
pub(super) const GRID_STEP_S: u32 = 600;

/// `forecastd train`
#[derive(Debug, Clone, Args)]
pub struct TrainOptions {
    /// The station's history: a CSV file of a known format, or of any other with --mapping; compressed by gzip or not.
    /// Several files, folders of them or patterns ("data/*.csv.gz") are read as one record.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 1..,
        required_unless_present_any = ["list", "imdb", "pool", "journal"],
        help_heading = "Record"
    )]
    pub csv: Vec<PathBuf>,
    /// The daemon's journal, whose readings of --station are the history; for the experiment own.
    #[arg(long, value_name = "FILE", requires = "station", conflicts_with = "csv", help_heading = "Record")]
    pub journal: Option<PathBuf>,
    /// The station of the journal.
    #[arg(long, value_name = "NAME", requires = "journal", help_heading = "Record")]
    pub station: Option<String>,
    /// Takes what looks wrong about the journal's readings for right, as sure of a mapping does: time, station, or a quantity.
    #[arg(long, value_name = "WHAT", requires = "journal", value_delimiter = ',', help_heading = "Record")]
    pub sure: Vec<String>,
    /// How the columns of the CSV file are to be understood, where its header does not say.
    #[arg(long, value_name = "FILE", help_heading = "Record")]
    pub mapping: Option<PathBuf>,
    /// Where the station stands, degrees north; else what the record says. The readings must agree with it.
    #[arg(
        long,
        value_name = "DEGREES",
        requires = "longitude",
        allow_negative_numbers = true,
        help_heading = "Record"
    )]
    pub latitude: Option<f64>,
    /// Where the station stands, degrees east.
    #[arg(
        long,
        value_name = "DEGREES",
        requires = "latitude",
        allow_negative_numbers = true,
        help_heading = "Record"
    )]
    pub longitude: Option<f64>,
    /// Whether the degrees are those of a zone or country, by whose sun no clock can be checked.
    #[arg(skip)]
    pub is_place_rough: bool,
    /// Where the station stands, metres above sea level.
    #[arg(
        long,
        value_name = "METRES",
        requires = "latitude",
        allow_negative_numbers = true,
        help_heading = "Record"
    )]
    pub elevation: Option<f64>,
    /// Seconds between two slots of the time grid; readings that come more often are thinned to it.
    #[arg(long, value_name = "SECONDS", default_value_t = GRID_STEP_S, help_heading = "Record")]
    pub grid_step_s: u32,
    /// The model file to write: the network that is best on the validation part, where several are trained.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub out: Option<PathBuf>,
    /// The model's name in forecasts, metrics and logs; the file's name, where none is given.
    #[arg(long, help_heading = "Results")]
    pub name: Option<String>,

    /// Refits the model before it is written, for as long as was best, on the validation part too or on the
    /// whole record: more and newer weather. Test scores are the new model's after the first, the old one's after the
    /// second.
    #[arg(long, value_parser = refit_parser(), value_name = "TO", requires = "out", help_heading = "Results")]
    pub refit: Option<Refit>,

    /// Lists the experiments.
    #[arg(long, help_heading = "Experiments")]
    pub list: bool,
    /// Runs these experiments; see --list.
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Experiments")]
    pub experiment: Vec<String>,
    /// Runs all experiments that there is data for, but world and own, which make a model each by themselves.
    #[arg(long, conflicts_with = "experiment", help_heading = "Experiments")]
    pub all: bool,
    /// The folder or archive (.tar.gz, .tar.xz) of the Large Movie Review Dataset, for the experiments on it.
    #[arg(long, value_name = "PATH", help_heading = "Record")]
    pub imdb: Option<PathBuf>,
    /// A folder of many stations (stations.csv and hourly.bin.xz), or the record of one (FILE or FILE=MAPPING), for the
    /// experiment world; several, each with --pool.
    #[arg(long, value_name = "PATH", help_heading = "Record")]
    pub pool: Vec<String>,
    /// The model for any place that the experiment own goes on from [default: the model that is built in].
    #[arg(long, value_name = "FILE", help_heading = "Experiments")]
    pub from: Option<PathBuf>,
    /// The bytes of the model that is gone on from where no file is named.
    #[arg(skip)]
    pub built_in: Option<&'static [u8]>,
    /// Forecasts 24 hours from the newest sample (aligned) or 25, as the notebook does.
    #[arg(long, value_enum, help_heading = "Experiments")]
    pub protocol: Option<Protocol>,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = 1, help_heading = "Experiments")]
    pub seed: u64,
    /// Runs each experiment with this many seeds, one after the other.
    #[arg(long, default_value_t = 1, value_name = "COUNT", help_heading = "Experiments")]
    pub seeds: u64,

    /// The largest number of epochs, instead of the experiment's own.
    #[arg(long, help_heading = "Training")]
    pub epochs: Option<usize>,
    /// Steps of an epoch, each with a random batch, instead of one pass over all windows.
    #[arg(long, help_heading = "Training")]
    pub steps: Option<usize>,
    /// The batch size: windows of a step.
    #[arg(long, help_heading = "Training")]
    pub batch: Option<usize>,
    /// The learning rate; with --schedule cosine, its peak.
    #[arg(long, help_heading = "Training")]
    pub learning_rate: Option<f64>,
    /// The schedule of the learning rate: constant, or a linear warm-up of 200 steps and then cosine decay to zero.
    #[arg(long, value_enum, help_heading = "Training")]
    pub schedule: Option<ScheduleName>,
    /// The optimiser.
    #[arg(long, value_enum, help_heading = "Training")]
    pub optimiser: Option<OptimiserName>,
    /// Clips the gradient to this norm.
    #[arg(long, value_name = "NORM", help_heading = "Training")]
    pub clip_norm: Option<f64>,
    /// Decay of the exponential moving average (EMA) of the weights, which are then validated and kept.
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    pub averaging: Option<f64>,
    /// Early stopping: ends after this many epochs without a better validation score.
    #[arg(long, value_name = "EPOCHS", help_heading = "Training")]
    pub patience: Option<usize>,
    /// Units of the recurrent layers, for example 32 or 32,64.
    #[arg(long, value_delimiter = ',', help_heading = "Network")]
    pub units: Vec<usize>,
    /// The recurrent cell.
    #[arg(long, value_enum, help_heading = "Network")]
    pub cell: Option<CellKind>,
    /// Units of the dense layers in front of the output, for example 64 or 128,128.
    #[arg(long, value_delimiter = ',', help_heading = "Network")]
    pub head: Vec<usize>,
    /// Hourly samples of a window.
    #[arg(long, value_name = "COUNT", help_heading = "Network")]
    pub samples: Option<usize>,

    /// Keeps the state of the training here after every epoch; of several, each in a file of its own beside it.
    #[arg(long, value_name = "FILE", help_heading = "Training")]
    pub checkpoint: Option<PathBuf>,
    /// Goes on from the checkpoint, if there is one.
    #[arg(long, requires = "checkpoint", help_heading = "Training")]
    pub resume: bool,
    /// Writes what happens as JSON lines.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub log: Option<PathBuf>,
    /// Writes a page of pictures: the record, losses, errors by lead, hour and month, forecasts beside observations.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub report: Option<PathBuf>,
    /// Shows nothing but the result.
    #[arg(long, short, help_heading = "Results")]
    pub quiet: bool,
    /// Writes the model even if it is no better than the reference forecasts.
    #[arg(long, visible_alias = "force", help_heading = "Results")]
    pub ship_anyway: bool,
}

impl Default for TrainOptions {
    /// What the command line means that says nothing.
    fn default() -> TrainOptions {
        let command = TrainOptions::augment_args(clap::Command::new("train"));
        // A file is needed, unless there is nothing to do but to list.
        let matches = command.get_matches_from(["train", "--list"]);
        let options = TrainOptions::from_arg_matches(&matches).expect("every option but --csv has a default");
        TrainOptions { list: false, ..options }
    }
}

impl TrainOptions {
    /// Refuses numbers that nothing can be trained with, and files that would overwrite each other or cannot be written.
    ///
    /// # Errors
    /// [`TrainError::Option`], [`TrainError::SameFile`] or [`TrainError::Write`], the first found.
    pub fn check(&self) -> Result<(), TrainError> {
        let counts = |option: &'static str, values: &[usize], most: usize| {
            let wrong = values.iter().find(|&&value| value == 0 || value > most);
            wrong.map_or(Ok(()), |value| refuse(option, value, format!("1 to {most}")))
        };
        let count = |option: &'static str, value: Option<usize>, most: usize| {
            value.map_or(Ok(()), |value| counts(option, &[value], most))
        };
        let positive = |option: &'static str, value: Option<f64>| match value {
            Some(value) if !(value.is_finite() && value > 0.0) => refuse(option, value, "more than 0"),
            _ => Ok(()),
        };
        count("--epochs", self.epochs, 1_000_000)?;
        count("--steps", self.steps, 1_000_000_000)?;
        count("--batch", self.batch, 1_000_000)?;
        count("--patience", self.patience, usize::MAX)?;
        count("--samples", self.samples, 10_000)?;
        counts("--units", &self.units, 10_000)?;
        counts("--head", &self.head, 100_000)?;
        positive("--learning-rate", self.learning_rate)?;
        positive("--clip-norm", self.clip_norm)?;
        if let Some(decay) = self.averaging.filter(|decay| !(0.0..1.0).contains(decay)) {
            return refuse("--averaging", decay, "0 or more and less than 1");
        }
        if self.seeds == 0 || self.seed.checked_add(self.seeds).is_none() {
            return refuse("--seeds", self.seeds, "at least 1, with --seed no more than fits 64 bits");
        }
        if self.grid_step_s == 0 || 3600 % self.grid_step_s != 0 {
            return refuse("--grid-step-s", self.grid_step_s, "a number that divides 3600");
        }
        for (option, number, range) in [
            ("--latitude", self.latitude, -90.0..=90.0),
            ("--longitude", self.longitude, -180.0..=180.0),
            ("--elevation", self.elevation, Site::ELEVATIONS_M),
        ] {
            if let Some(number) = number.filter(|number| !range.contains(number)) {
                return refuse(option, number, format!("{} to {}", range.start(), range.end()));
            }
        }
        let name = self.name.clone().or_else(|| self.out.as_deref().and_then(stem));
        if let Some(name) = name.filter(|name| !Manifest::is_name(name)) {
            return refuse("--name", format!("{name:?}"), "1 to 64 visible characters");
        }
        self.check_files()
    }

    /// Where the station stands, if that is given and was validated.
    pub(crate) fn site(&self) -> Option<Site> {
        Site::given(self.latitude, self.longitude, self.elevation).ok().flatten()
    }

    fn check_files(&self) -> Result<(), TrainError> {
        let given = |files: [(&'static str, &'_ Option<PathBuf>); 4]| {
            files.map(|(option, path)| path.clone().map(|path| (option, path))).into_iter().flatten()
        };
        let written: Vec<(&'static str, PathBuf)> = given([
            ("--out", &self.out),
            ("--checkpoint", &self.checkpoint),
            ("--log", &self.log),
            ("--report", &self.report),
        ])
        .collect();
        let read = given([
            ("--mapping", &self.mapping),
            ("--imdb", &self.imdb),
            ("--journal", &self.journal),
            ("--from", &self.from),
        ]);
        // What a pattern fits is not known by its name; where it fits nothing, the reader says so.
        let csv = RecordSource { paths: self.csv.clone(), ..RecordSource::default() }.files();
        let csv = csv.unwrap_or_else(|_| self.csv.clone()).into_iter().map(|path| ("--csv", path));
        let pool = self.pool.iter().flat_map(|source| pool_files(source)).map(|path| ("--pool", path));
        let named = |files: &[(&'static str, PathBuf)]| -> Result<(), SameFileError> {
            atomic_file::ensure_distinct(files.iter().map(|(option, path)| (*option, path)))
        };
        named(&written)?;
        // Files that are read may be one: a record of a pool is its station's history, too.
        for file in read.chain(csv).chain(pool) {
            let files: Vec<_> = std::iter::once(file).chain(written.iter().cloned()).collect();
            named(&files)?;
        }
        for path in [&self.out, &self.report, &self.checkpoint].into_iter().flatten() {
            atomic_file::check_writable(path)?;
        }
        Ok(())
    }
}

fn refuse(option: &'static str, value: impl ToString, needed: impl Into<String>) -> Result<(), TrainError> {
    Err(TrainError::Option { option, value: value.to_string(), needed: needed.into() })
}

/// A file's name without folders and ending.
pub(super) fn stem(path: &Path) -> Option<String> {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

/// How far a forecast is from the newest sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// 24 hours.
    Aligned,
    /// 25 hours: the notebook's windows leave out the row that its targets are counted from.
    Notebook,
}

impl Protocol {
    /// Hours from the newest sample to the farthest forecast.
    pub fn lead_h(self) -> u32 {
        match self {
            Protocol::Aligned => 24,
            Protocol::Notebook => 25,
        }
    }
}

/// Schedules of the learning rate by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ScheduleName {
    /// The same for all steps.
    Constant,
    /// Linear warm-up, then cosine decay to zero.
    Cosine,
}

/// The optimisers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OptimiserName {
    /// RMSprop with Keras' constants.
    Rmsprop,
    /// AdamW.
    Adamw,
}

/// Takes the name of a [`Refit`] for it.
fn refit_parser() -> impl clap::builder::TypedValueParser<Value = Refit> {
    use clap::builder::TypedValueParser;
    let all = [Refit::Validation, Refit::Whole];
    clap::builder::PossibleValuesParser::new(all.map(Refit::name)).map(move |name| {
        let found = all.into_iter().find(|refit| refit.name() == name);
        found.expect("a name that clap has checked")
    })
}
