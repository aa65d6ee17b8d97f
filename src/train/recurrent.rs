//! Recurrent layers for burn: the hand-written kernels as operations with their own backward pass.
//!
//! burn composes a recurrent layer of one small operation per gate and step; ours is one operation per layer and pass
//! (see [`kernel`](super::kernel)). [`RecurrentOps`] is the backend extension that brings it to burn, [`Gru`] and [`Lstm`]
//! are the layers. Initial weights and dropout masks come from a generator that the caller owns, seeds and can save:
//! nothing here touches a global one, so the same seed gives the same training bit for bit.

use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_pcg::Pcg64;

pub use super::kernel::activation::Activation;
use super::kernel::gru::{self, GruWeights};
use super::kernel::lstm::{self, LstmWeights};
use super::kernel::recurrence::{Masks, Memory, Output, Sizes};
use super::kernel::simd::InstructionSet;

/// Tensors of the backend that the kernels work on.
type FlexTensor = FloatTensor<Flex>;

/// Dropout masks of one pass, drawn once for all time steps.
#[derive(Clone, Debug, Default)]
pub struct DrawnMasks {
    /// For the inputs, `[batch, inputs]`; none without dropout.
    pub input: Option<Arc<[f32]>>,
    /// For the state, `[batch, units]`; none without dropout.
    pub state: Option<Arc<[f32]>>,
}

impl DrawnMasks {
    fn draw(
        generator: Option<&mut Pcg64>,
        [batch, inputs, units]: [usize; 3],
        dropout: f64,
        recurrent_dropout: f64,
    ) -> Self {
        let Some(generator) = generator else { return Self::default() };
        let input = draw_mask(generator, batch * inputs, dropout);
        let state = draw_mask(generator, batch * units, recurrent_dropout);
        Self { input, state }
    }

    fn as_slices(&self) -> Masks<'_> {
        Masks { input: self.input.as_deref(), state: self.state.as_deref() }
    }

    fn is_empty(&self) -> bool {
        self.input.is_none() && self.state.is_none()
    }
}

fn draw_mask(generator: &mut Pcg64, length: usize, dropout: f64) -> Option<Arc<[f32]>> {
    if dropout == 0.0 {
        return None;
    }
    let kept = (1.0 / (1.0 - dropout)) as f32;
    let draw = || if generator.random::<f64>() < dropout { 0.0 } else { kept };
    Some(std::iter::repeat_with(draw).take(length).collect())
}

/// One pass through a GRU layer.
#[derive(Clone, Debug)]
pub struct GruPass {
    /// What the layer does besides its weights.
    pub layer: gru::Gru,
    /// Dropout masks.
    pub masks: DrawnMasks,
}

/// One pass through an LSTM layer.
#[derive(Clone, Debug)]
pub struct LstmPass {
    /// What the layer does besides its weights.
    pub layer: lstm::Lstm,
    /// Dropout masks.
    pub masks: DrawnMasks,
}

/// Recurrent layers as single operations of a backend.
///
/// Shapes as in [`kernel::gru`](super::kernel::gru) and [`kernel::lstm`](super::kernel::lstm): `x` `[batch, steps, inputs]`,
/// weights in the layout of ONNX, the result `[batch, units]` or `[batch, steps, units]`.
#[backend_extension(Flex, Autodiff)]
pub trait RecurrentOps: Backend {
    /// A GRU layer.
    fn gru(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        input_bias: FloatTensor<Self>,
        recurrent_bias: FloatTensor<Self>,
        pass: GruPass,
    ) -> FloatTensor<Self>;

    /// An LSTM layer.
    fn lstm(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        pass: LstmPass,
    ) -> FloatTensor<Self>;
}

/// The values of a tensor that [`contiguous`] made.
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("the tensor was made contiguous and recurrent layers are single precision")
}

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn sizes(x: &FlexTensor, recurrent: &FlexTensor) -> Sizes {
    let [batch, steps, inputs] = x.shape().dims();
    let [_, units] = recurrent.shape().dims();
    Sizes { batch, steps, inputs, units }
}

