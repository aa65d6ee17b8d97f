//! The world's network: dense layers from what it is given of a window to seven quantiles of every row, which do not cross.
//!
//! The last layer gives for each row a median and, for every other quantile, how far it lies from its neighbour on the
//! median's side, through a softplus, so that quantiles are in order whatever the weights are.

use burn::module::Module;
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor, TensorData};
use rand_pcg::Pcg64;

use forecastd_model::Artefact;
use forecastd_model::onnx::{Attribute, Model};

use crate::dense::{Dense, DenseNumbers, dropout};
use crate::graph::GraphBuilder;
use crate::recurrent::{Gru, GruConfig, OnnxWeights};
use crate::silu_op::silu;

use super::example::{AUXILIARY, ROWS};
use super::window::{self, FEATURES, SAMPLES};

/// The quantiles that are forecast.
pub(crate) const QUANTILES: [f32; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];
/// The position of the median among them.
pub(super) const MEDIAN: usize = 3;
/// Numbers of a forecast.
pub(super) const OUTPUTS: usize = ROWS * QUANTILES.len();
/// What the network is given is kept within so many standard deviations.
const LIMIT: f32 = 6.0;

/// Mean and standard deviation of what the network is given, and how large a unit of each row is.
#[derive(Debug, Clone)]
pub(crate) struct Scaling {
    /// Of each input of the dense layers.
    pub(crate) mean: Vec<f32>,
    /// Of each input.
    pub(crate) deviation: Vec<f32>,
    /// What a unit of each row is, °C.
    pub(crate) row_c: Vec<f32>,
    /// How far the quantiles of each row are drawn away from the median.
    pub(crate) width: Vec<f32>,
}

impl Scaling {
    /// Standardises what is picked in place, and keeps it and the sequence, which is normalised already, within limits.
    pub(super) fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(window::count()) {
            for ((value, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *value = (*value - mean) / deviation;
            }
            row.iter_mut().for_each(|value| *value = value.clamp(-LIMIT, LIMIT));
        }
    }
}

/// Layers that make a state of standardised inputs: dense ones on what is picked of the window and, with a recurrent layer, on
/// its last state after it has walked the whole of the window.
#[derive(Module, Debug)]
pub(super) struct Tower {
    gru: Option<Gru>,
    hidden: Vec<Dense>,
}

/// The network, on standardised inputs: towers side by side, and one layer on the states of all.
#[derive(Module, Debug)]
pub(crate) struct Network {
    pub(super) towers: Vec<Tower>,
    pub(super) output: Dense,
    pub(super) dropout: f64,
}

/// The numbers of a tower.
pub(super) struct TowerNumbers {
    /// Its recurrent layer.
    pub(super) gru: Option<OnnxWeights>,
    /// Its dense layers.
    pub(super) hidden: Vec<DenseNumbers>,
}

/// Which of a row's quantiles is which linear combination of the softplus'd steps: `[step, quantile]`.
fn combination() -> Vec<f32> {
    let count = QUANTILES.len();
    let mut matrix = vec![0.0; count * count];
    for quantile in 0..count {
        matrix[MEDIAN * count + quantile] = 1.0;
        for step in quantile..MEDIAN {
            matrix[step * count + quantile] = -1.0;
        }
        for step in MEDIAN + 1..=quantile {
            matrix[step * count + quantile] = 1.0;
        }
    }
    matrix
}

/// 1 where a number of a row is the median, else 0.
fn is_median() -> Vec<f32> {
    (0..QUANTILES.len()).map(|index| if index == MEDIAN { 1.0 } else { 0.0 }).collect()
}

impl Tower {
    /// `[batch, input]` to the state `[batch, unit]`.
    fn state(&self, inputs: Tensor<2>, dropped: f64, mut generator: Option<&mut Pcg64>) -> Tensor<2> {
        let [batch, width] = inputs.dims();
        let picked = window::picked();
        let mut state = inputs.clone().slice([0..batch, 0..picked]);
        if let Some(gru) = &self.gru {
            let sequence = inputs.slice([0..batch, picked..width]);
            let sequence = sequence.reshape([batch, window::STEPS, window::OF_STEP]);
            state = Tensor::cat(vec![state, gru.forward(sequence, generator.as_deref_mut())], 1);
        }
        for dense in &self.hidden {
            state = silu(dense.forward(state));
            state = dropout(state, dropped, generator.as_deref_mut());
        }
        state
    }
}

