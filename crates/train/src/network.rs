//! The networks of the experiments: recurrent layers or none, dense layers, one output per lead.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::dense::{Dense, dropout};
use super::graph::GraphBuilder;
use super::recurrent::{Activation, Gru, GruConfig, Lstm, LstmConfig};

/// A recurrent cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum CellKind {
    /// Gated recurrent unit.
    Gru,
    /// Long short-term memory.
    Lstm,
}

/// The direction in which a layer goes through time. In a model file it is written as it always was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the oldest sample to the newest.
    Forward,
    /// From the newest to the oldest.
    #[serde(rename = "reverse")]
    Backward,
    /// One layer in each direction, side by side.
    #[serde(rename = "both")]
    Bidirectional,
}

/// A recurrent layer to be made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RecurrentSettings {
    /// Which recurrent cell it is made of.
    pub cell: CellKind,
    /// Units, for each direction.
    pub units: usize,
    /// In which direction it goes through time.
    #[serde(rename = "walk")]
    pub direction: Direction,
    /// The candidate's activation.
    pub activation: Activation,
    /// Dropout of inputs.
    pub dropout: f64,
    /// Dropout of the state.
    pub recurrent_dropout: f64,
}

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// The recurrent layers, the first nearest the input; without any, the window is flattened.
    pub recurrent: Vec<RecurrentSettings>,
    /// Units of the dense layers (relu) between them and the output.
    pub hidden: Vec<usize>,
    /// Dropout of what goes into each dense layer behind a recurrent one.
    pub head_dropout: f64,
}

/// A recurrent layer.
#[derive(Module, Debug)]
pub enum Recurrent {
    /// GRU in one direction.
    Gru(Gru),
    /// LSTM in one direction.
    Lstm(Lstm),
    /// GRUs in both directions.
    GruBidirectional(Bidirectional<Gru>),
    /// LSTMs in both directions.
    LstmBidirectional(Bidirectional<Lstm>),
}

/// A layer in each direction.
#[derive(Module, Debug)]
pub struct Bidirectional<M: Module> {
    /// From the oldest sample to the newest.
    pub forward: M,
    /// From the newest to the oldest.
    pub reverse: M,
}

/// A network from windows to one number per output.
#[derive(Module, Debug)]
pub struct Network {
    /// The recurrent layers, the first nearest the input.
    pub recurrent: Vec<Recurrent>,
    /// Dense layers with relu.
    pub hidden: Vec<Dense>,
    /// The output layer.
    pub output: Dense,
    /// Dropout in front of dense layers.
    pub head_dropout: f64,
}

impl NetworkSettings {
    /// A network for windows of `samples` × `features`.
    pub fn init(
        &self,
        [samples, features]: [usize; 2],
        outputs: usize,
        device: &Device,
        generator: &mut Pcg64,
    ) -> Network {
        let mut width = features;
        let mut recurrent = Vec::new();
        for layer in &self.recurrent {
            recurrent.push(layer.init(width, device, generator));
            width = layer.width();
        }
        if recurrent.is_empty() {
            width = samples * features;
        }
        let mut hidden = Vec::new();
        for &units in &self.hidden {
            hidden.push(Dense::new(width, units, device, generator));
            width = units;
        }
        let output = Dense::new(width, outputs, device, generator);
        Network { recurrent, hidden, output, head_dropout: self.head_dropout }
    }
}

impl RecurrentSettings {
    /// A layer of so many units of a kind, plain.
    pub fn plain(cell: CellKind, units: usize) -> RecurrentSettings {
        let activation = Activation::Tanh;
        RecurrentSettings {
            cell,
            units,
            direction: Direction::Forward,
            activation,
            dropout: 0.0,
            recurrent_dropout: 0.0,
        }
    }

    /// Numbers of the layer's state, over both directions where it has both.
    pub fn width(&self) -> usize {
        self.units * if self.direction == Direction::Bidirectional { 2 } else { 1 }
    }

    /// The layer, for inputs of `inputs` features.
    pub fn init(&self, inputs: usize, device: &Device, generator: &mut Pcg64) -> Recurrent {
        let gru = |reverse| {
            GruConfig::new(inputs, self.units)
                .with_reverse(reverse)
                .with_activation(self.activation)
                .with_dropout(self.dropout)
                .with_recurrent_dropout(self.recurrent_dropout)
        };
        let lstm = |reverse| {
            LstmConfig::new(inputs, self.units)
                .with_reverse(reverse)
                .with_activation(self.activation)
                .with_dropout(self.dropout)
                .with_recurrent_dropout(self.recurrent_dropout)
        };
        let reverse = self.direction == Direction::Backward;
        match (self.cell, self.direction) {
            (CellKind::Gru, Direction::Bidirectional) => Recurrent::GruBidirectional(Bidirectional {
                forward: gru(false).init(device, generator),
                reverse: gru(true).init(device, generator),
            }),
            (CellKind::Lstm, Direction::Bidirectional) => Recurrent::LstmBidirectional(Bidirectional {
                forward: lstm(false).init(device, generator),
                reverse: lstm(true).init(device, generator),
            }),
            (CellKind::Gru, _) => Recurrent::Gru(gru(reverse).init(device, generator)),
            (CellKind::Lstm, _) => Recurrent::Lstm(lstm(reverse).init(device, generator)),
        }
    }
}

