//! How good a model is, beside the forecasts that cost nothing: on the parts of its training file that it did not learn
//! from, or on any other record.
//!
//! A case is an issue time and a lead. It counts when there was a reading at the issue time, the model's window was
//! complete, and there was a reading in the very slot that the forecast was for: the rule by which the daemon verifies
//! its forecasts. Every column of the table is over the same cases, but for the same time yesterday, which may not have
//! been measured.
//!
//! The climatology is that of the model's training part, which stands in its manifest; for a model without one it is
//! left out, as one of the record that is evaluated would know the outcome.

use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::faults::Faults;
use crate::forecast::baseline::{Climatology, same_time_yesterday};
use crate::forecast::score::{Coverage, ErrorSum};
use crate::formats::csv::{CsvError, CsvMapping};
use crate::grid::Slot;
use crate::model::{
    Artefact, ArtefactError, Engine, EngineChoice, EngineError, LeadScore, Manifest, PartScores, Refit,
    Runtime, Training,
};
use crate::quantity::Quantity;
use crate::record::{DEFAULT_SPLIT, Part, Record, RecordError, RecordSource};
use crate::report::{PartFigures, Report};
use crate::whole_file::{self, SameFile, WriteError};

/// What is to be evaluated.
#[derive(Debug, Clone, clap::Args)]
pub struct EvaluateOptions {
    /// The model, an ONNX file with a manifest.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// The record, a CSV file.
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
    /// How the columns of the CSV file are to be understood, where its header does not say.
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// The engine that runs the network: auto, tract or onnxruntime.
    #[arg(long, default_value = "auto", value_name = "ENGINE")]
    pub engine: EngineChoice,
    /// ONNX Runtime's library, where it is not found by itself.
    #[arg(long, value_name = "FILE")]
    pub onnxruntime_library: Option<PathBuf>,
    /// How the scores are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: EvaluationFormat,
    /// Writes every forecast, with what came and the baselines, as CSV.
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Writes a page of pictures.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Writes each picture of the forecasts as an SVG file into a folder.
    #[arg(long, value_name = "FOLDER")]
    pub pictures: Option<PathBuf>,
}

/// How scores are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum EvaluationFormat {
    /// A table for people.
    #[default]
    Table,
    /// One line per part and lead.
    Csv,
    /// A document.
    Json,
}

/// Why a model cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The model cannot be read.
    #[error("model {path}: {source}", path = .path.display())]
    Model {
        /// Which file.
        path: PathBuf,
        /// Why.
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
         the longest stretch without a hole of more than {max_hole_h:.0} h is {longest_h:.0} h{faults}"
    )]
    NoWindow {
        /// Which file.
        file: String,
        /// Which part.
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
        faults: String,
    },
    /// Nothing of the file is left to judge the model by.
    #[error(
        "{file}: the model learned from all of it (--refit whole); evaluate it on readings that it has not seen, or see \
         its scores before that with forecastd inspect"
    )]
    Learned {
        /// Which file.
        file: String,
    },
    /// Two of the files are one.
    #[error(transparent)]
    SameFile(#[from] SameFile),
    /// The forecasts or the report cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// One forecast beside what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The slot of the newest reading.
    pub origin: Slot,
    /// Hours.
    pub lead_h: u32,
    /// What came, °C.
    pub observed_c: f64,
    /// The model's forecast, °C; the median where it gives quantiles.
    pub model_c: f64,
    /// The model's lowest and highest quantile, °C.
    pub interval_c: Option<(f64, f64)>,
    /// The temperature at the issue time, °C.
    pub persistence_c: f64,
    /// The temperature at the same time of the last known day, °C.
    pub yesterday_c: Option<f64>,
    /// The usual temperature, °C.
    pub climatology_c: Option<f64>,
}

/// Errors at one lead.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LeadErrors {
    /// Hours.
    pub lead_h: u32,
    /// The model.
    pub model: ErrorSum,
    /// Persistence.
    pub persistence: ErrorSum,
    /// Same time yesterday.
    pub yesterday: ErrorSum,
    /// Climatology.
    pub climatology: ErrorSum,
    /// The model's interval.
    pub coverage: Coverage,
}

