//! Model files that nobody means well with: each is refused by whoever loads it, or runs, and harms nothing.
//!
//! All are changes of one small artefact, without the hash of its graph, as a stranger's tool writes them.

use forecastd_core::{MANIFEST_KEY, Manifest};
use forecastd_model::onnx::{
    Attribute, DimensionValue, Graph, INT64, Model, Node, OperatorSetId, StringStringEntry, Tensor, ValueInfo,
};
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::artefact::{manifest, spec, trend_graph};

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

/// Numbers out of range in attributes.
fn attributes(models: &mut Vec<Hostile>) {
    let int = Attribute::int;
    for extreme in EXTREMES {
        models.push((format!("Flatten of axis {extreme}"), flatten_axis(extreme)));
        for (op_type, attribute) in [
            ("Softmax", int("axis", extreme)),
            ("Hardmax", int("axis", extreme)),
            ("ArgMax", int("axis", extreme)),
            ("Cast", int("to", extreme)),
            ("ReduceMean", Attribute::ints("axes", &[extreme])),
            ("Transpose", Attribute::ints("perm", &[0, extreme, 2])),
            ("DepthToSpace", int("blocksize", extreme)),
            ("LpNormalization", int("axis", extreme)),
        ] {
            let name = format!("{op_type} of {} {extreme}", attribute.name);
            models.push(before(
                name,
                vec![Node::new(op_type, &["window"], &["x"], vec![attribute])],
                Vec::new(),
            ));
        }
        models.push(before(
            format!("Concat of axis {extreme}"),
            vec![Node::new("Concat", &["window", "window"], &["x"], vec![int("axis", extreme)])],
            Vec::new(),
        ));
        for (op_type, attribute) in [
            ("MaxPool", Attribute::ints("kernel_shape", &[extreme])),
            ("AveragePool", Attribute::ints("kernel_shape", &[extreme])),
        ] {
            let name = format!("{op_type} of kernel {extreme}");
            models.push(before(
                name,
                vec![Node::new(op_type, &["window"], &["x"], vec![attribute])],
                Vec::new(),
            ));
        }
        for attribute in ["group", "strides", "dilations", "pads", "kernel_shape"] {
            let value = match attribute {
                "group" => int(attribute, extreme),
                "pads" => Attribute::ints(attribute, &[extreme, extreme]),
                _ => Attribute::ints(attribute, &[extreme]),
            };
            models.push(before(
                format!("Conv of {attribute} {extreme}"),
                vec![Node::new("Conv", &["window", "kernel"], &["x"], vec![value])],
                vec![Tensor::float("kernel", &[3, 3, 1], &[0.1; 9])],
            ));
        }
    }
    for hidden in [i64::MIN, -1, 0, 1, 3, 1_000_000_000] {
        for (op_type, gates) in [("GRU", 3), ("LSTM", 4), ("RNN", 1)] {
            models.push(before(
                format!("{op_type} of hidden_size {hidden}"),
                vec![Node::new(op_type, &["window", "w", "r"], &["", "x"], vec![int("hidden_size", hidden)])],
                vec![
                    Tensor::float("w", &[1, gates * 2, 3], &vec![0.1; gates * 6]),
                    Tensor::float("r", &[1, gates * 2, 2], &vec![0.1; gates * 4]),
                ],
            ));
        }
    }
}

