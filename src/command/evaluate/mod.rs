//! How good a model is, beside the reference forecasts: on the parts of its training file that it did not learn
//! from, or on any other record.
//!
//! A case is an issue time and a lead. It counts when there was a reading at the issue time, the model's window was
//! complete, and there was a reading in the very slot that the forecast was for: the rule by which the daemon verifies
//! its forecasts. Every column of the table is over the same cases, but for the same time yesterday, which may not have
//! been measured.
//!
//! The climatology is that of the model's training part, which stands in its manifest; for a model without one it is
//! left out, as one of the record that is evaluated would know the outcome.

mod beside;
mod evaluation;
mod online;
mod predictions;
mod verif;

use std::ops::Range;
use std::path::PathBuf;

use super::site::SiteOptions;
use crate::ModelLocation;
use forecastd_atomic_file::{self as atomic_file, WriteError};
use forecastd_core::{Site, Slot};
use forecastd_model::{Artefact, EngineChoice, Runtime};
use forecastd_record::CsvMapping;
use forecastd_record::QualityReport;
use forecastd_record::{Part, Record, RecordSource};
use forecastd_report::{Comparison, Fan, Kinship, PartFigures, Report, common_cases, evaluation_parts};

pub use forecastd_report::{Case, EvaluateError, LeadErrors, PartErrors, cases};

pub use beside::BesideOthers;
pub use evaluation::{Evaluation, EvaluationFormat};
pub use online::{Online, OnlineLead};

use evaluation::is_for_elsewhere;
use predictions::Predictions;
use verif::Verif;

/// What is to be evaluated.
#[derive(Debug, Clone, clap::Args)]
pub struct EvaluateOptions {
    /// The model, an ONNX file with a manifest [default: the model that is built in].
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// The record: a CSV file, compressed by gzip or not. Several files, folders of them or patterns ("data/*.csv.gz") are
    /// read as one.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub csv: Vec<PathBuf>,
    /// How the columns of the CSV file are to be understood, where its header does not say.
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Where its station stands.
    #[command(flatten)]
    pub site: SiteOptions,
    /// The engine that runs the network: auto, tract or onnxruntime.
    #[arg(long, default_value = "auto", value_name = "ENGINE")]
    pub engine: EngineChoice,
    /// ONNX Runtime's library, where it is not found by itself.
    #[arg(long, value_name = "FILE")]
    pub onnxruntime_library: Option<PathBuf>,
    /// Walks the record as the daemon walks a station's readings, and shows the experts that each forecast is made of.
    #[arg(long, conflicts_with_all = ["predictions", "report", "pictures", "forecasts", "verif"])]
    pub online: bool,
    /// A further model beside it, as one of model.folder is; may be given several times.
    #[arg(long, value_name = "FILE", requires = "online")]
    pub specialist: Vec<PathBuf>,
    /// How the scores are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: EvaluationFormat,
    /// Writes every forecast, with the observations and the reference forecasts, as CSV.
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Scores the forecasts of somebody else beside the model's, over the cases that both have: a CSV file with columns for
    /// the time of issue, the lead in hours or the time that a forecast is for, the temperature in °C and, if there are any,
    /// quantiles (q0.1); or the text format of WFRT/verif.
    #[arg(long, value_name = "FILE", conflicts_with = "online")]
    pub forecasts: Option<PathBuf>,
    /// What columns of the forecasts hold, where their names do not say: issued_at, valid_at, lead_h, temperature_c, q0.1 …
    #[arg(long, value_name = "NAME=COLUMN", value_delimiter = ',', value_parser = named_column, requires = "forecasts")]
    pub forecast_columns: Vec<(String, String)>,
    /// Writes every forecast in the text format of WFRT/verif.
    #[arg(long, value_name = "FILE", conflicts_with = "online")]
    pub verif: Option<PathBuf>,
    /// Writes a page of pictures.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Writes each picture of the forecasts as an SVG file into a folder.
    #[arg(long, value_name = "FOLDER")]
    pub pictures: Option<PathBuf>,
}

fn named_column(text: &str) -> Result<(String, String), String> {
    let (name, column) =
        text.split_once('=').ok_or_else(|| "expected NAME=COLUMN, as issued_at=init".to_owned())?;
    Ok((name.trim().to_owned(), column.trim().to_owned()))
}