impl Network {
    /// A network of one tower with initial weights.
    pub(crate) fn new(
        units: usize,
        hidden: &[usize],
        dropout: f64,
        device: &Device,
        generator: &mut Pcg64,
    ) -> Network {
        let recurrent = |units: usize| GruConfig::new(window::OF_STEP, units).init(device, generator);
        let gru = Some(units).filter(|&units| units > 0).map(recurrent);
        let mut width = window::picked() + units;
        let mut layers = Vec::new();
        for &units in hidden {
            layers.push(Dense::new_uniform(width, units, device, generator));
            width = units;
        }
        let output = Dense::new_uniform(width, OUTPUTS + AUXILIARY, device, generator);
        Network { towers: vec![Tower { gru, hidden: layers }], output, dropout }
    }

    /// A network of given towers and the layer on their states.
    pub(super) fn from_layers(towers: Vec<TowerNumbers>, output: DenseNumbers, device: &Device) -> Network {
        let towers = towers.into_iter().map(|tower| Tower {
            gru: tower.gru.map(|weights| Gru::from_onnx(weights, device)),
            hidden: tower.hidden.into_iter().map(|layer| Dense::from_numbers(layer, device)).collect(),
        });
        Network { towers: towers.collect(), output: Dense::from_numbers(output, device), dropout: 0.0 }
    }

    /// The weights of all layers, without biases.
    pub(super) fn weights(&self) -> impl Iterator<Item = Tensor<2>> {
        let of_tower = |tower: &Tower| {
            let gru = tower.gru.iter().flat_map(|gru| [gru.input_weight.val(), gru.recurrent_weight.val()]);
            gru.chain(tower.hidden.iter().map(|layer| layer.weight.val())).collect::<Vec<Tensor<2>>>()
        };
        self.towers.iter().flat_map(of_tower).chain(std::iter::once(self.output.weight.val()))
    }

    /// The same network with another last layer.
    pub(super) fn with_output(&self, output: DenseNumbers, device: &Device) -> Network {
        Network { output: Dense::from_numbers(output, device), ..self.clone() }
    }

    /// `[batch, input]` to what the last layer is given, `[batch, unit]`.
    pub(super) fn state(&self, inputs: Tensor<2>, mut generator: Option<&mut Pcg64>) -> Tensor<2> {
        let state = |tower: &Tower| tower.state(inputs.clone(), self.dropout, generator.as_deref_mut());
        Tensor::cat(self.towers.iter().map(state).collect(), 1)
    }

    /// `[batch, input]` to `[batch, row · quantile]`, in units of each row.
    pub(super) fn forward(&self, inputs: Tensor<2>, generator: Option<&mut Pcg64>) -> Tensor<2> {
        ordered(self.steps(inputs, generator).0)
    }

    /// `[batch, input]` to what the last layer gives, `[batch, row · quantile]`, of which [`ordered`] makes quantiles; and the
    /// auxiliary outputs `[batch, auxiliary]`, of which a network from a file has none.
    pub(super) fn steps(&self, inputs: Tensor<2>, generator: Option<&mut Pcg64>) -> (Tensor<2>, Tensor<2>) {
        let all = self.output.forward(self.state(inputs, generator));
        let [batch, width] = all.dims();
        let steps = all.clone().slice([0..batch, 0..OUTPUTS]);
        (steps, all.slice([0..batch, OUTPUTS.min(width - 1)..width]))
    }

