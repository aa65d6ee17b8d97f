//! The recurrent layers against burn's own layers with burn's own gradients, their dropout and their initial weights.

use burn::module::Param;
use burn::nn::{
    GateController, GruConfig as StockGruConfig, Initializer, Linear, LstmConfig as StockLstmConfig,
};
use burn::tensor::{Device, Tensor, TensorData};
use forecastd_train::recurrent::{GruConfig, LstmConfig, glorot_uniform, orthogonal};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

fn uniform(generator: &mut Pcg64, length: usize, limit: f32) -> Vec<f32> {
    (0..length).map(|_| generator.random_range(-limit..limit)).collect()
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
