//! The recurrent kernels against three independent witnesses: the equations written out one number at a time in double
//! precision, finite differences of those, and burn's own layers with burn's own gradients.

use burn::module::Param;
use burn::nn::{
    GateController, GruConfig as StockGruConfig, Initializer, Linear, LstmConfig as StockLstmConfig,
};
use burn::tensor::{Device, Tensor, TensorData};
use forecastd_recurrent::activation::Activation;
use forecastd_recurrent::gru::{Gru, GruGradients, GruWeights};
use forecastd_recurrent::lstm::{Lstm, LstmGradients, LstmWeights};
use forecastd_recurrent::recurrence::{Masks, Output, Sizes};
use forecastd_recurrent::simd::InstructionSet;
use forecastd_train::recurrent::{GruConfig, LstmConfig, glorot_uniform, orthogonal};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

const OUTPUTS: [Output; 2] = [Output::LastState, Output::Sequence];
const ACTIVATIONS: [Activation; 2] = [Activation::Tanh, Activation::Relu];

fn uniform(generator: &mut Pcg64, length: usize, limit: f32) -> Vec<f32> {
    (0..length).map(|_| generator.random_range(-limit..limit)).collect()
}

fn mask(generator: &mut Pcg64, length: usize) -> Vec<f32> {
    (0..length).map(|_| if generator.random_bool(0.3) { 0.0 } else { 1.0 / 0.7 }).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
    }
}

/// Everything that goes into a layer, in double precision; tensors x, W, R, and one or two biases.
#[derive(Clone)]
struct Problem {
    sizes: Sizes,
    tensors: Vec<Vec<f64>>,
    input_mask: Option<Vec<f64>>,
    state_mask: Option<Vec<f64>>,
    reverse: bool,
    activation: Activation,
    output: Output,
    reset_after: bool,
    /// The loss is the sum of the outputs weighted with these.
    loss_weights: Vec<f64>,
}

impl Problem {
    fn random(
        seed: u64,
        sizes: Sizes,
        gates: usize,
        masked: bool,
        reverse: bool,
        activation: Activation,
        output: Output,
    ) -> Self {
        let generator = &mut Pcg64::seed_from_u64(seed);
        let Sizes { batch, steps, inputs, units } = sizes;
        let rows = gates * units;
        let reach = 1.0 / (units as f32).sqrt();
        let lengths = [
            (batch * steps * inputs, 1.5),
            (rows * inputs, reach),
            (rows * units, reach),
            (rows, 0.5),
            (rows, 0.5),
        ];
        let double = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let tensors = lengths
            .into_iter()
            .take(if gates == 3 { 5 } else { 4 })
            .map(|(length, limit)| double(uniform(generator, length, limit)))
            .collect();
        let input_mask = masked.then(|| double(mask(generator, batch * inputs)));
        let state_mask = masked.then(|| double(mask(generator, batch * units)));
        let loss_weights = double(uniform(generator, batch * output.per_sequence(sizes), 1.0));
        Self {
            sizes,
            tensors,
            input_mask,
            state_mask,
            reverse,
            activation,
            output,
            reset_after: true,
            loss_weights,
        }
    }

    /// Walks through all sequences; `step` makes the next state of a unit-by-unit recurrence from `(x, h, masked h, c)`.
    fn walk(&self, step: impl Fn(&[f64], &[f64], &[f64], &mut [f64]) -> Vec<f64>) -> Vec<f64> {
        let Sizes { batch, steps, inputs, units } = self.sizes;
        let mut out = vec![0.0; batch * self.output.per_sequence(self.sizes)];
        for sequence in 0..batch {
            let mut h = vec![0.0; units];
            let mut c = vec![0.0; units];
            for index in 0..steps {
                let time = if self.reverse { steps - 1 - index } else { index };
                let row = (sequence * steps + time) * inputs;
                let mut x = self.tensors[0][row..row + inputs].to_vec();
                if let Some(mask) = &self.input_mask {
                    x.iter_mut().zip(&mask[sequence * inputs..]).for_each(|(x, m)| *x *= m);
                }
                let mut masked = h.clone();
                if let Some(mask) = &self.state_mask {
                    masked.iter_mut().zip(&mask[sequence * units..]).for_each(|(h, m)| *h *= m);
                }
                h = step(&x, &h, &masked, &mut c);
                if self.output == Output::Sequence {
                    out[(sequence * steps + time) * units..][..units].copy_from_slice(&h);
                }
            }
            if self.output == Output::LastState {
                out[sequence * units..][..units].copy_from_slice(&h);
            }
        }
        out
    }

