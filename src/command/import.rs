//! A history of another program, brought into the journal: of WeeWX, Home Assistant, InfluxDB, or CSV files.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};

use forecastd_core::{StationName, StationNameError};
use forecastd_import::{Destination, Entity, EntityError, ImportError, ImportSummary, Origin, read, write};
use forecastd_mapping::{Description, DescriptionError};
use forecastd_model::ArtefactError;
use forecastd_record::{CsvError, CsvMapping, RecordSource};

use crate::ModelLocation;
use crate::config::Config;

/// Where a history is.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportCommand {
    /// WeeWX' database (weewx.sdb)
    Weewx {
        /// The database
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What every import is told
        #[command(flatten)]
        options: ImportOptions,
    },
    /// CSV files of a known format, or of any other by a mapping
    Csv {
        /// CSV files, compressed by gzip or not; folders of them, or patterns ("data/*.csv.gz")
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// What every import is told
        #[command(flatten)]
        options: ImportOptions,
    },
    /// Home Assistant's recorder (home-assistant_v2.db)
    HomeAssistant {
        /// The database
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What an entity measures, as air_temperature=sensor.garden_temperature; once for each
        #[arg(long = "entity", value_name = "QUANTITY=ENTITY", value_parser = Entity::parse)]
        entities: Vec<Entity>,
        /// What every import is told
        #[command(flatten)]
        options: ImportOptions,
    },
    /// Points of InfluxDB's line protocol, as influx_inspect export and influxd inspect export-lp write them
    Influx {
        /// Files of points, compressed by gzip or not; folders of them, or patterns
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// What every import is told
        #[command(flatten)]
        options: ImportOptions,
    },
}

/// What every import is told.
#[derive(Debug, Clone, Args)]
pub struct ImportOptions {
    /// The station's name, as in its topic [default: the mapping's]
    #[arg(long, value_name = "NAME")]
    pub station: Option<String>,
    /// How columns, entities or fields are to be understood (docs/mapping.md)
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// The configuration file of the daemon [default: the built-in defaults]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The journal, where it is not that of the configuration
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Shows nothing but errors and the summary
    #[arg(long, short)]
    pub quiet: bool,
}

impl ImportCommand {
    /// What every import is told.
    pub fn options(&self) -> &ImportOptions {
        match self {
            ImportCommand::Weewx { options, .. }
            | ImportCommand::Csv { options, .. }
            | ImportCommand::HomeAssistant { options, .. }
            | ImportCommand::Influx { options, .. } => options,
        }
    }
}

/// Why nothing is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportCommandError {
    /// There is no journal.
    #[error("journal.enabled is false: there is nowhere to import to")]
    NoJournal,
    /// Nobody names the station.
    #[error("which station is not said: --station NAME, or station = \"NAME\" in the mapping")]
    NoStation,
    /// The station's name cannot be.
    #[error("station {name:?}")]
    Station {
        /// The name that was given.
        name: String,
        /// What is wrong with the name.
        source: StationNameError,
    },
    /// Points of InfluxDB have no names that are known beforehand.
    #[error(
        "which fields are which quantities is not said: --mapping FILE (docs/import.md has one to begin with)"
    )]
    NoMapping,
    /// The mapping cannot be read.
    #[error("mapping {path}", path = .path.display())]
    Mapping {
        /// The mapping file.
        path: PathBuf,
        /// What is wrong.
        source: MappingFault,
    },
    /// The mapping of CSV files cannot be read.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The model's time grid is not known.
    #[error(
        "model {location}: its time grid decides which readings are kept (--config names the configuration of the daemon)"
    )]
    Model {
        /// Where it is.
        location: ModelLocation,
        /// What is wrong with the model.
        source: Box<ArtefactError>,
    },
    /// The history cannot be read, or the journal not be written.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The output is gone.
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

/// What is wrong with the mapping of an import.
#[derive(Debug, thiserror::Error)]
pub enum MappingFault {
    /// The file cannot be read, as the operating system says.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// It is no description.
    #[error(transparent)]
    Description(DescriptionError),
    /// It names no entities of Home Assistant.
    #[error(transparent)]
    Entities(EntityError),
}

