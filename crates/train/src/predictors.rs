//! What the pair network is given of a window: predictors that a person would look at, above all changes since some hours
//! ago, and a shortened sequence.
//!
//! Everything is computed from the normalised window alone. Training computes it here once per window; the exported
//! graph computes the same from its input, so that a model file still takes plain windows. A test compares both.

use forecastd_core::Normalisation;
use forecastd_core::Quantity;
use forecastd_core::WindowSpec;
use forecastd_core::{Feature, Wave};
use forecastd_model::onnx::Attribute;

use super::graph::GraphBuilder;

/// Predictors are kept within so many standard deviations.
const LIMIT: f32 = 6.0;
/// Hours back at which temperature and pressure are compared with now.
const CHANGES: [usize; 26] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 22, 24, 27, 30, 33, 36, 42, 48, 60, 71];
/// Hours back at which the other quantities are looked at.
const FEWER_CHANGES: [usize; 10] = [1, 2, 3, 6, 9, 12, 18, 24, 36, 48];
/// How many samples make a step of the shortened sequence.
const SAMPLES_OF_STEP: usize = 3;
/// Tetens' coefficients over water (Tetens 1930, Z. Geophys. 6, 297; as rounded in FAO Irrigation and Drainage Paper 56,
/// equation 11). The graphs of models that were published have them; from −25 to 45 °C they differ from what
/// [`thermodynamics`](forecastd_core::thermodynamics) measures with by less than 1 %, which a network cannot tell.
const TETENS: (f32, f32) = (17.27, 237.3);

/// A window's columns, by position.
const TEMPERATURE: usize = 0;
const PRESSURE: usize = 1;
const HUMIDITY: usize = 2;
const DEW_POINT: usize = 3;
const WIND: usize = 4;
const CALENDAR: std::ops::Range<usize> = 5..9;
const SUN: usize = 9;
const SUN_NEXT_DAY: usize = 10;
/// Only where direction is measured.
const WIND_VECTOR: std::ops::Range<usize> = 11..13;

/// Samples of a window that the predictors are made for.
pub const SAMPLES: usize = 72;

/// The features of such a window, with the wind as a vector where its direction is measured.
pub fn features(with_direction: bool) -> Vec<Feature> {
    let mut features = vec![
        Feature::Quantity(Quantity::AirTemperature),
        Feature::Quantity(Quantity::AirPressure),
        Feature::Quantity(Quantity::RelativeHumidity),
        Feature::Quantity(Quantity::DewPointTemperature),
        Feature::Quantity(Quantity::WindSpeed),
        Feature::TimeOfDay(Wave::Sin),
        Feature::TimeOfDay(Wave::Cos),
        Feature::TimeOfYear(Wave::Sin),
        Feature::TimeOfYear(Wave::Cos),
        Feature::SolarElevation { ahead_h: 0 },
        Feature::SolarElevation { ahead_h: 24 },
    ];
    if with_direction {
        features.extend([Feature::EastwardWind, Feature::NorthwardWind]);
    }
    features
}

/// One number made of a window. `back` counts samples from the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Predictor {
    /// A feature's value at a sample, normalised.
    Value { feature: usize, back: usize },
    /// A value less the newest one.
    Change { feature: usize, back: usize },
    /// The square root of the newest value in its unit.
    SquareRoot { feature: usize },
    /// Saturation vapour pressure at the newest value, relative to that at 0 °C.
    VapourPressure { feature: usize },
    /// The largest value less the smallest among 24.
    Range { feature: usize, back: usize },
    /// The standard deviation of the newest values.
    Deviation { feature: usize, samples: usize },
}

