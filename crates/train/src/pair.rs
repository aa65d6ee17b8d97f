//! The network that is exported: a dense branch on predictors that compare hours before with now, and a recurrent branch
//! on a shortened sequence; each is trained by itself, and the forecast is their mean.
//!
//! Both learn three quantiles of the change of temperature at every lead (pinball loss), and beside them, as auxiliary
//! targets that are cut off at export, how the other measured quantities change. Inputs relative to the newest reading are
//! worth more than any choice of network: `p(t − k) − p(t)` alone is five hundredths of a degree.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use forecastd_core::Feature;
use forecastd_core::Quantity;
use forecastd_core::Slot;
use forecastd_model::onnx::Model;
use forecastd_record::Record;

use super::dataset::{Dataset, Examples, mean_size};
use super::dense::{Dense, dropout};
use super::epoch::Validation;
use super::fit::Objective;
use super::graph::GraphBuilder;
use super::interval::Distances;
use super::parameters::numbers;
use super::predictors::Predictors;
use super::recurrent::{Gru, GruConfig};

/// The quantiles that are forecast; the median is the second.
pub const QUANTILES: [f32; 3] = [0.1, 0.5, 0.9];
const MEDIAN: usize = 1;
/// The share of outcomes that the interval is to hold.
pub(super) const COVERAGE: f64 = 0.8;
/// How much the loss of the auxiliary outputs counts.
const AUXILIARY_WEIGHT: f32 = 0.3;
/// How many windows are run at once for validation.
const CHUNK: usize = 2048;

/// Sizes and regularisation of both branches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairSettings {
    /// Units of the dense layers, in both branches.
    pub hidden: Vec<usize>,
    /// Units of the recurrent layer.
    pub units: usize,
    /// Dropout behind each dense layer.
    pub dropout: f64,
    /// Dropout behind the recurrent layer.
    pub state_dropout: f64,
    /// Standard deviation of the noise on predictors in training.
    pub noise: f32,
}

/// Predictors and targets of one part. Windows and sequences, which are many times as large, are made when they are needed.
#[derive(Debug, Clone)]
struct Inputs<'a> {
    examples: &'a Examples,
    /// The predictors of each example, `[example, predictor]`.
    predictors: Vec<f32>,
    /// `[example, target]`, the temperature's changes and then the auxiliary ones; NaN where nothing was measured.
    targets: Vec<f32>,
}

/// A dataset with what the branches are given.
#[derive(Debug, Clone)]
pub struct PairData<'a> {
    dataset: &'a Dataset,
    predictors: Predictors,
    train: Inputs<'a>,
    validation: Inputs<'a>,
    auxiliaries: usize,
}

impl<'a> PairData<'a> {
    /// Computes the predictors of all windows.
    pub fn new(dataset: &'a Dataset, record: &Record) -> PairData<'a> {
        let size = dataset.windows.spec().len();
        let mut window = vec![0.0; size];
        let predictors = Predictors::fit(dataset.windows.spec(), dataset.windows.normalisation(), |visit| {
            for &origin in &dataset.train.origins {
                dataset.fill(origin, &mut window);
                visit(&window);
            }
        });
        let auxiliary: Vec<Quantity> = dataset
            .windows
            .spec()
            .features
            .iter()
            .filter_map(|feature| match feature {
                Feature::Quantity(quantity) if *quantity != Quantity::AirTemperature => Some(*quantity),
                _ => None,
            })
            .collect();
        let leads = dataset.lead_h.len();
        let auxiliaries = auxiliary.len() * leads;
        let change = |origin: Slot, quantity: Quantity, lead_h: u32| {
            let history = record.history();
            let valid = origin + i64::from(lead_h) * 3600 / history.grid().step_s();
            history.value(valid, quantity) - history.value(origin, quantity)
        };
        let changes = |examples: &Examples| -> Vec<f32> {
            let of_origin = |&origin: &Slot| {
                let lead_h = &dataset.lead_h;
                auxiliary
                    .iter()
                    .flat_map(move |&quantity| lead_h.iter().map(move |&lead_h| (origin, quantity, lead_h)))
                    .map(|(origin, quantity, lead_h)| change(origin, quantity, lead_h))
                    .collect::<Vec<f32>>()
            };
            examples.origins.iter().flat_map(of_origin).collect()
        };
        // Targets at a part's end lie beyond it, as those of temperature do not; they are left out.
        let changes_within = |examples: &Examples| {
            let mut changes = changes(examples);
            for (index, change) in changes.iter_mut().enumerate() {
                let (example, lead) = (index / auxiliaries.max(1), index % leads);
                if examples.targets[example * leads + lead].is_nan() {
                    *change = f32::NAN;
                }
            }
            changes
        };
        let of_train = changes_within(&dataset.train);
        let size_of =
            |auxiliary: usize| mean_size(of_train.iter().skip(auxiliary).step_by(auxiliaries)).unwrap_or(1.0);
        let sizes: Vec<f32> = (0..auxiliaries).map(size_of).collect();
        let inputs = |examples: &'a Examples, auxiliary_of: &[f32]| {
            let mut inputs = Inputs {
                examples,
                predictors: vec![0.0; examples.len() * predictors.count()],
                targets: Vec::with_capacity(examples.len() * (leads + auxiliaries)),
            };
            inputs.predictors.par_chunks_mut(predictors.count()).zip(&examples.origins).for_each_init(
                || vec![0.0; size],
                |window, (row, &origin)| {
                    dataset.fill(origin, window);
                    predictors.fill(window, row);
                },
            );
            for example in 0..examples.len() {
                inputs.targets.extend(&examples.targets[example * leads..][..leads]);
                let auxiliary_of = &auxiliary_of[example * auxiliaries..][..auxiliaries];
                inputs.targets.extend(auxiliary_of.iter().zip(&sizes).map(|(change, size)| change / size));
            }
            inputs
        };
        let train = inputs(&dataset.train, &of_train);
        let validation = inputs(&dataset.validation, &changes_within(&dataset.validation));
        PairData { dataset, predictors, train, validation, auxiliaries }
    }

