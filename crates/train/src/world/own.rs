//! What the history of one station adds to the world's network.
//!
//! With little history the last layer's medians are refitted alone: a ridge regression of what the network misses on what its
//! last layer is given, with a prior that is worth [`OwnSettings::prior_days`] days of the station's own. With a year or more,
//! all layers are trained further, with a penalty on how far they leave the world's. What is gained is measured on blocks of
//! the history that were left out; the intervals are refitted by what was forecast for those.

use burn::tensor::{Device, Tensor, TensorData};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use forecastd_core::{Cholesky, History, Quantity, Site, Slot};

use crate::dense::DenseNumbers;
use crate::epoch::Validation;
use crate::fit::Objective;
use crate::interval::Distances;
use crate::parameters::numbers;

use super::example::{Observed, ROWS, observed_after, temperature_near};
use super::network::{MEDIAN, Network, OUTPUTS, QUANTILES, Scaling};
use super::pinball::{Goals, pinball_loss};
use super::window::{self, LEADS};

/// How a network is trained on a station's own history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnSettings {
    /// How many days of the station's own history the prior of the last layer is worth.
    pub prior_days: f64,
    /// So many days of history are needed for training all layers further.
    pub fine_tuned_from_days: f64,
    /// The penalty on the squared distance of the weights from the world's.
    pub penalty: f32,
    /// Into how many blocks the history is divided; each is left out once.
    pub blocks: usize,
}

/// Hours that are left out on either side of a block: windows and targets would overlap.
const MARGIN_H: i64 = 96;
/// How many windows are run at once.
const CHUNK: usize = 2048;
/// The share of outcomes that the interval is to hold.
const COVERAGE: f64 = 0.8;

/// Windows of a station's history, one an hour, and what was observed after them; NaN where nothing was.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnHistory {
    slots: Vec<Slot>,
    slots_per_hour: i64,
    /// What the network is given, standardised.
    inputs: Vec<f32>,
    observed: Vec<Observed>,
    /// By how much it was warmer at the same time the day before than at the end of the window, by lead; NaN where that is not known.
    yesterday: Vec<[f32; LEADS]>,
}

/// What a network of a station's own is compared with on blocks left out, and itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct OwnErrors {
    /// Of the world's network.
    pub(crate) world_c: f64,
    /// Of this one.
    pub(crate) own_c: f64,
    /// Of persistence.
    pub(crate) persistence_c: f64,
    /// Of the same time yesterday, over all cases for which that is known.
    pub(crate) yesterday_c: f64,
}

/// A network that was trained on a station's history.
pub(crate) struct Specialist {
    /// How it was made.
    pub(crate) method: Method,
    /// The world's network, with what the history changes of it.
    pub(crate) network: Network,
    /// The world's scaling, with intervals that fit the station.
    pub(crate) scaling: Scaling,
    /// Mean absolute errors over all leads on blocks left out.
    pub(crate) mean: OwnErrors,
    /// Mean absolute errors by lead on blocks left out.
    pub(crate) leads: Vec<OwnErrors>,
    /// Root mean square errors by lead on blocks left out.
    pub(crate) rmse_c: Vec<f64>,
    /// Windows of the blocks left out.
    pub(crate) windows: u64,
    /// On how many blocks it is the better one, of how many.
    pub(crate) better: (usize, usize),
    /// Share of outcomes within the interval on blocks left out, before the interval was refitted.
    pub(crate) coverage: f64,
}

/// How a specialist is made of the world's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// The last layer is refitted.
    LastLayer,
    /// All layers are trained further.
    FineTuned,
}

