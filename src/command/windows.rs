//! The windows of a record as a file of arrays, for whoever trains with something else than our trainer.

use std::fmt;
use std::io::{BufWriter, Error};
use std::path::PathBuf;

use forecastd_atomic_file::{self as atomic_file, SameFileError, WriteError};
use forecastd_core::{
    Feature, Manifest, ManifestError, MissingValues, Normalisation, Quantity, SiteError, Training, Wave,
    WindowSpec, WindowSpecError,
};
use forecastd_model::{Artefact, ArtefactError};
use forecastd_record::{
    CsvError, CsvMapping, DEFAULT_SPLIT, Part, Record, RecordError, RecordSource, Windows, WindowsError,
    known_quantities,
};

use super::site::SiteOptions;

/// What the windows are of, and how they are cut.
#[derive(Debug, Clone, clap::Args)]
pub struct WindowsOptions {
    /// The record: a CSV file, compressed by gzip or not. Several files, folders of them or patterns ("data/*.csv.gz") are
    /// read as one
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub csv: Vec<PathBuf>,
    /// How the columns of the CSV file are to be understood, where its header does not say
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Where its station stands.
    #[command(flatten)]
    pub site: SiteOptions,
    /// The archive of arrays to write (.npz)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Cuts windows as this model has them, with its statistics and leads: what the daemon would give it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["features", "samples", "sample_every_s", "grid_step_s", "max_hole_s", "leads"])]
    pub model: Option<PathBuf>,
    /// Columns of a window [default: temperature, pressure, humidity, dew point and wind speed, as far as the record has them,
    /// and the time of day and year]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub features: Vec<Feature>,
    /// Samples of a window
    #[arg(long, value_name = "COUNT", default_value_t = 72)]
    pub samples: usize,
    /// Seconds between two samples
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub sample_every_s: u32,
    /// Seconds between two slots of the time grid
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub grid_step_s: u32,
    /// The longest hole that is filled, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10_800)]
    pub max_hole_s: u32,
    /// The longest lead in hours: there is a target for each hour up to it
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub leads: u32,
    /// The name of the model to be, in the manifest
    #[arg(long, default_value = "own")]
    pub name: String,
}

