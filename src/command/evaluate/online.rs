//! A record walked as the daemon walks a station's readings: every forecast is what its experts say together at the time, and
//! experts learn from every hour that has come.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use forecastd_core::{
    Completed, Coverage, ErrorSum, Forecast, ModelWindow, Next, Place, Quantity, REFERENCES, References,
    Setup, Site, Slot, Standing, Station, StationName, decode_outputs,
};
use forecastd_model::{Artefact, Engine, Runtime};
use forecastd_record::{CsvError, CsvReader, Record, RecordSource};
use forecastd_report::EvaluateError;

/// Leads that are printed, hours.
const SHOWN: [u32; 7] = [1, 3, 6, 9, 12, 18, 24];

/// How the experts of a station did on a record.
#[derive(Debug, Clone)]
pub struct Online {
    /// The model's name.
    pub model: String,
    /// The record's file.
    pub file: String,
    /// Forecasts of whole hours that were scored, at the longest lead.
    pub forecasts: u64,
    /// By lead.
    pub leads: Vec<OnlineLead>,
    /// How the experts stand at the end.
    pub standings: Vec<Standing>,
}

/// Errors at one lead.
#[derive(Debug, Clone)]
pub struct OnlineLead {
    /// Hours.
    pub lead_h: u32,
    /// Of the reference experts, in the order of [`REFERENCES`].
    pub references: [ErrorSum; 3],
    /// Of the model, as it stands in its file.
    pub model: ErrorSum,
    /// Of what was forecast.
    pub combination: ErrorSum,
    /// Of the interval that was forecast.
    pub coverage: Coverage,
    /// Of the model's own interval.
    pub model_coverage: Coverage,
}

impl OnlineLead {
    fn new(lead_h: u32) -> OnlineLead {
        OnlineLead {
            lead_h,
            references: Default::default(),
            model: ErrorSum::default(),
            combination: ErrorSum::default(),
            coverage: Coverage::default(),
            model_coverage: Coverage::default(),
        }
    }

    /// How much worse the combination is than the best of those it is made of, °C.
    pub fn regret_c(&self) -> f64 {
        let best =
            self.references.iter().chain([&self.model]).map(ErrorSum::mae).filter(|mae| mae.is_finite());
        self.combination.mae() - best.fold(f64::INFINITY, f64::min)
    }
}

/// A forecast of a whole hour, until it is scored.
struct Issued {
    origin: Slot,
    newest_c: f32,
    forecast: Forecast,
    /// What the model gave.
    outputs: Option<Vec<f32>>,
}

/// Walks the readings of a file, which `record` was read from, and scores the forecasts whose origins lie within `judged`.
///
/// # Errors
/// [`EvaluateError`] when the file cannot be read or the network does not run.
pub(super) fn walk(
    artefact: &Artefact,
    source: &RecordSource,
    record: &Record,
    site: Site,
    judged: &[Range<Slot>],
    runtime: &Runtime,
) -> Result<Online, EvaluateError> {
    let manifest = &artefact.manifest;
    let mut engine = Engine::load(runtime, artefact)?;
    let name = StationName::new("record").expect("a good name");
    let setup =
        Setup { place: Some(Place::given(site)), runs_anywhere: true, has_experts: true, threshold_c: None };
    let mut station = Station::new(name, Arc::new(artefact.description())).set_up(setup);
    let grid = record.history().grid();
    let mut issued: Vec<Issued> = Vec::new();
    for (time, values) in readings(source)? {
        let Ok(observed) = station.observe(time, values, time, Duration::ZERO) else { continue };
        let (forecast, outputs) = match observed.next {
            Next::Infer(number, windows) => {
                // There is one model.
                let Some(ModelWindow { model, window }) = windows.first() else { continue };
                let outputs = engine.run(window, 1)?;
                station.answer(number, &model.id, Some(outputs.clone()));
                match station.next_completed() {
                    Some(Completed { forecast, .. }) => (forecast, Some(outputs)),
                    None => continue,
                }
            }
            Next::Reference(forecast) => (forecast, None),
            Next::Nothing => continue,
        };
        if forecast.origin.as_second() % 3600 == 0 {
            let origin = grid.slot(forecast.origin);
            // A later reading of the same slot has made the forecast anew.
            while issued.last().is_some_and(|before| before.origin == origin) {
                issued.pop();
            }
            issued.push(Issued { origin, newest_c: forecast.temperature_c, forecast, outputs });
        }
    }
    let mut leads: Vec<OnlineLead> = manifest.lead_h.iter().map(|&lead_h| OnlineLead::new(lead_h)).collect();
    for one in issued.iter().filter(|one| judged.iter().any(|slots| slots.contains(&one.origin))) {
        score(one, manifest, record, &mut leads);
    }
    Ok(Online {
        model: manifest.name.clone(),
        file: record.facts().file.clone(),
        forecasts: leads.last().map_or(0, |lead| lead.combination.count()),
        leads,
        standings: station.expert_standings(),
    })
}

