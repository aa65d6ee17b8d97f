//! The hand-written kernels as burn operations with their own backward pass, brought to burn by a backend extension.

use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use rand::Rng;
use rand_pcg::Pcg64;

use forecastd_recurrent::{self as kernel, GruWeights, LstmWeights, Masks, Memory, Output, Sizes};

/// Tensors of the backend that the kernels work on.
pub(crate) type FlexTensor = FloatTensor<Flex>;

/// Dropout masks of one pass, drawn once for all time steps.
#[derive(Clone, Debug, Default)]
pub struct DrawnMasks {
    /// For the inputs, `[batch, inputs]`; none without dropout.
    pub input: Option<Arc<[f32]>>,
    /// For the state, `[batch, units]`; none without dropout.
    pub state: Option<Arc<[f32]>>,
}

impl DrawnMasks {
    pub(super) fn draw(
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
    pub layer: kernel::Gru,
    /// The dropout masks that were drawn for this pass.
    pub masks: DrawnMasks,
}

/// One pass through an LSTM layer.
#[derive(Clone, Debug)]
pub struct LstmPass {
    /// What the layer does besides its weights.
    pub layer: kernel::Lstm,
    /// The dropout masks that were drawn for this pass.
    pub masks: DrawnMasks,
}

/// Recurrent layers as single operations of a backend.
///
/// Shapes as in [`kernel::Gru`] and [`kernel::Lstm`]: `x` `[batch, steps, inputs]`,
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
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("the tensor was made contiguous and layers are single precision")
}

/// The same tensor with its numbers in order.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Numbers in the shape of another tensor.
pub(crate) fn like(other: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, other.shape()))
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
    type State = Kept<kernel::Gru, GruTensors>;

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
    type State = Kept<kernel::Lstm, LstmTensors>;

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