    /// A branch with initial weights.
    pub fn branch(
        &self,
        kind: BranchKind,
        settings: &PairSettings,
        device: &Device,
        generator: &mut Pcg64,
    ) -> Branch {
        let [_, inputs] = self.predictors.sequence_shape();
        let (gru, mut width) = match kind {
            BranchKind::Dense => (None, self.predictors.count()),
            BranchKind::Recurrent => {
                let gru = GruConfig::new(inputs, settings.units).init(device, generator);
                (Some(gru), self.predictors.few() + settings.units)
            }
        };
        let mut hidden = Vec::new();
        for &units in &settings.hidden {
            hidden.push(Dense::new_uniform(width, units, device, generator));
            width = units;
        }
        let outputs = QUANTILES.len() * self.dataset.lead_h.len() + self.auxiliaries;
        let output = Dense::new_uniform(width, outputs, device, generator);
        Branch { gru, hidden, output, dropout: settings.dropout, state_dropout: settings.state_dropout }
    }

    /// The predictors that `branch` takes, and sequences if it takes such, of some examples.
    fn gather(&self, branch: &Branch, inputs: &Inputs, examples: &[usize]) -> (Vec<f32>, Option<Vec<f32>>) {
        let pick = |from: &[f32], stride: usize, width: usize| -> Vec<f32> {
            examples.iter().flat_map(|&example| &from[example * stride..][..width]).copied().collect()
        };
        let count = self.predictors.count();
        match branch.gru {
            None => (pick(&inputs.predictors, count, count), None),
            Some(_) => {
                let predictors = pick(&inputs.predictors, count, self.predictors.few());
                (predictors, Some(self.sequences(inputs, examples)))
            }
        }
    }

    /// The shortened sequences of some examples.
    fn sequences(&self, inputs: &Inputs, examples: &[usize]) -> Vec<f32> {
        let size = self.predictors.sequence_shape().iter().product();
        let mut sequences = vec![0.0; examples.len() * size];
        sequences.par_chunks_mut(size).zip(examples).for_each_init(
            || vec![0.0; self.dataset.windows.spec().len()],
            |window, (sequence, &example)| {
                self.dataset.fill(inputs.examples.origins[example], window);
                self.predictors.fill_sequence(window, sequence);
            },
        );
        sequences
    }