/// Evaluates a model on those of the validation and test parts that it was not trained on, if the record is what it was
/// trained on, or on all of another that it cannot have been trained on ([`Kinship`]).
///
/// # Errors
/// [`EvaluateError`] when something cannot be read, run or written.
pub fn run(options: &EvaluateOptions) -> Result<Evaluation, EvaluateError> {
    let Prepared { artefact, record, site, runtime, kinship, parts, .. } = prepare(options)?;
    let training = artefact.manifest.training.as_ref();
    let mut predictions = options.predictions.as_deref().map(Predictions::create).transpose()?;
    let quantiles = &artefact.manifest.quantiles;
    let verif = |path| Verif::create(path, site, &artefact.manifest);
    let mut verif = options.verif.as_deref().map(verif).transpose()?;
    let others = options.forecasts.as_deref().map(|path| beside::read(path, options)).transpose()?;
    let mut comparisons = Vec::new();
    let draws = options.report.is_some() || options.pictures.is_some();
    let (mut errors, mut figures) = (Vec::new(), Vec::new());
    for (part, slots) in parts {
        let cases = cases(&artefact, &record, part, &slots, &runtime)?;
        if let Some(predictions) = &mut predictions {
            predictions.write(&record, part, &cases)?;
        }
        if let Some(verif) = &mut verif {
            verif.write(&record, &cases)?;
        }
        if let Some(others) = &others {
            comparisons.push(Comparison::new(&record, part, &cases, others));
        }
        let of_part = PartErrors::new(&record, part, &artefact.manifest.lead_h, &cases);
        if draws {
            let fan = Fan::typical(&artefact, &record, &cases, &runtime)?;
            figures.push(PartFigures::new(&record, site, &of_part, &cases, quantiles).with_fan(fan));
        }
        errors.push(of_part);
    }
    if draws {
        let mut report = Report::new(Some(&record));
        if let Some(training) = training.filter(|_| kinship.is_training_record()) {
            report.mark_parts(&record, training.split, training.refit);
        }
        report.describe_model(&artefact.manifest.name);
        report.parts = figures;
        if let Some(path) = &options.report {
            atomic_file::write(path, report.to_string().as_bytes())?;
        }
        if let Some(folder) = &options.pictures {
            for (name, picture) in report.pictures() {
                atomic_file::write(&folder.join(name), picture.as_bytes())?;
            }
        }
    }
    if let Some(predictions) = predictions {
        predictions.finish()?;
    }
    if let Some(verif) = verif {
        verif.finish()?;
    }
    let beside = match options.forecasts.as_deref().zip(others) {
        Some((path, others)) => {
            Some(BesideOthers::new(path, others, comparisons, &errors, &artefact.manifest)?)
        }
        None => None,
    };
    Ok(Evaluation {
        model: artefact.manifest.name.clone(),
        file: record.facts().file.clone(),
        kinship,
        quality: Some(&record.facts().quality)
            .filter(|quality| !quality.is_empty())
            .map(QualityReport::to_string),
        model_distance_km: artefact.manifest.window.too_far_km(record.site()),
        engine: runtime.kind().name(),
        parts: errors,
        beside,
    })
}

/// Walks a record as the daemon walks a station's readings, with experts that learn from every hour; what the model or a
/// specialist may have been trained on is neither scored nor learned from. A specialist for another site is left out, as there.
///
/// # Errors
/// [`EvaluateError`] when something cannot be read or run.
pub fn run_online(options: &EvaluateOptions) -> Result<Online, EvaluateError> {
    let Prepared { artefact, source, record, site, runtime, .. } = prepare(options)?;
    let read = |path: &PathBuf| {
        Artefact::read(path).map_err(|source| EvaluateError::Model { path: path.clone(), source })
    };
    let specialists = options.specialist.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let main_s = artefact.manifest.window.grid_step_s;
    if let Some(own) = specialists.iter().find(|own| own.manifest.window.grid_step_s != main_s) {
        let (model, specialist_s) = (own.manifest.name.clone(), own.manifest.window.grid_step_s);
        return Err(EvaluateError::OtherGrid { model, specialist_s, main_s });
    }
    for (index, own) in specialists.iter().enumerate() {
        if own.id() == artefact.id() || specialists[..index].iter().any(|other| other.id() == own.id()) {
            return Err(EvaluateError::Twice { model: own.id() });
        }
    }
    let (mut notes, mut parts) = (Vec::new(), Vec::new());
    let distance_km = |artefact: &Artefact| artefact.manifest.window.too_far_km(record.site());
    notes.extend(
        distance_km(&artefact)
            .map(|far_km| format!("{}: {}", artefact.manifest.name, is_for_elsewhere(far_km))),
    );
    let (elsewhere, specialists): (Vec<_>, Vec<_>) =
        specialists.into_iter().partition(|own| distance_km(own).is_some());
    notes.extend(elsewhere.iter().filter_map(|own| {
        let (name, far_km) = (&own.manifest.name, distance_km(own)?);
        Some(format!(
            "{name}: left out, as the daemon does: it is for a site {far_km:.0} km from the record's"
        ))
    }));
    let artefacts: Vec<Artefact> = std::iter::once(artefact).chain(specialists).collect();
    for Artefact { manifest, .. } in &artefacts {
        let training = manifest.training.as_ref();
        let kinship = Kinship::new(training, manifest.window.site, &record);
        if kinship != Kinship::None {
            notes.push(format!("{}: {kinship}", manifest.name));
        }
        parts.push(evaluation_parts(&kinship, training, &record));
    }
    let common = common_cases(&parts);
    if common.is_empty() {
        let names: Vec<&str> = artefacts.iter().map(|artefact| artefact.manifest.name.as_str()).collect();
        return Err(EvaluateError::TrainedOn {
            file: record.facts().file.clone(),
            models: names.join(" or "),
        });
    }
    let quality = &record.facts().quality;
    notes.extend(Some(quality).filter(|quality| !quality.is_empty()).map(QualityReport::to_string));
    let mut online = online::walk(&artefacts, &source, &record, site, &common, &runtime)?;
    if online.leads.iter().all(|lead| lead.combination.count() == 0) {
        return Err(EvaluateError::NoCase { file: record.facts().file.clone() });
    }
    notes.append(&mut online.notes);
    online.notes = notes;
    Ok(online)
}

