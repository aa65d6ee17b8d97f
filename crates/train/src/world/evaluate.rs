//! How good the world's model is at single stations: by the file that is written, as a daemon runs it.

use rayon::prelude::*;
use serde::Serialize;

use forecastd_core::{History, Quantity, References, Site, Slot, probability_below};
use forecastd_model::{Artefact, Engine, EngineError, Runtime};

use super::example::{Cutter, Observed, Origin, ROWS, temperature_near};
use super::learn::spaced;
use super::mask::Mask;
use super::network::{MEDIAN, QUANTILES};
use super::pool::PoolStation;
use super::split::{Climate, Role};
use super::window::{self, LEADS};

/// Windows of each station.
const EVALUATED_BY: usize = 1200;
/// Windows of each station where something is hidden.
const EVALUATED_BY_MASKED: usize = 300;
/// Positions of the ends of the 80 % interval among the quantiles.
const INTERVAL: (usize, usize) = (1, 5);
/// Below this it is frost, °C.
const FROST_C: f32 = 0.0;

/// Under which condition a model is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// What it is called in tables.
    pub(crate) name: String,
    /// What is hidden.
    pub(crate) mask: Mask,
}

/// The conditions: nothing hidden; sensors that are not there; hours of history.
pub(crate) fn conditions() -> Vec<Condition> {
    use Quantity::{AirPressure, DewPointTemperature, WindFromDirection, WindSpeed};
    let without =
        |name: &str, lacking: &[Quantity]| Condition { name: name.to_owned(), mask: Mask::without(lacking) };
    let mut all = vec![
        without("all that the station measures", &[]),
        without("without wind", &[WindSpeed, WindFromDirection]),
        without("without pressure", &[AirPressure]),
        without("without humidity", &[DewPointTemperature]),
        without("temperature and humidity", &[WindSpeed, WindFromDirection, AirPressure]),
        without("temperature alone", &[WindSpeed, WindFromDirection, AirPressure, DewPointTemperature]),
    ];
    all.extend(
        [0, 3, 12, 24, 48]
            .map(|hours| Condition { name: format!("{hours} h of history"), mask: Mask::of_history(hours) }),
    );
    all
}

/// Sums over forecasts of one row: a lead, or an extreme.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RowSums {
    /// The number of forecasts that the sums are over.
    pub(crate) count: u64,
    /// Absolute errors of the median, °C.
    pub(crate) error: f64,
    /// Squared errors of the median, K².
    pub(crate) squared: f64,
    /// Pinball losses over all quantiles, °C.
    pub(crate) pinball: f64,
    /// Outcomes within the interval.
    pub(crate) covered: u64,
    /// Absolute errors of persistence, °C.
    pub(crate) persistence: f64,
    /// Forecasts where yesterday was measured too.
    pub(crate) yesterday_count: u64,
    /// Absolute errors of the same time yesterday, °C.
    pub(crate) yesterday: f64,
    /// Forecasts where the mixture of now and yesterday says something.
    pub(crate) mixture_count: u64,
    /// Absolute errors of that, °C.
    pub(crate) mixture: f64,
}

/// Sums over the forecasts of one station under one condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StationScores {
    /// The station's position in the pool.
    pub(crate) station: usize,
    /// The climate of the station, by which means are shown.
    pub(crate) climate: Climate,
    /// By row: leads, lowest, highest.
    pub(crate) rows: Vec<RowSums>,
    /// Brier scores: days, the model's sum, the sum of the station's own frequency of the month.
    pub(crate) frost: (u64, f64, f64),
    /// Pinball losses of lowest and highest by the station's own quantiles of the month, °C.
    pub(crate) climatology: [f64; 2],
}

/// Means over stations, each with the same weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Means {
    /// The number of stations that the means are over.
    pub(crate) stations: usize,
    /// Mean absolute error over all leads, °C.
    pub(crate) mae_c: f64,
    /// At 1, 6, 12 and 24 h, °C.
    pub(crate) at_c: [f64; 4],
    /// Of persistence over all leads and at 24 h, °C.
    pub(crate) persistence_c: [f64; 2],
    /// Of the same time yesterday over all leads and at 24 h, °C.
    pub(crate) yesterday_c: [f64; 2],
    /// Of the mixture of now and yesterday over all leads and at 24 h, °C.
    pub(crate) mixture_c: [f64; 2],
    /// Share of outcomes within the interval: mean, lowest and highest station.
    pub(crate) coverage: [f64; 3],
}

impl StationScores {
    /// The mean over leads of a mean over forecasts.
    fn over_leads(&self, of: impl Fn(&RowSums) -> (f64, u64)) -> f64 {
        let means = self.rows[..LEADS].iter().map(of).filter(|(_, count)| *count > 0);
        let (sum, count) =
            means.fold((0.0, 0.0), |(sum, leads), (own, count)| (sum + own / count as f64, leads + 1.0));
        sum / count
    }

