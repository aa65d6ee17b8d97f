//! Recurrent layers for burn.
//!
//! burn composes a recurrent layer of one small operation per gate and step; ours is one operation per layer and pass
//! (see [`RecurrentOps`] and [`forecastd_recurrent`]). Initial weights and dropout masks come from
//! a generator that the caller owns, seeds and can save: nothing here touches a global one, so the same seed gives the same
//! training bit for bit.

use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand_pcg::Pcg64;

pub use forecastd_recurrent::Activation;
use forecastd_recurrent::{self as kernel, InstructionSet, Output};

use super::parameters::numbers;

pub use super::initial::{glorot_uniform, orthogonal};
pub use super::recurrent_ops::*;

/// Weights of a layer in the layout of the ONNX operators `GRU` and `LSTM`, for one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxWeights {
    /// Features of a time step.
    pub inputs: usize,
    /// The number of units.
    pub units: usize,
    /// `W` `[gates · units, inputs]`
    pub input: Vec<f32>,
    /// `R` `[gates · units, units]`
    pub recurrent: Vec<f32>,
    /// `B` `[2 · gates · units]`: `Wb` followed by `Rb`
    pub bias: Vec<f32>,
}

/// A cell as the operators of ONNX know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxCell {
    /// ONNX' operator `GRU`.
    Gru {
        /// The attribute `linear_before_reset`.
        reset_after: bool,
    },
    /// ONNX' operator `LSTM`.
    Lstm,
}

/// A layer for export: all that inference needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxLayer {
    /// The operator, and what there is to choose of it.
    pub cell: OnnxCell,
    /// Whether time is walked backwards.
    pub reverse: bool,
    /// The activation of a GRU's candidate, of an LSTM's candidate and output.
    pub activation: Activation,
    /// The weights, in the operator's layout.
    pub weights: OnnxWeights,
}

/// A GRU layer to be made.
#[derive(Config, Debug)]
pub struct GruConfig {
    /// Features of a time step.
    pub d_input: usize,
    /// The number of units.
    pub d_hidden: usize,
    /// Whether time is walked backwards.
    #[config(default = false)]
    pub reverse: bool,
    /// Whether the reset gate is applied after the recurrent product, as Keras, PyTorch and ONNX with
    /// `linear_before_reset = 1` do.
    #[config(default = true)]
    pub reset_after: bool,
    /// The candidate's activation.
    #[config(default = "Activation::Tanh")]
    pub activation: Activation,
    /// Share of the inputs that is left out of a sequence in training, 0 to below 1.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Share of the state that is left out of a sequence's recurrent products in training, 0 to below 1.
    #[config(default = 0.0)]
    pub recurrent_dropout: f64,
}

impl GruConfig {
    /// A layer with Keras' initial weights: Glorot-uniform input weights, orthogonal recurrent weights, no bias.
    ///
    /// # Panics
    /// If a dropout is not in `[0, 1)`.
    pub fn init(&self, device: &Device, generator: &mut Pcg64) -> Gru {
        check_dropout(self.dropout);
        check_dropout(self.recurrent_dropout);
        let (inputs, units) = (self.d_input, self.d_hidden);
        let rows = 3 * units;
        let zeros = || Param::from_data(TensorData::zeros::<f32, _>([rows]), device);
        Gru {
            input_weight: param(glorot_uniform(rows, inputs, generator), [rows, inputs], device),
            recurrent_weight: param(orthogonal(rows, units, generator), [rows, units], device),
            input_bias: zeros(),
            recurrent_bias: self.reset_after.then(zeros),
            reverse: self.reverse,
            reset_after: self.reset_after,
            activation: self.activation,
            dropout: self.dropout,
            recurrent_dropout: self.recurrent_dropout,
        }
    }
}

/// A gated recurrent unit layer; equations in [`forecastd_recurrent::Gru`].
#[derive(Module, Debug)]
pub struct Gru {
    /// `W` `[3 units, inputs]`, gates z, r, h.
    pub input_weight: Param<Tensor<2>>,
    /// `R` `[3 units, units]`.
    pub recurrent_weight: Param<Tensor<2>>,
    /// `Wb` `[3 units]`.
    pub input_bias: Param<Tensor<1>>,
    /// `Rb` `[3 units]`; without `reset_after` it would say the same as `Wb` and is left out, as in Keras.
    pub recurrent_bias: Option<Param<Tensor<1>>>,
    /// Whether time is walked backwards.
    pub reverse: bool,
    /// Whether the reset gate is applied after the recurrent product.
    pub reset_after: bool,
    /// The candidate's activation.
    #[module(skip)]
    pub activation: Activation,
    /// Share of the inputs left out in training.
    pub dropout: f64,
    /// Share of the state left out in training.
    pub recurrent_dropout: f64,
}

