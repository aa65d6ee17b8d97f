//! The ring buffer of one station: what it measured in the newest slots of its time grid.
//!
//! A history is a function of the set of readings put into it and not of their order (as long as none is older
//! than the buffer reaches): in every slot each quantity has the value of the latest reading of that slot that
//! measured it.

use jiff::Timestamp;

use crate::weather::quantity::{Quantity, Values};
use crate::window::grid::{Grid, Slot};

/// What putting a reading into a history did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The reading opened a slot newer than any before.
    Newest(Slot),
    /// The reading changed the newest slot.
    Refreshed(Slot),
    /// The reading changed an older slot.
    Late(Slot),
    /// Nothing changed: a repetition, or later readings of the slot stand already. (A later reading of the same values is
    /// a change: from then on one of a time between them does not count.)
    Unchanged(Slot),
    /// The slot is older than the buffer reaches.
    TooOld(Slot),
}

/// The newest slots of one station.
#[derive(Debug, Clone)]
pub struct History {
    grid: Grid,
    /// The quantities that are kept, in the order of the columns.
    quantities: Vec<Quantity>,
    /// Column of each quantity.
    columns: [Option<u8>; Quantity::COUNT],
    /// How many slots are kept.
    capacity: usize,
    /// `capacity` rows of one value per column, in the canonical unit; a slot's row is `slot mod capacity`. Two vectors of
    /// zeros cost no memory until something is measured, and no padding then.
    values: Vec<f32>,
    /// When within the slot each was measured, as [`encode_offset`] writes it; [`UNMEASURED`] where the value means nothing.
    offsets: Vec<u16>,
    /// The newest slot that a reading fell into.
    newest: Option<Slot>,
    /// Its row, counted in rows.
    newest_row: usize,
    /// By column: nothing was measured later than in this slot. So what a station has never measured is not looked for.
    last_measured: Vec<Slot>,
}

impl History {
    /// What one quantity takes in one slot, in bytes.
    pub const BYTES_PER_CELL: usize = size_of::<f32>() + size_of::<u16>();

    /// An empty history of `capacity` slots that keeps `quantities`.
    pub fn new(grid: Grid, quantities: &[Quantity], capacity: usize) -> History {
        let mut columns = [None; Quantity::COUNT];
        for (column, quantity) in (0..).zip(quantities) {
            columns[quantity.index()] = Some(column);
        }
        let capacity = capacity.max(1);
        History {
            grid,
            quantities: quantities.to_vec(),
            columns,
            capacity,
            values: vec![0.0; capacity * quantities.len()],
            offsets: vec![UNMEASURED; capacity * quantities.len()],
            newest: None,
            newest_row: 0,
            last_measured: vec![Slot::MIN; quantities.len()],
        }
    }

    /// The time grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The quantities that are kept.
    pub fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    /// How many slots are kept.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The same measurements, to the moment, in a history of other quantities or of another length: as far as both keep
    /// them.
    #[must_use]
    pub fn reshaped(&self, quantities: &[Quantity], capacity: usize) -> History {
        let mut reshaped = History::new(self.grid, quantities, capacity);
        reshaped.set_newest(self.newest);
        let (Some(newest), Some(oldest), Some(kept)) = (self.newest, self.oldest(), reshaped.oldest()) else {
            return reshaped;
        };
        for (column, quantity) in quantities.iter().enumerate() {
            let Some(before) = self.columns[quantity.index()] else { continue };
            reshaped.last_measured[column] = self.last_measured[usize::from(before)];
            for slot in oldest.max(kept)..=newest {
                let (from, to) = (self.row(slot) + usize::from(before), reshaped.row(slot) + column);
                reshaped.values[to] = self.values[from];
                reshaped.offsets[to] = self.offsets[from];
            }
        }
        reshaped
    }

    /// The newest slot that a reading fell into.
    pub fn newest(&self) -> Option<Slot> {
        self.newest
    }

    /// The oldest slot that is still kept, once there is any reading.
    pub fn oldest(&self) -> Option<Slot> {
        self.newest.map(|newest| newest - self.capacity as i64 + 1)
    }