impl Predictor {
    fn value(self, window: &[f32], features: usize, normalisation: &Normalisation) -> f32 {
        let at = |feature: usize, back: usize| window[window.len() - (back + 1) * features + feature];
        let in_unit = |feature: usize| {
            at(feature, 0) * normalisation.standard_deviation[feature] + normalisation.mean[feature]
        };
        match self {
            Predictor::Value { feature, back } => at(feature, back),
            Predictor::Change { feature, back } => at(feature, back) - at(feature, 0),
            Predictor::SquareRoot { feature } => in_unit(feature).max(0.0).sqrt(),
            Predictor::VapourPressure { feature } => {
                let value = in_unit(feature);
                (value * TETENS.0 / (value + TETENS.1)).exp()
            }
            Predictor::Range { feature, back } => {
                let values = || (back..back + 24).map(|back| at(feature, back));
                values().fold(f32::MIN, f32::max) - values().fold(f32::MAX, f32::min)
            }
            Predictor::Deviation { feature, samples } => {
                let values = || (0..samples).map(|back| at(feature, back));
                let mean = values().sum::<f32>() / samples as f32;
                (values().map(|value| (value - mean) * (value - mean)).sum::<f32>() / samples as f32).sqrt()
            }
        }
    }
}

/// The predictors, in order. The first are also what the recurrent branch is given beside the sequence.
fn predictors(with_direction: bool) -> (Vec<Predictor>, usize) {
    let value = |feature, back| Predictor::Value { feature, back };
    let mut predictors: Vec<Predictor> = (TEMPERATURE..=WIND).map(|feature| value(feature, 0)).collect();
    predictors.extend(CALENDAR.map(|feature| value(feature, 0)));
    // The sun in 0, 3, … 21 hours.
    predictors.extend((0..24).step_by(3).map(|hours| value(SUN_NEXT_DAY, 24 - hours)));
    predictors.extend([
        Predictor::SquareRoot { feature: WIND },
        Predictor::VapourPressure { feature: TEMPERATURE },
        Predictor::VapourPressure { feature: DEW_POINT },
    ]);
    predictors.extend([0, 24, 48].map(|back| Predictor::Range { feature: TEMPERATURE, back }));
    predictors.extend([24, SAMPLES].map(|samples| Predictor::Deviation { feature: PRESSURE, samples }));
    if with_direction {
        predictors.extend(WIND_VECTOR.map(|feature| value(feature, 0)));
    }
    let few = predictors.len();
    let changes = |feature| CHANGES.map(|back| Predictor::Change { feature, back });
    predictors.extend(changes(TEMPERATURE));
    predictors.extend(changes(PRESSURE));
    predictors.extend(FEWER_CHANGES.map(|back| Predictor::Change { feature: DEW_POINT, back }));
    for feature in [HUMIDITY, WIND] {
        predictors.extend(FEWER_CHANGES.map(|back| value(feature, back)));
    }
    if with_direction {
        for feature in WIND_VECTOR {
            predictors.extend(FEWER_CHANGES.map(|back| value(feature, back)));
        }
    }
    (predictors, few)
}

/// One input of a step of the shortened sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepInput {
    /// The mean over the step.
    Mean { feature: usize },
    /// The step's last value.
    Last { feature: usize },
    /// The mean over the step less the newest value of all, in units of how far apart such values usually are.
    Change { feature: usize },
}

fn step_inputs(with_direction: bool) -> Vec<StepInput> {
    let mut inputs: Vec<StepInput> =
        (TEMPERATURE..=WIND).map(|feature| StepInput::Mean { feature }).collect();
    inputs.extend([CALENDAR.start, CALENDAR.start + 1, SUN].map(|feature| StepInput::Last { feature }));
    inputs.extend([TEMPERATURE, PRESSURE, DEW_POINT].map(|feature| StepInput::Change { feature }));
    if with_direction {
        inputs.extend(WIND_VECTOR.map(|feature| StepInput::Mean { feature }));
    }
    inputs
}

/// What is made of a window, with the statistics of the training windows.
#[derive(Debug, Clone)]
pub struct Predictors {
    predictors: Vec<Predictor>,
    few: usize,
    inputs: Vec<StepInput>,
    features: usize,
    normalisation: Normalisation,
    /// Of each predictor.
    mean: Vec<f32>,
    /// Of each predictor.
    deviation: Vec<f32>,
    /// One divided by the usual size of a change of each feature, for the sequence.
    change_factors: Vec<f32>,
}