/// What an evaluation works with.
struct Prepared {
    artefact: Artefact,
    source: RecordSource,
    record: Record,
    site: Site,
    runtime: Runtime,
    kinship: Kinship,
    parts: Vec<(Part, Range<Slot>)>,
}

fn prepare(options: &EvaluateOptions) -> Result<Prepared, EvaluateError> {
    check_files(options)?;
    let location = ModelLocation::from(options.model.clone());
    let artefact = location
        .read()
        .map_err(|source| EvaluateError::Model { path: location.to_string().into(), source })?;
    let mapping = options.mapping.as_deref().map(CsvMapping::read).transpose()?;
    let source = RecordSource { paths: options.csv.clone(), mapping, site: options.site.site()? };
    let spec = &artefact.manifest.window;
    let record = Record::read_for(&source, spec)?;
    let site = spec.site_for(record.site());
    let site = site.ok_or_else(|| EvaluateError::NoSite { file: record.facts().file.clone() })?;
    let runtime = Runtime::start(options.engine, options.onnxruntime_library.as_deref())?;
    let training = artefact.manifest.training.as_ref();
    let kinship = Kinship::new(training, spec.site, &record);
    let parts = evaluation_parts(&kinship, training, &record);
    if parts.is_empty() {
        let (file, models) = (record.facts().file.clone(), artefact.manifest.name.clone());
        return Err(EvaluateError::TrainedOn { file, models });
    }
    Ok(Prepared { artefact, source, record, site, runtime, kinship, parts })
}