/// Numbers out of range in shapes that the graph computes with.
fn shapes(models: &mut Vec<Hostile>) {
    let ints = Tensor::int64;
    for extreme in EXTREMES {
        models.push((format!("Tile {extreme} times"), tile(extreme)));
        for (op_type, numbers) in [
            ("Expand", vec![extreme, 3, 3]),
            ("Reshape", vec![1, extreme]),
            ("Reshape", vec![extreme, extreme, -1]),
            ("Pad", vec![0, extreme, 0, 0, extreme, 0]),
            ("Unsqueeze", vec![extreme]),
            ("Squeeze", vec![extreme]),
            ("Split", vec![1, extreme]),
        ] {
            models.push(before(
                format!("{op_type} by {numbers:?}"),
                vec![Node::new(op_type, &["window", "numbers"], &["x"], Vec::new())],
                vec![ints("numbers", &numbers)],
            ));
        }
        for (position, slice) in
            [[extreme, 3, 1, 1], [0, extreme, 1, 1], [0, 3, extreme, 1], [0, 3, 1, extreme]]
                .into_iter()
                .enumerate()
        {
            models.push(before(
                format!("Slice with {extreme} as number {position}"),
                vec![Node::new("Slice", &["window", "start", "end", "axis", "step"], &["x"], Vec::new())],
                vec![
                    ints("start", &slice[..1]),
                    ints("end", &slice[1..2]),
                    ints("axis", &slice[2..3]),
                    ints("step", &slice[3..]),
                ],
            ));
        }
        models.push(before(
            format!("Gather of {extreme}"),
            vec![Node::new("Gather", &["window", "numbers"], &["x"], vec![Attribute::int("axis", 1)])],
            vec![ints("numbers", &[extreme])],
        ));
        models.push(beside(
            format!("ConstantOfShape of {extreme}"),
            vec![
                Node::new("ConstantOfShape", &["numbers"], &["large"], Vec::new()),
                Node::new("ReduceMax", &["large"], &["y"], vec![Attribute::int("keepdims", 0)]),
            ],
            vec![ints("numbers", &[extreme])],
        ));
        models.push(beside(
            format!("TopK of {extreme}"),
            vec![
                Node::new("TopK", &["window", "numbers"], &["top", ""], Vec::new()),
                Node::new("ReduceMax", &["top"], &["y"], vec![Attribute::int("keepdims", 0)]),
            ],
            vec![ints("numbers", &[extreme])],
        ));
        models.push(beside(
            format!("OneHot of depth {extreme}"),
            vec![
                Node::new("OneHot", &["indices", "depth", "values"], &["large"], Vec::new()),
                Node::new("ReduceMax", &["large"], &["y"], vec![Attribute::int("keepdims", 0)]),
            ],
            vec![
                ints("indices", &[0, 5]),
                ints("depth", &[extreme]),
                Tensor::float("values", &[2], &[0.0, 1.0]),
            ],
        ));
    }
}

/// Loops without end, and graphs within graphs.
fn loops(models: &mut Vec<Hostile>) {
    let scalar = |name: &str, value: i64| Tensor { dims: Vec::new(), ..Tensor::int64(name, &[value]) };
    let boolean =
        |name: &str| Tensor { name: name.to_owned(), data_type: 9, raw_data: vec![1], ..Tensor::default() };
    let body = Graph {
        name: "body".to_owned(),
        node: vec![
            Node::new("Identity", &["go_on"], &["goes_on"], Vec::new()),
            Node::new("Add", &["state", "state"], &["next"], Vec::new()),
        ],
        input: vec![
            ValueInfo { name: "turn".to_owned(), ..ValueInfo::default() },
            ValueInfo { name: "go_on".to_owned(), ..ValueInfo::default() },
            ValueInfo { name: "state".to_owned(), ..ValueInfo::default() },
        ],
        output: vec![
            ValueInfo { name: "goes_on".to_owned(), ..ValueInfo::default() },
            ValueInfo { name: "next".to_owned(), ..ValueInfo::default() },
        ],
        ..Graph::default()
    };
    for turns in [-1, 0, 1_000_000_000, i64::MAX] {
        models.push(before(
            format!("Loop of {turns} turns"),
            vec![Node::new(
                "Loop",
                &["turns", "on", "window"],
                &["x"],
                vec![Attribute::graph("body", &body)],
            )],
            vec![scalar("turns", turns), boolean("on")],
        ));
        models.push(before(
            format!("Scan of {turns} inputs"),
            vec![Node::new(
                "Scan",
                &["window", "window"],
                &["x"],
                vec![Attribute::graph("body", &body), Attribute::int("num_scan_inputs", turns)],
            )],
            Vec::new(),
        ));
    }
    for depth in [10, 100, 2000] {
        let mut inner = Graph {
            name: "branch".to_owned(),
            node: vec![Node::new("Identity", &["window"], &["x"], Vec::new())],
            output: vec![ValueInfo { name: "x".to_owned(), ..ValueInfo::default() }],
            ..Graph::default()
        };
        let branches = |graph: &Graph| {
            vec![Attribute::graph("then_branch", graph), Attribute::graph("else_branch", &Graph::default())]
        };
        for _ in 0..depth {
            let node = vec![Node::new("If", &["on"], &["x"], branches(&inner))];
            inner = Graph { node, ..inner };
        }
        models.push(before(
            format!("{depth} graphs, each within the other"),
            vec![Node::new("If", &["on"], &["x"], branches(&inner))],
            vec![boolean("on")],
        ));
    }
}