impl OwnHistory {
    /// The windows of a history at `site`, on its own grid: a window is that of the time at which its newest reading was taken, whatever
    /// the minute.
    pub(crate) fn new(history: &History, site: Site, scaling: &Scaling) -> OwnHistory {
        let (Some(first), Some(last)) = (history.oldest(), history.newest()) else {
            return OwnHistory::default();
        };
        let slots_per_hour = history.grid().slots_per_hour();
        let grid_step_s = u32::try_from(history.grid().step_s()).unwrap_or(u32::MAX);
        let (spec, normalisation) = (window::window(grid_step_s), window::normalisation());
        let (positions, count) = (window::Positions::new(), window::count());
        let mut slots: Vec<Slot> = Vec::new();
        for slot in first..=last {
            let is_next = slots.last().is_none_or(|before| slot - before >= slots_per_hour);
            if is_next && !history.value(slot, Quantity::AirTemperature).is_nan() {
                slots.push(slot);
            }
        }
        let cut = |window: &mut Vec<f32>, &slot: &Slot| {
            window.resize(spec.len(), 0.0);
            spec.fill(history, site, slot, window).ok()?;
            normalisation.apply(window);
            let mut row = vec![0.0; count];
            window::gather(window, &positions, &mut row);
            scaling.apply(&mut row);
            // What was not measured counts nowhere; the rest of the day does.
            let observed = observed_after(history, slot, 1);
            let newest = history.value(slot, Quantity::AirTemperature);
            let before = |lead: usize| temperature_near(history, slot + (lead as Slot - 23) * slots_per_hour);
            let yesterday = std::array::from_fn(|lead| before(lead) - newest);
            let is_known = observed[..LEADS].iter().any(|value| !value.is_nan());
            is_known.then_some((slot, row, observed, yesterday))
        };
        let all: Vec<(Slot, Vec<f32>, Observed, [f32; LEADS])> =
            slots.par_iter().map_init(Vec::new, cut).flatten().collect();
        let mut own = OwnHistory { slots_per_hour, ..OwnHistory::default() };
        for (slot, row, observed, yesterday) in all {
            own.yesterday.push(yesterday);
            own.slots.push(slot);
            own.inputs.extend(row);
            own.observed.push(observed);
        }
        own
    }

    /// How many windows there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many days they make: hours of which the outcome is known, at the lead where it is known the least.
    pub(crate) fn days(&self) -> f64 {
        let known = |lead: usize| self.observed.iter().filter(|observed| !observed[lead].is_nan()).count();
        (0..LEADS).map(known).min().unwrap_or(0) as f64 / 24.0
    }

    /// The windows of a block, and those that are far enough from it.
    fn split(&self, block: usize, blocks: usize) -> (Vec<usize>, Vec<usize>) {
        let at = |block: usize| block * self.len() / blocks;
        let held: Vec<usize> = (at(block)..at(block + 1)).collect();
        let (Some(&first), Some(&last)) = (held.first(), held.last()) else {
            return (Vec::new(), Vec::new());
        };
        let margin = MARGIN_H * self.slots_per_hour;
        let near = self.slots[first] - margin..=self.slots[last] + margin;
        let rest = (0..self.len()).filter(|&index| !near.contains(&self.slots[index])).collect();
        (held, rest)
    }

    fn inputs_of(&self, indices: &[usize], device: &Device) -> Tensor<2> {
        let count = window::count();
        let rows = indices.iter().flat_map(|&index| &self.inputs[index * count..(index + 1) * count]);
        Tensor::from_data(
            TensorData::new(rows.copied().collect::<Vec<f32>>(), [indices.len(), count]),
            device,
        )
    }

    /// What `run` gives for some windows, chunk by chunk.
    fn run(&self, indices: &[usize], device: &Device, run: impl Fn(Tensor<2>) -> Tensor<2>) -> Vec<f32> {
        indices.chunks(CHUNK).flat_map(|chunk| numbers(run(self.inputs_of(chunk, device)))).collect()
    }
}

/// Sums of a regression on what the last layer is given, and a constant. All rows would share one system of equations, were it
/// not for outcomes that are missing.
struct Sums {
    size: usize,
    /// Of all windows: `[unit, unit]`, of which the lower triangle is meant.
    products: Vec<f64>,
    /// The products of units and observations, `[row, unit]`.
    right: Vec<f64>,
    windows: f64,
    /// By row, what windows without its outcome have in `products`, and how many they are; none where there is no such window.
    missing: Vec<Option<(Vec<f64>, f64)>>,
}

