//! The dense layers' function as one operation of burn with its own backward pass: burn's own is a chain of five, each of which
//! goes through memory, with a library call for each exponential.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use forecastd_recurrent as kernel;

use crate::recurrent_ops::{FlexTensor, contiguous, like, values};

/// The sigmoid-weighted linear unit as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait SiluOp: Backend {
    /// `x / (1 + exp(-x))` of each number.
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// `x / (1 + exp(-x))` of each number.
pub(crate) fn silu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as SiluOp>::silu(x.into_dispatch()))
}

fn forward(x: &FlexTensor) -> FlexTensor {
    let mut numbers = values(x).to_vec();
    kernel::silu(&mut numbers);
    like(x, numbers)
}

impl SiluOp for Flex {
    fn silu(x: FlexTensor) -> FlexTensor {
        forward(&contiguous(x))
    }
}

#[derive(Debug)]
struct SiluBackward;

impl Backward<Flex, 1> for SiluBackward {
    /// What the function was given.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [x] = ops.parents;
        if let Some(node) = x {
            let mut numbers = values(&gradient).to_vec();
            kernel::silu_backward(values(&ops.state), &mut numbers);
            grads.register::<Flex>(node.id, like(&gradient, numbers));
        }
    }
}

impl<C: CheckpointStrategy> SiluOp for Autodiff<Flex, C> {
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = x.node();
        let x = contiguous(x.into_primitive());
        match SiluBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::UnTracked(prepared) => prepared.finish(forward(&x)),
            OpsKind::Tracked(prepared) => {
                let out = forward(&x);
                prepared.finish(x, out)
            }
        }
    }
}
