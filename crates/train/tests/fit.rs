//! The training loop: when it stops, and which epoch's weights it gives.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use forecastd_train::dense::{Dense, DenseNumbers};
use forecastd_train::epoch::{Ending, Validation};
use forecastd_train::fit::{FitSettings, Fitted, Objective, Schedule, StopRule, fit};
use forecastd_train::optimiser::OptimiserKind;
use forecastd_train::parameters;
use rand::Rng;
use rand_pcg::Pcg64;

/// An objective whose scores and accidents are arranged.
struct Arranged {
    device: Device,
    scores: Vec<f64>,
    /// The step, counted from 0 over all epochs, whose loss is no number.
    no_number_at: usize,
    steps: AtomicUsize,
    /// The weights after each epoch.
    seen: Mutex<Vec<Vec<f32>>>,
}

impl Objective for Arranged {
    type Model = Dense;

    fn examples(&self) -> usize {
        4
    }

    fn loss(&self, model: &Dense, examples: &[usize], _generator: &mut Pcg64) -> Tensor<1> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        let factor = if step == self.no_number_at { f32::NAN } else { 1.0 };
        let x = Tensor::<2>::ones([examples.len(), 1], &self.device);
        (model.forward(x) - 1.0).abs().mean().mul_scalar(factor)
    }

    fn validate(&self, model: &Dense) -> Validation {
        let mut seen = self.seen.lock().unwrap();
        seen.push(parameters::values(model));
        let score = self.scores[seen.len() - 1];
        Validation { loss: score, score }
    }
}

fn settings() -> FitSettings {
    FitSettings {
        epochs: 8,
        steps: Some(3),
        batch: 2,
        shards: 1,
        optimiser: OptimiserKind::RmsProp,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        clip_norm: None,
        averaging: None,
        patience: None,
        seed: 1,
    }
}

fn run(scores: &[f64], no_number_at: usize, settings: &FitSettings) -> (Fitted<Dense>, Arranged) {
    run_until(StopRule::Best, scores, no_number_at, settings)
}

fn run_until(
    until: StopRule,
    scores: &[f64],
    no_number_at: usize,
    settings: &FitSettings,
) -> (Fitted<Dense>, Arranged) {
    let device = Device::flex().autodiff();
    let numbers = DenseNumbers { inputs: 1, outputs: 1, weight: vec![0.0], bias: vec![0.0] };
    let model = Dense::from_numbers(numbers, &device);
    let objective = Arranged {
        device,
        scores: scores.to_vec(),
        no_number_at,
        steps: AtomicUsize::default(),
        seen: Mutex::default(),
    };
    let fitted = fit(&objective, model, settings, until, None, &Default::default(), &mut ()).unwrap();
    (fitted, objective)
}

#[test]
fn a_loss_that_is_no_number_ends_with_the_best_epoch_before() {
    // Two epochs of three steps, and one step of the third.
    let (fitted, objective) = run(&[2.0, 1.0], 7, &settings());
    assert_eq!((fitted.ending, fitted.best_epoch, fitted.epochs.len()), (Ending::Diverged, 2, 2));
    let kept = parameters::values(&fitted.model);
    assert_eq!(kept, objective.seen.lock().unwrap()[1]);
    assert!(kept.iter().all(|value| value.is_finite() && *value > 0.0), "{kept:?}");
}

#[test]
fn a_score_that_is_no_number_ends_with_the_best_epoch_before() {
    let (fitted, objective) = run(&[1.0, f64::NAN], usize::MAX, &settings());
    assert_eq!((fitted.ending, fitted.best_epoch), (Ending::Diverged, 1));
    assert_eq!(parameters::values(&fitted.model), objective.seen.lock().unwrap()[0]);
}

#[test]
fn nothing_is_kept_of_a_training_that_never_came_to_an_epoch() {
    let (fitted, _) = run(&[], 0, &settings());
    assert_eq!((fitted.ending, fitted.best_epoch), (Ending::Diverged, 0));
}

#[test]
fn it_stops_when_it_gets_no_better_and_gives_the_best_epoch() {
    let patient = FitSettings { patience: Some(2), ..settings() };
    let (fitted, objective) = run(&[3.0, 2.0, 2.5, 2.0, 1.0], usize::MAX, &patient);
    assert_eq!((fitted.ending, fitted.best_epoch, fitted.epochs.len()), (Ending::Stopped, 2, 4));
    assert_eq!(parameters::values(&fitted.model), objective.seen.lock().unwrap()[1]);
}

#[test]
fn the_learning_rate_rises_and_then_falls_along_half_a_wave() {
    let waved =
        FitSettings { steps: Some(1), schedule: Schedule::Cosine { warm_up: 2 }, epochs: 9, ..settings() };
    let (fitted, _) = run(&[1.0; 9], usize::MAX, &waved);
    let rates: Vec<f64> =
        fitted.epochs.iter().map(|epoch| epoch.learning_rate / waved.learning_rate).collect();
    assert_eq!(rates[0], 0.5, "half of it in the first of two steps");
    let third = 0.5 + 0.5 * (std::f64::consts::PI / 3.0).cos();
    assert!((rates[3] - third).abs() < 1e-12, "a third of the way: {rates:?}");
    assert!(rates[1..].windows(2).all(|pair| pair[1] < pair[0]) && rates[8] < 0.05, "{rates:?}");
}