impl Sums {
    fn new(
        history: &OwnHistory,
        indices: &[usize],
        base: &Network,
        scaling: &Scaling,
        device: &Device,
    ) -> Sums {
        let states = history.run(indices, device, |inputs| base.state(inputs, None));
        let outputs = history.run(indices, device, |inputs| base.forward(inputs, None));
        let units = states.len() / indices.len().max(1);
        let size = units + 1;
        let chunks = states.par_chunks(units.max(1) * 512).zip(outputs.par_chunks(OUTPUTS * 512));
        let sums: Vec<Sums> = chunks
            .zip(indices.par_chunks(512))
            .map(|((states, outputs), indices)| {
                let mut sums = Sums::empty(size);
                for ((state, output), &index) in
                    states.chunks_exact(units).zip(outputs.chunks_exact(OUTPUTS)).zip(indices)
                {
                    sums.add(state, output, &history.observed[index], scaling);
                }
                sums
            })
            .collect();
        let mut all = sums.iter().fold(Sums::empty(size), |mut all, own| {
            all.merge(own);
            all
        });
        let missing = (0..ROWS).into_par_iter().map(|row| {
            let is_missing = |(_, index): &(&[f32], &usize)| history.observed[**index][row].is_nan();
            let mut sum: Option<(Vec<f64>, f64)> = None;
            for (state, _) in states.chunks_exact(units.max(1)).zip(indices).filter(is_missing) {
                let (products, windows) = sum.get_or_insert_with(|| (vec![0.0; size * size], 0.0));
                add_products(products, state);
                *windows += 1.0;
            }
            sum
        });
        all.missing = missing.collect();
        all
    }

    fn empty(size: usize) -> Sums {
        Sums {
            size,
            products: vec![0.0; size * size],
            right: vec![0.0; ROWS * size],
            windows: 0.0,
            missing: vec![None; ROWS],
        }
    }

    fn add(&mut self, state: &[f32], output: &[f32], observed: &Observed, scaling: &Scaling) {
        add_products(&mut self.products, state);
        let term = |unit: usize| f64::from(state.get(unit).copied().unwrap_or(1.0));
        for (row, &value) in observed.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let missed = f64::from(value / scaling.row_c[row] - output[row * QUANTILES.len() + MEDIAN]);
            for (unit, sum) in self.right[row * self.size..(row + 1) * self.size].iter_mut().enumerate() {
                *sum += missed * term(unit);
            }
        }
        self.windows += 1.0;
    }

    fn merge(&mut self, other: &Sums) {
        for (sum, own) in self.products.iter_mut().zip(&other.products) {
            *sum += own;
        }
        for (sum, own) in self.right.iter_mut().zip(&other.right) {
            *sum += own;
        }
        self.windows += other.windows;
    }

    /// What is to be added to the last layer's medians: `[row][unit, then the constant]`. The prior is that nothing is, and
    /// is worth `prior` windows in which every unit varies by itself as much as it does here.
    fn solve(&self, prior: f64) -> Option<Vec<Vec<f64>>> {
        let factored = |mut matrix: Vec<f64>, windows: f64| {
            for unit in 0..self.size {
                let diagonal = &mut matrix[unit * self.size + unit];
                *diagonal += prior * (*diagonal / windows.max(1.0)).max(1e-6);
            }
            Cholesky::new(self.size, matrix)
        };
        let of_all = factored(self.products.clone(), self.windows)?;
        let rows = self.right.par_chunks_exact(self.size).zip(&self.missing);
        rows.map(|(right, missing)| match missing {
            None => Some(of_all.solve(right.to_vec())),
            // What was never measured is left as it is.
            Some((_, windows)) if *windows >= self.windows => Some(vec![0.0; self.size]),
            Some((products, windows)) => {
                let known = self.products.iter().zip(products).map(|(all, missing)| all - missing);
                Some(factored(known.collect(), self.windows - windows)?.solve(right.to_vec()))
            }
        })
        .collect()
    }
}

/// Adds the products of what the last layer is given, and a constant, to their sums: `[unit, unit]`, the lower triangle.
fn add_products(products: &mut [f64], state: &[f32]) {
    let size = state.len() + 1;
    let term = |unit: usize| f64::from(state.get(unit).copied().unwrap_or(1.0));
    for row in 0..size {
        let own = term(row);
        for (column, product) in products[row * size..=row * size + row].iter_mut().enumerate() {
            *product += own * term(column);
        }
    }
}

