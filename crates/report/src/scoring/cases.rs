//! The cases of a part of a record: each forecast beside the observation.

use std::ops::Range;

use forecastd_core::Manifest;
use forecastd_core::Quantity;
use forecastd_core::Site;
use forecastd_core::Slot;
use forecastd_core::decode_outputs;
use forecastd_core::{Climatology, same_time_yesterday};
use forecastd_model::{Artefact, Engine, EngineError, Runtime};
use forecastd_record::{Part, Record};

use super::error::EvaluateError;

/// One forecast beside the observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The slot of the newest reading.
    pub origin: Slot,
    /// The lead in hours.
    pub lead_h: u32,
    /// The observed temperature, °C.
    pub observed_c: f64,
    /// The model's forecast, °C; the median where it gives quantiles.
    pub model_c: f64,
    /// The ends of the model's interval ([`Manifest::interval`]), °C.
    pub interval_c: Option<(f64, f64)>,
    /// The temperature at the issue time, °C.
    pub persistence_c: f64,
    /// The temperature at the same time of the last known day, °C.
    pub yesterday_c: Option<f64>,
    /// The usual temperature, °C.
    pub climatology_c: Option<f64>,
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
    let site = artefact.manifest.window.site_for(record.site());
    let site = site.ok_or_else(|| EvaluateError::NoSite { file: record.facts().file.clone() })?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = rows.len().div_ceil(threads).max(1);
    let cases = std::thread::scope(|scope| {
        let workers: Vec<_> = rows
            .chunks(share)
            .map(|rows| scope.spawn(|| cases_of_rows(artefact, record, site, rows, slots, runtime)))
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
            quality: match &record.facts().quality {
                quality if quality.is_empty() => String::new(),
                quality => format!("; {quality}"),
            },
        });
    }
    Ok(cases)
}

fn cases_of_rows(
    artefact: &Artefact,
    record: &Record,
    site: Site,
    rows: &[Slot],
    slots: &Range<Slot>,
    runtime: &Runtime,
) -> Result<Vec<Case>, EngineError> {
    let manifest = &artefact.manifest;
    let spec = &manifest.window;
    let mut engine = Engine::load(runtime, artefact)?;
    let climatology = manifest.training.as_ref().and_then(|training| training.climatology.as_ref());
    let usual = climatology.map(|climatology| (climatology, site));
    let outputs_per_window = manifest.outputs();
    let mut cases = Vec::new();
    let mut waiting: Vec<(Slot, Vec<f32>)> = Vec::new();
    let mut windows = Vec::new();
    let mut window = vec![0.0; spec.len()];
    for (index, &origin) in rows.iter().enumerate() {
        let observed: Vec<f32> =
            manifest.lead_h.iter().map(|&lead_h| record.target(origin, lead_h, slots)).collect();
        let wanted = observed.iter().any(|observed| !observed.is_nan());
        if wanted && spec.fill(record.history(), site, origin, &mut window).is_ok() {
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
            add_cases(&mut cases, manifest, record, usual, origin, &observed, outputs);
        }
        windows.clear();
    }
    Ok(cases)
}

fn add_cases(
    cases: &mut Vec<Case>,
    manifest: &Manifest,
    record: &Record,
    usual: Option<(&Climatology, Site)>,
    origin: Slot,
    observed: &[f32],
    outputs: &[f32],
) {
    let history = record.history();
    let spec = &manifest.window;
    let newest_c = history.value(origin, Quantity::AirTemperature);
    for (lead, &observed_c) in decode_outputs(manifest, newest_c, outputs).zip(observed) {
        if observed_c.is_nan() {
            continue;
        }
        let lead_h = lead.lead_h;
        let yesterday_c =
            history.value(same_time_yesterday(history, origin, lead_h), Quantity::AirTemperature);
        let (_, valid_at) = spec.valid_at(origin, lead_h);
        cases.push(Case {
            origin,
            lead_h,
            observed_c: f64::from(observed_c),
            model_c: f64::from(lead.temperature_c),
            interval_c: lead.interval_c.map(|(low_c, high_c)| (f64::from(low_c), f64::from(high_c))),
            persistence_c: f64::from(newest_c),
            yesterday_c: (!yesterday_c.is_nan()).then(|| f64::from(yesterday_c)),
            climatology_c: usual.map(|(climatology, site)| climatology.temperature_c(site, valid_at)),
        });
    }
}