/// Errors on one part of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct PartErrors {
    /// Which part.
    pub part: Part,
    /// Whether they are those of the model before it learned from this part too.
    pub before_refit: bool,
    /// Issue times.
    pub origins: u64,
    /// The first issue time and the last.
    pub span: (Timestamp, Timestamp),
    /// By lead.
    pub leads: Vec<LeadErrors>,
}

/// How good a model is.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The model's name.
    pub model: String,
    /// The record's file.
    pub file: String,
    /// Whether it is the file that the model was trained on.
    pub is_training_file: bool,
    /// What was wrong with the file, if anything.
    pub faults: Option<String>,
    /// The engine that ran the network.
    pub engine: &'static str,
    /// By part.
    pub parts: Vec<PartErrors>,
}

/// Evaluates a model on those of the validation and test parts that it did not learn from, if the record is the file that
/// it was trained on, or on the whole of another.
///
/// # Errors
/// [`EvaluateError`] when something cannot be read, run or written.
pub fn run(options: &EvaluateOptions) -> Result<Evaluation, EvaluateError> {
    check_files(options)?;
    let artefact = Artefact::read(&options.model)
        .map_err(|source| EvaluateError::Model { path: options.model.clone(), source })?;
    let mapping = options.mapping.as_deref().map(CsvMapping::read).transpose()?;
    let source = RecordSource { path: options.csv.clone(), mapping };
    let spec = &artefact.manifest.window;
    let record = Record::read(&source, spec.grid(), &spec.quantities())?;
    let runtime = Runtime::start(options.engine, options.onnxruntime_library.as_deref())?;
    let training = artefact.manifest.training.as_ref();
    let training = training.filter(|training| training.sha256 == record.facts().sha256);
    let parts = parts(training, &record)?;
    let mut predictions = options.predictions.as_deref().map(Predictions::create).transpose()?;
    let draws = options.report.is_some() || options.pictures.is_some();
    let (mut errors, mut figures) = (Vec::new(), Vec::new());
    for (part, slots) in parts {
        let cases = cases(&artefact, &record, part, &slots, &runtime)?;
        if let Some(predictions) = &mut predictions {
            predictions.write(&record, part, &cases)?;
        }
        let of_part = PartErrors::of(&record, part, &artefact.manifest.lead_h, &cases);
        if draws {
            let quantiles = &artefact.manifest.quantiles;
            figures.push(PartFigures::of(&record, spec.site, &of_part, &cases, quantiles));
        }
        errors.push(of_part);
    }
    if draws {
        let mut report = Report::new(Some(&record));
        if let Some(training) = training {
            report.mark_parts(&record, training.split, training.refit);
        }
        report.describe_model(&artefact.manifest.name);
        report.parts = figures;
        if let Some(path) = &options.report {
            whole_file::write(path, report.to_string().as_bytes())?;
        }
        if let Some(folder) = &options.pictures {
            for (name, picture) in report.pictures() {
                whole_file::write(&folder.join(name), picture.as_bytes())?;
            }
        }
    }
    if let Some(predictions) = predictions {
        predictions.finish()?;
    }
    Ok(Evaluation {
        model: artefact.manifest.name.clone(),
        file: record.facts().file.clone(),
        is_training_file: training.is_some(),
        faults: Some(&record.facts().faults).filter(|faults| !faults.is_empty()).map(Faults::to_string),
        engine: runtime.kind().name(),
        parts: errors,
    })
}

