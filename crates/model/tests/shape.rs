//! What is said of a graph whose input and output are not those of its manifest.

use forecastd_model::onnx::{DimensionValue, Graph, Model, ValueInfo};
use forecastd_model::{Artefact, ArtefactError, ShapeError};
use forecastd_testkit::artefact::{manifest, spec, trend_graph};

/// What is said of a graph for three samples of three features and 24 leads, after a change.
fn said(change: impl FnOnce(&mut Graph)) -> String {
    let manifest = manifest(spec(3));
    let mut model = trend_graph(&manifest, 0.5);
    change(model.graph.as_mut().unwrap());
    let error = Artefact::assemble(model, &manifest).unwrap_err();
    assert!(matches!(error, ArtefactError::Shape(_)), "{error}");
    assert!(std::error::Error::source(&error).is_none(), "a chain would say it twice");
    error.to_string()
}

fn sizes(sizes: &[i64]) -> Vec<DimensionValue> {
    sizes.iter().map(|&size| DimensionValue::Size(size)).collect()
}

#[test]
fn each_fault_of_a_shape_is_said_by_a_sentence_of_its_own() {
    assert_eq!(said(|graph| graph.output.clear()), "graph has 1 inputs and 0 outputs, not one of each");
    assert_eq!(
        said(|graph| graph.input[0].name = "a\nb".to_owned()),
        "graph has \"a\\nb\" where \"window\" is expected"
    );
    assert_eq!(
        said(|graph| graph.output[0].r#type = None),
        "temperature is not a float tensor of known rank"
    );
    assert_eq!(
        said(|graph| graph.input[0] = ValueInfo::float("window", sizes(&[1, 3, 4]))),
        "window has shape [1, 3, 4], the manifest says [batch, 3, 3]"
    );
    assert_eq!(
        said(|graph| graph.output[0] = ValueInfo::float("temperature", sizes(&[]))),
        "temperature has shape [], the manifest says [batch, 24]"
    );
    assert_eq!(
        said(|graph| graph.input[0] = ValueInfo::float("window", sizes(&[5, 3, 3]))),
        "window has a fixed batch of 5, not 1 or a symbolic one"
    );
}

#[test]
fn a_shape_of_many_and_long_dimensions_is_said_in_a_few_words() {
    let name = |name: &str| DimensionValue::Name(name.to_owned());
    let mut long = vec![name(""), name(&"n".repeat(100)), DimensionValue::Size(-7)];
    long.extend(sizes(&[1; 90]));
    let said = said(|graph| graph.input[0] = ValueInfo::float("window", long));
    assert!(said.starts_with("window has shape [?, nnnn") && said.len() < 150, "{said}");
    assert!(said.ends_with(", -7, 1, 1, 1, 1, 1, …], the manifest says [batch, 3, 3]"), "{said}");
}

#[test]
fn a_model_without_a_graph_is_no_onnx_file_when_read_and_has_no_graph_when_written() {
    let read = Artefact::parse(&[]).unwrap_err();
    assert!(matches!(read, ArtefactError::NoGraph));
    assert_eq!(read.to_string(), "not an ONNX file, or cut off: no graph");
    let written = Artefact::assemble(Model::default(), &manifest(spec(3))).unwrap_err();
    assert!(matches!(written, ArtefactError::Shape(ShapeError::NoGraph)));
    assert_eq!(written.to_string(), "no graph");
}