/// Refuses, before anything is computed, files that would overwrite each other or cannot be written.
fn check_files(options: &EvaluateOptions) -> Result<(), EvaluateError> {
    // What a pattern fits is not known by its name; where it fits nothing, the reader says so.
    let csv = RecordSource { paths: options.csv.clone(), ..RecordSource::default() }.files();
    let csv = csv.unwrap_or_else(|_| options.csv.clone());
    let read = csv.iter().map(|path| Some(("--csv", path))).chain([
        options.model.as_ref().map(|path| ("--model", path)),
        options.mapping.as_ref().map(|path| ("--mapping", path)),
        options.forecasts.as_ref().map(|path| ("--forecasts", path)),
    ]);
    let written = [
        ("--predictions", options.predictions.as_ref()),
        ("--verif", options.verif.as_ref()),
        ("--report", options.report.as_ref()),
    ];
    let written = written.map(|(option, path)| path.map(|path| (option, path)));
    atomic_file::ensure_distinct(read.chain(written).flatten())?;
    for path in written.into_iter().flatten() {
        atomic_file::check_writable(path.1)?;
    }
    if let Some(folder) = options.pictures.as_ref().filter(|folder| folder.exists() && !folder.is_dir()) {
        let source = std::io::ErrorKind::NotADirectory.into();
        return Err(WriteError { path: folder.clone(), source }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::operations::oddity::explain;
    use forecastd_core::{Manifest, Refit, Training};
    use forecastd_testkit::artefact;
    use jiff::Timestamp;

    /// 2001-01-01T00:00:00Z.
    const BEGIN: Timestamp = Timestamp::constant(978_307_200, 0);
    const JENA: Site = Site::new(50.91, 11.57);
    const DENVER: Site = Site::new(39.74, -104.98);

    /// Twenty days of hours.
    fn written_record(folder: &Path) -> PathBuf {
        let csv = folder.join("roof.csv");
        let mut text = "time,air_temperature_c,air_pressure_hpa\n".to_owned();
        for hour in 0..24 * 20 {
            let time = BEGIN + jiff::SignedDuration::from_hours(hour);
            // Of values that stay nothing would be believed.
            text += &format!("{time},{:.1},{:.1}\n", (hour % 24) as f64 / 4.0, 1000.0 + (hour % 17) as f64);
        }
        std::fs::write(&csv, text).unwrap();
        csv
    }

    /// A model for `site`, or for any.
    fn written_model(folder: &Path, name: &str, site: Option<Site>, training: Option<Training>) -> PathBuf {
        let mut manifest =
            Manifest { name: name.to_owned(), training, ..artefact::manifest(artefact::spec(6)) };
        manifest.window.site = site;
        let path = folder.join(format!("{name}.onnx"));
        std::fs::write(&path, Artefact::assemble(artefact::trend_graph(&manifest, 0.2), &manifest).unwrap())
            .unwrap();
        path
    }

    /// Of a model that was trained on all of the first `days` of the record, in a file of its own.
    fn trained_on(days: i64) -> Training {
        Training {
            file: "earlier.csv".to_owned(),
            sha256: "earlier".to_owned(),
            rows: 24 * days as u64,
            first: BEGIN,
            last: BEGIN + jiff::SignedDuration::from_hours(24 * days - 1),
            split: forecastd_record::DEFAULT_SPLIT,
            refit: Some(Refit::Whole),
            seed: 1,
            experiment: "own".to_owned(),
            settings: serde_json::Value::Null,
            climatology: None,
            records: Vec::new(),
        }
    }

    fn options(model: &Path, csv: &Path, site: Site, specialist: Vec<PathBuf>) -> EvaluateOptions {
        EvaluateOptions {
            model: Some(model.to_owned()),
            csv: vec![csv.to_owned()],
            mapping: None,
            site: SiteOptions {
                latitude: Some(site.latitude_deg),
                longitude: Some(site.longitude_deg),
                elevation: None,
            },
            engine: EngineChoice::Tract,
            onnxruntime_library: None,
            online: true,
            specialist,
            format: EvaluationFormat::Table,
            predictions: None,
            forecasts: None,
            forecast_columns: Vec::new(),
            verif: None,
            report: None,
            pictures: None,
        }
    }

    #[test]
    fn a_specialist_that_was_trained_on_the_record_is_not_scored_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let csv = written_record(folder.path());
        let record = Record::read_for(&RecordSource::new(&csv, None), &artefact::spec(6)).unwrap();
        let main = folder.path().join("main.onnx");
        std::fs::write(&main, artefact::trend_file(6, 0.1)).unwrap();
        // What was trained on the first of so many days.
        let specialist = |days: i64| {
            let mut training = trained_on(days);
            if days == 20 {
                training.sha256.clone_from(&record.facts().sha256);
            }
            written_model(folder.path(), &format!("own-{days}"), Some(JENA), Some(training))
        };
        let evaluate = |specialist| run_online(&options(&main, &csv, JENA, specialist));
        let alone = evaluate(Vec::new()).unwrap();
        let beside = evaluate(vec![specialist(15)]).unwrap();
        // Five days are left, of which the last has no day after it.
        assert_eq!(beside.forecasts, 24 * 4, "of {}", alone.forecasts);
        assert!(beside.to_string().contains("\nnote: own-15: this record overlaps the span"), "{beside}");
        assert!(!alone.to_string().contains("note:"), "{alone}");
        let error = evaluate(vec![specialist(15), specialist(15)]).unwrap_err();
        assert!(matches!(error, EvaluateError::Twice { .. }), "{error}");
        let error = evaluate(vec![specialist(15), specialist(20)]).unwrap_err();
        assert!(matches!(error, EvaluateError::TrainedOn { .. }), "{error}");
        assert!(error.to_string().contains("linear or own"), "{error}");
    }

    #[test]
    fn experts_learn_nothing_from_hours_that_a_model_was_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        let csv = written_record(folder.path());
        let main = written_model(folder.path(), "world", None, None);
        let own = written_model(folder.path(), "own", Some(JENA), Some(trained_on(15)));
        let evaluate = || run_online(&options(&main, &csv, JENA, vec![own.clone()])).unwrap();
        let whole = evaluate();
        assert!(whole.forecasts > 0);
        // The same readings, without those that lie further back than a live station's history before what is scored.
        let spec = artefact::spec(6);
        let history = spec.history_slots(whole.leads.last().unwrap().lead_h) as Slot;
        let first = spec.grid().slot(trained_on(15).last) + 1 - history;
        let text = std::fs::read_to_string(&csv).unwrap();
        let is_kept = |line: &&str| {
            let time = line.split(',').next().unwrap().parse::<Timestamp>();
            time.is_ok_and(|time| spec.grid().slot(time) >= first)
        };
        let header = text.lines().take(1);
        let kept: Vec<&str> = header.chain(text.lines().filter(is_kept)).collect();
        assert!(kept.len() < 24 * 8, "{} lines", kept.len());
        std::fs::write(&csv, kept.join("\n")).unwrap();
        let part = evaluate();
        let errors = |online: &Online| -> Vec<f64> {
            online.leads.iter().map(|lead| lead.combination.mae()).collect()
        };
        assert_eq!((part.forecasts, errors(&part)), (whole.forecasts, errors(&whole)));
        assert_eq!(part.standings, whole.standings);
    }

    #[test]
    fn a_record_of_which_no_forecast_can_be_verified_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let csv = written_record(folder.path());
        let text = std::fs::read_to_string(&csv).unwrap();
        let first_hours: Vec<&str> = text.lines().take(8).collect();
        std::fs::write(&csv, first_hours.join("\n")).unwrap();
        let world = written_model(folder.path(), "world", None, None);
        let error = run_online(&options(&world, &csv, JENA, Vec::new())).unwrap_err();
        assert!(matches!(error, EvaluateError::NoCase { .. }), "{error}");
    }

    #[test]
    fn a_walk_ends_with_what_the_daemon_would_have_found_odd_in_the_words_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let csv = written_record(folder.path());
        let world = written_model(folder.path(), "world", None, None);
        let notes = || run_online(&options(&world, &csv, JENA, Vec::new())).unwrap().notes;
        assert_eq!(notes(), <[String; 0]>::default());
        // From the sixth day on rounded, so that the seventh is the first whose last 24 hours are all whole.
        let text = std::fs::read_to_string(&csv).unwrap();
        let rounded =
            text.lines().enumerate().map(|(line, text)| match text.split(',').collect::<Vec<_>>()[..] {
                [time, celsius, pressure] if line > 5 * 24 => {
                    format!("{time},{:.0},{pressure}\n", celsius.parse::<f64>().unwrap())
                }
                _ => format!("{text}\n"),
            });
        std::fs::write(&csv, rounded.collect::<String>()).unwrap();
        let notes = notes();
        let [note] = &notes[..] else { panic!("{notes:?}") };
        let said = explain(&forecastd_core::Oddity::WholeDegrees);
        assert!(
            note.starts_with("odd since 2001-01-07T") && note.ends_with(&format!(": whole_degrees: {said}")),
            "{note}"
        );
    }

    /// 8,203 km along the great circle, worked out apart.
    #[test]
    fn a_model_for_another_site_than_the_records_is_said_and_as_a_specialist_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let csv = written_record(folder.path());
        let world = written_model(folder.path(), "world", None, None);
        let jena = written_model(folder.path(), "jena", Some(JENA), None);
        let online = run_online(&options(&world, &csv, DENVER, vec![jena.clone()])).unwrap();
        assert_eq!(online.models, ["world"]);
        assert!(
            online.notes.concat().contains("jena: left out, as the daemon does: it is for a site 8203 km"),
            "{online}"
        );
        let online = run_online(&options(&world, &csv, JENA, vec![jena.clone()])).unwrap();
        assert_eq!((online.models.len(), online.notes), (2, vec![]));
        let online = run_online(&options(&jena, &csv, DENVER, Vec::new())).unwrap();
        assert!(online.notes.concat().contains("jena: the model is for a site 8203 km"), "{online}");

        let said = |site| {
            let mut output = Vec::new();
            let options = EvaluateOptions { online: false, ..options(&jena, &csv, site, Vec::new()) };
            run(&options).unwrap().write(EvaluationFormat::Table, &mut output).unwrap();
            String::from_utf8(output).unwrap()
        };
        assert!(said(DENVER).contains("note: the model is for a site 8203 km"), "{}", said(DENVER));
        assert!(!said(JENA).contains("note:"), "{}", said(JENA));
    }
}