    fn product(matrix: &[f64], row: usize, vector: &[f64]) -> f64 {
        matrix[row * vector.len()..][..vector.len()].iter().zip(vector).map(|(a, b)| a * b).sum()
    }

    fn gru(&self) -> Vec<f64> {
        let units = self.sizes.units;
        let [_, w, r, wb, rb] = &self.tensors[..] else { panic!("a GRU has five tensors") };
        let gate = |gate: usize, unit: usize, x: &[f64], h: &[f64]| {
            let row = gate * units + unit;
            Self::product(w, row, x) + Self::product(r, row, h) + wb[row] + rb[row]
        };
        self.walk(|x, h, masked, _| {
            let reset: Vec<f64> = (0..units).map(|u| sigmoid(gate(1, u, x, masked))).collect();
            let reset_state: Vec<f64> = reset.iter().zip(masked).map(|(r, h)| r * h).collect();
            (0..units)
                .map(|u| {
                    let z = sigmoid(gate(0, u, x, masked));
                    let row = 2 * units + u;
                    let input = Self::product(w, row, x) + wb[row];
                    let sum = if self.reset_after {
                        input + reset[u] * (Self::product(r, row, masked) + rb[row])
                    } else {
                        input + Self::product(r, row, &reset_state) + rb[row]
                    };
                    (1.0 - z) * activate(self.activation, sum) + z * h[u]
                })
                .collect()
        })
    }

    fn lstm(&self) -> Vec<f64> {
        let units = self.sizes.units;
        let [_, w, r, b] = &self.tensors[..] else { panic!("an LSTM has four tensors") };
        let gate = |gate: usize, unit: usize, x: &[f64], h: &[f64]| {
            let row = gate * units + unit;
            Self::product(w, row, x) + Self::product(r, row, h) + b[row]
        };
        self.walk(|x, _, masked, c| {
            (0..units)
                .map(|u| {
                    let i = sigmoid(gate(0, u, x, masked));
                    let o = sigmoid(gate(1, u, x, masked));
                    let f = sigmoid(gate(2, u, x, masked));
                    let g = activate(self.activation, gate(3, u, x, masked));
                    c[u] = f * c[u] + i * g;
                    o * activate(self.activation, c[u])
                })
                .collect()
        })
    }

    fn reference(&self) -> Vec<f64> {
        if self.tensors.len() == 5 { self.gru() } else { self.lstm() }
    }

    fn loss(&self) -> f64 {
        self.reference().iter().zip(&self.loss_weights).map(|(a, b)| a * b).sum()
    }

    /// The derivative of the loss when tensor `index` moves along `direction`.
    fn slope(&self, index: usize, direction: &[f64]) -> f64 {
        let distance = 1e-7;
        let moved = |sign: f64| {
            let mut problem = self.clone();
            for (value, part) in problem.tensors[index].iter_mut().zip(direction) {
                *value += sign * distance * part;
            }
            problem.loss()
        };
        (moved(1.0) - moved(-1.0)) / (2.0 * distance)
    }

