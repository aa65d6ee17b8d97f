//! Learning the world's network: pinball loss of every row and quantile, stations weighted alike, windows drawn anew for
//! every step.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::epoch::Validation;
use crate::fit::Objective;
use crate::parameters::numbers;

use super::example::{AUXILIARY, Cutter, Observed, Origin, ROWS};
use super::mask::Mask;
use super::network::{MEDIAN, Network, OUTPUTS, QUANTILES, Scaling};
use super::pinball::{Goals, pinball_loss};
use super::pool::PoolStation;
use super::split::Role;
use super::window::{self, LEADS};

/// The networks' sizes and regularisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorldSettings {
    /// Units of the dense network's layers.
    pub hidden: Vec<usize>,
    /// Units of the recurrent layer of the network beside it.
    pub units: usize,
    /// Units of the dense layers behind that.
    pub recurrent_hidden: Vec<usize>,
    /// Dropout behind each of them.
    pub dropout: f64,
    /// How much the median counts beside another quantile.
    pub median_weight: f32,
    /// How much the lowest and the highest temperature count beside a lead.
    pub extremes_weight: f32,
    /// How much an auxiliary target counts beside a lead, each in units of its own mean size.
    pub auxiliary_weight: f32,
}

/// Windows that the scaling is measured on.
const SCALED_ON: u64 = 40_000;
/// Windows of each validation station.
const VALIDATED_BY: usize = 250;
/// How many windows are run at once.
const CHUNK: usize = 2048;

/// Windows of validation stations, and what was observed after them.
struct ValidationWindows {
    inputs: Vec<f32>,
    observed: Vec<Observed>,
}

/// Learning from a pool.
pub(crate) struct WorldObjective<'a> {
    cutter: Cutter<'a>,
    pub(crate) scaling: Scaling,
    validation: ValidationWindows,
    /// Weight of each output in the loss.
    weights: Vec<f32>,
    /// The mean size of each auxiliary target.
    auxiliary_sizes: Vec<f32>,
    auxiliary_weight: f32,
    device: Device,
}

impl<'a> WorldObjective<'a> {
    /// Measures the scaling and cuts the windows of validation stations.
    pub(crate) fn new(
        cutter: Cutter<'a>,
        roles: &[Role],
        settings: &WorldSettings,
        device: Device,
    ) -> WorldObjective<'a> {
        let (scaling, auxiliary_sizes) = scaling(&cutter);
        let validation = validation_windows(&cutter, roles, &scaling);
        let weights = (0..OUTPUTS)
            .map(|output| {
                let (row, quantile) = (output / QUANTILES.len(), output % QUANTILES.len());
                let of_row = if row < LEADS { 1.0 } else { settings.extremes_weight };
                let of_quantile = if quantile == MEDIAN { settings.median_weight } else { 1.0 };
                // In °C, whatever the unit of the row is.
                of_row * of_quantile * scaling.row_c[row] / LEADS as f32
            })
            .collect();
        WorldObjective {
            cutter,
            scaling,
            validation,
            weights,
            auxiliary_sizes,
            auxiliary_weight: settings.auxiliary_weight,
            device,
        }
    }

    /// What is drawn from.
    pub(crate) fn cutter(&self) -> &Cutter<'a> {
        &self.cutter
    }

    /// How many windows of validation stations there are.
    pub(crate) fn validation_windows(&self) -> usize {
        self.validation.observed.len()
    }

    /// Mean absolute error of persistence over the windows of validation stations, all leads, °C.
    pub(crate) fn persistence_c(&self) -> f64 {
        let changes = self.validation.observed.iter().flat_map(|observed| &observed[..LEADS]);
        let (sum, count) = changes
            .filter(|change| !change.is_nan())
            .fold((0.0, 0_u64), |(sum, count), change| (sum + f64::from(change.abs()), count + 1));
        sum / count.max(1) as f64
    }

    /// The network's forecasts for standardised inputs, `[window, output]`, in units of each row.
    fn predict(&self, model: &Network, inputs: &[f32]) -> Vec<f32> {
        let count = window::count();
        let mut outputs = Vec::with_capacity(inputs.len() / count * OUTPUTS);
        for chunk in inputs.chunks(CHUNK * count) {
            let tensor = Tensor::<2>::from_data(
                TensorData::new(chunk.to_vec(), [chunk.len() / count, count]),
                &self.device,
            );
            outputs.extend(numbers(model.forward(tensor, None)));
        }
        outputs
    }
}

