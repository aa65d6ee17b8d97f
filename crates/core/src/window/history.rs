//! The ring buffer of one station: what it measured in the newest slots of its time grid.
//!
//! A history is a function of the set of readings put into it and not of their order (as long as none is older
//! than the buffer reaches): in every slot each quantity has the value of the latest reading of that slot that
//! measured it.

#[cfg(test)]
mod tests;

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
    reason = "a slot reaches at most six hours back and a tenth of them ahead: 21,600 s"
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
