//! Small artefacts whose outputs can be worked out by hand.

use std::sync::Arc;

use forecastd_core::MissingValues;
use forecastd_core::Quantity;
use forecastd_core::Site;
use forecastd_core::WindowSpec;
use forecastd_core::{FORMAT_VERSION, MANIFEST_KEY, Manifest, Normalisation, Target, TargetKind};
use forecastd_core::{Feature, Wave};
use forecastd_model::Artefact;
use forecastd_model::onnx::{
    Attribute, DimensionValue, Graph, Model, Node, OperatorSetId, StringStringEntry, Tensor, ValueInfo,
};
use prost::Message;

/// A window of `samples` hourly samples of temperature, pressure and the time of day.
pub fn spec(samples: usize) -> WindowSpec {
    WindowSpec {
        grid_step_s: 600,
        sample_every_s: 3600,
        samples,
        max_hole_s: 3 * 3600,
        site: Some(Site::new(50.91, 11.57)),
        missing: MissingValues::Refused,
        features: vec![
            Feature::Quantity(Quantity::AirTemperature),
            Feature::Quantity(Quantity::AirPressure),
            Feature::TimeOfDay(Wave::Sin),
        ],
    }
}

/// The manifest of a model that forecasts every full hour up to a day.
pub fn manifest(spec: WindowSpec) -> Manifest {
    let features = spec.features.len();
    Manifest {
        format_version: FORMAT_VERSION,
        name: "linear".to_owned(),
        window: spec,
        normalisation: Normalisation { mean: vec![0.0; features], standard_deviation: vec![1.0; features] },
        target: Target {
            quantity: "air_temperature".to_owned(),
            kind: TargetKind::DifferenceToNewest,
            mean: 0.0,
            standard_deviation: 1.0,
        },
        lead_h: (1..=24).collect(),
        quantiles: Vec::new(),
        extremes_h: None,
        ranges: None,
        training: None,
        scores: Vec::new(),
        tool: "test".to_owned(),
        stations: Vec::new(),
        graph_sha256: None,
    }
}

/// A graph that says, whatever the window, `change_c · lead` for each lead.
pub fn trend_graph(manifest: &Manifest, change_c: f32) -> Model {
    let inputs = manifest.window.len();
    let leads = manifest.lead_h.len();
    let bias: Vec<f32> = manifest.lead_h.iter().map(|&lead_h| change_c * lead_h as f32).collect();
    let batch = || DimensionValue::Name("batch".to_owned());
    let size = |size: usize| DimensionValue::Size(size as i64);
    let window = [batch(), size(manifest.window.samples), size(manifest.window.features.len())];
    Model {
        ir_version: 4,
        producer_name: "test".to_owned(),
        opset_import: vec![OperatorSetId { domain: String::new(), version: 9 }],
        graph: Some(Graph {
            name: "linear".to_owned(),
            node: vec![
                Node::new("Flatten", &["window"], &["flat"], vec![Attribute::int("axis", 1)]),
                Node::new("Gemm", &["flat", "weight", "bias"], &["temperature"], Vec::new()),
            ],
            initializer: vec![
                Tensor::float("weight", &[inputs, leads], &vec![0.0; inputs * leads]),
                Tensor::float("bias", &[leads], &bias),
            ],
            input: vec![ValueInfo::float("window", window)],
            output: vec![ValueInfo::float("temperature", [batch(), size(leads)])],
            ..Graph::default()
        }),
        ..Model::default()
    }
}

/// The bytes of an artefact that says `newest + change_c · lead`.
pub fn trend_file(samples: usize, change_c: f32) -> Vec<u8> {
    let manifest = manifest(spec(samples));
    Artefact::assemble(trend_graph(&manifest, change_c), &manifest).unwrap()
}

/// The bytes of an artefact that says `newest + change_c · lead`, with another name and for these stations; none = all.
pub fn specialist_file(name: &str, stations: &[&str], samples: usize, change_c: f32) -> Vec<u8> {
    let stations = stations.iter().map(|&station| station.to_owned()).collect();
    let manifest = Manifest { name: name.to_owned(), stations, ..manifest(spec(samples)) };
    Artefact::assemble(trend_graph(&manifest, change_c), &manifest).unwrap()
}

