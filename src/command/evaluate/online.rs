//! A record walked as the daemon walks a station's readings: every forecast is what its experts say together at the time, and
//! experts learn from every hour that has come.

mod printed;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use forecastd_core::{
    Completed, Coverage, DecodedLead, ErrorSum, Forecast, Grid, Manifest, Model, ModelWindow, Next, Oddity,
    Place, Quantity, References, Setup, Site, Slot, Standing, Station, StationName, decode_outputs,
};
use forecastd_model::{Artefact, Engine, Runtime};
use forecastd_record::{CsvError, CsvReader, Record, RecordSource};
use forecastd_report::EvaluateError;
use jiff::Timestamp;

use crate::operations::oddity::{explain, numbers};

/// Hours over which coverage rolls: a month shows how it swings, a year whether it holds.
const MONTH_H: i64 = 30 * 24;
/// The longer of them.
const YEAR_H: i64 = 365 * 24;

/// How the experts of a station did on a record.
#[derive(Debug, Clone, Default)]
pub struct Online {
    /// The models' names, the main one's first.
    pub models: Vec<String>,
    /// Slots of the grid in an hour.
    slots_per_hour: i64,
    /// The record's file.
    pub file: String,
    /// What a reader must know of the record: how it is related to what the models were trained on, and its quality.
    pub notes: Vec<String>,
    /// Forecasts that were scored, one an hour, at the longest lead.
    pub forecasts: u64,
    /// The errors at each lead, rising.
    pub leads: Vec<OnlineLead>,
    /// How the experts stand at the end.
    pub standings: Vec<Standing>,
}

/// Errors at one lead.
#[derive(Debug, Clone)]
pub struct OnlineLead {
    /// The lead in hours.
    pub lead_h: u32,
    /// Of the reference experts, in the order of [`forecastd_core::REFERENCES`].
    pub references: [ErrorSum; 3],
    /// Of each model, as it stands in its file: the main one, then the specialists.
    pub models: Vec<ErrorSum>,
    /// Of what was forecast.
    pub combination: ErrorSum,
    /// Of the interval that was forecast.
    pub coverage: Coverage,
    /// Of the main model's own interval.
    pub model_coverage: Coverage,
    /// Whether each observation lay within the interval that was forecast, by origin.
    hits: Vec<(Slot, bool)>,
}

impl OnlineLead {
    fn new(lead_h: u32, models: usize) -> OnlineLead {
        OnlineLead {
            lead_h,
            references: Default::default(),
            models: vec![ErrorSum::default(); models],
            combination: ErrorSum::default(),
            coverage: Coverage::default(),
            model_coverage: Coverage::default(),
            hits: Vec::new(),
        }
    }

    /// The lowest and the highest coverage of the interval over any `window_h` hours of which most were scored; `None` without such.
    pub fn rolling_coverage(&self, window_h: i64, slots_per_hour: i64) -> Option<(f64, f64)> {
        let window = window_h * slots_per_hour;
        let (mut first, mut held) = (0, 0);
        let mut ends: Option<(f64, f64)> = None;
        for (last, &(slot, is_hit)) in self.hits.iter().enumerate() {
            held += usize::from(is_hit);
            while self.hits[first].0 <= slot - window {
                held -= usize::from(self.hits[first].1);
                first += 1;
            }
            let count = last + 1 - first;
            if count as i64 > window_h * 3 / 4 {
                let share = held as f64 / count as f64;
                let (low, high) = ends.unwrap_or((share, share));
                ends = Some((low.min(share), high.max(share)));
            }
        }
        ends
    }

    /// How much worse the combination is than the best of those it is made of, °C.
    pub fn regret_c(&self) -> f64 {
        let best =
            self.references.iter().chain(&self.models).map(ErrorSum::mae).filter(|mae| mae.is_finite());
        self.combination.mae() - best.fold(f64::INFINITY, f64::min)
    }
}

/// The forecast of an hour, until it is scored.
struct Issued {
    origin: Slot,
    newest_c: f32,
    forecast: Forecast,
    /// What each model gave.
    outputs: Vec<Option<Vec<f32>>>,
}