impl Gru {
    /// The layer of weights that the operator `GRU` had, with `linear_before_reset` and the usual activations, forwards.
    ///
    /// # Panics
    /// If there are not as many numbers as units and inputs need.
    pub fn from_onnx(weights: OnnxWeights, device: &Device) -> Gru {
        let OnnxWeights { inputs, units, input, recurrent, bias } = weights;
        let rows = 3 * units;
        Gru {
            input_weight: param(input, [rows, inputs], device),
            recurrent_weight: param(recurrent, [rows, units], device),
            input_bias: param(bias[..rows].to_vec(), [rows], device),
            recurrent_bias: Some(param(bias[rows..].to_vec(), [rows], device)),
            reverse: false,
            reset_after: true,
            activation: Activation::Tanh,
            dropout: 0.0,
            recurrent_dropout: 0.0,
        }
    }

    /// The state after the whole sequence: `x` `[batch, steps, inputs]` to `[batch, units]`.
    ///
    /// With a generator dropout masks are drawn from it, if the layer has dropout; without, for inference, there is none.
    pub fn forward(&self, x: Tensor<3>, generator: Option<&mut Pcg64>) -> Tensor<2> {
        Tensor::from_dispatch(self.pass(x, generator, Output::LastState))
    }

    /// The state after every time step: `x` `[batch, steps, inputs]` to `[batch, steps, units]`.
    ///
    /// A reversed layer puts each state at the place of the time step it was made at. Dropout as in
    /// [`forward`](Self::forward).
    pub fn forward_sequence(&self, x: Tensor<3>, generator: Option<&mut Pcg64>) -> Tensor<3> {
        Tensor::from_dispatch(self.pass(x, generator, Output::Sequence))
    }

    /// The layer for export.
    pub fn onnx_layer(&self) -> OnnxLayer {
        OnnxLayer {
            cell: OnnxCell::Gru { reset_after: self.reset_after },
            reverse: self.reverse,
            activation: self.activation,
            weights: self.onnx_weights(),
        }
    }

    /// Weights for export; a missing `Rb` is zero.
    pub fn onnx_weights(&self) -> OnnxWeights {
        let [rows, inputs] = self.input_weight.val().dims();
        let mut bias = numbers(self.input_bias.val());
        bias.extend(match &self.recurrent_bias {
            Some(recurrent_bias) => numbers(recurrent_bias.val()),
            None => vec![0.0; rows],
        });
        OnnxWeights {
            inputs,
            units: rows / 3,
            input: numbers(self.input_weight.val()),
            recurrent: numbers(self.recurrent_weight.val()),
            bias,
        }
    }

    fn pass(
        &self,
        x: Tensor<3>,
        generator: Option<&mut Pcg64>,
        output: Output,
    ) -> burn::backend::DispatchTensor {
        let [batch, _, inputs] = x.dims();
        let [rows, units] = self.recurrent_weight.val().dims();
        let masks = DrawnMasks::draw(generator, [batch, inputs, units], self.dropout, self.recurrent_dropout);
        let layer = kernel::Gru {
            reset_after: self.reset_after,
            reverse: self.reverse,
            activation: self.activation,
            output,
            instruction_set: InstructionSet::detect(),
        };
        let recurrent_bias = match &self.recurrent_bias {
            Some(recurrent_bias) => recurrent_bias.val(),
            None => Tensor::zeros([rows], &x.device()),
        };
        <Dispatch as RecurrentOps>::gru(
            x.into_dispatch(),
            self.input_weight.val().into_dispatch(),
            self.recurrent_weight.val().into_dispatch(),
            self.input_bias.val().into_dispatch(),
            recurrent_bias.into_dispatch(),
            GruPass { layer, masks },
        )
    }
}

/// An LSTM layer to be made.
#[derive(Config, Debug)]
pub struct LstmConfig {
    /// Features of a time step.
    pub d_input: usize,
    /// The number of units.
    pub d_hidden: usize,
    /// Whether time is walked backwards.
    #[config(default = false)]
    pub reverse: bool,
    /// The activation of candidate and output.
    #[config(default = "Activation::Tanh")]
    pub activation: Activation,
    /// Share of the inputs that is left out of a sequence in training, 0 to below 1.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Share of the state that is left out of a sequence's recurrent products in training, 0 to below 1.
    #[config(default = 0.0)]
    pub recurrent_dropout: f64,
}

