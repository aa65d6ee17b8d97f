//! Model files that nobody means well with: each is refused by whoever loads it, or runs, and harms nothing.
//!
//! All are changes of one small artefact, without the hash of its graph, as a stranger's tool writes them.

mod file;
mod flow;
mod nodes;

use forecastd_core::{MANIFEST_KEY, Manifest};
use forecastd_model::onnx::{Attribute, Graph, INT64, Model, Node, StringStringEntry, Tensor};
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::artefact::{manifest, spec, trend_graph};

use file::{graphs, manifests, tensors};
use flow::{data_dependent, loops};
use nodes::{attributes, operators, shapes};

/// A window whose first feature has a value above this ends or fails [`poisonous`] models, which every other window leaves alone.
pub const POISON: f32 = 25.0;

/// A file, and what is wrong with it.
pub type Hostile = (String, Vec<u8>);

fn file(model: Model, manifest: &Manifest) -> Vec<u8> {
    with_manifest(model, serde_json::to_string(manifest).unwrap())
}

fn with_manifest(mut model: Model, value: String) -> Vec<u8> {
    model.metadata_props.push(StringStringEntry { key: MANIFEST_KEY.to_owned(), value });
    model.encode_to_vec()
}

/// The artefact that all are made from.
fn base() -> (Model, Manifest) {
    let manifest = manifest(spec(3));
    let mut model = trend_graph(&manifest, 0.5);
    // Of the operator set whose slices, pads and tiles take their numbers from the graph.
    model.ir_version = 8;
    model.opset_import[0].version = 13;
    (model, manifest)
}

fn changed(name: impl Into<String>, change: impl FnOnce(&mut Graph)) -> Hostile {
    let (mut model, manifest) = base();
    change(model.graph.as_mut().unwrap());
    (name.into(), file(model, &manifest))
}

/// A file in which operations stand between the window and the network: the last gives `x`.
fn before(name: impl Into<String>, nodes: Vec<Node>, constants: Vec<Tensor>) -> Hostile {
    changed(name, |graph| {
        graph.node[0].input[0] = "x".to_owned();
        graph.node.splice(0..0, nodes);
        graph.initializer.extend(constants);
    })
}

/// A file in which an operation gives `y`, which is added to the temperature.
fn beside(name: impl Into<String>, nodes: Vec<Node>, constants: Vec<Tensor>) -> Hostile {
    changed(name, |graph| {
        graph.node[1].output[0] = "network".to_owned();
        // tract wants names that differ.
        graph.node[1].name = "network".to_owned();
        graph.node.extend(nodes);
        graph.node.push(Node::new("Add", &["network", "y"], &["temperature"], Vec::new()));
        graph.initializer.extend(constants);
    })
}

/// Nodes that make an index of the window's first feature: 0 as long as no value of it is above `threshold`, then `factor`
/// times the excess.
fn index(threshold: f32, factor: f32) -> (Vec<Node>, Vec<Tensor>) {
    let nodes = vec![
        Node::new("Slice", &["window", "from", "to", "feature"], &["first"], Vec::new()),
        Node::new("ReduceMax", &["first"], &["highest"], vec![Attribute::int("keepdims", 0)]),
        Node::new("Sub", &["highest", "threshold"], &["excess"], Vec::new()),
        Node::new("Relu", &["excess"], &["positive"], Vec::new()),
        Node::new("Mul", &["positive", "factor"], &["scaled"], Vec::new()),
        Node::new("Cast", &["scaled"], &["index"], vec![Attribute::int("to", i64::from(INT64))]),
    ];
    let constants = vec![
        Tensor::int64("from", &[0]),
        Tensor::int64("to", &[1]),
        Tensor::int64("feature", &[2]),
        Tensor::float("threshold", &[], &[threshold]),
        Tensor::float("factor", &[], &[factor]),
    ];
    (nodes, constants)
}

fn gathered(name: &str, threshold: f32, factor: f32) -> Hostile {
    let (mut nodes, mut constants) = index(threshold, factor);
    nodes.push(Node::new("Gather", &["table", "index"], &["y"], Vec::new()));
    constants.push(Tensor::float("table", &[2], &[0.0, 0.0]));
    beside(name, nodes, constants)
}

