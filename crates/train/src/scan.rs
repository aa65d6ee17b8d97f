//! A recurrent layer as a `Scan`: a small graph, the step, that is run once for every sample of the sequence.
//!
//! tract ignores the attributes `activations` and `direction` of `GRU` and `LSTM` and assumes the defaults. A step that is written out is run
//! alike by tract and by ONNX Runtime, whatever its activation and whichever way it walks. The product of the input and
//! its weights does not wait for the state: it is taken for all steps at once, in front of the `Scan`.

use forecastd_model::onnx::{Attribute, DimensionValue, Graph, Node, Tensor, ValueInfo};

use super::graph::GraphBuilder;
use super::recurrent::{Activation, OnnxCell, OnnxLayer, OnnxWeights};

/// The input's share of all gates of a step: `xₜWᵀ + b`, `[batch, gates · units]`.
const INPUT: &str = "x";
/// What the layer gives at a step; the `Scan` collects it.
const GIVEN: &str = "given";

/// A variable that goes from step to step: its name before a step and after it.
type State = [&'static str; 2];

/// The output of the layer, and the only state of a GRU.
const HIDDEN: State = ["h", "next_h"];
/// The memory of an LSTM.
const MEMORY: State = ["c", "next_c"];

/// What happens at a time step, from [`INPUT`] and the states to the next states.
struct Step {
    units: usize,
    /// The states; the first is what the layer gives.
    states: &'static [State],
    /// Numbers that are added to the input's product with its weights, `[gates · units]`.
    bias: Vec<f32>,
    constants: Vec<Tensor>,
    nodes: Vec<Node>,
}

impl Step {
    fn from_layer(layer: &OnnxLayer) -> Step {
        let activation = match layer.activation {
            Activation::Tanh => "Tanh",
            Activation::Relu => "Relu",
        };
        match layer.cell {
            OnnxCell::Gru { reset_after } => Step::gru(&layer.weights, reset_after, activation),
            OnnxCell::Lstm => Step::lstm(&layer.weights, activation),
        }
    }

    /// With x = xₜWᵀ + b, where b is `Wb` and, for the gates z and r, `Rb` as well:
    ///
    /// ```text
    /// zₜ = σ(x_z + hₜ₋₁R_zᵀ)
    /// rₜ = σ(x_r + hₜ₋₁R_rᵀ)
    /// gₜ = f(x_c + rₜ ∘ (hₜ₋₁R_cᵀ + Rb_c))      `reset_after`: linear_before_reset = 1
    /// gₜ = f(x_c + (rₜ ∘ hₜ₋₁)R_cᵀ + Rb_c)      otherwise
    /// hₜ = gₜ + zₜ ∘ (hₜ₋₁ − gₜ)
    /// ```
    fn gru(weights: &OnnxWeights, reset_after: bool, activation: &str) -> Step {
        let units = weights.units;
        let (bias, recurrent_bias) = weights.bias.split_at(3 * units);
        let (gates_bias, candidate_bias) = recurrent_bias.split_at(2 * units);
        let (gates, candidate) = weights.recurrent.split_at(2 * units * units);
        let mut step = Step::new(units, &[HIDDEN], bias.to_vec());
        step.bias.iter_mut().zip(gates_bias).for_each(|(bias, more)| *bias += more);
        step.constant("r_gates", &[units, 2 * units], &transposed(gates, units));
        step.constant("r_c", &[units, units], &transposed(candidate, units));
        step.constant("b_c", &[units], candidate_bias);

        step.slice("x_gates", INPUT, 0..2);
        step.slice("x_c", INPUT, 2..3);
        step.node("MatMul", &["h", "r_gates"], "h_gates");
        step.node("Add", &["x_gates", "h_gates"], "sum_gates");
        step.node("Sigmoid", &["sum_gates"], "gates");
        step.slice("update", "gates", 0..1);
        step.slice("reset", "gates", 1..2);
        if reset_after {
            step.node("MatMul", &["h", "r_c"], "product_c");
            step.node("Add", &["product_c", "b_c"], "all_c");
            step.node("Mul", &["reset", "all_c"], "h_c");
        } else {
            step.node("Mul", &["reset", "h"], "reset_h");
            step.node("MatMul", &["reset_h", "r_c"], "product_c");
            step.node("Add", &["product_c", "b_c"], "h_c");
        }
        step.node("Add", &["x_c", "h_c"], "sum_c");
        step.node(activation, &["sum_c"], "candidate");
        step.node("Sub", &["h", "candidate"], "difference");
        step.node("Mul", &["update", "difference"], "kept");
        step.node("Add", &["candidate", "kept"], "next_h");
        step
    }

    /// With x = xₜWᵀ + `Wb` + `Rb`:
    ///
    /// ```text
    /// iₜ = σ(x_i + hₜ₋₁R_iᵀ)
    /// oₜ = σ(x_o + hₜ₋₁R_oᵀ)
    /// fₜ = σ(x_f + hₜ₋₁R_fᵀ)
    /// gₜ = f(x_c + hₜ₋₁R_cᵀ)
    /// cₜ = fₜ ∘ cₜ₋₁ + iₜ ∘ gₜ
    /// hₜ = oₜ ∘ f(cₜ)
    /// ```
    fn lstm(weights: &OnnxWeights, activation: &str) -> Step {
        let units = weights.units;
        let (input_bias, recurrent_bias) = weights.bias.split_at(4 * units);
        let bias = input_bias.iter().zip(recurrent_bias).map(|(input, recurrent)| input + recurrent);
        let mut step = Step::new(units, &[HIDDEN, MEMORY], bias.collect());
        step.constant("r", &[units, 4 * units], &transposed(&weights.recurrent, units));

        step.node("MatMul", &["h", "r"], "product");
        step.node("Add", &[INPUT, "product"], "sum");
        step.slice("sum_gates", "sum", 0..3);
        step.slice("sum_c", "sum", 3..4);
        step.node("Sigmoid", &["sum_gates"], "gates");
        step.slice("input", "gates", 0..1);
        step.slice("output", "gates", 1..2);
        step.slice("forget", "gates", 2..3);
        step.node(activation, &["sum_c"], "candidate");
        step.node("Mul", &["forget", "c"], "kept");
        step.node("Mul", &["input", "candidate"], "added");
        step.node("Add", &["kept", "added"], "next_c");
        step.node(activation, &["next_c"], "shown");
        step.node("Mul", &["output", "shown"], "next_h");
        step
    }

    fn new(units: usize, states: &'static [State], bias: Vec<f32>) -> Step {
        Step { units, states, bias, constants: Vec::new(), nodes: Vec::new() }
    }

    fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.constants.push(Tensor::float(name, dims, values));
    }

    fn node(&mut self, operation: &str, inputs: &[&str], output: &str) {
        self.nodes.push(Node::new(operation, inputs, &[output], Vec::new()));
    }

    /// Some of the gates that lie side by side in `from`.
    fn slice(&mut self, output: &str, from: &str, gates: std::ops::Range<usize>) {
        let columns = slice(1, gates.start * self.units, gates.end * self.units);
        self.nodes.push(Node::new("Slice", &[from], &[output], columns));
    }

    /// The step as the body of a `Scan`: the states and [`INPUT`] to the next states and [`GIVEN`].
    fn into_body(mut self) -> Graph {
        let [_, given] = HIDDEN;
        self.node("Identity", &[given], GIVEN);
        let rows = |name: &str, width: usize| {
            let batch = DimensionValue::Name(String::new());
            ValueInfo::float(name, [batch, DimensionValue::Size(width as i64)])
        };
        let (before, after): (Vec<_>, Vec<_>) = self
            .states
            .iter()
            .map(|[before, after]| (rows(before, self.units), rows(after, self.units)))
            .unzip();
        Graph {
            name: "step".to_owned(),
            input: [before, vec![rows(INPUT, self.bias.len())]].concat(),
            output: [after, vec![rows(GIVEN, self.units)]].concat(),
            node: self.nodes,
            initializer: self.constants,
            ..Graph::default()
        }
    }
}