    /// The quantiles that a branch gives for all examples, `[example, lead, quantile]`; and how large its auxiliary outputs'
    /// errors are on average.
    fn predict(&self, branch: &Branch, inputs: &Inputs) -> (Vec<f32>, f64) {
        let device = branch.output.weight.val().device();
        let leads = self.dataset.lead_h.len();
        let kept = QUANTILES.len() * leads;
        let mut quantiles = Vec::with_capacity(inputs.examples.len() * kept);
        let (mut auxiliary_sum, mut auxiliary_count) = (0.0, 0_u64);
        let all: Vec<usize> = (0..inputs.examples.len()).collect();
        for chunk in all.chunks(CHUNK) {
            let (predictors, sequences) = self.gather(branch, inputs, chunk);
            let outputs =
                branch.forward_numbers(&self.predictors, predictors, sequences, chunk.len(), &device, None);
            let outputs = numbers(outputs);
            for (&example, outputs) in chunk.iter().zip(outputs.chunks_exact(kept + self.auxiliaries)) {
                quantiles.extend_from_slice(&outputs[..kept]);
                let targets =
                    &inputs.targets[example * (leads + self.auxiliaries) + leads..][..self.auxiliaries];
                for (target, output) in
                    targets.iter().zip(&outputs[kept..]).filter(|(target, _)| !target.is_nan())
                {
                    auxiliary_sum += f64::from((target - output).abs());
                    auxiliary_count += 1;
                }
            }
        }
        (quantiles, auxiliary_sum / auxiliary_count.max(1) as f64)
    }
}

impl PairData<'_> {
    /// The mean of the quantiles that two branches give for the validation part, `[example, lead, quantile]`.
    fn predict_both(&self, branches: &[Branch; 2]) -> Vec<f32> {
        let [mut outputs, others] =
            branches.each_ref().map(|branch| self.predict(branch, &self.validation).0);
        for (output, other) in outputs.iter_mut().zip(others) {
            *output = 0.5 * (*output + other);
        }
        outputs
    }

    /// Adds how far the validation part's outcomes lay from what was forecast.
    fn add_distances(&self, outputs: &[f32], distances: &mut Distances) {
        let leads = self.dataset.lead_h.len();
        let targets = &self.dataset.validation.targets;
        for (index, (&target, output)) in
            targets.iter().zip(outputs.chunks_exact(QUANTILES.len())).enumerate()
        {
            if !target.is_nan() {
                distances.add(index % leads, [output[0], output[MEDIAN], output[2]], target);
            }
        }
    }

    /// Adds how far outcomes lay from what branches forecast that were not trained on them.
    pub(super) fn verify(&self, branches: &[Branch; 2], distances: &mut Distances) {
        self.add_distances(&self.predict_both(branches), distances);
    }
}

/// One of the two branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchKind {
    /// Dense layers on all predictors.
    Dense,
    /// A GRU on the shortened sequence, and dense layers on its last state and the first predictors.
    Recurrent,
}

/// A branch: from predictors, and perhaps a sequence, to quantiles and auxiliary outputs.
#[derive(Module, Debug)]
pub struct Branch {
    gru: Option<Gru>,
    hidden: Vec<Dense>,
    output: Dense,
    dropout: f64,
    state_dropout: f64,
}

impl Branch {
    fn forward(
        &self,
        predictors: Tensor<2>,
        sequences: Option<Tensor<3>>,
        mut generator: Option<&mut Pcg64>,
    ) -> Tensor<2> {
        let mut state = predictors;
        if let (Some(gru), Some(sequences)) = (&self.gru, sequences) {
            let last = gru.forward(sequences, generator.as_deref_mut());
            let last = dropout(last, self.state_dropout, generator.as_deref_mut());
            state = Tensor::cat(vec![state, last], 1);
        }
        for dense in &self.hidden {
            state = relu(dense.forward(state));
            state = dropout(state, self.dropout, generator.as_deref_mut());
        }
        self.output.forward(state)
    }

    fn forward_numbers(
        &self,
        fitted: &Predictors,
        predictors: Vec<f32>,
        sequences: Option<Vec<f32>>,
        count: usize,
        device: &Device,
        generator: Option<&mut Pcg64>,
    ) -> Tensor<2> {
        let width = predictors.len() / count;
        let [steps, inputs] = fitted.sequence_shape();
        let sequences = sequences.map(|sequences| {
            Tensor::<3>::from_data(TensorData::new(sequences, [count, steps, inputs]), device)
        });
        let predictors = Tensor::<2>::from_data(TensorData::new(predictors, [count, width]), device);
        self.forward(predictors, sequences, generator)
    }
}

/// Learning one branch.
pub struct BranchObjective<'a> {
    data: &'a PairData<'a>,
    noise: f32,
    device: Device,
}

impl<'a> BranchObjective<'a> {
    /// The objective of a dataset.
    pub fn new(data: &'a PairData<'a>, settings: &PairSettings, device: Device) -> BranchObjective<'a> {
        BranchObjective { data, noise: settings.noise, device }
    }
}