/// Measures what the network is given, and how large the changes of each row are.
fn scaling(cutter: &Cutter) -> (Scaling, Vec<f32>) {
    let (count, picked) = (window::count(), window::picked());
    struct Sums {
        inputs: Vec<(f64, f64)>,
        rows: Vec<(f64, f64)>,
        auxiliary: Vec<(f64, f64)>,
    }
    let empty = || Sums {
        inputs: vec![(0.0, 0.0); picked],
        rows: vec![(0.0, 0.0); ROWS],
        auxiliary: vec![(0.0, 0.0); AUXILIARY],
    };
    let chunks: Vec<Sums> = (0..SCALED_ON / 1000)
        .into_par_iter()
        .map(|chunk| {
            let mut sums = empty();
            let (mut numbers, mut row) = (vec![0.0; window::NUMBERS], vec![0.0; count]);
            for seed in chunk * 1000..(chunk + 1) * 1000 {
                let (observed, auxiliary) = cutter.example(seed, &mut numbers, &mut row);
                for (sum, &value) in sums.inputs.iter_mut().zip(&row) {
                    let value = f64::from(value);
                    *sum = (sum.0 + value, sum.1 + value * value);
                }
                let rows = sums.rows.iter_mut().zip(observed);
                let all = rows.chain(sums.auxiliary.iter_mut().zip(auxiliary));
                for (sum, value) in all.filter(|(_, value)| !value.is_nan()) {
                    *sum = (sum.0 + f64::from(value.abs()), sum.1 + 1.0);
                }
            }
            sums
        })
        .collect();
    // In the order of the chunks: a sum must not depend on which thread was first.
    let mut sums = empty();
    for chunk in &chunks {
        let inputs = sums.inputs.iter_mut().zip(&chunk.inputs);
        let rows = sums.rows.iter_mut().zip(&chunk.rows);
        let auxiliary = sums.auxiliary.iter_mut().zip(&chunk.auxiliary);
        for (sum, own) in inputs.chain(rows).chain(auxiliary) {
            *sum = (sum.0 + own.0, sum.1 + own.1);
        }
    }
    let windows = SCALED_ON as f64;
    let deviation = |&(sum, square): &(f64, f64)| {
        let variance = square / windows - (sum / windows).powi(2);
        if variance > 1e-9 { variance.sqrt() as f32 } else { 1.0 }
    };
    let sizes = |sums: &[(f64, f64)]| {
        sums.iter().map(|(sum, count)| (sum / count.max(1.0)).max(0.01) as f32).collect::<Vec<f32>>()
    };
    let scaling = Scaling {
        mean: sums.inputs.iter().map(|(sum, _)| (sum / windows) as f32).collect(),
        deviation: sums.inputs.iter().map(deviation).collect(),
        row_c: sizes(&sums.rows),
        width: vec![1.0; ROWS],
    };
    (scaling, sizes(&sums.auxiliary))
}

/// Evenly spaced origins of a station, at most `most`.
pub(super) fn spaced(station: usize, of: &PoolStation, most: usize) -> Vec<Origin> {
    let all =
        of.segments.iter().enumerate().flat_map(|(segment, own)| {
            own.origins.iter().map(move |&slot| Origin { station, segment, slot })
        });
    let all: Vec<Origin> = all.collect();
    let count = all.len().min(most);
    (0..count).map(|index| all[(index * all.len()) / count]).collect()
}