/// The world's network with medians moved by `added`.
fn with_medians(base: &Network, added: &[Vec<f64>], device: &Device) -> Network {
    let mut output: DenseNumbers = base.output.numbers();
    for (row, added) in added.iter().enumerate() {
        let column = row * QUANTILES.len() + MEDIAN;
        for (unit, own) in added[..output.inputs].iter().enumerate() {
            output.weight[unit * output.outputs + column] += *own as f32;
        }
        output.bias[column] += added[output.inputs] as f32;
    }
    base.with_output(output, device)
}

/// Further training on a station's history.
pub(crate) struct OwnObjective<'a> {
    history: &'a OwnHistory,
    train: Vec<usize>,
    base: Network,
    scaling: &'a Scaling,
    penalty: f32,
    device: Device,
}

impl Objective for OwnObjective<'_> {
    type Model = Network;

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn loss(&self, model: &Network, examples: &[usize], generator: &mut Pcg64) -> Tensor<1> {
        let indices: Vec<usize> = examples.iter().map(|&example| self.train[example]).collect();
        let count = indices.len();
        let (mut targets, mut weights) = (Vec::new(), Vec::new());
        for &index in &indices {
            for (row, &value) in self.history.observed[index].iter().enumerate() {
                let unit_c = self.scaling.row_c[row];
                let (target, weight) = match value.is_nan() {
                    true => (0.0, 0.0),
                    false => (value / unit_c, unit_c / (LEADS * count) as f32),
                };
                targets.extend([target; QUANTILES.len()]);
                weights.extend([weight; QUANTILES.len()]);
            }
        }
        let inputs = self.history.inputs_of(&indices, &self.device);
        let mut loss = pinball_loss(model.steps(inputs, Some(generator)).0, Goals { targets, weights });
        for (own, base) in model.weights().zip(self.base.weights()) {
            let away = own - base;
            loss = loss + (away.clone() * away).sum() * self.penalty;
        }
        loss
    }

    /// The number of epochs is fixed: there is nothing to choose by.
    fn validate(&self, _model: &Network) -> Validation {
        Validation { loss: f64::NAN, score: f64::NAN }
    }
}

/// Errors of the world's network and of a specialist on a block left out.
struct BlockErrors {
    /// Sums of absolute errors by lead.
    leads: Vec<OwnErrors>,
    /// Outcomes by lead of which the same time yesterday is known.
    with_yesterday: Vec<f64>,
    /// Squared errors by lead, of the specialist.
    squared: Vec<f64>,
    /// Outcomes by lead.
    outcomes: Vec<f64>,
    windows: u64,
}

