//! What a window of the world's model holds, and which of its numbers the network is given.
//!
//! A station is compared with itself: temperature, pressure and dew point are differences to now, so that neither elevation
//! nor how pressure is reduced matters. What a station does not have stands at the mean, and is said not to be available.

use forecastd_core::{Feature, MissingValues, Normalisation, Quantity, Wave, WindowSpec};

/// Hourly samples: now and the 72 hours before.
pub(crate) const SAMPLES: usize = 73;
/// Seconds between two slots of a live station's grid.
pub(crate) const LIVE_STEP_S: u32 = 600;
/// Numbers of a window.
pub(super) const NUMBERS: usize = SAMPLES * FEATURES.len();
/// Leads in hours.
pub(super) const LEADS: usize = 24;
/// The longest hole that is filled, s: three-hourly observations have none.
const MAX_HOLE_S: u32 = 3 * 3600;

/// How windows are cut on a grid of `grid_step_s` seconds.
pub(crate) fn window(grid_step_s: u32) -> WindowSpec {
    WindowSpec {
        grid_step_s,
        sample_every_s: 3600,
        samples: SAMPLES,
        max_hole_s: MAX_HOLE_S,
        site: None,
        missing: MissingValues::Mean,
        features: FEATURES.to_vec(),
    }
}

const T: Quantity = Quantity::AirTemperature;
const P: Quantity = Quantity::AirPressure;
const D: Quantity = Quantity::DewPointTemperature;
const W: Quantity = Quantity::WindSpeed;
const A: Quantity = Quantity::WindFromDirection;

/// The features, in the order of the columns.
pub(super) const FEATURES: [Feature; 20] = [
    Feature::RelativeToNewest(T),
    Feature::Available(T),
    Feature::RelativeToNewest(P),
    Feature::Available(P),
    Feature::RelativeToNewest(D),
    Feature::Available(D),
    Feature::Quantity(W),
    Feature::Available(W),
    Feature::EastwardWind,
    Feature::NorthwardWind,
    Feature::Available(A),
    Feature::SolarElevation { ahead_h: LEADS as u16 },
    Feature::TimeOfDay(Wave::Sin),
    Feature::TimeOfDay(Wave::Cos),
    Feature::Season(Wave::Sin),
    Feature::Season(Wave::Cos),
    Feature::Quantity(T),
    Feature::Quantity(D),
    Feature::Latitude,
    Feature::Elevation,
];

/// From this position on, features are given to the network of the newest sample alone.
const OF_NOW: usize = 12;

/// Statistics of the features. Differences and what says whether something is there have no mean, so that a difference that
/// is not known is none.
pub(crate) fn normalisation() -> Normalisation {
    let statistics = FEATURES.map(|feature| match feature {
        Feature::RelativeToNewest(quantity) if quantity == T => (0.0, 6.0),
        Feature::RelativeToNewest(quantity) if quantity == P => (0.0, 6.0),
        Feature::RelativeToNewest(_) => (0.0, 4.0),
        Feature::Quantity(quantity) if quantity == T => (12.0, 11.0),
        Feature::Quantity(quantity) if quantity == D => (6.0, 10.0),
        Feature::Quantity(_) => (3.0, 2.5),
        Feature::EastwardWind | Feature::NorthwardWind => (0.0, 3.0),
        Feature::Latitude => (30.0, 25.0),
        Feature::Elevation => (300.0, 500.0),
        _ => (0.0, 1.0),
    });
    Normalisation {
        mean: statistics.map(|(mean, _)| mean).to_vec(),
        standard_deviation: statistics.map(|(_, deviation)| deviation).to_vec(),
    }
}

/// Position of a feature among the columns.
fn column(feature: Feature) -> usize {
    FEATURES.iter().position(|&own| own == feature).expect("a feature of the window")
}

/// The numbers of a flattened window, `[sample, feature]`, that the network is given, by position.
pub(super) fn inputs() -> Vec<usize> {
    let mut positions = Vec::new();
    let mut add = |feature: Feature, back: &[usize]| {
        let column = column(feature);
        positions.extend(back.iter().map(|back| (SAMPLES - 1 - back) * FEATURES.len() + column));
    };
    let hours_of_temperature: Vec<usize> =
        (1..=24).chain((27..=48).step_by(3)).chain([54, 60, 66, 72]).collect();
    add(Feature::RelativeToNewest(T), &hours_of_temperature);
    add(Feature::Available(T), &[1, 2, 3, 6, 9, 12, 18, 24, 30, 36, 48, 60, 72]);
    add(Feature::RelativeToNewest(P), &[1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 21, 24, 30, 36, 42, 48, 60, 72]);
    add(Feature::Available(P), &[0, 3, 12, 24, 48]);
    add(Feature::RelativeToNewest(D), &[1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 21, 24, 30, 36, 48, 72]);
    add(Feature::Available(D), &[0, 3, 12, 24, 48]);
    const OF_WIND: [usize; 11] = [0, 1, 2, 3, 6, 9, 12, 18, 24, 36, 48];
    for feature in [Feature::Quantity(W), Feature::EastwardWind, Feature::NorthwardWind] {
        add(feature, &OF_WIND);
    }
    add(Feature::Available(W), &[0, 6, 24]);
    add(Feature::Available(A), &[0, 6, 24]);
    // The sun now and at every hour that is forecast.
    let sun: Vec<usize> = (0..=LEADS).collect();
    add(Feature::SolarElevation { ahead_h: LEADS as u16 }, &sun);
    for &feature in &FEATURES[OF_NOW..] {
        add(feature, &[0]);
    }
    positions
}