    /// Outputs and the gradients of all tensors from the kernels; also checks that inference says the same.
    fn kernel(&self, instruction_set: InstructionSet) -> (Vec<f32>, Vec<Vec<f32>>) {
        let single = |values: &Vec<f64>| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let tensors: Vec<Vec<f32>> = self.tensors.iter().map(single).collect();
        let input_mask = self.input_mask.as_ref().map(single);
        let state_mask = self.state_mask.as_ref().map(single);
        let masks = Masks { input: input_mask.as_deref(), state: state_mask.as_deref() };
        let out_gradient = single(&self.loss_weights);
        let mut out = vec![f32::NAN; out_gradient.len()];
        let mut inferred = out.clone();
        let mut x_gradient = vec![f32::NAN; tensors[0].len()];
        let sizes = self.sizes;
        let gradients = if let [x, input, recurrent, input_bias, recurrent_bias] = &tensors[..] {
            let layer = Gru {
                reset_after: self.reset_after,
                reverse: self.reverse,
                activation: self.activation,
                output: self.output,
                instruction_set,
            };
            let weights = GruWeights { input, recurrent, input_bias, recurrent_bias };
            layer.infer(sizes, x, weights, &mut inferred);
            let memory = layer.forward(sizes, x, weights, masks, &mut out);
            let without_x = layer.backward(&memory, weights, &out_gradient, None);
            let gradients = layer.backward(&memory, weights, &out_gradient, Some(&mut x_gradient));
            assert_eq!(without_x, gradients);
            let GruGradients { input, recurrent, input_bias, recurrent_bias } = gradients;
            vec![x_gradient, input, recurrent, input_bias, recurrent_bias]
        } else {
            let [x, input, recurrent, bias] = &tensors[..] else { panic!("four tensors") };
            let layer = Lstm {
                reverse: self.reverse,
                activation: self.activation,
                output: self.output,
                instruction_set,
            };
            let weights = LstmWeights { input, recurrent, bias };
            layer.infer(sizes, x, weights, &mut inferred);
            let memory = layer.forward(sizes, x, weights, masks, &mut out);
            let gradients = layer.backward(&memory, weights, &out_gradient, Some(&mut x_gradient));
            let LstmGradients { input, recurrent, bias } = gradients;
            vec![x_gradient, input, recurrent, bias]
        };
        if self.input_mask.is_none() {
            assert_eq!(out, inferred);
        }
        (out, gradients)
    }

    fn check(&self, instruction_set: InstructionSet, what: &str) {
        let (out, gradients) = self.kernel(instruction_set);
        for (ours, exact) in out.iter().zip(self.reference()) {
            let tolerance = 2e-5 * (1.0 + exact.abs());
            assert!((f64::from(*ours) - exact).abs() < tolerance, "{what}: {ours} for {exact}");
        }
        let generator = &mut Pcg64::seed_from_u64(77);
        for (index, gradient) in gradients.iter().enumerate() {
            let direction: Vec<f64> = gradient.iter().map(|_| generator.random_range(-1.0..1.0)).collect();
            let ours: f64 = gradient.iter().zip(&direction).map(|(&a, b)| f64::from(a) * b).sum();
            let size = gradient.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>().sqrt();
            let exact = self.slope(index, &direction);
            let tolerance = 1e-4 * (size + 0.1);
            assert!((ours - exact).abs() < tolerance, "{what}, tensor {index}: {ours} for {exact}");
        }
    }

    fn check_every_entry(&self, what: &str) {
        let (_, gradients) = self.kernel(InstructionSet::detect());
        for (index, gradient) in gradients.iter().enumerate() {
            for (entry, &ours) in gradient.iter().enumerate() {
                let mut direction = vec![0.0; gradient.len()];
                direction[entry] = 1.0;
                let exact = self.slope(index, &direction);
                let tolerance = 1e-4 * (1.0 + exact.abs());
                let place = format!("{what}, tensor {index}, entry {entry}");
                assert!((f64::from(ours) - exact).abs() < tolerance, "{place}: {ours} for {exact}");
            }
        }
    }
}

/// Every combination of the options, numbered.
fn option_problems(gates: usize, size: impl Fn(usize) -> Sizes) -> Vec<(Problem, String)> {
    let mut problems = Vec::new();
    for number in 0..(if gates == 3 { 32 } else { 16 }) {
        let bit = |place: usize| number >> place & 1;
        let sizes = size(number);
        let mut problem = Problem::random(
            number as u64,
            sizes,
            gates,
            bit(0) == 1,
            bit(1) == 1,
            ACTIVATIONS[bit(2)],
            OUTPUTS[bit(3)],
        );
        problem.reset_after = bit(4) == 0;
        let what = format!(
            "{gates} gates, {sizes:?}, masks {}, reverse {}, {:?}, {:?}, reset_after {}",
            bit(0) == 1,
            problem.reverse,
            problem.activation,
            problem.output,
            problem.reset_after
        );
        problems.push((problem, what));
    }
    problems
}

