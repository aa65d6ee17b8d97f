//! Normalised windows, quickly: each slot's row of features is computed once and copied into every window that it is
//! part of.
//!
//! [`WindowSpec::fill`] alone says what a window is. A row is copied only where it cannot depend on where the window
//! ends: all that it needs was measured, or every hole it was filled across has closed. Other rows, which can only be
//! near the end, are computed as `fill` does. A test compares both bit for bit.

use std::sync::Arc;

use rayon::prelude::*;

use forecastd_core::Feature;
use forecastd_core::History;
use forecastd_core::Normalisation;
use forecastd_core::Site;
use forecastd_core::Slot;
use forecastd_core::WindowSpec;

/// What is known of a slot's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All measured: the same in every window.
    Measured,
    /// Filled; the same in every window that ends when all holes have closed.
    Filled,
    /// Cannot be filled.
    Missing,
}

/// Windows of one history.
#[derive(Debug, Clone)]
pub struct WindowCache {
    history: Arc<History>,
    spec: WindowSpec,
    site: Site,
    normalisation: Normalisation,
    first: Slot,
    /// Normalised rows, one per slot from `first`.
    rows: Vec<f32>,
    kinds: Vec<Kind>,
}

impl WindowCache {
    /// Computes the rows of all slots of `history`. The normalisation is that of the rows of `slots`; `None` when there is
    /// no complete row to take it from.
    ///
    /// # Panics
    /// If the windows are not of one site.
    pub fn new(history: &Arc<History>, spec: &WindowSpec, slots: &[Slot]) -> Option<WindowCache> {
        let (first, last) = (history.oldest()?, history.newest()?);
        let site = spec.site.expect("the windows of one record are of one site");
        let features = spec.features.len();
        let max_hole = spec.max_hole_slots();
        let count = (last - first + 1) as usize;
        let mut rows = vec![0.0; count * features];
        let mut kinds = vec![Kind::Missing; count];
        rows.par_chunks_exact_mut(features).zip(&mut kinds).enumerate().for_each(|(index, (row, kind))| {
            let slot = first + index as i64;
            spec.row(history, site, slot, slot + max_hole, row);
            *kind = if row.iter().any(|value| value.is_nan()) {
                Kind::Missing
            } else if spec.features.iter().all(|&feature| is_measured(feature, history, slot)) {
                Kind::Measured
            } else {
                Kind::Filled
            };
        });
        let of_slots: Vec<f32> = slots
            .iter()
            .flat_map(|slot| &rows[(slot - first) as usize * features..][..features])
            .copied()
            .collect();
        let normalisation = Normalisation::fit(&of_slots, features)?;
        rows.par_chunks_mut(features * 4096).for_each(|rows| normalisation.apply(rows));
        Some(WindowCache {
            history: Arc::clone(history),
            spec: spec.clone(),
            site,
            normalisation,
            first,
            rows,
            kinds,
        })
    }

    /// How the windows are cut.
    pub fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    /// Statistics of the features.
    pub fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    /// Writes the normalised window that ends at `end`; false when something is missing; the contents
    /// of `window` are then unspecified.
    pub fn fill(&self, end: Slot, window: &mut [f32]) -> bool {
        let features = self.spec.features.len();
        for (slot, row) in self.slots(end).zip(window.chunks_exact_mut(features)) {
            match self.kind(slot, end) {
                Some(Kind::Measured | Kind::Filled) => {
                    let index = (slot - self.first) as usize;
                    row.copy_from_slice(&self.rows[index * features..][..features]);
                }
                Some(Kind::Missing) => return false,
                None => {
                    self.spec.row(&self.history, self.site, slot, end, row);
                    if row.iter().any(|value| value.is_nan()) {
                        return false;
                    }
                    self.normalisation.apply(row);
                }
            }
        }
        true
    }

    /// Whether the window that ends at `end` can be made.
    pub fn is_complete(&self, end: Slot) -> bool {
        let mut row = vec![0.0; self.spec.features.len()];
        self.slots(end).all(|slot| match self.kind(slot, end) {
            Some(kind) => kind != Kind::Missing,
            None => {
                self.spec.row(&self.history, self.site, slot, end, &mut row);
                row.iter().all(|value| !value.is_nan())
            }
        })
    }

    /// The slots of a window's samples.
    fn slots(&self, end: Slot) -> impl Iterator<Item = Slot> + '_ {
        let stride = i64::from(self.spec.sample_every_s / self.spec.grid_step_s);
        (0..self.spec.samples as i64).rev().map(move |back| end - back * stride)
    }

    /// What the row of `slot` is in a window ending at `end`; `None` when it has to be computed for this window.
    fn kind(&self, slot: Slot, end: Slot) -> Option<Kind> {
        let Some(&kind) = usize::try_from(slot - self.first).ok().and_then(|index| self.kinds.get(index))
        else {
            return Some(Kind::Missing);
        };
        (kind == Kind::Measured || end >= slot + self.spec.max_hole_slots()).then_some(kind)
    }
}

/// Whether all that a feature needs at `slot` was measured.
fn is_measured(feature: Feature, history: &History, slot: Slot) -> bool {
    let back = i64::from(feature.reach_s()) / history.grid().step_s();
    let measured =
        |slot| feature.quantities().iter().all(|&quantity| !history.value(slot, quantity).is_nan());
    measured(slot) && (back == 0 || measured(slot - back))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use forecastd_core::Wave;
    use forecastd_core::{Quantity, Values};

    const SITE: Site = Site::new(50.91, 11.57);

    fn spec() -> WindowSpec {
        WindowSpec {
            grid_step_s: 600,
            sample_every_s: 1200,
            samples: 12,
            max_hole_s: 2400,
            site: Some(SITE),
            missing: forecastd_core::MissingValues::Refused,
            features: vec![
                Feature::Quantity(Quantity::AirTemperature),
                Feature::Quantity(Quantity::AirPressure),
                Feature::Tendency { quantity: Quantity::AirPressure, hours: 1 },
                Feature::TimeOfDay(Wave::Sin),
                Feature::SolarElevation { ahead_h: 3 },
            ],
        }
    }

    proptest! {
        #[test]
        fn a_cached_window_is_bit_for_bit_the_one_that_fill_makes(
            readings in prop::collection::vec((prop::option::weighted(0.8, -20.0_f32..30.0), prop::option::weighted(0.7, 950.0_f32..1050.0)), 60..140)
        ) {
            let spec = spec();
            let mut history = History::new(spec.grid(), &spec.quantities(), readings.len());
            for (slot, (temperature, pressure)) in readings.iter().enumerate() {
                let mut values = Values::NONE;
                values.set(Quantity::AirTemperature, temperature.unwrap_or(f32::NAN));
                values.set(Quantity::AirPressure, pressure.unwrap_or(f32::NAN));
                history.insert(spec.grid().time(slot as i64), &values);
            }
            let history = Arc::new(history);
            let slots: Vec<Slot> = (0..readings.len() as i64).collect();
            let Some(cache) = WindowCache::new(&history, &spec, &slots) else { return Ok(()) };
            let (mut cached, mut filled) = (vec![0.0; spec.len()], vec![0.0; spec.len()]);
            for &end in &slots {
                let complete = spec.fill(&history, SITE, end, &mut filled).is_ok();
                prop_assert_eq!(cache.fill(end, &mut cached), complete, "window ending at {}", end);
                prop_assert_eq!(cache.is_complete(end), complete);
                if complete {
                    cache.normalisation().apply(&mut filled);
                    let bits = |window: &[f32]| window.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                    prop_assert_eq!(bits(&cached), bits(&filled));
                }
            }
        }
    }
}