/// What is well for zeros, and not for other windows.
fn data_dependent(models: &mut Vec<Hostile>) {
    let reduced = || Node::new("ReduceMax", &["large"], &["y"], vec![Attribute::int("keepdims", 0)]);
    for (threshold, factor) in [(0.5, 1e6), (2.5, 1e9), (2.5, 1e18), (10.0, 1e9), (POISON, 1e9)] {
        let named = |op_type: &str| format!("{op_type} by the window, above {threshold} times {factor:e}");
        models.push(gathered(&named("Gather"), threshold, factor));
        let with = |own: Vec<Node>, constants: Vec<Tensor>| {
            let (mut nodes, mut all) = index(threshold, factor);
            nodes.push(Node::new("Unsqueeze", &["index", "zero"], &["indices"], Vec::new()));
            nodes.extend(own);
            all.push(Tensor::int64("zero", &[0]));
            all.extend(constants);
            (nodes, all)
        };
        let mut add = |op_type: &str, (nodes, constants): (Vec<Node>, Vec<Tensor>)| {
            models.push(beside(named(op_type), nodes, constants));
        };
        let floats = |name: &str, values: &[f32]| Tensor::float(name, &[values.len()], values);
        add(
            "OneHot",
            with(
                vec![Node::new("OneHot", &["one", "indices", "values"], &["large"], Vec::new()), reduced()],
                vec![Tensor::int64("one", &[1]), floats("values", &[0.0, 1.0])],
            ),
        );
        add(
            "ScatterElements",
            with(
                vec![
                    Node::new("ScatterElements", &["table", "indices", "update"], &["large"], Vec::new()),
                    reduced(),
                ],
                vec![floats("table", &[0.0; 4]), floats("update", &[1.0])],
            ),
        );
        add(
            "GatherElements",
            with(
                vec![Node::new("GatherElements", &["table", "indices"], &["large"], Vec::new()), reduced()],
                vec![floats("table", &[0.0; 4])],
            ),
        );
        add(
            "ConstantOfShape",
            with(
                vec![
                    Node::new("Add", &["indices", "one"], &["size"], Vec::new()),
                    Node::new("ConstantOfShape", &["size"], &["large"], Vec::new()),
                    reduced(),
                ],
                vec![Tensor::int64("one", &[1])],
            ),
        );
        add(
            "Tile",
            with(
                vec![
                    Node::new("Add", &["indices", "one"], &["times"], Vec::new()),
                    Node::new("Tile", &["table", "times"], &["large"], Vec::new()),
                    reduced(),
                ],
                vec![floats("table", &[0.0; 4]), Tensor::int64("one", &[1])],
            ),
        );
        add(
            "Range",
            with(
                vec![
                    Node::new("Add", &["index", "step"], &["limit"], Vec::new()),
                    Node::new("Range", &["start", "limit", "step"], &["numbers"], Vec::new()),
                    Node::new("Cast", &["numbers"], &["large"], vec![Attribute::int("to", 1)]),
                    reduced(),
                ],
                vec![
                    Tensor { dims: Vec::new(), ..Tensor::int64("start", &[0]) },
                    Tensor { dims: Vec::new(), ..Tensor::int64("step", &[1]) },
                ],
            ),
        );
    }
    for op_type in ["Div", "Mod"] {
        models.push(beside(
            format!("{op_type} of integers by a window of zeros"),
            vec![
                Node::new("ReduceMax", &["window"], &["highest"], vec![Attribute::int("keepdims", 0)]),
                Node::new("Cast", &["highest"], &["divisor"], vec![Attribute::int("to", i64::from(INT64))]),
                Node::new(op_type, &["seven", "divisor"], &["quotient"], Vec::new()),
                Node::new("Cast", &["quotient"], &["y"], vec![Attribute::int("to", 1)]),
            ],
            vec![Tensor::int64("seven", &[7])],
        ));
    }
    for op_type in ["Sqrt", "Log", "Acos", "Reciprocal", "Exp", "NonZero", "IsNaN"] {
        models.push(before(op_type, vec![Node::new(op_type, &["window"], &["x"], Vec::new())], Vec::new()));
    }
}