#[test]
fn every_option_agrees_with_the_equations_on_every_instruction_set() {
    let odd = [[1, 1, 1, 1], [3, 2, 3, 5], [7, 5, 14, 32], [129, 2, 3, 33], [17, 40, 2, 9]];
    for gates in [3, 4] {
        for shift in [0, 2] {
            let problems = option_problems(gates, |number| {
                let [batch, steps, inputs, units] = odd[(number + shift) % odd.len()];
                Sizes { batch, steps, inputs, units }
            });
            for (problem, what) in problems {
                for set in InstructionSet::available() {
                    problem.check(set, &format!("{what}, {set:?}"));
                }
            }
        }
    }
}

#[test]
fn every_entry_of_every_gradient_agrees_with_finite_differences() {
    for gates in [3, 4] {
        let problems = option_problems(gates, |_| Sizes { batch: 3, steps: 4, inputs: 3, units: 5 });
        for (problem, what) in problems {
            problem.check_every_entry(&what);
        }
    }
}

#[test]
fn odd_sizes_agree_with_the_equations() {
    for batch in [1, 3, 7, 129] {
        for steps in [1, 2, 5] {
            for (inputs, units) in [(1, 1), (3, 5), (14, 32), (3, 33), (14, 1), (1, 32)] {
                let sizes = Sizes { batch, steps, inputs, units };
                for gates in [3, 4] {
                    let seed = (batch * steps * inputs * units) as u64;
                    let problem = Problem::random(
                        seed,
                        sizes,
                        gates,
                        false,
                        false,
                        Activation::Tanh,
                        Output::LastState,
                    );
                    problem.check(InstructionSet::detect(), &format!("{gates} gates, {sizes:?}"));
                }
            }
        }
    }
}

fn bits(values: &[Vec<f32>]) -> Vec<Vec<u32>> {
    values.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

#[test]
fn results_are_the_same_bit_for_bit_on_one_thread_and_on_two() {
    let sizes = Sizes { batch: 129, steps: 37, inputs: 5, units: 12 };
    for gates in [3, 4] {
        let problem = Problem::random(5, sizes, gates, true, false, Activation::Tanh, Output::Sequence);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (out, mut gradients) = pool.install(|| problem.kernel(InstructionSet::detect()));
            gradients.push(out);
            bits(&gradients)
        };
        let first = run(2);
        assert_eq!(first, run(2));
        assert_eq!(first, run(1));
    }
}

/// The transposed rows of one gate from a matrix in the layout of ONNX, as burn keeps them.
fn gate_rows(values: &[f32], gate: usize, units: usize, device: &Device) -> Param<Tensor<2>> {
    let columns = values.len() / GATES_OF.with(|gates| gates.get()) / units;
    let rows = values[gate * units * columns..][..units * columns].to_vec();
    let tensor = Tensor::<2>::from_data(TensorData::new(rows, [units, columns]), device);
    Param::from_tensor(tensor.transpose())
}

thread_local! {
    /// Gates of the cell under comparison.
    static GATES_OF: std::cell::Cell<usize> = const { std::cell::Cell::new(3) };
}

fn set_gate(
    gate: &mut GateController,
    index: usize,
    units: usize,
    [w, r, wb, rb]: [&[f32]; 4],
    device: &Device,
) {
    let bias = |values: &[f32]| {
        let part = values[index * units..][..units].to_vec();
        Some(Param::from_tensor(Tensor::from_data(TensorData::new(part, [units]), device)))
    };
    let linear = |matrix: &[f32], vector: &[f32], like: &Linear| {
        let mut linear = like.clone();
        linear.weight = gate_rows(matrix, index, units, device);
        linear.bias = bias(vector);
        linear
    };
    gate.input_transform = linear(w, wb, &gate.input_transform);
    gate.hidden_transform = linear(r, rb, &gate.hidden_transform);
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn assert_close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{what}: {a} for {b}");
    }
}

