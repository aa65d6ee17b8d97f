//! Whether a graph's input and output are those that its manifest says.

use forecastd_core::{Manifest, excerpt};

use crate::Artefact;
use crate::onnx::{self, DimensionValue};

/// How a graph's input or output does not fit the manifest.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// The model has no graph.
    #[error("no graph")]
    NoGraph,
    /// The graph has not one input and one output. Inputs that the graph has constants for are not counted.
    #[error("graph has {inputs} inputs and {outputs} outputs, not one of each")]
    NotOneOfEach {
        /// The number of inputs.
        inputs: usize,
        /// The number of outputs.
        outputs: usize,
    },
    /// The input or the output has another name.
    #[error("graph has \"{}\" where {expected:?} is expected", excerpt(.found, 64))]
    Name {
        /// The name in the graph.
        found: String,
        /// The name that it must have: [`Artefact::INPUT`] or [`Artefact::OUTPUT`].
        expected: &'static str,
    },
    /// The input or the output, by its name, is of other numbers than `f32`, or of a rank that is not known.
    #[error("{0} is not a float tensor of known rank")]
    NotFloat(&'static str),
    /// The dimensions after the batch are others than the manifest's.
    #[error("{name} has shape {}, the manifest says {}", shape_of(.found), expected_shape(.expected))]
    Dimensions {
        /// The name of the input or output.
        name: &'static str,
        /// Every dimension in the graph, with that of the batch.
        found: Vec<DimensionValue>,
        /// The sizes of the dimensions after the batch, as the manifest has them.
        expected: Vec<usize>,
    },
    /// The dimension of the batch is fixed to another size than 1.
    #[error("{name} has a fixed batch of {size}, not 1 or a symbolic one")]
    Batch {
        /// The name of the input or output.
        name: &'static str,
        /// The size in the graph.
        size: i64,
    },
}

/// Checks input and output of the graph against the manifest; gives the name of the batch dimension.
pub(crate) fn check_shapes(model: &onnx::Model, manifest: &Manifest) -> Result<Option<String>, ShapeError> {
    let graph = model.graph.as_ref().ok_or(ShapeError::NoGraph)?;
    let constants = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|input| !constants(&input.name)).collect();
    let window = [manifest.window.samples, manifest.window.features.len()];
    let mut temperature = vec![manifest.output_rows()];
    if !manifest.quantiles.is_empty() {
        temperature.push(manifest.quantiles.len());
    }
    let (&[input], [output]) = (inputs.as_slice(), graph.output.as_slice()) else {
        return Err(ShapeError::NotOneOfEach { inputs: inputs.len(), outputs: graph.output.len() });
    };
    let mut batch = None;
    for (value, name, expected) in
        [(input, Artefact::INPUT, &window[..]), (output, Artefact::OUTPUT, &temperature[..])]
    {
        if value.name != name {
            return Err(ShapeError::Name { found: value.name.clone(), expected: name });
        }
        let dimensions = value.float_dimensions().ok_or(ShapeError::NotFloat(name))?;
        let fits = dimensions.len() == expected.len() + 1
            && dimensions[1..].iter().zip(expected).all(|(found, &size)| match found {
                DimensionValue::Size(found) => *found == size as i64,
                DimensionValue::Name(_) => false,
            });
        if !fits {
            return Err(ShapeError::Dimensions { name, found: dimensions, expected: expected.to_vec() });
        }
        batch = match &dimensions[0] {
            DimensionValue::Size(1) => None,
            DimensionValue::Size(size) => return Err(ShapeError::Batch { name, size: *size }),
            DimensionValue::Name(batch_name) => Some(batch_name.clone()),
        };
    }
    Ok(batch)
}

fn expected_shape(sizes: &[usize]) -> String {
    format!("[batch, {}]", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

/// A shape for a person: escaped and short, whatever the file has.
fn shape_of(dimensions: &[DimensionValue]) -> String {
    const MOST: usize = 8;
    let mut sizes: Vec<String> = dimensions
        .iter()
        .take(MOST)
        .map(|dimension| match dimension {
            DimensionValue::Size(size) => size.to_string(),
            DimensionValue::Name(name) if name.is_empty() => "?".to_owned(),
            DimensionValue::Name(name) => excerpt(name, 32),
        })
        .collect();
    if dimensions.len() > MOST {
        sizes.push("…".to_owned());
    }
    format!("[{}]", sizes.join(", "))
}