/// Two independent numbers of the standard normal distribution (Box and Muller 1958).
fn normal(generator: &mut Pcg64) -> [f32; 2] {
    let radius = (-2.0 * (1.0 - generator.random::<f32>()).ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * generator.random::<f32>()).sin_cos();
    [radius * cos, radius * sin]
}

impl Objective for BranchObjective<'_> {
    type Model = Branch;

    fn examples(&self) -> usize {
        self.data.dataset.train.len()
    }

    fn loss(&self, model: &Branch, examples: &[usize], generator: &mut Pcg64) -> Tensor<1> {
        let data = self.data;
        let count = examples.len();
        let (mut predictors, sequences) = data.gather(model, &data.train, examples);
        if self.noise > 0.0 {
            for pair in predictors.chunks_mut(2) {
                for (predictor, noise) in pair.iter_mut().zip(normal(generator)) {
                    *predictor += self.noise * noise;
                }
            }
        }
        let output = model.forward_numbers(
            &data.predictors,
            predictors,
            sequences,
            count,
            &self.device,
            Some(generator),
        );
        // Each output's loss is weight · (τ·r + max(−r, 0)) with r = target − output: the pinball loss, and for τ = ½
        // half the absolute error.
        let leads = data.dataset.lead_h.len();
        let quantiles = QUANTILES.len() * leads;
        let width = quantiles + data.auxiliaries;
        let (mut targets, mut shares, mut weights) =
            (vec![0.0; count * width], vec![0.0; count * width], vec![0.0; count * width]);
        for (row, &example) in examples.iter().enumerate() {
            let of_example =
                &data.train.targets[example * (leads + data.auxiliaries)..][..leads + data.auxiliaries];
            for column in 0..width {
                let (target, share, weight) = if column < quantiles {
                    let share = QUANTILES[column % QUANTILES.len()];
                    (of_example[column / QUANTILES.len()], share, 2.0 / leads as f32)
                } else {
                    (
                        of_example[column - quantiles + leads],
                        0.5,
                        2.0 * AUXILIARY_WEIGHT / data.auxiliaries as f32,
                    )
                };
                if target.is_nan() {
                    continue;
                }
                let at = row * width + column;
                (targets[at], shares[at], weights[at]) = (target, share, weight / count as f32);
            }
        }
        let tensor = |numbers: Vec<f32>| {
            Tensor::<2>::from_data(TensorData::new(numbers, [count, width]), &self.device)
        };
        let residual = tensor(targets) - output;
        let loss = residual.clone() * tensor(shares) + relu(residual.neg());
        (loss * tensor(weights)).sum()
    }

    fn validate(&self, model: &Branch) -> Validation {
        let (outputs, auxiliary) = self.data.predict(model, &self.data.validation);
        let quantiles = validation_of(self.data.dataset, &outputs);
        Validation { loss: quantiles.loss + f64::from(AUXILIARY_WEIGHT) * auxiliary, ..quantiles }
    }
}

/// How good quantiles `[example, lead, quantile]` are on the validation part: the pinball loss, and the mean absolute error
/// of the median at the longest lead in °C.
fn validation_of(dataset: &Dataset, outputs: &[f32]) -> Validation {
    dataset.validation(outputs, |target, quantiles: [f32; QUANTILES.len()]| {
        std::array::from_fn(|index| {
            let (quantile, residual) = (QUANTILES[index], target - quantiles[index]);
            2.0 * f64::from((quantile * residual).max((quantile - 1.0) * residual))
        })
    })
}

/// Both branches, with intervals that fit the validation part.
#[derive(Debug, Clone)]
pub struct Pair {
    predictors: Predictors,
    branches: [Branch; 2],
    /// By lead: how far the outer quantiles are drawn away from the median.
    half_width_factors: Vec<f32>,
    /// By lead: how many of the target's standard deviations a unit of what was learned is.
    scale: Vec<f32>,
}

impl Pair {
    /// Puts trained branches together, with what the interval is stretched by at each lead.
    pub fn new(data: &PairData, branches: [Branch; 2], half_width_factors: Vec<f32>) -> Pair {
        Pair {
            predictors: data.predictors.clone(),
            branches,
            half_width_factors,
            scale: data.dataset.scale.clone(),
        }
    }

    /// Puts trained branches together, and says how good they are on the validation part, which the interval is stretched
    /// to fit.
    pub fn calibrated(data: &PairData, branches: [Branch; 2]) -> (Pair, Validation) {
        let outputs = data.predict_both(&branches);
        let mut distances = Distances::none(data.dataset.lead_h.len());
        data.add_distances(&outputs, &mut distances);
        let half_width_factors = distances.half_width_factors(COVERAGE);
        (Pair::new(data, branches, half_width_factors), validation_of(data.dataset, &outputs))
    }