    /// Mean absolute error over all leads, °C.
    pub(crate) fn mae_c(&self) -> f64 {
        self.over_leads(|row| (row.error, row.count))
    }

    /// Share of outcomes within the interval, over all leads.
    pub(crate) fn coverage(&self) -> f64 {
        self.over_leads(|row| (row.covered as f64, row.count))
    }

    /// Mean absolute error at a lead, °C.
    pub(crate) fn mae_at_c(&self, lead_h: usize) -> f64 {
        let row = &self.rows[lead_h - 1];
        row.error / row.count as f64
    }

    /// Mean absolute error of persistence over all leads and at 24 h, °C.
    pub(crate) fn persistence_c(&self) -> [f64; 2] {
        let last = &self.rows[LEADS - 1];
        [self.over_leads(|row| (row.persistence, row.count)), last.persistence / last.count as f64]
    }

    fn yesterday_c(&self) -> [f64; 2] {
        let last = &self.rows[LEADS - 1];
        [
            self.over_leads(|row| (row.yesterday, row.yesterday_count)),
            last.yesterday / last.yesterday_count as f64,
        ]
    }

    fn mixture_c(&self) -> [f64; 2] {
        let last = &self.rows[LEADS - 1];
        [self.over_leads(|row| (row.mixture, row.mixture_count)), last.mixture / last.mixture_count as f64]
    }
}

/// Means over stations.
pub(crate) fn means<'a>(scores: impl Iterator<Item = &'a StationScores> + Clone) -> Means {
    let mean = |of: &dyn Fn(&StationScores) -> f64| {
        let values = scores.clone().map(of).filter(|value| value.is_finite());
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        sum / count
    };
    let coverage = || scores.clone().map(StationScores::coverage).filter(|share| share.is_finite());
    Means {
        stations: scores.clone().count(),
        mae_c: mean(&StationScores::mae_c),
        at_c: [1, 6, 12, 24].map(|lead_h| mean(&|scores: &StationScores| scores.mae_at_c(lead_h))),
        persistence_c: [0, 1].map(|which| mean(&|scores: &StationScores| scores.persistence_c()[which])),
        yesterday_c: [0, 1].map(|which| mean(&|scores: &StationScores| scores.yesterday_c()[which])),
        mixture_c: [0, 1].map(|which| mean(&|scores: &StationScores| scores.mixture_c()[which])),
        coverage: [
            mean(&StationScores::coverage),
            coverage().fold(f64::INFINITY, f64::min),
            coverage().fold(f64::NEG_INFINITY, f64::max),
        ],
    }
}

/// Evaluates a model at the stations of a role, under every condition: `[condition][station]`.
///
/// # Errors
/// [`EngineError`] when the network does not run.
pub(crate) fn evaluate(
    artefact: &Artefact,
    cutter: &Cutter,
    roles: &[Role],
    role: Role,
    runtime: &Runtime,
) -> Result<Vec<(Condition, Vec<StationScores>)>, EngineError> {
    let stations: Vec<usize> = (0..roles.len()).filter(|&index| roles[index] == role).collect();
    let of_condition = |condition: Condition| {
        let is_whole = condition.mask == Mask::default();
        let most = if is_whole { EVALUATED_BY } else { EVALUATED_BY_MASKED };
        let scores = stations.par_iter().map(|&index| {
            let mut engine = Engine::load(runtime, artefact)?;
            station_scores(cutter, index, &condition.mask, most, &mut engine)
        });
        let scores = scores.collect::<Result<Vec<StationScores>, EngineError>>()?;
        Ok((condition, scores))
    };
    conditions().into_iter().map(of_condition).collect()
}

/// What is known of a day by its month: how often there was frost, and the usual extremes.
struct Months {
    frost: Vec<(f64, f64)>,
    extremes: Vec<[Vec<f32>; 2]>,
}

/// The month of the year that a window ends in, as a twelfth of it.
fn month(history: &History, slot: Slot) -> usize {
    const YEAR_H: i64 = 8766;
    let hour = slot.div_euclid(history.grid().slots_per_hour()).rem_euclid(YEAR_H);
    ((hour as f64 / YEAR_H as f64 * 12.0) as usize).min(11)
}

/// A window with its forecast: where it ends, the newest temperature, what was forecast and what was observed.
struct Case {
    origin: Origin,
    newest_c: f32,
    outputs: Vec<f32>,
    observed: Observed,
}