fn validation_windows(cutter: &Cutter, roles: &[Role], scaling: &Scaling) -> ValidationWindows {
    let stations =
        cutter.pool.stations.iter().enumerate().filter(|&(index, _)| roles[index] == Role::Validation);
    let mut generator = Pcg64::seed_from_u64(7);
    let mut windows = ValidationWindows { inputs: Vec::new(), observed: Vec::new() };
    let (mut numbers, mut row) = (vec![0.0; window::NUMBERS], vec![0.0; window::count()]);
    for (index, station) in stations {
        for origin in spaced(index, station, VALIDATED_BY) {
            // Four of five windows are whole.
            let mask = match generator.random_bool(0.8) {
                true => Mask::default(),
                false => Mask::draw(&mut generator),
            };
            if let Some(observed) = cutter.cut(origin, &mask, station.site, &mut numbers, &mut row) {
                windows.inputs.extend_from_slice(&row);
                windows.observed.push(observed);
            }
        }
    }
    scaling.apply(&mut windows.inputs);
    windows
}

impl Objective for WorldObjective<'_> {
    type Model = Network;

    fn examples(&self) -> usize {
        self.cutter.origins()
    }

    fn loss(&self, model: &Network, examples: &[usize], generator: &mut Pcg64) -> Tensor<1> {
        let (count, width) = (examples.len(), window::count());
        let seeds: Vec<u64> = examples.iter().map(|_| generator.random()).collect();
        let mut inputs = vec![0.0; count * width];
        let mut goals = Goals::none(count * OUTPUTS);
        let mut auxiliary_goals = Goals::none(count * AUXILIARY);
        let mut numbers = vec![0.0; window::NUMBERS];
        for (index, (row, seed)) in inputs.chunks_exact_mut(width).zip(seeds).enumerate() {
            let (observed, auxiliary) = self.cutter.example(seed, &mut numbers, row);
            self.scaling.apply(row);
            for (lead, &value) in observed.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                for output in lead * QUANTILES.len()..(lead + 1) * QUANTILES.len() {
                    goals.targets[index * OUTPUTS + output] = value / self.scaling.row_c[lead];
                    goals.weights[index * OUTPUTS + output] = self.weights[output] / count as f32;
                }
            }
            for (output, &value) in auxiliary.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                auxiliary_goals.targets[index * AUXILIARY + output] = value / self.auxiliary_sizes[output];
                auxiliary_goals.weights[index * AUXILIARY + output] =
                    self.auxiliary_weight / (AUXILIARY * count) as f32;
            }
        }
        let tensor = |numbers: Vec<f32>| {
            let width = numbers.len() / count;
            Tensor::<2>::from_data(TensorData::new(numbers, [count, width]), &self.device)
        };
        let (steps, auxiliary) = model.steps(tensor(inputs), Some(generator));
        let errors = (tensor(auxiliary_goals.targets) - auxiliary).abs();
        pinball_loss(steps, goals) + (errors * tensor(auxiliary_goals.weights)).sum()
    }

    fn validate(&self, model: &Network) -> Validation {
        let outputs = self.predict(model, &self.validation.inputs);
        let (mut loss, mut error, mut count) = (0.0, 0.0, 0_u64);
        for (outputs, observed) in outputs.chunks_exact(OUTPUTS).zip(&self.validation.observed) {
            for (row, &value) in observed.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                let unit_c = self.scaling.row_c[row];
                for (index, quantile) in QUANTILES.iter().enumerate() {
                    let output = row * QUANTILES.len() + index;
                    let residual = value / unit_c - outputs[output];
                    let pinball = (quantile * residual).max((quantile - 1.0) * residual);
                    loss += f64::from(pinball * self.weights[output]);
                }
                if row < LEADS {
                    let median = outputs[row * QUANTILES.len() + MEDIAN] * unit_c;
                    error += f64::from((value - median).abs());
                    count += 1;
                }
            }
        }
        let windows = self.validation.observed.len().max(1) as f64;
        Validation { loss: loss / windows, score: error / count.max(1) as f64 }
    }
}
