//! The training loop: draws examples, follows the gradient, keeps the best epoch.
//!
//! The randomness of an epoch comes from a generator that seed and epoch alone determine, so that a training taken up
//! from the end of an epoch goes on bit for bit as if it had not been interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Tensor;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, CheckpointError, CheckpointPlan, State};
use super::epoch::{Ending, EpochRecord, Validation};
use super::optimiser::{Optimiser, OptimiserKind, clip_norm};
use super::parameters;
use super::progress::{Observer, TrainingEvent};

/// What is learned: a model, examples, and how good it has become.
pub trait Objective: Sync {
    /// The network whose parameters are fitted.
    type Model: Module;

    /// How many examples there are to train on.
    fn examples(&self) -> usize;

    /// The mean loss over some examples, with dropout and noise from `generator`.
    fn loss(&self, model: &Self::Model, examples: &[usize], generator: &mut Pcg64) -> Tensor<1>;

    /// How good the model is on what it was not trained on.
    fn validate(&self, model: &Self::Model) -> Validation;
}

/// How the learning rate goes over the steps of a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// Linear warm-up, then cosine decay to zero.
    Cosine {
        /// Steps of rising.
        warm_up: u64,
    },
}

/// When training ends, and which epoch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRule {
    /// All epochs; the best on the validation part is kept.
    Best,
    /// So many of the epochs, of which the last is kept: the number was chosen before, and there is nothing left to
    /// choose by.
    Epoch(usize),
}

/// How it is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitSettings {
    /// Epochs at most.
    pub epochs: usize,
    /// Steps of an epoch, with examples drawn at random; without, an epoch goes through all in random order, but for those
    /// that do not fill a last batch.
    pub steps: Option<usize>,
    /// Examples of a step.
    pub batch: usize,
    /// Parts into which the examples of a step are divided, each on a thread of its own. It is part of the recipe, and not
    /// what the processor has, so that the sums are the same everywhere.
    pub shards: usize,
    /// How gradients become steps.
    pub optimiser: OptimiserKind,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How it goes.
    pub schedule: Schedule,
    /// The longest gradient.
    pub clip_norm: Option<f64>,
    /// Decay of the exponential moving average of the weights; with it, the averages are what is validated and kept.
    pub averaging: Option<f64>,
    /// Epochs without improvement after which it stops.
    pub patience: Option<usize>,
    /// What the generators of random numbers start from.
    pub seed: u64,
}

impl FitSettings {
    fn learning_rate(&self, step: u64, steps: u64) -> f64 {
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine { warm_up } => {
                let rise = ((step + 1) as f64 / warm_up.max(1) as f64).min(1.0);
                let phase = std::f64::consts::PI * step as f64 / steps as f64;
                self.learning_rate * rise * (0.5 + 0.5 * phase.cos())
            }
        }
    }

    /// The generator for a network's initial weights.
    pub fn initial_generator(&self) -> Pcg64 {
        self.generator(0)
    }

    fn generator(&self, stream: u64) -> Pcg64 {
        Pcg64::new(u128::from(self.seed), u128::from(stream))
    }

    fn steps_of_epoch(&self, examples: usize) -> usize {
        self.steps.unwrap_or((examples / self.batch).max(1))
    }
}

/// What a training gives.
#[derive(Debug, Clone)]
pub struct Fitted<M> {
    /// The model at its best epoch.
    pub model: M,
    /// What happened in each epoch.
    pub epochs: Vec<EpochRecord>,
    /// The best epoch, counted from 1; 0 when none was finished.
    pub best_epoch: usize,
    /// How good the model is; no numbers when no epoch was chosen by a score.
    pub best: Validation,
    /// Why it ended.
    pub ending: Ending,
}

