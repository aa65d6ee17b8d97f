//! What a station lacks: sensors that it does not have, and history from before it was there.
//!
//! A mask makes of a normalised window the one that a station without those has, bit for bit; a test compares.

use rand::Rng;
use rand_pcg::Pcg64;

use forecastd_core::Quantity;

use super::window::{FEATURES, SAMPLES};

/// What is hidden from a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mask {
    /// Quantities that the station does not measure.
    pub(crate) lacking: Vec<Quantity>,
    /// For how many hours it has been measuring; `None` for long enough.
    pub(crate) history_h: Option<usize>,
}

/// The share of windows from which something is hidden in training.
const SHARE_LACKING: f64 = 0.45;
/// The share that begins in the middle of the window.
const SHARE_SHORT: f64 = 0.3;

impl Mask {
    /// Hides what a station without these quantities lacks, over the whole window.
    pub(crate) fn without(lacking: &[Quantity]) -> Mask {
        Mask { lacking: lacking.to_vec(), history_h: None }
    }

    /// Hides what is older.
    pub(crate) fn of_history(hours: usize) -> Mask {
        Mask { lacking: Vec::new(), history_h: Some(hours) }
    }

    /// A mask as windows have it in training.
    pub(crate) fn draw(generator: &mut Pcg64) -> Mask {
        let mut lacking = Vec::new();
        if generator.random_bool(SHARE_LACKING) {
            if generator.random_bool(0.5) {
                lacking.push(Quantity::AirPressure);
            }
            if generator.random_bool(0.35) {
                lacking.push(Quantity::DewPointTemperature);
            }
            if generator.random_bool(0.45) {
                lacking.extend([Quantity::WindSpeed, Quantity::WindFromDirection]);
            } else if generator.random_bool(0.3) {
                lacking.push(Quantity::WindFromDirection);
            }
        }
        let history_h = generator.random_bool(SHARE_SHORT).then(|| {
            // As often within the first hours as within the days after.
            let exponent = generator.random_range(0.0..(SAMPLES as f64).ln());
            exponent.exp() as usize
        });
        Mask { lacking, history_h }
    }

    /// Applies the mask to a normalised window.
    pub(crate) fn apply(&self, window: &mut [f32]) {
        let hidden: Vec<bool> = FEATURES
            .iter()
            .map(|feature| feature.quantities().iter().any(|quantity| self.lacking.contains(quantity)))
            .collect();
        if !self.lacking.is_empty() {
            for row in window.chunks_exact_mut(FEATURES.len()) {
                for (value, _) in row.iter_mut().zip(&hidden).filter(|(_, hidden)| **hidden) {
                    *value = 0.0;
                }
            }
        }
        if let Some(hours) = self.history_h {
            let before = SAMPLES.saturating_sub(hours + 1);
            for row in window.chunks_exact_mut(FEATURES.len()).take(before) {
                for (value, feature) in row.iter_mut().zip(FEATURES) {
                    if !feature.quantities().is_empty() {
                        *value = 0.0;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::pool::{QUANTITIES, hourly};
    use crate::world::window::{normalisation, window};
    use forecastd_core::{History, Site, Values};
    use rand::SeedableRng;

    /// A history of `hours` hours up to slot 200, with calms and holes, without some quantities.
    fn history(lacking: &[Quantity], hours: i64) -> History {
        let mut history = History::new(hourly(), &QUANTITIES, 120);
        for slot in 200 - hours..=200 {
            let wave = (slot as f32 * 0.26).sin();
            let mut values = Values::NONE;
            let all = [10.0 + 8.0 * wave, 1000.0 + slot as f32 * 0.1, 4.0 + wave, 3.0 * wave.max(0.0), 40.0];
            for (quantity, value) in QUANTITIES.into_iter().zip(all) {
                let is_calm = quantity == Quantity::WindFromDirection && wave <= 0.0;
                if !lacking.contains(&quantity) && !is_calm {
                    values.set(quantity, value);
                }
            }
            history.insert(hourly().time(slot), &values);
        }
        history
    }

    fn normalised(history: &History) -> Vec<f32> {
        let spec = window(3600);
        let mut numbers = vec![0.0; spec.len()];
        spec.fill(history, Site::new(-20.0, 30.0), 200, &mut numbers).unwrap();
        normalisation().apply(&mut numbers);
        numbers
    }

    #[test]
    fn a_masked_window_is_that_of_a_station_without() {
        let whole = normalised(&history(&[], 100));
        let masks = [
            Mask::default(),
            Mask::without(&[Quantity::AirPressure]),
            Mask::without(&[Quantity::DewPointTemperature, Quantity::WindFromDirection]),
            Mask::without(&QUANTITIES[1..]),
            Mask::of_history(0),
            Mask { lacking: vec![Quantity::WindSpeed, Quantity::WindFromDirection], history_h: Some(12) },
        ];
        for mask in masks {
            let mut masked = whole.clone();
            mask.apply(&mut masked);
            let hours = mask.history_h.map_or(100, |hours| hours as i64);
            let lived = normalised(&history(&mask.lacking, hours));
            let differing: Vec<usize> = (0..masked.len())
                .filter(|&index| masked[index].to_bits() << 1 != lived[index].to_bits() << 1)
                .collect();
            // Zero has two signs, which no network tells apart.
            assert_eq!(differing, Vec::<usize>::new(), "{mask:?}");
        }
    }

    #[test]
    fn a_window_on_the_grid_of_a_live_station_is_the_one_that_was_learned_from() {
        let live_grid = forecastd_core::Grid::new(600).unwrap();
        let spec = window(600);
        for (lacking, hours) in [(&[][..], 100), (&[Quantity::AirPressure][..], 30), (&[][..], 2)] {
            let learned = history(lacking, hours);
            let mut live = History::new(live_grid, &spec.quantities(), spec.history_slots(24));
            for slot in 200 - hours..=200 {
                let mut values = Values::NONE;
                for quantity in QUANTITIES {
                    values.set(quantity, learned.value(slot, quantity));
                }
                live.insert(hourly().time(slot), &values);
            }
            let mut numbers = vec![0.0; spec.len()];
            spec.fill(&live, Site::new(-20.0, 30.0), 200 * 6, &mut numbers).unwrap();
            normalisation().apply(&mut numbers);
            let bits = |numbers: &[f32]| numbers.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
            assert_eq!(bits(&numbers), bits(&normalised(&learned)));
        }
    }

    #[test]
    fn masks_of_training_hide_everything_now_and_then_and_nothing_mostly() {
        let mut generator = Pcg64::seed_from_u64(1);
        let masks: Vec<Mask> = (0..2000).map(|_| Mask::draw(&mut generator)).collect();
        let share = |is: fn(&Mask) -> bool| masks.iter().filter(|mask| is(mask)).count() as f64 / 2000.0;
        assert!((0.35..0.5).contains(&share(|mask| *mask == Mask::default())));
        assert!(share(|mask| mask.lacking.len() == 4) > 0.02);
        assert!(share(|mask| mask.history_h == Some(3)) > 0.005);
        assert!(share(|mask| mask.history_h.is_some_and(|hours| hours > 24)) > 0.05);
    }
}
