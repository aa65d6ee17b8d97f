//! Graphs, constants and manifests that are not what they say.

use forecastd_core::Manifest;
use forecastd_model::onnx::{DimensionValue, OperatorSetId, StringStringEntry, Tensor, ValueInfo};

use super::{Hostile, base, chain, changed, constant, empty_nodes, file, with_manifest};
use crate::artefact::trend_graph;

/// Graphs that are none.
pub(super) fn graphs(models: &mut Vec<Hostile>) {
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
pub(super) fn tensors(models: &mut Vec<Hostile>) {
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
pub(super) fn manifests(models: &mut Vec<Hostile>) {
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