impl Predictors {
    /// Predictors whose statistics are those of the normalised windows that `visit_all` shows, one after the other.
    ///
    /// # Panics
    /// If the windows are not [`SAMPLES`] samples of [`features`].
    pub fn fit(
        spec: &WindowSpec,
        normalisation: &Normalisation,
        visit_all: impl FnOnce(&mut dyn FnMut(&[f32])),
    ) -> Predictors {
        let with_direction = spec.features.contains(&Feature::EastwardWind);
        let expected = features(with_direction);
        assert!(spec.samples == SAMPLES && spec.features == expected, "windows are those of the predictors");
        let (predictors, few) = predictors(with_direction);
        let features = spec.features.len();
        let mut raw = Predictors {
            few,
            inputs: step_inputs(with_direction),
            features,
            normalisation: normalisation.clone(),
            mean: vec![0.0; predictors.len()],
            deviation: vec![1.0; predictors.len()],
            change_factors: vec![1.0; features],
            predictors,
        };
        let mut count = 0.0_f64;
        let mut sums = vec![(0.0_f64, 0.0_f64); raw.predictors.len()];
        let mut squares = vec![0.0_f64; features];
        visit_all(&mut |window| {
            count += 1.0;
            for (predictor, sums) in raw.predictors.iter().zip(&mut sums) {
                let value = f64::from(predictor.value(window, features, normalisation));
                *sums = (sums.0 + value, sums.1 + value * value);
            }
            for (feature, square) in squares.iter_mut().enumerate() {
                for back in [1, 6, 12, 24, 48] {
                    let change = Predictor::Change { feature, back }.value(window, features, normalisation);
                    *square += f64::from(change).powi(2) / 5.0;
                }
            }
        });
        let count = count.max(1.0);
        for (index, (sum, square)) in sums.into_iter().enumerate() {
            let mean = sum / count;
            let variance = square / count - mean * mean;
            raw.mean[index] = mean as f32;
            raw.deviation[index] = if variance > 1e-9 { variance.sqrt() as f32 } else { 1.0 };
        }
        for (factor, square) in raw.change_factors.iter_mut().zip(squares) {
            let size = (square / count).sqrt();
            *factor = if size > 1e-6 { (1.0 / size) as f32 } else { 1.0 };
        }
        raw
    }

    /// How many predictors there are.
    pub fn count(&self) -> usize {
        self.predictors.len()
    }

    /// How many of them, from the first, the recurrent branch is given.
    pub fn few(&self) -> usize {
        self.few
    }

    /// Steps and inputs of the shortened sequence.
    pub fn sequence_shape(&self) -> [usize; 2] {
        [SAMPLES / SAMPLES_OF_STEP, self.inputs.len()]
    }

    /// The predictors of a window.
    pub fn fill(&self, window: &[f32], row: &mut [f32]) {
        for (index, (value, predictor)) in row.iter_mut().zip(&self.predictors).enumerate() {
            let raw = predictor.value(window, self.features, &self.normalisation);
            *value = ((raw - self.mean[index]) / self.deviation[index]).clamp(-LIMIT, LIMIT);
        }
    }

    /// The shortened sequence of a window, `[step, input]`.
    pub fn fill_sequence(&self, window: &[f32], sequence: &mut [f32]) {
        let features = self.features;
        let newest = &window[window.len() - features..];
        let steps = window.chunks_exact(SAMPLES_OF_STEP * features);
        for (step, row) in steps.zip(sequence.chunks_exact_mut(self.inputs.len())) {
            let mean = |feature: usize| {
                let values = step.iter().skip(feature).step_by(features);
                values.sum::<f32>() / SAMPLES_OF_STEP as f32
            };
            for (value, input) in row.iter_mut().zip(&self.inputs) {
                *value = match *input {
                    StepInput::Mean { feature } => mean(feature),
                    StepInput::Last { feature } => step[(SAMPLES_OF_STEP - 1) * features + feature],
                    StepInput::Change { feature } => {
                        (mean(feature) - newest[feature]) * self.change_factors[feature]
                    }
                };
            }
        }
    }

