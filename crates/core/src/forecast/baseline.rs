//! The reference forecasts: persistence, the same time yesterday, climatology.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::forecast::cholesky::Cholesky;
use crate::number::to_single;
use crate::weather::quantity::Quantity;
use crate::weather::site::Site;
use crate::weather::solar::year_phase;
use crate::window::grid::Slot;
use crate::window::history::History;

/// Harmonics of the day in a climatology.
const DAY_HARMONICS: usize = 3;
/// Harmonics of the year in a climatology.
const YEAR_HARMONICS: usize = 2;
/// Terms of the year: a constant, sines and cosines.
const YEAR_TERMS: usize = 1 + 2 * YEAR_HARMONICS;
/// Terms of a climatology: those of the year, each alone and with each sine and cosine of the day.
const TERMS: usize = YEAR_TERMS * (1 + 2 * DAY_HARMONICS);

/// The slot of the same time of day as `lead_h` hours after `origin`, as late as it can be known at `origin`.
pub fn same_time_yesterday(history: &History, origin: Slot, lead_h: u32) -> Slot {
    let days_back = i64::from(lead_h.div_ceil(24).max(1));
    origin + history.grid().hours_to_slots(i64::from(lead_h) - 24 * days_back)
}

/// What the temperature usually is by time of year and of day: a least-squares fit of the harmonics of the mean solar
/// day to the third and of the tropical year to the second, and of their products.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Climatology {
    /// Coefficients in °C: for 1 and each sine and cosine of the day, for 1 and each sine and cosine of the year.
    coefficients: Vec<f32>,
}

impl Climatology {
    /// Fits to the temperatures of `slots`; `None` when there is none.
    ///
    /// A ridge that a hundred readings outweigh keeps a record shorter than a year from inventing seasons.
    pub fn fit(history: &History, site: Site, slots: &[Slot]) -> Option<Climatology> {
        let mut gram = vec![0.0; TERMS * TERMS];
        let mut moment = vec![0.0; TERMS];
        let mut mean = 0.0;
        let mut count = 0.0;
        for &slot in slots {
            let temperature = f64::from(history.value(slot, Quantity::AirTemperature));
            if temperature.is_nan() {
                continue;
            }
            count += 1.0;
            mean += (temperature - mean) / count;
        }
        if count == 0.0 {
            return None;
        }
        for &slot in slots {
            let temperature = f64::from(history.value(slot, Quantity::AirTemperature));
            if temperature.is_nan() {
                continue;
            }
            let terms = terms(site, history.grid().time(slot));
            for (row, &term) in terms.iter().enumerate() {
                moment[row] += term * (temperature - mean);
                for (column, &other) in terms.iter().enumerate() {
                    gram[row * TERMS + column] += term * other;
                }
            }
        }
        for diagonal in 0..TERMS {
            gram[diagonal * TERMS + diagonal] += 1.0;
        }
        let mut coefficients = Cholesky::new(TERMS, gram)?.solve(moment);
        coefficients[0] += mean;
        Some(Climatology { coefficients: coefficients.into_iter().map(to_single).collect() })
    }

    /// The usual temperature at `time`, °C.
    pub fn temperature_c(&self, site: Site, time: Timestamp) -> f64 {
        let products = terms(site, time).into_iter().zip(&self.coefficients);
        products.map(|(term, &coefficient)| term * f64::from(coefficient)).sum()
    }
}

fn terms(site: Site, time: Timestamp) -> [f64; TERMS] {
    let day = waves::<{ 1 + 2 * DAY_HARMONICS }>(site.day_phase(time));
    let year = waves::<YEAR_TERMS>(year_phase(time));
    std::array::from_fn(|term| day[term / YEAR_TERMS] * year[term % YEAR_TERMS])
}

/// 1, sin, cos, sin 2, cos 2, … of a phase.
fn waves<const N: usize>(phase: f64) -> [f64; N] {
    std::array::from_fn(|index| {
        let harmonic = index.div_ceil(2) as f64;
        let angle = std::f64::consts::TAU * phase * harmonic;
        if index % 2 == 0 { angle.cos() } else { angle.sin() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::quantity::Values;
    use crate::window::grid::Grid;

    #[test]
    fn yesterday_is_the_latest_known_reading_of_that_time_of_day() {
        let history = History::new(Grid::new(600).unwrap(), &[Quantity::AirTemperature], 1);
        assert_eq!(same_time_yesterday(&history, 1000, 1), 1000 - 23 * 6);
        assert_eq!(same_time_yesterday(&history, 1000, 24), 1000);
        assert_eq!(same_time_yesterday(&history, 1000, 25), 1000 - 23 * 6);
    }

    #[test]
    fn seasons_and_the_course_of_the_day_are_found() {
        let site = Site::new(50.0, 15.0);
        let grid = Grid::new(3600).unwrap();
        let mut history = History::new(grid, &[Quantity::AirTemperature], 3 * 8766);
        let usual = |time: Timestamp| {
            let day = std::f64::consts::TAU * site.day_phase(time);
            let year = std::f64::consts::TAU * year_phase(time);
            9.0 - 10.0 * year.cos() - (4.0 - 2.0 * year.cos()) * (day - 0.6).cos()
        };
        let slots: Vec<Slot> = (0..2 * 8766).collect();
        for &slot in &slots {
            let mut values = Values::NONE;
            values.set(Quantity::AirTemperature, usual(grid.time(slot)) as f32);
            history.insert(grid.time(slot), &values);
        }
        let climatology = Climatology::fit(&history, site, &slots).unwrap();
        for slot in [20_000, 20_007, 24_000] {
            let time = grid.time(slot);
            assert!((climatology.temperature_c(site, time) - usual(time)).abs() < 0.02);
        }
        let text = serde_json::to_string(&climatology).unwrap();
        assert_eq!(serde_json::from_str::<Climatology>(&text).unwrap(), climatology);
    }
}