impl Recurrent {
    /// The last state of a sequence: `[batch, steps, inputs]` to `[batch, width]`.
    pub fn forward(&self, x: Tensor<3>, mut generator: Option<&mut Pcg64>) -> Tensor<2> {
        match self {
            Recurrent::Gru(layer) => layer.forward(x, generator),
            Recurrent::Lstm(layer) => layer.forward(x, generator),
            Recurrent::GruBidirectional(both) => {
                let forward = both.forward.forward(x.clone(), generator.as_deref_mut());
                Tensor::cat(vec![forward, both.reverse.forward(x, generator)], 1)
            }
            Recurrent::LstmBidirectional(both) => {
                let forward = both.forward.forward(x.clone(), generator.as_deref_mut());
                Tensor::cat(vec![forward, both.reverse.forward(x, generator)], 1)
            }
        }
    }

    /// Every state of a sequence: `[batch, steps, inputs]` to `[batch, steps, width]`.
    pub fn forward_sequence(&self, x: Tensor<3>, mut generator: Option<&mut Pcg64>) -> Tensor<3> {
        match self {
            Recurrent::Gru(layer) => layer.forward_sequence(x, generator),
            Recurrent::Lstm(layer) => layer.forward_sequence(x, generator),
            Recurrent::GruBidirectional(both) => {
                let forward = both.forward.forward_sequence(x.clone(), generator.as_deref_mut());
                Tensor::cat(vec![forward, both.reverse.forward_sequence(x, generator)], 2)
            }
            Recurrent::LstmBidirectional(both) => {
                let forward = both.forward.forward_sequence(x.clone(), generator.as_deref_mut());
                Tensor::cat(vec![forward, both.reverse.forward_sequence(x, generator)], 2)
            }
        }
    }

    /// Adds the layer to a graph; see [`GraphBuilder::recurrent`].
    pub fn export(&self, graph: &mut GraphBuilder, input: &str, sequence: bool) -> String {
        let layers = match self {
            Recurrent::Gru(layer) => vec![layer.onnx_layer()],
            Recurrent::Lstm(layer) => vec![layer.onnx_layer()],
            Recurrent::GruBidirectional(both) => vec![both.forward.onnx_layer(), both.reverse.onnx_layer()],
            Recurrent::LstmBidirectional(both) => vec![both.forward.onnx_layer(), both.reverse.onnx_layer()],
        };
        graph.recurrent(input, &layers, sequence)
    }
}

impl Network {
    /// Windows `[batch, sample, feature]` to outputs `[batch, output]`; dropout only with a generator.
    pub fn forward(&self, window: Tensor<3>, mut generator: Option<&mut Pcg64>) -> Tensor<2> {
        let mut state = match self.recurrent.split_last() {
            None => window.flatten(1, 2),
            Some((last, before)) => {
                let mut sequence = window;
                for layer in before {
                    sequence = layer.forward_sequence(sequence, generator.as_deref_mut());
                }
                last.forward(sequence, generator.as_deref_mut())
            }
        };
        for dense in &self.hidden {
            state = dropout(state, self.head_dropout, generator.as_deref_mut());
            state = relu(dense.forward(state));
        }
        self.output.forward(dropout(state, self.head_dropout, generator))
    }

    /// Adds the network to a graph: from the window, `[batch, sample, feature]`, to the outputs, each multiplied by a
    /// factor of its own.
    pub fn export(&self, graph: &mut GraphBuilder, window: &str, factors: &[f32]) -> String {
        let mut state = match self.recurrent.split_last() {
            None => graph.flatten(window),
            Some((last, before)) => {
                let mut sequence = graph.transpose(window, &[1, 0, 2]);
                for layer in before {
                    sequence = layer.export(graph, &sequence, true);
                }
                last.export(graph, &sequence, false)
            }
        };
        for dense in &self.hidden {
            let linear = graph.dense(&state, &dense.numbers());
            state = graph.node("Relu", &[&linear], Vec::new());
        }
        let mut output = self.output.numbers();
        output.scale_outputs(factors, &vec![0.0; factors.len()]);
        graph.dense(&state, &output)
    }
}