impl Specialist {
    /// A specialist of a method; `refit` makes one from the windows at some indices.
    pub(crate) fn new<E>(
        method: Method,
        history: &OwnHistory,
        base: &Network,
        scaling: &Scaling,
        settings: &OwnSettings,
        device: &Device,
        mut refit: impl FnMut(&[usize]) -> Result<Network, E>,
    ) -> Result<Specialist, E> {
        let mut distances = Distances::none(ROWS);
        let (mut blocks, mut covered, mut outcomes) = (Vec::new(), 0_u64, 0_u64);
        for block in 0..settings.blocks {
            let (held, rest) = history.split(block, settings.blocks);
            if held.is_empty() || rest.is_empty() {
                continue;
            }
            let own = refit(&rest)?;
            let by_base = history.run(&held, device, |inputs| base.forward(inputs, None));
            let by_own = history.run(&held, device, |inputs| own.forward(inputs, None));
            let mut errors = BlockErrors {
                leads: vec![OwnErrors::default(); LEADS],
                with_yesterday: vec![0.0; LEADS],
                squared: vec![0.0; LEADS],
                outcomes: vec![0.0; LEADS],
                windows: held.len() as u64,
            };
            for (position, &index) in held.iter().enumerate() {
                let of = |outputs: &[f32], row: usize, quantile: usize| {
                    outputs[position * OUTPUTS + row * QUANTILES.len() + quantile] * scaling.row_c[row]
                };
                let observed = history.observed[index].iter().enumerate();
                for (row, &value) in observed.filter(|(_, value)| !value.is_nan()) {
                    let [low, median, high] = [1, MEDIAN, 5].map(|quantile| of(&by_own, row, quantile));
                    distances.add(row, [low, median, high], value);
                    if row < LEADS {
                        covered += u64::from((low..=high).contains(&value));
                        outcomes += 1;
                        let sums = &mut errors.leads[row];
                        let error_c = |forecast: f32| f64::from((value - forecast).abs());
                        sums.world_c += error_c(of(&by_base, row, MEDIAN));
                        sums.own_c += error_c(median);
                        sums.persistence_c += error_c(0.0);
                        let yesterday = history.yesterday[index][row];
                        if !yesterday.is_nan() {
                            sums.yesterday_c += error_c(yesterday);
                            errors.with_yesterday[row] += 1.0;
                        }
                        errors.squared[row] += f64::from(value - median).powi(2);
                        errors.outcomes[row] += 1.0;
                    }
                }
            }
            blocks.push(errors);
        }
        let all: Vec<usize> = (0..history.len()).collect();
        let network = refit(&all)?;
        let sum = |of: &dyn Fn(&BlockErrors) -> f64| blocks.iter().map(of).sum::<f64>();
        let leads: Vec<OwnErrors> = (0..LEADS)
            .map(|lead| {
                let outcomes = sum(&|block| block.outcomes[lead]);
                OwnErrors {
                    world_c: sum(&|block| block.leads[lead].world_c) / outcomes,
                    own_c: sum(&|block| block.leads[lead].own_c) / outcomes,
                    persistence_c: sum(&|block| block.leads[lead].persistence_c) / outcomes,
                    yesterday_c: sum(&|block| block.leads[lead].yesterday_c)
                        / sum(&|block| block.with_yesterday[lead]),
                }
            })
            .collect();
        let rmse_c = (0..LEADS)
            .map(|lead| (sum(&|block| block.squared[lead]) / sum(&|block| block.outcomes[lead])).sqrt())
            .collect();
        let mean = |of: fn(&OwnErrors) -> f64| leads.iter().map(of).sum::<f64>() / LEADS as f64;
        let total = |block: &BlockErrors, of: fn(&OwnErrors) -> f64| block.leads.iter().map(of).sum::<f64>();
        let is_better =
            |block: &&BlockErrors| total(block, |sums| sums.own_c) < total(block, |sums| sums.world_c);
        let better = (blocks.iter().filter(is_better).count(), blocks.len());
        let width = distances.half_width_factors(COVERAGE);
        Ok(Specialist {
            method,
            network,
            scaling: Scaling { width, ..scaling.clone() },
            mean: OwnErrors {
                world_c: mean(|lead| lead.world_c),
                own_c: mean(|lead| lead.own_c),
                persistence_c: mean(|lead| lead.persistence_c),
                yesterday_c: mean(|lead| lead.yesterday_c),
            },
            leads,
            rmse_c,
            windows: blocks.iter().map(|block| block.windows).sum(),
            better,
            coverage: covered as f64 / outcomes.max(1) as f64,
        })
    }

    /// The last layer's medians refitted to the windows at `indices`.
    pub(crate) fn refit_last_layer(
        history: &OwnHistory,
        indices: &[usize],
        base: &Network,
        scaling: &Scaling,
        settings: &OwnSettings,
        device: &Device,
    ) -> Network {
        let sums = Sums::new(history, indices, base, scaling, device);
        let added = sums.solve(settings.prior_days * 24.0);
        added.map_or_else(|| base.clone(), |added| with_medians(base, &added, device))
    }
}

impl<'a> OwnObjective<'a> {
    /// Learning from the windows at `train`.
    pub(crate) fn new(
        history: &'a OwnHistory,
        train: Vec<usize>,
        base: &Network,
        scaling: &'a Scaling,
        settings: &OwnSettings,
        device: Device,
    ) -> OwnObjective<'a> {
        OwnObjective { history, train, base: base.clone(), scaling, penalty: settings.penalty, device }
    }
}

#[cfg(test)]
mod tests;
