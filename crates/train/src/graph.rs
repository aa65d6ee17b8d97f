//! Writes a network as an ONNX graph, operation by operation.
//!
//! Operator set 9 and IR version 4 are the lowest that serve: from IR 4 on constants need not be inputs, and every
//! operation used here is older than operator set 9.

use forecastd_core::PROGRAM;
use forecastd_model::Artefact;
use forecastd_model::onnx::{
    Attribute, DimensionValue, Graph, Model, Node, OperatorSetId, Tensor, ValueInfo,
};

use super::dense::DenseNumbers;
use super::recurrent::{Activation, OnnxCell, OnnxLayer, OnnxWeights};

/// Version of the standard operator set.
const OPSET: i64 = 9;
/// Version of the intermediate representation.
const IR_VERSION: i64 = 4;

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
        self.push(Node::new(operation, inputs, &[&name], attributes));
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

    /// Adds an operation whose outputs are named already, after [`name`](Self::name).
    pub(super) fn push(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// A name for the output of the operation that is added next.
    pub(super) fn name(&self, operation: &str) -> String {
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

    /// Recurrent layers side by side over `input` `[time, batch, feature]`: their last states `[batch, width]`, or every
    /// state `[time, batch, width]`.
    ///
    /// The last state is the one that a layer's walk ends with: of a reversed layer, that at the first sample. Every state
    /// stands at the place of the sample that it was made at.
    pub fn recurrent(&mut self, input: &str, layers: &[OnnxLayer], sequence: bool) -> String {
        if is_usual(layers) {
            return self.native(input, layers, sequence);
        }
        let states: Vec<String> = layers.iter().map(|layer| self.scan(input, layer, sequence)).collect();
        match &states[..] {
            [state] => state.clone(),
            _ => {
                let states: Vec<&str> = states.iter().map(String::as_str).collect();
                self.node("Concat", &states, vec![Attribute::int("axis", if sequence { 2 } else { 1 })])
            }
        }
    }

    /// Layers that [are usual](is_usual) as the operator `GRU` or `LSTM`.
    fn native(&mut self, input: &str, layers: &[OnnxLayer], sequence: bool) -> String {
        let directions = layers.len();
        let OnnxLayer { cell, weights: OnnxWeights { inputs, units, .. }, .. } = layers[0];
        let rows = layers[0].weights.input.len() / inputs;
        let all = |part: fn(&OnnxWeights) -> &[f32]| {
            layers.iter().flat_map(|layer| part(&layer.weights)).copied().collect::<Vec<f32>>()
        };
        let w = self.constant("w", &[directions, rows, inputs], &all(|weights| &weights.input));
        let r = self.constant("r", &[directions, rows, units], &all(|weights| &weights.recurrent));
        let b = self.constant("b", &[directions, 2 * rows], &all(|weights| &weights.bias));
        let direction = if directions == 1 { "forward" } else { "bidirectional" };
        let mut attributes =
            vec![Attribute::int("hidden_size", units as i64), Attribute::string("direction", direction)];
        let operation = match cell {
            OnnxCell::Gru { reset_after } => {
                attributes.push(Attribute::int("linear_before_reset", i64::from(reset_after)));
                "GRU"
            }
            OnnxCell::Lstm => "LSTM",
        };
        let output = self.name(operation);
        let outputs: [&str; 2] = if sequence { [&output, ""] } else { ["", &output] };
        let used = if sequence { 1 } else { 2 };
        self.push(Node::new(operation, &[input, &w, &r, &b], &outputs[..used], attributes));
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

    /// The model, once `last` is the name of what it gives: windows of `samples` × `features` to `outputs` of the given
    /// sizes.
    pub fn finish(mut self, last: &str, [samples, features]: [usize; 2], outputs: &[usize]) -> Model {
        let output = Node::new("Identity", &[last], &[Artefact::OUTPUT], Vec::new());
        self.push(output);
        let batch = || DimensionValue::Name("batch".to_owned());
        let size = |size: usize| DimensionValue::Size(size as i64);
        let output = std::iter::once(batch()).chain(outputs.iter().map(|&output| size(output)));
        Model {
            ir_version: IR_VERSION,
            producer_name: PROGRAM.to_owned(),
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

/// Whether one `GRU` or `LSTM` does what the layers do, as tract reads it: with the usual activations, forwards or both
/// ways. Whatever is not usual is a [`Scan`](super::scan).
fn is_usual(layers: &[OnnxLayer]) -> bool {
    let walks_usually = match layers {
        [only] => !only.reverse,
        [first, second] => {
            let are_alike = first.cell == second.cell && first.weights.units == second.weights.units;
            !first.reverse && second.reverse && are_alike
        }
        _ => false,
    };
    walks_usually && layers.iter().all(|layer| layer.activation == Activation::Tanh)
}