fn out_tensor(values: Vec<f32>, sizes: Sizes, output: Output) -> FlexTensor {
    match output {
        Output::LastState => tensor(values, [sizes.batch, sizes.units]),
        Output::Sequence => tensor(values, [sizes.batch, sizes.steps, sizes.units]),
    }
}

/// Weights of a GRU layer as tensors, kept for the backward pass.
#[derive(Clone, Debug)]
struct GruTensors([FlexTensor; 4]);

impl GruTensors {
    fn as_slices(&self) -> GruWeights<'_> {
        let [input, recurrent, input_bias, recurrent_bias] = self.0.each_ref().map(values);
        GruWeights { input, recurrent, input_bias, recurrent_bias }
    }
}

/// Weights of an LSTM layer as tensors, kept for the backward pass.
#[derive(Clone, Debug)]
struct LstmTensors([FlexTensor; 3]);

impl LstmTensors {
    fn as_slices(&self) -> LstmWeights<'_> {
        let [input, recurrent, bias] = self.0.each_ref().map(values);
        LstmWeights { input, recurrent, bias }
    }
}

impl RecurrentOps for Flex {
    fn gru(
        x: FlexTensor,
        input: FlexTensor,
        recurrent: FlexTensor,
        input_bias: FlexTensor,
        recurrent_bias: FlexTensor,
        pass: GruPass,
    ) -> FlexTensor {
        let sizes = sizes(&x, &recurrent);
        let x = contiguous(x);
        let weights = GruTensors([input, recurrent, input_bias, recurrent_bias].map(contiguous));
        let mut out = vec![0.0; sizes.batch * pass.layer.output.per_sequence(sizes)];
        if pass.masks.is_empty() {
            pass.layer.infer(sizes, values(&x), weights.as_slices(), &mut out);
        } else {
            let masks = pass.masks.as_slices();
            pass.layer.forward(sizes, values(&x), weights.as_slices(), masks, &mut out);
        }
        out_tensor(out, sizes, pass.layer.output)
    }

    fn lstm(
        x: FlexTensor,
        input: FlexTensor,
        recurrent: FlexTensor,
        bias: FlexTensor,
        pass: LstmPass,
    ) -> FlexTensor {
        let sizes = sizes(&x, &recurrent);
        let x = contiguous(x);
        let weights = LstmTensors([input, recurrent, bias].map(contiguous));
        let mut out = vec![0.0; sizes.batch * pass.layer.output.per_sequence(sizes)];
        if pass.masks.is_empty() {
            pass.layer.infer(sizes, values(&x), weights.as_slices(), &mut out);
        } else {
            let masks = pass.masks.as_slices();
            pass.layer.forward(sizes, values(&x), weights.as_slices(), masks, &mut out);
        }
        out_tensor(out, sizes, pass.layer.output)
    }
}

/// What the backward pass of a layer needs.
#[derive(Clone)]
struct Kept<Layer, Weights> {
    layer: Layer,
    weights: Weights,
    memory: Arc<Memory>,
}

impl<Layer: fmt::Debug, Weights> fmt::Debug for Kept<Layer, Weights> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.memory.sizes();
        formatter.debug_struct("Kept").field("layer", &self.layer).field("sizes", &sizes).finish()
    }
}

#[derive(Debug)]
struct GruBackward;

impl Backward<Flex, 5> for GruBackward {
    type State = Kept<gru::Gru, GruTensors>;

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Kept { layer, weights, memory } = ops.state;
        let out_gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let Sizes { batch, steps, inputs, units } = memory.sizes();
        let [x, input, recurrent, input_bias, recurrent_bias] = ops.parents;
        let mut x_gradient = x.is_some().then(|| vec![0.0; batch * steps * inputs]);
        let gradients =
            layer.backward(&memory, weights.as_slices(), values(&out_gradient), x_gradient.as_deref_mut());
        if let (Some(x), Some(gradient)) = (x, x_gradient) {
            grads.register::<Flex>(x.id, tensor(gradient, [batch, steps, inputs]));
        }
        if let Some(node) = input {
            grads.register::<Flex>(node.id, tensor(gradients.input, [3 * units, inputs]));
        }
        if let Some(node) = recurrent {
            grads.register::<Flex>(node.id, tensor(gradients.recurrent, [3 * units, units]));
        }
        if let Some(node) = input_bias {
            grads.register::<Flex>(node.id, tensor(gradients.input_bias, [3 * units]));
        }
        if let Some(node) = recurrent_bias {
            grads.register::<Flex>(node.id, tensor(gradients.recurrent_bias, [3 * units]));
        }
    }
}