    /// Puts in what was measured at `time`.
    pub fn insert(&mut self, time: Timestamp, values: &Values) -> Inserted {
        let slot = self.grid.slot(time);
        if self.oldest().is_some_and(|oldest| slot < oldest) {
            return Inserted::TooOld(slot);
        }
        let opens = self.newest.is_none_or(|newest| slot > newest);
        if opens {
            self.open(slot);
        }
        let offset = encode_offset(time.as_second() - slot * self.grid.step_s());
        let row = self.row(slot);
        let mut changed = false;
        for (column, quantity) in self.quantities.iter().enumerate() {
            let Some(value) = values.get(*quantity) else { continue };
            // What was not measured is earlier than all that was.
            if offset > self.offsets[row + column] {
                changed = true;
                self.values[row + column] = value;
                self.offsets[row + column] = offset;
                self.last_measured[column] = self.last_measured[column].max(slot);
            }
        }
        match (opens, changed) {
            (true, _) => Inserted::Newest(slot),
            (false, true) if self.newest == Some(slot) => Inserted::Refreshed(slot),
            (false, true) => Inserted::Late(slot),
            (false, false) => Inserted::Unchanged(slot),
        }
    }

    /// What was measured in `slot`; NaN when nothing was, or when it is not kept.
    pub fn value(&self, slot: Slot, quantity: Quantity) -> f32 {
        let (Some(column), Some(newest)) = (self.columns[quantity.index()], self.newest) else {
            return f32::NAN;
        };
        if slot > newest || slot <= newest - self.capacity as i64 {
            return f32::NAN;
        }
        let cell = self.row_before(newest, slot) + usize::from(column);
        if self.offsets[cell] == UNMEASURED { f32::NAN } else { self.values[cell] }
    }

    /// The value of `slot` as known at slot `end`: measured, or filled across a hole of at most `max_hole` slots
    /// from one measurement to the next.
    ///
    /// A hole with measurements at both ends is interpolated in time (directions along the shorter arc); one
    /// that is still open at `end` takes the last measurement. Nothing after `end` is looked at. NaN when the
    /// hole is too long.
    pub fn filled(&self, slot: Slot, quantity: Quantity, end: Slot, max_hole: i64) -> f32 {
        let measured = self.value(slot, quantity);
        if !measured.is_nan() {
            return measured;
        }
        let last = self.columns[quantity.index()].map(|column| self.last_measured[usize::from(column)]);
        if last.is_none_or(|last| last < slot.saturating_sub(max_hole)) {
            return f32::NAN;
        }
        let before = (1..=max_hole)
            .map(|distance| slot - distance)
            .find(|&candidate| !self.value(candidate, quantity).is_nan());
        let Some(before) = before else { return f32::NAN };
        let reach = end.min(before + max_hole);
        let after = (slot + 1..=reach).find(|&candidate| !self.value(candidate, quantity).is_nan());
        let from = self.value(before, quantity);
        match after {
            Some(after) => {
                let weight = (slot - before) as f32 / (after - before) as f32;
                interpolate(quantity, from, self.value(after, quantity), weight)
            }
            None if end - before <= max_hole => from,
            None => f32::NAN,
        }
    }

    /// Whether a reading of `time` would change a slot older than the newest one, or repeat one.
    pub fn is_behind(&self, time: Timestamp) -> bool {
        self.newest.is_some_and(|newest| self.grid.slot(time) < newest)
    }

    /// Removes every slot later than `slot`: it was measured by a clock that was ahead.
    pub fn truncate(&mut self, slot: Slot) {
        let (Some(newest), Some(oldest)) = (self.newest, self.oldest()) else { return };
        if slot >= newest {
            return;
        }
        let columns = self.quantities.len();
        for later in (slot + 1).max(oldest)..=newest {
            let row = self.row(later);
            self.offsets[row..row + columns].fill(UNMEASURED);
        }
        let is_measured = |&slot: &Slot| {
            let row = self.row(slot);
            self.offsets[row..row + columns].iter().any(|&offset| offset != UNMEASURED)
        };
        let remaining = (oldest..=slot).rev().find(is_measured);
        if remaining.is_none() {
            self.offsets.fill(UNMEASURED);
        }
        for last in &mut self.last_measured {
            *last = (*last).min(slot);
        }
        // Rows between the new and the old oldest slot are empty: nothing older is kept than was before.
        self.set_newest(remaining);
    }