/// Why there are no windows.
#[derive(Debug, thiserror::Error)]
pub enum WindowsCommandError {
    /// The model cannot be read.
    #[error("model {path}", path = .path.display())]
    Model {
        /// The model's file.
        path: PathBuf,
        /// What is wrong with the file.
        source: Box<ArtefactError>,
    },
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The mapping cannot be read.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The site that was given is not on earth.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Windows cannot be cut so.
    #[error(transparent)]
    Spec(#[from] WindowSpecError),
    /// No model may look at such windows.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A name that no model can have.
    #[error("--name {0:?} is not 1 to 64 visible characters")]
    Name(String),
    /// There are none.
    #[error(transparent)]
    Windows(#[from] WindowsError),
    /// Two of the files are one.
    #[error(transparent)]
    SameFile(#[from] SameFileError),
    /// The archive cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenWindows {
    /// The archive of NumPy arrays that was written.
    pub path: PathBuf,
    /// Windows of the training, validation and test part.
    pub parts: [usize; 3],
    /// How they were cut.
    pub spec: WindowSpec,
    /// Targets of each.
    pub leads: usize,
    /// What was wrong with the record, if anything.
    pub quality: Option<String>,
}

impl fmt::Display for WrittenWindows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [train, validation, test] = self.parts;
        if let Some(quality) = &self.quality {
            writeln!(formatter, "note: {quality}")?;
        }
        let features: Vec<String> = self.spec.features.iter().map(Feature::to_string).collect();
        writeln!(
            formatter,
            "{}: {} windows of {} samples × {} features, {} targets each: {train} to train, {validation} to validate, {test} to test",
            self.path.display(),
            train + validation + test,
            self.spec.samples,
            features.len(),
            self.leads
        )?;
        write!(formatter, "features: {}", features.join(", "))
    }
}

/// How windows are cut, and what else a model may give.
struct Cut {
    spec: WindowSpec,
    lead_h: Vec<u32>,
    normalisation: Option<Normalisation>,
    /// What the model was trained on: its split is that of the record, if that is it.
    training: Option<Training>,
}

/// Writes the windows of a record.
///
/// # Errors
/// [`WindowsCommandError`].
pub fn run(options: &WindowsOptions) -> Result<WrittenWindows, WindowsCommandError> {
    // What a pattern fits is not known by its name; where it fits nothing, the reader says so.
    let csv = RecordSource { paths: options.csv.clone(), ..RecordSource::default() }.files();
    let csv = csv.unwrap_or_else(|_| options.csv.clone());
    let read = csv.iter().map(|path| ("--csv", path));
    let read = read.chain(options.mapping.as_ref().map(|path| ("--mapping", path)));
    let read = read.chain(options.model.as_ref().map(|path| ("--model", path)));
    atomic_file::ensure_distinct(read.chain([("--out", &options.out)]))?;
    atomic_file::check_writable(&options.out)?;
    if !Manifest::is_name(&options.name) {
        return Err(WindowsCommandError::Name(options.name.clone()));
    }
    let mapping = options.mapping.as_deref().map(CsvMapping::read).transpose()?;
    let source = RecordSource { paths: options.csv.clone(), mapping, site: options.site.site()? };
    let Cut { spec, lead_h, normalisation, training } = cut(options, &source)?;
    let record = Record::read_for(&source, &spec)?;
    let of_record = training.filter(|training| training.sha256 == record.facts().sha256);
    let split = of_record.map_or(DEFAULT_SPLIT, |training| training.split);
    let windows = Windows::new(&record, &spec, &lead_h, split, normalisation)?;
    let manifest = windows.manifest(&options.name);
    let failed = |source: Error| WriteError { path: options.out.clone(), source };
    let file = BufWriter::new(atomic_file::AtomicFile::create(&options.out)?);
    let file = windows.write(&manifest, file).map_err(failed)?;
    file.into_inner().map_err(|error| failed(error.into_error()))?.commit()?;
    Ok(WrittenWindows {
        path: options.out.clone(),
        parts: [Part::Train, Part::Validation, Part::Test].map(|part| windows.of_part(part)),
        spec,
        leads: lead_h.len(),
        quality: Some(&record.facts().quality).filter(|quality| !quality.is_empty()).map(ToString::to_string),
    })
}

fn cut(options: &WindowsOptions, source: &RecordSource) -> Result<Cut, WindowsCommandError> {
    if let Some(path) = &options.model {
        let artefact = Artefact::read(path)
            .map_err(|source| WindowsCommandError::Model { path: path.clone(), source: Box::new(source) })?;
        let manifest = artefact.manifest;
        return Ok(Cut {
            training: manifest.training,
            spec: manifest.window,
            lead_h: manifest.lead_h,
            normalisation: Some(manifest.normalisation),
        });
    }
    let features = match options.features.as_slice() {
        [] => default_features(&known_quantities(source)?),
        features => features.to_vec(),
    };
    let lead_h: Vec<u32> = (1..=options.leads).collect();
    let spec = WindowSpec {
        grid_step_s: options.grid_step_s,
        sample_every_s: options.sample_every_s,
        samples: options.samples,
        max_hole_s: options.max_hole_s,
        site: None,
        missing: MissingValues::Refused,
        features,
    };
    spec.validate()?;
    Manifest::validate_shape(&spec, &lead_h)?;
    Ok(Cut { spec, lead_h, normalisation: None, training: None })
}

fn default_features(known: &[Quantity]) -> Vec<Feature> {
    const WANTED: [Quantity; 5] = [
        Quantity::AirTemperature,
        Quantity::AirPressure,
        Quantity::RelativeHumidity,
        Quantity::DewPointTemperature,
        Quantity::WindSpeed,
    ];
    let measured = WANTED.into_iter().filter(|quantity| known.contains(quantity)).map(Feature::Quantity);
    let waves = [Wave::Sin, Wave::Cos];
    let times = waves.map(Feature::TimeOfDay).into_iter().chain(waves.map(Feature::TimeOfYear));
    measured.chain(times).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_no_model_file_may_have_is_refused_before_the_record_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let options = WindowsOptions {
            csv: vec![folder.path().join("not there.csv")],
            mapping: None,
            site: SiteOptions::default(),
            out: folder.path().join("windows.npz"),
            model: None,
            features: vec![Feature::Quantity(Quantity::AirTemperature)],
            // Slots of ten seconds for a year.
            samples: 8760,
            sample_every_s: 3600,
            grid_step_s: 10,
            max_hole_s: 3600,
            leads: 24,
            name: "own".to_owned(),
        };
        let error = run(&options).unwrap_err();
        assert!(matches!(error, WindowsCommandError::Manifest(_)), "{error}");
        let shorter = WindowsOptions { samples: 72, ..options };
        let error = run(&shorter).unwrap_err();
        assert!(matches!(error, WindowsCommandError::Csv(_) | WindowsCommandError::Record(_)), "{error}");
    }
}