/// The bytes of an artefact that says `newest + change_c · lead`, and an interval that reaches `half_width_c` to either
/// side of it.
pub fn trend_file_with_interval(samples: usize, change_c: f32, half_width_c: f32) -> Vec<u8> {
    let manifest = Manifest { quantiles: vec![0.1, 0.5, 0.9], ..manifest(spec(samples)) };
    let inputs = manifest.window.len();
    let (leads, quantiles) = (manifest.lead_h.len(), manifest.quantiles.len());
    let of_lead = |lead_h: u32| {
        let middle_c = change_c * lead_h as f32;
        [middle_c - half_width_c, middle_c, middle_c + half_width_c]
    };
    let bias: Vec<f32> = manifest.lead_h.iter().flat_map(|&lead_h| of_lead(lead_h)).collect();
    let mut model = trend_graph(&manifest, change_c);
    let graph = model.graph.as_mut().unwrap();
    // What was the output is one row for each window, which is then folded.
    graph.node[1] = Node::new("Gemm", &["flat", "weight", "bias"], &["row"], Vec::new());
    graph.node.push(Node::new("Reshape", &["row", "shape"], &["temperature"], Vec::new()));
    graph.initializer = vec![
        Tensor::float("weight", &[inputs, leads * quantiles], &vec![0.0; inputs * leads * quantiles]),
        Tensor::float("bias", &[leads * quantiles], &bias),
        Tensor::int64("shape", &[-1, leads as i64, quantiles as i64]),
    ];
    let batch = DimensionValue::Name("batch".to_owned());
    let size = |size: usize| DimensionValue::Size(size as i64);
    graph.output = vec![ValueInfo::float("temperature", [batch, size(leads), size(quantiles)])];
    Artefact::assemble(model, &manifest).unwrap()
}

/// The artefact that says `newest + change_c · lead`.
pub fn trend(samples: usize, change_c: f32) -> Arc<Artefact> {
    Arc::new(Artefact::parse(&trend_file(samples, change_c)).unwrap())
}

/// Files that are no usable model, each with what an explanation must say of it.
pub fn broken_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = trend_file(3, 0.5);
    let manifest_of = |samples: usize| manifest(spec(samples));
    let with_manifest = |mut model: Model, manifest: &str| {
        let value = manifest.to_owned();
        model.metadata_props.push(StringStringEntry { key: MANIFEST_KEY.to_owned(), value });
        model.encode_to_vec()
    };
    let json = |manifest: &Manifest| serde_json::to_string(manifest).unwrap();
    // What the graph declares fits the manifest, what it computes does not: a bias for 23 of the 24 leads.
    let mut inconsistent = trend_graph(&manifest_of(3), 0.5);
    inconsistent.graph.as_mut().unwrap().initializer[1] = Tensor::float("bias", &[23], &[0.5; 23]);
    vec![
        ("truncated", good[..good.len() / 2].to_vec(), "not an ONNX file, or cut off"),
        ("cut by a byte", good[..good.len() - 1].to_vec(), "not an ONNX file, or cut off"),
        ("empty", Vec::new(), "not an ONNX file, or cut off"),
        (
            "a web page",
            b"<!doctype html><title>404 Not Found</title>".to_vec(),
            "not an ONNX file, or cut off",
        ),
        ("without manifest", trend_graph(&manifest_of(3), 0.5).encode_to_vec(), "no forecastd.manifest"),
        ("broken manifest", with_manifest(trend_graph(&manifest_of(3), 0.5), "{"), "manifest: EOF"),
        (
            "window of another length",
            with_manifest(trend_graph(&manifest_of(4), 0.5), &json(&manifest_of(3))),
            "window has shape [batch, 4, 3], the manifest says [batch, 3, 3]",
        ),
        (
            "graph at odds with itself",
            with_manifest(inconsistent, &json(&manifest_of(3))),
            "cannot load the network",
        ),
    ]
}