/// Refuses, before anything is computed, files that would overwrite each other or cannot be written.
fn check_files(options: &EvaluateOptions) -> Result<(), EvaluateError> {
    let read = [Some(("--model", &options.model)), Some(("--csv", &options.csv))];
    let read = read.into_iter().chain([options.mapping.as_ref().map(|path| ("--mapping", path))]);
    let written = [("--predictions", options.predictions.as_ref()), ("--report", options.report.as_ref())];
    let written = written.map(|(option, path)| path.map(|path| (option, path)));
    whole_file::check_different(read.chain(written).flatten())?;
    for path in written.into_iter().flatten() {
        whole_file::check(path.1)?;
    }
    if let Some(folder) = options.pictures.as_ref().filter(|folder| folder.exists() && !folder.is_dir()) {
        let source = std::io::ErrorKind::NotADirectory.into();
        return Err(WriteError { path: folder.clone(), source }.into());
    }
    Ok(())
}

/// What a model can be judged by: all of a record that it was not trained on, or of its own the parts that it did not
/// learn from.
fn parts(training: Option<&Training>, record: &Record) -> Result<Vec<(Part, Range<Slot>)>, EvaluateError> {
    let (split, parts) = match training {
        None => (DEFAULT_SPLIT, &[Part::Whole][..]),
        Some(training) => {
            let parts = match training.refit {
                None => &[Part::Validation, Part::Test][..],
                Some(Refit::Validation) => &[Part::Test],
                Some(Refit::Whole) => {
                    return Err(EvaluateError::Learned { file: record.facts().file.clone() });
                }
            };
            (training.split, parts)
        }
    };
    Ok(parts.iter().map(|&part| (part, record.part(split, part))).collect())
}

/// Every case of a part of a record, by issue time and lead. The network runs on all cores.
///
/// # Errors
/// [`EvaluateError`] when the network does not run, or there is no complete window.
pub fn cases(
    artefact: &Artefact,
    record: &Record,
    part: Part,
    slots: &Range<Slot>,
    runtime: &Runtime,
) -> Result<Vec<Case>, EvaluateError> {
    let rows = record.rows_within(slots);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = rows.len().div_ceil(threads).max(1);
    let cases = std::thread::scope(|scope| {
        let workers: Vec<_> = rows
            .chunks(share)
            .map(|rows| scope.spawn(|| cases_of_rows(artefact, record, rows, slots, runtime)))
            .collect();
        // Room for all at once: growing would hold them twice.
        let mut cases = Vec::with_capacity(rows.len() * artefact.manifest.lead_h.len());
        for worker in workers {
            let of_rows = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            cases.extend(of_rows);
        }
        Ok::<_, EngineError>(cases)
    })?;
    if cases.is_empty() {
        let spec = &artefact.manifest.window;
        let (missing, longest_h) = record.holes(spec.max_hole_slots());
        return Err(EvaluateError::NoWindow {
            file: record.facts().file.clone(),
            part: part.name(),
            window_h: (spec.span_slots() * i64::from(spec.grid_step_s)) as f64 / 3600.0,
            missing: 100.0 * missing,
            max_hole_h: f64::from(spec.max_hole_s) / 3600.0,
            longest_h,
            faults: match &record.facts().faults {
                faults if faults.is_empty() => String::new(),
                faults => format!("; {faults}"),
            },
        });
    }
    Ok(cases)
}

fn cases_of_rows(
    artefact: &Artefact,
    record: &Record,
    rows: &[Slot],
    slots: &Range<Slot>,
    runtime: &Runtime,
) -> Result<Vec<Case>, EngineError> {
    let manifest = &artefact.manifest;
    let spec = &manifest.window;
    let mut engine = Engine::load(runtime, artefact)?;
    let climatology = manifest.training.as_ref().and_then(|training| training.climatology.as_ref());
    let outputs_per_window = manifest.outputs();
    let mut cases = Vec::new();
    let mut waiting: Vec<(Slot, Vec<f32>)> = Vec::new();
    let mut windows = Vec::new();
    let mut window = vec![0.0; spec.len()];
    for (index, &origin) in rows.iter().enumerate() {
        let observed: Vec<f32> =
            manifest.lead_h.iter().map(|&lead_h| record.target(origin, lead_h, slots)).collect();
        let wanted = observed.iter().any(|observed| !observed.is_nan());
        if wanted && spec.fill(record.history(), origin, &mut window).is_ok() {
            manifest.normalisation.apply(&mut window);
            windows.extend_from_slice(&window);
            waiting.push((origin, observed));
        }
        let last = index + 1 == rows.len();
        if waiting.is_empty() || !(last || waiting.len() == engine.max_batch()) {
            continue;
        }
        let outputs = engine.run(&windows, waiting.len())?;
        for ((origin, observed), outputs) in waiting.drain(..).zip(outputs.chunks_exact(outputs_per_window)) {
            add_cases(&mut cases, manifest, record, climatology, origin, &observed, outputs);
        }
        windows.clear();
    }
    Ok(cases)
}