fn station_scores(
    cutter: &Cutter,
    index: usize,
    mask: &Mask,
    most: usize,
    engine: &mut Engine,
) -> Result<StationScores, EngineError> {
    let station: &PoolStation = &cutter.pool.stations[index];
    let (mut window, mut row) = (vec![0.0; window::NUMBERS], vec![0.0; window::count()]);
    let mut cases: Vec<Case> = Vec::new();
    for origin in spaced(index, station, most) {
        let site: Site = station.site;
        let Some(observed) = cutter.cut(origin, mask, site, &mut window, &mut row) else { continue };
        let newest_c = station.segments[origin.segment].history.value(origin.slot, Quantity::AirTemperature);
        let outputs = engine.run(&window, 1)?;
        cases.push(Case { origin, newest_c, outputs, observed });
    }
    let months = months(station, &cases);
    let mut scores = StationScores {
        station: index,
        climate: Climate::from_station(station),
        rows: vec![RowSums::default(); ROWS],
        frost: (0, 0.0, 0.0),
        climatology: [0.0; 2],
    };
    let lead_h: Vec<u32> = (1..=LEADS as u32).collect();
    for one in &cases {
        let history = &station.segments[one.origin.segment].history;
        let grid = history.grid();
        let at = |time| Some(temperature_near(history, grid.slot(time)));
        let value = |time| at(time).filter(|value| !value.is_nan());
        let references = References::new(&lead_h, grid.time(one.origin.slot), one.newest_c, value);
        let [_, _, mixture] = references.advices();
        for (row, &observed) in one.observed.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let quantiles = &one.outputs[row * QUANTILES.len()..][..QUANTILES.len()];
            let sums = &mut scores.rows[row];
            sums.count += 1;
            sums.error += f64::from((observed - quantiles[MEDIAN]).abs());
            sums.squared += f64::from(observed - quantiles[MEDIAN]).powi(2);
            sums.pinball += pinball(quantiles, observed);
            sums.covered += u64::from((quantiles[INTERVAL.0]..=quantiles[INTERVAL.1]).contains(&observed));
            sums.persistence += f64::from(observed.abs());
            if row < LEADS {
                let back = (24 - (row as i64 + 1)) * grid.slots_per_hour();
                let yesterday = temperature_near(history, one.origin.slot - back);
                if !yesterday.is_nan() {
                    sums.yesterday_count += 1;
                    sums.yesterday += f64::from((observed - (yesterday - one.newest_c)).abs());
                }
                if let Some(said) = mixture.leads[row] {
                    sums.mixture_count += 1;
                    sums.mixture += f64::from((observed - (said.temperature_c - one.newest_c)).abs());
                }
            } else {
                let usual = &months.extremes[month(history, one.origin.slot)][row - LEADS];
                scores.climatology[row - LEADS] += pinball(usual, observed + one.newest_c);
            }
        }
        let lowest = one.observed[LEADS];
        if !lowest.is_nan() {
            let quantiles = &one.outputs[LEADS * QUANTILES.len()..][..QUANTILES.len()];
            let happened = f64::from(u8::from(lowest + one.newest_c < FROST_C));
            let probability = probability_below(&QUANTILES, quantiles, FROST_C - one.newest_c).unwrap_or(0.5);
            let (days, frosts) = months.frost[month(history, one.origin.slot)];
            scores.frost.0 += 1;
            scores.frost.1 += (f64::from(probability) - happened).powi(2);
            scores.frost.2 += (frosts / days - happened).powi(2);
        }
    }
    Ok(scores)
}

/// The mean over all quantiles of twice the pinball loss: a point forecast's is its absolute error.
fn pinball(quantiles: &[f32], observed: f32) -> f64 {
    let loss = |(level, quantile): (f32, &f32)| {
        let residual = observed - quantile;
        f64::from((level * residual).max((level - 1.0) * residual))
    };
    2.0 * QUANTILES.into_iter().zip(quantiles).map(loss).sum::<f64>() / QUANTILES.len() as f64
}

fn months(station: &PoolStation, cases: &[Case]) -> Months {
    let mut frost = vec![(0.0, 0.0); 12];
    let mut values: Vec<[Vec<f32>; 2]> = vec![[Vec::new(), Vec::new()]; 12];
    for one in cases.iter().filter(|one| !one.observed[LEADS].is_nan()) {
        let own = month(&station.segments[one.origin.segment].history, one.origin.slot);
        let [lowest, highest] = [LEADS, LEADS + 1].map(|row| one.observed[row] + one.newest_c);
        frost[own].0 += 1.0;
        frost[own].1 += f64::from(u8::from(lowest < FROST_C));
        values[own][0].push(lowest);
        values[own][1].push(highest);
    }
    let quantiles = |mut values: Vec<f32>| -> Vec<f32> {
        values.sort_by(f32::total_cmp);
        let last = values.len().saturating_sub(1) as f32;
        let at = |level: f32| values.get((level * last).round() as usize).copied().unwrap_or(f32::NAN);
        QUANTILES.map(at).to_vec()
    };
    Months { frost, extremes: values.into_iter().map(|both| both.map(&quantiles)).collect() }
}
