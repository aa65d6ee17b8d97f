//! The recurrent kernels against burn's own graph, for every option they have.
//!
//! burn's stock layers lack most of the options, so each cell is composed here, step by step, of ordinary tensor
//! operations: products with slices of the weights, the logistic function, elementwise products, a stack over time.
//! burn differentiates that graph; values and gradients of x, W, R and every bias have to be those of the single operation
//! that [`RecurrentOps`] makes of a kernel, on every instruction set. All comparisons are to 1e-4 of the largest entry of
//! the graph's tensor: burn and the kernels both compute in single precision and add up in a different order.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use forecastd_recurrent::{Gru, InstructionSet, Lstm, Output, Sizes};
use forecastd_train::recurrent::{Activation, DrawnMasks, GruPass, LstmPass, RecurrentOps};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Of the largest entry of a tensor.
const TOLERANCE: f32 = 1e-4;

/// At the kink of the positive part two right answers can differ by a whole gradient. Problems with a sum closer to it than
/// this, which is more than rounding does to a sum, are drawn again.
const KINK_CLEARANCE: f32 = 1e-5;

/// Batch, steps, inputs, units: one of everything, batches with and without a block of sixteen sequences that is full, units
/// that fill whole panels and units that do not, and more than the 32 steps that a backward pass collects at once.
const ODD_SIZES: [[usize; 4]; 7] = [
    [1, 1, 1, 1],
    [3, 2, 5, 7],
    [17, 7, 14, 16],
    [33, 13, 5, 33],
    [1, 13, 14, 48],
    [17, 1, 1, 33],
    [3, 35, 5, 7],
];

/// What [`Leaves::answer`] consists of.
const NAMES: [&str; 6] =
    ["output", "x gradient", "W gradient", "R gradient", "bias gradient", "second bias gradient"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    GruResetAfter,
    GruResetBefore,
    Lstm,
}