fn add_cases(
    cases: &mut Vec<Case>,
    manifest: &Manifest,
    record: &Record,
    climatology: Option<&Climatology>,
    origin: Slot,
    observed: &[f32],
    outputs: &[f32],
) {
    let history = record.history();
    let spec = &manifest.window;
    let newest_c = history.value(origin, Quantity::AirTemperature);
    let per_lead = manifest.quantiles.len().max(1);
    let median = manifest.quantiles.iter().position(|&quantile| quantile == 0.5).unwrap_or(0);
    for ((&lead_h, &observed_c), outputs) in
        manifest.lead_h.iter().zip(observed).zip(outputs.chunks_exact(per_lead))
    {
        if observed_c.is_nan() {
            continue;
        }
        let temperature_c = |output: f32| f64::from(manifest.target.temperature_c(output, newest_c));
        let yesterday_c =
            history.value(same_time_yesterday(history, origin, lead_h), Quantity::AirTemperature);
        let (_, valid_at) = spec.valid_at(origin, lead_h);
        let model_c = temperature_c(outputs[median]);
        // In order, as the daemon publishes it, should the network have crossed its quantiles.
        let (first, last) = (temperature_c(outputs[0]), temperature_c(outputs[per_lead - 1]));
        let interval = (per_lead > 1).then(|| (first.min(last).min(model_c), last.max(first).max(model_c)));
        cases.push(Case {
            origin,
            lead_h,
            observed_c: f64::from(observed_c),
            model_c,
            interval_c: interval,
            persistence_c: f64::from(newest_c),
            yesterday_c: (!yesterday_c.is_nan()).then(|| f64::from(yesterday_c)),
            climatology_c: climatology.map(|climatology| climatology.temperature_c(spec.site, valid_at)),
        });
    }
}

impl PartErrors {
    /// Sums up cases.
    pub fn of(record: &Record, part: Part, lead_h: &[u32], cases: &[Case]) -> PartErrors {
        let mut leads: Vec<LeadErrors> =
            lead_h.iter().map(|&lead_h| LeadErrors { lead_h, ..LeadErrors::default() }).collect();
        for case in cases {
            let Some(errors) = leads.iter_mut().find(|errors| errors.lead_h == case.lead_h) else { continue };
            errors.model.add(case.model_c, case.observed_c);
            errors.persistence.add(case.persistence_c, case.observed_c);
            if let Some(yesterday_c) = case.yesterday_c {
                errors.yesterday.add(yesterday_c, case.observed_c);
            }
            if let Some(climatology_c) = case.climatology_c {
                errors.climatology.add(climatology_c, case.observed_c);
            }
            if let Some((low_c, high_c)) = case.interval_c {
                errors.coverage.add(low_c, high_c, case.observed_c);
            }
        }
        let grid = record.history().grid();
        let mut origins: Vec<Slot> = cases.iter().map(|case| case.origin).collect();
        origins.dedup();
        let time = |slot: Option<&Slot>| slot.map_or(record.facts().first, |&slot| grid.time(slot));
        PartErrors {
            part,
            before_refit: false,
            origins: origins.len() as u64,
            span: (time(origins.first()), time(origins.last())),
            leads,
        }
    }