    /// Adds the predictors to a graph: `[batch, predictor]` from the window.
    pub fn export(&self, graph: &mut GraphBuilder, window: &str) -> String {
        let flat = graph.flatten(window);
        let index = |feature: usize, back: usize| ((SAMPLES - back - 1) * self.features + feature) as i64;
        let is_value = |predictor: &Predictor| matches!(predictor, Predictor::Value { .. });
        let is_change = |predictor: &Predictor| matches!(predictor, Predictor::Change { .. });
        let mut columns = Vec::new();
        let mut rest = &self.predictors[..];
        while let Some(&first) = rest.first() {
            // Predictors of one kind that follow each other are one operation.
            let run = match first {
                Predictor::Value { .. } => rest.iter().take_while(|predictor| is_value(predictor)).count(),
                Predictor::Change { .. } => rest.iter().take_while(|predictor| is_change(predictor)).count(),
                _ => 1,
            };
            let (own, others) = rest.split_at(run);
            rest = others;
            let column = match first {
                Predictor::Value { .. } | Predictor::Change { .. } => {
                    let then: Vec<i64> = own.iter().map(|predictor| predictor.index_back(index)).collect();
                    let then = gather(graph, &flat, &then);
                    match first {
                        Predictor::Change { .. } => {
                            let now: Vec<i64> =
                                own.iter().map(|predictor| index(predictor.feature(), 0)).collect();
                            let now = gather(graph, &flat, &now);
                            graph.node("Sub", &[&then, &now], Vec::new())
                        }
                        _ => then,
                    }
                }
                Predictor::SquareRoot { feature } => {
                    let value = self.export_in_unit(graph, &flat, index(feature, 0), feature);
                    let value = graph.node("Relu", &[&value], Vec::new());
                    graph.node("Sqrt", &[&value], Vec::new())
                }
                Predictor::VapourPressure { feature } => {
                    let value = self.export_in_unit(graph, &flat, index(feature, 0), feature);
                    let (factor, offset) = (
                        graph.constant("magnus", &[1], &[TETENS.0]),
                        graph.constant("magnus", &[1], &[TETENS.1]),
                    );
                    let above = graph.node("Mul", &[&value, &factor], Vec::new());
                    let below = graph.node("Add", &[&value, &offset], Vec::new());
                    let exponent = graph.node("Div", &[&above, &below], Vec::new());
                    graph.node("Exp", &[&exponent], Vec::new())
                }
                Predictor::Range { feature, back } => {
                    let values: Vec<i64> = (back..back + 24).map(|back| index(feature, back)).collect();
                    let values = gather(graph, &flat, &values);
                    let [largest, smallest] =
                        ["ReduceMax", "ReduceMin"].map(|operation| reduce(graph, operation, &values));
                    graph.node("Sub", &[&largest, &smallest], Vec::new())
                }
                Predictor::Deviation { feature, samples } => {
                    let values: Vec<i64> = (0..samples).map(|back| index(feature, back)).collect();
                    let values = gather(graph, &flat, &values);
                    let mean = reduce(graph, "ReduceMean", &values);
                    let residual = graph.node("Sub", &[&values, &mean], Vec::new());
                    let square = graph.node("Mul", &[&residual, &residual], Vec::new());
                    let variance = reduce(graph, "ReduceMean", &square);
                    graph.node("Sqrt", &[&variance], Vec::new())
                }
            };
            columns.push(column);
        }
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let all = graph.node("Concat", &columns, vec![Attribute::int("axis", 1)]);
        let mean = graph.constant("mean", &[self.mean.len()], &self.mean);
        let deviation = graph.constant("deviation", &[self.mean.len()], &self.deviation);
        let centred = graph.node("Sub", &[&all, &mean], Vec::new());
        let scaled = graph.node("Div", &[&centred, &deviation], Vec::new());
        graph.node("Clip", &[&scaled], vec![Attribute::float("min", -LIMIT), Attribute::float("max", LIMIT)])
    }

