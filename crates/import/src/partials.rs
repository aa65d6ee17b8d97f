//! Values that come one by one, each at its own time, merged into readings of the slots of a time grid.

use forecastd_core::{Grid, Quantity, ReducedPressure, Reduction, Values};
use forecastd_record::Row;
use jiff::Timestamp;

use crate::origin::{Part, merged};

/// Values that have come, in any order. A few bytes each, as there may be many millions.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    values: Vec<(i64, f32, Quantity, Option<Reduction>)>,
}

impl Partials {
    /// Adds a value; a pressure that is not the one at the station with how it is told.
    pub(crate) fn add(&mut self, second: i64, quantity: Quantity, reduction: Option<Reduction>, value: f32) {
        self.values.push((second, value, quantity, reduction));
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Merges them into one reading for each slot of `grid`: means, the mean vector of the wind, the highest gust. A reduced
    /// pressure becomes that at the station; where its height is not known it is left out.
    pub(crate) fn merge(mut self, grid: Grid, elevation_m: Option<f64>) -> Vec<Row> {
        self.values.sort_by_key(|(second, ..)| *second);
        let mut parts: Vec<Part> = Vec::new();
        for (second, value, quantity, reduction) in self.values {
            let Ok(time) = Timestamp::from_second(second) else { continue };
            let mut values = Values::NONE;
            let mut told = None;
            match (reduction, elevation_m) {
                (None, _) => values.set(quantity, value),
                (Some(reduction), Some(elevation_m)) => {
                    told = Some(ReducedPressure { hpa: value, reduction, elevation_m });
                }
                (Some(_), None) => continue,
            }
            match parts.last_mut().filter(|(last, ..)| *last == time) {
                Some((_, _, known)) if told.is_some() && known.is_none() => *known = told,
                Some((_, known, _)) if told.is_none() && known.get(quantity).is_none() => {
                    known.set(quantity, value);
                }
                _ => parts.push((time, values, told)),
            }
        }
        merged(parts, grid)
    }
}