    /// What a manifest keeps of it.
    pub fn scores(&self) -> PartScores {
        let leads = self.leads.iter().filter(|errors| errors.model.count() > 0).map(|errors| LeadScore {
            lead_h: errors.lead_h,
            mae: errors.model.mae(),
            rmse: errors.model.rmse(),
            persistence_mae: errors.persistence.mae(),
            yesterday_mae: finite(errors.yesterday.mae()),
            climatology_mae: finite(errors.climatology.mae()),
            coverage: errors.coverage.share(),
        });
        PartScores {
            part: self.part.name().to_owned(),
            before_refit: self.before_refit,
            forecasts: self.origins,
            leads: leads.collect(),
        }
    }

    /// The mean of the model's mean absolute errors over all leads, °C.
    pub fn mean_mae(&self) -> f64 {
        let maes = self.leads.iter().map(|errors| errors.model.mae()).filter(|mae| mae.is_finite());
        let (count, sum) = maes.fold((0.0, 0.0), |(count, sum), mae| (count + 1.0, sum + mae));
        sum / count
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// One line of scores, as printed in CSV and JSON. Temperatures in °C; absent where there is no such forecast.
#[derive(Debug, Clone, Serialize)]
struct Line {
    part: &'static str,
    lead_h: u32,
    cases: u64,
    mae_c: Option<f64>,
    rmse_c: Option<f64>,
    bias_c: Option<f64>,
    persistence_mae_c: Option<f64>,
    persistence_rmse_c: Option<f64>,
    yesterday_mae_c: Option<f64>,
    yesterday_rmse_c: Option<f64>,
    climatology_mae_c: Option<f64>,
    climatology_rmse_c: Option<f64>,
    skill_persistence: Option<f64>,
    skill_yesterday: Option<f64>,
    skill_climatology: Option<f64>,
    coverage: Option<f64>,
}

impl Line {
    fn of(part: Part, errors: &LeadErrors) -> Line {
        Line {
            part: part.name(),
            lead_h: errors.lead_h,
            cases: errors.model.count(),
            mae_c: finite(errors.model.mae()),
            rmse_c: finite(errors.model.rmse()),
            bias_c: finite(errors.model.bias()),
            persistence_mae_c: finite(errors.persistence.mae()),
            persistence_rmse_c: finite(errors.persistence.rmse()),
            yesterday_mae_c: finite(errors.yesterday.mae()),
            yesterday_rmse_c: finite(errors.yesterday.rmse()),
            climatology_mae_c: finite(errors.climatology.mae()),
            climatology_rmse_c: finite(errors.climatology.rmse()),
            skill_persistence: finite(errors.model.skill(&errors.persistence)),
            skill_yesterday: finite(errors.model.skill(&errors.yesterday)),
            skill_climatology: finite(errors.model.skill(&errors.climatology)),
            coverage: errors.coverage.share(),
        }
    }
}

impl Evaluation {
    /// Prints the scores.
    ///
    /// # Errors
    /// When `output` cannot be written to.
    pub fn write(&self, format: EvaluationFormat, output: &mut dyn Write) -> std::io::Result<()> {
        let lines =
            || self.parts.iter().flat_map(|part| part.leads.iter().map(|errors| Line::of(part.part, errors)));
        match format {
            EvaluationFormat::Table => output.write_all(self.table().as_bytes()),
            EvaluationFormat::Json => {
                let parts: Vec<_> = self
                    .parts
                    .iter()
                    .map(|part| {
                        serde_json::json!({
                            "part": part.part.name(),
                            "forecasts": part.origins,
                            "first_issued_at": part.span.0,
                            "last_issued_at": part.span.1,
                            "mean_mae_c": part.mean_mae(),
                            "leads": part.leads.iter().map(|errors| Line::of(part.part, errors)).collect::<Vec<_>>(),
                        })
                    })
                    .collect();
                let document = serde_json::json!({
                    "model": self.model,
                    "file": self.file,
                    "is_training_file": self.is_training_file,
                    "faults": self.faults,
                    "engine": self.engine,
                    "parts": parts,
                });
                serde_json::to_writer_pretty(&mut *output, &document)?;
                writeln!(output)
            }
            EvaluationFormat::Csv => {
                let mut writer = ::csv::Writer::from_writer(output);
                for line in lines() {
                    writer.serialize(line).map_err(std::io::Error::other)?;
                }
                writer.flush()
            }
        }
    }

    fn table(&self) -> String {
        let mut table = String::new();
        let of =
            if self.is_training_file { "the file it was trained on" } else { "a file it was not trained on" };
        let _ = writeln!(table, "{} on {}, {of} ({})", self.model, self.file, self.engine);
        if let Some(faults) = &self.faults {
            let _ = writeln!(table, "note: {faults}");
        }
        for part in &self.parts {
            let _ = writeln!(
                table,
                "\n{} part: {} forecasts, {} to {}",
                part.part.name(),
                part.origins,
                part.span.0,
                part.span.1
            );
            table.push_str(
                "  lead    cases  |  model MAE  RMSE   bias  cover |  persistence MAE  RMSE   skill |  yesterday MAE  RMSE   skill |  climatology MAE  RMSE   skill\n",
            );
            for errors in &part.leads {
                let coverage = errors
                    .coverage
                    .share()
                    .map_or("    -".to_owned(), |share| format!("{:4.1}%", 100.0 * share));
                let reference = |sum: &ErrorSum| match sum.count() {
                    0 => "           -     -       -".to_owned(),
                    _ => format!(
                        "      {:6.3} {:6.3} {:6.1}%",
                        sum.mae(),
                        sum.rmse(),
                        100.0 * errors.model.skill(sum)
                    ),
                };
                let _ = writeln!(
                    table,
                    "  {:>2} h {:>8}  |     {:6.3} {:6.3} {:6.3}  {coverage} |    {} |  {} |    {}",
                    errors.lead_h,
                    errors.model.count(),
                    errors.model.mae(),
                    errors.model.rmse(),
                    errors.model.bias(),
                    reference(&errors.persistence),
                    reference(&errors.yesterday),
                    reference(&errors.climatology),
                );
            }
            let _ = writeln!(table, "  mean over leads |     {:6.3}", part.mean_mae());
        }
        table
    }
}

/// The file of forecasts.
struct Predictions {
    path: PathBuf,
    writer: ::csv::Writer<whole_file::Begun>,
}

impl Predictions {
    fn create(path: &Path) -> Result<Predictions, EvaluateError> {
        let failed = |source| WriteError { path: path.to_owned(), source };
        let mut writer = ::csv::Writer::from_writer(whole_file::Begun::create(path)?);
        let header = [
            "part",
            "issued_at",
            "valid_at",
            "lead_h",
            "observed_c",
            "model_c",
            "low_c",
            "high_c",
            "persistence_c",
            "yesterday_c",
            "climatology_c",
        ];
        writer.write_record(header).map_err(|error| failed(std::io::Error::other(error)))?;
        Ok(Predictions { path: path.to_owned(), writer })
    }

    fn write(&mut self, record: &Record, part: Part, cases: &[Case]) -> Result<(), EvaluateError> {
        let grid = record.history().grid();
        for case in cases {
            let issued_at = grid.time(case.origin);
            let valid_at = grid.time(case.origin + i64::from(case.lead_h) * 3600 / grid.step_s());
            let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.5}"));
            let line = [
                part.name().to_owned(),
                issued_at.to_string(),
                valid_at.to_string(),
                case.lead_h.to_string(),
                format!("{:.3}", case.observed_c),
                format!("{:.5}", case.model_c),
                optional(case.interval_c.map(|(low_c, _)| low_c)),
                optional(case.interval_c.map(|(_, high_c)| high_c)),
                format!("{:.3}", case.persistence_c),
                optional(case.yesterday_c),
                optional(case.climatology_c),
            ];
            let path = &self.path;
            self.writer
                .write_record(line)
                .map_err(|error| WriteError { path: path.clone(), source: std::io::Error::other(error) })?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), WriteError> {
        let failed = |source: std::io::Error| WriteError { path: self.path, source };
        let begun = self.writer.into_inner().map_err(|error| failed(error.into_error()))?;
        begun.finish()
    }
}