/// Every reading that can be read, by time.
fn readings(source: &RecordSource) -> Result<Vec<(jiff::Timestamp, forecastd_core::Values)>, EvaluateError> {
    let mut readings = Vec::new();
    for row in CsvReader::open_all(&source.files()?, source.mapping.as_ref())? {
        match row {
            Ok(reading) => readings.push(reading),
            Err(error @ CsvError::File { .. }) => return Err(error.into()),
            // Counted when the record was read.
            Err(_) => {}
        }
    }
    readings.sort_by_key(|(time, _)| *time);
    Ok(readings)
}

fn score(one: &Issued, manifest: &forecastd_core::Manifest, record: &Record, leads: &mut [OnlineLead]) {
    let history = record.history();
    let grid = history.grid();
    let max_hole = manifest.window.max_hole_slots().min(grid.slots_per_hour());
    let before = |time| {
        let value = history.filled(grid.slot(time), Quantity::AirTemperature, one.origin, max_hole);
        (!value.is_nan()).then_some(value)
    };
    let references = References::new(&manifest.lead_h, one.forecast.origin, one.newest_c, before);
    let advices = references.advices();
    let decoded: Vec<_> = one
        .outputs
        .iter()
        .flat_map(|outputs| decode_outputs(manifest, one.newest_c, outputs).collect::<Vec<_>>())
        .collect();
    for (index, lead) in leads.iter_mut().enumerate() {
        let valid = one.origin + grid.hours_to_slots(lead.lead_h);
        let observed = history.value(valid, Quantity::AirTemperature);
        let (Some(forecast), Some(model)) = (one.forecast.at(lead.lead_h), decoded.get(index)) else {
            continue;
        };
        let said = advices.each_ref().map(|advice| advice.leads.get(index).copied().flatten());
        // All are judged by the same cases.
        if observed.is_nan() || said.iter().any(Option::is_none) {
            continue;
        }
        let observed = f64::from(observed);
        for (sum, said) in lead.references.iter_mut().zip(said.into_iter().flatten()) {
            sum.add(f64::from(said.temperature_c), observed);
        }
        lead.model.add(f64::from(model.temperature_c), observed);
        lead.combination.add(f64::from(forecast.temperature_c), observed);
        for (coverage, interval_c) in
            [(&mut lead.coverage, forecast.interval_c), (&mut lead.model_coverage, model.interval_c)]
        {
            if let Some((low_c, high_c)) = interval_c {
                coverage.add(f64::from(low_c), f64::from(high_c), observed);
            }
        }
    }
}

impl fmt::Display for Online {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<&OnlineLead> = self.leads.iter().filter(|lead| SHOWN.contains(&lead.lead_h)).collect();
        writeln!(
            formatter,
            "{} on {}, walked as a live station: {} forecasts of whole hours, mean absolute errors in °C",
            self.model, self.file, self.forecasts
        )?;
        write!(formatter, "{:<24}", "")?;
        shown.iter().try_for_each(|lead| write!(formatter, "{:>7} h", lead.lead_h))?;
        writeln!(formatter, "{:>9}", "mean")?;
        let row = |formatter: &mut fmt::Formatter<'_>, name: &str, of: &dyn Fn(&OnlineLead) -> f64| {
            write!(formatter, "{name:<24}")?;
            shown.iter().try_for_each(|lead| write!(formatter, "{:>9.3}", of(lead)))?;
            let mean = self.leads.iter().map(of).sum::<f64>() / self.leads.len().max(1) as f64;
            writeln!(formatter, "{mean:>9.3}")
        };
        for (index, name) in REFERENCES.into_iter().enumerate() {
            row(formatter, name, &|lead| lead.references[index].mae())?;
        }
        row(formatter, &format!("{} alone", self.model), &|lead| lead.model.mae())?;
        row(formatter, "combination", &|lead| lead.combination.mae())?;
        row(formatter, "regret", &OnlineLead::regret_c)?;
        let percent = |coverage: &Coverage| coverage.share().map_or(f64::NAN, |share| 100.0 * share);
        row(formatter, "interval holds, %", &|lead| percent(&lead.coverage))?;
        row(formatter, "the model's alone, %", &|lead| percent(&lead.model_coverage))?;
        writeln!(formatter, "weights at the end")?;
        for standing in &self.standings {
            let weight = |lead: &OnlineLead| {
                let own = standing.leads.iter().find(|own| own.lead_h == lead.lead_h);
                own.map_or(f64::NAN, |own| f64::from(own.weight))
            };
            row(formatter, &format!("  {}", standing.name), &weight)?;
        }
        Ok(())
    }
}
