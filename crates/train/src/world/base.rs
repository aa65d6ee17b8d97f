//! The world's network as it stands in a model file, to go on from.

use burn::tensor::Device;

use forecastd_model::Artefact;
use forecastd_model::onnx::Tensor;

use crate::dense::DenseNumbers;
use crate::recurrent::OnnxWeights;

use super::example::ROWS;
use super::network::{Network, OUTPUTS, Scaling};
use super::window;

/// Why a file cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Its windows are other ones.
    #[error("its windows are not those of the experiment world")]
    Window,
    /// Its graph is another one.
    #[error("its graph is not one that the experiment world has written")]
    Graph,
}

/// Shape and numbers of a constant.
type Constant = (Vec<i64>, Vec<f32>);

/// The network of an artefact, with what its inputs and outputs are scaled by.
///
/// # Errors
/// [`BaseError`] when it is no network of the experiment `world`.
pub(crate) fn read(artefact: &Artefact, device: &Device) -> Result<(Network, Scaling), BaseError> {
    let own = window::window(artefact.manifest.window.grid_step_s);
    if artefact.manifest.window.features != own.features || artefact.manifest.window.samples != own.samples {
        return Err(BaseError::Window);
    }
    let model = artefact.model();
    let constants = model.graph.as_ref().map_or(&[][..], |graph| &graph.initializer);
    let is_named = |tensor: &Tensor, what: &str| {
        let number = tensor.name.strip_prefix(what).and_then(|rest| rest.strip_prefix('_'));
        number.is_some_and(|number| number.parse::<usize>().is_ok())
    };
    let all = |what: &str| -> Result<Vec<Constant>, BaseError> {
        let own = constants.iter().filter(|tensor| is_named(tensor, what));
        own.map(|tensor| Some((tensor.dims.clone(), tensor.floats()?)))
            .collect::<Option<_>>()
            .ok_or(BaseError::Graph)
    };
    let one = |what: &str| match &all(what)?[..] {
        [(_, numbers)] => Ok(numbers.clone()),
        _ => Err(BaseError::Graph),
    };
    let mut layers = Vec::new();
    let (weights, biases) = (all("weight")?, all("bias")?);
    let gru = gru(&all("w")?, &all("r")?, &all("b")?)?;
    let mut inputs = window::picked() + gru.as_ref().map_or(0, |weights| weights.units);
    for ((dims, weight), (_, bias)) in weights.into_iter().zip(biases) {
        let outputs = bias.len();
        if dims != [inputs as i64, outputs as i64] || weight.len() != inputs * outputs {
            return Err(BaseError::Graph);
        }
        layers.push(DenseNumbers { inputs, outputs, weight, bias });
        inputs = outputs;
    }
    let (mean, deviation, row_c) = (one("mean")?, one("deviation")?, one("row_c")?);
    let is_step = one("is_step")?;
    let width: Vec<f32> = is_step
        .chunks_exact(is_step.len() / ROWS.max(1))
        .map(|row| row.iter().copied().fold(0.0, f32::max))
        .collect();
    let fits = inputs == OUTPUTS
        && mean.len() == window::picked()
        && deviation.len() == window::picked()
        && row_c.len() == ROWS
        && width.len() == ROWS;
    let network = Network::from_layers(gru, layers, device).filter(|_| fits).ok_or(BaseError::Graph)?;
    Ok((network, Scaling { mean, deviation, row_c, width }))
}

/// The recurrent layer of a graph by its constants; none in the graph of a network without.
fn gru(
    input: &[Constant],
    recurrent: &[Constant],
    bias: &[Constant],
) -> Result<Option<OnnxWeights>, BaseError> {
    let ([(dims, input)], [(_, recurrent)], [(_, bias)]) = (input, recurrent, bias) else {
        let is_dense = input.is_empty() && recurrent.is_empty() && bias.is_empty();
        return if is_dense { Ok(None) } else { Err(BaseError::Graph) };
    };
    let (units, inputs) = (bias.len() / 6, window::OF_STEP);
    let fits = *dims == [1, 3 * units as i64, inputs as i64]
        && input.len() == 3 * units * inputs
        && recurrent.len() == 3 * units * units
        && bias.len() == 6 * units;
    let weights = || OnnxWeights {
        inputs,
        units,
        input: input.clone(),
        recurrent: recurrent.clone(),
        bias: bias.clone(),
    };
    fits.then(|| Some(weights())).ok_or(BaseError::Graph)
}
