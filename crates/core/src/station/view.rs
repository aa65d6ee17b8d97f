//! What a station shows of itself.

use jiff::Timestamp;

use super::Station;
use crate::weather::quantity::Quantity;

impl Station {
    /// The temperatures that the history holds of `from` and later, °C by the time of their slot, rising.
    pub fn temperatures(&self, from: Timestamp) -> impl Iterator<Item = (Timestamp, f32)> + '_ {
        let grid = self.history.grid();
        let slots = self.history.oldest().zip(self.history.newest());
        let slots = slots.map(|(oldest, newest)| oldest.max(grid.slot(from))..=newest);
        slots.into_iter().flatten().filter_map(move |slot| {
            let temperature_c = self.history.value(slot, Quantity::AirTemperature);
            (!temperature_c.is_nan()).then(|| (grid.time(slot), temperature_c))
        })
    }
}