impl Unit {
    fn gates(self) -> usize {
        if self == Self::Lstm { 4 } else { 3 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Options {
    unit: Unit,
    input_mask: bool,
    state_mask: bool,
    reverse: bool,
    activation: Activation,
    output: Output,
}

impl Options {
    fn all(unit: Unit) -> impl Iterator<Item = Self> {
        (0..32).map(move |number| {
            let bit = |place: usize| number >> place & 1 == 1;
            Self {
                unit,
                input_mask: bit(0),
                state_mask: bit(1),
                reverse: bit(2),
                activation: if bit(3) { Activation::Relu } else { Activation::Tanh },
                output: if bit(4) { Output::Sequence } else { Output::LastState },
            }
        })
    }
}

fn uniform<const D: usize>(generator: &mut Pcg64, shape: [usize; D], limit: f32) -> TensorData {
    let length = shape.iter().product();
    let values: Vec<f32> = (0..length).map(|_| generator.random_range(-limit..limit)).collect();
    TensorData::new(values, shape)
}

fn mask(generator: &mut Pcg64, length: usize) -> Vec<f32> {
    (0..length).map(|_| if generator.random_bool(0.3) { 0.0 } else { 1.0 / 0.7 }).collect()
}

/// Everything that goes into a layer and its loss.
struct Problem {
    options: Options,
    sizes: Sizes,
    x: TensorData,
    input: TensorData,
    recurrent: TensorData,
    /// Two of a GRU, one of an LSTM.
    biases: Vec<TensorData>,
    masks: DrawnMasks,
    /// The loss is the sum of the outputs weighted with these, so that each output has a gradient of its own.
    loss_weights: TensorData,
}

impl Problem {
    fn random(options: Options, sizes: Sizes, seed: u64) -> Self {
        let generator = &mut Pcg64::seed_from_u64(seed);
        let Sizes { batch, steps, inputs, units } = sizes;
        let rows = options.unit.gates() * units;
        let reach = 1.0 / (units as f32).sqrt();
        let bias_count = if options.unit == Unit::Lstm { 1 } else { 2 };
        let returned_steps = if options.output == Output::Sequence { steps } else { 1 };
        Self {
            options,
            sizes,
            x: uniform(generator, [batch, steps, inputs], 1.5),
            input: uniform(generator, [rows, inputs], reach),
            recurrent: uniform(generator, [rows, units], reach),
            biases: (0..bias_count).map(|_| uniform(generator, [rows], 0.5)).collect(),
            masks: DrawnMasks {
                input: options.input_mask.then(|| mask(generator, batch * inputs).into()),
                state: options.state_mask.then(|| mask(generator, batch * units).into()),
            },
            loss_weights: uniform(generator, [batch, returned_steps, units], 1.0),
        }
    }

    /// A problem that is nowhere near the kink of its activation, with burn's answer to it.
    fn answered(options: Options, sizes: Sizes, seed: u64) -> (Self, Vec<Vec<f32>>) {
        let device = Device::flex().autodiff();
        for draw in 0..50 {
            let problem = Self::random(options, sizes, 100 * seed + draw);
            let leaves = Leaves::new(&problem, &device);
            let mut graph = Graph { problem: &problem, leaves: &leaves, candidate_sums: Vec::new() };
            let out = graph.output(&device);
            let from_kink: f32 = Tensor::cat(graph.candidate_sums, 0).abs().min().into_scalar();
            if options.activation != Activation::Relu || from_kink > KINK_CLEARANCE {
                let answer = leaves.answer(&problem, out);
                return (problem, answer);
            }
        }
        panic!("no problem away from the kink for {options:?}, {sizes:?}");
    }

    /// The layer's output from the kernel, as one operation of the device's backend.
    fn operation(&self, leaves: &Leaves, instruction_set: InstructionSet) -> Tensor<3> {
        let Options { unit, reverse, activation, output, .. } = self.options;
        let masks = self.masks.clone();
        let Leaves { x, input, recurrent, biases } = leaves.clone();
        let (x, input, recurrent) = (x.into_dispatch(), input.into_dispatch(), recurrent.into_dispatch());
        let mut biases = biases.into_iter().map(Tensor::into_dispatch);
        let mut bias = || biases.next().expect("a problem has the biases of its unit");
        let out = if unit == Unit::Lstm {
            let layer = Lstm { reverse, activation, output, instruction_set };
            <Dispatch as RecurrentOps>::lstm(x, input, recurrent, bias(), LstmPass { layer, masks })
        } else {
            let reset_after = unit == Unit::GruResetAfter;
            let layer = Gru { reset_after, reverse, activation, output, instruction_set };
            <Dispatch as RecurrentOps>::gru(x, input, recurrent, bias(), bias(), GruPass { layer, masks })
        };
        match output {
            Output::LastState => Tensor::<2>::from_dispatch(out).unsqueeze_dim(1),
            Output::Sequence => Tensor::from_dispatch(out),
        }
    }
}

/// The tensors whose gradients are compared.
#[derive(Clone)]
struct Leaves {
    x: Tensor<3>,
    input: Tensor<2>,
    recurrent: Tensor<2>,
    biases: Vec<Tensor<1>>,
}

impl Leaves {
    fn new(problem: &Problem, device: &Device) -> Self {
        fn leaf<const D: usize>(data: &TensorData, device: &Device) -> Tensor<D> {
            let tensor = Tensor::from_data(data.clone(), device);
            if device.is_autodiff() { tensor.require_grad() } else { tensor }
        }
        Self {
            x: leaf(&problem.x, device),
            input: leaf(&problem.input, device),
            recurrent: leaf(&problem.recurrent, device),
            biases: problem.biases.iter().map(|bias| leaf(bias, device)).collect(),
        }
    }

    /// `out` and the gradients of x, W, R and the biases, in this order.
    fn answer(&self, problem: &Problem, out: Tensor<3>) -> Vec<Vec<f32>> {
        let weights = Tensor::<3>::from_data(problem.loss_weights.clone(), &out.device());
        assert_eq!(out.dims(), weights.dims());
        let gradients = (out.clone() * weights).sum().backward();
        let mut answer = vec![
            values(out),
            values(self.x.grad(&gradients).unwrap()),
            values(self.input.grad(&gradients).unwrap()),
            values(self.recurrent.grad(&gradients).unwrap()),
        ];
        answer.extend(self.biases.iter().map(|bias| values(bias.grad(&gradients).unwrap())));
        answer
    }
}

/// A cell composed of burn's operations.
struct Graph<'a> {
    problem: &'a Problem,
    leaves: &'a Leaves,
    /// What the candidate's activation was applied to. The other argument of the LSTM's activation, its cell state, is a
    /// sum of products of positive numbers where the activation has a kink.
    candidate_sums: Vec<Tensor<2>>,
}

impl Graph<'_> {
    fn output(&mut self, device: &Device) -> Tensor<3> {
        let Sizes { batch, steps, inputs, units } = self.problem.sizes;
        let Options { unit, reverse, output, .. } = self.problem.options;
        let masked = |values: Tensor<2>, mask: &Option<Arc<[f32]>>, width: usize| match mask {
            Some(mask) => {
                values * Tensor::<2>::from_data(TensorData::new(mask.to_vec(), [batch, width]), device)
            }
            None => values,
        };
        let mut h = Tensor::<2>::zeros([batch, units], device);
        let mut c = h.clone();
        let mut states = Vec::new();
        for index in 0..steps {
            let time = if reverse { steps - 1 - index } else { index };
            let x_t = self.leaves.x.clone().slice([0..batch, time..time + 1]).squeeze_dim::<2>(1);
            let x_t = masked(x_t, &self.problem.masks.input, inputs);
            let masked_h = masked(h.clone(), &self.problem.masks.state, units);
            if unit == Unit::Lstm {
                (h, c) = self.lstm_step(x_t, masked_h, c);
            } else {
                h = self.gru_step(x_t, masked_h, h);
            }
            states.push(h.clone());
        }
        if reverse {
            states.reverse();
        }
        Tensor::stack(if output == Output::Sequence { states } else { vec![h] }, 1)
    }

    /// Gates z, r, h.
    fn gru_step(&mut self, x: Tensor<2>, masked_h: Tensor<2>, h: Tensor<2>) -> Tensor<2> {
        let from_input = |gate: usize| self.product(&x, &self.leaves.input, gate) + self.bias(0, gate);
        let from_state = |state: &Tensor<2>, gate: usize| {
            self.product(state, &self.leaves.recurrent, gate) + self.bias(1, gate)
        };
        let z = sigmoid(from_input(0) + from_state(&masked_h, 0));
        let r = sigmoid(from_input(1) + from_state(&masked_h, 1));
        let recurrent_part = if self.problem.options.unit == Unit::GruResetAfter {
            r * from_state(&masked_h, 2)
        } else {
            from_state(&(r * masked_h), 2)
        };
        let candidate_sum = from_input(2) + recurrent_part;
        let g = self.activate(candidate_sum.clone());
        self.candidate_sums.push(candidate_sum);
        (z.ones_like() - z.clone()) * g + z * h
    }

    /// Gates i, o, f, c.
    fn lstm_step(&mut self, x: Tensor<2>, masked_h: Tensor<2>, c: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [i, o, f, candidate_sum] = [0, 1, 2, 3].map(|gate| {
            self.product(&x, &self.leaves.input, gate)
                + self.product(&masked_h, &self.leaves.recurrent, gate)
                + self.bias(0, gate)
        });
        let g = self.activate(candidate_sum.clone());
        self.candidate_sums.push(candidate_sum);
        let next_c = sigmoid(f) * c + sigmoid(i) * g;
        (sigmoid(o) * self.activate(next_c.clone()), next_c)
    }

    fn product(&self, values: &Tensor<2>, weights: &Tensor<2>, gate: usize) -> Tensor<2> {
        let units = self.problem.sizes.units;
        let gate_weights = weights.clone().narrow(0, gate * units, units);
        values.clone().matmul(gate_weights.transpose())
    }

    fn bias(&self, index: usize, gate: usize) -> Tensor<2> {
        let units = self.problem.sizes.units;
        self.leaves.biases[index].clone().narrow(0, gate * units, units).unsqueeze()
    }

    fn activate(&self, sum: Tensor<2>) -> Tensor<2> {
        match self.problem.options.activation {
            Activation::Tanh => sum.tanh(),
            Activation::Relu => relu(sum),
        }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn assert_close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * largest, "{what}[{index}]: {a} for {b}, largest {largest}");
    }
}

