//! What is believed of readings, one for each slot of the time grid: pure, and the same as what a live station keeps.

use forecastd_core::intake::{self, Intake};
use forecastd_core::{Dropped, Grid, Quantity, Screening, Slot, Values};
use forecastd_journal::ImportReading;
use jiff::Timestamp;

/// Takes sorted readings one by one and gives those of whole slots.
///
/// Of a slot each quantity has the value of the latest reading that measured it, as in a station's history.
#[derive(Debug)]
pub(crate) struct Slots {
    grid: Grid,
    screening: Screening,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    slot: Slot,
    time: Timestamp,
    values: Values,
    /// When each quantity was measured.
    times: [Timestamp; Quantity::COUNT],
}

/// What became of a reading.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The slot before it, which is over.
    pub(crate) finished: Option<ImportReading>,
    /// Values that were not believed.
    pub(crate) dropped: Vec<Dropped>,
    /// Whether any was.
    pub(crate) is_believed: bool,
}

impl Slots {
    pub(crate) fn new(grid: Grid) -> Slots {
        Slots { grid, screening: Screening::default(), open: None }
    }

    /// Takes what was measured at `time`, no earlier than the reading before.
    pub(crate) fn take(&mut self, time: Timestamp, measured: Values) -> Taken {
        // Readings have no finer times than seconds.
        let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
        let Intake { kept, dropped, .. } = intake::take(&mut self.screening, time, measured);
        if kept.is_empty() {
            return Taken { finished: None, dropped, is_believed: false };
        }
        let slot = self.grid.slot(time);
        let finished = self.open.take_if(|open| open.slot != slot).map(|open| self.reading(&open));
        let open = self.open.get_or_insert(Open {
            slot,
            time,
            values: Values::NONE,
            times: [Timestamp::MIN; Quantity::COUNT],
        });
        open.time = time;
        for (quantity, value) in kept.iter() {
            // Of two of one time the first stands.
            if time > open.times[quantity.index()] {
                open.values.set(quantity, value);
                open.times[quantity.index()] = time;
            }
        }
        Taken { finished, dropped, is_believed: true }
    }

    /// The last slot.
    pub(crate) fn finish(mut self) -> Option<ImportReading> {
        let open = self.open.take()?;
        Some(self.reading(&open))
    }

    fn reading(&self, open: &Open) -> ImportReading {
        ImportReading {
            time: open.time,
            values: open.values,
            slot_begins: self.grid.slot_begins(open.slot),
            slot_ends: self.grid.slot_begins(open.slot + 1),
        }
    }
}
