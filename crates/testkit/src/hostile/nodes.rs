//! Operations with attributes, shapes and kinds that they cannot have.

use forecastd_model::onnx::{Attribute, Node, Tensor};

use super::{EXTREMES, Hostile, before, beside, flatten_axis, tile};

/// Numbers out of range in attributes.
pub(super) fn attributes(models: &mut Vec<Hostile>) {
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
pub(super) fn shapes(models: &mut Vec<Hostile>) {
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

/// Operators that are not, or are not known, or are given too little or too much.
pub(super) fn operators(models: &mut Vec<Hostile>) {
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