/// Days whose range of temperature the network is given: the positions of their hours.
pub(super) fn ranges() -> Vec<Vec<usize>> {
    let column = column(Feature::RelativeToNewest(T));
    let day = |first: usize| {
        (first..first + 24).map(|back| (SAMPLES - 1 - back) * FEATURES.len() + column).collect()
    };
    [0, 24, 48].map(day).to_vec()
}

/// How many numbers of the window the dense layers are given.
pub(super) fn picked() -> usize {
    inputs().len() + ranges().len()
}

/// Steps of the sequence that the recurrent layer walks, from the oldest to the newest.
pub(super) const STEPS: usize = 24;
/// Hourly samples of a step. As many again as the steps are fewer: three days, in a third of the time that an engine takes for
/// hourly steps.
const HOURS_OF_STEP: usize = 3;
/// What a step says of each of its hours.
const OF_EACH_HOUR: [Feature; 4] = [
    Feature::RelativeToNewest(T),
    Feature::Available(T),
    Feature::RelativeToNewest(P),
    Feature::RelativeToNewest(D),
];
/// What a step says of its last hour.
const OF_LAST_HOUR: [Feature; 8] = [
    Feature::Available(P),
    Feature::Available(D),
    Feature::Quantity(W),
    Feature::EastwardWind,
    Feature::NorthwardWind,
    Feature::Available(W),
    Feature::Available(A),
    Feature::SolarElevation { ahead_h: LEADS as u16 },
];
/// Numbers of a step.
pub(super) const OF_STEP: usize = HOURS_OF_STEP * OF_EACH_HOUR.len() + OF_LAST_HOUR.len();

/// The numbers of a flattened window that the recurrent layer is given, by position: `[step, number]`.
pub(super) fn sequence() -> Vec<usize> {
    let mut positions = Vec::with_capacity(STEPS * OF_STEP);
    for step in 0..STEPS {
        let last = SAMPLES - 1 - (STEPS - 1 - step) * HOURS_OF_STEP;
        for sample in last + 1 - HOURS_OF_STEP..=last {
            positions.extend(OF_EACH_HOUR.map(|feature| sample * FEATURES.len() + column(feature)));
        }
        positions.extend(OF_LAST_HOUR.map(|feature| last * FEATURES.len() + column(feature)));
    }
    positions
}

/// How many numbers the network is given: those picked, then the sequence.
pub(super) fn count() -> usize {
    picked() + STEPS * OF_STEP
}

/// The positions that [`gather`] takes.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    inputs: Vec<usize>,
    ranges: Vec<Vec<usize>>,
    sequence: Vec<usize>,
    /// By position, whether any of them is there.
    needed: Vec<bool>,
}

impl Positions {
    pub(super) fn new() -> Positions {
        let (inputs, ranges, sequence) = (inputs(), ranges(), sequence());
        let mut needed = vec![false; SAMPLES * FEATURES.len()];
        for &position in inputs.iter().chain(ranges.iter().flatten()).chain(&sequence) {
            needed[position] = true;
        }
        Positions { inputs, ranges, sequence, needed }
    }

    /// Whether a number of the window is looked at.
    pub(super) fn is_needed(&self, position: usize) -> bool {
        self.needed[position]
    }
}

/// Writes what the network is given of a normalised window.
pub(super) fn gather(window: &[f32], positions: &Positions, row: &mut [f32]) {
    let (plain, rest) = row.split_at_mut(positions.inputs.len());
    let (of_ranges, sequence) = rest.split_at_mut(positions.ranges.len());
    let single = plain.iter_mut().zip(&positions.inputs);
    for (value, &position) in single.chain(sequence.iter_mut().zip(&positions.sequence)) {
        *value = window[position];
    }
    for (value, positions) in of_ranges.iter_mut().zip(&positions.ranges) {
        let values = || positions.iter().map(|&position| window[position]);
        *value = values().fold(f32::MIN, f32::max) - values().fold(f32::MAX, f32::min);
    }
}