#[derive(Debug)]
struct LstmBackward;

impl Backward<Flex, 4> for LstmBackward {
    type State = Kept<lstm::Lstm, LstmTensors>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Kept { layer, weights, memory } = ops.state;
        let out_gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let Sizes { batch, steps, inputs, units } = memory.sizes();
        let [x, input, recurrent, bias] = ops.parents;
        let mut x_gradient = x.is_some().then(|| vec![0.0; batch * steps * inputs]);
        let gradients =
            layer.backward(&memory, weights.as_slices(), values(&out_gradient), x_gradient.as_deref_mut());
        if let (Some(x), Some(gradient)) = (x, x_gradient) {
            grads.register::<Flex>(x.id, tensor(gradient, [batch, steps, inputs]));
        }
        if let Some(node) = input {
            grads.register::<Flex>(node.id, tensor(gradients.input, [4 * units, inputs]));
        }
        if let Some(node) = recurrent {
            grads.register::<Flex>(node.id, tensor(gradients.recurrent, [4 * units, units]));
        }
        if let Some(node) = bias {
            grads.register::<Flex>(node.id, tensor(gradients.bias, [4 * units]));
        }
    }
}

impl<C: CheckpointStrategy> RecurrentOps for Autodiff<Flex, C> {
    fn gru(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        input_bias: FloatTensor<Self>,
        recurrent_bias: FloatTensor<Self>,
        pass: GruPass,
    ) -> FloatTensor<Self> {
        let tensors = [x, input, recurrent, input_bias, recurrent_bias];
        let nodes = tensors.each_ref().map(|tensor| tensor.node());
        let [x, input, recurrent, input_bias, recurrent_bias] = tensors.map(|tensor| tensor.into_primitive());
        match GruBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(prepared) => prepared.finish(<Flex as RecurrentOps>::gru(
                x,
                input,
                recurrent,
                input_bias,
                recurrent_bias,
                pass,
            )),
            OpsKind::Tracked(prepared) => {
                let sizes = sizes(&x, &recurrent);
                let x = contiguous(x);
                let weights = GruTensors([input, recurrent, input_bias, recurrent_bias].map(contiguous));
                let GruPass { layer, masks } = pass;
                let mut out = vec![0.0; sizes.batch * layer.output.per_sequence(sizes)];
                let slices = weights.as_slices();
                let memory = layer.forward(sizes, values(&x), slices, masks.as_slices(), &mut out);
                let kept = Kept { layer, weights, memory: Arc::new(memory) };
                prepared.finish(kept, out_tensor(out, sizes, layer.output))
            }
        }
    }

    fn lstm(
        x: FloatTensor<Self>,
        input: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        pass: LstmPass,
    ) -> FloatTensor<Self> {
        let tensors = [x, input, recurrent, bias];
        let nodes = tensors.each_ref().map(|tensor| tensor.node());
        let [x, input, recurrent, bias] = tensors.map(|tensor| tensor.into_primitive());
        match LstmBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(prepared) => {
                let out = <Flex as RecurrentOps>::lstm(x, input, recurrent, bias, pass);
                prepared.finish(out)
            }
            OpsKind::Tracked(prepared) => {
                let sizes = sizes(&x, &recurrent);
                let x = contiguous(x);
                let weights = LstmTensors([input, recurrent, bias].map(contiguous));
                let LstmPass { layer, masks } = pass;
                let mut out = vec![0.0; sizes.batch * layer.output.per_sequence(sizes)];
                let slices = weights.as_slices();
                let memory = layer.forward(sizes, values(&x), slices, masks.as_slices(), &mut out);
                let kept = Kept { layer, weights, memory: Arc::new(memory) };
                prepared.finish(kept, out_tensor(out, sizes, layer.output))
            }
        }
    }
}