/// Gradients of burn's gates as one matrix and one vector each, in the layout of ONNX.
fn stock_gradients(gates: &[&GateController], gradients: &burn::tensor::Gradients) -> [Vec<f32>; 4] {
    let weight = |linear: &Linear| values(linear.weight.grad(gradients).unwrap().transpose());
    let bias = |linear: &Linear| values(linear.bias.as_ref().unwrap().grad(gradients).unwrap());
    let all = |part: &dyn Fn(&GateController) -> Vec<f32>| {
        gates.iter().flat_map(|gate| part(gate)).collect::<Vec<f32>>()
    };
    [
        all(&|gate| weight(&gate.input_transform)),
        all(&|gate| weight(&gate.hidden_transform)),
        all(&|gate| bias(&gate.input_transform)),
        all(&|gate| bias(&gate.hidden_transform)),
    ]
}

#[test]
fn gru_layer_agrees_with_the_stock_layer_of_burn() {
    GATES_OF.with(|gates| gates.set(3));
    let device = Device::flex().autodiff();
    let generator = &mut Pcg64::seed_from_u64(3);
    for (batch, steps, inputs, units) in [(7, 5, 3, 5), (33, 9, 14, 32)] {
        for reset_after in [true, false] {
            let mut layer =
                GruConfig::new(inputs, units).with_reset_after(reset_after).init(&device, generator);
            let bias = |generator: &mut Pcg64| {
                let values = uniform(generator, 3 * units, 0.5);
                Param::from_tensor(Tensor::from_data(TensorData::new(values, [3 * units]), &device))
            };
            layer.input_bias = bias(generator);
            if reset_after {
                layer.recurrent_bias = Some(bias(generator));
            }
            let weights = layer.onnx_weights();
            let (wb, rb) = weights.bias.split_at(3 * units);
            let all = [&weights.input[..], &weights.recurrent, wb, rb];
            let mut stock = StockGruConfig::new(inputs, units, true)
                .with_reset_after(reset_after)
                .with_initializer(Initializer::Zeros)
                .init(&device);
            set_gate(&mut stock.update_gate, 0, units, all, &device);
            set_gate(&mut stock.reset_gate, 1, units, all, &device);
            set_gate(&mut stock.new_gate, 2, units, all, &device);

            let data =
                TensorData::new(uniform(generator, batch * steps * inputs, 1.5), [batch, steps, inputs]);
            let x = || Tensor::<3>::from_data(data.clone(), &device).require_grad();
            let (our_x, their_x) = (x(), x());
            let ours = layer.forward_sequence(our_x.clone(), None);
            let theirs = stock.forward(their_x.clone(), None);
            assert_close(&values(ours.clone()), &values(theirs.clone()), "sequence");
            let last = theirs.clone().slice([0..batch, steps - 1..steps]).squeeze_dim::<2>(1);
            assert_close(&values(layer.forward(our_x.clone(), None)), &values(last), "last state");

            // A loss that is not linear, so that the gradient differs from step to step.
            let our_gradients = (ours.clone() * ours).sum().backward();
            let their_gradients = (theirs.clone() * theirs).sum().backward();
            let x_gradient = values(our_x.grad(&our_gradients).unwrap());
            assert_close(&x_gradient, &values(their_x.grad(&their_gradients).unwrap()), "x");
            let gates = [&stock.update_gate, &stock.reset_gate, &stock.new_gate];
            let [w, r, wb, rb] = stock_gradients(&gates, &their_gradients);
            let grad = |param: &Param<Tensor<2>>| values(param.grad(&our_gradients).unwrap());
            assert_close(&grad(&layer.input_weight), &w, "W");
            assert_close(&grad(&layer.recurrent_weight), &r, "R");
            assert_close(&values(layer.input_bias.grad(&our_gradients).unwrap()), &wb, "Wb");
            if let Some(recurrent_bias) = &layer.recurrent_bias {
                assert_close(&values(recurrent_bias.grad(&our_gradients).unwrap()), &rb, "Rb");
            }
        }
    }
}