impl LstmConfig {
    /// A layer with Keras' initial weights: Glorot-uniform input weights, orthogonal recurrent weights, no bias except one
    /// for the forget gate (Jozefowicz et al. 2015).
    ///
    /// # Panics
    /// If a dropout is not in `[0, 1)`.
    pub fn init(&self, device: &Device, generator: &mut Pcg64) -> Lstm {
        check_dropout(self.dropout);
        check_dropout(self.recurrent_dropout);
        let (inputs, units) = (self.d_input, self.d_hidden);
        let rows = 4 * units;
        let mut bias = vec![0.0; rows];
        bias[2 * units..3 * units].fill(1.0);
        Lstm {
            input_weight: param(glorot_uniform(rows, inputs, generator), [rows, inputs], device),
            recurrent_weight: param(orthogonal(rows, units, generator), [rows, units], device),
            bias: Param::from_data(TensorData::new(bias, [rows]), device),
            reverse: self.reverse,
            activation: self.activation,
            dropout: self.dropout,
            recurrent_dropout: self.recurrent_dropout,
        }
    }
}

/// A long short-term memory layer; equations in [`forecastd_recurrent::Lstm`].
#[derive(Module, Debug)]
pub struct Lstm {
    /// `W` `[4 units, inputs]`, gates i, o, f, c.
    pub input_weight: Param<Tensor<2>>,
    /// `R` `[4 units, units]`.
    pub recurrent_weight: Param<Tensor<2>>,
    /// `Wb + Rb` `[4 units]`; one bias says all that two could.
    pub bias: Param<Tensor<1>>,
    /// Whether time is walked backwards.
    pub reverse: bool,
    /// The activation of candidate and output.
    #[module(skip)]
    pub activation: Activation,
    /// Share of the inputs left out in training.
    pub dropout: f64,
    /// Share of the state left out in training.
    pub recurrent_dropout: f64,
}

impl Lstm {
    /// The output after the whole sequence: `x` `[batch, steps, inputs]` to `[batch, units]`.
    ///
    /// With a generator dropout masks are drawn from it, if the layer has dropout; without, for inference, there is none.
    pub fn forward(&self, x: Tensor<3>, generator: Option<&mut Pcg64>) -> Tensor<2> {
        Tensor::from_dispatch(self.pass(x, generator, Output::LastState))
    }

    /// The output after every time step: `x` `[batch, steps, inputs]` to `[batch, steps, units]`.
    ///
    /// A reversed layer puts each output at the place of the time step it was made at. Dropout as in
    /// [`forward`](Self::forward).
    pub fn forward_sequence(&self, x: Tensor<3>, generator: Option<&mut Pcg64>) -> Tensor<3> {
        Tensor::from_dispatch(self.pass(x, generator, Output::Sequence))
    }

    /// The layer for export.
    pub fn onnx_layer(&self) -> OnnxLayer {
        OnnxLayer {
            cell: OnnxCell::Lstm,
            reverse: self.reverse,
            activation: self.activation,
            weights: self.onnx_weights(),
        }
    }

    /// Weights for export; `Rb` is zero.
    pub fn onnx_weights(&self) -> OnnxWeights {
        let [rows, inputs] = self.input_weight.val().dims();
        let mut bias = numbers(self.bias.val());
        bias.resize(2 * rows, 0.0);
        OnnxWeights {
            inputs,
            units: rows / 4,
            input: numbers(self.input_weight.val()),
            recurrent: numbers(self.recurrent_weight.val()),
            bias,
        }
    }

    fn pass(
        &self,
        x: Tensor<3>,
        generator: Option<&mut Pcg64>,
        output: Output,
    ) -> burn::backend::DispatchTensor {
        let [batch, _, inputs] = x.dims();
        let [_, units] = self.recurrent_weight.val().dims();
        let masks = DrawnMasks::draw(generator, [batch, inputs, units], self.dropout, self.recurrent_dropout);
        let layer = kernel::Lstm {
            reverse: self.reverse,
            activation: self.activation,
            output,
            instruction_set: InstructionSet::detect(),
        };
        <Dispatch as RecurrentOps>::lstm(
            x.into_dispatch(),
            self.input_weight.val().into_dispatch(),
            self.recurrent_weight.val().into_dispatch(),
            self.bias.val().into_dispatch(),
            LstmPass { layer, masks },
        )
    }
}

fn param<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

fn check_dropout(dropout: f64) {
    assert!((0.0..1.0).contains(&dropout), "dropout must be at least 0 and below 1, not {dropout}");
}
