//! The windows that a model is tried on before it is used.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::Artefact;

/// How many deviations from the mean a value may well be.
const USUAL: f32 = 3.0;
/// How many it may be on the worst day of a sensor.
const LARGE: f32 = 20.0;
/// Windows of random numbers of each kind.
const RANDOM: usize = 4;

/// Windows of normalised numbers, one behind the other: the mean of everything, everything high, low, very high and very
/// low, normal random numbers, and random walks, which change as slowly as weather. The same at every call.
pub(crate) fn windows(artefact: &Artefact) -> Vec<f32> {
    let window = &artefact.manifest.window;
    let features = window.features.len();
    let mut chance = Pcg64::seed_from_u64(9);
    let mut windows = Vec::new();
    for level in [0.0, USUAL, -USUAL, LARGE, -LARGE] {
        windows.extend(std::iter::repeat_n(level, window.len()));
    }
    for _ in 0..RANDOM {
        windows.extend(std::iter::repeat_with(|| normal(&mut chance)).take(window.len()));
        let mut row: Vec<f32> = std::iter::repeat_with(|| normal(&mut chance)).take(features).collect();
        for _ in 0..window.samples {
            for value in &mut row {
                *value = 0.99 * *value + 0.14 * normal(&mut chance);
            }
            windows.extend(&row);
        }
    }
    windows
}

/// A number that is normal enough: the sum of twelve uniform ones (Irwin and Hall), of mean 0 and variance 1.
fn normal(chance: &mut Pcg64) -> f32 {
    (0..12).map(|_| chance.random::<f32>()).sum::<f32>() - 6.0
}