    /// Makes room for `slot` and everything between it and the newest one so far.
    fn open(&mut self, slot: Slot) {
        let cleared = match self.newest {
            Some(newest) => (slot - newest).min(self.capacity as i64),
            None => 0,
        };
        self.set_newest(Some(slot));
        for back in 0..cleared {
            let row = self.row(slot - back);
            let columns = self.quantities.len();
            self.offsets[row..row + columns].fill(UNMEASURED);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than the capacity, a usize")]
    fn set_newest(&mut self, newest: Option<Slot>) {
        self.newest = newest;
        self.newest_row = newest.map_or(0, |newest| newest.rem_euclid(self.capacity as i64) as usize);
    }

    /// [`History::row`] of a slot that is kept, without a division: windows ask for thousands.
    #[expect(clippy::cast_possible_truncation, reason = "less than the capacity, a usize")]
    fn row_before(&self, newest: Slot, slot: Slot) -> usize {
        let back = (newest - slot) as usize;
        let wrap = if back > self.newest_row { self.capacity } else { 0 };
        (self.newest_row + wrap - back) * self.quantities.len()
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than the capacity, a usize")]
    fn row(&self, slot: Slot) -> usize {
        slot.rem_euclid(self.capacity as i64) as usize * self.quantities.len()
    }
}

/// Stands for the offset of what was not measured.
const UNMEASURED: u16 = 0;

/// Seconds relative to the slot's grid time, as they are kept: rising with the time, and never [`UNMEASURED`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "a slot reaches at most an hour back and a tenth of one ahead"
)]
fn encode_offset(seconds: i64) -> u16 {
    (seconds - i64::from(i16::MIN)) as u16
}

fn interpolate(quantity: Quantity, from: f32, to: f32, weight: f32) -> f32 {
    if quantity == Quantity::WindFromDirection {
        let turn = (to - from + 540.0).rem_euclid(360.0) - 180.0;
        return (from + turn * weight).rem_euclid(360.0);
    }
    from + (to - from) * weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: Quantity = Quantity::AirTemperature;
    const D: Quantity = Quantity::WindFromDirection;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn value(quantity: Quantity, value: f32) -> Values {
        let mut values = Values::NONE;
        values.set(quantity, value);
        values
    }

    fn history(capacity: usize) -> History {
        History::new(Grid::new(600).unwrap(), &[T, D], capacity)
    }

    #[test]
    fn a_quantity_that_is_not_measured_any_more_is_held_over_a_hole_and_gone_after_it() {
        let mut history = history(50);
        history.insert(at(600 * 10), &value(D, 90.0));
        for slot in 1..=40 {
            history.insert(at(600 * slot), &value(T, 1.0));
        }
        assert_eq!(history.filled(13, D, 13, 3), 90.0);
        assert!(history.filled(14, D, 14, 3).is_nan());
        assert!(history.filled(9, D, 9, 3).is_nan(), "a later value is not known yet");
        history.truncate(9);
        assert!(history.filled(13, D, 13, 3).is_nan());
        history.insert(at(600 * 12), &value(D, 45.0));
        assert_eq!(history.reshaped(&[D], 20).filled(13, D, 13, 3), 45.0);
    }

    #[test]
    fn the_latest_reading_of_a_slot_stands_whatever_the_order() {
        let mut history = history(10);
        assert_eq!(history.insert(at(1190), &value(T, 2.0)), Inserted::Newest(2));
        assert_eq!(history.insert(at(900), &value(T, 1.0)), Inserted::Unchanged(2));
        assert_eq!(history.insert(at(1200), &value(T, 3.0)), Inserted::Refreshed(2));
        assert_eq!(history.insert(at(1200), &value(T, 3.0)), Inserted::Unchanged(2));
        assert_eq!(history.value(2, T), 3.0);
    }

    #[test]
    fn what_leaves_the_buffer_is_gone_and_a_leap_clears_it() {
        let mut history = history(3);
        for slot in 1..=5 {
            history.insert(at(slot * 600), &value(T, slot as f32));
        }
        assert!(history.value(2, T).is_nan());
        assert_eq!(history.value(3, T), 3.0);
        assert_eq!(history.insert(at(600), &value(T, 9.0)), Inserted::TooOld(1));
        assert_eq!(history.insert(at(600 * 1_000_000), &value(T, 7.0)), Inserted::Newest(1_000_000));
        assert!(history.value(999_999, T).is_nan());
        assert!(history.value(5, T).is_nan());
    }

    #[test]
    fn holes_are_filled_up_to_the_limit_and_never_from_the_future() {
        let mut history = history(100);
        history.insert(at(600 * 10), &value(T, 1.0));
        history.insert(at(600 * 14), &value(T, 3.0));
        assert_eq!(history.filled(11, T, 14, 4), 1.5);
        assert_eq!(history.filled(12, T, 20, 4), 2.0);
        assert!(history.filled(12, T, 14, 3).is_nan());
        assert_eq!(history.filled(12, T, 13, 4), 1.0, "at slot 13 the reading of slot 14 is not known yet");
        assert_eq!(history.filled(18, T, 18, 4), 3.0);
        assert!(history.filled(19, T, 19, 4).is_nan());
        assert!(history.filled(9, T, 14, 4).is_nan());
    }

    #[test]
    fn a_history_of_another_shape_holds_what_both_keep_and_when_it_was_measured() {
        let mut history = history(10);
        for slot in 1..=8 {
            history.insert(at(slot * 600 - 60), &value(T, slot as f32));
        }
        history.insert(at(8 * 600 - 60), &value(D, 90.0));
        for (capacity, oldest) in [(3, 6), (10, 1), (50, 1)] {
            let mut reshaped = history.reshaped(&[Quantity::AirPressure, T], capacity);
            assert_eq!((reshaped.newest(), reshaped.capacity()), (Some(8), capacity));
            for slot in 0..=9 {
                let expected = if (oldest..=8).contains(&slot) { slot as f32 } else { f32::NAN };
                assert_eq!(
                    reshaped.value(slot, T).to_bits(),
                    expected.to_bits(),
                    "slot {slot} of {capacity}"
                );
            }
            assert!(reshaped.value(8, D).is_nan(), "it is not kept any more");
            // A reading counts beside those of before as it would have then.
            assert_eq!(reshaped.insert(at(8 * 600 - 90), &value(T, 0.0)), Inserted::Unchanged(8));
            assert_eq!(reshaped.insert(at(8 * 600 - 30), &value(T, 9.0)), Inserted::Refreshed(8));
        }
        assert_eq!(History::new(history.grid(), &[T], 3).reshaped(&[D], 5).newest(), None);
    }

    #[test]
    fn a_direction_is_interpolated_across_north() {
        let mut history = history(10);
        history.insert(at(600), &value(D, 350.0));
        history.insert(at(1800), &value(D, 20.0));
        assert_eq!(history.filled(2, D, 3, 6), 5.0);
    }

    proptest! {
        #[test]
        fn a_history_does_not_depend_on_the_order_of_readings(
            readings in prop::collection::vec((0_i64..30_000, any::<bool>()), 1..60),
            seed in any::<u64>(),
        ) {
            use rand::seq::SliceRandom;
            use rand::SeedableRng;
            // A reading's value follows from its time: two readings of one time are a repetition.
            let readings: Vec<(Timestamp, Values)> = readings
                .into_iter()
                .map(|(second, is_temperature)| {
                    let quantity = if is_temperature { T } else { D };
                    (at(second), value(quantity, (second % 300) as f32))
                })
                .collect();
            let mut shuffled = readings.clone();
            shuffled.shuffle(&mut rand_pcg::Pcg64::seed_from_u64(seed));
            let mut in_order = history(60);
            let mut out_of_order = history(60);
            for (time, values) in &readings {
                in_order.insert(*time, values);
            }
            for (time, values) in &shuffled {
                out_of_order.insert(*time, values);
            }
            for slot in 0..=60 {
                for quantity in [T, D] {
                    prop_assert_eq!(
                        in_order.value(slot, quantity).to_bits(),
                        out_of_order.value(slot, quantity).to_bits()
                    );
                }
            }
        }
    }
}