/// Walks the readings of a file, which `record` was read from, with models on one grid, the main one first, and scores the
/// forecasts whose origins lie within `scored`.
///
/// The walk begins with as much history before these as a live station keeps: experts that had learned what a model says of its own training
/// would trust it more than it deserves.
///
/// # Errors
/// [`EvaluateError`] when the file cannot be read or the network does not run.
pub(super) fn walk(
    artefacts: &[Artefact],
    source: &RecordSource,
    record: &Record,
    site: Site,
    scored: &[Range<Slot>],
    runtime: &Runtime,
) -> Result<Online, EvaluateError> {
    let Some((main, specialists)) = artefacts.split_first() else { return Ok(Online::default()) };
    let manifests: Vec<&Manifest> = artefacts.iter().map(|artefact| &artefact.manifest).collect();
    let models: Vec<Arc<Model>> = artefacts.iter().map(|artefact| Arc::new(artefact.description())).collect();
    let mut engines = artefacts
        .iter()
        .map(|artefact| Engine::load(runtime, artefact))
        .collect::<Result<Vec<Engine>, _>>()?;
    let mut odd = Odd::default();
    let name = StationName::new("record").expect("a good name");
    let setup =
        Setup { place: Some(Place::given(site)), runs_anywhere: true, has_experts: true, threshold_c: None };
    let mut beside: Vec<Arc<Model>> = models[artefacts.len() - specialists.len()..].to_vec();
    beside.sort_by(|left, right| left.id.cmp(&right.id));
    let mut station =
        Station::new(name, Arc::clone(&models[0])).set_up(setup).with_specialists(beside.into_boxed_slice());
    let grid = record.history().grid();
    let mut issued: Vec<Issued> = Vec::new();
    let readings = readings(source)?;
    let phases = Phases::new(grid, readings.iter().map(|(time, _)| *time));
    let history = |manifest: &&Manifest| {
        manifest.window.history_slots(manifest.lead_h.last().copied().unwrap_or(0)) as Slot
    };
    let history = manifests.iter().map(history).max().unwrap_or(0);
    let begin = scored.iter().map(|slots| slots.start).min().unwrap_or(Slot::MIN).saturating_sub(history);
    for (time, values) in readings.into_iter().filter(|(time, _)| grid.slot(*time) >= begin) {
        let Ok(observed) = station.observe(time, values, time, Duration::ZERO) else { continue };
        odd.add(time, station.take_oddities());
        let mut outputs: Vec<Option<Vec<f32>>> = vec![None; models.len()];
        let forecast = match observed.next {
            Next::Infer(number, windows) => {
                for ModelWindow { model, window } in &windows {
                    let Some(index) = models.iter().position(|own| own.id == model.id) else { continue };
                    let own = engines[index].run(window, 1)?;
                    station.answer(number, &model.id, Some(own.clone()));
                    outputs[index] = Some(own);
                }
                match station.next_completed() {
                    Some(Completed { forecast, .. }) => forecast,
                    None => continue,
                }
            }
            Next::Reference(forecast) => forecast,
            Next::Nothing => continue,
        };
        let origin = grid.slot(forecast.origin);
        if phases.is_scored(origin) {
            // A later reading of the same slot has made the forecast anew.
            while issued.last().is_some_and(|before| before.origin == origin) {
                issued.pop();
            }
            issued.push(Issued { origin, newest_c: forecast.temperature_c, forecast, outputs });
        }
    }
    let new = |&lead_h: &u32| OnlineLead::new(lead_h, models.len());
    let mut leads: Vec<OnlineLead> = main.manifest.lead_h.iter().map(new).collect();
    for one in issued.iter().filter(|one| scored.iter().any(|slots| slots.contains(&one.origin))) {
        score(one, &manifests, record, &mut leads);
    }
    Ok(Online {
        models: manifests.iter().map(|manifest| manifest.name.clone()).collect(),
        slots_per_hour: grid.slots_per_hour(),
        file: record.facts().file.clone(),
        notes: odd.notes(),
        forecasts: leads.last().map_or(0, |lead| lead.combination.count()),
        leads,
        standings: station.expert_standings(),
    })
}

/// What was odd about the station on its walk, each thing with when it was so first, and how often it began.
#[derive(Default)]
struct Odd(Vec<(Oddity, Timestamp, u32)>);

impl Odd {
    fn add(&mut self, time: Timestamp, begun: Vec<Oddity>) {
        for oddity in begun {
            match self.0.iter_mut().find(|(known, ..)| known.subject() == oddity.subject()) {
                Some((.., times)) => *times += 1,
                None => self.0.push((oddity, time, 1)),
            }
        }
    }

