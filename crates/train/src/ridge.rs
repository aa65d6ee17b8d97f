//! Ridge regression on lags: what a linear forecast from the same readings reaches. A network that cannot beat it is not
//! worth its cost.
//!
//! The terms are every sample of the measured quantities and the newest sample of all other features. Coefficients
//! minimise the sum of squared errors and the penalty times the sum of squared coefficients (Hoerl and Kennard 1970); the
//! constant is free of it. The penalty is chosen on the validation part.

use burn::tensor::Device;
use rayon::prelude::*;
use serde::Serialize;

use forecastd_core::Cholesky;
use forecastd_core::Feature;
use forecastd_core::WindowSpec;

use super::dataset::Dataset;
use super::dense::{Dense, DenseNumbers};
use super::epoch::Validation;
use super::fit::Objective;
use super::network::Network;
use super::options::TrainOptions;
use super::station::StationObjective;
use super::task::Task;

/// How many windows are summed up at once.
const CHUNK: usize = 1024;
/// The most terms of a regression. The products of all pairs of this many take 128 MB, several times over.
pub const MOST_TERMS: usize = 4000;

/// A ridge regression to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RidgeRecipe {
    /// What a window holds and what is forecast.
    #[serde(rename = "problem")]
    pub task: Task,
    /// The penalties to choose from, per example.
    pub penalties: Vec<f64>,
}

impl RidgeRecipe {
    /// The recipe with what the user wants otherwise.
    pub fn with_options(mut self, options: &TrainOptions) -> RidgeRecipe {
        self.task = self.task.with_options(options);
        self
    }
}

/// A regression, as a network of one layer.
#[derive(Debug, Clone)]
pub struct Ridge {
    /// From flattened windows to outputs.
    pub network: Network,
    /// The penalty that was chosen.
    pub penalty: f64,
    /// How good it is.
    pub validation: Validation,
}

impl Ridge {
    /// Fits to the training part of `dataset` with the penalty that is best on the validation part; `None` when no example
    /// has all its targets, or the terms hold something infinite.
    pub fn fit(dataset: &Dataset, penalties: &[f64]) -> Option<Ridge> {
        let sums = Sums::from_dataset(dataset)?;
        let objective = StationObjective::new(dataset, Device::flex());
        let mut best: Option<Ridge> = None;
        for &penalty in penalties {
            let network = sums.solve(penalty, dataset)?;
            let validation = objective.validate(&network);
            if best.as_ref().is_none_or(|best| validation.score < best.validation.score) {
                best = Some(Ridge { network, penalty, validation });
            }
        }
        best
    }

    /// Fits to all examples to train on with a penalty that was chosen before.
    pub fn with_penalty(dataset: &Dataset, penalty: f64) -> Option<Network> {
        Sums::from_dataset(dataset)?.solve(penalty, dataset)
    }
}

/// Positions in a flattened window that are terms of the regression.
pub(super) fn terms(spec: &WindowSpec) -> Vec<usize> {
    let features = spec.features.len();
    let newest = (spec.samples - 1) * features;
    let is_term = |&position: &usize| {
        position >= newest || matches!(spec.features[position % features], Feature::Quantity(_))
    };
    (0..spec.len()).filter(is_term).collect()
}

/// Sums of products over the training examples.
struct Sums {
    terms: Vec<usize>,
    examples: f64,
    /// `[term, term]`, the lower triangle; the last term is the constant.
    gram: Vec<f64>,
    /// The products of terms and targets, `[lead, term]`.
    moments: Vec<Vec<f64>>,
}

impl Sums {
    fn from_dataset(dataset: &Dataset) -> Option<Sums> {
        let terms = terms(dataset.windows.spec());
        let leads = dataset.lead_h.len();
        let targets = |example: usize| &dataset.train.targets[example * leads..][..leads];
        let whole: Vec<usize> = (0..dataset.train.len())
            .filter(|&example| targets(example).iter().all(|target| !target.is_nan()))
            .collect();
        if whole.is_empty() {
            return None;
        }
        let size = terms.len() + 1;
        let of_chunk = |chunk: &[usize]| {
            let windows = dataset.gather(&dataset.train, chunk);
            let (mut gram, mut moments) = (vec![0.0; size * size], vec![vec![0.0; size]; leads]);
            let mut row = vec![1.0; size];
            for (window, &example) in windows.chunks_exact(windows.len() / chunk.len()).zip(chunk) {
                for (value, &position) in row.iter_mut().zip(&terms) {
                    *value = f64::from(window[position]);
                }
                for (index, &value) in row.iter().enumerate() {
                    let sums = &mut gram[index * size..=index * size + index];
                    sums.iter_mut().zip(&row).for_each(|(sum, other)| *sum += value * other);
                }
                for (moment, &target) in moments.iter_mut().zip(targets(example)) {
                    moment.iter_mut().zip(&row).for_each(|(sum, value)| *sum += value * f64::from(target));
                }
            }
            (gram, moments)
        };
        // Chunks are added in their order, so that the sums do not depend on how many threads there are.
        let mut all = (vec![0.0; size * size], vec![vec![0.0; size]; leads]);
        for group in whole.chunks(CHUNK * rayon::current_num_threads()) {
            for (gram, moments) in group.par_chunks(CHUNK).map(of_chunk).collect::<Vec<_>>() {
                all.0.iter_mut().zip(gram).for_each(|(sum, part)| *sum += part);
                for (sums, parts) in all.1.iter_mut().zip(moments) {
                    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
                }
            }
        }
        Some(Sums { terms, examples: whole.len() as f64, gram: all.0, moments: all.1 })
    }

    /// The regression for a penalty, as a network of one layer.
    fn solve(&self, penalty: f64, dataset: &Dataset) -> Option<Network> {
        let size = self.terms.len() + 1;
        let mut matrix = self.gram.clone();
        for term in 0..self.terms.len() {
            matrix[term * size + term] += penalty * self.examples;
        }
        let decomposed = Cholesky::new(size, matrix)?;
        let (inputs, outputs) = (dataset.windows.spec().len(), dataset.lead_h.len());
        let (mut weight, mut bias) = (vec![0.0; inputs * outputs], vec![0.0; outputs]);
        for (lead, moment) in self.moments.iter().enumerate() {
            let coefficients = decomposed.solve(moment.clone());
            for (&position, &coefficient) in self.terms.iter().zip(&coefficients) {
                weight[position * outputs + lead] = coefficient as f32;
            }
            bias[lead] = coefficients[size - 1] as f32;
        }
        let output = Dense::from_numbers(DenseNumbers { inputs, outputs, weight, bias }, &Device::flex());
        Some(Network { recurrent: Vec::new(), hidden: Vec::new(), output, head_dropout: 0.0 })
    }
}