#[test]
fn lstm_layer_agrees_with_the_stock_layer_of_burn() {
    GATES_OF.with(|gates| gates.set(4));
    let device = Device::flex().autodiff();
    let generator = &mut Pcg64::seed_from_u64(4);
    for (batch, steps, inputs, units) in [(7, 5, 3, 5), (33, 9, 14, 32)] {
        for reverse in [false, true] {
            let layer = LstmConfig::new(inputs, units).with_reverse(reverse).init(&device, generator);
            let weights = layer.onnx_weights();
            let (wb, rb) = weights.bias.split_at(4 * units);
            let all = [&weights.input[..], &weights.recurrent, wb, rb];
            let mut stock = StockLstmConfig::new(inputs, units, true)
                .with_reverse(reverse)
                .with_initializer(Initializer::Zeros)
                .init(&device);
            set_gate(&mut stock.input_gate, 0, units, all, &device);
            set_gate(&mut stock.output_gate, 1, units, all, &device);
            set_gate(stock.forget_gate.as_mut().unwrap(), 2, units, all, &device);
            set_gate(&mut stock.cell_gate, 3, units, all, &device);

            let data =
                TensorData::new(uniform(generator, batch * steps * inputs, 1.5), [batch, steps, inputs]);
            let x = || Tensor::<3>::from_data(data.clone(), &device).require_grad();
            let (our_x, their_x) = (x(), x());
            let ours = layer.forward_sequence(our_x.clone(), None);
            let (theirs, state) = stock.forward(their_x.clone(), None);
            assert_close(&values(ours.clone()), &values(theirs.clone()), "sequence");
            let last = layer.forward(our_x.clone(), None);
            assert_close(&values(last), &values(state.hidden), "last state");

            let our_gradients = (ours.clone() * ours).sum().backward();
            let their_gradients = (theirs.clone() * theirs).sum().backward();
            let x_gradient = values(our_x.grad(&our_gradients).unwrap());
            assert_close(&x_gradient, &values(their_x.grad(&their_gradients).unwrap()), "x");
            let gates = [
                &stock.input_gate,
                &stock.output_gate,
                stock.forget_gate.as_ref().unwrap(),
                &stock.cell_gate,
            ];
            let [w, r, b, _] = stock_gradients(&gates, &their_gradients);
            let grad = |param: &Param<Tensor<2>>| values(param.grad(&our_gradients).unwrap());
            assert_close(&grad(&layer.input_weight), &w, "W");
            assert_close(&grad(&layer.recurrent_weight), &r, "R");
            assert_close(&values(layer.bias.grad(&our_gradients).unwrap()), &b, "b");
        }
    }
}

#[test]
fn input_dropout_is_the_same_at_all_time_steps_and_differs_between_sequences() {
    let device = Device::flex().autodiff();
    let (batch, steps, inputs) = (20, 6, 10);
    let layer = GruConfig::new(inputs, 8).with_dropout(0.4).init(&device, &mut Pcg64::seed_from_u64(1));
    let x = Tensor::<3>::ones([batch, steps, inputs], &device).require_grad();
    let mut masks = Pcg64::seed_from_u64(2);
    let out = layer.forward(x.clone(), Some(&mut masks));
    let gradient = values(x.grad(&out.sum().backward()).unwrap());
    // An input that is dropped has no influence at all.
    let dropped = |sequence: usize, step: usize| -> Vec<bool> {
        let row = &gradient[(sequence * steps + step) * inputs..][..inputs];
        row.iter().map(|&value| value == 0.0).collect()
    };
    let mut patterns = Vec::new();
    for sequence in 0..batch {
        for step in 1..steps {
            assert_eq!(dropped(sequence, step), dropped(sequence, 0));
        }
        patterns.push(dropped(sequence, 0));
    }
    let share = patterns.concat().iter().filter(|&&dropped| dropped).count() as f64 / 200.0;
    assert!((share - 0.4).abs() < 0.12, "{share}");
    patterns.sort();
    patterns.dedup();
    assert!(patterns.len() > batch / 2);
}