    /// What the graph gives for normalised windows, `[window, lead, quantile]`, by burn.
    pub fn forward(&self, windows: &[f32], count: usize) -> Vec<f32> {
        let predictors = &self.predictors;
        let sequence = predictors.sequence_shape().iter().product();
        let (mut all, mut few, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
        let mut row = vec![0.0; predictors.count()];
        let mut steps = vec![0.0; sequence];
        for window in windows.chunks_exact(windows.len() / count) {
            predictors.fill(window, &mut row);
            predictors.fill_sequence(window, &mut steps);
            all.extend_from_slice(&row);
            few.extend_from_slice(&row[..predictors.few()]);
            sequences.extend_from_slice(&steps);
        }
        let kept = QUANTILES.len() * self.scale.len();
        let run = |branch: &Branch, predictors: &[f32], sequences: Option<Vec<f32>>| {
            let device = branch.output.weight.val().device();
            let output = branch.forward_numbers(
                &self.predictors,
                predictors.to_vec(),
                sequences,
                count,
                &device,
                None,
            );
            numbers(output.slice([0..count, 0..kept]))
        };
        let [dense, recurrent] = &self.branches;
        let mut outputs = run(dense, &all, None);
        let others = run(recurrent, &few, Some(sequences));
        for (index, (output, other)) in outputs.chunks_exact_mut(3).zip(others.chunks_exact(3)).enumerate() {
            let lead = index % self.scale.len();
            let mean = [0, 1, 2].map(|quantile| 0.5 * (output[quantile] + other[quantile]));
            for (quantile, output) in output.iter_mut().enumerate() {
                let scaled = mean[MEDIAN] + self.half_width_factors[lead] * (mean[quantile] - mean[MEDIAN]);
                *output = self.scale[lead] * scaled;
            }
        }
        outputs
    }

    /// The pair as a graph. Averaging, stretching and units are all linear and go into the last layers.
    pub fn export(&self, dataset: &Dataset) -> Model {
        let spec = dataset.windows.spec();
        let leads = self.scale.len();
        let mut graph = GraphBuilder::new();
        let window = forecastd_model::Artefact::INPUT;
        let predictors = self.predictors.export(&mut graph, window);
        let sequence = self.predictors.export_sequence(&mut graph, window);
        let outputs = self.branches.each_ref().map(|branch| {
            let mut state = predictors.clone();
            if let Some(gru) = &branch.gru {
                let last = graph.recurrent(&sequence, &[gru.onnx_layer()], false);
                let columns: Vec<i64> = (0..self.predictors.few() as i64).collect();
                let columns = graph.integers("columns", &columns);
                let few = graph.node(
                    "Gather",
                    &[&predictors, &columns],
                    vec![forecastd_model::onnx::Attribute::int("axis", 1)],
                );
                state = graph.node(
                    "Concat",
                    &[&few, &last],
                    vec![forecastd_model::onnx::Attribute::int("axis", 1)],
                );
            }
            for dense in &branch.hidden {
                let linear = graph.dense(&state, &dense.numbers());
                state = graph.node("Relu", &[&linear], Vec::new());
            }
            let kept: Vec<usize> = (0..QUANTILES.len() * leads).collect();
            let mut last = branch.output.numbers().select_outputs(&kept);
            for row in last.weight.chunks_exact_mut(last.outputs) {
                self.finish(row);
            }
            self.finish(&mut last.bias);
            graph.dense(&state, &last)
        });
        let sum = graph.node("Add", &[&outputs[0], &outputs[1]], Vec::new());
        let shape = graph.integers("shape", &[0, leads as i64, QUANTILES.len() as i64]);
        let quantiles = graph.node("Reshape", &[&sum, &shape], Vec::new());
        graph.finish(&quantiles, [spec.samples, spec.features.len()], &[leads, QUANTILES.len()])
    }

    /// Takes numbers `[lead, quantile]` of one branch to its half of the forecast.
    fn finish(&self, row: &mut [f32]) {
        for (lead, quantiles) in row.chunks_exact_mut(QUANTILES.len()).enumerate() {
            let median = quantiles[MEDIAN];
            for value in quantiles {
                *value =
                    0.5 * self.scale[lead] * (median + self.half_width_factors[lead] * (*value - median));
            }
        }
    }
}
