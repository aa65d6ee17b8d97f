//! What is collected for the journal, as one batch, and acknowledged once it is durable.

use super::{Effect, Service};
use crate::journal::{Batch, Entry};
use crate::station::Station;
use crate::weather::reading::StationName;

fn state_entry(station: &Station) -> Entry {
    Entry::State {
        station: station.name().clone(),
        state: station.state(),
        readings_from: station.readings_from(),
        forecasts_from: station.forecasts_from(),
        active_at: station.active_at(),
    }
}

impl Service {
    /// Hands what was collected to the journal as one batch, and publishes what need not be said for every reading. To be
    /// called when nothing waits to be handled, and now and then while something always does.
    pub fn flush(&mut self, effects: &mut Vec<Effect>) {
        self.publish_verified(effects);
        for name in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.stations.get_mut(&name) else { continue };
            if std::mem::take(&mut entry.is_dirty) {
                entry.is_delivery_dirty = false;
                self.entries.push(state_entry(&entry.station));
                let experts = entry.station.take_changed_experts();
                self.entries.extend(experts.map(|experts| Entry::Experts { station: name, experts }));
            }
        }
        if self.entries.is_empty() {
            // A message that is delivered again may be of a reading that is on its way to the disk: it is acknowledged with
            // that, not before.
            match self.uncommitted.back_mut() {
                Some((_, tokens)) => tokens.append(&mut self.tokens),
                None => effects.extend(self.tokens.drain(..).map(Effect::Acknowledge)),
            }
            return;
        }
        let entries = std::mem::take(&mut self.entries);
        let tokens = std::mem::take(&mut self.tokens);
        if !self.settings.has_journal {
            effects.extend(tokens.into_iter().map(Effect::Acknowledge));
            return;
        }
        let id = self.next_batch;
        self.next_batch += 1;
        self.uncommitted.push_back((id, tokens));
        effects.push(Effect::Journal(Batch { id, entries }));
    }

    /// The last batch, at the end: also what could wait until now.
    pub fn flush_all(&mut self, effects: &mut Vec<Effect>) {
        let waiting =
            self.stations.iter_mut().filter(|(_, entry)| entry.is_delivery_dirty && !entry.is_dirty);
        for (name, entry) in waiting {
            entry.is_dirty = true;
            self.dirty.push(name.clone());
        }
        self.flush(effects);
    }

    pub(super) fn mark_dirty(&mut self, name: &StationName) {
        if let Some(entry) = self.stations.get_mut(name)
            && !std::mem::replace(&mut entry.is_dirty, true)
        {
            self.dirty.push(name.clone());
        }
    }

    pub(super) fn acknowledge(&mut self, up_to: u64, effects: &mut Vec<Effect>) {
        while self.uncommitted.front().is_some_and(|(id, _)| *id <= up_to) {
            let Some((_, tokens)) = self.uncommitted.pop_front() else { return };
            effects.extend(tokens.into_iter().map(Effect::Acknowledge));
        }
    }

    /// The journal was begun anew: all that memory holds is written again. That is no more than the models look at, and of the
    /// days ahead what was said last and what has not been published.
    pub(super) fn journal_again(&mut self) {
        for (name, entry) in &mut self.stations {
            entry.station.mark_experts_changed();
            if !std::mem::replace(&mut entry.is_dirty, true) {
                self.dirty.push(name.clone());
            }
            self.entries.extend(entry.station.readings().map(|(time, values)| Entry::Reading {
                station: name.clone(),
                time,
                values,
                slot_begins: time,
            }));
            let forecasts = entry.station.forecasts();
            self.entries.extend(forecasts.map(|forecast| Entry::Forecast(Box::new(forecast))));
        }
        let undelivered = self.undelivered.iter().cloned();
        self.entries.extend(undelivered.map(|forecast| Entry::Forecast(Box::new(forecast))));
    }
}