    fn export_in_unit(&self, graph: &mut GraphBuilder, flat: &str, index: i64, feature: usize) -> String {
        let value = gather(graph, flat, &[index]);
        let deviation = graph.constant("deviation", &[1], &[self.normalisation.standard_deviation[feature]]);
        let mean = graph.constant("mean", &[1], &[self.normalisation.mean[feature]]);
        let scaled = graph.node("Mul", &[&value, &deviation], Vec::new());
        graph.node("Add", &[&scaled, &mean], Vec::new())
    }

    /// Adds the shortened sequence to a graph: `[step, batch, input]` from the window.
    pub fn export_sequence(&self, graph: &mut GraphBuilder, window: &str) -> String {
        let [steps, inputs] = self.sequence_shape();
        let width = SAMPLES_OF_STEP * self.features;
        // Both what is taken of a step and what is taken off for the newest sample are products with few numbers.
        let (mut of_step, mut of_newest) = (vec![0.0; width * inputs], vec![0.0; width * inputs]);
        let last = (SAMPLES_OF_STEP - 1) * self.features;
        for (column, input) in self.inputs.iter().enumerate() {
            let mut mean_of = |feature: usize, factor: f32| {
                for sample in 0..SAMPLES_OF_STEP {
                    of_step[(sample * self.features + feature) * inputs + column] =
                        factor / SAMPLES_OF_STEP as f32;
                }
            };
            match *input {
                StepInput::Mean { feature } => mean_of(feature, 1.0),
                StepInput::Last { feature } => of_step[(last + feature) * inputs + column] = 1.0,
                StepInput::Change { feature } => {
                    mean_of(feature, self.change_factors[feature]);
                    of_newest[(last + feature) * inputs + column] = self.change_factors[feature];
                }
            }
        }
        let shape = graph.integers("shape", &[0, steps as i64, width as i64]);
        let samples = graph.node("Reshape", &[window, &shape], Vec::new());
        let of_step = graph.constant("of_step", &[width, inputs], &of_step);
        let of_newest = graph.constant("of_newest", &[width, inputs], &of_newest);
        let newest = graph.node(
            "Slice",
            &[&samples],
            vec![
                Attribute::ints("axes", &[1]),
                Attribute::ints("starts", &[steps as i64 - 1]),
                Attribute::ints("ends", &[steps as i64]),
            ],
        );
        let taken = graph.node("MatMul", &[&samples, &of_step], Vec::new());
        let off = graph.node("MatMul", &[&newest, &of_newest], Vec::new());
        let sequence = graph.node("Sub", &[&taken, &off], Vec::new());
        graph.transpose(&sequence, &[1, 0, 2])
    }
}

impl Predictor {
    fn feature(self) -> usize {
        match self {
            Predictor::Value { feature, .. }
            | Predictor::Change { feature, .. }
            | Predictor::SquareRoot { feature }
            | Predictor::VapourPressure { feature }
            | Predictor::Range { feature, .. }
            | Predictor::Deviation { feature, .. } => feature,
        }
    }

    fn index_back(self, index: impl Fn(usize, usize) -> i64) -> i64 {
        match self {
            Predictor::Value { feature, back } | Predictor::Change { feature, back } => index(feature, back),
            other => index(other.feature(), 0),
        }
    }
}

/// Some columns of `[batch, column]`.
fn gather(graph: &mut GraphBuilder, from: &str, columns: &[i64]) -> String {
    let columns = graph.integers("columns", columns);
    graph.node("Gather", &[from, &columns], vec![Attribute::int("axis", 1)])
}

/// `[batch, column]` to `[batch, 1]`.
fn reduce(graph: &mut GraphBuilder, operation: &str, from: &str) -> String {
    graph.node(operation, &[from], vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", 1)])
}