    /// The graph: from plain windows, normalised, to `[batch, row, quantile]` in °C less the newest temperature.
    pub(crate) fn export(&self, scaling: &Scaling) -> Model {
        let mut graph = GraphBuilder::new();
        let flat = graph.flatten(Artefact::INPUT);
        let axis = || vec![Attribute::int("axis", 1)];
        let integers = |positions: &[usize]| positions.iter().map(|&at| at as i64).collect::<Vec<i64>>();
        let positions = graph.integers("inputs", &integers(&window::inputs()));
        let mut columns = vec![graph.node("Gather", &[&flat, &positions], axis())];
        for day in window::ranges() {
            let positions = graph.integers("day", &integers(&day));
            let values = graph.node("Gather", &[&flat, &positions], axis());
            let [highest, lowest] = ["ReduceMax", "ReduceMin"].map(|operation| {
                let attributes = vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", 1)];
                graph.node(operation, &[&values], attributes)
            });
            columns.push(graph.node("Sub", &[&highest, &lowest], Vec::new()));
        }
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let inputs = graph.node("Concat", &names, axis());
        let mean = graph.constant("mean", &[scaling.mean.len()], &scaling.mean);
        let deviation = graph.constant("deviation", &[scaling.deviation.len()], &scaling.deviation);
        let centred = graph.node("Sub", &[&inputs, &mean], Vec::new());
        let scaled = graph.node("Div", &[&centred, &deviation], Vec::new());
        let limits = vec![Attribute::float("min", -LIMIT), Attribute::float("max", LIMIT)];
        let picked = graph.node("Clip", &[&scaled], limits.clone());
        let mut states = Vec::new();
        for tower in &self.towers {
            let mut state = picked.clone();
            if let Some(gru) = &tower.gru {
                let positions = graph.integers("sequence", &integers(&window::sequence()));
                let samples = graph.node("Gather", &[&flat, &positions], axis());
                let samples = graph.node("Clip", &[&samples], limits.clone());
                let shape = graph.integers("steps", &[0, window::STEPS as i64, window::OF_STEP as i64]);
                let steps = graph.node("Reshape", &[&samples, &shape], Vec::new());
                let steps = graph.transpose(&steps, &[1, 0, 2]);
                let last = graph.recurrent(&steps, &[gru.onnx_layer()], false);
                state = graph.node("Concat", &[&state, &last], axis());
            }
            for dense in &tower.hidden {
                let linear = graph.dense(&state, &dense.numbers());
                let gate = graph.node("Sigmoid", &[&linear], Vec::new());
                state = graph.node("Mul", &[&linear, &gate], Vec::new());
            }
            states.push(state);
        }
        let state = match &states[..] {
            [only] => only.clone(),
            _ => graph.node("Concat", &states.iter().map(String::as_str).collect::<Vec<&str>>(), axis()),
        };
        let kept: Vec<usize> = (0..OUTPUTS).collect();
        let steps = graph.dense(&state, &self.output.numbers().select_outputs(&kept));
        let shape = graph.integers("shape", &[0, ROWS as i64, QUANTILES.len() as i64]);
        let rows = graph.node("Reshape", &[&steps, &shape], Vec::new());
        let quantiles = QUANTILES.len();
        let is_median = is_median();
        let of_row = |width: &f32| is_median.iter().map(|is| width * (1.0 - is)).collect::<Vec<f32>>();
        let is_step: Vec<f32> = scaling.width.iter().flat_map(of_row).collect();
        let is_median = graph.constant("is_median", &[quantiles], &is_median);
        let is_step = graph.constant("is_step", &[ROWS, quantiles], &is_step);
        let medians = graph.node("Mul", &[&rows, &is_median], Vec::new());
        let widths = graph.node("Softplus", &[&rows], Vec::new());
        let widths = graph.node("Mul", &[&widths, &is_step], Vec::new());
        let parts = graph.node("Add", &[&medians, &widths], Vec::new());
        let combination = graph.constant("combination", &[quantiles, quantiles], &combination());
        let ordered = graph.node("MatMul", &[&parts, &combination], Vec::new());
        let units = graph.constant("row_c", &[ROWS, 1], &scaling.row_c);
        let forecast = graph.node("Mul", &[&ordered, &units], Vec::new());
        graph.finish(&forecast, [SAMPLES, FEATURES.len()], &[ROWS, quantiles])
    }
}