/// Trains `model` until the epoch that `until` says.
///
/// # Errors
/// [`CheckpointError`] when a checkpoint cannot be written, or cannot be gone on from.
pub fn fit<T: Objective>(
    objective: &T,
    model: T::Model,
    settings: &FitSettings,
    until: StopRule,
    checkpoint: Option<&CheckpointPlan>,
    interrupted: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Fitted<T::Model>, CheckpointError> {
    let epochs = match until {
        StopRule::Best => settings.epochs,
        StopRule::Epoch(epoch) => epoch,
    };
    let steps_of_epoch = settings.steps_of_epoch(objective.examples());
    // The learning rate goes as if all epochs were run.
    let steps = (steps_of_epoch * settings.epochs) as u64;
    let initial = parameters::values(&model);
    let mut state = State {
        optimiser: Optimiser::new(settings.optimiser, initial.len()),
        average: initial.clone(),
        best_values: initial.clone(),
        values: initial,
        epochs: Vec::new(),
        best_epoch: 0,
    };
    if let Some(plan) = checkpoint.filter(|plan| plan.resume && plan.path.exists()) {
        state = Checkpoint::read(plan, &state)?;
    }
    observer.event(&TrainingEvent::Started {
        parameters: state.values.len(),
        examples: objective.examples(),
        epochs,
        steps_of_epoch,
        done: state.epochs.len(),
    });
    let mut model = parameters::with_values(model, &state.values);
    let mut ending = Ending::Finished;
    'training: for epoch in state.epochs.len()..epochs {
        let is_chosen = until == StopRule::Best;
        let patience = settings.patience.filter(|_| is_chosen);
        if patience.is_some_and(|patience| epoch - state.best_epoch >= patience && epoch > 0) {
            ending = Ending::Stopped;
            break;
        }
        let began = Instant::now();
        let mut generator = settings.generator(1 + epoch as u64);
        let mut order = Order::new(objective.examples(), settings, &mut generator);
        let mut loss_sum = 0.0;
        let mut values = state.values.clone();
        let mut average = state.average.clone();
        let mut optimiser = state.optimiser.clone();
        for step in 0..steps_of_epoch {
            if interrupted.load(Ordering::Relaxed) {
                ending = Ending::Interrupted;
                break 'training;
            }
            let batch = order.draw(&mut generator);
            let (loss, mut gradients) = match settings.shards {
                ..=1 => gradient(objective, &model, &batch, &mut generator),
                shards => gradient_of_shards(objective, &model, &values, &batch, shards, &mut generator),
            };
            if let Some(limit) = settings.clip_norm {
                clip_norm(&mut gradients, limit);
            }
            let learning_rate = settings.learning_rate(optimiser.steps, steps);
            optimiser.step(learning_rate, &mut values, &gradients);
            if !loss.is_finite() || values.iter().any(|value| !value.is_finite()) {
                ending = Ending::Diverged;
                break 'training;
            }
            if let Some(decay) = settings.averaging {
                let made = optimiser.steps as f64;
                let decay = decay.min((1.0 + made) / (10.0 + made)) as f32;
                for (average, value) in average.iter_mut().zip(&values) {
                    *average += (value - *average) * (1.0 - decay);
                }
            }
            model = parameters::with_values(model, &values);
            loss_sum += loss;
            let elapsed_s = began.elapsed().as_secs_f64();
            observer.event(&TrainingEvent::Step {
                epoch: epoch + 1,
                step: step + 1,
                loss: loss_sum / (step + 1) as f64,
                steps_per_second: (step + 1) as f64 / elapsed_s,
            });
        }
        let steps_per_second = steps_of_epoch as f64 / began.elapsed().as_secs_f64();
        let kept = if settings.averaging.is_some() { &average } else { &values };
        let validated = parameters::with_values(model.valid(), kept);
        let validation = is_chosen.then(|| objective.validate(&validated));
        if validation.is_some_and(|validation| !validation.score.is_finite()) {
            ending = Ending::Diverged;
            break;
        }
        let improved = match (validation, state.best()) {
            (Some(validation), Some(best)) => validation.score < best.score,
            _ => true,
        };
        if improved {
            state.best_epoch = epoch + 1;
            state.best_values.clone_from(kept);
        }
        let record = EpochRecord {
            epoch: epoch + 1,
            loss: loss_sum / steps_of_epoch as f64,
            validation,
            learning_rate: settings.learning_rate(optimiser.steps.saturating_sub(1), steps),
            steps_per_second,
            seconds: began.elapsed().as_secs_f64(),
            best: improved,
        };
        (state.values, state.average, state.optimiser) = (values, average, optimiser);
        observer.event(&TrainingEvent::Epoch(&record));
        state.epochs.push(record);
        if let Some(plan) = checkpoint {
            Checkpoint::write(plan, &state)?;
        }
    }
    let score = state.best().map(|best| best.score);
    observer.event(&TrainingEvent::Ended { ending, best_epoch: state.best_epoch, score });
    let best = state.best().unwrap_or(Validation { loss: f64::NAN, score: f64::NAN });
    let model = parameters::with_values(model.valid(), &state.best_values);
    Ok(Fitted { model, epochs: state.epochs, best_epoch: state.best_epoch, best, ending })
}

/// The mean loss over `examples`, and the gradient of each parameter.
fn gradient<T: Objective>(
    objective: &T,
    model: &T::Model,
    examples: &[usize],
    generator: &mut Pcg64,
) -> (f64, Vec<f32>) {
    let loss = objective.loss(model, examples, generator);
    let mut gradients = loss.backward();
    (f64::from(loss.into_scalar::<f32>()), parameters::gradients(model, &mut gradients))
}

/// Like [`gradient`], with the examples in equal parts on as many threads, and a generator for each.
fn gradient_of_shards<T: Objective>(
    objective: &T,
    model: &T::Model,
    values: &[f32],
    examples: &[usize],
    shards: usize,
    generator: &mut Pcg64,
) -> (f64, Vec<f32>) {
    let parts = examples.chunks(examples.len().div_ceil(shards).max(1));
    let of_parts: Vec<(f64, Vec<f32>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = parts
            .map(|part| {
                let mut generator = Pcg64::seed_from_u64(generator.random());
                // With tensors of its own: threads that share one wait for each other.
                let model = parameters::with_values(model.clone(), values);
                let share = part.len() as f64 / examples.len() as f64;
                scope.spawn(move || {
                    let (loss, mut gradients) = gradient(objective, &model, part, &mut generator);
                    gradients.iter_mut().for_each(|gradient| *gradient *= share as f32);
                    (loss * share, gradients)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut of_parts = of_parts.into_iter();
    let (mut loss, mut gradients) = of_parts.next().expect("a step has examples");
    for (of_part, own) in of_parts {
        loss += of_part;
        gradients.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }
    (loss, gradients)
}

/// The order in which an epoch goes through the examples.
struct Order {
    /// A shuffled list, when an epoch goes through all.
    list: Option<Vec<usize>>,
    examples: usize,
    batch: usize,
    next: usize,
}

impl Order {
    fn new(examples: usize, settings: &FitSettings, generator: &mut Pcg64) -> Order {
        let list = settings.steps.is_none().then(|| {
            let mut list: Vec<usize> = (0..examples).collect();
            list.shuffle(generator);
            list
        });
        Order { list, examples, batch: settings.batch.min(examples), next: 0 }
    }

    fn draw(&mut self, generator: &mut Pcg64) -> Vec<usize> {
        match &self.list {
            Some(list) => {
                let from = self.next;
                self.next += self.batch;
                list[from..from + self.batch].to_vec()
            }
            None => (0..self.batch).map(|_| generator.random_range(0..self.examples)).collect(),
        }
    }
}
