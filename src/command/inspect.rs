//! What is in a model file, for a person.

use std::io::Write;

use crate::ModelLocation;
use forecastd_core::{Refit, excerpt};
use forecastd_model::ArtefactError;

/// Why a model cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file is no artefact.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// The output is gone.
    #[error(transparent)]
    Output(#[from] std::io::Error),
    /// The manifest cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// So many characters of a text in the file are printed.
const QUOTED: usize = 200;

/// So many operations are listed.
const MAX_OPERATIONS: usize = 100;

/// The numbers in all constants together; `None` when a shape says more than can be counted, or less than nothing.
fn parameters(graph: &forecastd_model::onnx::Graph) -> Option<u64> {
    graph.initializer.iter().try_fold(0_u64, |sum, tensor| {
        let mut sizes = tensor.dims.iter().map(|&size| u64::try_from(size).ok());
        let numbers = sizes.try_fold(1_u64, |numbers, size| numbers.checked_mul(size?))?;
        sum.checked_add(numbers)
    })
}

/// Prints the graph and the manifest of a model; with `json`, the manifest alone.
///
/// # Errors
/// [`InspectError`].
pub fn run(location: &ModelLocation, json: bool, output: &mut impl Write) -> Result<(), InspectError> {
    let artefact = location.read()?;
    let manifest = &artefact.manifest;
    if json {
        serde_json::to_writer_pretty(&mut *output, manifest)?;
        writeln!(output)?;
        return Ok(());
    }
    let window = &manifest.window;
    let foreign = |text: &str| excerpt(text, QUOTED);
    writeln!(
        output,
        "model      {} (format {}, {})",
        foreign(&artefact.id()),
        manifest.format_version,
        foreign(&manifest.tool)
    )?;
    writeln!(output, "sha256     {}", artefact.sha256)?;
    if !manifest.stations.is_empty() {
        let stations = excerpt(&manifest.stations.join(", "), QUOTED);
        writeln!(output, "stations   {stations}, where it stands beside another model")?;
    }
    if let Some(graph) = &artefact.model().graph {
        let shown = graph.node.iter().take(MAX_OPERATIONS).map(|node| excerpt(&node.op_type, 32));
        let mut operations: Vec<String> = shown.collect();
        if graph.node.len() > MAX_OPERATIONS {
            operations.push(format!("… {} more", graph.node.len() - MAX_OPERATIONS));
        }
        let operations = operations.join(" ");
        match parameters(graph) {
            Some(parameters) => {
                writeln!(output, "graph      {operations} ({parameters} numbers in its constants)")?
            }
            None => writeln!(output, "graph      {operations} (impossible shapes)")?,
        }
    }
    let hours = (window.samples - 1) as f64 * f64::from(window.sample_every_s) / 3600.0;
    writeln!(
        output,
        "window     {} samples, one every {} min ({hours:.0} h), on a grid of {} min, holes filled up to {} min",
        window.samples,
        window.sample_every_s / 60,
        window.grid_step_s / 60,
        window.max_hole_s / 60
    )?;
    match window.site {
        Some(site) => writeln!(output, "site       {}° N, {}° E", site.latitude_deg, site.longitude_deg)?,
        None => writeln!(output, "site       any: the station's own")?,
    }
    writeln!(output, "features   {:<42} {:>6} {:>12} {:>12}", "", "unit", "mean", "deviation")?;
    let statistics = manifest.normalisation.mean.iter().zip(&manifest.normalisation.standard_deviation);
    for (feature, (mean, deviation)) in window.features.iter().zip(statistics) {
        writeln!(
            output,
            "           {:<42} {:>6} {mean:>12.4} {deviation:>12.4}",
            feature.to_string(),
            feature.unit()
        )?;
    }
    writeln!(
        output,
        "target     {} {:?}, mean {} °C, deviation {} °C",
        manifest.target.quantity,
        manifest.target.kind,
        manifest.target.mean,
        manifest.target.standard_deviation
    )?;
    writeln!(output, "leads      {:?} h", manifest.lead_h)?;
    writeln!(output, "quantiles  {:?}", manifest.quantiles)?;
    if let Some(training) = &manifest.training {
        writeln!(
            output,
            "training   {} ({} rows, {} to {}), experiment {}, seed {}",
            foreign(&training.file),
            training.rows,
            training.first,
            training.last,
            foreign(&training.experiment),
            training.seed
        )?;
        if let Some(refit) = training.refit {
            let part = match refit {
                Refit::Validation => "the validation part too",
                Refit::Whole => "the whole record",
            };
            writeln!(output, "           refitted on {part} after it had been chosen")?;
        }
        writeln!(output, "           sha256 {}", foreign(&training.sha256))?;
    }
    for part in &manifest.scores {
        let before = if part.before_refit { ", before it was trained on this part too" } else { "" };
        writeln!(
            output,
            "scores     {} ({} forecasts{before}): MAE in °C",
            foreign(&part.part),
            part.forecasts
        )?;
        writeln!(
            output,
            "           {:>6} {:>8} {:>12} {:>10} {:>12} {:>8}",
            "lead h", "model", "persistence", "yesterday", "climatology", "skill"
        )?;
        for lead in &part.leads {
            writeln!(
                output,
                "           {:>6} {:>8.3} {:>12.3} {:>10} {:>12} {:>7.1}%",
                lead.lead_h,
                lead.mae,
                lead.persistence_mae,
                optional(lead.yesterday_mae),
                optional(lead.climatology_mae),
                100.0 * (1.0 - lead.mae / lead.persistence_mae)
            )?;
        }
    }
    Ok(())
}

fn optional(mae: Option<f64>) -> String {
    mae.map_or_else(|| "-".to_owned(), |mae| format!("{mae:.3}"))
}
