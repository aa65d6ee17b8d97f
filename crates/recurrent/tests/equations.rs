//! The recurrent kernels against two independent witnesses: the equations written out one number at a time in double
//! precision, and finite differences of those.

use forecastd_recurrent::{
    Activation, Gru, GruGradients, GruWeights, InstructionSet, Lstm, LstmGradients, LstmWeights, Masks,
    Output, Sizes,
};
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
