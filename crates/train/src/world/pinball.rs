//! The loss that is learned by: the weighted sum of the pinball losses of quantiles in order, as one operation of burn with its
//! own backward pass. As a chain of burn's it is some thirty operations, each of which goes through memory.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};

use crate::recurrent_ops::{FlexTensor, contiguous, like, values};

use super::network::{MEDIAN, QUANTILES};

const COUNT: usize = QUANTILES.len();

/// What outputs are to be, and how much each counts: not at all where nothing was measured. Both `[window, row · quantile]`.
#[derive(Debug, Clone)]
pub(super) struct Goals {
    pub(super) targets: Vec<f32>,
    pub(super) weights: Vec<f32>,
}

impl Goals {
    /// So many that do not count.
    pub(super) fn none(count: usize) -> Goals {
        Goals { targets: vec![0.0; count], weights: vec![0.0; count] }
    }
}

/// The loss as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait PinballOp: Backend {
    /// The loss of what the last layer gives, `[1]`.
    fn pinball(steps: FloatTensor<Self>, goals: Goals) -> FloatTensor<Self>;
}

/// The weighted sum of the pinball losses τ·r + max(−r, 0) with r = target − quantile (Koenker and Bassett 1978,
/// doi:10.2307/1913643) of what the last layer gives, `[window, row · quantile]`, of which
/// [`ordered`](super::network::ordered) makes quantiles.
///
/// # Panics
/// If there are not as many goals as outputs.
pub(super) fn pinball_loss(steps: Tensor<2>, goals: Goals) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as PinballOp>::pinball(steps.into_dispatch(), goals))
}

/// The loss, and its derivative by each of `steps`.
fn loss_and_gradient(steps: &[f32], goals: &Goals) -> (f32, Vec<f32>) {
    assert!(
        steps.len() == goals.targets.len() && steps.len() == goals.weights.len(),
        "a goal for each output"
    );
    let mut gradient = vec![0.0; steps.len()];
    let mut loss = 0.0;
    let (steps, _) = steps.as_chunks::<COUNT>();
    let (targets, _) = goals.targets.as_chunks::<COUNT>();
    let (weights, _) = goals.weights.as_chunks::<COUNT>();
    let rows = steps.iter().zip(targets).zip(weights).zip(gradient.as_chunks_mut::<COUNT>().0);
    for (((steps, targets), weights), gradient) in rows {
        if weights.iter().any(|&weight| weight != 0.0) {
            loss += f64::from(row(steps, targets, weights, gradient));
        }
    }
    (loss as f32, gradient)
}

/// The loss of a row; writes its gradient.
fn row(
    steps: &[f32; COUNT],
    targets: &[f32; COUNT],
    weights: &[f32; COUNT],
    gradient: &mut [f32; COUNT],
) -> f32 {
    // ln(1 + exp(x)), which does not overflow.
    let widths = steps.map(|x| x.max(0.0) + (-x.abs()).exp().ln_1p());
    let mut quantiles = *steps;
    for index in (0..MEDIAN).rev() {
        quantiles[index] = quantiles[index + 1] - widths[index];
    }
    for index in MEDIAN + 1..COUNT {
        quantiles[index] = quantiles[index - 1] + widths[index];
    }
    let mut loss = 0.0;
    for index in 0..COUNT {
        let residual = targets[index] - quantiles[index];
        loss += weights[index] * (QUANTILES[index] * residual + (-residual).max(0.0));
        let above = if residual < 0.0 { 1.0 } else { 0.0 };
        gradient[index] = weights[index] * (above - QUANTILES[index]);
    }
    // What moves a quantile moves all that lie further out.
    for index in 1..=MEDIAN {
        gradient[index] += gradient[index - 1];
    }
    let outer = (MEDIAN + 1..COUNT).rev();
    let mut sum = 0.0;
    for index in outer {
        sum += gradient[index];
        gradient[index] = sum;
    }
    gradient[MEDIAN] += sum;
    for index in (0..COUNT).filter(|&index| index != MEDIAN) {
        let slope = 1.0 / (1.0 + (-steps[index]).exp());
        gradient[index] *= if index < MEDIAN { -slope } else { slope };
    }
    loss
}