/// Weights of a layer in the layout of the ONNX operators `GRU` and `LSTM`, for one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxWeights {
    /// Features of a time step.
    pub inputs: usize,
    /// Units.
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
    /// `GRU`
    Gru {
        /// The attribute `linear_before_reset`.
        reset_after: bool,
    },
    /// `LSTM`
    Lstm,
}

/// A layer for export: all that inference needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxLayer {
    /// The cell.
    pub cell: OnnxCell,
    /// Whether time is walked backwards.
    pub reverse: bool,
    /// The activation of a GRU's candidate, of an LSTM's candidate and output.
    pub activation: Activation,
    /// The weights.
    pub weights: OnnxWeights,
}

/// A GRU layer to be made.
#[derive(Config, Debug)]
pub struct GruConfig {
    /// Features of a time step.
    pub d_input: usize,
    /// Units.
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

/// A gated recurrent unit layer; equations in [`kernel::gru`](super::kernel::gru).
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
        let mut bias = read(self.input_bias.val());
        bias.extend(match &self.recurrent_bias {
            Some(recurrent_bias) => read(recurrent_bias.val()),
            None => vec![0.0; rows],
        });
        OnnxWeights {
            inputs,
            units: rows / 3,
            input: read(self.input_weight.val()),
            recurrent: read(self.recurrent_weight.val()),
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
        let layer = gru::Gru {
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
    /// Units.
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

/// A long short-term memory layer; equations in [`kernel::lstm`](super::kernel::lstm).
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
        let mut bias = read(self.bias.val());
        bias.resize(2 * rows, 0.0);
        OnnxWeights {
            inputs,
            units: rows / 4,
            input: read(self.input_weight.val()),
            recurrent: read(self.recurrent_weight.val()),
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
        let layer = lstm::Lstm {
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

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("weights are single precision")
}

fn param<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

fn check_dropout(dropout: f64) {
    assert!((0.0..1.0).contains(&dropout), "dropout must be at least 0 and below 1, not {dropout}");
}

/// Uniform in `±√(6 / (rows + columns))` (Glorot and Bengio 2010, equation 16, over all gates together as Keras does).
pub fn glorot_uniform(rows: usize, columns: usize, generator: &mut Pcg64) -> Vec<f32> {
    let limit = (6.0 / (rows + columns) as f64).sqrt();
    (0..rows * columns).map(|_| generator.random_range(-limit..limit) as f32).collect()
}

/// A matrix `[rows, columns]` with orthonormal columns, `rows ≥ columns`, uniformly distributed among all such (Saxe et
/// al. 2014): normally distributed columns, orthogonalised one after the other by the modified Gram-Schmidt process, twice.
pub fn orthogonal(rows: usize, columns: usize, generator: &mut Pcg64) -> Vec<f32> {
    assert!(rows >= columns, "{rows} rows cannot have {columns} orthonormal columns");
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(columns);
    while basis.len() < columns {
        let mut column: Vec<f64> = (0..rows).map(|_| standard_normal(generator)).collect();
        for _ in 0..2 {
            for other in &basis {
                let along: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let length = column.iter().map(|a| a * a).sum::<f64>().sqrt();
        // Draws that (almost) lie in the span of the others are so unlikely that a new draw changes nothing.
        if length > 1e-6 {
            column.iter_mut().for_each(|a| *a /= length);
            basis.push(column);
        }
    }
    let entry = |index: usize| basis[index % columns][index / columns] as f32;
    (0..rows * columns).map(entry).collect()
}

/// Box and Muller 1958.
fn standard_normal(generator: &mut Pcg64) -> f64 {
    let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * generator.random::<f64>()).cos()
}
