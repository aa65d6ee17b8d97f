//! How good a model is, and how that is printed.

use std::fmt::Write as _;
use std::io::Write;

use serde::Serialize;

use forecastd_core::ErrorSum;
use forecastd_record::Part;

use forecastd_report::{Kinship, LeadErrors, PartErrors, finite};

use super::BesideOthers;

/// How scores are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum EvaluationFormat {
    /// A table for people.
    #[default]
    Table,
    /// One line per part and lead: of the model, or, where there are any, of somebody else's forecasts beside it.
    Csv,
    /// A document.
    Json,
}

/// How good a model is.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The model's name.
    pub model: String,
    /// The record's file.
    pub file: String,
    /// How it is related to what the model was trained on.
    pub kinship: Kinship,
    /// How far away the one site is that the model is for, where the record is from elsewhere, km.
    pub model_distance_km: Option<f64>,
    /// What was wrong with the file, if anything.
    pub quality: Option<String>,
    /// The engine that ran the network.
    pub engine: &'static str,
    /// The errors on each part that was evaluated.
    pub parts: Vec<PartErrors>,
    /// Somebody else's forecasts beside the model's, where they were given.
    pub beside: Option<BesideOthers>,
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
    fn new(part: Part, errors: &LeadErrors) -> Line {
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

/// That a model is for a site so far away from the record's.
pub(super) fn is_for_elsewhere(distance_km: f64) -> String {
    format!(
        "the model is for a site {distance_km:.0} km from the record's: the daemon runs it there only with model.anywhere"
    )
}

impl Evaluation {
    /// Prints the scores.
    ///
    /// # Errors
    /// When `output` cannot be written to.
    pub fn write(&self, format: EvaluationFormat, output: &mut dyn Write) -> std::io::Result<()> {
        let lines = || {
            self.parts.iter().flat_map(|part| part.leads.iter().map(|errors| Line::new(part.part, errors)))
        };
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
                            "leads": part.leads.iter().map(|errors| Line::new(part.part, errors)).collect::<Vec<_>>(),
                        })
                    })
                    .collect();
                let mut document = serde_json::json!({
                    "model": self.model,
                    "file": self.file,
                    "is_training_file": self.kinship.is_training_record(),
                    "training_overlap": self.overlap(),
                    "model_distance_km": self.model_distance_km.map(f64::round),
                    "faults": self.quality,
                    "engine": self.engine,
                    "parts": parts,
                });
                if let (Some(beside), Some(fields)) = (&self.beside, document.as_object_mut()) {
                    fields.insert("forecasts".to_owned(), beside.json());
                }
                serde_json::to_writer_pretty(&mut *output, &document)?;
                writeln!(output)
            }
            EvaluationFormat::Csv => {
                let mut writer = csv::Writer::from_writer(output);
                match &self.beside {
                    Some(beside) => beside.lines().iter().try_for_each(|line| writer.serialize(line)),
                    None => lines().try_for_each(|line| writer.serialize(line)),
                }
                .map_err(std::io::Error::other)?;
                writer.flush()
            }
        }
    }

    /// What a reader must know of the record where it is not, or not known to be, new to the model.
    fn overlap(&self) -> Option<String> {
        let says_nothing = matches!(self.kinship, Kinship::None | Kinship::SameFile);
        (!says_nothing).then(|| self.kinship.to_string())
    }

    fn table(&self) -> String {
        let mut table = String::new();
        let of = match &self.kinship {
            Kinship::SameFile | Kinship::SameReadings { .. } => "the file it was trained on",
            Kinship::SameStation { .. } => "a file of which it was trained on a part",
            Kinship::None | Kinship::SameTime { .. } => "a file it was not trained on",
        };
        let _ = writeln!(table, "{} on {}, {of} ({})", self.model, self.file, self.engine);
        if let Some(overlap) = self.overlap() {
            let _ = writeln!(table, "note: {overlap}");
        }
        if let Some(distance_km) = self.model_distance_km {
            let _ = writeln!(table, "note: {}", is_for_elsewhere(distance_km));
        }
        if let Some(quality) = &self.quality {
            let _ = writeln!(table, "note: {quality}");
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
        if let Some(beside) = &self.beside {
            table.push_str(&beside.table());
        }
        table
    }
}
