//! The resolution of a sensor, learned from what it says.

use serde::{Deserialize, Serialize};

/// So many changes are looked at together, and those before them: what a sensor did longer ago is forgotten.
const CHANGES: u8 = 64;
/// With fewer changes than these, nothing is known.
const FEWEST_CHANGES: u8 = 8;

/// The smallest step between one value and the next, over the newest 64 to 128 changes.
///
/// It is never finer than the sensor: two different values differ by its resolution at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolution {
    /// The smallest step of the newest changes.
    newest: Option<f32>,
    /// How many these are.
    changes: u8,
    /// The smallest step of the 64 changes before them.
    before: Option<f32>,
}

impl Resolution {
    /// Learns from a change of the value by `step`.
    pub(crate) fn learn(&mut self, step: f32) {
        self.newest = Some(self.newest.map_or(step, |newest| newest.min(step)));
        self.changes = self.changes.saturating_add(1);
        if self.changes >= CHANGES {
            self.before = self.newest.take();
            self.changes = 0;
        }
    }

    /// The smallest step, once enough is known.
    pub(crate) fn step(&self) -> Option<f32> {
        match (self.newest, self.before) {
            (Some(newest), Some(before)) => Some(newest.min(before)),
            (None, before) => before,
            (newest, None) => newest.filter(|_| self.changes >= FEWEST_CHANGES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_step_counts_and_a_change_of_the_sensor_is_learned() {
        let mut resolution = Resolution::default();
        for _ in 0..7 {
            resolution.learn(0.3);
        }
        assert_eq!(resolution.step(), None, "seven changes say nothing");
        resolution.learn(0.1);
        assert_eq!(resolution.step(), Some(0.1));
        // From now on it speaks in whole degrees.
        for _ in 0..2 * CHANGES {
            resolution.learn(1.0);
        }
        assert_eq!(resolution.step(), Some(1.0));
    }
}