impl GraphBuilder {
    /// A recurrent layer over `input` `[time, batch, feature]` as a `Scan`: the state `[batch, units]` that its walk ends
    /// with, or every state `[time, batch, units]`, each at the place of the sample that it was made at.
    pub(super) fn scan(&mut self, input: &str, layer: &OnnxLayer, sequence: bool) -> String {
        let OnnxWeights { inputs, units, .. } = layer.weights;
        let step = Step::from_layer(layer);
        let width = step.bias.len();
        let w = self.constant("w", &[inputs, width], &transposed(&layer.weights.input, inputs));
        let bias = self.constant("b", &[width], &step.bias);
        let product = self.node("MatMul", &[input, &w], Vec::new());
        let x = self.node("Add", &[&product, &bias], Vec::new());
        // Every state is 0 at first, in as many rows as the batch has, which is not known here.
        let sample = self.node("Slice", &[&x], slice(0, 0, 1));
        let rows = self.node("Squeeze", &[&sample], vec![Attribute::ints("axes", &[0])]);
        let narrow_rows = self.node("Slice", &[&rows], slice(1, 0, units));
        let zero = self.constant("zero", &[1], &[0.0]);
        let first = self.node("Mul", &[&narrow_rows, &zero], Vec::new());

        let name = self.name("Scan");
        let mut last: Vec<String> =
            step.states.iter().map(|[before, _]| format!("{name}_{before}")).collect();
        let all = format!("{name}_all");
        let inputs = [vec![first.as_str(); step.states.len()], vec![&x]].concat();
        let outputs: Vec<&str> = last.iter().chain([&all]).map(String::as_str).collect();
        let backwards = i64::from(layer.reverse);
        let attributes = vec![
            Attribute::graph("body", &step.into_body()),
            Attribute::int("num_scan_inputs", 1),
            Attribute::ints("scan_input_directions", &[backwards]),
            Attribute::ints("scan_output_directions", &[backwards]),
        ];
        self.push(Node::new("Scan", &inputs, &outputs, attributes));
        if sequence { all } else { last.swap_remove(0) }
    }
}

/// Attributes of a `Slice` along one dimension.
fn slice(axis: i64, from: usize, to: usize) -> Vec<Attribute> {
    let ends = |name, value: usize| Attribute::ints(name, &[value as i64]);
    vec![Attribute::ints("axes", &[axis]), ends("starts", from), ends("ends", to)]
}

/// A matrix of rows of `columns` numbers, the other way.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns).copied()).collect()
}
