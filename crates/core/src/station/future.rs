//! What a station drops when its clock was ahead, and takes back from the journal.

use jiff::Timestamp;

use super::Station;
use crate::forecast::lead_scores::Score;
use crate::journal::{Recall, Restored};
use crate::window::grid::Slot;

impl Station {
    /// Drops everything later than `limit`: it was measured by a clock that was ahead, or seen by one. Whether there was
    /// anything.
    pub fn drop_after(&mut self, limit: Timestamp) -> bool {
        self.forget_sightings_after(limit);
        let place = self.place();
        self.character.drop_after(limit, place);
        if self.newest.is_none_or(|(newest, _)| newest <= limit) {
            return false;
        }
        let grid = self.history.grid();
        // The slot of the limit may hold later readings too: it goes.
        let last = grid.slot(limit) - 1;
        self.history.truncate(last);
        self.verification.forget_after(last);
        self.in_flight.retain(|asked| asked.origin.slot <= last);
        self.screening.forget_after(limit);
        if let Some(experts) = &mut self.experts {
            experts.drop_after(limit);
        }
        self.newest = self.history.seconds().next_back().map(|(time, measured, _)| (time, measured));
        self.newest_forecast = None;
        // What is left was closed by what is not.
        self.scored_until = self.history.newest();
        self.delivered = self.delivered.min(Some(limit));
        self.measure_readiness();
        true
    }

    /// What the journal may hold of the time up to `limit` that a clock which was ahead has pushed out of the history.
    pub fn recall(&self, limit: Timestamp) -> Recall {
        let grid = self.history.grid();
        let last = grid.slot(limit);
        let leads = grid.hours_to_slots(i64::from(self.model.manifest.max_lead_h()) + 1);
        let readings_from = grid.time(last - self.history.capacity() as i64);
        Recall {
            station: self.name.clone(),
            readings_from: self.moved_at().map_or(readings_from, |moved_at| readings_from.max(moved_at)),
            forecasts_from: grid.time(self.moved_in().map_or(last - leads, |slot| slot.max(last - leads))),
        }
    }

    /// Takes back what the journal held; what is known by now stays as it is. Says which of the forecasts that are back have
    /// been scored, for hours that were observed since readings of the future were dropped.
    pub fn recalled(&mut self, restored: &Restored, limit: Timestamp) -> Vec<Score> {
        let grid = self.history.grid();
        let readings = restored.readings.iter().filter(|(time, _)| *time <= limit);
        let since = self.readings().next().map_or(Slot::MAX, |(time, _)| grid.slot(time));
        let before = readings.clone().map(|(time, _)| grid.slot(*time)).filter(|slot| *slot < since).max();
        // Where only readings were asked for, the answer about forecasts may still come.
        let dropped_until = if restored.forecasts.is_empty() { None } else { self.scored_until.take() };
        let scored_until = dropped_until.or(before).unwrap_or(Slot::MIN);
        for (time, values) in readings {
            // The journal may not have by now what has corrected it.
            let known = self.measured_at(*time);
            let mut values = *values;
            known.iter().for_each(|(quantity, value)| values.set(quantity, value));
            self.insert(*time, values);
        }
        let mut scores = Vec::new();
        let forecasts = restored.forecasts.iter().filter(|forecast| forecast.issued_at <= limit);
        for forecast in forecasts {
            let slot = grid.slot(forecast.origin);
            let is_in_flight = self.in_flight.iter().any(|asked| asked.origin.slot == slot);
            if !is_in_flight && !self.verification.is_pending(slot) {
                self.restore_pending(slot, forecast, scored_until);
                let spec = &self.model.manifest.window;
                scores.extend(self.verification.score_observed(slot, spec, &self.history));
            }
        }
        self.forget_old_forecasts();
        self.measure_readiness();
        scores
    }
}
