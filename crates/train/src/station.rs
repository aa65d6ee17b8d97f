//! Forecasting a station's temperature: the objective that networks on windows are trained for.

use burn::tensor::{Device, Tensor, TensorData};
use rand_pcg::Pcg64;

use super::dataset::{Dataset, Examples};
use super::epoch::Validation;
use super::fit::Objective;
use super::network::Network;
use super::parameters::numbers;

/// How many windows are validated at once.
const VALIDATION_BATCH: usize = 1024;

/// Windows to temperatures at all leads, by the mean absolute error.
pub(crate) struct StationObjective<'a> {
    dataset: &'a Dataset,
    device: Device,
    all: Vec<usize>,
}

impl<'a> StationObjective<'a> {
    /// The objective of a dataset.
    pub(crate) fn new(dataset: &'a Dataset, device: Device) -> StationObjective<'a> {
        StationObjective { dataset, device, all: (0..dataset.validation.len()).collect() }
    }

    fn windows(&self, examples: &Examples, indices: &[usize], device: &Device) -> Tensor<3> {
        let spec = self.dataset.windows.spec();
        let windows = self.dataset.gather(examples, indices);
        Tensor::from_data(
            TensorData::new(windows, [indices.len(), spec.samples, spec.features.len()]),
            device,
        )
    }

    /// The network's numbers for every example of a part, `[example, lead]`.
    pub(crate) fn predict(&self, model: &Network, examples: &Examples, indices: &[usize]) -> Vec<f32> {
        let device = model.output.weight.val().device();
        indices
            .chunks(VALIDATION_BATCH)
            .flat_map(|chunk| numbers(model.forward(self.windows(examples, chunk, &device), None)))
            .collect()
    }
}

/// Mean absolute error over the targets that are there, as a tensor.
pub(crate) fn masked_absolute_error(output: Tensor<2>, targets: Vec<f32>) -> Tensor<1> {
    let [batch, leads] = output.dims();
    let device = output.device();
    let count = targets.iter().filter(|target| !target.is_nan()).count().max(1);
    let whole = count == targets.len();
    let tensor = |numbers: Vec<f32>| Tensor::from_data(TensorData::new(numbers, [batch, leads]), &device);
    if whole {
        return (output - tensor(targets)).abs().mean();
    }
    let present = targets.iter().map(|target| if target.is_nan() { 0.0 } else { 1.0 }).collect();
    let filled = targets.iter().map(|target| if target.is_nan() { 0.0 } else { *target }).collect();
    ((output - tensor(filled)) * tensor(present)).abs().sum().div_scalar(count as f32)
}

impl Objective for StationObjective<'_> {
    type Model = Network;

    fn examples(&self) -> usize {
        self.dataset.train.len()
    }

    fn loss(&self, model: &Network, examples: &[usize], generator: &mut Pcg64) -> Tensor<1> {
        let output =
            model.forward(self.windows(&self.dataset.train, examples, &self.device), Some(generator));
        let leads = self.dataset.lead_h.len();
        let targets = examples
            .iter()
            .flat_map(|&example| &self.dataset.train.targets[example * leads..][..leads])
            .copied()
            .collect();
        masked_absolute_error(output, targets)
    }

    fn validate(&self, model: &Network) -> Validation {
        let outputs = self.predict(model, &self.dataset.validation, &self.all);
        self.dataset.validation(&outputs, |target, [output]| [f64::from((output - target).abs())])
    }
}