#[test]
fn averaged_weights_are_what_is_validated_and_kept() {
    // A step an epoch, so that the weights after every step are seen.
    let steps = FitSettings { epochs: 12, steps: Some(1), ..settings() };
    let scores: Vec<f64> = (0..12).map(|epoch| 12.0 - f64::from(epoch)).collect();
    let (_, plain) = run(&scores, usize::MAX, &steps);
    let decay = 0.5;
    let (fitted, averaged) =
        run(&scores, usize::MAX, &FitSettings { averaging: Some(decay), ..steps.clone() });
    let mut average = vec![0.0; fitted.model.num_params()];
    for (step, (weights, averages)) in
        plain.seen.lock().unwrap().iter().zip(averaged.seen.lock().unwrap().iter()).enumerate()
    {
        // In the first steps it remembers less, as in TensorFlow's ExponentialMovingAverage with num_updates.
        let made = step as f64 + 1.0;
        let kept = decay.min((1.0 + made) / (10.0 + made)) as f32;
        for (average, weight) in average.iter_mut().zip(weights) {
            *average = kept * *average + (1.0 - kept) * weight;
        }
        let apart = average.iter().zip(averages).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-6 && averages != weights, "step {step}: {averages:?}, not {average:?}");
    }
    assert_eq!(parameters::values(&fitted.model), averaged.seen.lock().unwrap()[11]);
}

#[test]
fn a_training_for_so_many_epochs_keeps_the_last_and_asks_for_no_score() {
    let patient = FitSettings { patience: Some(1), schedule: Schedule::Cosine { warm_up: 2 }, ..settings() };
    let (fitted, objective) = run_until(StopRule::Epoch(5), &[], usize::MAX, &patient);
    assert_eq!((fitted.ending, fitted.best_epoch, fitted.epochs.len()), (Ending::Finished, 5, 5));
    assert!(objective.seen.lock().unwrap().is_empty(), "nothing was validated");
    assert!(fitted.epochs.iter().all(|epoch| epoch.validation.is_none()));
    // The same weights as those of the fifth of eight epochs: the learning rate goes as if all were run.
    let (_, whole) = run(&[1.0; 8], usize::MAX, &FitSettings { patience: None, ..patient });
    assert_eq!(parameters::values(&fitted.model), whole.seen.lock().unwrap()[4]);
    let (failed, _) = run_until(StopRule::Epoch(5), &[], 7, &settings());
    assert_eq!((failed.ending, failed.best_epoch), (Ending::Diverged, 2));
}

/// A line through points, with noise from the generator if wanted.
struct Line {
    device: Device,
    noise: f32,
}

impl Objective for Line {
    type Model = Dense;

    fn examples(&self) -> usize {
        20
    }

    fn loss(&self, model: &Dense, examples: &[usize], generator: &mut Pcg64) -> Tensor<1> {
        let x: Vec<f32> = examples.iter().map(|&example| example as f32 / 20.0).collect();
        let mut noise = || self.noise * generator.random::<f32>();
        let y: Vec<f32> = x.iter().map(|x| 2.0 * x - 1.0 + noise()).collect();
        let tensor = |values: Vec<f32>| {
            Tensor::<2>::from_data(TensorData::new(values, [examples.len(), 1]), &self.device)
        };
        let away = model.forward(tensor(x)) - tensor(y);
        (away.clone() * away).mean()
    }

    fn validate(&self, _model: &Dense) -> Validation {
        Validation { loss: 0.0, score: 0.0 }
    }
}

fn line(noise: f32, shards: usize) -> (Vec<f32>, Vec<f64>) {
    let device = Device::flex().autodiff();
    let numbers = DenseNumbers { inputs: 1, outputs: 1, weight: vec![0.5], bias: vec![0.0] };
    let model = Dense::from_numbers(numbers, &device);
    let settings = FitSettings { epochs: 9, steps: None, batch: 7, shards, ..settings() };
    let until = StopRule::Epoch(9);
    let line = Line { device, noise };
    let fitted = fit(&line, model, &settings, until, None, &Default::default(), &mut ()).unwrap();
    (parameters::values(&fitted.model), fitted.epochs.iter().map(|epoch| epoch.loss).collect())
}

#[test]
fn parts_of_a_step_on_threads_of_their_own_add_up_to_the_whole() {
    let ((whole, whole_losses), (parts, losses)) = (line(0.0, 1), line(0.0, 3));
    // Seven examples are parts of three, three and one.
    for (whole, part) in whole.iter().zip(&parts) {
        assert!((whole - part).abs() < 1e-5 && *whole != 0.0, "{whole} and {part}");
    }
    for (whole, parts) in whole_losses.iter().zip(&losses) {
        assert!((whole - parts).abs() < 1e-5 * whole, "{whole} and {parts}");
    }
}

#[test]
fn parts_of_a_step_draw_the_same_whichever_thread_is_first() {
    let first = line(1.0, 4);
    assert!((0..10).all(|_| line(1.0, 4) == first));
    assert_ne!(first, line(0.0, 4), "there is noise");
}
