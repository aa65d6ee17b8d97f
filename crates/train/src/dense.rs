//! A fully connected layer, and dropout, with randomness from a generator that the caller owns.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_pcg::Pcg64;

use super::parameters::numbers;
use super::recurrent::glorot_uniform;

/// `x · weight + bias`.
#[derive(Module, Debug)]
pub struct Dense {
    /// The weights, `[inputs, outputs]`.
    pub weight: Param<Tensor<2>>,
    /// The bias of each output.
    pub bias: Param<Tensor<1>>,
}

impl Dense {
    /// A layer with Keras' initial weights: Glorot-uniform, no bias.
    pub fn new(inputs: usize, outputs: usize, device: &Device, generator: &mut Pcg64) -> Dense {
        let weight = glorot_uniform(inputs, outputs, generator);
        Dense::from_numbers(DenseNumbers { inputs, outputs, weight, bias: vec![0.0; outputs] }, device)
    }

    /// A layer with uniform initial weights and biases in ±1/√inputs (PyTorch's; LeCun et al. 1998).
    pub fn new_uniform(inputs: usize, outputs: usize, device: &Device, generator: &mut Pcg64) -> Dense {
        let limit = 1.0 / (inputs as f32).sqrt();
        let mut draw = |count: usize| (0..count).map(|_| generator.random_range(-limit..limit)).collect();
        let (weight, bias) = (draw(inputs * outputs), draw(outputs));
        Dense::from_numbers(DenseNumbers { inputs, outputs, weight, bias }, device)
    }

    /// A layer with given numbers.
    pub fn from_numbers(numbers: DenseNumbers, device: &Device) -> Dense {
        let DenseNumbers { inputs, outputs, weight, bias } = numbers;
        Dense {
            weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), device),
            bias: Param::from_data(TensorData::new(bias, [outputs]), device),
        }
    }

    /// `[batch, inputs]` to `[batch, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }

    /// Weight `[inputs, outputs]` and bias as numbers, with the layer's sizes.
    pub fn numbers(&self) -> DenseNumbers {
        let [inputs, outputs] = self.weight.val().dims();
        DenseNumbers { inputs, outputs, weight: numbers(self.weight.val()), bias: numbers(self.bias.val()) }
    }
}

/// A dense layer's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseNumbers {
    /// The number of inputs.
    pub inputs: usize,
    /// The number of outputs.
    pub outputs: usize,
    /// The weights, `[inputs, outputs]`, row by row.
    pub weight: Vec<f32>,
    /// The bias of each output.
    pub bias: Vec<f32>,
}

impl DenseNumbers {
    /// Multiplies each output by a factor of its own and adds an offset.
    pub fn scale_outputs(&mut self, factors: &[f32], offsets: &[f32]) {
        for row in self.weight.chunks_exact_mut(self.outputs) {
            row.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= factor);
        }
        for ((bias, factor), offset) in self.bias.iter_mut().zip(factors).zip(offsets) {
            *bias = *bias * factor + offset;
        }
    }

    /// Only the outputs at `kept`, in that order.
    pub fn select_outputs(&self, kept: &[usize]) -> DenseNumbers {
        let weight =
            self.weight.chunks_exact(self.outputs).flat_map(|row| kept.iter().map(|&output| row[output]));
        DenseNumbers {
            inputs: self.inputs,
            outputs: kept.len(),
            weight: weight.collect(),
            bias: kept.iter().map(|&output| self.bias[output]).collect(),
        }
    }
}

/// Leaves out a share of the numbers and strengthens the others in turn; nothing without a generator.
pub fn dropout(x: Tensor<2>, share: f64, generator: Option<&mut Pcg64>) -> Tensor<2> {
    let Some(generator) = generator.filter(|_| share > 0.0) else { return x };
    let kept = (1.0 / (1.0 - share)) as f32;
    let limit = (share * f64::from(u32::MAX)) as u32;
    let shape = x.dims();
    let draw = || if generator.random::<u32>() < limit { 0.0 } else { kept };
    let mask: Vec<f32> = std::iter::repeat_with(draw).take(shape[0] * shape[1]).collect();
    let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}