/// Operators that are not, or are not known, or are given too little or too much.
fn operators(models: &mut Vec<Hostile>) {
    let known = [
        "Add",
        "Conv",
        "ConvTranspose",
        "Einsum",
        "Gather",
        "Gemm",
        "GRU",
        "If",
        "LSTM",
        "Loop",
        "MatMul",
        "Pad",
        "QLinearMatMul",
        "RandomNormal",
        "Range",
        "Resize",
        "Scan",
        "SequenceAt",
        "StringNormalizer",
        "Tile",
        "TopK",
        "Where",
    ];
    for op_type in known.into_iter().chain(["", "NoSuchOperator", "\u{1b}[2J", "../../etc/passwd"]) {
        for inputs in [&[][..], &["window"], &["window"; 9]] {
            models.push(before(
                format!("{op_type:?} of {} inputs", inputs.len()),
                vec![Node::new(op_type, inputs, &["x"], Vec::new())],
                Vec::new(),
            ));
        }
    }
    for equation in
        ["", "->", "ijk->ijkl", "iii,jjj->", &"a".repeat(5000), "i...j,k...l->...", "ijk,ijk,ijk->ijk"]
    {
        models.push(before(
            format!("Einsum of {:.20}", equation),
            vec![Node::new("Einsum", &["window"], &["x"], vec![Attribute::string("equation", equation)])],
            Vec::new(),
        ));
    }
    for shape in [[1, i64::MAX], [1_000_000, 1_000_000], [-1, -1]] {
        models.push(beside(
            format!("RandomNormal of {shape:?}"),
            vec![
                Node::new("RandomNormal", &[], &["large"], vec![Attribute::ints("shape", &shape)]),
                Node::new("ReduceMax", &["large"], &["y"], vec![Attribute::int("keepdims", 0)]),
            ],
            Vec::new(),
        ));
    }
}

/// Graphs that are none.
fn graphs(models: &mut Vec<Hostile>) {
    models.push(changed("a node that is its own input", |graph| graph.node[0].input[0] = "flat".to_owned()));
    models.push(changed("two nodes that wait for each other", |graph| {
        graph.node[0].input[0] = "temperature".to_owned();
    }));
    models
        .push(changed("an input that nothing gives", |graph| graph.node[1].input[1] = "nothing".to_owned()));
    models
        .push(changed("an output that nothing gives", |graph| graph.node[1].output[0] = "other".to_owned()));
    models.push(changed("an output given twice", |graph| {
        let node = graph.node[1].clone();
        graph.node.push(node);
    }));
    models.push(changed("no input", |graph| graph.input.clear()));
    models.push(changed("a constant named as the input", |graph| {
        graph.initializer[0].name = "window".to_owned()
    }));
    models.push(changed("a constant twice", |graph| {
        let tensor = graph.initializer[0].clone();
        graph.initializer.push(tensor);
    }));
    models.push(changed("a node of 10,000 inputs", |graph| {
        graph.node[0].input = vec!["window".to_owned(); 10_000];
    }));
    models.push(changed("a name of a megabyte", |graph| graph.node[0].name = "n".repeat(1 << 20)));
    models.push(changed("types at odds with the graph", |graph| {
        graph.value_info.push(ValueInfo::float("flat", [DimensionValue::Size(-5), DimensionValue::Size(7)]));
    }));
    models.push(changed("sparse constants that are none", |graph| {
        graph.sparse_initializer = vec![vec![0xff; 64]]
    }));
    for nodes in [100, 5000, 100_000] {
        models.push((format!("a chain of {nodes} nodes"), chain(nodes)));
    }
    for nodes in [1, 9000, 500_000] {
        models.push((format!("{nodes} empty nodes"), empty_nodes(nodes)));
    }
    for (ir_version, opset) in [(0, 13), (i64::MAX, 13), (8, 0), (8, -1), (8, i64::MAX), (3, 1)] {
        let (mut model, manifest) = base();
        model.ir_version = ir_version;
        model.opset_import[0].version = opset;
        models.push((format!("ir_version {ir_version}, operator set {opset}"), file(model, &manifest)));
    }
    let (mut model, manifest) = base();
    model.opset_import.clear();
    models.push(("no operator set".to_owned(), file(model, &manifest)));
    let (mut model, manifest) = base();
    model.opset_import.push(OperatorSetId { domain: "com.microsoft".to_owned(), version: 1 });
    model.graph.as_mut().unwrap().node[0].domain = "com.microsoft".to_owned();
    models.push(("an operator of another domain".to_owned(), file(model, &manifest)));
    let (mut model, manifest) = base();
    model.functions = vec![vec![0x0a, 0x07, b'F', b'l', b'a', b't', b't', b'e', b'n'], vec![0xff; 9]];
    models.push(("functions that are none".to_owned(), file(model, &manifest)));
}