/// What the last layer gives, `[batch, row · quantile]`, as quantiles in order.
pub(super) fn ordered(steps: Tensor<2>) -> Tensor<2> {
    let (device, [batch, _]) = (steps.device(), steps.dims());
    let quantiles = QUANTILES.len();
    let rows = steps.reshape([batch * ROWS, quantiles]);
    let is_median = Tensor::<1>::from_data(TensorData::new(is_median(), [quantiles]), &device);
    let is_step = is_median.clone().neg() + 1.0;
    let medians = rows.clone() * is_median.unsqueeze();
    let steps = softplus(rows, 1.0) * is_step.unsqueeze();
    let combination = Tensor::<2>::from_data(TensorData::new(combination(), [quantiles, quantiles]), &device);
    (medians + steps).matmul(combination).reshape([batch, OUTPUTS])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::parameters::{numbers, values, with_values};
    use crate::world::ensemble::joined;
    use crate::world::manifest;
    use crate::world::read_base;
    use crate::world::window::{Positions, gather};
    use forecastd_model::{Engine, EngineChoice, Runtime};
    use rand::{Rng, SeedableRng};

    /// A dense network and one with a recurrent layer.
    pub(in crate::world) fn members(generator: &mut Pcg64) -> [Network; 2] {
        let device = Device::flex();
        [
            Network::new(0, &[16, 12], 0.0, &device, generator),
            Network::new(10, &[14], 0.0, &device, generator),
        ]
    }

    /// Networks as files have them: of one and of two towers.
    fn networks(generator: &mut Pcg64) -> [Network; 2] {
        let members = members(generator);
        [joined(&members[..1]), joined(&members)]
    }

    fn scaling(generator: &mut Pcg64) -> Scaling {
        let mut numbers = |count: usize, from: f32, to: f32| -> Vec<f32> {
            (0..count).map(|_| generator.random_range(from..to)).collect()
        };
        Scaling {
            mean: numbers(window::picked(), -0.5, 0.5),
            deviation: numbers(window::picked(), 0.5, 2.0),
            row_c: numbers(ROWS, 0.5, 4.0),
            width: vec![1.0; ROWS],
        }
    }

    #[test]
    fn the_engine_gives_what_burn_gives_and_quantiles_never_cross() {
        let mut generator = Pcg64::seed_from_u64(3);
        for network in networks(&mut generator) {
            compare_engine_with_burn(&network, &mut generator);
        }
    }

    fn compare_engine_with_burn(network: &Network, generator: &mut Pcg64) {
        let device = Device::flex();
        let (count, scaling) = (window::count(), scaling(generator));
        let file = Artefact::assemble(network.export(&scaling), &manifest("world", 600)).unwrap();
        let runtime = Runtime::start(EngineChoice::Tract, None).unwrap();
        let mut engine = Engine::load(&runtime, &Artefact::parse(&file).unwrap()).unwrap();
        for _ in 0..20 {
            let numbers_of_window: Vec<f32> =
                (0..SAMPLES * FEATURES.len()).map(|_| generator.random_range(-2.5..2.5)).collect();
            let mut row = vec![0.0; count];
            gather(&numbers_of_window, &Positions::new(), &mut row);
            scaling.apply(&mut row);
            let input = Tensor::<2>::from_data(TensorData::new(row, [1, count]), &device);
            let by_burn = numbers(network.forward(input, None));
            let by_engine = engine.run(&numbers_of_window, 1).unwrap();
            for (index, (own, engine)) in by_burn.iter().zip(&by_engine).enumerate() {
                let own = own * scaling.row_c[index / QUANTILES.len()];
                assert!((own - engine).abs() < 1e-4 * (1.0 + own.abs()), "{index}: {own} and {engine}");
            }
            for quantiles in by_engine.chunks_exact(QUANTILES.len()) {
                assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]), "{quantiles:?}");
            }
        }
    }

    #[test]
    fn a_network_is_read_back_from_its_file_as_it_was() {
        let mut generator = Pcg64::seed_from_u64(5);
        let device = Device::flex();
        for network in networks(&mut generator) {
            let mut drawn = values(&network);
            drawn.fill_with(|| generator.random_range(-0.3..0.3));
            let network = with_values(network, &drawn);
            let file = Artefact::assemble(network.export(&scaling(&mut generator)), &manifest("world", 600))
                .unwrap();
            let (read, _) = read_base(&Artefact::parse(&file).unwrap(), &device).unwrap();
            let rows: Vec<f32> =
                (0..5 * window::count()).map(|_| generator.random_range(-2.0..2.0)).collect();
            let input = Tensor::<2>::from_data(TensorData::new(rows, [5, window::count()]), &device);
            let [before, after] =
                [network, read].map(|network| numbers(network.forward(input.clone(), None)));
            assert_eq!(before, after);
        }
    }

    #[test]
    fn the_recurrent_layer_is_given_every_hour_of_three_days_in_the_order_of_time() {
        // A window whose every number says its sample and its column.
        let numbers: Vec<f32> = (0..SAMPLES * FEATURES.len()).map(|position| position as f32).collect();
        let mut row = vec![0.0; window::count()];
        gather(&numbers, &Positions::new(), &mut row);
        let samples: Vec<usize> =
            row[window::picked()..].iter().map(|&number| number as usize / FEATURES.len()).collect();
        let temperature = |step: usize, hour: usize| samples[step * window::OF_STEP + hour * 4];
        let hours: Vec<usize> =
            (0..window::STEPS).flat_map(|step| [0, 1, 2].map(|hour| temperature(step, hour))).collect();
        assert_eq!(hours, (1..SAMPLES).collect::<Vec<usize>>());
    }

    #[test]
    fn steps_add_up_away_from_the_median() {
        // Median 10, steps 1, 2, 4 below and 8, 16, 32 above.
        let steps = [1.0, 2.0, 4.0, 10.0, 8.0, 16.0, 32.0];
        let matrix = combination();
        let quantile = |at: usize| (0..7).map(|step| steps[step] * matrix[step * 7 + at]).sum::<f32>();
        let quantiles: Vec<f32> = (0..7).map(quantile).collect();
        assert_eq!(quantiles, [3.0, 4.0, 6.0, 10.0, 18.0, 34.0, 66.0]);
    }
}
