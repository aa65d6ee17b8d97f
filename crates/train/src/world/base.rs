//! The world's network as it stands in a model file, to go on from.

use burn::tensor::Device;

use forecastd_model::Artefact;
use forecastd_model::onnx::Tensor;

use crate::dense::DenseNumbers;
use crate::recurrent::OnnxWeights;

use super::example::ROWS;
use super::network::{Network, OUTPUTS, Scaling, TowerNumbers};
use super::window;

/// Why a file cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It is a specialist.
    #[error("it is for one place, and only a model for any place can be gone on from")]
    Site,
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
    if artefact.manifest.window.site.is_some() {
        return Err(BaseError::Site);
    }
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
    for ((dims, weight), (_, bias)) in all("weight")?.into_iter().zip(all("bias")?) {
        let outputs = bias.len();
        let inputs = weight.len() / outputs.max(1);
        if dims != [inputs as i64, outputs as i64] {
            return Err(BaseError::Graph);
        }
        layers.push(DenseNumbers { inputs, outputs, weight, bias });
    }
    let output = layers.pop().ok_or(BaseError::Graph)?;
    let towers = towers(layers, gru(&all("w")?, &all("r")?, &all("b")?)?)?;
    let (mean, deviation, row_c) = (one("mean")?, one("deviation")?, one("row_c")?);
    let is_step = one("is_step")?;
    let width: Vec<f32> = is_step
        .chunks_exact(is_step.len() / ROWS.max(1))
        .map(|row| row.iter().copied().fold(0.0, f32::max))
        .collect();
    let states: usize = towers.iter().filter_map(|tower| Some(tower.hidden.last()?.outputs)).sum();
    let fits = output.inputs == states
        && output.outputs == OUTPUTS
        && mean.len() == window::picked()
        && deviation.len() == window::picked()
        && row_c.len() == ROWS
        && width.len() == ROWS;
    if !fits {
        return Err(BaseError::Graph);
    }
    Ok((Network::from_layers(towers, output, device), Scaling { mean, deviation, row_c, width }))
}

/// Layers in the order of the graph as towers: a layer that does not take what the one before it gives begins another.
fn towers(layers: Vec<DenseNumbers>, mut gru: Option<OnnxWeights>) -> Result<Vec<TowerNumbers>, BaseError> {
    let mut towers: Vec<TowerNumbers> = Vec::new();
    let mut given = None;
    for layer in layers {
        let outputs = layer.outputs;
        match towers.last_mut().filter(|_| given == Some(layer.inputs)) {
            Some(tower) => tower.hidden.push(layer),
            None => {
                let is_dense = layer.inputs == window::picked();
                let gru = if is_dense { None } else { Some(gru.take().ok_or(BaseError::Graph)?) };
                if layer.inputs != window::picked() + gru.as_ref().map_or(0, |weights| weights.units) {
                    return Err(BaseError::Graph);
                }
                towers.push(TowerNumbers { gru, hidden: vec![layer] });
            }
        }
        given = Some(outputs);
    }
    Ok(towers)
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

/// A network that says that the temperature stays, and what scales it, for tests.
#[cfg(test)]
pub(crate) fn persistence(device: &Device) -> (Network, Scaling) {
    use rand::SeedableRng;
    let mut generator = rand_pcg::Pcg64::seed_from_u64(1);
    let network = Network::new(0, &[8], 0.0, device, &mut generator);
    let mut output: DenseNumbers = network.output.numbers();
    output.weight.fill(0.0);
    output.bias.fill(0.0);
    let scaling = Scaling {
        mean: vec![0.0; window::picked()],
        deviation: vec![1.0; window::picked()],
        row_c: vec![1.0; ROWS],
        width: vec![1.0; ROWS],
    };
    (network.with_output(output, device), scaling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_for_one_place_is_not_gone_on_from() {
        let specialist = Artefact::parse(&forecastd_testkit::artefact::trend_file(6, 0.1)).unwrap();
        assert!(specialist.manifest.window.site.is_some());
        let error = read(&specialist, &Device::flex()).map(|_| ()).unwrap_err();
        assert!(matches!(error, BaseError::Site), "{error}");
    }
}