    /// What the daemon would have said, by the words of its status and its log.
    fn notes(&self) -> Vec<String> {
        let note = |(oddity, first, times): &(Oddity, Timestamp, u32)| {
            let often = if *times == 1 { String::new() } else { format!(", {times} times") };
            let numbers = numbers(oddity).map(|numbers| format!(" {numbers}")).unwrap_or_default();
            format!("odd since {first}{often}: {}:{numbers} {}", oddity.name(), explain(oddity))
        };
        self.0.iter().map(note).collect()
    }
}

/// Which slot of every hour is scored: that of the whole hour, or the one that most readings are of where not half as many
/// are of that. A clock that was set anew, or a station that came back at other minutes, changes it: on a day without
/// a reading of that slot it is found anew, by the readings of the day.
struct Phases {
    grid: Grid,
    of_record: Slot,
    /// By day since the epoch, where it is another one.
    of_days: BTreeMap<i64, Slot>,
}

impl Phases {
    fn new(grid: Grid, times: impl Iterator<Item = Timestamp>) -> Phases {
        let mut counts = PhaseCounts::new(grid);
        let mut by_day: BTreeMap<i64, PhaseCounts> = BTreeMap::new();
        for time in times {
            let slot = grid.slot(time);
            counts.add(slot);
            by_day.entry(day_of(grid, slot)).or_insert_with(|| PhaseCounts::new(grid)).add(slot);
        }
        let of_record = counts.phase();
        let others = by_day.into_iter().filter(|(_, counts)| counts.of(of_record) == 0);
        Phases { grid, of_record, of_days: others.map(|(day, counts)| (day, counts.phase())).collect() }
    }

    fn is_scored(&self, origin: Slot) -> bool {
        let phase = self.of_days.get(&day_of(self.grid, origin)).unwrap_or(&self.of_record);
        origin.rem_euclid(self.grid.slots_per_hour()) == *phase
    }
}

fn day_of(grid: Grid, slot: Slot) -> i64 {
    slot.div_euclid(24 * grid.slots_per_hour())
}

/// How many readings are of each slot of an hour.
struct PhaseCounts(Vec<usize>);

impl PhaseCounts {
    fn new(grid: Grid) -> PhaseCounts {
        PhaseCounts(vec![0; usize::try_from(grid.slots_per_hour()).unwrap_or(1)])
    }

    fn add(&mut self, slot: Slot) {
        let phase = slot.rem_euclid(self.0.len() as i64);
        if let Some(count) = usize::try_from(phase).ok().and_then(|phase| self.0.get_mut(phase)) {
            *count += 1;
        }
    }

    fn of(&self, phase: Slot) -> usize {
        usize::try_from(phase).ok().and_then(|phase| self.0.get(phase)).copied().unwrap_or(0)
    }

    fn phase(&self) -> Slot {
        let most =
            (0..).zip(&self.0).max_by_key(|&(phase, count)| (*count, std::cmp::Reverse::<Slot>(phase)));
        match (self.0.first(), most) {
            (Some(&of_hour), Some((phase, &count))) if 2 * of_hour < count => phase,
            _ => 0,
        }
    }
}

