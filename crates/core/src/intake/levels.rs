//! The values of one quantity within a slot, told apart where the atmosphere does not leap from one to the other.

use std::cmp::Ordering;

use jiff::Timestamp;

use crate::intake::leap::is_leap;
use crate::number::to_single;
use crate::weather::quantity::Quantity;

/// Values by levels that no leap lies within. That with the most values is believed, of equals the newest: what was measured in the
/// slots before tells whether that is right.
///
/// A value that an error of a bit has made, and that is in range, would else draw the mean by less than a leap, so that no check
/// of the mean finds it. A level is what lies around the median within the limit of a leap, and needs no list of values.
#[derive(Debug, Clone, Default)]
pub(super) struct Levels(Vec<Level>);

#[derive(Debug, Clone)]
struct Level {
    sum: f64,
    count: u32,
    newest: Timestamp,
    last: f32,
}

impl Level {
    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

impl Levels {
    /// Adds a plausible value, measured in a slot that is `slot_s` long.
    pub(super) fn add(&mut self, quantity: Quantity, slot_s: i64, time: Timestamp, value: f32) {
        let distance = |level: &Level| (f64::from(value) - level.mean()).abs();
        let nearest = self.0.iter_mut().min_by(|one, other| distance(one).total_cmp(&distance(other)));
        match nearest.filter(|level| !is_leap(quantity, slot_s, to_single(distance(level)))) {
            Some(level) => {
                level.sum += f64::from(value);
                level.count += 1;
                (level.newest, level.last) = (level.newest.max(time), value);
            }
            None => self.0.push(Level { sum: f64::from(value), count: 1, newest: time, last: value }),
        }
    }

    /// Where the level that is believed stands.
    fn believed(&self) -> Option<usize> {
        let order = |one: &Level, other: &Level| -> Ordering {
            (one.count, one.newest).cmp(&(other.count, other.newest))
        };
        let believed = self.0.iter().enumerate().max_by(|(_, one), (_, other)| order(one, other));
        believed.map(|(index, _)| index)
    }

    /// The mean of what is believed; `None` without a value.
    pub(super) fn mean(&self) -> Option<f32> {
        self.believed().and_then(|index| self.0.get(index)).map(|level| to_single(level.mean()))
    }

    /// What is not believed: of a level, its last value as often as it has values.
    pub(super) fn leaps(&self) -> impl Iterator<Item = f32> + '_ {
        let believed = self.believed();
        let others = self.0.iter().enumerate().filter(move |(index, _)| Some(*index) != believed);
        others.flat_map(|(_, level)| std::iter::repeat_n(level.last, level.count as usize))
    }
}
