//! Somebody else's forecasts beside the model's.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use forecastd_core::{Coverage, Manifest};
use forecastd_record::Part;
use forecastd_report::{ComparedLead, Comparison, EvaluateError, OtherForecasts, PartErrors, finite};

use super::EvaluateOptions;

/// Somebody else's forecasts beside the model's.
#[derive(Debug, Clone, PartialEq)]
pub struct BesideOthers {
    /// The name of the file with their forecasts.
    pub file: String,
    /// How many forecasts it has.
    pub given: u64,
    /// Those that the model makes too and that were observed.
    pub matched: u64,
    /// Rows that are no forecasts.
    pub skipped: u64,
    /// What is wrong with the first of them.
    pub first_skipped: Option<String>,
    /// Intervals that had their lower end above the upper, and were put in order.
    pub crossed: u64,
    /// Between which quantiles their intervals lie, where that is known.
    pub interval: Option<(f64, f64)>,
    /// Between which quantiles the model's do.
    pub model_interval: Option<(f64, f64)>,
    /// The comparison on each part that has a forecast of theirs.
    pub comparisons: Vec<Comparison>,
}

/// One line of somebody else's scores beside the model's, all over the same cases, as printed in CSV and JSON; °C.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BesideLine {
    part: &'static str,
    lead_h: u32,
    cases: u64,
    forecasts_mae_c: Option<f64>,
    forecasts_rmse_c: Option<f64>,
    forecasts_bias_c: Option<f64>,
    forecasts_coverage: Option<f64>,
    model_mae_c: Option<f64>,
    model_rmse_c: Option<f64>,
    model_bias_c: Option<f64>,
    model_coverage: Option<f64>,
    persistence_mae_c: Option<f64>,
}

/// Reads the forecasts that the options name.
pub(super) fn read(path: &Path, options: &EvaluateOptions) -> Result<OtherForecasts, EvaluateError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| EvaluateError::OthersFile { path: path.to_owned(), source })?;
    let columns = options.forecast_columns.iter().cloned().collect();
    OtherForecasts::parse(&text, &columns)
        .map_err(|source| EvaluateError::Others { path: path.to_owned(), source })
}

impl BesideOthers {
    /// Sums up the comparisons by part.
    ///
    /// # Errors
    /// [`EvaluateError::OthersUnmatched`] when there is nothing to compare.
    pub(super) fn new(
        path: &Path,
        others: OtherForecasts,
        comparisons: Vec<Comparison>,
        parts: &[PartErrors],
        manifest: &Manifest,
    ) -> Result<BesideOthers, EvaluateError> {
        let matched: u64 = comparisons.iter().map(|comparison| comparison.matched).sum();
        if let (0, Some(first)) = (matched, others.forecasts.first()) {
            return Err(EvaluateError::OthersUnmatched {
                path: path.to_owned(),
                given: others.forecasts.len(),
                first_issued_at: first.issued_at,
                first_valid_at: first.valid_at,
                from: parts.first().map_or(first.issued_at, |part| part.span.0),
                to: parts.last().map_or(first.issued_at, |part| part.span.1),
            });
        }
        Ok(BesideOthers {
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            given: others.forecasts.len() as u64,
            matched,
            skipped: others.skipped,
            first_skipped: others.first_skipped,
            crossed: others.crossed,
            interval: others.interval,
            model_interval: manifest.interval().map(|(low, high)| {
                // As it is written in decimals: 0.1, not the nearest of 24 bits.
                let level = |position: usize| (f64::from(manifest.quantiles[position]) * 1e6).round() / 1e6;
                (level(low), level(high))
            }),
            comparisons,
        })
    }

    pub(super) fn lines(&self) -> Vec<BesideLine> {
        let line = |part: Part, lead: &ComparedLead| BesideLine {
            part: part.name(),
            lead_h: lead.lead_h,
            cases: lead.other.count(),
            forecasts_mae_c: finite(lead.other.mae()),
            forecasts_rmse_c: finite(lead.other.rmse()),
            forecasts_bias_c: finite(lead.other.bias()),
            forecasts_coverage: lead.other_coverage.share(),
            model_mae_c: finite(lead.model.mae()),
            model_rmse_c: finite(lead.model.rmse()),
            model_bias_c: finite(lead.model.bias()),
            model_coverage: lead.model_coverage.share(),
            persistence_mae_c: finite(lead.persistence.mae()),
        };
        let of_part = |comparison: &Comparison| {
            let part = comparison.part;
            comparison.leads.iter().map(|lead| line(part, lead)).collect::<Vec<_>>()
        };
        self.comparisons.iter().flat_map(of_part).collect()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file,
            "given": self.given,
            "matched": self.matched,
            "skipped": self.skipped,
            "crossed": self.crossed,
            "interval": self.interval,
            "model_interval": self.model_interval,
            "leads": self.lines(),
        })
    }

    pub(super) fn table(&self) -> String {
        let BesideOthers {
            file,
            given,
            matched,
            skipped,
            first_skipped,
            crossed,
            interval,
            model_interval,
            comparisons,
        } = self;
        let mut table = format!(
            "\n{file} beside the model: {matched} of {given} forecasts are made by the model too and were observed\n"
        );
        if let Some(first) = first_skipped {
            let _ = writeln!(table, "note: {skipped} rows are no forecasts, the first: {first}");
        }
        if *crossed > 0 {
            let _ = writeln!(
                table,
                "note: {crossed} of {given} intervals had their lower end above the upper and were put in order; are two columns \
                 mixed up?"
            );
        }
        let quantiles = |interval: &Option<(f64, f64)>| {
            interval.map_or("unknown quantiles".to_owned(), |(low, high)| format!("{low} to {high}"))
        };
        if comparisons.iter().flat_map(|one| &one.leads).any(|lead| lead.other_coverage.share().is_some()) {
            let (theirs, ours) = (quantiles(interval), quantiles(model_interval));
            let _ = writeln!(table, "cover is by their interval of {theirs}, and by the model's of {ours}");
        }
        let percent = |coverage: &Coverage| {
            coverage.share().map_or("    -".to_owned(), |share| format!("{:4.1}%", 100.0 * share))
        };
        for Comparison { part, leads, matched } in comparisons.iter().filter(|one| one.matched > 0) {
            let _ = writeln!(table, "\n{} part: {matched} forecasts of both", part.name());
            table.push_str(
                "  lead    cases  |  theirs MAE  RMSE   bias  cover |  model MAE  RMSE   bias  cover |  persistence MAE\n",
            );
            for lead in leads {
                let _ = writeln!(
                    table,
                    "  {:>2} h {:>8}  |      {:6.3} {:6.3} {:6.3}  {} |     {:6.3} {:6.3} {:6.3}  {} |           {:6.3}",
                    lead.lead_h,
                    lead.other.count(),
                    lead.other.mae(),
                    lead.other.rmse(),
                    lead.other.bias(),
                    percent(&lead.other_coverage),
                    lead.model.mae(),
                    lead.model.rmse(),
                    lead.model.bias(),
                    percent(&lead.model_coverage),
                    lead.persistence.mae(),
                );
            }
        }
        table
    }
}