/// Constants that are not what they say.
fn tensors(models: &mut Vec<Hostile>) {
    for (name, dims) in [
        ("more numbers than it has", vec![9, 1 << 40]),
        ("fewer numbers than it has", vec![1, 1]),
        ("less than nothing", vec![-9, -24]),
        ("a product that overflows", vec![1 << 32, 1 << 32]),
        ("nothing", vec![0, 24]),
        ("sixty-four dimensions", vec![1; 64]),
        ("no dimension", Vec::new()),
    ] {
        models.push(changed(format!("weights of {name}"), |graph| graph.initializer[0].dims = dims));
    }
    for data_type in [-1, 0, 2, 6, 7, 8, 9, 10, 11, 16, 17, 23, 99] {
        models.push(changed(format!("weights of type {data_type}"), |graph| {
            graph.initializer[0].data_type = data_type;
        }));
    }
    for file in ["/etc/passwd", "/dev/zero", "/dev/stdin", "../../../../etc/hostname", ""] {
        models.push(changed(format!("weights in {file:?}"), |graph| {
            let weight = &mut graph.initializer[0];
            weight.raw_data.clear();
            weight.data_location = 1;
            let entry =
                |key: &str, value: &str| StringStringEntry { key: key.to_owned(), value: value.to_owned() };
            weight.external_data = vec![entry("location", file), entry("length", "864")];
        }));
    }
    models.push(changed("weights twice", |graph| graph.initializer[0].float_data = vec![1.0; 216]));
    models.push(changed("half of the weights", |graph| graph.initializer[0].raw_data.truncate(433)));
    for value in [f32::NAN, f32::INFINITY, -3e38, 3e38, f32::MIN_POSITIVE] {
        models.push((format!("a bias of {value}"), constant(value)));
        models.push(changed(format!("weights of {value}"), |graph| {
            graph.initializer[0] = Tensor::float("weight", &[9, 24], &[value; 216]);
        }));
    }
}

/// Manifests that ask for the impossible.
fn manifests(models: &mut Vec<Hostile>) {
    let mut add = |name: &str, change: &dyn Fn(&mut Manifest)| {
        let (_, mut manifest) = base();
        change(&mut manifest);
        models.push((name.to_owned(), file(trend_graph(&manifest, 0.5), &manifest)));
    };
    add("a history of seven gigabytes", &|manifest| {
        manifest.window.samples = 10_000;
        manifest.window.sample_every_s = 86_400;
        manifest.window.grid_step_s = 1;
    });
    add("a window of 10,000 samples", &|manifest| manifest.window.samples = 10_000);
    add("a name that writes to the terminal", &|manifest| manifest.name = "\u{1b}[2J".to_owned());
    add("a tool that writes to the terminal", &|manifest| manifest.tool = "\u{1b}[2J\nERROR".to_owned());
    add("a deviation of next to nothing", &|manifest| manifest.target.standard_deviation = f32::MIN_POSITIVE);
    let (model, _) = base();
    for json in
        ["{", "null", &"[".repeat(100_000), "{\"format_version\":1}", "{\"format_version\":4294967295}"]
    {
        models.push((format!("a manifest of {:.30}", json), with_manifest(model.clone(), json.to_owned())));
    }
    models.push(("nothing".to_owned(), Vec::new()));
    models.push(("a tag without end".to_owned(), vec![0xff; 64]));
    models.push(("groups within groups".to_owned(), vec![0x0b; 1 << 20]));
}
