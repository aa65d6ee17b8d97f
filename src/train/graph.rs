//! Writes a network as an ONNX graph, operation by operation.
//!
//! Operator set 9 and IR version 4 are the lowest that serve: from IR 4 on constants need not be inputs, and every
//! operation used here is older than operator set 9.

use crate::model::Artefact;
use crate::model::onnx::{Attribute, DimensionValue, Graph, Model, Node, OperatorSetId, Tensor, ValueInfo};

use super::dense::DenseNumbers;
use super::recurrent::OnnxWeights;

/// Version of the standard operator set.
const OPSET: i64 = 9;
/// Version of the intermediate representation.
const IR_VERSION: i64 = 4;

/// Which way a recurrent operation walks time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// As the samples come.
    Forward,
    /// Backwards.
    Reverse,
    /// Both ways.
    Bidirectional,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Direction::Forward => "forward",
            Direction::Reverse => "reverse",
            Direction::Bidirectional => "bidirectional",
        }
    }
}

/// A graph in the making. Operations are named after what they do and numbered.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl GraphBuilder {
    /// An empty graph, whose input is called [`Artefact::INPUT`].
    pub fn new() -> GraphBuilder {
        GraphBuilder::default()
    }

    /// Adds an operation with one output; gives the output's name.
    pub fn node(&mut self, operation: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let name = self.name(operation);
        self.nodes.push(Node::new(operation, inputs, &[&name], attributes));
        name
    }

    /// Adds a constant; gives its name.
    pub fn constant(&mut self, what: &str, dims: &[usize], values: &[f32]) -> String {
        let name = format!("{what}_{}", self.constants.len());
        self.constants.push(Tensor::float(&name, dims, values));
        name
    }

    /// Adds a constant vector of integers; gives its name.
    pub fn integers(&mut self, what: &str, values: &[i64]) -> String {
        let name = format!("{what}_{}", self.constants.len());
        self.constants.push(Tensor::int64(&name, values));
        name
    }

    fn name(&self, operation: &str) -> String {
        format!("{}_{}", operation.to_lowercase(), self.nodes.len())
    }

    /// `[batch, …]` to `[batch, all the rest]`.
    pub fn flatten(&mut self, input: &str) -> String {
        self.node("Flatten", &[input], vec![Attribute::int("axis", 1)])
    }

    /// Dimensions in another order.
    pub fn transpose(&mut self, input: &str, order: &[i64]) -> String {
        self.node("Transpose", &[input], vec![Attribute::ints("perm", order)])
    }

    /// `x · weight + bias`.
    pub fn dense(&mut self, input: &str, layer: &DenseNumbers) -> String {
        let weight = self.constant("weight", &[layer.inputs, layer.outputs], &layer.weight);
        let bias = self.constant("bias", &[layer.outputs], &layer.bias);
        self.node("Gemm", &[input, &weight, &bias], Vec::new())
    }

    /// A recurrent operation, `GRU` or `LSTM`, over `input` `[time, batch, feature]`: the last state `[batch, width]`, or
    /// every state `[time, batch, width]`. `weights` has one entry for each direction.
    pub fn recurrent(
        &mut self,
        operation: &str,
        input: &str,
        weights: &[OnnxWeights],
        direction: Direction,
        activation: &str,
        sequence: bool,
    ) -> String {
        let is_unusual = activation != "Tanh" || direction == Direction::Reverse;
        if let (true, "GRU", [weights]) = (is_unusual, operation, weights) {
            return self.scanned_gru(input, weights, direction, activation, sequence);
        }
        let directions = weights.len();
        let OnnxWeights { inputs, units, .. } = weights[0];
        let rows = weights[0].input.len() / inputs;
        let all =
            |part: fn(&OnnxWeights) -> &[f32]| weights.iter().flat_map(part).copied().collect::<Vec<f32>>();
        let w = self.constant("w", &[directions, rows, inputs], &all(|weights| &weights.input));
        let r = self.constant("r", &[directions, rows, units], &all(|weights| &weights.recurrent));
        let b = self.constant("b", &[directions, 2 * rows], &all(|weights| &weights.bias));
        let mut attributes = vec![
            Attribute::int("hidden_size", units as i64),
            Attribute::string("direction", direction.name()),
        ];
        if activation != "Tanh" {
            let of_one: &[&str] = match operation {
                "GRU" => &["Sigmoid", activation],
                _ => &["Sigmoid", activation, activation],
            };
            attributes.push(Attribute::strings("activations", &of_one.repeat(directions)));
        }
        if operation == "GRU" {
            attributes.push(Attribute::int("linear_before_reset", 1));
        }
        let output = self.name(operation);
        let outputs: [&str; 2] = if sequence { [&output, ""] } else { ["", &output] };
        let used = if sequence { 1 } else { 2 };
        self.nodes.push(Node::new(operation, &[input, &w, &r, &b], &outputs[..used], attributes));
        match (sequence, directions) {
            // [time, 1, batch, unit] and [1, batch, unit]: one direction, whose dimension goes.
            (true, 1) => self.node("Squeeze", &[&output], vec![Attribute::ints("axes", &[1])]),
            (false, 1) => self.node("Squeeze", &[&output], vec![Attribute::ints("axes", &[0])]),
            // Two directions side by side.
            (true, _) => {
                let side_by_side = self.transpose(&output, &[0, 2, 1, 3]);
                let shape = self.integers("shape", &[0, 0, (directions * units) as i64]);
                self.node("Reshape", &[&side_by_side, &shape], Vec::new())
            }
            (false, _) => {
                let side_by_side = self.transpose(&output, &[1, 0, 2]);
                self.flatten(&side_by_side)
            }
        }
    }

    /// A GRU whose activation or direction is not the usual one, as a `Scan`: tract reads over the attributes
    /// `activations` and `direction` of `GRU`. The input's product with its weights is taken for all steps at once.
    ///
    /// zₜ = σ(x_z + h_z), rₜ = σ(x_r + h_r), cₜ = activation(x_c + rₜ ⊙ h_c), hₜ = cₜ + zₜ ⊙ (hₜ₋₁ − cₜ),
    /// with x = xₜWᵀ + b_W and h = hₜ₋₁Rᵀ + b_R: ONNX' `GRU` with `linear_before_reset`.
    fn scanned_gru(
        &mut self,
        input: &str,
        weights: &OnnxWeights,
        direction: Direction,
        activation: &str,
        sequence: bool,
    ) -> String {
        let OnnxWeights { inputs, units, .. } = *weights;
        let width = 3 * units;
        let (bias_w, bias_r) = weights.bias.split_at(width);
        let w = self.constant("w", &[inputs, width], &transposed(&weights.input, inputs));
        let bias_w = self.constant("b", &[width], bias_w);
        let product = self.node("MatMul", &[input, &w], Vec::new());
        let x = self.node("Add", &[&product, &bias_w], Vec::new());
        // The first state is 0, of a batch whose size is not known.
        let slice = |axis: i64, from: usize, to: usize| {
            let ends = |name, value: usize| Attribute::ints(name, &[value as i64]);
            vec![Attribute::ints("axes", &[axis]), ends("starts", from), ends("ends", to)]
        };
        let first = self.node("Slice", &[&x], slice(0, 0, 1));
        let first = self.node("Squeeze", &[&first], vec![Attribute::ints("axes", &[0])]);
        let first = self.node("Slice", &[&first], slice(1, 0, units));
        let zero = self.constant("zero", &[1], &[0.0]);
        let first = self.node("Mul", &[&first, &zero], Vec::new());

        let gate = |node: usize| slice(1, node * units, (node + 1) * units);
        let step = [
            Node::new("MatMul", &["state", "r"], &["product"], Vec::new()),
            Node::new("Add", &["product", "b"], &["h"], Vec::new()),
            Node::new("Slice", &["x"], &["x_z"], gate(0)),
            Node::new("Slice", &["x"], &["x_r"], gate(1)),
            Node::new("Slice", &["x"], &["x_c"], gate(2)),
            Node::new("Slice", &["h"], &["h_z"], gate(0)),
            Node::new("Slice", &["h"], &["h_r"], gate(1)),
            Node::new("Slice", &["h"], &["h_c"], gate(2)),
            Node::new("Add", &["x_z", "h_z"], &["sum_z"], Vec::new()),
            Node::new("Sigmoid", &["sum_z"], &["update"], Vec::new()),
            Node::new("Add", &["x_r", "h_r"], &["sum_r"], Vec::new()),
            Node::new("Sigmoid", &["sum_r"], &["reset"], Vec::new()),
            Node::new("Mul", &["reset", "h_c"], &["reset_h_c"], Vec::new()),
            Node::new("Add", &["x_c", "reset_h_c"], &["sum_c"], Vec::new()),
            Node::new(activation, &["sum_c"], &["candidate"], Vec::new()),
            Node::new("Sub", &["state", "candidate"], &["difference"], Vec::new()),
            Node::new("Mul", &["update", "difference"], &["kept"], Vec::new()),
            Node::new("Add", &["candidate", "kept"], &["next"], Vec::new()),
            Node::new("Identity", &["next"], &["said"], Vec::new()),
        ];
        let rows = |width| [DimensionValue::Name(String::new()), DimensionValue::Size(width as i64)];
        let body = Graph {
            name: "step".to_owned(),
            node: step.to_vec(),
            initializer: vec![
                Tensor::float("r", &[units, width], &transposed(&weights.recurrent, units)),
                Tensor::float("b", &[width], bias_r),
            ],
            input: vec![ValueInfo::float("state", rows(units)), ValueInfo::float("x", rows(width))],
            output: vec![ValueInfo::float("next", rows(units)), ValueInfo::float("said", rows(units))],
            ..Graph::default()
        };
        let backwards = i64::from(direction == Direction::Reverse);
        let attributes = vec![
            Attribute::graph("body", &body),
            Attribute::int("num_scan_inputs", 1),
            Attribute::ints("scan_input_directions", &[backwards]),
            Attribute::ints("scan_output_directions", &[backwards]),
        ];
        let last = self.name("scan");
        let all = format!("{last}_all");
        self.nodes.push(Node::new("Scan", &[&first, &x], &[&last, &all], attributes));
        if sequence { all } else { last }
    }

    /// The model, once `last` is the name of what it gives: windows of `samples` × `features` to `outputs` of the given
    /// sizes.
    pub fn finish(mut self, last: &str, [samples, features]: [usize; 2], outputs: &[usize]) -> Model {
        let output = Node::new("Identity", &[last], &[Artefact::OUTPUT], Vec::new());
        self.nodes.push(output);
        let batch = || DimensionValue::Name("batch".to_owned());
        let size = |size: usize| DimensionValue::Size(size as i64);
        let output = std::iter::once(batch()).chain(outputs.iter().map(|&output| size(output)));
        Model {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            opset_import: vec![OperatorSetId { domain: String::new(), version: OPSET }],
            graph: Some(Graph {
                name: "forecast".to_owned(),
                input: vec![ValueInfo::float(Artefact::INPUT, [batch(), size(samples), size(features)])],
                output: vec![ValueInfo::float(Artefact::OUTPUT, output)],
                node: self.nodes,
                initializer: self.constants,
                ..Graph::default()
            }),
            ..Model::default()
        }
    }
}

/// A matrix of rows of `columns` numbers, the other way.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns).copied()).collect()
}
