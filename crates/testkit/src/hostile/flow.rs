//! Loops and what depends on the data.

use forecastd_model::onnx::{Attribute, Graph, INT64, Node, Tensor, ValueInfo};

use super::{Hostile, POISON, before, beside, gathered, index};

/// Loops without end, and graphs within graphs.
pub(super) fn loops(models: &mut Vec<Hostile>) {
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
pub(super) fn data_dependent(models: &mut Vec<Hostile>) {
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