/// Brings a history into the journal, and says what was imported.
///
/// # Errors
/// [`ImportCommandError`]; what was written before one stays, and running it again goes on.
pub fn run(
    command: &ImportCommand,
    config: &Config,
    interrupted: &AtomicBool,
    output: &mut dyn Write,
) -> Result<ImportSummary, ImportCommandError> {
    let options = command.options();
    let path = match &options.journal {
        Some(path) => path.clone(),
        None if config.journal.enabled => config.journal.path.clone(),
        None => return Err(ImportCommandError::NoJournal),
    };
    let mapping = options.mapping.as_deref().map(description).transpose()?;
    let of_mapping = match mapping.as_ref().and_then(|mapping| mapping.station.as_ref()) {
        Some(forecastd_mapping::StationRule::Name(name)) => Some(name.clone()),
        _ => None,
    };
    let name = options.station.clone().or(of_mapping).ok_or(ImportCommandError::NoStation)?;
    let station = StationName::new(&name).map_err(|source| ImportCommandError::Station { name, source })?;
    let artefact = config.model.path.read().map_err(|source| ImportCommandError::Model {
        location: config.model.path.clone(),
        source: Box::new(source),
    })?;
    let grid = artefact.manifest.window.grid();
    let place = config.places.of(&station);
    let of_mapping = mapping
        .as_ref()
        .and_then(|mapping| mapping.elevation_m.or(mapping.site.and_then(|site| site.elevation_m)));
    let elevation_m = of_mapping.or(place.and_then(|place| place.site.elevation_m));
    let origin = origin(command, mapping)?;

    let mut progress = ProgressDisplay::new(options.quiet, interrupted);
    let history = read(&origin, grid, elevation_m, &mut progress)?;
    progress.say(&format!("{} rows to journal {}", history.readings.rows.len(), path.display()));
    let is_new = !path.exists();
    let destination = Destination {
        journal: &path,
        station: &station,
        grid,
        keep: SignedDuration::from_hours(24 * i64::from(config.journal.keep_days)),
        max_ahead: SignedDuration::from_secs(config.stations.max_reading_ahead_s as i64),
        now: Timestamp::now(),
    };
    let summary = write(&history, &destination, &mut progress)?;
    progress.end();
    writeln!(output, "{station}: {summary}")?;
    if is_new && let Some(note) = owner_note(&path) {
        writeln!(output, "note: {note}")?;
    }
    if place.is_none() {
        let site = history.readings.site;
        let (latitude, longitude) = site.map_or(("…".to_owned(), "…".to_owned()), |site| {
            (site.latitude_deg.to_string(), site.longitude_deg.to_string())
        });
        writeln!(
            output,
            "note: the configuration does not say where {station} stands, and the journal keeps no place: put this into it:\n\
             [station.{}]\nlatitude_deg = {latitude}\nlongitude_deg = {longitude}",
            // A string of JSON is one of TOML.
            serde_json::Value::from(station.as_str())
        )?;
    }
    if summary.imported.written + summary.imported.completed > 0 && !summary.is_interrupted {
        writeln!(output, "a daemon that runs takes up the newest of them when it is started again")?;
    }
    Ok(summary)
}

fn origin(command: &ImportCommand, mapping: Option<Description>) -> Result<Origin, ImportCommandError> {
    let failed = |error| {
        let path = command.options().mapping.clone().unwrap_or_default();
        ImportCommandError::Mapping { path, source: MappingFault::Entities(error) }
    };
    Ok(match command {
        ImportCommand::Weewx { file, .. } => Origin::Weewx { path: file.clone(), mapping },
        ImportCommand::Csv { files, options } => {
            let mapping = options.mapping.as_deref().map(CsvMapping::read).transpose()?;
            Origin::Csv(RecordSource { paths: files.clone(), mapping, site: None })
        }
        ImportCommand::HomeAssistant { file, entities, .. } => {
            let mut all = entities.clone();
            if let Some(mapping) = &mapping {
                all.extend(Entity::all_of(mapping).map_err(failed)?);
            }
            let sure = mapping.map(|mapping| mapping.sure).unwrap_or_default();
            Origin::HomeAssistant { path: file.clone(), entities: all, sure }
        }
        ImportCommand::Influx { files, .. } => {
            let mapping = mapping.ok_or(ImportCommandError::NoMapping)?;
            Origin::Influx { paths: files.clone(), mapping }
        }
    })
}

fn description(path: &Path) -> Result<Description, ImportCommandError> {
    let failed = |source| ImportCommandError::Mapping { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(|error| failed(MappingFault::Unreadable(error)))?;
    Description::parse(&text).map_err(|error| failed(MappingFault::Description(error)))
}

/// What is to be said of a journal that was made by another user than the one whose folder it is in: a daemon may not be able
/// to write to it.
fn owner_note(journal: &Path) -> Option<String> {
    let folder = journal.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (own, wanted) = (std::fs::metadata(journal).ok()?.uid(), std::fs::metadata(folder).ok()?.uid());
    (own != wanted).then(|| {
        format!(
            "{} is new and belongs to user {own}, its folder to user {wanted}; a daemon of that user cannot write to it",
            journal.display()
        )
    })
}

/// Time between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far an import is: a bar on a terminal, else a line now and then, both on standard error.
struct ProgressDisplay<'a> {
    interrupted: &'a AtomicBool,
    shown: Shown,
    last_line: Instant,
}

enum Shown {
    Nowhere,
    Lines,
    Bar(ProgressBar),
}

impl ProgressDisplay<'_> {
    fn new(quiet: bool, interrupted: &AtomicBool) -> ProgressDisplay<'_> {
        let shown = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nowhere,
            (false, false) => Shown::Lines,
            (false, true) => {
                let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {eta} left");
                let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
                Shown::Bar(ProgressBar::new(1000).with_style(style))
            }
        };
        ProgressDisplay { interrupted, shown, last_line: Instant::now() }
    }

    fn show(&mut self, share: f64, what: &str) -> bool {
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Bar(bar) => {
                bar.set_message(what.to_owned());
                bar.set_position((1000.0 * share) as u64);
            }
            Shown::Lines if self.last_line.elapsed() >= LINE_EVERY => {
                eprintln!("{:.0} %, {what}", 100.0 * share);
                self.last_line = Instant::now();
            }
            Shown::Lines => {}
        }
        !self.interrupted.load(Ordering::Relaxed)
    }

    fn say(&mut self, line: &str) {
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Lines => eprintln!("{line}"),
            Shown::Bar(bar) => {
                bar.suspend(|| eprintln!("{line}"));
                bar.reset();
            }
        }
    }

    fn end(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl forecastd_import::ImportProgress for ProgressDisplay<'_> {
    fn reading(&mut self, share: f64) -> bool {
        self.show(share, "reading")
    }

    fn writing(&mut self, written: u64, of: u64, time: Timestamp) -> bool {
        self.show(written as f64 / of.max(1) as f64, &format!("writing, at {time}"))
    }
}