#[test]
fn state_dropout_is_the_same_at_all_time_steps_and_differs_between_sequences() {
    // Units that feed back to themselves only: each one runs as if it had no recurrent weight, or as if its weight were
    // 1 / keep as large, and does so from the first to the last step.
    let device = Device::flex();
    let (batch, steps, units) = (20, 6, 10);
    let run = |feedback: f32, dropout: f64, seed: u64| {
        let mut layer = LstmConfig::new(1, units)
            .with_recurrent_dropout(dropout)
            .init(&device, &mut Pcg64::seed_from_u64(1));
        let mut recurrent = vec![0.0; 4 * units * units];
        for gate in 0..4 {
            for unit in 0..units {
                recurrent[(gate * units + unit) * units + unit] = feedback;
            }
        }
        let recurrent = TensorData::new(recurrent, [4 * units, units]);
        layer.recurrent_weight = Param::from_tensor(Tensor::from_data(recurrent, &device));
        let x = Tensor::<3>::ones([batch, steps, 1], &device);
        values(layer.forward_sequence(x, Some(&mut Pcg64::seed_from_u64(seed))))
    };
    let (without, with, under_dropout) = (run(0.0, 0.0, 0), run(0.8 / 0.6, 0.0, 0), run(0.8, 0.4, 9));
    let mut patterns = Vec::new();
    for sequence in 0..batch {
        let mut pattern = Vec::new();
        for unit in 0..units {
            let at = |step: usize| (sequence * steps + step) * units + unit;
            let equals = |other: &[f32]| {
                (0..steps).all(|step| (under_dropout[at(step)] - other[at(step)]).abs() < 1e-5)
            };
            assert_ne!(equals(&without), equals(&with));
            pattern.push(equals(&without));
        }
        patterns.push(pattern);
    }
    let share = patterns.concat().iter().filter(|&&dropped| dropped).count() as f64 / 200.0;
    assert!((share - 0.4).abs() < 0.12, "{share}");
    patterns.sort();
    patterns.dedup();
    assert!(patterns.len() > batch / 2);
    assert_eq!(under_dropout, run(0.8, 0.4, 9));
    assert_ne!(under_dropout, run(0.8, 0.4, 10));
}

#[test]
fn there_is_no_dropout_without_a_generator() {
    let device = Device::flex();
    let x = Tensor::<3>::ones([3, 4, 5], &device);
    let config = GruConfig::new(5, 6);
    let plain = config.init(&device, &mut Pcg64::seed_from_u64(1));
    let dropping =
        config.with_dropout(0.5).with_recurrent_dropout(0.5).init(&device, &mut Pcg64::seed_from_u64(1));
    let expected = values(plain.forward(x.clone(), None));
    assert_eq!(expected, values(dropping.forward(x.clone(), None)));
    assert_ne!(expected, values(dropping.forward(x, Some(&mut Pcg64::seed_from_u64(2)))));
}

#[test]
fn initial_weights_are_those_of_keras() {
    let generator = &mut Pcg64::seed_from_u64(1);
    let (rows, columns) = (96, 32);
    let basis = orthogonal(rows, columns, generator);
    for a in 0..columns {
        for b in 0..columns {
            let product: f32 = (0..rows).map(|row| basis[row * columns + a] * basis[row * columns + b]).sum();
            assert!((product - if a == b { 1.0 } else { 0.0 }).abs() < 1e-5);
        }
    }
    let weights = glorot_uniform(96, 14, generator);
    let limit = (6.0f32 / 110.0).sqrt();
    assert!(weights.iter().all(|weight| weight.abs() <= limit));
    let variance: f32 = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
    assert!((variance / (limit * limit / 3.0) - 1.0).abs() < 0.1);
    let lstm = LstmConfig::new(3, 2).init(&Device::flex(), generator);
    assert_eq!(values(lstm.bias.val()), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
}