/// Every reading that can be read, by time.
fn readings(source: &RecordSource) -> Result<Vec<(Timestamp, forecastd_core::Values)>, EvaluateError> {
    let mut readings = Vec::new();
    for row in CsvReader::open_source(source, None)? {
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

fn score(one: &Issued, manifests: &[&Manifest], record: &Record, leads: &mut [OnlineLead]) {
    let history = record.history();
    let grid = history.grid();
    let Some(main) = manifests.first() else { return };
    let max_hole = main.window.max_hole_slots().min(grid.slots_per_hour());
    let before = |time| {
        let value = history.filled(grid.slot(time), Quantity::AirTemperature, one.origin, max_hole);
        (!value.is_nan()).then_some(value)
    };
    let references = References::new(&main.lead_h, one.forecast.origin, one.newest_c, before);
    let advices = references.advices();
    let decoded: Vec<Vec<DecodedLead>> = manifests
        .iter()
        .zip(&one.outputs)
        .map(|(manifest, outputs)| {
            let decode = |outputs: &Vec<f32>| decode_outputs(manifest, one.newest_c, outputs).collect();
            outputs.as_ref().map_or_else(Vec::new, decode)
        })
        .collect();
    for (index, lead) in leads.iter_mut().enumerate() {
        let valid = one.origin + grid.hours_to_slots(lead.lead_h);
        let observed = history.value(valid, Quantity::AirTemperature);
        let Some(forecast) = one.forecast.at(lead.lead_h) else { continue };
        let said = advices.each_ref().map(|advice| advice.leads.get(index).copied().flatten());
        // Of each model, what it says of this lead; one that never does is not waited for.
        let of_models: Vec<Option<&DecodedLead>> =
            decoded.iter().map(|own| own.iter().find(|own| own.lead_h == lead.lead_h)).collect();
        let is_silent = manifests
            .iter()
            .zip(&of_models)
            .any(|(manifest, own)| own.is_none() && manifest.lead_h.contains(&lead.lead_h));
        // All are verified on the same cases.
        if observed.is_nan() || said.iter().any(Option::is_none) || is_silent {
            continue;
        }
        let observed = f64::from(observed);
        for (sum, said) in lead.references.iter_mut().zip(said.into_iter().flatten()) {
            sum.add(f64::from(said.temperature_c), observed);
        }
        for (sum, own) in lead.models.iter_mut().zip(&of_models) {
            if let Some(own) = own {
                sum.add(f64::from(own.temperature_c), observed);
            }
        }
        lead.combination.add(f64::from(forecast.temperature_c), observed);
        let own_interval_c = of_models.first().copied().flatten().and_then(|own| own.interval_c);
        for (coverage, interval_c) in
            [(&mut lead.coverage, forecast.interval_c), (&mut lead.model_coverage, own_interval_c)]
        {
            if let Some((low_c, high_c)) = interval_c {
                coverage.add(f64::from(low_c), f64::from(high_c), observed);
            }
        }
        if let Some((low_c, high_c)) = forecast.interval_c {
            let is_hit = (f64::from(low_c)..=f64::from(high_c)).contains(&observed);
            lead.hits.push((one.origin, is_hit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_no_whole_hours_is_scored_at_its_own_minutes() {
        let grid = Grid::new(600).unwrap();
        let phase_of = |seconds: &[i64]| {
            Phases::new(grid, seconds.iter().map(|&second| Timestamp::from_second(second).unwrap())).of_record
        };
        assert_eq!(phase_of(&[0, 600, 1200, 3600]), 0);
        // A cadence of half an hour, of whose whole hours one was missed.
        assert_eq!(phase_of(&[0, 1800, 3600, 5400, 9000]), 0);
        // Ten minutes before each hour, as the hourly excerpt of the Jena record has it, and one that is late.
        assert_eq!(phase_of(&[3000, 6600, 10_200, 14_400 - 1200]), 5);
        assert_eq!(phase_of(&[3000, 6600, 7200, 10_200]), 5, "one stray reading is of a whole hour");
        assert_eq!(phase_of(&[]), 0);
    }

    /// Three of five in January, four of five afterwards, eleven months long.
    #[test]
    fn a_month_shows_what_a_year_evens_out() {
        let mut lead = OnlineLead::new(1, 1);
        lead.hits =
            (0..YEAR_H).map(|hour| (6 * hour, hour % 5 >= if hour < MONTH_H { 2 } else { 1 })).collect();
        let (low, high) = lead.rolling_coverage(MONTH_H, 6).unwrap();
        assert!((low - 0.6).abs() < 0.01 && (high - 0.8).abs() < 1e-9, "{low} to {high}");
        let (low, high) = lead.rolling_coverage(YEAR_H, 6).unwrap();
        let whole = (0.6 * 30.0 + 0.8 * 335.0) / 365.0;
        assert!(low > 0.77 && (high - whole).abs() < 1e-3, "{low} to {high}, not {whole}");
        assert_eq!(OnlineLead::new(1, 1).rolling_coverage(YEAR_H, 6), None);
    }

    /// As the hourly excerpt of the Jena record does over the years: of those with the other minutes none was scored.
    #[test]
    fn a_record_that_goes_on_at_other_minutes_is_scored_at_those() {
        let grid = Grid::new(600).unwrap();
        let (half_past, ten_to) =
            ((0..72).map(|hour| hour * 3600 + 1800), (72..120).map(|hour| hour * 3600 + 3000));
        let seconds: Vec<i64> = half_past.chain(ten_to).collect();
        let phases = Phases::new(grid, seconds.iter().map(|&second| Timestamp::from_second(second).unwrap()));
        let scored = seconds.iter().filter(|&&second| phases.is_scored(second / 600)).count();
        assert_eq!(scored, seconds.len());
        assert!(!phases.is_scored(73 * 6 + 3), "one of an hour");
    }
}
