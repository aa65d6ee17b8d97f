//! Stations as the journal holds them, at the start and when a clock that was ahead had pushed their history out.

use std::sync::Arc;

use jiff::SignedDuration;

use super::entry::FutureLeft;
use super::{Effect, Event, Now, Service};
use crate::journal::Restored;
use crate::station::{Next, Station};
use crate::weather::reading::StationName;

#[derive(Debug, Default)]
pub(super) struct RestoreCount {
    pub(super) stations: usize,
    pub(super) owed: usize,
    pub(super) undelivered: usize,
    pub(super) omitted: usize,
}

impl Service {
    pub(super) fn restore(&mut self, now: Now, restored: &Restored, effects: &mut Vec<Effect>) {
        let limit = now.wall + self.settings.max_ahead;
        let setup = self.setup(&restored.station);
        let place = Station::restored_place(setup, restored);
        let specialists = self.specialists(&restored.station, place);
        let has_specialists = !specialists.is_empty();
        let main = Arc::clone(self.models.main());
        let (mut station, next, undelivered) = Station::restore(main, specialists, setup, restored, limit);
        let name = station.name().clone();
        self.clock.shown(station.active_at());
        if let Some((newest, _)) = restored.readings.last().filter(|(time, _)| *time > limit) {
            effects.push(Effect::Emit(Event::FutureDropped { station: name.clone(), newest: *newest }));
        }
        let inactive = now.wall.duration_since(station.active_at()).max(SignedDuration::ZERO);
        let is_idle = self.settings.idle_after.is_some_and(|idle_after| inactive > idle_after);
        if self.stations.len() >= self.settings.max_stations || is_idle {
            self.restored.omitted += 1;
            if is_idle {
                self.silent.insert(name);
            }
            return;
        }
        if self.stations.contains_key(&name) {
            return;
        }
        self.restored.stations += 1;
        self.announcements.restored(&name);
        let is_beyond = restored.is_beyond(limit);
        if is_beyond {
            // What was to be restored was said by a state of that time.
            effects.push(Effect::Recall(station.recall(limit)));
        } else if has_specialists && station.has_room_for_older() {
            // A specialist that came while the service was not there may look further back than was read.
            effects.push(Effect::Recall(station.recall_readings()));
        }
        self.scores.merge(station.scores());
        // Those that came of what was owed are among them.
        station.take_day_scores();
        station.day_scores().into_iter().for_each(|scores| self.day_scores.merge(scores));
        self.serve(now, station);
        if let Some(entry) = self.stations.get_mut(&name) {
            entry.active_uptime = now.uptime.as_nanos() as i128 - inactive.as_nanos();
            entry.future_left =
                is_beyond.then_some(FutureLeft { restarted_at: now.uptime, removed_until: None });
        }
        self.restored.undelivered += undelivered.len();
        self.undelivered.extend(undelivered);
        for next in next {
            self.restored.owed += 1;
            self.mark_dirty(&name);
            match next {
                Next::Infer(number, windows) => self.infer(&name, number, windows, effects),
                Next::Reference(forecast) => self.issue(forecast, None, effects),
                Next::Nothing => {}
            }
        }
        self.say_newest(&name, effects);
        if self.say_oddities(&name, effects) {
            self.mark_dirty(&name);
        }
        self.update_state(now, &name, true, effects);
    }

    pub(super) fn restore_ended(&mut self, omitted: usize, effects: &mut Vec<Effect>) {
        let RestoreCount { stations, owed, undelivered, omitted: own } = std::mem::take(&mut self.restored);
        effects.push(Effect::Emit(Event::ScoresRestored(self.scores.clone())));
        if !self.day_scores.is_empty() {
            effects.push(Effect::Emit(Event::DaysScored(self.day_scores.clone())));
        }
        effects.push(Effect::Emit(Event::Restored {
            stations,
            ready: self.ready,
            stale: self.stale,
            owed,
            undelivered,
            omitted: omitted + own,
        }));
        self.tell_specialists(None, effects);
    }

    /// What a station asked of the journal is there: it takes it as soon as it has nothing in flight.
    pub(super) fn recalled(&mut self, now: Now, restored: Box<Restored>, effects: &mut Vec<Effect>) {
        let Some(entry) = self.stations.get_mut(&restored.station) else { return };
        let name = restored.station.clone();
        entry.recalled.push_back(restored);
        self.take_recalled(now, &name, effects);
    }

    /// A station whose history a clock that was ahead had pushed out, or whose models look further back than before, takes what
    /// the journal gave it: not while windows are in flight, which would be others, were they made again after a restart.
    pub(super) fn take_recalled(&mut self, now: Now, name: &StationName, effects: &mut Vec<Effect>) {
        let limit = now.wall + self.settings.max_ahead;
        while let Some(entry) = self.stations.get_mut(name)
            && entry.station.in_flight() == 0
            && let Some(restored) = entry.recalled.pop_front()
        {
            let scores = entry.station.recalled(&restored, limit);
            self.mark_dirty(name);
            self.scored(name, &scores, effects);
            self.update_state(now, name, true, effects);
        }
    }
}
