//! Which stations are served, and what is published of how they are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{StateKind, StationEntry, kind};
use super::{Effect, Event, Now, Publication, Service, StationState, Token};
use crate::journal::Entry;
use crate::station::{Readiness, Station};
use crate::weather::reading::StationName;

/// How often the status of a station is published at least.
const STATUS_EVERY: Duration = Duration::from_secs(3600);

/// All stations are looked at once in so many ticks.
const SWEEP_TICKS: usize = 30;

/// As many stations are looked at with every tick at least.
const SWEEP_LEAST: usize = 200;

impl Service {
    pub(super) fn serve(&mut self, now: Now, station: Station) {
        let name = station.name().clone();
        let entry = StationEntry {
            station,
            published: None,
            published_at: now.uptime,
            active_uptime: now.uptime.as_nanos() as i128,
            verified_hour: i64::MIN,
            is_verified: false,
            is_dirty: false,
            is_delivery_dirty: false,
            future_left: None,
            held: VecDeque::new(),
            recalled: VecDeque::new(),
            is_marked_stale: false,
        };
        self.sweep.push_back(name.clone());
        self.announcements.wanted(&name);
        self.stations.insert(name, entry);
    }

    /// Serves a station no longer.
    fn remove(&mut self, name: &StationName, effects: &mut Vec<Effect>) {
        let Some(entry) = self.stations.remove(name) else { return };
        match entry.published.map(|(kind, _)| kind) {
            Some(StateKind::Ready) => self.ready -= 1,
            Some(StateKind::Stale) => self.stale -= 1,
            _ => {}
        }
        self.announcements.gone(name);
        self.held -= entry.held.len();
        // Its windows may still be in flight; their answers find no station, or one that numbers its own otherwise.
        self.first_number = self.first_number.max(entry.station.next_number());
        effects.extend(entry.held.iter().filter_map(|reading| reading.token).map(Effect::Acknowledge));
        self.sweep.retain(|other| other != name);
    }

    pub(super) fn forget(&mut self, name: StationName, token: Option<Token>, effects: &mut Vec<Effect>) {
        self.remove(&name, effects);
        self.silent.remove(&name);
        self.parts.forget(&name);
        let early = std::mem::take(&mut self.early);
        for reading in early {
            if reading.station == name {
                effects.extend(reading.token.map(Effect::Acknowledge));
            } else {
                self.early.push_back(reading);
            }
        }
        self.undelivered.retain(|forecast| forecast.station != name);
        self.entries.push(Entry::Forget(name.clone()));
        self.tokens.extend(token);
        effects.push(Effect::Publish(Publication::Clear(name.clone())));
        effects.push(Effect::Emit(Event::Forgotten(name)));
    }

    pub(super) fn say_newest(&self, name: &StationName, effects: &mut Vec<Effect>) {
        let newest = self.stations.get(name).and_then(|entry| entry.station.newest());
        if let Some((time, temperature_c)) = newest {
            effects.push(Effect::Emit(Event::NewestReading { station: name.clone(), time, temperature_c }));
        }
    }

    /// Works out how a station is, and publishes that when it has changed, when another hour of history is there, when an
    /// hour has passed, or when it `must` be said.
    pub(super) fn update_state(
        &mut self,
        now: Now,
        name: &StationName,
        must: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(entry) = self.stations.get_mut(name) else { return };
        let state = entry.state(now, self.settings.stale_after);
        let missing_hours = match state {
            StationState::Fresh(Readiness::WarmingUp(missing)) => {
                Some((missing.remaining.as_secs() + 3599) / 3600)
            }
            _ => None,
        };
        let before = entry.published;
        let is_due = now.uptime.saturating_sub(entry.published_at) >= STATUS_EVERY;
        let said = Some((kind(state), missing_hours));
        if before == said && !is_due && !must {
            // A forecast may have come after its station fell silent: what was owed from before a restart.
            if self.is_subscribed {
                effects.extend(entry.mark_stale());
            }
            return;
        }
        entry.published = said;
        entry.published_at = now.uptime;
        let kind_before = before.map(|(kind, _)| kind);
        let is_news = kind_before != Some(kind(state));
        if is_news {
            let count = |of: StateKind| usize::from(kind(state) == of);
            let count_before = |of: StateKind| usize::from(kind_before == Some(of));
            self.ready = self.ready + count(StateKind::Ready) - count_before(StateKind::Ready);
            self.stale = self.stale + count(StateKind::Stale) - count_before(StateKind::Stale);
        }
        let model_distance_km = entry.station.model_distance_km();
        if before != said {
            let station = name.clone();
            effects.push(Effect::Emit(Event::StateChanged { station, state, is_news, model_distance_km }));
        }
        if self.is_subscribed {
            effects.extend(entry.mark_stale());
        }
        effects.push(Effect::Publish(Publication::Status {
            station: name.clone(),
            state,
            newest_reading: entry.station.newest().map(|(time, _)| time),
            place: entry.station.place(),
            model_distance_km,
            odd: entry.station.odd(),
            model: Arc::clone(&self.models.main().id),
        }));
    }

    /// Looks at some of the stations: who has become stale, whose status is due, who is served no longer.
    pub(super) fn sweep(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let count = (self.sweep.len() / SWEEP_TICKS).max(SWEEP_LEAST).min(self.sweep.len());
        for _ in 0..count {
            let Some(name) = self.sweep.pop_front() else { return };
            let Some(entry) = self.stations.get(&name) else { continue };
            let silent_for = now.uptime.as_nanos() as i128 - entry.active_uptime;
            let is_idle = self.settings.idle_after.is_some_and(|after| silent_for > after.as_nanos());
            if is_idle && entry.station.in_flight() == 0 && entry.held.is_empty() {
                self.remove(&name, effects);
                self.silent.insert(name.clone());
                effects.push(Effect::Publish(Publication::GiveUp(name.clone())));
                effects.push(Effect::Emit(Event::StationGivenUp(name)));
                continue;
            }
            self.sweep.push_back(name.clone());
            self.update_state(now, &name, false, effects);
        }
    }
}