/// A model that works for every window but those whose first feature has a value above [`POISON`].
pub fn poisonous() -> Vec<u8> {
    gathered("poisonous", POISON, 1e6).1
}

/// A model that reads out of bounds for windows whose first feature has a value above 1, and so for many, but not for zeros.
pub fn out_of_bounds() -> Vec<u8> {
    gathered("index out of bounds", 1.0, 1e6).1
}

/// A model whose `Flatten` has an axis that its input has not.
pub fn flatten_axis(axis: i64) -> Vec<u8> {
    changed("flatten", |graph| graph.node[0].attribute = vec![Attribute::int("axis", axis)]).1
}

/// A model that asks for `times` the memory of its window.
pub fn tile(times: i64) -> Vec<u8> {
    let nodes = vec![
        Node::new("Tile", &["window", "times"], &["large"], Vec::new()),
        Node::new(
            "ReduceMean",
            &["large"],
            &["y"],
            vec![Attribute::ints("axes", &[0, 1, 2]), Attribute::int("keepdims", 0)],
        ),
    ];
    beside("tile", nodes, vec![Tensor::int64("times", &[1, times, 1])]).1
}

/// A model that gives one number for every window.
pub fn constant(output: f32) -> Vec<u8> {
    changed("constant", |graph| graph.initializer[1] = Tensor::float("bias", &[24], &[output; 24])).1
}

/// A model with a chain of `nodes` operations that do nothing.
pub fn chain(nodes: usize) -> Vec<u8> {
    let mut chain = Vec::with_capacity(nodes);
    let name = |index: usize| match index {
        0 => "window".to_owned(),
        index if index == nodes => "x".to_owned(),
        index => format!("n{index}"),
    };
    for index in 0..nodes {
        chain.push(Node::new("Identity", &[&name(index)], &[&name(index + 1)], Vec::new()));
    }
    before("chain", chain, Vec::new()).1
}

/// A file of `count` nodes without anything.
pub fn empty_nodes(count: usize) -> Vec<u8> {
    changed("empty nodes", |graph| graph.node.extend(std::iter::repeat_n(Node::default(), count))).1
}

/// Exactly `count` files, the same at every call: those that are made up first, and as many with random damage as are left.
pub fn models(count: usize) -> Vec<Hostile> {
    let mut models = made_up();
    let mut chance = Pcg64::seed_from_u64(531);
    while models.len() < count {
        models.push(damaged(&mut chance));
    }
    models.truncate(count);
    models
}

fn damaged(chance: &mut Pcg64) -> Hostile {
    let (model, manifest) = base();
    let mut bytes = file(model, &manifest);
    // The graph alone: damage in the manifest is told from its JSON.
    let graph = 0..bytes.len() - serde_json::to_string(&manifest).unwrap().len();
    let position = chance.random_range(graph.clone());
    let name = match chance.random_range(0..4) {
        0 | 1 => {
            let bit = chance.random_range(0..8);
            bytes[position] ^= 1 << bit;
            format!("bit {bit} of byte {position} flipped")
        }
        2 => {
            let value = chance.random();
            bytes[position] = value;
            format!("byte {position} is {value}")
        }
        _ => {
            let length = chance.random_range(1..8).min(graph.end - position);
            bytes.drain(position..position + length);
            format!("{length} bytes from {position} on left out")
        }
    };
    (name, bytes)
}

const EXTREMES: [i64; 11] =
    [i64::MIN, -1_000_000_000, -100, -2, 0, 2, 5, 100, 1_000_000, 1_000_000_000, i64::MAX];

fn made_up() -> Vec<Hostile> {
    let mut models = Vec::new();
    attributes(&mut models);
    shapes(&mut models);
    loops(&mut models);
    data_dependent(&mut models);
    operators(&mut models);
    graphs(&mut models);
    tensors(&mut models);
    manifests(&mut models);
    models
}