fn of_number(value: f32) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(vec![value], [1]))
}

impl PinballOp for Flex {
    fn pinball(steps: FlexTensor, goals: Goals) -> FlexTensor {
        of_number(loss_and_gradient(values(&contiguous(steps)), &goals).0)
    }
}

#[derive(Debug)]
struct PinballBackward;

impl Backward<Flex, 1> for PinballBackward {
    /// The derivatives by each step, which the forward pass has computed.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let out = grads.consume::<Flex>(&ops.node);
        let [steps] = ops.parents;
        if let Some(node) = steps {
            let factor = values(&contiguous(out))[0];
            let numbers = values(&ops.state).iter().map(|gradient| gradient * factor).collect();
            grads.register::<Flex>(node.id, like(&ops.state, numbers));
        }
    }
}

impl<C: CheckpointStrategy> PinballOp for Autodiff<Flex, C> {
    fn pinball(steps: FloatTensor<Self>, goals: Goals) -> FloatTensor<Self> {
        let node = steps.node();
        let steps = contiguous(steps.into_primitive());
        let (loss, gradient) = loss_and_gradient(values(&steps), &goals);
        match PinballBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::UnTracked(prepared) => prepared.finish(of_number(loss)),
            OpsKind::Tracked(prepared) => prepared.finish(like(&steps, gradient), of_number(loss)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::numbers;
    use crate::world::example::ROWS;
    use crate::world::network::{OUTPUTS, ordered};
    use burn::tensor::Device;
    use burn::tensor::activation::relu;
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64;

    const WINDOWS: usize = 5;

    fn drawn(generator: &mut Pcg64) -> (Vec<f32>, Goals) {
        let mut numbers = |from: f32, to: f32| -> Vec<f32> {
            (0..WINDOWS * OUTPUTS).map(|_| generator.random_range(from..to)).collect()
        };
        let (steps, targets, mut weights) = (numbers(-4.0, 4.0), numbers(-6.0, 6.0), numbers(0.0, 2.0));
        // A row that was not measured.
        weights[2 * OUTPUTS..2 * OUTPUTS + COUNT].fill(0.0);
        (steps, Goals { targets, weights })
    }

    /// The same loss as a chain of burn's operations, of which burn makes the derivative.
    fn chain(steps: Tensor<2>, goals: &Goals) -> Tensor<1> {
        let device = steps.device();
        let tensor = |numbers: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(numbers.to_vec(), [WINDOWS, OUTPUTS]), &device)
        };
        let shares: Vec<f32> = (0..ROWS).flat_map(|_| QUANTILES).collect();
        let shares = Tensor::<1>::from_data(TensorData::new(shares, [OUTPUTS]), &device);
        let residual = tensor(&goals.targets) - ordered(steps);
        let loss = residual.clone() * shares.unsqueeze() + relu(residual.neg());
        (loss * tensor(&goals.weights)).sum()
    }

    #[test]
    fn loss_and_gradient_are_those_of_the_definition() {
        let device = Device::flex().autodiff();
        let (steps, goals) = drawn(&mut Pcg64::seed_from_u64(1));
        let [own, expected] = [true, false].map(|is_own| {
            let data = TensorData::new(steps.clone(), [WINDOWS, OUTPUTS]);
            let steps = Tensor::<2>::from_data(data, &device).require_grad();
            // A factor behind it must reach the gradient.
            let loss = match is_own {
                true => pinball_loss(steps.clone(), goals.clone()),
                false => chain(steps.clone(), &goals),
            } * 3.0;
            let gradient = steps.grad(&loss.backward()).expect("the steps have a gradient");
            (loss.into_scalar::<f32>(), numbers(gradient))
        });
        assert!((own.0 - expected.0).abs() < 1e-5 * expected.0, "{} and {}", own.0, expected.0);
        for (index, (own, expected)) in own.1.iter().zip(&expected.1).enumerate() {
            assert!((own - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{index}: {own} and {expected}");
        }
    }
}