fn check_every_option_under_odd_sizes(unit: Unit) {
    let (tracked, untracked) = (Device::flex().autodiff(), Device::flex());
    for [batch, steps, inputs, units] in ODD_SIZES {
        let sizes = Sizes { batch, steps, inputs, units };
        for (seed, options) in (0..).zip(Options::all(unit)) {
            let (problem, theirs) = Problem::answered(options, sizes, seed);
            for set in InstructionSet::available() {
                let what = |part: &str| format!("{part} of {options:?}, {sizes:?}, {set:?}");
                let leaves = Leaves::new(&problem, &tracked);
                let ours = leaves.answer(&problem, problem.operation(&leaves, set));
                assert_eq!(ours.len(), theirs.len());
                for ((ours, theirs), name) in ours.iter().zip(&theirs).zip(NAMES) {
                    assert_close(ours, theirs, &what(name));
                }
                // Without a gradient to come, another pass makes the output.
                let inferred = values(problem.operation(&Leaves::new(&problem, &untracked), set));
                assert_close(&inferred, &theirs[0], &what("untracked output"));
            }
        }
    }
}

#[test]
fn gru_with_reset_after_the_product_agrees_with_the_graph_of_burn_for_every_option() {
    check_every_option_under_odd_sizes(Unit::GruResetAfter);
}

#[test]
fn gru_with_reset_before_the_product_agrees_with_the_graph_of_burn_for_every_option() {
    check_every_option_under_odd_sizes(Unit::GruResetBefore);
}

#[test]
fn lstm_agrees_with_the_graph_of_burn_for_every_option() {
    check_every_option_under_odd_sizes(Unit::Lstm);
}
